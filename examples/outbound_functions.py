"""
Protect a function that calls a service: by a rate, and by a circuit.

The circuit counts faults of the service, not wrong questions; and while it is
open, the last known answer has to do.
"""

from __future__ import annotations

import time
import urllib.request

from http import HTTPStatus
from urllib.error import HTTPError

from service import serve

from switchgear import CallNotPermitted, breaker_of, protected


COOLDOWN = 0.5

known: dict[str, int] = {}


def is_fault(error: Exception) -> bool:
    """
    Tell a fault of the service from one of the question, which it answered.
    """
    if isinstance(error, HTTPError):
        return error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return True


def last_known(refusal: CallNotPermitted, _base: str, item: str) -> int:
    """
    Answer for the service while calls are refused.
    """
    if item not in known:
        raise refusal
    return known[item]


@protected(
    "prices",
    calls_per_second=100,
    burst=10,
    threshold=3,
    cooldown=COOLDOWN,
    failure_on=is_fault,
    fallback=last_known,
)
def price_of(base: str, item: str) -> int:
    """
    Return what *item* costs.
    """
    try:
        with urllib.request.urlopen(f"{base}/{item}", timeout=5.0) as answer:
            known[item] = int(answer.read())
    except HTTPError as error:
        error.close()
        raise
    return known[item]


def tell(base: str, item: str) -> None:
    """
    Print what *item* costs, or why nobody knows.
    """
    try:
        print(f"{item}: {price_of(base, item)}")
    except (OSError, CallNotPermitted) as error:
        print(f"{item}: {error}")


def main() -> None:
    """
    See a service go down, and come back.
    """
    with serve() as service:
        tell(service.url, "tea")
        tell(service.url, "no-tea")

        service.down = True
        for _ in range(3):
            tell(service.url, "tea")
        tell(service.url, "tea")
        tell(service.url, "bread")
        print("calls:", service.calls)

        service.down = False
        time.sleep(COOLDOWN)
        tell(service.url, "bread")
        print("circuit:", breaker_of(price_of).snapshot().state.name)


if __name__ == "__main__":
    main()
