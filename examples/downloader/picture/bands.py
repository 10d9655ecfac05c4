"""
How something stood, as bands with their names in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from timeline import Band

from picture.frame import RIGHT, SMALL, Frame, Lane, write
from picture.palette import Look, filled
from picture.svg import element, text, width_of


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


_HEIGHT: Final = 18.0

#: How wide a moment is drawn, and how far apart moments are at least: so that
#: they do not hide what they lie in, and leave room for a word.
_MOMENT, _APART = 3.0, 32.0

#: How many bands there may be in the width of a moment: one, and a moment in it.
_TOLD_APART: Final = 3


def band_lane(
    name: str,
    bands: Iterable[Band],
    looks: Mapping[str, Look],
    frame: Frame,
    remark: str,
) -> Lane:
    """
    Draw *bands*; one that was over in a moment is as wide as can be seen.
    """
    wholes, moments = _divided(bands, frame)
    parts = [_drawn(band, looks[band.state], frame) for band in (*wholes, *moments)]
    for band in wholes:
        look = looks[band.state]
        gaps = _gaps(band, moments, frame)
        parts += [_label(look, begin, end) for begin, end in gaps]
    return Lane(name, _HEIGHT, "".join(parts), remark)


def _divided(bands: Iterable[Band], frame: Frame) -> tuple[list[Band], list[Band]]:
    """
    Return bands, and the moments to be drawn on them.

    Where everything is after a moment as it was before, there is one band.
    """
    wholes: list[Band] = []
    moments: list[Band] = []
    for band in _coarse(bands, frame):
        if (
            len(wholes) > 1
            and wholes[-2].state == band.state
            and _is_moment(wholes[-1], frame)
        ):
            moments.append(wholes.pop())
            wholes[-1] = wholes[-1]._replace(end=band.end)
        else:
            wholes.append(band)
    moments += [band for band in wholes if _is_moment(band, frame)]
    return wholes, _thinned(sorted(moments), frame)


def _coarse(bands: Iterable[Band], frame: Frame) -> list[Band]:
    """
    Return one band where there are more than could be told apart.

    Its state is the one that lasted longest there.
    """
    column: list[Band] = []
    coarse: list[Band] = []
    for band in bands:
        if column and frame.pixels(band.end - column[0].begin) >= _MOMENT:
            coarse += _merged(column)
            column = []
        column.append(band)
    joined: list[Band] = []
    for band in [*coarse, *_merged(column)]:
        if joined and joined[-1].state == band.state:
            joined[-1] = joined[-1]._replace(end=band.end)
        else:
            joined.append(band)
    return joined


def _merged(column: list[Band]) -> list[Band]:
    if len(column) <= _TOLD_APART:
        return column
    lasted: dict[str, float] = {}
    for band in column:
        lasted[band.state] = lasted.get(band.state, 0.0) + band.end - band.begin
    state = max(lasted, key=lambda one: lasted[one])
    return [Band(column[0].begin, column[-1].end, state)]


def _is_moment(band: Band, frame: Frame) -> bool:
    return frame.pixels(band.end - band.begin) < _MOMENT


def _thinned(moments: Iterable[Band], frame: Frame) -> list[Band]:
    """
    Return those of *moments* that can be told apart.
    """
    kept: list[Band] = []
    for moment in moments:
        if not kept or frame.pixels(moment.begin - kept[-1].begin) >= _APART:
            kept.append(moment)
    return kept


def _extent(band: Band, frame: Frame) -> tuple[float, float]:
    begin, end = frame.x(band.begin), frame.x(band.end)
    if end - begin < _MOMENT:
        begin = min(begin, RIGHT - _MOMENT)
        end = begin + _MOMENT
    return begin, end


def _gaps(
    band: Band, moments: Iterable[Band], frame: Frame
) -> Iterator[tuple[float, float]]:
    """
    Yield where *band* is to be seen between *moments*.
    """
    at, end = _extent(band, frame)
    for moment in moments:
        first, last = _extent(moment, frame)
        if at <= first < end:
            yield at, first
            at = last
    yield at, end


def _drawn(band: Band, look: Look, frame: Frame) -> str:
    begin, end = _extent(band, frame)
    title = f"{look.words}, {band.begin:.2f} to {band.end:.2f} s"
    return element(
        "rect",
        element("title", text(title)),
        x=begin,
        y=0,
        width=end - begin,
        height=_HEIGHT,
        paint=filled(look),
    )


def _label(look: Look, begin: float, end: float) -> str:
    if width_of(look.words, SMALL) > end - begin:
        return ""
    return write(
        look.words, (begin + end) / 2, 13, size=SMALL, role=look.ink, anchor="middle"
    )
