from __future__ import annotations

import copy
import os
import pickle
import signal
import threading

import pytest

from hypothesis import given
from hypothesis import strategies as st

from switchgear import AtomicCounter


def in_child(check):
    """
    Run *check* in a forked child; return whether it passed.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if check() else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


class TestAtomicCounter:
    def test_starts_from_the_initial_value(self):
        """
        If nothing is said, a counter starts from zero; else from there.
        """
        assert AtomicCounter().value == 0
        assert AtomicCounter(-3).value == -3

    def test_increment_returns_the_new_value(self):
        """
        If something is added, the new value is returned.
        """
        counter = AtomicCounter()

        assert counter.increment() == 1
        assert counter.increment(5) == 6
        assert counter.increment(-2) == 4
        assert counter.value == 4

    def test_decrement_returns_the_new_value(self):
        """
        If something is subtracted, the new value is returned.
        """
        counter = AtomicCounter(10)

        assert counter.decrement() == 9
        assert counter.decrement(4) == 5

    def test_get_and_set_returns_the_old_value(self):
        """
        If a value is set, the one before comes back.
        """
        counter = AtomicCounter(7)

        assert counter.get_and_set(3) == 7
        assert counter.value == 3

    def test_compare_and_set_needs_the_expected_value(self):
        """
        If the value is not the expected one, nothing happens.
        """
        counter = AtomicCounter(7)

        assert not counter.compare_and_set(6, 1)
        assert counter.value == 7
        assert counter.compare_and_set(7, 1)
        assert counter.value == 1

    def test_reset_returns_what_was_counted(self):
        """
        If a counter is reset, it is zero, and what it was comes back.
        """
        counter = AtomicCounter(7)

        assert counter.reset() == 7
        assert counter.value == 0

    def test_shows_its_value(self):
        """
        If it is shown or converted, that is its value.
        """
        counter = AtomicCounter(7)

        assert int(counter) == 7
        assert repr(counter) == "AtomicCounter(7)"

    def test_grows_without_bound(self):
        """
        If it counts beyond any machine word, it is still exact.
        """
        counter = AtomicCounter(2**63)

        counter.increment(2**63)

        assert counter.value == 2**64

    def test_bad_arguments_are_refused_at_once(self):
        """
        If an argument is no int or absurdly large, the error names it, and
        the value stays.
        """
        counter = AtomicCounter(1)
        calls = {
            "initial": AtomicCounter,
            "n": counter.increment,
            "value": counter.get_and_set,
            "expected": lambda bad: counter.compare_and_set(bad, 0),
            "new": lambda bad: counter.compare_and_set(1, bad),
        }
        for name, call in [*calls.items(), ("n", counter.decrement)]:
            for bad in (True, 1.5, float("nan"), float("inf"), "1", None):
                with pytest.raises(TypeError, match=f"^{name} must be an int, not"):
                    call(bad)
            for bad in (2**63 + 1, -(2**63) - 1, 10**400):
                with pytest.raises(ValueError, match=f"^{name} must be at least .*, not"):
                    call(bad)

        assert counter.value == 1

    def test_code_of_int_subclasses_does_not_run_under_the_lock(self):
        """
        If an argument is an int of a class with code of its own, what is added
        is its plain value.
        """

        class Odd(int):
            __hash__ = int.__hash__

            def __eq__(self, other):
                raise AssertionError

            def __radd__(self, other):
                raise AssertionError

            def __rsub__(self, other):
                raise AssertionError

        counter = AtomicCounter(Odd(1))

        assert counter.increment(Odd(2)) == 3
        assert counter.decrement(Odd(1)) == 2
        assert counter.compare_and_set(Odd(2), Odd(5))
        assert type(counter.value) is int

    @given(st.lists(st.tuples(st.sampled_from("+-=c0"), st.integers(-9, 9))))
    def test_counts_as_an_int_does(self, steps):
        """
        If operations follow each other, the value is what an int's would be.
        """
        counter, value = AtomicCounter(), 0
        for verb, n in steps:
            if verb == "+":
                value += n
                assert counter.increment(n) == value
            elif verb == "-":
                value -= n
                assert counter.decrement(n) == value
            elif verb == "=":
                assert counter.get_and_set(n) == value
                value = n
            elif verb == "c":
                assert counter.compare_and_set(n, n + 1) == (value == n)
                value += value == n
            else:
                assert counter.reset() == value
                value = 0

        assert counter.value == value


class TestThreads:
    def test_no_step_is_lost_or_doubled(self):
        """
        If many threads count at once, every value is handed out exactly once.
        """
        counter = AtomicCounter()
        start = threading.Barrier(8)
        seen = [[] for _ in range(8)]

        def count(mine):
            start.wait()
            mine.extend(counter.increment() for _ in range(500))

        threads = [threading.Thread(target=count, args=(mine,)) for mine in seen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(sum(seen, [])) == list(range(1, 4001))
        assert counter.value == 4000

    def test_a_step_waits_for_the_one_that_is_at_it(self):
        """
        If another thread is in the middle of a step, a step waits for it.
        """
        counter = AtomicCounter()
        results = []
        thread = threading.Thread(target=lambda: results.append(counter.increment()))

        with counter._lock:
            thread.start()
            while not thread.is_alive():
                pass
            counter._value = 41
        thread.join()

        assert results == [42]


class TestReentry:
    def test_a_signal_handler_may_count(self):
        """
        If a signal handler uses the counter it interrupts, nothing hangs and
        nothing is lost.
        """
        counter = AtomicCounter()
        handled = []

        def handler(signum, frame):
            counter.increment()
            handled.append(1)

        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            rounds = 0
            while len(handled) < 50:
                counter.increment()
                rounds += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

        assert counter.value == rounds + len(handled)

    def test_the_lock_may_be_taken_again(self):
        """
        If a counter is used while its own lock is held by the same thread, it
        works at once.
        """
        counter = AtomicCounter()

        with counter._lock:
            assert counter.increment() == 1


class TestFork:
    def test_a_child_does_not_inherit_a_held_lock(self):
        """
        If another thread is counting at the moment of a fork, the child counts
        on from the value, and the parent's stays.
        """
        counter = AtomicCounter(5)
        held, done = threading.Event(), threading.Event()

        def hold():
            with counter._lock:
                held.set()
                done.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()

        passed = in_child(lambda: counter.increment() == 6)

        done.set()
        thread.join()
        assert passed
        assert counter.value == 5


class TestPickle:
    def test_a_counter_without_a_name_refuses(self):
        """
        If a counter is not in the default registry, it neither pickles nor
        copies: the copy would count by itself.
        """
        counter = AtomicCounter()

        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="AtomicCounter cannot be pickled"):
                attempt(counter)
