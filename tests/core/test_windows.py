"""
Sliding windows.
"""

from __future__ import annotations

import copy
import pickle

from dataclasses import FrozenInstanceError

import pytest

from hypothesis import given
from hypothesis import strategies as st

from switchgear import CountWindow, TimeWindow
from switchgear._core.windows import (
    SLICES,
    Books,
    CountLedger,
    Tally,
    TimeLedger,
    ledger,
)


CALLS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)

#: Steps of a time window: how long after the one before, failed, slow.
TIMED_CALLS = st.lists(
    st.tuples(
        st.integers(0, 20) | st.integers(0, 400) | st.integers(0, 10_000),
        st.booleans(),
        st.booleans(),
    ),
    max_size=60,
)


def counted(keeper, books, now_ns, failed=False, slow=False):
    """
    Store what the ledger planned, as a breaker does.
    """
    entry = keeper.plan(books, now_ns, failed=failed, slow=slow)
    books.slots[entry.slot] = entry.value
    return Books(books.slots, entry.tally)


def totals(calls):
    return (
        len(calls),
        sum(failed for failed, _ in calls),
        sum(slow for _, slow in calls),
    )


class TestCountWindow:
    @given(size=st.integers(1, 20), calls=CALLS)
    def test_totals_are_those_of_the_latest_calls(self, size, calls):
        """
        If any calls are counted, the totals are those of the latest *size*.
        """
        keeper = CountLedger(CountWindow(size))
        books = keeper.fresh(0)

        for number, (failed, slow) in enumerate(calls, 1):
            books = counted(keeper, books, 0, failed, slow)

            latest = calls[max(0, number - size) : number]
            assert totals(latest) == keeper.current(books, 10**18)[:3]

    @given(size=st.integers(1, 20), other=st.integers(1, 20), calls=CALLS)
    def test_another_size_keeps_the_latest_calls(self, size, other, calls):
        """
        If the size changes, the calls that fit are kept, oldest out first.
        """
        old, new = CountLedger(CountWindow(size)), CountLedger(CountWindow(other))
        books = old.fresh(0)
        for failed, slow in calls:
            books = counted(old, books, 0, failed, slow)

        adopted = new.adopt(old, books, 0)

        kept = calls[-min(size, other) :]
        assert totals(kept) == adopted.tally[:3]

        for number, (failed, slow) in enumerate(calls, 1):
            adopted = counted(new, adopted, 0, failed, slow)
            assert totals((kept + calls[:number])[-other:]) == adopted.tally[:3]

    def test_a_plan_changes_nothing(self):
        """
        If a plan is not carried out, it leaves no trace.
        """
        keeper = CountLedger(CountWindow(3))
        books = counted(keeper, keeper.fresh(0), 0, True, True)
        before = copy.deepcopy(books)

        keeper.plan(books, 0, failed=True, slow=False)

        assert before == books

    def test_a_record_costs_the_same_whatever_the_size(self):
        """
        If the window is large, a record touches one slot as in a small one.
        """

        class Watched(bytearray):
            touched = 0

            def __getitem__(self, index):
                Watched.touched += 1
                return super().__getitem__(index)

        keeper = CountLedger(CountWindow(100_000))
        books = Books(Watched(100_000), Tally())

        for _ in range(10):
            books = counted(keeper, books, 0, True)

        assert 10 == Watched.touched


class TestTimeWindow:
    @given(steps=TIMED_CALLS)
    def test_totals_are_those_of_the_latest_slices(self, steps):
        """
        If any calls are counted at any times, the totals are those of the
        latest 32 slices.
        """
        keeper = TimeLedger(TimeWindow(SLICES * 10e-9))
        now_ns, books, calls = 5, keeper.fresh(5), []

        for wait_ns, failed, slow in steps:
            now_ns += wait_ns
            slices = range(now_ns // 10 - SLICES + 1, now_ns // 10 + 1)
            before = [call for at_ns, *call in calls if at_ns // 10 in slices]
            assert totals(before) == keeper.current(books, now_ns)[:3]

            books = counted(keeper, books, now_ns, failed, slow)
            calls.append((now_ns, failed, slow))

            assert totals([*before, (failed, slow)]) == books.tally[:3]

    @given(
        steps=TIMED_CALLS,
        length=st.sampled_from([320, 640, 160, 970, 33]),
        idle=st.integers(0, 400),
        later=st.integers(0, 40),
    )
    def test_another_length_keeps_what_is_recent_enough(
        self, steps, length, idle, later
    ):
        """
        If the length changes, calls are kept, and forgotten later on, by when
        their slice ended.
        """
        old = TimeLedger(TimeWindow(SLICES * 10e-9))
        new = TimeLedger(TimeWindow(length * 1e-9))
        own = max(1, length // SLICES)
        now_ns, books, calls = 0, old.fresh(0), []
        for wait_ns, failed, slow in steps:
            now_ns += wait_ns
            books = counted(old, books, now_ns, failed, slow)
            calls.append((now_ns, failed, slow))
        now_ns += idle

        adopted = new.adopt(old, books, now_ns)

        number = now_ns // own
        kept = [
            (min((at_ns // 10 * 10 + 9) // own, number), call)
            for at_ns, *call in calls
            if at_ns // 10 > now_ns // 10 - SLICES
        ]
        for then in (number, number + later, number + SLICES):
            left = [call for at, call in kept if at > then - SLICES]
            assert (*totals(left), then) == new.current(adopted, then * own)

    @pytest.mark.parametrize(
        ("old", "new", "age", "later", "is_kept"),
        [
            # By the old window it is just young enough, or too old.
            (10, 20, 319, 0, True),
            (10, 20, 320, 0, False),
            # By the new one: its slice ended 39 ns after it began.
            (40, 10, 39, 310, True),
            (40, 10, 39, 311, False),
            # It is no younger than now.
            (40, 10, 0, 319, True),
            (40, 10, 0, 320, False),
            (40, 1, 0, 31, True),
            (40, 1, 0, 32, False),
            (40, 1, 39, 31, True),
            (40, 1, 39, 32, False),
            (10, 5, 159, 5, True),
            (10, 5, 165, 0, False),
            (10, 5, 164, 5, False),
        ],
    )
    def test_another_length_at_the_edge(self, old, new, age, later, is_kept):
        """
        If a call is at the edge of either window, it counts up to the end of
        its slice, and no longer than that.
        """
        old = TimeLedger(TimeWindow(SLICES * old * 1e-9))
        new = TimeLedger(TimeWindow(SLICES * new * 1e-9))
        begun = 4000
        books = counted(old, old.fresh(begun), begun, True, True)

        adopted = new.adopt(old, books, begun + age)

        tally = new.current(adopted, begun + age + later)
        assert ((1, 1, 1) if is_kept else (0, 0, 0)) == tally[:3]

    def test_it_covers_31_to_all_32_slices(self):
        """
        If a call is 31/32 of the length old it counts, if it is older than
        the length it does not.
        """
        keeper = TimeLedger(TimeWindow(32.0))
        second = 10**9
        for begun in (0, second - 1):
            books = counted(keeper, keeper.fresh(begun), begun)

            assert 1 == keeper.current(books, begun + 31 * second).calls
            assert 0 == keeper.current(books, begun + 32 * second).calls

    def test_time_that_stands_still_or_lags_takes_nothing(self):
        """
        If the time told is behind, the totals stay what they were.
        """
        keeper = TimeLedger(TimeWindow(1.0))
        books = counted(keeper, keeper.fresh(10**9), 10**9, True)

        assert books.tally == keeper.current(books, 0)

    def test_a_plan_changes_nothing(self):
        """
        If a plan is not carried out, it leaves no trace.
        """
        keeper = TimeLedger(TimeWindow(1.0))
        books = counted(keeper, keeper.fresh(0), 0, True, True)
        before = copy.deepcopy(books)

        keeper.plan(books, 10**9 * 2, failed=True, slow=False)

        assert before == books


class TestVerdict:
    @pytest.mark.parametrize("make", [CountWindow, TimeWindow])
    @pytest.mark.parametrize(
        ("rate", "minimum", "slow_rate", "tally", "expected"),
        [
            (0.5, 10, None, Tally(9, 9, 0), None),
            (0.5, 10, None, Tally(10, 5, 0), "failure_rate"),
            (0.5, 10, None, Tally(11, 5, 11), None),
            (0.07, 1, None, Tally(100, 7, 0), "failure_rate"),
            (0.55, 1, None, Tally(100, 55, 0), "failure_rate"),
            (0.07, 1, 0.55, Tally(100, 6, 55), "slow_call_rate"),
            (1.0, 1, None, Tally(10, 9, 0), None),
            (0.5, 1, 0.5, Tally(4, 0, 2), "slow_call_rate"),
            (0.5, 1, 0.5, Tally(4, 2, 2), "failure_rate"),
            (0.5, 1, 0.6, Tally(4, 1, 2), None),
        ],
    )
    def test_a_share_as_large_as_the_rate_trips(
        self, make, rate, minimum, slow_rate, tally, expected
    ):
        """
        If enough calls are in the window, a share of exactly the rate trips.
        """
        assert expected == ledger(make(50, rate, minimum, slow_rate)).verdict(tally)

    def test_a_full_window_is_always_judged(self):
        """
        If *minimum_calls* is more than the window holds, *size* is enough.
        """
        keeper = ledger(CountWindow(3, minimum_calls=10))

        assert keeper.verdict(Tally(2, 2)) is None
        assert "failure_rate" == keeper.verdict(Tally(3, 3))


class TestAdopt:
    def test_one_kind_takes_nothing_from_the_other(self):
        """
        If the kind of window changes, it starts empty.
        """
        count, time = CountLedger(CountWindow(3)), TimeLedger(TimeWindow(3.0))
        full = counted(count, count.fresh(0), 0, True)
        timed = counted(time, time.fresh(0), 0, True)

        assert time.fresh(9) == time.adopt(count, full, 9)
        assert count.fresh(9) == count.adopt(time, timed, 9)
        assert time.fresh(10**10) == time.adopt(count, full, 10**10)


class TestLedger:
    def test_no_window_has_no_ledger(self):
        """
        If there is no window, there are no books.
        """
        assert ledger(None) is None


class TestBadArguments:
    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"size": 0}, ValueError, "size must be at least 1 and at most 1000000"),
            ({"size": 10**7}, ValueError, "size must be at least 1"),
            ({"size": True}, TypeError, "size must be an int"),
            ({"size": 1.5}, TypeError, "size must be an int, not float: 1.5"),
            ({"size": "9"}, TypeError, "size must be an int"),
            ({"seconds": 0}, ValueError, "seconds must be greater than 0"),
            ({"seconds": -1.0}, ValueError, "seconds must be greater than 0"),
            ({"seconds": float("nan")}, ValueError, "seconds must be"),
            ({"seconds": float("inf")}, ValueError, "seconds must be"),
            ({"seconds": None}, TypeError, "seconds must be a number"),
            ({"failure_rate": 0}, ValueError, "failure_rate must be greater than 0"),
            ({"failure_rate": 50}, ValueError, "failure_rate must be .* at most 1"),
            ({"failure_rate": None}, TypeError, "failure_rate must be a number"),
            ({"slow_call_rate": 0.0}, ValueError, "slow_call_rate must be"),
            ({"slow_call_rate": True}, TypeError, "slow_call_rate must be a number"),
            ({"minimum_calls": 0}, ValueError, "minimum_calls must be at least 1"),
            ({"minimum_calls": 2.0}, TypeError, "minimum_calls must be an int"),
        ],
    )
    def test_they_are_refused_at_once(self, settings, error, message):
        """
        If an argument makes no sense, the error names it, its value and range.
        """
        kinds = {"size": CountWindow, "seconds": TimeWindow}
        wanted = [kind for name, kind in kinds.items() if name in settings]
        for kind in wanted or kinds.values():
            first = {} if wanted else {"size" if kind is CountWindow else "seconds": 5}

            with pytest.raises(error, match=f"^{message}"):
                kind(**first, **settings)


class TestValue:
    @pytest.mark.parametrize("kind", [CountWindow, TimeWindow])
    def test_defaults(self, kind):
        """
        If nothing else is said, half of at least ten calls must fail.
        """
        window = kind(5)

        assert 0.5 == window.failure_rate
        assert 10 == window.minimum_calls
        assert window.slow_call_rate is None

    def test_windows_are_values(self):
        """
        If two windows are described alike, they are equal; none can change.
        """
        assert CountWindow(5, 1) == CountWindow(5, 1.0)
        assert TimeWindow(5) == TimeWindow(5.0) != TimeWindow(6)
        assert repr(CountWindow(5)).startswith("CountWindow(size=5, failure_rate=0.5,")
        with pytest.raises(FrozenInstanceError):
            CountWindow(5).size = 6

    @pytest.mark.parametrize("window", [CountWindow(5), TimeWindow(5, 0.1, 3, 0.2)])
    def test_windows_pickle(self, window):
        """
        If a window is pickled, an equal one arrives.
        """
        assert window == pickle.loads(pickle.dumps(window))
