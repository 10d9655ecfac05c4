from __future__ import annotations

import pytest

from explorer import Race
from linearizability import History, bounded, unique

from switchgear import ThreadSafeSet


class Same:
    """
    Be one of several items that share a hash; some are equal.
    """

    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return isinstance(other, Same) and self.name == other.name

    def __repr__(self):
        return f"<{self.name}>"


A, A_TOO, B, C = Same("a"), Same("a"), Same("b"), Same("c")


def race_of(make, model, initial, mine, theirs, before=()):
    def race():
        items, history = make(), History()
        for item in before:
            items.add(item)

        def act(operations):
            for name, *arguments in operations:
                history.call(getattr(items, name), *arguments)

        def check(outcomes):
            # What is there in the end was put there, and not forgotten.
            for item in (A, B, C, "a", "b", "c", "d"):
                history.call(items.__contains__, item)
            history.call(items.__len__)
            assert history.is_linearizable(model, initial), f"\n{history}"
            # Nothing is left half done.
            assert len(items) == len(list(items)) == len(items.snapshot())

        return Race([lambda: act(mine), lambda: act(theirs)], check)

    return race


class TestThreadSafeSet:
    @pytest.mark.parametrize(
        ("before", "mine", "theirs"),
        [
            ((), [("add", "a")], [("add", "a")]),
            ((), [("add", A)], [("add", A_TOO)]),
            ((), [("add", A), ("__len__",)], [("add", B), ("__contains__", A)]),
            ((A,), [("add", B)], [("add", C)]),
            ((A,), [("add", B)], [("discard", A)]),
            ((A, B), [("discard", A)], [("discard", A_TOO), ("add", A)]),
            ((A,), [("clear",)], [("add", A), ("__contains__", A)]),
            ((A, B), [("clear",), ("__len__",)], [("add", C)]),
            ((A, B), [("snapshot",)], [("discard", B)]),
        ],
    )
    def test_without_a_bound(self, explored, before, mine, theirs):
        """
        If two threads add, discard, look and clear, each call takes effect at
        one instant, also for different items of one hash.
        """
        explored(
            race_of(ThreadSafeSet, unique, frozenset(before), mine, theirs, before),
            limit=250,
        )

    @pytest.mark.parametrize(
        ("before", "mine", "theirs"),
        [
            ((), [("add", "a")], [("add", "a")]),
            (("a", "b"), [("add", "c")], [("add", "d")]),
            (("a", "b"), [("add", "c"), ("__contains__", "a")], [("discard", "b")]),
            ((A, B), [("add", C), ("__len__",)], [("discard", A_TOO)]),
            ((A, "b"), [("clear",), ("__len__",)], [("add", B)]),
        ],
    )
    def test_with_a_bound(self, explored, before, mine, theirs):
        """
        If the set forgets the oldest meanwhile, the same holds.
        """
        explored(
            race_of(
                lambda: ThreadSafeSet(max_size=2),
                bounded(2),
                before,
                mine,
                theirs,
                before,
            ),
            limit=250,
        )
