"""
What limiters and breakers have in common: a name, a lock, an outbox.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

from switchgear import _fork
from switchgear._listeners import Outbox
from switchgear._validate import instance_name


if TYPE_CHECKING:
    from collections.abc import Callable

    from switchgear._listeners import Listener
    from switchgear.events import Event


class Instance:
    """
    Own a name, a lock and an outbox.
    """

    __slots__ = (
        "__weakref__",
        "_alone",
        "_home",
        "_lock",
        "_name",
        "_outbox",
        "_own",
    )

    def __init__(self, name: str | None) -> None:
        self._name = instance_name("name", name)
        # Re-entrant: a signal handler may use the object it interrupts.
        self._lock = RLock()
        self._outbox = Outbox()
        #: The settings changed at run time: what lies below leaves them alone.
        self._own: frozenset[str] = frozenset()
        #: Whether somebody changed the settings of this one by itself: then
        #: another that is made like the others would not be like this one.
        self._alone = False
        #: How to find this instance in another process; the registry knows.
        self._home: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
        _fork.track(self)

    @property
    def name(self) -> str | None:
        """
        The name given when it was made.
        """
        return self._name

    def subscribe(
        self, listener: Listener, *event_types: type[Event]
    ) -> Callable[[], None]:
        """
        Call *listener* with the events of this instance alone.

        See :func:`switchgear.subscribe`, which listens to all.
        """
        return self._outbox.subscribe(listener, *event_types)

    def _check_like(self, pattern: Any) -> None:
        """
        Raise what going on with the settings of *pattern* would raise.
        """

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._home is None:
            msg = (
                f"{type(self).__name__} {self._name or 'without a name'!r} cannot be"
                " pickled or copied: only named instances of the default registry"
                " can, as their name and definition"
            )
            raise TypeError(msg)
        return self._home

    def _note_bypass(self) -> None:
        """
        Take notice that protection was switched off or on; see ``_bypass``.
        """

    def _after_fork(self) -> None:
        self._lock = RLock()
        self._outbox.after_fork()
