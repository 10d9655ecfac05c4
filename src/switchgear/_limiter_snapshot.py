"""
A limiter as it stands, for whoever looks: dashboards, exporters, health checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchgear._record import Record, record


if TYPE_CHECKING:
    from switchgear._core.queue import Queue


@record
class RateSnapshot(Record):
    """
    Describe one rate of a limiter as it stands.

    Attributes:
        limit: How many per *per* seconds.
        per: Seconds.
        burst: Capacity.
        counts: ``"tokens"`` or ``"calls"``.
        available: How many are there; negative: how many are owed.

    .. versionadded:: 0.1.0
    """

    limit: float
    per: float
    burst: int
    counts: str
    available: int


@record
class LimiterSnapshot(Record):
    """
    Describe a limiter as it stands.

    Attributes:
        name: Its name, or None.
        calls_per_second: Its pace: that of the slowest of its rates.
        burst: The most one request can take at once.
        available: Tokens that are there; negative: a debt.
        rates: The same for each of its rates.
        waiting: Waiters and reservations in its queue.
        admitted: Calls admitted so far.
        refused: Calls refused so far.
        waited_seconds: Seconds waited by those who were admitted, in all.
        paused_for: Seconds until a pause ends, or 0.0.
        closed: Why it is closed, or None.

    .. versionadded:: 0.1.0
    """

    name: str | None
    calls_per_second: float
    burst: int
    available: int
    rates: tuple[RateSnapshot, ...]
    waiting: int
    admitted: int
    refused: int
    waited_seconds: float
    paused_for: float
    closed: str | None


def snapshot_of(name: str | None, queue: Queue, now: int) -> LimiterSnapshot:
    """
    Describe *queue* at its time *now*.
    """
    budget = queue.budget
    pairs = list(zip(budget.lines, budget.split(queue.state), strict=True))
    return LimiterSnapshot(
        name=name,
        calls_per_second=min([line.rate.calls_per_second for line in budget.lines]),
        burst=budget.largest,
        available=queue.available(now),
        rates=tuple(
            [
                RateSnapshot(
                    limit=line.rate.limit,
                    per=line.rate.per,
                    burst=line.rate.burst,
                    counts=line.rate.counts,
                    available=line.tokens(state, now),
                )
                for line, state in pairs
            ]
        ),
        waiting=len(queue.places),
        admitted=queue.admitted,
        refused=queue.refused,
        waited_seconds=queue.waited / 1e9,
        paused_for=max(0, queue.paused_until - now) / 1e9,
        closed=queue.closed,
    )
