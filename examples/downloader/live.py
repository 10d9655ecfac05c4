"""
What can be watched on a terminal while it happens.
"""

from __future__ import annotations

import sys
import time

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from view import HostView, View

from switchgear import registry


if TYPE_CHECKING:
    from tally import Tallies


#: How often it is drawn anew, per second.
REFRESHES: Final = 8


def find_terminal() -> Console | None:
    """
    Return the terminal that stdout is, if what is on it can be drawn anew.
    """
    # Asked first: some environments have colours wanted everywhere.
    # (And there may be none at all: ``>&-``.)
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    console = Console(highlight=False)
    able = console.is_terminal and not console.is_dumb_terminal
    return console if able and console.is_interactive else None


class Display:
    """
    Show progress, and a line for each host, below whatever else is printed.

    Args:
        terminal: Where. None: nowhere.
        tallies: What is shown.
        images: How many are to arrive.
    """

    def __init__(self, terminal: Console | None, tallies: Tallies, images: int) -> None:
        self._tallies = tallies
        self._images = images
        self._began = time.monotonic()
        self._live: Live | None = None
        if terminal is not None:
            self._live = Live(
                console=terminal,
                get_renderable=self.view,
                refresh_per_second=REFRESHES,
                # What stays is the table.
                transient=True,
                redirect_stdout=False,
                redirect_stderr=sys.stderr.isatty(),
            )

    def start(self) -> None:
        """
        Begin to show it.
        """
        if self._live is not None:
            self._live.start(refresh=True)

    def stop(self) -> None:
        """
        Show it no more; harmless if it was never begun.
        """
        if self._live is not None:
            self._live.stop()

    def view(self) -> View:
        """
        Return how everything stands.
        """
        now = time.monotonic()
        limiters = registry.keyed_limiter("images").snapshot()
        breakers = registry.keyed_breaker("images").snapshot()
        return View(
            arrived=self._tallies.arrived,
            images=self._images,
            seconds=now - self._began,
            hosts=[
                HostView(
                    host,
                    self._tallies[host].rate_now(limiters[host].calls_per_second, now),
                    int(self._tallies[host].stored),
                    limiters[host],
                    breakers[host],
                )
                for host in self._tallies
                # One that is idle may have been forgotten.
                if host in limiters and host in breakers
            ],
        )
