"""
One limiter under real load: what is delivered, to whom, and how late.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from contextlib import contextmanager
from functools import partial

import pytest

from load import Load, excess, recorded
from parties import LoopParty, Party
from steps import lines

from switchgear import RateLimiter


#: How often what depends on an undisturbed machine is tried.
ATTEMPTS = 3

#: Sleeps in steps of 5 ms until told to stop, and says how late it ever was.
CONTROL = """
import sys, threading, time
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
latest = 0.0
while not over.is_set():
    before = time.monotonic()
    time.sleep(0.005)
    latest = max(latest, time.monotonic() - before - 0.005)
print(latest)
"""


@contextmanager
def heartbeat():
    """
    Watch the machine with a process of its own; the list gets its worst stall.
    """
    stalls = []
    with subprocess.Popen(
        [sys.executable, "-c", CONTROL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as control:
        try:
            yield stalls
        finally:
            said, _ = control.communicate()
            stalls.append(float(said))


def wait_often(limiter):
    for _ in range(20):
        limiter.wait(2)


class TestAcceptance:
    def test_16_threads_and_50_tasks(self):
        """
        If 16 threads and 50 tasks share a limiter at 200/s, burst 20, for 3 s,
        they get the configured rate within 1 % and never more than guarantee 1
        allows, each thread at least half of the mean, and the loop is never
        20 ms late.

        The burst is taken before the measurement, so that what is delivered
        is the rate alone; what stalls of the machine cost is not the limiter's.
        An attempt is repeated if a process that does nothing but sleep was
        10 ms late meanwhile; what it suffered in the last is allowed for.
        """
        for attempt in range(1, ATTEMPTS + 1):
            limiter, admissions = recorded(200.0, 20)
            load = Load(limiter, threads=16, tasks=50)
            with heartbeat() as stalls:
                delivered = load.run(3.0)

            # Whatever the machine does:
            assert excess(admissions, 200.0, 20) <= 0
            mean = load.delivered() / 66
            assert min(load.of_threads) >= mean / 2
            assert min(load.of_tasks) >= mean / 2
            assert 0 == limiter.snapshot().waiting
            assert {} == limiter._crews

            fine = abs(delivered / 200.0 - 1) <= 0.01 and load.latest < 0.020
            if fine or stalls[0] < 0.010 or attempt == ATTEMPTS:
                break

        assert 198.0 <= delivered <= 202.0
        disturbed = stalls[0] if stalls[0] >= 0.010 else 0.0
        assert load.latest < 0.020 + disturbed


class TestDelivery:
    @pytest.mark.parametrize(
        ("rate", "burst", "threads", "tasks"),
        [
            (200.0, 1, 4, 0),
            (200.0, 1, 0, 8),
            (1000.0, 1, 8, 0),
            (1000.0, 1, 0, 200),
            (1000.0, 5, 4, 20),
            (5000.0, 10, 0, 100),
        ],
    )
    def test_guarantee_1_at_least_99_percent(self, rate, burst, threads, tasks):
        """
        If waiters always wait, at least 99 % of the configured rate is
        delivered, and guarantee 1 is kept.

        What a stall of the machine beyond 2 ms costs is not made up; it is
        allowed for here. The best of some attempts counts, since a run is so
        short that a single token at its end is one percent.
        """
        delivered = 0.0
        for _ in range(8):
            limiter, admissions = recorded(rate, burst)
            delivered = max(delivered, Load(limiter, threads, tasks).run(0.4))

            assert excess(admissions, rate, burst) <= 0
            if delivered >= 0.99 * rate:
                break

        assert delivered >= 0.99 * rate

    def test_many_tasks_cost_no_more_each_than_few(self):
        """
        If ten times as many tasks queue and leave, that takes at most ten times as
        many lines of Python.
        """

        async def come_and_go(many):
            limiter = RateLimiter(0.001)
            limiter.wait()
            tasks = [asyncio.ensure_future(limiter.wait_async()) for _ in range(many)]
            await asyncio.sleep(0)
            assert many == limiter.snapshot().waiting
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert 0 == limiter.snapshot().waiting

        # What runs only the first time would be in the fewer alone.
        asyncio.run(come_and_go(1))
        few, many = (
            lines(partial(asyncio.run, come_and_go(number))) for number in (30, 300)
        )

        assert many <= 10 * few

    def test_two_loops_and_threads_deliver_together(self):
        """
        If two loops and threads share a limiter, with weights and cancels, no
        token is lost: those that stay are admitted exactly in time.
        """
        for _ in range(ATTEMPTS):
            limiter, admissions = recorded(1000.0, 10)
            with LoopParty() as one, LoopParty() as other:
                tasks = [
                    loop.start(limiter.wait_async(1 + n % 5))
                    for n in range(40)
                    for loop in (one, other)
                ]
                threads = [Party(wait_often, limiter) for _ in range(3)]
                cancelled = tasks[::7]
                for task in cancelled:
                    task.cancel()
                for task in tasks:
                    if task not in cancelled:
                        task.result(10)
                for thread in threads:
                    thread.outcome()

            assert excess(admissions, 1000.0, 10) <= 0
            assert 0 == limiter.snapshot().waiting
            assert {} == limiter._crews
            first, last = admissions[0][0], admissions[-1][0]
            got = limiter.snapshot().admitted - 1
            assert got >= 80 - len(cancelled) + 60
            taken = sum(tokens for _, tokens in admissions[1:])
            delivered = taken / (last - first) * 1e9
            if delivered > 970.0:
                break

        assert delivered > 970.0
