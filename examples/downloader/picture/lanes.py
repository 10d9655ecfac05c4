"""
How fast calls were sent, and how many waited.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from math import ceil, floor
from typing import TYPE_CHECKING, Final

from words import counted

from picture.frame import LEFT, REMARKS, RIGHT, SMALL, Frame, Lane, write
from picture.palette import fill, stroke
from picture.scales import bins, multiples, round_up
from picture.svg import element, number


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from timeline import HostLine, Limit, Waiting

    from picture.scales import Bin


_RATE_HEIGHT, _WAITING_HEIGHT = 84.0, 34.0

#: How much of a lane may be used, that it does not touch the next one.
_ROOM: Final = 1.12

#: Bars as wide as that have no gap between them.
_NARROW: Final = 4.0

#: A limit so many times higher than what was sent is not drawn to scale.
_FAR: Final = 3.0


def rate_lane(line: HostLine, frame: Frame) -> Lane:
    """
    Draw how many calls were sent per second, as bars, and the limit, as a line.
    """
    bars = bins(line.sent, frame.bin_width, frame.seconds)
    peak = max(bar.rate for bar in bars)
    limits = [limit.calls_per_second for limit in line.limits]
    near = [limit for limit in limits if limit <= _FAR * peak or not peak]
    top = _ROOM * max([peak, *near]) or 1.0
    parts = [
        *_scale(top),
        *(_bar(bar, top, frame) for bar in bars if bar.calls),
        *_limit_line(line.limits, top, frame),
    ]
    return Lane("calls/s", _RATE_HEIGHT, "".join(parts))


def _y(rate: float, top: float) -> float:
    return _RATE_HEIGHT * (1 - rate / top)


def _scale(top: float) -> Iterator[str]:
    for rate in multiples(round_up(top / 3.5), top):
        y = _y(rate, top)
        yield element(
            "path", d=f"M{LEFT:g} {number(y)}H{RIGHT:g}", paint=stroke("grid")
        )
        yield write(
            f"{rate:g}", LEFT - 6, y + 4, size=SMALL, role="muted", anchor="end"
        )


def _bar(bar: Bin, top: float, frame: Frame) -> str:
    begin, end, y = frame.x(bar.begin), frame.x(bar.end), _y(bar.rate, top)
    # With a gap between two of them, if there is room for one.
    gap = 1.0 if end - begin > _NARROW else 0.0
    title = f"{bar.begin:g} to {bar.end:g} s: {counted(bar.calls, 'call')}"
    return element(
        "rect",
        element("title", title),
        x=begin + gap / 2,
        y=y,
        width=end - begin - gap,
        height=_RATE_HEIGHT - y,
        paint=fill("sent"),
    )


def _limit_line(limits: Sequence[Limit], top: float, frame: Frame) -> Iterator[str]:
    if not limits:
        return
    # It held before it was looked at for the first time.
    starts = [0.0, *(limit.t for limit in limits[1:]), frame.seconds]
    d = ""
    for limit, (begin, end) in zip(limits, pairwise(starts), strict=True):
        if limit.calls_per_second <= top:
            height = number(_y(limit.calls_per_second, top))
            d += f"M{number(frame.x(begin))} {height}H{number(frame.x(end))}"
    if d:
        # On ground of its own, to be seen across bars.
        yield element("path", d=d, paint=stroke("panel", 3.0))
        yield element("path", d=d, stroke_dasharray="7 4", paint=stroke("limit", 2.0))
    last = limits[-1]
    far = last.calls_per_second > top
    y = 10.0 if far else min(max(10.0, _y(last.calls_per_second, top) + 4), 66.0)
    words = f"limit {last.calls_per_second:.6g}/s{' ↑' if far else ''}"
    yield write(words, REMARKS, y, role="limit")
    if last.burst > 1:
        yield write(f"burst {last.burst}", REMARKS, y + 15, role="muted")


def waiting_lane(line: HostLine, frame: Frame) -> Lane:
    """
    Draw how many calls waited for their turn.
    """
    columns = _columns(line.waiting, frame)
    most = max(columns)
    outline, x = "", LEFT
    for calls, run in groupby(columns):
        y = number(_WAITING_HEIGHT * (1 - calls / (_ROOM * most or 1)))
        begin, x = x, x + len(list(run))
        outline += (
            f"V{y}H{number(x)}" if outline else f"M{number(begin)} {y}H{number(x)}"
        )
    base = number(_WAITING_HEIGHT)
    parts = (
        element(
            "path",
            d=f"{outline}V{base}H{number(LEFT)}z",
            paint=fill("waiting"),
        ),
        element("path", d=outline, paint=stroke("waiting-edge", 1.2)),
    )
    return Lane("waiting", _WAITING_HEIGHT, "".join(parts), f"{most} at most")


def _columns(waiting: Sequence[Waiting], frame: Frame) -> list[int]:
    """
    Return the most that waited, for each pixel until the end of the run.
    """
    columns = [0] * (ceil(frame.pixels(frame.seconds)) or 1)
    ends = [*(step.t for step in waiting[1:]), frame.seconds]
    for step, end in zip(waiting, ends, strict=False):
        first, last = floor(frame.pixels(step.t)), floor(frame.pixels(end))
        for column in range(first, min(last + 1, len(columns))):
            columns[column] = max(columns[column], step.calls)
    return columns
