from __future__ import annotations

from functools import partial

import pytest

from explorer import Race
from explorer.stand_ins import ScheduledTime
from linearizability import History, fragile, half_open

from switchgear import CircuitBreaker, CircuitOpenError, CountWindow
from switchgear._waiting import ThreadWaiter
from switchgear.events import CircuitClosed, CircuitEvent, CircuitOpened, CircuitState


class Clock:
    """
    Tell the virtual time, and be ahead of it.
    """

    def __init__(self):
        self.ahead = 0

    def monotonic_ns(self):
        return ScheduledTime.monotonic_ns() + self.ahead


def opened(**settings):
    """
    A breaker that has been open for as long as its cooldown.
    """
    clock = Clock()
    breaker = CircuitBreaker(threshold=3, cooldown=5, clock=clock, **settings)
    for _ in range(3):
        breaker.record_failure()
    clock.ahead = 5 * 10**9
    return breaker


def sleep(seconds):
    ThreadWaiter().sleep(seconds * 10**9)


class TestProbes:
    @pytest.mark.parametrize("probes", [1, 2])
    def test_no_more_than_slots(self, explored, probes):
        """
        If three threads ask a half-open circuit, as many get a permit as there
        are slots.
        """

        def race():
            breaker = opened(half_open_probes=probes)

            def check(outcomes):
                assert probes == sum(bool(one.value) for one in outcomes)

            return Race([breaker.try_acquire] * 3, check)

        explored(race, every_step=False)
        explored(race, limit=120)

    @pytest.mark.parametrize(
        ("slots", "outcomes"),
        [
            (1, ["ignore"]),
            (1, ["success"]),
            (1, ["failure"]),
            (2, ["success", "failure"]),
            (2, ["success", "success"]),
        ],
    )
    def test_a_slot_is_free_after_its_probe(self, explored, slots, outcomes):
        """
        If probes end while others ask, each answer is that of some order: a
        failure opens the circuit, as many successes as there are slots close it,
        and what is reported after that changes nothing.
        """

        def race():
            breaker = opened(half_open_probes=slots, successes_to_close=slots)
            probes, history = [breaker.try_acquire() for _ in outcomes], History()

            def ask():
                return bool(breaker.try_acquire())

            def look():
                return breaker.snapshot().state

            def check(_):
                history.call(look)
                history.call(ask)
                initial = (CircuitState.HALF_OPEN, 0, slots)
                assert history.is_linearizable(half_open, initial), f"\n{history}"

            reports = map(getattr, probes, outcomes)
            calls = [*reports, ask, ask][:3]
            return Race([partial(history.call, call) for call in calls], check)

        explored(race, every_step=False, limit=450)
        explored(race, limit=60)

    def test_a_probe_that_hangs(self, explored):
        """
        If a probe outlives its lease while another asks, its late outcome does
        not count, and the circuit can still close.
        """

        def race():
            breaker = opened(probe_timeout=1)
            probe = breaker.try_acquire()

            def hang():
                sleep(1)
                return probe.success()

            def ask():
                sleep(1)
                return breaker.try_acquire()

            def check(outcomes):
                permit = outcomes[1].value
                permit.success()
                # That may have been too late, too.
                breaker.try_acquire().success()
                assert CircuitState.CLOSED is breaker.snapshot().state

            return Race([hang, ask], check)

        explored(race, every_step=False)
        explored(race, limit=120)

    def test_one_fails_and_one_succeeds(self, explored):
        """
        If of two probes one fails and one succeeds, the first outcome decides,
        and the other is of a generation that is over.
        """

        def race():
            breaker, events = opened(half_open_probes=2), []
            one, other = breaker.try_acquire(), breaker.try_acquire()

            def check(outcomes):
                told = [type(event) for event in events]
                assert told in ([CircuitOpened], [CircuitClosed])
                opens = told == [CircuitOpened]
                state = breaker.snapshot().state
                assert (CircuitState.OPEN if opens else CircuitState.CLOSED) is state
                assert breaker.is_open == opens

            breaker.subscribe(events.append, CircuitOpened, CircuitClosed)
            return Race([one.failure, other.success], check)

        explored(race, limit=120)


class TestOutcomes:
    def test_of_one_permit(self, explored):
        """
        If two threads report for one permit, one of them does.
        """

        def race():
            breaker = CircuitBreaker(threshold=5)
            permit = breaker.try_acquire()

            def check(outcomes):
                assert 1 == sum(one.value for one in outcomes)
                failures = breaker.snapshot().failures
                assert failures == outcomes[0].value

            return Race([permit.failure, permit.success], check)

        explored(race, limit=120)

    @pytest.mark.parametrize(
        ("mine", "theirs"),
        [
            (["failure", "failure"], ["count", "ask"]),
            (["failure", "ask"], ["success", "failure"]),
            (["failure", "success"], ["failure", "count"]),
        ],
    )
    def test_of_several_permits(self, explored, mine, theirs):
        """
        If two threads report success and failure, and ask, each call takes effect
        at one instant: as many failures in a row as it takes open the circuit.
        """

        def race():
            breaker, history = CircuitBreaker(threshold=2), History()

            def ask():
                return bool(breaker.try_acquire())

            def count():
                return breaker.snapshot().failures

            def prepared(names):
                looks = {"ask": ask, "count": count}
                return [
                    looks.get(name) or getattr(breaker.try_acquire(), name)
                    for name in names
                ]

            def act(calls):
                for call in calls:
                    history.call(call)

            def check(_):
                act([ask, count])
                assert history.is_linearizable(fragile, 0), f"\n{history}"

            return Race(
                [partial(act, prepared(mine)), partial(act, prepared(theirs))], check
            )

        explored(race, every_step=False)
        explored(race, limit=60)

    def test_of_a_generation_that_is_over(self, explored):
        """
        If a call of before the trip ends while a probe closes the circuit, it
        neither opens it nor counts.
        """

        def race():
            clock = Clock()
            breaker = CircuitBreaker(threshold=1, cooldown=5, clock=clock)
            late = breaker.try_acquire()
            breaker.record_failure()
            clock.ahead = 5 * 10**9
            probe = breaker.try_acquire()

            def check(outcomes):
                snapshot = breaker.snapshot()
                assert CircuitState.CLOSED is snapshot.state
                assert 0 == snapshot.failures

            return Race([late.failure, probe.success], check)

        explored(race, limit=120)

    @pytest.mark.parametrize(
        "settings",
        [
            {"threshold": 2},
            {"threshold": None, "window": CountWindow(2, minimum_calls=2)},
        ],
    )
    def test_two_failures_trip_once(self, explored, settings):
        """
        If two threads fail, and that is what it takes, the circuit opens once.
        """

        def race():
            breaker, events = CircuitBreaker(cooldown=5, **settings), []
            breaker.subscribe(events.append, CircuitEvent)

            def fail():
                with breaker.guard():
                    raise OSError

            def check(outcomes):
                assert [CircuitOpened] == [type(event) for event in events]
                assert CircuitState.OPEN is breaker.snapshot().state

            return Race([fail, fail], check, tolerates=(OSError,))

        explored(race, limit=120)

    def test_a_success_between_failures(self, explored):
        """
        If a call succeeds while two fail, all are counted, and the streak is what
        some order gives: as many more failures open the circuit as it lacks.
        """

        def model(streak, name, arguments):
            match name:
                case "record_failure":
                    return None, streak + 1
                case "record_success":
                    return None, 0
                case "streak":
                    return streak, streak
            raise ValueError(name)

        def race():
            breaker, history = CircuitBreaker(threshold=5), History()

            def streak():
                return breaker.snapshot().failures

            def check(outcomes):
                left = 5 - history.call(streak)
                assert history.is_linearizable(model, 0), f"\n{history}"
                snapshot = breaker.snapshot()
                assert (3, 2, 0) == (
                    snapshot.admitted,
                    snapshot.failed,
                    snapshot.ignored,
                )
                for _ in range(left):
                    assert not breaker.is_open
                    breaker.record_failure()
                assert breaker.is_open
                assert 2 + left == breaker.snapshot().failed

            return Race(
                [
                    lambda: history.call(breaker.record_failure),
                    lambda: history.call(breaker.record_success),
                    lambda: history.call(breaker.record_failure),
                ],
                check,
            )

        explored(race, every_step=False)
        explored(race, limit=120)

    def test_a_quick_success_and_a_failure(self, explored):
        """
        If a guarded call returns while another fails, nothing is lost: the streak
        is one or none, and the next failures open the circuit.
        """

        def race():
            breaker = CircuitBreaker(threshold=3)
            breaker.record_failure()

            def succeed():
                with breaker.guard():
                    pass

            def check(outcomes):
                streak = breaker.snapshot().failures
                assert streak in {0, 1}
                for _ in range(3 - streak):
                    assert not breaker.is_open
                    breaker.record_failure()
                assert breaker.is_open

            return Race([succeed, breaker.record_failure], check)

        explored(race, limit=120)


class TestOperator:
    def test_forced_open_while_calls_begin(self, explored):
        """
        If an operator opens the circuit, whoever asks after that is refused; who
        had a permit reports into nothing.
        """

        def race():
            breaker = CircuitBreaker(threshold=1)

            def call():
                with breaker.guard():
                    raise OSError

            def check(outcomes):
                assert CircuitState.FORCED_OPEN is breaker.snapshot().state
                assert not breaker.try_acquire()

            return Race(
                [call, breaker.force_open], check, tolerates=(OSError, CircuitOpenError)
            )

        explored(race, limit=120)

    def test_reset_while_a_probe_ends(self, explored):
        """
        If an operator resets the circuit while a probe fails, it is closed, or
        open by that probe; and events tell the same.
        """

        def race():
            breaker, events = opened(), []
            probe = breaker.try_acquire()
            breaker.subscribe(events.append, CircuitOpened, CircuitClosed)

            def check(outcomes):
                state = breaker.snapshot().state
                assert state is not CircuitState.HALF_OPEN
                told = (
                    CircuitState.OPEN if isinstance(events[-1], CircuitOpened) else None
                )
                assert (told or CircuitState.CLOSED) is state

            return Race([probe.failure, breaker.reset], check)

        explored(race, limit=120)

    def test_other_settings_while_calls_fail(self, explored):
        """
        If the threshold falls while calls fail, both are counted, and the
        next look is by the new threshold.
        """

        def race():
            breaker = CircuitBreaker(threshold=9, cooldown=5)

            def check(outcomes):
                if not breaker.is_open:
                    assert 2 == breaker.snapshot().failures
                    breaker.record_failure()
                assert breaker.is_open

            return Race(
                [
                    breaker.record_failure,
                    breaker.record_failure,
                    lambda: breaker.reconfigure(threshold=2),
                ],
                check,
            )

        explored(race, every_step=False)
