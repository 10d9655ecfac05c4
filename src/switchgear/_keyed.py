"""
One limiter or breaker per key, of which the idle are forgotten.
"""

from __future__ import annotations

from binascii import crc32
from collections import deque
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from weakref import getweakrefcount

from switchgear import _fork
from switchgear._clock import MONOTONIC
from switchgear._instance import Instance
from switchgear._listeners import Outbox
from switchgear._validate import seconds as checked_seconds
from switchgear._validate import whole
from switchgear.events import KeysExceeded


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from switchgear.events import Event


T = TypeVar("T", bound=Instance)
D = TypeVar("D")

#: How many keys are kept, unless it is said.
MAX_KEYS = 1024

#: How much of a key is shown at most, in characters.
_SHOWN = 80

#: How many instances an insertion pays to have looked at.
_LOOKS = 8


class Keyed(Instance, Generic[T]):
    """
    Hold one limiter or breaker per key: per host, user, model.

    ``limiters[host]`` returns the instance of *host*, and makes it when it is
    asked for first. Different keys never wait for each other. Beyond
    *max_keys*, instances that have not been looked up lately are forgotten, but
    only when that changes nothing (a full bucket nobody waits on; a closed
    circuit without failures) and nobody holds them: no debt or open circuit is
    ever forgiven, no instance somebody still uses is ever doubled. If nothing
    may be forgotten, it grows, and says so once
    (:class:`switchgear.events.KeysExceeded`).

    ``key in limiters`` says whether there is an instance now, ``len()`` how
    many there are, and iteration goes over the keys there were when it began.
    None of them makes an instance, or keeps one from being forgotten.

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
        "_credit",
        "_factory",
        "_fruitless",
        "_max_keys",
        "_orders",
        "_pattern",
        "_ring",
        "_said",
        "_slots",
        "_usual",
    )

    def __init__(
        self, factory: Callable[[Any], T], *, max_keys: int = MAX_KEYS
    ) -> None:
        self._slots: dict[Any, _Slot] = {}
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
        #: The settings of the instance made last, shared by all that agree.
        self._usual: dict[str, Any] = {}
        #: What every new instance is to catch up with.
        self._orders = _NO_ORDERS
        #: Makes an instance for no key, to try changes on; the registry can.
        self._pattern: Callable[[], T] | None = None

    @property
    def max_keys(self) -> int:
        """
        How many instances are kept before idle ones are forgotten.
        """
        return self._max_keys

    def __getitem__(self, key: Hashable) -> T:
        slot = self._slots.get(key)
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
        slot = self._slots.get(key)
        if slot is None:
            return default
        slot.used = True
        instance: T | None = slot.instance
        return default if instance is None else instance

    def __contains__(self, key: object) -> bool:
        slot = self._slots.get(key)
        return slot is not None and slot.instance is not None

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Any]:
        """
        Iterate over the keys there are now.
        """
        return iter(list(self._slots))

    def snapshot(self) -> dict[Any, Any]:
        """
        Return the snapshot of every instance, by key.
        """
        pairs = [(slot.key, slot.instance) for slot in self._all()]
        return {
            key: instance.snapshot() for key, instance in pairs if instance is not None
        }

    def reconfigure(self, **changes: Any) -> None:
        """
        Change the settings of all instances, those made later included.

        Takes what ``reconfigure`` of the instances takes, and raises what it
        raises; then nothing is changed. (While there is no instance yet, bad
        values are only found when the first is made.)
        """
        if self._pattern is not None:
            _obeying(self._pattern(), self._orders.and_change(changes))
        else:
            for instance in self._instances()[:1]:
                instance.reconfigure(**changes)
        with self._lock:
            self._orders = self._orders.and_change(changes)
        # After storing: an instance made meanwhile sees them, or is seen here.
        for slot in self._all():
            _reconfigure(slot, (changes,))

    def pause(self, seconds: float) -> None:
        """
        Pause every limiter there is: nobody is admitted for so many seconds.

        Keys seen for the first time later start unpaused.

        Raises:
            TypeError: If it holds breakers, or *seconds* is not a number.
            ValueError: If *seconds* is negative or out of range.
        """
        checked_seconds("seconds", seconds)
        for limiter in self._limiters("pause"):
            limiter.pause(seconds)

    def close(self, reason: str = "") -> None:
        """
        Close every limiter, those made later included.

        Raises:
            TypeError: If it holds breakers.
        """
        self._limiters("close")
        self._order_closed(reason)
        for limiter in self._limiters("close"):
            limiter.close(reason)

    def reopen(self) -> None:
        """
        Admit again, after :meth:`close`.

        Raises:
            TypeError: If it holds breakers.
        """
        self._limiters("reopen")
        self._order_closed(None)
        for limiter in self._limiters("reopen"):
            limiter.reopen()

    def reset(self) -> None:
        """
        Bring the state of every instance back to fresh; settings stay.
        """
        for instance in self._instances():
            instance.reset()

    def __repr__(self) -> str:
        title = "" if self._name is None else f" {self._name!r}"
        return f"<{type(self).__name__}{title} of {len(self)}>"

    def __del__(self) -> None:
        # Whoever still holds one of the instances may fork.
        if hasattr(self, "_slots"):
            for instance in self._instances():
                _fork.track(instance)

    def _all(self) -> list[_Slot]:
        # One call, in which no other thread can change the dict.
        return list(self._slots.values())

    def _instances(self) -> list[Any]:
        """
        Look up all instances.
        """
        slots = self._all()
        for slot in slots:
            slot.used = True
        found = [slot.instance for slot in slots]
        return [instance for instance in found if instance is not None]

    def _limiters(self, verb: str) -> list[Any]:
        limiters = self._instances()
        for instance in limiters:
            if not hasattr(instance, verb):
                msg = f"{verb} is for limiters, not for {type(instance).__name__}"
                raise TypeError(msg)
        return limiters

    def _order_closed(self, reason: str | None) -> None:
        with self._lock:
            self._orders = self._orders._replace(closed=reason)

    def _make(self, key: Hashable) -> T:
        orders = self._orders
        made: Any = self._factory(key)
        if not isinstance(made, Instance) or isinstance(made, Keyed):
            msg = (
                "factory must return a limiter or breaker,"
                f" not {type(made).__name__}: {made!r}"
            )
            raise TypeError(msg)
        slot = _Slot(key, _obeying(made, orders), self._shared(made))
        kept: T = self._keep(slot)
        if kept is made:
            # The container tells it of a fork.
            _fork.untrack(made)
            while self._orders is not orders:
                before, orders = orders, self._orders
                _obey(slot, before, orders)
            del slot
            self._trim()
        return kept

    def _shared(self, instance: Any) -> dict[str, Any]:
        settings: dict[str, Any] = instance.settings()
        if settings != self._usual:
            self._usual = settings
        return self._usual

    def _keep(self, fresh: _Slot) -> Any:
        """
        Put *fresh* in, unless its key is there; return the instance kept.
        """
        key, instance = fresh.key, fresh.instance
        while True:
            slot = self._slots.setdefault(key, fresh)
            if slot is fresh:
                with self._lock:
                    self._ring.append(fresh)
                return instance
            slot.used = True
            held = slot.instance
            if held is not None:
                return held
            with self._lock:
                # Whoever was forgetting it is done now. What still lies there
                # was left by an exception, or it is them we interrupted.
                if slot.instance is None and self._slots.get(key) is slot:
                    slot.settings = fresh.settings
                    slot.used = True
                    slot.instance = instance
                    return instance

    def _trim(self) -> None:
        """
        Forget what may be forgotten, as long as there are too many.
        """
        with self._lock:
            self._credit = min(self._credit + _LOOKS, 2 * len(self._slots) + 1)
        while len(self._slots) > self._max_keys and self._look():
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
        while ring and ring[0].used is _GONE:
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
        is still ours, nobody can have used it since. While that last question
        is answered, look-ups find no instance, and wait for the lock.
        """
        # Something nobody else can hold, and referred to as a slot is: once by
        # the dict, once by the ring. The comparison is right whatever an
        # interpreter counts.
        probe = _Slot(None, object(), {})
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
        with self._lock:
            if slot.used is mark and _unheld(slot, probe):
                # Dies after the lock is released: it may have a finaliser.
                forgotten = slot.instance
                # Nothing is called from here on; keys of built-in types even
                # leave the dict without a call.
                slot.instance = None
                if slot.used is mark:
                    slot.used = _GONE
                    self._fruitless = 0
                    del self._slots[slot.key]
                    if slot.instance is not None:
                        # The key's __hash__ asked for it meanwhile.
                        slot.used = True
                        self._slots[slot.key] = slot
                    elif self._ring and self._ring[-1] is slot:
                        self._ring.pop()
                else:  # pragma: no cover -- looked up without the GIL
                    slot.instance = forgotten
        del doubles
        return True

    def _configure_like(self, pattern: Any, *, forget: bool) -> None:
        """
        Go on with the settings of *pattern*, but for those changed at run time.

        With *forget* those too. Instances made later do the same.
        """
        with self._lock:
            changes = () if forget else self._orders.changes
            self._orders = self._orders._replace(changes=changes, pattern=pattern)
        for slot in self._all():
            _configure_like(slot, pattern, forget=forget)

    def _check_like(self, pattern: Any) -> None:
        """
        Raise what ``_configure_like`` would raise.
        """
        # What was changed for all may be in none that is there.
        trial = _obeying(self._pattern(), self._orders) if self._pattern else pattern
        for instance in (trial, *self._instances()):
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

    __slots__ = ("instance", "key", "settings", "used")

    def __init__(self, key: Any, instance: Any, settings: dict[str, Any]) -> None:
        self.key = key
        self.instance = instance
        #: What a new instance would have: with others it is not forgotten.
        self.settings = settings
        #: True: looked up since anybody cared. Else None, or the mark of who
        #: wants to forget it.
        self.used: object = None


#: The mark of a slot whose instance is forgotten.
_GONE = object()


class _Orders(NamedTuple):
    """
    Say what was done to all instances, and is to be done to new ones.
    """

    changes: tuple[dict[str, Any], ...]
    closed: str | None
    #: Has the settings that lie below the changes; None: those it was made with.
    pattern: Any = None

    def and_change(self, change: dict[str, Any]) -> _Orders:
        """
        Add *change*; earlier ones that it covers entirely are superseded.
        """
        kept = (old for old in self.changes if not old.keys() <= change.keys())
        return self._replace(changes=(*kept, change))


class _Silent(Outbox):
    """
    Take no events.
    """

    __slots__ = ()

    def wants(self, event_type: type[Event]) -> bool:
        """
        Answer that nobody wants any.
        """
        del event_type
        return False


_SILENT = _Silent()


def _obeying(instance: Any, orders: _Orders) -> Any:
    """
    Do to a new *instance* what was done to all, without a word; return it.
    """
    if orders == _NO_ORDERS:
        return instance
    outbox = instance._outbox  # noqa: SLF001 -- ours
    fresh = instance._idle()  # noqa: SLF001 -- ours
    instance._outbox = _SILENT  # noqa: SLF001 -- ours
    try:
        if orders.pattern is not None:
            instance._configure_like(orders.pattern)  # noqa: SLF001 -- ours
        for change in orders.changes:
            instance.reconfigure(**change)
        if fresh:
            # Not a changed instance, but a new one with other settings.
            instance.reset()
        if orders.closed is not None:
            instance.close(orders.closed)
    finally:
        instance._outbox = outbox  # noqa: SLF001 -- ours
    return instance


_NO_ORDERS = _Orders((), None)


def _obey(slot: _Slot, before: _Orders, orders: _Orders) -> None:
    """
    Do to an instance that is in use already what was done to all meanwhile.
    """
    if orders.pattern is not before.pattern:
        forget = len(orders.changes) < len(before.changes)
        _configure_like(slot, orders.pattern, forget=forget)
    _reconfigure(slot, orders.changes)
    instance = slot.instance
    if orders.closed is not None:
        instance.close(orders.closed)
    elif hasattr(instance, "reopen"):
        instance.reopen()


def _reconfigure(slot: _Slot, changes: tuple[dict[str, Any], ...]) -> None:
    """
    Make all *changes* to the instance of *slot*.
    """

    def change(instance: Any) -> None:
        for one in changes:
            instance.reconfigure(**one)

    _change(slot, change)


def _configure_like(slot: _Slot, pattern: Any, *, forget: bool) -> None:
    """
    Change what lies below run time in the instance of *slot*.
    """
    _change(slot, lambda one: one._configure_like(pattern, forget=forget))  # noqa: SLF001 -- ours


def _change(slot: _Slot, change: Callable[[Any], None]) -> None:
    """
    Change the instance, and what a new one would have.
    """
    instance = slot.instance
    if instance is not None:
        alike = instance.settings() == slot.settings
        change(instance)
        if alike:
            slot.settings = instance.settings()


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
        # One that was changed by itself would come back unchanged.
        and instance.settings() == slot.settings
    )


def shown_key(key: Hashable) -> str:
    """
    Return *key* as names, logs and metrics show it: one line, cut if long.

    Control characters, brackets and backslashes are escaped; what is cut ends
    in a checksum, so that different keys keep different names.
    """
    text = key if isinstance(key, str) else _repr(key)
    shown = "".join(map(_escaped, text[: _SHOWN + 1]))
    if len(shown) <= _SHOWN:
        return shown
    tail = f"...{crc32(text.encode('utf-8', 'surrogatepass')):08x}"
    pieces, head = map(_escaped, text), ""
    while len(longer := head + next(pieces)) <= _SHOWN - len(tail):
        head = longer
    return head + tail


def _escaped(sign: str) -> str:
    if sign in "[]":
        return f"\\x{ord(sign):02x}"
    if sign.isprintable() and sign != "\\":
        return sign
    return sign.encode("unicode_escape").decode("ascii")


def _repr(key: Hashable) -> str:
    try:
        return repr(key)
    except Exception:  # noqa: BLE001 -- a name is no reason to fail
        return f"<{type(key).__name__}>"
