"""
What every protected client does, against a server that misbehaves.
"""

from __future__ import annotations

import asyncio
import gc
import socket

import clients
import httpx
import httpx2
import pytest

from misbehaving import Answer
from parties import Party

import switchgear

from switchgear import (
    BurstExceeded,
    CallNotPermitted,
    CircuitOpenError,
    CircuitState,
    ConfigurationError,
    RateLimitExceeded,
    UnknownNameError,
    protected,
)
from switchgear.http import Meaning, StatusError
from switchgear.testing import disabled


def breaker_of(registry, server, name="api"):
    return registry.keyed_breaker(name)[server.host]


def limiter_of(registry, server, name="api"):
    return registry.keyed_limiter(name)[server.host]


def failures(registry, server):
    return breaker_of(registry, server).snapshot().failures


def refusal_of(client, url):
    with pytest.raises(CallNotPermitted) as caught:
        client.get(url)
    return caught.value


def of_kinds(*kinds):
    """
    Have a test run with clients of these kinds only.
    """
    names = [kind.__name__ for kind in kinds]
    return pytest.mark.parametrize("client", kinds, ids=names, indirect=True)


ASYNC = [kind for kind in clients.ALL if kind.is_async]

#: What makes a pool of one connection.
_HTTPX = {"limits": httpx.Limits(max_connections=1)}
_HTTPX2 = {"limits": httpx2.Limits(max_connections=1)}
POOLS = {
    clients.SyncHttpx: _HTTPX,
    clients.AsyncHttpx: _HTTPX,
    clients.SyncHttpx2: _HTTPX2,
    clients.AsyncHttpx2: _HTTPX2,
    clients.Aiohttp: {"limit": 1},
}


@pytest.fixture
def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        # Bound, but nobody listens: a connection is refused.
        yield sock.getsockname()[1]


class TestAnswers:
    """
    What comes back goes to whoever asked, and counts.
    """

    def test_arrives_whole(self, client, registry, server):
        """
        If all is well, the response is as without protection, and both count it.
        """
        url = server.at("/", body=b"x" * 100_000, headers={"X-Header": "kept"})

        reply = client().get(url)

        assert reply == (200, b"x" * 100_000, (200,))
        assert limiter_of(registry, server).snapshot().admitted == 1
        assert breaker_of(registry, server).snapshot().admitted == 1

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520, 529])
    def test_failures(self, client, registry, server, status):
        """
        If the service says that it failed, its circuit counts that.
        """
        reply = client().get(server.at("/", status=status))

        assert reply.status == status
        assert failures(registry, server) == 1

    @pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 404, 409, 422, 501])
    def test_successes(self, client, registry, server, status):
        """
        If the service answers, be it with a complaint, it is well.
        """
        one = client()
        body = b"" if status in {204, 304} else b"no"
        one.get(server.at("/bad", status=500))

        one.get(server.at("/", status=status, body=body))

        assert failures(registry, server) == 0

    def test_a_streak_opens_the_circuit(self, client, registry, server):
        """
        If it fails often enough, requests are refused, and say why.
        """
        one = client()
        url = server.at("/", status=500)
        for _ in range(3):
            one.get(url)

        refusal = refusal_of(one, url)

        assert type(refusal) is one.errors.circuit
        assert isinstance(refusal, (CircuitOpenError, one.errors.base))
        assert isinstance(refusal, one.errors.base)
        assert not isinstance(refusal, one.errors.leaves)
        assert refusal.name == f"api[{server.host}]"
        assert refusal.state is CircuitState.OPEN
        assert refusal.retry_after == 30.0
        assert isinstance(refusal.__cause__, StatusError)
        assert refusal.last_failure.status == 500
        assert refusal.__context__ is None
        assert server.requests["/"] == 3

    def test_recovers(self, client, registry, server, clock):
        """
        If the cooldown is over and a probe succeeds, the circuit closes.
        """
        one = client()
        url = server.at("/", *[Answer(500)] * 3, Answer())
        for _ in range(3):
            one.get(url)
        clock.advance(30.0)

        assert one.get(url).status == 200
        assert breaker_of(registry, server).snapshot().state is CircuitState.CLOSED

    def test_keeps_the_connection(self, client, server):
        """
        If responses are read or closed, connections are used again.
        """
        one = client()
        url = server.at("/")
        before = server.connections

        for _ in range(5):
            one.get(url)

        assert server.connections == before + 1

    def test_a_connection_that_was_closed(self, client, registry, server):
        """
        If the server has closed a connection that was kept, another one is made.
        """
        one = client()
        answer = Answer(fault="close")
        url = server.at("/", answer)

        for _ in range(3):
            assert one.get(url).status == 200
            answer.closed.acquire()

        assert breaker_of(registry, server).snapshot().state is CircuitState.CLOSED


class TestFaults:
    """
    What goes wrong on the way counts against the host.
    """

    @pytest.mark.parametrize("fault", ["reset", "garbage"])
    def test_no_answer(self, client, registry, server, fault):
        """
        If something else than an answer comes, the client's own error is raised.
        """
        one = client()
        url = server.at("/", fault=fault)

        with pytest.raises(one.errors.base) as caught:
            one.get(url)

        assert not isinstance(caught.value, CallNotPermitted)
        # aiohttp tries again by itself if a connection it had kept was lost.
        assert 1 <= failures(registry, server) <= 2
        assert breaker_of(registry, server).snapshot().admitted == server.requests["/"]

    @pytest.mark.parametrize("fault", ["reset body", "short body", "bad chunk"])
    def test_half_a_body(self, client, registry, server, fault):
        """
        If the body breaks off, that is a failure, though the status was good.
        """
        one = client()

        with pytest.raises(one.errors.base):
            one.get(server.at("/", body=b"x" * 1000, fault=fault))

        assert failures(registry, server) == 1

    def test_half_a_body_unless_it_is_no_part_of_the_call(
        self, client, registry, server
    ):
        """
        If a call lasts until its headers are there, what comes after does not count.
        """
        one = client(whole_body=False)

        with pytest.raises(one.errors.base):
            one.get(server.at("/", body=b"x" * 1000, fault="short body"))

        assert failures(registry, server) == 0

    @pytest.mark.parametrize("fault", ["hang", "slow headers", "hang body"])
    def test_too_slow(self, client, registry, server, fault):
        """
        If the client gives up waiting for the host, that is a failure.
        """
        one = client(patience=0.1)

        with pytest.raises((one.errors.base, TimeoutError)):
            one.get(server.at("/", fault=fault))

        assert failures(registry, server) == 1

    def test_nobody_listens(self, client, registry, closed_port):
        """
        If no connection can be made, that is a failure.
        """
        one = client()

        with pytest.raises(one.errors.base):
            one.get(f"http://127.0.0.1:{closed_port}/")

        breaker = registry.keyed_breaker("api")[f"127.0.0.1:{closed_port}"]
        assert breaker.snapshot().failures == 1

    def test_what_a_breaker_ignores(self, client, registry, server):
        """
        If the breaker of that name ignores an error, it does so here.
        """
        one = client(ignore=Exception)

        with pytest.raises(one.errors.base):
            one.get(server.at("/", fault="reset"))

        assert breaker_of(registry, server).snapshot().ignored >= 1


class TestOwnMistakes:
    """
    What is wrong here says nothing about the host.
    """

    @pytest.mark.parametrize("url", ["ftp://{}/", "http:///x", "http://[::1", "x"])
    def test_bad_urls(self, client, registry, server, url):
        """
        If a URL is none that can be asked for, no circuit counts that.
        """
        one = client()

        with pytest.raises(Exception):  # noqa: B017, PT011 -- each client has others
            one.get(url.format(server.host))

        breakers = registry.keyed_breaker("api")
        assert [one.snapshot().failures for one in map(breakers.get, breakers)] in (
            [],
            [0],
        )

    # Of requests, which waits for ever: see test_requests.py.
    @of_kinds(*POOLS)
    def test_no_connection_is_free(self, client, registry, server):
        """
        If all connections are in use, that is not the host's fault.
        """
        one = client(bare=POOLS[client.kind], patience=0.1)
        url = server.at("/", body=b"x" * 10_000_000)

        with one.opened(url):
            with pytest.raises(Exception):  # noqa: B017, PT011 -- as above
                one.get(url)

            # Before the first is over, which is a success.
            assert breaker_of(registry, server).snapshot().failed == 0

        assert server.requests["/"] == 1


class TestHints:
    """
    What servers say is listened to.
    """

    def test_429_pauses(self, client, registry, server):
        """
        If it was too much, the limiter of that host waits, the circuit does not care.
        """
        one = client()
        one.get(server.at("/bad", status=500))
        url = server.at("/", status=429, headers={"Retry-After": "7"})

        assert one.get(url).status == 429

        refusal = refusal_of(one, url)
        assert type(refusal) is one.errors.rate
        assert isinstance(refusal, RateLimitExceeded)
        assert isinstance(refusal, one.errors.base)
        assert not isinstance(refusal, one.errors.leaves)
        assert refusal.retry_after == 7.0
        assert limiter_of(registry, server).snapshot().paused_for == 7.0
        snapshot = breaker_of(registry, server).snapshot()
        assert (snapshot.failures, snapshot.ignored) == (1, 1)

    def test_429_that_does_not_say(self, client, registry, server):
        """
        If nobody says for how long, there is no pause; the circuit does not care.
        """
        one = client()

        one.get(server.at("/", status=429))

        assert limiter_of(registry, server).snapshot().paused_for == 0
        assert breaker_of(registry, server).snapshot().ignored == 1

    def test_503_pauses_and_fails(self, client, registry, server):
        """
        If it is overloaded, the limiter waits, and an opened circuit as long.
        """
        one = client(threshold=1, cooldown=5.0)
        url = server.at("/", status=503, headers={"Retry-After": "70"})

        one.get(url)

        assert limiter_of(registry, server).snapshot().paused_for == 70.0
        assert refusal_of(one, url).retry_after == 70.0
        assert breaker_of(registry, server).snapshot().retry_after == 70.0

    def test_403_of_github(self, client, registry, server):
        """
        If 403 means that nothing is left, it is as good as 429.
        """
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}

        client().get(server.at("/", status=403, headers=headers))

        assert limiter_of(registry, server).snapshot().paused_for == 60.0
        assert breaker_of(registry, server).snapshot().ignored == 1

    def test_clocks_that_differ(self, client, registry, server):
        """
        If the server's clock is years off, its own date is what counts.
        """
        headers = {
            "Date": "Thu, 01 Jan 1998 00:00:00 GMT",
            "Retry-After": "Thu, 01 Jan 1998 00:00:42 GMT",
        }

        client().get(server.at("/", status=429, headers=headers))

        assert limiter_of(registry, server).snapshot().paused_for == 42.0

    def test_more_than_it_gets(self, client, registry, server, clock):
        """
        If it asks for an hour, it gets two minutes, in which nobody waits.
        """
        one = client(timeout=None)
        url = server.at("/", Answer(429, {"Retry-After": "3600"}), Answer())
        one.get(url)

        assert limiter_of(registry, server).snapshot().paused_for == 120.0
        # At once, though it might have waited for ever.
        assert refusal_of(one, url).retry_after == 3600.0
        clock.advance(100.0)
        assert refusal_of(one, url).retry_after == 3500.0
        clock.advance(20.0)
        assert one.get(url).status == 200

    def test_more_than_it_gets_of_a_circuit(self, client, registry, server, clock):
        """
        If it asks for an hour, an opened circuit stays so for two minutes.
        """
        one = client(threshold=1, cooldown=5.0, max_pause=60.0)
        url = server.at("/", Answer(503, {"Retry-After": "3600"}), Answer())
        one.get(url)

        refusal = refusal_of(one, url)

        assert (type(refusal), refusal.retry_after) == (one.errors.circuit, 3600.0)
        clock.advance(60.0)
        assert one.get(url).status == 200

    def test_not_everybody_comes_back_at_once(self, client, registry, server):
        """
        If there is jitter, a pause is a little longer than asked, never shorter.
        """
        one = client(pause_jitter=0.5)
        one.get(server.at("/", status=429, headers={"Retry-After": "100"}))

        paused_for = limiter_of(registry, server).snapshot().paused_for

        assert 100.0 < paused_for <= 150.0

    def test_operators_decide(self, client, registry, server):
        """
        If an operator resets the limiter, what the server asked for is forgotten.
        """
        one = client()
        url = server.at("/", Answer(429, {"Retry-After": "3600"}), Answer())
        one.get(url)
        limiter_of(registry, server).reset()

        assert one.get(url).status == 200


class TestHosts:
    """
    Each host has its own limiter and circuit.
    """

    def test_redirects(self, client, registry, server, other_server):
        """
        If a response leads to another host, each hop is under its own.
        """
        target = other_server.at("/there", status=500)
        url = server.at("/", status=302, headers={"Location": target})

        reply = client().get(url)

        assert reply.statuses == (302, 500)
        assert failures(registry, server) == 0
        assert failures(registry, other_server) == 1
        assert limiter_of(registry, server).snapshot().admitted == 1
        assert limiter_of(registry, other_server).snapshot().admitted == 1

    def test_one_for_all(self, client, registry, server, other_server):
        """
        If there is no key, all hosts have the same limiter and circuit.
        """
        one = client(key=None)

        one.get(server.at("/"))
        one.get(other_server.at("/"))

        assert registry.limiter("api").snapshot().admitted == 2

    def test_own_keys(self, client, registry, server):
        """
        If the key is a function, it tells of each request whose it is.
        """
        one = client(key=lambda request: request.headers["X-Tenant"])

        one.get(server.at("/"), headers={"X-Tenant": "acme"})

        assert list(registry.keyed_limiter("api")) == ["acme"]

    def test_resolved_names(self, client, registry, server, clock):
        """
        If names are resolved, each request goes by its own, or is not protected.
        """
        registry.limiter("images", calls_per_second=1.0, clock=clock)
        names = {"/image": "images", "/health": None, "/else": "unheard of"}
        one = client(
            name_resolver=lambda request: names[path_of(request)], key=None, timeout=0
        )
        image, health = server.at("/image"), server.at("/health")

        one.get(image)

        assert [one.get(health).status for _ in range(3)] == [200, 200, 200]
        assert refusal_of(one, image).name == "images"
        with pytest.raises(UnknownNameError):
            one.get(server.at("/else"))

    def test_shared_with_decorators(self, client, registry, server):
        """
        If a function is protected under the same name, it is one budget.
        """
        one = client(burst=2)

        @protected("api", key=lambda host: host, timeout=0, registry=registry)
        def by_hand(host):
            return host

        one.get(server.at("/"))
        by_hand(server.host)

        with pytest.raises(RateLimitExceeded):
            by_hand(server.host)
        assert type(refusal_of(one, server.at("/"))) is one.errors.rate


def path_of(request):
    url = request.url
    return url.split("/", 3)[3].join("//")[:-1] if isinstance(url, str) else url.path


class TestTurns:
    """
    Requests wait for their turn.
    """

    def test_too_long_a_wait(self, client, server):
        """
        If the turn cannot come in time, the request is refused at once.
        """
        one = client(burst=1, calls_per_second=0.5)
        url = server.at("/")
        one.get(url)

        refusal = refusal_of(one, url)

        assert refusal.retry_after == 2.0
        assert server.requests["/"] == 1

    def test_waits(self, client, registry, server, clock):
        """
        If there is time, it waits for its turn.
        """
        one = client(burst=1, calls_per_second=0.5, timeout=None)
        url = server.at("/")
        one.get(url)

        waiting = Party(one.get, url)
        clock.wait_for_sleepers(1)
        clock.advance(2.0)

        assert waiting.outcome().status == 200

    def test_tokens(self, client, registry, server):
        """
        If requests cost what they say, the limiter is charged that.
        """
        one = client(tokens=lambda request: int(request.headers["X-Tokens"]))
        url = server.at("/")

        one.get(url, headers={"X-Tokens": "30"})

        assert limiter_of(registry, server).snapshot().available == 70

    def test_never(self, client, server):
        """
        If a request takes more than there ever is, it says so, for good.
        """
        one = client(tokens=101)

        refusal = refusal_of(one, server.at("/"))

        assert type(refusal) is one.errors.burst
        assert isinstance(refusal, BurstExceeded)
        assert isinstance(refusal, one.errors.base)
        assert (refusal.tokens, refusal.burst) == (101, 100)
        assert refusal.retry_after is None

    def test_a_storm(self, client, registry, server, clock):
        """
        If the server says 429 to everybody, nobody gets through until it may.
        """
        one = client(burst=5)
        storm = [Answer(429, {"Retry-After": "10"})]
        url = server.at("/", *storm, Answer())

        assert one.get(url).status == 429
        for _ in range(20):
            assert refusal_of(one, url).retry_after == 10.0
        clock.advance(10.0)

        assert [one.get(url).status for _ in range(5)] == [200] * 5
        assert breaker_of(registry, server).snapshot().state is CircuitState.CLOSED


class TestProbes:
    """
    A half-open circuit lets one request through, until it has all of the response.
    """

    @pytest.fixture
    def half_open(self, client, server, clock):
        one = client()
        url = server.at("/", status=500)
        for _ in range(3):
            one.get(url)
        clock.advance(30.0)
        return one

    def test_until_the_body_was_read(self, half_open, server):
        """
        If the body of a probe's response is not read yet, another is refused.
        """
        url = server.at("/", body=b"x" * 1_000_000)

        with half_open.opened(url) as status:
            assert status == 200
            refusal = refusal_of(half_open, url)

        assert refusal.state is CircuitState.HALF_OPEN

    def test_closed_early(self, half_open, registry, server):
        """
        If a response is closed unread, the service answered: that is a success.
        """
        with half_open.opened(server.at("/", body=b"x" * 1_000_000)):
            pass

        assert breaker_of(registry, server).snapshot().state is CircuitState.CLOSED

    # aiohttp keeps what is dropped as long as its connection.
    @of_kinds(*[kind for kind in clients.ALL if kind is not clients.Aiohttp])
    def test_dropped(self, half_open, registry, server):
        """
        If a response is dropped unread, its slot is free once that is noticed.
        """
        half_open.drop(server.at("/", body=b"x" * 1_000_000))
        gc.collect()

        assert breaker_of(registry, server).snapshot().probes_out == 0

    def test_a_body_that_breaks_off(self, half_open, registry, server):
        """
        If the body of a probe's response breaks off, the circuit reopens.
        """
        with pytest.raises(half_open.errors.base):
            half_open.get(server.at("/", body=b"x" * 1000, fault="reset body"))

        assert breaker_of(registry, server).snapshot().state is CircuitState.OPEN

    def test_that_mean_nothing(self, half_open, registry, server):
        """
        If a probe's response means nothing, its slot is free again.
        """
        half_open.get(server.at("/", status=429))

        snapshot = breaker_of(registry, server).snapshot()
        assert (snapshot.state, snapshot.probes_out) == (CircuitState.HALF_OPEN, 0)
        assert half_open.get(server.at("/")).status == 200

    def test_without_a_body(self, half_open, registry, server):
        """
        If there is no body to wait for, the probe is over at once.
        """
        half_open.get(server.at("/", status=204, body=b""))

        assert breaker_of(registry, server).snapshot().state is CircuitState.CLOSED

    @of_kinds(*ASYNC)
    def test_cancelled(self, half_open, registry, server):
        """
        If the task is cancelled in flight, that counts neither way, and frees it.
        """
        url = server.at("/", fault="hang")

        async def cancel():
            task = asyncio.create_task(half_open.get_async(url))
            await asyncio.to_thread(server.hanging.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        half_open.runner.run(cancel())

        snapshot = breaker_of(registry, server).snapshot()
        assert (snapshot.state, snapshot.probes_out) == (CircuitState.HALF_OPEN, 0)
        assert snapshot.ignored == 1

    @of_kinds(*ASYNC)
    def test_cancelled_while_it_reads(self, half_open, registry, server):
        """
        If the task is cancelled in mid-body, that counts neither way either.
        """
        url = server.at("/", fault="hang body")

        async def cancel():
            task = asyncio.create_task(half_open.get_async(url))
            await asyncio.to_thread(server.hanging.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        half_open.runner.run(cancel())

        snapshot = breaker_of(registry, server).snapshot()
        assert (snapshot.state, snapshot.probes_out) == (CircuitState.HALF_OPEN, 0)
        assert snapshot.ignored == 1


class TestMeanings:
    """
    What a status means can be told otherwise.
    """

    @pytest.mark.parametrize(
        ("meaning", "failed", "ignored", "paused_for"),
        [
            (Meaning.SUCCESS, 0, 0, 0.0),
            (Meaning.FAILURE, 1, 0, 9.0),
            (Meaning.THROTTLED, 0, 1, 9.0),
            (Meaning.IGNORED, 0, 1, 0.0),
        ],
    )
    def test_are_overridden(
        self, client, registry, server, meaning, failed, ignored, paused_for
    ):
        """
        If a function says what a response means, that is what it means.
        """
        asked = []

        def mean(status, hint):
            asked.append((status, hint.retry_after))
            return meaning

        client(meaning=mean).get(
            server.at("/", status=418, headers={"Retry-After": "9"})
        )

        snapshot = breaker_of(registry, server).snapshot()
        assert asked == [(418, 9.0)]
        assert (snapshot.failed, snapshot.ignored) == (failed, ignored)
        assert limiter_of(registry, server).snapshot().paused_for == paused_for

    def test_of_good_ones_as_well(self, client, registry, server):
        """
        If a function says so, even 200 is a failure.
        """
        client(meaning=lambda *_: Meaning.FAILURE).get(server.at("/"))

        assert failures(registry, server) == 1

    @pytest.mark.parametrize("answer", [None, True, "success"])
    def test_that_are_none(self, client, registry, server, answer):
        """
        If it returns something else, that is an error; the call is ignored.
        """
        one = client(meaning=lambda *_: answer)

        with pytest.raises(TypeError, match="Meaning"):
            one.get(server.at("/"))

        assert breaker_of(registry, server).snapshot().ignored == 1

    def test_errors_are_passed_on(self, client, registry, server):
        """
        If it raises, that is passed on, the call is ignored, the connection closed.
        """

        def fail(*_):
            raise ZeroDivisionError

        one = client(meaning=fail)
        with pytest.raises(ZeroDivisionError):
            one.get(server.at("/"))

        assert breaker_of(registry, server).snapshot().ignored == 1


class TestSetUp:
    """
    How a client comes to be protected.
    """

    def test_nothing_is_known(self, client, server):
        """
        If no limiter or breaker goes by the name, it says so.
        """
        one = client("unheard of", undefined=True)

        with pytest.raises(UnknownNameError, match="unheard of"):
            one.get(server.at("/"))

    def test_only_a_limiter(self, client, registry, server):
        """
        If there is only a limiter, nothing else is asked.
        """
        registry.limiter("api", calls_per_second=1.0, burst=2)
        one = client(undefined=True, timeout=0)
        url = server.at("/", status=500)

        assert [one.get(url).status for _ in range(2)] == [500, 500]
        assert type(refusal_of(one, url)) is one.errors.rate

    def test_only_a_breaker(self, client, registry, server):
        """
        If there is only a breaker, nobody waits; a hint keeps it open.
        """
        registry.breaker("api", threshold=1, cooldown=1.0)
        one = client(undefined=True)
        url = server.at("/", status=503, headers={"Retry-After": "60"})

        one.get(url)

        assert 59.0 < refusal_of(one, url).retry_after <= 66.0

    def test_only_a_breaker_and_more_than_it_gets(
        self, client, registry, server, clock
    ):
        """
        If there is only a breaker and the server asks for an hour, it is told all
        the same, until the circuit lets a probe through.
        """
        registry.breaker("api", threshold=1, cooldown=1.0, clock=clock)
        one = client(undefined=True, pause_jitter=0.0)
        url = server.at("/", Answer(503, {"Retry-After": "3600"}), Answer())
        one.get(url)
        clock.advance(100.0)

        assert refusal_of(one, url).retry_after == 3500.0
        clock.advance(20.0)
        assert one.get(url).status == 200

    def test_only_a_breaker_has_nothing_to_pause(self, client, registry, server):
        """
        If there is no limiter, a server that was asked too much is asked again.
        """
        registry.breaker("api", threshold=1)
        one = client(undefined=True)
        url = server.at("/", status=429, headers={"Retry-After": "600"})

        assert [one.get(url).status for _ in range(3)] == [429] * 3

    def test_changes_reach_it(self, client, registry, server, clock):
        """
        If a name is removed and defined anew, the client goes by what it is now.
        """
        one = client(burst=1)
        url = server.at("/")
        one.get(url)
        registry.remove("api")
        registry.limiter("api", calls_per_second=1.0, burst=3, clock=clock)

        assert [one.get(url).status for _ in range(3)] == [200] * 3

    def test_definitions_agree(self, client, registry):
        """
        If the name is defined otherwise, whoever makes the client learns of it.
        """
        registry.limiter("api", calls_per_second=1.0)

        with pytest.raises(ConfigurationError, match=r"limiters\.api"):
            client()

    def test_switched_off(self, client, registry, server):
        """
        If protection is switched off, nothing is refused and nothing counts.
        """
        one = client(burst=1, threshold=1)
        url = server.at("/", status=503, headers={"Retry-After": "3600"})
        one.get(url)

        with disabled():
            assert [one.get(url).status for _ in range(3)] == [503] * 3

        assert breaker_of(registry, server).snapshot().failed == 1

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"key": "path"}, TypeError),
            ({"key": 1}, TypeError),
            ({"name_resolver": "api"}, TypeError),
            ({"tokens": 0}, ValueError),
            ({"tokens": "1"}, TypeError),
            ({"timeout": -1.0}, ValueError),
            ({"meaning": None}, TypeError),
            ({"max_pause": 0.0}, ValueError),
            ({"pause_jitter": 1.5}, ValueError),
            ({"registry": "default"}, TypeError),
            ({"treshold": 3}, TypeError),
            ({"failure_when": bool}, TypeError),
            ({"max_keys": 10}, TypeError),
            ({"whole_body": "no"}, TypeError),
        ],
    )
    def test_bad_options(self, client, registry, options, error):
        """
        If an option is wrong, it is refused when the client is made.
        """
        name = next(iter(options))

        with pytest.raises(error, match=name):
            client.kind("api", **{"registry": registry, **options})

    @pytest.mark.parametrize("name", ["", "a[b]", None, 3])
    def test_bad_names(self, client, registry, name):
        """
        If a name is none, it is refused when the client is made.
        """
        with pytest.raises((TypeError, ValueError), match="name"):
            client.kind(name, registry=registry)

    def test_coroutine_functions(self, client, registry):
        """
        If an option is a coroutine function, it is refused: nobody would await it.
        """

        async def later(request): ...

        for option in "key", "name_resolver", "tokens", "meaning":
            with pytest.raises(TypeError, match=option):
                client.kind("api", registry=registry, **{option: later})


def test_the_default_registry(server):
    """
    If no registry is given, names are looked up in the default one.
    """
    with switchgear.testing.isolated_registry() as registry:
        one = clients.SyncHttpx2("default", calls_per_second=10.0)
        one.get(server.at("/"))
        one.close()

        assert registry.keyed_limiter("default")[server.host].snapshot().admitted == 1
