"""
The panel of one host: what happened to its calls, one lane below another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from words import counted

from picture.bands import band_lane
from picture.frame import (
    LARGE,
    NAMES,
    OUTER_LEFT,
    OUTER_RIGHT,
    REMARKS,
    Frame,
    write,
)
from picture.lanes import rate_lane, waiting_lane
from picture.marks import mark_lanes
from picture.palette import CIRCUIT, LIMITER, fill, stroke
from picture.svg import element, fitted, number


if TYPE_CHECKING:
    from collections.abc import Iterator

    from timeline import HostLine

    from picture.frame import Lane


#: How high what is above the lanes is, and what is between and below them.
_HEAD, _GAP, _FOOT = 40.0, 8.0, 12.0


class Panel(NamedTuple):
    """
    Hold what was drawn, from 0 downwards.
    """

    content: str
    height: float


def panel(line: HostLine, frame: Frame) -> Panel:
    """
    Draw what happened to the calls of a host.
    """
    y, lanes = _HEAD, []
    for lane in _lanes(line, frame):
        lanes.append(lane.placed(y))
        y += lane.height + _GAP
    bottom = y - _GAP
    ground = element(
        "rect",
        x=OUTER_LEFT,
        y=0,
        width=OUTER_RIGHT - OUTER_LEFT,
        height=bottom + _FOOT,
        rx=6,
        paint=fill("panel"),
    )
    grid = "".join(
        f"M{number(frame.x(t))} {number(_HEAD)}V{number(bottom)}" for t in frame.ticks()
    )
    name = fitted(line.host, LARGE, REMARKS - NAMES - 16)
    head = [
        write(name, NAMES, 24, size=LARGE, weight="bold"),
        write(counted(len(line.sent), "call"), REMARKS, 24, role="muted"),
    ]
    content = [ground, element("path", d=grid, paint=stroke("grid")), *head, *lanes]
    return Panel("".join(content), bottom + _FOOT)


def _lanes(line: HostLine, frame: Frame) -> Iterator[Lane]:
    yield rate_lane(line, frame)
    yield waiting_lane(line, frame)
    opened = sum(band.state == "open" for band in line.circuit)
    yield band_lane("circuit", line.circuit, CIRCUIT, frame, _many(opened, "opening"))
    if line.limiter:
        paused = sum(band.state == "paused" for band in line.limiter)
        remark = _many(paused, "pause")
        yield band_lane("limiter", line.limiter, LIMITER, frame, remark)
    yield from mark_lanes(line, frame)


def _many(count: int, noun: str) -> str:
    return counted(count, noun) if count else ""
