"""
Protect sessions of aiohttp.

Needs the extra ``aiohttp``: ``pip install "switchgear[aiohttp]"``.
"""

from __future__ import annotations

import asyncio

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from switchgear.errors import BurstExceeded, CircuitOpenError, RateLimitExceeded
from switchgear.http._extras import needs


with needs("aiohttp"):
    import aiohttp

    from switchgear.http._protection import Client, ProtectedClient


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from switchgear.http._protection import Exchange


__all__ = [
    "BurstExceededClientError",
    "CircuitOpenClientError",
    "ProtectedMiddleware",
    "RateLimitClientError",
]


T = TypeVar("T")


class CircuitOpenClientError(CircuitOpenError, aiohttp.ClientError):
    """
    Say that a request was refused because its circuit is open.

    .. versionadded:: 0.1.0
    """


class RateLimitClientError(RateLimitExceeded, aiohttp.ClientError):
    """
    Say that the turn of a request did not, or cannot, come in time.

    .. versionadded:: 0.1.0
    """


class BurstExceededClientError(BurstExceeded, aiohttp.ClientError):
    """
    Say that a request takes more tokens than its limiter ever holds.

    .. versionadded:: 0.1.0
    """


def _host_of(request: Any) -> str:
    host: str = request.url.host_port_subcomponent
    return host


#: What the network, or whoever is at its other end, brought about.
_REMOTE: Final = (
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
    ConnectionError,
    TimeoutError,
)


def _is_remote(error: Exception) -> bool:
    return (
        isinstance(error, _REMOTE)
        and not _failed_to_read_what_to_send(error)
        and not _waited_for_the_pool(error)
    )


def _failed_to_read_what_to_send(error: Exception) -> bool:
    """
    Answer whether a body of ours failed, which aiohttp takes for a lost connection.
    """
    cause = error.__cause__
    return (
        type(error) is aiohttp.ClientConnectionError
        and cause is not None
        and not isinstance(cause, (OSError, aiohttp.ClientError))
    )


#: How far the history of an error is looked through: it may lead to itself.
_MAX_LINKS: Final = 100


def _waited_for_the_pool(error: BaseException | None) -> bool:
    """
    Answer whether a timeout came while all connections were in use.

    aiohttp says the same as when a host does not answer. But what was cancelled
    tells by its traceback where that was.
    """
    for _ in range(_MAX_LINKS):
        if error is None:
            return False
        step = error.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_name == "_wait_for_available_connection":
                return True
            step = step.tb_next
        error = error.__cause__ or error.__context__
    return False


def _tell(exchange: Exchange, error: BaseException) -> None:
    exchange.raised(asyncio.CancelledError() if _is_total_timeout(error) else error)


def _is_total_timeout(error: BaseException) -> bool:
    """
    Answer whether the session's total timeout ended the call.

    That covers the wait for the turn as well, and was a cancellation until aiohttp
    made a TimeoutError of it, as only the traceback tells. Others are as they seem.
    """
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return (
        type(error) is TimeoutError
        and step is not None
        and step.tb_frame.f_code.co_qualname.startswith("TimerContext.")
    )


_CLIENT: Final = Client(
    CircuitOpenClientError,
    RateLimitClientError,
    BurstExceededClientError,
    _host_of,
    _is_remote,
)


class _Body:
    """
    Hand the body of a response on, and tell how reading it went.

    Stands in for the reader that is ``ClientResponse.content``.
    """

    def __init__(self, reader: aiohttp.StreamReader, exchange: Exchange) -> None:
        self._reader = reader
        self._exchange = exchange
        reader.on_eof(exchange.ended)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def read(self, n: int = -1) -> bytes:
        return await self._told(self._reader.read(n))

    async def readany(self) -> bytes:
        return await self._told(self._reader.readany())

    async def readchunk(self) -> tuple[bytes, bool]:
        return await self._told(self._reader.readchunk())

    async def readexactly(self, n: int) -> bytes:
        return await self._told(self._reader.readexactly(n))

    async def readline(self, **options: Any) -> bytes:
        return await self._told(self._reader.readline(**options))

    async def readuntil(self, separator: bytes = b"\n", **options: Any) -> bytes:
        return await self._told(self._reader.readuntil(separator, **options))

    async def wait_eof(self) -> None:
        await self._told(self._reader.wait_eof())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _until(self.readline, b"")

    def iter_any(self) -> AsyncIterator[bytes]:
        return _until(self.readany, b"")

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        return _until(partial(self.read, n), b"")

    def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        return _until(self.readchunk, (b"", False))

    def exception(self) -> BaseException | None:
        """
        Return why it broke off, if it did: asked for before it is closed.
        """
        error = self._reader.exception()
        if error is not None:
            _tell(self._exchange, error)
        return error

    def __del__(self) -> None:
        # Dropped by whoever did not want more.
        self._exchange.ended()

    def set_exception(self, exc: BaseException, *args: Any) -> None:
        """
        Be closed by whoever did not want more: only they say so here.
        """
        self._reader.set_exception(exc, *args)
        self._exchange.ended()

    async def _told(self, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except BaseException as error:
            _tell(self._exchange, error)
            raise


async def _until(read: Callable[[], Awaitable[T]], end: T) -> AsyncIterator[T]:
    """
    Yield what *read* returns, until that is *end*.
    """
    while (piece := await read()) != end:
        yield piece


class ProtectedMiddleware(ProtectedClient[aiohttp.ClientRequest]):
    """
    Protect the requests of a :class:`aiohttp.ClientSession`.

    .. code-block:: python

        session = aiohttp.ClientSession(
            middlewares=[ProtectedMiddleware("api", calls_per_second=5, threshold=5)]
        )

    Args:
        name: As for :class:`switchgear.http.ProtectedClient`, like all others.

    The wait for the turn is part of the session's total timeout. That timeout
    cancels the call, which is then ignored, or slow after *slow_call_seconds*; those
    of a socket are failures.

    .. versionadded:: 0.1.0
    """

    _client = _CLIENT

    async def __call__(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        """
        Have *handler* send *request* when it is its turn, or raise its refusal.
        """
        exchange = self._protection.exchange(request)
        if exchange is None:
            return await handler(request)
        await exchange.enter_async()
        try:
            response = await handler(request)
        except BaseException as error:
            _tell(exchange, error)
            raise
        try:
            if exchange.answered(response.status, response.headers):
                content: Any = _Body(response.content, exchange)
                response.content = content
        except BaseException:
            response.close()
            raise
        return response
