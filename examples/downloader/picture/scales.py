"""
Round numbers for axes, and what is written there.
"""

from __future__ import annotations

import math

from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple


if TYPE_CHECKING:
    from collections.abc import Sequence


_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR

#: The spans of time that people count in, up to a day.
_SPANS: Final = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(count * _MINUTE for count in (1, 2, 5, 10, 15, 30)),
    *(count * _HOUR for count in (1, 2, 3, 6, 12)),
    _DAY,
)

#: Up to how many seconds an axis counts in seconds, minutes, hours.
_SECONDS, _MINUTES, _HOURS = 3 * _MINUTE, 3 * _HOUR, 3 * _DAY


def round_span(least: float) -> float:
    """
    Return a span that people count in, of at *least* so many seconds.
    """
    at = bisect_left(_SPANS, least)
    return _SPANS[at] if at < len(_SPANS) else _DAY * round_up(least / _DAY)


def round_up(least: float) -> float:
    """
    Return the next of 1, 2, 5, 10, 20, 50 and so on; or of 0.1, 0.2 and so on.
    """
    power = math.floor(math.log10(least))
    factor = next(one for one in (1, 2, 5, 10) if one * 10.0**power >= least)
    return factor * 10.0**power


def multiples(step: float, most: float) -> list[float]:
    """
    Return 0 and the multiples of *step*, up to *most*.
    """
    return [step * count for count in range(math.floor(most / step + 1e-9) + 1)]


def time_caption(span: float) -> str:
    """
    Return what the times on an axis of so many seconds are.
    """
    if span <= _SECONDS:
        return "seconds since the start"
    if span <= _MINUTES:
        return "minutes:seconds since the start"
    if span <= _HOURS:
        return "hours:minutes since the start"
    return "days since the start"


def time_label(t: float, span: float) -> str:
    """
    Return how *t* is written on an axis of so many seconds.
    """
    if span <= _SECONDS:
        return f"{t:g}"
    if span <= _MINUTES:
        return f"{t // _MINUTE:.0f}:{t % _MINUTE:02.0f}"
    if span <= _HOURS:
        return f"{t // _HOUR:.0f}:{t % _HOUR // _MINUTE:02.0f}"
    return f"{t / _DAY:g}"


class Bin(NamedTuple):
    """
    Say how many calls there were from *begin* to *end*.
    """

    begin: float
    end: float
    calls: int

    @property
    def rate(self) -> float:
        """
        Calls per second.
        """
        return self.calls / (self.end - self.begin)


def bins(moments: Sequence[float], width: float, seconds: float) -> list[Bin]:
    """
    Count *moments*, in order, over spans of *width* seconds.

    What is left over at the end is a span of its own if it is long enough to
    tell something; else it belongs to the one before.
    """
    count = max(1, math.floor(seconds / width + 0.5))
    edges = [*(width * number for number in range(count)), max(seconds, width)]
    cuts = [0, *(bisect_left(moments, edge) for edge in edges[1:-1]), len(moments)]
    return [
        Bin(*span, end - begin)
        for span, (begin, end) in zip(pairwise(edges), pairwise(cuts), strict=True)
    ]
