from __future__ import annotations

import ctypes
import sys
import threading
import time

from itertools import count, pairwise

import pytest

from parties import PATIENCE, Party, queued, soon_enough, until

from switchgear import RateLimiter, _waiting
from switchgear.errors import BurstExceeded, RateLimitExceeded
from switchgear.events import RateLimitWaited
from switchgear.testing import ManualClock


class Stopped:
    """
    A clock without timers that stands still: sleeping is all that counts.
    """

    def monotonic_ns(self):
        return 1_000_000_000


class Coarse:
    """
    The machine's clock, seen through 16 ms wide slits.
    """

    def monotonic_ns(self):
        return time.monotonic_ns() // 16_000_000 * 16_000_000


@pytest.fixture
def empty(clock):
    """
    A limiter of one token a second whose bucket is empty.
    """
    limiter = RateLimiter(1.0, clock=clock)
    limiter.wait()
    return limiter


def line_up(limiter, clock, *functions):
    """
    Start each function in a thread, in order: each waits before the next.
    """
    parties = []
    for number, function in enumerate(functions, start=clock.sleepers + 1):
        parties.append(Party(function))
        clock.wait_for_sleepers(number)
    return parties


def admissions(limiter, clock):
    """
    Collect when whom *limiter* admits after a wait: (seconds from now, tokens).
    """
    start = clock.monotonic_ns()
    seen = []

    def note(event):
        seen.append((round(event.at - start / 1e9, 6), event.tokens))

    limiter.subscribe(note, RateLimitWaited)
    return seen


class TestOrder:
    def test_guarantee_3_fifo_among_threads_and_reservations(self, clock):
        """
        If threads and reservations of several weights queue, each is admitted
        at its own turn, in the order of arrival.
        """
        limiter = RateLimiter(1.0, burst=7, clock=clock)
        limiter.wait(7)
        seen = admissions(limiter, clock)
        big = line_up(limiter, clock, lambda: limiter.wait(7))
        reservation = limiter.reserve(3)
        small = line_up(
            limiter, clock, lambda: limiter.wait(1), lambda: limiter.wait(2)
        )

        clock.advance(6.5)

        assert [] == seen
        assert 3.5 == reservation.delay

        clock.advance(6.5)
        for party in (*big, *small):
            party.outcome()

        assert [(7.0, 7), (11.0, 1), (13.0, 2)] == seen
        assert 0.0 == reservation.delay

    def test_guarantee_3_no_barging(self, clock, empty):
        """
        If somebody queues, a newcomer is refused even if there are tokens: the
        one in the queue needs more of them.
        """
        empty.reconfigure(burst=3)
        (waiter,) = line_up(empty, clock, lambda: empty.wait(3))
        clock.advance(2.5)

        decision = empty.try_acquire()

        assert not decision
        assert 1.5 == decision.retry_after
        with pytest.raises(RateLimitExceeded):
            empty.wait(timeout=1.0)

        clock.advance(0.5)
        waiter.outcome()

    def test_guarantee_3_no_herd(self, clock, empty, monkeypatch):
        """
        If ten threads queue, each of them is woken once, at its own turn.
        """
        woken = []
        wake = _waiting.ThreadWaiter.wake

        def counted(waiter, place):
            woken.append(waiter)
            return wake(waiter, place)

        rung = count()
        ring = _waiting.ClockWaiter.ring

        def counted_ring(waiter, place):
            next(rung)
            ring(waiter, place)

        monkeypatch.setattr(_waiting.ThreadWaiter, "wake", counted)
        monkeypatch.setattr(_waiting.ClockWaiter, "ring", counted_ring)
        parties = line_up(empty, clock, *[empty.wait] * 10)
        for admitted in range(1, 11):
            clock.advance(1.0)

            # Twice at most: by whoever serves it, and by its own timer.
            assert admitted == len(set(woken))
            assert len(woken) <= 2 * admitted

        for party in parties:
            party.outcome()

        # Each looked when it came, and when its time had come.
        assert 20 == next(rung)

    def test_a_waiting_thread_wakes_once_per_grant(self, monkeypatch):
        """
        If eight threads share a limiter in real time, they sleep about once
        for each call that is admitted.
        """
        sleeps = count()
        sleep = _waiting.ThreadWaiter.sleep

        def counted(waiter, nanoseconds):
            next(sleeps)
            return sleep(waiter, nanoseconds)

        monkeypatch.setattr(_waiting.ThreadWaiter, "sleep", counted)

        def measure():
            limiter = RateLimiter(400.0)
            before = next(sleeps)

            def work():
                for _ in range(10):
                    limiter.wait()

            for party in [Party(work) for _ in range(8)]:
                party.outcome()
            return (next(sleeps) - before) / 80

        assert soon_enough(measure, 1.7) < 1.7


class TestLeaving:
    """
    Guarantee 4, and the deadline part of 5.
    """

    def test_guarantee_4_timed_out_waiters_give_back(self, clock, empty):
        """
        If a pause pushes a waiter past its deadline, it is refused at that
        moment, and those behind it move up exactly.
        """
        seen = admissions(empty, clock)
        late, behind = line_up(empty, clock, lambda: empty.wait(timeout=2), empty.wait)

        empty.pause(5.0)
        clock.advance_ns(1_999_999_999)

        assert 2 == empty.snapshot().waiting

        clock.advance_ns(1)

        assert 1 == empty.snapshot().waiting
        with pytest.raises(RateLimitExceeded) as refused:
            late.outcome()
        assert 4.0 == refused.value.retry_after

        clock.advance(3.0)
        behind.outcome()

        assert [(5.0, 1)] == seen

    def test_guarantee_5_deadline_of_a_sleeping_thread(self):
        """
        If a pause pushes a thread past its deadline in real time, it is
        refused then, long before the pause ends.
        """

        def measure():
            limiter = RateLimiter(20.0)
            limiter.wait()
            started = time.monotonic()
            party = Party(lambda: limiter.wait(timeout=0.1))
            queued(limiter, 1)
            limiter.pause(60.0)
            with pytest.raises(RateLimitExceeded):
                party.outcome()
            assert 1 == limiter.snapshot().admitted
            return time.monotonic() - started

        assert soon_enough(measure, 0.2) < 0.2

    def test_guarantee_4_a_killed_thread_gives_back(self):
        """
        If a thread is killed while it waits, it is gone when its timer rings,
        and the one behind it moves up.
        """
        limiter = RateLimiter(10.0)
        limiter.wait()
        killed = Party(limiter.wait)
        queued(limiter, 1)
        behind = Party(limiter.wait)
        queued(limiter, 2)

        done = ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(killed.ident), ctypes.py_object(SystemExit)
        )

        assert 1 == done
        with pytest.raises(SystemExit):
            killed.outcome()
        behind.outcome()
        assert 2 == limiter.snapshot().admitted
        assert 0 == limiter.snapshot().waiting

    @pytest.mark.parametrize("verb", ["wait", "reserve"])
    def test_guarantee_4_interrupted_anywhere(self, verb):
        """
        If an interrupt comes after any call of a wait, the place is given
        back; only one that comes when all is decided may find it used, and
        before the wait has begun a reservation stands.
        """
        used, standing = [], []
        for moment in count():
            limiter = RateLimiter(2000.0, clock=Stopped())
            limiter.wait()
            wait = limiter.wait if verb == "wait" else limiter.reserve().wait
            interrupted = interrupt(wait, moment)
            snapshot = limiter.snapshot()

            used.append(snapshot.admitted - 1)
            standing.append(snapshot.waiting)
            assert used[-1] + standing[-1] <= 1
            if not interrupted:
                break

        assert 1 == used[-1]
        assert sum(standing) <= (0 if verb == "wait" else 40)
        assert sorted(standing, reverse=True) == standing
        assert len(used) > 50
        # The wait was over: the last lines of three functions.
        assert sum(used[:-1]) <= 12
        assert sorted(used) == used

    def test_interrupted_again_and_again(self, clock, empty):
        """
        If waiters leave in any order, those that stay are admitted as if the
        others had never come.
        """
        seen = admissions(empty, clock)
        reservations = [empty.reserve() for _ in range(9)]
        (last,) = line_up(empty, clock, empty.wait)

        for number in (4, 0, 8, 2, 6):
            assert reservations[number].cancel()

        clock.advance(4.999)

        assert [] == seen

        clock.advance(0.001)
        last.outcome()

        assert [(5.0, 1)] == seen


def interrupt(function, moment):
    """
    Call *function*; interrupt it after its call number *moment*.

    Where CPython runs signal handlers: when a function starts, and when one
    written in C returns. Returns whether it came so far.
    """
    moments = count()
    thrown = []

    def profile(frame, event, arg):
        if event in {"call", "c_return"} and next(moments) == moment:
            sys.setprofile(None)
            thrown.append(moment)
            raise KeyboardInterrupt

    sys.setprofile(profile)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.setprofile(None)
    return bool(thrown)


class TestOperating:
    def test_close_releases_threads(self, clock, empty):
        """
        If a limiter is closed, every waiter leaves with its reason, and every
        later one at once.
        """
        parties = line_up(empty, clock, *[empty.wait] * 5)

        empty.close("shutting down")

        for party in parties:
            with pytest.raises(RateLimitExceeded, match="shutting down") as refused:
                party.outcome()
            assert refused.value.retry_after is None
        with pytest.raises(RateLimitExceeded, match="shutting down"):
            empty.wait()
        assert 0 == clock.sleepers

    def test_a_faster_rate_lets_sleepers_go(self):
        """
        If the rate is raised from one per hundred seconds to 20 per second, four
        sleepers go at once, in order, 50 ms apart.
        """

        def measure():
            limiter = RateLimiter(0.01)
            limiter.wait()
            seen = []
            limiter.subscribe(lambda event: seen.append(event.at), RateLimitWaited)
            parties = []
            for number in range(4):
                parties.append(Party(limiter.wait))
                queued(limiter, number + 1)
            started = time.monotonic()
            limiter.reconfigure(calls_per_second=20.0)
            for party in parties:
                party.outcome()
            late = [at - started - 0.05 * n for n, at in enumerate(seen, start=1)]
            assert min(late) > -0.005
            return max(late)

        assert soon_enough(measure, 0.04) < 0.04

    def test_a_faster_rate_wakes_only_the_first(self, clock, empty, monkeypatch):
        """
        If the rate is raised, the first in the queue is timed anew, and nobody
        else before it is their turn.
        """
        rung = []
        ring = _waiting.ClockWaiter.ring

        def noted(waiter, place):
            rung.append(place.tokens)
            ring(waiter, place)

        seen = admissions(empty, clock)
        empty.reconfigure(burst=4)
        parties = line_up(
            empty, clock, *[lambda n=n: empty.wait(n) for n in (1, 2, 3, 4)]
        )
        monkeypatch.setattr(_waiting.ClockWaiter, "ring", noted)

        empty.reconfigure(calls_per_second=10.0)

        assert [1] == rung

        clock.advance(1.0)
        for party in parties:
            party.outcome()

        assert [(0.1, 1), (0.3, 2), (0.6, 3), (1.0, 4)] == seen

    def test_a_slower_rate_wakes_nobody(self, clock, empty):
        """
        If the rate is lowered, sleepers find out when they wake.
        """
        seen = admissions(empty, clock)
        first, second = line_up(empty, clock, empty.wait, empty.wait)

        empty.reconfigure(calls_per_second=0.5)
        clock.advance(4.0)
        first.outcome()
        second.outcome()

        assert [(2.0, 1), (4.0, 1)] == seen

    def test_pause_is_exact(self, clock, empty):
        """
        If a limiter is paused, nobody is admitted before the pause ends, and
        the first at that very nanosecond.
        """
        seen = admissions(empty, clock)
        (waiter,) = line_up(empty, clock, empty.wait)
        empty.pause(3.0)

        clock.advance_ns(2_999_999_999)

        assert [] == seen

        clock.advance_ns(1)
        waiter.outcome()

        assert [(3.0, 1)] == seen

    def test_a_lowered_burst_sends_away(self, clock, empty):
        """
        If the burst is lowered under a waiter, it leaves with BurstExceeded and
        the next one moves up.
        """
        empty.reconfigure(burst=3)
        seen = admissions(empty, clock)
        large, small = line_up(empty, clock, lambda: empty.wait(3), empty.wait)

        empty.reconfigure(burst=2)

        with pytest.raises(BurstExceeded):
            large.outcome()
        clock.advance(1.0)
        small.outcome()
        assert [(1.0, 1)] == seen


class TestReservation:
    @pytest.mark.parametrize("enter", ["wait", "with"])
    def test_waits_for_its_turn(self, clock, empty, enter):
        """
        If a thread waits on a reservation, it goes on at its turn.
        """
        reservation = empty.reserve()

        def work():
            if enter == "wait":
                reservation.wait()
                return 0
            with reservation as entered:
                assert entered is reservation
            return 0

        (party,) = line_up(empty, clock, work)
        clock.advance_ns(999_999_999)

        assert 0.0 < reservation.delay

        clock.advance_ns(1)

        assert 0 == party.outcome()
        # By now there is nothing to wait for.
        reservation.wait()

    def test_one_waiter_at_a_time(self, clock, empty):
        """
        If two threads wait on one reservation, the second gets RuntimeError,
        and the first keeps its place.
        """
        reservation = empty.reserve()
        (first,) = line_up(empty, clock, reservation.wait)

        with pytest.raises(RuntimeError, match="waited for already"):
            reservation.wait()
        assert 1 == empty.snapshot().waiting

        clock.advance(1.0)
        first.outcome()

    def test_cancelled_by_another_thread(self, clock, empty):
        """
        If a reservation is cancelled while a thread waits on it, that thread
        is told at once.
        """
        reservation = empty.reserve()
        (party,) = line_up(empty, clock, reservation.wait)

        assert reservation.cancel()

        with pytest.raises(RateLimitExceeded, match="cancelled"):
            party.outcome()
        assert 0 == empty.snapshot().waiting
        assert 0 == clock.sleepers
        assert not reservation.cancel()

    def test_a_wait_that_cannot_be_in_time_gives_the_place_back(self, empty):
        """
        If the turn of a reservation cannot come in time, the wait is refused
        at once and the place is gone.
        """
        reservation = empty.reserve()

        with pytest.raises(RateLimitExceeded):
            reservation.wait(timeout=0.5)

        assert 0 == empty.snapshot().waiting
        assert not reservation.cancel()


class TestClocks:
    def test_guarantee_8_a_lost_wake_up_costs_nobody_the_turn(self, monkeypatch):
        """
        If every wake-up is lost, each thread finds its turn by itself.
        """
        monkeypatch.setattr(_waiting.ThreadWaiter, "wake", lambda *_: True)

        def measure():
            limiter = RateLimiter(20.0)
            limiter.wait()
            started = time.monotonic()
            parties = []
            for number in range(3):
                parties.append(Party(limiter.wait))
                queued(limiter, number + 1)
            for party in parties:
                party.outcome()
            return time.monotonic() - started

        assert soon_enough(measure, 0.2) < 0.2

    def test_guarantee_6_a_stalled_clock_hangs_nobody(self):
        """
        If the clock stands still, a wait sleeps its computed time, once.
        """
        limiter = RateLimiter(50.0, clock=Stopped())
        limiter.wait()
        started = time.monotonic()

        for _ in range(4):
            limiter.wait()

        assert time.monotonic() - started > 0.079

    def test_guarantee_6_a_nanosecond_passes_though_the_clock_stands(self):
        """
        If the clock stands still and a turn is a nanosecond away, a wait ends.
        """
        limiter = RateLimiter(1e9, clock=Stopped())
        limiter.wait()

        Party(limiter.wait).outcome()

        assert 1e-9 == limiter.try_acquire().retry_after

    def test_guarantee_6_who_is_woken_made_no_time(self, monkeypatch):
        """
        If a sleeper is woken while the clock stands still, no time has passed.
        """
        asleep = threading.Semaphore(0)
        sleep = _waiting.ThreadWaiter.sleep

        def told(waiter, nanoseconds):
            asleep.release()
            return sleep(waiter, nanoseconds)

        monkeypatch.setattr(_waiting.ThreadWaiter, "sleep", told)
        limiter = RateLimiter(0.001, clock=Stopped())
        limiter.wait()
        party = Party(limiter.wait)
        assert asleep.acquire(timeout=PATIENCE)

        limiter.reconfigure(calls_per_second=0.01)

        assert asleep.acquire(timeout=PATIENCE)
        assert 200.0 == limiter.try_acquire().retry_after
        limiter.close("done")
        with pytest.raises(RateLimitExceeded):
            party.outcome()

    def test_guarantee_6_a_coarse_clock_mints_nothing(self):
        """
        If the clock moves in steps longer than a wait, what was slept between
        two steps is not counted again when it moves.
        """
        limiter = RateLimiter(1000.0, clock=Coarse())
        started = time.monotonic_ns() // 16_000_000 * 16_000_000
        while limiter.snapshot().admitted < 200:
            limiter.wait()

        elapsed = (time.monotonic_ns() - started) / 1e9

        # In the end it may be a step ahead.
        assert limiter.snapshot().admitted <= 1 + 1000 * (elapsed + 0.018)

    def test_stepping_back_after_a_stall_is_no_debt(self):
        """
        If a clock that stood still is set back, time goes on from there.
        """

        class Set:
            now = 1_000_000_000

            def monotonic_ns(self):
                return self.now

        clock = Set()
        limiter = RateLimiter(100.0, clock=clock)
        for _ in range(3):
            limiter.wait()

        clock.now = 500_000_000
        assert not limiter.try_acquire()
        clock.now += 10_000_000

        assert limiter.try_acquire()

    def test_moved_past_while_the_timer_is_set(self):
        """
        If a clock is moved past a turn before the timer for it is set, the
        waiter looks again instead of waiting for the next movement.
        """

        class Hasty:
            now = 1_000_000_000

            def monotonic_ns(self):
                return self.now

            def call_at(self, when_ns, wake):
                self.now = when_ns
                return self

            def cancel(self):
                pass

        limiter = RateLimiter(1.0, clock=Hasty())

        for _ in range(3):
            limiter.wait()

        assert 3 == limiter.snapshot().admitted

    def test_moved_by_others_before_the_timer_is_set(self):
        """
        If a thread is slow to set its timer, those who come after it set it:
        whoever moves the clock does not move it past the turn.
        """
        arrived, go, slow = threading.Event(), threading.Event(), []

        class Clock(ManualClock):
            def call_at(self, when_ns, wake):
                if threading.get_ident() in slow:
                    arrived.set()
                    assert go.wait(PATIENCE)
                return super().call_at(when_ns, wake)

        clock, waited = Clock(), []
        limiter = RateLimiter(1.0, clock=clock)
        limiter.subscribe(lambda event: waited.append(event.waited), RateLimitWaited)
        limiter.wait()

        def wait_slowly():
            slow.append(threading.get_ident())
            limiter.wait()

        first = Party(wait_slowly)
        assert arrived.wait(PATIENCE)
        second = Party(limiter.wait)
        clock.wait_for_sleepers(2)
        clock.advance(2.0)

        second.outcome()
        go.set()
        first.outcome()
        assert [1.0, 2.0] == waited

    def test_several_may_ring_at_once(self):
        """
        If two threads set a waiter's timer at the same time, no timer stays
        behind when it is over.
        """

        class Slow:
            """
            Stand still, and let others in while a timer is set.
            """

            def __init__(self):
                self.timers = []
                self.meanwhile = lambda: None

            def monotonic_ns(self):
                return 1_000_000_000

            def call_at(self, when_ns, wake):
                meanwhile, self.meanwhile = self.meanwhile, lambda: None
                meanwhile()
                timer = Timer(self)
                self.timers.append(timer)
                return timer

        class Timer:
            def __init__(self, clock):
                self.cancel = lambda: clock.timers and clock.timers.remove(self)

        clock = Slow()
        limiter = RateLimiter(0.1, clock=clock)
        limiter.wait()
        # While one rate is being taken in, another arrives.
        party = Party(limiter.wait)
        until(lambda: clock.timers)
        clock.meanwhile = lambda: limiter.reconfigure(calls_per_second=3.0)
        limiter.reconfigure(calls_per_second=2.0)
        clock.meanwhile = lambda: (limiter.close("over"), party.join(PATIENCE))
        limiter.reconfigure(calls_per_second=4.0)

        with pytest.raises(RateLimitExceeded, match="over"):
            party.outcome()

        assert [] == clock.timers

    def test_a_clock_set_back_is_waited_for_anew(self, clock, empty):
        """
        If the clock is set back under a waiter, its timer is set anew as soon
        as anybody looks.
        """
        (party,) = line_up(empty, clock, empty.wait)
        clock.jump(-100.0)

        empty.snapshot()
        clock.advance(1.0)

        party.outcome()

    def test_nobody_sleeps_longer_than_a_day(self):
        """
        If a turn is years away, the timer is set for a day.
        """
        waiter = _waiting.ThreadWaiter()
        asked = []

        class Baton:
            def acquire(self, timeout):
                asked.append(timeout)
                return False

        waiter._baton = Baton()

        assert _waiting.LONGEST_SLEEP == waiter.sleep(10**18)
        assert [86_400.0] == asked

    def test_threads_on_a_manual_clock_wake_in_order(self, clock, empty):
        """
        If threads wait on a manual clock, each advance lets the next one go.
        """
        went = []
        barrier = threading.Semaphore(0)

        def work(number):
            empty.wait()
            went.append(number)
            barrier.release()

        parties = line_up(empty, clock, *[lambda n=n: work(n) for n in range(4)])
        for number in range(4):
            clock.advance(1.0)
            assert barrier.acquire(timeout=PATIENCE)

            assert list(range(number + 1)) == went

        for party in parties:
            party.outcome()
        assert all(one < other for one, other in pairwise(went))
