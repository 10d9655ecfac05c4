"""
How the program ends, as a number.
"""

from __future__ import annotations

from typing import Final


MISSING: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
