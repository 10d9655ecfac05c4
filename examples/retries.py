"""
Retry around the circuit and the limiter, and heed what they say.

The order is retry, circuit, rate limit, function: each try takes a turn of its
own, and an open circuit costs none.
"""

from __future__ import annotations

import time

from typing import TYPE_CHECKING, TypeVar

from switchgear import BurstExceeded, CallNotPermitted, limiter_of, protected


if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

answers = iter(["down", "down", "down", "up"])


@protected("prices", calls_per_second=100, burst=1, threshold=2, cooldown=0.5)
def price_of(item: str) -> int:
    """
    Stand for a call of a service that is down at first.
    """
    if next(answers) == "down":
        msg = f"no price of {item}"
        raise ConnectionError(msg)
    return 100 * len(item)


def with_retries(call: Callable[[], T], *, patience: float) -> T:
    """
    Return what *call* returns, trying again for *patience* seconds.

    For several tries with growing pauses there are stamina and tenacity; what
    matters here is how refusals differ from failures.
    """
    deadline = time.monotonic() + patience
    pause = 0.01
    while True:
        try:
            return call()
        except BurstExceeded:
            raise  # never
        except CallNotPermitted as refusal:
            # Not called at all. To ask sooner is in vain; None: nobody knows.
            wait = refusal.retry_after
            print("refused;", "for good" if wait is None else "asked to come back")
            if wait is None or time.monotonic() + wait > deadline:
                raise
        except ConnectionError as error:
            print("failed:", error)
            wait = pause
            if time.monotonic() + wait > deadline:
                raise
            pause *= 2
        time.sleep(wait)


def main() -> None:
    """
    Try until the service is back.
    """
    print("tea:", with_retries(lambda: price_of("tea"), patience=5.0))
    print("turns:", limiter_of(price_of).snapshot().admitted)


if __name__ == "__main__":
    main()
