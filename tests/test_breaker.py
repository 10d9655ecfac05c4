"""
The circuit breaker: states, outcomes, settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import os
import pickle
import random
import signal
import sys
import threading
import warnings
import weakref

from functools import partial
from typing import ClassVar

import pytest

from interrupting import points, stop
from stress.stress_shared import LEADS_TO

from switchgear import (
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    CountWindow,
    TimeWindow,
)
from switchgear._core import circuit
from switchgear._core.outcomes import Judge, Outcome
from switchgear.events import (
    CircuitClosed,
    CircuitEvent,
    CircuitForced,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitRefused,
    CircuitTripObserved,
    Event,
    Reconfigured,
)
from switchgear.testing import disabled


CLOSED = CircuitState.CLOSED
OPEN = CircuitState.OPEN
HALF_OPEN = CircuitState.HALF_OPEN
FORCED_OPEN = CircuitState.FORCED_OPEN
FORCED_CLOSED = CircuitState.FORCED_CLOSED
OBSERVING = CircuitState.OBSERVING


class Down(Exception):
    pass


@pytest.fixture
def make(clock):
    """
    Make breakers on the clock of the test.
    """

    def made(*args, **settings):
        return CircuitBreaker(*args, clock=clock, **settings)

    return made


@pytest.fixture
def heard():
    """
    Collect the events of a breaker: ``heard(breaker)`` returns the list.
    """

    def listen(breaker, *event_types):
        events = []
        breaker.subscribe(events.append, *event_types)
        return events

    return listen


def trip(breaker, error=None, **more):
    """
    Report failures until the breaker refuses.
    """
    while not breaker.is_open:
        breaker.record_failure(error, **more)


def state(breaker):
    return breaker.snapshot().state


def in_state(make, clock, wanted):
    """
    Return a breaker with a threshold of 2 in the state *wanted*.
    """
    breaker = make(2, 10.0)
    if wanted in {OPEN, HALF_OPEN}:
        trip(breaker, Down("it is"))
    if wanted is HALF_OPEN:
        clock.advance(10)
        assert not breaker.is_open
    if wanted is FORCED_OPEN:
        breaker.force_open("maintenance")
    if wanted is FORCED_CLOSED:
        breaker.force_closed("trust me")
    if wanted is OBSERVING:
        breaker.observe_only()
    assert wanted is state(breaker)
    return breaker


class TestDefaultTripRule:
    def test_threshold_consecutive_failures_open_it(self, make):
        """
        If *threshold* calls in a row fail, the circuit opens; one less, and
        it does not.
        """
        breaker = make(3)

        breaker.record_failure()
        breaker.record_failure()
        assert CLOSED is state(breaker)

        breaker.record_failure()
        assert OPEN is state(breaker)

    def test_a_success_resets_the_count_at_once(self, make):
        """
        If a call succeeds, the count of failures starts anew.
        """
        breaker = make(2)

        for _ in range(5):
            breaker.record_failure()
            breaker.record_success()

        assert CLOSED is state(breaker)
        assert 0 == breaker.snapshot().failures

    def test_the_call_that_trips_raises_its_own_exception(self, make):
        """
        If a call opens the circuit, it raises what it raised, never ours.
        """
        breaker = make(1)
        error = Down()

        with pytest.raises(Down) as caught, breaker.guard():
            raise error

        assert error is caught.value
        assert breaker.is_open


class TestWindow:
    @pytest.mark.parametrize(
        "window", [CountWindow(10, 0.5, 4), TimeWindow(10.0, 0.5, 4)]
    )
    def test_the_rate_trips_it_as_well(self, make, window):
        """
        If there is a window, too large a share of failures opens the circuit
        although they are not consecutive.
        """
        breaker = make(5, window=window)

        for report in (breaker.record_failure, breaker.record_success) * 2:
            assert CLOSED is state(breaker)
            report()

        assert OPEN is state(breaker)

    def test_consecutive_failures_trip_it_before_the_rate_is_judged(self, make, heard):
        """
        If both rules are on, each can open the circuit.
        """
        breaker = make(2, window=CountWindow(10))
        events = heard(breaker, CircuitOpened)

        breaker.record_failure()
        breaker.record_failure()

        assert ["failures"] == [event.reason for event in events]

    def test_without_a_threshold_the_rate_alone_decides(self, make, heard):
        """
        If *threshold* is None, failures in a row are counted but do not trip.
        """
        breaker = make(None, window=CountWindow(10, 0.5, 10))
        events = heard(breaker, CircuitOpened)

        for _ in range(9):
            breaker.record_failure()
        assert CLOSED is state(breaker)
        assert 9 == breaker.snapshot().failures

        breaker.record_failure()
        assert ["failure_rate"] == [event.reason for event in events]

    def test_it_is_judged_on_every_record(self, make):
        """
        If a *success* is the call that makes the window meaningful, it trips.
        """
        breaker = make(9, window=CountWindow(10, 0.5, 3))
        breaker.record_failure()
        breaker.record_failure()

        breaker.record_success()

        assert OPEN is state(breaker)

    def test_old_calls_leave_a_time_window(self, make, clock):
        """
        If failures are older than the window, they count no more.
        """
        breaker = make(9, window=TimeWindow(32.0, 0.5, 2))
        breaker.record_failure()
        clock.advance(33)

        breaker.record_success()
        breaker.record_success()

        assert (2, 0, 0) == _counts(breaker)

    def test_it_starts_empty_once_closed(self, make, clock):
        """
        If a circuit closes, what tripped it is forgotten.
        """
        breaker = make(None, 10.0, window=CountWindow(4, 0.5, 2))
        breaker.record_failure()
        breaker.record_failure()
        assert (2, 2, 0) == _counts(breaker)
        clock.advance(10)

        assert breaker.try_acquire().success()

        assert (0, 0, 0) == _counts(breaker)


class TestSlowCalls:
    def test_a_slow_call_is_a_failure(self, make, clock):
        """
        If a call takes longer than *slow_call_seconds*, it has failed, and if
        it takes exactly as long it has not.
        """
        breaker = make(1, slow_call_seconds=2.0)

        with breaker.guard():
            clock.advance(2)
        assert CLOSED is state(breaker)

        with breaker.guard():
            clock.advance(2.000001)
        assert OPEN is state(breaker)
        assert 1 == breaker.snapshot().failed

    def test_with_a_slow_call_rate_it_is_judged_by_the_rate(self, make, heard):
        """
        If *slow_call_rate* is set, slow calls are successes that are slow.
        """
        window = CountWindow(10, 0.5, 4, slow_call_rate=0.75)
        breaker = make(2, window=window, slow_call_seconds=2.0)
        events = heard(breaker, CircuitOpened)

        breaker.record_failure()
        for _ in range(2):
            breaker.record_success(duration=3.0)
        assert CLOSED is state(breaker)
        assert 0 == breaker.snapshot().failures
        assert (3, 1, 2) == _counts(breaker)

        breaker.record_failure(duration=3.0)

        assert (4, 2, 3) == _counts(breaker)
        assert ["failure_rate"] == [event.reason for event in events]

    def test_a_large_share_of_slow_calls_trips_it(self, make, heard):
        """
        If too many calls are slow, the circuit opens without any failure.
        """
        window = CountWindow(10, 0.5, 2, slow_call_rate=1.0)
        breaker = make(window=window, slow_call_seconds=2.0)
        events = heard(breaker, CircuitOpened)

        breaker.record_success(duration=3.0)
        breaker.record_success(duration=3.0)

        assert [("slow_call_rate", 0)] == [(one.reason, one.failures) for one in events]

    @pytest.mark.parametrize(
        ("window", "failures", "counts"),
        [
            (None, 1, None),
            (CountWindow(10), 1, (1, 1, 1)),
            (CountWindow(10, slow_call_rate=1.0), 0, (1, 0, 1)),
        ],
    )
    def test_a_call_cancelled_after_slow_call_seconds_is_slow(
        self, make, clock, window, failures, counts
    ):
        """
        If a call is cancelled, it is ignored -- unless it had been slow.
        """
        breaker = make(5, window=window, slow_call_seconds=2.0)

        for length in (2, 3):
            with pytest.raises(asyncio.CancelledError), breaker.guard():
                clock.advance(length)
                raise asyncio.CancelledError

        assert failures == breaker.snapshot().failures
        assert counts == _counts(breaker)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_an_interrupted_call_is_not_slow(self, make, clock, error):
        """
        If the program ends during a slow call, nobody lost patience with it.
        """
        breaker = make(1, slow_call_seconds=2.0)

        with pytest.raises(error), breaker.guard():
            clock.advance(3)
            raise error

        assert CLOSED is state(breaker)

    def test_an_ignored_call_is_never_slow(self, make, clock):
        """
        If the caller says that a call tells nothing, its duration does not.
        """
        breaker = make(1, slow_call_seconds=2.0, ignore=Down)

        permit = breaker.try_acquire()
        clock.advance(3)
        permit.ignore()
        with pytest.raises(Down), breaker.guard():
            clock.advance(3)
            raise Down

        assert CLOSED is state(breaker)

    def test_a_slow_probe_is_a_failure(self, make, clock):
        """
        If a probe is slow, the service has not recovered, whatever the rate.
        """
        window = CountWindow(10, slow_call_rate=1.0)
        breaker = make(1, 10.0, window=window, slow_call_seconds=2.0)
        trip(breaker)
        clock.advance(10)

        with breaker.guard():
            clock.advance(3)

        assert OPEN is state(breaker)


def _counts(breaker):
    window = breaker.snapshot().window
    return window and (window.calls, window.failures, window.slow)


class TestProbeLeases:
    @pytest.mark.parametrize("probes", [1, 3])
    def test_at_most_half_open_probes_are_out_at_once(self, make, clock, probes):
        """
        If more callers ask than there are slots, the rest is refused, until
        one reports.
        """
        breaker = make(1, 10.0, half_open_probes=probes, successes_to_close=9)
        trip(breaker)
        clock.advance(10)

        permits = [breaker.try_acquire() for _ in range(probes)]

        assert all(permits)
        assert breaker.is_open
        assert not breaker.try_acquire()
        assert probes == breaker.snapshot().probes_out

        permits[0].success()

        assert not breaker.is_open
        assert breaker.try_acquire()

    def test_a_probe_that_reports_nothing_expires_and_another_may_try(
        self, make, clock
    ):
        """
        If a probe hangs past *probe_timeout*, it counts as ignored, its slot
        is free, and its late result moves nothing.
        """
        breaker = make(2, 10.0, probe_timeout=5.0)
        trip(breaker)
        clock.advance(10)
        hung = breaker.try_acquire()

        clock.advance(4.999999999)
        assert 0.000000001 == pytest.approx(breaker.try_acquire().retry_after)

        clock.advance(0.000000001)
        fresh = breaker.try_acquire()
        assert fresh
        assert 1 == breaker.snapshot().ignored

        assert hung.failure(Down()) is False
        assert HALF_OPEN is state(breaker)
        assert 1 == breaker.snapshot().probes_out
        assert 1 == breaker.snapshot().ignored

        assert fresh.success()
        assert CLOSED is state(breaker)

    def test_a_late_result_that_comes_before_anybody_looked_is_late_all_the_same(
        self, make, clock
    ):
        """
        If a probe reports at its timeout or later, it has been given up.
        """
        breaker = make(2, 10.0, probe_timeout=5.0)
        trip(breaker)
        clock.advance(10)
        hung = breaker.try_acquire()
        clock.advance(5)

        assert hung.success() is False

        assert HALF_OPEN is state(breaker)
        assert 1 == breaker.snapshot().ignored

    @pytest.mark.parametrize("then", ["success", "failure"])
    def test_a_probe_that_was_given_up_has_one_outcome(self, make, clock, then):
        """
        If a probe was given up, and the circuit closed or opened again since,
        its late result is not counted a second time.
        """
        breaker = make(2, 10.0)
        trip(breaker)
        clock.advance(10)
        given_up = breaker.try_acquire()
        clock.advance(10)
        getattr(breaker.try_acquire(), then)()
        before = breaker.snapshot()

        assert given_up.failure() is False

        assert before == breaker.snapshot()
        assert 1 == before.ignored

    @pytest.mark.parametrize("first", ["look", "hung", "slow"])
    def test_a_result_in_time_counts_though_the_circuit_has_reopened(
        self, make, clock, heard, first
    ):
        """
        If one probe was given up and reopened the circuit, the result of
        another that is in time is counted, and that of the first is not,
        whoever comes first, and whether or not anybody has looked in between.
        """
        breaker = make(1, 10.0, half_open_probes=2, probe_timeout=5.0)
        trip(breaker, Down("first"))
        clock.advance(10)
        hung = breaker.try_acquire()
        clock.advance(3)
        slow = breaker.try_acquire()
        clock.advance(3)
        before = breaker.snapshot()

        events = heard(breaker, CircuitOpened)

        if first == "look":
            assert breaker.is_open
        if first == "hung":
            assert hung.failure(Down("hung")) is False
        assert slow.failure(Down("slow")) is True
        assert hung.failure(Down("hung")) is False

        # It was not this failure that reopened it.
        assert [before.last_failure] == [event.last_failure for event in events]
        assert before.last_failure == breaker.snapshot().last_failure

        assert OPEN is state(breaker)
        assert 1 == breaker.snapshot().failed - before.failed
        assert 1 == breaker.snapshot().ignored
        assert 1.0 == breaker.snapshot().since

    def test_a_probe_has_a_cooldown_of_time_by_default(self, make, clock):
        """
        If *probe_timeout* is not given, it is the cooldown.
        """
        breaker = make(2, 10.0)
        trip(breaker)
        clock.advance(10)

        breaker.try_acquire()

        assert 10.0 == breaker.try_acquire().retry_after

    def test_the_first_failing_probe_reopens_at_once(self, make, clock):
        """
        If one of several probes fails, the circuit is open, and the others'
        results change nothing.
        """
        breaker = make(2, 10.0, half_open_probes=3)
        trip(breaker)
        clock.advance(10)
        permits = [breaker.try_acquire() for _ in range(3)]

        assert permits[1].failure(Down())
        assert OPEN is state(breaker)

        assert permits[0].success()
        assert permits[2].failure(Down())
        clock.advance(9.5)
        assert breaker.is_open
        assert 0.5 == breaker.snapshot().retry_after

    def test_it_closes_after_successes_to_close(self, make, clock):
        """
        If *successes_to_close* probes have succeeded, the circuit closes.
        """
        breaker = make(2, 10.0, successes_to_close=3)
        trip(breaker)
        clock.advance(10)

        for expected in (HALF_OPEN, HALF_OPEN, CLOSED):
            breaker.try_acquire().success()
            assert expected is state(breaker)

    def test_the_cooldown_grows_and_is_back_to_the_first_once_closed(self, make, clock):
        """
        If probes keep failing, the cooldown grows by the factor up to the
        maximum; after closing it starts over.
        """
        breaker = make(1, 10.0, cooldown_factor=2.0, max_cooldown=35.0)
        trip(breaker)

        for cooldown in (10, 20, 35, 35):
            assert cooldown == breaker.snapshot().retry_after
            clock.advance(cooldown)
            breaker.try_acquire().failure()

        clock.advance(35)
        breaker.try_acquire().success()
        trip(breaker)
        assert 10 == breaker.snapshot().retry_after

    def test_jitter_spreads_the_cooldown(self, make, clock):
        """
        If there is jitter, chance decides within the fraction.
        """
        cooldowns = []
        for seed in range(50):
            random.seed(seed)
            breaker = make(1, 10.0, jitter=0.2)
            trip(breaker)
            random.seed(seed)
            expected = round(10**10 * (1 + 0.2 * (2 * random.random() - 1))) / 1e9
            assert expected == breaker.snapshot().retry_after
            cooldowns.append(expected)

        assert 8 <= min(cooldowns) < 9
        assert 11 < max(cooldowns) <= 12

    def test_without_jitter_nothing_is_drawn(self, make, clock):
        """
        If there is no jitter, the numbers of a seeded program stay as they are.
        """
        before = random.getstate()
        breaker = make(1, 10.0)
        breaker.record_success()
        trip(breaker)
        assert breaker.is_open
        clock.advance(10)
        assert not breaker.is_open
        with breaker.guard():
            pass

        assert before == random.getstate()

    @pytest.mark.parametrize(
        "is_open",
        [lambda it: it.is_open, lambda it: not it.try_acquire()],
        ids=["look", "ask"],
    )
    def test_jitter_of_a_circuit_that_reopens_by_itself(
        self, make, clock, monkeypatch, is_open
    ):
        """
        If probes hang until the circuit reopens, chance decides as well,
        whoever finds out.
        """
        breaker = make(1, 10.0, jitter=0.2, probe_timeout=3.0)
        trip(breaker)
        clock.advance(20)
        assert breaker.try_acquire()
        monkeypatch.setattr("random.random", lambda: 0.25)
        clock.advance(3)

        assert is_open(breaker)
        assert 9.0 == breaker.snapshot().retry_after

    @pytest.mark.parametrize("verb", ["record", "look", "ask"])
    def test_reentered_by_a_change_of_jitter(self, clock, verb):
        """
        If a signal handler lets chance decide from now on, while a circuit is
        about to open, its cooldown is within what it then may be.
        """
        for come_in in points(5):
            breaker = CircuitBreaker(1, 10.0, probe_timeout=1.0, clock=clock)
            act = breaker.record_failure
            if verb != "record":
                breaker.record_failure()
                clock.advance(10)
                breaker.try_acquire()
                clock.advance(1)
                act = breaker.try_acquire
                if verb == "look":
                    act = partial(getattr, breaker, "is_open")
            if not come_in(act, partial(breaker.reconfigure, jitter=0.5)):
                continue

            assert 5 <= breaker.snapshot().retry_after <= 15

    def test_ignored_probes_in_a_row_reopen_it(self, make, clock, heard):
        """
        If *threshold* probes in a row are ignored, the circuit reopens.
        """
        breaker = make(3, 10.0)
        events = heard(breaker, CircuitOpened)
        trip(breaker)
        clock.advance(10)

        for _ in range(3):
            assert HALF_OPEN is state(breaker) or not breaker.is_open
            breaker.try_acquire().ignore()

        assert OPEN is state(breaker)
        assert ["failures", "probes_ignored"] == [event.reason for event in events]

    def test_five_ignored_probes_reopen_it_without_a_threshold(self, make, clock):
        """
        If *threshold* is None, five ignored probes in a row are too many.
        """
        breaker = make(None, 10.0, window=CountWindow(1))
        trip(breaker)
        clock.advance(10)
        assert not breaker.is_open

        for _ in range(5):
            assert HALF_OPEN is state(breaker)
            breaker.try_acquire().ignore()

        assert OPEN is state(breaker)

    def test_hung_probes_reopen_it_as_well(self, make, clock):
        """
        If probes never report, they count as ignored like any other, so that
        a dead service is not half-open for ever.
        """
        breaker = make(2, 10.0, probe_timeout=3.0)
        trip(breaker)
        clock.advance(10)

        for _ in range(2):
            assert breaker.try_acquire()
            clock.advance(3)

        assert breaker.is_open
        assert OPEN is state(breaker)
        assert 2 == breaker.snapshot().ignored

    def test_a_success_ends_the_row_of_ignored_probes(self, make, clock):
        """
        If a probe succeeds in between, ignored probes are counted anew.
        """
        breaker = make(2, 10.0, successes_to_close=9)
        trip(breaker)
        clock.advance(10)

        for _ in range(4):
            breaker.try_acquire().ignore()
            breaker.try_acquire().success()

        assert HALF_OPEN is state(breaker)


class TestGenerations:
    def test_a_late_failure_does_not_trip_a_fresh_circuit(self, make, clock):
        """
        If a call admitted before the circuit opened fails after it has closed
        again, the failure moves nothing.
        """
        breaker = make(1, 10.0, window=CountWindow(10))
        late = [breaker.try_acquire() for _ in range(3)]
        trip(breaker)
        clock.advance(10)
        breaker.try_acquire().success()

        for permit in late:
            assert permit.failure(Down())

        assert CLOSED is state(breaker)
        assert 0 == breaker.snapshot().failures
        assert (0, 0, 0) == _counts(breaker)
        assert breaker.snapshot().last_failure is None

    def test_a_late_failure_does_not_push_the_cooldown(self, make, clock):
        """
        If a late failure arrives while it is open, or half-open, with or
        without a hint, the cooldown ends when it was going to.
        """
        breaker = make(1, 10.0)
        late = [breaker.try_acquire() for _ in range(2)]
        trip(breaker)
        clock.advance(9)

        late[0].failure(Down(), retry_after=99)

        assert 1 == breaker.snapshot().retry_after
        clock.advance(1)
        assert not breaker.is_open

        late[1].failure(Down(), retry_after=99)

        assert HALF_OPEN is state(breaker)

    def test_a_late_success_does_not_close_it(self, make, clock):
        """
        If a call from before succeeds while it is half-open, it was no probe.
        """
        breaker = make(1, 10.0)
        late = breaker.try_acquire()
        trip(breaker)
        clock.advance(10)
        probe = breaker.try_acquire()

        assert late.success()

        assert HALF_OPEN is state(breaker)
        assert 1 == breaker.snapshot().probes_out
        assert probe.success()

    def test_a_probe_of_an_older_half_open_phase_does_not_count(self, make, clock):
        """
        If a probe outlives its phase, its result does not decide a later one.
        """
        breaker = make(1, 10.0, half_open_probes=2, probe_timeout=60.0)
        trip(breaker)
        clock.advance(10)
        old = breaker.try_acquire()
        breaker.try_acquire().failure()
        clock.advance(10)
        assert not breaker.is_open

        assert old.success()

        assert HALF_OPEN is state(breaker)

    @pytest.mark.parametrize(
        "act",
        [
            CircuitBreaker.reset,
            CircuitBreaker.force_open,
            CircuitBreaker.force_closed,
            CircuitBreaker.observe_only,
        ],
    )
    def test_reset_and_operator_calls_start_a_generation(self, make, act):
        """
        If an operator acts, results of earlier calls count no more.
        """
        breaker = make(1)
        late = breaker.try_acquire()

        act(breaker)
        breaker.reset()
        late.failure()

        assert CLOSED is state(breaker)
        assert 0 == breaker.snapshot().failures

    def test_reconfigure_starts_none(self, make):
        """
        If the settings change, results of earlier calls still count.
        """
        breaker = make(1)
        permit = breaker.try_acquire()

        breaker.reconfigure(cooldown=5.0)
        permit.failure()

        assert OPEN is state(breaker)


class TestThreeOutcomes:
    @pytest.mark.parametrize(
        ("error", "failures"),
        [
            (Down(), 2),
            (LookupError(), 0),
            (ValueError(), 1),
            (asyncio.CancelledError(), 1),
            (KeyboardInterrupt(), 1),
            (SystemExit(), 1),
            (GeneratorExit(), 1),
            (CircuitOpenError("other", OPEN, 1.0), 1),
        ],
        ids=repr,
    )
    def test_an_exception_is_a_failure_a_success_or_ignored(
        self, make, error, failures
    ):
        """
        If an exception leaves a guard, a failure adds to the streak, a
        success ends it, and whatever is ignored leaves it alone.
        """
        breaker = make(failure_on=Down, ignore=ValueError)
        breaker.record_failure()

        with pytest.raises(type(error)), breaker.guard():
            raise error

        assert failures == breaker.snapshot().failures

    def test_ignored_frees_the_slot_and_counts_neither_way(self, make, clock):
        """
        If a probe is ignored, its slot is free; the next one decides.
        """
        breaker = make(2, 10.0)
        trip(breaker)
        clock.advance(10)

        breaker.try_acquire().ignore()

        assert HALF_OPEN is state(breaker)
        assert 0 == breaker.snapshot().probes_out
        breaker.try_acquire().success()
        assert CLOSED is state(breaker)

    def test_exactly_one_outcome_per_permit(self, make):
        """
        If a permit reports several times, the first one decides.
        """
        breaker = make(9)

        permit = breaker.try_acquire()
        assert permit.failure(Down())
        assert not permit.success()
        assert not permit.ignore()
        assert not permit.failure(Down())

        assert 1 == breaker.snapshot().failures
        assert 1 == breaker.snapshot().failed

    def test_the_totals_count_every_outcome(self, make):
        """
        If calls are made, admitted, failed and ignored add up.
        """
        breaker = make(9)

        for report in ("success", "failure", "ignore") * 2:
            getattr(breaker.try_acquire(), report)()

        snapshot = breaker.snapshot()
        assert (6, 2, 2, 0) == (
            snapshot.admitted,
            snapshot.failed,
            snapshot.ignored,
            snapshot.refused,
        )


class TestTryAcquire:
    def test_an_admitted_permit_is_truthy(self, make):
        """
        If the call may be made, the permit is true and has nothing to wait for.
        """
        permit = make().try_acquire()

        assert permit
        assert 0.0 == permit.retry_after
        assert "<Permit admitted>" == repr(permit)

    def test_a_refused_permit_is_falsy_and_says_how_long(self, make, clock):
        """
        If the circuit is open, the permit is false, knows how long, and
        reports nothing; waiting exactly that long is enough.
        """
        breaker = make(1, 10.0)
        trip(breaker)
        clock.advance(2.5)

        permit = breaker.try_acquire()

        assert not permit
        assert 7.5 == permit.retry_after
        assert "<Permit refused: open>" == repr(permit)
        assert (False, False, False) == (
            permit.success(),
            permit.failure(),
            permit.ignore(),
        )
        assert OPEN is state(breaker)

        clock.advance(permit.retry_after)
        assert breaker.try_acquire()

    @pytest.mark.parametrize("report", ["failure", "record_failure"])
    def test_what_is_no_exception_is_refused(self, make, report):
        """
        If *error* is no exception, the mistake is named and nothing counted.
        """
        breaker = make()
        owner = breaker if hasattr(breaker, report) else breaker.try_acquire()

        with pytest.raises(TypeError, match="error must be an exception or None"):
            getattr(owner, report)("oops")
        with pytest.raises(ValueError, match="retry_after must be at least 0"):
            getattr(owner, report)(retry_after=-1)

        assert 0 == breaker.snapshot().failures


class TestRecordWithoutAPermit:
    def test_closed_it_counts(self, make):
        """
        If the circuit is closed, a recorded outcome counts like any other.
        """
        breaker = make(2, window=CountWindow(10))

        breaker.record_failure(Down("no"))
        breaker.record_success()

        assert (2, 1, 0) == _counts(breaker)
        assert 2 == breaker.snapshot().admitted
        assert "Down: no" == breaker.snapshot().last_failure

    @pytest.mark.parametrize(
        ("report", "expected"), [("record_success", CLOSED), ("record_failure", OPEN)]
    )
    def test_half_open_it_is_a_probes_result(self, make, clock, report, expected):
        """
        If the circuit is half-open, a recorded outcome decides.
        """
        breaker = in_state(make, clock, HALF_OPEN)

        getattr(breaker, report)()

        assert expected is state(breaker)

    def test_half_open_it_comes_after_the_probes_that_ran_out(self, make, clock):
        """
        If hung probes have reopened the circuit meanwhile, it only adds to
        the totals.
        """
        breaker = make(1, 10.0, probe_timeout=3.0)
        trip(breaker)
        clock.advance(10)
        breaker.try_acquire()
        clock.advance(3)

        breaker.record_success()

        assert OPEN is state(breaker)

    @pytest.mark.parametrize("where", [OPEN, FORCED_OPEN, FORCED_CLOSED])
    def test_open_and_forced_it_only_adds_to_the_totals(self, make, clock, where):
        """
        If the circuit is open or forced, nothing but the totals changes: not
        even a cooldown that has passed is acted upon.
        """
        breaker = in_state(make, clock, where)
        before = breaker.snapshot()

        breaker.record_success()
        for _ in range(9):
            breaker.record_failure(Down(), retry_after=99)

        after = breaker.snapshot()
        assert (10, 9) == (
            after.admitted - before.admitted,
            after.failed - before.failed,
        )
        assert before.retry_after == after.retry_after
        assert before.failures == after.failures
        assert where is after.state
        if where is OPEN:
            clock.advance(10)
            breaker.record_success()
            assert OPEN is state(breaker)
            assert not breaker.is_open

    @pytest.mark.parametrize("duration", [-1.0, float("nan"), "1", True])
    def test_a_bad_duration_is_refused(self, make, duration):
        """
        If *duration* is no duration, the error names it; nothing is counted.
        """
        breaker = make()

        for report in (breaker.record_success, breaker.record_failure):
            with pytest.raises((TypeError, ValueError), match=r"^duration must be"):
                report(duration=duration)

        assert 0 == breaker.snapshot().admitted


class TestRetryAfterOfTheServer:
    def test_it_keeps_an_opened_circuit_open_at_least_that_long(self, make):
        """
        If the service asked to be left alone for longer than the cooldown,
        that is how long the circuit stays open.
        """
        breaker = make(1, 10.0, max_cooldown=10.0)

        breaker.record_failure(retry_after=60)

        assert 60 == breaker.snapshot().retry_after

    def test_a_shorter_one_does_not_shorten_the_cooldown(self, make):
        """
        If it is shorter than the cooldown, the cooldown it is.
        """
        breaker = make(1, 10.0)

        breaker.record_failure(retry_after=1)

        assert 10 == breaker.snapshot().retry_after

    def test_it_is_remembered_as_long_as_the_streak(self, make, clock):
        """
        If an earlier failure of the same streak came with the hint, it holds;
        the latest moment counts.
        """
        breaker = make(3, 10.0)
        breaker.record_failure(retry_after=60)
        clock.advance(20)
        breaker.record_failure(retry_after=15)

        breaker.record_failure()

        assert 40 == breaker.snapshot().retry_after

    def test_a_success_ends_it(self, make):
        """
        If the service answered since, it is willing again.
        """
        breaker = make(2, 10.0)
        breaker.record_failure(retry_after=60)
        breaker.record_success()

        trip(breaker)

        assert 10 == breaker.snapshot().retry_after

    def test_a_probes_hint_holds_as_well(self, make, clock):
        """
        If a failing probe brings a hint, the next cooldown lasts as long.
        """
        breaker = in_state(make, clock, HALF_OPEN)

        breaker.try_acquire().failure(retry_after=60)

        assert 60 == breaker.snapshot().retry_after


class TestIsOpen:
    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            (CLOSED, False),
            (OPEN, True),
            (HALF_OPEN, False),
            (FORCED_OPEN, True),
            (FORCED_CLOSED, False),
            (OBSERVING, False),
        ],
    )
    def test_it_answers_whether_a_call_would_be_refused_now(
        self, make, clock, where, expected
    ):
        """
        If a call made now would be refused it is true, else false.
        """
        breaker = in_state(make, clock, where)

        assert expected is breaker.is_open
        assert expected is not bool(breaker.try_acquire())

    def test_half_open_it_is_true_while_every_slot_is_leased(self, make, clock):
        """
        If every probe is out it is true, and false once one has reported.
        """
        breaker = in_state(make, clock, HALF_OPEN)

        permit = breaker.try_acquire()
        assert breaker.is_open

        permit.ignore()
        assert not breaker.is_open

    def test_past_the_cooldown_it_makes_the_one_due_step(self, make, clock, heard):
        """
        If the cooldown has passed, looking makes it half-open, once, and
        takes no slot.
        """
        breaker = in_state(make, clock, OPEN)
        events = heard(breaker)
        clock.advance(10)

        assert not breaker.is_open
        assert not breaker.is_open

        assert [CircuitHalfOpened] == [type(event) for event in events]
        assert 0 == breaker.snapshot().probes_out

    def test_a_window_makes_no_difference(self, make):
        """
        If calls are measured, a closed circuit is closed all the same.
        """
        assert not make(window=CountWindow(5)).is_open


#: Where only a profiler comes in.
NEVER = frozenset({"return", "c_call"})


class TestInterruptions:
    """
    Probes that are interrupted, or interrupt each other.
    """

    def half_open(self, clock):
        breaker = CircuitBreaker(3, 10.0, clock=clock)
        # There is something to tell once it is decided.
        breaker.subscribe(lambda event: None)
        trip(breaker)
        clock.advance(10)
        return breaker

    @pytest.mark.parametrize("action", ["force_open", "reset"])
    @pytest.mark.parametrize(
        "act", ["record_failure", "try_acquire", "force_closed", "reset", "success"]
    )
    def test_reentered_what_is_told_is_what_happened(self, clock, act, action):
        """
        If a signal handler operates the breaker that it interrupts, each event
        begins where the last one ended, and the last ends where the circuit is.
        """
        for come_in in points(5):
            breaker = CircuitBreaker(1, 10.0, clock=clock)
            call = getattr(breaker, act, None)
            if act != "record_failure":
                trip(breaker)
                clock.advance(10)
            if act == "success":
                call = breaker.try_acquire().success
            state, events = breaker.snapshot().state, []
            breaker.subscribe(events.append, *LEADS_TO, CircuitForced)
            come_in(call, getattr(breaker, action))
            for event in events:
                assert state is event.from_state
                state = LEADS_TO.get(type(event)) or event.to_state
            assert state is breaker.snapshot().state

    @pytest.mark.parametrize("act", ["record_failure", "record_success", "try_acquire"])
    def test_reentered_reset_counts_what_comes_in(self, act):
        """
        If a signal handler uses the breaker while it is reset, that is counted
        wholly, or not at all.
        """
        for come_in in points(5):
            breaker = CircuitBreaker(5)
            breaker.record_failure()
            come_in(breaker.reset, getattr(breaker, act))
            seen = breaker.snapshot()
            counts = seen.admitted, seen.failed, seen.failures

            if act == "record_failure":
                assert counts in ((0, 0, 0), (1, 1, 1))
            else:
                assert counts in ((0, 0, 0), (1, 0, 0))

    def test_reentered_by_a_change_of_settings(self, clock, monkeypatch):
        """
        If a signal handler changes settings while somebody sees that a cooldown
        is over, the circuit is half-open after all, and says so.
        """
        breaker = CircuitBreaker(1, 10.0, clock=clock)
        trip(breaker)
        clock.advance(10)
        events = []
        breaker.subscribe(events.append, CircuitEvent)
        due = circuit.due

        def meanwhile(*args):
            monkeypatch.setattr(circuit, "due", due)
            step = due(*args)
            breaker.reconfigure(threshold=2)
            return step

        monkeypatch.setattr(circuit, "due", meanwhile)

        assert not breaker.is_open
        assert HALF_OPEN is breaker.snapshot().state
        assert [CircuitHalfOpened] == [type(event) for event in events]

    def test_interrupted_asking(self, clock):
        """
        If asking for a probe is interrupted, its slot is free, and at most one
        call was given up.
        """
        for come_in in points():
            breaker = self.half_open(clock)
            if not come_in(breaker.try_acquire, stop, without=NEVER):
                continue
            state = breaker.snapshot()

            assert 0 == state.probes_out
            assert state.admitted - state.failed <= state.ignored <= 1
            assert breaker.try_acquire().success()
            assert not breaker.is_open

    @pytest.mark.parametrize("outcome", ["success", "failure", "ignore"])
    def test_interrupted_reporting(self, clock, outcome):
        """
        If reporting on a probe is interrupted, its slot is free, and it was
        counted once, as it was reported or as ignored.
        """
        for come_in in points():
            breaker = self.half_open(clock)
            permit = breaker.try_acquire()
            failed = breaker.snapshot().failed
            if not come_in(getattr(permit, outcome), stop, without=NEVER):
                continue
            if not permit._decided:
                # It had not begun yet.
                assert getattr(permit, outcome)()
            state = breaker.snapshot()
            closed = int(state.state is CLOSED)

            assert 0 == state.probes_out
            assert 1 == closed + state.failed - failed + state.ignored
            assert not closed or outcome == "success"

    def test_reentered_probes(self, clock):
        """
        If a signal handler asks for a probe while somebody does, one is admitted.
        """
        for come_in in points():
            breaker, permits = self.half_open(clock), []

            def ask(breaker=breaker, permits=permits):
                permits.append(breaker.try_acquire())

            if not come_in(ask, ask):
                continue

            assert 1 == sum(map(bool, permits))
            assert 1 == breaker.snapshot().probes_out


class TestCircuitOpenError:
    def test_it_is_fresh_and_caused_by_the_last_failure(self, make, clock):
        """
        If calls are refused, each gets an exception of its own, with the last
        failure as cause and the time left.
        """
        breaker = make(2, 10.0, name="images")
        trip(breaker, Down("first"))
        clock.advance(4)
        caught = []

        for _ in range(2):
            with pytest.raises(CircuitOpenError) as refusal, breaker.guard():
                pytest.fail("refused calls are not made")
            caught.append(refusal.value)

        assert caught[0] is not caught[1]
        for error in caught:
            assert "images" == error.name
            assert OPEN is error.state
            assert 6.0 == error.retry_after
            assert "first" == str(error.__cause__)
            assert error.__cause__ is error.last_failure

    def test_its_traceback_has_few_frames(self, make):
        """
        If calls are refused again and again, no traceback grows.
        """
        breaker = make(1)
        trip(breaker, Down("first"))

        for _ in range(2):
            with pytest.raises(CircuitOpenError) as refusal, breaker.guard():
                pytest.fail("refused calls are not made")

            assert 2 >= len(list(_frames(refusal.value)))

    def test_half_open_it_names_the_first_lease_to_end(self, make, clock):
        """
        If every slot is leased, the refusal says when the first is free.
        """
        breaker = make(1, 10.0, half_open_probes=2, probe_timeout=5.0)
        trip(breaker)
        clock.advance(10)
        breaker.try_acquire()
        clock.advance(2)
        breaker.try_acquire()

        with pytest.raises(CircuitOpenError) as refusal:
            breaker._admit()

        assert (HALF_OPEN, 3.0) == (refusal.value.state, refusal.value.retry_after)

    def test_forced_open_nobody_knows_how_long(self, make, clock):
        """
        If an operator forced it open, *retry_after* is None.
        """
        breaker = in_state(make, clock, FORCED_OPEN)

        with pytest.raises(CircuitOpenError) as refusal:
            breaker._admit()

        assert refusal.value.retry_after is None
        assert FORCED_OPEN is refusal.value.state
        assert breaker.try_acquire().retry_after is None

    def test_it_arrives_in_another_process(self, make, clock):
        """
        If a refusal is pickled, name, state and time arrive.
        """
        breaker = in_state(make, clock, OPEN)
        with pytest.raises(CircuitOpenError) as refusal:
            breaker._admit()

        arrived = pickle.loads(pickle.dumps(refusal.value))

        assert (None, OPEN, 10.0) == (arrived.name, arrived.state, arrived.retry_after)
        assert "it is" == str(arrived.last_failure)

    @pytest.mark.parametrize("wrapped", [False, True])
    def test_retrying_in_its_handler_keeps_no_chain_of_old_failures(
        self, make, clock, wrapped
    ):
        """
        If each cycle fails in the handler of the refusal before, the failures
        of all earlier cycles are not kept for ever.
        """
        breaker = make(1, 10.0)

        class Failure(Exception):
            pass

        alive = weakref.WeakSet()
        failures = []

        def call():
            with breaker.guard():
                error = Failure()
                alive.add(error)
                if wrapped:
                    raise ExceptionGroup("several", [error])
                raise error

        def cycle():
            try:
                call()
            except CircuitOpenError:
                clock.advance(10)
                with contextlib.suppress(Exception):
                    call()
            except Exception:
                failures.append(1)

        for _ in range(100):
            cycle()
        gc.collect()

        assert 100 == breaker.snapshot().failed
        assert 1 == len(failures)
        assert 1 == len(alive)

    def test_refusals_of_other_breakers_keep_their_cause(self, make):
        """
        If a failure stems from another breaker's refusal, that one stays as
        it was.
        """
        inner, outer = make(1), make(1)
        trip(inner, Down("root"))

        with pytest.raises(LookupError) as caught, outer.guard():
            try:
                inner._admit()
            except CircuitOpenError as refusal:
                raise LookupError from refusal

        assert "root" == str(caught.value.__cause__.__cause__)

    def test_a_history_in_a_circle_is_walked_once(self, make, clock):
        """
        If a failure is raised again from the refusal it caused, the walk ends.
        """
        breaker = in_state(make, clock, OPEN)
        with pytest.raises(CircuitOpenError) as refusal:
            breaker._admit()
        failure = refusal.value.last_failure
        failure.__cause__ = refusal.value
        clock.advance(10)

        breaker.try_acquire().failure(failure)

        assert refusal.value.__cause__ is None
        assert refusal.value.last_failure is None


def _frames(error):
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


class TestOperatorSwitches:
    @pytest.mark.parametrize("where", list(CircuitState))
    @pytest.mark.parametrize(
        ("act", "expected"),
        [
            ("force_open", FORCED_OPEN),
            ("force_closed", FORCED_CLOSED),
            ("observe_only", OBSERVING),
            ("reset", CLOSED),
        ],
    )
    def test_every_switch_works_in_every_state(
        self, make, clock, heard, where, act, expected
    ):
        """
        If an operator acts, in whatever state, theirs is the state from then
        on, and it is told.
        """
        breaker = in_state(make, clock, where)
        events = heard(breaker, CircuitForced, CircuitClosed)

        getattr(breaker, act)()
        breaker.record_failure()
        clock.advance(100)

        assert expected is state(breaker)
        told = [(type(one), one.from_state) for one in events]
        if act != "reset":
            assert [(CircuitForced, where)] == told
            assert expected is events[0].to_state
            assert "" == events[0].reason
        else:
            assert told == ([] if where is CLOSED else [(CircuitClosed, where)])

    def test_forced_open_holds_until_the_next_operator_call(self, make, clock):
        """
        If it was forced open, no time and no success closes it.
        """
        breaker = in_state(make, clock, FORCED_OPEN)

        clock.advance(10**6)
        breaker.record_success()

        assert breaker.is_open
        breaker.force_closed()
        assert not breaker.is_open

    def test_forced_open_knows_what_failed_last(self, make, clock):
        """
        If a circuit that has failed is forced open, refusals still have the last
        failure as their cause; forced closed, it is forgotten.
        """
        breaker = in_state(make, clock, OPEN)

        breaker.force_open()

        with pytest.raises(CircuitOpenError) as refusal, breaker.guard():
            pytest.fail("refused calls are not made")
        assert "it is" == str(refusal.value.__cause__)
        assert "Down: it is" == breaker.snapshot().last_failure

        breaker.force_closed()

        assert breaker.snapshot().last_failure is None

    def test_forced_closed_admits_whatever_fails(self, make, clock):
        """
        If it was forced closed, no failure opens it.
        """
        breaker = in_state(make, clock, FORCED_CLOSED)

        for _ in range(9):
            with pytest.raises(Down), breaker.guard():
                raise Down

        assert FORCED_CLOSED is state(breaker)
        assert (9, 9, 0) == (
            breaker.snapshot().admitted,
            breaker.snapshot().failed,
            breaker.snapshot().failures,
        )

    def test_a_reason_must_be_text(self, make):
        """
        If a reason is no string, the error names it and nothing changes.
        """
        breaker = make()

        with pytest.raises(TypeError, match="reason must be a string, not int: 5"):
            breaker.force_open(5)

        assert CLOSED is state(breaker)

    def test_reset_is_closed_and_clean(self, make, clock):
        """
        If it is reset, the breaker is as good as new, in its old settings.
        """
        breaker = make(2, 10.0, window=CountWindow(5), cooldown_factor=2.0)
        for _ in range(3):
            trip(breaker, Down())
            breaker.try_acquire()
            clock.advance(40)
            breaker.try_acquire()
        fresh = make(2, 10.0, window=CountWindow(5), cooldown_factor=2.0)

        breaker.reset()

        assert fresh.snapshot() == breaker.snapshot()
        trip(breaker)
        assert 10 == breaker.snapshot().retry_after


class TestObserveOnly:
    def test_it_admits_all_counts_and_reports_the_trips(self, make, heard, clock):
        """
        If it only observes, every call is made, and each trip there would
        have been is told, cooldowns and probes considered.
        """
        breaker = make(2, 10.0, name="b")
        breaker.observe_only("dry run")
        events = heard(breaker)

        for _ in range(10):
            with pytest.raises(Down), breaker.guard():
                raise Down("no")

        assert not breaker.is_open
        assert 10 == breaker.snapshot().failed
        assert 2 == breaker.snapshot().failures
        assert 0.0 == breaker.snapshot().retry_after
        assert [
            CircuitTripObserved(
                at=events[0].at,
                breaker="b",
                failures=2,
                reason="failures",
                last_failure="Down: no",
            )
        ] == events

        clock.advance(10)
        for _ in range(3):
            breaker.try_acquire().failure(Down("still"))

        assert ["failures", "probe_failed"] == [event.reason for event in events]
        assert OBSERVING is state(breaker)

        clock.advance(10)
        breaker.try_acquire().success()
        breaker.try_acquire().failure()
        breaker.try_acquire().failure()

        assert "failures" == events[-1].reason
        assert 3 == len(events)

    def test_is_open_makes_the_due_step_for_those_who_never_ask(self, make, clock):
        """
        If callers only look and record, it observes their trips as well.
        """
        breaker = make(1, 10.0)
        breaker.observe_only()
        events = []
        breaker.subscribe(events.append, CircuitTripObserved)

        for _ in range(3):
            assert not breaker.is_open
            breaker.record_failure()
            clock.advance(10)

        assert 3 == len(events)

    def test_probes_of_a_dry_run_are_not_told(self, make, clock):
        """
        If it only observes, there are no real probes.
        """
        breaker = make(1, 10.0)
        breaker.observe_only()
        breaker.record_failure()
        clock.advance(10)

        assert breaker.try_acquire()
        assert breaker.try_acquire()

        assert 0 == breaker.snapshot().probes_out


class TestEveryStateEveryCall:
    #: For each state: the answer of is_open, whether try_acquire admits, and
    #: the state after record_success and record_failure, and after success,
    #: failure and ignore of a permit.
    TABLE: ClassVar = {
        CLOSED: (False, True, CLOSED, OPEN, CLOSED, OPEN, CLOSED),
        OPEN: (True, False, OPEN, OPEN, OPEN, OPEN, OPEN),
        HALF_OPEN: (False, True, CLOSED, OPEN, CLOSED, OPEN, HALF_OPEN),
        FORCED_OPEN: (True, False, *[FORCED_OPEN] * 5),
        FORCED_CLOSED: (False, True, *[FORCED_CLOSED] * 5),
        OBSERVING: (False, True, *[OBSERVING] * 5),
    }

    @pytest.mark.parametrize("where", list(CircuitState))
    def test_it_does_what_the_table_says(self, make, clock, where):
        """
        If a breaker one failure away from opening is in a state, each call
        has the answer and the effect of the table.
        """
        is_open, admits, *after = self.TABLE[where]

        def breaker():
            made = in_state(make, clock, where)
            if where is CLOSED:
                made.record_failure()
            return made

        assert is_open is breaker().is_open
        assert admits is bool(breaker().try_acquire())
        for expected, act in zip(
            after,
            [
                CircuitBreaker.record_success,
                CircuitBreaker.record_failure,
                lambda one: one.try_acquire().success(),
                lambda one: one.try_acquire().failure(),
                lambda one: one.try_acquire().ignore(),
            ],
            strict=True,
        ):
            one = breaker()
            act(one)
            assert expected is state(one)
        for act in (
            CircuitBreaker.snapshot,
            CircuitBreaker.settings,
            CircuitBreaker.try_acquire,
            lambda one: one.reconfigure(threshold=7, window=CountWindow(5)),
            lambda one: one.is_open,
            repr,
        ):
            one = breaker()
            act(one)
            assert where is state(one)


class TestReconfigure:
    def test_state_counts_and_cooldown_are_kept(self, make, clock):
        """
        If settings change, the circuit goes on: same state, same streak, and
        a running cooldown ends when it was going to.
        """
        breaker = make(5, 10.0)
        breaker.record_failure()
        breaker.reconfigure(threshold=2, cooldown=99.0)
        assert 1 == breaker.snapshot().failures
        trip(breaker)
        assert 99 == breaker.snapshot().retry_after

        breaker.reconfigure(cooldown=1.0)

        assert OPEN is state(breaker)
        assert 99 == breaker.snapshot().retry_after

    def test_a_lower_threshold_is_judged_at_the_next_record(self, make):
        """
        If the threshold falls below the streak, the next failure opens the
        circuit, and a success before that does not.
        """
        for report, expected in (("record_failure", OPEN), ("record_success", CLOSED)):
            breaker = make(5)
            for _ in range(4):
                breaker.record_failure()

            breaker.reconfigure(threshold=2)
            assert CLOSED is state(breaker)

            getattr(breaker, report)()
            assert expected is state(breaker)

    def test_the_window_is_kept(self, make):
        """
        If other settings change, or only the rates of the window, its calls
        stay; a shorter one keeps the latest.
        """
        breaker = make(9, window=CountWindow(8, 1.0))
        breaker.record_success()
        for _ in range(3):
            breaker.record_failure()

        breaker.reconfigure(cooldown=3.0, jitter=0.1)
        assert (4, 3, 0) == _counts(breaker)
        breaker.reconfigure(window=CountWindow(8, 0.5))
        assert (4, 3, 0) == _counts(breaker)
        breaker.reconfigure(window=CountWindow(3, 0.5))
        assert (3, 3, 0) == _counts(breaker)
        breaker.reconfigure(window=None)
        assert breaker.snapshot().window is None
        breaker.reconfigure(window=TimeWindow(5))
        assert (0, 0, 0) == _counts(breaker)

    def test_a_window_that_comes_in_hears_only_of_calls_that_were_measured(self, make):
        """
        If a window is added while calls are out, their failures do not fill
        it without their successes.
        """
        breaker = make(99)
        guards = [breaker.guard() for _ in range(9)]
        for guard in guards:
            guard.__enter__()

        breaker.reconfigure(window=CountWindow(20, 0.5, 1))
        for number, guard in enumerate(guards):
            error = Down() if number % 3 else None
            guard.__exit__(error and Down, error, None)

        assert (0, 0, 0) == _counts(breaker)
        assert 2 == breaker.snapshot().failures

    def test_it_is_told(self, make, heard, clock):
        """
        If settings change, listeners hear which, and nothing if none does.
        """
        breaker = make(5, 10.0, name="b")
        events = heard(breaker)

        breaker.reconfigure(threshold=3, cooldown=10)

        assert [
            Reconfigured(
                at=clock.monotonic_ns() / 1e9,
                kind="breaker",
                name="b",
                changes={"threshold": (5, 3)},
            )
        ] == events

        breaker.reconfigure()
        breaker.reconfigure(threshold=3)

        assert 1 == len(events)

    @pytest.mark.parametrize(
        "bad",
        [
            {"threshold": 0},
            {"threshold": None},
            {"cooldown": -1},
            {"max_cooldown": 5.0},
            {"window": 5},
            {"slow_call_seconds": None, "window": CountWindow(5, 0.5, 1, 0.5)},
            {"failure_on": "x"},
        ],
    )
    def test_all_is_validated_before_anything_changes(self, make, bad):
        """
        If one of the settings is bad, or does not go with the others, none is
        taken.
        """
        breaker = make(5, 10.0)
        before = breaker.settings()

        with pytest.raises((TypeError, ValueError), match="|".join(bad)):
            breaker.reconfigure(**({"jitter": 0.5, "half_open_probes": 2} | bad))

        assert before == breaker.settings()

    def test_another_judgement_holds_from_then_on(self, make):
        """
        If *ignore* or *failure_when* changes, calls are judged by it at once.
        """
        breaker = make(9)
        breaker.reconfigure(ignore=Down, failure_when=bool)

        with pytest.raises(Down), breaker.guard():
            raise Down
        assert 0 == breaker.snapshot().failures

        with breaker.guard() as call:
            call.result(True)
        assert 1 == breaker.snapshot().failures

    def test_another_judgement_of_results_alone(self, make):
        """
        If nothing but *failure_when* changes, results are judged by it at once.
        """
        breaker = make(9)
        breaker.reconfigure(failure_when=bool)

        with breaker.guard() as call:
            call.result(True)

        assert 1 == breaker.snapshot().failures

    def test_measuring_starts_with_the_calls_from_then_on(self, make, clock):
        """
        If *slow_call_seconds* is set while a call is out, that call was not
        measured; the next one is.
        """
        breaker = make(1)
        with breaker.guard():
            breaker.reconfigure(slow_call_seconds=1.0)
            clock.advance(5)
        assert CLOSED is state(breaker)

        with breaker.guard():
            clock.advance(5)
        assert OPEN is state(breaker)

    def test_settings_make_the_same_breaker_again(self, make):
        """
        If a breaker is made from another's settings, it has the same ones.
        """
        breaker = make(3, 10, window=CountWindow(5), jitter=0, ignore=(Down,))
        breaker.reconfigure(max_cooldown=20)

        twin = make(**breaker.settings())

        assert breaker.settings() == twin.settings()
        assert 20.0 == twin.settings()["max_cooldown"]

    def test_unchanged_is_shown_as_such(self):
        """
        If somebody reads the signature, the default explains itself.
        """
        assert "<unchanged>" in str(CircuitBreaker.reconfigure.__kwdefaults__)

    def test_reentered_by_another_change(self, make):
        """
        If a matcher, while it is compared, changes the settings itself, both
        changes are made.
        """
        todo = []

        class Matcher:
            def __call__(self, error):
                return True

            def __eq__(self, other):
                while todo:
                    todo.pop()()
                return self is other

            __hash__ = None

        breaker = make(failure_on=Matcher())
        todo.append(lambda: breaker.reconfigure(cooldown=7))

        breaker.reconfigure(failure_on=Matcher(), threshold=3)

        assert 7.0 == breaker.settings()["cooldown"]
        assert 3 == breaker.settings()["threshold"]


class TestSnapshot:
    def test_it_has_the_name(self):
        """
        If a breaker has a name, its snapshot says so.
        """
        assert "api" == CircuitBreaker(name="api").snapshot().name
        assert CircuitBreaker().snapshot().name is None

    def test_it_makes_no_transition(self, make, clock, heard):
        """
        If cooldown or leases have run out, a snapshot shows what would be
        possible and changes nothing.
        """
        breaker = in_state(make, clock, OPEN)
        events = heard(breaker)
        clock.advance(25)

        snapshot = breaker.snapshot()

        assert (OPEN, 0.0, 25.0) == (
            snapshot.state,
            snapshot.retry_after,
            snapshot.since,
        )
        assert [] == events

        breaker.try_acquire()
        assert (1, 10.0) == _probing(breaker)
        clock.advance(10)
        assert (0, 0.0) == _probing(breaker)
        assert 1 == len(events)

    def test_the_last_failure_is_one_line_of_text(self, make):
        """
        If the failure has a long text, or none, or cannot be shown, the
        snapshot does not suffer.
        """

        class Silent(Exception):
            def __str__(self):
                raise RuntimeError

        breaker = make(99)
        for error, expected in (
            (None, None),
            (Down(), "Down"),
            (Down("two\n  lines"), "Down: two lines"),
            (Down("x" * 500), "Down: " + "x" * 191 + "..."),
            (Silent(), "Silent, which cannot be shown"),
        ):
            breaker.record_failure(error)
            assert expected == breaker.snapshot().last_failure

    def test_it_is_forgotten_when_the_circuit_closes(self, make, clock):
        """
        If the circuit closes, nothing keeps the failure alive.
        """
        breaker = make(1, 10.0)
        trip(breaker, Down("x"))
        clock.advance(10)

        breaker.try_acquire().success()

        assert breaker.snapshot().last_failure is None
        assert breaker._last_failure is None

    def test_reading_the_counts_does_not_count(self, make):
        """
        If snapshots are taken between calls, they add nothing.
        """
        breaker = make()

        for expected in range(5):
            assert expected == breaker.snapshot().admitted
            assert expected == breaker.snapshot().admitted
            with breaker.guard():
                pass

        assert "<CircuitBreaker None: closed>" == repr(breaker)


def _probing(breaker):
    snapshot = breaker.snapshot()
    return snapshot.probes_out, snapshot.retry_after


class TestEvents:
    def test_a_life_is_told_in_order(self, make, clock, heard):
        """
        If a circuit opens, probes, reopens, probes and closes, listeners hear
        exactly that, with all there is to know.
        """
        breaker = make(2, 10.0, name="b", cooldown_factor=2.0)
        events = heard(breaker, CircuitEvent)
        start = clock.monotonic_ns() / 1e9

        trip(breaker, Down("a"))
        breaker.try_acquire()
        clock.advance(10)
        breaker.try_acquire().failure(Down("b"))
        clock.advance(20)
        breaker.try_acquire().success()
        breaker.force_open("why")
        breaker.reset()

        common = {"breaker": "b"}
        assert [
            CircuitOpened(
                at=start,
                from_state=CLOSED,
                failures=2,
                reason="failures",
                retry_after=10.0,
                last_failure="Down: a",
                **common,
            ),
            CircuitRefused(at=start, state=OPEN, retry_after=10.0, **common),
            CircuitHalfOpened(at=start + 10, from_state=OPEN, **common),
            CircuitOpened(
                at=start + 10,
                from_state=HALF_OPEN,
                failures=3,
                reason="probe_failed",
                retry_after=20.0,
                last_failure="Down: b",
                **common,
            ),
            CircuitHalfOpened(at=start + 30, from_state=OPEN, **common),
            CircuitClosed(
                at=start + 30,
                from_state=HALF_OPEN,
                reason="probes_succeeded",
                **common,
            ),
            CircuitForced(
                at=start + 30,
                from_state=CLOSED,
                to_state=FORCED_OPEN,
                reason="why",
                **common,
            ),
            CircuitClosed(
                at=start + 30, from_state=FORCED_OPEN, reason="reset", **common
            ),
        ] == events

    def test_hung_probes_are_told_when_somebody_asks(self, make, clock, heard):
        """
        If a circuit reopened while nobody looked, the next caller brings the
        news, dated as it happened.
        """
        breaker = make(1, 10.0, probe_timeout=5.0)
        trip(breaker, Down("x"))
        clock.advance(10)
        breaker.try_acquire()
        events = heard(breaker, CircuitEvent)
        clock.advance(16)

        assert breaker.try_acquire()

        assert [CircuitOpened, CircuitHalfOpened] == [type(one) for one in events]
        assert 11.0 == pytest.approx(events[1].at - events[0].at)
        assert ("probes_ignored", "Down: x", 10.0) == (
            events[0].reason,
            events[0].last_failure,
            events[0].retry_after,
        )

    def test_is_open_brings_the_same_news(self, make, clock, heard):
        """
        If it is *is_open* that finds out, listeners are told as well.
        """
        breaker = make(1, 10.0, probe_timeout=5.0, name="b")
        trip(breaker, Down("x"))
        clock.advance(10)
        breaker.try_acquire()
        events = heard(breaker, CircuitOpened)
        clock.advance(6)

        assert breaker.is_open

        assert [("b", "Down: x")] == [(it.breaker, it.last_failure) for it in events]

    def test_events_nobody_wants_are_not_built(self, make, clock, monkeypatch):
        """
        If nobody listens, the breaker works the same without a word.
        """
        monkeypatch.setattr("switchgear._listeners.EVERYWHERE._who", ())
        monkeypatch.setattr("switchgear._listeners.EVERYWHERE._wanted", {})

        class Talkative(Exception):
            def __str__(self):
                asked.append(self)
                return ""

        asked = []

        breaker = make(1, 10.0)
        trip(breaker, Talkative())
        assert not breaker.try_acquire()
        clock.advance(10)
        breaker.try_acquire().success()
        breaker.force_open()
        breaker.observe_only()
        breaker.record_failure()
        breaker.reconfigure(threshold=3)
        breaker.reset()

        assert CLOSED is state(breaker)
        assert [] == asked

    def test_no_code_of_the_users_runs_under_the_lock(self, make, clock):
        """
        If predicates, texts of exceptions, listeners and finalisers look, the
        lock of the breaker is free each time.
        """
        breaker = make(1, 10.0)
        free = []

        def look(*_):
            # From another thread it would block; _is_owned tells without one.
            free.append(not breaker._lock._is_owned())
            return True

        class Nosy(Exception):
            def __str__(self):
                look()
                return "nosy"

            def __del__(self):
                look()

        breaker.reconfigure(failure_on=look, failure_when=look)
        breaker.subscribe(look, Event)
        for _ in range(3):
            with pytest.raises(Nosy), breaker.guard():
                raise Nosy
            clock.advance(10)
            with breaker.guard() as call:
                call.result(1)
            clock.advance(10)
            breaker.try_acquire().success()
            breaker.record_failure(Nosy())
            breaker.reset()
            breaker.record_failure(Nosy())
            breaker.force_closed()
            breaker.reset()
        gc.collect()

        assert len(free) > 30
        assert all(free)


class TestDisabled:
    def test_everything_is_admitted_and_nothing_counted(self, make, clock):
        """
        If protection is switched off, an open circuit lets calls through and
        hears nothing of them.
        """
        breakers = [
            in_state(make, clock, where) for where in (OPEN, HALF_OPEN, FORCED_OPEN)
        ]
        breakers += [make(1), make(1, window=CountWindow(1))]
        before = [breaker.snapshot() for breaker in breakers]

        with disabled():
            for breaker in breakers:
                assert not breaker.is_open
                breaker._refuse_if_open()
                breaker.record_failure(Down())
                permit = breaker.try_acquire()
                assert permit
                assert permit.failure(Down())
                assert not permit.failure(Down())
                with breaker.guard():
                    pass
                with pytest.raises(Down), breaker.guard():
                    raise Down
                breaker._record_quick(breaker._circuit.generation, None, Down())

        assert before == [breaker.snapshot() for breaker in breakers]

    def test_quick_path_is_closed_meanwhile(self, make):
        """
        If protection is switched off, calls of a closed circuit are not even
        counted as admitted, whatever happens to it; afterwards they are again.
        """
        old = make(1)
        with disabled():
            new = make(1)
            forced = make(1)
            forced.force_open()
            forced.reset()
            changed = make(1, window=CountWindow(1))
            changed.reconfigure(window=None)
            breakers = [old, new, forced, changed]

            assert [0] * 4 == [breaker._closed for breaker in breakers]
            for breaker in breakers:
                with breaker.guard():
                    pass

        assert [0] * 4 == [breaker.snapshot().admitted for breaker in breakers]
        for breaker in breakers:
            assert breaker._circuit.generation == breaker._closed
            with breaker.guard():
                pass
        assert [1] * 4 == [breaker.snapshot().admitted for breaker in breakers]

    def test_handler_that_interrupted_is_heard(self, make):
        """
        If a signal handler trips the circuit while the breaker takes notice
        that protection is back, the quick path stays closed.
        """
        breaker = make(1)

        def handler(frame, event, argument):
            if event == "return" and frame.f_code.co_name == "_quick_generation":
                sys.setprofile(None)
                breaker.record_failure(Down())

        sys.setprofile(handler)
        try:
            breaker._note_bypass()
        finally:
            sys.setprofile(None)

        assert breaker.is_open
        assert not breaker._closed


class TestForDecorators:
    """
    What decorators use: the quick path, and permits judged by them.
    """

    @pytest.mark.parametrize("where", [CLOSED, FORCED_CLOSED, OBSERVING])
    def test_look_at_what_admits_says_nothing(self, make, clock, where):
        """
        If a call would be admitted, looking first changes and counts nothing.
        """
        breaker = in_state(make, clock, where)
        before = breaker.snapshot()

        assert breaker._refuse_if_open() is None
        assert before == breaker.snapshot()

    def test_look_at_what_would_be_open_admits(self, make, clock):
        """
        If a circuit only observes, a look at it refuses nothing.
        """
        breaker = in_state(make, clock, OBSERVING)
        breaker.record_failure()
        breaker.record_failure()

        assert breaker._refuse_if_open() is None
        assert 0 == breaker.snapshot().refused

    @pytest.mark.parametrize("where", [OPEN, FORCED_OPEN])
    def test_look_at_an_open_circuit_is_refused(self, make, clock, heard, where):
        """
        If a call would be refused, looking first is: counted, and told.
        """
        breaker = in_state(make, clock, where)
        events = heard(breaker, CircuitRefused)

        with pytest.raises(CircuitOpenError) as raised:
            breaker._refuse_if_open()

        assert where is raised.value.state
        assert (10.0 if where is OPEN else None) == raised.value.retry_after
        assert 1 == breaker.snapshot().refused
        assert [where] == [event.state for event in events]

    def test_look_takes_no_slot(self, make, clock):
        """
        If a probe may go through, looking first leaves its slot to the call,
        and never counts as a probe that was given up.
        """
        breaker = make(1, 10.0)
        breaker.record_failure()
        clock.advance(10)
        admitted = breaker.snapshot().admitted

        for _ in range(5):
            breaker._refuse_if_open()

        after = breaker.snapshot()
        assert (HALF_OPEN, 0, 0) == (after.state, after.probes_out, after.ignored)
        assert admitted == after.admitted

        permit = breaker.try_acquire()

        assert permit
        with pytest.raises(CircuitOpenError):
            breaker._refuse_if_open()
        permit.success()
        assert CLOSED is state(breaker)

    def test_a_closed_circuit_without_measurements_has_a_quick_path(self, make, clock):
        """
        If calls need no measuring, ``_closed`` is the generation, else 0.
        """
        assert 1 == make()._closed
        assert 0 == make(window=CountWindow(5))._closed
        assert 0 == make(slow_call_seconds=5.0)._closed
        for where in CircuitState:
            quick = where in {CLOSED, FORCED_CLOSED}
            breaker = in_state(make, clock, where)
            expected = breaker._circuit.generation if quick else 0
            assert expected == breaker._closed

    def test_quick_calls_count_like_any_other(self, make):
        """
        If a quick call fails, succeeds or is ignored, it counts as such.
        """
        breaker = make(9, failure_when=lambda value: value < 0)
        generation = breaker._closed

        breaker._quick_raised(generation, Down())
        breaker._quick_returned(generation, -1)
        assert 2 == breaker._streak
        breaker._quick_raised(generation, KeyboardInterrupt())
        with pytest.raises(TypeError):
            breaker._quick_returned(generation, None)
        assert 2 == breaker._streak
        breaker._quick_returned(generation, 1)
        assert 0 == breaker._streak
        breaker._quick_returned(generation, 1)
        breaker._record_quick(generation, Outcome.FAILURE, None)
        breaker._reset_streak(generation)
        assert 0 == breaker._streak

        assert (3, 2) == (breaker.snapshot().failed, breaker.snapshot().ignored)

    def test_a_predicate_of_exceptions_that_raises_is_heard(self, make):
        """
        If *failure_on* raises, that comes out; the quick call is ignored.
        """
        breaker = make(9, failure_on=lambda error: error.status > 5)

        with pytest.raises(AttributeError):
            breaker._quick_raised(breaker._closed, Down())

        assert 1 == breaker.snapshot().ignored

    def test_a_quick_call_of_an_earlier_generation_moves_nothing(self, make):
        """
        If the circuit was reset meanwhile, a quick call's result comes late.
        """
        breaker = make(1)
        generation = breaker._closed
        breaker.reset()

        breaker._quick_raised(generation, Down())
        breaker._reset_streak(generation)

        assert CLOSED is state(breaker)

    def test_another_judge_may_decide(self, make):
        """
        If a decorator judges for itself, its judge is asked.
        """
        breaker = make(9)
        lenient = Judge(ignore=Down, failure_when=lambda value: value is None)

        breaker._quick_raised(breaker._closed, Down(), lenient)
        breaker._admit()._raised(Down(), lenient)
        assert 0 == breaker.snapshot().failed

        breaker._quick_returned(breaker._closed, None, lenient)
        permit = breaker._admit()
        permit._returned(None, lenient)
        assert 2 == breaker.snapshot().failed

        permit._raised(Down())
        permit._returned(None)
        assert 2 == breaker.snapshot().failed

    def test_admit_returns_a_permit_or_raises(self, make, clock):
        """
        If the call is refused, ``_admit`` raises.
        """
        assert make()._admit()
        with pytest.raises(CircuitOpenError):
            in_state(make, clock, OPEN)._admit()


class TestIdle:
    def test_a_closed_breaker_without_failures_is_idle(self, make, clock):
        """
        If forgetting a breaker would forgive nothing, it is idle.
        """
        assert make()._idle()
        breaker = make(9, window=TimeWindow(32.0))
        breaker.record_success()
        assert breaker._idle()

        breaker.record_failure()
        assert not breaker._idle()
        breaker.record_success()
        assert not breaker._idle()
        clock.advance(33)
        assert breaker._idle()

    @pytest.mark.parametrize("where", list(CircuitState))
    def test_in_any_other_state_it_is_not(self, make, clock, where):
        """
        If a breaker is not closed, it must not be forgotten.
        """
        assert (where is CLOSED) is in_state(make, clock, where)._idle()

    def test_one_that_is_listened_to_is_not(self, make):
        """
        If somebody subscribed to it, it must not be forgotten; once nobody
        listens any more, it may be.
        """
        breaker = make()
        unsubscribe = breaker.subscribe(print)

        assert not breaker._idle()

        unsubscribe()

        assert breaker._idle()


class TestBadArguments:
    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"threshold": 0}, ValueError, "threshold must be at least 1"),
            ({"threshold": True}, TypeError, "threshold must be an int"),
            ({"threshold": 1.5}, TypeError, "threshold must be an int"),
            ({"threshold": "5"}, TypeError, "threshold must be an int"),
            ({"threshold": 10**13}, ValueError, "threshold must be"),
            ({"threshold": None}, ValueError, "threshold may be None only with"),
            ({"cooldown": 0}, ValueError, "cooldown must be greater than 0"),
            ({"cooldown": -1}, ValueError, "cooldown must be greater than 0"),
            ({"cooldown": float("nan")}, ValueError, "cooldown must be"),
            ({"cooldown": float("inf")}, ValueError, "cooldown must be"),
            ({"cooldown": 10**400}, ValueError, "cooldown must be"),
            ({"cooldown": True}, TypeError, "cooldown must be a number"),
            ({"name": ""}, ValueError, "name must have 1 to 200"),
            ({"name": "a[b]"}, ValueError, "name must have no unprintable"),
            ({"window": 10}, TypeError, "window must be a CountWindow"),
            ({"window": CountWindow}, TypeError, "window must be a CountWindow"),
            ({"slow_call_seconds": 0}, ValueError, "slow_call_seconds must be"),
            ({"half_open_probes": 0}, ValueError, "half_open_probes must be"),
            ({"half_open_probes": 1001}, ValueError, "half_open_probes must be"),
            ({"successes_to_close": 0}, ValueError, "successes_to_close must be"),
            ({"probe_timeout": 0}, ValueError, "probe_timeout must be greater"),
            ({"cooldown_factor": 0.5}, ValueError, "cooldown_factor must be"),
            ({"max_cooldown": 119}, ValueError, "max_cooldown must be at least the"),
            ({"jitter": 1.5}, ValueError, "jitter must be"),
            ({"jitter": -0.1}, ValueError, "jitter must be"),
            ({"failure_on": None}, TypeError, "failure_on must be"),
            ({"ignore": [ValueError]}, TypeError, "ignore must be"),
            ({"failure_when": 500}, TypeError, "failure_when must be"),
            ({"clock": 5}, TypeError, "clock must have a method"),
            ({"store": {}}, TypeError, "store must be None"),
            (
                {"window": CountWindow(5, slow_call_rate=0.5)},
                ValueError,
                "slow_call_seconds must be set",
            ),
        ],
    )
    def test_they_are_refused_at_once(self, settings, error, message):
        """
        If an argument makes no sense, the error names it, its value and range.
        """
        with pytest.raises(error, match=f"^{message}"):
            CircuitBreaker(**settings)

    def test_all_but_the_first_two_are_named(self):
        """
        If a third argument is given by position, it is refused.
        """
        with pytest.raises(TypeError):
            CircuitBreaker(5, 120.0, "name")

    def test_the_defaults_are_the_contracts(self):
        """
        If nothing is said, five failures open it for two minutes.
        """
        assert {
            "threshold": 5,
            "cooldown": 120.0,
            "window": None,
            "slow_call_seconds": None,
            "half_open_probes": 1,
            "successes_to_close": 1,
            "probe_timeout": None,
            "cooldown_factor": 1.0,
            "max_cooldown": None,
            "jitter": 0.0,
            "failure_on": Exception,
            "ignore": (),
            "failure_when": None,
        } == CircuitBreaker().settings()


class TestPickle:
    @pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_a_breaker_of_no_registry_refuses(self, make, act):
        """
        If a breaker is not a registry's, it cannot be pickled or copied.
        """
        with pytest.raises(TypeError, match="CircuitBreaker 'b' cannot be pickled"):
            act(make(name="b"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestFork:
    def test_a_child_has_no_leases_and_locks_of_its_own(self, make, clock):
        """
        If a process forks while probes are out and the lock is held, the
        child goes on in the same state with a slot of its own.
        """
        breaker = make(3, 10.0, window=CountWindow(9))
        trip(breaker)
        clock.advance(10)
        late = breaker.try_acquire()

        with breaker._lock:
            breaker._after_fork()

        snapshot = breaker.snapshot()
        assert (HALF_OPEN, 0, 3) == (
            snapshot.state,
            snapshot.probes_out,
            snapshot.failures,
        )
        assert not late.success()
        assert HALF_OPEN is state(breaker)
        assert breaker.try_acquire().success()
        assert CLOSED is state(breaker)

    def test_a_child_counts_on(self, make):
        """
        If a process forks, the child has the failures in a row of its parent: a
        success ends them, another one opens the circuit.
        """
        for success in (True, False):
            breaker = make(2)
            breaker.record_failure()
            with breaker._lock:
                breaker._after_fork()

            assert breaker._closed
            if success:
                with breaker.guard():
                    pass
            breaker.record_failure()

            assert breaker.is_open is not success

    def test_a_child_has_the_window_of_its_parent(self, make, clock):
        """
        If a window of time is half over when a process forks, the child counts
        what is in it.
        """
        breaker = make(None, window=TimeWindow(32.0, 0.5, 2))
        breaker.record_failure()
        clock.advance(5)
        with breaker._lock:
            breaker._after_fork()

        assert 1 == breaker.snapshot().window.failures

        breaker.record_failure()

        assert breaker.is_open

    def test_a_real_child_reports_what_it_finds(self):
        """
        If os.fork is called while another thread holds the lock, the child
        can use the breaker.
        """
        breaker = CircuitBreaker(1, 0.000001, probe_timeout=60)
        breaker.try_acquire().failure()
        held, release = threading.Event(), threading.Event()

        def hold():
            with breaker._lock:
                held.set()
                release.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(60)
        with warnings.catch_warnings():
            # Python 3.12 warns of what is being tested here.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:  # pragma: no cover -- measured in the parent
            signal.alarm(20)
            os._exit(0 if breaker.try_acquire().success() else 1)
        release.set()
        holder.join()

        _, status = os.waitpid(child, 0)

        assert 0 == os.waitstatus_to_exitcode(status)
