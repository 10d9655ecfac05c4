"""
Protect clients of httpx2.

Needs the extra ``httpx2``: ``pip install "switchgear[httpx2]"``.
"""

from __future__ import annotations

from switchgear.errors import BurstExceeded, CircuitOpenError, RateLimitExceeded
from switchgear.http._extras import needs


with needs("httpx2"):
    import httpx2

    from switchgear.http import _transports
    from switchgear.http._protection import Client


__all__ = [
    "AsyncProtectedTransport",
    "BurstExceededTransportError",
    "CircuitOpenTransportError",
    "ProtectedTransport",
    "RateLimitTransportError",
]


class CircuitOpenTransportError(CircuitOpenError, httpx2.TransportError):
    """
    Say that a request was refused because its circuit is open.

    .. versionadded:: 0.1.0
    """


class RateLimitTransportError(RateLimitExceeded, httpx2.TransportError):
    """
    Say that the turn of a request did not, or cannot, come in time.

    .. versionadded:: 0.1.0
    """


class BurstExceededTransportError(BurstExceeded, httpx2.TransportError):
    """
    Say that a request takes more tokens than its limiter ever holds.

    .. versionadded:: 0.1.0
    """


#: Mistakes that were made here, or are not the host's.
_LOCAL = (httpx2.LocalProtocolError, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


def _is_remote(error: Exception) -> bool:
    # What a body or another transport raised need not be httpx2's.
    network = (httpx2.TransportError, ConnectionError, TimeoutError)
    return isinstance(error, network) and not isinstance(error, _LOCAL)


_CLIENT = Client(
    CircuitOpenTransportError,
    RateLimitTransportError,
    BurstExceededTransportError,
    _transports.host_of,
    _is_remote,
)


class _Body(_transports.Body, httpx2.SyncByteStream):
    """
    Be a body that httpx2 knows as one.
    """


class _AsyncBody(_transports.AsyncBody, httpx2.AsyncByteStream):
    """
    Be a body that httpx2 knows as one.
    """


class ProtectedTransport(
    _transports.Transport[httpx2.Request, httpx2.BaseTransport], httpx2.BaseTransport
):
    """
    Protect the requests of a :class:`httpx2.Client`.

    .. code-block:: python

        client = httpx2.Client(
            transport=ProtectedTransport("api", calls_per_second=5, threshold=5)
        )

    Args:
        name: As for :class:`switchgear.http.ProtectedClient`, like all that is not
            named here.
        inner: The transport that sends; None for ``HTTPTransport()``. What a client
            passes to that one (``verify``, ``http2``, ``limits``, ``proxy``) has to
            be passed to this one.

    .. versionadded:: 0.1.0
    """

    _client = _CLIENT
    _usual = httpx2.HTTPTransport
    _body = _Body


class AsyncProtectedTransport(
    _transports.AsyncTransport[httpx2.Request, httpx2.AsyncBaseTransport],
    httpx2.AsyncBaseTransport,
):
    """
    Protect the requests of a :class:`httpx2.AsyncClient`.

    As :class:`ProtectedTransport`, around an ``AsyncHTTPTransport()``.

    .. versionadded:: 0.1.0
    """

    _client = _CLIENT
    _usual = httpx2.AsyncHTTPTransport
    _body = _AsyncBody
