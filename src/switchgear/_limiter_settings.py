"""
The settings of a limiter: checked, merged, and told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from switchgear._core.rate import Rate
from switchgear._unchanged import UNCHANGED
from switchgear._validate import MAX_RATE, MIN_RATE, real, whole


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


#: What is wrong with giving both.
NOT_BOTH: Final = "rates is given instead of calls_per_second and burst, not with them"

_OF_ONE_RATE: Final = frozenset({"calls_per_second", "burst"})

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
        raise ValueError(NOT_BOTH)
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
            raise ValueError(NOT_BOTH)
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


def in_one(
    changes: tuple[dict[str, Any], ...], change: dict[str, Any]
) -> tuple[dict[str, Any], ...]:
    """
    Return what to reconfigure with instead of all *changes* and then *change*.

    That is as few calls as it takes: some settings are only right together.
    """
    *earlier, last = changes or ({},)
    if "rates" in change:
        # They displace what pace and burst there were.
        others = {name: value for one in changes for name, value in one.items()}
        for name in _OF_ONE_RATE:
            others.pop(name, None)
        return ({**others, **change},)
    if "rates" in last and not _OF_ONE_RATE.isdisjoint(change):
        # Refused in one call.
        return (last, change)
    return (*earlier, {**last, **change})


def rates_over(
    below: tuple[Rate, ...], now: tuple[Rate, ...], own: frozenset[str]
) -> tuple[Rate, ...]:
    """
    Return the rates *below*, with what of those *now* was set at run time.

    Nothing of *now* that was not set then is in it: the order in which the
    layers came is forgotten.
    """
    if "rates" in own:
        return now
    if own.isdisjoint(_OF_ONE_RATE):
        return below
    lower, *others = below
    upper = now[0]
    if others:
        if "calls_per_second" not in own:
            msg = (
                f"burst was set to {upper.burst} at run time, which says nothing for"
                " several rates: forget that change first, or leave the rates"
            )
            raise ValueError(msg)
        # A pace displaces rates as a whole.
        lower = Rate(DEFAULT_PACE, burst=DEFAULT_BURST)
    paced = upper if "calls_per_second" in own else lower
    burst = upper.burst if "burst" in own else lower.burst
    return (Rate(paced.limit, per=paced.per, burst=burst, counts=lower.counts),)


def settings_of(rates: tuple[Rate, ...], max_waiters: int | None) -> dict[str, Any]:
    """
    Return the arguments that make a limiter with *rates*.
    """
    rate, *others = rates
    if not others and rate.per == 1.0 and rate.counts == "tokens":
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
    check_count(len(checked))
    return checked


def check_count(count: int) -> None:
    """
    Refuse *count* rates, if that is none or too many.
    """
    if not 0 < count <= _MOST_RATES:
        msg = f"rates must hold 1 to {_MOST_RATES} rates, not {count}"
        raise ValueError(msg)


def checked_max_waiters(value: Any) -> int | None:
    """
    Return *value* as a number of waiters, or None for any.
    """
    return None if value is None else whole("max_waiters", value, minimum=0)


def checked_pace(value: Any) -> float:
    """
    Return *value* as a number of calls per second.
    """
    return real("calls_per_second", value, minimum=MIN_RATE, maximum=MAX_RATE)


def checked_burst(value: Any) -> int:
    """
    Return *value* as the capacity of a rate.
    """
    return Rate(DEFAULT_PACE, burst=value).burst


#: What checks each setting by itself: returns the value as it is kept, or
#: raises TypeError or ValueError.
CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "calls_per_second": checked_pace,
    "burst": checked_burst,
    "rates": checked_rates,
    "max_waiters": checked_max_waiters,
}


def _pace(calls_per_second: Any, burst: Any) -> Rate:
    return Rate(checked_pace(calls_per_second), burst=burst)
