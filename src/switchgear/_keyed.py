"""
One limiter or breaker per key, of which the idle are forgotten.
"""

from __future__ import annotations

from collections import deque
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import getweakrefcount

from switchgear import _fork
from switchgear._clock import MONOTONIC
from switchgear._instance import Instance
from switchgear._limiter_settings import checked_rates
from switchgear._orders import NO_ORDERS, Orders, each, obey, set_closed, silenced
from switchgear._unchanged import UNCHANGED
from switchgear._validate import seconds as checked_seconds
from switchgear._validate import text, whole
from switchgear.events import KeysExceeded


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator


T = TypeVar("T", bound=Instance)
D = TypeVar("D")

#: How many keys are kept, unless it is said.
MAX_KEYS = 1024

#: How many instances an insertion pays to have looked at.
_LOOKS = 8

#: The slots of one hash, nearly always one. Never changed, only replaced.
Bucket = tuple["_Slot", ...]


class Keyed(Instance, Generic[T]):
    """
    Hold one limiter or breaker per key: per host, user, model.

    ``limiters[host]`` returns the instance of *host*, and makes it when it is
    asked for first. Different keys never wait for each other. Beyond
    *max_keys*, instances that have not been looked up lately are forgotten, but
    only when that changes nothing (a full bucket nobody waits on; a closed
    circuit without failures) and nobody holds them or listens to them: no debt
    or open circuit is ever forgiven, no instance somebody still uses is ever
    doubled. One that was changed by itself, with ``reconfigure`` or ``close``,
    is kept. If nothing may be forgotten, it grows, and says so once
    (:class:`switchgear.events.KeysExceeded`). A key that is new pays for looking
    at others, at some eight for each that came before it, all at once if need be.

    ``key in limiters`` says whether there is an instance now, ``len()`` how
    many there are, and iteration goes over the keys there were when it began.
    None of them makes an instance, or keeps one from being forgotten.

    Keys are compared as in a :class:`dict`, but their ``__hash__`` and ``__eq__``
    never run under a lock, and may use the very container that is asking them.
    Safe to share between any number of threads and event loops.

    Args:
        factory: Called with the key; must return a new limiter or breaker.
            Runs without any lock: when several threads ask for a new key at
            once, it may be called for each, and all get the same one of the
            results. What it raises goes to the caller, and nothing is
            remembered.
        max_keys: How many instances are kept before idle ones are forgotten,
            at least 1.

    Raises:
        TypeError: If *factory* is not callable or does not return a limiter or
            breaker; if *max_keys* is not an int; if a key is not hashable.
        ValueError: If *max_keys* is out of range.

    .. versionadded:: 0.1.0
    """

    __slots__ = (
        "_buckets",
        "_count",
        "_credit",
        "_factory",
        "_fruitless",
        "_makes",
        "_max_keys",
        "_orders",
        "_pattern",
        "_ring",
        "_said",
    )

    def __init__(
        self, factory: Callable[[Any], T], *, max_keys: int = MAX_KEYS
    ) -> None:
        #: By hash: a dict of the keys would run their code whenever it is changed.
        self._buckets: dict[int, Bucket] = {}
        self._count = 0
        #: All slots, the next to be looked at first. Forgotten ones may lie
        #: here a little longer.
        self._ring: deque[_Slot] = deque()
        given: Any = factory
        if not callable(given):
            msg = f"factory must be callable, not {factory!r}"
            raise TypeError(msg)
        self._factory = factory
        self._max_keys = whole("max_keys", max_keys, minimum=1)
        super().__init__(None)
        #: How many more slots may be looked at: every insertion pays for some,
        #: so that a full container of busy keys costs no more than others.
        self._credit = 0
        #: How many looks in a row found nothing to forget.
        self._fruitless = 0
        self._said = False
        #: What every new instance is to catch up with.
        self._orders = NO_ORDERS
        #: Makes an instance for no key, to try changes on; the registry can. And
        #: which class it is of, for who must not fail to close it.
        self._pattern: Callable[[], T] | None = None
        self._makes: tuple[Any, ...] = ()

    @property
    def max_keys(self) -> int:
        """
        How many instances are kept before idle ones are forgotten.
        """
        return self._max_keys

    def __getitem__(self, key: Hashable) -> T:
        # As _slot_of(), without another call.
        slot = _found(self._buckets.get(hash(key), ()), key)
        if slot is not None:
            # Before the instance is read: see _look().
            slot.used = True
            instance: T | None = slot.instance
            if instance is not None:
                return instance
        return self._make(key)

    def get(self, key: Hashable, default: D | None = None) -> T | D | None:
        """
        Return the instance of *key* if there is one, else *default*.

        Raises:
            TypeError: If *key* is not hashable.
        """
        slot = self._slot_of(key)
        if slot is None:
            return default
        instance: T | None = self._use(slot)
        return default if instance is None else instance

    def __contains__(self, key: object) -> bool:
        slot = self._slot_of(key)
        return slot is not None and self._instance_in(slot) is not None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """
        Iterate over the keys there are now.
        """
        return iter([slot.key for slot in self._all()])

    def snapshot(self) -> dict[Any, Any]:
        """
        Return the snapshot of every instance, by key.
        """
        pairs = [(slot.key, self._instance_in(slot)) for slot in self._all()]
        return {
            key: instance.snapshot() for key, instance in pairs if instance is not None
        }

    def reconfigure(self, **changes: Any) -> None:
        """
        Change the settings of all instances, those made later included.

        Takes what ``reconfigure`` of the instances takes, and raises what it
        raises for any of them; then nothing is changed. (What does not go with
        the settings that *factory* gives to a key yet to come is only found
        when that key is asked for.) Of several such changes at the same moment,
        one instance may keep this, another that.
        """
        given = {
            # It may be anything iterable, and is needed more than once.
            name: checked_rates(value) if name == "rates" else value
            for name, value in changes.items()
            if value is not UNCHANGED
        }
        self._order(lambda orders: self._checked(orders, given))
        # After storing: an instance made meanwhile sees it, or is seen here.
        each(
            self._instances(),
            lambda instance: instance._reconfigure(alone=False, **given),  # noqa: SLF001 -- ours
        )

    def pause(self, seconds: float) -> None:
        """
        Pause every limiter there is: nobody is admitted for so many seconds.

        Keys seen for the first time later start unpaused.

        Raises:
            TypeError: If it holds breakers, or *seconds* is not a number.
            ValueError: If *seconds* is negative or out of range.
        """
        checked_seconds("seconds", seconds)
        each(self._limiters("pause"), lambda limiter: limiter.pause(seconds))

    def close(self, reason: str = "") -> None:
        """
        Close every limiter, those made later included.

        Closing and reopening at the same moment, what was asked for last holds.

        Raises:
            TypeError: If it holds breakers, or *reason* is not a string. (While
                there is no instance yet, breakers made later simply stay open
                to calls.)
        """
        self._open_or_close("close", text("reason", reason))

    def reopen(self) -> None:
        """
        Admit again, after :meth:`close`.

        Raises:
            TypeError: If it holds breakers.
        """
        self._open_or_close("reopen", None)

    def reset(self) -> None:
        """
        Bring the state of every instance back to fresh; settings stay.
        """
        each(self._instances(), lambda instance: instance.reset())

    def __repr__(self) -> str:
        title = "" if self._name is None else f" {self._name!r}"
        return f"<{type(self).__name__}{title} of {len(self)}>"

    def __del__(self) -> None:
        # Whoever still holds one of the instances may fork.
        if hasattr(self, "_buckets"):
            for instance in self._instances():
                _fork.track(instance)

    def _slot_of(self, key: object) -> _Slot | None:
        return _found(self._buckets.get(hash(key), ()), key)

    def _all(self) -> list[_Slot]:
        # One call, in which no other thread can change the dict.
        buckets = list(self._buckets.values())
        return [slot for bucket in buckets for slot in bucket]

    def _instance_in(self, slot: _Slot) -> Any:
        """
        Return the instance of *slot*, None if it is forgotten.
        """
        instance = slot.instance
        if instance is None:
            # Who was about to forget it may think better of it.
            with self._lock:
                instance = slot.instance
        return instance

    def _use(self, slot: _Slot) -> Any:
        # Before the instance is read: see _look().
        slot.used = True
        return self._instance_in(slot)

    def _instances(self) -> list[Any]:
        """
        Look up all instances.
        """
        found = [self._use(slot) for slot in self._all()]
        return [instance for instance in found if instance is not None]

    def _limiters(self, verb: str) -> list[Any]:
        limiters = self._instances()
        for kind in (*self._makes, *map(type, limiters)):
            if not hasattr(kind, verb):
                msg = f"{verb} is for limiters, not for {kind.__name__}"
                raise TypeError(msg)
        return limiters

    def _open_or_close(self, verb: str, reason: str | None) -> None:
        self._limiters(verb)
        self._order(lambda orders: orders._replace(closed=reason))

        def follow(limiter: Any) -> None:
            # Others may say otherwise at this moment, or a signal handler amid
            # ours: whoever is the last to see to one does what was said last.
            while True:
                closed = self._orders.closed
                set_closed(limiter, closed)
                if self._orders.closed is closed:
                    return

        each(self._instances(), follow)

    def _order(self, plan: Callable[[Orders], Orders]) -> None:
        """
        Replace the orders as *plan* says of those before.

        Called without the lock, and again if others came first.
        """
        while True:
            before = self._orders
            after = plan(before)
            with self._lock:
                # Nothing is called here: no signal handler comes between.
                if self._orders is before:
                    self._orders = after
                    return

    def _checked(self, orders: Orders, change: dict[str, Any]) -> Orders:
        """
        Add *change* to *orders*; raise what it raises of any instance.
        """
        tried: list[dict[str, Any]] = []
        for instance in self._instances():
            settings = instance.settings()
            # Most have the same as the one before.
            if settings not in tried[-1:]:
                tried.append(settings)
                silenced(instance._twin()).reconfigure(**change)  # noqa: SLF001 -- ours
        if self._pattern is None:
            return orders.and_change(change)
        model = self._model(orders)
        model.reconfigure(**change)
        return orders._replace(model=model)

    def _model(self, orders: Orders) -> Any:
        """
        Return a new instance for no key, as the next one would be.

        Only where there is a pattern.
        """
        make: Any = self._pattern
        model = silenced(make())
        if orders.model is not None:
            model._configure_like(orders.model, forget=True)  # noqa: SLF001 -- ours
        return model

    def _make(self, key: Hashable) -> T:
        orders = self._orders
        made: Any = self._factory(key)
        if not isinstance(made, Instance) or isinstance(made, Keyed):
            msg = (
                "factory must return a limiter or breaker,"
                f" not {type(made).__name__}: {made!r}"
            )
            raise TypeError(msg)
        obey(made, orders)
        # The container tells it of a fork. Before it is seen: nobody holds it.
        _fork.untrack(made)
        while (kept := self._enter(key, made, orders)) is None:
            before, orders = orders, self._orders
            obey(made, orders, before)
        if kept is made:
            self._trim()
        instance: T = kept
        return instance

    def _enter(self, key: Hashable, made: Any, orders: Orders) -> Any:
        """
        Put *made* in, unless there is one of its key; return the one there is.

        Return None if there are other orders by now. Nobody sees an instance that
        has not obeyed: later orders find it, and what somebody changes of it
        alone comes after all earlier ones.
        """
        slot = _Slot(key, made)
        hashed = slot.hashed
        while True:
            bucket = self._buckets.get(hashed, ())
            # Outside the lock, as it runs the keys' code.
            other = _found(bucket, key)
            if other is not None:
                kept = self._use(other)
                if kept is not None:
                    return kept
            grown = (*bucket, slot)
            with self._lock:
                # Nothing is called here, not even to append to the ring: no signal
                # handler comes between.
                if self._orders is not orders:
                    return None
                there = self._buckets[hashed] if hashed in self._buckets else ()  # noqa: SIM401 -- that would be a call
                if there is bucket:
                    # What its factory changed would be changed again.
                    made._alone = False  # noqa: SLF001 -- ours
                    self._buckets[hashed] = grown
                    self._ring += (slot,)
                    self._count += 1
                    return made

    def _trim(self) -> None:
        """
        Forget what may be forgotten, as long as there are too many.
        """
        with self._lock:
            self._credit = min(self._credit + _LOOKS, 2 * self._count + 1)
        while self._count > self._max_keys and self._look():
            pass
        with self._lock:
            # Twice around: once to see who was used, once to see who was not.
            if self._fruitless > 2 * self._max_keys and not self._said:
                self._said = True
                self._say_exceeded()
        self._outbox.deliver()

    def _say_exceeded(self) -> None:
        if self._outbox.wants(KeysExceeded):
            self._outbox.put(
                KeysExceeded(
                    at=MONOTONIC.monotonic_ns() / 1e9,
                    name=self._name,
                    max_keys=self._max_keys,
                )
            )

    def _next(self) -> _Slot | None:
        """
        Return the slot to look at now, if the insertions so far pay for it.
        """
        ring = self._ring
        while ring and ring[0].gone:
            ring.popleft()
        if self._credit <= 0 or not ring:
            return None
        self._credit -= 1
        self._fruitless += 1
        slot = ring[0]
        ring.rotate(-1)
        return slot

    def _look(self) -> bool:
        """
        Look at one slot and forget it if that changes nothing.

        Return False if that has to wait for the next insertion.

        A look-up marks the slot and then reads the instance, without the lock.
        So: put down a mark of our own; see that nobody holds the slot or the
        instance; ask it whether it is idle, outside the lock; and if the mark
        is still ours, nobody can have got at it since. While that last question
        is answered, look-ups find no instance, and wait for the lock.
        """
        # Something nobody else can hold, and referred to as a slot is: once by
        # its bucket, once by the ring. The comparison is right whatever an
        # interpreter counts.
        probe = _Slot(None, object())
        doubles = (probe, probe)
        mark = object()
        with self._lock:
            slot = self._next()
            if slot is None:
                return False
            if slot.used is True:
                slot.used = None
                return True
            slot.used = mark
            if not _unheld(slot, probe):
                return True
        if not _idle(slot):
            return True
        self._forget(slot, mark)
        del doubles
        return True

    def _forget(self, slot: _Slot, mark: object) -> None:
        """
        Forget *slot*, which is idle, unless it was used since it was marked.
        """
        hashed = slot.hashed
        with self._lock:
            bucket = self._buckets[hashed]
            left = tuple([one for one in bucket if one is not slot])
            # Dies after the lock is released: it may have a finaliser.
            forgotten = slot.instance
            # Nothing is called from here until it is gone: no signal handler sees
            # what is half done, or uses the slot.
            if self._buckets[hashed] is bucket:
                slot.instance = None
                if slot.used is mark:
                    slot.gone = True
                    if left:
                        self._buckets[hashed] = left
                    else:
                        del self._buckets[hashed]
                    self._count -= 1
                    self._fruitless = 0
                    if self._ring and self._ring[-1] is slot:
                        self._ring.pop()
                else:
                    slot.instance = forgotten

    def _configure_like(self, pattern: Any, *, forget: bool) -> None:
        """
        Go on with the settings of *pattern*, but for those changed at run time.

        With *forget* those too. Instances made later do the same.
        """

        def change(instance: Any) -> None:
            instance._configure_like(pattern, forget=forget)  # noqa: SLF001 -- ours

        def plan(orders: Orders) -> Orders:
            model = self._model(orders)
            change(model)
            return orders._replace(model=model)

        self._order(plan)
        each(self._instances(), change)

    def _check_like(self, pattern: Any) -> None:
        """
        Raise what ``_configure_like`` would raise.
        """
        # What was changed for all may be in none that is there.
        for instance in (self._model(self._orders), *self._instances()):
            instance._check_like(pattern)  # noqa: SLF001 -- ours

    def _note_bypass(self) -> None:
        for instance in self._instances():
            instance._note_bypass()  # noqa: SLF001 -- ours

    def _after_fork(self) -> None:
        super()._after_fork()
        for instance in self._instances():
            instance._after_fork()  # noqa: SLF001 -- ours


class _Slot:
    """
    Hold the instance of one key; None once it is forgotten.
    """

    __slots__ = ("gone", "hashed", "instance", "key", "used")

    def __init__(self, key: Any, instance: Any) -> None:
        self.key = key
        self.hashed = hash(key)
        self.instance = instance
        #: True: looked up since anybody cared. Else None, or the mark of who
        #: wants to forget it.
        self.used: object = None
        #: Whether it is forgotten, or about to be for certain.
        self.gone = False


def _found(bucket: Bucket, key: object) -> _Slot | None:
    """
    Return the slot of *key* in *bucket*. Runs the keys' code.
    """
    for slot in bucket:
        if slot.key is key or slot.key == key:
            return slot
    return None


def _unheld(slot: _Slot, probe: _Slot) -> bool:
    """
    Answer whether nobody holds *slot* or its instance but the container.

    *probe* is a slot referred to alike, of which that is known.
    """
    return (
        getrefcount(slot) == getrefcount(probe)
        and getrefcount(slot.instance) == getrefcount(probe.instance)
        and not getweakrefcount(slot.instance)
    )


def _idle(slot: _Slot) -> bool:
    instance = slot.instance
    return (
        instance is not None
        and instance._idle()  # noqa: SLF001 -- ours
        # Else it would come back unchanged.
        and not instance._alone  # noqa: SLF001 -- ours
    )
