"""
The explorer itself: that it finds what there is to find.
"""

from __future__ import annotations

import gc
import itertools
import threading
import weakref

from functools import partial

import pytest

from explorer import (
    DeadlockError,
    DivergedError,
    EndlessError,
    Race,
    ScheduleFailed,
    explore,
    replay,
    search,
)
from explorer.schedule import Schedule, Turn
from explorer.scheduler import Scheduler
from explorer.workers import Worker

from switchgear import AtomicCounter, RateLimiter
from switchgear._instance import Instance
from switchgear._waiting import ThreadWaiter


PATIENCE = 20.0


def passes(outcomes):
    pass


def passes_by():
    pass


def _ignore(scheduler, value):
    pass


class Sleeper(ThreadWaiter):
    is_asleep = False


class TestEveryStep:
    def test_a_lost_update_is_found(self):
        """
        If a counter adds without its lock, a schedule loses a step, and its line
        loses it again.
        """

        class NoLock:
            def __enter__(self):
                pass

            def __exit__(self, *exc_info):
                pass

        def race():
            counter = AtomicCounter()
            counter._lock = NoLock()

            def check(outcomes):
                assert counter.value == 2, f"{counter.value} is not 2"

            return Race([counter.increment] * 2, check)

        with pytest.raises(ScheduleFailed, match="1 is not 2") as failed:
            explore(race)

        line = str(failed.value).partition("SCHEDULE='")[2].rstrip("'")
        with pytest.raises(ScheduleFailed, match="1 is not 2"):
            replay(race, line)

    def test_with_a_lock_there_is_none(self):
        """
        If it adds under its lock, all schedules are tried and none loses a step.
        """

        def race():
            counter = AtomicCounter()

            def check(outcomes):
                assert counter.value == 2
                assert {1, 2} == {one.value for one in outcomes}

            return Race([counter.increment] * 2, check)

        coverage = explore(race)

        assert coverage.is_complete
        assert 3 == len(coverage.tried)
        assert coverage.schedules > 50


class TestLocksAndSleeps:
    def test_two_locks_in_two_orders(self):
        """
        If two threads take two locks in opposite orders, that is found, and who
        stands where is said.
        """

        def race():
            one, other = Instance(None), Instance(None)

            def take(first, second):
                with first._lock, second._lock:
                    pass

            return Race([lambda: take(one, other), lambda: take(other, one)], passes)

        with pytest.raises(ScheduleFailed, match="nobody can go on: 0 at") as failed:
            explore(race, every_step=False)

        assert isinstance(failed.value.__cause__, DeadlockError)

    def test_a_lock_that_is_kept(self):
        """
        If a thread ends with a lock in hand, the check cannot take it.
        """

        def race():
            one = Instance(None)
            return Race([one._lock.acquire], lambda _: one._lock.acquire())

        with pytest.raises(ScheduleFailed, match="still held"):
            explore(race, every_step=False)

    def test_a_lost_wake_up(self):
        """
        If a thread looks, and sleeps without looking again, a schedule wakes it
        in between; here nothing would ever wake it again.
        """

        def race():
            desk, waiter = Instance(None), Sleeper()
            woken = []

            def wait():
                with desk._lock:
                    is_due = bool(woken)
                if not is_due:
                    waiter.is_asleep = True
                    waiter._baton.acquire()

            def wake():
                with desk._lock:
                    woken.append(True)
                    if waiter.is_asleep:
                        waiter.wake(None)

            return Race([wait, wake], passes)

        with pytest.raises(ScheduleFailed, match="nobody can go on"):
            explore(race, every_step=False)

    def test_time_passes_for_those_who_sleep(self):
        """
        If everybody sleeps, time goes on to whoever is first to wake; if somebody
        could go on, letting time pass instead counts as a pre-emption.
        """
        orders = set()

        def race():
            order = []

            def sleep(name, seconds):
                ThreadWaiter().sleep(seconds * 10**9)
                order.append(name)

            def check(outcomes):
                orders.add("".join(order))

            return Race(
                [
                    lambda: sleep("b", 2),
                    lambda: sleep("a", 1),
                    lambda: order.append("c"),
                ],
                check,
            )

        assert explore(race, every_step=False, preemptions=0).is_complete
        assert {"cab"} == orders

        assert explore(race, every_step=False).is_complete
        assert {"cab", "acb", "abc"} < orders


class TestSearch:
    def test_all_orders_of_three(self):
        """
        If three threads take one step each, all six orders are tried.
        """
        orders = set()

        def race():
            order = []
            return Race(
                [lambda one=one: order.append(one) for one in "abc"],
                lambda _: orders.add("".join(order)),
            )

        coverage = explore(race, preemptions=0)

        assert {"".join(one) for one in itertools.permutations("abc")} == orders
        assert coverage.is_complete
        assert [6] == coverage.tried

    def test_a_sample(self):
        """
        If there are more schedules than the limit, that many are tried, those
        with fewer pre-emptions first, and the rest is told.
        """

        def race():
            limiter = RateLimiter(1, burst=1)
            return Race([limiter.try_acquire] * 2, passes)

        coverage = explore(race, limit=600)

        assert 600 == coverage.schedules
        assert not coverage.is_complete
        assert coverage.tried[:2] == coverage.known[:2]
        assert "all with up to 1 pre-emptions" in str(coverage)
        assert f"of {coverage.known[2]:,} with 2" in str(coverage)

    def test_what_a_thread_raises(self):
        """
        If a thread raises, the schedule failed, unless the race says that this
        may be.
        """

        def race(*tolerates):
            def fail():
                raise OSError("no")

            return Race([fail], passes, tolerates)

        with pytest.raises(ScheduleFailed, match="OSError: no"):
            explore(race)

        assert explore(lambda: race(OSError)).is_complete

    def test_nothing_is_left(self, monkeypatch):
        """
        If all was tried, what was made for it is gone, and nobody finds its locks.
        """
        monkeypatch.setattr(search, "COLLECTED_EVERY", 10**9)
        left = []

        def race():
            counter = AtomicCounter()
            cycle = [counter]
            cycle.append(cycle)
            left.append(weakref.ref(counter))
            return Race([counter.increment] * 2, passes)

        explore(race, every_step=False)

        assert len(left) > 2
        assert {None} == {one() for one in left}

    def test_nobody_holds_what_was_done(self):
        """
        If threads are at rest, they have let go of what they were given.
        """
        begun, go_on = threading.Event(), threading.Event()

        class Door:
            """
            Let the work go on as soon as somebody waits for its end.
            """

            def __init__(self, lock):
                self.lock = lock
                self.release = lock.release

            def __enter__(self):
                go_on.set()
                self.lock.acquire()

            def __exit__(self, *_):
                self.lock.release()

        def work(item):
            begun.set()
            go_on.wait(PATIENCE)

        item = AtomicCounter()
        left = weakref.ref(item)
        worker = Worker()
        worker.give(partial(work, item))
        del item
        assert begun.wait(PATIENCE)
        worker._busy = Door(worker._busy)
        worker.rest()

        gc.collect(0)
        assert left() is None

    def test_no_end(self):
        """
        If a thread goes on for ever, that is said.
        """

        def race():
            counter = AtomicCounter()

            def spin():
                while counter.increment():
                    pass

            return Race([spin], passes)

        with pytest.raises(ScheduleFailed, match="no end") as failed:
            explore(race)

        assert isinstance(failed.value.__cause__, EndlessError)

    def test_chance(self):
        """
        If runs are not alike, nothing can be said: an error says so.
        """
        runs = itertools.count()

        def race():
            counter = AtomicCounter()
            return Race([counter.increment] * (next(runs) + 1), passes)

        with pytest.raises(DivergedError, match=r"another way each|new code in every"):
            explore(race)


class TestReplay:
    @pytest.mark.parametrize(
        "line",
        [
            "steps 2>1 #123",  # another way leads there
            "steps 2>0 #0",  # that thread goes on anyway
            "steps 900>1 #0",  # there is no such step
        ],
    )
    def test_of_another_program(self, line):
        """
        If a line does not fit what is run, an error says so.
        """

        def race():
            counter = AtomicCounter()
            return Race([counter.increment] * 2, passes)

        with pytest.raises(DivergedError):
            replay(race, line)

    def test_a_schedule_is_a_line(self):
        """
        If a schedule is written and read, it is the same.
        """
        schedule = Schedule((Turn(3, 1), Turn(41, 0)), 0xAB)

        assert "3>1 41>0 #ab" == str(schedule)
        assert schedule == Schedule.parse(str(schedule))
        assert Schedule() == Schedule.parse(str(Schedule()))

    def test_no_schedule(self):
        """
        If a line does not say where threads stop, an error says so.
        """
        with pytest.raises(ValueError, match="begins with steps or locks"):
            replay(None, "2>1 #123")

    def test_new_code_in_every_run(self, monkeypatch):
        """
        If every run leads through code that was never run before, nothing can be
        said, and an error says so.
        """
        cold = property(lambda _: True, _ignore)
        monkeypatch.setattr(Scheduler, "is_cold", cold, raising=False)

        with pytest.raises(DivergedError, match="new code"):
            explore(lambda: Race([passes_by], passes))

    def test_what_fails_in_new_code_has_failed(self, monkeypatch):
        """
        If something breaks as code is run for the first time, and only then, that is
        told; and that the line may not show it again.
        """
        cold = property(lambda _: True, _ignore)
        monkeypatch.setattr(Scheduler, "is_cold", cold, raising=False)
        runs = []

        def check(_):
            runs.append(len(runs))
            assert len(runs) > 1, "only once"

        with pytest.raises(ScheduleFailed, match=r"only once(.|\n)*may not come again"):
            explore(lambda: Race([passes_by], check))

    @pytest.mark.parametrize("every_step", [True, False])
    def test_of_either_kind(self, every_step):
        """
        If threads stopped at locks alone, or at every step, the line says so, and
        the schedule is seen again.
        """

        def race():
            waiter = ThreadWaiter()
            return Race([waiter._baton.acquire, passes_by], passes)

        with pytest.raises(ScheduleFailed, match="nobody can go on") as failed:
            explore(race, every_step=every_step)
        line = str(failed.value).partition("SCHEDULE='")[2].rstrip("'")

        assert line.startswith("steps " if every_step else "locks ")
        with pytest.raises(ScheduleFailed, match="nobody can go on"):
            replay(race, line)
