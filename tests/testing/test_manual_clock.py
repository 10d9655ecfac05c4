from __future__ import annotations

import asyncio
import functools
import math
import signal
import threading

from concurrent.futures import ThreadPoolExecutor

import pytest

from switchgear import RateLimiter
from switchgear._clock import Clock, TimerClock, checked_clock
from switchgear.testing import ManualClock


PATIENCE = 20.0


@pytest.fixture
def log():
    """
    What was called, and when, in nanoseconds since the test began.
    """
    return []


@pytest.fixture
def at(clock, log):
    """
    A function that sets a timer, nanoseconds from the beginning of the test.
    """
    start = clock.monotonic_ns()

    def set_timer(delay_ns, name, then=None):
        def wake():
            log.append((name, clock.monotonic_ns() - start))
            if then is not None:
                then()

        return clock.call_at(start + delay_ns, wake)

    return set_timer


class TestTime:
    def test_is_a_clock_with_timers(self, clock):
        """
        If a limiter asks, this is a clock, and waits follow it.
        """
        assert isinstance(clock, Clock)
        assert isinstance(clock, TimerClock)
        assert clock is checked_clock(clock)

    def test_begins_at_no_time_in_particular(self, clock):
        """
        If a test begins, it is neither zero nor a round time.
        """
        assert clock.monotonic_ns() > 0
        assert clock.monotonic_ns() % 10
        assert clock.monotonic_ns() / 1e9 == clock.monotonic()

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [
            (0, 0),
            (1, 10**9),
            (0.1, 100_000_000),
            (1 / 3, 333_333_333),
            (1e-9, 1),
            (0.4e-9, 0),
            (120.0, 120 * 10**9),
            (2_592_000, 2_592_000 * 10**9),
        ],
    )
    def test_time_passes_exactly(self, clock, seconds, expected):
        """
        If time passes, it is as many nanoseconds as were asked for, rounded.
        """
        before = clock.monotonic_ns()

        clock.advance(seconds)

        assert expected == clock.monotonic_ns() - before

        clock.advance_ns(7)

        assert expected + 7 == clock.monotonic_ns() - before

    @pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, math.inf, 1e10])
    def test_advancing_backwards_is_refused(self, clock, seconds):
        """
        If somebody wants to advance by less than nothing, that is an error.
        """
        before = clock.monotonic_ns()

        with pytest.raises(ValueError, match="seconds must be at least 0"):
            clock.advance(seconds)
        with pytest.raises(ValueError, match="nanoseconds must be at least 0"):
            clock.advance_ns(-1)
        assert before == clock.monotonic_ns()

    def test_jumping_backwards_is_not(self, clock):
        """
        If a test wants a clock that steps back, it jumps.
        """
        before = clock.monotonic_ns()
        clock.jump(-5.5)

        assert -5_500_000_000 == clock.monotonic_ns() - before

        clock.jump(1)

        assert -4_500_000_000 == clock.monotonic_ns() - before
        with pytest.raises(ValueError, match="seconds must be at least -1000000000"):
            clock.jump(math.nan)

    def test_repr_says_what_a_failing_test_wants_to_know(self, clock):
        """
        If a test fails, time and sleepers are there to see.
        """
        timer = clock.call_at(2_000_000_000, print)

        assert "<ManualClock at 1000.123456789 s, 1 sleepers>" == repr(clock)
        assert "<Timer at 2.000000000 s: <built-in function print>>" == repr(timer)
        assert 2_000_000_000 == timer.when_ns


class TestTimers:
    def test_timers_are_called_in_order_each_at_its_instant(self, clock, at, log):
        """
        If time passes, timers are called in the order of their times, and the
        clock stands at each one's time meanwhile.
        """
        for delay in (30, 10, 20):
            at(delay, delay)
        clock.advance_ns(25)

        assert [(10, 10), (20, 20)] == log

        clock.advance_ns(5)

        assert [(10, 10), (20, 20), (30, 30)] == log

    def test_timers_of_one_instant_are_called_in_the_order_they_were_set(
        self, clock, at, log
    ):
        """
        If several timers have the same time, first set is first called.
        """
        for name in "abcde":
            at(10, name)
        clock.advance_ns(10)

        assert [(name, 10) for name in "abcde"] == log

    def test_timers_set_by_timers_are_honoured_in_their_turn(self, clock, at, log):
        """
        If a timer sets another within the span, it is called in its turn; one
        beyond the span is not.
        """

        def then():
            at(20, "same time as b")
            at(15, "between")
            at(10, "now")
            at(5, "overdue")
            at(41, "later")

        at(10, "a", then)
        at(20, "b")
        clock.advance_ns(40)

        assert [
            ("a", 10),
            ("overdue", 10),
            ("now", 10),
            ("between", 15),
            ("b", 20),
            ("same time as b", 20),
        ] == log
        assert 1 == clock.sleepers

    def test_overdue_timer_waits_for_the_next_movement(self, clock, at, log):
        """
        If a timer is set for the past, it is not called from within call_at,
        but by the next movement, and does not turn the clock back.
        """
        at(0, "now")
        at(-5, "past")

        assert [] == log

        clock.advance(0)

        assert [("past", 0), ("now", 0)] == log

    def test_cancelled_timer_is_not_called(self, clock, at, log):
        """
        If a timer is cancelled, even by one that is called at the same time,
        it is not called; cancelling again is harmless.
        """
        second = None

        def cancel():
            second.cancel()

        at(10, "first", cancel)
        second = at(10, "second")
        third = at(10, "third")
        fourth = at(10, "fourth")
        fourth.cancel()
        fourth.cancel()
        clock.advance_ns(10)
        third.cancel()

        assert [("first", 10), ("third", 10)] == log
        assert 0 == clock.sleepers

    def test_each_timer_is_called_once(self, clock, at, log):
        """
        If the clock passes a time twice, the timer is called once.
        """
        at(10, "once")
        clock.advance_ns(10)
        clock.jump(-1)
        clock.advance(1)

        assert [("once", 10)] == log

    def test_jump_calls_timers_at_the_new_time(self, clock, at, log):
        """
        If the clock jumps ahead, what is due is called in order, all of it at
        the new time; if it jumps back, nothing is.
        """
        at(20, "b")
        at(10, "a")
        at(3_000_000_000, "c")
        clock.jump(-1)

        assert [] == log

        clock.jump(2)

        assert [("a", 1_000_000_000), ("b", 1_000_000_000)] == log

    def test_time_must_be_an_int(self, clock):
        """
        If a timer is set in seconds, that is a mistake, and refused.
        """
        with pytest.raises(TypeError):
            clock.call_at(1.5, print)
        assert 0 == clock.sleepers

    def test_timer_cannot_move_the_clock(self, clock, at, log):
        """
        If a timer moves the clock it was called by, that is refused clearly.
        """
        at(10, "a", lambda: clock.advance(1))
        at(11, "b", lambda: clock.jump(1))
        with pytest.raises(ExceptionGroup) as caught:
            clock.advance_ns(20)

        assert {"a timer of a ManualClock cannot move that clock"} == {
            str(error) for error in caught.value.exceptions
        }
        assert [("a", 10), ("b", 11)] == log

        clock.advance(1)


class TestErrors:
    def test_error_of_a_timer_is_raised_after_the_rest(self, clock, at, log):
        """
        If a timer fails, the others are called and the time passes; then the
        error is raised as it is.
        """
        before = clock.monotonic_ns()
        error = ValueError("no")

        def fail():
            raise error

        at(10, "a", fail)
        at(20, "b")
        with pytest.raises(ValueError, match="no") as caught:
            clock.advance_ns(30)

        assert error is caught.value
        assert [("a", 10), ("b", 20)] == log
        assert before + 30 == clock.monotonic_ns()

    def test_several_errors_are_raised_together(self, clock, at):
        """
        If several timers fail, none of the errors is lost.
        """

        def fail(error):
            raise error

        errors = [ValueError("a"), KeyError("b")]
        for error in errors:
            at(10, str(error), functools.partial(fail, error))
        with pytest.raises(ExceptionGroup) as caught:
            clock.advance_ns(30)

        assert errors == list(caught.value.exceptions)

    def test_interruption_ends_the_movement_where_it_is(self, clock, at, log):
        """
        If Ctrl-C comes while a timer runs, the clock stands where it is, the
        other timers stay set, and the clock can be moved on.
        """
        before = clock.monotonic_ns()

        def interrupt():
            raise KeyboardInterrupt

        at(10, "a", interrupt)
        at(20, "b")
        with pytest.raises(KeyboardInterrupt):
            clock.advance_ns(30)

        assert [("a", 10)] == log
        assert before + 10 == clock.monotonic_ns()

        clock.advance_ns(10)

        assert [("a", 10), ("b", 20)] == log

    def test_interruption_after_an_error_loses_neither(self, clock, at):
        """
        If a timer failed before Ctrl-C comes, both are raised.
        """

        def fail(error):
            raise error

        errors = [ValueError("a"), KeyboardInterrupt()]
        for error in errors:
            at(10, str(error), functools.partial(fail, error))
        with pytest.raises(BaseExceptionGroup) as caught:
            clock.advance_ns(30)

        assert errors == list(caught.value.exceptions)


class TestThreads:
    def test_a_test_waits_until_all_sleep(self, clock):
        """
        If a test waits for sleepers, it goes on as soon as so many timers are
        set, and no earlier; then one movement wakes them in order.
        """
        woken = []
        start = clock.monotonic_ns()

        def sleeper(number):
            wake = threading.Event()
            clock.call_at(start + number, wake.set)
            assert wake.wait(PATIENCE)
            woken.append(number)

        threads = [
            threading.Thread(target=sleeper, args=(number,), daemon=True)
            for number in range(1, 6)
        ]
        for thread in threads:
            thread.start()
        clock.wait_for_sleepers(5)

        assert 5 == clock.sleepers

        for number in range(1, 6):
            clock.advance_ns(1)
            threads[number - 1].join(PATIENCE)

            assert list(range(1, number + 1)) == woken

    def test_setting_a_timer_wakes_who_waits_for_it(self, clock):
        """
        If somebody waits for sleepers already, the last timer wakes them.
        """
        waiting = threading.Event()
        done = []

        class Watched(threading.Condition):
            def wait(self, timeout=None):
                waiting.set()
                return super().wait(timeout)

        clock._changed = Watched(threading.RLock())

        def wait():
            clock.wait_for_sleepers(1, timeout=PATIENCE)
            done.append(True)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert waiting.wait(PATIENCE)
        with clock._changed:
            # Only now has it released the lock, and sleeps.
            pass
        clock.call_at(0, print)
        # Sooner than it would look again by itself.
        thread.join(PATIENCE / 4)

        assert [True] == done

    def test_waiting_for_nobody_returns_at_once(self, clock):
        """
        If as many timers are set already, there is nothing to wait for.
        """
        clock.wait_for_sleepers(0, timeout=0)
        clock.call_at(0, print)
        clock.wait_for_sleepers(1, timeout=0)

    def test_sleepers_that_do_not_come_are_an_error(self, clock):
        """
        If too few timers are set in time, the test fails and says how many.
        """
        clock.call_at(0, print)

        with pytest.raises(TimeoutError, match="1 of 2 timers were set within 0 s"):
            clock.wait_for_sleepers(2, timeout=0)

    def test_movements_of_several_threads_are_made_one_after_the_other(self, clock):
        """
        If another thread moves the clock while timers run, it waits for them,
        and both movements count in full.
        """
        before = clock.monotonic_ns()
        trying = threading.Event()

        def move():
            trying.set()
            clock.advance_ns(100)

        thread = threading.Thread(target=move, daemon=True)

        def wake():
            thread.start()
            assert trying.wait(PATIENCE)
            seen.append(clock.monotonic_ns() - before)

        seen = []
        clock.call_at(before + 10, wake)
        clock.call_at(before + 20, lambda: seen.append(clock.monotonic_ns() - before))
        clock.advance_ns(50)
        thread.join(PATIENCE)

        assert [10, 20] == seen
        assert before + 150 == clock.monotonic_ns()

    def test_timers_can_be_set_and_time_read_while_timers_run(self, clock):
        """
        If a timer waits for another thread that uses the clock, neither waits
        for the other.
        """

        def use():
            clock.monotonic_ns()
            clock.call_at(0, print).cancel()

        def wake():
            thread = threading.Thread(target=use, daemon=True)
            thread.start()
            thread.join(PATIENCE)
            assert not thread.is_alive()

        clock.call_at(clock.monotonic_ns(), wake)
        clock.advance(1)

    def test_no_timer_is_lost_between_threads(self, clock):
        """
        If threads set and cancel timers while another moves the clock, each
        is called once or was cancelled in time.
        """
        barrier = threading.Barrier(5)
        called = []

        def set_and_cancel(thread):
            barrier.wait(PATIENCE)
            for number in range(200):
                now = clock.monotonic_ns()
                clock.call_at(now + number, functools.partial(called.append, thread))
                clock.call_at(
                    now + 10**12, functools.partial(called.append, None)
                ).cancel()

        def move():
            barrier.wait(PATIENCE)
            for _ in range(200):
                clock.advance_ns(3)

        threads = [
            threading.Thread(target=set_and_cancel, args=(number,), daemon=True)
            for number in range(4)
        ]
        threads.append(threading.Thread(target=move, daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        clock.advance_ns(1000)

        assert sorted(called) == [number for number in range(4) for _ in range(200)]
        assert 0 == clock.sleepers

    def test_signal_handler_may_set_a_timer(self, clock, at, log):
        """
        If a signal handler sets a timer while a timer runs, it is honoured.
        """
        if not hasattr(signal, "SIGUSR1"):
            pytest.skip("there are no user signals here")
        before = signal.signal(signal.SIGUSR1, lambda *_: at(15, "from the handler"))
        try:
            at(10, "a", lambda: signal.raise_signal(signal.SIGUSR1))
            with clock._changed:
                signal.raise_signal(signal.SIGUSR1)
            clock.advance_ns(20)
        finally:
            signal.signal(signal.SIGUSR1, before)

        assert [("a", 10), ("from the handler", 15), ("from the handler", 15)] == log


class TestAutojump:
    def test_a_pool_of_threads_is_done_at_once(self, clock):
        """
        If the clock jumps by itself, workers that wait minutes for their turns
        are done in no time, and the clock shows the minutes.
        """
        limiter = RateLimiter(calls_per_second=0.1, burst=5, clock=clock)
        before = clock.monotonic_ns()

        with clock.autojump(), ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: limiter.wait(), range(25)))

        assert 25 == len(done)
        assert 200 * 10**9 == clock.monotonic_ns() - before
        assert 0 == clock.sleepers

    def test_so_is_a_pool_of_tasks(self, clock):
        """
        If tasks wait, in a loop of another thread than the clock's, so they are.
        """
        limiter = RateLimiter(calls_per_second=0.1, burst=5, clock=clock)
        before = clock.monotonic_ns()

        async def main():
            await asyncio.gather(*(limiter.wait_async() for _ in range(25)))

        with clock.autojump():
            asyncio.run(main())

        assert 200 * 10**9 == clock.monotonic_ns() - before

    def test_overdue_timers_are_called_without_moving(self, clock, at):
        """
        If a timer is overdue already, it is called, and no time passes.
        """
        called = threading.Event()
        clock.call_at(clock.monotonic_ns() - 5, called.set)
        before = clock.monotonic_ns()

        with clock.autojump():
            assert called.wait(PATIENCE)

        assert before == clock.monotonic_ns()

    def test_a_timer_that_goes_before_it_is_reached(self, clock, monkeypatch):
        """
        If the only timer is cancelled before the clock has moved, it stays.
        """
        cancelled, before = threading.Event(), clock.monotonic_ns()
        timer = None

        class Moving:
            def __enter__(self):
                timer.cancel()
                cancelled.set()

            def __exit__(self, *exc_info):
                pass

        monkeypatch.setattr(clock, "_moving", Moving())
        with clock.autojump():
            timer = clock.call_at(before + 7, lambda: None)
            assert cancelled.wait(PATIENCE)

        assert before == clock.monotonic_ns()

    def test_the_clock_stands_still_afterwards(self, clock, at, log):
        """
        If the block has ended, timers wait for somebody to move the clock.
        """
        with clock.autojump():
            pilots = [each for each in threading.enumerate() if each.name == "autojump"]
        at(1, "later")

        # It has gone, so it cannot make the calls below look like ours.
        assert 1 == len(pilots)
        assert not pilots[0].is_alive()
        assert [] == log
        clock.advance_ns(1)
        assert [("later", 1)] == log

    def test_errors_of_timers_are_raised_at_the_end(self, clock, at):
        """
        If timers fail, the others are called all the same, and the block raises.
        """
        called = threading.Event()

        with pytest.raises(ZeroDivisionError), clock.autojump():
            at(1, "bad", lambda: 1 / 0)
            at(2, "good", called.set)
            assert called.wait(PATIENCE)

        called.clear()
        with pytest.raises(ExceptionGroup) as raised, clock.autojump():
            at(3, "bad", lambda: 1 / 0)
            at(4, "worse", lambda: {}["key"])
            at(5, "good", called.set)
            assert called.wait(PATIENCE)

        kinds = [type(error) for error in raised.value.exceptions]
        assert [ZeroDivisionError, KeyError] == kinds

    def test_what_is_no_exception(self, clock, at):
        """
        If a timer fails a test, or leaves, which is no Exception, others are
        called all the same, and it is raised when the block ends.
        """
        called = threading.Event()

        def leave():
            raise SystemExit(3)

        with pytest.raises(SystemExit), clock.autojump():
            at(1, "bad", leave)
            at(2, "good", called.set)
            assert called.wait(PATIENCE)

    def test_the_block_fails_as_well(self, clock, at):
        """
        If the block raises, that is raised, and a note tells what a timer did.
        """
        called = threading.Event()

        with pytest.raises(AssertionError, match="mine") as raised, clock.autojump():
            at(1, "bad", lambda: 1 / 0)
            at(2, "good", called.set)
            assert called.wait(PATIENCE)
            raise AssertionError("mine")

        assert [
            "Meanwhile a timer raised ZeroDivisionError('division by zero')."
        ] == raised.value.__notes__


class TestFork:
    def test_child_has_no_sleepers_and_no_held_locks(self, clock, in_child):
        """
        If the parent forks while its threads hold the clock's locks, the child
        can use the clock, and wakes nobody of the parent's.
        """
        woken = []
        clock.call_at(0, functools.partial(woken.append, "the parent's"))
        held = threading.Event()
        leave = threading.Event()

        def hold():
            with clock._changed, clock._moving:
                held.set()
                assert leave.wait(PATIENCE)

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert held.wait(PATIENCE)

        def child():
            clock.call_at(0, functools.partial(woken.append, "the child's"))
            clock.advance(1)

            assert ["the child's"] == woken

        in_child(child)
        leave.set()
        thread.join(PATIENCE)

        assert 1 == clock.sleepers


def test_two_clocks_are_two():
    """
    If a timer of one clock moves another clock, that is none of its business.
    """
    one, other = ManualClock(), ManualClock()
    before = other.monotonic_ns()
    one.call_at(0, lambda: other.advance_ns(5))
    one.advance_ns(1)

    assert before + 5 == other.monotonic_ns()
