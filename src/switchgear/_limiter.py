"""
The rate limiter: a lock and a clock around one queue.
"""

from __future__ import annotations

import math
import sys
import time

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from switchgear import _bypass
from switchgear._clock import MONOTONIC, TimerClock, checked_clock
from switchgear._core.queue import NEVER, SLACK, Place, Queue, Status
from switchgear._core.rate import Rate
from switchgear._core.token_bucket import Bucket, budget_of
from switchgear._decision import Decision, to_seconds
from switchgear._instance import Instance
from switchgear._record import Record, record
from switchgear._reservation import Reservation
from switchgear._validate import (
    MAX_RATE,
    MIN_RATE,
    nanoseconds,
    optional_seconds,
    real,
    whole,
)
from switchgear._validate import seconds as duration
from switchgear._waiting import (
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
    LoopBlocked,
    LimiterClosed,
    LimiterPaused,
    LimiterReopened,
    RateLimitRefused,
    RateLimitWaited,
    Reconfigured,
)


if TYPE_CHECKING:
    import asyncio

    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from switchgear._clock import Clock
    from switchgear._waiting import Waiter
    from switchgear.events import Event


T = TypeVar("T")

_ONE: Final = 1
_new: Final = tuple.__new__


class _Unchanged:
    """
    Stand for a setting that is to stay as it is.
    """

    def __repr__(self) -> str:
        return "<unchanged>"


UNCHANGED: Final = _Unchanged()


@record
class RateSnapshot(Record):
    """
    Describe one rate of a limiter as it stands.

    Attributes:
        limit: How many per *per* seconds.
        per: Seconds.
        burst: Capacity.
        counts: ``"tokens"`` or ``"calls"``.
        available: How many are there; negative: how many are owed.

    .. versionadded:: 0.1.0
    """

    limit: float
    per: float
    burst: int
    counts: str
    available: int


@record
class LimiterSnapshot(Record):
    """
    Describe a limiter as it stands.

    Attributes:
        name: Its name, or None.
        calls_per_second: Its pace: that of the slowest of its rates.
        burst: The most one request can take at once.
        available: Tokens that are there; negative: a debt.
        rates: The same for each of its rates.
        waiting: Waiters and reservations in its queue.
        admitted: Calls admitted so far.
        refused: Calls refused so far.
        waited_seconds: Seconds waited by those who were admitted, in all.
        paused_for: Seconds until a pause ends, or 0.0.
        closed: Why it is closed, or None.

    .. versionadded:: 0.1.0
    """

    name: str | None
    calls_per_second: float
    burst: int
    available: int
    rates: tuple[RateSnapshot, ...]
    waiting: int
    admitted: int
    refused: int
    waited_seconds: float
    paused_for: float
    closed: str | None


class RateLimiter(Instance):
    """
    Admit calls at a steady pace, with short bursts.

    A token bucket with one queue: whoever has to wait is served in the order
    of arrival, threads and tasks of any event loops alike. Safe to share
    between any number of them.

    In any window of *t* seconds at most ``burst + rate * (t + 0.002)`` tokens
    are admitted. Arithmetic is exact, whatever the rate.

    Args:
        calls_per_second: Sustained pace, in tokens per second; from 1e-9 to
            1e12.
        burst: Capacity, in tokens: the most one call can take; at least 1.
        rates: Instead of the first two: several rates, all of which admit and
            are charged in one step, or none.
        name: How logs and errors call it.
        max_waiters: How many may wait at a time, reservations included; None
            for any number. Further ones are refused at once.
        clock: Where the time comes from. Tests pass a ``ManualClock``.
        store: Reserved for shared stores; only None is taken.

    Raises:
        TypeError, ValueError: If an argument is of the wrong type or out of
            its range.

    .. versionadded:: 0.1.0
    """

    __slots__ = (
        "_clock",
        "_crews",
        "_epoch",
        "_floor",
        "_last",
        "_max_waiters",
        "_queue",
        "_rates",
        "_said_blocked",
        "_timers",
    )

    def __init__(
        self,
        calls_per_second: float = 2.0,
        *,
        burst: int = 1,
        rates: Iterable[Rate] | None = None,
        name: str | None = None,
        max_waiters: int | None = None,
        clock: Clock | None = None,
        store: None = None,
    ) -> None:
        super().__init__(name)
        if store is not None:
            msg = f"store must be None: there are no shared stores yet, not {store!r}"
            raise TypeError(msg)
        if rates is not None and (calls_per_second != 2.0 or burst != 1):  # noqa: PLR2004
            msg = "rates is given instead of calls_per_second and burst, not with them"
            raise ValueError(msg)
        self._rates = (
            (_pace(calls_per_second, burst),) if rates is None else _checked_rates(rates)
        )
        self._max_waiters = _checked_max_waiters(max_waiters)
        self._clock = checked_clock(clock)
        #: The clock again, if waits must follow it instead of sleeping.
        self._timers = self._clock if isinstance(self._clock, TimerClock) else None
        self._last = self._clock.monotonic_ns()
        #: What the clock says at the queue's time zero. Moved when the clock
        #: steps back, so that the queue's time never does.
        self._epoch = self._last
        self._queue = Queue(budget_of(self._rates), 0)
        self._crews: dict[asyncio.AbstractEventLoop, Crew] = {}
        self._said_blocked = False
        #: A reading from here on may take the short way through try_acquire:
        #: one bucket, nobody queues, no pause, the clock did not step back.
        self._floor = NEVER
        self._clear_the_way(0)

    # Asking

    def try_acquire(self, tokens: int = 1) -> Decision:
        """
        Answer at once whether *tokens* are admitted; charge them if so.

        While anybody queues the answer is no, even if tokens are there, and
        ``retry_after`` counts the queue.

        Args:
            tokens: How many, at least 1.

        Raises:
            BurstExceeded: If *tokens* can never be admitted.
        """
        if tokens is not _ONE:
            tokens = whole("tokens", tokens, minimum=1)
        # Before the lock: a call inside a locked section makes convoys.
        reading = time.monotonic_ns()
        queue = self._queue
        with self._lock:
            if reading >= self._floor:
                bucket = queue.budget
                now = (reading - self._epoch) * bucket.ticks
                state = now - bucket.capacity
                if state < queue.state:
                    state = queue.state
                state += tokens * bucket.cost
                if state <= now:
                    queue.state = state
                    queue.admitted += 1
                    self._floor = reading
                    remaining = now - state
                else:
                    bucket = None
            else:
                bucket = None
        if bucket is not None:
            return _new(Decision, (True, 0.0, remaining // bucket.cost))
        return self._decide(tokens)

    def wait(self, tokens: int = 1, *, timeout: float | None = None) -> None:
        """
        Block until *tokens* are admitted, in turn.

        Whatever interrupts the wait, KeyboardInterrupt included, gives the
        place back exactly: those behind move up.

        Args:
            tokens: How many, at least 1.
            timeout: How many seconds to wait at the most; 0 is now or never,
                None for ever.

        Raises:
            RateLimitExceeded: If as things stand the turn cannot come within
                *timeout*, or too many wait: at once, consuming nothing. Also
                when a pause or the like pushes the turn past *timeout*, no
                later than then, and when the limiter is closed.
            BurstExceeded: If *tokens* can never be admitted.
        """
        place = Place(whole("tokens", tokens, minimum=1))
        self._wait_thread(place, self._enter, optional_seconds("timeout", timeout))

    async def wait_async(
        self, tokens: int = 1, *, timeout: float | None = None
    ) -> None:
        """
        Suspend the task until *tokens* are admitted, in turn.

        As :meth:`wait`, for event loops: the loop is never blocked, and any
        number of loops may wait for one limiter. Cancellation gives the place
        back exactly.
        """
        place = Place(whole("tokens", tokens, minimum=1))
        limit = optional_seconds("timeout", timeout)
        await self._wait_task(place, self._enter, limit)

    def reserve(
        self, tokens: int = 1, *, max_wait: float | None = None
    ) -> Reservation:
        """
        Take a place in the queue without waiting for the turn.

        It is charged when its turn comes, whether or not anybody waits on it.

        Args:
            tokens: How many, at least 1.
            max_wait: How many seconds the turn may be away at the most; None
                for any time.

        Raises:
            RateLimitExceeded: If as things stand the turn cannot come within
                *max_wait*, or too many wait: consuming nothing.
            BurstExceeded: If *tokens* can never be admitted.
        """
        place = Place(whole("tokens", tokens, minimum=1))
        self._enter(place, None, optional_seconds("max_wait", max_wait))
        return Reservation(self, place)

    def __enter__(self) -> Self:
        self.wait()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    async def __aenter__(self) -> Self:
        await self.wait_async()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    # Operating

    def pause(self, seconds: float) -> None:
        """
        Admit nobody for a while: the server said Retry-After.

        A later pause only extends; the bucket fills meanwhile.

        Args:
            seconds: From now on; at least 0.
        """
        length = duration("seconds", seconds)

        def act(now: int, woken: list[Place]) -> None:  # noqa: ARG001
            until = now + nanoseconds(length)
            if until > self._queue.paused_until:
                self._queue.pause(until)
                self._put(LimiterPaused, now, limiter=self._name, paused_for=length)

        self._visit(act)

    def close(self, reason: str = "") -> None:
        """
        Send every waiter away, now and later, with RateLimitExceeded.

        This is how a program shuts down its workers. Closing a closed limiter
        only changes the reason.

        Args:
            reason: What the error is to say.
        """
        if not isinstance(reason, str):
            msg = f"reason must be a string, not {reason!r}"
            raise TypeError(msg)

        def act(now: int, woken: list[Place]) -> None:
            was_open = self._queue.closed is None
            gone = self._queue.close(now, reason)
            self._queue.refused += len(gone)
            woken += gone
            if was_open:
                self._put(
                    LimiterClosed,
                    now,
                    limiter=self._name,
                    reason=reason,
                    waiting=len(gone),
                )

        self._visit(act)

    def reopen(self) -> None:
        """
        Admit again after :meth:`close`; level and pause are what they would be.
        """

        def act(now: int, woken: list[Place]) -> None:  # noqa: ARG001
            if self._queue.reopen(now):
                self._put(LimiterReopened, now, limiter=self._name)

        self._visit(act)

    def reconfigure(
        self,
        *,
        calls_per_second: float | _Unchanged = UNCHANGED,
        burst: int | _Unchanged = UNCHANGED,
        rates: Iterable[Rate] | _Unchanged = UNCHANGED,
        max_waiters: int | None | _Unchanged = UNCHANGED,
    ) -> None:
        """
        Go on with other settings; what is left out stays as it is.

        Debt, level and queue are kept, nothing is minted, and whoever waits
        is timed anew. Those who now ask more than the burst are sent away
        with BurstExceeded. A rate that is added starts empty; each other goes
        on from the one with the same period and unit, or else in order.

        Args:
            calls_per_second: Sustained pace, in tokens per second.
            burst: Capacity, in tokens.
            rates: Instead of the first two.
            max_waiters: How many may wait at a time; None for any number.

        Raises:
            TypeError, ValueError: If an argument is of the wrong type or out
                of its range, or if *calls_per_second* or *burst* is given for
                a limiter with several rates. Nothing is changed then.
        """
        checked = None if isinstance(rates, _Unchanged) else _checked_rates(rates)
        if not isinstance(max_waiters, _Unchanged):
            max_waiters = _checked_max_waiters(max_waiters)

        def act(now: int, woken: list[Place]) -> None:
            before = self.settings()
            if not isinstance(max_waiters, _Unchanged):
                self._max_waiters = max_waiters
            new_rates = self._merged_rates(calls_per_second, burst, checked)
            if new_rates != self._rates:
                gone = self._queue.reconfigure(now, budget_of(new_rates))
                self._rates = new_rates
                self._queue.refused += len(gone)
                woken += gone
            after = self.settings()
            changes = {
                key: (before.get(key), after.get(key))
                for key in {**before, **after}
                if before.get(key) != after.get(key)
            }
            if changes:
                self._put(
                    Reconfigured, now, kind="limiter", name=self._name, changes=changes
                )

        self._visit(act)

    def reset(self) -> None:
        """
        Start anew: a full bucket, no pause, counts at zero.

        Settings stay, and so does the queue: its first ones go at once.
        """
        self._visit(lambda now, woken: self._queue.refill(now))  # noqa: ARG005

    def settings(self) -> dict[str, Any]:
        """
        Return the arguments that would make a limiter like this one now.

        Without *name* and *clock*.
        """
        if len(self._rates) == 1 and self._rates[0] == _pace(
            self._rates[0].calls_per_second, self._rates[0].burst
        ):
            pace: dict[str, Any] = {
                "calls_per_second": self._rates[0].calls_per_second,
                "burst": self._rates[0].burst,
            }
        else:
            pace = {"rates": self._rates}
        return {**pace, "max_waiters": self._max_waiters}

    def snapshot(self) -> LimiterSnapshot:
        """
        Return what there is to know, as of now.
        """
        return self._visit(self._snapshot)

    def __repr__(self) -> str:
        name = "" if self._name is None else f" {self._name!r}"
        shown = ", ".join(
            f"{rate.limit:g} {rate.counts} per {rate.per:g} s, burst {rate.burst}"
            for rate in self._rates
        )
        return f"<RateLimiter{name}: {shown}>"

    # Visits to the queue, each under the lock

    def _visit(
        self,
        act: Callable[[int, list[Place]], T],
        looker: Place | None = None,
        slept: int = 0,
    ) -> T:
        """
        Serve whoever is due, *act*, serve again; then wake and tell.

        *act* is given the queue's time and the list of those to be woken.
        *looker* is the queued place whose owner comes to look, after having
        *slept* so many nanoseconds.
        """
        woken: list[Place] = []
        nudged: Place | None = None
        # Before the lock: a call inside a locked section makes convoys.
        reading = self._clock.monotonic_ns()
        try:
            with self._lock:
                now = self._now(reading)
                if looker is not None:
                    now = self._looked(now, looker, slept)
                woken += self._serve(now)
                result = act(now, woken)
                woken += self._serve(now)
                nudged = self._overslept()
                self._clear_the_way(now)
        finally:
            self._tell(woken, nudged)
        return result

    def _now(self, reading: int) -> int:
        """
        Return the queue's time at *reading* of the clock.

        Whoever goes the short way notes their reading in the floor; while
        somebody is here there is no short way.
        """
        if reading < self._last or self._last < self._floor < NEVER:
            # Overtaken on the way to the lock, unless the clock stepped back.
            reading = self._clock.monotonic_ns()
        # No call from here on: a signal handler may come in after one.
        last = self._last
        if last < self._floor < NEVER:
            last = self._floor
        self._floor = NEVER
        if reading < last:
            self._epoch -= last - reading
        self._last = reading
        return reading - self._epoch

    def _clear_the_way(self, now: int) -> None:
        """
        Open the short way through try_acquire, if there is nothing in it.
        """
        queue = self._queue
        budget = queue.budget
        clear = (
            isinstance(budget, Bucket)
            and not budget.per_call
            and self._clock is MONOTONIC
            and not queue.bookings()
            and queue.paused_until <= now
        )
        # No call from here on: a signal handler may come in after one.
        if clear and not queue.places and queue.closed is None:
            self._floor = self._last
        else:
            self._floor = NEVER

    def _serve(self, now: int) -> list[Place]:
        granted = self._queue.serve(now)
        if granted and self._outbox.wants(RateLimitWaited):
            for place in granted:
                if place.waiter is not None:
                    self._put(
                        RateLimitWaited,
                        now,
                        limiter=self._name,
                        tokens=place.tokens,
                        waited=(place.turned - place.since) / 1e9,
                    )
        return granted

    def _looked(self, now: int, looker: Place, slept: int) -> int:
        """
        Note what the owner of *looker* finds; return the time it is now.
        """
        waiter: Waiter | None = looker.waiter
        if waiter is None:
            return now
        sight = waiter.sight
        if slept and self._last == sight.reading:
            # The clock stands still (freezegun stops it), the time does not.
            stalled = sight.now + slept - now
            if stalled > 0:
                self._epoch -= stalled
                now += stalled
        first = self._queue.first()
        if first is not None and first is not looker and first.waiter is not None:
            overdue = now - self._queue.turn_of(first)
            looker.vigilant = looker.vigilant or overdue > SLACK
        return now

    def _overslept(self) -> Place | None:
        """
        Return who is next if its timer is set too late.
        """
        place = self._queue.first_waiting()
        if place is None:
            return None
        late = place.waiter.sight.alarm_at > self._queue.turn_of(place)
        return place if late else None

    def _tell(self, woken: list[Place], nudged: Place | None) -> None:
        deaf = [
            place
            for place in woken
            if place.waiter is not None and not place.waiter.wake(place)
        ]
        if nudged is not None and not nudged.waiter.nudge(nudged):
            deaf.append(nudged)
        if deaf:
            self._visit(partial(self._bury, deaf))
        self._outbox.deliver()

    def _bury(self, deaf: list[Place], now: int, woken: list[Place]) -> None:
        """
        Take back what was granted to tasks of closed loops, and their places.
        """
        crews = {_crew_of(place) for place in deaf}
        for crew in crews:
            self._forget_crew(crew)
        for place in deaf:
            self._queue.undo(now, place)
        for place in list(self._queue.places):
            if place.waiter is not None and _crew_of(place) in crews:
                self._queue.leave(now, place)
        del woken

    # Waiting: what _waiting asks for

    def _look(self, place: Place, slept: int = 0) -> int:
        return self._visit(partial(self._look_for, place), place, slept)

    def _expire(self, place: Place) -> int:
        def act(now: int, woken: list[Place]) -> int:
            if place.status is Status.QUEUED and now >= place.deadline:
                self._send_late(now, place)
                woken.append(place)
            return place.deadline - now if place.status is Status.QUEUED else 0

        return self._visit(act)

    def _look_for(self, place: Place, now: int, woken: list[Place]) -> int:
        queue = self._queue
        if place.status is Status.QUEUED and now >= place.deadline:
            self._send_late(now, place)
            woken.append(place)
        if place.status is not Status.QUEUED:
            return 0
        alarm_at = min(queue.turn_of(place), place.deadline)
        if place.vigilant:
            first = queue.first()
            alarm_at = min(alarm_at, queue.turn_of(first)) if first else alarm_at
        place.waiter.sight = Sight(self._last, now, alarm_at)
        return alarm_at - now

    def _leave(self, place: Place, waiter: Waiter) -> None:
        def act(now: int, woken: list[Place]) -> None:  # noqa: ARG001
            if place.waiter is waiter and not self._queue.leave(now, place):
                self._queue.undo(now, place)

        self._visit(act)

    def _dismiss(self, crew: Crew) -> None:
        with self._lock:
            self._forget_crew(crew)

    def _forget_crew(self, crew: Crew) -> None:
        if self._crews.get(crew.loop) is crew:
            del self._crews[crew.loop]

    # Entering

    def _wait_thread(
        self, place: Place, enter: Callable[..., int], timeout: float | None
    ) -> None:
        waiter: ThreadWaiter | ClockWaiter = ThreadWaiter()
        if self._timers is not None:
            waiter = ClockWaiter(waiter, self, self._timers)
        wait_in_thread(self, place, waiter, partial(enter, waiter=waiter, timeout=timeout))
        self._check(place)

    async def _wait_task(
        self, place: Place, enter: Callable[..., int], timeout: float | None
    ) -> None:
        import asyncio  # noqa: PLC0415 -- only programs with a loop pay for it

        loop = asyncio.get_running_loop()
        with self._lock:
            crew = self._crews.get(loop)
            if crew is None:
                crew = self._crews[loop] = Crew(loop, self)
        waiter: TaskWaiter | ClockWaiter = TaskWaiter(crew)
        if self._timers is not None:
            waiter = ClockWaiter(waiter, self, self._timers)
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
        blocks = isinstance(waiter, ThreadWaiter) and _in_event_loop()

        def act(now: int, woken: list[Place]) -> int:  # noqa: ARG001
            queue = self._queue
            self._check_open(now, place.tokens)
            if _bypass.active:
                place.status = Status.GRANTED
                return 0
            if queue.take(now, place.tokens, None if waiter else place):
                return 0
            left = queue.turn(now, place.tokens) - now
            if timeout is not None and left > nanoseconds(timeout):
                self._refuse(
                    now, place.tokens, left, f"the turn is not within {timeout:g} s"
                )
            waiting = len(queue.places)
            if self._max_waiters is not None and waiting >= self._max_waiters:
                self._refuse(now, place.tokens, left, f"{waiting} wait already")
            queue.enter(now, place)
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
        blocks = isinstance(waiter, ThreadWaiter) and _in_event_loop()

        def act(now: int, woken: list[Place]) -> int:  # noqa: ARG001
            if place.status is not Status.QUEUED:
                return 0
            if place.waiter is not None:
                msg = "this reservation is being waited for already"
                raise RuntimeError(msg)
            left = self._queue.turn_of(place) - now
            if timeout is not None and left > nanoseconds(timeout):
                self._queue.leave(now, place)
                self._refuse(
                    now, place.tokens, left, f"the turn is not within {timeout:g} s"
                )
            place.since = now
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
        place.waiter = waiter
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
            self._queue.refused += 1
            reason = "more than the burst"
            self._put(
                RateLimitRefused,
                now,
                limiter=self._name,
                tokens=tokens,
                retry_after=None,
                reason=reason,
            )
            raise BurstExceeded(self._name, tokens=tokens, burst=budget.largest)
        if self._queue.closed is not None:
            self._refuse(now, tokens, None, _closed(self._queue.closed))

    def _refuse(
        self, now: int, tokens: int, left: int | None, reason: str
    ) -> NoReturn:
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

    def _send_late(self, now: int, place: Place) -> None:
        place.turned = self._queue.turn_of(place)
        if self._queue.leave(now, place, Status.LATE):
            left = to_seconds(place.turned - now)
            self._note_refusal(now, place.tokens, left, _LATE)

    def _check(self, place: Place) -> None:
        """
        Raise what became of *place*, unless it was admitted.
        """
        status = place.status
        if status is Status.LATE:
            left = to_seconds(max(0, place.turned - place.deadline))
            raise RateLimitExceeded(self._name, left, _LATE)
        if status is Status.TOO_LARGE:
            largest = self._queue.budget.largest
            raise BurstExceeded(self._name, tokens=place.tokens, burst=largest)
        if status is Status.CLOSED:
            raise RateLimitExceeded(
                self._name, None, _closed(self._queue.closed or "")
            )
        if status is Status.LEFT:
            raise RateLimitExceeded(
                self._name, None, "the reservation was cancelled"
            )

    def _decide(self, tokens: int) -> Decision:
        def act(now: int, woken: list[Place]) -> Decision:  # noqa: ARG001
            queue = self._queue
            if not queue.budget.fits(tokens):
                self._check_open(now, tokens)
            if _bypass.active or queue.take(now, tokens):
                return Decision(True, 0.0, queue.takeable(now))  # noqa: FBT003
            retry_after, reason = None, "closed"
            if queue.closed is None:
                retry_after = to_seconds(queue.turn(now, tokens) - now)
                reason = "no token is free"
            self._note_refusal(now, tokens, retry_after, reason)
            return Decision(False, retry_after, queue.takeable(now))  # noqa: FBT003

        return self._visit(act)

    def _snapshot(self, now: int, woken: list[Place]) -> LimiterSnapshot:  # noqa: ARG002
        queue = self._queue
        budget = queue.budget
        states = budget.split(queue.state)
        return LimiterSnapshot(
            name=self._name,
            calls_per_second=min([rate.calls_per_second for rate in self._rates]),
            burst=budget.largest,
            available=queue.available(now),
            rates=tuple(
                [
                    RateSnapshot(
                        limit=line.rate.limit,
                        per=line.rate.per,
                        burst=line.rate.burst,
                        counts=line.rate.counts,
                        available=line.tokens(state, now),
                    )
                    for line, state in zip(budget.lines, states, strict=True)
                ]
            ),
            waiting=len(queue.places),
            admitted=queue.admitted,
            refused=queue.refused,
            waited_seconds=queue.waited / 1e9,
            paused_for=max(0, queue.paused_until - now) / 1e9,
            closed=queue.closed,
        )

    def _merged_rates(
        self,
        calls_per_second: float | _Unchanged,
        burst: int | _Unchanged,
        rates: tuple[Rate, ...] | None,
    ) -> tuple[Rate, ...]:
        pace_given = not isinstance(calls_per_second, _Unchanged)
        burst_given = not isinstance(burst, _Unchanged)
        if rates is not None:
            if pace_given or burst_given:
                raise ValueError(_NOT_BOTH)
            return rates
        if not pace_given and not burst_given:
            return self._rates
        if len(self._rates) > 1:
            msg = "this limiter has several rates: give rates, all of them"
            raise ValueError(msg)
        rate = self._rates[0]
        if isinstance(burst, _Unchanged):
            burst = rate.burst
        if isinstance(calls_per_second, _Unchanged):
            burst = whole("burst", burst, minimum=1)
            return (Rate(rate.limit, per=rate.per, burst=burst, counts=rate.counts),)
        return (_pace(calls_per_second, burst),)

    # What reservations ask for

    def _delay(self, place: Place) -> float:
        def act(now: int, woken: list[Place]) -> float:  # noqa: ARG001
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
                return self._queue.leave(now, place)
            return self._queue.settle(now, place, 0)

        return self._visit(act)

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
        if self._outbox.wants(event_type):
            at = (now + self._epoch) / 1e9
            self._outbox.put(event_type(at=at, **fields))

    def _after_fork(self) -> None:
        super()._after_fork()
        self._crews = {}
        self._floor = NEVER
        self._queue.forget(self._last - self._epoch)


_LATE: Final = "the turn did not come in time"
_NOT_BOTH: Final = (
    "rates is given instead of calls_per_second and burst, not with them"
)


def _pace(calls_per_second: Any, burst: Any) -> Rate:
    pace = real("calls_per_second", calls_per_second, minimum=MIN_RATE, maximum=MAX_RATE)
    return Rate(pace, burst=burst)


def _checked_rates(rates: Any) -> tuple[Rate, ...]:
    try:
        checked = tuple(rates)
    except TypeError:
        msg = f"rates must be a sequence of Rate, not {rates!r}"
        raise TypeError(msg) from None
    for rate in checked:
        if not isinstance(rate, Rate):
            msg = f"rates must hold nothing but Rate, not {rate!r}"
            raise TypeError(msg)
    if not 0 < len(checked) <= _MOST_RATES:
        msg = f"rates must hold 1 to {_MOST_RATES} rates, not {len(checked)}"
        raise ValueError(msg)
    return checked


_MOST_RATES: Final = 16


def _checked_max_waiters(value: Any) -> int | None:
    return None if value is None else whole("max_waiters", value, minimum=0)


def _closed(reason: str) -> str:
    return f"closed: {reason}" if reason else "closed"


def _crew_of(place: Place) -> Crew | None:
    waiter = place.waiter
    if isinstance(waiter, ClockWaiter):
        waiter = waiter.inner
    return waiter.crew if isinstance(waiter, TaskWaiter) else None


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None
