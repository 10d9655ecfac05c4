"""
What a server says about when to come back.

Two kinds of headers say so. *Come back then*: ``Retry-After`` (RFC 9110, section
10.2.3) and ``Retry-After-Ms``, which some services send beside it. *Nothing is
left until then*: ``RateLimit`` of the IETF draft
draft-ietf-httpapi-ratelimit-headers, its older forms, and what services called it
before there was a draft.
"""

from __future__ import annotations

import math
import re

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from switchgear.http._extras import needs


with needs("http"):
    import http_sf


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


#: Whoever asks to be left alone for longer than this made a mistake, in seconds.
LONGEST: Final = 366 * 86_400.0

#: A number of at least this many seconds is a moment, counted from 1970 on: as a
#: duration it would be 31 years. From the second on it is in milliseconds.
EPOCH: Final = 1e9
EPOCH_MS: Final = 1e11

#: Headers that tell what is left, and beside each when there will be more.
PAIRS: Final = (
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    *(
        (f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}")
        for what in ("requests", "tokens")
    ),
    *(
        (f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset")
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
)

_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)

#: As Go's time.Duration writes itself.
_GO_UNITS: Final = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
}
_GO_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|μs|ns|h|m|s)", re.ASCII)
_GO: Final = re.compile(rf"(?:{_GO_PART.pattern})+", re.ASCII)

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class Hint(NamedTuple):
    """
    Say what a server said about when to come back.

    Attributes:
        retry_after: For how many seconds it asked to be left alone, 0 or more;
            None if it did not.
        exhausted: Whether it said that a quota has nothing left.
        header: The name of the header that said when, in lower case, or None.

    .. versionadded:: 0.1.0
    """

    retry_after: float | None = None
    exhausted: bool = False
    header: str | None = None


#: The server said nothing.
NOTHING: Final = Hint()


def server_hint(status: int, headers: Mapping[str, str], now: float) -> Hint:
    """
    Return what a response says about when to come back.

    Looked at in this order, the first that makes sense counts:

    - ``Retry-After-Ms``;
    - ``Retry-After``: seconds, whole or not, or an HTTP date in any of its forms,
      taken relative to the response's own ``Date``;
    - ``RateLimit``, and the older headers that name a quota's remainder and its
      reset, where nothing remains: seconds, seconds or milliseconds since 1970,
      durations as Go writes them (``6m0s``), RFC 3339. Of several exhausted
      quotas the one that lasts longest.

    What is malformed, negative, longer than a year, or out of a cache (``Age``)
    is ignored. Never raises, whatever the headers are.

    Args:
        status: The status of the response. Below 400 nothing is a hint.
        headers: Those of the response; names may be written in any way.
        now: Seconds since 1970, for responses without a ``Date``.

    .. versionadded:: 0.1.0
    """
    if status < 400:  # noqa: PLR2004 -- the first that is an error
        return NOTHING
    said: dict[str, str] = {}
    for name, value in _texts(headers):
        # In several lines it is one list (RFC 9110, section 5.3).
        said[name] = f"{said[name]}, {value}" if name in said else value
    if _number(said.get("age", "")):
        return NOTHING
    now = _date(said.get("date", "")) or now
    quotas = [*_of_the_draft(said), *_of_pairs(said, now)]
    exhausted = bool(quotas)
    for name, seconds in (
        ("retry-after-ms", _milliseconds(said.get("retry-after-ms", ""))),
        ("retry-after", _retry_after(said.get("retry-after", ""), now)),
        *sorted(quotas, key=lambda quota: quota[1] or 0.0, reverse=True),
    ):
        if seconds is not None and 0 <= seconds <= LONGEST:
            return Hint(retry_after=seconds, exhausted=exhausted, header=name)
    return Hint(exhausted=True) if exhausted else NOTHING


def _texts(headers: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if isinstance(name, str) and isinstance(value, str):
            yield name.lower(), value.strip()


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _milliseconds(text: str) -> float | None:
    number = _number(text)
    return None if number is None else number / 1e3


def _date(text: str) -> float | None:
    """
    Return the moment of an HTTP date.
    """
    try:
        moment = parsedate_to_datetime(text)
        # The form of asctime() has no zone: it is UTC like the others.
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (IndexError, OverflowError, TypeError, ValueError):
        # All of these, and no other, come of what is no date.
        return None


def _retry_after(text: str, now: float) -> float | None:
    number = _number(text)
    if number is None and (moment := _date(text)) is not None:
        return moment - now
    return number


def _reset(text: str, now: float) -> float | None:
    """
    Return how long it is until a quota is renewed, however that is written.
    """
    number = _number(text)
    if number is not None:
        if number >= EPOCH_MS:
            return number / 1e3 - now
        return number - now if number >= EPOCH else number
    if _GO.fullmatch(text):
        return math.fsum(
            float(length) * _GO_UNITS[unit] for length, unit in _GO_PART.findall(text)
        )
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).timestamp() - now
    except (OverflowError, ValueError):
        return None


def _of_pairs(said: dict[str, str], now: float) -> Iterator[tuple[str, float | None]]:
    """
    Find the quotas that have nothing left, each told by two headers.
    """
    for remaining, reset in PAIRS:
        if _number(said.get(remaining, "")) == 0:
            yield reset, _reset(said.get(reset, ""), now)


def _of_the_draft(said: dict[str, str]) -> Iterator[tuple[str, float | None]]:
    """
    Find the quotas that have nothing left, told by structured fields.

    ``"name";r=0;t=30`` since the eighth draft, before that one quota only:
    ``limit=10, remaining=0, reset=30``. If it is not said when a quota is renewed,
    it is so after its whole window, which the policy tells.
    """
    text = said.get("ratelimit", "")
    if not text:
        return
    policies = _parsed(said.get("ratelimit-policy", ""), "list") or ()
    windows = {name: more.get("w") for name, more in policies if isinstance(name, str)}
    for name, more in _parsed(text, "list") or ():
        if isinstance(name, str) and more.get("r") == 0:
            yield "ratelimit", _seconds(more.get("t", windows.get(name)))
    quota = _parsed(text, "dictionary") or {}
    if quota.get("remaining", ("",))[0] == 0:
        yield "ratelimit", _seconds(quota.get("reset", ("",))[0])


def _parsed(text: str, kind: str) -> Any:
    """
    Return a structured field as plain values, None if it is none.
    """
    try:
        return http_sf.parse(text.encode("latin-1", "replace"), tltype=kind)
    except http_sf.StructuredFieldError:
        return None


def _seconds(value: Any) -> float | None:
    return float(value) if type(value) is int else None
