from __future__ import annotations

import time

import pytest

from freezegun import freeze_time

from switchgear._clock import MONOTONIC, Clock, TimerClock, checked_clock
from switchgear.testing import ManualClock


class Stopped:
    def monotonic_ns(self):
        return 5


class NotCallable:
    monotonic_ns = 5


class TestMonotonicClock:
    def test_tells_the_time_of_the_machine(self):
        """
        If the machine's clock is read between two readings, it lies between.
        """
        before = time.monotonic_ns()
        now = MONOTONIC.monotonic_ns()

        assert before <= now <= time.monotonic_ns()

    def test_is_looked_up_at_each_reading(self):
        """
        If a test freezes the time, the clock stands still.
        """
        with freeze_time("2026-01-01") as frozen:
            before = MONOTONIC.monotonic_ns()

            assert before == MONOTONIC.monotonic_ns()

            frozen.tick(2.0)

            assert before + 2_000_000_000 == MONOTONIC.monotonic_ns()

    def test_is_a_clock_without_timers(self):
        """
        If waits ask whether the clock calls back, the machine's does not.
        """
        assert isinstance(MONOTONIC, Clock)
        assert not isinstance(MONOTONIC, TimerClock)
        assert "MonotonicClock()" == repr(MONOTONIC)


class TestCheckedClock:
    def test_none_is_the_machine_s(self):
        """
        If no clock is given, the machine's is used.
        """
        assert MONOTONIC is checked_clock(None)

    @pytest.mark.parametrize("clock", [Stopped(), ManualClock(), MONOTONIC, time])
    def test_clocks_are_taken(self, clock):
        """
        If it has the method, it is a clock, were it a module.
        """
        assert clock is checked_clock(clock)

    @pytest.mark.parametrize(
        "clock", [5, "now", ManualClock, time.monotonic_ns, NotCallable()]
    )
    def test_others_are_refused(self, clock):
        """
        If it is a number, a class, a function or a fake, it is refused.
        """
        with pytest.raises(TypeError, match=r"clock must have a method monotonic"):
            checked_clock(clock)
