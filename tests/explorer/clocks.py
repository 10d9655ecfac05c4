"""
A clock of the user's, that a scheduled thread moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from explorer.scheduler import wait_until


if TYPE_CHECKING:
    from collections.abc import Callable


class MovedTimer:
    """
    Stand for one call, as a clock's users know it.
    """

    def __init__(self, clock: MovedClock, when_ns: int, wake: Callable[[], object]):
        self._clock = clock
        self.when_ns = when_ns
        self.wake = wake

    def cancel(self) -> None:
        """
        Forget the call.
        """
        if self in self._clock.timers:
            self._clock.timers.remove(self)


class MovedClock:
    """
    Stand still until one of the threads moves it from timer to timer.
    """

    def __init__(self) -> None:
        self.now_ns = 1_000
        self.timers: list[MovedTimer] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def call_at(self, when_ns: int, wake: Callable[[], object]) -> MovedTimer:
        """
        Call *wake* once the clock is moved to *when_ns*.
        """
        timer = MovedTimer(self, when_ns, wake)
        self.timers.append(timer)
        return timer

    def jump_on(self, is_over: Callable[[], bool]) -> None:
        """
        Move to whatever timer is next, as soon as there is one, until it is over.
        """
        while not is_over():
            wait_until(lambda: bool(self.timers) or is_over())
            if self.timers:
                timer = min(self.timers, key=lambda one: one.when_ns)
                self.timers.remove(timer)
                self.now_ns = max(self.now_ns, timer.when_ns)
                timer.wake()
