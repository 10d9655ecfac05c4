"""
Refuse bad arguments at once, naming the argument, its value and its range.

Every function returns the value in the form the library works with.
"""

from __future__ import annotations

import operator

from typing import Any


#: The largest count that is taken for meant: tokens, sizes, thresholds.
MAX_COUNT = 10**12

#: The longest time that is taken for meant: thirty years, in seconds.
MAX_SECONDS = 1e9

#: The fastest and the slowest pace, in tokens per second.
MAX_RATE = 1e12
MIN_RATE = 1e-9

#: Where numbers are shown rounded, in error messages.
_LONG = 10**15


def whole(name: str, value: Any, *, minimum: int, maximum: int = MAX_COUNT) -> int:
    """
    Return *value* as an int between *minimum* and *maximum*.
    """
    if isinstance(value, bool):
        raise TypeError(_wrong_type(name, value, "an int"))
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(_wrong_type(name, value, "an int")) from None
    if not minimum <= number <= maximum:
        raise ValueError(_out_of_range(name, value, minimum, maximum))
    return number


def real(
    name: str, value: Any, *, minimum: float, maximum: float, above: bool = False
) -> float:
    """
    Return *value* as a float between *minimum* and *maximum*.

    With *above*, *minimum* itself is refused.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(_wrong_type(name, value, "a number"))
    # Before float(): a huge int would raise OverflowError there.
    if not minimum <= value <= maximum or (above and value == minimum):
        raise ValueError(_out_of_range(name, value, minimum, maximum, above=above))
    return float(value)


def seconds(name: str, value: Any, *, above: bool = False) -> float:
    """
    Return *value* as a duration: zero or more seconds, with *above* more.
    """
    return real(name, value, minimum=0.0, maximum=MAX_SECONDS, above=above)


def optional_seconds(name: str, value: Any, *, above: bool = False) -> float | None:
    """
    Return *value* as a duration, or None.
    """
    return None if value is None else seconds(name, value, above=above)


def fraction(name: str, value: Any, *, above: bool = True) -> float:
    """
    Return *value* as a share between 0 (refused with *above*) and 1.
    """
    return real(name, value, minimum=0.0, maximum=1.0, above=above)


def nanoseconds(value: float) -> int:
    """
    Convert a validated duration to the integers used inside.
    """
    return round(value * 1e9)


def instance_name(name: str, value: Any) -> str | None:
    """
    Return *value* as the name of an instance, or None.

    Names end up in logs, metrics and keys: one to 200 characters, all of
    them printable (no control characters), no brackets.
    """
    return None if value is None else required_name(name, value)


def required_name(name: str, value: Any) -> str:
    """
    Return *value* as the name of an instance.
    """
    if not isinstance(value, str):
        raise TypeError(_wrong_type(name, value, "a string"))
    if not 0 < len(value) <= 200:  # noqa: PLR2004 -- the limit itself
        shown = value[:40] + "..." if value else value
        msg = f"{name} must have 1 to 200 characters, not {len(value)}: {shown!r}"
        raise ValueError(msg)
    if not value.isprintable() or any(sign in "[]" for sign in value):
        msg = f"{name} must have no unprintable characters and no brackets: {value!r}"
        raise ValueError(msg)
    return value


def text(name: str, value: Any) -> str:
    """
    Return *value* if it is a string.
    """
    if not isinstance(value, str):
        raise TypeError(_wrong_type(name, value, "a string"))
    return value


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """
    Return *value* if it is one of the strings *allowed*.
    """
    if not isinstance(value, str):
        raise TypeError(_wrong_type(name, value, "a string"))
    if value not in allowed:
        msg = f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}"
        raise ValueError(msg)
    return value


def _wrong_type(name: str, value: Any, wanted: str) -> str:
    # In full: what is wrong with 5.0 must not look like 5.
    shown = repr(value) if isinstance(value, float) else _shown(value)
    return f"{name} must be {wanted}, not {type(value).__name__}: {shown}"


def _out_of_range(
    name: str, value: float, minimum: float, maximum: float, *, above: bool = False
) -> str:
    bound = "greater than" if above else "at least"
    return (
        f"{name} must be {bound} {_shown(minimum)} and at most {_shown(maximum)},"
        f" not {_shown(value)}"
    )


def _shown(value: Any) -> str:
    # repr() of an int beyond 4300 digits raises, and nobody reads a long one.
    if isinstance(value, int) and abs(value) >= _LONG:
        return f"about {'-' if value < 0 else ''}2**{value.bit_length() - 1}"
    if isinstance(value, float) and value.is_integer() and abs(value) < _LONG:
        return repr(value).removesuffix(".0")
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 -- one line
