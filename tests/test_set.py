from __future__ import annotations

import copy
import pickle
import signal
import threading

from itertools import combinations

import pytest

from hypothesis import given
from hypothesis import strategies as st
from interrupting import points, stop
from linearizability import History, bounded, unique
from locks import Announced
from steps import lines

from switchgear import ThreadSafeSet
from switchgear._set import _AgedTable, _Table


class Item:
    """
    An item that chooses its hash, and may do something when it is compared.
    """

    def __init__(self, value, hashed=0, meddle=None):
        self.value = value
        self.hashed = hashed
        self.meddle = meddle

    def __hash__(self):
        return self.hashed

    def __eq__(self, other):
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()
        return isinstance(other, Item) and self.value == other.value

    def __repr__(self):
        return f"Item({self.value!r}, {self.hashed})"


def crowded(value):
    """
    Return an item that shares its hash with others.
    """
    return Item(value, value % 3)


def check_consistent(items):
    """
    Fail if what the set consists of does not fit together.
    """
    held = list(items)
    assert len(held) == len(items)
    assert not any(one == other for one, other in combinations(held, 2))
    assert all(item in items for item in held)
    table = items._table
    if isinstance(table, _AgedTable):
        assert len(held) <= table.max_size
        assert table.buckets is table.kept is table.unsettled.kept
        assert table.lock is table.unsettled.lock
        assert table.kept.keys() == table.turns.keys()
        assert {
            turn: hashed for hashed, turns in table.turns.items() for turn in turns
        } == table.order
        assert sorted(table.order) == list(table.order)
        assert all(turn < table.turn for turn in table.order)
        for hashed, bucket in table.kept.items():
            assert len(bucket) == len(table.turns[hashed]) > 0
    else:
        assert all(table.buckets.values())


bounds = pytest.mark.parametrize("max_size", [None, 100])


class TestThreadSafeSet:
    @bounds
    def test_add_tells_whether_it_was_new(self, max_size):
        """
        If an item is added twice, it is new the first time only.
        """
        items = ThreadSafeSet(max_size=max_size)

        assert items.add("a") is True
        assert items.add("a") is False
        assert items.add("b") is True
        assert {"a", "b"} == items.snapshot()

    @bounds
    def test_discard_tells_whether_it_was_there(self, max_size):
        """
        If an item is discarded twice, it was there the first time only; then
        it is new again.
        """
        items = ThreadSafeSet("ab", max_size=max_size)

        assert items.discard("a") is True
        assert items.discard("a") is False
        assert "a" not in items
        assert items.add("a") is True

    @bounds
    def test_update_returns_how_many_were_new(self, max_size):
        """
        If several are added at once, those that were new are counted once.
        """
        items = ThreadSafeSet(["a"], max_size=max_size)

        assert 2 == items.update(["a", "b", "c", "b"])
        assert 0 == items.update(items)
        assert 3 == len(items)

    @bounds
    def test_clear_forgets_everything(self, max_size):
        """
        If it is cleared, everything is new again.
        """
        items = ThreadSafeSet(["a", Item(1), Item(2)], max_size=max_size)

        items.clear()

        assert 0 == len(items)
        assert "a" not in items
        assert items.add("a")
        check_consistent(items)

    @bounds
    def test_iterates_over_a_snapshot(self, max_size):
        """
        If it changes while somebody iterates, they see what was there before.
        """
        items = ThreadSafeSet(range(5), max_size=max_size)

        for item in items:
            items.add(item + 10)
            items.discard(item)

        assert {10, 11, 12, 13, 14} == items.snapshot()
        assert isinstance(items.snapshot(), frozenset)

    def test_shows_its_size_not_its_items(self):
        """
        If it is shown, that is short, however much is in it.
        """
        assert "<ThreadSafeSet of 2>" == repr(ThreadSafeSet("ab"))
        assert "<ThreadSafeSet of 1, max_size=3>" == repr(
            ThreadSafeSet("a", max_size=3)
        )

    def test_compares_as_a_set_does(self):
        """
        If items are equal across types, or a NaN is itself, a set's answer
        holds.
        """
        nan = float("nan")
        items = ThreadSafeSet([1, nan])

        assert 1.0 in items
        assert not items.add(True)
        assert not items.add(nan)
        assert items.add(float("nan"))

    def test_bad_arguments_are_refused_at_once(self):
        """
        If an argument is of no use, the error says so, and nothing is added.
        """
        items = ThreadSafeSet()

        for bad in (0, -1, 10**13):
            with pytest.raises(ValueError, match=r"^max_size must be at least 1 and"):
                ThreadSafeSet(max_size=bad)
        for bad in (True, 1.5, "1", float("nan")):
            with pytest.raises(TypeError, match=r"^max_size must be an int, not"):
                ThreadSafeSet(max_size=bad)
        with pytest.raises(TypeError, match=r"^items must be iterable, not int: 3"):
            items.update(3)
        for attempt in (items.add, items.discard, items.__contains__):
            with pytest.raises(TypeError, match="unhashable type: 'list'"):
                attempt([])

        assert 0 == len(items)

    def test_update_adds_all_or_none(self):
        """
        If one of several is not hashable, none is added.
        """
        items = ThreadSafeSet()

        with pytest.raises(TypeError, match="unhashable"):
            items.update(["a", []])

        assert 0 == len(items)

    def test_an_error_of_a_comparison_goes_to_the_caller(self):
        """
        If comparing raises, that comes out, and the set is as it was.
        """

        def fail():
            raise LookupError

        held = Item(1, meddle=fail)
        items = ThreadSafeSet([held])

        with pytest.raises(LookupError):
            items.add(Item(2))

        assert [held] == list(items)


class TestMaxSize:
    def test_the_oldest_is_forgotten(self):
        """
        If it is full, a new item displaces the one added longest ago.
        """
        items = ThreadSafeSet("abc", max_size=3)

        assert items.add("d")

        assert {"b", "c", "d"} == items.snapshot()
        assert items.add("a")
        assert {"c", "d", "a"} == items.snapshot()

    def test_adding_again_does_not_make_younger(self):
        """
        If an item is added that is there, its age stays.
        """
        items = ThreadSafeSet("abc", max_size=3)

        assert not items.add("a")
        items.add("d")

        assert "a" not in items

    def test_discarded_and_added_again_is_young(self):
        """
        If an item was discarded, its old place is forgotten with it.
        """
        items = ThreadSafeSet("abc", max_size=3)

        items.discard("a")
        items.add("a")
        items.add("d")

        assert {"c", "a", "d"} == items.snapshot()

    def test_what_comes_and_goes_takes_no_memory(self):
        """
        If items are added and discarded for ever, nothing of them stays.
        """
        items = ThreadSafeSet(max_size=3)

        for number in range(100):
            items.add(number)
            items.discard(number)

        table = items._table
        assert not table.buckets
        assert not table.turns
        assert not table.order

    def test_items_of_one_hash_age_by_themselves(self):
        """
        If items share a hash, only the oldest of them is forgotten.
        """
        items = ThreadSafeSet([Item(1), Item(2)], max_size=2)

        items.add(Item(3))

        assert [2, 3] == [item.value for item in items]
        items.add("x")
        assert Item(2) not in items
        assert Item(3) in items

    def test_the_first_ones_are_forgotten_from_the_start(self):
        """
        If it is made of more items than it holds, the last ones stay.
        """
        assert {3, 4} == ThreadSafeSet(range(5), max_size=2).snapshot()
        assert 2 == ThreadSafeSet(max_size=2).max_size

    @pytest.mark.parametrize("max_size", [None, 1])
    def test_finalisers_of_the_forgotten_run_without_the_lock(self, max_size):
        """
        If what is forgotten has a finaliser, it runs after the lock is free.
        """
        owned = []

        class Dying:
            def __del__(self):
                owned.append(items._table.lock._is_owned())

        items = ThreadSafeSet(max_size=max_size)
        items.add(Dying())
        items.add(1)
        items.add(Dying())
        items.clear()
        items.add(Dying())
        item = next(iter(items))
        items.discard(item)
        del item

        assert [False, False, False] == owned

    def test_items_of_one_hash_stay_whole_as_they_age(self):
        """
        If one of several items of one hash was forgotten, the others can be
        discarded, and are forgotten in their turn.
        """
        items = ThreadSafeSet([Item(1, 7), Item(2, 7), Item(3, 7)], max_size=3)
        items.add("a")

        assert items.discard(Item(2, 7))

        items.update(["b", "c"])

        assert {"a", "b", "c"} == items.snapshot()


verbs = st.sampled_from(["add", "add", "add", "discard", "in", "update", "clear"])


class TestLaws:
    @given(
        max_size=st.none() | st.integers(1, 4),
        steps=st.lists(st.tuples(verbs, st.integers(0, 5)), max_size=40),
        hashes=st.integers(1, 6),
    )
    def test_behaves_as_a_dict_in_order_of_age(self, max_size, steps, hashes):
        """
        If operations follow each other, answers and contents are those of a
        dict that forgets its first key when it is full.
        """
        items, model = ThreadSafeSet(max_size=max_size), {}

        def add(value):
            if value in model:
                return False
            model[value] = True
            if max_size is not None and len(model) > max_size:
                del model[next(iter(model))]
            return True

        for verb, value in steps:
            item = Item(value, value % hashes)
            if verb == "add":
                assert add(value) == items.add(item)
            elif verb == "discard":
                assert model.pop(value, False) == items.discard(item)
            elif verb == "in":
                assert (value in model) == (item in items)
            elif verb == "update":
                more = [Item(n, n % hashes) for n in (value, 0, value + 1)]
                assert sum(add(one.value) for one in more) == items.update(more)
            else:
                model.clear()
                items.clear()
            assert set(model) == {item.value for item in items}
            check_consistent(items)


class TestThreads:
    @pytest.mark.parametrize(
        "there", [[], [Item(1)], [Item(1), Item(2)]], ids=["none", "one", "two"]
    )
    @bounds
    def test_exactly_one_of_any_number_of_racing_adders_is_told_new(
        self, max_size, there
    ):
        """
        If several threads have all seen that an item is not there, exactly
        one of them adds it.
        """
        items = ThreadSafeSet(there, max_size=max_size)
        gate = threading.Barrier(4)
        kind = type(items._table)

        class Gated(kind):
            __slots__ = ()

            def insert(self, hashed, bucket, item):
                if bucket == tuple(there):
                    gate.wait()
                return super().insert(hashed, bucket, item)

        items._table.__class__ = Gated
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(items.add(Item(9))))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [False, False, False, True] == sorted(results)
        assert len(there) + 1 == len(items)
        check_consistent(items)

    @pytest.mark.parametrize(
        "there", [[Item(9)], [Item(1), Item(9)]], ids=["alone", "with another"]
    )
    @bounds
    def test_exactly_one_of_any_number_of_racing_discarders_is_told_so(
        self, max_size, there
    ):
        """
        If several threads have all seen that an item is there, exactly one of
        them discards it.
        """
        items = ThreadSafeSet(there, max_size=max_size)
        gate = threading.Barrier(4)

        class Gated(type(items._table)):
            __slots__ = ()

            def remove(self, hashed, bucket, index):
                gate.wait()
                return super().remove(hashed, bucket, index)

        items._table.__class__ = Gated
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(items.discard(Item(9))))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [False, False, False, True] == sorted(results)
        check_consistent(items)

    @bounds
    def test_hammering_loses_nothing(self, max_size):
        """
        If many threads add and discard the same items, as many were new as
        were discarded or are left.
        """
        items = ThreadSafeSet(max_size=max_size)
        start = threading.Barrier(6)
        balance = []

        def hammer():
            start.wait()
            for number in range(300):
                balance.append(items.add(crowded(number % 7)))
                balance.append(-items.discard(crowded(number % 5)))

        threads = [threading.Thread(target=hammer) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(items) == sum(balance)
        check_consistent(items)

    def test_racing_adders_never_exceed_the_bound(self):
        """
        If many threads add to a full set, it never holds more than it may.
        """
        items = ThreadSafeSet(range(10), max_size=10)
        start = threading.Barrier(4)
        sizes = set()

        def hammer(offset):
            start.wait()
            for number in range(300):
                assert items.add((offset, number))
                sizes.add(len(items))

        threads = [threading.Thread(target=hammer, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert 10 == len(items)
        assert max(sizes) <= 10
        check_consistent(items)

    def test_looking_waits_while_two_items_change_places(self):
        """
        If another thread is about to let a new item displace the oldest, whoever
        looks for one waits until both have changed.
        """
        items, seen = ThreadSafeSet("ab", max_size=2), []
        table = items._table
        lock = table.unsettled.lock = Announced(table.lock)
        thread = threading.Thread(target=lambda: seen.append("a" in items))

        with table.lock:
            table.buckets = table.unsettled
            thread.start()
            assert lock.wanted.wait(10)
            del table.kept[hash("a")]
        thread.join()

        assert [False] == seen

    def test_clearing_does_not_lose_who_adds_meanwhile(self):
        """
        If a set is cleared while somebody adds, the item is added before or
        after: told new, and there unless it is cleared.
        """
        items = ThreadSafeSet(["a"])

        class Clearing(_Table):
            __slots__ = ()

            def insert(self, hashed, bucket, item):
                items.clear()
                return super().insert(hashed, bucket, item)

        items._table.__class__ = Clearing

        assert items.add("b")
        assert {"b"} == items.snapshot()


class TestReentry:
    @pytest.mark.parametrize("moment", ["first", "second"])
    @bounds
    def test_an_eq_that_adds_an_equal_item_wins(self, max_size, moment):
        """
        If comparing adds an equal item, the one that was being added is not
        new any more: there are never two.
        """
        results = []
        held = Item(1)
        items = ThreadSafeSet([Item(0), held], max_size=max_size)
        # In a dict of the items, this leaves a gap before the one compared.
        items.discard(Item(0))

        def add():
            results.append(items.add(Item(3)))

        def add_next_time():
            held.meddle = add

        held.meddle = {"first": add, "second": add_next_time}[moment]

        results.append(items.add(Item(3)))

        assert [True, False] == results
        assert [1, 3] == [item.value for item in items]
        check_consistent(items)

    @bounds
    @pytest.mark.parametrize("verb", ["add", "discard", "in"])
    @pytest.mark.parametrize(
        "meddle",
        [
            lambda items: items.clear(),
            lambda items: items.discard(Item(1)),
            lambda items: items.discard(Item(2)),
            lambda items: items.add(Item(3)),
            lambda items: items.update([Item(2), Item(4)]),
        ],
        ids=["clear", "discard held", "discard other", "add", "update"],
    )
    def test_an_eq_may_use_the_very_set(self, max_size, verb, meddle):
        """
        If comparing uses the set that compares, nothing hangs, nothing is
        lost, and the answer is right for what is there afterwards.
        """
        held = Item(1)
        items = ThreadSafeSet([held, Item(2)], max_size=max_size)
        held.meddle = lambda: meddle(items)

        if verb == "add":
            items.add(Item(3))
            assert Item(3) in items
        elif verb == "discard":
            items.discard(Item(2))
            assert Item(2) not in items
        else:
            assert (Item(2) in items) in {True, False}
        check_consistent(items)

    def test_no_user_code_runs_under_the_lock(self):
        """
        If items are hashed and compared, the lock is free.
        """
        owned = []

        class Watching(Item):
            def __hash__(self):
                owned.append(items._table.lock._is_owned())
                return 0

            def __eq__(self, other):
                owned.append(items._table.lock._is_owned())
                return self.value == other.value

        for max_size in (None, 3):
            items = ThreadSafeSet(max_size=max_size)
            for value in (1, 2, 3, 4, 1):
                items.add(Watching(value))
            items.discard(Watching(3))
            items.snapshot()
            items.clear()

        assert {False} == set(owned)

    @bounds
    def test_a_signal_handler_may_add(self, max_size):
        """
        If a signal handler uses the set it interrupts, nothing hangs, and each
        item is new exactly once.
        """
        items = ThreadSafeSet(max_size=max_size)
        balance, handled = [], []

        def work(number):
            balance.append(items.add(crowded(number % 9)))
            balance.append(-items.discard(crowded(number % 7)))

        def handler(signum, frame):
            work(len(handled))
            handled.append(1)

        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            number = 0
            while len(handled) < 60:
                work(number)
                number += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

        assert len(items) == sum(balance)
        check_consistent(items)

    @pytest.mark.parametrize(
        ("meddle", "expected"),
        [
            (lambda items: items.clear(), {9}),
            (lambda items: items.discard(0), {1, 9}),
            (lambda items: items.discard(1), {0, 9}),
            (lambda items: items.add(5), {5, 9}),
            (lambda items: items.add(9), {1, 9}),
        ],
        ids=["clear", "discard oldest", "discard other", "add", "add the same"],
    )
    def test_what_is_forgotten_is_decided_anew_if_the_set_was_used(
        self, meddle, expected
    ):
        """
        If a signal handler uses a full set while the oldest item is looked
        for, the item that is oldest then is forgotten, or none.
        """
        items = ThreadSafeSet([0, 1], max_size=2)

        class Interrupted(_AgedTable):
            __slots__ = ()

            def _oldest(self):
                before = super()._oldest()
                self.__class__ = _AgedTable
                meddle(items)
                return before

        items._table.__class__ = Interrupted

        items.add(9)

        assert expected == items.snapshot()
        check_consistent(items)

    def test_a_discard_is_prepared_anew_if_the_set_was_used(self):
        """
        If a signal handler uses the set while an item is being taken out, it
        is taken out of what is there then.
        """
        items = ThreadSafeSet([Item(1), Item(2)], max_size=5)

        class Interrupted(_AgedTable):
            __slots__ = ()

            def _read(self, hashed):
                before = super()._read(hashed)
                self.__class__ = _AgedTable
                items.add(Item(3))
                return before

        items._table.__class__ = Interrupted

        assert items.discard(Item(1))
        assert [2, 3] == [item.value for item in items]
        check_consistent(items)

    def test_an_addition_is_prepared_anew_if_an_item_was_taken_out(self):
        """
        If one item after the other is taken out, the second while another of its
        hash is added, it does not come back.
        """
        items = ThreadSafeSet([Item(9), Item(3, 7)], max_size=5)
        items.discard(Item(9))

        class Interrupted(_AgedTable):
            __slots__ = ()

            def _read(self, hashed):
                before = super()._read(hashed)
                self.__class__ = _AgedTable
                items.discard(Item(3, 7))
                return before

        items._table.__class__ = Interrupted

        items.add(Item(4, 7))

        assert [4] == [item.value for item in items]
        check_consistent(items)


class TestInterruptions:
    #: What a call does, and a signal handler in the middle of it.
    VERBS = (
        ("add", Item("new")),
        ("add", Item("crowd", 7)),
        ("add", Item("same")),
        ("discard", Item("same")),
        ("discard", Item("one", 7)),
        ("discard", Item("two", 7)),
        ("clear",),
        ("__contains__", Item("same")),
        ("__contains__", Item("one", 7)),
        ("__len__",),
        ("snapshot",),
    )

    @staticmethod
    def make(max_size):
        items = [Item("one", 7), Item("same"), Item("two", 7)]
        return ThreadSafeSet(items, max_size=max_size), tuple(items)

    @pytest.mark.parametrize("verb", VERBS, ids=str)
    @pytest.mark.parametrize("max_size", [None, 3, 100])
    def test_reentered_anywhere(self, max_size, verb):
        """
        If a signal handler uses the set at any point of a call, in any way,
        it is as if one had come after the other, and nothing is half done.
        """
        model = unique if max_size is None else bounded(max_size)
        for other in self.VERBS:
            for come_in in points(2):
                items, held = self.make(max_size)
                history = History()

                def call(name, *arguments, items=items, history=history):
                    history.call(getattr(items, name), *arguments)

                if not come_in(
                    lambda call=call: call(*verb),
                    lambda call=call, other=other: call(*other),
                    without={"c_call"},
                ):
                    continue
                for _, *arguments in self.VERBS:
                    if arguments:
                        call("__contains__", *arguments)
                call("__len__")
                call("snapshot")
                before = frozenset(held) if max_size is None else held
                assert history.is_linearizable(model, before), f"\n{history}"
                check_consistent(items)

    @pytest.mark.parametrize("verb", VERBS, ids=str)
    @pytest.mark.parametrize("max_size", [None, 3, 100])
    def test_interrupted_anywhere(self, max_size, verb):
        """
        If KeyboardInterrupt comes at any point of a call, all of it was done,
        or nothing.
        """
        name, *arguments = verb
        items, held = self.make(max_size)
        getattr(items, name)(*arguments)
        done = items.snapshot()

        for come_in in points(2):
            items, _ = self.make(max_size)
            call = getattr(items, name)
            if not come_in(lambda call=call: call(*arguments), stop):
                continue
            assert items.snapshot() in {frozenset(held), done}
            check_consistent(items)


class TestCost:
    """
    What takes how many steps: what is quadratic shows in few, too.
    """

    def test_who_came_and_went_costs_nothing(self):
        """
        If many items came and went, the oldest is found in as many steps as if
        few had.
        """

        def costs(number):
            items = ThreadSafeSet(["a"], max_size=2)
            for one in range(number):
                items.add(one)
                items.discard(one)
            return [lines(lambda one=one: items.add(one)) for one in "bcde"]

        assert costs(1) == costs(100)

    def test_nothing_old_is_looked_for_before_it_is_full(self):
        """
        If a set is not full, each item is added in as many steps as the first.
        """
        items = ThreadSafeSet(max_size=10)

        costs = [lines(lambda one=one: items.add(one)) for one in range(11)]

        assert 1 == len(set(costs[:10]))
        assert costs[10] > costs[9]

    @bounds
    def test_size_is_known(self, max_size):
        """
        If items share a hash, or did so, they are counted in as many steps as
        if there were none.
        """
        items = ThreadSafeSet(max_size=max_size)
        cost = lines(lambda: len(items))

        for number in range(20):
            items.update([Item(1, number), Item(2, number)])

        assert cost == lines(lambda: len(items))

        for number in range(20):
            items.discard(Item(1, number))

        assert cost == lines(lambda: len(items))


class TestFork:
    @bounds
    def test_a_child_does_not_inherit_a_held_lock(self, max_size, in_child):
        """
        If another thread is changing the set at the moment of a fork, the
        child goes on with the items, and the parent's stay.
        """
        items = ThreadSafeSet([Item(1)], max_size=max_size)
        held, done = threading.Event(), threading.Event()

        def hold():
            with items._table.lock:
                held.set()
                done.wait()

        def check():
            assert not items.add(Item(1))
            assert items.add(Item(2))
            assert items.discard(Item(1))
            check_consistent(items)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()

        try:
            in_child(check)
        finally:
            done.set()
            thread.join()

        assert [1] == [item.value for item in items]


class TestPickle:
    def test_a_set_without_a_name_refuses(self):
        """
        If a set is not in the default registry, it neither pickles nor copies.
        """
        items = ThreadSafeSet("ab")

        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="ThreadSafeSet cannot be pickled"):
                attempt(items)
