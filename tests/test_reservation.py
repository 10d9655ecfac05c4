"""
Reservations, on a clock that stands still until it is moved.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import math
import pickle
import weakref

from functools import partial

import pytest

from hypothesis import given
from hypothesis import strategies as st
from interrupting import points
from parties import Party, settled

from switchgear import BurstExceeded, Rate, RateLimiter, RateLimitExceeded, registry
from switchgear.events import LoopBlocked
from switchgear.testing import (
    ManualClock,
    capture_events,
    disabled,
    isolated_registry,
)


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


class TestReserve:
    def test_charged_when_its_turn_comes(self, clock, limiter):
        """
        If nobody waits on it, it is charged at its turn all the same.
        """
        reservation = limiter.reserve(2)

        assert 0 == available(limiter)
        assert 2.0 == reservation.delay

        clock.advance(2.0)

        assert 0.0 == reservation.delay
        assert 0 == available(limiter)
        assert 0 == limiter.snapshot().waiting

    def test_charged_at_once_if_tokens_are_there(self, clock):
        """
        If tokens are there and nobody queues, its turn is now.
        """
        limiter = RateLimiter(1, burst=5, clock=clock)
        reservation = limiter.reserve(3)

        assert 0.0 == reservation.delay
        assert 2 == available(limiter)
        assert 3 == reservation.tokens

    def test_stands_in_the_same_queue(self, clock, limiter):
        """
        If others reserved before, its turn is behind theirs, and a newcomer's
        behind both.
        """
        first, second = limiter.reserve(2), limiter.reserve(3)

        assert (2.0, 5.0) == (first.delay, second.delay)
        assert 6.0 == limiter.try_acquire().retry_after

    def test_max_wait(self, limiter):
        """
        If the turn is not within *max_wait*, it is refused consuming nothing.
        """
        limiter.reserve(2, max_wait=2.0)

        with pytest.raises(RateLimitExceeded, match=r"not within 2\.999 s") as caught:
            limiter.reserve(1, max_wait=2.999)

        assert 3.0 == caught.value.retry_after
        assert 1 == limiter.snapshot().waiting
        assert 1 == limiter.snapshot().refused

    def test_unsettled_the_booked_cost_stands(self, clock, limiter):
        """
        If it is dropped unsettled, what was booked stays charged.
        """
        limiter.reserve(2)
        clock.advance(2.0)
        gc.collect()

        assert 0 == available(limiter)

    def test_a_hundred_thousand_dropped_leave_nothing(self, clock):
        """
        If 10**5 are made and dropped unsettled, none of them is kept.
        """
        limiter = RateLimiter(1, burst=10**6, clock=clock)
        last = weakref.ref(limiter.reserve()._place)
        for _ in range(10**5):
            limiter.reserve()

        assert last() is None
        assert len(limiter._queue._rooms._links) <= 64
        assert not limiter._queue.bookings()

    @pytest.mark.parametrize("tokens", [0, -1, True, 1.0, "1", None, 10**13])
    def test_bad_tokens(self, limiter, tokens):
        """
        If *tokens* is no int of at least 1, it is refused naming it.
        """
        with pytest.raises((TypeError, ValueError), match=r"^tokens must be "):
            limiter.reserve(tokens)

    @pytest.mark.parametrize("max_wait", [-1, math.nan, math.inf, True, "1"])
    def test_bad_max_wait(self, limiter, max_wait):
        """
        If *max_wait* is no duration, it is refused naming it.
        """
        with pytest.raises((TypeError, ValueError), match=r"^max_wait must be "):
            limiter.reserve(max_wait=max_wait)

    def test_repr(self, limiter):
        """
        If it is shown, it tells its tokens and what became of it.
        """
        reservation = limiter.reserve(2)

        limiter = "<RateLimiter 'images': 1 tokens per 1 s, burst 5>"
        assert f"<Reservation of 2 tokens from {limiter}: queued>" == repr(reservation)


class TestCopies:
    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_are_refused(self, copied):
        """
        If a reservation, or the permit of a call, is copied or pickled, that is
        refused: two of them would count twice.
        """
        with isolated_registry():
            reservation = registry.limiter("copied", burst=2).reserve()
            permit = registry.breaker("copied", threshold=1).try_acquire()

            with pytest.raises(TypeError) as caught:
                copied(reservation)
            assert "a Reservation cannot be pickled or copied: its place is one" == str(
                caught.value
            )
            with pytest.raises(TypeError, match="a Permit cannot be pickled"):
                copied(permit)
            with pytest.raises(TypeError, match="a Guard cannot be pickled"):
                copied(registry.breaker("copied").guard())


class TestDelay:
    def test_live(self, clock, limiter):
        """
        If time passes, a pause comes or one ahead leaves, the delay follows.
        """
        first, second = limiter.reserve(2), limiter.reserve(1)
        clock.advance(0.5)

        assert 2.5 == second.delay

        limiter.pause(4.0)

        assert 4.0 == second.delay

        limiter.reset()

        assert 0.0 == second.delay
        assert 0.0 == first.delay

    def test_never(self, limiter):
        """
        If it was cancelled before its turn, the turn never comes.
        """
        reservation = limiter.reserve()
        reservation.cancel()

        assert math.inf == reservation.delay

    @given(
        st.sampled_from(
            [
                [Rate(3, burst=4)],
                [Rate(10, burst=4), Rate(1, burst=5)],
                [
                    Rate(60, per=60, burst=2, counts="calls"),
                    Rate(90_000, per=60, burst=4),
                ],
            ]
        ),
        st.lists(st.integers(1, 4), min_size=1, max_size=8),
        st.floats(0, 10),
    )
    def test_is_exact(self, rates, requests, pause):
        """
        If the delay is waited for, its turn has come; a nanosecond earlier it
        has not.
        """
        clock = ManualClock()
        limiter = RateLimiter(rates=rates, clock=clock)
        reservations = [limiter.reserve(tokens) for tokens in requests]
        limiter.pause(pause)
        for reservation in reservations:
            delay = round(reservation.delay * 1e9)
            if delay:
                clock.advance_ns(delay - 1)

                assert 1e-9 == reservation.delay

                clock.advance_ns(1)

            assert 0.0 == reservation.delay


class TestCancel:
    def test_before_the_turn_those_behind_move_up(self, clock, limiter):
        """
        If it is cancelled before its turn, the place vanishes.
        """
        first, second = limiter.reserve(2), limiter.reserve(1)

        assert first.cancel()
        assert 1.0 == second.delay
        assert 1 == limiter.snapshot().waiting

    def test_after_the_turn_it_is_settled_to_nothing(self, clock, limiter):
        """
        If it is cancelled after its turn, the tokens go back.
        """
        reservation = limiter.reserve(2)
        clock.advance(2.0)

        assert reservation.cancel()
        assert 2 == available(limiter)
        assert 0.0 == reservation.delay

    @pytest.mark.parametrize("advance", [0.0, 2.0])
    def test_the_first_decides(self, clock, limiter, advance):
        """
        If it is cancelled or settled again, that returns False and does
        nothing.
        """
        reservation = limiter.reserve(2)
        clock.advance(advance)

        assert reservation.cancel()
        assert not reservation.cancel()
        assert not reservation.settle(5)
        assert advance == available(limiter)

    def test_in_any_order(self, clock, limiter):
        """
        If all are cancelled, in any order, a newcomer waits as if they had
        never been.
        """
        reservations = [limiter.reserve(tokens) for tokens in (1, 5, 2, 3)]
        for index in (2, 0, 3, 1):
            reservations[index].cancel()

        assert 1.0 == limiter.try_acquire().retry_after
        assert 0 == limiter.snapshot().waiting

    def test_undone_before_its_turn(self, clock, limiter):
        """
        If a call is not made after all, and its turn had not come, those
        behind it move up.
        """
        first, second = limiter.reserve(2), limiter.reserve(1)

        first._undo()

        assert 1.0 == second.delay
        assert 1 == limiter.snapshot().waiting

    def test_whoever_waits_on_it_is_told(self, clock, limiter):
        """
        If a task waits on it, cancelling ends that with RateLimitExceeded.
        """

        async def main():
            reservation = limiter.reserve()
            task = asyncio.create_task(reservation.wait_async())
            await asyncio.sleep(0)
            reservation.cancel()
            with pytest.raises(RateLimitExceeded, match="was cancelled") as caught:
                await task

            assert caught.value.retry_after is None

        asyncio.run(main())


class TestSettle:
    @pytest.mark.parametrize("steps", [[5.0], [2.0, 3.0], [1.0] * 5])
    def test_what_goes_back_does_not_depend_on_looking(self, clock, steps):
        """
        If two turns came before anybody looked, as much of the first goes back
        as if somebody had looked at each.
        """
        limiter = RateLimiter(1, burst=4, clock=clock)
        limiter.try_acquire()
        reservation, _behind = limiter.reserve(4), limiter.reserve(1)
        for seconds in steps:
            clock.advance(seconds)
            limiter.snapshot()

        assert 3 == available(limiter)
        assert reservation.settle(0)
        assert 4 == available(limiter)

    def test_less_goes_back(self, clock, limiter):
        """
        If it cost less than booked, the difference goes back.
        """
        reservation = limiter.reserve(5)
        clock.advance(5.0)

        assert reservation.settle(2)
        assert 3 == available(limiter)
        assert not reservation.settle(0)
        assert not reservation.cancel()

    def test_more_becomes_debt(self, clock, limiter):
        """
        If it cost more than booked, the difference is owed.
        """
        reservation = limiter.reserve(5)
        clock.advance(5.0)
        reservation.settle(25)

        assert -20 == available(limiter)
        assert 21.0 == limiter.try_acquire().retry_after

    def test_calls_are_left_alone(self, clock):
        """
        If a rate counts calls, settling leaves it alone.
        """
        rates = [Rate(1, burst=2, counts="calls"), Rate(100, burst=100)]
        limiter = RateLimiter(rates=rates, clock=clock)
        limiter.reserve(100).settle(0)

        assert [1, 100] == [rate.available for rate in limiter.snapshot().rates]

    def test_before_the_turn(self, clock, limiter):
        """
        If it is settled before its turn, it takes what it costs from then on,
        and projections stay exact.
        """
        first, second = limiter.reserve(5), limiter.reserve(1)

        assert first.settle(1)
        assert not first.cancel()
        assert (1.0, 2.0) == (first.delay, second.delay)
        assert 3.0 == limiter.try_acquire().retry_after

        clock.advance(3.0)

        assert limiter.try_acquire()

    def test_never_makes_it_fuller(self, clock):
        """
        If the bucket has filled up meanwhile, nothing more goes in.
        """
        limiter = RateLimiter(1, burst=5, clock=clock)
        reservation = limiter.reserve(5)
        clock.advance(4.0)
        limiter.try_acquire(4)
        reservation.cancel()

        assert 1 == available(limiter)

    @pytest.mark.parametrize("actual", [-1, True, 1.0, "1", None, 10**13])
    def test_bad_amount(self, limiter, actual):
        """
        If *actual* is no int of at least 0, it is refused naming it, and
        nothing was decided.
        """
        reservation = limiter.reserve()

        with pytest.raises((TypeError, ValueError), match=r"^actual must be "):
            reservation.settle(actual)
        assert reservation.settle(0)


class TestWait:
    def test_admitted_at_its_turn(self, clock, limiter):
        """
        If a task waits on it, it goes on at the turn, and others behind it
        keep theirs.
        """

        async def main():
            first, second = limiter.reserve(2), limiter.reserve(1)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(second.wait_async())
                await asyncio.sleep(0)
                clock.advance(2.999999999)
                await settled()

                assert not task.done()

                clock.advance(0.000000001)

            assert (0.0, 0.0) == (first.delay, second.delay)

        asyncio.run(main())

        assert 3.0 == limiter.snapshot().waited_seconds

    def test_after_its_turn(self, clock, limiter):
        """
        If its turn has come, waiting returns at once.
        """
        reservation = limiter.reserve(2)
        clock.advance(2.0)
        reservation.wait(timeout=0)
        with reservation as again:
            assert reservation is again

        async def main():
            async with reservation as again:
                assert reservation is again

        asyncio.run(main())

        assert 0 == available(limiter)

    def test_turn_not_within_timeout(self, clock, limiter):
        """
        If the turn is not within *timeout*, it is refused at once and the
        place given back: those behind move up, and are woken in time. What it
        is told is when asking again would be enough.
        """

        async def main():
            first, second = limiter.reserve(5), limiter.reserve(1)
            task = asyncio.create_task(second.wait_async())
            await asyncio.sleep(0)

            with pytest.raises(RateLimitExceeded, match="not within 4 s") as caught:
                first.wait(timeout=4)

            # Behind the other one now.
            assert 6.0 == caught.value.retry_after

            clock.advance(1.0)
            await task

        asyncio.run(main())

        assert 1.0 == limiter.snapshot().waited_seconds
        assert 1 == limiter.snapshot().refused

    def test_turn_of_a_task_not_within_timeout(self, clock, limiter):
        """
        If a task waits, the same holds; a turn just within *timeout* is waited
        for.
        """

        async def main():
            first, second = limiter.reserve(5), limiter.reserve(1)

            with pytest.raises(RateLimitExceeded, match="not within 4 s"):
                await first.wait_async(timeout=4)

            task = asyncio.create_task(second.wait_async(timeout=1))
            await settled()
            clock.advance(1.0)
            await task

        asyncio.run(main())

        assert 1.0 == limiter.snapshot().waited_seconds

    def test_cancelled_behind_a_task_of_the_same_loop(self):
        """
        If a task comes to wait for a reservation that was given up, while another
        of its loop waits, it is told at once.
        """
        limiter = RateLimiter(0.001)
        limiter.wait()

        async def main():
            first = asyncio.create_task(limiter.wait_async())
            await settled()
            reservation = limiter.reserve()
            reservation.cancel()
            second = asyncio.create_task(reservation.wait_async())
            await settled()

            assert second.done()
            assert "was cancelled" in str(second.exception())

            first.cancel()

        asyncio.run(main())

    @pytest.mark.parametrize(
        "act",
        [
            lambda limiter, reservation: reservation.cancel(),
            lambda limiter, reservation: limiter.close(),
            lambda limiter, reservation: limiter.snapshot(),
        ],
        ids=["cancel", "close", "look"],
    )
    @pytest.mark.parametrize("tasks", [0, 1])
    def test_reentered_while_a_task_comes_to_wait(self, act, tasks):
        """
        If a signal handler cancels it, closes the limiter or looks at it at any
        point of coming to wait, maybe behind another task, nothing is broken, and
        who was sent away knows at once.
        """

        async def main(come_in):
            limiter = RateLimiter(0.001)
            limiter.wait()
            ahead = [asyncio.create_task(limiter.wait_async()) for _ in range(tasks)]
            await settled()
            reservation = limiter.reserve()
            coming = reservation.wait_async()
            suspended = []
            come_in(
                lambda: suspended.append(coming.send(None)),
                partial(act, limiter, reservation),
            )
            await settled()
            if math.isinf(reservation.delay) and suspended:
                assert suspended[0].done()
            limiter.close()
            await settled()
            coming.close()
            await asyncio.gather(*ahead, return_exceptions=True)

        for point in points(20):
            asyncio.run(main(point))

    def test_refusals_are_counted(self, limiter):
        """
        If it was refused, it cannot be waited for again.
        """
        reservation = limiter.reserve()
        with pytest.raises(RateLimitExceeded):
            reservation.wait(timeout=0)

        with pytest.raises(RateLimitExceeded, match="'images': the reservation was"):
            reservation.wait()
        assert not reservation.cancel()

    def test_one_at_a_time(self, clock, limiter):
        """
        If somebody waits on it already, another is refused, and the first one
        keeps waiting.
        """

        async def main():
            reservation = limiter.reserve()
            task = asyncio.create_task(reservation.wait_async())
            await asyncio.sleep(0)

            with pytest.raises(RuntimeError) as caught:
                reservation.wait(timeout=0)
            assert "this reservation is being waited for already" == str(caught.value)
            with pytest.raises(RuntimeError, match="waited for already"):
                await reservation.wait_async()

            clock.advance(1.0)
            await task

        asyncio.run(main())

    def test_interrupted_gives_the_place_back(self, clock, limiter):
        """
        If the task that waits on it is cancelled, the place is given back.
        """

        async def main():
            first, second = limiter.reserve(5), limiter.reserve(1)

            async def use():
                async with first:
                    pytest.fail("its turn never came")

            task = asyncio.create_task(use())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            assert math.inf == first.delay
            assert 1.0 == second.delay

        asyncio.run(main())

    def test_burst_lowered(self, clock, limiter):
        """
        If the burst is lowered below what is booked, waiting says never.
        """
        reservation = limiter.reserve(5)
        limiter.reconfigure(burst=4)

        with pytest.raises(BurstExceeded, match="5 tokens can never") as caught:
            reservation.wait()
        assert 4 == caught.value.burst
        assert math.inf == reservation.delay

    def test_closed(self, limiter):
        """
        If the limiter is closed, waiting is refused with the reason.
        """
        reservation = limiter.reserve()
        limiter.close("shutting down")

        with pytest.raises(RateLimitExceeded, match="shutting down"):
            reservation.wait()

    def test_in_a_running_loop(self):
        """
        If a thread waits on it while its loop is running, it blocks that loop
        until the turn, and an event says so, once.
        """
        limiter = RateLimiter(1000, name="images")
        limiter.try_acquire()
        first, second = limiter.reserve(), limiter.reserve()

        async def main():
            first.wait()
            second.wait()

        with capture_events(LoopBlocked) as events:
            asyncio.run(main())

        assert 0.0 == second.delay
        assert ["images"] == [event.limiter for event in events]

    def test_in_a_task(self, clock, limiter):
        """
        If a task waits on it, or a thread without a loop, nobody is blocked, and
        nobody says so.
        """

        async def main():
            task = asyncio.create_task(limiter.reserve().wait_async())
            await settled()
            clock.advance(1.0)
            await task

        with capture_events(LoopBlocked) as events:
            asyncio.run(main())
            thread = Party(limiter.reserve().wait)
            clock.wait_for_sleepers(1)
            clock.advance(1.0)
            thread.outcome()

        assert [] == events

    @pytest.mark.parametrize("timeout", [-1, math.nan, math.inf, True, "1"])
    def test_bad_timeout(self, limiter, timeout):
        """
        If *timeout* is no duration, it is refused naming it, and the place is
        kept.
        """
        reservation = limiter.reserve()
        with pytest.raises((TypeError, ValueError), match=r"^timeout must be "):
            reservation.wait(timeout)
        with pytest.raises((TypeError, ValueError), match=r"^timeout must be "):
            asyncio.run(reservation.wait_async(timeout))

        assert 1.0 == reservation.delay

    def test_disabled(self, limiter):
        """
        If protection is disabled, waiting on any reservation returns at once.
        """
        queued = limiter.reserve()
        with disabled():
            queued.wait()
            made = limiter.reserve(5)
            made.wait()
            asyncio.run(made.wait_async())

            assert made.settle(0)

        assert 0 == available(limiter)
        assert 1.0 == queued.delay
