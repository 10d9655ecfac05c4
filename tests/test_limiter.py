"""
The rate limiter, on clocks that stand still until they are moved.
"""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import threading

from collections import deque
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import pytest

from hypothesis import example, given, settings
from hypothesis import strategies as st
from interrupting import points, stop

from switchgear import (
    BurstExceeded,
    LimiterSnapshot,
    Rate,
    RateLimiter,
    RateLimitExceeded,
    RateSnapshot,
    _fork,
)
from switchgear._core.place import Place, Status
from switchgear._unchanged import UNCHANGED
from switchgear._waiting import NOTHING, Sight
from switchgear.events import (
    LimiterClosed,
    LimiterPaused,
    LimiterReopened,
    RateLimitRefused,
    RateLimitWaited,
    Reconfigured,
)
from switchgear.testing import ManualClock, capture_events, disabled


SECOND = 10**9
LLM = [Rate(60, per=60, burst=10, counts="calls"), Rate(90_000, per=60, burst=9_000)]

ODD = [
    [Rate(3)],
    [Rate(3, burst=4)],
    [Rate(123456.789)],
    [Rate(1e9)],
    [Rate(1, per=30 * 86_400)],
    [Rate(60, burst=3, counts="calls")],
    [Rate(7, burst=2), Rate(3, per=0.9, burst=4)],
    LLM,
]


#: Where what is raised goes nowhere: a generator is freed that was not exhausted.
FREED = frozenset({("call", "<genexpr>"), ("return", "<genexpr>")})


@pytest.fixture
def limiter(clock):
    """
    A limiter of one a second, in use for a while, with an empty bucket of five.
    """
    limiter = RateLimiter(1, burst=5, clock=clock, name="images")
    clock.advance(100)
    limiter.try_acquire(5)
    return limiter


def available(limiter):
    return limiter.snapshot().available


class Hand:
    """
    A clock without timers, moved by hand.
    """

    def __init__(self):
        self.now = 10**12

    def monotonic_ns(self):
        return self.now


class Ear:
    """
    A waiter that notes what it hears.
    """

    def __init__(self):
        self.sight = None
        self.heard = []
        self.nudged = []

    def wake(self, place):
        self.heard.append(place.status)
        return True

    def nudge(self, place):
        self.nudged.append(place)
        return True


class Waiting:
    """
    Tasks that wait for a limiter, and the order in which they got their turn.
    """

    def __init__(self, limiter):
        self.limiter = limiter
        self.tasks = []
        self.done = []

    async def start(self, tokens=1, **how):
        name = len(self.tasks)

        async def wait():
            await self.limiter.wait_async(tokens, **how)
            self.done.append(name)

        self.tasks.append(asyncio.create_task(wait()))
        await self.settle()
        return self.tasks[-1]

    async def settle(self):
        for _ in range(5):
            await asyncio.sleep(0)


class TestConstructor:
    def test_defaults(self):
        """
        If it is told nothing, it admits two a second, one at a time.
        """
        assert {
            "calls_per_second": 2.0,
            "burst": 1,
            "max_waiters": None,
        } == RateLimiter().settings()

    @pytest.mark.parametrize("pace", [1e-9, 1e12, 1, 123456.789])
    def test_extreme_paces(self, pace):
        """
        If the pace is within its range, it is taken.
        """
        assert pace == RateLimiter(pace).snapshot().calls_per_second

    @pytest.mark.parametrize(
        "pace", [0, -1, math.nan, math.inf, 0.9e-9, 1.1e12, 10**400]
    )
    def test_pace_out_of_range(self, pace):
        """
        If the pace is out of its range, ValueError names it, and the range.
        """
        with pytest.raises(
            ValueError,
            match=r"^calls_per_second must be at least 1e-09 and at most \S+, not ",
        ):
            RateLimiter(pace)

    @pytest.mark.parametrize("pace", [True, "2", None, [2]])
    def test_pace_of_the_wrong_type(self, pace):
        """
        If the pace is no number, TypeError names it.
        """
        with pytest.raises(TypeError, match=r"^calls_per_second must be a number"):
            RateLimiter(pace)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"burst": 0}, ValueError, "burst must be at least 1"),
            ({"burst": 1.5}, TypeError, "burst must be an int"),
            ({"burst": True}, TypeError, "burst must be an int"),
            ({"burst": 10**13}, ValueError, "burst must be at least 1"),
            ({"max_waiters": -1}, ValueError, "max_waiters must be at least 0"),
            ({"max_waiters": 1.0}, TypeError, "max_waiters must be an int"),
            ({"max_waiters": False}, TypeError, "max_waiters must be an int"),
            ({"name": 5}, TypeError, "name must be a string"),
            ({"name": ""}, ValueError, "name must have 1 to 200"),
            ({"name": "a[b]"}, ValueError, "name must have no unprintable"),
            ({"clock": 5}, TypeError, "clock must have a method"),
            ({"store": {}}, TypeError, "store must be None"),
            ({"rates": 5}, TypeError, "rates must be a sequence of Rate"),
            ({"rates": [5]}, TypeError, "rates must hold nothing but Rate"),
            ({"rates": []}, ValueError, "rates must hold 1 to 16 rates, not 0"),
            ({"rates": [Rate(1)] * 17}, ValueError, "rates must hold 1 to 16"),
            ({"rates": [Rate(1)], "burst": 2}, ValueError, "rates is given instead"),
            (
                {"rates": [Rate(1)], "calls_per_second": 1},
                ValueError,
                "rates is given instead",
            ),
        ],
    )
    def test_bad_arguments(self, arguments, error, message):
        """
        If an argument is wrong, it is refused at once and named.
        """
        with pytest.raises(error, match=f"^{message}"):
            RateLimiter(**arguments)

    def test_any_iterable_of_rates(self):
        """
        If rates come from an iterator, they are read once and kept.
        """
        limiter = RateLimiter(rates=iter(LLM))

        assert tuple(LLM) == limiter.settings()["rates"]

    def test_not_pickled_without_a_home(self):
        """
        If it is no instance of the default registry, it is neither pickled nor
        copied.
        """
        for again in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                again(RateLimiter())

    def test_repr(self):
        """
        If it is shown, it tells its name and rates, in full.
        """
        assert "<RateLimiter: 123456.789 tokens per 1 s, burst 1>" == repr(
            RateLimiter(123456.789)
        )
        assert (
            "<RateLimiter 'llm': 60 calls per 60 s, burst 10,"
            " 90000 tokens per 60 s, burst 9000>"
        ) == repr(RateLimiter(rates=LLM, name="llm"))


class TestTryAcquire:
    @pytest.mark.parametrize(("rate", "wait"), [(1.0, 1.0), (2.0, 0.5), (0.1, 10.0)])
    def test_refusal_names_the_wait(self, clock, rate, wait):
        """
        If the bucket is empty, the refusal says how long to wait -- and
        waiting exactly that long is enough.
        """
        limiter = RateLimiter(rate, burst=1, clock=clock)
        limiter.try_acquire()

        refusal = limiter.try_acquire()

        assert not refusal
        assert wait == refusal.retry_after

        clock.advance(refusal.retry_after)

        assert limiter.try_acquire()

    def test_remaining(self, clock):
        """
        If it is admitted, it says what a next call could take at once.
        """
        limiter = RateLimiter(1, burst=5, clock=clock)

        assert (True, 0.0, 3) == limiter.try_acquire(2)
        assert (False, 1.0, 3) == limiter.try_acquire(4)
        assert (True, 0.0, 0) == limiter.try_acquire(3)

    def test_while_anybody_queues(self, clock, limiter):
        """
        If anybody queues it is refused, even if tokens are there, and
        ``retry_after`` counts the queue.
        """
        limiter.reserve(5)
        clock.advance(3.0)

        assert (False, 3.0, 0) == limiter.try_acquire()

    def test_while_paused(self, clock):
        """
        If a pause runs, it is refused until its end.
        """
        limiter = RateLimiter(1, burst=5, clock=clock)
        limiter.pause(2.5)

        assert (False, 2.5, 0) == limiter.try_acquire()

        clock.advance(2.5)

        assert (True, 0.0, 4) == limiter.try_acquire()

    @pytest.mark.parametrize("tokens", [0, -1, True, 1.0, "1", None, 10**13, 1 << 99])
    def test_bad_tokens(self, clock, tokens):
        """
        If *tokens* is no int of at least 1, every verb refuses it naming it.
        """
        limiter = RateLimiter(clock=clock)
        for verb in (
            limiter.try_acquire,
            limiter.wait,
            limiter.reserve,
            lambda tokens: asyncio.run(limiter.wait_async(tokens)),
        ):
            with pytest.raises((TypeError, ValueError), match=r"^tokens must be "):
                verb(tokens)

        assert 1 == available(limiter)
        assert 0 == limiter.snapshot().refused

    def test_any_whole_number(self, clock):
        """
        If *tokens* has ``__index__``, that is taken.
        """

        class Two:
            def __index__(self):
                return 2

        limiter = RateLimiter(burst=3, clock=clock)

        assert 1 == limiter.try_acquire(Two()).remaining


class TestWait:
    def test_admitted_at_once(self, clock):
        """
        If tokens are there, nobody waits.
        """
        limiter = RateLimiter(1, burst=5, clock=clock)
        limiter.wait()
        limiter.wait(2, timeout=0)
        with limiter as same:
            assert limiter is same

        async def main():
            await limiter.wait_async(timeout=0)
            async with limiter as same:
                assert limiter is same
            with pytest.raises(RateLimitExceeded):
                await limiter.wait_async(timeout=0)

        clock.advance(1.0)
        asyncio.run(main())

        assert 5 == limiter.snapshot().admitted
        assert 0.0 == limiter.snapshot().waited_seconds

    @pytest.mark.parametrize("timeout", [0, 0.999, 0.999999999])
    def test_refused_at_once_consuming_nothing(self, limiter, timeout):
        """
        If the turn cannot come within *timeout* it is refused at once,
        consuming nothing.
        """
        with pytest.raises(RateLimitExceeded, match="the turn is not within") as caught:
            limiter.wait(timeout=timeout)

        assert 1.0 == caught.value.retry_after
        assert "images" == caught.value.name
        assert (0, 0, 1) == (
            limiter.snapshot().waiting,
            available(limiter),
            limiter.snapshot().refused,
        )

    def test_queue_is_counted_in(self, limiter):
        """
        If others queue, their tokens are counted in.
        """
        limiter.reserve(3)

        for refused in (
            lambda: limiter.reserve(2, max_wait=4.999),
            lambda: limiter.wait(2, timeout=4.999),
        ):
            with pytest.raises(RateLimitExceeded) as caught:
                refused()

            assert 5.0 == caught.value.retry_after

    def test_turn_at_the_end_of_the_timeout(self, clock, limiter):
        """
        If the turn comes exactly at the end of *timeout*, it is admitted.
        """

        async def main():
            waiting = Waiting(limiter)
            await waiting.start(timeout=1.0)
            clock.advance(1.0)
            await waiting.settle()

            assert [0] == waiting.done

        asyncio.run(main())

    @pytest.mark.parametrize("most", [0, 1, 2])
    def test_max_waiters(self, clock, most):
        """
        If *max_waiters* already wait, the next is refused at once; told
        another number, it counts from then on.
        """
        limiter = RateLimiter(1, clock=clock, max_waiters=most)
        limiter.wait()
        for _ in range(most):
            limiter.reserve()

        for refused in (limiter.reserve, limiter.wait):
            with pytest.raises(
                RateLimitExceeded, match=f"{most} wait already"
            ) as caught:
                refused()

            assert 1.0 + most == caught.value.retry_after

        limiter.reconfigure(max_waiters=None)

        assert limiter.settings()["max_waiters"] is None

        limiter.reserve()

        assert most + 1 == limiter.snapshot().waiting

    @pytest.mark.parametrize("timeout", [-1, math.nan, math.inf, True, "1", 1e10])
    def test_bad_timeout(self, limiter, timeout):
        """
        If *timeout* is no duration, it is refused naming it.
        """
        for one in (limiter, RateLimiter(burst=9)):
            with pytest.raises((TypeError, ValueError), match=r"^timeout must be "):
                one.wait(timeout=timeout)
            with pytest.raises((TypeError, ValueError), match=r"^timeout must be "):
                asyncio.run(one.wait_async(timeout=timeout))

    def test_threads_wait_on_the_clock(self, clock, limiter):
        """
        If a thread waits, it goes on when the clock says so.
        """
        thread = threading.Thread(target=limiter.wait)
        thread.start()
        clock.wait_for_sleepers(1)
        clock.advance(1.0)
        thread.join()

        assert 1.0 == limiter.snapshot().waited_seconds


class TestPause:
    def test_nobody_before_then(self, clock):
        """
        If it is paused, nobody is admitted before the end, tokens or not; the
        bucket fills meanwhile.
        """
        limiter = RateLimiter(1, burst=3, clock=clock)
        limiter.try_acquire(2)
        limiter.pause(10)
        reservation = limiter.reserve(3)

        assert 10.0 == reservation.delay
        assert 10.0 == limiter.snapshot().paused_for

        clock.advance(9.999999999)

        assert 1e-9 == reservation.delay
        assert 3 == available(limiter)

        clock.advance(1e-9)

        assert 0.0 == reservation.delay
        assert 0.0 == limiter.snapshot().paused_for

    def test_only_extends(self, clock, limiter):
        """
        If a later pause ends earlier it changes nothing and says nothing.
        """
        with capture_events(LimiterPaused) as events:
            limiter.pause(10)
            clock.advance(2.0)
            limiter.pause(1)

            assert 8.0 == limiter.snapshot().paused_for

            limiter.pause(9)
            limiter.pause(9)

            assert 9.0 == limiter.snapshot().paused_for

        assert [10.0, 9.0] == [event.paused_for for event in events]
        assert {"images"} == {event.limiter for event in events}

    def test_more_was_asked_than_it_gets(self, clock, limiter):
        """
        If a server asked for a longer pause than it gets, that is known until
        the pause is over; the longest counts.
        """
        assert 0.0 == limiter._still_asked()

        limiter._pause(10, 60)
        limiter._pause(10, 30)

        assert 60.0 == limiter._still_asked()

        clock.advance(2.0)
        limiter._pause(8, 70)
        limiter._pause(1, 1)
        clock.advance(7.999999999)

        assert 62.000000001 == limiter._still_asked()

        clock.advance(1e-9)

        assert 0.0 == limiter._still_asked()

        limiter.pause(5)

        assert 0.0 == limiter._still_asked()

    def test_what_was_asked_is_over_first(self, clock, limiter):
        """
        If the pause is made longer by others, what was asked is over when it
        says.
        """
        limiter._pause(1, 2)
        limiter.pause(10)
        clock.advance(2.0)

        assert 0.0 == limiter._still_asked()

        clock.advance(1.0)

        assert 0.0 == limiter._still_asked()

    @pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, True, "1", None])
    def test_bad_seconds(self, limiter, seconds):
        """
        If *seconds* is no duration, it is refused naming it.
        """
        with pytest.raises((TypeError, ValueError), match=r"^seconds must be "):
            limiter.pause(seconds)


class TestAsked:
    def test_nothing_is_asked_any_more_of_one_that_was_reset(self):
        """
        If a limiter is reset at the very beginning of its clock, all that a server
        asked for is over.
        """
        limiter = RateLimiter(1, clock=ManualClock())
        limiter._pause(10, 60)
        limiter.reset()

        assert 0.0 == limiter._still_asked()

    def test_nothing_was_asked_of_one_that_is_new(self):
        """
        If a limiter is paused as soon as its clock began, no server asked for it.
        """
        limiter = RateLimiter(1, clock=ManualClock())
        limiter.pause(10)

        assert 0.0 == limiter._still_asked()


class TestReconfigure:
    @pytest.mark.parametrize("change", [{}, {"max_waiters": 5}, {"burst": 10}])
    def test_rates_that_stay_give_back_as_before(self, clock, change):
        """
        If rates are what they were, what is booked goes back to the last tick.
        """
        limiter = RateLimiter(1.0, burst=10, clock=clock)
        first, second = limiter.reserve(5), limiter.reserve(5)

        limiter.reconfigure(**change)
        second.cancel()
        first.cancel()

        assert limiter.try_acquire(10).admitted

    def test_sleepers_are_re_timed(self, clock):
        """
        If the rate is raised, sleepers go when their new turns come.
        """
        limiter = RateLimiter(0.1, clock=clock)
        limiter.wait()

        async def main():
            waiting = Waiting(limiter)
            for _ in range(4):
                await waiting.start()
            limiter.reconfigure(calls_per_second=20)
            for expected in ([], [0], [0, 1], [0, 1, 2], [0, 1, 2, 3]):
                await waiting.settle()

                assert expected == waiting.done

                clock.advance(0.05)

        asyncio.run(main())

    def test_sleepers_are_re_timed_to_later(self, clock):
        """
        If the rate is lowered, sleepers go later.
        """
        limiter = RateLimiter(1, clock=clock)
        limiter.wait()

        async def main():
            waiting = Waiting(limiter)
            await waiting.start()
            limiter.reconfigure(calls_per_second=0.1)
            clock.advance(9.999999999)
            await waiting.settle()

            assert [] == waiting.done

            clock.advance(1e-9)
            await waiting.settle()

            assert [0] == waiting.done

        asyncio.run(main())

    def test_burst_lowered_below_a_waiter(self, clock, limiter):
        """
        If the burst is lowered below what somebody waits for, that one leaves
        with BurstExceeded, and the one behind it goes earlier.
        """

        async def main():
            waiting = Waiting(limiter)
            large = await waiting.start(5)
            await waiting.start(1)
            limiter.reconfigure(burst=4)
            await waiting.settle()
            with pytest.raises(BurstExceeded) as caught:
                await large

            assert (5, 4) == (caught.value.tokens, caught.value.burst)

            clock.advance(1.0)
            await waiting.settle()

            assert [1] == waiting.done

        asyncio.run(main())

        assert 1 == limiter.snapshot().refused

    @pytest.mark.parametrize(
        ("first", "then", "expected"),
        [
            # Idle for long before: the level is the old burst.
            ({"burst": 2}, {"burst": 1000}, 2),
            ({"burst": 5}, {"burst": 2}, 2),
            ({"burst": 5}, {"calls_per_second": 1000}, 5),
            ({"burst": 5}, {"rates": [Rate(3, burst=9)]}, 5),
            ({"burst": 5}, {"rates": [Rate(3, per=60, burst=9)]}, 5),
            # The added one is empty.
            ({"burst": 5}, {"rates": [Rate(2, burst=5), Rate(9, per=60, burst=9)]}, 0),
            ({"rates": LLM}, {"rates": LLM[::-1]}, 9_000),
            ({"rates": LLM}, {"rates": LLM[1:]}, 9_000),
            ({"rates": LLM}, {"rates": LLM[:1]}, 10),
            ({"rates": [Rate(5, burst=4, counts="calls")]}, {"burst": 9}, 4),
            ({"rates": [Rate(5, burst=4, counts="calls")]}, {"calls_per_second": 9}, 4),
        ],
    )
    def test_nothing_is_minted(self, clock, first, then, expected):
        """
        If rates or bursts change, nothing is there that was not before.
        """
        limiter = RateLimiter(**first, clock=clock)
        clock.advance(10**6)
        limiter.reconfigure(**then)

        assert expected == available(limiter)

    def test_removed_and_added_again(self, clock):
        """
        If a rate is removed and added again, it starts empty.
        """
        limiter = RateLimiter(rates=LLM, clock=clock)
        limiter.reconfigure(rates=LLM[:1])
        limiter.reconfigure(rates=LLM)

        assert [10, 0] == [rate.available for rate in limiter.snapshot().rates]

    def test_debt_is_kept(self, clock, limiter):
        """
        If tokens are owed, they still are.
        """
        reservation = limiter.reserve()
        clock.advance(1.0)
        reservation.settle(21)
        limiter.reconfigure(calls_per_second=2, burst=3)

        assert -20 == available(limiter)
        assert 10.5 == limiter.try_acquire().retry_after

    def test_unit_is_kept(self, clock):
        """
        If only the pace of a limiter of calls changes, it still counts calls.
        """
        limiter = RateLimiter(rates=[Rate(60, per=60, burst=2, counts="calls")])
        limiter.reconfigure(calls_per_second=5)

        assert (Rate(5, burst=2, counts="calls"),) == limiter.settings()["rates"]

    @pytest.mark.parametrize(
        ("rates", "change", "message"),
        [
            (None, {"burst": 0}, "burst must be at least 1"),
            (None, {"burst": 1.5}, "burst must be an int"),
            (None, {"calls_per_second": 0}, "calls_per_second must be at least"),
            (None, {"rates": []}, "rates must hold 1 to 16"),
            (None, {"rates": [1]}, "rates must hold nothing but"),
            (None, {"rates": None}, "rates must be a sequence"),
            (None, {"rates": [Rate(1)], "burst": 1}, "rates is given instead"),
            (None, {"max_waiters": -1}, "max_waiters must be at least 0"),
            (LLM, {"burst": 1}, "this limiter has several rates"),
            (LLM, {"calls_per_second": 1}, "this limiter has several rates"),
        ],
    )
    def test_bad_arguments_change_nothing(self, clock, rates, change, message):
        """
        If an argument is wrong, it is named and nothing is changed.
        """
        limiter = RateLimiter(rates=rates, clock=clock)
        before = limiter.settings(), limiter.snapshot()

        with pytest.raises((TypeError, ValueError), match=f"^{message}"):
            limiter.reconfigure(**{"max_waiters": 7, **change})

        assert before == (limiter.settings(), limiter.snapshot())

    def test_event_tells_what_changed(self, clock, limiter):
        """
        If something changes, an event tells old and new; if nothing does, none
        comes.
        """
        with capture_events(Reconfigured) as events:
            limiter.reconfigure()
            limiter.reconfigure(burst=5)
            limiter.reconfigure(burst=6, max_waiters=3)
            limiter.reconfigure(rates=LLM)

        assert [
            {"burst": (5, 6), "max_waiters": (None, 3)},
            {
                "calls_per_second": (1.0, None),
                "burst": (6, None),
                "rates": (None, tuple(LLM)),
            },
        ] == [event.changes for event in events]
        assert ("limiter", "images") == (events[0].kind, events[0].name)

    def test_numbers_are_read_outside_the_lock(self, clock):
        """
        If a number runs code of its own, no lock is held meanwhile.
        """
        limiter = RateLimiter(clock=clock)

        class Three:
            def __index__(self):
                assert not limiter._lock._is_owned()

                return 3

        limiter.reconfigure(burst=Three())

        assert 3 == limiter.settings()["burst"]


class TestClose:
    def test_every_waiter_leaves(self, clock, limiter):
        """
        If it is closed, every waiter, now and later, is refused, with the
        reason and no ``retry_after``; reopened, it goes on.
        """

        async def main():
            waiting = Waiting(limiter)
            tasks = [await waiting.start(), await waiting.start(3)]
            reservation = limiter.reserve()
            limiter.close("shutting down")
            for task in tasks:
                with pytest.raises(RateLimitExceeded, match="shutting down") as caught:
                    await task

                assert caught.value.retry_after is None

            assert math.inf == reservation.delay

        asyncio.run(main())
        clock.advance(9.0)
        for verb in (limiter.reserve, limiter.wait):
            with pytest.raises(RateLimitExceeded, match="closed: shutting down"):
                verb()

        assert (False, None, 0) == limiter.try_acquire()
        assert "shutting down" == limiter.snapshot().closed
        assert 3 + 2 + 1 == limiter.snapshot().refused

        limiter.reopen()

        assert (True, 0.0, 4) == limiter.try_acquire()
        assert limiter.snapshot().closed is None

    def test_all_who_were_sent_away_count_as_refused(self, limiter):
        """
        If it is closed twice, or its burst lowered, those who are sent away
        are refused besides all that were before.
        """
        for times in (1, 2):
            limiter.reserve(5)
            limiter.reconfigure(burst=4)

            assert 3 * times - 2 == limiter.snapshot().refused

            limiter.reserve()
            limiter.reserve()
            limiter.close()

            assert 3 * times == limiter.snapshot().refused

            limiter.reopen()
            limiter.reconfigure(burst=5)

    def test_without_a_reason(self, limiter):
        """
        If no reason is given, the error says it was closed.
        """
        limiter.close()

        with pytest.raises(RateLimitExceeded, match=r"closed$"):
            limiter.wait()

    def test_events(self, limiter):
        """
        If it is closed and reopened twice, that is told once each.
        """
        limiter.reserve()
        with capture_events(LimiterClosed, LimiterReopened) as events:
            limiter.close("a")
            limiter.close("b")
            limiter.reopen()
            limiter.reopen()

        assert 1 == limiter.snapshot().refused

        assert [LimiterClosed, LimiterReopened] == [type(event) for event in events]
        assert {"images"} == {event.limiter for event in events}
        assert ("a", 1) == (events[0].reason, events[0].waiting)

    def test_bad_reason(self, limiter):
        """
        If the reason is no string, it is refused naming it.
        """
        with pytest.raises(TypeError, match=r"^reason must be "):
            limiter.close(5)


class TestSnapshot:
    def test_fields(self, clock):
        """
        If it is asked, everything is told as it stands, immutably.
        """
        limiter = RateLimiter(rates=LLM, name="llm", clock=clock)
        limiter.try_acquire(8_000)
        limiter.reserve(4_000)
        limiter.pause(9.0)
        clock.advance(1.0)
        snapshot = limiter.snapshot()

        assert (
            LimiterSnapshot(
                name="llm",
                calls_per_second=1.0,
                burst=9_000,
                available=2_500,
                rates=(
                    RateSnapshot(
                        limit=60.0, per=60.0, burst=10, counts="calls", available=10
                    ),
                    RateSnapshot(
                        limit=90_000.0,
                        per=60.0,
                        burst=9_000,
                        counts="tokens",
                        available=2_500,
                    ),
                ),
                waiting=1,
                admitted=1,
                refused=0,
                waited_seconds=0.0,
                paused_for=8.0,
                closed=None,
            )
            == snapshot
        )
        with pytest.raises(AttributeError):
            snapshot.waiting = 0

    def test_refusals_of_every_verb_are_counted(self, limiter):
        """
        If calls are refused, each counts once, and one event tells it.
        """
        with capture_events(RateLimitRefused) as events:
            limiter.try_acquire()
            for refused in (
                lambda: limiter.try_acquire(6),
                lambda: limiter.wait(6),
                lambda: limiter.reserve(6),
                lambda: limiter.wait(timeout=0),
            ):
                with pytest.raises((RateLimitExceeded, BurstExceeded)):
                    refused()

        assert 5 == limiter.snapshot().refused
        assert [1.0, None, None, None, 1.0] == [event.retry_after for event in events]
        assert [1, 6, 6, 6, 1] == [event.tokens for event in events]

    @pytest.mark.parametrize(
        ("ask", "tokens", "retry_after", "reason"),
        [
            (
                lambda it: it.wait(2, timeout=1.5),
                2,
                2.0,
                "the turn is not within 1.5 s",
            ),
            (
                lambda it: it.reserve(2).wait(timeout=1),
                2,
                2.0,
                "the turn is not within 1 s",
            ),
            (
                lambda it: it.reconfigure(max_waiters=0) or it.wait(3),
                3,
                3.0,
                "0 wait already",
            ),
            (
                lambda it: it.close("maintenance") or it.wait(3),
                3,
                None,
                "closed: maintenance",
            ),
            (lambda it: it.close() or it.reserve(3), 3, None, "closed"),
        ],
    )
    def test_refusals_tell_what_there_is(
        self, clock, limiter, ask, tokens, retry_after, reason
    ):
        """
        If a call is refused, the event says who refused how many tokens, when,
        why, and for how long; the exception says the same.
        """
        with (
            capture_events(RateLimitRefused) as events,
            pytest.raises(RateLimitExceeded) as caught,
        ):
            ask(limiter)

        assert [
            RateLimitRefused(
                at=clock.monotonic_ns() / 1e9,
                limiter="images",
                tokens=tokens,
                retry_after=retry_after,
                reason=reason,
            )
        ] == events
        assert ("images", retry_after, reason) == (
            caught.value.name,
            caught.value.retry_after,
            caught.value.reason,
        )

    def test_decisions_tell_why(self, clock, limiter):
        """
        If a call is told "not now", an event says why.
        """
        with capture_events(RateLimitRefused) as events:
            limiter.try_acquire(2)
            limiter.close("maintenance")
            limiter.try_acquire(3)
            limiter.close()
            limiter.try_acquire(4)

        at = clock.monotonic_ns() / 1e9
        assert [
            (at, "images", 2, 2.0, "no token is free"),
            (at, "images", 3, None, "closed: maintenance"),
            (at, "images", 4, None, "closed"),
        ] == [
            (event.at, event.limiter, event.tokens, event.retry_after, event.reason)
            for event in events
        ]

    def test_what_can_never_be_tells_so(self, clock, limiter):
        """
        If more is asked for than the burst, event and exception say that.
        """
        with (
            capture_events(RateLimitRefused) as events,
            pytest.raises(BurstExceeded) as caught,
        ):
            limiter.wait(6)

        assert [
            RateLimitRefused(
                at=clock.monotonic_ns() / 1e9,
                limiter="images",
                tokens=6,
                retry_after=None,
                reason="more than the burst",
            )
        ] == events
        assert ("images", 6, 5) == (
            caught.value.name,
            caught.value.tokens,
            caught.value.burst,
        )

    def test_a_timer_is_set_once(self, limiter, monkeypatch):
        """
        If others look at a limiter while somebody waits on a manual clock, the
        timer that is set already stays.
        """
        timers = []
        call_at = ManualClock.call_at

        def counted(*args):
            timers.append(args)
            return call_at(*args)

        monkeypatch.setattr(ManualClock, "call_at", counted)

        async def main():
            waiting = Waiting(limiter)
            task = await waiting.start(2)
            for _ in range(3):
                limiter.try_acquire()
                limiter.snapshot()
            assert 1 == len(timers)
            task.cancel()

        asyncio.run(main())

    def test_who_is_late_is_told(self, clock, limiter):
        """
        If a turn does not come in time after all, event and exception say so.
        """

        async def main():
            waiting = Waiting(limiter)
            late = await waiting.start(2, timeout=2.0)
            limiter.pause(5)
            clock.advance(2.0)
            await waiting.settle()
            with pytest.raises(RateLimitExceeded) as caught:
                await late
            return caught.value

        with capture_events(RateLimitRefused) as events:
            error = asyncio.run(main())

        reason = "the turn did not come in time"
        assert [
            RateLimitRefused(
                at=clock.monotonic_ns() / 1e9,
                limiter="images",
                tokens=2,
                retry_after=3.0,
                reason=reason,
            )
        ] == events
        assert ("images", 3.0, reason) == (error.name, error.retry_after, error.reason)

    @pytest.mark.parametrize(
        ("send_away", "expected"),
        [
            (
                lambda it: it.reconfigure(burst=1),
                (
                    "rate limiter 'images': 2 tokens can never be admitted, the burst"
                    " is 1; ask for less or raise the burst"
                ),
            ),
            (
                lambda it: it.close("maintenance"),
                "rate limiter 'images': closed: maintenance",
            ),
            (lambda it: it.close(), "rate limiter 'images': closed"),
        ],
    )
    def test_who_is_sent_away_is_told(self, limiter, send_away, expected):
        """
        If somebody who waits is sent away, the exception says who did, and why.
        """

        async def main():
            waiting = Waiting(limiter)
            task = await waiting.start(2)
            send_away(limiter)
            await waiting.settle()
            with pytest.raises((RateLimitExceeded, BurstExceeded)) as caught:
                await task
            return caught.value

        assert expected == str(asyncio.run(main()))

    def test_waits_are_told(self, clock, limiter):
        """
        If somebody waited, an event tells how long.
        """

        async def main():
            waiting = Waiting(limiter)
            await waiting.start(2)
            limiter.reserve()
            clock.advance(3.0)
            await waiting.settle()

        with capture_events(RateLimitWaited) as events:
            asyncio.run(main())

        told = [(event.limiter, event.tokens, event.waited) for event in events]
        assert [("images", 2, 2.0)] == told


class TestSettings:
    def test_a_pace_that_is_high_for_its_period_only(self):
        """
        If a rate is told per hour, its limit may be more than one per second
        could be; settings tell it as it is.
        """
        rates = (Rate(1e13, per=3600),)
        limiter = RateLimiter(rates=rates)

        assert rates == limiter.settings()["rates"]
        limiter.reconfigure(max_waiters=3)
        assert {"rates": rates, "max_waiters": 3} == limiter.settings()

    @pytest.mark.parametrize(
        "definition",
        [
            {},
            {"calls_per_second": 123456.789, "burst": 7},
            {"rates": LLM, "max_waiters": 3},
            {"rates": [Rate(60, per=60)]},
            {"rates": [Rate(1, counts="calls")]},
            {"rates": [Rate(1, burst=2)]},
        ],
    )
    def test_round_trip(self, definition):
        """
        If a limiter is made from the settings of another, it has the same.
        """
        limiter = RateLimiter(**definition)
        settings = limiter.settings()
        again = RateLimiter(**settings)

        assert settings == again.settings()
        assert limiter.snapshot() == again.snapshot()


class TestReset:
    def test_starts_anew(self, clock, limiter):
        """
        If it is reset, the bucket is full, no pause runs, counts are zero and
        settings stay; the first of the queue go at once.
        """
        limiter.pause(100)
        places = [limiter.reserve(4), limiter.reserve(4)]
        limiter.reset()

        assert [0.0, 3.0] == [place.delay for place in places]
        assert (1, 0, 0.0) == (
            limiter.snapshot().admitted,
            limiter.snapshot().refused,
            limiter.snapshot().paused_for,
        )
        assert 5 == limiter.settings()["burst"]


class TestIdle:
    def test_when_forgetting_changes_nothing(self, clock):
        """
        If the bucket is full, nobody waits or holds a booking, no pause runs,
        it is open and nobody listens, it may be forgotten; else not.
        """
        limiter = RateLimiter(1, burst=2, clock=clock)

        assert limiter._idle()

        reservation = limiter.reserve()
        clock.advance(5.0)

        assert not limiter._idle()

        reservation.settle(1)

        assert limiter._idle()

        unsubscribe = limiter.subscribe(print)

        assert not limiter._idle()

        unsubscribe()
        limiter.close()

        assert not limiter._idle()

        limiter.reopen()
        limiter.try_acquire()

        assert not limiter._idle()


class TestDisabled:
    def test_everything_is_admitted_and_nothing_charged(self, clock, limiter):
        """
        If protection is disabled, every verb admits at once, more than the
        burst and while closed as well, and nothing is counted.
        """
        limiter.close()
        before = limiter.snapshot()
        with disabled():
            assert limiter.try_acquire()
            assert limiter.try_acquire(50)

            limiter.wait()
            limiter.wait(50, timeout=0)
            asyncio.run(limiter.wait_async(50))

            assert 0.0 == limiter.reserve(50).delay
            assert before == limiter.snapshot()

        assert not limiter.try_acquire()

    def test_one_that_is_being_made(self, monkeypatch):
        """
        If protection is disabled for a moment while a limiter is made, it works.
        """
        track = _fork.track

        def meanwhile(made):
            track(made)
            if isinstance(made, RateLimiter):
                with disabled():
                    pass

        monkeypatch.setattr(_fork, "track", meanwhile)
        limiter = RateLimiter(1)

        assert limiter.try_acquire()
        assert not limiter.try_acquire()

    def test_the_short_way_is_closed(self):
        """
        If the machine's clock is used, nothing is charged either.
        """
        limiter = RateLimiter(1e-9, burst=3)
        limiter.try_acquire()
        with disabled():
            for _ in range(5):
                assert limiter.try_acquire()

        assert 1 == limiter.snapshot().admitted
        assert [True, True, False] == [bool(limiter.try_acquire()) for _ in range(3)]

    def test_reentered_by_a_handler_that_disables(self):
        """
        If a signal handler disables protection at any point at which a task comes
        to wait behind another, the task goes on at once or keeps its place.
        """

        async def main(come_in):
            limiter = RateLimiter(0.001)
            limiter.try_acquire()
            waiting = Waiting(limiter)
            first = await waiting.start()
            coming, futures = limiter.wait_async(), []

            def begin():
                with suppress(StopIteration):
                    futures.append(coming.send(None))

            with ExitStack() as stack:
                come_in(begin, lambda: stack.enter_context(disabled()))
            await waiting.settle()
            is_queued = limiter.snapshot().waiting == 2
            for future in futures:
                assert future.done() is not is_queued
            limiter.close()
            await waiting.settle()
            coming.close()
            await asyncio.gather(first, return_exceptions=True)

        for point in points(20):
            asyncio.run(main(point))


class TestGuarantees:
    @settings(max_examples=150)
    @given(
        st.sampled_from([Rate(3, burst=2), Rate(50), Rate(1, burst=5)]),
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["acquire", "reserve", "cancel", "pause", "jump", "back", "raise"]
                ),
                st.integers(1, 3),
                st.integers(0, 8),
            ),
            max_size=40,
        ),
    )
    @example(
        Rate(1, burst=5),
        [("acquire", 3, 0), ("acquire", 2, 0)]
        + [("reserve", 3, 0)] * 4
        + [("jump", 1, 8)] * 2,
    )
    def test_1_no_window_sees_more_than_the_bound(  # noqa: C901, PLR0912 -- verbs
        self, rate, plan
    ):
        """
        If anything is asked in any order while the clock jumps forth and back,
        in any window at most ``burst + rate * (t + 2 ms)`` are admitted.
        """
        clock = ManualClock()
        limiter = RateLimiter(rates=[rate], clock=clock)
        burst, pace = rate.burst, rate.calls_per_second
        log, reservations = [], []
        for verb, wanted, which in plan:
            tokens = min(wanted, rate.burst)
            if verb == "acquire":
                if limiter.try_acquire(tokens):
                    log.append((limiter._last - limiter._epoch, tokens))
            elif verb == "reserve":
                reservations.append(limiter.reserve(tokens))
            elif verb == "cancel" and reservations:
                reservation = reservations.pop(which % len(reservations))
                if reservation.delay:
                    reservation.cancel()
                else:
                    log.append((reservation._place.turned, reservation.tokens))
            elif verb == "pause":
                limiter.pause(which / 10)
            elif verb == "back":
                # Time that the clock took back is no time.
                clock.jump(-which * 100)
                limiter.snapshot()
            elif verb == "raise":
                pace *= 1 + which / 100
                limiter.reconfigure(calls_per_second=pace)
            else:
                clock.jump(which / 4)
            for reservation in [one for one in reservations if not one.delay]:
                reservations.remove(reservation)
                log.append((reservation._place.turned, reservation.tokens))
        log.sort()
        for start, (begun, _) in enumerate(log):
            taken = 0
            for at, tokens in log[start:]:
                taken += tokens
                length = Fraction(at - begun + 2 * 10**6, SECOND)

                assert taken <= burst + Fraction(pace) * length

    @pytest.mark.parametrize("waiters", [1, 2, 7, 40])
    @pytest.mark.parametrize("burst", [1, 2, 10])
    @pytest.mark.parametrize("rate", [0.3, 1.0, 7.0, 333.3, 5000.0])
    def test_1_the_whole_rate_is_delivered(self, clock, rate, burst, waiters):
        """
        If so many always wait, each coming back as soon as its turn has come, as
        many are served as the rate says, to a nanosecond each.
        """
        limiter = RateLimiter(rate, burst=burst, clock=clock)
        began = clock.monotonic_ns()
        booked = deque(limiter.reserve() for _ in range(waiters))
        for served in range(1, 501):
            clock.advance(booked[0].delay)
            assert 0.0 == booked.popleft().delay
            took = (clock.monotonic_ns() - began) / SECOND

            assert abs(max(0, served - burst) / rate - took) <= 1e-9 * served

            booked.append(limiter.reserve())

    @pytest.mark.parametrize("rates", ODD, ids=repr)
    def test_2_retry_after_is_exact(self, clock, rates):
        """
        If exactly ``retry_after`` is waited it is enough, and a nanosecond
        less is not, at any rate, behind a queue as well.
        """
        limiter = RateLimiter(rates=rates, clock=clock)
        while limiter.try_acquire():
            pass
        for _ in range(5):
            refusal = limiter.try_acquire()
            clock.advance_ns(round(refusal.retry_after * 1e9) - 1)

            assert 1e-9 == limiter.try_acquire().retry_after

            clock.advance_ns(1)

            assert limiter.try_acquire()

            limiter.reserve()

    def test_2_at_a_token_in_thirty_years(self, clock):
        """
        If the wait is longer than a float can tell to the nanosecond,
        ``retry_after`` is enough.
        """
        limiter = RateLimiter(1e-9, clock=clock)
        limiter.try_acquire()
        clock.advance(limiter.try_acquire().retry_after)

        assert limiter.try_acquire()

    def test_3_first_come_first_served(self, clock, limiter):
        """
        If tasks and reservations of any weight wait, each goes in its turn,
        and nobody barges in.
        """

        async def main():
            waiting = Waiting(limiter)
            for tokens in (3, 1, 5, 2):
                await waiting.start(tokens)
            for expected in ([0], [0, 1], [0, 1, 2], [0, 1, 2, 3]):
                for _ in range(5):
                    assert not limiter.try_acquire()

                    clock.advance(1.0)
                    await waiting.settle()
                    if expected == waiting.done:
                        break

                assert expected == waiting.done

        asyncio.run(main())

        assert 3.0 + 4.0 + 9.0 + 11.0 == limiter.snapshot().waited_seconds

    @given(st.permutations(range(5)), st.sets(st.integers(0, 4)))
    def test_4_who_leaves_gives_the_place_back_exactly(self, order, leaving):
        """
        If waiting tasks are cancelled in any order, those who stay go as if
        the others had never come.
        """
        clock = ManualClock()
        limiter = RateLimiter(1, burst=5, clock=clock)
        limiter.try_acquire(5)

        async def main():
            waiting = Waiting(limiter)
            for tokens in range(1, 6):
                await waiting.start(tokens)
            for index in order:
                if index in leaving:
                    waiting.tasks[index].cancel()
                    await waiting.settle()
            for index in sorted(set(range(5)) - leaving):
                clock.advance(index + 1.0)
                await waiting.settle()

                assert index == waiting.done[-1]

            assert 1.0 == limiter.try_acquire().retry_after

        asyncio.run(main())

    def test_4_what_goes_back_never_makes_it_fuller(self, clock):
        """
        If a booking goes back after the bucket was full and charged again,
        only what fits without it does.
        """
        limiter = RateLimiter(1, burst=5, clock=clock)
        reservation = limiter.reserve(2)
        clock.advance(1.0)
        limiter.try_acquire(4)
        reservation.cancel()

        assert 1 == available(limiter)

    def test_5_more_than_the_burst_is_never(self, clock, limiter):
        """
        If more is asked than the burst, every verb says never, consuming
        nothing; the same for several rates.
        """
        both = RateLimiter(rates=LLM, clock=clock)
        for one, tokens, burst in ((limiter, 6, 5), (both, 9_001, 9_000)):
            for verb in (
                one.try_acquire,
                one.wait,
                one.reserve,
                lambda tokens, one=one: asyncio.run(one.wait_async(tokens)),
            ):
                with pytest.raises(BurstExceeded) as caught:
                    verb(tokens)

                assert (tokens, burst) == (caught.value.tokens, caught.value.burst)
                assert caught.value.retry_after is None

        assert 9_000 == available(both)

    @pytest.mark.parametrize("push", ["pause", "debt", "slower"])
    def test_5_pushed_past_its_timeout(self, clock, push):
        """
        If a pause, a debt or a slower rate pushes a waiter past its timeout,
        it is refused at its deadline, consuming nothing, and told when asking
        again would be enough.
        """
        limiter = RateLimiter(1, burst=5, clock=clock)
        booking = limiter.reserve(5)

        async def main():
            waiting = Waiting(limiter)
            late = await waiting.start(timeout=2.0)
            await waiting.start()
            if push == "pause":
                limiter.pause(10)
            elif push == "debt":
                booking.settle(14)
            else:
                limiter.reconfigure(calls_per_second=0.1)
            clock.advance(1.999999999)
            await waiting.settle()

            assert not late.done()

            clock.advance(1e-9)
            await waiting.settle()
            with pytest.raises(RateLimitExceeded, match="did not come in") as caught:
                await late

            again = limiter.try_acquire().retry_after

            assert again == caught.value.retry_after
            assert 1 == limiter.snapshot().waiting

            clock.advance(again)
            await waiting.settle()

            assert [1] == waiting.done
            assert limiter.try_acquire()

        asyncio.run(main())

    def test_5_a_jump_past_deadline_and_turn(self, clock, limiter):
        """
        If the clock jumps past both, who was pushed past its deadline is
        refused all the same, and counted.
        """

        async def main():
            waiting = Waiting(limiter)
            late = await waiting.start(timeout=2.0)
            await waiting.start()
            limiter.pause(5)
            clock.jump(50)
            await waiting.settle()
            with pytest.raises(RateLimitExceeded, match="did not come in time"):
                await late

            assert [1] == waiting.done

        with capture_events(RateLimitRefused) as events:
            asyncio.run(main())

        assert 1 == limiter.snapshot().refused == len(events)
        assert 0.0 == events[0].retry_after
        assert 4 == available(limiter)

    def test_6_a_step_back_mints_nothing(self, clock, limiter):
        """
        If the clock steps back, nothing is minted, and time goes on from
        there.
        """
        clock.advance(0.5)
        limiter.snapshot()
        clock.jump(-1000)

        assert 0.5 == limiter.try_acquire().retry_after

        clock.advance(0.25)
        clock.jump(-1000)

        # What passed since the last look is lost with the step.
        assert 0.5 == limiter.try_acquire().retry_after

        clock.advance(0.5)

        assert (True, 0.0, 0) == limiter.try_acquire()

    def test_6_nobody_hangs_after_a_step_back(self, clock, limiter):
        """
        If the clock steps back while somebody waits and anybody comes by, the
        waiter goes at its turn.
        """

        async def main():
            waiting = Waiting(limiter)
            await waiting.start()
            await waiting.start()
            clock.jump(-1000)

            assert 3.0 == limiter.try_acquire().retry_after

            clock.advance(1.0)
            await waiting.settle()

            assert [0] == waiting.done

            clock.advance(1.0)
            await waiting.settle()

            assert [0, 1] == waiting.done

        asyncio.run(main())

    def test_6_a_jump_forward_is_elapsed_time(self, clock, limiter):
        """
        If the clock jumps forward, that time has passed: the bucket is full,
        and no fuller.
        """
        clock.jump(10**6)

        assert (True, 0.0, 4) == limiter.try_acquire()

    def test_6_a_clock_that_stands_still(self, limiter):
        """
        If the clock stands still, nothing comes in.
        """
        for _ in range(100):
            assert 1.0 == limiter.try_acquire().retry_after

    def test_6_who_comes_late_mints_nothing(self):
        """
        If somebody reads a clock at its very start, and comes after others who
        read it later, no time passes.
        """
        readings = [0]
        clock = SimpleNamespace(monotonic_ns=lambda: readings[0])
        limiter = RateLimiter(1, clock=clock)
        limiter.try_acquire()
        readings[0] = 1
        limiter.snapshot()
        late = iter([0, 1])
        clock.monotonic_ns = lambda: next(late)
        limiter.snapshot()
        clock.monotonic_ns = lambda: SECOND - 1

        assert 1e-9 == limiter.try_acquire().retry_after

    def test_6_a_stall_counts_once(self):
        """
        If several slept through the same stall of the clock, the longest of
        their sleeps has passed, not the sum.
        """
        hand = Hand()
        limiter = RateLimiter(1, burst=5, clock=hand)
        sight = Sight(hand.now, 0, SECOND)

        def look(slept):
            return limiter._visit(lambda now, _: now, None, sight, slept)

        assert [SECOND, SECOND, SECOND, 2 * SECOND] == [
            look(slept) for slept in (SECOND, SECOND, SECOND // 2, 2 * SECOND)
        ]

    def test_6_stalls_are_made_up_for_together(self):
        """
        If a clock that stood still for two sleeps comes after, what it says
        later is what has passed, not more.
        """
        hand = Hand()
        limiter = RateLimiter(1, burst=5, clock=hand)
        start = hand.now

        def look(slept=0, *sights):
            return limiter._visit(lambda now, _: now, None, *sights, slept=slept)

        for slept in (2 * SECOND, 3 * SECOND):
            look(slept, Sight(hand.now, look(), SECOND))
        assert 5 * SECOND == look()
        hand.now = start + 5 * SECOND

        assert 5 * SECOND == look()

        hand.now += SECOND

        assert 6 * SECOND == look()

        hand.now -= 3600 * SECOND
        look(SECOND, Sight(hand.now, look(), SECOND))

        assert 7 * SECOND == look()

    def test_6_overtaken_by_a_signal_handler(self):
        """
        If a signal handler uses the limiter between a reading and its use,
        that is no step of the clock: nothing is minted.
        """
        hand = Hand()
        limiter = RateLimiter(1, burst=5, clock=hand)
        limiter.try_acquire(5)

        class Overtaken(Hand):
            def monotonic_ns(self):
                # The outer reading is old by the time the handler returns.
                reading, left = self.now, self.handlers
                if left:
                    self.handlers = 0
                    self.now += SECOND // 10
                    limiter.snapshot()
                    self.handlers = left - 1
                return reading

        for handlers in (1, 2, 3):
            limiter._clock = Overtaken()
            limiter._clock.now, limiter._clock.handlers = hand.now, handlers
            limiter.snapshot()

            assert hand.now + handlers * SECOND // 10 == limiter._clock.now

            hand.now = limiter._clock.now

            assert hand.now - 10**12 == limiter._last - limiter._epoch


class TestShortWay:
    """
    The short way through ``try_acquire`` and ``wait`` against the queue.
    """

    def test_the_ways_meet(self):
        """
        If some calls wait and others try, on the machine's clock, all count by
        the same whole numbers.
        """
        limiter = RateLimiter(0.001, burst=5)

        limiter.wait()
        assert (True, 0.0, 3) == limiter.try_acquire()

        # Admitted at once: it does not suspend, so it needs no loop either.
        with pytest.raises(StopIteration):
            limiter.wait_async().send(None)
        assert (True, 0.0, 1) == limiter.try_acquire()
        assert type(limiter.snapshot().available) is int
        assert 1 == limiter.snapshot().available

    def test_it_is_taken(self, monkeypatch):
        """
        If nobody queues and a token is there, the queue is not even visited.
        """
        limiter = RateLimiter(0.001, burst=4)
        monkeypatch.delattr("switchgear._turnstile.Turnstile._visit")

        assert limiter.try_acquire()
        assert limiter.try_acquire(1)
        limiter.wait()
        limiter.wait()

    @pytest.mark.parametrize("pace", [3, 512, 1000, 1024])
    def test_no_more_than_the_burst_at_once(self, monkeypatch, pace):
        """
        If the clock stands still, no more than the burst is admitted, however
        many ticks a nanosecond has.
        """
        hand = Hand()
        machine = SimpleNamespace(monotonic_ns=hand.monotonic_ns)
        monkeypatch.setattr("switchgear._limiter.time", machine)
        monkeypatch.setattr("switchgear._clock.time", machine)
        limiter = RateLimiter(pace, burst=5)
        hand.now += SECOND

        assert [True] * 5 + [False] == [limiter.try_acquire()[0] for _ in range(6)]

    @settings(max_examples=150)
    @given(
        st.sampled_from(
            [
                [Rate(3, burst=3)],
                [Rate(2, burst=300)],
                [Rate(1e9, burst=2)],
                # Two ticks per nanosecond.
                [Rate(1024, burst=5)],
            ]
        ),
        st.lists(
            st.tuples(
                st.sampled_from(
                    [
                        "acquire",
                        "acquire",
                        "wait",
                        "advance",
                        "advance",
                        "back",
                        "reserve",
                        "drop",
                        "pause",
                        "close",
                        "configure",
                        "look",
                    ]
                ),
                st.integers(1, 3),
                st.integers(0, 2 * SECOND) | st.integers(0, 5),
            ),
            max_size=40,
        ),
    )
    def test_agrees_with_the_queue(self, rates, plan):
        """
        If the same is asked of a limiter that may go the short way and of one
        that may not, at the same times, they answer and stand alike.
        """
        hand = Hand()
        machine = SimpleNamespace(monotonic_ns=hand.monotonic_ns)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("switchgear._limiter.time", machine)
            patch.setattr("switchgear._clock.time", machine)
            short = RateLimiter(rates=rates)
            long = RateLimiter(rates=rates, clock=hand)
            booked = []
            for verb, tokens, pause in plan:
                self.step(hand, short, long, booked, verb, tokens, pause)

                assert short.snapshot() == long.snapshot()

    def step(self, hand, short, long, booked, verb, tokens, pause):  # noqa: C901, PLR0912 -- a branch for each verb
        if verb == "advance":
            hand.now += pause
        elif verb == "back":
            hand.now -= pause
        elif verb == "acquire":
            for many in (1, tokens):
                fits = many <= short.snapshot().burst
                if fits:
                    assert long.try_acquire(many) == short.try_acquire(many)
        elif verb == "wait":
            if long.try_acquire():
                short.wait()
            else:
                assert not short.try_acquire()
        elif verb == "reserve":
            if tokens <= short.snapshot().burst and short.snapshot().closed is None:
                booked.append((short.reserve(tokens), long.reserve(tokens)))
        elif verb == "drop" and booked:
            one, other = booked.pop()

            assert other.delay == one.delay
            assert other.settle(pause % 5) is one.settle(pause % 5)
        else:
            for limiter in (short, long):
                if verb == "pause":
                    limiter.pause(pause / SECOND)
                elif verb == "close":
                    limiter.close() if pause % 2 else limiter.reopen()
                elif verb == "configure":
                    limiter.reconfigure(calls_per_second=tokens, burst=2 + tokens)

    def test_closed_while_anybody_queues(self, monkeypatch):
        """
        If anybody queues, the short way is closed, tokens or not; a pause
        closes it, too.
        """
        hand = Hand()
        machine = SimpleNamespace(monotonic_ns=hand.monotonic_ns)
        monkeypatch.setattr("switchgear._limiter.time", machine)
        monkeypatch.setattr("switchgear._clock.time", machine)
        limiter = RateLimiter(1, burst=5)
        for _ in range(5):
            limiter.try_acquire()
        limiter.reserve(5)
        hand.now += 3 * SECOND

        assert (False, 3.0, 0) == limiter.try_acquire()

        with pytest.raises(RateLimitExceeded):
            limiter.wait(timeout=0)

        hand.now += 7 * SECOND
        limiter.pause(2)

        assert (False, 2.0, 0) == limiter.try_acquire()

    def test_fills_to_the_burst_and_no_further(self, monkeypatch):
        """
        If nobody asks for long, the burst is there, and not more.
        """
        hand = Hand()
        machine = SimpleNamespace(monotonic_ns=hand.monotonic_ns)
        monkeypatch.setattr("switchgear._limiter.time", machine)
        monkeypatch.setattr("switchgear._clock.time", machine)
        for ask in (RateLimiter.try_acquire, lambda limiter: limiter._take(1)):
            limiter = RateLimiter(3, burst=5)
            limiter.try_acquire()
            hand.now += 10**6 * SECOND

            assert 5 == sum(bool(ask(limiter)) for _ in range(9))

    def test_a_refusal_leaves_it_open(self):
        """
        If somebody was refused, the short way is as open as before.
        """
        limiter = RateLimiter(1e-9)
        limiter.try_acquire()
        with pytest.raises(RateLimitExceeded):
            limiter.reserve(max_wait=0)

        assert limiter._floor == limiter._last

    def test_every_verb_takes_it(self):
        """
        If tokens are there, waiting takes the short way, too; if not, it waits.
        """
        limiter = RateLimiter(1000, burst=2)

        async def main():
            await limiter.wait_async()

        asyncio.run(main())
        limiter.wait()
        limiter.wait()

        assert 3 == limiter.snapshot().admitted
        assert "<unchanged>" == repr(UNCHANGED)

    def test_open_when_nothing_is_in_it(self):
        """
        If one bucket of tokens runs on the machine's clock, nobody queues, no
        booking lives and no pause runs, the short way is open; else not.
        """
        limiter = RateLimiter(1000, burst=5)

        def is_open():
            limiter.snapshot()
            return limiter._floor == limiter._last

        assert is_open()

        reservation = limiter.reserve()

        assert not is_open()

        reservation.cancel()

        assert is_open()

        limiter.close()

        assert not is_open()

        limiter.reopen()
        limiter.reconfigure(rates=[Rate(1, burst=9, counts="calls")])

        assert not is_open()

        limiter.reconfigure(rates=LLM)

        assert not is_open()

        limiter.reconfigure(rates=[Rate(1)])

        assert is_open()

        limiter.pause(1000)

        assert not is_open()


class TestWaiters:
    """
    What waiters ask for.
    """

    def waited_for(self, clock, **how):
        """
        Return an empty limiter of one a second on which somebody waits, who, and
        for what place.
        """
        limiter = RateLimiter(1, clock=clock)
        limiter.try_acquire()
        ear, place = Ear(), Place(1)
        limiter._enter(place, waiter=ear, timeout=how.get("timeout"))
        return limiter, ear, place

    def test_whoever_sleeps_through_a_stall_comes_to_its_turn(self):
        """
        If the clock stands still from the beginning, what was slept counts.
        """
        limiter, _, place = self.waited_for(Hand())

        assert 1 == limiter._look(place, SECOND - 1)
        assert Status.QUEUED is place.status

        assert 0 == limiter._look(place, 1)
        assert Status.GRANTED is place.status

    def test_a_deadline_comes_though_the_clock_stands_still(self):
        """
        If a deadline is watched while the clock stands still, what was slept
        counts, and nobody watches it once it has come.
        """
        limiter, _, place = self.waited_for(Hand(), timeout=1)
        limiter.pause(60)

        sight = limiter._expire(place, NOTHING, 0)

        assert SECOND == sight.alarm_at - sight.now

        sight = limiter._expire(place, sight, SECOND // 2)

        assert SECOND // 2 == sight.alarm_at - sight.now
        assert NOTHING is limiter._expire(place, sight, SECOND // 2)
        assert Status.LATE is place.status

    def test_whoever_went_on_before_it_was_told_keeps_its_turn(self, clock):
        """
        If a task has taken its turn and left, and its loop is closed, by the time
        somebody tells it, the turn does not go back.
        """
        limiter, ear, place = self.waited_for(clock)

        def gone(told):
            told.waiter = None
            return False

        ear.wake = gone
        clock.advance(1)
        limiter.snapshot()

        assert Status.GRANTED is place.status
        assert 2 == limiter.snapshot().admitted

    def test_a_clock_that_goes_wrong_is_told_once(self, monkeypatch):
        """
        If a clock tells no time any more, its error comes out, and the limiter goes
        on once it does.
        """
        limiter = RateLimiter(1, clock=Hand())
        with monkeypatch.context() as patch:
            patch.setattr(limiter._clock, "now", None)
            with pytest.raises(TypeError, match="NoneType"):
                limiter.try_acquire()

        assert limiter.try_acquire()

    def test_whoever_oversleeps_is_told_though_another_was_interrupted(self, clock):
        """
        If Ctrl-C comes while somebody is woken, whoever is next and has set its
        timer too late is told to look all the same.
        """
        limiter, ear, _ = self.waited_for(clock)
        behind, sleeper = Place(1), Ear()
        limiter._enter(behind, waiter=sleeper, timeout=None)
        sleeper.sight = Sight(0, 0, 10 * SECOND)
        told = []

        def wake(place):
            told.append(place)
            if 1 == len(told):
                raise KeyboardInterrupt
            return True

        ear.wake = wake
        clock.advance(1)
        with pytest.raises(KeyboardInterrupt):
            limiter.snapshot()

        assert 2 == len(told)
        assert [behind] == sleeper.nudged

    def test_whoever_is_late_and_knows_no_better_need_not_wait(self, clock):
        """
        If Ctrl-C came between somebody being too late and the computation of when
        the turn would have been, it is said to be now.
        """
        limiter, _, place = self.waited_for(clock, timeout=5)
        place.status, place.turned = Status.LATE, place.deadline - 1

        with pytest.raises(RateLimitExceeded) as refused:
            limiter._check(place)

        assert 0.0 == refused.value.retry_after

    def test_only_the_last_look_sets_a_timer(self, clock):
        """
        If several look at once, the timer set by the last look counts, once.
        """
        limiter, ear, _ = self.waited_for(clock)
        older, newer = Sight(0, 0, 1), Sight(0, 0, 2)
        ear.sight, ear.armed = newer, older

        assert not limiter._arm(ear, older)
        assert older is ear.armed
        assert limiter._arm(ear, newer)
        assert newer is ear.armed
        assert not limiter._arm(ear, newer)

    def test_a_clock_that_calls_too_late(self, clock, limiter):
        """
        If a clock calls for a task that has given up meanwhile, nothing happens.
        """

        async def main():
            task = asyncio.create_task(limiter.wait_async())
            await asyncio.sleep(0)
            (place,) = limiter._queue.places
            waiter = place.waiter
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

            assert place.waiter is None

            waiter.ring(place)

        asyncio.run(main())

        assert 0 == limiter.snapshot().waiting

    def test_after_a_fork_tasks_can_wait(self, clock):
        """
        If a child goes on with a limiter, its tasks wait as in the parent.
        """
        limiter = RateLimiter(1, clock=clock)
        limiter.try_acquire()
        with limiter._lock:
            limiter._after_fork()

        async def main():
            waiting = Waiting(limiter)
            await waiting.start()
            clock.advance(1)
            await waiting.settle()

            assert [0] == waiting.done

        asyncio.run(main())


class TestReentrancy:
    """
    Signal handlers and KeyboardInterrupt at any point.
    """

    VERBS = (
        "acquire",
        "wait",
        "refused",
        "reserve",
        "cancel",
        "settle",
        "pause",
        "configure",
        "close",
        "look",
        "join",
    )

    def scene(self, clock):
        limiter = RateLimiter(1e-6, burst=9, clock=clock)
        granted, queued = limiter.reserve(9), limiter.reserve(2)
        granted.settle(2)
        spare = limiter.reserve(1)
        limiter.wait()
        return SimpleNamespace(
            limiter=limiter,
            acquire=limiter.try_acquire,
            wait=limiter.wait,
            refused=lambda: limiter.wait(8, timeout=0),
            reserve=lambda: limiter.reserve(2).cancel(),
            cancel=spare.cancel,
            settle=lambda: spare.settle(0),
            pause=lambda: limiter.pause(0.0),
            configure=lambda: limiter.reconfigure(burst=8),
            close=lambda: (limiter.close(), limiter.reopen()),
            look=lambda: (limiter.snapshot(), queued.delay),
            join=lambda: spare.wait(timeout=0),
        )

    @pytest.mark.parametrize("machine", [True, False])
    @pytest.mark.parametrize("verb", VERBS)
    def test_interrupted_anywhere(self, machine, verb):
        """
        If KeyboardInterrupt comes at any point of a verb, the limiter goes on,
        and has charged what it admitted at most.
        """
        for come_in in points(2):
            scene = self.scene(None if machine else Hand())
            if not come_in(getattr(scene, verb), stop):
                continue
            self.check(scene.limiter, least=1)

    @pytest.mark.parametrize("verb", VERBS)
    def test_reentered_anywhere(self, verb):
        """
        If a signal handler uses the limiter at any point of a verb, in any
        way, both are done, and the limiter goes on.
        """
        for other in self.VERBS:
            for come_in in points(2):
                scene = self.scene(None)
                if not come_in(getattr(scene, verb), getattr(scene, other)):
                    continue
                self.check(scene.limiter, least=0)

    def test_reentered_while_one_keeps_watch(self):
        """
        If a signal handler sends everybody away while a waiter looks after the
        first, whenever in its look, it need not come again.
        """
        for come_in in points(2):
            limiter, place = RateLimiter(1e-6, clock=Hand()), Place(1)
            limiter.try_acquire()
            limiter._enter(Place(1), waiter=Ear(), timeout=None)
            limiter._enter(place, waiter=Ear(), timeout=None)
            place.vigilant = True
            if not come_in(partial(limiter._look, place), limiter.close):
                continue
            assert Status.CLOSED is place.status
            assert 0 == limiter._look(place)

    @pytest.mark.parametrize("verb", ["wait", "reserve"])
    @pytest.mark.parametrize(
        "action",
        [
            lambda one: one.close(),
            lambda one: one.reconfigure(rates=[Rate(1000, burst=1)]),
        ],
        ids=["closed", "burst lowered"],
    )
    @pytest.mark.parametrize(
        "rates",
        [[Rate(4000, burst=3)], [Rate(4000, burst=3), Rate(2000, burst=3)]],
        ids=["one rate", "two rates"],
    )
    def test_reentered_nobody_enters_what_is_closed_or_too_small(
        self, verb, action, rates
    ):
        """
        If a signal handler closes the limiter, or lowers its burst, while
        somebody is about to enter the queue, they are sent away.
        """
        for come_in in points():
            # As it stands still, all take the same way until they sleep.
            limiter = RateLimiter(rates=rates, clock=Hand())
            assert limiter.try_acquire(3)
            limiter.reserve()

            def call(limiter=limiter):
                with suppress(BurstExceeded):
                    getattr(limiter, verb)(3)

            if not come_in(call, partial(action, limiter)):
                continue
            assert all(place.tokens == 1 for place in limiter._queue.places)
            assert not limiter._queue.places or limiter.snapshot().closed is None

    def waited_for(self, *tokens):
        """
        Return a limiter on which somebody waits for so many *tokens* each, and who.
        """
        limiter = RateLimiter(1, burst=5, clock=Hand())
        limiter.try_acquire(5)
        ears = [Ear() for _ in tokens]
        for ear, amount in zip(ears, tokens, strict=True):
            limiter._enter(Place(amount), waiter=ear, timeout=None)
        return limiter, ears

    def test_interrupted_close(self):
        """
        If closing is interrupted, whoever waited is sent away and told, or the
        limiter is open as before.
        """
        for come_in in points():
            limiter, ears = self.waited_for(1, 2, 1)
            if not come_in(limiter.close, stop):
                continue
            told = [set(ear.heard) for ear in ears]
            state = limiter.snapshot()

            if state.closed is None:
                assert ([set()] * 3, 3, 0) == (told, state.waiting, state.refused)
            else:
                assert [{Status.CLOSED}] * 3 == told
                assert (0, 3) == (state.waiting, state.refused)

    @pytest.mark.parametrize("change", ["cancel", "settle", "reconfigure", "reset"])
    def test_interrupted_whoever_moves_up_is_told(self, change):
        """
        If a change is interrupted after which somebody's turn comes sooner, its
        timer is set anew all the same.
        """
        moved = 0
        for come_in in points():
            limiter = RateLimiter(1, burst=10, clock=Hand())
            limiter.try_acquire(10)
            ahead = limiter.reserve(9)
            behind, ear = Place(1), Ear()
            limiter._enter(behind, waiter=ear, timeout=None)
            turn = limiter._queue.turn_of(behind)
            ear.sight = Sight(0, 0, turn)
            changes = {
                "cancel": ahead.cancel,
                "settle": partial(ahead.settle, 1),
                "reconfigure": partial(limiter.reconfigure, calls_per_second=5),
                "reset": limiter.reset,
            }
            come_in(changes[change], stop, without=FREED)

            if behind.status is Status.GRANTED:
                assert ear.heard
                moved += 1
            elif limiter._queue.turn_of(behind) < turn:
                assert ear.nudged
                moved += 1

        assert come_in.number > moved > 10

    def test_interrupted_reconfigure(self):
        """
        If a change is interrupted, settings, queue and those who ask too much
        for it go by the old ones or by the new, and it can be made again.
        """
        seen = set()
        for come_in in points():
            limiter, ears = self.waited_for(1, 4, 3)
            change = partial(limiter.reconfigure, burst=2, max_waiters=7)
            if not come_in(change, stop):
                continue
            told = [set(ear.heard) for ear in ears]
            burst = limiter.settings()["burst"]
            gone = set() if burst == 5 else {Status.TOO_LARGE}

            assert burst == limiter.snapshot().burst
            assert [set(), gone, gone] == told
            assert 2 * len(gone) == limiter.snapshot().refused

            change()

            assert (2, 7) == (
                limiter.settings()["burst"],
                limiter.settings()["max_waiters"],
            )
            assert 1 == limiter.snapshot().waiting
            seen.add(burst)

        assert {2, 5} == seen

    def test_reentered_reconfigure(self):
        """
        If a signal handler changes something else at any point of a change, both
        are made.
        """
        for come_in in points():
            limiter, _ = self.waited_for(1)
            other = partial(limiter.reconfigure, calls_per_second=3)
            if not come_in(partial(limiter.reconfigure, burst=2), other):
                continue

            assert (3.0, 2) == (
                limiter.settings()["calls_per_second"],
                limiter.settings()["burst"],
            )

    OPERATE = (
        ("close", ()),
        ("reopen", ()),
        ("pause", (10.0,)),
        ("burst", (2,)),
        ("max_waiters", (2,)),
    )

    @pytest.mark.parametrize("shut", [True, False])
    @pytest.mark.parametrize("handler", OPERATE)
    @pytest.mark.parametrize("verb", OPERATE)
    def test_reentered_what_is_told_is_what_happened(self, verb, handler, shut):
        """
        If a signal handler operates the limiter that it interrupts, each event
        begins where the last one ended, and the last ends where the limiter is.
        """
        for come_in in points(5):
            limiter, events = RateLimiter(1.0, clock=ManualClock()), []
            if shut:
                limiter.close()
            now = {"closed": shut, "paused": 0, **limiter.settings()}
            limiter.subscribe(events.append)
            (name, given), (other, others) = verb, handler
            # Longer, higher, more: that of the handler is another one.
            action = partial(self.operate, limiter, other, *(3 * n for n in others))
            come_in(partial(self.operate, limiter, name, *given), action)
            for event in events:
                now.update(self.follows(now, event))
            snapshot = limiter.snapshot()
            assert now == {
                "closed": snapshot.closed is not None,
                "paused": snapshot.paused_for,
                **limiter.settings(),
            }

    def operate(self, limiter, verb, *given):
        if verb in {"burst", "max_waiters"}:
            limiter.reconfigure(**{verb: given[0]})
        else:
            getattr(limiter, verb)(*given)

    def follows(self, now, event):
        """
        Return what changed by *event*, which must be possible *now*.
        """
        if isinstance(event, LimiterPaused):
            assert event.paused_for > now["paused"]
            return {"paused": event.paused_for}
        if isinstance(event, Reconfigured):
            assert {key: now[key] for key in event.changes} == {
                key: before for key, (before, _) in event.changes.items()
            }
            return {key: after for key, (_, after) in event.changes.items()}
        shut = isinstance(event, LimiterClosed)
        assert now["closed"] is not shut
        return {"closed": shut}

    def test_reentered_a_limit_of_waiters_is_kept(self):
        """
        If a signal handler limits the number of waiters at any point of another
        change, that is the limit.
        """
        for come_in in points():
            limiter = RateLimiter(1.0)
            other = partial(limiter.reconfigure, max_waiters=7)
            if not come_in(partial(limiter.reconfigure, burst=2), other):
                continue
            assert 7 == limiter.settings()["max_waiters"]

    @pytest.mark.parametrize("given", [{"burst": 7}, {"max_waiters": 7}])
    @pytest.mark.parametrize("forget", [True, False])
    def test_reentered_what_was_set_stays_above_what_lies_below(self, forget, given):
        """
        If a signal handler sets something while a definition is followed, it
        stays; unless it came before what is forgotten was.
        """
        ((name, value),) = given.items()
        pattern = RateLimiter(1.0, burst=3, max_waiters=3)
        for come_in in points():
            limiter = RateLimiter(1.0)
            other = partial(limiter.reconfigure, **given)
            follow = partial(limiter._configure_like, pattern, forget=forget)
            if not come_in(follow, other):
                continue
            is_set = name in limiter._own
            assert is_set or forget
            assert (value if is_set else 3) == limiter.settings()[name]

    def test_reentered_it_tells_how_many_are_sent_away(self):
        """
        If a signal handler takes a place while a limiter is closed, it is told of
        as it is treated.
        """
        for come_in in points():
            limiter, events = RateLimiter(1.0, clock=ManualClock()), []
            limiter.wait()
            limiter.subscribe(events.append, LimiterClosed)
            queued = [limiter.reserve()]

            def handler(limiter=limiter, queued=queued):
                with suppress(RateLimitExceeded):
                    queued.append(limiter.reserve())

            if not come_in(limiter.close, handler):
                continue
            gone = [one for one in queued if one._place.status is Status.CLOSED]
            assert [len(gone)] == [event.waiting for event in events]

    @pytest.mark.parametrize(
        "leave",
        [lambda one: one.cancel(), lambda one: one.wait(timeout=0) is None],
        ids=["cancel", "wait"],
    )
    def test_a_turn_that_comes_meanwhile(self, leave):
        """
        If a signal handler notices that a reservation's turn has come while
        its owner cancels it, that succeeds; while its owner comes to wait, it
        is admitted, or its time is up.
        """
        answers = []
        for come_in in points():
            hand = Hand()
            limiter = RateLimiter(1.0, clock=hand)
            limiter.wait()
            reservation = limiter.reserve()

            def noticed(hand=hand, limiter=limiter):
                hand.now += 10**9
                limiter.snapshot()

            # Other refusals than RateLimitExceeded would get through.
            done = []
            call = partial(lambda one, done: done.append(leave(one)), reservation, done)
            if not come_in(call, noticed):
                continue
            answers += done

        assert {True} == set(answers)

    def check(self, limiter, least):
        """
        Assert that no token was minted, and hardly any lost.
        """
        limiter.reopen()
        state = limiter.snapshot()

        assert 0 == state.waiting
        assert least <= state.available <= 6

        for _ in range(state.available):
            assert limiter.try_acquire()

        assert not limiter.try_acquire()
