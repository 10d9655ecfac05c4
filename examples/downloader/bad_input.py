"""
What is said when that which was given makes no sense.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class BadInputError(Exception):
    """
    Say in one line what is wrong with what the user gave.
    """

    @classmethod
    def about(cls, path: Path, error: OSError | ValueError) -> Self:
        """
        Return what to say of a file that could not be used.
        """
        reason = getattr(error, "strerror", None) or error
        return cls(f"{shown(path)}: {reason}")


def shown(thing: object) -> str:
    """
    Return *thing* as text for one line: nothing unprintable, and not too long.
    """
    text = str(thing)
    if len(text) > _SHOWN:
        text = text[: _SHOWN - 3] + "..."
    return text if text.isprintable() else repr(text)


_SHOWN: Final = 200
