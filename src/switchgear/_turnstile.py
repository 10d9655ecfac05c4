"""
A lock and a clock around one queue.

Every visit to the queue is one locked section: whoever is due is served, then
the visitor does what it came for. Woken and told is after the lock.
"""

from __future__ import annotations

import math
import sys

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from switchgear import _bypass
from switchgear._clock import MONOTONIC, TimerClock, checked_clock
from switchgear._core.place import NEVER, Status
from switchgear._core.queue import SLACK, Queue
from switchgear._core.token_bucket import Bucket, budget_of
from switchgear._decision import Decision, to_seconds
from switchgear._instance import Instance
from switchgear._validate import nanoseconds
from switchgear._waiting import (
    NOTHING,
    ClockWaiter,
    Crew,
    Sight,
    TaskWaiter,
    ThreadWaiter,
    wait_in_loop,
    wait_in_thread,
)
from switchgear.errors import BurstExceeded, RateLimitExceeded
from switchgear.events import (
    LimiterPaused,
    LoopBlocked,
    RateLimitRefused,
    RateLimitWaited,
)


if TYPE_CHECKING:
    import asyncio

    from collections.abc import Callable

    from switchgear._clock import Clock
    from switchgear._core.place import Place
    from switchgear._core.rate import Rate
    from switchgear._waiting import Waiter
    from switchgear.events import Event


T = TypeVar("T")

_LATE: Final = "the turn did not come in time"


class Turnstile(Instance):
    """
    Let callers through the queue of a limiter, one visit at a time.
    """

    __slots__ = (
        "_ahead",
        "_asked_until",
        "_capacity",
        "_clock",
        "_cost",
        "_crews",
        "_epoch",
        "_floor",
        "_last",
        "_queue",
        "_said_blocked",
        "_ticks",
        "_timers",
    )

    def __init__(
        self,
        name: str | None,
        rates: tuple[Rate, ...],
        max_waiters: int | None,
        clock: Clock | None,
    ) -> None:
        self._clock = checked_clock(clock)
        #: The clock again, if waits must follow it instead of sleeping.
        self._timers = self._clock if isinstance(self._clock, TimerClock) else None
        self._last = self._clock.monotonic_ns()
        #: What the clock says at the queue's time zero. Moved when the clock
        #: steps back, so that the queue's time never does.
        self._epoch = self._last
        #: How far that time went on while the clock stood still.
        self._ahead = 0
        self._queue = Queue(budget_of(rates), 0, max_waiters)
        self._crews: dict[asyncio.AbstractEventLoop, Crew] = {}
        self._said_blocked = False
        #: Until when a server asked to be left alone, if for longer than it got.
        self._asked_until = 0
        #: A reading from here on may take the short way through try_acquire:
        #: one bucket, nobody queues, no pause, the clock did not step back.
        self._floor = NEVER
        #: Those of that bucket.
        self._ticks = self._cost = self._capacity = 1
        # Last: from here on a fork finds it, and it is complete.
        super().__init__(name)
        self._clear_the_way(0)

    # Visits to the queue, each under the lock

    def _visit(
        self,
        act: Callable[[int, list[Place]], T],
        looker: Place | None = None,
        sight: Sight = NOTHING,
        slept: int = 0,
    ) -> T:
        """
        Serve whoever is due, *act*, serve again; then wake and tell.

        *act* is given the queue's time and the list of those to be woken.
        *looker* is the queued place whose owner comes to look. *slept* is how
        many nanoseconds the visitor slept since its last *sight*.
        """
        woken: list[Place] = []
        nudged: Place | None = None
        is_whole = True
        # Before the lock: a call inside a locked section makes convoys.
        reading = self._clock.monotonic_ns()
        try:
            with self._lock:
                now = self._now(reading)
                is_whole = False
                if slept:
                    now = self._awoken(now, sight, slept)
                if looker is not None:
                    self._keep_watch(now, looker)
                self._serve(now, woken)
                try:
                    result = act(now, woken)
                finally:
                    # Also when refused: a place may have been given up for it.
                    self._serve(now, woken)
                    nudged = self._overslept(looker)
                    self._clear_the_way(now)
                    is_whole = True
        finally:
            try:
                self._tell(woken, nudged)
                if not is_whole:
                    # Interrupted before all were sent away who are to be, or before
                    # it was known whose timer is late now.
                    self._visit(_nothing)
            except BaseException:
                # Interrupted: some may not have been told. Who is told twice looks
                # once more.
                self._tell(woken, nudged)
                raise
        return result

    def _now(self, reading: int) -> int:
        """
        Return the queue's time at *reading* of the clock.

        Whoever goes the short way notes their reading in the floor; while
        somebody is here there is no short way.
        """
        behind = -1
        while True:
            last, floor = self._last, self._floor
            if last < floor < NEVER:
                last = floor
            if reading >= last or behind == last:
                break
            # Overtaken: on the way to the lock, or just now by a signal handler.
            # If nobody was here since the reading, the clock has stepped back.
            behind = last
            reading = self._clock.monotonic_ns()
        # No call since the last look: see the top of _core/queue.py.
        self._floor = NEVER
        if reading < last:
            self._epoch -= last - reading
            self._ahead = 0
        elif self._ahead:
            # A coarse clock makes up for what was slept between its ticks.
            step = reading - last
            if step > self._ahead:  # noqa: PLR1730 -- without a call
                step = self._ahead
            self._epoch += step
            self._ahead -= step
        self._last = reading
        return reading - self._epoch

    def _clear_the_way(self, now: int) -> None:
        """
        Open the short way through try_acquire, if there is nothing in it.
        """
        queue = self._queue
        bucket, state = queue.budget, queue.state
        if not isinstance(bucket, Bucket):
            self._floor = NEVER
            return
        clear = (
            not bucket.per_call and self._clock is MONOTONIC and not queue.bookings()
        )
        # No call from here on: see the top of _core/queue.py.
        self._floor = NEVER
        if (
            clear
            and not queue.places
            and queue.paused_until <= now
            and not self._ahead
            and not _bypass.active
            and queue.closed is None
            and queue.state is state
            and queue.budget is bucket
        ):
            self._ticks = bucket.ticks
            self._cost = bucket.cost
            self._capacity = bucket.capacity
            self._floor = self._last

    def _serve(self, now: int, woken: list[Place]) -> None:
        known = len(woken)
        self._queue.serve(now, woken)
        for place in woken[known:]:
            if place.status is Status.LATE:
                self._note_late(now, place)
            elif (
                place.status is Status.GRANTED
                and place.waiter is not None
                and self._outbox.wants(RateLimitWaited)
            ):
                self._put(
                    RateLimitWaited,
                    now,
                    limiter=self._name,
                    tokens=place.tokens,
                    waited=(place.turned - place.since) / 1e9,
                )

    def _awoken(self, now: int, sight: Sight, slept: int) -> int:
        """
        Return the time it is for somebody who *slept* since that *sight*.
        """
        if self._last == sight.reading:
            # The clock stands still (freezegun stops it), the time does not.
            stalled = sight.now + slept - now
            if stalled > 0:
                self._epoch -= stalled
                self._ahead += stalled
                now += stalled
        return now

    def _keep_watch(self, now: int, looker: Place) -> None:
        """
        Let *looker* look after the first in the queue, if that one oversleeps.
        """
        first = self._queue.first()
        if first is not None and first is not looker and first.waiter is not None:
            overdue = now - self._queue.turn_of(first)
            looker.vigilant = looker.vigilant or overdue > SLACK

    def _overslept(self, looker: Place | None) -> Place | None:
        """
        Return who is next if its timer is set too late, and it does not just look.
        """
        front = self._queue.front()
        if front is None:
            return None
        place, turn = front
        if place is looker:
            return None
        if isinstance(place.waiter, ClockWaiter):
            armed = place.waiter.armed
            # Its timer is set in the clock's time, and that was moved back.
            late = armed.alarm_at > turn or armed.reading - armed.now != self._epoch
        else:
            late = place.waiter.sight.alarm_at > turn
        return place if late else None

    def _tell(self, woken: list[Place], nudged: Place | None) -> None:
        # The owner may have looked for itself, and be gone by now.
        deaf = [
            place
            for place in woken
            if (waiter := place.waiter) is not None and not waiter.wake(place)
        ]
        if (
            nudged is not None
            and (waiter := nudged.waiter) is not None
            and not waiter.nudge(nudged)
        ):
            deaf.append(nudged)
        if deaf:
            self._visit(partial(self._bury, deaf))
        self._outbox.deliver()

    def _bury(self, deaf: list[Place], now: int, woken: list[Place]) -> None:
        """
        Take back what was granted to tasks of closed loops, and their places.
        """
        crews = {crew for place in deaf if (crew := _crew_of(place)) is not None}
        for crew in crews:
            self._forget_crew(crew)
        for place in deaf:
            # Without a waiter its owner has taken the turn, and was the loop's last.
            if place.waiter is not None:
                self._queue.undo(now, place)
        for place in list(self._queue.places):
            if place.waiter is not None and _crew_of(place) in crews:
                self._queue.leave(now, place)
        del woken

    # Waiting: what _waiting asks for

    def _look(self, place: Place, slept: int = 0) -> int:
        waiter: Waiter | None = place.waiter
        sight = NOTHING if waiter is None else waiter.sight
        return self._visit(partial(self._look_for, place), place, sight, slept)

    def _expire(self, place: Place, sight: Sight, slept: int) -> Sight:
        def act(now: int, woken: list[Place]) -> Sight:
            self._send_if_late(now, place)
            if place.status is Status.QUEUED:
                return Sight(self._last, now, place.deadline)
            # Maybe by somebody who was interrupted before telling.
            woken.append(place)
            return NOTHING

        return self._visit(act, None, sight, slept)

    def _look_for(self, place: Place, now: int, _: list[Place]) -> int:
        queue = self._queue
        self._send_if_late(now, place)
        if place.status is not Status.QUEUED:
            return 0
        alarm_at = min(queue.turn_of(place), place.deadline)
        if place.vigilant:
            first = queue.first()
            alarm_at = min(alarm_at, queue.turn_of(first)) if first else alarm_at
        place.waiter.sight = Sight(self._last, now, alarm_at)
        return alarm_at - now

    def _leave(self, place: Place, waiter: Waiter) -> None:
        def act(now: int, _: list[Place]) -> None:
            if place.waiter is waiter and not self._queue.leave(now, place):
                self._queue.undo(now, place)

        self._visit(act)

    def _arm(self, waiter: ClockWaiter, sight: Sight) -> bool:
        with self._lock:
            if waiter.sight is not sight or waiter.armed is sight:
                return False
            waiter.armed = sight
            return True

    def _dismiss(self, crew: Crew) -> None:
        with self._lock:
            self._forget_crew(crew)

    def _forget_crew(self, crew: Crew) -> None:
        if self._crews.get(crew.loop) is crew:
            del self._crews[crew.loop]

    # Pausing

    def _pause(self, seconds: float, asked: float) -> None:
        """
        Admit nobody for so many *seconds*, where *asked* were asked for.
        """

        def act(now: int, _: list[Place]) -> None:
            until = now + nanoseconds(seconds)
            events = self._events(
                LimiterPaused, now, limiter=self._name, paused_for=seconds
            )
            self._queue.pause(until, self._outbox.room_for(events), events)
            if asked > seconds:
                asked_until = now + nanoseconds(asked)
                self._asked_until = max(self._asked_until, asked_until)

        self._visit(act)

    def _still_asked(self) -> float:
        """
        Return for how many seconds more a server asked than it got, 0.0 if it did not.

        From now on; and only while it is paused, for as long as it got.
        """
        if not self._asked_until:
            return 0.0

        def act(now: int, _: list[Place]) -> float:
            if now >= self._queue.paused_until:
                self._asked_until = 0
            return to_seconds(max(0, self._asked_until - now))

        return self._visit(act)

    # Entering

    def _wait_thread(
        self, place: Place, enter: Callable[..., int], timeout: float | None
    ) -> None:
        if _bypass.active:
            return
        inner = ThreadWaiter()
        waiter = (
            inner if self._timers is None else ClockWaiter(inner, self, self._timers)
        )
        wait_in_thread(
            self, place, waiter, partial(enter, waiter=waiter, timeout=timeout)
        )
        self._check(place)

    async def _wait_task(
        self,
        place: Place,
        enter: Callable[..., int],
        timeout: float | None,  # noqa: ASYNC109 -- the queue decides on it
    ) -> None:
        if _bypass.active:
            return
        import asyncio  # only programs with a loop pay for it

        loop = asyncio.get_running_loop()
        with self._lock:
            crew = self._crews.get(loop)
            if crew is None:
                # Closed with tasks in it that will never run.
                for gone in [other for other in self._crews if other.is_closed()]:
                    del self._crews[gone]
                crew = self._crews[loop] = Crew(loop, self)
        inner = TaskWaiter(crew)
        waiter = (
            inner if self._timers is None else ClockWaiter(inner, self, self._timers)
        )
        await wait_in_loop(
            self, place, waiter, crew, partial(enter, waiter=waiter, timeout=timeout)
        )
        self._check(place)

    def _enter(
        self, place: Place, *, waiter: Waiter | None, timeout: float | None
    ) -> int:
        """
        Admit *place* at once, put it into the queue, or refuse it.

        Returns nanoseconds until its turn, 0 if it was admitted. With a
        *waiter* it will be refused once *timeout* is over; without, it stands.
        """
        blocks = _is_thread(waiter) and _in_event_loop()

        def act(now: int, _: list[Place]) -> int:
            queue = self._queue
            while True:
                if _bypass.active:
                    place.status = Status.GRANTED
                    return 0
                budget = queue.budget
                self._check_open(now, place.tokens)
                if queue.take(now, place.tokens, None if waiter else place):
                    return 0
                left = queue.turn(now, place.tokens) - now
                if timeout is not None and left > nanoseconds(timeout):
                    self._refuse(
                        now, place.tokens, left, f"the turn is not within {timeout:g} s"
                    )
                waiting = queue.waiting
                if queue.max_waiters is not None and waiting >= queue.max_waiters:
                    self._refuse(now, place.tokens, left, f"{waiting} wait already")
                # Before it enters: an interrupted wait gives back what is its own.
                place.waiter = waiter
                if queue.enter(now, place, budget):
                    break
            self._attend(now, place, waiter, timeout, left)
            if blocks:
                self._say_blocked(now)
            return left

        return self._visit(act)

    def _join(
        self, place: Place, *, waiter: Waiter | None, timeout: float | None
    ) -> int:
        """
        Let *waiter* wait on the reserved *place*, as :meth:`_enter`.
        """
        blocks = _is_thread(waiter) and _in_event_loop()

        def act(now: int, _: list[Place]) -> int:
            if place.status is not Status.QUEUED:
                return 0
            # First: an interrupted wait gives back what is its own.
            if not self._queue.attend(now, place, waiter):
                if place not in self._queue.places:
                    # Decided in this very moment, by a signal handler.
                    return 0
                msg = "this reservation is being waited for already"
                raise RuntimeError(msg)
            left = self._queue.turn_of(place) - now
            if timeout is not None and left > nanoseconds(timeout):
                self._queue.leave(now, place)
                # Who asks again does so behind those who were behind it.
                left = max(0, self._queue.turn(now, place.tokens) - now)
                self._refuse(
                    now, place.tokens, left, f"the turn is not within {timeout:g} s"
                )
            self._attend(now, place, waiter, timeout, left)
            if blocks:
                self._say_blocked(now)
            return left

        return self._visit(act)

    def _attend(
        self,
        now: int,
        place: Place,
        waiter: Waiter | None,
        timeout: float | None,
        left: int,
    ) -> None:
        if waiter is None:
            return
        if timeout is not None:
            place.deadline = now + nanoseconds(timeout)
        if not isinstance(waiter, TaskWaiter) or waiter.crew.is_first(place):
            waiter.sight = Sight(self._last, now, now + left)

    def _check_open(self, now: int, tokens: int) -> None:
        """
        Refuse if the limiter is closed, or can never admit so many *tokens*.
        """
        budget = self._queue.budget
        if not budget.fits(tokens):
            self._note_refusal(now, tokens, None, "more than the burst")
            raise BurstExceeded(self._name, tokens=tokens, burst=budget.largest)
        if self._queue.closed is not None:
            self._refuse(now, tokens, None, _closed(self._queue.closed))

    def _refuse(self, now: int, tokens: int, left: int | None, reason: str) -> NoReturn:
        retry_after = None if left is None else to_seconds(left)
        self._note_refusal(now, tokens, retry_after, reason)
        raise RateLimitExceeded(self._name, retry_after, reason)

    def _note_refusal(
        self, now: int, tokens: int, retry_after: float | None, reason: str
    ) -> None:
        self._queue.refused += 1
        self._put(
            RateLimitRefused,
            now,
            limiter=self._name,
            tokens=tokens,
            retry_after=retry_after,
            reason=reason,
        )

    def _send_if_late(self, now: int, place: Place) -> None:
        if now >= place.deadline and self._queue.leave(now, place, Status.LATE):
            self._note_late(now, place)

    def _note_late(self, now: int, place: Place) -> None:
        place.deadline = now
        # When it would be admitted if it asked again.
        place.turned = max(now, self._queue.turn(now, place.tokens))
        left = to_seconds(place.turned - now)
        self._note_refusal(now, place.tokens, left, _LATE)

    def _check(self, place: Place) -> None:
        """
        Raise what became of *place*, unless it was admitted.
        """
        status = place.status
        if status is Status.LATE:
            # Interrupted before it could be computed, it is in the past.
            left = to_seconds(max(0, place.turned - place.deadline))
            raise RateLimitExceeded(self._name, left, _LATE)
        if status is Status.TOO_LARGE:
            largest = self._queue.budget.largest
            raise BurstExceeded(self._name, tokens=place.tokens, burst=largest)
        if status is Status.CLOSED:
            raise RateLimitExceeded(self._name, None, _closed(self._queue.closed or ""))
        if status is Status.LEFT:
            raise RateLimitExceeded(self._name, None, "the reservation was cancelled")

    def _decide(self, tokens: int) -> Decision:
        def act(now: int, _: list[Place]) -> Decision:
            queue = self._queue
            if not _bypass.active and not queue.budget.fits(tokens):
                self._check_open(now, tokens)
            if _bypass.active or queue.take(now, tokens):
                return Decision(
                    admitted=True, retry_after=0.0, remaining=queue.takeable(now)
                )
            if queue.closed is None:
                retry_after = to_seconds(queue.turn(now, tokens) - now)
                reason = "no token is free"
            else:
                retry_after, reason = None, _closed(queue.closed)
            self._note_refusal(now, tokens, retry_after, reason)
            return Decision(
                admitted=False,
                retry_after=retry_after,
                remaining=queue.takeable(now),
            )

        return self._visit(act)

    # What reservations ask for

    def _delay(self, place: Place) -> float:
        def act(now: int, _: list[Place]) -> float:
            if place.status is Status.GRANTED:
                return 0.0
            if place.status is Status.QUEUED:
                return to_seconds(self._queue.turn_of(place) - now)
            return math.inf

        return self._visit(act)

    def _settle(self, place: Place, actual: int) -> bool:
        return self._visit(lambda now, _: self._queue.settle(now, place, actual))

    def _cancel(self, place: Place) -> bool:
        def act(now: int, woken: list[Place]) -> bool:
            if place.status is Status.QUEUED and place.settled is None:
                woken.append(place)
                if self._queue.leave(now, place):
                    return True
                # Granted in this very moment, by a visit of a signal handler.
            return self._queue.settle(now, place, 0)

        return self._visit(act)

    def _undo(self, place: Place) -> None:
        def act(now: int, _: list[Place]) -> None:
            if not self._queue.leave(now, place):
                self._queue.undo(now, place)

        self._visit(act)

    # Small matters

    def _idle(self) -> bool:
        """
        Answer whether forgetting this limiter would change nothing.
        """
        return not self._outbox.has_listeners() and self._visit(
            lambda now, _: self._queue.is_idle(now)
        )

    def _say_blocked(self, now: int) -> None:
        if not self._said_blocked:
            self._said_blocked = True
            self._put(LoopBlocked, now, limiter=self._name)

    def _put(self, event_type: type[Event], now: int, **fields: Any) -> None:
        # Most are for nobody, and need not cost another call.
        if self._outbox.wants(event_type):
            for event in self._events(event_type, now, **fields):
                self._outbox.put(event)

    def _events(
        self, event_type: type[Event], now: int, **fields: Any
    ) -> tuple[Event, ...]:
        """
        Return what is to be told, if anybody would be.
        """
        if not self._outbox.wants(event_type):
            return ()
        return (event_type(at=(now + self._epoch) / 1e9, **fields),)

    def _note_bypass(self) -> None:
        # Whoever leaves the queue looks whether the short way may be open.
        self._visit(_nothing)

    def _after_fork(self) -> None:
        super()._after_fork()
        self._crews = {}
        self._floor = NEVER
        self._queue.forget()


def _nothing(now: int, woken: list[Place]) -> None:
    del now, woken


def _closed(reason: str) -> str:
    return f"closed: {reason}" if reason else "closed"


def _crew_of(place: Place) -> Crew | None:
    waiter = place.waiter
    if isinstance(waiter, ClockWaiter):
        waiter = waiter.inner
    return waiter.crew if isinstance(waiter, TaskWaiter) else None


def _is_thread(waiter: Waiter | None) -> bool:
    if isinstance(waiter, ClockWaiter):
        return isinstance(waiter.inner, ThreadWaiter)
    return isinstance(waiter, ThreadWaiter)


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 -- documented
