"""
What a breaker tells of its transitions and refusals, to those who want it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchgear._core.circuit import CLOSED, HALF_OPEN, OBSERVING, OPEN
from switchgear.events import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitRefused,
    CircuitTripObserved,
)


if TYPE_CHECKING:
    from switchgear._core.circuit import Circuit, Step, Transition
    from switchgear._listeners import Outbox
    from switchgear._permit import Refusal
    from switchgear.events import Event


def tells_why(to: Outbox, step: Step) -> bool:
    """
    Answer whether somebody will be told the text of the last failure.
    """
    for one in step.transitions:
        if one.to_phase is OPEN:
            wants = to.wants
            return wants(CircuitOpened) or wants(CircuitTripObserved)
    return False


def told_of(
    to: Outbox, name: str | None, step: Step, last_failure: str | None
) -> tuple[Event, ...]:
    """
    Return what is told of the transitions of *step*.
    """
    if not step.transitions:
        return ()
    observing = step.circuit.override is OBSERVING
    build = _observed if observing else _transited
    events = [build(to, name, one, last_failure) for one in step.transitions]
    return tuple(event for event in events if event is not None)


def _transited(
    to: Outbox, name: str | None, one: Transition, last_failure: str | None
) -> Event | None:
    at = one.at_ns / 1e9
    if one.to_phase is OPEN and to.wants(CircuitOpened):
        return CircuitOpened(
            at=at,
            breaker=name,
            from_state=one.from_phase,
            failures=one.failures,
            reason=one.reason,
            retry_after=(one.due_ns - one.at_ns) / 1e9,
            last_failure=last_failure,
        )
    if one.to_phase is HALF_OPEN and to.wants(CircuitHalfOpened):
        return CircuitHalfOpened(at=at, breaker=name, from_state=one.from_phase)
    if one.to_phase is CLOSED and to.wants(CircuitClosed):
        return CircuitClosed(
            at=at, breaker=name, from_state=one.from_phase, reason=one.reason
        )
    return None


def _observed(
    to: Outbox, name: str | None, one: Transition, last_failure: str | None
) -> Event | None:
    if one.to_phase is OPEN and to.wants(CircuitTripObserved):
        return CircuitTripObserved(
            at=one.at_ns / 1e9,
            breaker=name,
            failures=one.failures,
            reason=one.reason,
            last_failure=last_failure,
        )
    return None


def refused(
    to: Outbox, name: str | None, refusal: Refusal, at_ns: int
) -> tuple[Event, ...]:
    """
    Return what is told of a refusal.
    """
    if not to.wants(CircuitRefused):
        return ()
    event = CircuitRefused(
        at=at_ns / 1e9,
        breaker=name,
        state=refusal.state,
        retry_after=refusal.retry_after,
    )
    return (event,)


def closed_by_reset(
    to: Outbox, name: str | None, circuit: Circuit, at_ns: int
) -> tuple[Event, ...]:
    """
    Return what is told when *circuit* is reset.
    """
    if circuit.state is CLOSED or not to.wants(CircuitClosed):
        return ()
    closed = CircuitClosed(
        at=at_ns / 1e9,
        breaker=name,
        from_state=circuit.state,
        reason="reset",
    )
    return (closed,)
