"""
Elements of an SVG picture, as text.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Final
from unicodedata import east_asian_width
from xml.sax.saxutils import escape, quoteattr


if TYPE_CHECKING:
    from collections.abc import Mapping


def element(
    name: str, *content: str, paint: Mapping[str, str] | None = None, **values: object
) -> str:
    """
    Return an element with *content*, which is elements and escaped text.

    Args:
        name: Its name.
        content: What is in it.
        paint: Attributes that say how it looks.
        values: Its other attributes, underscores standing for hyphens.
    """
    attributes = "".join(
        f" {key.replace('_', '-')}={quoteattr(_written(value))}"
        for key, value in {**values, **(paint or {})}.items()
    )
    if not content:
        return f"<{name}{attributes}/>"
    return f"<{name}{attributes}>{''.join(content)}</{name}>"


def _written(value: object) -> str:
    return number(value) if isinstance(value, float) else clean(str(value))


def number(value: float) -> str:
    """
    Return a coordinate: a tenth of a pixel is enough.
    """
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def text(content: object) -> str:
    """
    Return *content* as it may stand between tags.
    """
    return escape(clean(str(content)))


def clean(content: str) -> str:
    """
    Return *content* without what XML cannot hold.
    """
    return _UNTELLABLE.sub("\N{REPLACEMENT CHARACTER}", content)


_UNTELLABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def width_of(content: str, size: float) -> float:
    """
    Return how wide *content* gets at the most, whatever the font, about.
    """
    return size * sum(map(_em, content))


_NARROWEST: Final = 0.42


def _em(sign: str) -> float:
    if east_asian_width(sign) in "WF":
        return 1.0
    if sign in "mwMW@%":
        return 0.95
    if sign in " .,:;'|ijlI!/()[]-":
        return _NARROWEST
    return 0.68 if sign.isupper() else 0.64


def fitted(content: str, size: float, width: float) -> str:
    """
    Return *content*, its middle left out where it would be wider than *width*.
    """
    if width_of(content, size) <= width:
        return content
    # No more than that can fit: a name may be as long as a file.
    most = min(len(content) - 1, int(width / (size * _NARROWEST)))
    for kept in range(most, 1, -1):
        tail = kept // 2
        shorter = f"{content[: kept - tail]}…{content[-tail:]}"
        if width_of(shorter, size) <= width:
            return shorter
    return "…"
