"""
An event loop whose sleeps the scheduler knows.
"""

from __future__ import annotations

import asyncio

from typing import TYPE_CHECKING, Any
from zlib import crc32

from explorer.scheduler import Scheduler


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


_SELECT = crc32(b"select")


class _Bell:
    """
    Be what a loop sleeps on: free once somebody has rung.
    """

    def __init__(self) -> None:
        self.rang = False

    def is_free(self) -> bool:
        return self.rang

    def select(self, timeout: float | None) -> list[Any]:
        """
        Sleep until somebody rings, or so long: the loop's way to wait.
        """
        scheduler = Scheduler.current
        party = None if scheduler is None else scheduler.me()
        if scheduler is not None and party is not None:
            scheduler.point(party, _SELECT)
            deadline = None
            if timeout is not None:
                deadline = scheduler.now + round(timeout * 1e9)
            if not self.rang and timeout != 0:
                scheduler.block(party, self, deadline)
        self.rang = False
        return []


class ScheduledLoop(asyncio.BaseEventLoop):
    """
    Run tasks in virtual time, and be called from scheduled threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Bell()

    def time(self) -> float:
        scheduler = Scheduler.current
        return 0.0 if scheduler is None else scheduler.now / 1e9

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        self._selector.rang = True


def in_loop(function: Callable[[], Coroutine[Any, Any, Any]]) -> Callable[[], Any]:
    """
    Return a call that runs the coroutine of *function* in a loop of its own.
    """

    def call() -> Any:
        with asyncio.Runner(loop_factory=ScheduledLoop) as runner:
            return runner.run(function())

    return call
