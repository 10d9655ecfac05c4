"""
Threads that stay from run to run.

The first run of code in a thread is not like the others: free-threaded builds
keep bytecode of its own for each thread, and who is told of its steps is told
late. The same threads all the time get over that once.
"""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread
from contextvars import Context
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable


class Worker:
    """
    Do one job after the other, each in an empty context.
    """

    def __init__(self) -> None:
        self._job: Callable[[], None] | None = None
        self._given = allocate_lock()
        self._given.acquire()
        #: Held as long as it has a job.
        self._busy = allocate_lock()
        start_new_thread(self._work, ())

    def give(self, job: Callable[[], None]) -> None:
        """
        Let it do *job* once it is done with the one before.
        """
        self._busy.acquire()
        self._job = job
        self._given.release()

    def rest(self) -> None:
        """
        Wait until it is done, and has let go of what it was given.
        """
        with self._busy:
            pass

    def _work(self) -> None:
        while True:
            self._given.acquire()
            job, self._job = self._job, None
            if job is not None:
                Context().run(job)
            del job
            self._busy.release()


_workers: list[Worker] = []


def crew(size: int) -> list[Worker]:
    """
    Return so many, the same each time.
    """
    while len(_workers) < size:
        _workers.append(Worker())
    return _workers[:size]


def rest() -> None:
    """
    Wait until they have let go of everything; those that are stuck are not asked.
    """
    for worker in _workers:
        worker.rest()


def abandon() -> None:
    """
    Never ask them again: they are stuck.
    """
    _workers.clear()
