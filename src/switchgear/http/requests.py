"""
Protect sessions of requests.

Needs the extra ``requests``: ``pip install "switchgear[requests]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from switchgear.errors import BurstExceeded, CircuitOpenError, RateLimitExceeded
from switchgear.http._extras import needs


with needs("requests"):
    import requests
    import urllib3

    from requests.adapters import BaseAdapter, HTTPAdapter
    from urllib3.exceptions import (
        ClosedPoolError,
        EmptyPoolError,
        LocationValueError,
        MaxRetryError,
    )

    from switchgear.http._protection import Client, ProtectedClient


if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from switchgear.http._protection import Exchange, Options


__all__ = [
    "BurstExceededRequestError",
    "CircuitOpenRequestError",
    "ProtectedAdapter",
    "RateLimitRequestError",
    "protect",
]


class CircuitOpenRequestError(CircuitOpenError, requests.RequestException):
    """
    Say that a request was refused because its circuit is open.

    .. versionadded:: 0.1.0
    """


class RateLimitRequestError(RateLimitExceeded, requests.RequestException):
    """
    Say that the turn of a request did not, or cannot, come in time.

    .. versionadded:: 0.1.0
    """


class BurstExceededRequestError(BurstExceeded, requests.RequestException):
    """
    Say that a request takes more tokens than its limiter ever holds.

    .. versionadded:: 0.1.0
    """


_PORTS: Final = {"http": 80, "https": 443}


def _host_of(request: Any) -> str:
    parts = urlsplit(request.url)
    host, port = parts.hostname or "", parts.port
    if ":" in host:
        host = f"[{host}]"
    return host if port in {None, _PORTS.get(parts.scheme)} else f"{host}:{port}"


#: What the network, or whoever is at its other end, brought about. A plain OSError
#: is not: it is how requests says that a file of certificates is missing.
_REMOTE: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.RetryError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)
_LOCAL: Final = (ClosedPoolError, EmptyPoolError, LocationValueError)


def _is_remote(error: Exception) -> bool:
    # requests puts its own error around that of urllib3.
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return isinstance(error, _REMOTE) and not any(
        isinstance(one, _LOCAL) for one in (error, cause)
    )


_CLIENT: Final = Client(
    CircuitOpenRequestError,
    RateLimitRequestError,
    BurstExceededRequestError,
    _host_of,
    _is_remote,
)


class _Body:
    """
    Hand the body of a response on, and tell how reading it went.

    Stands in for urllib3's response, which is what ``Response.raw`` is.
    """

    def __init__(self, raw: Any, exchange: Exchange) -> None:
        self._raw = raw
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def __iter__(self) -> Iterator[bytes]:
        return self._told(iter(self._raw))

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """
        Read it in pieces.
        """
        return self._told(self._raw.stream(*args, **kwargs))

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """
        Read all of it, or so much.
        """
        try:
            data: bytes = self._raw.read(*args, **kwargs)
        except BaseException as error:
            self._exchange.raised(error)
            raise
        if self._raw.closed:
            self._exchange.ended()
        return data

    def close(self) -> None:
        """
        Close it, read to its end or not.
        """
        self._raw.close()
        self._exchange.ended()

    def release_conn(self) -> None:
        """
        Give its connection back, read to its end or not.
        """
        self._raw.release_conn()
        self._exchange.ended()

    def _told(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except GeneratorExit:
            # Whoever read it wants no more, and closes it.
            raise
        except BaseException as error:
            self._exchange.raised(error)
            raise
        self._exchange.ended()


class ProtectedAdapter(ProtectedClient[requests.PreparedRequest], HTTPAdapter):
    """
    Protect what a :class:`requests.Session` sends by this adapter.

    :func:`protect` mounts them for all that a session sends.

    Args:
        name: As for :class:`switchgear.http.ProtectedClient`, like all that is not
            named here.
        inner: The adapter that sends; None for ``HTTPAdapter()``. Its retries, if
            any, are part of the call that is protected.

    .. versionadded:: 0.1.0
    """

    _client = _CLIENT

    def __init__(
        self,
        name: str,
        inner: BaseAdapter | None = None,
        **options: Unpack[Options[requests.PreparedRequest]],
    ) -> None:
        ProtectedClient.__init__(self, name, **options)
        HTTPAdapter.__init__(self)
        self._inner = HTTPAdapter() if inner is None else inner

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """
        Send *request* when it is its turn, or raise its refusal.
        """
        exchange = self._protection.exchange(request)
        if exchange is None:
            return self._inner.send(request, *args, **kwargs)
        try:
            exchange.enter()
        except requests.RequestException as refusal:
            refusal.request = request
            raise
        try:
            response = self._inner.send(request, *args, **kwargs)
        except BaseException as error:
            exchange.raised(error)
            raise
        try:
            if exchange.answered(response.status_code, response.headers):
                response.raw = _Body(response.raw, exchange)
        except BaseException:
            response.close()
            raise
        return response

    def close(self) -> None:
        """
        Close the inner adapter.
        """
        self._inner.close()
        super().close()


def protect(
    session: requests.Session,
    name: str,
    **options: Unpack[Options[requests.PreparedRequest]],
) -> requests.Session:
    """
    Protect all that *session* sends; return it.

    Each of its adapters is wrapped in a :class:`ProtectedAdapter`.

    Args:
        session: A session, with its own adapters if it has any.
        name: As for :class:`switchgear.http.ProtectedClient`, like all others.

    Raises:
        TypeError, ValueError, ConfigurationError: As ``ProtectedClient`` does.

    .. versionadded:: 0.1.0
    """
    for prefix, adapter in list(session.adapters.items()):
        session.mount(prefix, ProtectedAdapter(name, adapter, **options))
    return session
