"""
Turn what users write into checked settings: files, and mappings of the same form.

Everything here is a function of its arguments: the registry decides what to do
with the layers that come out. In a file::

    [limiters.images]
    calls_per_second = 5
    max_waiters = "none"

    [limiters.llm]
    rates = [
        { limit = 60, per = 60, burst = 10, counts = "calls" },
        { limit = 90_000, per = 60, burst = 9_000 },
    ]

    [breakers.images]
    cooldown = 30
    window = { size = 20, failure_rate = 0.5 }
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from switchgear import _breaker_settings, _limiter_settings
from switchgear._core.rate import Rate
from switchgear._core.windows import CountWindow, TimeWindow
from switchgear._limiter_settings import NOT_BOTH, check_count, checked_burst
from switchgear._validate import (
    MAX_RATE,
    MAX_SECONDS,
    real,
    required_name,
    seconds,
    whole,
)
from switchgear.errors import ConfigurationError


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from os import PathLike

    from switchgear._core.windows import Window


#: A kind, ``"limiter"`` or ``"breaker"``, and a name.
Key: TypeAlias = tuple[str, str]

#: What the constructors take, and *max_keys*.
Settings: TypeAlias = dict[str, Any]

#: What one place says about everything.
Layer: TypeAlias = dict[Key, Settings]

_Checks: TypeAlias = "Mapping[str, Callable[[Any], Any]]"

_CODE_ONLY: Final = "can be set in code only"

#: What the tables are about.
KINDS: Final = {"limiters": "limiter", "breakers": "breaker"}

#: How much of a key is shown at most: names are shorter.
_SHOWN: Final = 240

#: What may be None, and is written "none" where there is no such thing.
_OPTIONAL: Final = frozenset(
    {
        "max_cooldown",
        "max_waiters",
        "probe_timeout",
        "slow_call_rate",
        "slow_call_seconds",
        "threshold",
        "window",
    }
)

_KEYS_KEPT: Final[_Checks] = {
    "max_keys": lambda value: whole("max_keys", value, minimum=1)
}

CHECKS: Final[Mapping[str, _Checks]] = {
    "limiter": {**_limiter_settings.CHECKS, **_KEYS_KEPT},
    "breaker": {**_breaker_settings.CHECKS, **_KEYS_KEPT},
}

#: What *rates* is given instead of.
_PACE: Final = frozenset({"calls_per_second", "burst"})

#: Settings that no text can stand for.
IN_CODE: Final = {
    "limiter": frozenset({"clock", "name", "store"}),
    "breaker": frozenset(
        {"clock", "failure_on", "failure_when", "ignore", "name", "store"}
    ),
}

# One by one, to find every mistake; the classes look at the whole afterwards.
_RATE: Final[_Checks] = {
    "limit": lambda value: real(
        "limit", value, minimum=0.0, maximum=MAX_RATE * MAX_SECONDS, above=True
    ),
    "per": lambda value: seconds("per", value, above=True),
    "burst": checked_burst,
    "counts": lambda value: Rate(1.0, counts=value).counts,
}

#: What a table that is a window holds.
WINDOW: Final[_Checks] = {
    "size": lambda value: CountWindow(value).size,
    "seconds": lambda value: TimeWindow(value).seconds,
    "failure_rate": lambda value: CountWindow(1, failure_rate=value).failure_rate,
    "minimum_calls": lambda value: CountWindow(1, minimum_calls=value).minimum_calls,
    "slow_call_rate": lambda value: CountWindow(1, slow_call_rate=value).slow_call_rate,
}


def read(path: str | PathLike[str], source: str | None = None) -> dict[str, Any]:
    """
    Return what the TOML file at *path* says.

    Args:
        path: Where it is.
        source: What problems begin with; None for *path*.

    Raises:
        ConfigurationError: If it is not TOML, or not UTF-8; says where.
        OSError: If it cannot be read.
    """
    import tomllib

    from pathlib import Path

    source = str(path) if source is None else source
    # Editors of Windows begin a file with this mark.
    content = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode()) + 1
        problem = f"{source}: not UTF-8 (at line {line}, column {column})"
    except RecursionError:
        problem = f"{source}: nested too deeply"
    except ValueError as error:
        # Not only TOMLDecodeError: an int of thousands of digits is another.
        problem = f"{source}: {error}"
    raise ConfigurationError(problem)


def layer_of(tables: Mapping[str, Any], source: str) -> tuple[Layer, list[str]]:
    """
    Return the layer that *tables* are, and everything that is wrong with them.

    Args:
        tables: ``{"limiters": {name: {setting: value}}, "breakers": ...}``.
        source: Where they are from: what every problem begins with.

    Returns:
        The layer, of use only if nothing is wrong; and one line for each
        problem: source, key path, and what is wrong there.
    """
    reader = Reader(lambda path: f"{source}: {path}" if path else source)
    layer = reader.layer(tables)
    return layer, reader.problems


class _ToldError(Exception):
    """
    Leave what is being read: what is wrong with it has been noted.
    """


class Reader:
    """
    Read settings, and note all that is wrong with them.

    Args:
        shown: Says where a key path was written.
    """

    def __init__(self, shown: Callable[[str], str]) -> None:
        self.problems: list[str] = []
        self._shown = shown

    def layer(self, tables: Any) -> Layer:
        """
        Return the layer that *tables* are.
        """
        layer: Layer = {}
        with self._noting(""):
            for title, named in _items(tables):
                with self._noting(word(title)):
                    layer.update(self._named(title, named))
        return layer

    def _named(self, title: str, named: Any) -> Layer:
        kind = KINDS.get(title)
        if kind is None:
            msg = f"unknown table{hint(title, KINDS)}"
            raise ValueError(msg)
        layer: Layer = {}
        for name, table in _items(named):
            path = f"{title}.{word(name)}"
            settings: Settings = {}
            with self._noting(path):
                settings = self._settings(path, kind, table)
            with self._noting(path):
                layer[kind, required_name("name", name)] = settings
        return layer

    def _settings(self, path: str, kind: str, table: Any) -> Settings:
        settings = self._table(path, table, CHECKS[kind], IN_CODE[kind])
        if kind == "limiter" and "rates" in table and table.keys() & _PACE:
            self._note(f"{path}.rates", NOT_BOTH)
        return settings

    def _table(
        self,
        path: str,
        table: Any,
        checks: _Checks,
        in_code: Collection[str] = (),
    ) -> Settings:
        """
        Return what is right in *table*.
        """
        settings: Settings = {}
        for key, value in _items(table):
            here = f"{path}.{word(key)}"
            with self._noting(here):
                if key in in_code:
                    raise ValueError(_CODE_ONLY)
                if key not in checks:
                    msg = f"unknown key{hint(key, checks)}"
                    raise ValueError(msg)
                settings[key] = self._checked(checks[key], here, key, value)
        return settings

    def _checked(
        self, check: Callable[[Any], Any], path: str, key: str, value: Any
    ) -> Any:
        try:
            return check(self._value(path, key, value))
        except (TypeError, ValueError) as error:
            if key in _OPTIONAL and isinstance(value, str):
                # Nobody could know how to write None.
                msg = f'{error}; without it: "none"'
                raise ValueError(msg) from error
            raise

    def _value(self, path: str, key: str, value: Any) -> Any:
        """
        Return *value* as the constructors take it.
        """
        if key in _OPTIONAL and isinstance(value, str) and value.lower() == "none":
            return None
        if key == "rates":
            return self._rates(path, value)
        if key == "window":
            return self._window(path, value)
        return value

    def _rates(self, path: str, value: Any) -> list[Rate]:
        if not isinstance(value, (list, tuple)):
            msg = f"rates must be a list of tables, not {type(value).__name__}"
            raise TypeError(msg)
        rates = []
        with self._faultless():
            with self._noting(path):
                check_count(len(value))
            for position, one in enumerate(value):
                here = f"{path}[{position}]"
                with self._noting(here):
                    rates.append(self._rate(here, one))
        return rates

    def _rate(self, path: str, value: Any) -> Rate:
        if isinstance(value, Rate):
            return value
        return Rate(**self._arguments(path, value, _RATE, ("limit",)))

    def _window(self, path: str, value: Any) -> Window | None:
        if value is None or isinstance(value, (CountWindow, TimeWindow)):
            return value
        if not isinstance(value, Mapping):
            msg = (
                "window must be a table with size or seconds,"
                f" not {type(value).__name__}"
            )
            raise TypeError(msg)
        arguments = self._arguments(path, value, WINDOW, ("size", "seconds"))
        make: type[Window] = CountWindow if "size" in arguments else TimeWindow
        return make(**arguments)

    def _arguments(
        self, path: str, table: Any, checks: _Checks, needed: tuple[str, ...]
    ) -> Settings:
        """
        Return what is in *table*, which has one of *needed* and no mistake.
        """
        with self._faultless():
            arguments = self._table(path, table, checks)
            given = [key for key in needed if key in table]
            if len(given) != 1:
                not_both = ", not both" if given else ""
                self._note(path, f"must have {' or '.join(needed)}{not_both}")
            return arguments

    @contextmanager
    def _faultless(self) -> Iterator[None]:
        """
        Go no further if anything was noted in this block.
        """
        before = len(self.problems)
        yield
        if len(self.problems) > before:
            raise _ToldError

    @contextmanager
    def _noting(self, path: str) -> Iterator[None]:
        """
        Note what goes wrong in this block.
        """
        try:
            yield
        except (TypeError, ValueError) as error:
            self._note(path, str(error))
        except RecursionError:
            # Of whoever wanted to show the value.
            self._note(path, "is nested too deeply")
        except _ToldError:
            pass

    def _note(self, path: str, problem: str) -> None:
        text = f"{self._shown(path)}: {problem}"
        self.problems.append(" ".join(text.splitlines()))


def _items(table: Any) -> list[tuple[Any, Any]]:
    if not isinstance(table, Mapping):
        msg = f"must be a table, not {type(table).__name__}"
        raise TypeError(msg)
    return list(table.items())


def word(key: Any) -> str:
    """
    Return *key* as part of a path: on one line, bare if TOML would have it bare.
    """
    bare = isinstance(key, str) and key.replace("-", "_").replace("_", "0")
    text = key if bare and bare.isascii() and bare.isalnum() else repr(key)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def hint(key: Any, known: Iterable[str]) -> str:
    """
    Say which of *known* may be meant by *key*.
    """
    from difflib import get_close_matches

    known = sorted(known)
    nearest = get_close_matches(word(key).lower(), known, n=1)
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    return f"; there are {', '.join(known)}"
