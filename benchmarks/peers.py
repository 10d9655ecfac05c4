"""
Measure what is told of others on the page "Why switchgear".

What depends on how threads are scheduled differs from run to run: read a range
from several. Needs the peers, which the tests have: ``make install``, then
``.venv/bin/python benchmarks/peers.py``.
"""

from __future__ import annotations

import threading
import time

from collections import Counter
from typing import TYPE_CHECKING

import pybreaker

from pyrate_limiter import Duration, Limiter, Rate

from switchgear import CircuitBreaker, RateLimiter


if TYPE_CHECKING:
    from collections.abc import Callable


def at_once(count: int, function: Callable[[], object]) -> float:
    """
    Return how many seconds *count* threads take that begin together.
    """
    gate = threading.Barrier(count + 1)

    def run() -> None:
        gate.wait()
        function()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    return time.monotonic() - began


def closed_circuits() -> None:
    """
    Time eight calls of 0.1 s through one closed circuit.
    """
    theirs = pybreaker.CircuitBreaker()
    ours = CircuitBreaker()

    def block() -> None:
        with theirs.calling():
            time.sleep(0.1)

    def guarded() -> None:
        with ours.guard():
            time.sleep(0.1)

    print("8 calls of 0.1 s through one closed circuit:")
    print(f"  switchgear, guard()        {at_once(8, guarded):.2f} s")
    called = at_once(8, lambda: theirs.call(time.sleep, 0.1))
    print(f"  pybreaker, call()          {called:.2f} s")
    print(f"  pybreaker, with calling()  {at_once(8, block):.2f} s")


def turns() -> None:
    """
    Count the turns of 16 threads that share 200 per second for three seconds.
    """
    print("16 threads share 200 per second for 3 s, turns per thread:")
    ours = RateLimiter(200)
    theirs = Limiter(Rate(200, Duration.SECOND))
    for title, wait in (
        ("switchgear, wait()", ours.wait),
        ("pyrate-limiter, try_acquire()", lambda: theirs.try_acquire("a")),
    ):
        until = time.monotonic() + 3
        served: Counter[int] = Counter()

        def work(
            wait: Callable[[], object] = wait,
            until: float = until,
            served: Counter[int] = served,
        ) -> None:
            me = threading.get_ident()
            served[me] += 0
            while time.monotonic() < until:
                wait()
                served[me] += 1

        at_once(16, work)
        print(f"  {title:30} {min(served.values())} to {max(served.values())}")


def refusals() -> None:
    """
    Count the refusals of 8 threads that stay far below their limit.
    """
    print("8 threads ask 1000 times each, far below the limit, refused:")
    ours = RateLimiter(1e6, burst=10**6)
    theirs = Limiter(Rate(10**6, Duration.SECOND))
    for title, ask in (
        ("switchgear, try_acquire()", ours.try_acquire),
        (
            "pyrate-limiter, blocking=False",
            lambda: theirs.try_acquire("a", blocking=False),
        ),
    ):
        refused: list[int] = []

        def work(ask: Callable[[], object] = ask, refused: list[int] = refused) -> None:
            refused.append(sum(not ask() for _ in range(1000)))

        at_once(8, work)
        print(f"  {title:30} {sum(refused) / 8000:.1%}")


if __name__ == "__main__":
    closed_circuits()
    turns()
    refusals()
