"""
Where things lie in the picture, the same in all panels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from picture.palette import fill
from picture.scales import multiples
from picture.svg import element, text


#: How wide the picture is; where panels begin and end.
WIDTH: Final = 960.0
OUTER_LEFT, OUTER_RIGHT = 12.0, WIDTH - 12.0

#: Where, between them, the times are.
LEFT, RIGHT = 116.0, 836.0

#: Where the words left of that begin, and those right of it.
NAMES, REMARKS = OUTER_LEFT + 12.0, RIGHT + 8.0

#: The sizes of text.
SMALL, NORMAL, LARGE, HUGE = 11.0, 12.0, 15.0, 20.0


@dataclass(frozen=True, slots=True)
class Frame:
    """
    Say where times lie.

    Attributes:
        seconds: When the run ended.
        span: How many seconds there are from left to right.
        step: How many there are from one grid line to the next.
        bin_width: Over how many calls are counted for a bar.
    """

    seconds: float
    span: float
    step: float
    bin_width: float

    def x(self, t: float) -> float:
        """
        Return where *t* lies.
        """
        return LEFT + self.pixels(t)

    def pixels(self, seconds: float) -> float:
        """
        Return how wide so many *seconds* are.
        """
        return (RIGHT - LEFT) * seconds / self.span

    def ticks(self) -> list[float]:
        """
        Return the times that have a grid line.
        """
        return multiples(self.step, self.span)


class Lane(NamedTuple):
    """
    Hold what was drawn of one thing, from 0 downwards.

    Attributes:
        name: What is written left of it.
        height: How high it is.
        content: What was drawn.
        remark: What is written right of it.
    """

    name: str
    height: float
    content: str
    remark: str = ""

    def placed(self, y: float) -> str:
        """
        Return it with its words, from *y* downwards.
        """
        middle = self.height / 2 + 4
        return element(
            "g",
            write(self.name, NAMES, middle),
            self.content,
            write(self.remark, REMARKS, middle, role="muted"),
            transform=f"translate(0 {y:g})",
        )


def write(
    words: str,
    x: float,
    y: float,
    *,
    size: float = NORMAL,
    role: str = "ink",
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    """
    Return *words*, written at a place.
    """
    if not words:
        return ""
    values: dict[str, object] = {"x": x, "y": y, "font_size": size}
    if anchor != "start":
        values["text_anchor"] = anchor
    if weight != "normal":
        values["font_weight"] = weight
    return element("text", text(words), paint=fill(role), **values)
