"""
Transports of httpx and httpx2, which differ in their names only.

Imports neither: each has a file of its own that puts its classes in.
"""

from __future__ import annotations

from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from switchgear.http._protection import ProtectedClient


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType
    from typing import Self, Unpack

    from switchgear.http._protection import Exchange, Options


R = TypeVar("R")
T = TypeVar("T")


def host_of(request: Any) -> str:
    """
    Return the host of *request*, with its port unless that is the usual one.
    """
    netloc: bytes = request.url.netloc
    return netloc.decode("ascii")


class Wrapping(ProtectedClient[R], Generic[R, T]):
    """
    Wrap a transport that sends, *inner*.
    """

    _usual: ClassVar[type[Any]]
    _body: ClassVar[type[Any]]

    def __init__(
        self, name: str, inner: T | None = None, **options: Unpack[Options[R]]
    ) -> None:
        super().__init__(name, **options)
        self._inner: Any = self._usual() if inner is None else inner

    def _answered(self, exchange: Exchange, response: Any) -> None:
        """
        Note what came back; have its body tell how it went on.
        """
        if not exchange.answered(response.status_code, response.headers):
            return
        if response.is_closed:
            # All of it is there.
            exchange.ended()
        else:
            response.stream = self._body(response.stream, exchange)


class Transport(Wrapping[R, T]):
    """
    Send requests as they may be sent.
    """

    def handle_request(self, request: Any) -> Any:
        """
        Send *request* when it is its turn, or raise its refusal.
        """
        exchange = self._protection.exchange(request)
        if exchange is None:
            return self._inner.handle_request(request)
        exchange.enter()
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:
            exchange.raised(error)
            raise
        try:
            self._answered(exchange, response)
        except BaseException:
            response.close()
            raise
        return response

    def close(self) -> None:
        """
        Close the inner transport.
        """
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)


class AsyncTransport(Wrapping[R, T]):
    """
    Send requests as they may be sent, from an event loop.
    """

    async def handle_async_request(self, request: Any) -> Any:
        """
        Send *request* when it is its turn, or raise its refusal.
        """
        exchange = self._protection.exchange(request)
        if exchange is None:
            return await self._inner.handle_async_request(request)
        await exchange.enter_async()
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            exchange.raised(error)
            raise
        try:
            self._answered(exchange, response)
        except BaseException:
            await response.aclose()
            raise
        return response

    async def aclose(self) -> None:
        """
        Close the inner transport.
        """
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)


class Body:
    """
    Hand the body of a response on, and tell how reading it went.
    """

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except GeneratorExit:
            # Whoever read it wants no more, and closes it.
            raise
        except BaseException as error:
            self._exchange.raised(error)
            raise
        self._exchange.ended()

    def close(self) -> None:
        """
        Close it, read to its end or not.
        """
        try:
            self._stream.close()
        finally:
            self._exchange.ended()

    def __del__(self) -> None:
        # Dropped by whoever did not want more.
        self._exchange.ended()


class AsyncBody:
    """
    Hand the body of a response on, and tell how reading it went.
    """

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = aiter(self._stream)
        try:
            async for chunk in stream:
                yield chunk
        except GeneratorExit:
            # Whoever read it wants no more, and closes it.
            raise
        except BaseException as error:
            self._exchange.raised(error)
            raise
        finally:
            # It would be left to the garbage collector otherwise.
            if isinstance(stream, AsyncGeneratorType):
                await stream.aclose()
        self._exchange.ended()

    async def aclose(self) -> None:
        """
        Close it, read to its end or not.
        """
        try:
            await self._stream.aclose()
        finally:
            self._exchange.ended()

    def __del__(self) -> None:
        # Dropped by whoever did not want more.
        self._exchange.ended()
