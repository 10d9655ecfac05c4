"""
What the things in the picture mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from picture.frame import NORMAL, OUTER_LEFT, OUTER_RIGHT, write
from picture.marks import MARKS
from picture.palette import CIRCUIT, LIMITER, fill, filled, stroke
from picture.svg import element, width_of


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from timeline import HostLine

    from picture.palette import Look


ROW: Final = 22.0

_SWATCH, _APART = 24.0, 16.0


class _Item(NamedTuple):
    """
    Hold a sample, drawn into 24 by 14 pixels, and what it means.
    """

    sample: str
    words: str


def legend(hosts: Sequence[HostLine]) -> list[str]:
    """
    Return the rows of a legend for what there is to be seen of *hosts*.
    """
    rows: list[list[str]] = []
    x = OUTER_RIGHT
    for sample, words in _items(hosts):
        width = _SWATCH + 6 + width_of(words, NORMAL)
        if x + width > OUTER_RIGHT:
            rows.append([])
            x = OUTER_LEFT
        rows[-1].append(
            element(
                "g",
                sample,
                write(words, _SWATCH + 6, 11.5),
                transform=f"translate({x:.0f} 0)",
            )
        )
        x += width + _APART
    return ["".join(row) for row in rows]


def _items(hosts: Sequence[HostLine]) -> Iterator[_Item]:
    yield _Item(_bars(), "calls sent per second")
    yield _Item(_line(), "limit")
    yield _Item(_area(), "calls waiting")
    for looks, bands, name in (
        (CIRCUIT, [host.circuit for host in hosts], "circuit"),
        (LIMITER, [host.limiter for host in hosts], "limiter"),
    ):
        seen = {band.state for its in bands for band in its}
        for state, look in looks.items():
            if state in seen:
                yield _Item(_band(look), f"{name} {look.words}")
    for mark in MARKS:
        if any(mark.moments(host) for host in hosts):
            yield _Item(mark.drawn([(_SWATCH / 2, 7.0)]), mark.meaning)


def _bars() -> str:
    return "".join(
        element("rect", x=x, y=14 - height, width=7, height=height, paint=fill("sent"))
        for x, height in ((0, 9), (8, 13), (16, 11))
    )


def _line() -> str:
    return element(
        "path", d="M0 7H24", stroke_dasharray="7 4", paint=stroke("limit", 2.0)
    )


def _area() -> str:
    top = "M0 10H8V3H16V7H24"
    return element("path", d=f"{top}V14H0z", paint=fill("waiting")) + element(
        "path", d=top, paint=stroke("waiting-edge", 1.2)
    )


def _band(look: Look) -> str:
    return element("rect", width=_SWATCH, height=14, paint=filled(look))
