"""
Give a forked child locks of its own.

A child of ``os.fork`` inherits every lock in the state it was in, held ones
for ever. Whoever owns a lock is tracked here, weakly, and told in the child.
"""

from __future__ import annotations

import os

from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet


if TYPE_CHECKING:

    class Forkable(Protocol):
        """
        Own something a forked child must not inherit.
        """

        def _after_fork(self) -> None:
            """
            Replace locks, forget the parent's waiters. Runs in the child, alone.
            """


_tracked: WeakSet[Forkable] = WeakSet()


def track(owner: Forkable) -> None:
    """
    Tell *owner* in every forked child, as long as it lives.
    """
    _tracked.add(owner)


def untrack(owner: Forkable) -> None:
    """
    Leave telling *owner* to the container that holds it.
    """
    _tracked.discard(owner)


def tracked() -> list[Forkable]:
    """
    Return everybody who is tracked now.
    """
    while True:
        try:
            return list(_tracked)
        except RuntimeError:
            # Another thread tracked somebody meanwhile.
            continue


def _after_fork_in_child() -> None:
    errors: list[Exception] = []
    for owner in list(_tracked):
        try:
            owner._after_fork()  # noqa: SLF001 -- the protocol is ours
        except Exception as error:  # noqa: BLE001 -- raised below
            # Another thread was just making it, say; the rest need their locks.
            errors.append(error)
    if errors:
        msg = "some objects of the parent cannot be used after the fork"
        raise ExceptionGroup(msg, errors)


if hasattr(os, "register_at_fork"):  # pragma: no branch -- absent on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
