"""
The limiter beside one that is obviously right.
"""

from __future__ import annotations

import math

from depth import DEPTH
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from models.naive_limiter import SECOND, NaiveLimiter
from models.told_clock import ToldClock
from switchgear import BurstExceeded, RateLimiter


#: Such that every turn is at a whole nanosecond.
PACES = st.sampled_from([1, 2, 5, 100])
BURSTS = st.integers(1, 6)
TOKENS = st.integers(1, 6)


class Beside(RuleBasedStateMachine):
    """
    Do the same to both, in any order, and compare all there is to see.
    """

    bookings = Bundle("bookings")

    def __init__(self):
        super().__init__()
        self.clock = ToldClock()
        self.limiter = RateLimiter(2, burst=3, clock=self.clock)
        self.naive = NaiveLimiter(2, 3)
        self.pairs = []
        #: When the settings changed last. What was booked before that goes back
        #: only in part, for less has fitted into either bucket: see the laws of
        #: giving back in the tests of the queue.
        self.changed_at = -1

    def goes_back(self, booking):
        """
        Answer whether both say the same of what goes back of *booking* now.
        """
        self.look()
        return booking.at is None or booking.at > self.changed_at

    @rule(eighths=st.sampled_from([-40, -1, 0, 1, 1, 2, 4, 8, 40, 4000]))
    def pass_time(self, eighths):
        """
        The clock goes on, or steps back, by eighths of a second.
        """
        self.clock.reading += eighths * (SECOND // 8)

    def look(self):
        """
        Both look at the clock.
        """
        self.naive.pass_to(self.naive.now + self.clock.passed())

    @rule(tokens=TOKENS)
    def try_acquire(self, tokens):
        self.look()
        if tokens > self.naive.burst:
            try:
                self.limiter.try_acquire(tokens)
            except BurstExceeded:
                return
            raise AssertionError("more than the burst")
        decision = self.limiter.try_acquire(tokens)
        booking = self.naive.book(tokens)
        assert decision.admitted == (booking.at is not None)
        wait = self.naive.delay(booking)
        if booking.at is None:
            self.naive.queue.remove(booking)
        assert math.isclose(decision.retry_after, wait / SECOND, abs_tol=1e-9)

    @rule(target=bookings, tokens=TOKENS)
    def reserve(self, tokens):
        self.look()
        if tokens > self.naive.burst:
            return multiple()
        pair = self.limiter.reserve(tokens), self.naive.book(tokens)
        self.pairs.append(pair)
        return pair

    @rule(pair=bookings)
    def cancel(self, pair):
        reservation, booking = pair
        if not self.goes_back(booking):
            return
        if booking.at is None:
            decided = booking in self.naive.queue and not booking.is_settled
            if decided:
                self.naive.leave(booking)
        else:
            decided = self.naive.settle(booking, 0)
        assert decided == reservation.cancel()

    @rule(pair=bookings, actual=st.integers(0, 8))
    def settle(self, pair, actual):
        reservation, booking = pair
        if not self.goes_back(booking):
            return
        is_there = booking.at is not None or booking in self.naive.queue
        decided = is_there and self.naive.settle(booking, actual)
        assert decided == reservation.settle(actual)

    @rule(eighths=st.sampled_from([0, 1, 8, 30]))
    def pause(self, eighths):
        self.look()
        self.limiter.pause(eighths / 8)
        until = self.naive.now + eighths * (SECOND // 8)
        self.naive.paused_until = max(self.naive.paused_until, until)

    @rule(pace=PACES, burst=BURSTS)
    def reconfigure(self, pace, burst):
        self.look()
        self.changed_at = self.naive.now
        self.limiter.reconfigure(calls_per_second=pace, burst=burst)
        for gone in self.naive.configure(pace, burst):
            self.pairs = [pair for pair in self.pairs if pair[1] is not gone]

    @invariant()
    def agree(self):
        """
        Both have the same in the bucket and in the queue, due at the same time.
        """
        self.look()
        snapshot = self.limiter.snapshot()
        level = self.naive.level(self.naive.now)
        assert math.floor(level) == snapshot.available, (float(level), snapshot)
        assert len(self.naive.queue) == snapshot.waiting
        for reservation, booking in self.pairs:
            if booking.at is not None or booking in self.naive.queue:
                delay = self.naive.delay(booking) / SECOND
                assert math.isclose(reservation.delay, delay, abs_tol=1e-9)


TestBeside = Beside.TestCase
TestBeside.settings = settings(
    max_examples=60 * DEPTH, stateful_step_count=30, deadline=None
)
