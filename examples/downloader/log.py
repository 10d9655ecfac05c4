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


if TYPE_CHECKING:
    from structlog.typing import EventDict


_logfmt = structlog.processors.LogfmtRenderer()


def configure() -> None:
    """
    Have everything logged to stderr, from now on.
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _short(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value
