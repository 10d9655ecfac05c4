"""
Ctrl-C and SIGTERM: once, and orderly, in threads and in an event loop.
"""

from __future__ import annotations

import asyncio
import signal

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


class Interruption:
    """
    Turn the first Ctrl-C into KeyboardInterrupt, and leave it at that.

    SIGTERM is the same: who stops a program otherwise means it as well.
    What is to be done then is short, and to be done: further ones are ignored.
    Inside of :meth:`run` the coroutine is cancelled first: raised in the middle
    of whatever task is at it, KeyboardInterrupt would leave the others lying.
    """

    def __init__(self) -> None:
        self._happened = False
        self._cancel: Callable[[], object] | None = None

    def listen(self) -> None:
        """
        Listen for Ctrl-C, unless this is a background job, which ignores it.
        """
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._notice)

    def ignore(self) -> None:
        """
        Listen no more, and have nothing interrupted: what is left is short.
        """
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """
        Have what comes inside the block raised at its end.
        """
        before = self._happened
        self._cancel = _nothing
        try:
            yield
        finally:
            self._cancel = None
        if self._happened and not before:
            raise KeyboardInterrupt

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """
        Run *coroutine* in an event loop of its own.
        """
        # Nothing is raised while the loop is built up or taken down, either.
        self._cancel = _nothing
        try:
            with suppress(asyncio.CancelledError):
                asyncio.run(self._cancellable(coroutine))
        finally:
            self._cancel = None
        if self._happened:
            raise KeyboardInterrupt

    async def _cancellable(self, coroutine: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine)
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._happened:
            task.cancel()
        try:
            await task
        finally:
            self._cancel = _nothing

    def _notice(self, *_: object) -> None:
        self.ignore()
        self._happened = True
        if self._cancel is None:
            raise KeyboardInterrupt
        self._cancel()


_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def _nothing() -> None:
    pass
