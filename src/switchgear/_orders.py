"""
What is done to all instances of a container, and to new ones as they come.
"""

# ruff: noqa: SLF001 -- a container and what it holds know each other

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from switchgear._limiter_settings import in_one
from switchgear._listeners import Outbox


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from switchgear.events import Event


class Orders(NamedTuple):
    """
    Say what was done to all instances, and is to be done to new ones.
    """

    #: Settings changed at run time, with as few calls as that takes.
    changes: tuple[dict[str, Any], ...] = ()
    #: Instead, if all are made alike: has the settings of all, and knows which
    #: of them were changed. None: they are as they were made.
    model: Any = None
    closed: str | None = None

    def and_change(self, change: dict[str, Any]) -> Orders:
        """
        Add *change*.
        """
        return self._replace(changes=in_one(self.changes, change))


NO_ORDERS = Orders()


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


def obey(instance: Any, orders: Orders, before: Orders = NO_ORDERS) -> None:
    """
    Do to a new *instance*, which only we know, what was done to all others.

    It did what was in the orders *before*, if any. Not a word is said.
    """
    if orders is before:
        return
    outbox = instance._outbox
    instance._outbox = _SILENT
    try:
        if before.closed is not None:
            set_closed(instance, None)
        fresh = instance._idle()
        if orders.model is not None:
            instance._configure_like(orders.model, forget=True)
        for change in orders.changes:
            instance.reconfigure(**change)
        if fresh:
            # Not a changed instance, but a new one with other settings.
            instance.reset()
        if orders.closed is not None:
            set_closed(instance, orders.closed)
    finally:
        instance._outbox = outbox


def silenced(instance: Any) -> Any:
    """
    Return *instance*, which nobody else knows: nobody hears of it either.
    """
    instance._outbox = _SILENT
    return instance


def set_closed(instance: Any, closed: str | None) -> None:
    """
    Close a limiter for that reason, or reopen it; breakers are left alone.
    """
    if hasattr(instance, "close"):
        if closed is None:
            instance.reopen()
        else:
            instance.close(closed)


def surely(act: Callable[[], None]) -> None:
    """
    Do it, and once more if that was interrupted: it may be done by half.
    """
    try:
        act()
    except BaseException:
        act()
        raise


def each(instances: Iterable[Any], act: Callable[[Any], None]) -> None:
    """
    Do it to all of them, whatever becomes of it, and raise what came first.

    An interruption (Ctrl-C) before other errors: it is meant for the program.
    """
    errors: list[BaseException] = []
    left = iter(instances)
    while True:
        # Around the loop: an interruption may come between two of them as well.
        try:
            for instance in left:
                act(instance)
            break
        except BaseException as error:  # noqa: BLE001 -- raised below
            errors.append(error)
    if errors:
        try:
            raise min(errors, key=lambda one: isinstance(one, Exception))
        finally:
            # Its traceback leads here: no cycle.
            errors.clear()
