"""
What settings come to, in words.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from hypothesis import given
from hypothesis import strategies as st

from switchgear import CircuitBreaker, CountWindow, Rate, RateLimiter, TimeWindow
from switchgear.cli._words import duration, most_in, period_of, words_for
from switchgear.testing import ManualClock


def limiter_words(**settings):
    return words_for("limiter", RateLimiter(**settings).settings())


def breaker_words(**settings):
    return words_for("breaker", CircuitBreaker(**settings).settings())


class TestRate:
    @pytest.mark.parametrize(
        ("rate", "sentence"),
        [
            (
                Rate(5, burst=2),
                "At most 7 calls in any second: 5 a second, and bursts of 2.",
            ),
            (
                Rate(0.01),
                "At most 37 calls in any hour: 36 an hour, and bursts of 1.",
            ),
            (
                Rate(60, per=60, burst=10),
                "At most 70 calls in any minute: 60 a minute, and bursts of 10.",
            ),
            (
                Rate(1, per=2_592_000),
                "At most 2 calls in any 30 days: 1 in 30 days, and bursts of 1.",
            ),
            (
                Rate(0.5, per=10 * 31_557_600),
                "At most 1 call in any year: 0.05 a year, and bursts of 1.",
            ),
            (
                # 2 ms of lateness are credited while somebody queues.
                Rate(1000),
                "At most 1003 calls in any second: 1000 a second, and bursts of 1.",
            ),
            (
                Rate(10, per=3),
                "At most 4 calls in any second: 3.333 a second, and bursts of 1.",
            ),
        ],
    )
    def test_is_said_in_a_sensible_period(self, rate, sentence):
        """
        If a rate is put in words, numbers are neither tiny nor long.
        """
        assert sentence == limiter_words(rates=[rate])[0]

    @given(
        limit=st.integers(1, 40),
        per=st.sampled_from([1, 3, 60, 1000]),
        burst=st.integers(1, 30),
    )
    def test_the_number_is_what_a_limiter_admits(self, limit, per, burst):
        """
        If somebody takes whatever there is, as soon as it is there, as many are
        admitted in the densest period as the words say.
        """
        rate, clock = Rate(limit, per=per, burst=burst), ManualClock()
        limiter = RateLimiter(rates=[rate], clock=clock)
        _, seconds = period_of(rate)
        admitted, until = 0, clock.monotonic_ns() + seconds * 10**9
        # Turns are rounded up to the nanosecond.
        until += 100
        while clock.monotonic_ns() <= until:
            decision = limiter.try_acquire()
            admitted += bool(decision)
            clock.advance(decision.retry_after)

        most, refill = most_in(rate, seconds), Fraction(limit, per) * seconds
        if refill.denominator == 1:
            assert admitted == most
        else:
            # The lateness of 2 ms may be what a whole token was short of.
            assert admitted <= most <= admitted + 1


class TestLimiter:
    def test_one_rate(self):
        """
        If there is one rate, it is said, and who waits.
        """
        assert [
            "At most 7 calls in any second: 5 a second, and bursts of 2.",
            "A call that asks for several tokens counts as so many.",
            "Who comes too early waits, first come, first served.",
        ] == limiter_words(calls_per_second=5, burst=2)

    def test_several_rates(self):
        """
        If there are several rates, each is said in what it counts.
        """
        rates = [
            Rate(60, per=60, burst=10, counts="calls"),
            Rate(90_000, per=60, burst=9_000),
        ]

        assert [
            "At most 70 calls in any minute: 60 a minute, and bursts of 10.",
            "At most 99003 tokens in any minute: 90000 a minute, and bursts of 9000.",
            "All of that at once: a call waits until every rate admits it.",
            "At most 3 wait, first come, first served; who comes then is refused.",
        ] == limiter_words(rates=rates, max_waiters=3)

    def test_nobody_waits(self):
        """
        If nobody may wait, it says so.
        """
        words = limiter_words(calls_per_second=1, max_waiters=0)

        assert "Nobody waits: who comes too early is refused." == words[-1]


class TestBreaker:
    def test_default(self):
        """
        If nothing is set, the defaults are said.
        """
        assert [
            "Opens after 5 failures in a row.",
            "Open, it refuses every call for 2 min.",
            (
                "Then one probe at a time may try: one success closes it, one failure"
                " opens it again; a probe that says nothing for 2 min is given up."
            ),
        ] == breaker_words()

    def test_count_window_with_slow_calls(self):
        """
        If there is a window of calls that looks at slow ones, both shares are
        said, and what is slow.
        """
        window = CountWindow(50, failure_rate=0.3, slow_call_rate=0.125)

        assert [
            (
                "Opens after every failure, or when 30 % or more of the latest 50"
                " calls failed, or when 12.5 % or more of them were slow."
            ),
            "The shares are looked at from 10 calls on.",
            "A call slower than 2.5 s is slow.",
        ] == breaker_words(threshold=1, window=window, slow_call_seconds=2.5)[:3]

    def test_time_window_alone(self):
        """
        If only the rate of a window trips, only that is said.
        """
        window = TimeWindow(600, failure_rate=1.0, minimum_calls=1)

        assert [
            "Opens when 100 % of the calls of the latest 10 min failed.",
            "The shares are looked at from 1 call on.",
            "A call slower than 500 ms is a failure.",
        ] == breaker_words(threshold=None, window=window, slow_call_seconds=0.5)[:3]

    def test_a_full_window_is_always_judged(self):
        """
        If a window of calls is smaller than its minimum, its size counts.
        """
        words = breaker_words(window=CountWindow(5))

        assert "The shares are looked at from 5 calls on." == words[1]

    @pytest.mark.parametrize(
        ("settings", "sentence"),
        [
            (
                {"cooldown_factor": 1.5},
                "30 s, 1.5 times as long each time it opens again",
            ),
            (
                {"cooldown_factor": 2, "max_cooldown": 600},
                "30 s, 2 times as long each time it opens again, but at most 10 min",
            ),
            ({"jitter": 0.1}, "30 s; 10 % more or less, by chance"),
            ({"max_cooldown": 600}, "30 s"),
        ],
    )
    def test_cooldown(self, settings, sentence):
        """
        If cooldowns grow or differ, it says how.
        """
        words = breaker_words(cooldown=30, **settings)

        assert f"Open, it refuses every call for {sentence}." == words[1]

    def test_probes(self):
        """
        If there are several probes, it says how many, and how many must succeed.
        """
        words = breaker_words(half_open_probes=3, successes_to_close=2, probe_timeout=9)

        assert (
            "Then 3 probes at a time may try: 2 successes close it, one failure opens"
            " it again; a probe that says nothing for 9 s is given up."
        ) == words[-1]


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (1e-9, "1e-09 s"),
            (0.25, "250 ms"),
            (1, "1 s"),
            (90, "90 s"),
            (119.5, "119.5 s"),
            (120, "2 min"),
            (5400, "90 min"),
            (86_400, "24 h"),
            (2_592_000, "30 d"),
            (3.14159265, "3.14159265 s"),
        ],
    )
    def test_takes_few_digits(self, seconds, words):
        """
        If a duration is said, it is exact, in the unit that takes few digits.
        """
        assert words == duration(seconds)
