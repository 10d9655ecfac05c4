"""
The time of a circuit breaker.
"""

from __future__ import annotations

import time

import freezegun
import pytest

from switchgear import CircuitBreaker, CircuitState, CountWindow
from switchgear._attempts import Trial


class HandClock:
    """
    Tell what the test wrote last.
    """

    def __init__(self):
        self.now = 10**12
        self.readings = []

    def monotonic_ns(self):
        if self.readings:
            self.now = self.readings.pop(0)
        return self.now


SECOND = 10**9


@pytest.fixture
def hand():
    """
    A clock that does what no clock should.
    """
    return HandClock()


class TestFrozenTime:
    def test_under_freezegun_a_cooldown_passes_with_the_frozen_time(self):
        """
        If time is frozen by freezegun, the cooldown passes as it is moved.
        """
        with freezegun.freeze_time("2030-01-01") as frozen:
            breaker = CircuitBreaker(1, 120.0)
            breaker.record_failure()

            frozen.tick(119.9)
            assert breaker.is_open
            frozen.tick(0.1)
            assert not breaker.is_open

            assert breaker.try_acquire().success()

        assert CircuitState.CLOSED is breaker.snapshot().state

    def test_entering_and_leaving_freezegun_hangs_nobody(self):
        """
        If freezing moves the clock far away and back, an open circuit still
        opens up in time.
        """
        breaker = CircuitBreaker(1, 120.0)
        breaker.record_failure()
        with freezegun.freeze_time("2000-01-01") as frozen:
            breaker.reset()
            breaker.record_failure()
            frozen.tick(60)
            assert 60 == pytest.approx(breaker.snapshot().retry_after)

        assert 60 == pytest.approx(breaker.snapshot().retry_after, abs=5)
        assert breaker.is_open

    def test_the_machines_clock_is_looked_up_at_every_reading(self, monkeypatch):
        """
        If ``time.monotonic_ns`` is replaced, the breaker notices at once.
        """
        breaker = CircuitBreaker(1, 120.0)
        breaker.record_failure()
        later = time.monotonic_ns() + 121 * SECOND

        monkeypatch.setattr(time, "monotonic_ns", lambda: later)

        assert not breaker.is_open


class TestClockSteps:
    def test_a_step_back_does_not_extend_the_cooldown(self, hand):
        """
        If the clock steps back, what had passed of the cooldown has passed.
        """
        breaker = CircuitBreaker(1, 120.0, clock=hand)
        breaker.record_failure()
        hand.now += 50 * SECOND
        assert 70 == breaker.snapshot().retry_after

        hand.now -= 3600 * SECOND

        assert 70 == breaker.snapshot().retry_after
        assert breaker.is_open
        hand.now += 70 * SECOND
        assert not breaker.is_open

    def test_a_step_back_nobody_saw_is_the_most_it_costs(self, hand):
        """
        If the clock steps back between two readings, the cooldown is extended
        by no more than the time since the last one.
        """
        breaker = CircuitBreaker(1, 120.0, clock=hand)
        breaker.record_failure()

        hand.now += 50 * SECOND - 3600 * SECOND

        assert 120 == breaker.snapshot().retry_after

    def test_a_forward_jump_is_elapsed_time(self, hand):
        """
        If the clock jumps ahead, that much time has passed.
        """
        breaker = CircuitBreaker(1, 120.0, clock=hand)
        breaker.record_failure()

        hand.now += 10**6 * SECOND

        assert not breaker.is_open

    def test_no_call_takes_less_than_nothing(self, hand):
        """
        If the clock steps back during a call, the call was not slow, and the
        next one is measured as ever.
        """
        breaker = CircuitBreaker(1, clock=hand, slow_call_seconds=5.0)

        with breaker.guard():
            hand.now -= 100 * SECOND
        with breaker.guard():
            hand.now -= 100 * SECOND
            hand.now += 5 * SECOND

        assert not breaker.is_open

    def test_a_reading_that_came_late_is_no_step(self, hand):
        """
        If a reading is behind the last one seen, it is read again, and only
        if it still is has the clock stepped back.
        """
        breaker = CircuitBreaker(1, 120.0, clock=hand)
        breaker.record_failure()
        hand.now += 50 * SECOND
        breaker.snapshot()

        hand.readings = [hand.now - SECOND, hand.now + SECOND]

        assert 69 == breaker.snapshot().retry_after
        assert [] == hand.readings
        assert 69 == breaker.snapshot().retry_after

    def test_a_reading_that_came_late_after_a_step(self, hand):
        """
        If the clock has stepped back once, a late reading is read again, too.
        """
        breaker = CircuitBreaker(1, 120.0, clock=hand)
        breaker.record_failure()
        hand.now -= 3600 * SECOND
        breaker.snapshot()
        hand.now += 50 * SECOND
        breaker.snapshot()

        hand.readings = [hand.now - SECOND, hand.now + SECOND]

        assert 69 == breaker.snapshot().retry_after

        hand.now += SECOND

        assert 68 == breaker.snapshot().retry_after

    def test_a_step_seen_twice_counts_once(self):
        """
        If a signal handler notices a step first, while it is being read, the
        time goes on from there.
        """

        class Interrupted(HandClock):
            nested = None

            def monotonic_ns(self):
                nested, self.nested = self.nested, None
                if nested is not None and not nested:
                    # The second reading: the one under the lock.
                    breaker.snapshot()
                elif nested:
                    self.nested = nested[1:]
                return self.now

        clock = Interrupted()
        breaker = CircuitBreaker(1, 120.0, clock=clock)
        breaker.record_failure()
        clock.now += 50 * SECOND
        breaker.snapshot()
        clock.now -= 3600 * SECOND
        clock.nested = [None]

        assert 70 == breaker.snapshot().retry_after

        clock.now += 10 * SECOND
        assert 60 == breaker.snapshot().retry_after

    def test_a_stalled_clock_changes_nothing(self, hand):
        """
        If the clock stands still, nothing is due, and calls take no time.
        """
        breaker = CircuitBreaker(
            2, 10.0, clock=hand, window=CountWindow(5), slow_call_seconds=0.001
        )
        for _ in range(9):
            with breaker.guard():
                pass

        assert 0 == breaker.snapshot().window.slow
        assert 0.0 == breaker.snapshot().since


class TestRetryAfter:
    @pytest.mark.parametrize("cooldown", [0.1, 0.3, 1e-9, 123456.789, 1 / 3, 1e9])
    def test_waiting_exactly_that_long_is_enough(self, clock, cooldown):
        """
        If a caller waits exactly *retry_after*, the next call is admitted.
        """
        breaker = CircuitBreaker(1, cooldown, clock=clock)
        breaker.record_failure()

        for share in (3, 7):
            clock.advance(breaker.try_acquire().retry_after / share)
        clock.advance(breaker.snapshot().retry_after)

        assert breaker.try_acquire()


class TestTrials:
    """
    Calls of which whoever makes them says how they ended, and for how long.
    """

    @pytest.mark.parametrize("quick", [True, False])
    def test_a_service_that_asked_to_be_left_alone(self, clock, quick):
        """
        If a failure comes with a time to come back, an opened circuit stays so.
        """
        breaker = CircuitBreaker(
            1, 5.0, clock=clock, slow_call_seconds=None if quick else 1e6
        )
        trial = Trial(breaker, None)
        trial.enter()

        trial.failed(OSError("down"), 60.0)

        assert breaker.snapshot().retry_after == 60.0

    @pytest.mark.parametrize("quick", [True, False])
    def test_one_that_says_nothing(self, clock, quick):
        """
        If a call says nothing about the service, it counts neither way.
        """
        breaker = CircuitBreaker(
            1, 5.0, clock=clock, slow_call_seconds=None if quick else 1e6
        )
        trial = Trial(breaker, None)
        trial.enter()

        trial.ignored()

        snapshot = breaker.snapshot()
        assert (snapshot.failures, snapshot.ignored) == (0, 1)
