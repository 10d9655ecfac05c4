"""
Transports of httpx and httpx2: what other clients do not have.
"""

from __future__ import annotations

import asyncio

import httpx
import httpx2
import pytest

from switchgear import CircuitState
from switchgear.http import httpx as ours_httpx
from switchgear.http import httpx2 as ours_httpx2


@pytest.fixture(
    params=[(httpx, ours_httpx), (httpx2, ours_httpx2)], ids=["httpx", "httpx2"]
)
def both(request):
    """
    A package, and ours for it.
    """
    return request.param


class Inner:
    """
    Be a transport that does as it is told, and notes what was done to it.
    """

    def __init__(self, answer):
        self.answer = answer
        self.done = []

    def handle_request(self, request):
        return self.answer(request)

    async def handle_async_request(self, request):
        return self.answer(request)

    def close(self):
        self.done.append("close")

    async def aclose(self):
        self.done.append("close")

    def __enter__(self):
        self.done.append("enter")
        return self

    def __exit__(self, *_):
        self.done.append("exit")

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, *_):
        self.__exit__()


def raising(error):
    def answer(request):
        raise error

    return answer


@pytest.fixture
def protect(both, registry, clock):
    """
    Protect an inner transport; return it, and the breaker of example.org.
    """
    ours = both[1]

    def protect(inner, *, is_async=False, **options):
        kind = ours.AsyncProtectedTransport if is_async else ours.ProtectedTransport
        transport = kind(
            "api", inner, registry=registry, threshold=3, clock=clock, **options
        )
        return transport, registry.keyed_breaker("api")["example.org"]

    return protect


class TestHttp2:
    """
    HTTP/2, without TLS as both ends know it.
    """

    @pytest.fixture(params=[False, True], ids=["sync", "async"])
    def get(self, request, both, registry):
        module, ours = both
        options = {"http1": False, "http2": True, "trust_env": False}
        protection = {"calls_per_second": 1e3, "threshold": 3, "registry": registry}

        def get(url):
            inner = module.HTTPTransport(**options)
            transport = ours.ProtectedTransport("api", inner, **protection)
            with module.Client(transport=transport) as client:
                return client.get(url)

        def get_async(url):
            async def main():
                inner = module.AsyncHTTPTransport(**options)
                transport = ours.AsyncProtectedTransport("api", inner, **protection)
                async with module.AsyncClient(transport=transport) as client:
                    return await client.get(url)

            return asyncio.run(main())

        return get_async if request.param else get

    def test_answers(self, get, registry, server):
        """
        If the connection speaks HTTP/2, all is as ever.
        """
        response = get(server.at("/", headers={"x-header": "kept"}))

        assert (response.http_version, response.content) == ("HTTP/2", b"well done")
        assert registry.keyed_limiter("api")[server.host].snapshot().admitted == 1

    def test_hints(self, get, registry, server):
        """
        If a stream says 429, the host's limiter is paused.
        """
        get(server.at("/", status=429, headers={"retry-after": "50"}))

        limiter = registry.keyed_limiter("api")[server.host]
        assert 49.0 < limiter.snapshot().paused_for < 56.0

    @pytest.mark.parametrize("fault", ["reset", "reset body"])
    def test_streams_that_are_reset(self, get, both, registry, server, fault):
        """
        If a stream is reset, before it answers or after, that is a failure.
        """
        with pytest.raises(both[0].RemoteProtocolError):
            get(server.at("/", fault=fault))

        assert registry.keyed_breaker("api")[server.host].snapshot().failures == 1


class TestTransport:
    """
    The transports, around others.
    """

    def test_are_transports(self, both):
        """
        If somebody asks, they are what the package takes for transports.
        """
        module, ours = both
        assert issubclass(ours.ProtectedTransport, module.BaseTransport)
        assert issubclass(ours.AsyncProtectedTransport, module.AsyncBaseTransport)

    def test_are_entered_and_left_with_the_inner_one(self, both, protect):
        """
        If a client is used as a context, the inner transport is entered and left.
        """
        inner = Inner(lambda request: both[0].Response(200))

        with protect(inner)[0]:
            pass
        protect(inner)[0].close()

        assert inner.done == ["enter", "exit", "close"]

    def test_are_entered_and_left_with_the_inner_one_in_a_loop(self, both, protect):
        """
        If an async client is used as a context, so is the inner transport.
        """
        inner = Inner(lambda request: both[0].Response(200))

        async def main():
            async with protect(inner, is_async=True)[0]:
                pass
            await protect(inner, is_async=True)[0].aclose()

        asyncio.run(main())

        assert inner.done == ["enter", "exit", "close"]

    @pytest.mark.parametrize("name", ["ConnectError", "ReadTimeout", "ProxyError"])
    def test_faults_of_the_host(self, both, protect, name):
        """
        If the network fails, that counts, and the error arrives as it was.
        """
        module = both[0]
        error = getattr(module, name)("it failed")
        transport, breaker = protect(Inner(raising(error)))

        with pytest.raises(type(error)) as caught:
            transport.handle_request(module.Request("GET", "http://example.org"))

        assert caught.value is error
        assert breaker.snapshot().failures == 1

    @pytest.mark.parametrize(
        "error",
        [
            "LocalProtocolError",
            "PoolTimeout",
            "UnsupportedProtocol",
            ValueError,
            OSError,
        ],
    )
    def test_own_mistakes(self, both, protect, error):
        """
        If the mistake was made here, it counts neither way.
        """
        module = both[0]
        kind = getattr(module, error) if isinstance(error, str) else error
        transport, breaker = protect(Inner(raising(kind("here"))))

        with pytest.raises(kind):
            transport.handle_request(module.Request("GET", "http://example.org"))

        snapshot = breaker.snapshot()
        assert (snapshot.failures, snapshot.ignored) == (0, 1)

    @pytest.mark.parametrize("error", [ConnectionResetError, TimeoutError])
    def test_other_transports(self, both, protect, error):
        """
        If an inner transport raises what the system calls it, that counts.
        """
        module = both[0]
        transport, breaker = protect(Inner(raising(error("there"))))

        with pytest.raises(error):
            transport.handle_request(module.Request("GET", "http://example.org"))

        assert breaker.snapshot().failures == 1

    def test_interrupted(self, both, protect):
        """
        If Ctrl-C comes while a request is made, that counts neither way.
        """
        transport, breaker = protect(Inner(raising(KeyboardInterrupt())))

        with pytest.raises(KeyboardInterrupt):
            transport.handle_request(both[0].Request("GET", "http://example.org"))

        assert breaker.snapshot().ignored == 1

    @pytest.mark.parametrize(
        ("url", "key"),
        [
            ("http://example.org/x", "example.org"),
            ("https://EXAMPLE.org:443/", "example.org"),
            ("http://user:secret@example.org:8080/", "example.org:8080"),
            ("http://[::1]:80/", "[::1]"),
            ("http://bücher.example/", "xn--bcher-kva.example"),
        ],
    )
    def test_hosts(self, both, protect, registry, url, key):
        """
        If a request names a host, its key has no more than that and the port.
        """
        module = both[0]
        transport, _ = protect(Inner(lambda _: module.Response(200)))

        transport.handle_request(module.Request("GET", url))

        assert key in registry.keyed_breaker("api")

    def test_cannot_be_copied(self, protect):
        """
        If somebody pickles it, that is refused, with what to do instead.
        """
        transport, _ = protect(Inner(None))

        with pytest.raises(TypeError, match="make another one"):
            transport.__reduce__()


class TestBodies:
    """
    Bodies, as they come.
    """

    def test_that_were_read_already(self, both, protect, clock):
        """
        If the inner transport has read the body, a probe is over at once.
        """
        module = both[0]
        answers = iter([500, 500, 500, 200])
        inner = Inner(lambda _: module.Response(next(answers), content=b"all of it"))
        transport, breaker = protect(inner)
        request = module.Request("GET", "http://example.org")
        for _ in range(3):
            transport.handle_request(request)
        clock.advance(120.0)

        response = transport.handle_request(request)

        assert response.read() == b"all of it"
        assert breaker.snapshot().state is CircuitState.CLOSED

    def test_that_are_dropped_half_read(self, both, protect):
        """
        If whoever reads stops in the middle and closes, the service did its work.
        """
        module = both[0]

        class Stream(module.SyncByteStream):
            def __iter__(self):
                yield b"one"
                yield b"two"

        codes = iter([500, 200])
        inner = Inner(lambda _: module.Response(next(codes), stream=Stream()))
        transport, breaker = protect(inner)
        with module.Client(transport=transport) as client:
            client.get("http://example.org")
            with client.stream("GET", "http://example.org") as response:
                assert next(response.iter_raw()) == b"one"

        snapshot = breaker.snapshot()
        assert (snapshot.failures, snapshot.ignored) == (0, 0)

    def test_that_are_dropped_half_read_in_a_loop(self, both, protect):
        """
        If that happens in an event loop, the stream is closed there and then.
        """
        module, closed = both[0], []

        class Stream(module.AsyncByteStream):
            async def __aiter__(self):
                try:
                    yield b"one"
                    yield b"two"
                finally:
                    closed.append("generator")

            async def aclose(self):
                closed.append("stream")

        codes = iter([500, 200])
        inner = Inner(lambda _: module.Response(next(codes), stream=Stream()))
        transport, breaker = protect(inner, is_async=True)

        async def main():
            request = module.Request("GET", "http://example.org")
            await transport.handle_async_request(request)
            response = await transport.handle_async_request(request)
            pieces = aiter(response.stream)
            assert await anext(pieces) == b"one"
            await pieces.aclose()
            await response.aclose()

        asyncio.run(main())

        assert closed == ["generator", "stream"]
        snapshot = breaker.snapshot()
        assert (snapshot.failures, snapshot.ignored) == (0, 0)

    def test_that_are_no_generators(self, both, protect):
        """
        If what an event loop iterates over is no generator, it is read as well.
        """
        module = both[0]

        class Stream(module.AsyncByteStream):
            def __init__(self):
                self.left = [b"one", b"two"]

            def __aiter__(self):
                return self

            async def __anext__(self):
                if not self.left:
                    raise StopAsyncIteration
                return self.left.pop(0)

        inner = Inner(lambda _: module.Response(200, stream=Stream()))
        transport, _ = protect(inner, is_async=True)

        async def main():
            async with module.AsyncClient(transport=transport) as client:
                return (await client.get("http://example.org")).content

        assert asyncio.run(main()) == b"onetwo"

    def test_that_cannot_be_closed(self, both, protect):
        """
        If closing fails, that is passed on; the service has done its work.
        """
        module = both[0]

        class Stream(module.SyncByteStream):
            def __iter__(self):
                yield b"one"

            def close(self):
                raise ZeroDivisionError

        codes = iter([200])
        inner = Inner(lambda _: module.Response(next(codes), stream=Stream()))
        transport, breaker = protect(inner)
        response = transport.handle_request(module.Request("GET", "http://example.org"))

        with pytest.raises(ZeroDivisionError):
            response.close()

        assert breaker.snapshot().admitted == 1

    def test_web_sockets(self, both, protect, clock):
        """
        If the answer is 101, the probe is over: what follows is no response.
        """
        module = both[0]

        class Stream(module.SyncByteStream):
            def __iter__(self):
                yield b""

        codes = iter([500, 500, 500, 101])
        inner = Inner(lambda _: module.Response(next(codes), stream=Stream()))
        transport, breaker = protect(inner)
        request = module.Request("GET", "http://example.org")
        for _ in range(3):
            transport.handle_request(request)
        clock.advance(120.0)

        transport.handle_request(request)

        assert breaker.snapshot().state is CircuitState.CLOSED
