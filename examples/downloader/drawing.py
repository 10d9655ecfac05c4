"""
The file with the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bad_input import BadInputError, shown
from picture import picture
from timeline import timeline


if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from entries import Entry


def check_place(path: Path) -> None:
    """
    Tell now what would go wrong in the end.

    Raises:
        BadInputError: If a file of that name cannot be written.
    """
    try:
        is_there = path.exists()
        path.open("ab").close()
        if not is_there:
            path.unlink()
    except (OSError, ValueError) as error:
        raise BadInputError.about(path, error) from error


def draw(entries: Iterable[Entry], path: Path) -> None:
    """
    Write a picture of *entries* into a file, and say so.

    Raises:
        BadInputError: If it cannot be written.
    """
    text = picture(timeline(entries))
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:
        raise BadInputError.about(path, error) from error
    print(f"Timeline: {shown(path)}")
