"""
What the threads have yet to download.
"""

from __future__ import annotations

import heapq
import itertools
import time

from collections import Counter, defaultdict
from threading import Condition
from typing import TYPE_CHECKING, NamedTuple


if TYPE_CHECKING:
    from collections.abc import Iterable

    from addresses import Address


class Again(NamedTuple):
    """
    Say that *address* is to be tried once more, *delay* seconds from now.
    """

    address: Address
    delay: float = 0.0


class Backlog:
    """
    Hand out addresses when they are due.

    Of several hosts, that one comes first of which the fewest are under way:
    else all threads would soon stand in the queue of the slowest.

    Args:
        addresses: What there is to do, all of it due at once.
    """

    def __init__(self, addresses: Iterable[Address]) -> None:
        self._changed = Condition()
        self._waiting: dict[str, list[tuple[float, int, Address]]] = defaultdict(list)
        self._under_way: Counter[str] = Counter()
        self._numbers = itertools.count()
        self._left = 0
        self._closed = False
        for address in addresses:
            self._left += 1
            self._put(address, 0.0)

    def take(self) -> Address | None:
        """
        Wait for the next address; return None if there is none to come.
        """
        with self._changed:
            while self._left and not self._closed:
                now = time.monotonic()
                host = self._next_host(now)
                if host is not None:
                    self._under_way[host] += 1
                    return heapq.heappop(self._waiting[host])[-1]
                self._changed.wait(self._next_due(now))
            return None

    def finish(self, address: Address, again: Again | None) -> None:
        """
        Say that *address* was dealt with, or is to come *again*.
        """
        with self._changed:
            self._under_way[address.host] -= 1
            if again is None:
                self._left -= 1
            else:
                self._put(again.address, time.monotonic() + again.delay)
            self._changed.notify_all()

    def wait(self, left: int = 0) -> None:
        """
        Wait until no more than so many are *left*, or it was closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._left <= left)

    def close(self) -> None:
        """
        Hand out nothing any more.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _put(self, address: Address, due: float) -> None:
        heap = self._waiting[address.host]
        heapq.heappush(heap, (due, next(self._numbers), address))

    def _next_host(self, now: float) -> str | None:
        due = [
            host for host, heap in self._waiting.items() if heap and heap[0][0] <= now
        ]
        return min(due, key=self._under_way.__getitem__, default=None)

    def _next_due(self, now: float) -> float | None:
        dues = [heap[0][0] for heap in self._waiting.values() if heap]
        return min(dues) - now if dues else None
