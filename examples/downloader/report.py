"""
What was done, as a table.
"""

from __future__ import annotations

import textwrap

from typing import TYPE_CHECKING, Final

from bad_input import shown


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from download import Missing
    from tally import Tallies


WIDTH: Final = 80

#: How many of the images that are missing are listed.
LISTED: Final = 10

#: The columns after the host, and how wide they are.
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
    calls: sent to the host; waits: turns that were waited for; refused: not
    sent, the circuit was open or the limiter closed; failed: no answer, or an
    error; 429: told to come back later; changes: of the circuit's state; rate/s:
    (calls - burst) / seconds from the first call to the last, pauses and downtime
    included; limit: of the limiter; dupl.: images there were already.
"""


def table(tallies: Tallies) -> Iterator[str]:
    """
    Yield the lines of a table with a row for each host and one for all.
    """
    rows = {host: _row(tallies, host) for host in tallies}
    yield f"{'host':<{_HOST}}" + "".join(
        f"{name:>{_COLUMNS[name]}}" for name in _COLUMNS
    )
    for host, row in rows.items():
        yield from _lines(host, row)
    if len(rows) > 1:
        yield from _lines("all", _total(rows.values()))
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
        f" {stored} stored, {duplicates} already there."
    )
    for address, reason in missing[:LISTED]:
        yield from textwrap.wrap(
            f"missing: {shown(address)}: {reason}",
            WIDTH,
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    if len(missing) > LISTED:
        yield f"... and {len(missing) - LISTED} more"


def _row(tallies: Tallies, host: str) -> list[int | str]:
    tally, limiter = tallies[host], tallies.limiter(host)
    rate = tally.rate(limiter.burst)
    return [
        int(tally.calls),
        tallies.waits(host),
        limiter.refused + tallies.breaker(host).refused,
        int(tally.failed),
        int(tally.too_fast),
        tallies.changes(host),
        "-" if rate is None else f"{rate:.1f}",
        f"{limiter.calls_per_second:.5g}",
        int(tally.stored),
        int(tally.duplicates),
    ]


def _total(rows: Iterable[list[int | str]]) -> list[int | str]:
    """
    Return the sums of the columns; those of text have none.
    """
    total: list[int | str] = []
    for column in zip(*rows, strict=True):
        numbers = [cell for cell in column if isinstance(cell, int)]
        total.append(sum(numbers) if numbers else "")
    return total


def _lines(host: str, row: list[int | str]) -> Iterator[str]:
    if len(host) >= _HOST:
        # A line of its own; the numbers below.
        yield from textwrap.wrap(host, WIDTH)
        host = ""
    widths = _COLUMNS.values()
    cells = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
    yield f"{host:<{_HOST}}{''.join(cells)}".rstrip()
