"""
Hammer shared objects from everywhere at once, and count what really happened.

    stress_shared.py [SECONDS]

Threads, tasks of two event loops, cancellation and timeouts, bookings that go
back, exceptions thrown into threads, signal handlers and forks, all on the same
few objects, with threads switched as often as Python can. In the end every step
must be accounted for and have been told, nobody may hang, no limiter may have
admitted more than it says, and no circuit let through more probes. A run in which
nobody got into anybody's way proves nothing, and fails.

Everybody keeps books on what became of each step. Only an exception that is
thrown into a thread can keep it from learning that: each such step is noted, and
may be missing, or have been made, once.
"""

from __future__ import annotations

import asyncio
import bisect
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

from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path

import switchgear

from switchgear import (
    AtomicCounter,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    RateLimiter,
    RateLimitExceeded,
    Registry,
    ThreadSafeSet,
)
from switchgear._core.place import Status
from switchgear._core.queue import SLACK, Queue
from switchgear._waiting import ThreadWaiter
from switchgear.events import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitRefused,
    LimiterClosed,
    LimiterPaused,
    LimiterReopened,
    RateLimitRefused,
    RateLimitWaited,
)


RATE, BURST = 400, 5

#: How many probes a circuit lets through at a time, and for how long, in
#: nanoseconds.
SLOTS, LEASE = 2, 50_000_000

#: How many items one set is asked for, and how many the other remembers.
ITEMS, MAX_SIZE = 200, 50

#: How long whatever is left at the end may take, in seconds.
PATIENCE = 30.0

#: Whether nothing can come between taking a lock and the block it is held in.
#: In 3.14 an exception can, and the lock is never released:
#: https://github.com/python/cpython/issues/148874
IS_WITH_SAFE = sys.version_info[:2] != (3, 14)

#: Which limiters are never closed, paused or stalled: who uses these alone does
#: not sleep for long.
STEADY = ("limiter", "spared limiter")

#: Where each event leaves a circuit.
LEADS_TO = {
    CircuitOpened: CircuitState.OPEN,
    CircuitHalfOpened: CircuitState.HALF_OPEN,
    CircuitClosed: CircuitState.CLOSED,
}

#: What a limiter tells only while it is open, or only while it is closed.
TOLD_IN_ORDER = RateLimitRefused, RateLimitWaited, LimiterClosed, LimiterReopened

#: What is said of a run.
KINDS = (
    "operations",
    "collisions",
    "cancels",
    "timeouts",
    *(["interruptions"] if IS_WITH_SAFE else []),
    "signals",
    "forks",
    "bookings",
)

#: Where two can meet.
PLACES = (
    "counter",
    "set",
    "limiter",
    "spared limiter",
    "booked limiter",
    "breaker",
    "spared breaker",
    "names",
)

#: What a run must have had to prove anything.
WANTED = (
    *KINDS,
    *(f"collisions at the {place}" for place in PLACES),
    # Of tasks that had been admitted, and did not know it yet.
    "cancels after the turn",
    # The code that is tried, not that of this file, was interrupted in the middle.
    *(["interruptions inside"] if IS_WITH_SAFE else []),
    "signals inside",
    # Also while it held a lock.
    "signals under a lock",
    # Once they had had their turn.
    "bookings given back late",
    "pauses",
    "closings",
    "tasks sent away",
)

#: Which of a kind are told apart.
SOME = {
    "cancels": ("after the turn",),
    "interruptions": ("inside",),
    "signals": ("inside", "under a lock"),
    "bookings": ("given back late",),
}

PACKAGE = str(Path(switchgear.__file__).parent)


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


class Call:
    """
    Be at a place for one call that does not sleep.
    """

    def __init__(self, place, counts, kind):
        self._place, self._counts, self._kind = place, counts, kind

    def __enter__(self):
        self._entered = self._place.enter()

    def __exit__(self, *_):
        if self._place.was_shared(self._entered):
            self._counts["collisions"] += 1
            self._counts[self._kind] += 1


class Recorder(Queue):
    """
    Be the queue of a limiter, and note when it admits, by its own clock.

    Of who is interrupted in that very moment the note may be missing; nobody is
    noted who was not admitted. Places are not kept: what is booked on them could
    go back as long as they live, and nobody would go the short way.
    """

    __slots__ = ("admitted_at", "attended", "gone_back", "visits")

    def __init__(self, budget, now):
        super().__init__(budget, now)
        #: When each token was admitted, and again for each that went back.
        self.admitted_at = []
        self.gone_back = []
        #: How many were admitted on whose places somebody waited.
        self.attended = 0
        #: How often each thread came by.
        self.visits = {}

    def serve(self, now, decided=None):
        me = threading.get_ident()
        self.visits[me] = self.visits.get(me, 0) + 1
        return super().serve(now, decided)

    def take(self, now, tokens, place=None):
        is_admitted = super().take(now, tokens, place)
        if is_admitted:
            self.admitted_at.extend([now] * tokens)
        return is_admitted

    def _decide_on(self, now, place, decided):
        known, is_attended = len(decided), place.waiter is not None
        super()._decide_on(now, place, decided)
        # Else it was somebody else who decided, in the middle of that.
        if len(decided) > known and place.status is Status.GRANTED:
            self.attended += is_attended
            self.admitted_at.extend([place.turned] * place.asks)

    def _amend(self, now, place, actual, status):
        if place.status is Status.GRANTED and place.settled is None:
            # Less may go back. Before it does: else it might be missing.
            self.gone_back.extend([place.turned] * (place.tokens - actual))
        return super()._amend(now, place, actual, status)


class Attempt:
    """
    Know of a call whether the queue was asked, which notes when it decides.
    """

    def __init__(self, limiter):
        self._visits, self._me = limiter._queue.visits, threading.get_ident()
        self._before = self._visits.get(self._me)
        self._began = time.monotonic_ns()

    def short_way(self):
        """
        Return from when to when it was decided on, if the queue was not asked.
        """
        if self._visits.get(self._me) == self._before:
            return [(self._began, time.monotonic_ns())]
        return []


class Listener:
    """
    Keep books on what one instance tells.
    """

    def __init__(self):
        self.counts = Counter()
        #: What was wrong with events: what a listener raises is only logged.
        self.wrong = Counter()
        self._place = Place()

    def __call__(self, event):
        entered = self._place.enter()
        self.counts[type(event)] += 1
        self.note(event)
        if self._place.was_shared(entered):
            self.wrong["two at a time"] += 1


class LimiterListener(Listener):
    """
    Know when a limiter was closed or paused.
    """

    def __init__(self):
        super().__init__()
        #: How many were sent away when it was closed.
        self.sent_away = 0
        #: From when to when nobody was to be admitted, in nanoseconds.
        self.spans = []
        #: Since when it is closed, or None.
        self._closed_at = None

    def note(self, event):
        is_closed = isinstance(event, LimiterReopened) or (
            isinstance(event, RateLimitRefused) and event.reason.startswith("closed")
        )
        if isinstance(event, TOLD_IN_ORDER) and is_closed is (self._closed_at is None):
            self.wrong[f"{type(event).__name__} out of order"] += 1
        if isinstance(event, LimiterPaused):
            self.keep(event.at, event.at + event.paused_for)
        elif isinstance(event, LimiterClosed):
            self.sent_away += event.waiting
            self._closed_at = event.at
        elif isinstance(event, LimiterReopened):
            self.keep(self._closed_at, event.at)
            self._closed_at = None

    def keep(self, since, until):
        # A microsecond less: the clock may have gone on for so long that floats do
        # not tell nanoseconds.
        self.spans.append((int(since * 1e9) + 1_000, int(until * 1e9) - 1_000))


class BreakerListener(Listener):
    """
    Know the state of a circuit: each event begins where the last one ended.
    """

    def __init__(self):
        super().__init__()
        self.state = CircuitState.CLOSED

    def note(self, event):
        if isinstance(event, CircuitRefused):
            before = after = event.state
        elif type(event) in LEADS_TO:
            before, after = event.from_state, LEADS_TO[type(event)]
        else:
            return
        if before is not self.state:
            self.wrong["out of order"] += 1
        self.state = after


class Books:
    """
    Keep what one party knows of what it has done.
    """

    def __init__(self):
        #: How many each limiter admitted.
        self.admitted = Counter()
        #: Of those that did not go by its queue: when each began and ended.
        self.short_ways = defaultdict(list)
        #: How many each sent away.
        self.refused = Counter()
        #: What became of calls behind the breaker.
        self.calls = Counter()
        #: How many the spared breaker refused.
        self.spared_refused = 0
        #: The generation of each probe, and from when to when it was out for sure.
        self.probes = []
        #: From when to when there may have been one.
        self.maybe_probes = []
        #: Until when probes are out of which nobody will ever report.
        self.kept = []
        #: When calls were refused because all probes were out.
        self.all_out = []
        #: What was added to the counter.
        self.added = 0
        #: How often each item was new, less how often it was discarded.
        self.items = Counter()
        #: The same for all items of the set with a bound.
        self.recent = 0
        #: What each name led to.
        self.named = {}
        #: What is just being done, by kind, and what that may have come to.
        self.doing = None
        #: What was being done, and nobody knows what became of it.
        self.doubts = defaultdict(list)

    def let_through(self, name, attempt):
        """
        Note that the limiter of that *name* has admitted a call.
        """
        self.short_ways[name] += attempt.short_way()
        self.admitted[name] += 1

    def done(self, what, lease, began):
        """
        Note that a call of then is done, and what it counts as.
        """
        self.calls["admitted"] += 1
        if what is not None:
            self.calls[what] += 1
        if lease is not None:
            now = time.monotonic_ns()
            self.maybe_probes.append((began, now))
            self.calls["late"] += now - began >= LEASE

    def keep(self, began):
        """
        Note that a call of then has not reported: its slot is free in good time.
        """
        ends = time.monotonic_ns() + LEASE
        self.maybe_probes.append((began, ends))
        self.kept.append(ends)

    def turned_away(self, state, began):
        """
        Note that the circuit, being in that *state*, refused a call of then.
        """
        self.calls["refused"] += 1
        if state is CircuitState.HALF_OPEN:
            self.all_out.append((began, time.monotonic_ns()))


class Party(threading.Thread):
    """
    Do one thing over and over, and keep count of it.
    """

    def __init__(self, stress, act):
        super().__init__(daemon=True)
        self.stress = stress
        self.act = act
        # All there will be: others read while this one counts.
        self.counts = Counter(dict.fromkeys(WANTED, 0))
        self.chance = random.Random(act.__name__)
        self.error = None
        self.books = Books()
        #: Whether something may be thrown at it: one at a time.
        self.is_ready = False
        self.thrown_at = 0

    def run(self):
        # What is thrown last may come when it is over.
        with suppress(Interruption):
            while self.stress.is_on():
                self.work()

    def work(self):
        try:
            self.is_ready = True
            while self.stress.is_on():
                self.act(self)
                self.counts["operations"] += 1
                if self.counts["operations"] % 10 == 0:
                    # Or who wakes up would hardly ever get its turn.
                    time.sleep(0.001)
                    if self.counts["operations"] > self.thrown_at + 100:
                        # It ended elsewhere: Python ignores what is raised in the
                        # callback of a weak reference.
                        self.is_ready = True
        except Interruption as error:
            # Nothing else is thrown before it is ready again.
            self.doubt(innermost(error))
        except BaseException as error:
            self.error = error
            raise

    def doubt(self, frame):
        """
        Note that what was being done may have been done.
        """
        self.counts["interruptions"] += 1
        self.counts["interruptions inside"] += is_inside(frame)
        if self.books.doing is not None:
            kind, what = self.books.doing
            if is_asleep(frame):
                # Then the place was given back, whatever it was.
                kind = f"{kind}, asleep"
            self.books.doubts[kind].append(what)
            if kind == "breaker":
                self.books.maybe_probes.append((what, time.monotonic_ns()))
            self.books.doing = None

    def at(self, place):
        """
        Return a block in which others may be met at *place*.
        """
        kind = f"collisions at the {place}"
        return Call(self.stress.places[place], self.counts, kind)


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
        self.recent = ThreadSafeSet(max_size=MAX_SIZE)
        #: Nobody who uses any but the first is thrown at: their books are exact.
        #: The last is booked ahead, paused, closed and reopened as well.
        self.limiters = {
            name: RateLimiter(RATE, burst=BURST) for name in (*STEADY, "booked limiter")
        }
        self.told = {name: LimiterListener() for name in self.limiters}
        for name, limiter in self.limiters.items():
            limiter._queue = Recorder(limiter._queue.budget, 0)
            limiter.subscribe(self.told[name])
        self.breaker = CircuitBreaker(
            threshold=3,
            cooldown=0.001,
            half_open_probes=SLOTS,
            probe_timeout=LEASE / 1e9,
        )
        #: Opens and closes all the time. Nobody who is thrown at uses it: an
        #: event may be lost with who was to tell it.
        self.spared_breaker = CircuitBreaker(threshold=1, cooldown=1e-6)
        self.told_of_breaker, self.told_of_spared = BreakerListener(), BreakerListener()
        self.breaker.subscribe(self.told_of_breaker)
        self.spared_breaker.subscribe(self.told_of_spared)
        self.registry = Registry()
        self.places = {name: Place() for name in PLACES}
        self.main = Party(self, self.wait)
        #: What is done in the handler: it comes amid what the main thread notes.
        self.handler = Party(self, self.use)
        self.victims = []
        #: Whether no signal is to come any more.
        self.is_over = False
        #: A child drops the other threads' frames, and with them what they held,
        #: before anybody is told that it is one: what finalisers and signal
        #: handlers lock then may be locked for ever.
        self.is_forking = False

    def is_on(self):
        now = time.monotonic()
        if now < self.until:
            return True
        return now < self.latest and not all(self.counts()[kind] for kind in WANTED)

    def counts(self):
        return sum((one.counts for one in self.parties), Counter())

    # What threads do

    def count(self, party):
        books = party.books
        books.doing = "counter", 3
        with party.at("counter"):
            self.counter.increment(3)
        books.added += 3
        books.doing = "counter", -1
        with party.at("counter"):
            self.counter.decrement()
        books.added -= 1
        seen = self.counter.value
        books.doing = "counter", 5
        with party.at("counter"):
            is_set = self.counter.compare_and_set(seen, seen + 5)
        books.added += 5 * is_set
        books.doing = None

    def add(self, party):
        books = party.books
        item = party.chance.randrange(ITEMS)
        books.doing = "set", item
        with party.at("set"):
            is_new = self.seen.add(item)
        books.items[item] += is_new
        item = party.chance.randrange(ITEMS)
        books.doing = "set", item
        with party.at("set"):
            was_there = self.seen.discard(item)
        books.items[item] -= was_there
        books.doing = "recent", 1
        with party.at("set"):
            is_new = self.recent.add(party.chance.randrange(2 * MAX_SIZE))
        books.recent += is_new
        books.doing = None
        assert len(self.recent) <= MAX_SIZE, "more than the bound"
        assert len(self.recent.snapshot()) <= MAX_SIZE, "more than the bound"

    def ask(self, party):
        name, limiter = self.choose_limiter(party)
        books = party.books
        books.doing = name, 1
        attempt = Attempt(limiter)
        with party.at(name):
            decision = limiter.try_acquire()
        if decision:
            books.let_through(name, attempt)
        else:
            books.refused[name] += 1
        books.doing = None

    def wait(self, party):
        name, limiter = self.choose_limiter(party)
        books = party.books
        timeout = party.chance.choice([None, 0.0, 0.001, 0.05])
        books.doing = name, 1
        attempt = Attempt(limiter)
        try:
            if timeout == 0:
                with party.at(name):
                    limiter.wait(timeout=0)
            else:
                # Whoever sleeps gets into nobody's way.
                limiter.wait(timeout=timeout)
        except RateLimitExceeded:
            books.refused[name] += 1
        else:
            books.let_through(name, attempt)
        books.doing = None

    def choose_limiter(self, party):
        """
        Return the name of one and the limiter.
        """
        names = list(self.limiters)
        if party in self.victims:
            names = ["limiter"]
        elif party is self.main:
            names = STEADY
        name = party.chance.choice(names)
        return name, self.limiters[name]

    def call(self, party):
        permit = None
        began = time.monotonic_ns()
        party.books.doing = "breaker", began
        try:
            with party.at("breaker"):
                permit = self.breaker.try_acquire()
            if permit:
                self.report(party, permit, began)
            else:
                party.books.turned_away(permit._refusal.state, began)
        except Interruption:
            if permit is not None:
                permit.ignore()
            raise
        party.books.doing = None

    def report(self, party, permit, began):
        books, lease = party.books, permit._lease
        out = time.monotonic_ns()
        if lease is not None:
            # For others to come meanwhile; some take too long.
            time.sleep(party.chance.choices([0, 0.002, 0.06], [50, 50, 1])[0])
        done = time.monotonic_ns()
        what = party.chance.choices(["success", "failure", "ignore"], [5, 4, 3])[0]
        with party.at("breaker"):
            counts = getattr(permit, what)()
        is_late = lease is not None and time.monotonic_ns() - began >= LEASE
        assert counts or is_late, "the only report did not count"
        if lease is not None:
            books.probes.append((permit._generation, out, min(done, began + LEASE)))
        books.done(what if counts else None, lease, began)

    def guard(self, party):
        books = party.books
        call, what = self.breaker.guard(), "success"
        began = time.monotonic_ns()
        books.doing = "breaker", began
        try:
            with party.at("breaker"), call:
                if party.chance.random() < 0.4:
                    raise OSError
        except OSError:
            what = "failure"
        except CircuitOpenError as error:
            books.turned_away(error.state, began)
            what = "refused"
        except Interruption as error:
            if call._lease is not None and not call._decided:
                # Python has called what reports, and there nothing was run yet.
                frame = innermost(error)
                is_at_the_door = frame.f_lineno == frame.f_code.co_firstlineno
                assert is_at_the_door, "who was interrupted has kept the slot"
                books.keep(began)
            raise
        if what != "refused":
            books.done(what, call._lease, began)
        books.doing = None

    def look_up(self, party):
        # Another one every now and then, for all to come upon at once.
        name = f"n{time.monotonic_ns() // 10_000_000}"
        with party.at("names"):
            mine = self.registry.breaker(name, threshold=3)
        assert mine is party.books.named.setdefault(name, mine)

    def configure(self, party):
        time.sleep(0.002)
        name, limiter = self.choose_limiter(party)
        with party.at(name):
            limiter.reconfigure(calls_per_second=party.chance.choice([RATE, RATE // 2]))
        with party.at("breaker"):
            self.breaker.reconfigure(threshold=party.chance.choice([2, 3]))

    async def wait_async(self, party, name):
        books, limiter = party.books, self.limiters[name]
        attempt = Attempt(limiter)
        try:
            await limiter.wait_async()
        except RateLimitExceeded:
            books.refused[name] += 1
            party.counts["tasks sent away"] += 1
        except asyncio.CancelledError as error:
            # It may have been sent away, and not know it yet.
            books.refused[name] += place_of(error).status is Status.CLOSED
            raise
        else:
            # Nothing is awaited in between: who is cancelled was not admitted.
            books.let_through(name, attempt)

    def run_loop(self, party):
        """
        Run tasks that wait; cancel some, and let others' time run out.
        """

        async def main():
            names = [party.chance.choice(list(self.limiters)) for _ in range(20)]
            tasks = [
                asyncio.create_task(self.wait_async(party, name), name=name)
                for name in names
            ]
            # On a busy machine even the shorter may be long.
            await asyncio.sleep(party.chance.choice([0, 0, 0.005]))
            if party.chance.random() < 0.5:
                block_until_late(tasks)
            for task in tasks:
                was_admitted = is_late(task)
                if party.chance.random() < (0.8 if was_admitted else 0.4):
                    is_cancelled = task.cancel()
                    party.counts["cancels"] += is_cancelled
                    is_too_late = was_admitted and is_cancelled
                    party.counts["cancels after the turn"] += is_too_late
            for task in tasks:
                try:
                    async with asyncio.timeout(party.chance.choice([0.0005, None])):
                        await task
                except TimeoutError:
                    party.counts["timeouts"] += 1
                except asyncio.CancelledError:
                    pass

        asyncio.run(main())

    def book(self, party):
        """
        Book ahead; cancel or settle it before the turn or after.
        """
        name, books, chance = "booked limiter", party.books, party.chance
        tokens = chance.randrange(1, 4)
        max_wait = chance.choice([None, 0.01])
        try:
            with party.at(name):
                booked = self.limiters[name].reserve(tokens, max_wait=max_wait)
        except RateLimitExceeded:
            books.refused[name] += 1
            return
        time.sleep(chance.choice([0, 0.002, 0.02]))
        had_its_turn = booked._place.status is Status.GRANTED
        with party.at(name):
            if chance.random() < 0.5:
                is_first = booked.cancel()
            else:
                is_first = booked.settle(chance.randrange(tokens + 2))
        assert not booked.cancel(), "given back twice"
        with suppress(RateLimitExceeded):
            # If it was settled before its turn it still has to come.
            booked.wait()
        status = booked._place.status
        assert is_first or status is Status.CLOSED, "the first to say so did not decide"
        books.admitted[name] += status is Status.GRANTED
        books.refused[name] += status is Status.CLOSED
        party.counts["bookings"] += 1
        party.counts["bookings given back late"] += had_its_turn

    def operate(self, party):
        """
        Close a limiter for a moment, or pause it until it must be full again.
        """
        time.sleep(0.02)
        name, limiter = "booked limiter", self.limiters["booked limiter"]
        if party.chance.random() < 0.5:
            with party.at(name):
                limiter.close()
            time.sleep(0.002)
            limiter.reopen()
            party.counts["closings"] += 1
            return
        booked = limiter.reserve(BURST)
        booked.wait()
        with party.at(name):
            limiter.pause(0.015)
        # Whatever should go back too much would be theirs.
        behind = [limiter.reserve() for _ in range(2 * BURST)]
        # Where nobody waits, nobody would be admitted too early.
        behind[0].wait()
        # Nothing goes back: without it the bucket would have been as full.
        booked.cancel()
        behind[-1].wait()
        party.books.admitted[name] += 1 + len(behind)
        party.counts["pauses"] += 1

    def stall(self, _):
        """
        Keep everybody who waits from looking, as a machine may that stalls.
        """
        time.sleep(0.08)
        limiter = self.limiters["booked limiter"]
        with limiter._lock:
            time.sleep(0.025)
            # With a look at the end: who waits for the lock has read the clock.
            limiter.snapshot()

    def trip(self, party):
        """
        Open the circuit, and close it.
        """
        time.sleep(0.0005)
        with party.at("spared breaker"):
            self.spared_breaker.record_failure()
        with party.at("spared breaker"):
            permit = self.spared_breaker.try_acquire()
        if permit:
            permit.success()
        else:
            party.books.spared_refused += 1

    def throw(self, party):
        """
        Throw an exception into one of the victims, wherever it is.
        """
        time.sleep(0.002)
        victim = party.chance.choice(self.victims)
        if victim.is_ready:
            victim.is_ready = False
            victim.thrown_at = victim.counts["operations"]
            ident = ctypes.c_ulong(victim.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ident, ctypes.py_object(Interruption)
            )

    # What the main thread does

    def handle(self, _, frame):
        """
        Use everything, from within whatever the main thread is at.
        """
        if not self.is_forking:
            counts = self.handler.counts
            counts["signals"] += 1
            counts["signals inside"] += is_inside(frame)
            counts["signals under a lock"] += self.is_locked()
            self.use(self.handler.books)
        if not self.is_over:
            # Only now: the main thread would never get to do anything else.
            signal.setitimer(signal.ITIMER_REAL, 0.002)

    def is_locked(self):
        """
        Answer whether this thread holds a lock of one of the objects.
        """
        objects = [self.counter, self.breaker, self.registry, *self.limiters.values()]
        locks = [one._lock for one in objects]
        locks += [one._table.lock for one in (self.seen, self.recent)]
        return any(lock._is_owned() for lock in locks)

    def use(self, books):
        self.counter.increment()
        books.added += 1
        for name in STEADY:
            limiter = self.limiters[name]
            attempt = Attempt(limiter)
            if limiter.try_acquire():
                books.let_through(name, attempt)
            else:
                books.refused[name] += 1
        self.breaker.record_success()
        books.calls["admitted"] += 1
        if self.handler.chance.random() < 0.5:
            books.items[0] += self.seen.add(0)
        else:
            books.items[0] -= self.seen.discard(0)

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
                for limiter in self.limiters.values():
                    limiter.reopen()
                    limiter.wait()
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
        self.main.counts["forks"] += 1

    def run(self):
        """
        Do all of it at once; return how often what was done.
        """
        work = [self.count] * 2 + [self.add] * 2 + [self.ask] * 2 + [self.wait] * 2
        work += [self.call] * 2 + [self.guard] * 2 + [self.look_up] * 2
        work += [self.configure] + [self.run_loop] * 2
        work += [self.book] * 2 + [self.operate, self.stall] + [self.trip] * 2
        work += [self.throw] if IS_WITH_SAFE else []
        threads = [Party(self, act) for act in work]
        targets = self.wait, self.ask, self.guard, self.call, self.count, self.add
        self.victims = [Party(self, act) for act in (*targets, self.look_up)]
        self.parties = [*threads, *self.victims, self.main, self.handler]
        before = signal.signal(signal.SIGALRM, self.handle)
        signal.setitimer(signal.ITIMER_REAL, 0.002)
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
            self.is_over = True
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        for thread in [*threads, *self.victims]:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"hangs: {thread.act.__name__}"
            assert thread.error is None, thread.error
        self.check([one.books for one in self.parties])
        return self.counts()

    # What must hold

    def check(self, all_books):
        """
        Account for every step.
        """
        self.check_counter(all_books)
        self.check_sets(all_books)
        self.check_names(all_books)
        for name in self.limiters:
            self.check_limiter(name, all_books)
        self.check_calls(all_books)
        self.check_probes(all_books)
        self.check_events(all_books)
        self.check_closing()

    def check_counter(self, all_books):
        """
        It is the sum of all steps.
        """
        known = sum(books.added for books in all_books)
        doubts = doubts_of(all_books, "counter")
        least = known + sum(step for step in doubts if step < 0)
        most = known + sum(step for step in doubts if step > 0)
        assert_within(self.counter.value, least, most, "counted")

    def check_sets(self, all_books):
        """
        Each item was new as often as it was not there, and never to two.
        """
        items = sum_of(books.items for books in all_books)
        doubts = Counter(doubts_of(all_books, "set"))
        for item in range(ITEMS):
            net, doubt = items[item], doubts[item]
            is_there = item in self.seen
            assert_within(is_there, net - doubt, net + doubt, f"item {item}: there")
        there = {item for item in range(ITEMS) if item in self.seen}
        assert there == set(self.seen), "an item is there, and not found"
        assert len(there) == len(self.seen), "the size is not that of the items"
        # Nothing is forgotten before it must be.
        new = sum(books.recent for books in all_books)
        most = new + len(doubts_of(all_books, "recent"))
        size = len(self.recent)
        assert size == len(set(self.recent)), "the size is not that of the items"
        assert_within(size, min(new, MAX_SIZE), min(most, MAX_SIZE), "remembered")

    def check_names(self, all_books):
        """
        Each name led everybody to the same.
        """
        named = {}
        for books in all_books:
            for name, instance in books.named.items():
                assert instance is named.setdefault(name, instance), "two of one name"

    def check_limiter(self, name, all_books):
        """
        Each call was admitted or refused, no window had more than the limiter
        says, none was admitted while it was closed or paused, nobody is left, and
        all of it was told.

        Who is cancelled gives the place back, and so does who is interrupted
        asleep. But that one may have been refused in that very moment.
        """
        known = sum(books.admitted[name] for books in all_books)
        refused = sum(books.refused[name] for books in all_books)
        doubts = len(doubts_of(all_books, name))
        asleep = len(doubts_of(all_books, f"{name}, asleep"))
        snapshot = self.limiters[name].snapshot()
        assert 0 == snapshot.waiting, "somebody still waits"
        assert_within(snapshot.admitted, known, known + doubts, f"admitted by {name}")
        assert_within(
            snapshot.refused,
            refused,
            refused + doubts + asleep,
            f"refused by {name}",
        )
        spans = self.admissions(name, all_books)
        most = most_at_once(spans, RATE)
        # A nanosecond more: these are floats.
        bound = BURST + RATE * (SLACK + 1) / 1e9
        assert most <= bound, f"{most:g} tokens at once by {name}"
        told, attended = self.told[name], self.limiters[name]._queue.attended
        count = count_inside(spans, told.spans)
        assert count == 0, f"{count} admitted by {name}, closed or paused"
        assert not told.wrong, f"events of {name}: {dict(told.wrong)}"
        # Who is interrupted may not have come to tell.
        for event_type, there in (
            (RateLimitRefused, snapshot.refused - told.sent_away),
            (RateLimitWaited, attended),
        ):
            what = f"{event_type.__name__} of {name}"
            least = there - doubts - asleep
            assert_within(told.counts[event_type], least, there, what)

    def admissions(self, name, all_books):
        """
        Return from when to when each token was admitted: of those that did not go
        the short way it is known exactly.
        """
        limiter = self.limiters[name]
        queue, epoch = limiter._queue, limiter._epoch
        kept = Counter(queue.admitted_at) - Counter(queue.gone_back)
        spans = [(now + epoch, now + epoch) for now in kept.elements()]
        return spans + [one for books in all_books for one in books.short_ways[name]]

    def check_calls(self, all_books):
        """
        Each call was refused, or admitted and counted once, and no probe is out
        but those that were interrupted before they could report.

        But a probe that is late counts as ignored, or if the circuit went on
        meanwhile not at all.
        """
        calls = sum_of(books.calls for books in all_books)
        doubts, late = len(doubts_of(all_books, "breaker")), calls["late"]
        now = time.monotonic_ns()
        kept = sum(ends >= now for books in all_books for ends in books.kept)
        snapshot = self.breaker.snapshot()
        assert snapshot.probes_out <= kept, "a probe is out, and nobody has it"
        for kind, there, mine, least_late, most_late in (
            ("admitted", snapshot.admitted, calls["admitted"], 0, 0),
            ("refused", snapshot.refused, calls["refused"], 0, 0),
            ("failed", snapshot.failed, calls["failure"], late, 0),
            ("ignored", snapshot.ignored, calls["ignore"], 0, late),
        ):
            assert_within(
                there,
                mine - least_late,
                mine + most_late + doubts,
                f"{kind} by breaker",
            )

    def check_events(self, all_books):
        """
        Breakers told every refusal, but for those whose calls were interrupted,
        and one at a time. The spared one told everything, in order.
        """
        doubts = len(doubts_of(all_books, "breaker"))
        for breaker, told, missing in (
            (self.breaker, self.told_of_breaker, doubts),
            (self.spared_breaker, self.told_of_spared, 0),
        ):
            # Who was interrupted may have left one.
            breaker._outbox.deliver()
            count, there = told.counts[CircuitRefused], breaker.snapshot().refused
            assert_within(count, there - missing, there, "CircuitRefused")
            assert not told.wrong["two at a time"], "events of a breaker two at a time"
        spared, told = self.spared_breaker.snapshot(), self.told_of_spared
        refused = sum(books.spared_refused for books in all_books)
        assert refused == spared.refused, "refused by the spared breaker"
        assert not told.wrong, f"events of the spared breaker: {dict(told.wrong)}"
        assert told.state is spared.state, "the last event is lost"

    def check_probes(self, all_books):
        """
        There were never more out at a time than slots, and nobody was refused
        but when that many can have been.
        """
        spans = defaultdict(list)
        for books in all_books:
            for generation, begin, end in books.probes:
                spans[generation].append((begin, end))
        most = max((most_at_a_time(each) for each in spans.values()), default=0)
        assert most <= SLOTS, f"{most} probes at a time"
        maybe = [span for books in all_books for span in books.maybe_probes]
        refused = [span for books in all_books for span in books.all_out]
        fewest = min(most_within(maybe, refused), default=SLOTS)
        assert fewest >= SLOTS, f"refused while {fewest} probes are out"

    def check_closing(self):
        """
        The circuit can close, and gives out as many probes as it has.
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


def innermost(error):
    """
    Return the frame in which *error* was raised.
    """
    entry = error.__traceback__
    while entry.tb_next is not None:
        entry = entry.tb_next
    return entry.tb_frame


def is_inside(frame):
    """
    Answer whether *frame* is in the middle of switchgear, and not asleep.
    """
    is_ours = frame.f_code.co_filename.startswith(PACKAGE)
    return is_ours and not is_asleep(frame)


def is_asleep(frame):
    return frame.f_code is ThreadWaiter.sleep.__code__


def place_of(error):
    """
    Return the place of the wait that *error* has ended.
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    places = (frame.f_locals.get("place") for frame in frames)
    return next(place for place in places if place is not None)


def is_late(task):
    """
    Answer whether *task* has its turn, and does not know it; where books are exact.
    """
    return task.get_name() != "limiter" and is_admitted(task.get_coro())


def block_until_late(tasks):
    """
    Block the loop of *tasks* until one of them is late, if it takes long a second.
    """
    waits = [one for one in tasks if not (one.done() or one.get_name() == "limiter")]
    latest = time.monotonic() + bool(waits)
    # Real time, as all here: turns come as it passes, and others ask; on a busy
    # machine they do so seldom.
    time.sleep(0.03)
    while time.monotonic() < latest and not any(map(is_late, waits)):
        time.sleep(0.01)


def is_admitted(coroutine):
    """
    Answer whether a suspended wait for a limiter has its turn already.
    """
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        place = frame.f_locals.get("place")
        if place is not None:
            return place.status is Status.GRANTED
        coroutine = coroutine.cr_await
    return False


def doubts_of(all_books, kind):
    """
    Return what may have been done, of one kind.
    """
    return [what for books in all_books for what in books.doubts[kind]]


def sum_of(counters):
    """
    Add *counters*, and keep what is not above zero.
    """
    total = Counter()
    for counter in counters:
        total.update(counter)
    return total


def assert_within(value, least, most, what):
    assert least <= value <= most, f"{what}: {value:,}, not {least:,} to {most:,}"


def most_at_a_time(spans):
    """
    Return how many of *spans* there are at most at one moment.

    One that begins where another ends is not there with it.
    """
    return max((count for _, count in counts_of(spans, -1, 1)), default=0)


def count_inside(spans, windows):
    """
    Return how many of *spans* are inside of *windows*, ends excluded, in all.
    """
    spans = sorted(spans)
    begins = [begin for begin, _ in spans]
    count = 0
    for since, until in windows:
        first = bisect.bisect_right(begins, since)
        last = bisect.bisect_left(begins, until)
        count += sum(end < until for _, end in spans[first:last])
    return count


def most_within(spans, windows):
    """
    Return for each of *windows* how many of *spans* there are at most at one moment
    in it.

    One that begins where another ends, or a window, is there with it.
    """
    counts = counts_of(spans, 1, -1)
    moments = [moment for moment, _ in counts]
    most = []
    for begin, end in windows:
        first = bisect.bisect_left(moments, begin)
        last = bisect.bisect_right(moments, end)
        # What is there when it begins has begun before.
        most.append(
            max((count for _, count in counts[max(first - 1, 0) : last]), default=0)
        )
    return most


def counts_of(spans, first, then):
    """
    Return when how many of *spans* are there, as pairs in order.

    At one moment those that begin are counted first, or those that end: 1 and -1,
    or the other way round.
    """
    changes = [
        (moment, by) for begin, end in spans for moment, by in ((begin, 1), (end, -1))
    ]
    changes.sort(key=lambda change: (change[0], change[1] != first))
    counts = itertools.accumulate(by for _, by in changes)
    return [(moment, count) for (moment, _), count in zip(changes, counts, strict=True)]


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


def in_words(counts, kind):
    """
    Say how many there were, and how many of some.
    """
    told = f"{counts[kind]:,} {kind}"
    if kind in SOME:
        some = ", ".join(f"{counts[f'{kind} {one}']:,} {one}" for one in SOME[kind])
        told += f" ({some})"
    return told


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
    # In callbacks of weak references, too.
    sys.unraisablehook = lambda args: (
        issubclass(args.exc_type, Interruption) or sys.__unraisablehook__(args)
    )
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        counts = Stress(seconds).run()
    finally:
        sys.setswitchinterval(interval)
    gil = "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off"
    told = ", ".join(in_words(counts, kind) for kind in KINDS)
    sys.stdout.write(f"Stress, {seconds:g} s, GIL {gil}: {told}\n")
    missing = [kind for kind in WANTED if not counts[kind]]
    if missing:
        sys.stdout.write(f"This proves nothing: no {', no '.join(missing)}.\n")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
