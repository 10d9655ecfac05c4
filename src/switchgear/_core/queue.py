"""
One queue for everybody who waits for tokens: who is next, and when.

Deterministic: it is told the time, and never reads a clock, locks or sleeps.
Whoever holds it guards it with a re-entrant lock, because a signal handler
may use the queue it interrupts. Signal handlers, and exceptions such as
KeyboardInterrupt, come in after calls and at the end of loop bodies. So every
change is computed first and then made in one run of plain stores without a
call, after a look at whether what it was computed from still holds.
"""

from __future__ import annotations

import enum
import weakref

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from switchgear._core.token_bucket import Bucket, carry, carry_room


if TYPE_CHECKING:
    from collections.abc import Callable

    from switchgear._core.token_bucket import Budget


#: How late a waiter's timer may be without the tokens of that time being lost
#: to those behind it, in nanoseconds.
SLACK = 2_000_000

#: Later than any moment.
NEVER = 1 << 100


class Status(enum.Enum):
    """
    Name what can become of a place in the queue.
    """

    #: It was not put into the queue.
    NEW = "new"
    QUEUED = "queued"
    #: Its turn came and it was charged.
    GRANTED = "granted"
    #: Its owner left, before the turn or after it.
    LEFT = "left"
    #: Its deadline came before its turn.
    LATE = "late"
    #: It can never be admitted any more: the burst was lowered.
    TOO_LARGE = "too large"
    #: The limiter was closed.
    CLOSED = "closed"


class Room:
    """
    Keep how much of one booking may still go back.

    A booking that is given back after its turn must not make the bucket
    fuller than if it had never been made: what the bucket would have lost
    meanwhile, being full, is lost. So at most the least room goes back that
    there was in the bucket since. Samples are noted in the newest Room only;
    older ones lead to newer ones, so that a Room lives as long as a booking
    that could ask for it, and nobody keeps a list of bookings.
    """

    __slots__ = ("__weakref__", "budget", "least", "next", "price")

    def __init__(self, budget: Budget, tokens: int) -> None:
        self.budget = budget
        #: What the booking itself cost.
        self.price: Any = budget.price(tokens)
        #: The least room while this was the newest, or None: no sample.
        self.least: Any = None
        self.next: Room | None = None

    def left_for(self, budget: Budget) -> Any:
        """
        Return how much may go back into *budget*, the present one, in ticks.
        """
        left = self.price
        room: Room | None = self
        previous = self.budget
        while room is not None:
            if room.budget is not previous:
                left = carry_room(previous, left, room.budget)
                previous = room.budget
            if room.least is not None:
                left = previous.least(left, room.least)
            room = room.next
        return left if previous is budget else carry_room(previous, left, budget)


class Place:
    """
    Stand in the queue for some tokens.
    """

    __slots__ = (
        "deadline",
        "room",
        "settled",
        "since",
        "status",
        "tokens",
        "turned",
        "vigilant",
        "waiter",
    )

    def __init__(self, tokens: int, waiter: Any = None) -> None:
        self.tokens = tokens
        #: Whoever wakes its owner, or None: nobody waits on it.
        self.waiter = waiter
        self.status = Status.NEW
        #: When it was put into the queue.
        self.since = 0
        #: When its owner will have given up.
        self.deadline = NEVER
        #: When it was granted; of one that was late, when it would have been.
        self.turned = 0
        #: Whether its waiter looks after the first in the queue, whose own
        #: waiter was found to oversleep.
        self.vigilant = False
        #: How much of it may go back.
        self.room: Room | None = None
        #: What it costs in the end, once that is known.
        self.settled: int | None = None


class Queue:
    """
    Hold the state of a budget and everybody who waits for it.

    Every operation is told the time now, and times never go back.
    """

    __slots__ = (
        "_newest",
        "_since",
        "_tail",
        "admitted",
        "budget",
        "closed",
        "paused_until",
        "places",
        "queued_tokens",
        "refused",
        "state",
        "waited",
    )

    def __init__(self, budget: Budget, now: int) -> None:
        self.budget = budget
        self.state: Any = budget.full(now)
        self.places: OrderedDict[Place, None] = OrderedDict()
        #: The tokens of all places together.
        self.queued_tokens = 0
        self.paused_until = 0
        #: Why it is closed, or None.
        self.closed: str | None = None
        #: Calls admitted and refused, and the nanoseconds waited by the former.
        self.admitted = 0
        self.refused = 0
        self.waited = 0
        #: The last time anything but a grant changed: the first in the queue
        #: could not have been admitted before.
        self._since = now
        #: The state after everybody in the queue, if known. Several buckets only.
        self._tail: Any = None
        self._newest: weakref.ref[Room] | None = None

    # Who is next

    def take(self, now: int, tokens: int, place: Place | None = None) -> bool:
        """
        Charge *tokens* at once if nobody queues and they are there.

        With a new *place* they are booked: they can be given back.
        """
        while self._is_free(now):
            budget, state = self.budget, self.state
            if budget.due(state, tokens) > now:
                break
            self._note_room(now)
            after = budget.charge(state, now, tokens)
            room, link, previous = None, self._newest, None
            if place is not None:
                room, link, previous = self._new_room(tokens)
            # No call from here on: see the top of this file.
            if self.state is state and self.budget is budget and not self.places:
                self.state = after
                self.admitted += 1
                self._newest = link
                if place is not None:
                    place.since = place.turned = now
                    place.room = room
                    place.status = Status.GRANTED
                if previous is not None:
                    previous.next = room
                return True
        return False

    def turn(self, now: int, tokens: int) -> int:
        """
        Return when a newcomer's *tokens* would be granted as things stand.
        """
        since = max(self._since if self.places else now, self.paused_until)
        budget = self.budget
        if isinstance(budget, Bucket):
            # One bucket gives the last its turn when there is enough for all
            # of them, however that is shared out.
            tokens += self.queued_tokens
            calls = len(self.places) + 1
            return max(since, budget.line_up(self.state, since, tokens, calls))
        state = self._after_all(since) if self.places else self.state
        return self._turn_in(state, since, tokens)

    def turn_of(self, place: Place) -> int:
        """
        Return when the queued *place* will be granted as things stand.
        """
        since = max(self._since, self.paused_until)
        ahead: list[Place] = []
        for other in self.places:
            if other is place:
                break
            ahead.append(other)
        budget = self.budget
        if isinstance(budget, Bucket):
            tokens = sum([other.tokens for other in ahead]) + place.tokens
            calls = len(ahead) + 1
            return max(since, budget.line_up(self.state, since, tokens, calls))
        state = self.state
        for other in ahead:
            state = budget.charge(state, since, other.tokens)
        return self._turn_in(state, since, place.tokens)

    def first(self) -> Place | None:
        """
        Return who is next.
        """
        return next(iter(self.places), None)

    def first_waiting(self) -> Place | None:
        """
        Return the first on whose place somebody waits.
        """
        for place in self.places:
            if place.waiter is not None:
                return place
        return None

    def available(self, now: int) -> int:
        """
        Return how many tokens are there; negative: how many are owed.
        """
        return self.budget.tokens(self.state, now)

    def takeable(self, now: int) -> int:
        """
        Return the most that a newcomer could take at once.
        """
        return self.budget.takeable(self.state, now) if self._is_free(now) else 0

    def is_idle(self, now: int) -> bool:
        """
        Answer whether a new queue would behave the same from now on.
        """
        return (
            self._is_free(now)
            and not self.bookings()
            and self.budget.is_full(self.state, now)
        )

    def _is_free(self, now: int) -> bool:
        return not self.places and now >= self.paused_until and self.closed is None

    def _turn_in(self, state: Any, since: int, tokens: int) -> int:
        full = self.budget.full(since)
        return max(since, self.budget.due(self.budget.later(state, full), tokens))

    def _after_all(self, since: int) -> Any:
        if self._tail is None:
            state = self.state
            for place in self.places:
                state = self.budget.charge(state, since, place.tokens)
            self._tail = state
        return self._tail

    # Coming and going

    def enter(self, now: int, place: Place) -> None:
        """
        Put *place* at the end of the queue.
        """
        since = max(self._since, self.paused_until)
        tail = None
        if self.places and self._tail is not None:
            tail = self.budget.charge(self._tail, since, place.tokens)
        # No call from here on: see the top of this file.
        if not self.places:
            self._since = now
        self._tail = tail
        place.since = now
        place.status = Status.QUEUED
        self.places[place] = None
        self.queued_tokens += place.tokens

    def serve(self, now: int) -> list[Place]:
        """
        Grant, in order, everybody whose turn has come; return them.
        """
        granted: list[Place] = []
        while (place := self._due_place(now)) is not None:
            budget, state, tail = self.budget, self.state, self._tail
            since = on_time = max(self._since, self.paused_until)
            turned = max(on_time, budget.due(state, place.tokens))
            waited = 0
            if place.waiter is not None:
                # Lateness within the slack is credited, more is not made up.
                # Where nobody waits nobody is late: it turned exactly in time.
                since = max(on_time, now - SLACK)
                turned = max(turned, now)
                waited = turned - place.since
            self._note_room(now)
            after = budget.charge(state, since, place.tokens)
            if tail is not None and since != on_time:
                exact = budget.charge(state, on_time, place.tokens)
                tail = tail if after == exact else None
            room, link, previous = self._new_room(place.tokens)
            # No call from here on: see the top of this file.
            if (
                self.state is state
                and self.budget is budget
                and place.status is Status.QUEUED
            ):
                self.state = after
                place.status = Status.GRANTED
                place.turned = turned
                place.room = room
                self._newest = link
                if previous is not None:
                    previous.next = room
                self.queued_tokens -= place.tokens
                self.admitted += 1
                self.waited += waited
                self._tail = tail
                del self.places[place]
                granted.append(place)
                if place.settled is not None:
                    self._settle(now, place, place.settled)
        return granted

    def leave(self, now: int, place: Place, status: Status = Status.LEFT) -> bool:
        """
        Give up the queued *place*: those behind it move up.

        Answers whether it was still in the queue.
        """
        # Whoever was behind the first could not have been admitted before now.
        since = max(self._since, now) if self.first() is place else self._since
        # No call from here on: see the top of this file.
        if place.status is not Status.QUEUED:
            return False
        place.status = status
        self.queued_tokens -= place.tokens
        self._since = since
        self._tail = None
        del self.places[place]
        return True

    def pause(self, until: int) -> None:
        """
        Admit nobody before *until*.
        """
        if until > self.paused_until:
            self.paused_until = until
            self._tail = None

    def close(self, now: int, reason: str) -> list[Place]:
        """
        Send everybody away, now and later; return those who were queued.
        """
        self.closed = reason
        return [p for p in list(self.places) if self.leave(now, p, Status.CLOSED)]

    def reopen(self, now: int) -> bool:
        """
        Admit again; answer whether it was closed.
        """
        was_closed = self.closed is not None
        self.closed = None
        self._since = max(self._since, now)
        return was_closed

    def reconfigure(self, now: int, budget: Budget) -> list[Place]:
        """
        Go on with *budget*; return those who can never be admitted any more.
        """
        while True:
            old, state = self.budget, self.state
            self._note_room(now)
            after = carry(old, state, now, budget)
            # Samples from here on are in the ticks of the new budget.
            room, link, previous = self._new_room(0, budget)
            # No call from here on: see the top of this file.
            if self.state is state and self.budget is old:
                self.budget = budget
                self.state = after
                self._newest = link
                if previous is not None:
                    previous.next = room
                self._since = now
                self._tail = None
                break
        return [
            place
            for place in list(self.places)
            if not budget.fits(place.tokens)
            and self.leave(now, place, Status.TOO_LARGE)
        ]

    def refill(self, now: int) -> None:
        """
        Start anew, with a full bucket and no pause; the queue stays.
        """
        full = self.budget.full(now)
        self.state = full
        self.paused_until = 0
        self.admitted = self.refused = self.waited = 0
        self._since = now
        self._tail = None

    def forget(self, now: int) -> None:
        """
        Leave everybody in the queue to the parent of this forked process.
        """
        for place in self.places:
            # Also those of the thread that forked: they are not to come here.
            place.status = Status.LEFT
        self.places = OrderedDict()
        self.queued_tokens = 0
        self._since = now
        self._tail = None

    def _due_place(self, now: int) -> Place | None:
        place = self.first()
        if place is None or now < self.paused_until:
            return None
        return place if self.budget.due(self.state, place.tokens) <= now else None

    # What was booked

    def undo(self, now: int, place: Place) -> None:
        """
        Take the grant of *place* back: its owner left without making the call.
        """
        if place.status is Status.GRANTED:
            place.status = Status.LEFT
            self.admitted -= 1
            self._give_back(now, place, place.tokens, call=True)

    def settle(self, now: int, place: Place, actual: int) -> bool:
        """
        Make *place* cost *actual* tokens; only the first to say so decides.
        """
        if place.settled is not None or place.status not in {
            Status.QUEUED,
            Status.GRANTED,
        }:
            return False
        place.settled = actual
        if place.status is Status.GRANTED:
            self._settle(now, place, actual)
        return True

    def bookings(self) -> bool:
        """
        Answer whether any booking is alive that could still go back.
        """
        return self._newest is not None and self._newest() is not None

    def _settle(self, now: int, place: Place, actual: int) -> None:
        if place.room is None:
            return
        if actual > place.tokens:
            more = actual - place.tokens
            self._change(now, lambda state: self.budget.owe(state, now, more))
        elif actual < place.tokens:
            self._give_back(now, place, place.tokens - actual, call=False)
        # It decides nothing any more, so no samples need be noted for it.
        place.room = None

    def _give_back(self, now: int, place: Place, tokens: int, *, call: bool) -> None:
        if place.room is None:
            return
        left = place.room.left_for(self.budget)
        place.room = None
        self._change(
            now,
            lambda state: self.budget.give_back(state, now, tokens, left, call=call),
        )

    def _change(self, now: int, change: Callable[[Any], Any]) -> None:
        while True:
            state = self.state
            self._note_room(now)
            after = change(state)
            if self.state is state:
                self.state = after
                self._since = now
                self._tail = None
                return

    def _new_room(
        self, tokens: int, budget: Budget | None = None
    ) -> tuple[Room, weakref.ref[Room], Room | None]:
        room = Room(budget or self.budget, tokens)
        previous = None if self._newest is None else self._newest()
        return room, weakref.ref(room), previous

    def _note_room(self, now: int) -> None:
        room = None if self._newest is None else self._newest()
        if room is not None:
            sample = self.budget.room(self.state, now)
            least = room.least
            room.least = sample if least is None else room.budget.least(least, sample)
