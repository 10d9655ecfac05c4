"""
What happened to the calls of each host, in the course of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from entries import Entry


class Band(NamedTuple):
    """
    Say how something stood for a while.

    Attributes:
        begin: From when on, in seconds since the start.
        end: Until when.
        state: How: ``"open"``, ``"paused"``.
    """

    begin: float
    end: float
    state: str


class Waiting(NamedTuple):
    """
    Say how many wait for their turn from some time on.
    """

    t: float
    calls: int


class Limit(NamedTuple):
    """
    Say what a limiter admits from some time on.
    """

    t: float
    calls_per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class HostLine:
    """
    Hold what happened to the calls of one host, everything in its order.

    Attributes:
        host: Its name.
        sent: When calls were sent.
        failed: When calls had failed.
        sent_away: When calls had been answered with 429.
        refused: When calls were not sent: the circuit or the limiter refused.
        waiting: How many waited.
        limits: What the limiter admitted.
        circuit: How the circuit stood, without a gap.
        limiter: When the limiter was paused or closed.
    """

    host: str
    sent: tuple[float, ...]
    failed: tuple[float, ...]
    sent_away: tuple[float, ...]
    refused: tuple[float, ...]
    waiting: tuple[Waiting, ...]
    limits: tuple[Limit, ...]
    circuit: tuple[Band, ...]
    limiter: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    Hold what happened.

    Attributes:
        seconds: How long it took.
        hosts: To whom, in the order in which they were met.
        images: How many images there were to be had, or None: the end is
            missing.
        arrived: How many of them arrived.
        interrupted: Whether that was because somebody interrupted it.
    """

    seconds: float
    hosts: tuple[HostLine, ...]
    images: int | None = None
    arrived: int = 0
    interrupted: bool = False


#: What is of no use here.
IGNORED: Final = frozenset({"rate_limit_waited", "image_stored", "image_known"})

_REFUSALS: Final = ("circuit_refused", "rate_limit_refused")

#: The states that circuits are in after what is told of them.
_STATES: Final = {
    "circuit_opened": "open",
    "circuit_half_opened": "half_open",
    "circuit_closed": "closed",
}


def timeline(entries: Iterable[Entry]) -> Timeline:
    """
    Return what *entries* tell, in whatever order.
    """
    # From many threads they come nearly in order only.
    ordered = sorted(entries, key=attrgetter("t"))
    seconds = ordered[-1].t if ordered else 0.0
    by_host: dict[str, list[Entry]] = {}
    ending: Mapping[str, Any] = {}
    for entry in ordered:
        if entry.event == "run_ended":
            ending = entry.details
        elif entry.host is not None:
            by_host.setdefault(entry.host, []).append(entry)
    return Timeline(
        seconds,
        tuple(_host_line(host, its, seconds) for host, its in by_host.items()),
        **{key: ending[key] for key in ("images", "arrived", "interrupted") if ending},
    )


def _host_line(host: str, entries: Sequence[Entry], seconds: float) -> HostLine:
    def times(*events: str) -> tuple[float, ...]:
        return tuple(entry.t for entry in entries if entry.event in events)

    samples = [(entry.t, entry.details) for entry in entries if entry.event == _SAMPLED]
    return HostLine(
        host,
        sent=times("call_sent"),
        failed=times("call_failed"),
        sent_away=times("call_sent_away"),
        refused=times(*_REFUSALS),
        waiting=tuple(Waiting(t, sample["waiting"]) for t, sample in samples),
        limits=_limits(samples),
        circuit=_circuit(entries, seconds),
        limiter=_limiter(entries, seconds),
    )


_SAMPLED: Final = "limiter_sampled"


def _limits(samples: Iterable[tuple[float, Mapping[str, Any]]]) -> tuple[Limit, ...]:
    """
    Return the limits in *samples*, those that are new.
    """
    limits: list[Limit] = []
    for t, sample in samples:
        limit = Limit(t, sample["calls_per_second"], sample["burst"])
        if not limits or limits[-1][1:] != limit[1:]:
            limits.append(limit)
    return tuple(limits)


def _circuit(entries: Iterable[Entry], seconds: float) -> tuple[Band, ...]:
    bands = [Band(0.0, seconds, "closed")]
    for entry in entries:
        state = _STATES.get(entry.event)
        if entry.event == "circuit_forced":
            state = entry.details["to_state"]
        if state is not None:
            _cut(bands, entry.t)
            if bands[-1].begin == bands[-1].end:
                del bands[-1]
            if bands and bands[-1].state == state:
                bands[-1] = bands[-1]._replace(end=seconds)
            else:
                bands.append(Band(entry.t, seconds, state))
    return tuple(bands)


def _limiter(entries: Iterable[Entry], seconds: float) -> tuple[Band, ...]:
    bands: list[Band] = []
    for entry in entries:
        now = entry.t
        standing = bands[-1].state if bands and bands[-1].end > now else None
        if entry.event == "limiter_closed" or (
            entry.event == "limiter_reopened" and standing == "closed"
        ):
            _cut(bands, now)
        if entry.event == "limiter_closed":
            bands.append(Band(now, seconds, "closed"))
        elif entry.event == "limiter_paused" and standing != "closed":
            end = min(now + entry.details["paused_for"], seconds)
            if standing == "paused":
                bands[-1] = bands[-1]._replace(end=max(end, bands[-1].end))
            else:
                bands.append(Band(now, end, "paused"))
    return tuple(band for band in bands if band.begin < band.end)


def _cut(bands: list[Band], now: float) -> None:
    """
    End the last of *bands* now, if it would not have ended before.
    """
    if bands and bands[-1].end > now:
        bands[-1] = bands[-1]._replace(end=now)
