"""
Use every public call, as a user's type checker sees it. Read, never run.
"""

from __future__ import annotations

import functools

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, assert_type

import switchgear

from switchgear import (
    AtomicCounter,
    BreakerSnapshot,
    BurstExceeded,
    CallNotPermitted,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    Clock,
    ConfigurationError,
    CountWindow,
    Decision,
    Guard,
    Keyed,
    LimiterSnapshot,
    Listener,
    Permit,
    Rate,
    RateLimiter,
    RateLimitExceeded,
    RateSnapshot,
    Registry,
    Reservation,
    StoreError,
    SwitchgearError,
    ThreadSafeSet,
    TimerClock,
    TimerHandle,
    TimeWindow,
    UnknownNameError,
    WindowSnapshot,
    breaker_of,
    circuit_protected,
    limiter_of,
    protected,
    rate_limited,
    registry,
    subscribe,
)
from switchgear.events import CircuitEvent, CircuitOpened, Event, RateLimitWaited
from switchgear.testing import (
    ManualClock,
    capture_events,
    disabled,
    isolated_registry,
)


# -- Counting and remembering ----------------------------------------------------

counter = AtomicCounter(3)
assert_type(counter.increment(), int)
assert_type(counter.increment(2), int)
assert_type(counter.decrement(), int)
assert_type(counter.get_and_set(7), int)
assert_type(counter.compare_and_set(7, 8), bool)
assert_type(counter.reset(), int)
assert_type(counter.value, int)
assert_type(int(counter), int)

words = ThreadSafeSet(["a", "b"], max_size=1000)
assert_type(words, ThreadSafeSet[str])
assert_type(words.add("c"), bool)
assert_type(words.discard("c"), bool)
assert_type(words.update({"d", "e"}), int)
assert_type(words.snapshot(), frozenset[str])
assert_type(list(words), list[str])
assert_type("a" in words, bool)
assert_type(len(words), int)
assert_type(words.max_size, int | None)
words.clear()
pairs: ThreadSafeSet[tuple[str, int]] = ThreadSafeSet()
pairs.add(("a", 1))


# -- Limiting --------------------------------------------------------------------


class Slow:
    """
    Be a clock of the user's.
    """

    def monotonic_ns(self) -> int:
        return 0


clock: Clock = Slow()
timer_clock: TimerClock = ManualClock()
handle: TimerHandle = timer_clock.call_at(0, lambda: None)
handle.cancel()

limiter = RateLimiter()
RateLimiter(2.0, burst=3, name="images", max_waiters=10, clock=clock, store=None)
RateLimiter(
    rates=[
        Rate(60, per=60, burst=10, counts="calls"),
        Rate(90_000, per=60.0, burst=9_000, counts="tokens"),
    ]
)
assert_type(limiter.name, str | None)
assert_type(limiter.wait(), None)
limiter.wait(2, timeout=1.5)
with limiter:
    pass

decision = limiter.try_acquire(2)
assert_type(decision, Decision)
assert_type(decision.admitted, bool)
assert_type(decision.retry_after, float | None)
assert_type(decision.remaining, int)
if not decision:
    limiter.pause(1.0)

reservation = limiter.reserve(2, max_wait=1.0)
assert_type(reservation, Reservation)
assert_type(reservation.delay, float)
assert_type(reservation.wait(timeout=1.0), None)
assert_type(reservation.cancel(), bool)
assert_type(reservation.settle(1), bool)
with reservation:
    pass

limiter.reconfigure(calls_per_second=3.0, burst=2, max_waiters=None)
limiter.reconfigure(rates=[Rate(1.0)])
limiter.close("shutting down")
limiter.reopen()
limiter.reset()

levels = limiter.snapshot()
assert_type(levels, LimiterSnapshot)
assert_type(levels.available, int)
assert_type(levels.rates, tuple[RateSnapshot, ...])
assert_type(levels.rates[0].limit, float)


async def limited() -> None:
    """
    Wait in an event loop.
    """
    assert_type(await limiter.wait_async(), None)
    await limiter.wait_async(2, timeout=1.0)
    async with limiter:
        pass
    await limiter.reserve().wait_async(timeout=1.0)
    async with limiter.reserve():
        pass


# -- Breaking --------------------------------------------------------------------

breaker = CircuitBreaker()
CircuitBreaker(
    5,
    120.0,
    name="images",
    window=TimeWindow(60.0, failure_rate=0.3, minimum_calls=20, slow_call_rate=0.5),
    slow_call_seconds=2.0,
    half_open_probes=2,
    successes_to_close=2,
    probe_timeout=10.0,
    cooldown_factor=2.0,
    max_cooldown=600.0,
    jitter=0.1,
    failure_on=(OSError, lambda error: "busy" in str(error)),
    ignore=KeyError,
    failure_when=lambda answer: bool(answer),
    clock=clock,
    store=None,
)
CircuitBreaker(threshold=None, window=CountWindow(100))
assert_type(breaker.name, str | None)
assert_type(breaker.is_open, bool)

permit = breaker.try_acquire()
assert_type(permit, Permit)
assert_type(permit.retry_after, float | None)
if permit:
    assert_type(permit.success(), bool)
    assert_type(permit.failure(OSError(), retry_after=3.0), bool)
    assert_type(permit.ignore(), bool)

guard = breaker.guard()
assert_type(guard, Guard)
with guard as call:
    assert_type(call.result("answer"), str)
    call.fail()
    call.fail(OSError(), retry_after=1.0)
    call.ignore()

breaker.record_success(duration=0.1)
breaker.record_failure(OSError(), duration=0.1, retry_after=2.0)
breaker.force_open("maintenance")
breaker.force_closed("we know better")
breaker.observe_only()
breaker.reset()
breaker.reconfigure(threshold=3, cooldown=10.0, window=None)

state = breaker.snapshot()
assert_type(state, BreakerSnapshot)
assert_type(state.state, CircuitState)
assert_type(state.window, WindowSnapshot | None)
assert_type(state.retry_after, float | None)


async def guarded() -> int:
    """
    Guard a block in an event loop.
    """
    async with breaker.guard() as call:
        return call.result(3)


# -- One per key -----------------------------------------------------------------

by_host: Keyed[RateLimiter] = Keyed(lambda key: RateLimiter(2.0), max_keys=100)
assert_type(by_host["example.org"], RateLimiter)
assert_type(by_host.get("example.org"), RateLimiter | None)
assert_type("example.org" in by_host, bool)
assert_type(len(by_host), int)
for _key in by_host:
    pass
by_host.reconfigure(burst=2)
by_host.pause(3.0)


# -- Decorating ------------------------------------------------------------------


@rate_limited("images", tokens=2, timeout=3.0, calls_per_second=5.0, burst=2)
def fetch(url: str, *, tries: int = 1) -> bytes:
    """
    Be a function.
    """
    return url.encode() * tries


assert_type(fetch("a", tries=2), bytes)
assert_type(limiter_of(fetch), RateLimiter)
typed: Callable[[str], bytes] = fetch


@circuit_protected(
    breaker,
    fallback=lambda refused, url: b"",
    failure_on=OSError,
    failure_when=lambda answer: not answer,
    ignore=(KeyError, ValueError),
)
@rate_limited(limiter, tokens=lambda url: len(url))
async def fetch_async(url: str) -> bytes:
    """
    Be a coroutine function.
    """
    return url.encode()


async def awaited() -> None:
    """
    Await what stays a coroutine function.
    """
    assert_type(await fetch_async("a"), bytes)
    async for part in parts():
        assert_type(part, bytes)


assert_type(breaker_of(fetch_async), CircuitBreaker)


@protected("hosts", key=lambda url: url, registry=registry, threshold=3, burst=2)
def lines(url: str) -> Iterator[str]:
    """
    Be a generator function.
    """
    yield url


assert_type(list(lines("a")), list[str])
assert_type(breaker_of(lines, key="a"), CircuitBreaker)


@circuit_protected("parts", threshold=3)
async def parts() -> AsyncIterator[bytes]:
    """
    Be an asynchronous generator function.
    """
    yield b""


class Client:
    """
    Have methods of every kind.
    """

    @rate_limited(limiter)
    def get(self, url: str) -> bytes:
        return url.encode()

    @classmethod
    @circuit_protected(breaker)
    def make(cls, url: str) -> Client:
        return cls()

    @staticmethod
    @rate_limited(by_host, key="example.org")
    def ping(url: str) -> bool:
        return bool(url)


assert_type(Client().get("a"), bytes)
assert_type(Client.make("a"), Client)
assert_type(Client.ping("a"), bool)
rate_limited(limiter)(functools.partial(fetch, "a"))


# -- Naming ----------------------------------------------------------------------

assert_type(registry, Registry)
own = Registry()
assert_type(own.limiter("a", calls_per_second=2.0, burst=3), RateLimiter)
assert_type(own.limiter("a"), RateLimiter)
assert_type(own.breaker("b", threshold=5, cooldown=30.0), CircuitBreaker)
assert_type(own.keyed_limiter("a"), Keyed[RateLimiter])
assert_type(own.keyed_breaker("b"), Keyed[CircuitBreaker])
assert_type(own.counter("c"), AtomicCounter)
seen: ThreadSafeSet[str] = own.unique("d", max_size=1000)
assert_type(own.names(), tuple[str, ...])
assert_type(own.snapshot(), dict[str, Any])
assert_type("a" in own, bool)
assert_type(list(own), list[str])
own.forget_changes("a")
assert_type(own.load("switchgear.toml"), dict[str, tuple[Any, Any]])
assert_type(own.configure({"limiters": {}}), dict[str, tuple[Any, Any]])
assert_type(own.reload(), dict[str, tuple[Any, Any]])
own.reset("a")
own.reset()
own.close("shutting down")
own.remove("a")


# -- Listening -------------------------------------------------------------------


def note(event: Event) -> None:
    """
    Be a listener.
    """
    assert_type(event.at, float)


def note_circuit(event: CircuitOpened) -> None:
    """
    Be a listener to one kind.
    """
    assert_type(event.breaker, str | None)
    assert_type(event.from_state, CircuitState)


listener: Listener = note
unsubscribe = subscribe(note)
unsubscribe()
subscribe(note_circuit, CircuitOpened)
limiter.subscribe(note, RateLimitWaited)
breaker.subscribe(note, CircuitEvent)


# -- Refusing --------------------------------------------------------------------

try:
    fetch("a")
except CircuitOpenError as refused:
    assert_type(refused.name, str | None)
    assert_type(refused.state, CircuitState)
    assert_type(refused.retry_after, float | None)
    assert_type(refused.last_failure, BaseException | None)
except RateLimitExceeded as refused:
    assert_type(refused.retry_after, float | None)
except BurstExceeded as never:
    assert_type((never.tokens, never.burst), tuple[int, int])
except CallNotPermitted as refused:
    assert_type(refused.name, str | None)
except ConfigurationError as wrong:
    assert_type(wrong.problems, tuple[str, ...])
except UnknownNameError as unknown:
    assert_type(unknown.nearest, tuple[str, ...])
except StoreError as failed:
    base: SwitchgearError = failed


# -- Testing ---------------------------------------------------------------------

manual = ManualClock()
manual.advance(1.5)
RateLimiter(clock=manual)
with isolated_registry() as inside:
    assert_type(inside, Registry)
with isolated_registry(clock=manual), manual.autojump() as nothing:
    assert_type(nothing, None)
with capture_events(CircuitOpened) as events:
    assert_type(events, list[Event])
with disabled():
    pass

assert_type(switchgear.__all__, list[str])
