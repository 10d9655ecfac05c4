"""
The limiter beside one that is obviously right.
"""

from __future__ import annotations

import math

import pytest

from depth import DEPTH
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from models.naive_limiter import SECOND, Booking, NaiveLimiter, is_for_calls
from models.told_clock import ToldClock
from switchgear import BurstExceeded, Rate, RateLimiter, RateLimitExceeded


#: Such that every turn is at a whole nanosecond.
PACES = st.sampled_from([1, 2, 5, 100])
BURSTS = st.integers(1, 6)
TOKENS = st.integers(1, 6)
#: No two of the same unit and period: which goes on from which is then clear.
RATES = st.lists(
    st.builds(
        Rate,
        PACES,
        per=st.sampled_from([1, 10]),
        burst=BURSTS,
        counts=st.sampled_from(["tokens", "calls"]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda rate: (rate.per, rate.counts),
).map(tuple)


class Beside(RuleBasedStateMachine):
    """
    Do the same to both, in any order, and compare all there is to see.
    """

    bookings = Bundle("bookings")

    def __init__(self):
        super().__init__()
        self.clock = ToldClock()
        self.pairs = []
        #: When the settings changed last. What was booked before that goes back
        #: only in part, for less has fitted into either bucket: see the laws of
        #: giving back in the tests of the queue.
        self.changed_at = -1

    @initialize(rates=RATES)
    def begin(self, rates):
        self.limiter = RateLimiter(rates=rates, clock=self.clock)
        self.naive = NaiveLimiter(rates)

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

    def is_never(self, ask, booking):
        """
        Answer whether it asks more than any bucket holds: both refuse it then.
        """
        if booking.fits(self.naive.rates):
            return False
        with pytest.raises(BurstExceeded):
            ask(booking.tokens)
        self.naive.refused += 1
        return True

    @rule(tokens=TOKENS)
    def try_acquire(self, tokens):
        self.look()
        booking = Booking(tokens, tokens)
        if self.is_never(self.limiter.try_acquire, booking):
            return
        decision = self.limiter.try_acquire(tokens)
        if self.naive.closed is not None:
            assert tuple(decision) == (False, None, 0)
            self.naive.refused += 1
            return
        self.naive.book(booking)
        assert decision.admitted == (booking.at is not None)
        wait = 0
        if not decision.admitted:
            wait = self.naive.turns()[booking] - self.naive.now
            self.naive.queue.remove(booking)
            self.naive.refused += 1
        assert math.isclose(decision.retry_after, wait / SECOND, abs_tol=1e-9)
        if not all(map(is_for_calls, self.naive.rates)):
            assert decision.remaining == self.naive.remaining()

    @rule(target=bookings, tokens=TOKENS)
    def reserve(self, tokens):
        self.look()
        booking = Booking(tokens, tokens)
        if self.is_never(self.limiter.reserve, booking):
            return multiple()
        if self.naive.closed is not None:
            self.is_refused(tokens, None)
            return multiple()
        was_crowded = self.naive.is_crowded()
        self.naive.book(booking)
        if booking.at is None and was_crowded:
            left = self.naive.turns()[booking] - self.naive.now
            self.naive.queue.remove(booking)
            self.is_refused(tokens, left)
            return multiple()
        pair = self.limiter.reserve(tokens), booking
        self.pairs.append(pair)
        return pair

    def is_refused(self, tokens, left):
        """
        A reservation is refused, and might ask again when so much is left.
        """
        with pytest.raises(RateLimitExceeded) as refusal:
            self.limiter.reserve(tokens)
        self.naive.refused += 1
        if left is None:
            assert refusal.value.retry_after is None
        else:
            retry_after = refusal.value.retry_after
            assert math.isclose(retry_after, left / SECOND, abs_tol=1e-9)

    @rule(reason=st.sampled_from(["", "night"]))
    def close(self, reason):
        self.look()
        self.limiter.close(reason)
        self.naive.close(reason)

    # More often than it is closed: there is not much to see then.
    @rule()
    def reopen(self):
        self.look()
        self.limiter.reopen()
        self.naive.closed = None

    @precondition(lambda self: self.naive.closed is not None)
    @rule()
    def reopen_the_closed(self):
        self.reopen()

    @rule()
    def reset(self):
        self.look()
        self.limiter.reset()
        self.naive.reset()

    @rule(many=st.sampled_from([None, 0, 1, 2, 3]))
    def crowd(self, many):
        """
        So many may wait from now on.
        """
        self.look()
        self.limiter.reconfigure(max_waiters=many)
        self.naive.max_waiters = many

    @rule(pair=bookings)
    def cancel(self, pair):
        reservation, booking = pair
        if self.goes_back(booking):
            assert self.naive.cancel(booking) == reservation.cancel()

    @rule(pair=bookings, actual=st.integers(0, 8))
    def settle(self, pair, actual):
        reservation, booking = pair
        if self.goes_back(booking):
            assert self.naive.settle(booking, actual) == reservation.settle(actual)

    @rule(eighths=st.sampled_from([0, 1, 8, 30]))
    def pause(self, eighths):
        self.look()
        self.limiter.pause(eighths / 8)
        until = self.naive.now + eighths * (SECOND // 8)
        self.naive.paused_until = max(self.naive.paused_until, until)

    @rule(rates=RATES)
    def reconfigure(self, rates):
        self.look()
        self.changed_at = self.naive.now
        self.limiter.reconfigure(rates=rates)
        self.naive.configure(rates)

    @rule(pace=PACES, burst=BURSTS)
    def reconfigure_the_only_one(self, pace, burst):
        self.look()
        if len(self.naive.rates) == 1:
            self.changed_at = self.naive.now
            self.limiter.reconfigure(calls_per_second=pace, burst=burst)
            counts = self.naive.rates[0].counts
            self.naive.configure((Rate(pace, burst=burst, counts=counts),))

    @invariant()
    def agree(self):
        """
        Both have the same in every bucket and in the queue, due at the same time.
        """
        self.look()
        snapshot, naive = self.limiter.snapshot(), self.naive
        assert naive.tokens() == [rate.available for rate in snapshot.rates]
        assert naive.available() == snapshot.available
        assert len(naive.queue) == snapshot.waiting
        assert naive.closed == snapshot.closed
        assert naive.admitted == snapshot.admitted
        assert naive.refused == snapshot.refused
        paused_for = max(0, naive.paused_until - naive.now)
        assert math.isclose(paused_for / SECOND, snapshot.paused_for, abs_tol=1e-9)
        turns = naive.turns()
        for reservation, booking in self.pairs:
            # Whoever left or was sent away has no turn any more.
            turn = turns.get(booking, math.inf if booking.at is None else naive.now)
            delay = (turn - naive.now) / SECOND
            assert math.isclose(reservation.delay, delay, abs_tol=1e-9)


TestBeside = Beside.TestCase
TestBeside.settings = settings(
    max_examples=int(200 * DEPTH),
    stateful_step_count=30,
    deadline=None,
    # One story, and soon: explaining several takes minutes.
    report_multiple_bugs=False,
    phases=set(Phase) - {Phase.explain},
)
