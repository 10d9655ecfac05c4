from __future__ import annotations

import pytest

from explorer import Race

from switchgear import (
    ConfigurationError,
    RateLimiter,
    RateLimitExceeded,
    Registry,
    UnknownNameError,
)
from switchgear._entry import Cell


class TestLookUp:
    def test_racing_creators(self, explored):
        """
        If two threads define and look up one name, they get the same object.
        """

        def race():
            names = Registry()

            def check(outcomes):
                assert outcomes[0].value is outcomes[1].value

            return Race([lambda: names.limiter("a", burst=3)] * 2, check)

        explored(race, limit=60)
        explored(race, every_step=False, limit=80)

    @pytest.mark.parametrize(
        "look_up",
        [
            lambda names: names.limiter("a"),
            lambda names: names.breaker("a"),
            lambda names: names.keyed_limiter("a"),
            lambda names: names.keyed_breaker("a"),
            lambda names: names.keyed_limiter("a")["k"],
            lambda names: names.keyed_breaker("a")["k"],
            lambda names: names.counter("a"),
            lambda names: names.unique("a"),
            lambda names: names.unique("a", max_size=3),
        ],
        ids=[
            "limiter",
            "breaker",
            "limiters",
            "breakers",
            "limiter-of-key",
            "breaker-of-key",
            "counter",
            "set",
            "bounded-set",
        ],
    )
    def test_racing_visitors(self, explored, look_up):
        """
        If two threads are the first to ask for what is defined, of whatever
        kind, they get the same object, and so does who asks after them.
        """

        def race():
            names = Registry()
            names._define("limiter", "a", {"burst": 3}, "here")
            names._define("breaker", "a", {"threshold": 3}, "here")

            def check(outcomes):
                assert outcomes[0].value is outcomes[1].value is look_up(names)

            return Race([lambda: look_up(names)] * 2, check)

        explored(race, limit=60)
        explored(race, every_step=False)

    def test_two_definitions(self, explored):
        """
        If two threads define one name differently, one of them is told so.
        """

        def race():
            names = Registry()

            def define(burst):
                names._define("limiter", "a", {"burst": burst}, "here")
                return burst

            def check(outcomes):
                (right,) = (one for one in outcomes if one.error is None)
                assert right.value == names.limiter("a").settings()["burst"]

            return Race(
                [lambda: define(3), lambda: define(4)],
                check,
                tolerates=(ConfigurationError,),
            )

        explored(race, preemptions=1, limit=1_500)

    def test_keys(self, explored):
        """
        If two threads ask for one key, they get the same object.
        """

        def race():
            keyed = Registry().keyed_limiter("a", burst=3)

            def check(outcomes):
                assert outcomes[0].value is outcomes[1].value

            return Race([lambda: keyed["k"]] * 2, check)

        explored(race, limit=60)

    def test_removed_meanwhile(self, explored):
        """
        If a name is removed while a decorated function looks it up, the function
        does not keep what was removed.
        """

        def race():
            names = Registry()
            names.limiter("a", burst=3)
            cell = Cell("limiter", "a", {"burst": 3}, "here")

            def check(outcomes):
                assert cell.instance in {None, names.limiter("a", burst=3)}

            return Race(
                [lambda: names._resolve(cell), lambda: names.remove("a")],
                check,
                tolerates=(UnknownNameError,),
            )

        explored(race, limit=60)


class TestLayers:
    def test_loaded_while_it_is_made(self, explored):
        """
        If a name is configured while its instance is made, the instance is as
        the last layer says.
        """

        def race():
            names = Registry()
            names._define("limiter", "a", {"burst": 2}, "here")

            def check(outcomes):
                assert 7 == names.limiter("a").settings()["burst"]

            return Race(
                [
                    lambda: names.limiter("a"),
                    lambda: names.configure({"limiters": {"a": {"burst": 7}}}),
                ],
                check,
            )

        explored(race, limit=60)
        explored(race, every_step=False, limit=80)

    def test_two_loads(self, explored):
        """
        If two threads configure, one of them is the last, for every name.
        """

        def race():
            names = Registry()
            limiters = [names.limiter("a", burst=2), names.limiter("b", burst=2)]

            def configure(burst):
                table = {"burst": burst}
                names.configure({"limiters": {"a": table, "b": table}})

            def check(outcomes):
                a, b = (limiter.settings()["burst"] for limiter in limiters)
                assert a == b
                assert a in {5, 6}

            return Race([lambda: configure(5), lambda: configure(6)], check)

        explored(race, limit=60)
        explored(race, every_step=False, limit=80)

    def test_a_change_that_contradicts(self, explored):
        """
        If a breaker is changed at run time so that a load cannot apply, one of
        the two is refused as a whole.
        """

        def race():
            names = Registry()
            mine = names.breaker("a", cooldown=10)
            other = names.breaker("b", cooldown=10)
            tables = {"breakers": {"a": {"cooldown": 90}, "b": {"cooldown": 90}}}

            def check(outcomes):
                loaded, changed = (one.error is None for one in outcomes)
                assert loaded != changed
                assert (90 if loaded else 10) == other.settings()["cooldown"]
                assert (90 if loaded else 10) == mine.settings()["cooldown"]
                assert {} == names.reload()

            return Race(
                [
                    lambda: names.configure(tables),
                    lambda: mine.reconfigure(max_cooldown=20),
                ],
                check,
                tolerates=(ConfigurationError, ValueError),
            )

        explored(race, limit=60)
        explored(race, every_step=False, limit=80)

    def test_code_comes_while_a_file_is_loaded(self, explored):
        """
        If code defines a name while a file is loaded that lies over it, the
        instance is as both say.
        """

        def race():
            names = Registry()

            def check(outcomes):
                settings = names.limiter("a").settings()
                assert (4, 30) == (settings["burst"], settings["max_waiters"])

            return Race(
                [
                    lambda: names.limiter("a", burst=2, max_waiters=30),
                    lambda: names.configure({"limiters": {"a": {"burst": 4}}}),
                ],
                check,
            )

        explored(race, limit=60)
        explored(race, every_step=False, limit=80)


class TestClose:
    def test_made_meanwhile(self, explored):
        """
        If everything is closed while a name is first looked up, the instance is
        closed: nobody waits on after the shutdown.
        """

        def race():
            names = Registry()
            names._define("limiter", "a", {"burst": 2}, "here")

            def check(outcomes):
                limiter = outcomes[0].value
                assert isinstance(limiter, RateLimiter)
                try:
                    limiter.wait()
                except RateLimitExceeded:
                    return
                raise AssertionError("it is open")

            return Race(
                [lambda: names.limiter("a"), lambda: names.close("over")], check
            )

        explored(race, limit=60)
        explored(race, every_step=False, limit=80)

    def test_a_key_made_meanwhile(self, explored):
        """
        If everything is closed while the first call of a key comes, that is
        closed as well.
        """

        def race():
            names = Registry()
            keyed = names.keyed_limiter("a", burst=2)

            def check(outcomes):
                assert keyed["k"].snapshot().closed is not None

            return Race([lambda: keyed["k"], lambda: names.close("over")], check)

        explored(race, limit=60)
        explored(race, every_step=False, limit=80)
