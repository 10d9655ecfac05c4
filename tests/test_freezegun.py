from __future__ import annotations

import asyncio
import time

import pytest

from freezegun import api, freeze_time
from parties import PATIENCE, Party, queued

from switchgear import RateLimiter
from switchgear.errors import RateLimitExceeded


class TestThreads:
    def test_guarantee_6_waits_sleep_their_time_once(self):
        """
        If time is frozen, five waits of 0.1 s take 0.5 s of real time and
        return.
        """
        limiter = RateLimiter(10.0)
        with freeze_time("2026-11-23"):
            limiter.wait()
            started = api.real_monotonic()
            for _ in range(5):
                limiter.wait()
            elapsed = api.real_monotonic() - started

        assert 0.5 <= elapsed + 0.005
        # The n-th sleeps one interval, not n of them: that would be 1.5 s.
        assert elapsed < 1.2

    def test_guarantee_6_thaw(self):
        """
        If time is frozen and thawed under a limiter, time goes on from where
        it was: nothing is minted, and nobody hangs.
        """
        limiter = RateLimiter(20.0, burst=3)
        for _ in range(3):
            with freeze_time("2026-11-23"):
                limiter.wait()
            for _ in range(4):
                limiter.wait()
        started = time.monotonic()
        for _ in range(4):
            limiter.wait()

        elapsed = time.monotonic() - started

        # At most the burst is there.
        assert elapsed > 0.045
        assert elapsed < PATIENCE

    def test_guarantee_6_frozen_under_a_sleeper(self):
        """
        If time is frozen and thawed while threads sleep, all of them return.
        """
        limiter = RateLimiter(20.0)
        limiter.wait()
        parties = [Party(limiter.wait) for _ in range(3)]
        queued(limiter, 3)
        with freeze_time("2026-11-23"):
            parties.append(Party(limiter.wait))
            parties[0].join(0.2)
        for party in parties:
            party.outcome()

        assert 0 == limiter.snapshot().waiting

    def test_ticking_is_elapsed_time(self):
        """
        If frozen time is moved by hand, the bucket fills by that much.
        """
        with freeze_time("2026-11-23") as frozen:
            limiter = RateLimiter(1.0)
            limiter.wait()
            refusal = limiter.try_acquire()
            frozen.tick(0.999)

            assert 1.0 == refusal.retry_after
            assert not limiter.try_acquire()

            frozen.tick(0.001)

            assert limiter.try_acquire()

    def test_slept_time_is_not_counted_twice(self):
        """
        If frozen time is moved by what was just slept, nothing is minted.
        """
        with freeze_time("2026-11-23") as frozen:
            limiter = RateLimiter(20.0)
            limiter.wait()
            limiter.wait()
            frozen.tick(0.05)

            assert not limiter.try_acquire()

            frozen.tick(0.05)

            assert limiter.try_acquire()


class TestLoops:
    def test_guarantee_6_tasks_under_a_real_loop(self):
        """
        If time is frozen but for asyncio, tasks wait their real time as well,
        and return.
        """

        async def main():
            limiter = RateLimiter(20.0)
            await limiter.wait_async()
            started = api.real_monotonic()
            await asyncio.gather(*[limiter.wait_async() for _ in range(4)])
            return api.real_monotonic() - started

        with freeze_time("2026-11-23", real_asyncio=True):
            elapsed = asyncio.run(main())

        assert 0.2 <= elapsed + 0.005
        assert elapsed < 0.5

    @pytest.mark.parametrize("others", [0, 1])
    def test_a_deadline_under_a_real_loop(self, others):
        """
        If time is frozen but for asyncio, a task that a pause pushes past its
        deadline is refused, whether or not it is the first of its loop.
        """

        async def main():
            limiter = RateLimiter(20.0)
            await limiter.wait_async()
            ahead = [asyncio.ensure_future(limiter.wait_async()) for _ in range(others)]
            await asyncio.sleep(0)
            task = asyncio.ensure_future(limiter.wait_async(timeout=0.15))
            await asyncio.sleep(0)
            limiter.pause(60.0)
            with pytest.raises(RateLimitExceeded):
                await asyncio.wait_for(task, 2.0)
            for one in ahead:
                one.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

        with freeze_time("2026-11-23", real_asyncio=True):
            asyncio.run(main())
