from __future__ import annotations

import copy
import itertools
import pickle
import signal
import threading

import pytest

from hypothesis import given
from hypothesis import strategies as st
from locks import Announced
from steps import frames

from switchgear import AtomicCounter


class TestAtomicCounter:
    def test_starts_from_the_initial_value(self):
        """
        If nothing is said, a counter starts from zero; else from there.
        """
        assert 0 == AtomicCounter().value
        assert -3 == AtomicCounter(-3).value

    def test_increment_returns_the_new_value(self):
        """
        If something is added, the new value is returned.
        """
        counter = AtomicCounter()

        assert 1 == counter.increment()
        assert 6 == counter.increment(5)
        assert 4 == counter.increment(-2)
        assert 4 == counter.value

    def test_decrement_returns_the_new_value(self):
        """
        If something is subtracted, the new value is returned.
        """
        counter = AtomicCounter(10)

        assert 9 == counter.decrement()
        assert 5 == counter.decrement(4)

    def test_get_and_set_returns_the_old_value(self):
        """
        If a value is set, the one before comes back.
        """
        counter = AtomicCounter(7)

        assert 7 == counter.get_and_set(3)
        assert 3 == counter.value

    def test_compare_and_set_needs_the_expected_value(self):
        """
        If the value is not the expected one, nothing happens.
        """
        counter = AtomicCounter(7)

        assert not counter.compare_and_set(6, 1)
        assert 7 == counter.value
        assert counter.compare_and_set(7, 1)
        assert 1 == counter.value

    def test_reset_returns_what_was_counted(self):
        """
        If a counter is reset, it is zero, and what it was comes back.
        """
        counter = AtomicCounter(7)

        assert 7 == counter.reset()
        assert 0 == counter.value

    def test_shows_its_value(self):
        """
        If it is shown or converted, that is its value.
        """
        counter = AtomicCounter(7)

        assert 7 == int(counter)
        assert "AtomicCounter(7)" == repr(counter)

    def test_grows_without_bound(self):
        """
        If it counts beyond any machine word, it is still exact.
        """
        counter = AtomicCounter(2**63)

        counter.increment(2**63)

        assert 2**64 == counter.value

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
                with pytest.raises(TypeError, match=f"^{name} must be an int"):
                    call(bad)
            for bad in (2**63 + 1, -(2**63) - 1, 10**400):
                with pytest.raises(ValueError, match=f"^{name} must be at least"):
                    call(bad)

        assert 1 == counter.value

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

        assert 3 == counter.increment(Odd(2))
        assert 2 == counter.decrement(Odd(1))
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
                assert value == counter.increment(n)
            elif verb == "-":
                value -= n
                assert value == counter.decrement(n)
            elif verb == "=":
                assert value == counter.get_and_set(n)
                value = n
            elif verb == "c":
                assert counter.compare_and_set(n, n + 1) == (value == n)
                value += value == n
            else:
                assert value == counter.reset()
                value = 0

        assert value == counter.value


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

        assert sorted(itertools.chain(*seen)) == list(range(1, 4001))
        assert 4000 == counter.value

    @pytest.mark.parametrize(
        ("step", "expected"),
        [
            (AtomicCounter.increment, 42),
            (AtomicCounter.decrement, 40),
            (AtomicCounter.reset, 41),
            (lambda counter: counter.get_and_set(7), 41),
            (lambda counter: counter.compare_and_set(41, 0), True),
        ],
        ids=["increment", "decrement", "reset", "get_and_set", "compare_and_set"],
    )
    def test_a_step_waits_for_the_one_that_is_at_it(self, step, expected):
        """
        If another thread is in the middle of a step, a step waits for it.
        """
        counter = AtomicCounter()
        lock = counter._lock = Announced(counter._lock)
        results = []
        thread = threading.Thread(target=lambda: results.append(step(counter)))

        with lock.lock:
            thread.start()
            assert lock.wanted.wait(10)
            counter._value = 41
        thread.join()

        assert [expected] == results


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
            assert 1 == counter.increment()


class TestCost:
    def test_counting_by_a_plain_int_takes_few_frames(self):
        """
        If it counts by an int of the usual size, nothing else is called.
        """
        counter = AtomicCounter()

        for n in (1, -1, 10**18):
            assert 1 == frames(lambda n=n: counter.increment(n))


class TestFork:
    def test_a_child_does_not_inherit_a_held_lock(self, in_child):
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

        def check():
            assert 6 == counter.increment()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()

        try:
            in_child(check)
        finally:
            done.set()
            thread.join()

        assert 5 == counter.value


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
