"""
Turn what users write into checked settings: files, mappings, the environment.

Everything here is a function of its arguments: the registry decides what to do
with the layers that come out. In a file, and in a mapping of the same form::

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

and in the environment::

    export SWITCHGEAR_LIMITERS__IMAGES__CALLS_PER_SECOND=5
    export SWITCHGEAR_BREAKERS__IMAGES__WINDOW__SIZE=20

A variable is ``SWITCHGEAR_``, the table, the name as :func:`normalised` shows it
and a setting, joined by double underscores. It is read from both ends: before
the first double underscore stands the table, at the end a setting that there
is, and all between them is the name. So a name may hold, begin and end with
any number of underscores, and a variable still means one setting of one name.
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

#: What the variables of ours begin with.
PREFIX: Final = "SWITCHGEAR_"

_SHAPE: Final = (
    f"must look like {PREFIX}LIMITERS__NAME__SETTING or {PREFIX}BREAKERS__NAME__SETTING"
)

_CODE_ONLY: Final = "can be set in code only"

_KINDS: Final = {"limiters": "limiter", "breakers": "breaker"}

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

_WINDOW: Final[_Checks] = {
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
    reader = _Reader(lambda path: f"{source}: {path}" if path else source)
    layer = reader.layer(tables)
    return layer, reader.problems


def environment(environ: Mapping[str, str]) -> tuple[Layer, list[str]]:
    """
    Return the layer that the variables of *environ* are, and what is wrong.

    The names in it are :func:`normalised`. A value is written as in TOML; what
    is not TOML is a string. One word after the prefix is not for us
    (``SWITCHGEAR_HOME``), as long as it does not look as if it were.
    """
    variables, problems = addresses(environ)
    tables: dict[str, Any] = {}
    for address, variable in variables.items():
        _put(tables, address, _value(environ[variable]))
    said = {address: _word(variable) for address, variable in variables.items()}
    reader = _Reader(lambda path: f"environment: {_variables(path, said)}")
    layer = reader.layer(tables)
    return layer, problems + reader.problems


def addresses(
    environ: Mapping[str, str],
) -> tuple[dict[tuple[str, ...], str], list[str]]:
    """
    Return which variable of *environ* says what, and those that say nothing.

    What is said is an address: table, :func:`normalised` name, and setting, maybe
    with a part of it.
    """
    said: dict[tuple[str, ...], str] = {}
    problems: list[str] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX):
            continue
        try:
            address = _address(variable.removeprefix(PREFIX).upper())
            _check_unsaid(address, said)
        except ValueError as error:
            problems.append(f"environment: {_word(variable)}: {error}")
        else:
            if address:
                said[address] = variable
    return said, problems


def normalised(name: str) -> str:
    """
    Return *name* as it looks in the environment: ``IMAGES_CDN`` for ``images-cdn``.

    In upper case, with an underscore for all but the letters A to Z and digits.
    """
    return "".join(
        sign if sign.isascii() and sign.isalnum() else "_" for sign in name.upper()
    )


def merged(kind: str, *layers: Settings) -> Settings:
    """
    Return what *layers*, the lowest first, come to: key by key, the topmost.

    A limiter's pace has two forms, *rates* and *calls_per_second* with *burst*.
    A higher layer that says the one displaces the other of all lower ones, for
    good; a *burst* alone says neither.
    """
    origins = _origins(kind, layers)
    return {key: layers[position][key] for key, position in origins.items()}


def sources(kind: str, *named_layers: tuple[str, Settings]) -> dict[str, str]:
    """
    Return the name of the layer that each key of :func:`merged` is from.
    """
    origins = _origins(kind, [settings for _, settings in named_layers])
    return {key: named_layers[position][0] for key, position in origins.items()}


def _origins(kind: str, layers: Iterable[Settings]) -> dict[str, int]:
    origins: dict[str, int] = {}
    for position, layer in enumerate(layers):
        given = dict.fromkeys(layer, position)
        if kind == "limiter":
            if layer.get("rates") is None:
                # What code may say where it says nothing.
                given.pop("rates", None)
            for key in _displaced(given):
                origins.pop(key, None)
        origins.update(given)
    return origins


def _displaced(given: Collection[str]) -> tuple[str, ...]:
    if "rates" in given:
        return "calls_per_second", "burst"
    return ("rates",) if "calls_per_second" in given else ()


class _ToldError(Exception):
    """
    Leave what is being read: what is wrong with it has been noted.
    """


class _Reader:
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
                with self._noting(_word(title)):
                    layer.update(self._named(title, named))
        return layer

    def _named(self, title: str, named: Any) -> Layer:
        kind = _KINDS.get(title)
        if kind is None:
            msg = f"unknown table{_hint(title, _KINDS)}"
            raise ValueError(msg)
        layer: Layer = {}
        for name, table in _items(named):
            path = f"{title}.{_word(name)}"
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
            here = f"{path}.{_word(key)}"
            with self._noting(here):
                if key in in_code:
                    raise ValueError(_CODE_ONLY)
                if key not in checks:
                    msg = f"unknown key{_hint(key, checks)}"
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
        arguments = self._arguments(path, value, _WINDOW, ("size", "seconds"))
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


def _word(key: Any) -> str:
    """
    Return *key* as part of a path: on one line, bare if TOML would have it bare.
    """
    bare = isinstance(key, str) and key.replace("-", "_").replace("_", "0")
    text = key if bare and bare.isascii() and bare.isalnum() else repr(key)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _hint(key: Any, known: Iterable[str]) -> str:
    """
    Say which of *known* may be meant by *key*.
    """
    from difflib import get_close_matches

    known = sorted(known)
    nearest = get_close_matches(_word(key).lower(), known, n=1)
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    return f"; there are {', '.join(known)}"


def _address(words: str) -> tuple[str, ...] | None:
    """
    Return the keys that lead to a setting, or None if that is not for us.

    Raises:
        ValueError: If it should be, but is not.
    """
    title, separator, rest = words.partition("__")
    if not separator:
        if words.startswith(("LIMITER", "BREAKER")):
            raise ValueError(_SHAPE)
        return None
    kind = _KINDS.get(title.lower())
    if kind is None:
        msg = f"unknown table{_hint(title, _KINDS)}"
        raise ValueError(msg)
    name, keys = _parted(rest, _endings(kind))
    return title.lower(), normalised(name), *keys.lower().split("__")


def _endings(kind: str) -> list[str]:
    """
    Return how variables end that mean a setting, or a part of one.
    """
    keys = [*CHECKS[kind], *IN_CODE[kind]]
    if kind == "breaker":
        keys += [f"window__{key}" for key in _WINDOW]
    return [f"__{key.upper()}" for key in keys]


def _parted(rest: str, endings: list[str]) -> tuple[str, str]:
    """
    Return the name and the setting that *rest* is.
    """
    ending = next((one for one in endings if rest.endswith(one)), None)
    if ending is None:
        # A mistake, and it will be told: in a setting, or in a part of one.
        begins = [at for one in endings if (at := rest.find(f"{one}__")) >= 0]
        at = min(begins, default=rest.rfind("__"))
    else:
        at = len(rest) - len(ending)
    if at < 0:
        raise ValueError(_SHAPE)
    return rest[:at], rest[at + 2 :]


def _check_unsaid(
    address: tuple[str, ...] | None, said: Mapping[tuple[str, ...], str]
) -> None:
    for other, variable in said.items():
        # The same, or one is a part of the other.
        if address and all(
            ours == theirs for ours, theirs in zip(address, other, strict=False)
        ):
            msg = f"{_word(variable)} says this already"
            raise ValueError(msg)


def _put(tables: dict[str, Any], address: tuple[str, ...], value: Any) -> None:
    *above, last = address
    for key in above:
        tables = tables.setdefault(key, {})
    tables[last] = value


def _value(text: str) -> Any:
    """
    Return the TOML value that *text* is, or *text*.
    """
    import tomllib

    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # Several lines may be more than a value.
    return read["value"] if len(read) == 1 else text


def _variables(path: str, said: Mapping[tuple[str, ...], str]) -> str:
    """
    Return which variables *path* comes from, and where in the value it leads.
    """
    below = []
    for address, variable in said.items():
        own = ".".join(map(_word, address))
        if path == own:
            return variable
        if path.startswith((f"{own}.", f"{own}[")):
            return f"{variable}: {path[len(own) - len(_word(address[-1])) :]}"
        if own.startswith(f"{path}."):
            below.append(variable)
    return " and ".join(below)
