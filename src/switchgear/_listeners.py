"""
Deliver events: in order, one at a time, under nobody's lock.
"""

from __future__ import annotations

import inspect
import logging

from collections import deque
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Protocol

from switchgear._structlog import LogListener
from switchgear.events import Event


if TYPE_CHECKING:
    from collections.abc import Callable


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


class Subscriptions:
    """
    Hold who wants which events. Changes are rare, look-ups are not.
    """

    __slots__ = ("_lock", "_wanted", "_who")

    def __init__(self, *listeners: Listener) -> None:
        self._lock = RLock()
        self._who: tuple[tuple[Listener, tuple[type[Event], ...]], ...] = tuple(
            (listener, (Event,)) for listener in listeners
        )
        self._wanted: dict[type[Event], bool] = {}

    def add(
        self, listener: Listener, *event_types: type[Event]
    ) -> Callable[[], None]:
        """
        Call *listener* with every event of *event_types*, or with all.

        Returns a function that ends it, harmless when called again.
        """
        entry = (_checked_listener(listener), _checked_types(event_types))
        with self._lock:
            self._who = (*self._who, entry)
            # A fresh dict: one that a reader is filling must not survive.
            self._wanted = {}

        def unsubscribe() -> None:
            with self._lock:
                self._who = tuple(one for one in self._who if one is not entry)
                self._wanted = {}

        return unsubscribe

    def wants(self, event_type: type[Event]) -> bool:
        """
        Answer whether building an *event_type* is worth the while.
        """
        wanted = self._wanted
        try:
            return wanted[event_type]
        except KeyError:
            answer = any(issubclass(event_type, types) for _, types in self._who)
            return wanted.setdefault(event_type, answer)

    def call(self, event: Event) -> None:
        """
        Call everyone who wants *event*; log what goes wrong.
        """
        for listener, types in self._who:
            if isinstance(event, types):
                try:
                    listener(event)
                except Exception:
                    logging.getLogger("switchgear").exception(
                        "listener %r failed on %s", listener, type(event).__name__
                    )

    def _after_fork(self) -> None:
        self._lock = RLock()


#: Who listens to every instance. The log does, unless it is switched off.
EVERYWHERE = Subscriptions(LogListener())


class Outbox:
    """
    Keep the events of one instance in order until they are delivered.

    :meth:`put` belongs under the lock of the instance, :meth:`deliver` after
    it. Whichever thread is delivering already takes along what others put.
    """

    __slots__ = ("_busy", "_pending", "_subscriptions")

    def __init__(self) -> None:
        self._pending: deque[Event] = deque()
        self._subscriptions: Subscriptions | None = None
        self._busy = Lock()

    def subscribe(
        self, listener: Listener, *event_types: type[Event]
    ) -> Callable[[], None]:
        """
        Call *listener* with the events of this instance alone.
        """
        if self._subscriptions is None:
            self._subscriptions = Subscriptions()
        return self._subscriptions.add(listener, *event_types)

    def wants(self, event_type: type[Event]) -> bool:
        """
        Answer whether anybody would be told of an *event_type*.
        """
        own = self._subscriptions
        return EVERYWHERE.wants(event_type) or (
            own is not None and own.wants(event_type)
        )

    def put(self, event: Event) -> None:
        """
        Append *event*; the caller holds the lock of the instance.
        """
        self._pending.append(event)

    def deliver(self) -> None:
        """
        Tell the listeners what is pending, unless somebody is at it already.
        """
        # Looked at again after the release: an event put in between would
        # otherwise lie there until the next one.
        while self._pending and self._busy.acquire(blocking=False):
            try:
                while self._pending:
                    event = self._pending.popleft()
                    EVERYWHERE.call(event)
                    if self._subscriptions is not None:
                        self._subscriptions.call(event)
            finally:
                self._busy.release()

    def after_fork(self) -> None:
        """
        Leave the parent's events to the parent. Runs in a forked child.
        """
        self._pending.clear()
        self._busy = Lock()
        if self._subscriptions is not None:
            self._subscriptions._after_fork()  # noqa: SLF001 -- same module


def subscribe(
    listener: Listener, *event_types: type[Event]
) -> Callable[[], None]:
    """
    Call *listener* with the events of every instance.

    Events of one instance arrive one at a time, in the order they happened,
    in whichever thread delivers them, with no lock held. Errors of a listener
    are logged and otherwise ignored.

    Args:
        listener: Any callable that takes one event. Must not block.
        event_types: Which events, subclasses included. None given: all.

    Returns:
        A function that ends the subscription; harmless when called again.

    Raises:
        TypeError: If *listener* is not callable or is a coroutine function,
            or one of *event_types* is not an event class.

    .. versionadded:: 0.1.0
    """
    return EVERYWHERE.add(listener, *event_types)


def _checked_listener(listener: Any) -> Any:
    if not callable(listener):
        msg = f"listener must be callable, not {listener!r}"
        raise TypeError(msg)
    if inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(
        getattr(listener, "__call__", None)  # noqa: B004 -- not a callability test
    ):
        msg = f"listener must be an ordinary function, not a coroutine function: {listener!r}"
        raise TypeError(msg)
    return listener


def _checked_types(event_types: tuple[Any, ...]) -> tuple[type[Event], ...]:
    for event_type in event_types:
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            msg = f"event_types must be event classes, not {event_type!r}"
            raise TypeError(msg)
    return event_types or (Event,)
