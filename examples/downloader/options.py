"""
What can be said on the command line.
"""

from __future__ import annotations

import argparse
import math

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from addresses import shown


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

The log goes to stderr, the table to stdout. Exit status: 0 if every image
arrived, 1 if some are missing, 2 if what was given makes no sense, 130 if
interrupted (Ctrl-C): the table then shows what was done.
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
    """

    urls: Path | None
    into: Path | None
    rate: float | None
    threads: int
    images: int
    outage: float


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
    return Options(
        urls=given.urls,
        into=given.into,
        rate=given.rate,
        threads=given.threads,
        images=_IMAGES if given.images is None else given.images,
        outage=_OUTAGE if given.outage is None else given.outage,
    )


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
        type=Path,
        help="a text file with an address on each line, http:// or https://; blank"
        " lines and lines that begin with # are left out",
    )
    parser.add_argument(
        "--into",
        metavar="FOLDER",
        type=Path,
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
        default=16,
        help="how many threads, 1 to 256 (%(default)s)",
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
    return parser


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
