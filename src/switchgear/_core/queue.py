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

import weakref

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from switchgear._core.place import Status
from switchgear._core.rooms import Room, Rooms
from switchgear._core.token_bucket import Bucket, carry


if TYPE_CHECKING:
    from switchgear._core.place import Place
    from switchgear._core.token_bucket import Budget


#: How late a waiter's timer may be without the tokens of that time being lost
#: to those behind it, in nanoseconds.
SLACK = 2_000_000


class _Plan:
    """
    Remember what follows from the queue as it stands.

    Another one takes its place with every change. Whoever was working one out
    when a signal handler changed the queue does so in vain, but not wrongly.
    """

    __slots__ = ("front", "tail")

    def __init__(
        self, front: tuple[Place, int] | None, tail: tuple[Budget, Any] | None
    ) -> None:
        #: The first on whose place somebody waits, and its turn, if known.
        self.front = front
        #: The state after everybody, if known, and whose it is. Only for
        #: several buckets.
        self.tail = tail


class Queue:
    """
    Hold the state of a budget and everybody who waits for it.

    Every operation is told the time now, and times never go back.
    """

    __slots__ = (
        "_attended",
        "_entered",
        "_plan",
        "_rooms",
        "_sifts",
        "_since",
        "admitted",
        "budget",
        "closed",
        "max_waiters",
        "paused_until",
        "places",
        "queued_tokens",
        "refused",
        "state",
        "waited",
        "waiting",
    )

    def __init__(
        self, budget: Budget, now: int, max_waiters: int | None = None
    ) -> None:
        self.budget = budget
        #: How many places it may hold, or None; whoever enters one sees to that.
        self.max_waiters = max_waiters
        self.state: Any = budget.full(now)
        self.places: OrderedDict[Place, None] = OrderedDict()
        #: How many places there are: without a call, unlike len().
        self.waiting = 0
        #: What all places together will take.
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
        #: Whether there may be places that can never be admitted any more.
        self._sifts = False
        #: How many of the places have a waiter.
        self._attended = 0
        #: How many places were ever put into it.
        self._entered = 0
        self._plan: _Plan | None = None
        self._rooms = Rooms()

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
            room = None if place is None else Room(budget, tokens, place)
            link = None if room is None else weakref.ref(room)
            previous = self._rooms.newest()
            # No call from here on: see the top of this file.
            if (
                self.state is state
                and self.budget is budget
                and not self.places
                and now >= self.paused_until
                and self.closed is None
            ):
                self.state = after
                self.admitted += 1
                if place is not None:
                    place.since = place.turned = now
                    place.room = room
                    place.status = Status.GRANTED
                    self._rooms.link = link
                    if previous is not None:
                        previous.next = room
                self._rooms.add(link)
                return True
        return False

    def turn(self, now: int, tokens: int) -> int:
        """
        Return when a newcomer's *tokens* would be granted as things stand.
        """
        since = max(self._since if self.places else now, self.paused_until)
        budget, state = self.budget, self.state
        if isinstance(budget, Bucket):
            # One bucket gives the last its turn when there is enough for all
            # of them, however that is shared out.
            tokens += self.queued_tokens
            calls = len(self.places) + 1
            return max(since, budget.line_up(state, since, tokens, calls))
        if self.places:
            budget, state = self._after_all(since)
        return _turn_in(budget, state, since, tokens)

    def turn_of(self, place: Place) -> int:
        """
        Return when the queued *place* will be granted as things stand.
        """
        since = max(self._since, self.paused_until)
        ahead = self._ahead_of(place)
        budget, state = self.budget, self.state
        if isinstance(budget, Bucket):
            tokens = sum([other.asks + other.owes for other in ahead]) + place.asks
            calls = len(ahead) + 1
            return max(since, budget.line_up(state, since, tokens, calls))
        for other in ahead:
            state = _charged(budget, state, since, other)
        return _turn_in(budget, state, since, place.asks)

    def first(self) -> Place | None:
        """
        Return who is next.
        """
        # Unlike next(iter(...)), no call: nobody can change it in between.
        for place in self.places:
            return place
        return None

    def front(self) -> tuple[Place, int] | None:
        """
        Return the first on whose place somebody waits, and its turn.
        """
        if not self._attended:
            return None
        plan = self._the_plan()
        place = self._first_attended() if plan.front is None else None
        if place is not None:
            plan.front = place, self.turn_of(place)
        return plan.front

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

    def _first_attended(self) -> Place | None:
        first = self.first()
        if first is None or first.waiter is not None:
            return first
        # A copy: a signal handler may change the queue meanwhile.
        return next((p for p in tuple(self.places) if p.waiter is not None), None)

    def _ahead_of(self, place: Place) -> list[Place]:
        ahead: list[Place] = []
        if self.first() is not place:
            # A copy: a signal handler may change the queue meanwhile.
            for other in tuple(self.places):
                if other is place:
                    break
                ahead.append(other)
        return ahead

    def _the_plan(self) -> _Plan:
        fresh = _Plan(None, None)
        # No call from here on: see the top of this file.
        if self._plan is None:
            self._plan = fresh
        return self._plan

    def _after_all(self, since: int) -> tuple[Budget, Any]:
        plan = self._the_plan()
        if plan.tail is None:
            budget, state = self.budget, self.state
            for place in tuple(self.places):
                state = _charged(budget, state, since, place)
            plan.tail = budget, state
        return plan.tail

    # Coming and going

    def enter(self, now: int, place: Place, budget: Budget) -> bool:
        """
        Put *place* at the end of the queue.

        Unless it was closed, or has another budget than the one the place was
        compared with: then it does nothing, and answers False.
        """
        since = max(self._since, self.paused_until)
        plan, fresh = self._plan, None
        if plan is not None:
            tail = plan.tail
            if tail is not None:
                planned, state = tail
                tail = planned, _charged(planned, state, since, place)
            fresh = _Plan(plan.front, tail)
        # No call from here on: see the top of this file.
        if self.closed is not None or self.budget is not budget:
            return False
        if not self.places:
            self._since = now
            fresh = None
        self._plan = fresh if self._plan is plan else None
        self._entered += 1
        place.number = self._entered
        place.since = now
        place.status = Status.QUEUED
        self.places[place] = None
        self.waiting += 1
        self.queued_tokens += place.tokens
        if place.waiter is not None:
            self._attended += 1
        return True

    def attend(self, now: int, place: Place, waiter: Any) -> bool:
        """
        Let *waiter* wait on the queued *place*, from now on.

        Answers whether it was still in the queue, and nobody waited on it.
        """
        if place.status is not Status.QUEUED or place.waiter is not None:
            return False
        place.waiter = waiter
        place.since = now
        self._attended += 1
        self._plan = None
        return True

    def serve(self, now: int, decided: list[Place] | None = None) -> list[Place]:
        """
        Send away who can never be admitted; grant, in order, whose turn has come.

        Returns them, and those whose deadline had come before it. Each is put
        into *decided*, if given, as it is decided on: an interruption forgets
        nobody.
        """
        if decided is None:
            decided = []
        if self._sifts:
            self._sift(now, decided)
        while (place := self._due_place(now)) is not None:
            self._decide_on(now, place, decided)
        return decided

    def _sift(self, now: int, decided: list[Place]) -> None:
        # A copy: a signal handler may change the queue meanwhile.
        for place in tuple(self.places):
            status = None
            if self.closed is not None:
                status = Status.CLOSED
            elif not self.budget.fits(place.asks):
                status = Status.TOO_LARGE
            if status is not None:
                self.leave(now, place, status, decided)
        # Last: whoever is interrupted before, or comes next, starts over.
        self._sifts = False

    def _decide_on(self, now: int, place: Place, decided: list[Place]) -> None:
        """
        Grant the due *place* if it is in time, unless it changes just now.
        """
        budget, state, plan = self.budget, self.state, self._plan
        since = on_time = max(self._since, self.paused_until)
        turned = max(on_time, budget.due(state, place.asks))
        if turned > place.deadline:
            self.leave(place.deadline, place, Status.LATE, decided)
            return
        waiter, settled = place.waiter, place.settled
        if waiter is not None:
            # Lateness within the slack is credited, more is not made up.
            # Where nobody waits nobody is late: it turned exactly in time.
            since = max(on_time, now - SLACK)
            turned = now
        # As of the turn, which may be long ago: by now it would look fuller than
        # it ever was.
        self._note_room(turned)
        after = _charged(budget, state, since, place)
        fresh = None
        if plan is not None and (
            since == on_time or after == _charged(budget, state, on_time, place)
        ):
            # Not so late that the others are granted later than was planned.
            fresh = _Plan(plan.front if waiter is None else None, plan.tail)
        # What was settled before its turn costs what it is charged.
        room = Room(budget, place.tokens, place) if settled is None else None
        link = None if room is None else weakref.ref(room)
        previous = self._rooms.newest()
        # No call from here on: see the top of this file.
        if (
            self.state is not state
            or self.budget is not budget
            or now < self.paused_until
            or place.status is not Status.QUEUED
            or place.waiter is not waiter
            or place.settled is not settled
        ):
            return
        self.state = after
        place.status = Status.GRANTED
        place.turned = turned
        place.room = room
        if room is not None:
            self._rooms.link = link
            if previous is not None:
                previous.next = room
        self.queued_tokens -= place.asks + place.owes
        self.admitted += 1
        if waiter is not None:
            self.waited += turned - place.since
            self._attended -= 1
        self._plan = fresh if self._plan is plan else None
        del self.places[place]
        self.waiting -= 1
        decided += [place]
        self._rooms.add(link)

    def leave(
        self,
        now: int,
        place: Place,
        status: Status = Status.LEFT,
        decided: list[Place] | None = None,
    ) -> bool:
        """
        Give up the queued *place*: those behind it move up.

        Answers whether it was still in the queue; then it is put into *decided*.
        """
        is_first = self.first() is place
        # No call from here on: see the top of this file.
        if place.status is not Status.QUEUED:
            return False
        place.status = status
        self.queued_tokens -= place.asks + place.owes
        if status is Status.CLOSED or status is Status.TOO_LARGE:
            self.refused += 1
        if place.waiter is not None:
            self._attended -= 1
        if is_first and self._since < now:
            # Whoever was behind it could not have been admitted before now.
            self._since = now
        self._plan = None
        del self.places[place]
        self.waiting -= 1
        if decided is not None:
            # No call either.
            decided += [place]
        return True

    # Operating: what is told of a change goes to the news with it, without a call in
    # between. So whatever a signal handler changes is told before both, or after.
    # Without news, it is told to nobody.

    def pause(self, until: int, news: Any = (), events: tuple[Any, ...] = ()) -> None:
        """
        Admit nobody before *until*; add *events* to *news* if that is later.
        """
        if until > self.paused_until:
            self.paused_until = until
            self._plan = None
            news += events

    def close(
        self,
        reason: str,
        waiting: int | None = None,
        news: Any = (),
        events: tuple[Any, ...] = (),
    ) -> bool:
        """
        Admit nobody any more; whoever is queued is sent away when served.

        Adds *events* to *news* if it was not closed yet. Answers False, and does
        nothing, if there are not so many *waiting* as they say.
        """
        # No call from here on: see the top of this file.
        if waiting is not None and self.waiting != waiting:
            return False
        was_closed = self.closed
        self._sifts = True
        self.closed = reason
        if was_closed is None:
            news += events
        return True

    def reopen(self, news: Any = (), events: tuple[Any, ...] = ()) -> None:
        """
        Admit again; add *events* to *news* if it was closed.
        """
        was_closed = self.closed
        self.closed = None
        if was_closed is not None:
            news += events

    def reconfigure(
        self,
        now: int,
        budget: Budget,
        max_waiters: int | None = None,
        expected: tuple[Budget, int | None] | None = None,
        news: Any = (),
        events: tuple[Any, ...] = (),
    ) -> bool:
        """
        Go on with *budget* and *max_waiters*, and add *events* to *news*.

        Whoever asks too much for another budget is sent away when served. Answers
        False, and does nothing, if it is not the *expected* two that they take the
        place of.
        """
        while True:
            old, most, state = self.budget, self.max_waiters, self.state
            if expected is not None and (old, most) != expected:
                return False
            if budget is old:
                # No call since the look.
                self.max_waiters = max_waiters
                news += events
                return True
            self._note_room(now)
            after = carry(old, state, now, budget)
            # Samples from here on are in the ticks of the new budget.
            room = Room(budget, 0, None)
            link = weakref.ref(room)
            previous = self._rooms.newest()
            # No call from here on: see the top of this file.
            if self.state is state and self.budget is old and self.max_waiters == most:
                self.budget = budget
                self.max_waiters = max_waiters
                self.state = after
                self._rooms.link = link
                if previous is not None:
                    previous.next = room
                self._since = now
                self._sifts = True
                self._plan = None
                news += events
                return True

    def refill(self, now: int) -> None:
        """
        Start anew, with a full bucket and no pause; the queue stays.
        """
        while True:
            budget = self.budget
            full = budget.full(now)
            # No call from here on: see the top of this file.
            if self.budget is budget:
                self.state = full
                self.paused_until = 0
                self.admitted = self.refused = self.waited = 0
                self._since = now
                self._plan = None
                return

    def forget(self) -> None:
        """
        Leave everybody in the queue to the parent of this forked process.
        """
        for place in self.places:
            # Somebody may hold it here, too: a reservation, or whoever forked.
            place.status = Status.LEFT
        self.places = OrderedDict()
        self.waiting = self.queued_tokens = self._attended = 0
        self._plan = None

    def _due_place(self, now: int) -> Place | None:
        place = self.first()
        if place is None or now < self.paused_until:
            return None
        return place if self.budget.due(self.state, place.asks) <= now else None

    # What was booked

    def undo(self, now: int, place: Place) -> None:
        """
        Take the grant of *place* back: its owner left without making the call.
        """
        self._amend(now, place, 0, Status.LEFT)

    def settle(self, now: int, place: Place, actual: int) -> bool:
        """
        Make *place* cost *actual* tokens; only the first to say so decides.
        """
        asks = min(actual, place.tokens)
        is_first = self.first() is place
        # No call from here on: see the top of this file.
        if place.status is not Status.QUEUED or place.settled is not None:
            return self._amend(now, place, actual, Status.GRANTED)
        # It stays where it is, but takes what it costs: less comes earlier, of
        # more the rest becomes debt at its turn.
        place.settled = actual
        place.asks = asks
        place.owes = actual - asks
        self.queued_tokens += actual - place.tokens
        if is_first and self._since < now:
            self._since = now
        self._plan = None
        return True

    def bookings(self) -> bool:
        """
        Answer whether any booking is alive that could still go back.
        """
        return self._rooms.newest() is not None

    def _amend(self, now: int, place: Place, actual: int, status: Status) -> bool:
        undone = status is Status.LEFT
        while place.status is Status.GRANTED and (undone or place.settled is None):
            budget, state, room = self.budget, self.state, place.room
            self._note_room(now)
            after: Any = state
            if room is not None and actual > place.tokens:
                after = budget.owe(state, now, actual - place.tokens)
            elif room is not None:
                back = place.tokens - actual
                left = room.left_for(budget)
                after = budget.give_back(state, now, back, left, call=undone)
            # No call from here on: see the top of this file.
            if self.state is state and self.budget is budget and place.room is room:
                self.state = after
                place.status = status
                if place.settled is None:
                    place.settled = actual
                # It decides nothing any more, so no samples need be noted.
                place.room = None
                if undone:
                    self.admitted -= 1
                self._since = now
                self._plan = None
                if room is not None:
                    # Last: started over, it would be done twice. A handler that
                    # gives something back just now still has the old room.
                    room.lower(budget, budget.less(state, after))
                return True
        return False

    def _note_room(self, now: int) -> None:
        while (room := self._rooms.newest()) is not None:
            budget, state, least = self.budget, self.state, room.least
            if room.budget is not budget:
                # A signal handler has just reconfigured it.
                continue
            sample: Any = budget.room(state, now)
            if least is not None:
                sample = budget.least(least, sample)
            # No call from here on: see the top of this file.
            if room.least is least:
                room.least = sample
                return


def _charged(budget: Budget, state: Any, since: int, place: Place) -> Any:
    after: Any = budget.charge(state, since, place.asks)
    return budget.owe(after, since, place.owes) if place.owes else after


def _turn_in(budget: Budget, state: Any, since: int, tokens: int) -> int:
    full: Any = budget.full(since)
    capped: Any = budget.later(state, full)
    return max(since, budget.due(capped, tokens))
