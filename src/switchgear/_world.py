"""
What a registry holds, and what it holds while a block is isolated.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from switchgear._layers import NO_LAYERS


if TYPE_CHECKING:
    from collections.abc import Sequence

    from switchgear._clock import Clock
    from switchgear._entry import Entries
    from switchgear._layers import Layers


class World:
    """
    Hold what is known inside one isolated block, or outside of all.
    """

    __slots__ = ("clock", "entries", "hidden", "layers")

    def __init__(self, layers: Layers = NO_LAYERS, clock: Clock | None = None) -> None:
        self.entries: Entries = {}
        #: The names of those below that were removed here.
        self.hidden: set[str] = set()
        #: What lies between code and run time.
        self.layers = layers
        #: The clock of those whose definition names none; None: the machine's.
        self.clock = clock


def outer_of(worlds: Sequence[World]) -> Entries:
    """
    Return what those below the topmost of *worlds* define for it.
    """
    outer: Entries = {}
    for below, world in pairwise(worlds):
        known = {**outer, **below.entries}
        outer = {key: one for key, one in known.items() if key[1] not in world.hidden}
    return outer
