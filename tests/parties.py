"""
What the tests of waiting share: threads and loops that report back.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from functools import wraps


#: How long to wait for what is certain to happen, in seconds.
PATIENCE = 20.0


class Party(threading.Thread):
    """
    Run *function* in a thread of its own, and keep what became of it.
    """

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self._call = (function, args)
        self._outcome = None
        self._error = None
        self.start()

    def run(self):
        function, args = self._call
        try:
            self._outcome = function(*args)
        except BaseException as error:
            self._error = error

    def outcome(self):
        """
        Return what the function returned, or raise what it raised.
        """
        self.join(PATIENCE)
        assert not self.is_alive(), "a thread hangs"
        if self._error is not None:
            raise self._error
        return self._outcome


class LoopParty:
    """
    Run an event loop in a thread of its own, until the block ends.
    """

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = Party(self.loop.run_forever)
        return self

    def start(self, coroutine):
        """
        Run *coroutine* as a task; return a future for other threads.
        """
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def block(self):
        """
        Block the loop; return once it is, with a function that ends it.
        """
        blocked, leave = threading.Event(), threading.Event()

        def hold():
            blocked.set()
            assert leave.wait(PATIENCE)

        self.loop.call_soon_threadsafe(hold)
        assert blocked.wait(PATIENCE)
        return leave.set

    def __exit__(self, *exc_info):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.outcome()
        self.loop.close()


def until(true):
    """
    Spin until *true*, which is certain to come.
    """
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.0005)


def queued(limiter, count):
    """
    Spin until *count* wait for *limiter*, which had admitted one call before.

    Those that were admitted meanwhile, the machine being slow, count as well.
    """

    def there():
        snapshot = limiter.snapshot()
        return snapshot.waiting + snapshot.admitted > count

    until(there)


def soon_enough(measure, limit, attempts=3):
    """
    Measure up to three times, as the machine may stall; return the best.
    """
    best = measure()
    for _ in range(attempts - 1):
        if best < limit:
            break
        best = min(best, measure())
    return best


async def settled():
    """
    Let the loop do what is to be done now.
    """
    for _ in range(5):
        await asyncio.sleep(0)


def untraced(test):
    """
    Run *test* without whoever traces lines, coverage for one.

    Its tracer takes a lock at every call, and a signal handler may run inside:
    with another thread tracing under the lock the handler wants, both wait for
    ever. No line needs these tests to be covered.
    """

    @wraps(test)
    def run(*args, **kwargs):
        tracer, of_threads = sys.gettrace(), threading.gettrace()
        sys.settrace(None)
        threading.settrace(None)
        try:
            return test(*args, **kwargs)
        finally:
            threading.settrace(of_threads)
            sys.settrace(tracer)

    return run
