"""
What protecting a request costs beyond sending it, for each client.

Nothing is sent: whatever is below us answers at once, alike with us and without.
"""

from __future__ import annotations

from timeit import Timer
from typing import TYPE_CHECKING, Any, Final

import httpx2
import requests

from multidict import CIMultiDict, CIMultiDictProxy
from requests.adapters import BaseAdapter
from yarl import URL

from switchgear import Registry
from switchgear.http.aiohttp import ProtectedMiddleware
from switchgear.http.httpx2 import AsyncProtectedTransport, ProtectedTransport
from switchgear.http.requests import ProtectedAdapter


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import TypeAlias

    #: A request with us, and without.
    Both: TypeAlias = tuple[Callable[[], Any], Callable[[], Any]]


#: Never empty, never open: what is measured is what every request pays.
SETTINGS: Final[dict[str, Any]] = {
    "calls_per_second": 1e9,
    "burst": 10**9,
    "threshold": 5,
}


class Stream(httpx2.SyncByteStream):
    """
    Be a body of one piece.
    """

    def __iter__(self) -> Iterator[bytes]:
        yield b"ok"


class AsyncStream(httpx2.AsyncByteStream):
    """
    Be a body of one piece, for a loop.
    """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"ok"


class Bare(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """
    Answer at once.
    """

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """
        Answer *request*, whatever it is.
        """
        del request
        return httpx2.Response(200, stream=Stream())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """
        Answer *request*, whatever it is.
        """
        del request
        return httpx2.Response(200, stream=AsyncStream())


class BareAdapter(BaseAdapter):
    """
    Answer at once.
    """

    def send(self, *_: Any, **__: Any) -> requests.Response:
        """
        Answer whatever is asked.
        """
        response = requests.Response()
        response.status_code = 200
        response.raw = BareBody()
        return response

    def close(self) -> None:
        """
        Do nothing.
        """


class BareBody:
    """
    Be a body of one piece, as urllib3's.
    """

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        """
        Return its piece.
        """
        yield b"ok"

    def close(self) -> None:
        """
        Do nothing.
        """

    release_conn = close


class BareReader:
    """
    Be a body that is there already, as aiohttp's.
    """

    def on_eof(self, callback: Callable[[], None]) -> None:
        """
        Say at once that it is.
        """
        callback()

    async def read(self, n: int = -1) -> bytes:
        """
        Return all of it.
        """
        del n
        return b"ok"


class BareResponse:
    """
    Be an answer, as aiohttp's.
    """

    headers = CIMultiDictProxy(CIMultiDict[str]())
    status = 200

    def __init__(self) -> None:
        self.content = BareReader()


class BareRequest:
    """
    Be a request, as aiohttp's.
    """

    url = URL("http://example.org/path")


def finish(coroutine: Any) -> Any:
    """
    Run what never waits to its end, without a loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    msg = "it waited"
    raise RuntimeError(msg)


def pair(name: str) -> tuple[Timer, Timer]:
    """
    Return what times a request of that client with us, and without.
    """
    ours, bare = _REQUESTS[name]()
    return Timer("request()", globals={"request": ours}), Timer(
        "request()", globals={"request": bare}
    )


def _httpx2() -> Both:
    request, bare = httpx2.Request("GET", "http://example.org/path"), Bare()
    ours = ProtectedTransport("api", bare, registry=Registry(), **SETTINGS)

    def sending(transport: httpx2.BaseTransport) -> Callable[[], Any]:
        def send() -> None:
            response = transport.handle_request(request)
            response.read()
            response.close()

        return send

    return sending(ours), sending(bare)


def _httpx2_async() -> Both:
    request, bare = httpx2.Request("GET", "http://example.org/path"), Bare()
    ours = AsyncProtectedTransport("api", bare, registry=Registry(), **SETTINGS)

    def sending(transport: httpx2.AsyncBaseTransport) -> Callable[[], Any]:
        async def send() -> None:
            response = await transport.handle_async_request(request)
            await response.aread()
            await response.aclose()

        return lambda: finish(send())

    return sending(ours), sending(bare)


def _requests() -> Both:
    request = requests.Request("GET", "http://example.org/path").prepare()
    bare = BareAdapter()
    ours = ProtectedAdapter("api", bare, registry=Registry(), **SETTINGS)

    def sending(adapter: BaseAdapter) -> Callable[[], Any]:
        return lambda: adapter.send(request).content

    return sending(ours), sending(bare)


def _aiohttp() -> Both:
    middleware: Any = ProtectedMiddleware("api", registry=Registry(), **SETTINGS)
    request: Any = BareRequest()

    async def handler(request: Any) -> Any:
        del request
        return BareResponse()

    async def ours() -> None:
        response = await middleware(request, handler)
        await response.content.read()

    async def bare() -> None:
        response = await handler(request)
        await response.content.read()

    return lambda: finish(ours()), lambda: finish(bare())


_REQUESTS: Final = {
    "httpx2": _httpx2,
    "httpx2, async": _httpx2_async,
    "requests": _requests,
    "aiohttp": _aiohttp,
}

#: Whose requests can be timed.
CLIENTS: Final = tuple(_REQUESTS)
