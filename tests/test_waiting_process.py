from __future__ import annotations

import math
import os
import signal
import threading
import time

from itertools import count

import pytest

from parties import PATIENCE, Party, queued, soon_enough, until, untraced

from switchgear import Rate, RateLimiter
from switchgear.errors import RateLimitExceeded


pytestmark = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="no POSIX signals here"
)


@pytest.fixture
def handle():
    """
    A function that installs a signal handler for the length of the test.
    """
    before = {}

    def install(number, handler):
        before[number] = signal.signal(number, handler)

    yield install
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def again(seconds):
    """
    Order one more signal; not a steady stream, lest a slow machine drown.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


class TestInterrupt:
    def test_ctrl_c_interrupts_a_wait_at_once(self, handle):
        """
        If Ctrl-C comes while a thread waits, the wait ends at once, the place
        is given back, and the one behind it is admitted in its stead.
        """
        handle(signal.SIGINT, signal.default_int_handler)

        def measure():
            limiter = RateLimiter(5.0)
            limiter.wait()
            ends = []
            begun = time.monotonic()

            def behind():
                queued(limiter, 1)
                waiter = Party(limiter.wait)
                queued(limiter, 2)
                os.kill(os.getpid(), signal.SIGINT)
                waiter.outcome()
                ends.append(time.monotonic() - begun)

            party = Party(behind)
            with pytest.raises(KeyboardInterrupt):
                limiter.wait()
            interrupted = time.monotonic() - begun
            party.outcome()

            assert 2 == limiter.snapshot().admitted
            assert 0 == limiter.snapshot().waiting
            assert ends[0] > 0.19
            return max(interrupted - 0.1, ends[0] - 0.2)

        assert soon_enough(measure, 0.05) < 0.05

    def test_ctrl_c_on_a_manual_clock(self, handle, clock):
        """
        If Ctrl-C comes while a thread waits for a clock that stands still, it
        is interrupted nevertheless and leaves no timer.
        """
        handle(signal.SIGINT, signal.default_int_handler)
        limiter = RateLimiter(1.0, clock=clock)
        limiter.wait()

        def interrupt():
            clock.wait_for_sleepers(1)
            os.kill(os.getpid(), signal.SIGINT)

        party = Party(interrupt)
        with pytest.raises(KeyboardInterrupt):
            limiter.wait()
        party.outcome()

        assert 0 == clock.sleepers
        assert 0 == limiter.snapshot().waiting


class TestSignals:
    @pytest.mark.parametrize(
        "rates",
        [
            [Rate(1, burst=10**9)],
            [Rate(1, burst=10**9), Rate(1, burst=10**9, counts="calls")],
        ],
        ids=["one rate", "two rates"],
    )
    @untraced
    def test_handlers_that_re_enter_lose_nothing(self, handle, clock, rates):
        """
        If a signal handler uses the limiter it interrupts, thousands of times
        in the middle of its operations, every token is accounted for.
        """
        limiter = RateLimiter(rates=rates, clock=clock)
        taken = [0, 0]
        calls = count()
        received = [0]

        def use(who):
            tokens = 1 + next(calls) % 3
            match next(calls) % 5:
                case 0:
                    assert limiter.try_acquire(tokens)
                    taken[who] += tokens
                case 1:
                    limiter.wait(tokens)
                    taken[who] += tokens
                case 2:
                    assert limiter.reserve(tokens).settle(tokens + 2)
                    taken[who] += tokens + 2
                case 3:
                    assert limiter.reserve(tokens).cancel()
                case _:
                    assert 0 == limiter.snapshot().waiting

        def handler(number, frame):
            received[0] += 1
            use(1)
            again(0.0003)

        handle(signal.SIGALRM, handler)
        again(0.0003)
        # No deadline: a machine may stand still for longer than any.
        while received[0] < 2000:
            for _ in range(50):
                use(0)
            if signal.getitimer(signal.ITIMER_REAL) == (0, 0):
                # CPython may overlook a signal that comes while it looks for
                # one, until it looks the next time.
                again(0.0003)
        again(0)

        assert 10**9 - sum(taken) == limiter.snapshot().available

    @untraced
    def test_handlers_that_re_enter_a_waiting_queue(self, handle):
        """
        If a signal handler reserves, cancels and asks while threads queue and
        its own thread waits, everybody is admitted, and the count is exact.
        """
        limiter = RateLimiter(2000.0)
        limiter.wait()
        made = [1, 0]
        signals = count()
        numbers = []

        def handler(number, frame):
            numbers.append(next(signals))
            made[1] += bool(limiter.try_acquire())
            limiter.reserve().cancel()
            limiter.snapshot()
            again(0.0005)

        handle(signal.SIGALRM, handler)
        parties = [
            Party(lambda: [limiter.wait() for _ in range(100)]) for _ in range(3)
        ]
        again(0.0005)
        for _ in range(300):
            limiter.wait()
            made[0] += 1
        again(0)
        for party in parties:
            party.outcome()

        assert len(numbers) > 100
        assert 0 == limiter.snapshot().waiting
        # A reservation may have had its turn before it was cancelled.
        assert limiter.snapshot().admitted >= 300 + sum(made)
        assert limiter.snapshot().admitted <= 300 + sum(made) + len(numbers)


class TestFork:
    def test_under_load(self, in_child):
        """
        If a process forks a hundred times while eight threads hammer a
        limiter, every child comes back, with the limiter in working order.
        """
        limiter = RateLimiter(1e6, burst=1000)
        slow = RateLimiter(200.0)
        leave = threading.Event()

        def hammer():
            while not leave.is_set():
                limiter.wait()
                limiter.try_acquire()
                limiter.reserve().cancel()
                if slow.reserve().delay > 0.02:
                    slow.wait()

        parties = [Party(hammer) for _ in range(8)]
        until(lambda: limiter.snapshot().admitted > 100)

        def child():
            for one in (limiter, slow):
                assert 0 == one.snapshot().waiting
                one.reset()
                assert one.try_acquire()
            # A budget of its own, and a queue that works.
            slow.wait()

        try:
            for _ in range(100):
                in_child(child)
        finally:
            leave.set()
            for party in parties:
                party.outcome()

    def test_while_a_thread_holds_the_lock(self, in_child):
        """
        If another thread is in the middle of an operation while the process
        forks, the child has a lock of its own.
        """
        limiter = RateLimiter(1.0)
        held, leave = threading.Event(), threading.Event()

        def hold():
            with limiter._lock:
                held.set()
                assert leave.wait(PATIENCE)

        party = Party(hold)
        assert held.wait(PATIENCE)

        in_child(limiter.snapshot)

        leave.set()
        party.outcome()

    def test_the_child_has_no_waiters_of_its_parent(self, in_child, clock):
        """
        If threads and reservations queue in the parent, the child's queue is
        empty, and what it inherited of them is given up; in the parent nothing
        changes.
        """
        limiter = RateLimiter(1.0, clock=clock)
        limiter.wait()
        party = Party(limiter.wait)
        clock.wait_for_sleepers(1)
        reservation = limiter.reserve()

        def child():
            assert 0 == limiter.snapshot().waiting
            assert 0 == clock.sleepers
            assert math.inf == reservation.delay
            assert not reservation.cancel()
            with pytest.raises(RateLimitExceeded):
                reservation.wait()
            clock.advance(1.0)
            assert limiter.try_acquire()
            assert not limiter.try_acquire()

        in_child(child)

        assert 2 == limiter.snapshot().waiting
        assert 2.0 == reservation.delay
        clock.advance(1.0)
        party.outcome()

    def test_forked_while_it_waits(self):
        """
        If the thread that forks is itself waiting, by way of a clock say, its
        wait in the child is refused instead of hanging.
        """
        children = []

        class Forking:
            """
            Fork when told to, in the middle of a wait.
            """

            waiter = None

            def monotonic_ns(self):
                if threading.get_ident() == self.waiter and limiter_has_two():
                    self.waiter = None
                    children.append(os.fork())
                return time.monotonic_ns()

        def limiter_has_two():
            return len(limiter._queue.places) == 2

        clock = Forking()
        limiter = RateLimiter(20.0, clock=clock)
        limiter.wait()
        ahead = limiter.reserve()
        clock.waiter = threading.get_ident()
        parent = os.getpid()
        status = 1
        try:
            limiter.wait()
            status = 2
        except RateLimitExceeded:
            status = 0
        finally:
            if os.getpid() != parent:
                os._exit(status)

        assert 2 == status
        assert 0.0 == ahead.delay
        (child,) = children
        _, ended = os.waitpid(child, 0)
        assert 0 == os.waitstatus_to_exitcode(ended)
