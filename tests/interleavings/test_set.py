from __future__ import annotations

from threading import get_ident

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

        def iterate():
            return frozenset(iter(items))

        def act(operations):
            for name, *arguments in operations:
                one = iterate if name == "iterate" else getattr(items, name)
                history.call(one, *arguments)

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
            # Two more in one bucket, one bucket less: never as many as buckets.
            ((A, "b", "c"), [("__len__",)], [("add", B), ("discard", "b")]),
            ((A, B, "c"), [("__len__",)], [("discard", A), ("add", "d")]),
            ((A, B, "c"), [("clear",)], [("__len__",), ("snapshot",)]),
            ((A, "b"), [("clear",)], [("__contains__", A), ("__contains__", "b")]),
            ((A, "b"), [("clear",)], [("__contains__", A), ("__len__",)]),
            ((A, "b"), [("clear",)], [("add", "c"), ("iterate",), ("__len__",)]),
            ((A, "b"), [("discard", A)], [("__len__",), ("__contains__", A)]),
            ((A,), [("add", B)], [("__len__",), ("__contains__", B)]),
            ((A,), [("add", B)], [("__contains__", B), ("__len__",)]),
            # One item at a time: others may come between those of an update.
            ((), [("update", ("a",))], [("update", ("a",))]),
            ((), [("update", (A,))], [("add", A_TOO), ("__len__",)]),
            ((A,), [("update", (A_TOO,))], [("discard", A), ("add", B)]),
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
            # What another thread sees of an addition to a full set,
            (("a", "b"), [("add", "c")], [("__len__",)]),
            (("a", "b"), [("add", "c")], [("__contains__", "a"), ("__len__",)]),
            (("a", "b"), [("add", "c")], [("__contains__", "c"), ("__len__",)]),
            (("a", "b"), [("add", "c")], [("__contains__", x) for x in "ac"]),
            (("a", "b"), [("add", "c")], [("__contains__", x) for x in "ca"]),
            (("a", "b"), [("add", "c")], [("snapshot",)]),
            (("a", "b"), [("add", "c")], [("__len__",), ("iterate",)]),
            ((A, B), [("add", C)], [("__contains__", C), ("__contains__", A)]),
            ((A, "b"), [("add", C)], [("snapshot",), ("__contains__", A)]),
            # which it may look up itself,
            (("a", "b"), [("add", "c")], [("add", "a"), ("__len__",)]),
            (("a", "b"), [("add", "c")], [("discard", "a"), ("__contains__", "c")]),
            # of a discard,
            (("a", "b"), [("discard", "a")], [("__len__",), ("__contains__", "a")]),
            (("a", "b"), [("discard", "a")], [("__contains__", "a"), ("__len__",)]),
            (("a", "b"), [("discard", "a")], [("iterate",), ("__len__",)]),
            ((A, B), [("discard", A)], [("snapshot",), ("__len__",)]),
            # and of a clearance.
            (("a", "b"), [("clear",)], [("__contains__", "a"), ("__len__",)]),
            (("a", "b"), [("clear",)], [("__len__",), ("__contains__", "a")]),
            (("a", "b"), [("clear",)], [("__len__",), ("snapshot",)]),
            ((A, "b"), [("clear",)], [("iterate",), ("__len__",)]),
            (("a", "b"), [("clear",)], [("add", "c"), ("snapshot",)]),
            # One item at a time: others may come between those of an update.
            (("a", "b"), [("update", ("c",))], [("update", ("c",)), ("__len__",)]),
            (("a", "b"), [("update", ("a",))], [("discard", "a"), ("add", "a")]),
            ((A, B), [("update", (C,))], [("add", C), ("__contains__", A_TOO)]),
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

    @pytest.mark.parametrize("max_size", [None, 4])
    def test_two_updates(self, explored, max_size):
        """
        If two threads add several items each, some of them the same, each item
        is new to one of them.
        """

        def race():
            items = ThreadSafeSet(max_size=max_size)

            def check(outcomes):
                assert 4 == sum(one.value for one in outcomes)
                assert {"a", "b", "c", "d"} == items.snapshot()

            return Race(
                [lambda: items.update("abc"), lambda: items.update("bcd")], check
            )

        explored(race, limit=120)

    @pytest.mark.parametrize("max_size", [None, 2])
    def test_finalisers_run_without_the_lock(self, explored, max_size):
        """
        If an item is added while another thread clears the set, its finaliser
        does not run under the lock, whoever drops it.
        """

        def race():
            items, owned = ThreadSafeSet(["a"], max_size=max_size), []

            class Dying:
                def __del__(self):
                    owned.append(items._table.lock._owner == get_ident())

            def check(outcomes):
                assert True not in owned

            return Race([items.clear, lambda: items.add(Dying())], check)

        explored(race, limit=250)
