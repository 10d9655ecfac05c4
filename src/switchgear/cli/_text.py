"""
How answers are laid out, and what the exit status says of them.
"""

from __future__ import annotations

from typing import Any, Final


#: For terminals and files alike: longer lines are hard to read in either.
WIDTH: Final = 80

#: Exit statuses.
FINE: Final = 0
PROBLEMS: Final = 1
UNREADABLE: Final = 2


def paragraph(text: str, *, indent: str = "", hang: str = "") -> str:
    """
    Return *text* in lines that are not too long, the others begin with *hang*.
    """
    import textwrap

    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_json(answer: dict[str, Any]) -> None:
    """
    Print *answer* as JSON, in ASCII.
    """
    import json

    print(json.dumps(answer, indent=2))
