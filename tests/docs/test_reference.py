"""
The reference says what the code says.
"""

from __future__ import annotations

import builtins
import inspect
import re

from pathlib import Path

import pytest

import switchgear

from switchgear import (
    AtomicCounter,
    CircuitBreaker,
    CountWindow,
    Keyed,
    Rate,
    RateLimiter,
    ThreadSafeSet,
    TimeWindow,
    _breaker_settings,
    _config,
    _environment,
    _structlog,
    circuit_protected,
    events,
    protected,
    rate_limited,
    testing,
)
from switchgear._decorators import OWN
from switchgear._keyed import MAX_KEYS


DOCS = Path(__file__).parents[2] / "docs"


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def tables(text):
    """
    Return the rows of all tables in *text*, by the first cell, code marks off.
    """
    rows = re.findall(r"^\| (.+) \|$", text, re.MULTILINE)
    # A cell may be a reference: {class}`shown <name>`.
    shown = re.compile(r"^(?:\{\w+\})?`(.*?)(?: <[\w.]+>)?`$")
    cells = [
        [shown.sub(r"\1", cell.strip()) for cell in re.split(r" ?\| ", row)]
        for row in rows
    ]
    return {first: rest for first, *rest in cells}


def section(text, title):
    """
    Return the part of *text* under the heading *title*.
    """
    _, _, below = text.partition(f"# {title}\n")
    return re.split(r"^#", below, maxsplit=1, flags=re.MULTILINE)[0]


def defaults_of(made):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(made).parameters.items()
        if parameter.default is not parameter.empty
    }


class TestApi:
    @pytest.mark.parametrize(
        "name",
        [
            *(f"switchgear.{name}" for name in switchgear.__all__),
            *(f"switchgear.testing.{name}" for name in testing.__all__),
            # The states of a circuit are at the front door.
            *(
                f"switchgear.events.{name}"
                for name in events.__all__
                if name not in switchgear.__all__
            ),
        ],
    )
    def test_every_public_name_has_an_entry(self, name):
        """
        If a name is public, the reference has an entry for it, and only one.
        """
        reference = "".join(
            path.read_text(encoding="utf-8")
            for path in (DOCS / "reference").rglob("*.md")
        )
        directives = re.findall(
            rf"^\.\. auto(?:class|data|exception|function):: {re.escape(name)}$",
            reference,
            re.MULTILINE,
        )

        assert 1 == len(directives)

    def test_properties_have_no_type_by_accident(self):
        """
        If a property is told of, it is without a colon in the first line:
        Napoleon takes what is before one for the type.
        """
        told = {
            f"{one}.{name}": inspect.getdoc(value) or ""
            for one in switchgear.__all__
            for name, value in inspect.getmembers(getattr(switchgear, one))
            if inspect.isdatadescriptor(value) and name[0] != "_"
        }
        reference = re.compile(r":\w+:`[^`]*`")

        assert len(told) > 10
        assert not [
            name
            for name, text in told.items()
            if ":" in reference.sub("", text.partition("\n")[0])
        ]

    def test_what_docstrings_refer_to_is_public(self):
        """
        If a docstring that readers see refers to something, it is there.
        """
        places = (switchgear, testing, events, builtins)
        public = {
            getattr(place, name) for place in places[:2] for name in place.__all__
        }
        documented = [
            inspect.getdoc(thing) or ""
            for one in public
            for thing in (one, *(vars(one).values() if isinstance(one, type) else ()))
        ]
        referred = set(re.findall(r":(?:class|func|exc):`~?([\w.]+)`", str(documented)))

        assert len(referred) > 10
        for name in referred:
            last = name.rpartition(".")[2]
            assert any(hasattr(place, last) for place in places), name


class TestSettings:
    @pytest.mark.parametrize(
        ("title", "kind", "made"),
        [
            ("`[limiters.NAME]`", "limiter", RateLimiter),
            ("`[breakers.NAME]`", "breaker", CircuitBreaker),
        ],
    )
    def test_every_key_and_its_default(self, title, kind, made):
        """
        If a table knows a key, the page has it, with the default of the code.
        """
        rows = tables(section(page("reference/configuration.md"), title))
        rows.pop("Key")
        defaults = {**defaults_of(made), "max_keys": MAX_KEYS}

        assert set(_config.CHECKS[kind]) == set(rows)
        for key, (*_, default) in rows.items():
            if defaults[key] is None:
                assert default.startswith("none")
            else:
                assert repr(defaults[key]) == default

    @pytest.mark.parametrize(
        ("title", "made"), [("A rate", [Rate]), ("A window", [CountWindow, TimeWindow])]
    )
    def test_every_part(self, title, made):
        """
        If a rate or window has a part, the page has it, with its default.
        """
        rows = tables(section(page("reference/configuration.md"), title))
        rows.pop("Key")
        parts = {name for one in made for name in inspect.signature(one).parameters}

        assert parts == set(rows)
        for one in made:
            for key, default in defaults_of(one).items():
                told = rows[key][-1]
                assert told == (
                    "none" if default is None else repr(default).replace("'", '"')
                )

    def test_what_code_alone_can_set(self):
        """
        If a setting can be given in code only, the page says so.
        """
        (told,) = re.findall(
            r"in code only: (.*)\.$", page("reference/configuration.md"), re.MULTILINE
        )

        assert _config.IN_CODE["breaker"] == set(re.findall(r"`(\w+)`", told))

    def test_ranges_that_are_named(self):
        """
        If a bound has a name in the code, the page has its value.
        """
        rows = tables(page("reference/configuration.md"))

        assert rows["half_open_probes"][1] == f"1 to {_breaker_settings.MAX_PROBES}"
        assert rows["cooldown_factor"][1] == f"1 to {_breaker_settings.MAX_FACTOR:g}"

    def test_variables(self):
        """
        If the page shows a variable, it means what stands beside it.
        """
        rows = tables(section(page("reference/configuration.md"), "The environment"))
        rows.pop("In a file")
        rows.pop("---", None)
        for (variable,) in rows.values():
            if variable.startswith("SWITCHGEAR"):
                name, _, value = variable.partition("=")
                layer, problems = _environment.layer_of({name: value.strip("'")})

                assert [] == problems
                assert 1 == len(layer)


class TestDefaults:
    @pytest.mark.parametrize(
        ("title", "made", "left_out"),
        [
            ("Rate limiter", [RateLimiter], {"name", "clock", "store"}),
            ("Circuit breaker", [CircuitBreaker], {"name", "clock", "store"}),
            ("Windows", [CountWindow, TimeWindow], set()),
            ("Rates", [Rate], set()),
            (
                "Taking a turn",
                [
                    RateLimiter.wait,
                    RateLimiter.wait_async,
                    RateLimiter.try_acquire,
                    RateLimiter.reserve,
                ],
                set(),
            ),
            ("Decorators", [rate_limited, circuit_protected, protected], set()),
            (
                "Counter and set",
                [
                    AtomicCounter,
                    AtomicCounter.increment,
                    AtomicCounter.decrement,
                    ThreadSafeSet,
                ],
                set(),
            ),
            ("One per key", [Keyed], set()),
        ],
    )
    def test_are_those_of_the_code(self, title, made, left_out):
        """
        If a setting has a default, the page has it, and why.
        """
        rows = tables(section(page("reference/defaults.md"), title))
        rows.pop("Setting")
        defaults = {
            (name, default)
            for one in made
            for name, default in defaults_of(one).items()
            if name not in left_out
        }

        assert {name for name, _ in defaults} == set(rows)
        for name, default in defaults:
            assert {Exception: "Exception", OWN: "the breaker's own"}.get(
                default, repr(default)
            ) == rows[name][0]
            assert all(rows[name])


class TestLogLines:
    def test_every_line_and_its_level(self):
        """
        If a line may be logged, the page on logging says what it means.
        """
        text = page("how-to/logging.md")
        rows = {
            name: cells
            for title in ("Circuits", "Waiting", "Others")
            for name, cells in tables(section(text, title)).items()
            if cells and cells[0] in _structlog.LEVELS
        }
        lines = {**dict(_structlog.LINES.values())}
        lines |= {"listener_failed": "error", "events_dropped": "error"}

        assert lines == {name: cells[0] for name, cells in rows.items()}
