"""
The breaker beside one that is obviously right.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from models.naive_breaker import NaiveBreaker
from models.told_clock import ToldClock
from switchgear import CircuitBreaker


SECOND = 10**9


class Beside(RuleBasedStateMachine):
    """
    Do the same to both, in any order, and compare all there is to see.
    """

    tickets = Bundle("tickets")

    def __init__(self):
        super().__init__()
        self.clock = ToldClock()
        self.breaker = CircuitBreaker(
            threshold=2,
            cooldown=3,
            half_open_probes=2,
            successes_to_close=2,
            # No lease expires here.
            probe_timeout=1e6,
            clock=self.clock,
        )
        self.naive = NaiveBreaker(2, 3 * SECOND, 2, 2)
        self.is_operated = False

    @initialize(
        threshold=st.integers(1, 3),
        slots=st.integers(1, 3),
        needed=st.integers(1, 2),
        is_operated=st.booleans(),
    )
    def begin(self, threshold, slots, needed, is_operated):
        self.reconfigure(threshold, 3, slots, needed)
        # Operators would disturb the longer stories.
        self.is_operated = is_operated

    def look(self):
        """
        Both look at the clock.
        """
        self.naive.now += self.clock.passed()

    @rule(seconds=st.sampled_from([-5, -1, 0, 1, 1, 2, 3, 10]))
    def pass_time(self, seconds):
        self.clock.reading += seconds * SECOND

    @rule(target=tickets)
    def ask(self):
        self.look()
        permit, ticket = self.breaker.try_acquire(), self.naive.ask()
        assert bool(permit) == (ticket is not None)
        return multiple() if ticket is None else (permit, ticket)

    @rule(pair=tickets, outcome=st.sampled_from(["success", "failure", "ignored"]))
    def report(self, pair, outcome):
        permit, ticket = pair
        self.look()
        {
            "success": permit.success,
            "failure": permit.failure,
            "ignored": permit.ignore,
        }[outcome]()
        self.naive.report(outcome, ticket)

    @rule()
    def trip(self):
        """
        So many calls fail that the circuit opens, if it is closed.
        """
        for _ in range(self.naive.threshold):
            self.report_unasked(True)

    @rule()
    def cool_down(self):
        """
        An open circuit has been so for as long as it was to be.
        """
        self.look()
        left = self.naive.opened_at + self.naive.open_for - self.naive.now
        self.clock.reading += max(0, left)

    @rule(failed=st.booleans())
    def report_unasked(self, failed):
        self.look()
        if failed:
            self.breaker.record_failure()
        else:
            self.breaker.record_success()
        self.naive.report("failure" if failed else "success", None)

    @precondition(lambda self: self.is_operated)
    @rule(state=st.sampled_from(["forced_open", "forced_closed", "closed"]))
    def force(self, state):
        self.look()
        {
            "forced_open": self.breaker.force_open,
            "forced_closed": self.breaker.force_closed,
            "closed": self.breaker.reset,
        }[state]()
        self.naive.force(state)

    @precondition(lambda self: self.is_operated)
    @rule(
        threshold=st.integers(1, 4),
        cooldown=st.integers(1, 5),
        slots=st.integers(1, 3),
        needed=st.integers(1, 3),
    )
    def reconfigure(self, threshold, cooldown, slots, needed):
        self.look()
        self.breaker.reconfigure(
            threshold=threshold,
            cooldown=cooldown,
            half_open_probes=slots,
            successes_to_close=needed,
        )
        self.naive.threshold, self.naive.cooldown = threshold, cooldown * SECOND
        self.naive.slots, self.naive.needed = slots, needed

    @rule()
    def is_open(self):
        self.look()
        self.naive.look()
        match self.naive.state:
            case "half_open":
                refuses = len(self.naive.out) >= self.naive.slots
            case state:
                refuses = state in {"open", "forced_open"}
        assert refuses == self.breaker.is_open

    @invariant()
    def agree(self):
        """
        Both are in the same state, and have seen the same.
        """
        self.look()
        self.naive.look()
        assert not self.breaker.is_open or self.naive.state != "closed"
        snapshot = self.breaker.snapshot()
        assert self.naive.state == snapshot.state.value
        assert len(self.naive.out) == snapshot.probes_out
        if self.naive.state == "closed":
            assert self.naive.streak == snapshot.failures
        if self.naive.state == "open":
            left = self.naive.opened_at + self.naive.open_for - self.naive.now
            assert left / SECOND == snapshot.retry_after

    def teardown(self):
        """
        Whatever happened: an operator's reset, or time and a few good calls, close it.
        """
        if self.naive.state.startswith("forced"):
            self.breaker.reset()
        for _ in range(20):
            self.clock.reading += 10**6 * SECOND
            permit = self.breaker.try_acquire()
            if permit:
                permit.success()
        assert "closed" == self.breaker.snapshot().state.value


TestBeside = Beside.TestCase
TestBeside.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
