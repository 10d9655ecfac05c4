"""
What happened: frozen records for listeners, and the states of a circuit.

``subscribe(listener, CircuitOpened)`` asks for them. Events nobody asked for
are never built.
"""

from __future__ import annotations

import enum

from typing import Any

from switchgear._record import Record, record


__all__ = [
    "CircuitClosed",
    "CircuitEvent",
    "CircuitForced",
    "CircuitHalfOpened",
    "CircuitOpened",
    "CircuitRefused",
    "CircuitState",
    "CircuitTripObserved",
    "Event",
    "KeysExceeded",
    "LimiterClosed",
    "LimiterEvent",
    "LimiterPaused",
    "LimiterReopened",
    "LoopBlocked",
    "RateLimitRefused",
    "RateLimitWaited",
    "Reconfigured",
]


class CircuitState(enum.Enum):
    """
    Name the states of a circuit.

    Their values are what logs and ``registry.snapshot()`` show.

    Attributes:
        CLOSED: ``"closed"``: calls go through; failures are counted.
        OPEN: ``"open"``: calls are refused until the cooldown has passed.
        HALF_OPEN: ``"half_open"``: a few probes go through; their outcomes
            decide.
        FORCED_OPEN: ``"forced_open"``: an operator refuses every call.
        FORCED_CLOSED: ``"forced_closed"``: an operator admits every call,
            whatever fails.
        OBSERVING: ``"observing"``: every call goes through; trips are
            reported instead of made.

    .. versionadded:: 0.1.0
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    OBSERVING = "observing"


@record
class Event(Record):
    """
    Something that happened to one instance.

    Attributes:
        at: When, in seconds on the clock of the instance.

    .. versionadded:: 0.1.0
    """

    at: float


@record
class CircuitEvent(Event):
    """
    Something that happened to a circuit breaker.

    Attributes:
        breaker: The name of the breaker, or None.

    .. versionadded:: 0.1.0
    """

    breaker: str | None


@record
class LimiterEvent(Event):
    """
    Something that happened to a rate limiter.

    Attributes:
        limiter: The name of the limiter, or None.

    .. versionadded:: 0.1.0
    """

    limiter: str | None


@record
class CircuitOpened(CircuitEvent):
    """
    A circuit tripped: calls are refused from now on.

    Attributes:
        from_state: The state it was in.
        failures: Failures in a row, this one included.
        reason: What tripped it: ``"failures"``, ``"failure_rate"``,
            ``"slow_call_rate"``, ``"probe_failed"`` or ``"probes_ignored"``.
        retry_after: Seconds until the first probe may go through.
        last_failure: The failure seen last, as text.
    """

    from_state: CircuitState
    failures: int
    reason: str
    retry_after: float
    last_failure: str | None


@record
class CircuitHalfOpened(CircuitEvent):
    """
    A cooldown has passed: probes may go through.

    Attributes:
        from_state: The state it was in.
    """

    from_state: CircuitState


@record
class CircuitClosed(CircuitEvent):
    """
    A circuit closed: calls go through again.

    Attributes:
        from_state: The state it was in.
        reason: ``"probes_succeeded"`` or ``"reset"``.
    """

    from_state: CircuitState
    reason: str


@record
class CircuitForced(CircuitEvent):
    """
    An operator took a circuit into their own hands.

    Attributes:
        from_state: The state it was in.
        to_state: ``FORCED_OPEN``, ``FORCED_CLOSED`` or ``OBSERVING``.
        reason: What the operator gave as the reason.
    """

    from_state: CircuitState
    to_state: CircuitState
    reason: str


@record
class CircuitTripObserved(CircuitEvent):
    """
    A circuit that only observes would have tripped now.

    Attributes:
        failures: Failures in a row, this one included.
        reason: What would have tripped it, as in :class:`CircuitOpened`.
        last_failure: The failure seen last, as text.
    """

    failures: int
    reason: str
    last_failure: str | None


@record
class CircuitRefused(CircuitEvent):
    """
    A call was refused by its circuit.

    Attributes:
        state: The state that refused it.
        retry_after: Seconds until a call may be admitted, or None.
    """

    state: CircuitState
    retry_after: float | None


@record
class RateLimitWaited(LimiterEvent):
    """
    A caller's turn came after a wait.

    Attributes:
        tokens: How many were asked for.
        waited: Seconds between asking and being admitted.
    """

    tokens: int
    waited: float


@record
class RateLimitRefused(LimiterEvent):
    """
    A caller was refused.

    Attributes:
        tokens: How many were asked for.
        retry_after: Seconds until as many could be admitted, or None.
        reason: Why, in a few words.
    """

    tokens: int
    retry_after: float | None
    reason: str


@record
class LoopBlocked(LimiterEvent):
    """
    A synchronous wait blocks a thread whose event loop is running.

    Notebooks do so on purpose; elsewhere ``wait_async`` was meant. Told once
    per limiter.
    """


@record
class LimiterPaused(LimiterEvent):
    """
    Nobody is admitted for a while.

    Attributes:
        paused_for: Seconds from now.
    """

    paused_for: float


@record
class LimiterClosed(LimiterEvent):
    """
    A limiter was closed: every waiter was sent away.

    Attributes:
        reason: What was given as the reason.
        waiting: How many were sent away.
    """

    reason: str
    waiting: int


@record
class LimiterReopened(LimiterEvent):
    """
    A closed limiter admits again.
    """


@record
class Reconfigured(Event):
    """
    An instance goes on with other settings.

    Attributes:
        kind: ``"limiter"`` or ``"breaker"``.
        name: The name of the instance, or None.
        changes: For each changed setting the old and the new value.
    """

    kind: str
    name: str | None
    changes: dict[str, tuple[Any, Any]]


@record
class KeysExceeded(Event):
    """
    A container of keyed instances grew past its bound for the first time.

    Nothing in it may be forgotten without forgiving a debt or an open circuit.

    Attributes:
        name: The name of the template, or None.
        max_keys: The bound.
    """

    name: str | None
    max_keys: int
