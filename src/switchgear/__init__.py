"""
Rate limiters and circuit breakers for outbound calls.

Whatever is public is here; the events are in :mod:`switchgear.events`, what
tests need is in :mod:`switchgear.testing`.
"""

from __future__ import annotations

from switchgear._breaker import CircuitBreaker
from switchgear._breaker_snapshot import BreakerSnapshot, WindowSnapshot
from switchgear._clock import Clock, TimerClock, TimerHandle
from switchgear._core.rate import Rate
from switchgear._core.windows import CountWindow, TimeWindow
from switchgear._counter import AtomicCounter
from switchgear._decision import Decision
from switchgear._decorators import (
    breaker_of,
    circuit_protected,
    limiter_of,
    protected,
    rate_limited,
)
from switchgear._keyed import Keyed
from switchgear._limiter import RateLimiter
from switchgear._limiter_snapshot import LimiterSnapshot, RateSnapshot
from switchgear._listeners import Listener, subscribe
from switchgear._permit import Guard, Permit
from switchgear._registry import Registry, registry
from switchgear._reservation import Reservation
from switchgear._set import ThreadSafeSet
from switchgear.errors import (
    BurstExceeded,
    CallNotPermitted,
    CircuitOpenError,
    ConfigurationError,
    RateLimitExceeded,
    StoreError,
    SwitchgearError,
    UnknownNameError,
)
from switchgear.events import CircuitState


__all__ = [
    "AtomicCounter",
    "BreakerSnapshot",
    "BurstExceeded",
    "CallNotPermitted",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "Clock",
    "ConfigurationError",
    "CountWindow",
    "Decision",
    "Guard",
    "Keyed",
    "LimiterSnapshot",
    "Listener",
    "Permit",
    "Rate",
    "RateLimitExceeded",
    "RateLimiter",
    "RateSnapshot",
    "Registry",
    "Reservation",
    "StoreError",
    "SwitchgearError",
    "ThreadSafeSet",
    "TimeWindow",
    "TimerClock",
    "TimerHandle",
    "UnknownNameError",
    "WindowSnapshot",
    "breaker_of",
    "circuit_protected",
    "limiter_of",
    "protected",
    "rate_limited",
    "registry",
    "subscribe",
]

# Tracebacks, pickles and documentation name things by where users find them.
for _public in __all__:
    if isinstance(globals()[_public], type):
        globals()[_public].__module__ = __name__
