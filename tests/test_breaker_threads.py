"""
One breaker, many threads; and one thread that interrupts itself.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import queue
import sys
import threading

from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from stress.stress_shared import IS_WITH_SAFE

import switchgear

from switchgear import (
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    CountWindow,
    TimeWindow,
)
from switchgear._core import circuit as core
from switchgear._trip_unit import _quick_generation
from switchgear.events import CircuitEvent


CLOSED, OPEN, HALF_OPEN = (
    CircuitState.CLOSED,
    CircuitState.OPEN,
    CircuitState.HALF_OPEN,
)

PATIENCE = 60

# Not its name alone: a clone may be called like that, tests and all.
PACKAGE = str(Path(switchgear.__file__).parent)


class Down(Exception):
    pass


def together(count, act):
    """
    Let *count* threads do ``act(number)`` at the same moment.

    Returns what they returned or raised, in order.
    """
    barrier = threading.Barrier(count)
    results = [None] * count

    def run(number):
        try:
            barrier.wait(PATIENCE)
            results[number] = act(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return results


def tripped(clock, **settings):
    """
    Return a breaker whose cooldown has just passed, and late permits of the
    generations before.
    """
    breaker = CircuitBreaker(5, 10.0, clock=clock, **settings)
    late = [breaker.try_acquire() for _ in range(20)]
    for _ in range(3):
        while not breaker.is_open:
            breaker.record_failure(Down())
        clock.advance(10)
        # One that never reports, in a half-open phase that is over.
        late.append(breaker.try_acquire())
        breaker.record_failure(Down())
    clock.advance(10)
    return breaker, late


class Rush:
    """
    Send 32 threads through a breaker at once; probes wait for all to have asked.
    """

    COUNT = 32

    def __init__(self, breaker, late=(), ending=None):
        self.breaker = breaker
        self.ending = ending
        self.late = queue.SimpleQueue()
        for permit in late:
            self.late.put(permit)
        self.reached, self.refused = [], []
        self.everybody = threading.Event()
        self.errors = [one for one in together(self.COUNT, self.run) if one]

    def run(self, number):
        self.report_late(number)
        self.attempt(number)

    def report_late(self, number):
        with suppress(queue.Empty):
            permit = self.late.get_nowait()
            (permit.success, permit.failure, permit.ignore)[number % 3]()

    def attempt(self, number):
        try:
            if self.ending is HANG:
                self.breaker._admit()
                self.note(self.reached, number)
            else:
                with self.breaker.guard():
                    self.function(number)
        except CircuitOpenError:
            self.note(self.refused, number)
        except asyncio.CancelledError:
            pass

    def function(self, number):
        self.note(self.reached, number)
        assert self.everybody.wait(PATIENCE)
        if self.ending is not None:
            raise self.ending

    def note(self, where, number):
        where.append(number)
        if len(self.reached) + len(self.refused) == self.COUNT:
            self.everybody.set()


HANG = object()


@pytest.fixture(params=[None, 1e-6], ids=["", "switching often"])
def switching(request):
    """
    Let the interpreter switch threads as usual, or as often as it can.
    """
    before = sys.getswitchinterval()
    if request.param is not None:
        sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("probes", [1, 3])
class TestThirtyTwoThreads:
    @pytest.mark.parametrize("with_late", [False, True], ids=["", "late results"])
    @pytest.mark.parametrize(
        ("ending", "expected"),
        [
            (None, CLOSED),
            (Down, OPEN),
            (asyncio.CancelledError, HALF_OPEN),
            (HANG, HALF_OPEN),
        ],
        ids=["success", "failure", "cancelled", "hang"],
    )
    def test_they_reach_the_function_exactly_half_open_probes_times(
        self, clock, probes, with_late, ending, expected
    ):
        """
        If 32 threads are released together after a cooldown, exactly
        *half_open_probes* reach the function, also if the probes hang, are
        cancelled, or results of older generations arrive meanwhile.
        """
        breaker, late = tripped(clock, half_open_probes=probes)

        rush = Rush(breaker, late if with_late else (), ending)

        assert probes == len(rush.reached)
        assert 32 - probes == len(rush.refused)
        assert all(isinstance(one, Down) for one in rush.errors)
        snapshot = breaker.snapshot()
        assert expected is snapshot.state
        assert (probes if ending is HANG else 0) == snapshot.probes_out

    def test_another_may_try_once_the_hung_ones_have_expired(self, clock, probes):
        """
        If all probes hang, the same number may try after the timeout.
        """
        breaker, _ = tripped(clock, half_open_probes=probes)
        Rush(breaker, ending=HANG)
        clock.advance(10)

        rush = Rush(breaker)

        assert probes == len(rush.reached)
        assert CLOSED is breaker.snapshot().state


class TestManyThreads:
    @pytest.mark.parametrize(
        "window", [None, CountWindow(1000, 1.0), TimeWindow(1000.0, 1.0)], ids=repr
    )
    def test_no_outcome_is_lost(self, clock, window):
        """
        If eight threads report at once, every outcome is counted once.
        """
        breaker = CircuitBreaker(10**9, clock=clock, window=window)

        def act(number):
            for turn in range(60):
                try:
                    with breaker.guard() as call:
                        if turn % 3 == 0:
                            raise Down
                        if turn % 3 == 1:
                            call.ignore()
                except Down:
                    pass

        together(8, act)

        snapshot = breaker.snapshot()
        assert (480, 160, 160) == (
            snapshot.admitted,
            snapshot.failed,
            snapshot.ignored,
        )
        if window is not None:
            assert (320, 160) == (snapshot.window.calls, snapshot.window.failures)

    def test_events_arrive_one_at_a_time_in_the_order_they_happened(self, clock):
        """
        If threads open, reset and force a circuit at once, each event starts
        where the one before ended.
        """
        breaker = CircuitBreaker(1, 10.0, clock=clock)
        told, busy = [], threading.Lock()

        def listen(event):
            assert busy.acquire(blocking=False)
            told.append(event)
            busy.release()

        breaker.subscribe(listen, CircuitEvent)

        def act(number):
            for turn in range(30):
                if (number + turn) % 3 == 0:
                    breaker.record_failure()
                elif (number + turn) % 3 == 1:
                    breaker.reset()
                else:
                    breaker.force_open()

        together(6, act)

        ends = {"CircuitOpened": OPEN, "CircuitClosed": CLOSED}
        for before, after in pairwise(told):
            end = ends.get(type(before).__name__, CircuitState.FORCED_OPEN)
            assert end is after.from_state

    def test_reconfiguring_at_once_loses_no_setting(self, clock):
        """
        If two threads change different settings again and again, both end up
        with what was set last.
        """
        breaker = CircuitBreaker(clock=clock)

        def act(number):
            for turn in range(1, 50):
                if number:
                    breaker.reconfigure(threshold=turn)
                else:
                    breaker.reconfigure(cooldown=float(turn))

        together(2, act)

        settings = breaker.settings()
        assert (49, 49.0) == (settings["threshold"], settings["cooldown"])


@contextmanager
def at_call(nth, act):
    """
    Do *act* at the *nth* call that is made in this thread inside the block.

    Those are the moments at which CPython runs signal handlers: when a Python
    function begins, and when one in C has returned. Yields a list of one
    element per moment that passed.
    """
    moments = []

    def profile(frame, event, argument):
        code = frame.f_code
        # A generator that is dropped begins once more, to be closed; what is
        # raised there goes nowhere.
        if (
            event in {"call", "c_return"}
            and code.co_filename.startswith(PACKAGE)
            and code.co_name != "<genexpr>"
            and (IS_WITH_SAFE or getattr(argument, "__name__", "") != "__enter__")
        ):
            moments.append(code.co_name)
            if len(moments) == nth + 1:
                sys.setprofile(None)
                act()

    # What is freed meanwhile would be freed at another moment the next time.
    gc.disable()
    sys.setprofile(profile)
    try:
        yield moments
    finally:
        sys.setprofile(None)
        gc.enable()


def whole(breaker):
    """
    Check that everything that follows from the state does.
    """
    circuit, policy = breaker._circuit, breaker._policy
    assert _quick_generation(policy, circuit) == breaker._closed
    assert circuit.streak == breaker._streak
    orphan = core.orphaned(policy, circuit, breaker._last_ns)
    assert circuit.books.tally == orphan.books.tally
    free = []

    def look():
        free.append(breaker._lock.acquire(timeout=PATIENCE))
        breaker._lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert [True] == free
    return True


def closed(clock):
    breaker = CircuitBreaker(3, 10.0, clock=clock, window=CountWindow(20, 0.9, 20))
    breaker.record_failure()
    return breaker


def cooled(clock):
    breaker = CircuitBreaker(1, 10.0, clock=clock, half_open_probes=2)
    breaker.record_failure(Down())
    clock.advance(10)
    return breaker


def probing(clock):
    breaker = cooled(clock)
    assert not breaker.is_open
    return breaker


def guarded(breaker):
    with breaker.guard():
        pass


def failing(breaker):
    try:
        with breaker.guard():
            raise Down
    except Down:
        pass


OPERATIONS = {
    "guard": guarded,
    "failing guard": failing,
    "record_failure": CircuitBreaker.record_failure,
    "record_success": CircuitBreaker.record_success,
    "is_open": lambda breaker: breaker.is_open,
    "force_open": CircuitBreaker.force_open,
    "observe_only": CircuitBreaker.observe_only,
    "reset": CircuitBreaker.reset,
    "reconfigure": lambda breaker: breaker.reconfigure(window=CountWindow(7)),
    "snapshot": CircuitBreaker.snapshot,
}


@pytest.mark.parametrize("start", [closed, cooled, probing])
@pytest.mark.parametrize("name", OPERATIONS)
class TestInterruptions:
    def test_ctrl_c_at_any_moment_leaves_it_whole(self, start, name, clock):
        """
        If KeyboardInterrupt is raised at any call inside an operation, the
        breaker is whole, its lock free, and no slot is taken -- or only until
        the lease ends.
        """
        operate = OPERATIONS[name]

        def interrupt():
            raise KeyboardInterrupt

        for nth in itertools.count():
            breaker = start(clock)
            with at_call(nth, interrupt) as moments, suppress(KeyboardInterrupt):
                operate(breaker)
            if len(moments) <= nth:
                break
            assert whole(breaker)
            if breaker.snapshot().probes_out:
                # Before the first line of what reports, nobody can catch it.
                assert moments[-1] in {"__exit__", "_raised", "_record"}
                clock.advance(10)
            assert 0 == breaker.snapshot().probes_out
        assert nth > 0

    def test_a_signal_handler_may_use_what_it_interrupts(self, start, name, clock):
        """
        If a handler that runs at any call inside an operation reports a
        failure of its own, neither is lost, and nothing hangs.
        """
        operate = OPERATIONS[name]
        undisturbed = start(clock)
        operate(undisturbed)
        expected = undisturbed.snapshot().failed + 1

        for nth in itertools.count():
            breaker = start(clock)
            with at_call(nth, breaker.record_failure) as moments:
                try:
                    operate(breaker)
                except CircuitOpenError:
                    assert name in {"guard", "failing guard"}
                    continue
            if len(moments) <= nth:
                break
            assert whole(breaker)
            if name != "reset":
                # A reset forgets the totals, those of its interruption as well.
                assert expected == breaker.snapshot().failed, moments[-3:]
        assert nth > 0


class TestReportingTwiceAtOnce:
    @pytest.mark.parametrize("start", [closed, probing])
    def test_of_a_call_and_its_interruption_one_decides(self, start, clock):
        """
        If a signal handler reports on the very permit whose report it
        interrupts, one of the two is heard.
        """
        for nth in itertools.count():
            breaker = start(clock)
            before = breaker.snapshot()
            permit = breaker.try_acquire()
            heard = []

            def report(permit=permit, heard=heard):
                heard.append(permit.ignore())

            with at_call(nth, report) as moments:
                heard.append(permit.failure())
            if len(moments) <= nth:
                break
            after = breaker.snapshot()
            assert whole(breaker)
            assert [False, True] == sorted(heard), moments[-3:]
            assert 1 == (after.failed - before.failed) + (
                after.ignored - before.ignored
            )
        assert nth > 0
