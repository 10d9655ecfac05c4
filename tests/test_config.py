from __future__ import annotations

import pytest

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from switchgear import (
    CircuitBreaker,
    ConfigurationError,
    CountWindow,
    Rate,
    RateLimiter,
    TimeWindow,
    _breaker_settings,
    _config,
    _limiter_settings,
)


LIMITER = ("limiter", "images")
BREAKER = ("breaker", "images")


def limiter(**settings):
    return {"limiters": {"images": settings}}


def breaker(**settings):
    return {"breakers": {"images": settings}}


def problems_of(tables):
    return _config.layer_of(tables, "file")[1]


def nested(depth):
    innermost = table = {}
    for _ in range(depth):
        innermost["a"] = innermost = {}
    return table


class TestRead:
    def test_a_file_is_read(self, tmp_path):
        """
        If the file is TOML, its tables are returned.
        """
        path = tmp_path / "switchgear.toml"
        path.write_text("[limiters.images]\nburst = 2\n", encoding="utf-8")

        assert limiter(burst=2) == _config.read(path) == _config.read(str(path))

    def test_a_byte_order_mark_is_no_mistake(self, tmp_path):
        """
        If an editor put a byte order mark first, it is skipped.
        """
        path = tmp_path / "switchgear.toml"
        path.write_text("limiters = {}", encoding="utf-8-sig")

        assert {"limiters": {}} == _config.read(path)

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"a = 1\nb = = 2", "Invalid value (at line 2, column 5)"),
            (b"a = 1\na = 2\n", "Cannot overwrite a value (at line 2, column 6)"),
            (b"a = 'x", 'Expected "\'" (at end of document)'),
            (b"a = 1\nb = '\xc3\xa4\xff'", "not UTF-8 (at line 2, column 7)"),
            (b"\xff", "not UTF-8 (at line 1, column 1)"),
            (b"a = " + b"[" * 100_000, "nested too deeply"),
        ],
        ids=["syntax", "twice", "open", "text", "first", "deep"],
    )
    def test_what_is_no_toml_is_told_with_its_place(self, tmp_path, content, problem):
        """
        If the file is not TOML, the error is one line, with path and place.
        """
        path = tmp_path / "switchgear.toml"
        path.write_bytes(content)

        with pytest.raises(ConfigurationError) as caught:
            _config.read(path)

        assert (f"{path}: {problem}",) == caught.value.problems

    def test_a_number_beyond_reading_is_told(self, tmp_path):
        """
        If a number is too long for Python to read, that is an error of the file.
        """
        path = tmp_path / "switchgear.toml"
        path.write_bytes(b"a = " + b"9" * 10_000)

        with pytest.raises(ConfigurationError, match="Exceeds the limit"):
            _config.read(path)

    def test_a_missing_file_is_no_mistake_in_it(self, tmp_path):
        """
        If there is no such file, the error is the system's.
        """
        with pytest.raises(FileNotFoundError):
            _config.read(tmp_path / "switchgear.toml")


class TestLayer:
    def test_settings_come_as_the_constructors_keep_them(self):
        """
        If all is well, the layer holds checked values under kind and name.
        """
        tables = {
            **limiter(calls_per_second=5, burst=2, max_waiters=10, max_keys=7),
            **breaker(threshold=3, cooldown=30, jitter=1, max_keys=8),
        }

        layer, problems = _config.layer_of(tables, "file")

        assert [] == problems
        assert {
            LIMITER: {
                "calls_per_second": 5.0,
                "burst": 2,
                "max_waiters": 10,
                "max_keys": 7,
            },
            BREAKER: {"threshold": 3, "cooldown": 30.0, "jitter": 1.0, "max_keys": 8},
        } == layer
        assert isinstance(layer[LIMITER]["calls_per_second"], float)
        assert isinstance(layer[BREAKER]["cooldown"], float)

    def test_an_empty_table_is_there(self):
        """
        If a table says nothing, the name is there all the same.
        """
        assert ({LIMITER: {}}, []) == _config.layer_of(limiter(), "file")
        assert ({}, []) == _config.layer_of({"breakers": {}}, "file")

    @pytest.mark.parametrize("none", ["none", "None", "NONE", None], ids=repr)
    def test_none_has_a_word(self, none):
        """
        If a setting may be None, "none" in any case means it.
        """
        tables = {
            **limiter(max_waiters=none),
            **breaker(
                threshold=none,
                window=none,
                slow_call_seconds=none,
                probe_timeout=none,
                max_cooldown=none,
            ),
        }

        layer, problems = _config.layer_of(tables, "file")

        assert [] == problems
        assert {None} == {*layer[LIMITER].values(), *layer[BREAKER].values()}
        assert 5 == len(layer[BREAKER])

    def test_none_means_nothing_elsewhere(self):
        """
        If a setting may not be None, "none" is a string like any other.
        """
        assert [
            "file: breakers.images.cooldown: cooldown must be a number, not str: 'none'"
        ] == problems_of(breaker(cooldown="none"))

    def test_how_to_write_none(self):
        """
        If text stands for a setting that may be None, how that is written is told.
        """
        (problem,) = problems_of(breaker(threshold="off"))

        assert problem.endswith("""not str: 'off'; without it: "none\"""")

    def test_rates_are_tables(self):
        """
        If rates are tables, they become rates, with the defaults of Rate.
        """
        tables = limiter(
            rates=[
                {"limit": 60, "per": 60, "burst": 10, "counts": "calls"},
                {"limit": 5},
            ]
        )

        layer, problems = _config.layer_of(tables, "file")

        assert [] == problems
        assert (
            Rate(60, per=60, burst=10, counts="calls"),
            Rate(5),
        ) == layer[LIMITER]["rates"]

    @pytest.mark.parametrize(
        ("table", "expected"),
        [
            ({"size": 20}, CountWindow(20)),
            (
                {"size": 20, "failure_rate": 0.2, "minimum_calls": 5},
                CountWindow(20, failure_rate=0.2, minimum_calls=5),
            ),
            (
                {"seconds": 60, "slow_call_rate": 1},
                TimeWindow(60, slow_call_rate=1.0),
            ),
            ({"seconds": 60, "slow_call_rate": "none"}, TimeWindow(60)),
        ],
    )
    def test_a_window_is_a_table(self, table, expected):
        """
        If a window has a size, it counts calls; if it has seconds, time.
        """
        layer, problems = _config.layer_of(breaker(window=table), "file")

        assert [] == problems
        assert expected == layer[BREAKER]["window"]

    def test_ready_made_objects_are_taken(self):
        """
        If a mapping made in Python holds the objects themselves, they are kept.
        """
        rates, window = (Rate(5), Rate(60, per=60)), TimeWindow(60)
        tables = {**limiter(rates=rates), **breaker(window=window)}

        assert (
            {LIMITER: {"rates": rates}, BREAKER: {"window": window}},
            [],
        ) == _config.layer_of(tables, "file")
        assert (
            problems_of(breaker(window=CountWindow(5)))
            == problems_of(limiter(rates=[rates[0], {"limit": 3}]))
            == []
        )

    @pytest.mark.parametrize(
        ("tables", "expected"),
        [
            ([], "must be a table, not list"),
            ({"limiters": 5}, "limiters: must be a table, not int"),
            (
                {"limiters": {"images": []}},
                "limiters.images: must be a table, not list",
            ),
            ({"limiter": {}}, "limiter: unknown table; did you mean 'limiters'?"),
            ({"zzz": 5}, "zzz: unknown table; there are breakers, limiters"),
            ({5: {}}, "5: unknown table; there are breakers, limiters"),
            (
                {"limiters": {5: {}}},
                "limiters.5: name must be a string, not int: 5",
            ),
            (
                {"limiters": {"": {}}},
                "limiters.'': name must have 1 to 200 characters, not 0: ''",
            ),
            (
                {"breakers": {"a[b]": {}}},
                (
                    "breakers.'a[b]': name must have no unprintable characters and"
                    " no brackets: 'a[b]'"
                ),
            ),
            (
                {"limiters": {"example.org": {"burst": 0}}},
                (
                    "limiters.'example.org'.burst: burst must be at least 1 and at most"
                    " 1000000000000, not 0"
                ),
            ),
            (
                limiter(calls_per_secnd=5),
                (
                    "limiters.images.calls_per_secnd: unknown key; did you mean"
                    " 'calls_per_second'?"
                ),
            ),
            (
                limiter(Burst=5),
                "limiters.images.Burst: unknown key; did you mean 'burst'?",
            ),
            (
                {"limiters": {"images": {None: 5}}},
                (
                    "limiters.images.None: unknown key; there are burst,"
                    " calls_per_second, max_keys, max_waiters, rates"
                ),
            ),
            (
                limiter(**{"x" * 1000: 5}),
                (
                    f"limiters.images.{'x' * 237}...: unknown key; there are burst,"
                    " calls_per_second, max_keys, max_waiters, rates"
                ),
            ),
            (
                limiter(calls_per_second=True),
                (
                    "limiters.images.calls_per_second: calls_per_second must be a"
                    " number, not bool: True"
                ),
            ),
            (
                breaker(max_keys=0),
                (
                    "breakers.images.max_keys: max_keys must be at least 1 and at most"
                    " 1000000000000, not 0"
                ),
            ),
            (
                limiter(rates="5/s"),
                "limiters.images.rates: rates must be a list of tables, not str",
            ),
            (
                limiter(rates={"limit": 5}),
                "limiters.images.rates: rates must be a list of tables, not dict",
            ),
            (
                limiter(rates=[]),
                "limiters.images.rates: rates must hold 1 to 16 rates, not 0",
            ),
            (
                limiter(rates=[{"limit": 1}, 5]),
                "limiters.images.rates[1]: must be a table, not int",
            ),
            (
                limiter(rates=[{"limit": 1}, {"limit": 1, "bust": 2}]),
                "limiters.images.rates[1].bust: unknown key; did you mean 'burst'?",
            ),
            (
                limiter(rates=[{"per": 60}]),
                "limiters.images.rates[0]: must have limit",
            ),
            (
                limiter(rates=[{"limit": 1, "counts": "bytes"}]),
                (
                    "limiters.images.rates[0].counts: counts must be one of 'tokens',"
                    " 'calls', not 'bytes'"
                ),
            ),
            (
                limiter(rates=[{"limit": 1e20}]),
                (
                    "limiters.images.rates[0]: limit / per must be at least 1e-09 and"
                    " at most 1e+12 per second, not 1e+20 / 1.0"
                ),
            ),
            (
                breaker(window=20),
                (
                    "breakers.images.window: window must be a table with size or"
                    " seconds, not int"
                ),
            ),
            (
                breaker(window={"failure_rate": 1}),
                "breakers.images.window: must have size or seconds",
            ),
            (
                breaker(window={"size": 20, "seconds": 60}),
                "breakers.images.window: must have size or seconds, not both",
            ),
            (
                breaker(window={"size": 20, "failure_rate": 50}),
                (
                    "breakers.images.window.failure_rate: failure_rate must be greater"
                    " than 0 and at most 1, not 50"
                ),
            ),
        ],
    )
    def test_a_mistake_is_told_with_its_key_path(self, tables, expected):
        """
        If something is wrong, the problem says where, what, and what is meant.
        """
        assert [f"file: {expected}"] == problems_of(tables)

    @pytest.mark.parametrize("extra", [{"calls_per_second": 5}, {"burst": 1}])
    def test_a_pace_has_one_form(self, extra):
        """
        If a table gives rates and the other form as well, that is a problem.
        """
        assert [
            (
                "file: limiters.images.rates: rates is given instead of"
                " calls_per_second and burst, not with them"
            )
        ] == problems_of(limiter(rates=[{"limit": 5}], **extra))

    @pytest.mark.parametrize("key", ["name", "clock", "store"])
    def test_some_settings_are_for_code_only(self, key):
        """
        If a setting cannot be written down, the problem says so.
        """
        assert [f"file: limiters.images.{key}: can be set in code only"] == problems_of(
            limiter(**{key: "x"})
        )
        assert [f"file: breakers.images.{key}: can be set in code only"] == problems_of(
            breaker(**{key: "x"})
        )

    @pytest.mark.parametrize("key", ["failure_on", "ignore", "failure_when"])
    def test_the_judgement_is_for_code_only(self, key):
        """
        If a breaker's table says what a failure is, the problem says that
        code does; a limiter has no such setting.
        """
        assert [f"file: breakers.images.{key}: can be set in code only"] == problems_of(
            breaker(**{key: "ValueError"})
        )
        assert "unknown key" in problems_of(limiter(**{key: "ValueError"}))[0]

    def test_every_problem_is_told(self):
        """
        If there are several mistakes, all of them are told, whatever they are in.
        """
        tables = {
            "limiters": {
                "a": {"burst": 0, "max_waiters": -1, "clock": 1, "brust": 1},
                "b[]": {"rates": [{"limit": 0, "per": "x", "burst": 1.5, "x": 1}] * 17},
            },
            "breakers": {
                "c": {"window": {"size": 0, "seconds": -1, "failure_rate": 2}},
                "d": 5,
            },
            "other": {},
        }

        paths = [problem.split(": ")[1] for problem in problems_of(tables)]

        assert [
            "limiters.a.burst",
            "limiters.a.max_waiters",
            "limiters.a.clock",
            "limiters.a.brust",
            "limiters.'b[]'.rates",
            *(
                f"limiters.'b[]'.rates[{at}].{key}"
                for at in range(17)
                for key in ("limit", "per", "burst", "x")
            ),
            "limiters.'b[]'",
            "breakers.c.window.size",
            "breakers.c.window.seconds",
            "breakers.c.window.failure_rate",
            "breakers.c.window",
            "breakers.d",
            "other",
        ] == paths

    def test_what_is_wrong_is_left_out(self):
        """
        If there are mistakes, the layer holds the rest.
        """
        tables = {
            "limiters": {
                "a": {"burst": 0, "max_waiters": 3, "rates": [{"limit": 0}]},
                "b[": {"burst": 1},
                "c": 5,
            }
        }

        layer, _ = _config.layer_of(tables, "file")

        assert {("limiter", "a"): {"max_waiters": 3}, ("limiter", "c"): {}} == layer

    def test_no_depth_is_too_much(self):
        """
        If a value is nested beyond showing, that is a problem like others.
        """
        deep = nested(100_000)

        assert ["file: limiters.images.burst: is nested too deeply"] == problems_of(
            limiter(burst=deep)
        )
        assert "rates[0].a: unknown key" in problems_of(limiter(rates=[deep]))[0]

    def test_problems_are_one_line_each(self):
        """
        If keys and values have several lines, the problem has one.
        """

        class Verbose:
            def __repr__(self):
                return "two\nlines"

        assert [
            "a b: limiters.images.burst: burst must be an int, not Verbose: two lines",
            (
                r"a b: limiters.images.'x\ny': unknown key; there are burst,"
                " calls_per_second, max_keys, max_waiters, rates"
            ),
        ] == _config.layer_of(limiter(burst=Verbose(), **{"x\ny": 1}), "a\nb")[1]


keys = st.one_of(
    st.sampled_from(
        [
            "limiters",
            "breakers",
            "images",
            *_limiter_settings.CHECKS,
            *_breaker_settings.CHECKS,
            "limit",
            "per",
            "size",
            "seconds",
            "counts",
        ]
    ),
    st.text(max_size=5),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)
    ),
)


#: Hundreds of suggestions are looked for, on machines however busy.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class TestLaws:
    @patient
    @given(
        st.dictionaries(
            st.one_of(st.sampled_from(["limiters", "breakers"]), keys, st.integers()),
            st.one_of(
                anything,
                st.dictionaries(keys, st.dictionaries(keys, anything, max_size=4)),
            ),
            max_size=3,
        )
    )
    def test_nothing_is_raised_and_every_problem_has_its_place(self, tables):
        """
        If tables are of whatever shape, what is wrong with them is told in lines
        that begin with source and key path; the rest makes instances.
        """
        layer, problems = _config.layer_of(tables, "file")

        titles = tuple(f"file: {_config.word(title)}" for title in tables)
        for problem in problems:
            assert problem.startswith(titles)
            assert 1 == len(problem.splitlines())
        if not problems:
            for kind, name in layer:
                assert name in tables[f"{kind}s"]

    @patient
    @given(
        limit=st.one_of(scalars, st.floats(1e-12, 1e22), st.just(1e21)),
        per=st.one_of(scalars, st.floats(1e-12, 1e10), st.just(1e9)),
        burst=scalars,
        counts=st.one_of(st.sampled_from(["tokens", "calls"]), st.text(max_size=2)),
    )
    @example(limit=1e21, per=1e9, burst=1, counts="tokens")
    def test_a_rate_is_taken_exactly_if_the_class_takes_it(self, **arguments):
        """
        If Rate takes the arguments, so does a file, and the other way round.
        """
        try:
            expected = (Rate(**arguments),)
        except (TypeError, ValueError):
            expected = None

        layer, problems = _config.layer_of(limiter(rates=[arguments]), "file")

        assert expected == layer[LIMITER].get("rates")
        assert bool(problems) == (expected is None)

    @pytest.mark.parametrize(
        ("kind", "make", "checks"),
        [
            ("limiter", RateLimiter, _limiter_settings.CHECKS),
            ("breaker", CircuitBreaker, _breaker_settings.CHECKS),
        ],
    )
    @patient
    @given(data=st.data())
    def test_a_setting_is_taken_exactly_if_the_constructor_takes_it(
        self, kind, make, checks, data
    ):
        """
        If the constructor takes a single setting, so does a file, and the
        other way round.
        """
        key = data.draw(st.sampled_from(sorted(set(checks) - {"rates", "window"})))
        value = data.draw(
            st.one_of(scalars, st.floats(0, 2), st.integers(0, 2000)).filter(
                lambda one: not isinstance(one, str) or one.lower() != "none"
            )
        )
        # What others say, so that it fits.
        others = {
            "max_cooldown": {"cooldown": 5e-324},
            "threshold": {"window": CountWindow(5)},
        }.get(key, {})
        try:
            make(**{key: value, **others})
        except (TypeError, ValueError):
            expected = False
        else:
            expected = True

        problems = problems_of({f"{kind}s": {"images": {key: value}}})

        assert expected == (not problems)

    def test_every_setting_of_the_constructors_has_a_check(self):
        """
        If a constructor has a setting, a file can give it, or code only.
        """
        for kind, made in {
            "limiter": RateLimiter(),
            "breaker": CircuitBreaker(),
        }.items():
            known = {*_config.CHECKS[kind], *_config.IN_CODE[kind]}

            assert set(made.settings()) <= known


class TestChecks:
    def test_a_breaker_is_checked_by_the_same(self):
        """
        If each setting has a check, it is the one the breaker has.
        """
        others = {"failure_on", "ignore", "failure_when"}

        assert {*CircuitBreaker().settings()} - others == {*_breaker_settings.CHECKS}
        with pytest.raises(TypeError, match="window must be a CountWindow"):
            CircuitBreaker(window=5)
