"""
The breaker beside one that is obviously right.
"""

from __future__ import annotations

import asyncio

import pytest

from depth import DEPTH
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from models.naive_breaker import SECOND, NaiveBreaker, NaiveWindow
from models.told_clock import ToldClock
from switchgear import CircuitBreaker, CountWindow, Guard, TimeWindow
from switchgear.errors import CircuitOpenError
from switchgear.events import (
    CircuitClosed,
    CircuitForced,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitTripObserved,
)


#: Short enough that a story of thirty steps fills and leaves it. Some last as
#: long as a slice of sixteen or four seconds, whose borders do not fall together.
STEPS = st.sampled_from([0.5, 1, 0.125, 2, 3, 3.9, 10, 0, -1, -5])

RATES = {
    "failure_rate": st.sampled_from([0.4, 0.5, 1.0]),
    "minimum_calls": st.integers(1, 4),
    "slow_call_rate": st.sampled_from([None, None, 0.5, 1.0]),
}
WINDOWS = st.one_of(
    st.none(),
    st.builds(CountWindow, st.integers(1, 5), **RATES),
    st.builds(TimeWindow, st.sampled_from([4, 16]), **RATES),
)
SETTINGS = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([1, 2, 1, 3, None, 100]),
        "cooldown": st.integers(1, 4),
        "cooldown_factor": st.sampled_from([1, 1, 2, 3]),
        "max_cooldown": st.sampled_from([None, 4, 7]),
        "half_open_probes": st.integers(1, 3),
        "successes_to_close": st.integers(1, 3),
        "probe_timeout": st.sampled_from([1, 2, None, 1e6]),
        "slow_call_seconds": st.sampled_from([None, 1, 2]),
        "window": WINDOWS,
    }
)
PLACES = st.integers(0, 5)
RARELY = st.sampled_from([False, False, False, True])
HINTS = st.sampled_from([None, None, 0, 1, 6])


def valid(wanted):
    """
    Return *wanted* without its contradictions.
    """
    window = wanted["window"]
    if window is None:
        threshold = wanted["threshold"] or 2
        return {**wanted, "threshold": threshold}
    if window.slow_call_rate is not None and wanted["slow_call_seconds"] is None:
        return {**wanted, "slow_call_seconds": 1}
    return wanted


def naive_window(window):
    if window is None:
        return None
    counts = isinstance(window, CountWindow)
    return NaiveWindow(
        window.size if counts else None,
        None if counts else int(window.seconds * SECOND),
        window.failure_rate,
        window.minimum_calls,
        window.slow_call_rate,
    )


def in_nanoseconds(seconds):
    return None if seconds is None else int(seconds * SECOND)


class ServiceDown(Exception):
    pass


def shown(error):
    return None if error is None else f"ServiceDown: {error}"


def told(event):
    """
    Return what the naive breaker would tell.
    """
    at = round(event.at * SECOND)
    match event:
        case CircuitOpened():
            told = event.reason, event.failures, event.last_failure
            return ("opened", at, *told, event.retry_after)
        case CircuitTripObserved():
            return ("tripped", at, event.reason, event.failures, event.last_failure)
        case CircuitHalfOpened():
            return ("half_opened", at)
        case CircuitClosed():
            return ("closed", at, event.reason)
        case CircuitForced():
            return ("forced", at, event.from_state.value, event.to_state.value)


class Beside(RuleBasedStateMachine):
    """
    Do the same to both, in any order, and compare all there is to see.
    """

    def __init__(self):
        super().__init__()
        self.clock = ToldClock()
        self.breaker = CircuitBreaker(clock=self.clock)
        self.events = []
        self.breaker.subscribe(self.events.append)
        self.naive = NaiveBreaker()
        #: What callers hold, beside what the naive breaker gave them.
        self.held = []
        self.errors = 0
        self.is_operated = False

    @initialize(wanted=SETTINGS, is_operated=st.booleans())
    def begin(self, wanted, is_operated):
        self.reconfigure(wanted)
        # Operators would disturb the longer stories.
        self.is_operated = is_operated

    def catch_up(self):
        """
        The naive one learns how much time has passed.
        """
        self.naive.now += self.clock.passed()

    @rule(seconds=STEPS)
    def pass_time(self, seconds):
        self.clock.reading += int(seconds * SECOND)

    @rule()
    def ask(self):
        """
        Both are asked, and answer the same.
        """
        self.catch_up()
        permit, ticket = self.breaker.try_acquire(), self.naive.ask()
        assert bool(permit) == (ticket is not None)
        if ticket is None:
            left = self.naive.retry_after()
            assert permit.retry_after == (None if left is None else left / SECOND)
        else:
            self.held.append((permit, ticket))

    @rule()
    def enter(self):
        self.catch_up()
        guard, ticket = self.breaker.guard(), self.naive.ask(is_guard=True)
        if ticket is None:
            left = self.naive.retry_after()
            with pytest.raises(CircuitOpenError) as refused:
                guard.__enter__()
            retry_after = refused.value.retry_after
            assert retry_after == (None if left is None else left / SECOND)
        else:
            guard.__enter__()
            self.held.append((guard, ticket))

    def another_error(self):
        """
        Return an error unlike all before, or now and then none.
        """
        self.errors += 1
        return ServiceDown(self.errors) if self.errors % 4 else None

    def take(self, place, is_kept):
        """
        Return one of those that are held, which may be kept for a second report.
        """
        call = self.held[place % len(self.held)]
        if not is_kept:
            self.held.remove(call)
        self.catch_up()
        return call

    @precondition(lambda self: self.held)
    @rule(place=PLACES, is_kept=RARELY)
    def succeed(self, place, is_kept):
        call, ticket = self.take(place, is_kept)
        is_guard = isinstance(call, Guard)
        decided = call.__exit__(None, None, None) if is_guard else call.success()
        expected = self.naive.report("success", ticket)
        assert is_guard or decided == expected

    @precondition(lambda self: self.held)
    @rule(place=PLACES, is_kept=RARELY, hint=HINTS)
    def fail(self, place, is_kept, hint):
        call, ticket = self.take(place, is_kept)
        fail = call.fail if isinstance(call, Guard) else call.failure
        error = self.another_error()
        decided = fail(error, retry_after=hint)
        told = {"hold": in_nanoseconds(hint), "error": shown(error)}
        assert decided == self.naive.report("failure", ticket, **told)

    @precondition(lambda self: self.held)
    @rule(place=PLACES, is_kept=RARELY)
    def ignore(self, place, is_kept):
        call, ticket = self.take(place, is_kept)
        assert call.ignore() == self.naive.report("ignored", ticket)

    @precondition(lambda self: self.held)
    @rule(place=PLACES)
    def cancel(self, place):
        """
        A block is cancelled. Of a permit nothing is heard any more.
        """
        call, ticket = self.take(place, is_kept=False)
        if isinstance(call, Guard):
            error = asyncio.CancelledError()
            call.__exit__(type(error), error, None)
            self.naive.report("cancelled", ticket, error="CancelledError")

    @rule()
    def trip(self):
        """
        So many calls fail that the circuit opens, if it is closed.
        """
        for _ in range(min(self.naive.threshold or 4, 4)):
            self.report_unasked(True, None, None)

    @rule(short=st.sampled_from([0, 1]))
    def cool_down(self, short):
        """
        An open circuit has been so for as long as it was to be, or very nearly.
        """
        self.catch_up()
        left = self.naive.due_at - self.naive.now
        self.clock.reading += max(0, left - short)

    @precondition(lambda self: self.naive.out)
    @rule(short=st.sampled_from([0, 1]))
    def time_out(self, short):
        """
        The time of a probe is up, or very nearly.
        """
        self.catch_up()
        left = min(one.expires_at for one in self.naive.out) - self.naive.now
        self.clock.reading += max(0, left - short)

    @rule(pause=st.sampled_from([0, 0.5, 1]))
    def probe(self, pause):
        """
        A half-open circuit, or one that can be so, is asked twice.
        """
        self.cool_down(0)
        self.ask()
        self.clock.reading += int(pause * SECOND)
        self.ask()

    @rule(failed=st.booleans(), took=st.sampled_from([None, 0, 3]), hint=HINTS)
    def report_unasked(self, failed, took, hint):
        self.catch_up()
        length, hold = in_nanoseconds(took), in_nanoseconds(hint)
        if failed:
            error = self.another_error()
            self.breaker.record_failure(error, duration=took, retry_after=hint)
            told = {"hold": hold, "error": shown(error)}
            self.naive.report("failure", None, took=length, **told)
        else:
            self.breaker.record_success(duration=took)
            self.naive.report("success", None, took=length)

    @precondition(lambda self: self.is_operated)
    @rule(state=st.sampled_from(["forced_open", "forced_closed", "observing"]))
    def force(self, state):
        self.catch_up()
        {
            "forced_open": self.breaker.force_open,
            "forced_closed": self.breaker.force_closed,
            "observing": self.breaker.observe_only,
        }[state]()
        self.naive.force(state)

    @precondition(lambda self: self.is_operated)
    @rule()
    def reset(self):
        self.catch_up()
        self.breaker.reset()
        self.naive.reset()

    @precondition(lambda self: self.is_operated)
    @rule(wanted=SETTINGS)
    def reconfigure(self, wanted):
        self.catch_up()
        wanted = valid(wanted)
        before = self.breaker.settings()["window"]
        self.breaker.reconfigure(**wanted)
        naive = self.naive
        naive.threshold = wanted["threshold"]
        naive.cooldown = in_nanoseconds(wanted["cooldown"])
        naive.factor = wanted["cooldown_factor"]
        naive.longest = in_nanoseconds(wanted["max_cooldown"])
        naive.slots = wanted["half_open_probes"]
        naive.needed = wanted["successes_to_close"]
        naive.patience = in_nanoseconds(wanted["probe_timeout"])
        naive.slow_after = in_nanoseconds(wanted["slow_call_seconds"])
        if wanted["window"] != before:
            naive.change_window(naive_window(wanted["window"]))

    @rule()
    def is_open(self):
        self.catch_up()
        if self.naive.state != "forced_open":
            self.naive.look()
        assert self.breaker.is_open == (self.naive.retry_after() != 0)

    @invariant()
    def agree(self):
        """
        Both are in the same state, have seen the same, and told it.
        """
        self.catch_up()
        naive, snapshot = self.naive, self.breaker.snapshot()
        live = [one for one in naive.out if one.expires_at > naive.now]
        left = naive.retry_after()
        assert naive.state == snapshot.state.value
        assert (naive.now - naive.since) / SECOND == snapshot.since
        assert naive.streak == snapshot.failures
        assert (0 if naive.override else len(live)) == snapshot.probes_out
        assert (None if left is None else left / SECOND) == snapshot.retry_after
        assert naive.last_failure == snapshot.last_failure
        totals = (naive.admitted, naive.refused, naive.failed, naive.ignored)
        assert totals == (
            snapshot.admitted,
            snapshot.refused,
            snapshot.failed,
            snapshot.ignored,
        )
        if naive.window is None:
            assert snapshot.window is None
        else:
            calls = naive.in_window()
            assert len(calls) == snapshot.window.calls
            assert sum(one.failed for one in calls) == snapshot.window.failures
            assert sum(one.slow for one in calls) == snapshot.window.slow
        heard = [one for one in map(told, self.events) if one is not None]
        assert naive.told == heard
        self.events.clear()
        naive.told.clear()

    def teardown(self):
        """
        Whatever happened: an operator's reset, or time and a few good calls, close it.
        """
        if self.naive.override is not None:
            self.breaker.reset()
        for _ in range(20):
            self.clock.reading += 10**7 * SECOND
            permit = self.breaker.try_acquire()
            if permit:
                permit.success()
        assert "closed" == self.breaker.snapshot().state.value


class Probed(Beside):
    """
    The same for a circuit that is open already, and lets several probes through.
    """

    @initialize(
        wanted=SETTINGS,
        threshold=st.sampled_from([1, 2, 3]),
        slots=st.sampled_from([2, 3]),
        patience=st.sampled_from([1, 2]),
    )
    def begin(self, wanted, threshold, slots, patience):
        probed = {
            "threshold": threshold,
            "half_open_probes": slots,
            "probe_timeout": patience,
        }
        self.reconfigure({**wanted, **probed})
        self.trip()
        self.cool_down(0)


STORIES = settings(max_examples=int(120 * DEPTH), stateful_step_count=30, deadline=None)

TestBeside = Beside.TestCase
TestBeside.settings = STORIES

TestProbed = Probed.TestCase
TestProbed.settings = STORIES
