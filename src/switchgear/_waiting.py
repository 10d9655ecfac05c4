"""
Sleep until a turn comes: in threads, in event loops, on a clock of one's own.

Every waiter has a timer of its own, set to its projected turn; the tasks of
one event loop share theirs. Whoever's timer rings looks at the queue and
serves everybody whose turn has come. That a waiter is woken by somebody else
therefore makes its waiting shorter, but never possible.
"""

from __future__ import annotations

from _thread import allocate_lock
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from switchgear._core.place import NEVER, Status


if TYPE_CHECKING:
    import asyncio

    from collections.abc import Callable

    from switchgear._clock import TimerClock, TimerHandle
    from switchgear._core.place import Place


#: No timer is set further ahead, in nanoseconds: one day. Some platforms
#: cannot sleep much longer.
LONGEST_SLEEP = 86_400 * 10**9


class Sight(NamedTuple):
    """
    Keep what a waiter saw when it last looked at the queue.

    Attributes:
        reading: What the clock said.
        now: What time that was for the queue.
        alarm_at: When, in that time, it will look again.
    """

    reading: int
    now: int
    alarm_at: int


#: How long a thread sleeps for a clock that may never be moved, in nanoseconds.
MOMENT = 100_000_000

#: How long a loop waits before it looks again after it was interrupted while
#: looking, in nanoseconds.
RETRY = 10_000_000

#: What those see who have not looked yet.
NOTHING = Sight(0, 0, NEVER)


if TYPE_CHECKING:

    class Desk(Protocol):
        """
        Be looked at: what waiters need of a limiter.
        """

        def _look(self, place: Place, slept: int = 0) -> int:
            """
            Serve whoever is due; return nanoseconds until *place* is to look again.

            Returns 0 if *place* was decided on. *slept* says that so many
            nanoseconds were slept since the last look, whatever the clock says.
            """
            ...

        def _expire(self, place: Place, sight: Sight, slept: int) -> Sight:
            """
            Refuse *place* if it is too late; return when it will be.

            Returns :data:`NOTHING` if *place* was decided on. *slept* is how long
            was slept since the *sight* returned last.
            """
            ...

        def _leave(self, place: Place, waiter: Waiter) -> None:
            """
            Give *place* up, before or after its turn, if it is *waiter*'s.
            """
            ...

        def _dismiss(self, crew: Crew) -> None:
            """
            Forget *crew*: nobody of its loop waits any more.
            """
            ...

        def _arm(self, waiter: ClockWaiter, sight: Sight) -> bool:
            """
            Note that a timer of *waiter* is set by *sight*, if that is its last.

            Returns False if it has looked again since, or that was noted before.
            """
            ...

    class Waiter(Protocol):
        """
        Be woken: the party that waits on a place.
        """

        @property
        def sight(self) -> Sight:
            """
            What it saw when it last looked.
            """
            ...

        @sight.setter
        def sight(self, sight: Sight) -> None: ...

        def wake(self, place: Place) -> bool:
            """
            Say that *place* was decided on; answer whether anybody can hear it.
            """
            ...

        def nudge(self, place: Place) -> bool:
            """
            Say that the turn comes earlier than the timer is set to.
            """
            ...


class ThreadWaiter:
    """
    Wait in a thread, on a lock that whoever wakes it releases.
    """

    __slots__ = ("_baton", "sight")

    def __init__(self) -> None:
        self.sight = NOTHING
        self._baton = allocate_lock()
        self._baton.acquire()

    def wake(self, place: Place) -> bool:  # noqa: ARG002 -- the waiter's interface
        """
        Let the thread look again.
        """
        # Somebody else may have woken it, and it has not run yet.
        with suppress(RuntimeError):
            self._baton.release()
        return True

    nudge = wake

    def sleep(self, nanoseconds: int) -> int:
        """
        Sleep until woken, or so long; return how long if it was that.
        """
        nanoseconds = min(nanoseconds, LONGEST_SLEEP)
        woken = self._baton.acquire(timeout=nanoseconds / 1e9)
        return 0 if woken else nanoseconds

    def rest(self) -> None:
        """
        Sleep until woken, or for a moment.

        A signal that comes just before the sleep is handled only after it.
        """
        self._baton.acquire(timeout=MOMENT / 1e9)


class TaskWaiter:
    """
    Wait in a task, as one of the crew of its event loop.
    """

    __slots__ = ("crew",)

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    @property
    def sight(self) -> Sight:
        """
        What the crew saw: it has one timer, for its first waiter.
        """
        return self.crew.sight

    @sight.setter
    def sight(self, sight: Sight) -> None:
        self.crew.sight = sight

    def wake(self, place: Place) -> bool:
        """
        Let the loop hand over the turn.
        """
        self.crew.decided.append(place)
        return self.crew.summon()

    def nudge(self, place: Place) -> bool:  # noqa: ARG002 -- the waiter's interface
        """
        Let the loop set its timer anew.
        """
        return self.crew.summon()


class ClockWaiter:
    """
    Wait on a clock that is not the machine's: it calls when the time comes.

    The queue is then served by whoever moves the clock, at the very moment.
    """

    __slots__ = ("_clock", "_desk", "_handles", "armed", "inner", "sight")

    def __init__(
        self, inner: ThreadWaiter | TaskWaiter, desk: Desk, clock: TimerClock
    ) -> None:
        self.sight = NOTHING
        #: The sight by which a timer is set. Others may move the clock between
        #: a look and the timer: until it is set they have to know better.
        self.armed = NOTHING
        self.inner = inner
        self._desk = desk
        self._clock = clock
        #: One, or more for a moment: several threads may set it at once.
        self._handles: list[TimerHandle] = []

    def wake(self, place: Place) -> bool:
        """
        Wake whoever waits behind it.
        """
        self.cancel()
        return self.inner.wake(place)

    def nudge(self, place: Place) -> bool:
        """
        Set the timer anew.
        """
        self.ring(place)
        return True

    def begin(self, place: Place) -> None:
        """
        Set the timer, unless that was done on the way in.
        """
        if self.armed is not self.sight:
            self.ring(place)

    def ring(self, place: Place) -> None:
        """
        Look at the queue for *place*, and again when it says.
        """
        while self._desk._look(place):  # noqa: SLF001 -- its protocol
            before = self._handles.copy()
            sight = self.sight
            rings_at = sight.reading + sight.alarm_at - sight.now
            ring = partial(self.ring, place)
            self._handles.append(self._clock.call_at(rings_at, ring))
            # Not if another thread looked meanwhile: its timer may be the sooner.
            if not self._desk._arm(self, sight):  # noqa: SLF001 -- its protocol
                continue
            # Only now: there was always one.
            self._cancel(before)
            # Somebody may have moved the clock past that moment, or decided on
            # the place and cancelled what was set before.
            moved = self._clock.monotonic_ns() >= rings_at
            if not moved and place.status is Status.QUEUED:
                return
        self.wake(place)

    def rest(self) -> None:
        """
        Sleep until woken, or for a moment, in a thread.
        """
        if isinstance(self.inner, ThreadWaiter):  # pragma: no branch -- tasks await
            self.inner.rest()

    def cancel(self) -> None:
        """
        Let the clock forget the call.
        """
        self._cancel(self._handles.copy())

    def _cancel(self, handles: list[TimerHandle]) -> None:
        for handle in handles:
            try:
                self._handles.remove(handle)
            except ValueError:
                # Another thread is doing the same.
                continue
            handle.cancel()


class Alarm(ABC):
    """
    Look in an event loop, and again when that says, whatever interrupts it.

    Touched in the thread of its loop only.
    """

    __slots__ = ("_timer", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def ring(self, slept: int = 0) -> None:
        """
        Look now, after so many nanoseconds were *slept*.
        """
        left: int | None = RETRY
        try:
            left = self._look(slept)
        finally:
            try:
                self._set_timer(left)
            except BaseException:
                # There may be two now: one of them will look for nothing.
                self._set_timer(left)
                raise

    def cancel(self) -> None:
        """
        Look no more.
        """
        self._set_timer(None)

    @abstractmethod
    def _look(self, slept: int) -> int | None:
        """
        Return for how many nanoseconds to sleep, None if that was all.
        """

    def _set_timer(self, nanoseconds: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if nanoseconds is not None:
            nanoseconds = min(nanoseconds, LONGEST_SLEEP)
            self._timer = self.loop.call_later(
                nanoseconds / 1e9, self.ring, nanoseconds
            )


class Crew(Alarm):
    """
    Wait in one event loop: its tasks, in the order of the queue, and one timer.

    It looks at the queue, tells those that were decided on, and sets the timer.
    Touched in the thread of its loop only, but for :attr:`decided`,
    :attr:`sight` and :meth:`summon`.
    """

    __slots__ = ("_desk", "_futures", "_summoned", "decided", "sight")

    def __init__(self, loop: asyncio.AbstractEventLoop, desk: Desk) -> None:
        super().__init__(loop)
        self.sight = NOTHING
        #: Places whose tasks are to be told, from any thread.
        self.decided: deque[Place] = deque()
        self._desk = desk
        self._futures: OrderedDict[Place, asyncio.Future[None]] = OrderedDict()
        self._summoned = False

    def check_free(self, place: Place) -> None:
        """
        Raise if a task waits for *place* already.
        """
        if place in self._futures:
            msg = "this reservation is being waited for already"
            raise RuntimeError(msg)

    def add(self, place: Place) -> asyncio.Future[None]:
        """
        Return what the task of *place* is to wait for.
        """
        future = self.loop.create_future()
        last = next(reversed(self._futures), None)
        self._futures[place] = future
        if last is not None and 0 < place.number < last.number:
            # A reservation, ahead of others that were waited for before it.
            in_order = sorted(self._futures.items(), key=_number_of)
            self._futures = OrderedDict(in_order)
        return future

    def drop(self, place: Place) -> None:
        """
        Forget *place*: its task does not wait any more.
        """
        self._futures.pop(place, None)
        if not self._futures:
            self.cancel()
            self._desk._dismiss(self)  # noqa: SLF001 -- its protocol

    def is_first(self, place: Place) -> bool:
        """
        Answer whether the timer is to be set for *place*.
        """
        return next(iter(self._futures)) is place

    def summon(self) -> bool:
        """
        Call the loop, from any thread; answer whether it can still hear it.

        One call is enough however many are to be told.
        """
        if self.loop.is_closed():
            return False
        if not self._summoned:
            self._summoned = True
            try:
                self.loop.call_soon_threadsafe(self.ring)
            except RuntimeError:
                # It was closed this very moment.
                return False
            except BaseException:
                # Interrupted, maybe before the loop was called: not to be relied on.
                self._summoned = False
                raise
        return True

    def _look(self, slept: int) -> int | None:
        left = self._look_once(slept)
        while left == 0:
            left = self._look_once(0)
        return left

    def _look_once(self, slept: int) -> int | None:
        # While this runs nobody needs to call: what is decided until the flag
        # falls is told below.
        self._summoned = True
        try:
            first = self._first_queued()
            if first is None or isinstance(first.waiter, ClockWaiter):
                return None
            return self._desk._look(first, slept)  # noqa: SLF001 -- its protocol
        finally:
            self._summoned = False
            self._tell()

    def _first_queued(self) -> Place | None:
        for place in self._futures:
            if place.status is Status.QUEUED:
                return place
            # Told here as well, should whoever decided have been interrupted
            # before calling.
            self.decided.append(place)
        return None

    def _tell(self) -> None:
        while self.decided:
            future = self._futures.get(self.decided[0])
            if future is not None and not future.done():
                future.set_result(None)
            # Only now: an interrupt before this line costs time, not the call.
            self._futures.pop(self.decided.popleft(), None)


def _number_of(item: tuple[Place, object]) -> int:
    return item[0].number


class Deadline(Alarm):
    """
    Refuse a task's place when its deadline comes.
    """

    __slots__ = ("_desk", "_place", "_sight")

    def __init__(
        self, desk: Desk, place: Place, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(loop)
        self._desk = desk
        self._place = place
        self._sight = NOTHING
        self.ring()

    def _look(self, slept: int) -> int | None:
        self._sight = sight = self._desk._expire(  # noqa: SLF001 -- its protocol
            self._place, self._sight, slept
        )
        return None if sight is NOTHING else sight.alarm_at - sight.now


def wait_in_thread(
    desk: Desk,
    place: Place,
    waiter: ThreadWaiter | ClockWaiter,
    enter: Callable[[Place], int],
) -> None:
    """
    Take *place* with *enter*, and block until it was decided on.

    However this ends before that, the place is given back.
    """
    try:
        left = enter(place)
        if isinstance(waiter, ClockWaiter):
            if left:
                waiter.begin(place)
            while place.status is Status.QUEUED:
                waiter.rest()
            return
        while left:
            slept = waiter.sleep(left)
            left = desk._look(place, slept)  # noqa: SLF001 -- its protocol
    except BaseException:
        desk._leave(place, waiter)  # noqa: SLF001 -- its protocol
        raise
    finally:
        if isinstance(waiter, ClockWaiter):
            waiter.cancel()


async def wait_in_loop(
    desk: Desk,
    place: Place,
    waiter: TaskWaiter | ClockWaiter,
    crew: Crew,
    enter: Callable[[Place], int],
) -> None:
    """
    Take *place* with *enter*, and suspend the task until it was decided on.

    However this ends before that, the place is given back.
    """
    crew.check_free(place)
    deadline: Deadline | None = None
    try:
        future = crew.add(place)
        if not enter(place):
            return
        if isinstance(waiter, ClockWaiter):
            waiter.begin(place)
        else:
            if place.deadline != NEVER:
                deadline = Deadline(desk, place, crew.loop)
            if crew.is_first(place):
                crew.ring()
        await future
    except BaseException:
        desk._leave(place, waiter)  # noqa: SLF001 -- its protocol
        raise
    finally:
        if deadline is not None:
            deadline.cancel()
        if isinstance(waiter, ClockWaiter):
            waiter.cancel()
        crew.drop(place)
        if place.waiter is waiter and place.status is not Status.QUEUED:
            # It leads to the loop, and a reservation may be kept for long.
            place.waiter = None
