"""
The token bucket, in integers.

A bucket holds ``burst`` tokens at the most and is refilled evenly. Its whole
state is one number, ``empty_at``: the moment at which it is, was or will be
empty. In between, its level grows with time and needs no bookkeeping, as in
the virtual scheduling form of the GCRA (ITU-T I.371).

Moments are counted in *ticks*, so that a token costs a whole number of them:
at 3 tokens per second a nanosecond has 3 ticks and a token costs 10**9. No
rate drifts. Everything here is a pure function of its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from switchgear._core.rate import successors
from switchgear._validate import MAX_COUNT


if TYPE_CHECKING:
    from collections.abc import Sequence

    from switchgear._core.rate import Rate


class Bucket:
    """
    Decide for one bucket. Its state is ``empty_at``, in ticks.
    """

    __slots__ = ("burst", "capacity", "cost", "per_call", "rate", "ticks")

    def __init__(self, rate: Rate) -> None:
        # Brings decimal along, and whoever merely imports needs neither.
        from fractions import Fraction

        # repr, because 0.1 means a tenth and not the nearest binary fraction.
        ns_per_token = 10**9 * Fraction(repr(rate.per)) / Fraction(repr(rate.limit))
        self.rate = rate
        #: Ticks per token, and per nanosecond.
        self.cost = ns_per_token.numerator
        self.ticks = ns_per_token.denominator
        self.burst = rate.burst
        self.capacity = rate.burst * self.cost
        self.per_call = rate.counts == "calls"

    @property
    def lines(self) -> tuple[Bucket, ...]:
        """
        The buckets it consists of.
        """
        return (self,)

    def split(self, state: int) -> tuple[int, ...]:
        """
        Return the states of its :attr:`lines`.
        """
        return (state,)

    def join(self, states: Sequence[int]) -> int:
        """
        Return the state made of those of its :attr:`lines`.
        """
        return states[0]

    def price(self, tokens: int) -> int:
        """
        Return what a request for *tokens* costs, in ticks.
        """
        return self.cost if self.per_call else tokens * self.cost

    def full(self, now: int) -> int:
        """
        Return the state of a bucket that is full at *now*.
        """
        return now * self.ticks - self.capacity

    @property
    def largest(self) -> int:
        """
        The most one request can take.
        """
        return MAX_COUNT if self.per_call else self.burst

    def fits(self, tokens: int) -> bool:
        """
        Answer whether *tokens* can ever be admitted.
        """
        return self.per_call or tokens <= self.burst

    def due(self, state: int, tokens: int) -> int:
        """
        Return the first moment at which there are *tokens* in *state*.
        """
        return -(-(state + self.price(tokens)) // self.ticks)

    def charge(self, state: int, since: int, tokens: int) -> int:
        """
        Take *tokens* at the first moment from *since* on that has them.

        That moment need not be known: a bucket that is not full at *since*
        cannot overflow before it holds what fits into it.
        """
        return max(state, since * self.ticks - self.capacity) + self.price(tokens)

    def line_up(self, state: int, since: int, tokens: int, calls: int) -> int:
        """
        Return when the last of *calls* requests for *tokens* in all is due.

        They are admitted one after the other, from *since* on.
        """
        price = self.cost * (calls if self.per_call else tokens)
        return -(
            -(max(state, since * self.ticks - self.capacity) + price) // self.ticks
        )

    def owe(self, state: int, now: int, tokens: int) -> int:
        """
        Take *tokens* at *now*, whether they are there or not.
        """
        if self.per_call:
            return state
        return max(state, now * self.ticks - self.capacity) + tokens * self.cost

    def room(self, state: int, now: int) -> int:
        """
        Return how much, in ticks, would go in until it is full.
        """
        return max(0, state - (now * self.ticks - self.capacity))

    def least(self, one: int, other: int) -> int:
        """
        Return the lesser of two rooms.
        """
        return min(one, other)

    def less(self, one: int, other: int) -> int:
        """
        Return *one* less *other*, no less than nothing.
        """
        return max(0, one - other)

    def later(self, one: int, other: int) -> int:
        """
        Return the emptier of two states.
        """
        return max(one, other)

    def is_full(self, state: int, now: int) -> bool:
        """
        Answer whether nothing more goes in at *now*.
        """
        return self.room(state, now) == 0

    def give_back(
        self, state: int, now: int, tokens: int, room: int, *, call: bool
    ) -> int:
        """
        Put *tokens* back, as far as *room* goes; with *call* the call too.
        """
        if self.per_call and not call:
            return state
        # No more than fits now, either; that of a full bucket is not moved.
        return state - min(self.price(tokens), room, self.room(state, now))

    def tokens(self, state: int, now: int) -> int:
        """
        Return how many tokens are there; negative: how many are owed.
        """
        return min(self.capacity, now * self.ticks - state) // self.cost

    def takeable(self, state: int, now: int) -> int:
        """
        Return the most that one request could take at *now*.
        """
        return max(0, self.tokens(state, now))


class Buckets:
    """
    Decide for several buckets that admit and are charged all together.

    The state is the tuple of theirs.
    """

    __slots__ = ("lines",)

    def __init__(self, lines: Sequence[Bucket]) -> None:
        self.lines = tuple(lines)

    def split(self, state: tuple[int, ...]) -> tuple[int, ...]:
        """
        Return the states of its :attr:`lines`.
        """
        return state

    def join(self, states: Sequence[int]) -> tuple[int, ...]:
        """
        Return the state made of those of its :attr:`lines`.
        """
        return tuple(states)

    def price(self, tokens: int) -> tuple[int, ...]:
        """
        Return what a request for *tokens* costs, in ticks of each bucket.
        """
        return tuple([line.price(tokens) for line in self.lines])

    def full(self, now: int) -> tuple[int, ...]:
        """
        Return the state in which every bucket is full at *now*.
        """
        return tuple([line.full(now) for line in self.lines])

    @property
    def largest(self) -> int:
        """
        The most one request can take.
        """
        return min([line.largest for line in self.lines])

    def fits(self, tokens: int) -> bool:
        """
        Answer whether *tokens* can ever be admitted.
        """
        return all(line.fits(tokens) for line in self.lines)

    def due(self, state: tuple[int, ...], tokens: int) -> int:
        """
        Return the first moment at which every bucket holds *tokens*.
        """
        return max(
            [line.due(one, tokens) for line, one in zip(self.lines, state, strict=True)]
        )

    def charge(
        self, state: tuple[int, ...], since: int, tokens: int
    ) -> tuple[int, ...]:
        """
        Take *tokens* at the first moment from *since* on that has them.

        A bucket that is full while another lacks tokens overflows until then,
        so here the moment matters. It is rounded down to a nanosecond, lest
        the bucket it was waited for lose the rest of one.
        """
        moment = since
        for line, one in zip(self.lines, state, strict=True):
            moment = max(moment, (one + line.price(tokens)) // line.ticks)
        return tuple(
            [
                line.charge(one, moment, tokens)
                for line, one in zip(self.lines, state, strict=True)
            ]
        )

    def owe(self, state: tuple[int, ...], now: int, tokens: int) -> tuple[int, ...]:
        """
        Take *tokens* at *now*, whether they are there or not.
        """
        return tuple(
            [
                line.owe(one, now, tokens)
                for line, one in zip(self.lines, state, strict=True)
            ]
        )

    def room(self, state: tuple[int, ...], now: int) -> tuple[int, ...]:
        """
        Return how much, in ticks, would go into each until it is full.
        """
        return tuple(
            [line.room(one, now) for line, one in zip(self.lines, state, strict=True)]
        )

    def least(self, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
        """
        Return the lesser of two rooms, bucket by bucket.
        """
        return tuple(map(min, one, other))

    def less(self, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
        """
        Return *one* less *other*, no less than nothing, bucket by bucket.
        """
        return tuple([max(0, a - b) for a, b in zip(one, other, strict=True)])

    def later(self, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
        """
        Return the emptier of two states, bucket by bucket.
        """
        return tuple(map(max, one, other))

    def is_full(self, state: tuple[int, ...], now: int) -> bool:
        """
        Answer whether nothing more goes into any of them at *now*.
        """
        return not any(self.room(state, now))

    def give_back(
        self,
        state: tuple[int, ...],
        now: int,
        tokens: int,
        room: tuple[int, ...],
        *,
        call: bool,
    ) -> tuple[int, ...]:
        """
        Put *tokens* back, as far as *room* goes; with *call* the call too.
        """
        return tuple(
            [
                line.give_back(one, now, tokens, rest, call=call)
                for line, one, rest in zip(self.lines, state, room, strict=True)
            ]
        )

    def tokens(self, state: tuple[int, ...], now: int) -> int:
        """
        Return how many tokens the emptiest bucket of tokens holds or owes.
        """
        pairs = list(zip(self.lines, state, strict=True))
        # Calls are another unit; they speak only where nothing else is counted.
        counted = [pair for pair in pairs if not pair[0].per_call] or pairs
        return min([line.tokens(one, now) for line, one in counted])

    def takeable(self, state: tuple[int, ...], now: int) -> int:
        """
        Return the most that one request could take at *now*.
        """
        most = None
        for line, one in zip(self.lines, state, strict=True):
            there = line.takeable(one, now)
            if line.per_call and there:
                continue
            most = there if most is None else min(most, there)
        # Only buckets that count calls: the largest request there is.
        return MAX_COUNT if most is None else most


#: Whatever admits: one bucket or several. States are opaque to everybody else.
Budget: TypeAlias = Bucket | Buckets


def budget_of(rates: Sequence[Rate]) -> Budget:
    """
    Return what decides for *rates* together.
    """
    lines = [Bucket(rate) for rate in rates]
    return lines[0] if len(lines) == 1 else Buckets(lines)


def rates_of(budget: Budget) -> tuple[Rate, ...]:
    """
    Return the rates that *budget* decides for.
    """
    return tuple([line.rate for line in budget.lines])


def carry(old: Budget, state: Any, now: int, new: Budget) -> Any:
    """
    Return the state in which *new* goes on where *old* stands.

    Levels are kept in tokens, debts included, rounded down, and no more than
    fits; a bucket that is added starts empty: nothing is minted.
    """
    states = old.split(state)
    parts = []
    for line, index in _succession(old, new):
        level = 0
        if index is not None:
            before = old.lines[index]
            level = min(before.capacity, now * before.ticks - states[index])
            level = min(line.capacity, level * line.cost // before.cost)
        parts.append(now * line.ticks - level)
    return new.join(parts)


def carry_room(old: Budget, room: Any, new: Budget) -> Any:
    """
    Return *room*, in ticks of *old*, in those of *new*.

    Nothing goes back into a bucket that was added: it was not charged.
    """
    rooms = old.split(room)
    return new.join(
        [
            0 if index is None else rooms[index] * line.cost // old.lines[index].cost
            for line, index in _succession(old, new)
        ]
    )


def _succession(old: Budget, new: Budget) -> list[tuple[Bucket, int | None]]:
    chosen = successors(rates_of(old), rates_of(new))
    return list(zip(new.lines, chosen, strict=True))
