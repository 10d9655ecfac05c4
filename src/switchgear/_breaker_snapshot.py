"""
A breaker as it stands, for whoever looks: dashboards, exporters, health checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchgear._record import Record, record


if TYPE_CHECKING:
    from switchgear.events import CircuitState


@record
class WindowSnapshot(Record):
    """
    Describe what is in the window of a breaker.

    Attributes:
        calls: How many calls.
        failures: How many of them failed.
        slow: How many of them were slow.

    .. versionadded:: 0.1.0
    """

    calls: int
    failures: int
    slow: int


@record
class BreakerSnapshot(Record):
    """
    Describe a breaker as it stands.

    Attributes:
        name: Its name, or None.
        state: Its state.
        since: For how many seconds it has been there.
        failures: Failures in a row.
        window: What is in the window, or None if it has none.
        admitted: Calls admitted so far, those reported without asking
            included.
        refused: Calls refused so far.
        failed: Calls that failed so far.
        ignored: Calls that counted neither way so far, probes that were given
            up included.
        probes_out: Probes that are out.
        retry_after: Seconds until a call may be admitted; 0.0 if one would be
            now, None if an operator has to act first.
        last_failure: The failure seen last, as text, since it was last closed.

    .. versionadded:: 0.1.0
    """

    name: str | None
    state: CircuitState
    since: float
    failures: int
    window: WindowSnapshot | None
    admitted: int
    refused: int
    failed: int
    ignored: int
    probes_out: int
    retry_after: float | None
    last_failure: str | None
