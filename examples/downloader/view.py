"""
How everything stands at one time, as it is shown on a terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from report import WIDTH
from rich.console import Group
from rich.constrain import Constrain
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from switchgear import CircuitState


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from switchgear import BreakerSnapshot, LimiterSnapshot


#: How many lines of the terminal are left to the log, and what else is shown.
_OTHER_LINES: Final = 6

#: The longest name of a host that is shown in full.
_NAME: Final = 24

#: What is between two columns.
_GAP: Final = 2

_STYLES: Final = {
    CircuitState.CLOSED: "green",
    CircuitState.HALF_OPEN: "yellow",
    CircuitState.OPEN: "bold red",
}


@dataclass(frozen=True, slots=True)
class HostView:
    """
    Hold what is shown of a host.

    Attributes:
        host: Its name.
        rate: How many calls per second were sent lately.
        stored: How many images of it were stored.
        limiter: How its limiter stands.
        breaker: How its breaker stands.
    """

    host: str
    rate: float
    stored: int
    limiter: LimiterSnapshot
    breaker: BreakerSnapshot

    @property
    def is_busy(self) -> bool:
        """
        Whether there is something to be seen.
        """
        return bool(self.rate or self.limiter.waiting)

    def gauge(self) -> RenderableType:
        """
        Return the rate against the limit, as a bar.
        """
        limit = self.limiter.calls_per_second
        if self.limiter.paused_for:
            return Text(f"paused, {self.limiter.paused_for:.1f} s", "yellow")
        return ProgressBar(limit, min(self.rate, limit), finished_style="bar.complete")

    def circuit(self) -> Text:
        """
        Return the state of the circuit.
        """
        state, retry_after = self.breaker.state, self.breaker.retry_after
        words = state.value.replace("_", "-")
        if state is CircuitState.OPEN and retry_after:
            words += f", {retry_after:.1f} s"
        return Text(words, _STYLES.get(state, ""))


class _Column(NamedTuple):
    """
    Describe a column after the name of the host.

    Attributes:
        title: What is written above it.
        width: How wide it is at least.
        rank: When it is left out of a narrow terminal: the highest first.
        cell: Returns what is in it.
    """

    title: str
    width: int
    rank: int
    cell: Callable[[HostView], RenderableType]


_COLUMNS: Final = (
    _Column("", 8, 6, HostView.gauge),
    _Column("now", 5, 1, lambda view: f"{view.rate:.1f}"),
    _Column("limit", 6, 4, lambda view: f"{view.limiter.calls_per_second:.5g}/s"),
    _Column("waiting", 7, 2, lambda view: f"{view.limiter.waiting}"),
    _Column("circuit", 12, 3, HostView.circuit),
    _Column("stored", 6, 5, lambda view: f"{view.stored}"),
)

_LEFT_ALIGNED: Final = ("", "circuit")


@dataclass(frozen=True, slots=True)
class View:
    """
    Hold what is shown at one time.

    Attributes:
        arrived: How many images have arrived.
        images: How many are to arrive.
        seconds: How long it has taken.
        hosts: What is shown of each.
    """

    arrived: int
    images: int
    seconds: float
    hosts: Sequence[HostView]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """
        Yield what it looks like: not wider than the table that will follow.

        What was cut in two when a terminal was made narrower stays there.
        """
        hosts = _chosen(self.hosts, max(2, console.height - _OTHER_LINES))
        table = _table(hosts, min(options.max_width, WIDTH))
        parts: list[RenderableType] = ["", self._progress(), table]
        if len(hosts) < len(self.hosts):
            parts.append(Text(f"and {len(self.hosts) - len(hosts)} more", "dim"))
        yield Constrain(Group(*parts), WIDTH)

    def _progress(self) -> Table:
        table = Table.grid(Column(ratio=1), Column(), padding=(0, _GAP, 0, 0))
        table.expand = True
        words = f"{self.arrived} of {self.images} images, {self.seconds:.0f} s"
        table.add_row(ProgressBar(self.images, self.arrived), words)
        return table


def _chosen(hosts: Sequence[HostView], most: int) -> Sequence[HostView]:
    """
    Return *hosts*; of more than so many, those where something happens.
    """
    if len(hosts) <= most:
        return hosts
    # A line less: one says how many there are besides.
    chosen = sorted(hosts, key=lambda view: not view.is_busy)[: most - 1]
    return [view for view in hosts if view in chosen]


def _table(hosts: Sequence[HostView], width: int) -> Table:
    name = max([len("host"), *(len(view.host) for view in hosts)])
    columns = _fitting(width - min(name, _NAME))
    table = Table(
        Column("host", width=min(name, _NAME), no_wrap=True),
        box=None,
        expand=True,
        header_style="dim",
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
    )
    for column in columns:
        table.add_column(
            column.title,
            ratio=None if column.title else 1,
            min_width=column.width,
            justify="left" if column.title in _LEFT_ALIGNED else "right",
            no_wrap=True,
        )
    for view in hosts:
        table.add_row(Text(view.host), *(column.cell(view) for column in columns))
    return table


def _fitting(width: int) -> list[_Column]:
    """
    Return the columns for which there is room.
    """
    fitting = []
    for column in sorted(_COLUMNS, key=lambda column: column.rank):
        width -= _GAP + column.width
        if width >= 0:
            fitting.append(column)
    return [column for column in _COLUMNS if column in fitting]
