"""
What happened, as flat entries that can be written down, one on each line.

Events of switchgear are called as in its log, ``circuit_opened``, and have the
same values; the demo adds what only the caller knows:

====================  ==================================================
``call_sent``         a call goes out now
``call_failed``       no answer came, or an error
``call_sent_away``    the host said 429
``image_stored``      a new image arrived
``image_known``       an image arrived that was there already
``limiter_sampled``   how a limiter stands: ``waiting``,
                      ``calls_per_second``, ``burst``
``run_ended``         nothing comes after that: ``images``, ``arrived``,
                      ``interrupted``
====================  ==================================================
"""

from __future__ import annotations

import dataclasses
import json
import math
import re

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

from switchgear import CircuitState


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from switchgear.events import Event


class Entry(NamedTuple):
    """
    Say what happened.

    Attributes:
        t: When, in seconds since the start.
        event: What.
        host: To the calls of which host; None: of all.
        details: More about it, as JSON knows it.
    """

    t: float
    event: str
    host: str | None
    details: Mapping[str, Any]

    @classmethod
    def of(cls, event: Event, *, t: float, hosts: Mapping[str | None, str]) -> Self:
        """
        Return the entry of an *event* of switchgear.

        Args:
            event: What happened.
            t: When.
            hosts: Whose limiters and breakers those are, by their names.
        """
        values = {
            field.name: _plain(getattr(event, field.name))
            for field in dataclasses.fields(event)
            if field.name != "at"
        }
        # Each has one of these; the host says the same.
        key = next(key for key in _NAMES if key in values)
        host = hosts.get(values[key])
        if host is not None:
            del values[key]
        return cls(t, name_of(event), host, values)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """
        Return the entry on a line of a file.

        Raises:
            ValueError: If there is none.
        """
        values = _object(line)
        entry = cls(
            _taken(values, "t", _is_time),
            _taken(values, "event", _is_text),
            _taken(values, "host", lambda host: host is None or _is_text(host)),
            values,
        )
        for key, is_right in _NEEDED.get(entry.event, {}).items():
            if key not in values or not is_right(values[key]):
                msg = f"{entry.event} without a proper {key!r}"
                raise ValueError(msg)
        return entry

    def to_line(self) -> str:
        """
        Return the line for a file, without its end.
        """
        head = {"t": self.t, "event": self.event, "host": self.host}
        return json.dumps({**head, **self.details}, allow_nan=False)


_NAMES: Final = ("breaker", "limiter", "name")


def name_of(event: Event) -> str:
    """
    Return what *event* is called in the log: ``circuit_opened``.
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def _plain(value: Any) -> Any:
    """
    Return what JSON has for *value*; text, if it has nothing.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _object(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except RecursionError as error:
        msg = "nested too deep"
        raise ValueError(msg) from error
    if not isinstance(values, dict):
        msg = "not an object"
        raise ValueError(msg)  # noqa: TRY004 -- text of that kind is a bad value
    return values


def _taken(values: dict[str, Any], key: str, is_right: Callable[[Any], bool]) -> Any:
    if key not in values or not is_right(values[key]):
        msg = f"no proper {key!r}"
        raise ValueError(msg)
    return values.pop(key)


#: The longest run, in seconds: thirty years; and the slowest rate, one call in
#: that time.
_LONGEST: Final = 1e9
_SLOWEST: Final = 1e-9


def _is_time(value: object) -> bool:
    return _is_number(value) and 0 <= value <= _LONGEST


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_rate(value: object) -> bool:
    return _is_number(value) and _SLOWEST <= value <= _LONGEST


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LONGEST


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_state(value: object) -> bool:
    return value in [state.value for state in CircuitState]


#: What the picture is drawn from.
_NEEDED: Final[Mapping[str, Mapping[str, Callable[[Any], bool]]]] = {
    "circuit_forced": {"to_state": _is_state},
    "limiter_paused": {"paused_for": _is_time},
    "limiter_sampled": {
        "waiting": _is_count,
        "calls_per_second": _is_rate,
        "burst": _is_count,
    },
    "run_ended": {
        "images": _is_count,
        "arrived": _is_count,
        "interrupted": _is_flag,
    },
}
