"""
Protect clients of httpx.

Needs the extra ``httpx``: ``pip install "switchgear[httpx]"``.
"""

from __future__ import annotations

from switchgear.errors import BurstExceeded, CircuitOpenError, RateLimitExceeded
from switchgear.http._extras import needs


with needs("httpx"):
    import httpx

    from switchgear.http import _transports
    from switchgear.http._protection import Client


__all__ = [
    "AsyncProtectedTransport",
    "BurstExceededTransportError",
    "CircuitOpenTransportError",
    "ProtectedTransport",
    "RateLimitTransportError",
]


class CircuitOpenTransportError(CircuitOpenError, httpx.TransportError):
    """
    Say that a request was refused because its circuit is open.

    .. versionadded:: 0.1.0
    """


class RateLimitTransportError(RateLimitExceeded, httpx.TransportError):
    """
    Say that the turn of a request did not, or cannot, come in time.

    .. versionadded:: 0.1.0
    """


class BurstExceededTransportError(BurstExceeded, httpx.TransportError):
    """
    Say that a request takes more tokens than its limiter ever holds.

    .. versionadded:: 0.1.0
    """


#: Mistakes that were made here, or are not the host's.
_LOCAL = (httpx.LocalProtocolError, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def _is_remote(error: Exception) -> bool:
    # What a body or another transport raised need not be httpx's.
    network = (httpx.TransportError, ConnectionError, TimeoutError)
    return isinstance(error, network) and not isinstance(error, _LOCAL)


_CLIENT = Client(
    CircuitOpenTransportError,
    RateLimitTransportError,
    BurstExceededTransportError,
    _transports.host_of,
    _is_remote,
)


class _Body(_transports.Body, httpx.SyncByteStream):
    """
    Be a body that httpx knows as one.
    """


class _AsyncBody(_transports.AsyncBody, httpx.AsyncByteStream):
    """
    Be a body that httpx knows as one.
    """


class ProtectedTransport(
    _transports.Transport[httpx.Request, httpx.BaseTransport], httpx.BaseTransport
):
    """
    Protect the requests of a :class:`httpx.Client`.

    .. code-block:: python

        client = httpx.Client(
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
    _usual = httpx.HTTPTransport
    _body = _Body


class AsyncProtectedTransport(
    _transports.AsyncTransport[httpx.Request, httpx.AsyncBaseTransport],
    httpx.AsyncBaseTransport,
):
    """
    Protect the requests of a :class:`httpx.AsyncClient`.

    As :class:`ProtectedTransport`, around an ``AsyncHTTPTransport()``.

    .. versionadded:: 0.1.0
    """

    _client = _CLIENT
    _usual = httpx.AsyncHTTPTransport
    _body = _AsyncBody
