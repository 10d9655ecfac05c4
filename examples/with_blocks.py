"""
Protect blocks instead of functions, and say what an outcome was.
"""

from __future__ import annotations

import http.client

from contextlib import closing
from http import HTTPStatus
from urllib.parse import urlsplit

from service import serve

from switchgear import CircuitOpenError, registry


limiter = registry.limiter("prices", calls_per_second=100, burst=10)
breaker = registry.breaker("prices", threshold=2, cooldown=30.0)


def price_of(base: str, item: str) -> int | None:
    """
    Return what *item* costs; None if there is no such thing, or no answer.
    """
    # The circuit first: an open one costs no turn. What is waited for inside of
    # it is no part of the call, unless slow_call_seconds is set.
    with breaker.guard() as call, limiter:
        with closing(http.client.HTTPConnection(urlsplit(base).netloc)) as connection:
            connection.request("GET", f"/{item}")
            answer = connection.getresponse()
            body = answer.read()
        # This client raises nothing for a status: the block says what it means.
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            call.fail(retry_after=60.0)
        elif answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            call.fail()
        return int(body) if answer.status == HTTPStatus.OK else None


def main() -> None:
    """
    Make four calls; the last is refused.
    """
    with serve() as service:
        print("tea:", price_of(service.url, "tea"))
        service.down = True
        print("tea:", price_of(service.url, "tea"))
        print("tea:", price_of(service.url, "tea"))
        try:
            price_of(service.url, "tea")
        except CircuitOpenError as refusal:
            # Longer than the cooldown: the service has said how long.
            print(refusal)
        print("calls:", service.calls)
        print("turns:", limiter.snapshot().admitted)


if __name__ == "__main__":
    main()
