from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
import time
import weakref

from functools import partial

import pytest

from hypothesis import given
from hypothesis import strategies as st
from interrupting import Stop, points, stop

from switchgear import (
    CircuitBreaker,
    Keyed,
    Rate,
    RateLimiter,
    Registry,
    _fork,
    _keyed,
    _listeners,
)
from switchgear._orders import each
from switchgear._unchanged import UNCHANGED
from switchgear.events import Event, KeysExceeded, Reconfigured
from switchgear.testing import ManualClock, capture_events, disabled


class Hooked(RateLimiter):
    """
    A limiter that lets something happen once it was asked whether it is idle.
    """

    __slots__ = ("asked", "hook")

    def __init__(self, *args, hook=None, **settings):
        super().__init__(*args, **settings)
        self.asked = 0
        self.hook = hook

    def _idle(self):
        self.asked += 1
        answer = super()._idle()
        hook, self.hook = self.hook, None
        if hook is not None:
            hook()
        return answer


class Key:
    """
    A key with the hash of all others, which may do something when it is compared.
    """

    def __init__(self, value, always=None):
        self.value = value
        self.always = always
        self.hook = None

    def __hash__(self):
        self._called()
        return 1

    def __eq__(self, other):
        hook, self.hook = self.hook, None
        if hook is not None:
            hook()
        self._called()
        return isinstance(other, Key) and self.value == other.value

    def _called(self):
        if self.always is not None:
            self.always()


@pytest.fixture
def limiters(clock):
    """
    At most three limiters of 1 per second, burst 2.
    """
    return Keyed(lambda key: RateLimiter(1, burst=2, clock=clock), max_keys=3)


def started(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    return threads


class TestKeyed:
    def test_makes_one_instance_per_key(self, limiters):
        """
        If a key is asked for again, it is the same instance; another key has
        another one.
        """
        first = limiters["a"]

        assert first is limiters["a"]
        assert first is not limiters["b"]

    def test_get_makes_nothing(self, limiters):
        """
        If a key has no instance, get returns the default.
        """
        one = limiters["a"]

        assert one is limiters.get("a")
        assert limiters.get("b") is None
        assert 7 == limiters.get("b", 7)
        assert 1 == len(limiters)

    def test_answers_what_is_in_it(self, limiters):
        """
        If keys are in it, in, len and iteration say so.
        """
        for key in ("a", ("b", 1), None):
            limiters[key]

        assert "a" in limiters
        assert "c" not in limiters
        assert 3 == len(limiters)
        assert ["a", ("b", 1), None] == list(limiters)

    def test_iterates_over_the_keys_there_were(self, limiters):
        """
        If keys are added while somebody iterates, they see those before.
        """
        limiters["a"].try_acquire()

        for key in limiters:
            limiters[key + "a"].try_acquire()

        assert ["a", "aa"] == list(limiters)

    def test_snapshot_shows_every_instance(self, limiters):
        """
        If a snapshot is taken, it has that of every key.
        """
        limiters["a"].try_acquire()
        limiters["b"]

        shown = limiters.snapshot()

        assert {"a": 1, "b": 2} == {key: one.available for key, one in shown.items()}

    def test_shows_how_many(self, limiters):
        """
        If it is shown, that is short.
        """
        assert "<Keyed of 0>" == repr(limiters)
        limiters._name = "images"
        assert "<Keyed 'images' of 0>" == repr(limiters)

    def test_errors_of_the_factory_are_not_remembered(self, clock):
        """
        If the factory raises, that comes out, and the next one asks it again.
        """
        made = []

        def factory(key):
            made.append(key)
            if len(made) == 1:
                raise LookupError
            return RateLimiter(clock=clock)

        limiters = Keyed(factory)

        with pytest.raises(LookupError):
            limiters["a"]
        assert "a" not in limiters
        assert limiters["a"] is limiters["a"]
        assert ["a", "a"] == made

    def test_bad_arguments_are_refused_at_once(self):
        """
        If an argument is of no use, the error names it.
        """
        with pytest.raises(TypeError, match=r"^factory must be callable, not 5"):
            Keyed(5)
        for bad in (0, -1, 10**13):
            with pytest.raises(ValueError, match=r"^max_keys must be at least 1 and"):
                Keyed(RateLimiter, max_keys=bad)
        for bad in (True, 1.5, "9", None):
            with pytest.raises(TypeError, match=r"^max_keys must be an int, not"):
                Keyed(RateLimiter, max_keys=bad)
        with pytest.raises(TypeError, match="missing"):
            Keyed()
        assert 1024 == Keyed(RateLimiter).max_keys

    @pytest.mark.parametrize("bad", [None, RateLimiter, Keyed(RateLimiter)], ids=str)
    def test_a_factory_must_return_a_limiter_or_breaker(self, bad):
        """
        If the factory returns anything else, that is a TypeError.
        """
        with pytest.raises(
            TypeError, match=r"^factory must return a limiter"
        ) as caught:
            Keyed(lambda key: bad)["a"]

        assert f"not {type(bad).__name__}: " in str(caught.value)

    def test_a_key_must_be_hashable(self, limiters):
        """
        If a key is not hashable, nothing is made.
        """
        with pytest.raises(TypeError, match="unhashable"):
            limiters[[]]

    def test_neither_pickles_nor_copies(self, limiters):
        """
        If it is not in the default registry, it refuses to be pickled.
        """
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"Keyed .* cannot be pickled"):
                attempt(limiters)


class TestThreads:
    def test_racing_creators_get_the_same_object(self, clock):
        """
        If several threads ask for a new key at once, the factory may be called
        for each, but all get the same instance.
        """
        gate = threading.Barrier(4)

        def factory(key):
            gate.wait()
            return RateLimiter(clock=clock)

        limiters, results = Keyed(factory), []

        for thread in started(*[lambda: results.append(limiters["a"])] * 4):
            thread.join()

        assert 1 == len(set(map(id, results)))
        assert results[0] is limiters["a"]

    def test_different_keys_never_wait_for_each_other(self, clock):
        """
        If the factory takes its time over one key, others are made and found.
        """
        entered, go_on = threading.Event(), threading.Event()

        def factory(key):
            if key == "slow":
                entered.set()
                go_on.wait()
            return RateLimiter(clock=clock)

        limiters, results = Keyed(factory), []
        (thread,) = started(lambda: results.append(limiters["slow"]))
        entered.wait()

        fast = limiters["fast"]

        assert fast is limiters["fast"]
        assert [] == results
        go_on.set()
        thread.join()
        assert [limiters["slow"]] == results

    def test_a_factory_may_use_the_container(self, clock):
        """
        If the factory looks other keys up, or even its own, nothing hangs.
        """

        def factory(key):
            return RateLimiter(clock=clock) if key == 0 else limiters[key - 1]

        limiters = Keyed(factory)

        assert limiters[0] is limiters[3]

    def test_hammering_never_doubles_and_never_forgives(self, clock):
        """
        If many threads use more keys than are kept, no key is ever admitted
        more than its burst while the clock stands.
        """
        limiters = Keyed(lambda key: RateLimiter(1, burst=3, clock=clock), max_keys=2)
        admitted, start = [], threading.Barrier(4)

        def hammer():
            start.wait()
            for number in range(200):
                key = number * 7 % 20
                if limiters[key].try_acquire():
                    admitted.append(key)

        for thread in started(*[hammer] * 4):
            thread.join()

        assert sorted(key for key in range(20) for _ in range(3)) == sorted(admitted)


class TestReconfigure:
    def test_changes_all_and_those_made_later(self, limiters):
        """
        If it is reconfigured, so are all instances, later ones included, and
        those start with the bucket of a new one.
        """
        limiters["a"].try_acquire()

        limiters.reconfigure(burst=5)

        assert 5 == limiters["a"].snapshot().burst
        assert 1 == limiters["a"].snapshot().available
        assert 5 == limiters["b"].snapshot().available

    @pytest.mark.parametrize(
        "changes",
        [
            [{"burst": 5}, {"calls_per_second": 3}, {"burst": 4}],
            [{"rates": [Rate(9, per=3, burst=1)]}, {"burst": 4}, {"max_waiters": 1}],
            [{"rates": [Rate(9)]}, {"calls_per_second": 7}, {"burst": 4}],
            [{"burst": 4, "max_waiters": 1}, {"rates": [Rate(9), Rate(90, per=60)]}],
            [{"rates": [Rate(1), Rate(2)]}, {"rates": [Rate(9)]}, {"burst": 4}],
            [{"rates": [Rate(8)]}, {"burst": 4}, {"rates": [Rate(9)]}],
            [{"burst": 4}, {"burst": UNCHANGED}],
        ],
        ids=[
            "one each",
            "burst of a rate",
            "pace of a rate",
            "rates instead",
            "one rate of two",
            "rates after all",
            "nothing",
        ],
    )
    def test_changes_add_up(self, limiters, changes):
        """
        If it is reconfigured several times, new ones are as the others.
        """
        one = limiters["a"]

        for change in changes:
            limiters.reconfigure(**change)
            assert one.settings() == limiters[str(change)].settings()

        assert one.settings() == limiters["b"].settings()
        assert len(limiters._orders.changes) <= 2

    def test_what_is_only_right_together_is_changed_together(self, clock):
        """
        If settings were changed one after the other so that each was right with
        those before, new ones have them all.
        """
        breakers = Keyed(
            lambda key: CircuitBreaker(
                cooldown=10, cooldown_factor=2, max_cooldown=20, clock=clock
            )
        )
        one = breakers["a"]

        breakers.reconfigure(max_cooldown=100)
        breakers.reconfigure(cooldown=50)
        breakers.reconfigure(max_cooldown=60)

        assert one.settings() == breakers["b"].settings()
        assert 50.0 == one.settings()["cooldown"]

    def test_rates_may_be_anything_iterable(self, limiters):
        """
        If rates come from a generator, all get them, those made later included.
        """
        limiters["a"], limiters["b"]

        limiters.reconfigure(rates=(Rate(limit) for limit in (3, 40)))

        seen = [limiters[key].settings()["rates"] for key in "abc"]
        assert [(Rate(3), Rate(40))] * 3 == seen

    def test_what_one_of_them_refuses_changes_none(self, limiters):
        """
        If a change is wrong for one of the instances alone, or for one made later
        alone, it changes none.
        """
        limiters["a"], limiters["b"]
        limiters["b"].reconfigure(rates=[Rate(3), Rate(40)])
        limiters["c"]

        with pytest.raises(ValueError, match="several rates"):
            limiters.reconfigure(burst=5)

        assert [2, 2] == [limiters[key].snapshot().burst for key in "ac"]
        assert 2 == limiters["d"].snapshot().burst

    def test_what_one_of_them_refuses_by_now_changes_the_others(self, limiters):
        """
        If an instance is changed alone after it was asked whether it could be
        changed, so that it cannot, the others are changed, and the error tells.
        """
        limiters["a"], limiters["b"], limiters["c"]

        def interfere(event):
            limiters["b"].reconfigure(rates=[Rate(3), Rate(40)])

        limiters["a"].subscribe(interfere, Reconfigured)

        with pytest.raises(ValueError, match="several rates"):
            limiters.reconfigure(burst=5)

        assert [5, 5, 5] == [limiters[key].snapshot().burst for key in "acd"]
        assert 2 == len(limiters["b"].settings()["rates"])

    def test_an_interruption_is_raised_once_all_are_changed(self, limiters):
        """
        If a listener is interrupted while all are changed, the others are changed
        as well before that goes on its way; other errors come after it.
        """
        limiters["a"], limiters["b"], limiters["c"]

        def interfere(event):
            limiters["b"].reconfigure(rates=[Rate(3), Rate(40)])

        limiters["a"].subscribe(interfere, Reconfigured)
        limiters["c"].subscribe(lambda event: stop(), Reconfigured)

        with pytest.raises(Stop):
            limiters.reconfigure(burst=5)

        assert [5, 5, 5] == [limiters[key].snapshot().burst for key in "acd"]

    def test_two_that_are_only_wrong_together(self, monkeypatch):
        """
        If, while one change is tried, another is made that it does not go with,
        it is refused: later keys have the settings that all have.
        """
        names = Registry()
        breakers = names.keyed_breaker(
            "a", cooldown=10, cooldown_factor=2, max_cooldown=20
        )
        breakers["k"]
        todo = [lambda: breakers.reconfigure(max_cooldown=12)]
        twin = CircuitBreaker._twin

        def meanwhile(breaker):
            tried = twin(breaker)
            while todo:
                todo.pop()()
            return tried

        monkeypatch.setattr(CircuitBreaker, "_twin", meanwhile)

        with pytest.raises(ValueError, match="max_cooldown"):
            breakers.reconfigure(cooldown=15)

        assert breakers["k"].settings() == breakers["new"].settings()
        assert 12.0 == breakers["k"].settings()["max_cooldown"]
        names.configure({"limiters": {"b": {"burst": 3}}})

    def test_one_that_was_changed_alone_says_nothing_for_others(self):
        """
        If all there are could take a change, as they were changed alone, but new
        ones could not, a template refuses it.
        """
        breakers = Registry().keyed_breaker(
            "a", cooldown=10, cooldown_factor=2, max_cooldown=20
        )
        breakers["k"].reconfigure(max_cooldown=100)

        with pytest.raises(ValueError, match="max_cooldown"):
            breakers.reconfigure(cooldown=50)

        assert 10.0 == breakers["k"].settings()["cooldown"]
        assert 10.0 == breakers["new"].settings()["cooldown"]

    @pytest.mark.parametrize("verb", ["reconfigure", "close"])
    def test_reentered_nothing_that_was_ordered_is_lost(self, verb):
        """
        If a signal handler changes or closes all, wherever it comes in while all
        are changed, that holds for all, those made later included.
        """
        order = {
            "reconfigure": lambda keyed: keyed.reconfigure(burst=7),
            "close": lambda keyed: keyed.close("bye"),
        }[verb]
        expected = {"reconfigure": (7, None), "close": (2, "bye")}[verb]
        for come_in in points(50):
            keyed = Keyed(lambda key: RateLimiter(1, burst=2))
            keyed["a"], keyed["b"]
            if come_in(
                lambda keyed=keyed: keyed.reconfigure(max_waiters=9),
                lambda keyed=keyed: order(keyed),
            ):
                for key in "abc":
                    seen = keyed[key].snapshot()
                    assert expected == (seen.burst, seen.closed)
                    assert 9 == keyed[key].settings()["max_waiters"]

    @pytest.mark.parametrize(
        ("verb", "other"), [("reopen", "close"), ("close", "reopen")]
    )
    def test_reentered_what_was_said_last_holds(self, verb, other):
        """
        If a signal handler closes all while they are reopened, or the other way
        round, all end up alike, and so do those made later.
        """
        ends = set()
        for come_in in points(50):
            keyed = Keyed(lambda key: RateLimiter(1, burst=2))
            keyed["a"], keyed["b"]
            getattr(keyed, other)()
            come_in(getattr(keyed, verb), getattr(keyed, other))
            states = {keyed[key].snapshot().closed for key in "abc"}
            assert 1 == len(states)
            ends |= states

        assert {None, ""} == ends

    def test_who_cannot_catch_up_leaves_nothing(self, clock):
        """
        If what all were changed to is wrong for a new one, its key is not there.
        """

        def factory(key):
            if key == "bad":
                limiters.reconfigure(burst=5)
                return RateLimiter(rates=[Rate(3), Rate(40)], clock=clock)
            return RateLimiter(1, clock=clock)

        limiters = Keyed(factory)

        with pytest.raises(ValueError, match="several rates"):
            limiters["bad"]

        assert 0 == len(limiters)
        assert [] == list(limiters)
        assert 5 == limiters["good"].snapshot().burst

    def test_trying_a_change_says_nothing(self, limiters):
        """
        If all are changed, each says so once, and nobody else.
        """
        limiters["a"], limiters["b"]

        with capture_events(Reconfigured) as events:
            limiters.reconfigure(burst=5)

        assert [{"burst": (2, 5)}] * 2 == [event.changes for event in events]

    def test_new_ones_are_changed_without_a_word(self, limiters):
        """
        If a new instance catches up, no event tells of it.
        """
        limiters.reconfigure(burst=5)

        with capture_events() as events:
            limiters["a"]
            limiters["a"].reconfigure(burst=6)

        assert [Reconfigured] == [type(event) for event in events]

    def test_a_bad_value_changes_nothing(self, limiters):
        """
        If a value is refused, nothing is changed, now or later.
        """
        limiters["a"]

        with pytest.raises(ValueError, match="burst"):
            limiters.reconfigure(burst=0)

        assert 2 == limiters["a"].snapshot().burst
        assert 2 == limiters["b"].snapshot().burst

    def test_an_instance_made_meanwhile_is_changed_too(self, clock):
        """
        If the container is changed, closed or reopened while an instance is
        being made, the instance catches up.
        """

        def factory(key):
            limiter = RateLimiter(1, clock=clock)
            if key == "a":
                limiters.reconfigure(burst=5)
            elif key == "b":
                limiters.close("bye")
            else:
                limiters.reopen()
            return limiter

        limiters = Keyed(factory)

        assert 5 == limiters["a"].snapshot().burst
        assert "bye" == limiters["b"].snapshot().closed
        assert limiters["c"].snapshot().closed is None

    def test_one_that_was_used_before_it_came_in_is_not_refilled(self, clock):
        """
        If the factory returns a limiter that owes something, catching up with
        the others forgives nothing.
        """

        def factory(key):
            limiter = RateLimiter(1, clock=clock)
            limiter.try_acquire()
            return limiter

        limiters = Keyed(factory)

        limiters.reconfigure(burst=5)

        assert 0 == limiters["a"].snapshot().available

    def test_a_breaker_made_meanwhile_is_changed_too(self, clock):
        """
        If breakers are reconfigured while one is being made, it catches up.
        """

        def factory(key):
            breakers.reconfigure(threshold=9)
            return CircuitBreaker(clock=clock)

        breakers = Keyed(factory)

        assert 9 == breakers["a"].settings()["threshold"]

    def test_one_that_is_being_forgotten_needs_no_change(self, limiters):
        """
        If an instance is on its way out, changing the others is no problem.
        """
        limiters["a"]
        limiters["b"]
        limiters._slot_of("a").instance = None

        limiters.reconfigure(burst=5)

        assert 5 == limiters["b"].snapshot().burst
        assert "a" not in limiters
        assert ["b"] == list(limiters.snapshot())
        assert limiters.get("a") is None

    def test_reset_brings_all_back_to_fresh(self, limiters):
        """
        If it is reset, all buckets are full and the settings stay.
        """
        limiters["a"].try_acquire()
        limiters.reconfigure(burst=5)

        limiters.reset()

        assert 5 == limiters["a"].snapshot().available


class TestPause:
    def test_pauses_every_limiter(self, limiters):
        """
        If it is paused, nobody is admitted for so long.
        """
        limiters["a"]

        limiters.pause(10)

        assert 10.0 == limiters["a"].try_acquire().retry_after

    def test_bad_seconds_are_refused(self, limiters):
        """
        If the seconds make no sense, the error says so, even if it is empty.
        """
        with pytest.raises(ValueError, match="seconds must be at least 0"):
            limiters.pause(-1)

    @pytest.mark.parametrize("verb", ["pause", "close", "reopen"])
    def test_is_for_limiters(self, clock, verb):
        """
        If it holds breakers, there is nothing to pause or close.
        """
        breakers = Keyed(lambda key: CircuitBreaker(clock=clock))
        breakers["a"]
        arguments = [] if verb == "reopen" else [{"pause": 1, "close": ""}[verb]]

        with pytest.raises(TypeError, match=f"{verb} is for limiters, not for Circ"):
            getattr(breakers, verb)(*arguments)

    @pytest.mark.parametrize("verb", ["pause", "close", "reopen"])
    def test_all_of_them_must_be_limiters(self, clock, verb):
        """
        If only some are limiters, that is an error, and nothing happens to any.
        """
        mixed = Keyed(
            lambda key: RateLimiter(clock=clock) if key == "a" else CircuitBreaker()
        )
        first = mixed["a"]
        assert mixed["b"].settings()

        with pytest.raises(TypeError, match="is for limiters, not for CircuitBreaker"):
            getattr(mixed, verb)(*[9] * (verb == "pause"))

        assert 0.0 == first.snapshot().paused_for
        assert first.snapshot().closed is None

    @pytest.mark.parametrize("verb", ["pause", "close", "reopen"])
    def test_a_template_knows_what_it_makes(self, verb):
        """
        If a template makes breakers, that is known before there is any.
        """
        breakers = Registry().keyed_breaker("a", threshold=3)

        with pytest.raises(TypeError, match=f"{verb} is for limiters, not for Circ"):
            getattr(breakers, verb)(*[9] * (verb == "pause"))

        assert breakers["k"].try_acquire()

    def test_closing_makes_nothing(self):
        """
        If a template's definition makes no sense by now, it can still be closed.
        """
        keyed = Registry().keyed_limiter("a", burst=2)
        one = keyed["k"]
        keyed._pattern = stop

        keyed.close("bye")

        assert "bye" == one.snapshot().closed

    def test_breakers_that_come_later_cannot_be_closed(self, clock):
        """
        If an empty container is closed, breakers it makes later are as they are.
        """
        keyed = Keyed(lambda key: CircuitBreaker(clock=clock) if key else RateLimiter())
        keyed.close("bye")

        assert keyed["b"].try_acquire()
        assert "bye" == keyed[""].snapshot().closed

    @pytest.mark.parametrize("keys", ["", "a"])
    def test_the_reason_is_looked_at_first(self, limiters, keys):
        """
        If the reason is no string, nothing is closed, now or later.
        """
        for key in keys:
            limiters[key]

        for wrong in (5, None):
            with pytest.raises(TypeError, match="reason must be a string"):
                limiters.close(wrong)

        assert all(limiters[key].try_acquire() for key in "ab")

    def test_all_are_closed_though_one_is_interrupted(self, limiters):
        """
        If a listener is interrupted while all are closed, all are.
        """
        made = [limiters[key] for key in "abc"]
        made[0].subscribe(lambda event: stop())

        with pytest.raises(Stop):
            limiters.close("bye")

        assert ["bye"] * 3 == [one.snapshot().closed for one in made]

    def test_close_holds_for_new_keys_until_reopened(self, limiters):
        """
        If it is closed, so are limiters made later; reopening opens all.
        """
        limiters["a"]

        limiters.close("shutting down")

        assert "shutting down" == limiters["a"].snapshot().closed
        assert "shutting down" == limiters["b"].snapshot().closed

        limiters.reopen()

        assert all(limiters[key].try_acquire() for key in "abc")

        limiters.close()

        assert "" == limiters["a"].snapshot().closed


class Alike:
    """
    Be a key of the same hash as all others.
    """

    def __hash__(self):
        return 1


class TestEviction:
    def test_the_one_not_looked_up_for_longest_is_forgotten(self, limiters):
        """
        If there are too many, an idle one goes that nobody looked up lately.
        """
        for key in "abc":
            limiters[key]
        limiters["a"]
        assert limiters.get("b") is not None

        limiters["d"]

        assert ["a", "b", "d"] == list(limiters)

    def test_eviction_never_forgives_a_debt(self, limiters, clock):
        """
        If a bucket is not full, its limiter stays; once it is, it may go.
        """
        for key in "abcd":
            limiters[key].try_acquire()

        assert 4 == len(limiters)

        clock.advance(1)
        limiters["e"].try_acquire()

        assert ["e"] == [key for key in limiters if not limiters[key].try_acquire(2)]
        assert 3 == len(limiters)

    @pytest.mark.parametrize(
        "harm",
        [
            lambda breaker: breaker.record_failure(),
            lambda breaker: breaker.force_open("by hand"),
            lambda breaker: breaker.observe_only(),
        ],
        ids=["failure", "forced", "observing"],
    )
    def test_eviction_never_forgives_a_circuit(self, clock, harm):
        """
        If a circuit is not closed or has counted a failure, it stays.
        """
        breakers = Keyed(lambda key: CircuitBreaker(clock=clock), max_keys=1)
        harm(breakers["a"])
        before = breakers["a"].snapshot()

        for key in "bcd":
            breakers[key]

        assert before == breakers["a"].snapshot()
        assert len(breakers) <= 2

    def test_reentered_another_of_the_same_hash_stays(self, clock):
        """
        If a signal handler looks up another key of the same hash, while one is
        forgotten, that one stays.
        """
        for come_in in points():
            limiters = Keyed(lambda key: RateLimiter(1.0, clock=clock), max_keys=3)
            idle, busy, meanwhile = Alike(), Alike(), Alike()
            # Two more, that the handler forgets, and not the one that is forgotten.
            for key in (idle, "a", "b"):
                limiters[key]
            kept = []

            def handler(limiters=limiters, kept=kept, key=meanwhile):
                kept.append(limiters[key])

            more = come_in(partial(limiters.__getitem__, busy), handler)

            assert kept == [limiters[meanwhile]] * more
            assert len(limiters) == len(list(limiters))

    def test_one_that_was_used_while_it_was_asked_stays(self, clock):
        """
        If one is used while it is asked whether it is idle, it is not forgotten.
        """

        def use():
            assert limiters["a"].try_acquire()

        limiters = Keyed(lambda key: Hooked(1.0, clock=clock), max_keys=1)
        first = weakref.ref(limiters["a"])
        del first
        limiters["a"].hook = use

        for key in "bcd":
            limiters[key]

        assert 1 == limiters["a"].snapshot().admitted

    def test_the_forgotten_die_without_the_lock(self):
        """
        If one is forgotten, its finaliser runs after the lock was released.
        """
        owned = []

        class Last(RateLimiter):
            def __del__(self):
                owned.append(limiters._lock._is_owned())

        limiters = Keyed(lambda key: Last(1.0), max_keys=1)
        for key in "abcd":
            limiters[key]

        assert owned
        assert not any(owned)

    def test_one_that_is_being_forgotten_is_not_there(self, limiters):
        """
        If one is looked up while it is forgotten, there is none.
        """
        limiters["a"]
        limiters._slot_of("a").instance = None

        assert limiters.get("a", 5) == 5
        assert "a" not in limiters

    def test_one_that_is_being_forgotten_is_made_anew(self, limiters, monkeypatch):
        """
        If one is asked for while another thread forgets it, it is a new one.
        """
        old, make = limiters["a"], Keyed._make
        slot = limiters._slot_of("a")

        def make_once_it_is_gone(keyed, key):
            monkeypatch.undo()
            slot.instance, slot.used = old, None
            keyed._forget(slot, None)
            return make(keyed, key)

        monkeypatch.setattr(Keyed, "_make", make_once_it_is_gone)
        slot.instance = None

        new = limiters["a"]

        assert new is not old
        assert new is limiters["a"]
        assert 1 == len(limiters)

    def test_one_that_was_changed_by_itself_stays(self, limiters):
        """
        If one instance was reconfigured, it stays: it would come back as the
        others are. What is done to all does not count.
        """
        limiters["a"].reconfigure(burst=1)
        limiters["b"]
        limiters.reconfigure(calls_per_second=7)

        for key in "cdefg":
            limiters[key]

        assert 1 == limiters["a"].snapshot().burst
        assert "b" not in limiters

    @pytest.mark.parametrize("kind", ["limiter", "breaker"])
    def test_one_whose_changes_were_taken_back_may_go(self, kind):
        """
        If what was changed of one instance alone is forgotten, it may be, too.
        """
        names = Registry()
        keyed = getattr(names, f"keyed_{kind}")("a", max_keys=1)
        change = {"limiter": {"burst": 5}, "breaker": {"threshold": 9}}[kind]
        keyed["k"].reconfigure(**change)
        keyed["l"], keyed["m"]

        assert "k" in keyed

        names.forget_changes("a")
        for key in range(5):
            keyed[key]

        assert "k" not in keyed

    @pytest.mark.parametrize("kind", ["limiter", "breaker"])
    def test_one_that_was_changed_stays_when_others_are_configured(self, kind):
        """
        If a file changes all, an instance that was changed alone is kept.
        """
        names = Registry()
        keyed = getattr(names, f"keyed_{kind}")("a", max_keys=1)
        change, below = {
            "limiter": ({"burst": 5}, {"max_waiters": 3}),
            "breaker": ({"threshold": 9}, {"cooldown": 3.0}),
        }[kind]
        keyed["k"].reconfigure(**change)

        names.configure({f"{kind}s": {"a": below}})
        for key in range(5):
            keyed[key]

        assert "k" in keyed
        assert change.items() <= keyed["k"].settings().items()
        assert below.items() <= keyed["k"].settings().items()

    def test_what_its_factory_changed_is_no_change(self):
        """
        If the factory reconfigures what it makes, that is forgotten like others.
        """

        def make(key):
            limiter = RateLimiter()
            limiter.reconfigure(max_waiters=3)
            return limiter

        keyed = Keyed(make, max_keys=1)
        for key in "abcd":
            keyed[key]

        assert "a" not in keyed

    @pytest.mark.parametrize(
        "change",
        [
            lambda limiters: limiters.reconfigure(burst=1),
            lambda limiters: (limiters.close("bye"), limiters.reopen()),
        ],
        ids=["reconfigured", "reopened"],
    )
    def test_one_that_is_as_all_are_may_go(self, limiters, change):
        """
        If all were changed, those made before and those made later may go.
        """
        limiters["a"]
        change(limiters)
        limiters["b"]

        for key in range(10):
            limiters[key]

        assert "a" not in limiters
        assert "b" not in limiters

    def test_a_breaker_that_is_as_all_are_may_go(self):
        """
        If all breakers were changed, those made before may go as well.
        """
        breakers = Keyed(lambda key: CircuitBreaker(), max_keys=1)
        breakers["a"]
        breakers.reconfigure(threshold=2)

        for key in range(10):
            breakers[key]

        assert "a" not in breakers

    @pytest.mark.parametrize(
        ("make", "wrong"),
        [
            (lambda key: RateLimiter(rates=[Rate(3), Rate(40)]), {"burst": 5}),
            (lambda key: CircuitBreaker(), {"threshold": 0}),
        ],
        ids=["limiter", "breaker"],
    )
    def test_one_that_refused_a_change_may_go(self, make, wrong):
        """
        If an instance refused to be changed, nothing was: it may go.
        """
        keyed = Keyed(make, max_keys=1)
        with pytest.raises(ValueError, match=r"several rates|at least 1"):
            keyed["a"].reconfigure(**wrong)

        for key in range(5):
            keyed[key]

        assert "a" not in keyed

    @pytest.mark.parametrize(
        "hold",
        [
            lambda limiter: limiter,
            lambda limiter: limiter.try_acquire,
            lambda limiter: [(limiter,)],
            weakref.ref,
        ],
        ids=["itself", "a method", "a container", "a weak reference"],
    )
    def test_a_held_one_is_never_doubled(self, limiters, clock, hold):
        """
        If somebody holds an instance, in whatever way, it stays.
        """
        limiters["a"].try_acquire()
        clock.advance(1)
        held = hold(limiters["a"])

        for key in range(20):
            limiters[key]

        assert 1 == limiters["a"].snapshot().admitted
        del held

    def test_one_held_by_a_running_generator_is_never_doubled(self, limiters, clock):
        """
        If only the frame of a generator or coroutine holds an instance, it
        stays.
        """

        def use():
            limiter = limiters["a"]
            yield limiter.try_acquire()
            limiter.try_acquire()

        running = use()
        next(running)
        clock.advance(1)

        for key in range(20):
            limiters[key]

        assert 1 == limiters["a"].snapshot().admitted

    def test_one_that_was_waited_for_can_be_forgotten(self):
        """
        If an instance was used in every way and is idle again, nothing of that
        keeps it.
        """
        limiters = Keyed(lambda key: RateLimiter(1e6), max_keys=2)

        async def use():
            await asyncio.gather(*(limiters["a"].wait_async() for _ in range(3)))
            async with limiters["a"]:
                pass

        with limiters["a"]:
            limiters["a"].wait()
        with limiters["a"].reserve() as reservation:
            reservation.settle(0)
        asyncio.run(use())
        del reservation
        gc.collect()

        for key in range(5):
            limiters[key]

        assert "a" not in limiters

    def test_one_that_is_used_while_it_is_asked_stays(self, clock):
        """
        If somebody looks an instance up and uses it, just after it has said
        that it is idle, it stays.
        """
        limiters = Keyed(lambda key: Hooked(1, clock=clock), max_keys=1)

        def use():
            limiters["a"].try_acquire()

        limiters["a"].hook = use
        limiters._slot_of("a").used = None

        limiters["b"].try_acquire()

        assert 0 == limiters["a"].snapshot().available
        assert 2 == len(limiters)

    def test_one_that_is_paused_while_it_is_asked_stays(self, clock):
        """
        If all are paused just after one has said that it is idle, it stays.
        """
        limiters = Keyed(lambda key: Hooked(1, clock=clock), max_keys=1)
        limiters["a"].hook = lambda: limiters.pause(60)
        limiters._slot_of("a").used = None

        limiters["b"].try_acquire()

        assert 60.0 == limiters["a"].snapshot().paused_for

    def test_one_that_is_used_before_it_is_asked_stays(self, clock):
        """
        If somebody who looked an instance up long ago still holds it when it
        is asked, and lets go right after using it, it stays.
        """
        limiters = Keyed(lambda key: Hooked(1, clock=clock), max_keys=1)
        held = [limiters["a"]]

        def use():
            held.pop().try_acquire()

        held[0].hook = use
        limiters._slot_of("a").used = None

        limiters["b"].try_acquire()
        if held:
            use()

        assert 0 == limiters["a"].snapshot().available

    def test_one_that_others_look_at_as_well(self, clock):
        """
        If one is used while it is asked whether it is idle, and others come by
        looking for room, it stays, and owes what it owed.
        """
        keyed = Keyed(lambda key: Hooked(1, clock=clock), max_keys=1)

        def hook():
            assert keyed["a"].try_acquire()
            for party in started(lambda: keyed["c"]):
                party.join()

        keyed["a"].hook = hook
        keyed._slot_of("a").used = None
        keyed["b"]

        assert 0 == keyed["a"].snapshot().available

    def test_two_threads_do_not_forget_one_twice(self, clock):
        """
        If a second thread forgets an instance while the first is asking it,
        the first leaves it at that.
        """
        limiters = Keyed(lambda key: Hooked(1, clock=clock), max_keys=1)

        def forget():
            limiters._slot_of("a").used = None

            def insert():
                limiters["c"].try_acquire()

            (thread,) = started(insert)
            thread.join()

        limiters["a"].hook = forget
        limiters._slot_of("a").used = None

        limiters["b"].try_acquire()
        clock.advance(10)
        for key in "defg":
            limiters[key]

        assert 1 == len(limiters)
        assert len(limiters._ring) <= 2

    def test_what_is_left_of_a_forgotten_one_leaves_the_ring_later(self, clock):
        """
        If another thread looks at other instances while one is asked, what is
        left of it is cleared away when its turn comes.
        """
        limiters = Keyed(lambda key: Hooked(1, clock=clock), max_keys=2)
        limiters["a"].hook = lambda: limiters._ring.rotate(-1)
        limiters["b"].try_acquire()
        limiters._slot_of("a").used = None

        limiters["c"]

        assert ["b", "c"] == list(limiters)
        assert 3 == len(limiters._ring)

        for key in range(10):
            limiters[key]

        assert 2 == len(limiters)
        assert {1} == {*map(limiters._ring.count, limiters._all())}
        assert 2 == len(limiters._ring)

    def test_grows_past_max_keys_and_says_so_once(self, limiters, monkeypatch):
        """
        If nothing may be forgotten, it grows, and one event says so.
        """
        events = []
        limiters.subscribe(events.append, Event)
        limiters._name = "images"
        # A machine that has been up for forty days.
        monkeypatch.setattr(time, "monotonic_ns", lambda: 3_456_000 * 10**9 + 500)

        for key in range(10):
            limiters[key].try_acquire()

        assert 10 == len(limiters)
        assert [(KeysExceeded, 3, "images", 3_456_000.0000005)] == [
            (type(event), event.max_keys, event.name, event.at) for event in events
        ]

    def test_the_first_too_many_says_so(self, clock):
        """
        If nothing may be forgotten, all are looked at twice for the first that is
        too many: those before it have paid for that.
        """
        keyed = Keyed(lambda key: RateLimiter(clock=clock), max_keys=160)
        events = []
        keyed.subscribe(events.append, KeysExceeded)

        for key in range(160):
            keyed[key].try_acquire()
        assert [] == events
        keyed[160].try_acquire()

        assert 1 == len(events)

    def test_what_it_drops_is_finalised_without_the_lock(self):
        """
        If what is forgotten has a finaliser, it runs after the lock is free.
        """
        owned = []

        class Picky:
            def __call__(self, result):
                return False

            def __del__(self):
                owned.append(breakers._lock._is_owned())

        breakers = Keyed(lambda _: CircuitBreaker(failure_when=Picky()), max_keys=1)
        for key in range(4):
            breakers[key]

        assert 1 == len(breakers)
        assert [False] * 3 == owned

    def test_says_nothing_if_something_may_be_forgotten(self, limiters):
        """
        If there is always an idle one, it stays at its bound, silently.
        """
        events = []
        limiters.subscribe(events.append, Event)
        limiters["busy"].try_acquire()
        held = limiters["held"]

        for key in range(50):
            limiters[key]
            for known in limiters:
                limiters[known]

        assert 3 == len(limiters)
        assert [] == events
        assert held is limiters["held"]

    @pytest.mark.parametrize("bound", [20, 30, 50])
    def test_says_nothing_if_all_were_just_looked_up(self, clock, bound):
        """
        If all are looked up before each new one, some are forgotten yet, and it
        says nothing.
        """
        keyed = Keyed(lambda key: RateLimiter(clock=clock), max_keys=bound)
        events = []
        keyed.subscribe(events.append, Event)
        for key in range(bound):
            keyed[key]
        for number in range(6):
            for key in list(keyed):
                keyed[key]
            keyed["new", number]

        assert [] == events

    @pytest.mark.parametrize(("busy", "bound"), [(95, 100), (38, 40)])
    def test_says_nothing_if_few_may_be_forgotten(self, clock, busy, bound):
        """
        If nearly all are busy, the others are found, and it says nothing.
        """
        keyed = Keyed(lambda key: RateLimiter(clock=clock), max_keys=bound)
        events = []
        keyed.subscribe(events.append, KeysExceeded)
        for number in range(busy):
            keyed["busy", number].try_acquire()
        for number in range(60):
            keyed[number]

        assert [] == events
        assert len(keyed) < 1.25 * bound

    def test_an_event_nobody_wants_is_not_built(self, limiters, monkeypatch):
        """
        If nobody listens, growing is silent.
        """
        monkeypatch.setattr(_listeners, "EVERYWHERE", _listeners.Subscriptions())
        monkeypatch.setattr(_keyed, "KeysExceeded", None)

        for key in range(10):
            limiters[key].try_acquire()

        assert 10 == len(limiters)

    def test_shrinks_back_once_it_may(self, limiters, clock):
        """
        If many have become idle, the next insertions forget them.
        """
        for key in range(20):
            limiters[key].try_acquire()
        clock.advance(10)

        for key in range(100, 120):
            limiters[key]

        assert 3 == len(limiters)
        assert len(limiters._ring) <= 4

    def test_a_full_container_of_busy_keys_is_not_searched_each_time(self, clock):
        """
        If nothing may be forgotten, an insertion looks at a bounded number of
        instances, however many there are.
        """
        limiters = Keyed(lambda key: Hooked(1, clock=clock), max_keys=100)
        asked = []

        for key in range(300):
            before = sum(limiters[known].asked for known in limiters)
            for slot in limiters._all():
                slot.used = None
            limiters[key].try_acquire()
            asked.append(sum(limiters[known].asked for known in limiters) - before)

        assert sum(asked) <= 10 * 300
        assert max(asked[101:]) <= 10

    def test_one_that_went_while_another_was_made_is_replaced(
        self, limiters, monkeypatch
    ):
        """
        If a racing creator's instance is forgotten before it could be
        returned, the new one is put in.
        """
        old = limiters["a"]
        use = Keyed._use

        def forget_and_use(keyed, slot):
            monkeypatch.undo()
            slot.used = None
            keyed._forget(slot, None)
            return use(keyed, slot)

        monkeypatch.setattr(Keyed, "_use", forget_and_use)

        new = limiters._make("a")

        assert new is not old
        assert new is limiters["a"]
        assert 1 == len(limiters)


class TestEach:
    """
    :func:`_orders.each`, by itself.
    """

    def test_an_interruption_between_two(self):
        """
        If Ctrl-C comes between two instances, the others are seen to, and it comes
        out before other errors.
        """
        seen = []

        class Interrupted:
            def __init__(self):
                self.left = [1, KeyboardInterrupt, 2, 3]

            def __iter__(self):
                return self

            def __next__(self):
                if not self.left:
                    raise StopIteration
                first = self.left.pop(0)
                if first is KeyboardInterrupt:
                    raise first
                return first

        def act(instance):
            seen.append(instance)
            raise ValueError(instance)

        with pytest.raises(KeyboardInterrupt):
            each(Interrupted(), act)

        assert [1, 2, 3] == seen


class TestKeys:
    """
    Keys whose code does more than it should.
    """

    def test_of_one_hash(self, clock):
        """
        If keys have the same hash, each has its own instance, and is forgotten by
        itself.
        """
        keyed = Keyed(lambda key: RateLimiter(1, clock=clock), max_keys=2)
        made = [keyed[Key(value)] for value in "abc"]
        assert 3 == len({*map(id, made)}) == len(keyed)
        assert made == [keyed[Key(value)] for value in "abc"]
        made[1].try_acquire()
        del made

        for value in "defg":
            keyed[Key(value)]

        assert 2 == len(keyed) == len(list(keyed))
        assert 0 == keyed[Key("b")].snapshot().available
        assert Key("a") not in keyed
        assert Key("b") in keyed

    def test_their_code_never_runs_under_the_lock(self, clock):
        """
        If keys are hashed or compared, the container's lock is free; and nothing
        of theirs runs as they are forgotten.
        """
        owned = []

        def note():
            owned.append(keyed._lock._is_owned())

        keyed = Keyed(lambda key: RateLimiter(1, clock=clock), max_keys=1)
        for value in range(5):
            keyed[Key(value, note)]
            keyed.get(Key(value, note))
            assert Key(value, note) in keyed

        assert 1 == len(keyed)
        assert owned
        assert not any(owned)

    def test_one_that_goes_is_not_asked(self, clock):
        """
        If the instance of a key is forgotten, the key's code is not run.
        """
        asked = []
        keyed = Keyed(lambda key: RateLimiter(1, clock=clock), max_keys=1)
        keyed[Key("a", lambda: asked.append("a"))]
        asked.clear()

        for other in "bcd":
            keyed[other]

        assert 1 == len(keyed)
        assert [] == asked

    def test_one_that_asks_for_itself_as_it_comes_in(self, clock):
        """
        If a key, compared with one of its hash, looks itself up, there is one
        instance of it.
        """
        keyed = Keyed(lambda key: RateLimiter(1, clock=clock))
        known, got = Key("a"), []
        keyed[known]
        known.hook = lambda: setattr(known, "hook", lambda: got.append(keyed[Key("b")]))

        made = keyed[Key("b")]

        assert [made] == got
        assert 2 == len(keyed)


class TestInterruptions:
    def test_interrupted_look_ups_leave_nothing_behind(self, clock):
        """
        If a look-up that makes one and forgets another is interrupted, wherever
        that is, no key stays without an instance, and all of them can go.
        """
        for come_in in points(50):
            keyed = Keyed(lambda key: RateLimiter(clock=clock), max_keys=1)
            for key in "abc":
                keyed[key]
            come_in(lambda keyed=keyed: keyed["d"], stop)
            assert all(key in keyed for key in list(keyed))
            for key in range(9):
                keyed[key]
            assert 1 == len(keyed)
            assert len(keyed._ring) < 5


class TestLaws:
    @given(
        max_keys=st.integers(1, 3),
        steps=st.lists(
            st.tuples(
                st.sampled_from(["take", "take", "look", "advance", "hold", "drop"]),
                st.integers(0, 5),
            ),
            max_size=60,
        ),
    )
    def test_keyed_never_forgives(self, max_keys, steps):
        """
        If keys come and go, every answer is that of limiters which are never
        forgotten.
        """
        clock = ManualClock()

        def make(key):
            return RateLimiter(0.5, burst=2, clock=clock)

        limiters, model, held = Keyed(make, max_keys=max_keys), {}, {}
        for verb, key in steps:
            if verb == "take":
                one = model.setdefault(key, make(key))
                assert one.try_acquire() == limiters[key].try_acquire()
            elif verb == "look":
                limiters[key]
            elif verb == "advance":
                clock.advance(key / 2)
            elif verb == "hold":
                held[key] = limiters[key]
            else:
                held.pop(key, None)
            assert all(limiters[key] is one for key, one in held.items())


class TestDisabled:
    def test_instances_are_switched_off_with_all_others(self, limiters):
        """
        If protection is switched off for a test, that holds for the instances
        of a container too, and nothing is counted.
        """
        limiters["a"]

        with disabled():
            assert all(limiters["a"].try_acquire() for _ in range(5))

        assert 2 == limiters["a"].snapshot().available


class TestFork:
    def test_a_child_does_not_inherit_a_held_lock(self, limiters, in_child):
        """
        If other threads are using the container and one of its instances at
        the moment of a fork, the child can go on with both.
        """
        limiters["a"].try_acquire()
        held, done = threading.Barrier(3), threading.Event()

        def hold(lock):
            with lock:
                held.wait()
                done.wait()

        threads = started(
            lambda: hold(limiters._lock), lambda: hold(limiters["a"]._lock)
        )
        held.wait()

        def check():
            assert limiters["a"].try_acquire()
            limiters.reconfigure(burst=9)
            assert 9 == limiters["b"].snapshot().available

        try:
            in_child(check)
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def test_who_outlives_the_container_is_still_told(self, limiters):
        """
        If the container tells its instances, they are not tracked; if it dies
        before them, they are again.
        """
        limiter = limiters["a"]
        assert limiter not in _fork._tracked

        container = weakref.ref(limiters)
        del limiters
        gc.collect()

        assert container() is None or limiter not in _fork._tracked
        if container() is not None:
            container().__del__()
        assert limiter in _fork._tracked
