"""
Middleware of aiohttp: what other clients do not have.
"""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from misbehaving import Answer

from switchgear.http.aiohttp import ProtectedMiddleware


BODY = b"line one\nline two\n"


@pytest.fixture
def ask(registry):
    """
    Run a coroutine function with a protected session.
    """

    def ask(function, **options):
        async def main():
            middleware = ProtectedMiddleware(
                "api", registry=registry, threshold=3, **options
            )
            async with aiohttp.ClientSession(middlewares=[middleware]) as session:
                return await function(session)

        return asyncio.run(main())

    return ask


async def pieces(iterator):
    return [piece async for piece in iterator]


READINGS = {
    "read": (lambda content: content.read(), BODY),
    "read some": (lambda content: content.read(4), b"line"),
    "readany": (lambda content: content.readany(), BODY),
    "readchunk": (lambda content: content.readchunk(), (BODY, False)),
    "readexactly": (lambda content: content.readexactly(6), b"line o"),
    "readline": (lambda content: content.readline(), b"line one\n"),
    "readuntil": (lambda content: content.readuntil(b"o"), b"line o"),
    "lines": (pieces, [b"line one\n", b"line two\n"]),
    "any": (lambda content: pieces(content.iter_any()), [BODY]),
    "chunked": (
        lambda content: pieces(content.iter_chunked(9)),
        [b"line one\n", b"line two\n"],
    ),
    "chunks": (lambda content: pieces(content.iter_chunks()), [(BODY, False)]),
}


class TestContent:
    """
    ``ClientResponse.content``, for those who read that.
    """

    @pytest.mark.parametrize("how", READINGS)
    def test_is_read(self, ask, server, how):
        """
        If it is read in any way there is, it gives what aiohttp's own does.
        """
        read, expected = READINGS[how]

        async def main(session):
            async with session.get(server.at("/", body=BODY)) as response:
                await response.content.wait_eof()
                assert response.content.is_eof()
                return await read(response.content)

        assert ask(main) == expected

    @pytest.mark.parametrize("how", READINGS)
    def test_breaks_off(self, ask, registry, server, how):
        """
        If reading it in any way fails, that is a failure.
        """
        read, _ = READINGS[how]

        async def main(session):
            url = server.at("/", body=BODY * 1000, fault="short body")
            async with session.get(url) as response:
                with pytest.raises(aiohttp.ClientPayloadError):
                    # Whatever came before it broke off.
                    while True:
                        await read(response.content)

        ask(main)

        assert registry.keyed_breaker("api")[server.host].snapshot().failures == 1

    @pytest.mark.parametrize("leave", ["context", "release", "close"])
    def test_breaks_off_unread(self, ask, registry, server, leave):
        """
        If it broke off before anybody read it, that is a failure all the same.
        """

        async def main(session):
            answer = Answer(body=BODY, fault="short body")
            response = await session.get(server.at("/", answer))
            await asyncio.to_thread(answer.closed.acquire)
            while response.content._reader.exception() is None:  # noqa: ASYNC110 -- tells nobody
                await asyncio.sleep(0)
            if leave == "context":
                async with response:
                    pass
            else:
                getattr(response, leave)()

        ask(main)

        assert registry.keyed_breaker("api")[server.host].snapshot().failures == 1

    def test_is_forwarded(self, ask, server):
        """
        If it is the body of another request, it is sent as it comes.
        """

        async def main(session):
            url = server.at("/", body=BODY)
            async with session.get(url) as response:
                # Of a length that is known, as our server needs it.
                headers = {"Content-Length": str(len(BODY))}
                post = session.post(url, data=response.content, headers=headers)
                async with post as other:
                    return other.status

        assert ask(main) == 200


class TestMiddleware:
    """
    :class:`switchgear.http.aiohttp.ProtectedMiddleware`.
    """

    def test_a_total_timeout(self, ask, registry, server):
        """
        If the session's total timeout ends the call, that counts neither way.
        """

        async def main(session):
            timeout = aiohttp.ClientTimeout(total=0.1)
            with pytest.raises(TimeoutError):
                await session.get(server.at("/", fault="hang"), timeout=timeout)

        ask(main)

        snapshot = registry.keyed_breaker("api")[server.host].snapshot()
        assert (snapshot.failures, snapshot.ignored) == (0, 1)

    def test_a_total_timeout_that_is_slow(self, ask, registry, server):
        """
        If a call that takes so long is slow, a total timeout makes it a failure.
        """

        async def main(session):
            timeout = aiohttp.ClientTimeout(total=0.1)
            with pytest.raises(TimeoutError):
                await session.get(server.at("/", fault="hang"), timeout=timeout)

        ask(main, slow_call_seconds=0.05)

        snapshot = registry.keyed_breaker("api")[server.host].snapshot()
        assert (snapshot.failures, snapshot.ignored) == (1, 0)

    def test_other_timeouts(self, ask, registry, server):
        """
        If something within the call gives it so long, that is a failure.
        """

        async def patient(request, handler):
            async with asyncio.timeout(0.05):
                return await handler(request)

        async def main(session):
            with pytest.raises(TimeoutError):
                await session.get(
                    server.at("/", fault="hang"),
                    middlewares=[*session._middlewares, patient],
                )

        ask(main)

        assert registry.keyed_breaker("api")[server.host].snapshot().failures == 1

    def test_errors_that_lead_to_themselves(self, ask, registry, server):
        """
        If an error is its own cause, it is judged like any other.
        """

        async def failing(request, handler):
            error = aiohttp.ClientConnectionError("down")
            raise error from error

        async def main(session):
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(
                    server.at("/"), middlewares=[*session._middlewares, failing]
                )

        ask(main)

        assert registry.keyed_breaker("api")[server.host].snapshot().failures == 1

    def test_an_upload_that_fails(self, ask, registry, server):
        """
        If what is to be sent cannot be read here, that is not the host's fault.
        """

        async def upload():
            yield b"one"
            raise ZeroDivisionError

        async def main(session):
            with pytest.raises(aiohttp.ClientError):
                await session.post(server.at("/"), data=upload())

        ask(main)

        snapshot = registry.keyed_breaker("api")[server.host].snapshot()
        assert snapshot.failures == 0
