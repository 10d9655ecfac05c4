"""
The layers of a name: code, file, environment, run time, in any order.
"""

from __future__ import annotations

import itertools
import json
import os
import pickle
import threading

import pytest

from parties import Party, queued

from switchgear import (
    BurstExceeded,
    CircuitBreaker,
    ConfigurationError,
    CountWindow,
    Rate,
    RateLimitExceeded,
    Registry,
    UnknownNameError,
    registry,
)
from switchgear.events import Reconfigured
from switchgear.testing import capture_events, isolated_registry


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """
    An environment that says nothing, to be filled by the test.
    """
    for name in list(os.environ):
        if name.startswith("SWITCHGEAR_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def names():
    return Registry()


@pytest.fixture
def file(tmp_path):
    """
    A file to be written: call it with its text.
    """
    path = tmp_path / "switchgear.toml"

    def write(text):
        path.write_text(text, encoding="utf-8")
        return path

    return write


SEVERAL = [{"limit": 1}, {"limit": 2, "per": 3}]


class TestOrderOfArrival:
    @pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
    def test_code_file_environment_run_time(self, names, file, environment, order):
        """
        If the four layers arrive in any order, the instance is the same.
        """
        path = file("[limiters.images]\nburst = 3\nmax_waiters = 30\n")
        made = []

        def code():
            made.append(
                names.limiter("images", calls_per_second=5.0, burst=2, max_waiters=20)
            )

        def read():
            names.load(path)

        def variable():
            environment.setenv("SWITCHGEAR_LIMITERS__IMAGES__BURST", "4")
            names.reload()

        def run_time():
            if "images" not in names:
                # There has to be something to change.
                names.configure({"limiters": {"images": {}}})
            names.limiter("images").reconfigure(max_waiters=50)

        steps = [code, read, variable, run_time]
        for step in order:
            steps[step]()

        expected = {"calls_per_second": 5.0, "burst": 4, "max_waiters": 50}
        assert expected == names.limiter("images").settings()
        assert made[0] is names.limiter("images")

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_of_a_breaker(self, names, file, environment, order):
        """
        If code, file and environment of a breaker arrive in any order, the
        instance is the same.
        """
        path = file("[breakers.b]\nthreshold = 3\nwindow = {size = 50}\n")

        def code():
            names.breaker("b", cooldown=5.0, ignore=OSError)

        def read():
            names.load(path)

        def variable():
            environment.setenv("SWITCHGEAR_BREAKERS__B__WINDOW__SIZE", "20")
            names.reload()

        steps = [code, read, variable]
        for step in order:
            steps[step]()
            if "b" in names:
                names.breaker("b")

        expected = CircuitBreaker(
            3, 5.0, window=CountWindow(20), ignore=OSError
        ).settings()
        assert expected == names.breaker("b").settings()

    def test_rates_and_pace_displace_each_other(self, names):
        """
        If a layer gives rates and another a pace, the upper one holds.
        """
        names.limiter("a", rates=[Rate(1), Rate(60, per=60)])
        names.limiter("b", calls_per_second=5, burst=4)

        names.configure(
            {
                "limiters": {
                    "a": {"calls_per_second": 7},
                    "b": {"rates": [{"limit": 9, "per": 3}]},
                }
            }
        )

        assert 7 == names.limiter("a").settings()["calls_per_second"]
        assert (Rate(9, per=3),) == names.limiter("b").settings()["rates"]

    def test_a_contradiction_is_found_whichever_comes_last(self, names):
        """
        If what a file says makes no sense over the code, the load is refused;
        if the code comes later, its definition is. Nothing is changed.
        """
        tables = {"breakers": {"b": {"max_cooldown": 60}}}
        later = Registry()
        names.breaker("b", cooldown=90)
        before = names.breaker("b").settings()

        with pytest.raises(ConfigurationError, match=r"breakers\.b: max_cooldown"):
            names.configure(tables)
        later.configure(tables)
        with pytest.raises(
            ConfigurationError, match=r"breakers\.b: max_cooldown.*here"
        ):
            later._define("breaker", "b", {"cooldown": 90}, "here")

        assert before == names.breaker("b").settings()
        later._define("breaker", "b", {"cooldown": 50}, "here")
        assert 60 == later.breaker("b").settings()["max_cooldown"]

    def test_without_code_it_is_found_on_look_up(self, names):
        """
        If a table alone makes no sense, asking for its name says so.
        """
        changed = names.configure({"breakers": {"b": {"max_cooldown": 60}}})

        assert {"breakers.b.max_cooldown": (None, 60.0)} == changed
        with pytest.raises(ConfigurationError, match=r"\(from mapping\)"):
            names.breaker("b")

    def test_a_clock_cannot_come_late(self, names, clock):
        """
        If a name was looked up before its code gives it a clock, that is
        refused; before anybody looked, it is fine.
        """
        names.configure({"limiters": {"a": {}, "b": {"burst": 2}, "c": {"burst": 2}}})
        names.limiter("b")

        with pytest.raises(ConfigurationError, match=r"limiters\.b\.clock"):
            names.limiter("b", clock=clock)

        assert names.limiter("b").settings()["burst"] == 2
        assert names.limiter("c", clock=clock)._clock is clock


class TestLoad:
    def test_a_table_without_code_is_made_on_look_up(self, names, file):
        """
        If a file defines names, they are found, and answered for.
        """
        names.load(file("[limiters.a]\nburst = 3\n[breakers.b]\nthreshold = 2\n"))

        assert ("a", "b") == names.names() == tuple(names)
        assert "a" in names
        assert 3 == names.limiter("a").settings()["burst"]
        assert 2 == names.keyed_breaker("b")["k"].settings()["threshold"]
        assert names.limiter("a") is names.limiter("a")
        with pytest.raises(UnknownNameError, match="'a'"):
            names.limiter("aa")

    def test_says_what_changed(self, names, file, environment):
        """
        If something is loaded, old and new values are told by key path; what
        says the same again changes nothing.
        """
        names.limiter("a", burst=2)
        names.counter("a")

        first = names.load(file("[limiters.a]\nburst = 3\n[breakers.b]\njitter = 0.5"))
        again = names.reload()
        environment.setenv("SWITCHGEAR_LIMITERS__A__BURST", "4")
        second = names.load(str(file("[limiters.a]\nburst = 2\n")))

        assert (2, 3) == first["limiters.a.burst"]
        assert (None, 0.5) == first["breakers.b.jitter"]
        assert (None, 120.0) == first["breakers.b.cooldown"]
        assert {} == again
        assert (3, 4) == second["limiters.a.burst"]
        assert (0.5, None) == second["breakers.b.jitter"]

    def test_a_vanished_table_falls_back_to_code(self, names, file):
        """
        If a table or key is gone from the file, what the code says holds.
        """
        names.limiter("a", burst=2, max_waiters=7)
        limiter = names.limiter("a")
        path = file("[limiters.a]\nburst = 3\nmax_waiters = 'none'\n[limiters.b]\n")
        names.load(path)
        assert (3, None) == tuple(limiter.settings().values())[1:]

        file("[limiters.a]\nmax_waiters = 9\n")
        names.reload()
        assert (2, 9) == tuple(limiter.settings().values())[1:]
        assert ("a",) == names.names()

        file("")
        names.reload()
        assert (2, 7) == tuple(limiter.settings().values())[1:]

    def test_files_lie_over_each_other(self, names, tmp_path):
        """
        If a second file is loaded, it lies over the first, key by key.
        """
        one, other = tmp_path / "one.toml", tmp_path / "other.toml"
        one.write_text("[limiters.a]\nburst = 3\nmax_waiters = 4\n")
        other.write_text("[limiters.a]\nburst = 5\n")
        names.load(one)
        names.load(other)

        assert {"burst": 5, "max_waiters": 4} == {
            key: names.limiter("a").settings()[key] for key in ("burst", "max_waiters")
        }

    def test_all_problems_at_once_and_nothing_changed(self, names, file, environment):
        """
        If a file is bad in several places, all are told; and nothing changes.
        """
        names.limiter("a", burst=2)
        names.breaker("b", cooldown=90)
        good = "[limiters.a]\nburst = 3\n"
        path = file(good)
        names.load(path)
        environment.setenv("SWITCHGEAR_LIMITERS__A__BURTS", "1")
        file(f"{good}max_waiterz = 1\n[breakers.b]\nmax_cooldown = 60\n[queues.q]\n")

        with pytest.raises(ConfigurationError) as caught:
            names.reload()

        problems = "\n".join(caught.value.problems)
        assert 4 == len(caught.value.problems)
        assert "did you mean 'max_waiters'" in problems
        assert "SWITCHGEAR_LIMITERS__A__BURTS" in problems
        assert "queues" in problems
        assert "breakers.b: max_cooldown" in problems
        environment.delenv("SWITCHGEAR_LIMITERS__A__BURTS")
        file(good)
        assert {} == names.reload()

    def test_problems_of_several_files(self, names, tmp_path):
        """
        If several files are bad when all are read again, each problem is told
        once, with the file it is in.
        """
        one, two = tmp_path / "one.toml", tmp_path / "two.toml"
        for path in (one, two):
            path.write_text("[limiters.a]\nburst = 3\n", encoding="utf-8")
            names.load(path)
        one.write_text("[limiters.a]\nburts = 3\n", encoding="utf-8")
        two.write_text("[limiters.a]\nmax_waiterz = 3\n", encoding="utf-8")

        with pytest.raises(ConfigurationError) as caught:
            names.reload()

        first, second = caught.value.problems
        assert first.startswith(f"{one}: limiters.a.burts")
        assert second.startswith(f"{two}: limiters.a.max_waiterz")

        one.write_text("[limiters.a", encoding="utf-8")
        with pytest.raises(ConfigurationError) as caught:
            names.reload()

        assert caught.value.problems[0].startswith(f"{one}: ")

    def test_a_file_is_called_as_it_was_written(self, names, tmp_path, monkeypatch):
        """
        If a path is relative, so is the one in errors.
        """
        monkeypatch.chdir(tmp_path)
        (tmp_path / "one.toml").write_text("[limiters.a", encoding="utf-8")

        with pytest.raises(ConfigurationError, match=r"^one\.toml: "):
            names.load("one.toml")

    def test_half_written(self, names, file, tmp_path):
        """
        If a file breaks off, or is gone, nothing changes.
        """
        names.load(file("[limiters.a]\nburst = 3\n"))
        limiter = names.limiter("a")

        file("[limiters.a]\nburst = ")
        with pytest.raises(ConfigurationError, match=r"switchgear\.toml: "):
            names.reload()
        (tmp_path / "switchgear.toml").unlink()
        with pytest.raises(FileNotFoundError):
            names.reload()

        assert 3 == limiter.settings()["burst"]

    def test_loads_that_race(self, names, monkeypatch, file):
        """
        If another load is done while one is prepared, it is prepared anew.
        """
        from switchgear import _registry

        names.limiter("a", burst=1)
        layers_of, others = _registry.layers_of, [{"limiters": {"a": {"burst": 5}}}]

        def overtaken(tables):
            made = layers_of(tables)
            while others:
                names.configure(others.pop())
            return made

        monkeypatch.setattr(_registry, "layers_of", overtaken)
        names.load(file("[limiters.a]\nmax_waiters = 8\n"))

        assert (5, 8) == tuple(names.limiter("a").settings().values())[1:]

    def test_an_instance_made_meanwhile(self, names, monkeypatch):
        """
        If a name is loaded anew while its instance is being made, the
        instance is made as the file says.
        """
        from switchgear import _registry

        names._define("limiter", "a", {"burst": 2}, "here")
        build, others = _registry.build, [4, 3]

        def overtaken(kind, name, definition):
            made = build(kind, name, definition)
            if others:
                names.configure({"limiters": {"a": {"burst": others.pop()}}})
            return made

        monkeypatch.setattr(_registry, "build", overtaken)

        assert 4 == names.limiter("a").settings()["burst"]

    def test_an_isolated_registry_loads_for_itself(self):
        """
        If something is loaded inside an isolated block, it is gone after it.
        """
        with isolated_registry():
            registry.configure({"limiters": {"layers-test": {"burst": 2}}})
            assert "layers-test" in registry

        assert "layers-test" not in registry


class TestPickle:
    def test_what_only_a_file_defines_travels_by_name(self):
        """
        If a name has no code, it arrives as what the other end's file says.
        """
        with isolated_registry():
            registry.configure({"limiters": {"layers-test": {"burst": 2}}})
            limiter = registry.limiter("layers-test")
            travelling = pickle.dumps(limiter)

            assert limiter is pickle.loads(travelling)
        with isolated_registry(), pytest.raises(UnknownNameError):
            pickle.loads(travelling)


class TestLiveInstances:
    def test_who_can_never_be_admitted_any_more_is_told_at_once(self, names, clock):
        """
        If a file lowers the burst below what a thread waits for, it is refused.
        """
        limiter = names.limiter("a", burst=5, clock=clock)
        limiter.wait(5)
        party = Party(limiter.wait, 5)
        clock.wait_for_sleepers(1)

        names.configure({"limiters": {"a": {"burst": 4}}})

        with pytest.raises(BurstExceeded):
            party.outcome()

    def test_debt_queue_and_waiters_are_kept(self, names, clock):
        """
        If a file changes the rate while threads wait, none is lost, and what
        was owed is owed.
        """
        names.limiter("a", calls_per_second=1.0, clock=clock)
        limiter = names.limiter("a")
        limiter.try_acquire()
        waiters = [Party(limiter.wait) for _ in range(3)]
        queued(limiter, 3)

        names.configure({"limiters": {"a": {"calls_per_second": 10.0}}})
        assert 3 == limiter.snapshot().waiting
        clock.wait_for_sleepers(3)
        clock.advance(2)

        for waiter in waiters:
            waiter.outcome()
        assert 4 == limiter.snapshot().admitted

    def test_state_and_window_of_a_breaker_are_kept(self, names, clock):
        """
        If a file changes an open breaker, it stays open, its window full.
        """
        names.breaker("b", threshold=2, window=CountWindow(10), clock=clock)
        breaker = names.breaker("b")
        for _ in range(2):
            breaker.record_failure()
        before = breaker.snapshot()

        names.configure({"breakers": {"b": {"cooldown": 5, "threshold": 9}}})

        assert breaker.is_open
        assert before.window == breaker.snapshot().window

    def test_run_time_changes_stay_until_forgotten(self, names, file):
        """
        If a setting was changed at run time, no file changes it, not even one
        that said the same meanwhile; others are changed.
        """
        names.limiter("a", calls_per_second=5, burst=2, max_waiters=3)
        limiter = names.limiter("a")
        limiter.reconfigure(calls_per_second=9)
        for pace in (9, 7):
            names.configure(
                {"limiters": {"a": {"calls_per_second": pace, "burst": pace}}}
            )

        assert {"calls_per_second": 9, "burst": 7, "max_waiters": 3} == (
            limiter.settings()
        )
        names.forget_changes("a")
        assert {"calls_per_second": 7, "burst": 7, "max_waiters": 3} == (
            limiter.settings()
        )
        names.configure({})
        assert {"calls_per_second": 5, "burst": 2, "max_waiters": 3} == (
            limiter.settings()
        )

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"burst": 8}, {"calls_per_second": 7, "burst": 8, "max_waiters": 1}),
            ({"max_waiters": 8}, {"calls_per_second": 7, "burst": 3, "max_waiters": 8}),
            (
                {"rates": [Rate(4, per=2)]},
                {"rates": (Rate(4, per=2),), "max_waiters": 1},
            ),
            (
                {"rates": [Rate(4), Rate(2)]},
                {"rates": (Rate(4), Rate(2)), "max_waiters": 1},
            ),
        ],
        ids=str,
    )
    def test_each_setting_stays_for_itself(self, names, change, expected):
        """
        If some settings were changed at run time, the file changes the rest.
        """
        limiter = names.limiter("a", burst=2)
        limiter.reconfigure(**change)

        names.configure(
            {"limiters": {"a": {"calls_per_second": 7, "burst": 3, "max_waiters": 1}}}
        )

        assert expected == limiter.settings()

    def test_a_pace_of_run_time_stays_under_new_rates(self, names):
        """
        If the pace was changed at run time, a file that gives several rates
        does not displace it until that is forgotten.
        """
        limiter = names.limiter("a", burst=2)
        limiter.reconfigure(calls_per_second=9)

        names.configure({"limiters": {"a": {"rates": SEVERAL}}})

        settings = limiter.settings()
        # Not 2: what the code said of the burst is displaced, with its pace.
        assert (9.0, 1) == (settings["calls_per_second"], settings["burst"])
        names.forget_changes("a")
        assert (Rate(1), Rate(2, per=3)) == limiter.settings()["rates"]

    @pytest.mark.parametrize("keyed", [False, True])
    def test_a_burst_of_run_time_says_nothing_for_several_rates(self, names, keyed):
        """
        If the burst alone was changed at run time, a file cannot give several
        rates until that is forgotten.
        """
        names.limiter("a", burst=2)
        limiter = names.keyed_limiter("a") if keyed else names.limiter("a")
        limiter.reconfigure(burst=3)

        with pytest.raises(
            ConfigurationError, match=r"^limiters\.a: burst was set to 3"
        ):
            names.configure({"limiters": {"a": {"rates": SEVERAL}}})

        names.configure({"limiters": {"a": {"rates": [{"limit": 1}]}}})
        names.forget_changes("a")
        names.configure({"limiters": {"a": {"rates": SEVERAL}}})
        limiter = limiter["k"] if keyed else limiter
        assert (Rate(1), Rate(2, per=3)) == limiter.settings()["rates"]

    @pytest.mark.parametrize(
        ("tables", "change"),
        [
            ({"rates": [{"limit": 60, "per": 60}]}, {"burst": 3}),
            ({"rates": [{"limit": 6, "counts": "calls"}]}, {"calls_per_second": 13}),
            (
                {"rates": [{"limit": 9, "burst": 4}]},
                {"calls_per_second": 5, "burst": 2},
            ),
            ({"rates": [{"limit": 60, "per": 60}]}, {"rates": [Rate(1), Rate(2)]}),
            ({"burst": 7}, {"calls_per_second": 13}),
            ({"calls_per_second": 7, "burst": 4}, {"rates": [Rate(1), Rate(2)]}),
        ],
        ids=str,
    )
    def test_rates_in_any_order(self, tables, change):
        """
        If code, file and run time give rates in one form or the other, the
        limiter is the same in whatever order they come.
        """

        def code(names):
            names.limiter("a", calls_per_second=5, burst=2)

        def read(names):
            names.configure({"limiters": {"a": tables}})

        def run_time(names):
            if "a" not in names:
                names.configure({"limiters": {"a": {}}})
            names.limiter("a").reconfigure(**change)

        made = []
        for order in itertools.permutations([code, read, run_time]):
            names = Registry()
            for step in order:
                step(names)
            made.append(names.limiter("a").settings())

        assert [made[0]] * 6 == made

    def test_a_breaker_changed_at_run_time(self, names):
        """
        If a breaker was changed at run time, that stays; a file that makes no
        sense with it is refused.
        """
        breaker = names.breaker("b", cooldown=5.0)
        breaker.reconfigure(max_cooldown=10)

        with pytest.raises(ConfigurationError, match="max_cooldown"):
            names.configure({"breakers": {"b": {"cooldown": 20, "jitter": 0.5}}})
        assert (5.0, 0.0) == (
            breaker.settings()["cooldown"],
            breaker.settings()["jitter"],
        )
        names.configure({"breakers": {"b": {"cooldown": 9, "max_cooldown": 9}}})

        assert (9.0, 10.0) == (
            breaker.settings()["cooldown"],
            breaker.settings()["max_cooldown"],
        )
        names.forget_changes("b")
        assert 9.0 == breaker.settings()["max_cooldown"]

    def test_code_that_comes_late_under_a_file(self, names, file):
        """
        If code comes after a look-up, what was changed at run time must go with
        the file over the code, not with the code alone.
        """
        names.load(file("[breakers.b]\nmax_cooldown = 500\n"))
        breaker = names.breaker("b")
        breaker.reconfigure(cooldown=300)

        assert breaker is names.breaker("b", cooldown=20, max_cooldown=50)

        settings = breaker.settings()
        assert (300.0, 500.0) == (settings["cooldown"], settings["max_cooldown"])

    def test_a_breaker_changed_while_a_file_is_applied(self):
        """
        If a breaker is changed at run time in the middle of a load, that
        stays, and the rest is applied.
        """
        todo = []

        class Clock:
            def monotonic_ns(self):
                while todo:
                    todo.pop()()
                return 1

        breaker = CircuitBreaker(cooldown=5.0, clock=Clock())
        todo.append(lambda: breaker.reconfigure(threshold=7))
        breaker._configure_like(CircuitBreaker(3, 6.0), forget=False)

        assert (7, 6.0) == tuple(breaker.settings().values())[:2]

    def test_each_change_is_told_once(self, names):
        """
        If a file changes a live instance, one event says what; an instance
        that stays as it is says nothing.
        """
        names.limiter("a", burst=2)
        names.limiter("a")
        names.breaker("b", threshold=2)
        with capture_events() as events:
            names.configure({"limiters": {"a": {"burst": 3}}, "breakers": {"b": {}}})

        assert [{"burst": (2, 3)}] == [event.changes for event in events]
        assert {Reconfigured} == {type(event) for event in events}

    def test_listeners_may_load(self, names):
        """
        If a listener loads while a load is applied, the inner one holds.
        """
        limiter = names.limiter("a", burst=2)
        left = [9]

        def listener(_):
            while left:
                names.configure({"limiters": {"a": {"burst": left.pop()}}})

        limiter.subscribe(listener, Reconfigured)
        key = names.keyed_limiter("a")["key"]
        names.configure({"limiters": {"a": {"burst": 3}}})

        assert 9 == limiter.settings()["burst"] == key.settings()["burst"]


class TestTemplates:
    def test_keys_that_are_and_keys_to_come(self, names):
        """
        If a template's settings are loaded, those of all keys change, but for
        what was changed at run time, for one key or for all.
        """
        keyed = names.keyed_limiter("a", burst=2, max_waiters=2)
        keyed["one"].reconfigure(burst=5)
        keyed.reconfigure(max_waiters=6)
        assert keyed["two"].settings()["burst"] == 2

        names.configure(
            {"limiters": {"a": {"burst": 3, "max_waiters": 3, "max_keys": 7}}}
        )

        def shown():
            return [
                (keyed[key].settings()["burst"], keyed[key].settings()["max_waiters"])
                for key in ("one", "two", "new")
            ]

        assert 7 == keyed.max_keys
        assert [(5, 6), (3, 6), (3, 6)] == shown()
        names.forget_changes("a")
        assert [(3, 3), (3, 3), (3, 3)] == shown()
        names.configure({})
        assert [(2, 2), (2, 2), (2, 2)] == shown()
        assert 1024 == keyed.max_keys

    @pytest.mark.parametrize(
        ("code", "changes", "loaded"),
        [
            (
                {"calls_per_second": 5},
                [{"calls_per_second": 7}],
                {"rates": [{"limit": 9}, {"limit": 90, "per": 60}]},
            ),
            (
                {"rates": [Rate(9)]},
                [{"calls_per_second": 7, "burst": 3}],
                {"rates": [{"limit": 9}, {"limit": 90, "per": 60}]},
            ),
            (
                {"calls_per_second": 5},
                [{"rates": [Rate(3, counts="calls")]}, {"calls_per_second": 9}],
                {"burst": 7},
            ),
            (
                {"burst": 5},
                [{"burst": 3}],
                {"rates": [{"limit": 9, "counts": "calls"}]},
            ),
            ({"burst": 5}, [{"burst": 3}, {"max_waiters": 4}], {"burst": 8}),
        ],
        ids=["pace", "both", "rates_then_pace", "unit", "waiters"],
    )
    def test_a_pace_over_several_rates(self, names, code, changes, loaded):
        """
        If settings were changed at run time, and others are loaded below them,
        keys to come have the settings that all have, then and after another load.
        """
        keyed = names.keyed_limiter("a", **code)
        old = keyed["old"]
        for change in changes:
            keyed.reconfigure(**change)

        for tables in ({"a": loaded}, {"a": {"max_waiters": 8}}, {"b": {}}, {}):
            names.configure({"limiters": tables})

            assert old.settings() == keyed[str(tables)].settings()

        names.forget_changes("a")

        assert old.settings() == keyed["new"].settings()
        assert old.settings() == names.limiter("a").settings()

    def test_idle_keys_are_forgotten_after_a_load_as_before(self, names):
        """
        If settings come from a file, idle keys are still forgotten.
        """
        keyed = names.keyed_limiter("a", max_keys=4)
        keyed["one"]
        names.configure({"limiters": {"a": {"burst": 3, "max_keys": 4}}})
        for number in range(100):
            keyed[number]

        assert len(keyed) < 10

    def test_changes_of_all_keys_that_make_no_sense_any_more(self, names):
        """
        If a file contradicts what was changed for all keys, it is refused,
        though no key is there yet.
        """
        keyed = names.keyed_breaker("b", cooldown=5)
        keyed.reconfigure(max_cooldown=10)

        with pytest.raises(ConfigurationError, match=r"breakers\.b: max_cooldown"):
            names.configure({"breakers": {"b": {"cooldown": 20}}})

    def test_a_key_made_while_it_is_loaded(self, names, monkeypatch):
        """
        If a key is made while the file is loaded or changes are forgotten, it
        is made as they say.
        """
        from switchgear import _registry

        keyed = names.keyed_limiter("a", burst=2, max_waiters=9)
        keyed.reconfigure(max_waiters=5)
        todo = [
            lambda: names.configure({"limiters": {"a": {"burst": 3}}}),
            lambda: names.forget_changes("a"),
        ]
        shown_key = _registry.shown_key

        def overtaken(key):
            if key == "k":
                todo.pop(0)()
            return shown_key(key)

        monkeypatch.setattr(_registry, "shown_key", overtaken)

        assert 3 == keyed["k"].settings()["burst"]
        keyed_again = names.keyed_limiter("a")["other"]
        assert 5 == keyed_again.settings()["max_waiters"]
        del keyed_again
        keyed.reconfigure(max_waiters=5)
        fresh = Registry()
        other = fresh.keyed_limiter("a", burst=2, max_waiters=9)
        other.reconfigure(max_waiters=5)
        todo[:] = [lambda: fresh.forget_changes("a")]
        assert 9 == other["k"].settings()["max_waiters"]

    def test_many_keys(self, names, monkeypatch):
        """
        If a template has many keys, a load makes a pattern for all of them, not
        one for each.
        """
        from switchgear import _registry

        keyed = names.keyed_limiter("a", burst=2)
        kept = [keyed[number] for number in range(50)]
        build, built = _registry.build, []

        def counted(*args):
            built.append(args)
            return build(*args)

        monkeypatch.setattr(_registry, "build", counted)
        names.configure({"limiters": {"a": {"burst": 3}}})

        assert {3} == {limiter.settings()["burst"] for limiter in kept}
        assert len(built) < 10


class TestClose:
    def test_a_table_that_makes_no_sense_is_nothing_to_close(self, names):
        """
        If a table waits for code that never comes, the others are closed.
        """
        names.configure({"limiters": {"a": {"burst": 3}, "b": {"burst": 3}}})
        names._layers.file["limiter", "a"]["calls_per_second"] = "nonsense"

        names.close()

        with pytest.raises(RateLimitExceeded):
            names.limiter("b").wait()


class TestSeveralThreads:
    def test_loads_and_look_ups(self, names):
        """
        If threads load and look up at once, the last load holds for all.
        """
        gate = threading.Barrier(6)

        def load(burst):
            gate.wait()
            for _ in range(20):
                names.configure({"limiters": {"a": {"burst": burst}}})

        def look():
            gate.wait()
            return [
                names.limiter("a", max_waiters=4) or names.keyed_limiter("a")[n]
                for n in range(50)
            ]

        parties = [Party(load, burst) for burst in (2, 3)]
        parties += [Party(look) for _ in range(4)]
        for party in parties:
            party.outcome()

        held = names._layers.file["limiter", "a"]["burst"]
        assert held == names.limiter("a").settings()["burst"]

    def test_the_snapshot_shows_it(self, names):
        """
        If a file changed something, the snapshot shows it, ready for JSON.
        """
        names.configure({"limiters": {"a": {"burst": 3}}})
        names.limiter("a")

        assert 3 == json.loads(json.dumps(names.snapshot()))["limiters"]["a"]["burst"]
