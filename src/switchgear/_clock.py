"""
Where the time comes from.
"""

from __future__ import annotations

import time

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable


if TYPE_CHECKING:
    from collections.abc import Callable


class TimerHandle(Protocol):
    """
    Stand for one call ordered with :meth:`TimerClock.call_at`.

    .. versionadded:: 0.1.0
    """

    def cancel(self) -> None:
        """
        Forget the call; harmless once it was made.
        """


@runtime_checkable
class Clock(Protocol):
    """
    Tell the time, in nanoseconds since an arbitrary moment.

    A clock may stall or step back; nothing is minted and nobody hangs. One
    with nothing but this method is taken to run at the machine's pace, and
    waits on it sleep.

    .. versionadded:: 0.1.0
    """

    def monotonic_ns(self) -> int:
        """
        Return the time now, in nanoseconds.
        """
        ...


@runtime_checkable
class TimerClock(Clock, Protocol):
    """
    Tell a time that is not the machine's, and call back when it comes.

    Waits on such a clock follow it: nobody sleeps.

    .. versionadded:: 0.1.0
    """

    def call_at(self, when_ns: int, wake: Callable[[], None]) -> TimerHandle:
        """
        Call *wake* once, from any thread, as soon as the time is *when_ns*.

        A time that has passed already is due at once: *wake* is called then
        by the next movement of the clock, never from within ``call_at``.
        """
        ...


class MonotonicClock:
    """
    Tell the machine's own time.

    The function is looked up at every reading, so that a test which replaces
    ``time.monotonic_ns`` (freezegun does) is noticed.
    """

    __slots__ = ()

    def monotonic_ns(self) -> int:
        """
        Return ``time.monotonic_ns()`` as it is now.
        """
        return time.monotonic_ns()

    def __repr__(self) -> str:
        return "MonotonicClock()"


MONOTONIC = MonotonicClock()


def checked_clock(clock: Any) -> Clock:
    """
    Return *clock*, or the machine's for None.
    """
    if clock is None:
        return MONOTONIC
    if isinstance(clock, type) or not callable(getattr(clock, "monotonic_ns", None)):
        msg = f"clock must have a method monotonic_ns(), not be {clock!r}"
        raise TypeError(msg)
    checked: Clock = clock
    return checked
