"""
How things look in the picture, by light and by dark.

Colours for light are attributes, which every viewer obeys; those for dark are
in a style sheet, for viewers that know what their user prefers. No two things
differ by colour only: bands have patterns and labels, marks have shapes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from picture.svg import element


class Colour(NamedTuple):
    """
    Hold a colour for light, and one for dark.
    """

    light: str
    dark: str


#: By what they are for.
COLOURS: Final = {
    "page": Colour("#ffffff", "#0d1117"),
    "panel": Colour("#f4f6f8", "#171c24"),
    "ink": Colour("#1f2328", "#e6edf3"),
    "muted": Colour("#57606a", "#a3adb8"),
    "grid": Colour("#d5dae0", "#303843"),
    "sent": Colour("#2f7fc1", "#3b7dbd"),
    "limit": Colour("#9a3d00", "#ffa657"),
    "waiting": Colour("#c5b3e0", "#5b4785"),
    "waiting-edge": Colour("#6b4fa0", "#c4a7f0"),
    "closed": Colour("#cfe6dc", "#1d4436"),
    "closed-mark": Colour("#b3d6c6", "#28594a"),
    "on-closed": Colour("#1d4d38", "#a9dfc5"),
    "half-open": Colour("#f2c744", "#e0ae2b"),
    "half-open-mark": Colour("#d2a01c", "#b58718"),
    "on-half-open": Colour("#3d2e00", "#1f1700"),
    "open": Colour("#b5401a", "#b5401a"),
    "open-mark": Colour("#9c3210", "#9c3210"),
    "on-open": Colour("#ffffff", "#ffffff"),
    "paused": Colour("#e3e7eb", "#2b323c"),
    "paused-mark": Colour("#c4cad1", "#3c4551"),
    "refused": Colour("#b5401a", "#ff8f66"),
    "failed": Colour("#a3246f", "#f08fcf"),
    "sent-away": Colour("#7a5200", "#f2c744"),
}


def fill(role: str) -> dict[str, str]:
    """
    Return the attributes of what is filled.
    """
    return {"class": f"sg-{role}", "fill": COLOURS[role].light}


def stroke(role: str, width: float = 1.0) -> dict[str, str]:
    """
    Return the attributes of what is drawn as a line.
    """
    return {
        "class": f"sg-{role}-line",
        "stroke": COLOURS[role].light,
        "stroke-width": f"{width:g}",
        "fill": "none",
    }


class Look(NamedTuple):
    """
    Say what a band looks like.

    Attributes:
        words: What is written in it.
        fill: What it is filled with: a colour or a pattern.
        ink: The colour of the words.
    """

    words: str
    fill: str
    ink: str


#: The states of circuits.
CIRCUIT: Final = {
    "closed": Look("closed", "closed", "on-closed"),
    "half_open": Look("half-open", "half-open-dots", "on-half-open"),
    "open": Look("open", "open-stripes", "on-open"),
    "forced_open": Look("forced open", "open", "on-open"),
    "forced_closed": Look("forced closed", "closed-stripes", "on-closed"),
    "observing": Look("observing", "closed-dots", "on-closed"),
}

#: What limiters are when they do not just limit.
LIMITER: Final = {
    "paused": Look("paused", "paused-stripes", "ink"),
    "closed": Look("closed", "muted", "page"),
}


def filled(look: Look) -> dict[str, str]:
    """
    Return the attributes of a band.
    """
    if look.fill in COLOURS:
        return fill(look.fill)
    return {"fill": f"url(#sg-{look.fill})"}


def definitions() -> str:
    """
    Return the patterns, and the style sheet for the dark.
    """
    dark = "".join(
        f".sg-{role}{{fill:{colour.dark}}}.sg-{role}-line{{stroke:{colour.dark}}}"
        for role, colour in COLOURS.items()
    )
    return element(
        "defs",
        element("style", f"@media (prefers-color-scheme:dark){{{dark}}}"),
        _stripes("open", 45),
        _stripes("closed", 45),
        _stripes("paused", -45),
        _dots("half-open"),
        _dots("closed"),
    )


def _stripes(role: str, degrees: int) -> str:
    mark = element("rect", width=3, height=8, paint=fill(f"{role}-mark"))
    return _pattern(f"{role}-stripes", role, mark, side=8, degrees=degrees)


def _dots(role: str) -> str:
    mark = element("circle", cx=3, cy=3, r=1.3, paint=fill(f"{role}-mark"))
    return _pattern(f"{role}-dots", role, mark, side=6, degrees=0)


def _pattern(name: str, role: str, mark: str, *, side: int, degrees: int) -> str:
    return element(
        "pattern",
        element("rect", width=side, height=side, paint=fill(role)),
        mark,
        id=f"sg-{name}",
        width=side,
        height=side,
        patternUnits="userSpaceOnUse",
        patternTransform=f"rotate({degrees})",
    )
