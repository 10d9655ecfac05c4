"""
Log with structlog, and count events as they happen.
"""

from __future__ import annotations

import sys

from collections import Counter

import structlog

from switchgear import CircuitBreaker, RateLimiter, subscribe
from switchgear.events import CircuitEvent, CircuitOpened, Event


def main() -> None:
    """
    Have things happen to a breaker and a limiter.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    kinds: Counter[str] = Counter()
    opened: list[str] = []

    def count(event: Event) -> None:
        kinds[type(event).__name__] += 1

    def alarm(event: CircuitOpened) -> None:
        opened.append(f"{event.breaker}: {event.last_failure}")

    ends = [subscribe(count, CircuitEvent), subscribe(alarm, CircuitOpened)]
    try:
        breaker = CircuitBreaker(threshold=1, cooldown=30.0, name="images")
        breaker.record_failure(TimeoutError("no answer"))
        for _ in range(1000):
            breaker.try_acquire()
        breaker.reset()

        limiter = RateLimiter(calls_per_second=1.0, name="images")
        limiter.pause(30.0)
        limiter.reconfigure(calls_per_second=2.0)
    finally:
        for end in ends:
            end()
    print(kinds)
    print(opened)


if __name__ == "__main__":
    main()
