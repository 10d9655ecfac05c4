from __future__ import annotations

import pytest

from explorer import Race

from switchgear import (
    AtomicCounter,
    CircuitBreaker,
    RateLimiter,
    Registry,
    ThreadSafeSet,
)
from switchgear.events import Reconfigured


def passes(outcomes):
    pass


def drained():
    """
    A limiter without a token.
    """
    limiter = RateLimiter(1, burst=2)
    limiter.try_acquire(2)
    return limiter


class TestFork:
    @pytest.mark.parametrize(
        ("make", "act", "look", "limit"),
        [
            (
                AtomicCounter,
                lambda counter: counter.increment(2),
                lambda counter: counter.increment() in {1, 3},
                None,
            ),
            (
                lambda: ThreadSafeSet(["a"], max_size=2),
                lambda items: items.update(["b", "c"]),
                lambda items: items.add("d") and len(items) <= 2,
                None,
            ),
            (
                lambda: RateLimiter(1, burst=2),
                lambda limiter: limiter.try_acquire(),
                lambda limiter: (
                    limiter.try_acquire() and limiter.snapshot().admitted in {1, 2}
                ),
                None,
            ),
            (
                drained,
                lambda limiter: limiter.wait(2),
                # Behind somebody who waits for two it would be in three seconds.
                lambda limiter: (
                    limiter.try_acquire().retry_after <= 1
                    and limiter.snapshot().waiting == 0
                ),
                80,
            ),
            (
                lambda: CircuitBreaker(threshold=1, cooldown=5),
                lambda breaker: breaker.record_failure(),
                lambda breaker: (
                    breaker.is_open == (breaker.snapshot().failures > 0)
                    and breaker.reset() is None
                    and bool(breaker.try_acquire())
                ),
                60,
            ),
            (
                Registry,
                lambda names: names.limiter("a", burst=3),
                lambda names: names.limiter("a", burst=3).snapshot().waiting == 0,
                60,
            ),
            (
                Registry,
                lambda names: names.keyed_breaker("a", threshold=3)["k"],
                lambda names: bool(
                    names.keyed_breaker("a", threshold=3)["k"].try_acquire()
                ),
                80,
            ),
        ],
        ids=["counter", "set", "taken", "waiting", "breaker", "name", "key"],
    )
    def test_at_steps_of_another_thread(
        self, explored, in_child, make, act, look, limit
    ):
        """
        If a process forks while another thread is at any step, lock in hand or
        not, the child can use what it inherits. Tried at every step, but for
        those that take hundreds of steps: there at some, drawn by lot.
        """

        def race():
            thing = make()

            def child():
                assert look(thing)

            return Race([lambda: act(thing), lambda: in_child(child)], passes)

        explored(race, preemptions=1, limit=limit)

    def test_while_a_listener_is_told(self, explored, in_child):
        """
        If a process forks while another thread delivers, the child delivers its
        own events.
        """

        def race():
            limiter, told = RateLimiter(1, burst=1), []
            limiter.subscribe(told.append, Reconfigured)

            def child():
                told.clear()
                limiter.reconfigure(burst=7)
                assert [7] == [event.changes["burst"][1] for event in told]

            return Race(
                [lambda: limiter.reconfigure(burst=2), lambda: in_child(child)], passes
            )

        explored(race, preemptions=1, limit=30)
