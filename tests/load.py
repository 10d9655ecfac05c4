"""
What the tests of limiters under load share: who asks, and a note of who was admitted.
"""

from __future__ import annotations

import asyncio
import threading
import time

from contextlib import suppress

from parties import Party, queued

from switchgear import RateLimiter
from switchgear._core.place import Place, Status
from switchgear._core.queue import SLACK, Queue
from switchgear.errors import RateLimitExceeded


class Recorder(Queue):
    """
    A queue that notes each admission at the instant of decision, and each loss:
    the tokens that found a full bucket because the waiter was later than 2 ms.

    A grant that is taken back, since its owner was cancelled before it knew, is
    no admission: its tokens are granted again.
    """

    __slots__ = ()

    admissions: list[tuple[int, int]]
    losses: list[float]
    granted_at: dict[Place, int]

    def take(self, now, tokens, place=None):
        admitted = super().take(now, tokens, place)
        if admitted:
            self.admissions.append((now, tokens))
        return admitted

    def serve(self, now, decided=None):
        bucket, due = self.budget, self._due_place(now)
        if due is not None and due.waiter is not None:
            since = max(self._since, self.paused_until, now - SLACK)
            over = since * bucket.ticks - bucket.capacity - self.state
            if over > 0:
                self.losses.append(over / bucket.cost)
        known = len(decided or ())
        decided = super().serve(now, decided)
        granted = [place for place in decided[known:] if place.status is Status.GRANTED]
        self.admissions.extend([(now, place.tokens) for place in granted])
        self.granted_at.update(dict.fromkeys(granted, now))
        return decided

    def undo(self, now, place):
        granted = place.status is Status.GRANTED
        super().undo(now, place)
        if granted:
            self.admissions.remove((self.granted_at.pop(place), place.tokens))


def recorded(rate, burst):
    """
    Make a limiter whose bucket was just emptied, and the list of what it admits.
    """
    limiter = RateLimiter(rate, burst=burst)
    return limiter, record(limiter, burst)


def record(limiter, burst):
    """
    Empty the bucket of *limiter*; return the list of what it admits.
    """
    admissions = []
    kept = {"admissions": admissions, "losses": [], "granted_at": {}}
    kind = type("Kind", (Recorder,), {"__slots__": (), **kept})
    limiter._queue.__class__ = kind
    assert limiter.try_acquire(burst)
    # What went the short way is not noted.
    now = limiter._last - limiter._epoch
    admissions[:] = [(now, burst)]
    return admissions


def excess(admissions, rate, burst):
    """
    By how many tokens the worst window exceeds guarantee 1; negative: by none.
    """
    worst = -burst
    # The largest of total - rate * time since any start, in one pass.
    total = 0
    least = None
    for now, tokens in admissions:
        credit = total - rate * now / 1e9
        least = credit if least is None else min(least, credit)
        total += tokens
        window = total - rate * now / 1e9 - least
        worst = max(worst, window - burst - rate * SLACK / 1e9)
    return worst


class Load:
    """
    Threads and tasks that want one limiter, as long as it is open.
    """

    def __init__(self, limiter, threads, tasks):
        self.limiter = limiter
        self.of_threads = [0] * threads
        self.of_tasks = [0] * tasks
        self.latest = 0.0

    def _thread(self, number):
        with suppress(RateLimitExceeded):
            while True:
                self.limiter.wait()
                self.of_threads[number] += 1

    async def _task(self, number):
        with suppress(RateLimitExceeded):
            while True:
                await self.limiter.wait_async()
                self.of_tasks[number] += 1

    async def _beat(self):
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            self.latest = max(self.latest, time.monotonic() - before - 0.005)

    async def _tasks(self):
        beat = asyncio.ensure_future(self._beat())
        await asyncio.gather(*map(self._task, range(len(self.of_tasks))))
        beat.cancel()

    def start(self):
        """
        Let them; return the threads they run in, which end with the limiter.
        """
        parties = [Party(self._thread, n) for n in range(len(self.of_threads))]
        if self.of_tasks:
            parties.append(Party(lambda: asyncio.run(self._tasks())))
        return parties

    def delivered(self):
        """
        Return how many calls were admitted, as those count who made them.
        """
        return sum(self.of_threads) + sum(self.of_tasks)

    def run(self, seconds):
        """
        Let them for a while, and return how many tokens were delivered a second.

        Those that were lost to stalls of more than 2 ms count as delivered:
        the machine owes them, not the limiter.
        """
        parties = self.start()
        queued(self.limiter, len(self.of_threads) + len(self.of_tasks))
        self.latest = 0.0
        # From one look to the other, by the limiter's own clock.
        before, began = self.limiter.snapshot().admitted, self.limiter._last
        losses = self.limiter._queue.losses
        losses.clear()
        threading.Event().wait(seconds)
        after, ended = self.limiter.snapshot().admitted, self.limiter._last
        lost = sum(losses)
        self.limiter.close()
        for party in parties:
            party.outcome()
        return (after - before + lost) / (ended - began) * 1e9
