from __future__ import annotations

import string

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switchgear import CountWindow, Rate, TimeWindow, _environment


#: Suggestions are looked for, on machines however busy.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def problems_in(**environ):
    return _environment.layer_of(environ)[1]


class TestLayer:
    def test_variables_are_settings(self):
        """
        If variables are set, they make a layer of normalised names.
        """
        environ = {
            "SWITCHGEAR_LIMITERS__IMAGES_CDN__CALLS_PER_SECOND": "0.5",
            "SWITCHGEAR_LIMITERS__IMAGES_CDN__MAX_WAITERS": "None",
            "SWITCHGEAR_LIMITERS__LLM__RATES": "[{limit = 5, per = 60}]",
            "SWITCHGEAR_BREAKERS__IMAGES__WINDOW": "{size = 20}",
            "SWITCHGEAR_BREAKERS__OTHER__WINDOW__SECONDS": "60",
            "SWITCHGEAR_BREAKERS__OTHER__WINDOW__FAILURE_RATE": "0.2",
            "PATH": "/bin",
        }

        assert (
            {
                ("limiter", "IMAGES_CDN"): {
                    "calls_per_second": 0.5,
                    "max_waiters": None,
                },
                ("limiter", "LLM"): {"rates": (Rate(5, per=60),)},
                ("breaker", "IMAGES"): {"window": CountWindow(20)},
                ("breaker", "OTHER"): {"window": TimeWindow(60, failure_rate=0.2)},
            },
            [],
        ) == _environment.layer_of(environ)

    def test_case_does_not_matter_after_the_prefix(self):
        """
        If the variable is in lower case after the prefix, it is the same one;
        with another prefix it is somebody else's.
        """
        expected = {("limiter", "IMAGES"): {"burst": 2}}

        assert (expected, []) == _environment.layer_of(
            {"SWITCHGEAR_limiters__images__Burst": "2"}
        )
        assert ({}, []) == _environment.layer_of(
            {"switchgear_limiters__images__burst": "x"}
        )

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("5", 5),
            (" 5 ", 5),
            ("0.5", 0.5),
            ("true", True),
            ('"5"', "5"),
            ("[1,\n2]", [1, 2]),
            ("{a = 1}", {"a": 1}),
            ("none", "none"),
            ("", ""),
            ("5 s", "5 s"),
            ("1\nother = 2", "1\nother = 2"),
            ("[" * 100_000, "[" * 100_000),
            ("9" * 10_000, "9" * 10_000),
        ],
        ids=range(13),
    )
    def test_a_value_is_toml_or_a_string(self, text, expected):
        """
        If the text is a TOML value, it is that one; else it is the text.
        """
        assert expected == _environment._value(text)

    @pytest.mark.parametrize(
        "name",
        [
            "images",
            "images-cdn",
            "a__b",
            "__a",
            "a__",
            "_",
            "____",
            "burst",
            "burst__burst",
            "window__size",
            "x--window",
            "limiters__a__burst",
            "überall",
            "日本",
        ],
    )
    def test_underscores_in_a_name_are_its_own(self, name):
        """
        If a name holds double underscores, or words that are settings, its
        variables still mean it and nothing else.
        """
        word = _environment.normalised(name)
        environ = {
            f"SWITCHGEAR_LIMITERS__{word}__BURST": "2",
            f"SWITCHGEAR_BREAKERS__{word}__WINDOW__SIZE": "20",
        }

        assert (
            {
                ("limiter", word): {"burst": 2},
                ("breaker", word): {"window": CountWindow(20)},
            },
            [],
        ) == _environment.layer_of(environ)

    @given(
        name=st.text(string.ascii_letters + "_-.", min_size=1, max_size=20),
        key=st.sampled_from(["WINDOW", "WINDOW__SIZE", "COOLDOWN", "COOLDOWN_FACTOR"]),
    )
    def test_a_variable_is_read_as_it_was_written(self, name, key):
        """
        If a variable is put together for any name, it is taken apart again.
        """
        word = _environment.normalised(name)

        assert ("breakers", word, *key.lower().split("__")) == _environment._address(
            f"BREAKERS__{word}__{key}"
        )

    @patient
    @given(
        st.dictionaries(
            st.builds(
                "SWITCHGEAR_{}".format,
                st.lists(
                    st.one_of(
                        st.sampled_from(["LIMITERS", "BREAKERS", "BURST", "WINDOW"]),
                        st.text(max_size=3),
                    )
                ).map("__".join),
            ),
            st.one_of(st.text(max_size=5), st.sampled_from(["5", "{size=3}", "[[]]"])),
            max_size=5,
        )
    )
    def test_nothing_is_raised_and_every_problem_names_its_variable(self, environ):
        """
        If variables are called whatever, problems are lines that name them.
        """
        _, problems = _environment.layer_of(environ)

        for problem in problems:
            assert problem.startswith(
                (
                    "environment: SWITCHGEAR_",
                    "environment: 'SWITCHGEAR_",
                    'environment: "',
                )
            )
            assert 1 == len(problem.splitlines())

    @pytest.mark.parametrize("word", ["HOME", "", "LOG_LEVEL", "_X"])
    def test_other_words_are_not_ours(self, word):
        """
        If a single word follows the prefix, it is left alone.
        """
        assert ({}, []) == _environment.layer_of({f"SWITCHGEAR_{word}": "x"})

    @pytest.mark.parametrize(
        "words",
        [
            "LIMITERS",
            "LIMITERS_IMAGES_BURST",
            "breaker_images_cooldown",
            "LIMITERS__BURST",
            "LIMITERS__",
        ],
    )
    def test_what_looks_like_ours_must_be(self, words):
        """
        If the double underscores are missing, or the name, that is a problem.
        """
        assert [
            (
                f"environment: SWITCHGEAR_{words}: must look like"
                " SWITCHGEAR_LIMITERS__NAME__SETTING or"
                " SWITCHGEAR_BREAKERS__NAME__SETTING"
            )
        ] == problems_in(**{f"SWITCHGEAR_{words}": "5"})

    @pytest.mark.parametrize(
        ("words", "value", "expected"),
        [
            ("LIMITER__A__BURST", "5", ": unknown table; did you mean 'limiters'?"),
            ("_LIMITERS__A__BURST", "5", ": unknown table; did you mean 'limiters'?"),
            ("X__Y", "5", ": unknown table; there are breakers, limiters"),
            (
                "LIMITERS__A__BURST",
                "five",
                ": burst must be an int, not str: 'five'",
            ),
            ("LIMITERS__A__BRUST", "5", ": unknown key; did you mean 'burst'?"),
            (
                "LIMITERS____BURST",
                "5",
                ": name must have 1 to 200 characters, not 0: ''",
            ),
            ("LIMITERS__A__CLOCK", "x", ": can be set in code only"),
            ("BREAKERS__A__IGNORE", "x", ": can be set in code only"),
            (
                "LIMITERS__A__RATES",
                "[{limit = 1, bust = 2}]",
                ": rates[0].bust: unknown key; did you mean 'burst'?",
            ),
            (
                "LIMITERS__A__RATES__0__LIMIT",
                "5",
                ": rates must be a list of tables, not dict",
            ),
            (
                "LIMITERS__A__BURST__X",
                "5",
                ": burst must be an int, not dict: {'x': 5}",
            ),
            (
                "BREAKERS__A__WINDOW",
                "{size = 5, sise = 6}",
                ": window.sise: unknown key; did you mean 'size'?",
            ),
        ],
    )
    def test_a_mistake_is_told_with_its_variable(self, words, value, expected):
        """
        If a variable is wrong, the problem names it, and what is meant.
        """
        assert [f"environment: SWITCHGEAR_{words}{expected}"] == problems_in(
            **{f"SWITCHGEAR_{words}": value}
        )

    def test_a_part_of_a_window_is_told_with_its_variable(self):
        """
        If parts of a window are wrong, each is told with its own variable, and
        what is wrong between them with all of theirs.
        """
        assert [
            (
                "environment: SWITCHGEAR_BREAKERS__A__WINDOW__FAILURE_RAT: unknown key;"
                " did you mean 'failure_rate'?"
            ),
            (
                "environment: SWITCHGEAR_BREAKERS__A__WINDOW__SIZE: size must be at"
                " least 1 and at most 1000000, not 0"
            ),
            (
                "environment: SWITCHGEAR_BREAKERS__A__WINDOW__FAILURE_RAT and"
                " SWITCHGEAR_BREAKERS__A__WINDOW__SECONDS and"
                " SWITCHGEAR_BREAKERS__A__WINDOW__SIZE:"
                " must have size or seconds, not both"
            ),
        ] == problems_in(
            SWITCHGEAR_BREAKERS__A__WINDOW__FAILURE_RAT="1",
            SWITCHGEAR_BREAKERS__A__WINDOW__SECONDS="5",
            SWITCHGEAR_BREAKERS__A__WINDOW__SIZE="0",
            SWITCHGEAR_BREAKERS__A__COOLDOWN="5",
        )

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("LIMITERS__IMAGES_CDN__BURST", "LIMITERS__images-cdn__BURST"),
            ("LIMITERS__A__BURST", "limiters__a__burst"),
            ("BREAKERS__A__WINDOW", "BREAKERS__A__WINDOW__SIZE"),
            ("BREAKERS__A__WINDOW__SIZE", "breakers__a__window"),
        ],
    )
    def test_a_thing_is_said_once(self, one, other):
        """
        If two variables mean the same, or one a part of the other, neither is
        preferred: it is a problem.
        """
        environ = {f"SWITCHGEAR_{one}": "{size = 5}", f"SWITCHGEAR_{other}": "5"}

        assert (
            f"environment: SWITCHGEAR_{other}: SWITCHGEAR_{one} says this already"
            in problems_in(**environ)
        )


class TestNormalised:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("images", "IMAGES"),
            ("images-cdn", "IMAGES_CDN"),
            ("api.example.org:443/v1", "API_EXAMPLE_ORG_443_V1"),
            ("straße", "STRASSE"),
            ("日本", "__"),
            ("٣", "_"),
        ],
    )
    def test_names_look_so(self, name, expected):
        """
        If a name is normalised, it is upper case, with underscores for the rest.
        """
        assert expected == _environment.normalised(name)

    @given(st.text())
    def test_it_is_done_once(self, name):
        """
        If a name is normalised, it stays as it is.
        """
        word = _environment.normalised(name)

        assert word == _environment.normalised(word)
