"""
What was done, as a table.
"""

from __future__ import annotations

import textwrap

from typing import TYPE_CHECKING, Final, NamedTuple

from addresses import shown


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from download import Missing
    from tally import Tallies


WIDTH: Final = 80

#: How many of the images that are missing are listed.
LISTED: Final = 10

_COLUMNS: Final = {
    "calls": 6,
    "waits": 6,
    "refused": 8,
    "failed": 7,
    "429": 5,
    "changes": 8,
    "rate/s": 7,
    "limit": 7,
    "stored": 7,
    "dupl.": 6,
}

_HOST: Final = WIDTH - sum(_COLUMNS.values())

_LEGEND: Final = """
    calls: sent to the host; waits: calls that waited for their turn; refused: not
    sent, the circuit was open or the limiter closed; failed: no answer, or an
    error; 429: told to come back later; changes: of the circuit's state; rate/s:
    (calls - burst) / seconds from the first call to the last, pauses and downtime
    included; limit: of the limiter; dupl.: images there were already.
"""


class _Row(NamedTuple):
    calls: int
    waits: int
    refused: int
    failed: int
    too_fast: int
    changes: int
    rate: str
    limit: str
    stored: int
    duplicates: int


def table(tallies: Tallies, hosts: Sequence[str]) -> Iterator[str]:
    """
    Yield the lines of a table with a row for each of *hosts* and one for all.
    """
    rows = {host: _row(tallies, host) for host in hosts}
    yield f"{'host':<{_HOST}}" + "".join(
        f"{name:>{_COLUMNS[name]}}" for name in _COLUMNS
    )
    for host, row in rows.items():
        yield from _lines(host, row)
    if len(rows) > 1:
        yield from _lines("all", _total(list(rows.values())))
    yield ""
    yield textwrap.fill(" ".join(_LEGEND.split()), WIDTH)


def summary(
    tallies: Tallies, images: int, missing: Sequence[Missing], seconds: float
) -> Iterator[str]:
    """
    Yield what came of *images*, in a few words, and the first that are missing.
    """
    stored = sum(int(tallies[host].stored) for host in tallies)
    duplicates = sum(int(tallies[host].duplicates) for host in tallies)
    yield (
        f"{stored + duplicates} of {images} images arrived in {seconds:.1f} s:"
        f" {stored} stored, {duplicates} duplicates."
    )
    for address, reason in missing[:LISTED]:
        yield from textwrap.wrap(
            f"missing: {shown(address)}: {reason}", WIDTH, subsequent_indent="    "
        )
    if len(missing) > LISTED:
        yield f"... and {len(missing) - LISTED} more"


def _row(tallies: Tallies, host: str) -> _Row:
    tally, limiter = tallies[host], tallies.limiter(host)
    rate = tally.rate(limiter.burst)
    return _Row(
        calls=int(tally.calls),
        waits=tallies.waits(host),
        refused=limiter.refused + tallies.breaker(host).refused,
        failed=int(tally.failed),
        too_fast=int(tally.too_fast),
        changes=tallies.changes(host),
        rate="-" if rate is None else f"{rate:.1f}",
        limit=f"{limiter.calls_per_second:.5g}",
        stored=int(tally.stored),
        duplicates=int(tally.duplicates),
    )


def _total(rows: list[_Row]) -> _Row:
    sums = {
        name: "" if isinstance(values[0], str) else sum(values)
        for name, *values in zip(_Row._fields, *rows, strict=True)
    }
    return _Row(**sums)


def _lines(host: str, row: _Row) -> Iterator[str]:
    if len(host) >= _HOST:
        # A line of its own; the numbers below.
        yield shown(host)
        host = ""
    widths = _COLUMNS.values()
    cells = "".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
    yield f"{host:<{_HOST}}{cells}".rstrip()
