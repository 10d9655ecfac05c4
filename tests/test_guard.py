"""
Blocks of code behind a circuit.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading

from contextlib import ExitStack

import pytest

from switchgear import CircuitBreaker, CircuitOpenError, CircuitState, CountWindow


class Down(Exception):
    pass


#: The two ways through a guard: unmeasured, and measured by a permit.
WAYS = [{}, {"window": CountWindow(100)}]


@pytest.fixture(params=WAYS, ids=["quick", "measured"])
def breaker(request, clock):
    """
    A breaker that takes nine failures in a row, for each way of admission.
    """
    return CircuitBreaker(9, clock=clock, failure_when=lambda v: v < 0, **request.param)


def totals(breaker):
    snapshot = breaker.snapshot()
    return snapshot.admitted, snapshot.failed, snapshot.ignored, snapshot.failures


class TestGuard:
    def test_leaving_without_a_word_is_a_success(self, breaker):
        """
        If nothing is raised and nothing said, the call has succeeded.
        """
        breaker.record_failure()

        with breaker.guard():
            pass

        assert (2, 1, 0, 0) == totals(breaker)

    def test_the_exception_that_leaves_is_judged_and_passed_on(self, breaker):
        """
        If an exception leaves the block, it is a failure, and comes out as
        it is.
        """
        error = Down()

        with pytest.raises(Down) as caught, breaker.guard():
            raise error

        assert error is caught.value
        assert (1, 1, 0, 1) == totals(breaker)

    def test_a_refused_block_is_not_run(self, breaker):
        """
        If the circuit is open, entering raises; afterwards the guard may try
        again.
        """
        breaker.force_open()
        guard = breaker.guard()

        with pytest.raises(CircuitOpenError), guard:
            pytest.fail("refused blocks are not run")

        breaker.reset()
        with guard as call:
            assert call is guard

    def test_async_with_does_the_same(self, breaker):
        """
        If the block is asynchronous, the same holds.
        """

        async def main():
            async with breaker.guard() as call:
                assert 5 == call.result(5)
            with pytest.raises(Down):
                async with breaker.guard():
                    await asyncio.sleep(0)
                    raise Down
            breaker.force_open()
            with pytest.raises(CircuitOpenError):
                await breaker.guard().__aenter__()

        asyncio.run(main())

        assert (2, 1, 0) == totals(breaker)[:3]

    def test_a_timeout_inside_is_a_failure_and_outside_is_ignored(self, breaker):
        """
        If ``asyncio.timeout`` is inside the guard, its TimeoutError is a
        failure; outside, the block is cancelled, which is ignored.
        """

        async def main():
            with pytest.raises(TimeoutError):
                async with breaker.guard(), asyncio.timeout(0):
                    await asyncio.Event().wait()
            assert (1, 1, 0, 1) == totals(breaker)

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0), breaker.guard():
                    await asyncio.Event().wait()
            assert (2, 1, 1, 1) == totals(breaker)

        asyncio.run(main())

    def test_it_is_good_for_one_block(self, breaker):
        """
        If a guard is entered twice, the second time is a mistake.
        """
        guard = breaker.guard()

        with guard, pytest.raises(RuntimeError) as caught:
            guard.__enter__()
        assert "a guard is good for one block: call guard() again" == str(caught.value)
        with pytest.raises(RuntimeError, match="a guard is good for one block"):
            guard.__enter__()

    @pytest.mark.parametrize("error", [None, OSError()])
    def test_left_without_having_been_entered(self, breaker, error):
        """
        If a guard is left that was never entered, nothing counts.
        """
        breaker.record_failure()
        before = breaker.snapshot()

        breaker.guard().__exit__(error and type(error), error, None)

        assert before == breaker.snapshot()

    def test_every_use_gets_a_fresh_one(self, breaker):
        """
        If two guards are asked for, they are two.
        """
        assert breaker.guard() is not breaker.guard()

    def test_guards_nest(self, breaker):
        """
        If guards of one breaker are nested, each has an outcome of its own.
        """
        with pytest.raises(Down), breaker.guard():
            with breaker.guard() as inner:
                inner.fail()
            raise Down

        assert (2, 2, 0, 2) == totals(breaker)

    def test_they_are_safe_across_threads_and_contexts(self, breaker):
        """
        If a guard is entered here, given its outcome there and left elsewhere,
        in other threads and contexts, it counts as usual.
        """
        guard = breaker.guard()

        def elsewhere(act, *args):
            thread = threading.Thread(
                target=contextvars.Context().run, args=(act, *args)
            )
            thread.start()
            thread.join()

        elsewhere(guard.__enter__)
        elsewhere(guard.fail)
        elsewhere(guard.__exit__, None, None, None)

        assert (1, 1, 0, 1) == totals(breaker)

    def test_many_left_in_any_order_count_once_each(self, breaker):
        """
        If many guards are open at once, each counts once, in whatever order.
        """
        with ExitStack() as stack:
            calls = [stack.enter_context(breaker.guard()) for _ in range(8)]
            for call in calls[::2]:
                call.fail()

        assert (8, 4, 0, 0) == totals(breaker)


class TestResult:
    def test_it_is_judged_by_failure_when_and_returned(self, breaker):
        """
        If a result is given, it comes back, and *failure_when* decides.
        """
        for value, failures in ((-1, 1), (-2, 2), (3, 0)):
            with breaker.guard() as call:
                assert value == call.result(value)
            assert failures == breaker.snapshot().failures

    def test_a_predicate_that_raises_makes_the_call_ignored(self, breaker):
        """
        If *failure_when* raises, that comes out, and the call is ignored.
        """
        with pytest.raises(TypeError), breaker.guard() as call:
            call.result("not a number")

        assert (1, 0, 1, 0) == totals(breaker)

    def test_a_predicate_of_exceptions_that_raises_does_the_same(self, breaker):
        """
        If *failure_on* raises, that comes out, and the call is ignored.
        """
        breaker.reconfigure(failure_on=lambda error: error.status > 5)

        with (
            pytest.raises(AttributeError, match="status") as caught,
            breaker.guard(),
        ):
            raise Down

        assert Down is type(caught.value.__context__)
        assert (1, 0, 1, 0) == totals(breaker)

    @pytest.mark.parametrize("what", ["result", "exception"])
    def test_a_predicate_that_raises_about_a_probe_frees_its_slot(self, clock, what):
        """
        If a predicate raises about the call of a probe, its slot is free again.
        """
        breaker = CircuitBreaker(2, 10.0, clock=clock, failure_when=lambda v: v < 0)
        breaker.record_failure()
        breaker.record_failure()
        breaker.reconfigure(failure_on=lambda error: error.status > 5)
        clock.advance(10)

        with pytest.raises((TypeError, AttributeError)), breaker.guard() as call:
            if what == "exception":
                raise Down
            call.result("not a number")

        snapshot = breaker.snapshot()
        assert (CircuitState.HALF_OPEN, 0, 1) == (
            snapshot.state,
            snapshot.probes_out,
            snapshot.ignored,
        )


class TestExactlyOneOutcome:
    @pytest.mark.parametrize(
        ("first", "expected"),
        [
            (lambda call: call.fail(Down()), (1, 1, 0, 1)),
            (lambda call: call.ignore(), (1, 0, 1, 0)),
            (lambda call: call.result(1), (1, 0, 0, 0)),
            (lambda call: call.result(-1), (1, 1, 0, 1)),
        ],
        ids=["fail", "ignore", "result", "bad result"],
    )
    def test_the_one_given_first_decides(self, breaker, first, expected):
        """
        If an outcome was given, later ones and the exception that leaves the
        block change nothing.
        """
        with pytest.raises(Down), breaker.guard() as call:
            assert first(call)
            assert not call.fail(Down())
            assert not call.ignore()
            assert -5 == call.result(-5)
            raise Down

        assert not call.fail()
        assert expected == totals(breaker)

    def test_of_racing_threads_one_decides(self, breaker):
        """
        If many threads report on one guard at once, one of them is heard.
        """
        barrier = threading.Barrier(8)
        heard = []

        def report(number):
            barrier.wait(60)
            heard.append(call.fail() if number % 2 else call.ignore())

        with breaker.guard() as call:
            threads = [threading.Thread(target=report, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        assert [True] == [one for one in heard if one]
        assert 1 == sum(totals(breaker)[1:3])

    @pytest.mark.parametrize(
        "act",
        [lambda g: g.fail(), lambda g: g.ignore(), lambda g: g.result(1)],
        ids=["fail", "ignore", "result"],
    )
    def test_outcomes_are_given_inside_the_block(self, breaker, act):
        """
        If an outcome is given before the guard is entered, it is a mistake.
        """
        with pytest.raises(RuntimeError) as caught:
            act(breaker.guard())

        assert "outcomes are given inside the block: use `with breaker.guard()`" == str(
            caught.value
        )
        assert (0, 0, 0, 0) == totals(breaker)

    @pytest.mark.parametrize(
        ("act", "answer"),
        [
            (lambda g: g.fail(), False),
            (lambda g: g.ignore(), False),
            (lambda g: g.result(-1), -1),
        ],
        ids=["fail", "ignore", "result"],
    )
    def test_after_the_block_it_is_too_late(self, breaker, act, answer):
        """
        If an outcome is given after a block that has succeeded, it changes
        nothing.
        """
        with breaker.guard() as call:
            pass

        assert answer == act(call)
        assert (1, 0, 0, 0) == totals(breaker)

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"error": "oops"}, "error must be"),
            ({"retry_after": "soon"}, "retry_after must be"),
            ({"retry_after": float("nan")}, "retry_after must be"),
        ],
    )
    def test_bad_arguments_decide_nothing(self, breaker, how, message):
        """
        If *fail* is called with nonsense, the error says so, and leaves the
        block as any other.
        """
        with (
            pytest.raises((TypeError, ValueError), match=f"^{message}"),
            breaker.guard() as call,
        ):
            call.fail(**how)

        assert (1, 1, 0, 1) == totals(breaker)


class TestFail:
    def test_the_servers_hint_is_taken(self, clock):
        """
        If the service asked to be left alone, the circuit it opens knows.
        """
        breaker = CircuitBreaker(1, 10.0, clock=clock)
        error = Down()

        with breaker.guard() as call:
            assert call.fail(error, retry_after=60)

        assert 60.0 == breaker.snapshot().retry_after
        with pytest.raises(CircuitOpenError) as refusal, breaker.guard():
            pass
        assert error is refusal.value.__cause__

    def test_a_probe_through_a_guard_decides(self, clock):
        """
        If the circuit is half-open, the guard takes the slot and gives it back.
        """
        breaker = CircuitBreaker(2, 10.0, clock=clock)
        breaker.record_failure()
        breaker.record_failure()
        clock.advance(10)

        with breaker.guard() as call:
            assert breaker.is_open
            call.ignore()
            assert not breaker.is_open
        with breaker.guard():
            pass

        assert CircuitState.CLOSED is breaker.snapshot().state
