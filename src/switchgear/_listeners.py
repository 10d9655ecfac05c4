"""
Deliver events: in order, one at a time, under nobody's lock.
"""

from __future__ import annotations

import inspect

from collections import deque
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, Protocol

from switchgear import _fork, _structlog
from switchgear._structlog import LogListener
from switchgear.events import Event


if TYPE_CHECKING:
    from collections.abc import Callable


#: How many events of one instance may wait for a listener that does not return.
MAX_PENDING = 100_000


class Listener(Protocol):
    """
    Be told what happened.

    Called without any lock held, by whichever thread delivers; must not block.

    .. versionadded:: 0.1.0
    """

    def __call__(self, event: Any, /) -> object:
        """
        Take note of *event*.
        """


class _Subscription:
    """
    Remember who wants which events, until it is over.
    """

    __slots__ = ("active", "event_types", "listener")

    def __init__(
        self, listener: Listener, event_types: tuple[type[Event], ...]
    ) -> None:
        self.listener = listener
        self.event_types = event_types
        self.active = True


class Subscriptions:
    """
    Hold who wants which events. Changes are rare, look-ups are not.
    """

    __slots__ = ("__weakref__", "_lock", "_wanted", "_who")

    def __init__(self, *listeners: Listener) -> None:
        self._lock = RLock()
        self._who = tuple(_Subscription(one, (Event,)) for one in listeners)
        #: For each type the logs to be asked, or None: it is wanted in any case.
        self._wanted: dict[type[Event], tuple[LogListener, ...] | None] = {}

    def add(self, listener: Listener, *event_types: type[Event]) -> Callable[[], None]:
        """
        Call *listener* with every event of *event_types*, or with all.

        Returns a function that ends it, harmless when called again.
        """
        entry = _Subscription(_checked_listener(listener), _checked_types(event_types))
        self._change(lambda who: (*who, entry))

        def unsubscribe() -> None:
            entry.active = False
            self._change(lambda who: tuple(one for one in who if one is not entry))

        return unsubscribe

    def _change(
        self,
        change: Callable[[tuple[_Subscription, ...]], tuple[_Subscription, ...]],
    ) -> None:
        with self._lock:
            while True:
                before = self._who
                after = change(before)
                # A signal handler may have subscribed during the call.
                if self._who is before:
                    self._who = after
                    break
            # Another dict: one that a reader is filling must not survive.
            self._wanted = {}

    def wants(self, event_type: type[Event]) -> bool:
        """
        Answer whether building an *event_type* is worth the while.
        """
        wanted = self._wanted
        try:
            logs = wanted[event_type]
        except KeyError:
            logs = wanted.setdefault(event_type, self._whom_to_ask(event_type))
        if logs is None:
            return True
        for log in logs:  # noqa: SIM110 -- asked at every refusal: any() is slower
            if log.wants(event_type):
                return True
        return False

    def _whom_to_ask(self, event_type: type[Event]) -> tuple[LogListener, ...] | None:
        listeners = [
            one.listener for one in self._who if issubclass(event_type, one.event_types)
        ]
        # What the log wants depends on levels, which change without a notice.
        logs = tuple(one for one in listeners if type(one) is LogListener)
        return logs if len(logs) == len(listeners) else None

    def call(self, event: Event) -> BaseException | None:
        """
        Call everyone who wants *event*; log what goes wrong.

        Returns the first exception that is not for logging: Ctrl-C and other
        things that are no ``Exception``.
        """
        interruption: BaseException | None = None
        for one in self._who:
            # It may have ended meanwhile, at the hands of another listener.
            if one.active and isinstance(event, one.event_types):
                try:
                    one.listener(event)
                except Exception:  # noqa: BLE001 -- whatever a listener raises
                    _structlog.report_failure(one.listener, event)
                except BaseException as error:  # noqa: BLE001 -- raised by deliver()
                    interruption = _first(interruption, error)
        return interruption

    def _after_fork(self) -> None:
        self._lock = RLock()


#: Who listens to every instance; the log does.
EVERYWHERE = Subscriptions(LogListener())
_fork.track(EVERYWHERE)


class Outbox:
    """
    Keep the events of one instance in order until they are delivered.

    :meth:`put` belongs under the lock of the instance, :meth:`deliver` after
    it. Whichever thread is delivering already takes along what others put.
    """

    __slots__ = (
        "_courier",
        "_dropped",
        "_gate",
        "_overflow",
        "_pending",
        "_subscriptions",
    )

    def __init__(self) -> None:
        self._pending: deque[Event] = deque()
        self._subscriptions: Subscriptions | None = None
        #: The thread that is delivering, or 0.
        self._courier = 0
        #: What found no room and was not counted yet, and how many were.
        self._overflow: deque[Event] = deque()
        self._dropped = 0
        # Held while the courier changes, never while a listener runs.
        self._gate = RLock()

    def subscribe(
        self, listener: Listener, *event_types: type[Event]
    ) -> Callable[[], None]:
        """
        Call *listener* with the events of this instance alone.
        """
        fresh = Subscriptions()
        with self._gate:
            if self._subscriptions is None:
                self._subscriptions = fresh
            subscriptions = self._subscriptions
        return subscriptions.add(listener, *event_types)

    def has_listeners(self) -> bool:
        """
        Answer whether anybody listens to this instance in particular.
        """
        return self._subscriptions is not None and bool(self._subscriptions._who)  # noqa: SLF001 -- same module

    def wants(self, event_type: type[Event]) -> bool:
        """
        Answer whether anybody would be told of an *event_type*.
        """
        own = self._subscriptions
        return EVERYWHERE.wants(event_type) or (
            own is not None and own.wants(event_type)
        )

    def room_for(self, events: tuple[Event, ...]) -> deque[Event]:
        """
        Return what to append *events* to; the caller holds the lock of the instance.

        With ``+=``, which is no call: no signal handler comes between a change and
        what is told of it. If there is no room for them, they will be dropped.
        """
        if len(self._pending) + len(events) <= MAX_PENDING:
            return self._pending
        self._count_dropped()
        return self._overflow

    def _count_dropped(self) -> None:
        """
        Drop what found no room.
        """
        with self._gate:
            while self._overflow:
                # Without a call: a signal handler may be at it as well.
                del self._overflow[0]
                self._dropped += 1

    def put(self, event: Event) -> None:
        """
        Append *event*; the caller holds the lock of the instance.
        """
        self.room_for((event,)).append(event)

    def deliver(self) -> None:
        """
        Tell the listeners what is pending, unless somebody is at it already.

        An interruption of a listener (Ctrl-C) is raised once everything has
        been delivered: others may have left their events to this thread.
        """
        if not self._pending:
            return
        me = get_ident()
        mine = 0
        is_done = False
        interruption: BaseException | None = None
        try:
            while True:
                try:
                    while True:
                        # Without a call in here: whenever Ctrl-C comes, *mine*
                        # says whether this thread is the courier.
                        with self._gate:
                            if self._courier and not mine:
                                break
                            if not self._pending:
                                # Who puts an event from now on finds no courier.
                                self._courier = mine = 0
                                is_done = True
                                break
                            self._courier = mine = me
                            event = self._pending[0]
                            del self._pending[0]
                        interruption = _first(interruption, self._tell(event))
                    break
                except BaseException as error:  # noqa: BLE001 -- raised by deliver()
                    interruption = _first(interruption, error)
        finally:
            if mine:  # pragma: no cover -- a second Ctrl-C while handling the first
                self._courier = 0
        if is_done:
            self._report_dropped()
        if interruption is not None:
            raise interruption

    def _report_dropped(self) -> None:
        with self._gate:
            self._count_dropped()
            dropped, self._dropped = self._dropped, 0
        if dropped:
            _structlog.report_dropped(dropped)

    def _tell(self, event: Event) -> BaseException | None:
        interruption = EVERYWHERE.call(event)
        own = self._subscriptions
        return interruption if own is None else _first(interruption, own.call(event))

    def after_fork(self) -> None:
        """
        Leave the parent's events to the parent. Runs in a forked child.
        """
        # The same still: whoever forked may be about to put something in.
        self._pending.clear()
        self._overflow.clear()
        self._dropped = 0
        self._gate = RLock()
        # Only the thread that forked lives on, perhaps amid a delivery.
        if self._courier != get_ident():
            self._courier = 0
        if self._subscriptions is not None:
            self._subscriptions._after_fork()  # noqa: SLF001 -- same module


def subscribe(listener: Listener, *event_types: type[Event]) -> Callable[[], None]:
    """
    Call *listener* with the events of every instance.

    Events of one instance arrive one at a time, in the order they happened,
    in whichever thread delivers them, with no lock held. What a listener
    itself sets off follows after it has returned. An :class:`Exception` it
    raises is logged and otherwise ignored; an interruption such as
    :class:`KeyboardInterrupt` reaches whoever delivers, once everybody has
    been told everything.

    Args:
        listener: Any callable that takes one event. Must not block: behind a
            listener that hangs, events pile up, and beyond 100 000 they are
            dropped, which is logged. Subscribed twice, it is called twice.
        event_types: Which events, subclasses included. None given: all.

    Returns:
        A function that ends the subscription, also from within a listener;
        harmless when called again. A call that another thread has begun is
        not waited for.

    Raises:
        TypeError: If *listener* is not callable or would only return a
            coroutine or a generator, or one of *event_types* is not an event
            class.

    .. versionadded:: 0.1.0
    """
    return EVERYWHERE.add(listener, *event_types)


def _first(
    earlier: BaseException | None, later: BaseException | None
) -> BaseException | None:
    return later if earlier is None else earlier


def _checked_listener(listener: Any) -> Any:
    if not callable(listener):
        msg = f"listener must be callable, not {listener!r}"
        raise TypeError(msg)
    if any(
        is_deferred(function)
        for function in (listener, type(listener).__call__)
        for is_deferred in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        )
    ):
        msg = (
            "listener must be an ordinary function, not a coroutine or generator"
            f" function: {listener!r}"
        )
        raise TypeError(msg)
    return listener


def _checked_types(event_types: tuple[Any, ...]) -> tuple[type[Event], ...]:
    for event_type in event_types:
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            msg = f"event_types must be event classes, not {event_type!r}"
            raise TypeError(msg)
    return event_types or (Event,)
