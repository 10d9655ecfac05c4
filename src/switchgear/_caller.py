"""
Where in the user's code the library was called.
"""

from __future__ import annotations

import sys


def caller() -> str:
    """
    Return the place outside this library that is calling it: ``file:line``.
    """
    frame = sys._getframe(1)  # noqa: SLF001 -- inspect.stack() would read files
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_ours(module: str) -> bool:
    return module == "switchgear" or module.startswith("switchgear.")
