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
    errors: list[BaseException] = []
    left: list[Forkable] | None = None
    failed: Forkable | None = None
    while left is None or left:
        # Around the loop: Ctrl-C may come between two of them as well.
        try:
            if left is None:
                left = tracked()
            while left:
                left[-1]._after_fork()  # noqa: SLF001 -- the protocol is ours
                del left[-1]
        except BaseException as error:  # noqa: BLE001 -- raised below
            if left and left[-1] is failed:
                # Not interrupted: another thread was just making it, say. The rest
                # need their locks.
                del left[-1]
            else:
                errors.append(error)
                failed = left[-1] if left else None
    if errors:
        msg = "some objects of the parent cannot be used after the fork"
        raise BaseExceptionGroup(msg, errors)


if hasattr(os, "register_at_fork"):  # pragma: no branch -- absent on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
