"""
A set that any number of threads may add to, of which one is told "new".
"""

from __future__ import annotations

from collections import OrderedDict
from threading import RLock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from switchgear import _fork
from switchgear._home import Homed
from switchgear._validate import whole


if TYPE_CHECKING:
    from _thread import RLock as _RLock
    from collections.abc import Iterable, Iterator


T = TypeVar("T")

#: The items of one hash, nearly always one. Never changed, only replaced.
Bucket = tuple[Any, ...]


class ThreadSafeSet(Homed, Generic[T]):
    """
    Remember items; tell exactly one of any number of racing adders "new".

    ``if seen.add(url): download(url)`` downloads each address once, however
    many threads come upon it. Items are compared as in a :class:`set`, but
    their ``__hash__`` and ``__eq__`` never run under a lock, and may use the
    very set that is asking them. So may signal handlers and finalisers.

    A forked child goes on with the items at the fork, on its own. Sets named
    in the default registry pickle as their name, others refuse with
    :exc:`TypeError`.

    Args:
        items: What to start with. Must be hashable.
        max_size: How many items are remembered at most, at least 1; the one
            added longest ago is forgotten for a new one. ``None``: all.
            ``add`` is exact for what is remembered.

    Raises:
        TypeError: If an item is not hashable, or *max_size* is not an int.
        ValueError: If *max_size* is out of range.

    >>> seen = ThreadSafeSet(["a"])
    >>> seen.add("b"), seen.add("b")
    (True, False)

    .. versionadded:: 0.1.0
    """

    __slots__ = ("__weakref__", "_max_size", "_table")

    def __init__(self, items: Iterable[T] = (), *, max_size: int | None = None) -> None:
        super().__init__()
        self._max_size = (
            None if max_size is None else whole("max_size", max_size, minimum=1)
        )
        self._table = _Table() if self._max_size is None else _AgedTable(self._max_size)
        self.update(items)
        _fork.track(self)

    @property
    def max_size(self) -> int | None:
        """
        How many items are remembered at most; None means all.
        """
        return self._max_size

    def add(self, item: T) -> bool:
        """
        Add *item*; True for exactly one of any number of racing adders.
        """
        hashed = hash(item)
        # Looked at first: most of what is added is there already.
        if item in self._table.buckets.get(hashed, ()):
            return False
        return self._add(hashed, item)

    def discard(self, item: T) -> bool:
        """
        Forget *item*; True if it was there, for exactly one that discards it.
        """
        hashed = hash(item)
        while True:
            bucket = self._table.buckets.get(hashed, ())
            index = _index(bucket, item)
            if index < 0:
                return False
            if self._table.remove(hashed, bucket, index):
                return True

    def update(self, items: Iterable[T]) -> int:
        """
        Add all *items* and return how many were new.

        Each is added by itself; others may come in between. If one is not
        hashable, none is added.
        """
        hashed = [(hash(item), item) for item in _iterable(items)]
        return sum(self._add(*pair) for pair in hashed)

    def clear(self) -> None:
        """
        Forget everything.
        """
        self._table.clear()

    def snapshot(self) -> frozenset[T]:
        """
        Return what is in the set at this instant.
        """
        return frozenset(self)

    def __contains__(self, item: object) -> bool:
        return item in self._table.buckets.get(hash(item), ())

    def __len__(self) -> int:
        return self._table.size()

    def __iter__(self) -> Iterator[T]:
        buckets = self._table.snapshot()
        return (item for bucket in buckets for item in bucket)

    def __repr__(self) -> str:
        bound = "" if self._max_size is None else f", max_size={self._max_size}"
        return f"<{type(self).__name__} of {len(self)}{bound}>"

    def _add(self, hashed: int, item: T) -> bool:
        while True:
            bucket = self._table.buckets.get(hashed, ())
            if item in bucket:
                return False
            # Refused if the bucket was replaced meanwhile, by another thread
            # or by the very items we compared: look again.
            if self._table.insert(hashed, bucket, item):
                return True

    def _after_fork(self) -> None:
        self._table.renew_lock()


class _Table:
    """
    Keep items in buckets, under their hash.

    The keys are ints: no operation on the dict runs a user's code. A ``dict``
    of the items themselves would: two equal items get in if an ``__eq__`` (or
    another thread during it) changes the dict at the wrong moment.

    Every change is one operation on that dict, atomic also where there is no
    GIL: who looks at it once needs no lock, nor does ``setdefault``, which
    opens a bucket. All other changes are made under the lock, as they look
    first, or change the surplus as well. In between they call nothing, so no
    signal handler sees or disturbs what is half done.
    """

    __slots__ = ("buckets", "lock", "surplus")

    def __init__(self) -> None:
        self.lock = RLock()
        self.buckets: dict[int, Bucket] = {}
        #: How many more items there are than buckets.
        self.surplus = 0

    def renew_lock(self) -> None:
        """
        Forget who holds the lock.
        """
        self.lock = RLock()

    def insert(self, hashed: int, bucket: Bucket, item: object) -> bool:
        """
        Add *item*, if *bucket* still is what lies under *hashed*.
        """
        if not bucket:
            opened = (item,)
            # The tuple is new, so finding it means that we put it there.
            return self.buckets.setdefault(hashed, opened) is opened
        grown = (*bucket, item)
        with self.lock:
            if hashed in self.buckets and self.buckets[hashed] is bucket:
                self.surplus += 1
                self.buckets[hashed] = grown
                return True
        return False

    def remove(self, hashed: int, bucket: Bucket, index: int) -> bool:
        """
        Drop one item, if *bucket* still is what lies under *hashed*.
        """
        left = _without(bucket, index)
        with self.lock:
            if hashed in self.buckets and self.buckets[hashed] is bucket:
                if left:
                    self.surplus -= 1
                    self.buckets[hashed] = left
                else:
                    del self.buckets[hashed]
                return True
        return False

    def size(self) -> int:
        """
        Return how many items there are.
        """
        with self.lock:
            # In this order: after the call a signal handler may come in.
            return self.surplus + len(self.buckets)

    def snapshot(self) -> list[Bucket]:
        """
        Return all buckets of one instant.
        """
        # One call, in which no other thread can change the dict.
        return list(self.buckets.values())

    def clear(self) -> None:
        """
        Drop all items; who adds meanwhile adds before or after.
        """
        buckets: dict[int, Bucket] = {}
        with self.lock:
            # Replaced, not emptied: whoever has the old dict in hand, and looks
            # at it or adds to it only now, was asked before this, and counts so.
            forgotten = self.buckets
            self.buckets = buckets
            self.surplus = 0
        # Finalisers of items, if any, run here.
        del forgotten


class _AgedTable:
    """
    Keep at most *max_size* items in buckets, under their hash.

    Every change is made under the lock, and prepared before it is made: if
    the version changed while preparing (a signal handler used the set), the
    preparation starts again; the change itself calls nothing.

    Counting and copying the items take the lock as well. Looking one up does
    without, as long as not more than one bucket changes at a time.
    """

    __slots__ = (
        "buckets",
        "kept",
        "lock",
        "max_size",
        "order",
        "turn",
        "turns",
        "unsettled",
        "version",
    )

    def __init__(self, max_size: int) -> None:
        self.lock = RLock()
        self.max_size = max_size
        self.kept: dict[int, Bucket] = {}
        self.unsettled = _Unsettled(self.kept, self.lock)
        #: Where to look items up: in what is kept, except while that is unsettled.
        self.buckets: dict[int, Bucket] | _Unsettled = self.kept
        #: When each item of a bucket was added: the same places in a tuple.
        self.turns: dict[int, tuple[int, ...]] = {}
        #: The hash of the item that was added at a turn, the first turn first.
        #: A dict would pass those that are gone each time it is asked for it.
        self.order: OrderedDict[int, int] = OrderedDict()
        #: The turn of the next item.
        self.turn = 0
        self.version = object()

    def renew_lock(self) -> None:
        """
        Forget who holds the lock.
        """
        self.lock = self.unsettled.lock = RLock()

    def insert(self, hashed: int, bucket: Bucket, item: object) -> bool:
        """
        Add *item* and forget the oldest beyond the bound.

        Only if *bucket* still is what lies under *hashed*.
        """
        with self.lock:
            while True:
                version, there, turns = self._read(hashed)
                if there is not bucket:
                    return False
                changed = object()
                turn = self.turn
                items, turns = (*bucket, item), (*turns, turn)
                full = len(self.order) >= self.max_size
                # The bucket is held until the lock is released: its item may
                # have a finaliser.
                oldest = self._oldest() if full else _NOTHING
                first, old_hash, left, left_turns, _held = oldest
                if full and old_hash == hashed:
                    items, turns = (*left, item), (*left_turns, turn)
                if self.version is not version:
                    continue
                self.version = changed
                self.turn = turn + 1
                if full:
                    # Two items change places: nobody must see both, or neither.
                    self.buckets = self.unsettled
                    del self.order[first]
                    if left:
                        self.kept[old_hash] = left
                        self.turns[old_hash] = left_turns
                    else:
                        del self.kept[old_hash]
                        del self.turns[old_hash]
                self.kept[hashed] = items
                self.turns[hashed] = turns
                self.order[turn] = hashed
                self.buckets = self.kept
                return True

    def remove(self, hashed: int, bucket: Bucket, index: int) -> bool:
        """
        Drop one item, if *bucket* still is what lies under *hashed*.
        """
        with self.lock:
            while True:
                version, there, turns = self._read(hashed)
                if there is not bucket:
                    return False
                changed = object()
                turn = turns[index]
                left, left_turns = _without(bucket, index), _without(turns, index)
                if self.version is not version:
                    continue
                self.version = changed
                del self.order[turn]
                if left:
                    self.kept[hashed] = left
                    self.turns[hashed] = left_turns
                else:
                    del self.kept[hashed]
                    del self.turns[hashed]
                return True

    def size(self) -> int:
        """
        Return how many items there are.
        """
        with self.lock:
            return len(self.order)

    def snapshot(self) -> list[Bucket]:
        """
        Return all buckets of one instant.
        """
        with self.lock:
            return list(self.kept.values())

    def clear(self) -> None:
        """
        Drop all items.
        """
        kept: dict[int, Bucket] = {}
        turns: dict[int, tuple[int, ...]] = {}
        order: OrderedDict[int, int] = OrderedDict()
        changed = object()
        with self.lock:
            forgotten = self.kept
            self.version = changed
            self.kept = self.buckets = self.unsettled.kept = kept
            self.turns = turns
            self.order = order
        # Finalisers of items, if any, run here.
        del forgotten

    def _read(self, hashed: int) -> tuple[object, Bucket, tuple[int, ...]]:
        """
        Return the version, and the bucket and turns it has under *hashed*.
        """
        # No call in between, not even get(): the three belong together.
        version = self.version
        bucket = self.kept[hashed] if hashed in self.kept else ()  # noqa: SIM401 -- see above
        turns = self.turns[hashed] if hashed in self.turns else ()  # noqa: SIM401 -- see above
        return version, bucket, turns

    def _oldest(self) -> _Oldest:
        """
        Find the item that was added longest ago.

        If the set was used meanwhile, what is returned may be anything; the
        version tells.
        """
        # No call here either: an iterator fails if what it goes over changed.
        for first in self.order:
            hashed = self.order[first]
            bucket, turns = self.kept[hashed], self.turns[hashed]
            # The oldest of all is the first of its bucket, too.
            return first, hashed, bucket[1:], turns[1:], bucket
        return _NOTHING


class _Unsettled:
    """
    Stand in for the buckets while two of them change: who looks waits.

    Whoever had the buckets themselves in hand by then looks at one of them, old
    or new: as they were asked before the change, either is right. Nobody who is
    asked after them sees the change half made.
    """

    __slots__ = ("kept", "lock")

    def __init__(self, kept: dict[int, Bucket], lock: _RLock) -> None:
        self.kept = kept
        self.lock = lock

    def get(self, hashed: int, default: Bucket) -> Bucket:
        """
        Return what lies under *hashed*, once the change is made.
        """
        with self.lock:
            return self.kept.get(hashed, default)


#: The turn and hash of an item, what both tuples are without it, its bucket.
_Oldest = tuple[int, int, Bucket, tuple[int, ...], Bucket]

_NOTHING: _Oldest = (0, 0, (), (), ())


def _index(bucket: Bucket, item: object) -> int:
    """
    Return where *item* is in *bucket*, or -1. Runs the user's ``__eq__``.
    """
    for index, held in enumerate(bucket):
        if held is item or held == item:
            return index
    return -1


def _without(values: tuple[Any, ...], index: int) -> tuple[Any, ...]:
    return values[:index] + values[index + 1 :]


def _iterable(items: Any) -> Any:
    try:
        return iter(items)
    except TypeError:
        msg = f"items must be iterable, not {type(items).__name__}: {items!r}"
        raise TypeError(msg) from None
