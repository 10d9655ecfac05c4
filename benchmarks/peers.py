"""
Measure what ``docs/why.md`` says of others and of us, with threads.

Every line is measured several times and told from the least to the most: what
depends on how threads are scheduled differs widely. It is no gate; it prints a
table to be read. Needs the peers, which the tests have: ``make install``, then
``.venv/bin/python benchmarks/peers.py``.
"""

from __future__ import annotations

import argparse
import logging
import platform
import threading
import time

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

import pybreaker
import pyrate_limiter

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from switchgear import CircuitBreaker, RateLimiter


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How long a call takes that sleeps, a circuit stays open, a service hangs.
CALL_SECONDS = 0.1
COOLDOWN = 0.05
HANGS_FOR = 0.5

#: The budget that threads share, and for how long they do.
RATE = 200
SECONDS = 3.0

#: More than anybody here asks for.
PLENTY = 10_000_000


Act: TypeAlias = "Callable[[], None]"


@dataclass(frozen=True)
class Guarded:
    """
    A call behind a circuit that one failure opens, and that circuit.
    """

    call: Callable[[], object]
    open: Callable[[], object]
    is_open: Callable[[], bool]


Guard: TypeAlias = "Callable[[Act], Guarded]"


def decorated_by_pybreaker(act: Act) -> Guarded:
    """
    Guard *act* as a decorated function of pybreaker.
    """
    breaker = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=COOLDOWN)
    return Guarded(
        breaker(act),
        breaker.open,
        lambda: breaker.current_state == pybreaker.STATE_OPEN,
    )


def in_a_block_of_pybreaker(act: Act) -> Guarded:
    """
    Guard *act* as a block of pybreaker.
    """
    breaker = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=COOLDOWN)

    def call() -> None:
        with breaker.calling():
            act()

    return Guarded(
        call, breaker.open, lambda: breaker.current_state == pybreaker.STATE_OPEN
    )


def in_a_block_of_ours(act: Act) -> Guarded:
    """
    Guard *act* as a block of ours.
    """
    breaker = CircuitBreaker(threshold=1, cooldown=COOLDOWN, probe_timeout=60.0)

    def call() -> None:
        with breaker.guard():
            act()

    return Guarded(call, breaker.record_failure, lambda: breaker.is_open)


GUARDS = {
    "pybreaker, @breaker": decorated_by_pybreaker,
    "pybreaker, calling()": in_a_block_of_pybreaker,
    "switchgear": in_a_block_of_ours,
}


@contextmanager
def threads(count: int, work: Callable[[int], object]) -> Iterator[None]:
    """
    Have *count* threads begin at once; wait for them after the block.
    """
    barrier = threading.Barrier(count + 1)

    def run(number: int) -> None:
        barrier.wait()
        with suppress(Exception):  # a refusal, or what the service raised
            work(number)

    started = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in started:
        thread.start()
    barrier.wait()
    try:
        yield
    finally:
        for thread in started:
            thread.join()


def seconds_side_by_side(guard: Guard) -> list[float]:
    """
    Return how long eight calls take that come at once.
    """
    guarded = guard(lambda: time.sleep(CALL_SECONDS))
    begin = time.perf_counter()
    with threads(8, lambda _: guarded.call()):
        pass
    return [time.perf_counter() - begin]


def calls_after_the_cooldown(
    guard: Guard,
) -> list[float]:
    """
    Return how many of 32 threads enter while the service hangs.
    """
    entered: list[float] = []
    answered = threading.Event()

    def hang() -> None:
        entered.append(1)
        answered.wait()

    guarded = guard(hang)
    guarded.open()
    time.sleep(2 * COOLDOWN)
    with threads(32, lambda _: guarded.call()):
        time.sleep(HANGS_FOR)
        count = len(entered)
        answered.set()
    return [count]


def opened_by_a_late_failure(
    guard: Guard,
) -> list[float]:
    """
    Return whether a failure from before an outage opens the circuit after it.
    """
    begun, late = threading.Event(), threading.Event()
    mine = threading.get_ident()

    def act() -> None:
        if threading.get_ident() != mine:
            begun.set()
            late.wait(HANGS_FOR)
            raise TimeoutError

    guarded = guard(act)
    with threads(1, lambda _: guarded.call()):
        begun.wait()
        guarded.open()
        time.sleep(2 * COOLDOWN)
        guarded.call()  # the probe: it succeeds, the circuit is closed
        late.set()
    return [guarded.is_open()]


def turns_of_each(wait: Callable[[], object]) -> list[float]:
    """
    Return how many turns each of 16 threads had that shared one limiter.
    """
    counts = [0.0] * 16
    end = time.monotonic() + SECONDS

    def work(number: int) -> None:
        while time.monotonic() < end:
            wait()
            counts[number] += 1

    with threads(16, work):
        pass
    return counts


def per_cent_refused(try_acquire: Callable[[], object]) -> list[float]:
    """
    Return how many of a hundred calls of 8 threads are refused.
    """
    refused = [0] * 8
    calls = 2_000

    def work(number: int) -> None:
        for _ in range(calls):
            refused[number] += not try_acquire()

    with threads(8, work):
        pass
    return [100 * sum(refused) / (8 * calls)]


def of_pyrate_limiter(
    measure: Callable[[Callable[[], object]], list[float]], rate: int, *, blocking: bool
) -> list[float]:
    """
    Measure a limiter of pyrate-limiter.
    """
    second = pyrate_limiter.Duration.SECOND
    limiter = pyrate_limiter.Limiter([pyrate_limiter.Rate(rate, second)])
    try:
        return measure(lambda: limiter.try_acquire("peers", blocking=blocking))
    finally:
        limiter.close()


def lines() -> Iterator[tuple[str, str, Callable[[], list[float]]]]:
    """
    Yield what to measure, of whom, and how.
    """
    questions = (
        ("8 calls of 0.1 s at once: seconds", seconds_side_by_side),
        ("32 threads after the cooldown: calls", calls_after_the_cooldown),
        ("a late failure opens again: 0 or 1", opened_by_a_late_failure),
    )
    for what, measure in questions:
        for who, guard in GUARDS.items():
            yield what, who, partial(measure, guard)

    what = f"16 threads at {RATE}/s for {SECONDS:g} s: turns of each"
    yield (
        what,
        "pyrate-limiter",
        lambda: of_pyrate_limiter(turns_of_each, RATE, blocking=True),
    )
    yield (
        what,
        "switchgear",
        lambda: turns_of_each(RateLimiter(calls_per_second=RATE).wait),
    )

    what = "8 threads far below the limit: % refused"
    yield (
        what,
        "pyrate-limiter",
        lambda: of_pyrate_limiter(per_cent_refused, PLENTY, blocking=False),
    )
    window = MovingWindowRateLimiter(MemoryStorage())
    item = RateLimitItemPerSecond(PLENTY)
    yield what, "limits", lambda: per_cent_refused(lambda: window.hit(item))
    plenty = RateLimiter(calls_per_second=PLENTY, burst=PLENTY)
    yield what, "switchgear", lambda: per_cent_refused(plenty.try_acquire)


def main() -> None:
    """
    Measure everything, and print a table.
    """
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").strip().partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often (5)")
    rounds = parser.parse_args().rounds
    # Circuits open here as they should: nobody is to be warned.
    logging.getLogger("switchgear").setLevel(logging.ERROR)

    peers = (
        f"{peer} {version(peer)}" for peer in ("pybreaker", "limits", "pyrate-limiter")
    )
    print(f"CPython {platform.python_version()},", ", ".join(peers))
    print(f"\n{'':42} {'':21} {'least':>7} {'most':>7}")
    for what, who, measure in lines():
        told = [value for _ in range(rounds) for value in measure()]
        print(f"{what:42} {who:21} {min(told):7.3g} {max(told):7.3g}", flush=True)


if __name__ == "__main__":
    main()
