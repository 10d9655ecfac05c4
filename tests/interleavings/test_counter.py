from __future__ import annotations

import pytest

from explorer import Race
from linearizability import History, counter

from switchgear import AtomicCounter


class TestAtomicCounter:
    @pytest.mark.parametrize(
        ("mine", "theirs"),
        [
            ([("increment", 1)], [("increment", 2)]),
            ([("increment", 1), ("decrement", 3)], [("get_and_set", 7)]),
            ([("compare_and_set", 0, 1)], [("compare_and_set", 0, 2)]),
            ([("compare_and_set", 0, 1), ("__int__",)], [("increment", 5)]),
            ([("increment", 1), ("increment", 1)], [("reset",), ("__int__",)]),
        ],
    )
    def test_two_threads(self, explored, mine, theirs):
        """
        If two threads count, set and reset, each call takes effect at one instant.
        """

        def race():
            value, history = AtomicCounter(), History()

            def act(operations):
                for name, *arguments in operations:
                    history.call(getattr(value, name), *arguments)

            def check(outcomes):
                assert history.is_linearizable(counter, 0), f"\n{history}"

            return Race([lambda: act(mine), lambda: act(theirs)], check)

        explored(race)

    def test_three_threads(self, explored):
        """
        If three threads add, no step is lost or doubled.
        """

        def race():
            value = AtomicCounter()

            def check(outcomes):
                assert 7 == value.value
                assert len({one.value for one in outcomes}) == 3

            return Race([lambda n=n: value.increment(n) for n in (1, 2, 4)], check)

        explored(race)
