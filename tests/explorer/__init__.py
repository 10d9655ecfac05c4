"""
Try every way in which threads can get into each other's way.

The shipped classes are run, not models of them: real threads, one at a time,
stopped at every step that another thread could notice. A schedule that breaks
something is printed as a line, with which it is run again.
"""

from __future__ import annotations

from explorer.failure import (
    DeadlockError,
    DivergedError,
    EndlessError,
    ScheduleFailed,
)
from explorer.search import (
    Coverage,
    Outcome,
    Race,
    explore,
    is_at_every_step,
    replay,
)


__all__ = [
    "Coverage",
    "DeadlockError",
    "DivergedError",
    "EndlessError",
    "Outcome",
    "Race",
    "ScheduleFailed",
    "explore",
    "is_at_every_step",
    "replay",
]
