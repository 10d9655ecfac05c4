"""
Retries around protected clients, by those who do them well.
"""

from __future__ import annotations

import asyncio

from importlib.metadata import requires

import httpx2
import pytest
import stamina
import tenacity

from switchgear import BurstExceeded, CallNotPermitted
from switchgear.http.httpx2 import AsyncProtectedTransport, ProtectedTransport


JITTER = 0.25


def seconds_to_wait(error):
    """
    Say for stamina and tenacity alike how long to wait, and False for never.
    """
    if isinstance(error, BurstExceeded):
        return False
    if isinstance(error, CallNotPermitted) and error.retry_after is not None:
        return error.retry_after + JITTER
    return isinstance(error, httpx2.TransportError)


def by_stamina(function):
    return stamina.retry(on=seconds_to_wait, attempts=4)(function)


def by_tenacity(function):
    return tenacity.retry(
        retry=tenacity.retry_if_exception(lambda e: seconds_to_wait(e) is not False),
        wait=tenacity.wait_exception(lambda e: float(seconds_to_wait(e))),
        stop=tenacity.stop_after_attempt(4),
        reraise=True,
    )(function)


class Sleeps:
    """
    Note what retries sleep, and let the time of the clock pass instead.
    """

    def __init__(self, clock):
        self.clock = clock
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.clock.advance(seconds)

    async def sleep_async(self, seconds):
        self.sleep(seconds)


@pytest.fixture
def sleeps(clock, monkeypatch):
    sleeps = Sleeps(clock)
    monkeypatch.setattr("time.sleep", sleeps.sleep)
    monkeypatch.setattr("asyncio.sleep", sleeps.sleep_async)
    return sleeps


@pytest.fixture(params=[by_stamina, by_tenacity], ids=["stamina", "tenacity"])
def retried(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def get(request, retried, registry, clock):
    """
    Get what an inner transport answers, with retries around the protection.
    """

    def make(answer, **options):
        options = {
            "threshold": 1,
            "cooldown": 8.0,
            "calls_per_second": 1.0,
            "timeout": 0.0,
            "pause_jitter": 0.0,
            **options,
        }
        inner = httpx2.MockTransport(answer)
        kind = AsyncProtectedTransport if request.param else ProtectedTransport
        transport = kind("api", inner, registry=registry, clock=clock, **options)
        url = "http://example.org"

        @retried
        def fetch():
            with httpx2.Client(transport=transport) as client:
                return client.get(url).raise_for_status().status_code

        @retried
        async def fetch_async():
            async with httpx2.AsyncClient(transport=transport) as client:
                return (await client.get(url)).raise_for_status().status_code

        if request.param:
            return lambda: asyncio.run(fetch_async())
        return fetch

    return make


def answering(*statuses, **headers):
    left = list(statuses)

    def answer(request):
        status = left.pop(0)
        if status == 0:
            raise httpx2.ConnectError("down")
        return httpx2.Response(status, headers=headers if status != 200 else {})

    return answer


class TestRetries:
    """
    retry > circuit > rate limit > call.
    """

    def test_a_turn(self, get, sleeps):
        """
        If the turn is not yet, the retry comes when it is, and a little later.
        """
        fetch = get(answering(200, 200))
        fetch()

        assert fetch() == 200
        assert sleeps.slept == [1.0 + JITTER]

    def test_an_open_circuit(self, get, sleeps):
        """
        If the circuit is open, the retry comes when it lets a probe through.
        """
        fetch = get(answering(0, 200), calls_per_second=1e6)

        assert fetch() == 200
        first, second = sleeps.slept
        assert first < 8.0
        assert first + second == pytest.approx(8.0 + JITTER)

    def test_a_pause(self, get, sleeps):
        """
        If the server paused the limiter, the retry comes when that is over.
        """
        fetch = get(answering(429, 200, **{"Retry-After": "30"}), calls_per_second=1e6)
        with pytest.raises(httpx2.HTTPStatusError):
            fetch()

        assert fetch() == 200
        assert sleeps.slept == [30.0 + JITTER]

    def test_never(self, get, sleeps):
        """
        If the request can never be made, it is not tried again.
        """
        fetch = get(answering(), tokens=2)

        with pytest.raises(BurstExceeded):
            fetch()

        assert sleeps.slept == []

    def test_each_try_is_a_call(self, get, sleeps, registry):
        """
        If it takes three tries, the circuit has seen three calls.
        """
        fetch = get(answering(0, 0, 200), calls_per_second=1e6, threshold=5)

        assert fetch() == 200
        breaker = registry.keyed_breaker("api")["example.org"]
        assert breaker.snapshot().admitted == 3
        assert breaker.snapshot().failed == 2


def test_neither_is_ours():
    """
    If switchgear is installed, neither of them is, whatever the extra.
    """
    needed = " ".join(requires("switchgear"))

    assert "stamina" not in needed
    assert "tenacity" not in needed
