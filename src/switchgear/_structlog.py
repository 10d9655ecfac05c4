"""
Tell the log what happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from switchgear.events import Event


class LogListener:
    """
    Log events, through structlog if the application configured it.
    """

    def __call__(self, event: Event) -> None:
        """
        Log *event*.
        """
