"""
When calls came to nothing, as marks; how many, as numbers beside them.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from picture.frame import RIGHT, SMALL, Frame, Lane, write
from picture.palette import fill, stroke
from picture.svg import element, number, width_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from timeline import HostLine


_HEIGHT: Final = 17.0

#: How far apart marks are at least, and how far from a number beside them.
_APART, _BESIDE = 9.0, 7.0


class Mark(NamedTuple):
    """
    Say what a mark looks like, and what it stands for.

    Attributes:
        name: The name of its lane.
        meaning: What it stands for.
        moments: Returns when that happened to the calls of a host, in order.
        path: The outline, from the centre.
        paint: The colour.
    """

    name: str
    meaning: str
    moments: Callable[[HostLine], Sequence[float]]
    path: str
    paint: dict[str, str]

    def drawn(self, centres: Iterable[tuple[float, float]]) -> str:
        """
        Return the mark at each of *centres*.
        """
        d = "".join(f"M{number(x)} {number(y)}{self.path}" for x, y in centres)
        return element("path", d=d, paint=self.paint)


MARKS: Final = (
    Mark(
        "refused",
        "refused, not sent",
        attrgetter("refused"),
        "m-3-3l6 6m0-6l-6 6",
        stroke("refused", 1.8),
    ),
    Mark(
        "failed",
        "failed",
        attrgetter("failed"),
        "m0-4.5l4.5 4.5-4.5 4.5-4.5-4.5z",
        fill("failed"),
    ),
    Mark(
        "429",
        "told to slow down (429)",
        attrgetter("sent_away"),
        "m0-4l4.5 8h-9z",
        fill("sent-away"),
    ),
)


def mark_lanes(line: HostLine, frame: Frame) -> Iterator[Lane]:
    """
    Draw what there is to be marked, each kind in a lane of its own.
    """
    for mark in MARKS:
        moments = mark.moments(line)
        if moments:
            yield _lane(mark, moments, frame)


def _lane(mark: Mark, moments: Sequence[float], frame: Frame) -> Lane:
    middle = _HEIGHT / 2
    parts = []
    for marks, calls in _groups(moments, frame):
        parts.append(mark.drawn([(x, middle) for x in marks]))
        words, x = str(calls), marks[-1] + _BESIDE
        if calls > 1 and x + width_of(words, SMALL) <= RIGHT:
            parts.append(write(words, x, middle + 4, size=SMALL, role="muted"))
    return Lane(mark.name, _HEIGHT, "".join(parts), f"{len(moments)} in all")


class _Group(NamedTuple):
    """
    Hold where there are marks, and for how many calls they stand.
    """

    marks: list[float]
    calls: int


def _groups(moments: Sequence[float], frame: Frame) -> Iterator[_Group]:
    """
    Yield groups that leave room for their numbers.
    """
    marks: list[float] = []
    calls = 0
    for t in moments:
        x = frame.x(t)
        if marks and x - marks[-1] >= 2 * _BESIDE + width_of(str(calls), SMALL):
            yield _Group(marks, calls)
            marks, calls = [], 0
        if not marks or x - marks[-1] >= _APART:
            marks.append(x)
        calls += 1
    if marks:
        yield _Group(marks, calls)
