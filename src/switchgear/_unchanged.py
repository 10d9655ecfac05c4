"""
The default of ``reconfigure``'s arguments, where None is a setting.
"""

from __future__ import annotations

from typing import Final


class Unchanged:
    """
    Stand for a setting that is to stay as it is.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<unchanged>"


UNCHANGED: Final = Unchanged()
