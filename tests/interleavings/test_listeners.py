from __future__ import annotations

from itertools import pairwise

import pytest

from explorer import Race
from explorer.scheduler import wait_until

from switchgear import CircuitBreaker, Keyed, RateLimiter, Registry
from switchgear._listeners import Outbox
from switchgear._waiting import ThreadWaiter
from switchgear.events import (
    CircuitForced,
    Event,
    LimiterClosed,
    LimiterPaused,
    LimiterReopened,
    Reconfigured,
)


def taken():
    """
    A limiter without a token.
    """
    limiter = RateLimiter(1, burst=1)
    limiter.try_acquire()
    return limiter


def closed():
    """
    A limiter that admits nobody.
    """
    limiter = RateLimiter(1)
    limiter.close()
    return limiter


def fragile():
    """
    A breaker that one failure opens, for a second.
    """
    return CircuitBreaker(threshold=1, cooldown=1)


def opened():
    """
    A breaker that is open, for a second.
    """
    breaker = fragile()
    breaker.record_failure()
    return breaker


def observing():
    """
    A breaker that only says that it would have opened.
    """
    breaker = fragile()
    breaker.observe_only()
    return breaker


def crowded():
    """
    A container for one limiter, which is busy.
    """
    keyed = Keyed(lambda key: RateLimiter(1), max_keys=1)
    keyed["busy"].try_acquire()
    return keyed


def crowd(keyed):
    """
    Ask for busy ones, until none can be forgotten.
    """
    for key in range(4):
        keyed[key].try_acquire()


def once_cooled_down(act):
    """
    Return what acts on a breaker whose cooldown is over.
    """

    def sleep_and_act(breaker):
        ThreadWaiter().sleep(10**9)
        act(breaker)

    return sleep_and_act


def every(names):
    """
    The limiters of a registry.
    """
    return names.keyed_limiter("a")


def one(names):
    """
    The one of them that is listened to.
    """
    return every(names)["k"]


def close_and_reopen(limiter):
    """
    Close a limiter, or all of a container, and reopen it.
    """
    limiter.close()
    limiter.reopen()


def load(burst):
    """
    Return what loads another burst into a registry.
    """
    return lambda names: names.configure({"limiters": {"a": {"burst": burst}}})


#: What two threads do to one limiter, by itself or with others.
CHANGES = {
    "one-closes": (
        lambda names: close_and_reopen(one(names)),
        lambda names: one(names).close(),
    ),
    "one-pauses": (
        lambda names: one(names).pause(2),
        lambda names: one(names).pause(3),
    ),
    "one-changes": (
        lambda names: one(names).reconfigure(burst=2),
        lambda names: one(names).reconfigure(burst=3),
    ),
    "all-close": (
        lambda names: close_and_reopen(every(names)),
        lambda names: every(names).close(),
    ),
    "all-change": (
        lambda names: every(names).reconfigure(burst=2),
        lambda names: one(names).reconfigure(burst=3),
    ),
    "registry-loads": (load(2), load(3)),
}


def shown_by(event):
    """
    Return what a snapshot shows from *event* on.
    """
    match event:
        case LimiterClosed():
            return {"closed": event.reason}
        case LimiterReopened():
            return {"closed": None}
        case LimiterPaused():
            return {"paused_for": event.paused_for}
        case Reconfigured():
            return {name: new for name, (_, new) in event.changes.items()}
    raise ValueError(event)


#: Everything of which there is an event that needs no event loop: each is delivered
#: in a place of its own.
ACTS = {
    "limiter-refuses": (taken, lambda limiter: limiter.try_acquire()),
    "limiter-lets-wait": (taken, lambda limiter: limiter.wait()),
    "limiter-pauses": (taken, lambda limiter: limiter.pause(1)),
    "limiter-closes": (taken, lambda limiter: limiter.close()),
    "limiter-reopens": (closed, lambda limiter: limiter.reopen()),
    "limiter-changes": (taken, lambda limiter: limiter.reconfigure(burst=2)),
    "breaker-trips": (fragile, lambda breaker: breaker.record_failure()),
    "breaker-refuses": (opened, lambda breaker: breaker.try_acquire()),
    "breaker-looks": (opened, once_cooled_down(lambda breaker: breaker.is_open)),
    "breaker-probes": (opened, once_cooled_down(lambda breaker: breaker.try_acquire())),
    "breaker-is-forced": (fragile, lambda breaker: breaker.force_open()),
    "breaker-is-reset": (opened, lambda breaker: breaker.reset()),
    "breaker-changes": (fragile, lambda breaker: breaker.reconfigure(threshold=2)),
    "breaker-observes": (observing, lambda breaker: breaker.record_failure()),
    "container-grows": (crowded, crowd),
}


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

    @pytest.mark.parametrize(("mine", "theirs"), CHANGES.values(), ids=CHANGES)
    def test_in_the_order_of_the_decisions(self, explored, mine, theirs):
        """
        If two threads close and reopen, pause or change a limiter, each event
        tells of another state than the one before, and the last of what is.
        """

        def race():
            names, told = Registry(), []
            limiter = names.keyed_limiter("a", burst=1)["k"]
            limiter.subscribe(told.append)

            def check(outcomes):
                shown = {"closed": None, "paused_for": 0.0, "burst": 1}
                for event in told:
                    before, shown = shown, shown | shown_by(event)
                    assert before != shown
                snapshot = limiter.snapshot()
                assert shown == {name: getattr(snapshot, name) for name in shown}

            return Race([lambda: mine(names), lambda: theirs(names)], check)

        explored(race, every_step=False, limit=300)

    @pytest.mark.parametrize(("make", "act"), ACTS.values(), ids=ACTS)
    def test_with_no_lock_held(self, explored, make, act):
        """
        If a listener does not return before another thread has used the instance
        it hears of, nobody waits for ever.
        """

        def race():
            instance, told, used = make(), [], []

            def listen(event):
                told.append(event)
                wait_until(lambda: bool(used))

            instance.subscribe(listen)

            def use():
                wait_until(lambda: bool(told))
                # Under its lock, and under those of its subscriptions.
                instance.snapshot()
                instance.subscribe(told.append)()
                if isinstance(instance, Keyed):
                    instance["other"]
                used.append(True)

            def check(outcomes):
                assert told

            return Race([lambda: act(instance), use], check)

        explored(race, preemptions=1, limit=40)

    @pytest.mark.parametrize(
        "act",
        [
            lambda names: names.keyed_limiter("a").reconfigure(burst=3),
            lambda names: names.keyed_limiter("a").close(),
            lambda names: names.configure({"limiters": {"a": {"burst": 3}}}),
            lambda names: names.close(),
        ],
        ids=["container-changes", "container-closes", "registry-loads", "all-close"],
    )
    def test_with_no_lock_of_others_held(self, explored, act):
        """
        If a listener of one keyed instance, while something is done to all, does
        not return before another thread has used them, nobody waits for ever.
        """

        def race():
            names, told, used = Registry(), [], []
            keyed = names.keyed_limiter("a", burst=2)

            def listen(event):
                told.append(event)
                wait_until(lambda: bool(used))

            keyed["k"].subscribe(listen)

            def use():
                wait_until(lambda: bool(told))
                names.keyed_limiter("a")["new"].snapshot()
                names.limiter("b", burst=2).snapshot()
                keyed.reconfigure(max_waiters=3)
                names.snapshot()
                used.append(True)

            def check(outcomes):
                assert told

            return Race([lambda: act(names) and None, use], check)

        explored(race, preemptions=1, limit=40)

    def test_used_by_its_listener(self, explored):
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
