"""
Rate limiters and circuit breakers for outbound calls.

Whatever is public is here; the events are in :mod:`switchgear.events`, what
tests need is in :mod:`switchgear.testing`.
"""

from __future__ import annotations

from switchgear._clock import Clock, TimerClock, TimerHandle
from switchgear._core.rate import Rate
from switchgear._core.windows import CountWindow, TimeWindow
from switchgear._counter import AtomicCounter
from switchgear._keyed import Keyed
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
    "BurstExceeded",
    "CallNotPermitted",
    "CircuitOpenError",
    "CircuitState",
    "Clock",
    "ConfigurationError",
    "CountWindow",
    "Keyed",
    "Rate",
    "RateLimitExceeded",
    "StoreError",
    "SwitchgearError",
    "ThreadSafeSet",
    "TimeWindow",
    "TimerClock",
    "TimerHandle",
    "UnknownNameError",
]

# Tracebacks, pickles and documentation name things by where users find them.
for _public in __all__:
    if isinstance(globals()[_public], type):
        globals()[_public].__module__ = __name__
del _public
