"""
A limiter that is obviously right, and slow: what happened is a list.

How full the buckets are at a time is found by going through everything from the
beginning. Whoever waits is a list, too.

Every token here takes a whole number of nanoseconds to flow in. So a level is
kept as the nanoseconds that it took, and no fractions are needed.
"""

from __future__ import annotations

import functools
import math

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from switchgear import Rate


SECOND = 10**9


@functools.cache
def turn_length(rate: Rate) -> int:
    """
    Return how many nanoseconds a token takes to flow in.
    """
    length = SECOND * Fraction(repr(rate.per)) / Fraction(repr(rate.limit))
    assert length.denominator == 1, rate
    return int(length)


def is_for_calls(rate: Rate) -> bool:
    """
    Answer whether it counts calls, whatever their tokens.
    """
    return rate.counts == "calls"


@dataclass(eq=False)
class Booking:
    """
    Be what one call takes, or will take.

    Attributes:
        tokens: What it asks for.
        takes: What it takes in the end.
        at: When it was admitted; None while it waits.
        is_settled: Whether somebody has said what it costs.
    """

    tokens: int
    takes: int
    at: int | None = None
    is_settled: bool = False

    def asks(self, rate: Rate) -> int:
        """
        Return how much has to be there for it.
        """
        asked = 1 if is_for_calls(rate) else min(self.tokens, self.takes)
        return asked * turn_length(rate)

    def costs(self, rate: Rate) -> int:
        """
        Return how much is then taken.
        """
        taken = 1 if is_for_calls(rate) else self.takes
        return taken * turn_length(rate)

    def fits(self, rates: tuple[Rate, ...]) -> bool:
        """
        Answer whether it can ever be admitted.
        """
        return all(self.asks(rate) <= full(rate) for rate in rates)


def full(rate: Rate) -> int:
    """
    Return the level of a full bucket.
    """
    return rate.burst * turn_length(rate)


def carried(
    rates: tuple[Rate, ...], levels: list[int], others: tuple[Rate, ...]
) -> list[int]:
    """
    Return the levels in the buckets of *others*, which take the place of *rates*.

    Each goes on from the one with its unit and period. Those without such go on
    from what is left over of their unit, in order. Whatever is added is empty.
    What is kept is rounded down to what flows in in a nanosecond.
    """
    kept: dict[Rate, Fraction] = {}
    tokens = [
        Fraction(level, turn_length(rate))
        for rate, level in zip(rates, levels, strict=True)
    ]
    for unit in ("tokens", "calls"):
        old = {
            rate.per: level
            for rate, level in zip(rates, tokens, strict=True)
            if rate.counts == unit
        }
        new = {rate.per: rate for rate in others if rate.counts == unit}
        for per in old.keys() & new.keys():
            kept[new.pop(per)] = old.pop(per)
        kept.update(zip(new.values(), old.values(), strict=False))
    return [
        min(math.floor(kept.get(rate, 0) * turn_length(rate)), full(rate))
        for rate in others
    ]


@dataclass(eq=False)
class NaiveLimiter:
    """
    Admit what all *rates* admit, one after the other.
    """

    rates: tuple[Rate, ...]
    now: int = 0
    paused_until: int = 0
    #: What happened, in order, and when: a booking is charged; tokens become
    #: a debt; other rates take their place; None: the buckets were filled.
    story: list[tuple[int, Booking | int | tuple[Rate, ...] | None]] = field(
        default_factory=list
    )
    queue: list[Booking] = field(default_factory=list)
    #: How many may wait; those who do already may stay.
    max_waiters: int | None = None
    #: Why it is closed, if it is.
    closed: str | None = None
    admitted: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.began = self.rates

    def levels(self, at: int) -> list[int]:
        """
        Return how much each bucket holds at a time, by going through the story.
        """
        rates, levels, before = self.began, list(map(full, self.began)), 0
        for when, what in [*self.story, (at, 0)]:
            levels = [
                min(full(rate), level + when - before)
                for rate, level in zip(rates, levels, strict=True)
            ]
            before = when
            match what:
                case Booking():
                    taken = [what.costs(rate) for rate in rates]
                case int():
                    # It turned out to cost more: a debt from then on.
                    taken = [
                        0 if is_for_calls(rate) else what * turn_length(rate)
                        for rate in rates
                    ]
                case tuple():
                    levels = carried(rates, levels, what)
                    rates = what
                    taken = [0] * len(rates)
                case None:
                    levels = list(map(full, rates))
                    taken = [0] * len(rates)
            levels = [level - less for level, less in zip(levels, taken, strict=True)]
        return levels

    def turn(self, booking: Booking, not_before: int) -> int:
        """
        Return the first nanosecond from which on every bucket holds what it asks.
        """
        at = max(not_before, self.paused_until)
        missing = [
            booking.asks(rate) - level
            for rate, level in zip(self.rates, self.levels(at), strict=True)
        ]
        return at + max(0, *missing)

    def pass_to(self, now: int) -> None:
        """
        Let time pass; serve who is due, in turn, at their very moments.
        """
        while self.queue:
            at = self.turn(self.queue[0], self.now)
            if at > now:
                break
            self.now = at
            self._admit(self.queue.pop(0))
        self.now = now

    def book(self, booking: Booking) -> None:
        """
        Admit a call, or let it wait at the end of the queue.
        """
        assert self.closed is None
        if not self.queue and self.turn(booking, self.now) == self.now:
            self._admit(booking)
        else:
            self.queue.append(booking)

    def is_crowded(self) -> bool:
        """
        Answer whether no more may wait.
        """
        return self.max_waiters is not None and len(self.queue) >= self.max_waiters

    def tokens(self) -> list[int]:
        """
        Return how many are in each bucket; negative: how many are owed.
        """
        levels = self.levels(self.now)
        return [
            level // turn_length(rate)
            for rate, level in zip(self.rates, levels, strict=True)
        ]

    def available(self) -> int:
        """
        Return how many tokens are there; calls only where nothing else is counted.
        """
        there = list(zip(self.rates, self.tokens(), strict=True))
        tokens = [many for rate, many in there if not is_for_calls(rate)]
        return min(tokens or [many for _, many in there])

    def remaining(self) -> int:
        """
        Return how many tokens a next call could take at once.
        """
        if self.queue or self.now < self.paused_until or self.closed is not None:
            return 0
        return self.available() if min(self.tokens()) > 0 else 0

    def turns(self) -> dict[Booking, int]:
        """
        Return when each in the queue will be admitted, by serving a copy of it.
        """
        copy = NaiveLimiter(self.began)
        copy.rates = self.rates
        copy.story, copy.now = list(self.story), self.now
        copy.paused_until = self.paused_until
        turns = {}
        for booking in self.queue:
            turns[booking] = copy.now = copy.turn(booking, copy.now)
            copy.story.append((copy.now, booking))
        return turns

    def settle(self, booking: Booking, actual: int) -> bool:
        """
        Say what it cost: as if it had cost that from the beginning.
        """
        is_there = booking.at is not None or booking in self.queue
        if booking.is_settled or not is_there:
            return False
        booking.is_settled = True
        if booking.at is not None and actual > booking.takes:
            self.story.append((self.now, actual - booking.takes))
        else:
            booking.takes = actual
        # It, and those behind, may be due now.
        self.pass_to(self.now)
        return True

    def cancel(self, booking: Booking) -> bool:
        """
        Give a booking up: before its turn it vanishes, then it has cost nothing.
        """
        if booking not in self.queue:
            return self.settle(booking, 0)
        if booking.is_settled:
            return False
        self.leave(booking)
        return True

    def leave(self, booking: Booking) -> None:
        """
        Let somebody who waits go.
        """
        self.queue.remove(booking)
        self.pass_to(self.now)

    def configure(self, rates: tuple[Rate, ...]) -> None:
        """
        Go on with other rates; send those away who ask too much for them.
        """
        self.rates = rates
        self.story.append((self.now, rates))
        self._send_away([one for one in self.queue if not one.fits(rates)])
        self.pass_to(self.now)

    def close(self, reason: str) -> None:
        """
        Send everybody away.
        """
        self.closed = reason
        self._send_away(self.queue)

    def reset(self) -> None:
        """
        Fill the buckets, end the pause, count anew; whoever waits goes on.
        """
        self.story.append((self.now, None))
        self.paused_until = 0
        self.admitted = self.refused = 0
        self.pass_to(self.now)

    def _send_away(self, gone: list[Booking]) -> None:
        self.queue = [one for one in self.queue if one not in gone]
        self.refused += len(gone)

    def _admit(self, booking: Booking) -> None:
        booking.at = self.now
        self.story.append((self.now, booking))
        self.admitted += 1
