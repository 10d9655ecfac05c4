"""
The settings of a limiter: checked, merged, and told.
"""

from __future__ import annotations

from typing import Any, Final

from switchgear._core.rate import Rate
from switchgear._unchanged import UNCHANGED
from switchgear._validate import MAX_RATE, MIN_RATE, real, whole


_NOT_BOTH: Final = "rates is given instead of calls_per_second and burst, not with them"

_MOST_RATES: Final = 16

#: What a limiter has that is told nothing.
DEFAULT_PACE: Final = 2.0
DEFAULT_BURST: Final = 1


def first_rates(calls_per_second: Any, burst: Any, rates: Any) -> tuple[Rate, ...]:
    """
    Return the rates of a new limiter.
    """
    if rates is None:
        return (_pace(calls_per_second, burst),)
    if calls_per_second != DEFAULT_PACE or burst != DEFAULT_BURST:
        raise ValueError(_NOT_BOTH)
    return checked_rates(rates)


def next_rates(
    before: tuple[Rate, ...], calls_per_second: Any, burst: Any, rates: Any
) -> tuple[Rate, ...]:
    """
    Return the rates of a limiter that is reconfigured.
    """
    given = [one for one in (calls_per_second, burst) if one is not UNCHANGED]
    if rates is not UNCHANGED:
        if given:
            raise ValueError(_NOT_BOTH)
        return checked_rates(rates)
    if not given:
        return before
    rate, *others = before
    if others:
        msg = "this limiter has several rates: give rates, all of them"
        raise ValueError(msg)
    limit, per = rate.limit, rate.per
    if calls_per_second is not UNCHANGED:
        limit, per = _pace(calls_per_second, 1).limit, 1.0
    if burst is UNCHANGED:
        burst = rate.burst
    return (Rate(limit, per=per, burst=burst, counts=rate.counts),)


def settings_of(rates: tuple[Rate, ...], max_waiters: int | None) -> dict[str, Any]:
    """
    Return the arguments that make a limiter with *rates*.
    """
    rate = rates[0]
    if rates == (Rate(rate.limit, burst=rate.burst),):
        pace: dict[str, Any] = {"calls_per_second": rate.limit, "burst": rate.burst}
    else:
        pace = {"rates": rates}
    return {**pace, "max_waiters": max_waiters}


def checked_rates(rates: Any) -> tuple[Rate, ...]:
    """
    Return *rates* as a tuple of one or more :class:`Rate`.
    """
    try:
        checked = tuple(rates)
    except TypeError:
        msg = f"rates must be a sequence of Rate, not {rates!r}"
        raise TypeError(msg) from None
    for rate in checked:
        if not isinstance(rate, Rate):
            msg = f"rates must hold nothing but Rate, not {rate!r}"
            raise TypeError(msg)
    if not 0 < len(checked) <= _MOST_RATES:
        msg = f"rates must hold 1 to {_MOST_RATES} rates, not {len(checked)}"
        raise ValueError(msg)
    return checked


def checked_max_waiters(value: Any) -> int | None:
    """
    Return *value* as a number of waiters, or None for any.
    """
    return None if value is None else whole("max_waiters", value, minimum=0)


def _pace(calls_per_second: Any, burst: Any) -> Rate:
    pace = real(
        "calls_per_second", calls_per_second, minimum=MIN_RATE, maximum=MAX_RATE
    )
    return Rate(pace, burst=burst)
