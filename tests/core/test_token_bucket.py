"""
Token buckets, against levels kept in fractions.
"""

from __future__ import annotations

import math

from fractions import Fraction

import pytest

from hypothesis import given
from hypothesis import strategies as st

from switchgear import Rate
from switchgear._core.queue import SLACK
from switchgear._core.token_bucket import (
    Bucket,
    Buckets,
    budget_of,
    carry,
    carry_room,
)
from switchgear._validate import MAX_COUNT


SECOND = 10**9
MONTH = 30 * 86_400

ODD_RATES = [
    Rate(3),
    Rate(123456.789),
    Rate(1e9),
    Rate(1, per=MONTH),
    Rate(1e-9),
    Rate(1e12),
    Rate(0.1),
    Rate(7, per=0.3),
]

RATES = st.builds(
    Rate,
    st.sampled_from([1, 2, 3, 7, 123456.789, 1e9, 0.1]),
    per=st.sampled_from([1.0, 60.0, 0.3]),
    burst=st.integers(1, 10),
    counts=st.sampled_from(["tokens", "calls"]),
)
LLM = [Rate(60, per=60, burst=10, counts="calls"), Rate(90_000, per=60, burst=9_000)]


def exact_pace(rate):
    """
    Return tokens per nanosecond, as the rate was written.
    """
    return Fraction(repr(rate.limit)) / Fraction(repr(rate.per)) / SECOND


def level(bucket, state, now):
    """
    Return the exact level, in tokens.
    """
    return Fraction(min(bucket.capacity, now * bucket.ticks - state), bucket.cost)


class TestBucket:
    @pytest.mark.parametrize("rate", ODD_RATES, ids=repr)
    def test_ticks_are_exact(self, rate):
        """
        If a rate is odd, a token still costs a whole number of ticks.
        """
        bucket = Bucket(rate)

        assert exact_pace(rate) == Fraction(bucket.ticks, bucket.cost)

    @pytest.mark.parametrize("rate", ODD_RATES, ids=repr)
    def test_retry_after_is_exact(self, rate):
        """
        If tokens lack, they are there when due, and not a nanosecond earlier.
        """
        bucket = Bucket(rate)
        state = bucket.full(0)
        for _ in range(5):
            state = bucket.charge(state, 0, 1)
        due = bucket.due(state, 1)

        assert level(bucket, state, due) >= 1
        assert level(bucket, state, due - 1) < 1

    def test_no_drift_over_a_million_grants(self):
        """
        If a million waiters are granted, each as soon as it is due, the last
        is when a million tokens have flowed in, to the nanosecond.
        """
        rate = Rate(123456.789)
        bucket = Bucket(rate)
        state, now = bucket.charge(bucket.full(0), 0, 1), 0
        for _ in range(10**6):
            now = bucket.due(state, 1)
            state = bucket.charge(state, now - SLACK, 1)

        assert math.ceil(10**6 / exact_pace(rate)) == now

    def test_full_bucket_holds_its_burst(self):
        """
        If nobody takes, the bucket fills to the burst and no further.
        """
        bucket = Bucket(Rate(2, burst=3))

        assert 3 == bucket.tokens(bucket.full(0), 0)
        assert 3 == bucket.tokens(bucket.full(0), 100 * SECOND)
        assert 3 == bucket.takeable(bucket.full(0), 100 * SECOND)

    def test_debt_is_negative(self):
        """
        If more is owed than is there, the level is negative, rounded down, and
        nothing can be taken.
        """
        bucket = Bucket(Rate(2, burst=3))
        state = bucket.owe(bucket.full(0), 0, 5)

        assert -2 == bucket.tokens(state, 0)
        assert -2 == bucket.tokens(state, 1)
        assert -1 == bucket.tokens(state, SECOND // 2)
        assert 0 == bucket.takeable(state, 0)

    def test_debt_starts_at_full(self):
        """
        If a bucket has long been full, what is owed is taken from its burst.
        """
        bucket = Bucket(Rate(3, burst=5))
        state = bucket.owe(bucket.full(0), 60 * SECOND, 7)

        assert -2 == bucket.tokens(state, 60 * SECOND)

    def test_rooms(self):
        """
        If one room is taken from another, at least nothing is left.
        """
        bucket = Bucket(Rate(3, burst=5))

        assert [2, 0, 0] == [bucket.less(7, 5), bucket.less(5, 5), bucket.less(5, 7)]
        assert 5 == bucket.least(7, 5) == bucket.least(5, 7)

    def test_the_emptier_state(self):
        """
        If one state is later than another, it has less in it.
        """
        bucket = Bucket(Rate(3, burst=5))

        assert bucket.full(9) == bucket.later(bucket.full(0), bucket.full(9))
        assert bucket.full(9) == bucket.later(bucket.full(9), bucket.full(0))

    def test_calls_are_charged_one(self):
        """
        If a bucket counts calls, a request costs 1 whatever its tokens, and is
        never too large.
        """
        bucket = Bucket(Rate(1, burst=2, counts="calls"))
        state = bucket.charge(bucket.full(0), 0, 500)

        assert bucket.fits(MAX_COUNT)
        assert MAX_COUNT == bucket.largest
        assert 1 == bucket.tokens(state, 0)
        assert state == bucket.owe(state, 0, 7)
        assert state == bucket.give_back(state, 0, 500, bucket.cost, call=False)
        assert bucket.full(0) == bucket.give_back(state, 0, 500, bucket.cost, call=True)

    @pytest.mark.parametrize(("tokens", "fits"), [(1, True), (3, True), (4, False)])
    def test_fits(self, tokens, fits):
        """
        If more is asked than the burst, it never fits.
        """
        bucket = Bucket(Rate(1, burst=3))

        assert fits is bucket.fits(tokens)
        assert 3 == bucket.largest

    def test_give_back_never_overfills(self):
        """
        If more is given back than there is room, the bucket is just full.
        """
        bucket = Bucket(Rate(1, burst=5))
        state = bucket.charge(bucket.full(0), 0, 5)
        state = bucket.give_back(state, 2 * SECOND, 5, bucket.price(5), call=True)

        assert bucket.full(2 * SECOND) == state
        assert state == bucket.give_back(state, 9 * SECOND, 5, 10**20, call=True)

    def test_give_back_goes_as_far_as_the_room(self):
        """
        If less room is left than is given back, only that goes in.
        """
        bucket = Bucket(Rate(1, burst=5))
        state = bucket.charge(bucket.full(0), 0, 5)
        state = bucket.give_back(state, 0, 4, 3 * bucket.cost, call=True)

        assert 3 == bucket.tokens(state, 0)

    @given(RATES, st.lists(st.tuples(st.integers(0, 10**10), st.integers(1, 10))))
    def test_levels_agree_with_fractions(self, rate, steps):
        """
        If anything is taken at any time, the level is what a level kept in
        fractions of a token says.
        """
        bucket = Bucket(rate)
        state, now, expected = bucket.full(0), 0, Fraction(rate.burst)
        for pause, tokens in steps:
            now += pause
            expected = min(expected + pause * exact_pace(rate), Fraction(rate.burst))
            taken = 1 if rate.counts == "calls" else tokens

            assert expected == level(bucket, state, now)
            if bucket.fits(tokens):
                assert (expected >= taken) is (bucket.due(state, tokens) <= now)
            if expected >= taken:
                state = bucket.charge(state, now, tokens)
                expected -= taken

    @given(RATES, st.integers(0, 10**10), st.lists(st.integers(1, 10), min_size=1))
    def test_lining_up_is_charging_one_after_the_other(self, rate, since, requests):
        """
        If several line up, the last is due when it is due after the others
        were charged one by one.
        """
        bucket = Bucket(rate)
        state = bucket.owe(bucket.full(0), 0, 5)
        expected = state
        for tokens in requests[:-1]:
            expected = bucket.charge(expected, since, tokens)
        expected = max(expected, bucket.full(since))

        assert bucket.due(expected, requests[-1]) == bucket.line_up(
            state, since, sum(requests), len(requests)
        )


class TestBuckets:
    def test_one_rate_needs_no_list(self):
        """
        If there is one rate, one bucket decides.
        """
        budget = budget_of([Rate(1)])

        assert isinstance(budget, Bucket)
        assert (budget,) == budget.lines
        assert 5 == budget.join(budget.split(5))

    def test_all_admit_or_none(self):
        """
        If one of several buckets lacks tokens, the request is due when the
        slowest has them.
        """
        budget = budget_of([Rate(10, burst=3), Rate(1, burst=5)])
        state = budget.charge(budget.full(0), 0, 3)

        assert SECOND // 10 == budget.due(state, 1)
        assert SECOND == budget.due(state, 3)

    def test_llm_budget(self):
        """
        If calls and tokens are limited, a request costs one call and its tokens.
        """
        budget = budget_of(LLM)
        state = budget.charge(budget.full(0), 0, 9_000)

        calls, tokens = budget.lines

        assert 9 == calls.tokens(budget.split(state)[0], 0)
        assert 0 == tokens.tokens(budget.split(state)[1], 0)
        assert 9_000 == budget.largest
        assert budget.fits(9_000)
        assert not budget.fits(9_001)
        # 90,000 a minute are 1,500 a second.
        assert 2 * SECOND == budget.due(state, 3_000)

    def test_tokens_speak_for_several(self):
        """
        If calls and tokens are limited, the tokens are shown; if only calls
        are, the calls.
        """
        state = budget_of(LLM).full(0)
        calls = budget_of([Rate(5, burst=5, counts="calls"), LLM[0]])

        assert 9_000 == budget_of(LLM).tokens(state, 0)
        assert 5 == calls.tokens(calls.full(0), 0)

    def test_takeable(self):
        """
        If a bucket of calls is empty nothing can be taken; as long as it is
        not, it does not count.
        """
        budget = budget_of([Rate(1, burst=1, counts="calls"), Rate(1, burst=50)])
        only = budget_of([Rate(1, burst=1, counts="calls")] * 2)
        state = budget.charge(budget.full(0), 0, 10)

        assert 50 == budget.takeable(budget.full(0), 0)
        assert 0 == budget.takeable(state, 0)
        assert 41 == budget.takeable(state, SECOND)
        assert MAX_COUNT == only.takeable(only.full(0), 0)

    def test_bucket_overflows_until_the_turn(self):
        """
        If one bucket is full while another is waited for, it is as full at the
        turn, and no fuller.
        """
        budget = budget_of([Rate(1, burst=2), Rate(10, burst=2)])
        state = budget.owe(budget.full(0), 0, 2)

        state = budget.charge(state, 0, 2)

        assert (0, 0) == tuple(
            line.tokens(one, 2 * SECOND)
            for line, one in zip(budget.lines, state, strict=True)
        )

    def test_the_turn_is_rounded_down(self):
        """
        If a turn is within a nanosecond, it is at the beginning of that, in
        whole ticks however late it is: the bucket it was waited for loses nothing.
        """
        slow, other = Rate(3), Rate(7, burst=9)
        budget = budget_of([slow, other])
        late = 10**15 * SECOND
        state = budget.charge(budget.full(late), late, 1)

        after = budget.charge(state, late, 1)

        assert {int} == {type(one) for one in after}
        assert Bucket(slow).charge(state[0], late, 1) == after[0]
        turn = late + SECOND // 3
        assert Bucket(other).charge(state[1], turn, 1) == after[1]

    def test_rooms(self):
        """
        If rooms of several are compared or taken from each other, each is.
        """
        budget = budget_of([Rate(1), Rate(2), Rate(3)])

        assert (2, 0, 0) == budget.less((7, 5, 5), (5, 5, 7))
        assert (5, 5, 4) == budget.least((7, 5, 4), (5, 7, 4))
        assert (7, 7, 4) == budget.later((7, 5, 4), (5, 7, 4))

    def test_full_when_all_are(self):
        """
        If any bucket has room, the budget is not full.
        """
        budget = budget_of([Rate(10, burst=2), Rate(1, burst=2)])
        state = budget.charge(budget.full(0), 0, 1)

        assert not budget.is_full(state, SECOND - 1)
        assert budget.is_full(state, SECOND)

    @given(RATES, st.lists(st.tuples(st.integers(0, 10**10), st.integers(1, 10))))
    def test_the_same_rate_twice_is_that_rate(self, rate, steps):
        """
        If all buckets are alike, they decide as one of them alone.
        """
        one, two = Bucket(rate), Buckets([Bucket(rate), Bucket(rate)])
        single, double, now = one.full(0), two.full(0), 0
        for pause, tokens in steps:
            now += pause

            assert one.fits(tokens) is two.fits(tokens)
            assert one.due(single, tokens) == two.due(double, tokens)
            assert one.takeable(single, now) == two.takeable(double, now) or (
                rate.counts == "calls"
            )
            if one.fits(tokens) and one.due(single, tokens) <= now:
                single = one.charge(single, now, tokens)
                double = two.charge(double, now, tokens)
            else:
                single = one.owe(single, now, tokens)
                double = two.owe(double, now, tokens)
            room = one.price(2)
            single = one.give_back(single, now, 2, room, call=True)
            double = two.give_back(double, now, 2, (room, room), call=True)

            assert (single, single) == double
            assert (one.room(single, now),) * 2 == two.room(double, now)


class TestCarry:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            # Faster or slower: as many tokens as before.
            (Rate(1, burst=5), Rate(100, burst=5), 3),
            (Rate(1, burst=5), Rate(3, per=7, burst=5), 3),
            # A larger burst is not filled, a smaller one cuts.
            (Rate(1, burst=5), Rate(1, burst=50), 3),
            (Rate(1, burst=5), Rate(1, burst=2), 2),
            # Another unit is another bucket.
            (Rate(1, burst=5), Rate(1, burst=5, counts="calls"), 0),
        ],
    )
    def test_level_is_kept(self, old, new, expected):
        """
        If a rate changes, its level in tokens goes on, and nothing is minted.
        """
        before, after = Bucket(old), Bucket(new)
        state = before.charge(before.full(0), 0, 2)

        assert expected == after.tokens(carry(before, state, 0, after), 0)

    def test_idle_time_does_not_fill_what_is_raised(self):
        """
        If the burst is raised after a long idle time, the level is the old
        burst.
        """
        before, after = Bucket(Rate(1, burst=2)), Bucket(Rate(1, burst=1000))
        state = carry(before, before.full(0), 10**6 * SECOND, after)

        assert 2 == after.tokens(state, 10**6 * SECOND)

    def test_debt_is_kept(self):
        """
        If a rate changes while tokens are owed, as many are owed.
        """
        before, after = Bucket(Rate(1, burst=2)), Bucket(Rate(7, burst=9))
        state = carry(before, before.owe(before.full(0), 0, 12), 0, after)

        assert -10 == after.tokens(state, 0)

    def test_added_rate_starts_empty(self):
        """
        If a rate is added it starts empty, removed and added again as well.
        """
        one, two = Bucket(Rate(1, burst=5)), budget_of([Rate(1, burst=5), Rate(2)])
        first, second = two.split(carry(one, one.full(0), 0, two))

        assert 5 == two.lines[0].tokens(first, 0)
        assert 0 == two.lines[1].tokens(second, 0)
        assert 5 == one.tokens(carry(two, two.full(0), 0, one), 0)

    def test_order_is_no_change(self):
        """
        If rates are only reordered, each keeps its level.
        """
        old, new = budget_of(LLM), budget_of(LLM[::-1])
        state = old.charge(old.full(0), 0, 1_000)
        carried = new.split(carry(old, state, 0, new))

        assert [8_000, 9] == [
            line.tokens(one, 0) for line, one in zip(new.lines, carried, strict=True)
        ]

    @given(RATES, RATES, st.integers(0, 30), st.integers(0, 10**11))
    def test_never_minted(self, old, new, owed, now):
        """
        If a rate changes, the level is never higher than it was, and less than
        a tick lower, but for what does not fit.
        """
        before, after = Bucket(old), Bucket(new)
        state = before.owe(before.full(0), 0, owed)
        was = level(before, state, now)
        is_now = level(after, carry(before, state, now, after), now)
        if old.counts != new.counts:
            assert is_now == 0
        else:
            assert is_now <= was
            assert is_now > min(was, new.burst) - Fraction(1, after.cost)

    def test_room_is_carried_in_tokens(self):
        """
        If a rate changes, the room left for a booking is as many tokens; in a
        rate that was added there is none.
        """
        before = Bucket(Rate(1, burst=5))
        after = budget_of([Rate(3, burst=5), Rate(1, per=60)])

        assert (2 * after.lines[0].cost, 0) == carry_room(
            before, 2 * before.cost, after
        )
