from __future__ import annotations

import copy
import json
import pickle
import re
import sys
import threading

from functools import partial

import pytest

from interrupting import points, stop

from switchgear import (
    AtomicCounter,
    CircuitBreaker,
    ConfigurationError,
    CountWindow,
    Keyed,
    Rate,
    RateLimiter,
    RateLimitExceeded,
    Registry,
    ThreadSafeSet,
    UnknownNameError,
    _registry,
    rate_limited,
    registry,
)
from switchgear._caller import caller
from switchgear._entry import Cell
from switchgear.testing import isolated_registry


#: Where what is raised goes nowhere: what is weakly held is freed.
FREED = frozenset({("call", "_remove"), ("return", "_remove"), "c_call"})


@pytest.fixture
def names():
    """
    A registry of the test's own.
    """
    return Registry()


@pytest.fixture
def default():
    """
    The default registry, empty.
    """
    with isolated_registry() as empty:
        yield empty


def line():
    return sys._getframe(1).f_lineno


def travelled(thing):
    return pickle.loads(pickle.dumps(thing))


class TestLookUp:
    def test_a_defined_name_is_found(self, names):
        """
        If a name was defined, looking it up returns the same object.
        """
        limiter = names.limiter("images", calls_per_second=5, burst=2)
        breaker = names.breaker("images", threshold=3)

        assert limiter is names.limiter("images")
        assert breaker is names.breaker("images")
        assert isinstance(limiter, RateLimiter)
        assert isinstance(breaker, CircuitBreaker)
        assert "images" == limiter.name == breaker.name
        assert 2 == limiter.settings()["burst"]

    def test_an_unknown_name_is_an_error_with_the_nearest_names(self, names):
        """
        If a name is not defined for the kind, the error suggests names of that
        kind.
        """
        names.limiter("images", burst=1)
        names.breaker("imagery", threshold=3)

        with pytest.raises(UnknownNameError) as caught:
            names.limiter("imagse")
        assert ("limiter", "imagse", ("images",)) == (
            caught.value.kind,
            caught.value.name,
            caught.value.nearest,
        )
        with pytest.raises(UnknownNameError, match="no breaker is named 'images'; did"):
            names.breaker("images")
        with pytest.raises(UnknownNameError, match="'zzz'; define it first"):
            names.keyed_limiter("zzz")
        with pytest.raises(UnknownNameError):
            names.keyed_breaker("zzz")

    @pytest.mark.parametrize("bad", ["", "x" * 201, "a\n", "a[b]", "]"])
    def test_a_bad_name_is_refused_at_once(self, names, bad):
        """
        If a name is empty, too long, or has control characters or brackets,
        it is a ValueError, and nothing is defined.
        """
        for attempt in (
            lambda: names.limiter(bad, burst=1),
            lambda: names.breaker(bad),
            lambda: names.keyed_limiter(bad, burst=1),
            lambda: names.counter(bad),
            lambda: names.unique(bad),
            lambda: names.remove(bad),
        ):
            with pytest.raises(ValueError, match=r"^name must have"):
                attempt()

        assert () == names.names()

    @pytest.mark.parametrize("bad", [None, 5, b"images", ["images"]], ids=str)
    def test_a_name_must_be_a_string(self, names, bad):
        """
        If a name is no string, it is a TypeError, hashable or not.
        """
        for attempt in (names.limiter, names.breaker, names.counter, names.unique):
            with pytest.raises(TypeError, match=r"^name must be a string, not"):
                attempt(bad)

    def test_a_string_of_a_class_of_its_own_is_a_name(self, names):
        """
        If a name is of a subclass of str, it is that name.
        """

        class Name(str):
            __slots__ = ()

        assert names.counter(Name("n")) is names.counter("n")

    def test_what_is_known_is_looked_up_at_once(self, names, monkeypatch):
        """
        If something is known, looking it up again, or defining it again alike,
        compares and builds nothing.
        """
        known = names.counter("a"), names.unique("b"), names.limiter("c", burst=3)
        for made in ("Entry", "settled"):
            monkeypatch.delattr(f"switchgear._registry.{made}")

        again = names.counter("a"), names.unique("b"), names.limiter("c", burst=3)

        assert all(one is other for one, other in zip(known, again, strict=True))

    def test_counters_and_sets_are_made_when_first_asked_for(self, names):
        """
        If a counter or a set is asked for, it is there, and stays the same.
        """
        counter, unique = names.counter("n"), names.unique("n")

        assert isinstance(counter, AtomicCounter)
        assert isinstance(unique, ThreadSafeSet)
        assert counter is names.counter("n")
        assert unique is names.unique("n")
        assert unique.max_size is None

    def test_a_set_agrees_on_its_size(self, names):
        """
        If a set is asked for with another size than it has, both places are
        named; without one it is what is there.
        """
        unique = names.unique("seen", max_size=10)
        place = line() - 1
        here = re.escape(__file__)

        assert unique is names.unique("seen", max_size=10)
        assert unique is names.unique("seen")
        with pytest.raises(
            ConfigurationError,
            match=rf"^uniques\.seen\.max_size: 9 \({here}:\d+\) is not 10"
            rf" \({here}:{place}\)$",
        ):
            names.unique("seen", max_size=9)
        with pytest.raises(TypeError, match="max_size must be an int"):
            names.unique("seen", max_size=True)

    def test_a_set_of_another_size_is_not_what_was_asked_for(self, names):
        """
        If a set is asked for with another size than it has, that is an error.
        """
        names.unique("seen", max_size=10)

        with pytest.raises(ConfigurationError, match=r"^uniques\.seen\.max_size: 9 "):
            names.unique("seen", max_size=9)

    def test_registries_know_nothing_of_each_other(self, names):
        """
        If a name is defined in one registry, another does not know it.
        """
        other = Registry()
        limiter = names.limiter("images", burst=1)

        assert limiter is not other.limiter("images", burst=2)


class TestAgreement:
    @pytest.mark.parametrize(
        ("kind", "one", "other"),
        [
            ("limiter", {"burst": 2}, {"burst": 2}),
            ("limiter", {"calls_per_second": 5}, {"calls_per_second": 5.0}),
            ("limiter", {"burst": 1}, {"calls_per_second": 2.0}),
            ("limiter", {"rates": [Rate(5)]}, {"rates": (Rate(5.0),)}),
            ("limiter", {"rates": [Rate(5)]}, {"calls_per_second": 5}),
            ("limiter", {"rates": [Rate(5), Rate(1)]}, {"rates": (Rate(5), Rate(1))}),
            ("limiter", {"burst": 3}, {"burst": 3, "max_waiters": None}),
            ("limiter", {"burst": 3, "max_keys": 1024}, {"burst": 3}),
            ("breaker", {"threshold": 3}, {"threshold": 3, "cooldown": 120}),
            ("breaker", {"ignore": (OSError,)}, {"ignore": (OSError,)}),
            ("breaker", {"window": CountWindow(5)}, {"window": CountWindow(5)}),
        ],
        ids=str,
    )
    def test_definitions_that_come_to_the_same_agree(self, names, kind, one, other):
        """
        If two definitions are the same after validation, with defaults filled
        in, they agree.
        """
        define = getattr(names, kind)

        assert define("images", **one) is define("images", **other)

    @pytest.mark.parametrize(
        ("kind", "one", "other", "key"),
        [
            ("limiter", {"burst": 2}, {"burst": 3}, "burst"),
            ("limiter", {"burst": 2}, {"calls_per_second": 2.0}, "burst"),
            ("limiter", {"burst": 1}, {"burst": 1, "max_waiters": 3}, "max_waiters"),
            ("limiter", {"burst": 1}, {"burst": 1, "max_keys": 9}, "max_keys"),
            ("breaker", {"threshold": 3}, {"cooldown": 9}, "threshold"),
            ("breaker", {"ignore": OSError}, {"ignore": KeyError}, "ignore"),
        ],
        ids=str,
    )
    def test_definitions_that_differ_name_both_places(
        self, names, kind, one, other, key
    ):
        """
        If a name is defined otherwise already, the error names both places and
        every setting that differs, and the first definition stands.
        """
        define = getattr(names, kind)
        thing = define("images", **one)
        first = line() - 1

        with pytest.raises(ConfigurationError) as caught:
            define("images", **other)
        second = line() - 1

        problem = caught.value.problems[0]
        assert problem.startswith(f"{kind}s.images.{key}: ")
        assert f"({__file__}:{second}) is not" in problem
        assert problem.endswith(f"({__file__}:{first})")
        assert thing is define("images")

    def test_every_difference_is_named(self, names):
        """
        If several settings differ, all of them are listed.
        """
        names.limiter("images", calls_per_second=5, burst=2)

        with pytest.raises(ConfigurationError) as caught:
            names.limiter("images", calls_per_second=6, burst=3)

        assert 2 == len(caught.value.problems)

    def test_with_a_clock_as_well_it_is_the_difference_that_is_named(
        self, names, clock
    ):
        """
        If a definition has the same clock and differs otherwise, the error
        names that.
        """
        names.limiter("a", burst=2, clock=clock)

        with pytest.raises(ConfigurationError, match=r"^limiters\.a\.burst: 3 "):
            names.limiter("a", burst=3, clock=clock)

    def test_clocks_must_be_the_same(self, names, clock):
        """
        If two definitions differ in the clock, they do not agree.
        """
        limiter = names.limiter("images", burst=2, clock=clock)

        assert limiter is names.limiter("images", burst=2, clock=clock)
        with pytest.raises(ConfigurationError, match=r"images\.clock"):
            names.limiter("images", burst=2)

    def test_bad_values_are_refused_even_if_they_look_the_same(self, names):
        """
        If a value is of the wrong type or range, it is refused whether or not
        the name is defined.
        """
        with pytest.raises(ValueError, match="burst must be"):
            names.limiter("images", burst=0)
        assert "images" not in names

        names.limiter("images", burst=1)
        with pytest.raises(TypeError, match="burst must be an int"):
            names.limiter("images", burst=True)
        with pytest.raises(TypeError, match="burts"):
            names.limiter("images", burts=1)
        with pytest.raises(TypeError, match="max_keys must be an int"):
            names.limiter("images", burst=1, max_keys="9")
        with pytest.raises(TypeError, match="rates must be a sequence of Rate"):
            names.limiter("images", rates=5)

    def test_rates_may_come_from_an_iterator(self, names):
        """
        If rates are given as an iterator, they can be used for any number of
        instances.
        """
        names.limiter("images", rates=iter([Rate(5), Rate(1)]))

        keyed = names.keyed_limiter("images")

        assert 2 == len(names.limiter("images").snapshot().rates)
        assert 2 == len(keyed["a"].snapshot().rates)
        assert 2 == len(keyed["b"].snapshot().rates)

    def test_what_the_caller_changes_later_changes_nothing(self, names):
        """
        If a list that was given is changed afterwards, the definition stays.
        """
        rates = [Rate(5), Rate(1)]
        names.limiter("images", rates=rates)

        rates.clear()

        assert 2 == len(names.keyed_limiter("images")["a"].snapshot().rates)


class TestThreads:
    def race(self, function):
        results, gate = [], threading.Barrier(4)

        def run():
            gate.wait()
            results.append(function())

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 4 == len(results)
        assert 1 == len(set(map(id, results)))

    @pytest.mark.parametrize(
        "ask",
        [
            lambda names: names.limiter("a"),
            lambda names: names.keyed_limiter("a"),
            lambda names: names.counter("n"),
            lambda names: names.unique("n"),
        ],
        ids=["limiter", "keyed_limiter", "counter", "unique"],
    )
    def test_racing_creators_get_the_same_object(self, names, ask, monkeypatch):
        """
        If several threads have all begun to make an instance, all get the
        same one.
        """
        names._define("limiter", "a", {"burst": 3}, "here")
        gate, at_home = threading.Barrier(4), Registry._at_home

        def gated(self, thing, *rest):
            gate.wait()
            return at_home(self, thing, *rest)

        monkeypatch.setattr(Registry, "_at_home", gated)

        self.race(lambda: ask(names))

    def test_racing_definitions_agree_or_fail(self, names, monkeypatch):
        """
        If threads define a name at once, one definition wins, and all who
        agree get its instance.
        """
        gate, settled = threading.Barrier(4), _registry.settled

        def gated(kind, definition):
            gate.wait()
            return settled(kind, definition)

        monkeypatch.setattr(_registry, "settled", gated)

        self.race(lambda: names.limiter("a", burst=3))

    def test_instances_are_made_outside_the_lock(self, names, monkeypatch):
        """
        If an instance is being made, the registry can be used meanwhile.
        """
        names._define("limiter", "a", {"burst": 3}, "here")
        owned, build = [], _registry.build

        def watched(kind, name, definition):
            owned.append(names._lock._is_owned())
            return build(kind, name, definition)

        monkeypatch.setattr(_registry, "build", watched)

        names.limiter("a")
        names.keyed_limiter("a")["k"]
        names.breaker("b", threshold=1)
        names.forget_changes("a")

        assert {False} == set(owned)


class TestTemplates:
    def test_one_instance_per_key_all_defined_alike(self, names, clock):
        """
        If a name is used as a template, each key has an instance with the
        definition of the name.
        """
        keyed = names.keyed_limiter("images", burst=3, clock=clock)

        assert isinstance(keyed, Keyed)
        assert keyed is names.keyed_limiter("images")
        assert keyed["a"] is not keyed["b"]
        assert 3 == keyed["a"].settings()["burst"]
        assert keyed["a"] is not names.limiter("images")

    def test_instances_show_name_and_key(self, names):
        """
        If an instance of a template is shown, name and key are; odd keys are
        escaped and long ones cut.
        """
        keyed = names.keyed_breaker("images", threshold=2)

        assert "images" == keyed.name
        assert "images[example.org]" == keyed["example.org"].name
        assert r"images[a\x5b\n\x5d]" == keyed["a[\n]"].name
        assert len(keyed["x" * 1000].name) <= 90

    def test_max_keys_is_part_of_the_definition(self, names):
        """
        If a definition says how many keys are kept, the template keeps as
        many.
        """
        names.limiter("images", burst=2, max_keys=7)

        assert 7 == names.keyed_limiter("images").max_keys
        assert 1024 == names.keyed_limiter("other", burst=2).max_keys

    def test_a_bad_change_is_refused_before_the_first_key(self, names):
        """
        If a template without instances is reconfigured with a bad value, it is
        refused at once, and nothing is changed.
        """
        keyed = names.keyed_limiter("images", burst=2)

        with pytest.raises(ValueError, match="burst"):
            keyed.reconfigure(burst=0)
        keyed.reconfigure(burst=4)

        assert 4 == keyed["a"].settings()["burst"]


class TestLooking:
    def test_names_in_and_iteration_cover_every_kind(self, names):
        """
        If there are names of several kinds, each is listed once, in order.
        """
        names.limiter("b", burst=1)
        names.breaker("b", threshold=1)
        names.counter("c")
        names.unique("a")
        names._define("limiter", "d", {"burst": 1}, "here")

        assert ("a", "b", "c", "d") == names.names()
        assert ["a", "b", "c", "d"] == list(names)
        assert "c" in names
        assert "z" not in names
        assert "<Registry of 5>" == repr(names)

    def test_snapshot_is_ready_for_json(self, names, clock):
        """
        If a snapshot is taken, it has the state of everything, templates
        included, in what JSON knows.
        """
        names.limiter("images", rates=[Rate(5, burst=2)], clock=clock).try_acquire()
        names.keyed_limiter("images")[("a", 1)]
        names.breaker("images", window=CountWindow(9), clock=clock).record_failure(
            OSError("down")
        )
        names.keyed_breaker("images")["b"].force_open("by hand")
        names.counter("n").increment(3)
        names.unique("seen", max_size=9).add("x")
        names._define("limiter", "unused", {"burst": 1}, "here")

        shown = names.snapshot()

        assert shown == json.loads(json.dumps(shown))
        assert ["images"] == list(shown["limiters"])
        assert 1 == shown["limiters"]["images"]["available"]
        assert 5.0 == shown["limiters"]["images"]["rates"][0]["limit"]
        assert "closed" == shown["breakers"]["images"]["state"]
        assert 1 == shown["breakers"]["images"]["window"]["failures"]
        assert {"n": 3} == shown["counters"]
        assert {"seen": {"size": 1, "max_size": 9}} == shown["uniques"]
        templates = shown["templates"]
        assert 1024 == templates["limiters"]["images"]["max_keys"]
        assert ["images[('a', 1)]"] == [
            one["name"] for one in templates["limiters"]["images"]["instances"]
        ]
        assert ["forced_open"] == [
            one["state"] for one in templates["breakers"]["images"]["instances"]
        ]

    def test_the_place_is_the_users(self):
        """
        If the library asks who is calling, it is the line outside of it.
        """
        assert f"{__file__}:{line()}" == caller()

    def test_code_without_callers_is_its_own_caller(self):
        """
        If all frames are the library's, the outermost is the caller.
        """
        scope = {"__name__": "switchgear.cli", "caller": caller, "places": []}
        code = compile("places.append(caller())", "<outermost>", "exec")
        thread = threading.Thread(target=exec, args=(code, scope))

        thread.start()
        thread.join()
        place = scope["places"][0].rpartition(":")[0]

        assert place.endswith(("<outermost>", "threading.py"))


class TestChanging:
    def test_remove_forgets_the_name_of_every_kind(self, names):
        """
        If a name is removed, it is unknown, and may be defined anew; who holds
        an instance keeps it.
        """
        limiter = names.limiter("images", burst=1)
        names.breaker("images", threshold=1)
        names.counter("other")

        names.remove("images")

        assert "images" not in names
        assert "other" in names
        assert limiter.try_acquire()
        assert limiter is not names.limiter("images", burst=2)
        with pytest.raises(UnknownNameError, match="is named 'imags'; did you mean"):
            names.remove("imags")

    def test_reset_brings_back_state_and_no_setting(self, names, clock):
        """
        If everything is reset, buckets are full, circuits closed, counters
        zero and sets empty; settings stay.
        """
        limiter = names.limiter("a", burst=2, clock=clock)
        limiter.reconfigure(burst=3)
        limiter.try_acquire(2)
        keyed = names.keyed_limiter("a")
        keyed["k"].try_acquire()
        breaker = names.breaker("b", threshold=1, clock=clock)
        breaker.record_failure()
        names.counter("c").increment()
        names.unique("d").add(1)

        names.reset()

        assert 3 == limiter.snapshot().available
        assert 2 == keyed["k"].snapshot().available
        assert not breaker.is_open
        assert 0 == names.counter("c").value
        assert 0 == len(names.unique("d"))

    def test_reset_of_a_name_leaves_the_others(self, names):
        """
        If one name is reset, the others stay as they are.
        """
        names.counter("a").increment()
        names.counter("b").increment()

        names.reset("a")

        assert 0 == names.counter("a").value
        assert 1 == names.counter("b").value
        with pytest.raises(UnknownNameError):
            names.reset("z")

    def test_close_releases_every_limiter(self, names):
        """
        If the registry is closed, every limiter refuses, those of templates
        and of keys to come included; breakers do not mind.
        """
        limiter = names.limiter("a", burst=2)
        keyed = names.keyed_limiter("a")
        first = keyed["first"]
        breaker = names.breaker("b", threshold=1)

        names.close("shutting down")

        for one in (limiter, first, keyed["later"]):
            with pytest.raises(RateLimitExceeded, match="shutting down"):
                one.wait()
        assert breaker.try_acquire()

    def test_what_is_interrupted_at_one_is_done_to_the_others(self, names):
        """
        If a listener of one is interrupted by Ctrl-C while all are closed, loaded
        or reset, that comes out once all others have been seen to.
        """

        def interrupt(event):
            raise KeyboardInterrupt

        limiters = [names.limiter(name, burst=2) for name in "abc"]
        breakers = [names.breaker(name, threshold=1) for name in "abc"]
        keyed = names.keyed_limiter("a")["k"]
        for breaker in breakers:
            breaker.record_failure()
        for one in (limiters[0], breakers[0], keyed):
            one.subscribe(interrupt)

        with pytest.raises(KeyboardInterrupt):
            names.reset()
        assert not any(breaker.is_open for breaker in breakers)

        with pytest.raises(KeyboardInterrupt):
            names.configure({"limiters": {name: {"burst": 5} for name in "abc"}})
        assert [5] * 4 == [one.snapshot().burst for one in (*limiters, keyed)]

        with pytest.raises(KeyboardInterrupt):
            names.close("over")
        assert ["over"] * 4 == [one.snapshot().closed for one in (*limiters, keyed)]

    def test_one_whose_clock_fails_keeps_no_other_from_a_load(
        self, names, monkeypatch, failing_clock
    ):
        """
        If a clock raises while settings are loaded, its error comes out once all
        others go by them.
        """
        names.limiter("a", burst=2, clock=failing_clock)
        others = [names.limiter(name, burst=2) for name in "bc"]
        # Not before: then nothing at all is loaded.
        monkeypatch.setattr(Registry, "_objections", lambda *_: [])
        failing_clock.is_broken = True

        with pytest.raises(OSError, match="no time"):
            names.configure({"limiters": {name: {"burst": 5} for name in "abc"}})
        assert [5, 5] == [one.snapshot().burst for one in others]

    def test_interrupted_removal_leaves_no_two(self, names):
        """
        If a removal is interrupted anywhere, decorated functions and whoever looks
        the name up have the same instance afterwards.
        """
        removed = 0
        for come_in in points(5):
            before = names.limiter("a", burst=3)
            cell = Cell("limiter", "a", {}, "here")
            names._resolve(cell)
            come_in(lambda: names.remove("a"), stop, without={"return"})
            after = names.limiter("a", burst=3)
            held = names._resolve(cell) if cell.instance is None else cell.instance

            assert after is held
            removed += after is not before

        assert come_in.number > removed > 5

    def test_interrupted_load_reaches_what_lives(self, names):
        """
        If loading is interrupted anywhere, what lives goes by what was loaded, or by
        what was there before.
        """
        limiter = names.limiter("a", burst=1)
        seen = set()
        for come_in in points(100):
            burst = 2 + come_in.number % 50
            tables = {"limiters": {"a": {"burst": burst}}}
            come_in(lambda tables=tables: names.configure(tables), stop, without=FREED)
            layer = names._layers.over("limiter", "a", {"burst": 1})

            assert layer["burst"] == limiter.snapshot().burst
            seen.add(layer["burst"] == burst)

        assert {False, True} == seen

    def test_interrupted_load_can_still_go_back(self, names, monkeypatch):
        """
        If a load is interrupted, it is done once more from what was there before to
        what is there now, as the first time.
        """
        tries = []

        def adopt_all(_, *layers):
            tries.append(layers)
            if len(tries) == 1:
                raise KeyboardInterrupt

        monkeypatch.setattr(Registry, "_adopt_all", adopt_all)
        before = names._layers

        with pytest.raises(KeyboardInterrupt):
            names.configure({"limiters": {"a": {"burst": 5}}})
        assert [(before, names._layers)] * 2 == tries

    def test_the_end_of_a_block_is_interrupted_at_one(self):
        """
        If Ctrl-C comes as a limiter of an isolated block is closed, the others are
        closed, too, and the block is over.
        """

        def interrupt(event):
            raise KeyboardInterrupt

        limiters = []
        with pytest.raises(KeyboardInterrupt), isolated_registry() as inside:
            limiters += [inside.limiter(name, burst=2) for name in "ab"]
            limiters[0].subscribe(interrupt)

        assert not [one for one in limiters if one.snapshot().closed is None]
        assert "a" not in registry

    def test_close_needs_no_reason(self, names):
        """
        If no reason is given, the limiters have none.
        """
        limiter = names.limiter("a", burst=2)

        names.close()

        assert "" == limiter.snapshot().closed

    def test_close_reaches_what_was_never_used(self, names):
        """
        If the registry is closed before a name was ever used, whoever uses it
        then is refused all the same; what is defined later is open.
        """
        names.configure({"limiters": {"tabled": {}}})
        called = rate_limited("called", burst=2, registry=names)(lambda: "in")
        keyed = rate_limited("keyed", key=str, burst=2, registry=names)(lambda _: "in")

        names.close("shutting down")

        for use in (called, lambda: keyed(1), names.limiter("tabled").wait):
            with pytest.raises(RateLimitExceeded, match="shutting down"):
                use()
        assert names.limiter("later", burst=2).try_acquire()

    @pytest.mark.parametrize(
        ("definition", "change"),
        [
            ({"burst": 2}, {"burst": 9}),
            ({"burst": 2}, {"calls_per_second": 9, "max_waiters": 3}),
            ({"burst": 2}, {"rates": [Rate(1), Rate(60, per=60)]}),
            ({"rates": [Rate(1), Rate(60, per=60)]}, {"rates": [Rate(7)]}),
        ],
        ids=str,
    )
    def test_forgetting_changes_returns_to_the_definition(
        self, names, clock, definition, change
    ):
        """
        If a limiter was reconfigured at run time, forgetting that brings back
        what the code says, and keeps the debt; keys to come too.
        """
        limiter = names.limiter("a", **definition, clock=clock)
        keyed = names.keyed_limiter("a")
        before = limiter.settings()
        limiter.reconfigure(**change)
        keyed["k"].reconfigure(max_waiters=5)
        keyed.reconfigure(**change)
        limiter.try_acquire()

        names.forget_changes("a")

        assert before == limiter.settings()
        assert before == keyed["k"].settings() == keyed["new"].settings()
        assert not limiter.try_acquire(before.get("burst", 1))

    def test_forgetting_changes_of_a_breaker_keeps_its_state(self, names, clock):
        """
        If a breaker was reconfigured, forgetting that brings back what the
        code says; it stays open.
        """
        breaker = names.breaker("b", threshold=2, ignore=OSError, clock=clock)
        names.counter("b")
        before = breaker.settings()
        breaker.reconfigure(threshold=1, ignore=())
        breaker.record_failure()

        names.forget_changes("b")

        assert before == breaker.settings()
        assert breaker.is_open

    def test_there_is_nothing_to_forget_of_counters(self, names):
        """
        If a name is no limiter or breaker, it has no settings to return to.
        """
        names.counter("n")

        with pytest.raises(
            UnknownNameError, match="no limiter or breaker is named 'n'"
        ):
            names.forget_changes("n")
        with pytest.raises(UnknownNameError):
            names.forget_changes("z")


class TestCells:
    def test_a_cell_is_filled_once(self, names):
        """
        If a cell is resolved, it holds the instance of its name.
        """
        limiter = names.limiter("a", burst=1)
        cell = Cell("limiter", "a", {}, "here")

        assert cell.instance is None
        assert limiter is names._resolve(cell)
        assert limiter is cell.instance

    def test_a_keyed_cell_holds_the_container(self, names):
        """
        If a cell stands for a template, it holds the container.
        """
        cell = Cell("breaker", "a", {"threshold": 2}, "here", keyed=True)

        assert names._resolve(cell) is names.keyed_breaker("a")

    def test_a_failed_look_up_is_not_remembered(self, names):
        """
        If the name is unknown, the cell stays empty, and works once it is
        defined.
        """
        cell = Cell("limiter", "a", {}, "here")

        for _ in range(2):
            with pytest.raises(UnknownNameError):
                names._resolve(cell)
        limiter = names.limiter("a", burst=1)

        assert limiter is names._resolve(cell)

    def test_a_definition_comes_along(self, names):
        """
        If a cell has a definition, resolving defines, or has to agree.
        """
        rates = iter([Rate(1), Rate(2)])
        cell = Cell("limiter", "a", {"rates": rates}, "here.py:1")

        names._resolve(cell)
        names.remove("a")
        names._resolve(cell)

        assert 2 == len(cell.instance.snapshot().rates)
        with pytest.raises(ConfigurationError, match=r"\(here\.py:1\)$"):
            names.limiter("a", burst=3)

    def test_reentered_removal_empties_the_cell(self, names):
        """
        If a signal handler removes the name while a decorated function looks it up,
        the function looks it up again.
        """

        def handler():
            names.remove("a")
            names.limiter("a", burst=3)

        for come_in in points(5):
            names.limiter("a", burst=3)
            cell = Cell("limiter", "a", {}, "here")
            come_in(partial(names._resolve, cell), handler)
            held = names._resolve(cell) if cell.instance is None else cell.instance

            assert names.limiter("a") is held

    def test_remove_empties_the_cells(self, names):
        """
        If a name is removed, decorated functions look it up again.
        """
        names.limiter("a", burst=1)
        other = names.limiter("b", burst=1)
        cell, untouched = Cell("limiter", "a", {}, "x"), Cell("limiter", "b", {}, "x")
        names._resolve(cell)
        names._resolve(untouched)

        names.remove("a")

        assert cell.instance is None
        assert other is untouched.instance

    def test_a_name_removed_while_it_is_resolved_is_looked_up_again(self):
        """
        If a name is removed and defined anew while a cell is being filled, the
        cell gets the new instance.
        """

        class Removing(Registry):
            removed = False

            def _instance_of(self, entry):
                found = super()._instance_of(entry)
                if not self.removed:
                    self.removed = True
                    self.remove("a")
                return found

        names = Removing()
        cell = Cell("limiter", "a", {"burst": 2}, "here")

        found = names._resolve(cell)

        assert found is cell.instance is names.limiter("a")

    def test_isolation_starts_afresh_and_brings_everything_back(self, names):
        """
        If a registry is isolated, names and cells start afresh; afterwards
        they are what they were.
        """
        outer = names.limiter("a", burst=1)
        cell = Cell("limiter", "a", {"burst": 1}, "here")
        names._resolve(cell)

        restore = names._isolate()
        assert () == names.names()
        assert cell.instance is None
        inner = names._resolve(cell)
        restore("over")

        assert cell.instance is None
        assert outer is names._resolve(cell)
        assert inner is not outer

    def test_what_is_inherited_must_be_agreed_with(self, names):
        """
        If a definition was taken from outside, another one is an error that
        names both places.
        """
        names.limiter("a", burst=2)
        names._isolate()
        names.limiter("a")

        with pytest.raises(ConfigurationError) as caught:
            names.limiter("a", burst=3)

        assert re.fullmatch(
            r"limiters\.a\.burst: 3 \(.+\.py:\d+\) is not 2 \(.+\.py:\d+\)",
            caught.value.problems[0],
        )


class TestPickle:
    def test_instances_of_the_default_registry_travel_by_name(self, default):
        """
        If something is named in the default registry, pickling and copying
        return what goes by that name.
        """
        keyed = default.keyed_limiter("images", burst=2)
        for thing in (
            default.limiter("images"),
            default.breaker("images", threshold=2, ignore=(OSError,)),
            default.counter("n"),
            default.unique("a"),
            default.unique("b", max_size=3),
            keyed,
            keyed[("key", 1)],
        ):
            assert thing is travelled(thing)
            assert thing is copy.copy(thing)
            assert thing is copy.deepcopy(thing)

    def test_a_counter_or_set_is_made_on_arrival(self, default):
        """
        If there is none by that name at the other end, it is made there; a set
        of the same size.
        """
        default.unique("x", max_size=3)
        travelling = [
            pickle.dumps(default.counter("x")),
            pickle.dumps(default.unique("x")),
        ]
        default.remove("x")

        counter, unique = map(pickle.loads, travelling)

        assert counter is default.counter("x")
        assert unique is default.unique("x")
        assert 3 == unique.max_size

    def test_the_definition_travels_along(self, default):
        """
        If the name is unknown at the other end, it is defined there.
        """
        limiter = default.limiter("images", calls_per_second=5, burst=2)
        unique = default.unique("seen", max_size=3)
        data = pickle.dumps([limiter, unique])

        with isolated_registry() as other:
            arrived, items = pickle.loads(data)

            assert arrived is other.limiter("images")
            assert items is other.unique("seen")
        assert arrived is not limiter
        assert limiter.settings() == arrived.settings()
        assert 3 == items.max_size

    def test_the_definition_must_agree_on_arrival(self, default):
        """
        If the name is defined otherwise at the other end, that is an error
        which says that one of them arrived.
        """
        data = pickle.dumps(default.limiter("images", burst=2))

        with isolated_registry() as other:
            other.limiter("images", burst=3)
            with pytest.raises(ConfigurationError, match=r"2 \(unpickled\) is not 3"):
                pickle.loads(data)

    def test_a_key_of_a_template_that_was_removed(self, default):
        """
        If a template was removed, what it still makes has no name to travel by,
        and does not bring that back.
        """
        keyed = default.keyed_limiter("gone", burst=2)
        default.remove("gone")

        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            pickle.dumps(keyed["new"])

        assert "gone" not in default

    def test_what_has_no_name_there_refuses(self, names, default):
        """
        If something is named in another registry, or was removed, it refuses.
        """
        removed = [default.limiter("x", burst=1), default.counter("x")]
        keyed = default.keyed_limiter("x")
        removed += [keyed, keyed["k"]]
        default.remove("x")

        for thing in (names.limiter("a", burst=1), names.counter("n"), *removed):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                pickle.dumps(thing)

    def test_registries_themselves(self, names):
        """
        If a registry is pickled or copied, the default one arrives as what it
        is there; another refuses.
        """
        assert registry is travelled(registry)
        assert registry is copy.deepcopy(registry)
        for travel in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError) as caught:
                travel(names)
            assert (
                "a Registry cannot be pickled or copied: only the default one, and"
                " what is named in it, can"
            ) == str(caught.value)


class TestFork:
    def test_a_child_does_not_inherit_a_held_lock(self, names, in_child):
        """
        If another thread is using the registry at the moment of a fork, the
        child can use it.
        """
        names._define("limiter", "a", {"burst": 1}, "here")
        held, done = threading.Event(), threading.Event()

        def hold():
            with names._lock:
                held.set()
                done.wait()

        def check():
            assert names.limiter("a").try_acquire()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()

        try:
            in_child(check)
        finally:
            done.set()
            thread.join()


def test_the_default_registry_is_one():
    """
    If the default registry is asked for twice, it is the same.
    """
    assert registry is _registry.registry
    assert isinstance(registry, Registry)


class TestKnowing:
    """
    What clients ask before they look a name up.
    """

    def test_what_a_look_up_would_find(self):
        """
        If a name is defined, in code, by a mapping or outside of an isolated block,
        it is known, as what it is defined as.
        """
        names = Registry()
        names.limiter("code", calls_per_second=1.0)
        names.configure({"breakers": {"table": {"cooldown": 1.0}}})

        assert names._knows("limiter", "code")
        assert not names._knows("breaker", "code")
        assert names._knows("breaker", "table")
        assert not names._knows("limiter", "table")
        assert not names._knows("limiter", "neither")

        end = names._isolate()
        assert names._knows("limiter", "code")
        assert not names._knows("breaker", "code")
        end("the end")

    def test_later_definitions_name_both_places(self):
        """
        If a name was looked up before code defined it, who contradicts that code
        is told where it is.
        """
        names = Registry()
        names.configure({"limiters": {"images": {"burst": 2}}})
        names.limiter("images")
        names.limiter("images", calls_per_second=3.0)

        with pytest.raises(ConfigurationError) as caught:
            names.limiter("images", calls_per_second=4.0)

        assert str(caught.value).count(f"{__file__}:") == 2

    def test_keyed_definitions_name_both_places(self):
        """
        If keyed instances are defined twice, and not alike, both places are told.
        """
        names = Registry()
        names.keyed_limiter("hosts", calls_per_second=3.0)

        with pytest.raises(ConfigurationError) as caught:
            names.keyed_limiter("hosts", calls_per_second=4.0)

        assert str(caught.value).count(f"{__file__}:") == 2
