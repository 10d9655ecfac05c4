"""
What the log looks like: a story, with the seconds since it began.
"""

from __future__ import annotations

import logging
import shutil
import sys
import textwrap
import time

from typing import TYPE_CHECKING, Any

import structlog

from rich.text import Text


if TYPE_CHECKING:
    from rich.console import Console
    from structlog.typing import EventDict


_logfmt = structlog.processors.LogfmtRenderer()


def configure(terminal: Console | None) -> None:
    """
    Have everything logged to stderr, from now on.

    Args:
        terminal: Shown on stdout, with more than the log on it. If stderr is
            shown there, too, lines are written where they do not disturb that.
    """
    began = time.monotonic()

    def line(logger: Any, method: str, event: EventDict) -> str:
        name = event.pop("event")
        if name == "switchgear.circuit_refused":
            # The table has their number; here they would bury the transitions.
            raise structlog.DropEvent
        head = f"{time.monotonic() - began:5.1f} s  {method:<7}  {name}"
        keys = {key: _short(value) for key, value in event.items() if value is not None}
        return textwrap.fill(
            f"{head} {_logfmt(logger, method, keys)}".rstrip(),
            width=shutil.get_terminal_size().columns,
            subsequent_indent=" " * 18,
            break_long_words=False,
            break_on_hyphens=False,
        )

    structlog.configure(
        processors=[line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=(
            structlog.PrintLoggerFactory(sys.stderr)
            if terminal is None or not sys.stderr.isatty()
            else lambda *_: _TerminalLogger(terminal)
        ),
    )


class _TerminalLogger:
    """
    Write lines above what is drawn on a terminal.
    """

    def __init__(self, terminal: Console) -> None:
        self._terminal = terminal

    def info(self, line: str) -> None:
        """
        Write a line.
        """
        self._write(line, "")

    def warning(self, line: str) -> None:
        """
        Write a line that matters.
        """
        self._write(line, "yellow")

    error = warning

    def _write(self, line: str, style: str) -> None:
        self._terminal.print(Text(line, style), soft_wrap=True)


def _short(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value
