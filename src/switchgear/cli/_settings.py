"""
What files and the environment say, and which of them says what.
"""

from __future__ import annotations

import json

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from switchgear import _config, _environment, _layers
from switchgear._core.rate import Rate
from switchgear._core.windows import CountWindow, TimeWindow
from switchgear._definition import contradiction, settled
from switchgear.cli._text import FINE, PROBLEMS, UNREADABLE
from switchgear.errors import ConfigurationError


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


#: Stands for the environment among the names of files: none is empty.
_ENVIRONMENT: Final = ""


class Named(NamedTuple):
    """
    Hold the settings of one limiter or breaker.
    """

    kind: str
    name: str
    #: What was said, and by whom: the name of a file or variable.
    said: dict[str, Any]
    sources: dict[str, str]
    #: With the defaults of what was not said; the same as *said* if that
    #: contradicts itself.
    settings: dict[str, Any]
    #: Why it cannot stand alone, if it cannot.
    contradiction: str | None
    #: Else it is from the environment, and the name is as it looks there.
    in_files: bool

    @property
    def path(self) -> str:
        """
        Its table, as TOML has it.
        """
        bare = self.name.replace("-", "_").replace("_", "0")
        plain = bare.isascii() and bare.isalnum()
        return f"{self.kind}s.{self.name if plain else quoted(self.name)}"


class Reading(NamedTuple):
    """
    Hold all that was said.
    """

    named: list[Named]
    problems: list[str]
    #: Whether a file could not be read at all.
    unreadable: bool

    @property
    def status(self) -> int:
        """
        What the exit status says of it.
        """
        if self.unreadable:
            return UNREADABLE
        return PROBLEMS if self.problems else FINE


def read(files: Sequence[str], environ: Mapping[str, str]) -> Reading:
    """
    Return what *files* and the variables of *environ* say, the later over the earlier.
    """
    layers: list[tuple[str, _config.Layer]] = []
    problems: list[str] = []
    unreadable = False
    for file in files:
        try:
            tables = _config.read(file)
        except ConfigurationError as error:
            problems += error.problems
        except OSError as error:
            unreadable = True
            problems.append(f"{file}: {error.strerror}")
        else:
            layer, found = _config.layer_of(tables, file)
            layers.append((file, layer))
            problems += found
    variables, found = _environment.layer_of(environ)
    problems += found
    addresses, _ = _environment.addresses(environ)
    keys = sorted({key for _, layer in layers for key in layer})
    named = [
        _named(
            *key,
            [(file, layer.get(key, {})) for file, layer in layers],
            variables,
            addresses,
        )
        for key in keys
    ]
    known = {(kind, _environment.normalised(name)) for kind, name in keys}
    named += [
        _named(*key, [], variables, addresses)
        for key in sorted(variables.keys() - known)
    ]
    for one in named:
        why = contradiction(one.kind, one.said)
        if why is not None:
            sources = dict.fromkeys(one.sources.values())
            problems.append(f"{', '.join(sources)}: {one.path}: {why}")
    return Reading(named, problems, unreadable)


def quoted(text: str) -> str:
    """
    Return *text* as a string of TOML.
    """
    # What JSON escapes, TOML escapes alike.
    return json.dumps(text, ensure_ascii=False)


def plain(value: Any) -> Any:
    """
    Return *value*, of a setting, as JSON has it.
    """
    if isinstance(value, Rate):
        return {
            part: getattr(value, part) for part in ("limit", "per", "burst", "counts")
        }
    if isinstance(value, (CountWindow, TimeWindow)):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    return value


def _named(
    kind: str,
    name: str,
    files: list[tuple[str, _config.Settings]],
    variables: _config.Layer,
    addresses: Mapping[tuple[str, ...], str],
) -> Named:
    normalised = _environment.normalised(name)
    layers = [*files, (_ENVIRONMENT, variables.get((kind, normalised), {}))]
    said = _layers.merged(kind, *(settings for _, settings in layers))
    sources = {
        key: ", ".join(
            variable
            for address, variable in addresses.items()
            if address[:3] == (f"{kind}s", normalised, key)
        )
        if source is _ENVIRONMENT
        else source
        for key, source in _layers.sources(kind, *layers).items()
    }
    try:
        full = settled(kind, said)
    except (TypeError, ValueError) as error:
        return Named(kind, name, said, sources, said, str(error), bool(files))
    settings = {
        key: value
        for key, value in {**full, **said}.items()
        if key not in _config.IN_CODE[kind] and key not in _displaced(said)
    }
    return Named(kind, name, said, sources, settings, None, bool(files))


def _displaced(said: _config.Settings) -> tuple[str, ...]:
    # A limiter tells its rates in the shorter form, if there is one.
    return ("calls_per_second", "burst") if "rates" in said else ()
