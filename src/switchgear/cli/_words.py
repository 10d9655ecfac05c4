"""
What a limiter or breaker will do, in words.

Functions of settings, as :mod:`switchgear.cli._settings` returns them.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING, Any, Final

from switchgear._core.queue import SLACK
from switchgear._core.rate import Rate
from switchgear._core.windows import CountWindow


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from switchgear._core.windows import Window


#: What rates are said in, in seconds; the first in which a whole call is due.
_PERIODS: Final = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "30 days": 2_592_000,
    "year": 31_557_600,
}

#: What stands before those that have no "a".
_EACH: Final = {"hour": "an", "30 days": "in"}

#: In what durations are said if that takes few digits.
_UNITS: Final = {"d": 86_400, "h": 3600, "min": 60, "s": 1, "ms": 0.001}


def words_for(kind: str, settings: Mapping[str, Any]) -> list[str]:
    """
    Return one sentence for each thing that there is to know.
    """
    words = _limiter(settings) if kind == "limiter" else _breaker(settings)
    return list(words)


def most_in(rate: Rate, seconds: int) -> int:
    """
    Return how many *rate* admits at most in any window of *seconds*.

    That is the burst, and what comes in meanwhile; while somebody queues, the
    lateness of timers is credited, up to 2 ms.
    """
    pace = Fraction(rate.limit) / Fraction(rate.per)
    return rate.burst + floor(pace * (seconds + Fraction(SLACK, 10**9)))


def period_of(rate: Rate) -> tuple[str, int]:
    """
    Return the period that *rate* is best said in, and its seconds.
    """
    for name, seconds in _PERIODS.items():
        if seconds == rate.per and rate.limit >= 1:
            return name, seconds
    pace = Fraction(rate.limit) / Fraction(rate.per)
    for name, seconds in _PERIODS.items():
        if pace * seconds >= 1:
            return name, seconds
    return "year", _PERIODS["year"]


def duration(seconds: float) -> str:
    """
    Return *seconds* in a unit that takes few digits: ``90 s``, ``2 min``.
    """
    for unit, size in _UNITS.items():
        in_unit = seconds / size
        if in_unit >= (1 if unit in {"s", "ms"} else 2) and f"{in_unit:.3g}" == (
            f"{in_unit:.9g}"
        ):
            return f"{in_unit:.3g} {unit}"
    return f"{seconds:.9g} s"


def _limiter(settings: Mapping[str, Any]) -> Iterator[str]:
    rates = settings.get("rates") or [
        Rate(settings["calls_per_second"], burst=settings["burst"])
    ]
    several = len(rates) > 1
    for rate in rates:
        yield _admitted(rate, "tokens" if several else "calls")
    if several:
        yield "All of that at once: a call waits until every rate admits it."
    elif rates[0].counts == "tokens" and rates[0].burst > 1:
        yield "A call that asks for several tokens counts as so many."
    yield _waiting(settings["max_waiters"])


def _admitted(rate: Rate, noun: str) -> str:
    if rate.counts == "calls":
        noun = "calls"
    period, seconds = period_of(rate)
    each = Fraction(rate.limit) / Fraction(rate.per) * seconds
    most = _count(most_in(rate, seconds), noun)
    steady = f"{_number(float(each))} {_EACH.get(period, 'a')} {period}"
    return f"At most {most} in any {period}: {steady}, and bursts of {rate.burst}."


def _waiting(max_waiters: int | None) -> str:
    if max_waiters is None:
        return "Who comes too early waits, first come, first served."
    if max_waiters == 0:
        return "Nobody waits: who comes too early is refused."
    return (
        f"At most {max_waiters} wait, first come, first served; who comes then is"
        " refused."
    )


def _breaker(settings: Mapping[str, Any]) -> Iterator[str]:
    window: Window | None = settings["window"]
    slow, threshold = settings["slow_call_seconds"], settings["threshold"]
    trips = []
    if threshold is not None:
        trips.append(
            "after every failure"
            if threshold == 1
            else f"after {threshold} failures in a row"
        )
    if window is not None:
        trips.extend(_rates(window))
    yield f"Opens {', or '.join(trips)}."
    if window is not None:
        yield _judged(window)
    if slow is not None:
        counted = window is not None and window.slow_call_rate is not None
        what = "slow" if counted else "a failure"
        yield f"A call slower than {duration(slow)} is {what}."
    yield _cooldown(settings)
    yield _probes(settings)


def _rates(window: Window) -> Iterator[str]:
    if isinstance(window, CountWindow):
        latest = f"of the latest {_count(window.size, 'calls')}"
    else:
        latest = f"of the calls of the latest {duration(window.seconds)}"
    yield f"when {_share(window.failure_rate)} {latest} failed"
    if window.slow_call_rate is not None:
        yield f"when {_share(window.slow_call_rate)} of them were slow"


def _judged(window: Window) -> str:
    needed = window.minimum_calls
    if isinstance(window, CountWindow):
        needed = min(needed, window.size)
    return f"The shares are looked at from {_count(needed, 'calls')} on."


def _cooldown(settings: Mapping[str, Any]) -> str:
    cooldown, factor = settings["cooldown"], settings["cooldown_factor"]
    longest, jitter = settings["max_cooldown"], settings["jitter"]
    said = f"Open, it refuses every call for {duration(cooldown)}"
    if factor > 1:
        said += f", {_number(factor)} times as long each time it opens again"
        said += "" if longest is None else f", but at most {duration(longest)}"
    if jitter:
        said += f"; {_percent(jitter)} more or less, by chance"
    return f"{said}."


def _probes(settings: Mapping[str, Any]) -> str:
    probes, needed = settings["half_open_probes"], settings["successes_to_close"]
    timeout = settings["probe_timeout"]
    patience = duration(settings["cooldown"] if timeout is None else timeout)
    out = "one probe" if probes == 1 else f"{probes} probes"
    closes = "one success closes" if needed == 1 else f"{needed} successes close"
    return (
        f"Then {out} at a time may try: {closes} it, one failure opens it again; a"
        f" probe that says nothing for {patience} is given up."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun.removesuffix('s') if number == 1 else noun}"


def _number(value: float) -> str:
    return f"{value:.10g}" if value == round(value, 6) else f"{value:.4g}"


def _share(fraction: float) -> str:
    return _percent(fraction) if fraction == 1 else f"{_percent(fraction)} or more"


def _percent(fraction: float) -> str:
    return f"{_number(fraction * 100)} %"
