"""
A clock that stands still until it is told to move.
"""

from __future__ import annotations

import operator

from bisect import bisect_left, insort
from contextlib import contextmanager
from itertools import count
from threading import Condition, RLock, Thread, get_ident
from typing import TYPE_CHECKING

from switchgear import _fork, _validate


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Timer:
    """
    Stand for one call set with :meth:`ManualClock.call_at`.

    .. versionadded:: 0.1.0
    """

    __slots__ = ("_clock", "_number", "_wake", "_when_ns")

    def __init__(
        self,
        clock: ManualClock,
        when_ns: int,
        number: int,
        wake: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._when_ns = when_ns
        self._number = number
        self._wake = wake

    @property
    def when_ns(self) -> int:
        """
        When the call is due, in nanoseconds on its clock.
        """
        return self._when_ns

    def cancel(self) -> None:
        """
        Forget the call; harmless once it was made or forgotten.
        """
        self._clock._forget(self)  # noqa: SLF001 -- same module

    def __repr__(self) -> str:
        return f"<Timer at {self._when_ns / 1e9:.9f} s: {self._wake!r}>"


class ManualClock:
    """
    Stand still until told to move, and wake sleepers in order.

    Pass one as *clock* to a limiter or breaker, and a cooldown of two minutes
    passes in microseconds, without patching:

    >>> from switchgear.testing import ManualClock
    >>> clock = ManualClock()
    >>> earlier = clock.monotonic_ns()
    >>> clock.advance(120.0)
    >>> clock.monotonic_ns() - earlier
    120000000000

    Safe to share between any number of threads and event loops. Timers are
    called by the thread that moves the clock, while reading it and setting
    timers goes on. They may set and cancel timers, but not move the clock.
    Movements asked for by several threads are made one after the other.

    .. versionadded:: 0.1.0
    """

    def __init__(self) -> None:
        # Neither zero nor round, so that nobody comes to rely on either.
        self._now_ns = 1_000_123_456_789
        self._timers: list[tuple[int, int, Timer]] = []
        self._numbers = count()
        self._make_locks()
        _fork.track(self)

    def _make_locks(self) -> None:
        # Re-entrant: a signal handler may set a timer while another is set.
        self._changed = Condition(RLock())
        # Another one, because it is held while timers run.
        self._moving = RLock()
        self._mover: int | None = None

    def monotonic_ns(self) -> int:
        """
        Return the time now, in nanoseconds since an arbitrary moment.
        """
        return self._now_ns

    def monotonic(self) -> float:
        """
        Return the time now, in seconds since the same moment.
        """
        return self._now_ns / 1e9

    def call_at(self, when_ns: int, wake: Callable[[], object]) -> Timer:
        """
        Call *wake* once, when the clock is moved to or past *when_ns*.

        Timers of the same instant are called in the order they were set. One
        whose time has passed already is called by the next movement, were it
        ``advance(0)``.

        Args:
            when_ns: The instant, in nanoseconds on this clock.
            wake: Called without arguments by whoever moves the clock.

        Returns:
            A handle; its ``cancel()`` forgets the timer, and is harmless
            afterwards.

        Raises:
            TypeError: If *when_ns* is not an int.
        """
        timer = Timer(self, operator.index(when_ns), next(self._numbers), wake)
        entry = _entry(timer)
        with self._changed:
            insort(self._timers, entry)
            self._changed.notify_all()
        return timer

    def advance(self, seconds: float) -> None:
        """
        Let *seconds* pass, calling each timer at its own instant.

        While a timer runs, the clock stands at that timer's instant; timers it
        sets within the span are honoured in their turn.

        Args:
            seconds: Zero or more; rounded to whole nanoseconds.

        Raises:
            ValueError: If *seconds* is negative; :meth:`jump` goes back.
            RuntimeError: If a timer of this clock moves the clock.
            Exception: What a timer raised, once the others have been called
                and the time has passed; several arrive in an
                :class:`ExceptionGroup`. What is no :class:`Exception`, such as
                a :class:`KeyboardInterrupt`, ends the movement where it is.
        """
        span = _validate.seconds("seconds", seconds)
        self._move(_validate.nanoseconds(span), in_steps=True)

    def advance_ns(self, nanoseconds: int) -> None:
        """
        Let whole *nanoseconds* pass; otherwise like :meth:`advance`.
        """
        longest = _validate.nanoseconds(_validate.MAX_SECONDS)
        span = _validate.whole("nanoseconds", nanoseconds, minimum=0, maximum=longest)
        self._move(span, in_steps=True)

    def jump(self, seconds: float) -> None:
        """
        Change the time at once, forwards or back.

        As on a machine that was suspended, or a clock that was set. Timers
        due by the new time are called then, in order, all at the new time;
        after a step back these are the ones that are still overdue.

        Args:
            seconds: How far; less than zero goes back.

        Raises:
            RuntimeError: If a timer of this clock moves the clock.
            Exception: What a timer raised, as for :meth:`advance`.
        """
        farthest = _validate.MAX_SECONDS
        span = _validate.real("seconds", seconds, minimum=-farthest, maximum=farthest)
        self._move(_validate.nanoseconds(span), in_steps=False)

    def _move(self, span_ns: int, *, in_steps: bool) -> None:
        if self._mover == get_ident():
            msg = "a timer of a ManualClock cannot move that clock"
            raise RuntimeError(msg)
        errors: list[BaseException] = []
        with self._moving:
            self._mover = get_ident()
            try:
                goal_ns = self._now_ns + span_ns
                if not in_steps:
                    self._now_ns = goal_ns
                while (timer := self._next_due(goal_ns)) is not None:
                    # An overdue timer does not turn the clock back.
                    self._now_ns = max(self._now_ns, timer._when_ns)  # noqa: SLF001 -- same module
                    try:
                        timer._wake()  # noqa: SLF001 -- same module
                    except Exception as error:  # noqa: BLE001 -- raised below
                        errors.append(error)
                self._now_ns = goal_ns
            except BaseException as interruption:
                if not errors:
                    raise
                errors.append(interruption)
            finally:
                self._mover = None
        if len(errors) == 1:
            raise errors[0]
        if errors:
            msg = "several timers failed"
            raise BaseExceptionGroup(msg, errors)

    def _next_due(self, by_ns: int) -> Timer | None:
        with self._changed:
            if not self._timers or self._timers[0][0] > by_ns:
                return None
            return self._timers.pop(0)[2]

    def _forget(self, timer: Timer) -> None:
        entry = _entry(timer)
        with self._changed:
            place = bisect_left(self._timers, entry)
            if self._timers[place : place + 1] == [entry]:
                del self._timers[place]

    @property
    def sleepers(self) -> int:
        """
        How many timers are set.

        One for each thread that waits; and one for each limiter and event loop
        in which tasks wait, however many: for the first of them.
        """
        return len(self._timers)

    def wait_for_sleepers(self, count: int, *, timeout: float = 10.0) -> None:
        """
        Block until at least *count* timers are set.

        So that a test can start threads, know that they all wait, and only
        then move the clock.

        Args:
            count: How many timers.
            timeout: The most seconds, of real time, to block.

        Raises:
            TimeoutError: If fewer are set after *timeout*.
        """
        wanted = _validate.whole("count", count, minimum=0)
        patience = _validate.seconds("timeout", timeout)
        with self._changed:
            if not self._changed.wait_for(
                lambda: len(self._timers) >= wanted, patience
            ):
                msg = (
                    f"{len(self._timers)} of {wanted} timers were set"
                    f" within {patience:g} s"
                )
                raise TimeoutError(msg)

    @contextmanager
    def autojump(self) -> Iterator[None]:
        """
        Move from timer to timer by itself, for the length of a block.

        Whoever sleeps, in threads or event loops, is woken as soon as possible,
        and the clock shows the time until which they slept: a pool of workers
        that would take minutes is done in milliseconds. While nobody sleeps,
        the clock stands still; it can be moved by hand as well.

        >>> from switchgear import RateLimiter
        >>> from switchgear.testing import ManualClock
        >>> clock = ManualClock()
        >>> limiter = RateLimiter(calls_per_second=0.1, clock=clock)
        >>> before = clock.monotonic()
        >>> with clock.autojump():
        ...     for _ in range(4):
        ...         limiter.wait()
        >>> round(clock.monotonic() - before)
        30

        Raises:
            BaseException: What a timer raised, when the block ends; what several
                did, as a group. If the block itself raises, that is raised, and
                notes on it tell of the timers.
        """
        pilot = _Pilot(self)
        pilot.start()
        try:
            yield
        except BaseException as error:
            for other in pilot.land():
                error.add_note(f"Meanwhile a timer raised {other!r}.")
            raise
        errors = pilot.land()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            msg = "several timers failed"
            raise BaseExceptionGroup(msg, errors)

    def _jump_on(self, over: Callable[[], bool]) -> None:
        """
        Wait for a timer, or until it is *over*; move there.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._timers or over())
        # Nobody else moves it meanwhile; timers may go, though.
        with self._moving:
            with self._changed:
                if over() or not self._timers:
                    return
                when_ns, *_ = self._timers[0]
            self._move(max(0, when_ns - self._now_ns), in_steps=True)

    def _after_fork(self) -> None:
        # The sleepers stayed behind in the parent, with their threads.
        self._timers = []
        self._make_locks()

    def __repr__(self) -> str:
        return f"<ManualClock at {self.monotonic():.9f} s, {self.sleepers} sleepers>"


class _Pilot(Thread):
    """
    Move a clock from timer to timer until told to stop.
    """

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(name="autojump", daemon=True)
        self._clock = clock
        self._over = False
        self._errors: list[BaseException] = []

    def run(self) -> None:
        """
        Move, and keep what timers raise: `pytest.fail()` is no Exception.
        """
        while not self._over:
            try:
                self._clock._jump_on(lambda: self._over)  # noqa: SLF001 -- same module
            except BaseException as error:  # noqa: BLE001 -- told by autojump()
                self._errors.append(error)

    def land(self) -> list[BaseException]:
        """
        Stop; return what was kept.
        """
        with self._clock._changed:  # noqa: SLF001 -- same module
            self._over = True
            self._clock._changed.notify_all()  # noqa: SLF001 -- same module
        self.join()
        return self._errors


def _entry(timer: Timer) -> tuple[int, int, Timer]:
    return timer._when_ns, timer._number, timer  # noqa: SLF001 -- same module
