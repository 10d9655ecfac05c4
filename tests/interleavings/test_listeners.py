from __future__ import annotations

from itertools import pairwise

from explorer import Race

from switchgear import CircuitBreaker, RateLimiter
from switchgear._listeners import Outbox
from switchgear.events import CircuitForced, Event, Reconfigured


class TestDelivery:
    def test_in_order_and_one_at_a_time(self, explored):
        """
        If two threads change one instance, its listener is told in the order it
        happened, never by both at once, and of everything.
        """

        def race():
            breaker, told, busy = CircuitBreaker(), [], []

            def listen(event):
                assert not busy, "two at once"
                busy.append(event)
                # A step of the package's, at which others may go on.
                breaker.settings()
                busy.pop()
                told.append(event)

            breaker.subscribe(listen, CircuitForced)

            def check(outcomes):
                assert 3 == len(told)
                # Each begins in the state in which the one before ended.
                for one, after in pairwise(told):
                    assert one.to_state is after.from_state
                assert told[-1].to_state is breaker.snapshot().state

            def twice():
                breaker.force_open()
                breaker.force_closed()

            return Race([twice, breaker.observe_only], check)

        explored(race, limit=120)
        explored(race, every_step=False)

    def test_with_no_lock_held(self, explored):
        """
        If a listener uses the instance it hears of, and another thread does too,
        nobody waits for ever.
        """

        def race():
            limiter, told = RateLimiter(5, burst=2), []

            def listen(event):
                limiter.try_acquire()
                told.append(limiter.snapshot().admitted)

            limiter.subscribe(listen, Reconfigured)

            def check(outcomes):
                assert 1 == len(told)

            return Race(
                [
                    lambda: limiter.reconfigure(burst=3),
                    lambda: (limiter.try_acquire(), limiter.snapshot()),
                ],
                check,
            )

        explored(race, limit=120)

    def test_who_subscribes_meanwhile(self, explored):
        """
        If two subscribe while a third has an event, both are subscribed, and
        neither hears anything twice.
        """

        def race():
            outbox, told = Outbox(), {"a": [], "b": []}

            def event():
                outbox.put(Event(at=1.0))
                outbox.deliver()

            def check(outcomes):
                event()
                assert all(len(heard) in {1, 2} for heard in told.values())

            return Race(
                [
                    lambda: outbox.subscribe(told["a"].append),
                    lambda: outbox.subscribe(told["b"].append),
                    event,
                ],
                check,
            )

        explored(race, every_step=False)
        explored(race, limit=120)

    def test_who_ends_meanwhile(self, explored):
        """
        If a listener ends its subscription while another begins one, the one is
        gone and the other there.
        """

        def race():
            outbox, told = Outbox(), []
            end = outbox.subscribe(lambda event: told.append("ended"))

            def check(outcomes):
                outbox.put(Event(at=1.0))
                outbox.deliver()
                assert ["begun"] == told

            return Race(
                [end, lambda: outbox.subscribe(lambda event: told.append("begun"))],
                check,
            )

        explored(race, limit=120)
