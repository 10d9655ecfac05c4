"""
The least that each hot path could cost: what ours are measured against.

Each floor does the same work as the library in the plainest Python that still
does it, without names, events, queues, key words, fairness or checks.
"""

from __future__ import annotations

import functools
import time

from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Callable


class Circuit:
    """
    What the closure below reads and counts.
    """

    def __init__(self) -> None:
        self.closed = 1
        self.streak = 0
        self.tick = count().__next__

    def failed(self) -> None:
        """
        Count a failure.
        """
        self.streak += 1

    def succeeded(self) -> None:
        """
        Forget the failures.
        """
        self.streak = 0


def closure(function: Callable[..., Any]) -> Callable[..., Any]:
    """
    Protect *function* by hand: look, count, try, call, count.
    """
    circuit = Circuit()

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not circuit.closed:
            raise RuntimeError
        circuit.tick()
        try:
            result = function(*args, **kwargs)
        except BaseException:
            circuit.failed()
            raise
        if circuit.streak:
            circuit.succeeded()
        return result

    return call


class Bucket:
    """
    A token bucket of one integer, under a lock.
    """

    def __init__(self, cost: int, burst: int) -> None:
        self.lock = Lock()
        self.cost = cost
        self.capacity = burst * cost
        self.empty_at = 0

    def try_acquire(self, tokens: int = 1) -> tuple[bool, int]:
        """
        Take *tokens* if they are there; return whether, and what is left.
        """
        # Outside the lock, as ours: it makes convoys inside.
        now = time.monotonic_ns()
        with self.lock:
            empty_at = self.empty_at
            least = now - self.capacity
            if empty_at < least:  # noqa: PLR1730 -- max() is a call, and slower
                empty_at = least
            empty_at += tokens * self.cost
            if empty_at <= now:
                self.empty_at = empty_at
                return True, now - empty_at
        return False, empty_at - now
