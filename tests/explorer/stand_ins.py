"""
Locks and a clock that the scheduler knows, put where the package has real ones.
"""

from __future__ import annotations

import sys
import time

from _thread import get_ident
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zlib import crc32

from explorer.failure import DeadlockError
from explorer.scheduler import Scheduler
from switchgear._listeners import EVERYWHERE
from switchgear._registry import registry


if TYPE_CHECKING:
    from collections.abc import Iterator

    from explorer.scheduler import Party


_ACQUIRE, _RELEASE, _READ = (crc32(what) for what in (b"acquire", b"release", b"read"))


def _here() -> tuple[Scheduler, Party] | None:
    scheduler = Scheduler.current
    party = None if scheduler is None else scheduler.me()
    return None if scheduler is None or party is None else (scheduler, party)


class ScheduledRLock:
    """
    Be what ``threading.RLock`` is, for threads that are scheduled.
    """

    def __init__(self) -> None:
        self._owner = 0
        self._count = 0

    def is_free(self) -> bool:
        return not self._owner

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        assert blocking
        assert timeout == -1
        me = get_ident()
        if self._owner != me:
            here = _here()
            if here is not None:
                scheduler, party = here
                scheduler.point(party, _ACQUIRE)
                while self._owner:
                    scheduler.block(party, self)
            elif self._owner:
                msg = "a lock is still held after everybody is done"
                raise DeadlockError(msg)
            self._owner = me
        self._count += 1
        return True

    __enter__ = acquire

    def release(self) -> None:
        if self._owner != get_ident():
            msg = "cannot release a lock that is another's"
            raise RuntimeError(msg)
        self._count -= 1
        if not self._count:
            self._owner = 0
            here = _here()
            if here is not None:
                here[0].point(here[1], _RELEASE)

    def __exit__(self, *_: object) -> None:
        self.release()


class ScheduledLock:
    """
    Be what ``_thread.allocate_lock`` returns, for threads that are scheduled.
    """

    def __init__(self) -> None:
        self._is_taken = False

    def is_free(self) -> bool:
        return not self._is_taken

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        here = _here()
        if here is None:
            assert not self._is_taken, "a thread outside of the schedule would block"
        else:
            scheduler, party = here
            scheduler.point(party, _ACQUIRE)
            deadline = None if timeout == -1 else scheduler.now + round(timeout * 1e9)
            while self._is_taken:
                if not blocking or not scheduler.block(party, self, deadline):
                    return False
        self._is_taken = True
        return True

    def release(self) -> None:
        if not self._is_taken:
            msg = "release unlocked lock"
            raise RuntimeError(msg)
        self._is_taken = False
        here = _here()
        if here is not None:
            here[0].point(here[1], _RELEASE)


class ScheduledTime:
    """
    Be what the package uses of the module ``time``, and a clock.
    """

    #: Not zero: what is taken for the beginning of time must not matter.
    START = 1_000_000_000_000

    @staticmethod
    def monotonic_ns() -> int:
        scheduler = Scheduler.current
        if scheduler is None:
            return ScheduledTime.START
        party = scheduler.me()
        if party is not None:
            scheduler.point(party, _READ)
        return scheduler.now

    time = staticmethod(time.time)


_STAND_INS: dict[str, Any] = {
    "RLock": ScheduledRLock,
    "allocate_lock": ScheduledLock,
    "time": ScheduledTime,
}


@contextmanager
def stand_ins() -> Iterator[None]:
    """
    Have the package use scheduled locks and time until the block ends.
    """
    replaced = [
        (module, name, vars(module)[name])
        for path, module in list(sys.modules.items())
        if path.partition(".")[0] == "switchgear" and "testing" not in path
        for name in _STAND_INS
        if name in vars(module)
    ]
    try:
        for module, name, _ in replaced:
            setattr(module, name, _STAND_INS[name])
        _renew_early_locks()
        yield
    finally:
        for module, name, before in replaced:
            setattr(module, name, before)
        _renew_early_locks()


def _renew_early_locks() -> None:
    # Those that were made when the package was imported.
    for owner in (EVERYWHERE, registry, *(one.listener for one in EVERYWHERE._who)):
        renew = getattr(owner, "_after_fork", None)
        if renew is not None:
            renew()
