"""
Numbers in words.
"""

from __future__ import annotations

from typing import Final


_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def counted(count: int, noun: str) -> str:
    """
    Return *count* and *noun*, which is in the plural unless there is one.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """
    Return *seconds* in words.
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.1f} s"
    # Rounded before it is divided: 3599.9 s are an hour.
    whole = round(seconds)
    for unit, part, names in (
        (_DAY, _HOUR, ("d", "h")),
        (_HOUR, _MINUTE, ("h", "min")),
    ):
        if whole >= unit:
            return f"{whole // unit} {names[0]} {whole % unit // part} {names[1]}"
    return f"{whole // _MINUTE} min {whole % _MINUTE} s"


def span_in_words(seconds: float) -> str:
    """
    Return *seconds* in words, with no more than three digits.
    """
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"
