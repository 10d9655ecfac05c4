"""
The decisions of a circuit breaker.
"""

from __future__ import annotations

import copy

import pytest

from hypothesis import given
from hypothesis import strategies as st

from switchgear import CountWindow, TimeWindow
from switchgear._core import circuit as core
from switchgear._core.circuit import Policy, Report
from switchgear._core.outcomes import Outcome
from switchgear._core.windows import ledger
from switchgear.events import CircuitState


CLOSED, OPEN, HALF_OPEN = (
    CircuitState.CLOSED,
    CircuitState.OPEN,
    CircuitState.HALF_OPEN,
)
FAILURE, IGNORED, SUCCESS = Outcome.FAILURE, Outcome.IGNORED, Outcome.SUCCESS


def policy(**settings):
    defaults = {
        "threshold": 3,
        "ledger": None,
        "cooldown_ns": 100,
        "max_cooldown_ns": 10**18,
        "cooldown_factor": 1.0,
        "jitter": 0.0,
        "half_open_probes": 1,
        "successes_to_close": 1,
        "probe_timeout_ns": 50,
        "slow_ns": None,
    }
    return Policy(**(defaults | settings))


POLICIES = st.builds(
    policy,
    threshold=st.none() | st.integers(1, 4),
    ledger=st.sampled_from(
        [
            CountWindow(4, 0.5, 2),
            CountWindow(6, 0.5, 4, slow_call_rate=0.5),
            TimeWindow(640e-9, 0.5, 2),
        ]
    ).map(ledger),
    cooldown_factor=st.sampled_from([1.0, 1.5, 10.0]),
    max_cooldown_ns=st.sampled_from([100, 1000, 10**12]),
    jitter=st.sampled_from([0.0, 0.5, 1.0]),
    half_open_probes=st.integers(1, 3),
    successes_to_close=st.integers(1, 4),
    probe_timeout_ns=st.sampled_from([1, 50, 500]),
    slow_ns=st.sampled_from([None, 20]),
)

#: What may happen: how long after the last thing, what, and to which of the
#: calls that are out (an index into all that ever were: results may be late,
#: and arrive twice).
HAPPENINGS = st.lists(
    st.tuples(
        st.integers(0, 30) | st.sampled_from([50, 99, 100, 101, 150, 1000]),
        st.sampled_from(
            [
                *("ask", "ask", "look", "report", "report", "report"),
                *("unasked", "trip", "recover"),
            ]
        ),
        st.sampled_from(Outcome),
        st.integers(0, 50),
        st.booleans(),
    ),
    max_size=50,
)
CHANCES = st.floats(0, 1, exclude_max=True)


class World:
    """
    Run a circuit, the way a breaker does.
    """

    def __init__(self, policy, chance=0.5):
        self.policy = policy
        self.chance = chance
        self.now_ns = 0
        self.circuit = core.fresh(policy, 0)
        self.calls = []
        self.transitions = []

    def take(self, step):
        if step.entry is not None:
            self.circuit.books.slots[step.entry.slot] = step.entry.value
        self.circuit = step.circuit
        self.transitions += step.transitions

    def ask(self):
        step, answer = core.admit(self.policy, self.circuit, self.now_ns, self.chance)
        self.take(step)
        if answer.admitted:
            assert answer.generation == self.circuit.generation
            self.calls.append((answer.generation, answer.lease, self.now_ns))
        return answer

    def look(self):
        self.take(core.due(self.policy, self.circuit, self.now_ns, self.chance))

    def report(self, outcome, call=None, **more):
        generation, lease, start_ns = call or (None, None, self.now_ns)
        report = Report(
            outcome,
            generation=generation,
            lease=lease,
            duration_ns=self.now_ns - start_ns,
            chance=self.chance,
            **more,
        )
        step = core.record(self.policy, self.circuit, report, self.now_ns)
        self.take(step)
        return step

    def happen(self, wait_ns, what, outcome, which, cancelled):
        self.now_ns += wait_ns
        if what == "ask":
            self.ask()
        elif what == "look":
            self.look()
        elif what == "trip":
            for _ in range(10):
                self.report(FAILURE)
            self.now_ns = max(self.now_ns, self.circuit.due_ns)
            self.look()
        elif what == "recover":
            self.now_ns = max(self.now_ns, self.circuit.due_ns)
            for _ in range(self.policy.successes_to_close):
                if self.ask().admitted:
                    self.report(SUCCESS, self.calls[-1])
        elif what == "unasked":
            self.report(FAILURE if outcome is IGNORED else outcome)
        elif self.calls:
            call = self.calls[which % len(self.calls)]
            self.report(outcome, call, cancelled=cancelled)


class TestLaws:
    @given(
        policy=POLICIES,
        happenings=HAPPENINGS,
        hung=st.integers(0, 3),
        chance=CHANCES,
    )
    def test_no_order_of_outcomes_leaves_it_unable_ever_to_close(
        self, policy, happenings, hung, chance
    ):
        """
        If anything whatever has happened, and the latest probes hang, then
        after a long wait enough successful ones close the circuit.
        """
        world = World(policy, chance)
        for happening in happenings:
            world.happen(*happening)
        for _ in range(hung):
            world.happen(0, "trip", FAILURE, 0, False)
            world.ask()
        world.now_ns += 10**15

        for _ in range(policy.successes_to_close):
            if world.circuit.phase is CLOSED:
                break
            assert world.ask().admitted
            world.report(SUCCESS, world.calls[-1])

        assert CLOSED is world.circuit.phase
        assert world.ask().admitted

    @given(policy=POLICIES, happenings=HAPPENINGS)
    def test_never_more_leases_than_half_open_probes_are_out(self, policy, happenings):
        """
        If anything whatever has happened, no more probes are out than allowed.
        """
        world = World(policy)

        for happening in happenings:
            world.happen(*happening)

            assert len(world.circuit.leases) <= policy.half_open_probes
            assert (world.circuit.phase is HALF_OPEN) or not world.circuit.leases

    @given(policy=POLICIES, happenings=HAPPENINGS, outcome=st.sampled_from(Outcome))
    def test_a_result_of_an_earlier_generation_moves_nothing(
        self, policy, happenings, outcome
    ):
        """
        If a call was admitted before the last transition, its result leaves
        state, cooldown and window exactly as they are. It is counted, unless
        it was a probe that was given up before.
        """
        world = World(policy)
        for happening in happenings:
            world.happen(*happening)
        before = copy.deepcopy(world.circuit)

        for call in world.calls:
            if call[0] != world.circuit.generation:
                step = world.report(outcome, call, cancelled=True, hold_ns=10**9)
                _, lease, _ = call
                given_up = lease is not None and lease.expires_ns <= world.now_ns
                assert given_up is (step.counted is None)

        assert before == world.circuit

    @given(policy=POLICIES, happenings=HAPPENINGS)
    def test_every_transition_starts_a_generation(self, policy, happenings):
        """
        If there were n transitions, the generation is n + 1.
        """
        world = World(policy)

        for happening in happenings:
            world.happen(*happening)

            assert 1 + len(world.transitions) == world.circuit.generation

    @given(policy=POLICIES, happenings=HAPPENINGS, chance=CHANCES)
    def test_it_stays_open_for_a_cooldown(self, policy, happenings, chance):
        """
        If it opened, for whatever reason, it is open for a cooldown that has
        grown with the times it reopened in a row, and has its share of chance.
        """
        world = World(policy, chance)

        for happening in happenings:
            before = world.circuit
            world.transitions = []
            world.happen(*happening)
            reopened = before.reopened
            for one in world.transitions:
                if one.to_phase is CLOSED:
                    reopened = 0
                elif one.to_phase is OPEN:
                    reopened = reopened + 1 if one.from_phase is HALF_OPEN else 0
                    length = core.cooldown_ns(policy, reopened, chance)
                    assert one.at_ns + length == one.due_ns

    @given(policy=POLICIES, happenings=HAPPENINGS, chance=CHANCES)
    def test_looking_answers_what_asking_would(self, policy, happenings, chance):
        """
        If somebody looks, the answer is that of asking, and the same steps are
        made; but no lease is taken.
        """
        world = World(policy, chance)

        for happening in happenings:
            world.happen(*happening)
            told = policy, world.circuit, world.now_ns, chance
            looked, answer = core.look(*told)
            asked, expected = core.admit(*told)

            assert answer.admitted is expected.admitted
            assert answer.retry_ns == (expected.retry_ns or 0)
            assert answer.lease is None
            assert looked == core.due(*told)
            assert looked.transitions == asked.transitions
            assert looked.expired == asked.expired

    @given(
        threshold=st.none() | st.integers(1, 4),
        factor=st.sampled_from([1.0, 3.0]),
        asked=st.lists(st.integers(0, 30), min_size=1, max_size=5),
        pauses=st.lists(st.integers(0, 60)),
    )
    def test_looking_more_often_changes_nothing(self, threshold, factor, asked, pauses):
        """
        If probes are given up one look at a time or all at once, the outcome
        is the same: each counts at the moment its time was up.
        """
        rules = policy(
            threshold=threshold,
            ledger=ledger(CountWindow(1)),
            cooldown_factor=factor,
            half_open_probes=5,
        )
        world = World(rules)
        world.happen(0, "trip", FAILURE, 0, False)
        for pause in asked:
            world.now_ns += pause
            world.ask()
        often, now_ns, expired = world.circuit, world.now_ns, 0

        for pause in pauses:
            now_ns += pause
            step = core.expire(rules, often, now_ns, 0.5)
            often = step.circuit
            expired += step.expired

        once = core.expire(rules, world.circuit, now_ns, 0.5)
        assert once.circuit == often
        assert once.expired == expired

    @given(policy=POLICIES, happenings=HAPPENINGS)
    def test_the_next_state_depends_on_nothing_but_the_arguments(
        self, policy, happenings
    ):
        """
        If the same question is asked twice, the answer is the same, and
        nothing has been changed by asking.
        """
        world = World(policy)
        for happening in happenings:
            world.happen(*happening)
        before = copy.deepcopy(world.circuit)

        answers = [
            (
                core.admit(policy, world.circuit, world.now_ns + 70, 0.3),
                core.record(policy, world.circuit, Report(FAILURE), world.now_ns + 70),
            )
            for _ in range(2)
        ]

        assert answers[0] == answers[1]
        assert before == world.circuit

    @given(policy=POLICIES, happenings=HAPPENINGS)
    def test_waiting_as_long_as_told_is_enough(self, policy, happenings):
        """
        If a call is refused, one made after exactly *retry_ns* is admitted,
        and one made a nanosecond earlier is not.
        """
        world = World(policy)
        for happening in happenings:
            world.happen(*happening)
        answer = world.ask()
        if answer.admitted:
            return
        asked_in = world.circuit.phase
        world.now_ns += answer.retry_ns - 1
        assert not world.ask().admitted
        world.now_ns += 1

        # The probe that was given up may have been one too many.
        if (
            asked_in is OPEN
            or core.expire(policy, world.circuit, world.now_ns, 0.5).circuit.phase
            is HALF_OPEN
        ):
            assert world.ask().admitted


class TestCooldown:
    @pytest.mark.parametrize(
        ("factor", "longest", "expected"),
        [
            (1.0, 10**18, [100, 100, 100, 100]),
            (2.0, 10**18, [100, 200, 400, 800]),
            (2.0, 350, [100, 200, 350, 350]),
            (1.5, 10**18, [100, 150, 225, 338]),
            (3.0, 100, [100, 100, 100, 100]),
        ],
    )
    def test_it_grows_by_the_factor_up_to_the_maximum(self, factor, longest, expected):
        """
        If a circuit opens again and again, its cooldown grows so far and no
        further.
        """
        grows = policy(cooldown_factor=factor, max_cooldown_ns=longest)

        assert expected == [core.cooldown_ns(grows, n, 0.5) for n in range(4)]

    def test_it_is_the_longest_to_the_last(self):
        """
        If it has grown to the longest, it is that, not what rounding makes of it.
        """
        longest = 38_829_589_494_659_026
        grows = policy(
            cooldown_ns=60 * 10**9, cooldown_factor=1.5, max_cooldown_ns=longest
        )

        assert longest > round(60 * 10**9 * 1.5**33)
        assert longest == core.cooldown_ns(grows, 33, 0.5)

    def test_it_does_not_overflow(self):
        """
        If a circuit was reopened a million times, its cooldown is the longest.
        """
        grows = policy(cooldown_factor=1000.0)

        assert 10**18 == core.cooldown_ns(grows, 10**6, 0.5)

    @pytest.mark.parametrize(
        ("jitter", "chance", "expected"),
        [
            (0.0, 0.0, 100),
            (0.1, 0.0, 90),
            (0.1, 0.5, 100),
            (0.1, 1.0, 110),
            (1.0, 0.0, 1),
        ],
    )
    def test_jitter_is_a_fraction_either_way(self, jitter, chance, expected):
        """
        If there is jitter, chance decides between that much less and more;
        it is never nothing.
        """
        assert expected == core.cooldown_ns(policy(jitter=jitter), 0, chance)


class TestAdmit:
    def test_an_observed_circuit_admits_what_it_would_refuse(self):
        """
        If a circuit is only observed, what it would have refused is admitted,
        in a generation that is never the present one.
        """
        rules = policy(threshold=1)
        world = World(rules)
        world.circuit = core.fresh(rules, 0, override=CircuitState.OBSERVING)
        world.report(FAILURE)

        step, answer = core.admit(rules, world.circuit, 1, 0.5)

        assert (True, core.REFUSED_GENERATION) == answer[:2]
        assert world.circuit is step.circuit
        assert core.REFUSED_GENERATION < 0


class TestRecord:
    def test_an_ignored_probe_reopens_for_a_share_of_chance(self):
        """
        If the last probe that may be ignored is, the cooldown that begins has
        its share of chance, too.
        """
        world = World(policy(threshold=1, jitter=0.5), chance=0.75)
        world.report(FAILURE)
        world.now_ns = world.circuit.due_ns
        world.ask()

        world.report(IGNORED, world.calls[-1])

        assert OPEN is world.circuit.phase
        assert 125 == world.circuit.due_ns - world.now_ns

    def test_closing_begins_a_generation(self):
        """
        If a circuit closes, its generation is the next one.
        """
        world = World(policy(threshold=1))
        world.report(FAILURE)
        world.now_ns = world.circuit.due_ns
        world.ask()

        world.report(SUCCESS, world.calls[-1])

        assert (CLOSED, 4) == (world.circuit.phase, world.circuit.generation)


class TestLook:
    def test_a_probe_given_up_reopens_for_a_share_of_chance(self):
        """
        If looking finds a probe given up, the cooldown that begins has its
        share of chance, too.
        """
        world = World(policy(threshold=1, jitter=0.5), chance=0.75)
        world.report(FAILURE)
        world.now_ns = world.circuit.due_ns
        world.ask()
        world.now_ns += 60

        step, answer = core.look(world.policy, world.circuit, world.now_ns, 0.75)

        assert OPEN is step.circuit.phase
        assert 50 + 125 - 60 == answer.retry_ns


class TestExpire:
    def test_leases_are_given_up_at_their_own_time(self):
        """
        If nobody looked when the last ignored probe ran out, the circuit
        opened then all the same: the cooldown began at that moment.
        """
        world = World(policy(threshold=2, half_open_probes=3))
        for _ in range(2):
            world.report(FAILURE)
        world.now_ns = 100
        world.ask()
        world.now_ns = 120
        world.ask()
        world.ask()

        world.now_ns = 270 - 1
        step = core.expire(world.policy, world.circuit, world.now_ns, 0.5)

        assert OPEN is step.circuit.phase
        assert 170 == step.circuit.since_ns
        assert 270 == step.circuit.due_ns
        assert 2 == step.expired

        world.now_ns = 270

        assert world.ask().admitted

    def test_a_lower_limit_counts_from_the_next_probe(self):
        """
        If the threshold was lowered below the ignored probes so far, the next
        one given up opens the circuit.
        """
        world = World(policy(threshold=5, half_open_probes=9))
        for _ in range(5):
            world.report(FAILURE)
        world.now_ns = 100
        for _ in range(4):
            world.ask()
            world.report(IGNORED, world.calls[-1])
        world.ask()
        world.policy = policy(threshold=2, half_open_probes=9)

        step = core.expire(world.policy, world.circuit, 150, 0.5)

        assert (OPEN, 1) == (step.circuit.phase, step.expired)


class TestOrphaned:
    @pytest.mark.parametrize("threshold", [1, 9])
    def test_the_parents_probe_is_nobodys(self, threshold):
        """
        If a probe of the parent reports in a forked child, nothing is counted,
        whether or not one of the child was given up at that moment.
        """
        rules = policy(threshold=threshold, half_open_probes=2)
        world = World(rules)
        for _ in range(threshold):
            world.report(FAILURE)
        world.now_ns = 100
        world.ask()
        inherited = world.calls[-1]
        world.circuit = core.orphaned(rules, world.circuit, world.now_ns)
        world.ask()
        # Taken a little later than that of the child, so its time is not up.
        generation, lease, start_ns = inherited
        theirs = generation, lease._replace(number=99, expires_ns=999), start_ns
        world.now_ns = 150

        step = world.report(FAILURE, theirs)

        assert step.counted is None
        assert 1 == step.expired
        assert (OPEN if threshold == 1 else HALF_OPEN) is step.circuit.phase

    @given(policy=POLICIES, happenings=HAPPENINGS)
    def test_a_forked_child_has_no_leases_and_the_same_window(self, policy, happenings):
        """
        If a process forks, its child goes on in the same state without the
        probes that are out; totals follow from the slots.
        """
        world = World(policy)
        for happening in happenings:
            world.happen(*happening)
        circuit = world.circuit

        orphan = core.orphaned(policy, circuit, world.now_ns)

        assert () == orphan.leases
        assert core.tally(policy, circuit, world.now_ns)[:3] == orphan.books.tally[:3]
        assert circuit._replace(leases=(), books=None) == orphan._replace(books=None)
