"""
Turn environment variables into checked settings.

Everything here is a function of its arguments. In a shell::

    export SWITCHGEAR_LIMITERS__IMAGES__CALLS_PER_SECOND=5
    export SWITCHGEAR_BREAKERS__IMAGES__WINDOW__SIZE=20

A variable is ``SWITCHGEAR_``, the table, the name as :func:`normalised` shows it
and a setting, joined by double underscores. It is read from both ends: before
the first double underscore stands the table, at the end a setting that there
is, and all between them is the name. So a name may hold, begin and end with
any number of underscores, and a variable still means one setting of one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from switchgear._config import CHECKS, IN_CODE, KINDS, WINDOW, Reader, hint, word


if TYPE_CHECKING:
    from collections.abc import Mapping

    from switchgear._config import Layer


#: What our variables begin with.
_OURS: Final = "SWITCHGEAR_"

_SHAPE: Final = (
    f"must look like {_OURS}LIMITERS__NAME__SETTING or {_OURS}BREAKERS__NAME__SETTING"
)


def layer_of(environ: Mapping[str, str]) -> tuple[Layer, list[str]]:
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
    said = {address: word(variable) for address, variable in variables.items()}
    reader = Reader(lambda path: f"environment: {_variables(path, said)}")
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
        if not variable.startswith(_OURS):
            continue
        try:
            address = _address(variable.removeprefix(_OURS).upper())
            _check_unsaid(address, said)
        except ValueError as error:
            problems.append(f"environment: {word(variable)}: {error}")
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
    kind = KINDS.get(title.lower())
    if kind is None:
        msg = f"unknown table{hint(title, KINDS)}"
        raise ValueError(msg)
    name, keys = _parted(rest, _endings(kind))
    return title.lower(), normalised(name), *keys.lower().split("__")


def _endings(kind: str) -> list[str]:
    """
    Return how variables end that mean a setting, or a part of one.
    """
    keys = [*CHECKS[kind], *IN_CODE[kind]]
    if kind == "breaker":
        keys += [f"window__{key}" for key in WINDOW]
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
            msg = f"{word(variable)} says this already"
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
        own = ".".join(map(word, address))
        if path == own:
            return variable
        if path.startswith((f"{own}.", f"{own}[")):
            return f"{variable}: {path[len(own) - len(word(address[-1])) :]}"
        if own.startswith(f"{path}."):
            below.append(variable)
    return " and ".join(below)
