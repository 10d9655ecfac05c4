"""
How a shared object travels to another process: by name, or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Callable


class Homed:
    """
    Pickle and copy as a name, if the default registry gave one.

    A copy with a state of its own would silently count twice.
    """

    __slots__ = ("_home",)

    def __init__(self) -> None:
        #: How to find this object in another process; the registry knows.
        self._home: tuple[Callable[..., Any], tuple[Any, ...]] | None = None

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._home is None:
            msg = (
                f"{type(self).__name__} cannot be pickled or copied: only those named"
                " in the default registry can, as their name"
            )
            raise TypeError(msg)
        return self._home
