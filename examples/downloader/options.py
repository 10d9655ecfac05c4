"""
What can be said on the command line.
"""

from __future__ import annotations

import argparse
import math

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from bad_input import shown


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


N = TypeVar("N", int, float)

_DESCRIPTION: Final = """\
Download images from three servers that are started on this machine: one is
healthy, one goes down for some seconds and comes back, one sends callers away
who come too fast. Or from addresses of your own, with --urls.
"""

_EPILOG: Final = """\
Each host has a rate limiter and a circuit breaker of its own, shared by all
threads and by the tasks of an event loop, which join the threads halfway. A
call that fails or is refused is tried again later, a bounded number of times;
what a host says in Retry-After is obeyed.

In the end there is a table, and a picture of what happened. On a terminal it
can be watched while it does; elsewhere the log goes to stderr, the table to
stdout. Exit status: 0 if every image arrived, 1 if some are missing, 2 if what
was given makes no sense or a file cannot be written, 130 if interrupted
(Ctrl-C, SIGTERM): table and picture then show what was done; 141 if whoever
reads what is printed has gone away.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """
    Hold what was asked for.

    Attributes:
        urls: A file with addresses, or None for the servers of the demo.
        into: A folder for the images, or None for one that is removed again.
        rate: Calls per second to each host, or None for the usual.
        threads: How many threads.
        images: How many images the servers of the demo have, all together.
        outage: For how many seconds the flaky one goes down, each time.
        picture: Where the picture of the timeline goes.
        record: Where the events go, or None.
        replay: Where the events come from that are to be drawn once more, or
            None.
    """

    urls: Path | None
    into: Path | None
    rate: float | None
    threads: int
    images: int
    outage: float
    picture: Path
    record: Path | None
    replay: Path | None


class _Parser(argparse.ArgumentParser):
    """
    Say what is wrong in one line.
    """

    def error(self, message: str) -> NoReturn:
        """
        End the program.
        """
        self.exit(2, f"{self.prog}: {shown(message)}\n")


def parse(arguments: Sequence[str] | None = None) -> Options:
    """
    Return the options in *arguments*; end the program if they make no sense.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    for name in ("images", "outage"):
        if given.urls is not None and getattr(given, name) is not None:
            parser.error(f"--{name} is about the servers of the demo, not about --urls")
    for name in ("urls", "into", "rate", "threads", "images", "outage", "record"):
        if given.replay is not None and getattr(given, name) is not None:
            parser.error(f"--{name} is about downloading, and --replay does not")
    for written, read in (
        ("picture", "urls"),
        ("picture", "record"),
        ("picture", "replay"),
        ("record", "urls"),
    ):
        if getattr(given, written) == getattr(given, read) is not None:
            parser.error(f"--{written} and --{read} cannot be the same file")
    return Options(
        urls=given.urls,
        into=given.into,
        rate=given.rate,
        threads=_THREADS if given.threads is None else given.threads,
        images=_IMAGES if given.images is None else given.images,
        outage=_OUTAGE if given.outage is None else given.outage,
        picture=given.picture,
        record=given.record,
        replay=given.replay,
    )


_THREADS: Final = 16
_IMAGES: Final = 600
_OUTAGE: Final = 3.0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="downloader",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--urls",
        metavar="FILE",
        type=_path,
        help="a text file with an address on each line, http:// or https://; blank"
        " lines and lines that begin with # are left out",
    )
    parser.add_argument(
        "--into",
        metavar="FOLDER",
        type=_path,
        help="keep the images here (else they are removed in the end)",
    )
    parser.add_argument(
        "--rate",
        metavar="R",
        type=_number(float, 0.001, 10_000.0),
        help="calls per second to each host, 0.001 to 10000 (20; with --urls 2)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=_number(int, 1, 256),
        help=f"how many threads, 1 to 256 ({_THREADS})",
    )
    parser.add_argument(
        "--images",
        metavar="N",
        type=_number(int, 3, 100_000),
        help=f"how many images the three servers have, 3 to 100000 ({_IMAGES})",
    )
    parser.add_argument(
        "--outage",
        metavar="S",
        type=_number(float, 0.0, 20.0),
        help="for how many seconds the flaky server goes down, each time, 0 to 20"
        f" ({_OUTAGE:g})",
    )
    parser.add_argument(
        "--picture",
        metavar="FILE",
        type=_path,
        default=Path("timeline.svg"),
        help="where the picture of the timeline goes (%(default)s)",
    )
    parser.add_argument(
        "--record",
        metavar="FILE",
        type=_path,
        help="write the events there while they happen, one JSON object on each line",
    )
    parser.add_argument(
        "--replay",
        metavar="FILE",
        type=_path,
        help="download nothing: draw the picture of what was recorded there",
    )
    return parser


def _path(text: str) -> Path:
    # Path("") is the current folder.
    if not text:
        msg = "must be the name of a file or folder, not ''"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)


_NOUNS: Final[dict[type, str]] = {int: "a whole number", float: "a number"}


def _number(kind: type[N], least: N, most: N) -> Callable[[str], N]:
    """
    Return what turns text into a number of that *kind* and range.
    """

    def number(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            value = kind(least) - 1
        if math.isnan(value) or not least <= value <= most:
            msg = f"must be {_NOUNS[kind]} from {least:g} to {most:g}, not {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return value

    return number
