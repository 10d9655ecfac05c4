"""
Protect sessions of requests.

Needs the extra ``requests``: ``pip install "switchgear[requests]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar
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
        ResponseError,
    )

    from switchgear.http._protection import Client, ProtectedClient


if TYPE_CHECKING:
    from collections.abc import Callable, Generator
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


S = TypeVar("S", bound=requests.Session)

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

#: What urllib3 says if it was told to try again after such an answer.
_THROTTLED: Final = ResponseError.SPECIFIC_ERROR.format(status_code=429)


def _is_remote(error: Exception) -> bool:
    # requests puts its own error around that of urllib3.
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    if isinstance(cause, ResponseError) and str(cause) == _THROTTLED:
        return False
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


class _Body(urllib3.HTTPResponse):
    """
    Tell how reading the body of a response went.

    A response of urllib3, which is what ``Response.raw`` is, is made one of these.
    """

    _exchange: Exchange
    #: urllib3 closes it while it reads, be it that it has come to the end or failed.
    _is_reading = False

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """
        Read all of it, or so much.
        """
        data: bytes = self._told(super().read, *args, **kwargs)
        return data

    def read1(self, *args: Any, **kwargs: Any) -> bytes:
        """
        Read what is there, or so much.
        """
        data: bytes = self._told(super().read1, *args, **kwargs)
        return data

    def read_chunked(self, *args: Any, **kwargs: Any) -> Generator[bytes]:
        """
        Read it in pieces.
        """
        pieces = super().read_chunked(*args, **kwargs)
        while (piece := self._told(next, pieces, None)) is not None:
            yield piece

    def close(self) -> None:
        """
        Close it, read to its end or not.
        """
        super().close()
        self._left()

    def release_conn(self) -> None:
        """
        Give its connection back, read to its end or not.
        """
        super().release_conn()
        self._left()

    def _told(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        outer, self._is_reading = self._is_reading, True
        try:
            data = read(*args, **kwargs)
        except BaseException as error:
            self._exchange.raised(error)
            raise
        finally:
            self._is_reading = outer
        if self.closed:
            self._left()
        return data

    def _left(self) -> None:
        if not self._is_reading:
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
                _watch(response.raw, exchange)
        except BaseException:
            response.close()
            raise
        # So that whoever answers a challenge sends by this one again.
        vars(response)["connection"] = self
        return response

    def goes_by(self, name: str) -> bool:
        """
        Answer whether *name* is what it is protected by.
        """
        return self._protection.name == name

    def close(self) -> None:
        """
        Close the inner adapter.
        """
        self._inner.close()
        super().close()


def _watch(raw: Any, exchange: Exchange) -> None:
    if type(raw) is urllib3.HTTPResponse and not raw.closed:
        watched: Any = raw
        watched.__class__ = _Body
        watched._exchange = exchange  # noqa: SLF001 -- ours
    else:
        # All of it is there, or whatever it is does not tell.
        exchange.ended()


def protect(
    session: S, name: str, **options: Unpack[Options[requests.PreparedRequest]]
) -> S:
    """
    Protect all that *session* sends; return it.

    Each of its adapters is wrapped in a :class:`ProtectedAdapter`, unless it is one
    that goes by that name already.

    Args:
        session: A session, with its own adapters if it has any.
        name: As for :class:`switchgear.http.ProtectedClient`, like all others.

    Raises:
        TypeError, ValueError, ConfigurationError: As ``ProtectedClient`` does.

    .. versionadded:: 0.1.0
    """
    for prefix, adapter in list(session.adapters.items()):
        if not (isinstance(adapter, ProtectedAdapter) and adapter.goes_by(name)):
            session.mount(prefix, ProtectedAdapter(name, adapter, **options))
    return session
