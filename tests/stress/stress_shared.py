"""
Hammer shared objects from everywhere at once, and count what really happened.

    stress_shared.py [SECONDS]

Threads, tasks of two event loops, cancellation and timeouts, exceptions thrown
into threads, signal handlers and forks, all on the same few objects, with
threads switched as often as Python can. In the end every step must be accounted
for, nobody may hang, and no limiter may have admitted more than it says. A run
in which nobody got into anybody's way proves nothing, and fails.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import logging
import math
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings

from collections import Counter
from contextlib import contextmanager, suppress

from switchgear import (
    AtomicCounter,
    CircuitBreaker,
    CircuitOpenError,
    RateLimiter,
    RateLimitExceeded,
    Registry,
    ThreadSafeSet,
)
from switchgear._core.queue import SLACK


RATE, BURST = 2_000, 5

SLOTS = 2

#: How long whatever is left at the end may take, in seconds.
PATIENCE = 30.0

#: Whether nothing can come between taking a lock and the block it is held in.
#: In 3.14 an exception can, and the lock is never released:
#: https://github.com/python/cpython/issues/148874
IS_WITH_SAFE = sys.version_info[:2] != (3, 14)

#: What a run must have had to prove anything.
KINDS = (
    "operations",
    "collisions",
    "cancels",
    "timeouts",
    *(["interruptions"] if IS_WITH_SAFE else []),
    "signals",
    "forks",
)


class Interruption(BaseException):
    """
    Be thrown into threads at any moment.
    """


class Place:
    """
    Notice that two calls of the same object overlap, without any lock.

    Whoever draws two numbers in a row was alone; drawing one is a single step.
    """

    def __init__(self):
        self._numbers = itertools.count()

    def enter(self):
        return next(self._numbers)

    def was_shared(self, entered):
        return next(self._numbers) != entered + 1


class Party(threading.Thread):
    """
    Do one thing over and over, and keep count of it.
    """

    def __init__(self, stress, act):
        super().__init__(daemon=True)
        self.stress = stress
        self.act = act
        self.counts = Counter()
        self.chance = random.Random(act.__name__)
        self.error = None
        #: Calls admitted by the limiter: when each began and ended.
        self.admitted = []
        self.added = 0
        self.new = 0

    def run(self):
        # One may be thrown while another is being caught.
        with suppress(Interruption):
            while self.stress.is_on():
                with suppress(Interruption):
                    self.work()

    def work(self):
        try:
            while self.stress.is_on():
                self.act(self)
                self.counts["operations"] += 1
                if self.counts["operations"] % 50 == 0:
                    # Or who wakes up would hardly ever get its turn.
                    time.sleep(0.001)
        except Interruption:
            self.counts["interruptions"] += 1
            raise
        except BaseException as error:
            self.error = error
            raise

    @contextmanager
    def at(self, place):
        entered = place.enter()
        try:
            yield
        finally:
            self.counts["collisions"] += place.was_shared(entered)


class Stress:
    """
    Be the objects, everybody who uses them, and what must hold in the end.
    """

    def __init__(self, seconds):
        self.until = time.monotonic() + seconds
        #: On a busy machine rare things take a while.
        self.latest = self.until + min(PATIENCE, 10 * seconds)
        self.parties = []
        self.counter = AtomicCounter()
        self.seen = ThreadSafeSet()
        self.recent = ThreadSafeSet(max_size=50)
        self.limiter = RateLimiter(RATE, burst=BURST)
        self.breaker = CircuitBreaker(
            threshold=3, cooldown=0.001, half_open_probes=SLOTS, probe_timeout=0.05
        )
        self.registry = Registry()
        self.places = {
            name: Place() for name in ("counter", "set", "limiter", "breaker", "names")
        }
        self.main = Party(self, self.wait)
        self.victims = []
        self.handled = Counter()
        self.is_handling = False
        #: A child drops the other threads' frames, and with them what they held,
        #: before anybody is told that it is one: what finalisers and signal
        #: handlers lock then may be locked for ever.
        self.is_forking = False
        self.forks = 0

    def is_on(self):
        now = time.monotonic()
        if now < self.until:
            return True
        return now < self.latest and not all(self.counts()[kind] for kind in KINDS)

    def counts(self):
        counts = sum((one.counts for one in self.parties), Counter())
        counts["signals"], counts["forks"] = self.handled["signals"], self.forks
        return counts

    # What threads do

    def count(self, party):
        with party.at(self.places["counter"]):
            self.counter.increment(3)
            self.counter.decrement()
        party.added += 2

    def add(self, party):
        with party.at(self.places["set"]):
            party.new += self.seen.add(party.chance.randrange(10**5))
            self.recent.add(party.chance.randrange(100))
        assert len(self.recent) <= 50

    def ask(self, party):
        began = time.monotonic_ns()
        with party.at(self.places["limiter"]):
            decision = self.limiter.try_acquire()
        if decision:
            party.admitted.append((began, time.monotonic_ns()))

    def wait(self, party):
        timeout = party.chance.choice([None, 0.0, 0.001, 0.05])
        began = time.monotonic_ns()
        with party.at(self.places["limiter"]), suppress(RateLimitExceeded):
            self.limiter.wait(timeout=timeout)
            party.admitted.append((began, time.monotonic_ns()))

    def call(self, party):
        permit = self.breaker.try_acquire()
        with party.at(self.places["breaker"]):
            if permit:
                (permit.failure if party.chance.random() < 0.4 else permit.success)()

    def guard(self, party):
        with (
            party.at(self.places["breaker"]),
            suppress(OSError, CircuitOpenError),
            self.breaker.guard(),
        ):
            if party.chance.random() < 0.4:
                raise OSError

    def look_up(self, party):
        name = f"n{party.chance.randrange(200)}"
        with party.at(self.places["names"]):
            mine = self.registry.breaker(name, threshold=3)
            theirs = self.registry.breaker(name)
        assert mine is theirs

    def configure(self, party):
        time.sleep(0.002)
        with party.at(self.places["limiter"]):
            self.limiter.reconfigure(calls_per_second=party.chance.choice([RATE, 1000]))
        with party.at(self.places["breaker"]):
            self.breaker.reconfigure(threshold=party.chance.choice([2, 3]))

    def run_loop(self, party):
        """
        Run tasks that wait; cancel some, and let others' time run out.
        """

        async def wait():
            began = time.monotonic_ns()
            await self.limiter.wait_async()
            party.admitted.append((began, time.monotonic_ns()))

        async def main():
            with party.at(self.places["limiter"]):
                tasks = [asyncio.create_task(wait()) for _ in range(10)]
                await asyncio.sleep(party.chance.random() * 0.005)
            for task in tasks:
                if party.chance.random() < 0.4:
                    party.counts["cancels"] += task.cancel()
            for task in tasks:
                try:
                    async with asyncio.timeout(party.chance.choice([0.0005, None])):
                        await task
                except TimeoutError:
                    party.counts["timeouts"] += 1
                except asyncio.CancelledError:
                    pass

        asyncio.run(main())

    def throw(self, party):
        """
        Throw an exception into one of the victims, wherever it is.
        """
        time.sleep(0.002)
        ident = ctypes.c_ulong(party.chance.choice(self.victims).ident)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ident, ctypes.py_object(Interruption)
        )

    # What the main thread does

    def handle(self, *_):
        """
        Use everything, from within whatever the main thread is at.
        """
        if self.is_handling or self.is_forking:
            return
        self.is_handling = True
        began = time.monotonic_ns()
        self.counter.increment(0)
        if self.limiter.try_acquire():
            self.main.admitted.append((began, time.monotonic_ns()))
        self.breaker.record_success()
        self.seen.add(-1)
        self.handled["signals"] += 1
        self.is_handling = False

    def fork(self):
        """
        Fork in the middle; the child must be able to use everything.
        """
        with warnings.catch_warnings():
            # Python warns of forking with threads; that is what is tried.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.is_forking = True
            child = os.fork()
            self.is_forking = False
        if child == 0:
            status = 1
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
                # The default action, not a handler: it ends a deadlock, too.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(20)
                self.counter.increment()
                self.seen.add("child")
                self.recent.add("child")
                self.limiter.wait()
                self.registry.breaker("child", threshold=3)
                self.breaker.reset()
                with self.breaker.guard():
                    status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, "a child could not go on"
        self.forks += 1

    def run(self):
        """
        Do all of it at once; return how often what was done.
        """
        work = [self.count] * 2 + [self.add] * 2 + [self.ask] + [self.wait] * 2
        work += [self.call] * 2 + [self.guard] * 2 + [self.look_up] * 2
        work += [self.configure] + [self.run_loop] * 2
        work += [self.throw] if IS_WITH_SAFE else []
        threads = [Party(self, act) for act in work]
        self.victims = [Party(self, act) for act in (self.wait, self.guard, self.ask)]
        self.parties = [*threads, *self.victims, self.main]
        before = signal.signal(signal.SIGALRM, self.handle)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        try:
            for thread in [*self.victims, *threads]:
                thread.start()
            for turn in itertools.count():
                if not self.is_on():
                    break
                # In the main thread: signals are handled inside.
                for act in (self.wait, self.guard, self.count, self.look_up):
                    act(self.main)
                    self.main.counts["operations"] += 1
                if turn % 4 == 0:
                    self.fork()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        for thread in [*threads, *self.victims]:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"hangs: {thread.act.__name__}"
            assert thread.error is None, thread.error
        self.check(self.parties)
        return self.counts()

    # What must hold

    def check(self, parties):
        """
        Account for every step.
        """
        added = sum(one.added for one in parties)
        assert self.counter.value == added, f"{self.counter.value} of {added} steps"
        # One is the signal handler's.
        new = sum(one.new for one in parties) + (-1 in self.seen)
        assert len(self.seen) == new, "an item was new to two, or to nobody"
        self.check_limiter(parties)
        self.check_breaker()

    def check_limiter(self, parties):
        """
        No window had more than the limiter says, and nobody is left.
        """
        known = [span for one in parties for span in one.admitted]
        # Whoever was interrupted may have been admitted without knowing.
        unknown = sum(one.counts["interruptions"] for one in parties)
        cancelled = sum(
            one.counts["cancels"] + one.counts["timeouts"] for one in parties
        )
        snapshot = self.limiter.snapshot()
        assert 0 == snapshot.waiting, "somebody still waits"
        assert len(known) <= snapshot.admitted <= len(known) + unknown + cancelled
        most = most_at_once(known, RATE)
        assert most <= BURST + RATE * SLACK / 1e9, f"{most:g} tokens at once"

    def check_breaker(self):
        """
        It can close, and gives out as many probes as it has.
        """
        self.breaker.reconfigure(probe_timeout=3600)
        self.breaker.reset()
        assert self.breaker.try_acquire(), "the circuit cannot close"
        for _ in range(3):
            self.breaker.record_failure()
        deadline = time.monotonic() + PATIENCE
        while self.breaker.is_open and time.monotonic() < deadline:
            time.sleep(0.001)
        probes = [self.breaker.try_acquire() for _ in range(SLOTS + 1)]
        assert [True] * SLOTS + [False] == [bool(one) for one in probes], "probes"
        probes[0].success()
        assert self.breaker.snapshot().state.value == "closed", "it does not close"


def most_at_once(spans, rate):
    """
    Return the largest count of spans within any window, less *rate* for its length.

    A window begins where a span begins, and ends where one ends. As the begin
    goes back, spans are added to a tree over the ends: it knows of each how many
    are added up to there, less the rate, and so the largest.
    """
    if not spans:
        return 0.0
    origin = min(spans)[0]
    size = 1 << len(spans).bit_length()
    ranks = sorted(range(len(spans)), key=lambda number: spans[number][1])
    rank_of = {number: rank for rank, number in enumerate(ranks)}
    count, best = [0] * (2 * size), [-math.inf] * (2 * size)
    worst = -math.inf
    for number in sorted(range(len(spans)), key=spans.__getitem__, reverse=True):
        began, ended = spans[number]
        node = size + rank_of[number]
        count[node], best[node] = 1, 1 - rate * (ended - origin) / 1e9
        while node > 1:
            node //= 2
            left, right = 2 * node, 2 * node + 1
            count[node] = count[left] + count[right]
            best[node] = max(best[left], count[left] + best[right])
        worst = max(worst, best[1] + rate * (began - origin) / 1e9)
    return worst


def main(arguments):
    """
    Run, and say what was done; return the exit status.
    """
    seconds = float(arguments[0]) if arguments else 60.0
    # Circuits open thousands of times: no line for each.
    logging.disable()
    threading.excepthook = lambda args: (
        issubclass(args.exc_type, Interruption) or threading.__excepthook__(args)
    )
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        counts = Stress(seconds).run()
    finally:
        sys.setswitchinterval(interval)
    gil = "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off"
    told = ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS)
    sys.stdout.write(f"Stress, {seconds:g} s, GIL {gil}: {told}\n")
    missing = [kind for kind in KINDS if not counts[kind]]
    if missing:
        sys.stdout.write(f"This proves nothing: no {', no '.join(missing)}.\n")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
