"""
Decorated functions keep their types. Read by mypy and pyright, never run.
"""

from __future__ import annotations

import functools

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, assert_type

from switchgear._breaker import CircuitBreaker
from switchgear._core.rate import Rate
from switchgear._decorators import (
    breaker_of,
    circuit_protected,
    limiter_of,
    protected,
    rate_limited,
)
from switchgear._keyed import Keyed
from switchgear._limiter import RateLimiter
from switchgear._registry import Registry


registry = Registry()
limiter = RateLimiter(5.0)
breaker = CircuitBreaker()
limiters = Keyed(lambda key: RateLimiter())
breakers = Keyed(lambda key: CircuitBreaker())


# Every argument.


@rate_limited(
    "images",
    tokens=2,
    key="host",
    timeout=1.5,
    registry=registry,
    calls_per_second=5,
    burst=2,
    max_waiters=10,
    max_keys=100,
    clock=None,
)
def limited(url: str, *, size: int = 1) -> bytes:
    return url.encode() * size


@circuit_protected(
    "images",
    key=lambda url: url,
    fallback=lambda exc, url: 0,
    failure_on=(OSError, lambda exc: True),
    failure_when=lambda result: bool(result),
    ignore=KeyError,
    registry=registry,
    threshold=5,
    cooldown=30.0,
)
def guarded(url: str) -> int:
    return len(url)


@protected(
    "images",
    tokens=len,
    timeout=0,
    failure_when=None,
    rates=[Rate(60, per=60)],
    threshold=None,
    slow_call_seconds=2,
)
async def both(url: str) -> list[str]:
    return [url]


assert_type(limited("u", size=2), bytes)
assert_type(guarded("u"), int)
call: Callable[[str], int] = guarded

limited(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
limited("u", 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
rate_limited("images", speed=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
circuit_protected("images", burst=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
rate_limited(breaker)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
circuit_protected(limiter)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Every kind.


class Client:
    @rate_limited(limiter)
    def get(self, url: str) -> bytes:
        return url.encode()

    @circuit_protected(breaker)
    @rate_limited(limiter)
    async def fetch(self, url: str) -> bytes:
        return url.encode()

    @rate_limited(limiter)
    @classmethod
    def outside(cls, name: str) -> Client:
        return cls()

    @classmethod
    @circuit_protected(breaker)
    def inside(cls, name: str) -> Client:
        return cls()

    @circuit_protected(breaker)
    @staticmethod
    def static_outside(number: int) -> float:
        return number / 2

    @staticmethod
    @protected("images")
    def static_inside(number: int) -> float:
        return number / 2

    @property
    @rate_limited(limiter)
    def size(self) -> int:
        return 1

    @protected("images")
    def pages(self, start: int) -> Generator[bytes, int, str]:
        yield b""
        return ""

    @protected("images")
    async def stream(self, start: int) -> AsyncGenerator[bytes, int]:
        yield b""

    @rate_limited(limiters, key=lambda self: self)
    def each(self) -> None:
        pass

    @circuit_protected(breakers, key="a")
    def other(self) -> None:
        pass

    def __call__(self, number: int) -> str:
        return str(number)


T = TypeVar("T")


@rate_limited(limiter)
def first(items: list[T]) -> T:
    return items[0]


async def main(client: Client) -> None:
    assert_type(client.get("u"), bytes)
    assert_type(await client.fetch("u"), bytes)
    assert_type(client.outside("n"), Client)
    assert_type(Client.inside("n"), Client)
    assert_type(Client.static_outside(1), float)
    assert_type(client.static_inside(1), float)
    assert_type(client.size, int)
    assert_type(client.pages(1), Generator[bytes, int, str])
    assert_type(client.stream(1), AsyncGenerator[bytes, int])
    assert_type(await both("u"), list[str])
    assert_type(first([1]), int)
    assert_type(rate_limited(limiter)(client)(1), str)
    assert_type(rate_limited(limiter)(functools.partial(guarded, "u"))(), int)
    client.get(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


assert_type(limiter_of(limited, key="host"), RateLimiter)
assert_type(limiter_of(Client.get), RateLimiter)
assert_type(breaker_of(Client().fetch), CircuitBreaker)

# What cannot be protected.
rate_limited(limiter)(42)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def answer(exc: Exception, *args: Any, **kwargs: Any) -> int:
    return 0


assert_type(circuit_protected(breaker, fallback=answer)(guarded)("u"), int)
