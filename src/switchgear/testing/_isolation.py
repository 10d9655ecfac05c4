"""
Keep a test to itself: its own registry, its own events, no protection at all.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from switchgear import _bypass, _fork
from switchgear._instance import Instance
from switchgear._listeners import subscribe
from switchgear._orders import each


if TYPE_CHECKING:
    from collections.abc import Iterator

    from switchgear._clock import Clock
    from switchgear._registry import Registry
    from switchgear.events import Event


@contextmanager
def isolated_registry(*, clock: Clock | None = None) -> Iterator[Registry]:
    """
    Empty the default registry for the length of a block.

    Inside, names start afresh, and decorated functions look theirs up again:
    each instance is new, its budget full, its circuit closed. A name that was
    defined outside is found by its definition, unless the block defines it
    first, as it likes; what a decorator says of a name must agree with that.
    Afterwards everything is as it was before, whatever the block did. Whoever
    still waits then for a limiter of the block, if it was not removed, is sent
    away with :class:`RateLimitExceeded`. Blocks nest; one that ends before those
    within it takes what it held along, and leaves theirs.

    It holds for the whole process: tests that share one must not run in
    several threads at once.

    >>> from switchgear import registry
    >>> from switchgear.testing import isolated_registry
    >>> with isolated_registry():
    ...     limiter = registry.limiter("images", calls_per_second=5)
    >>> "images" in registry
    False

    With a :class:`ManualClock` the program under test needs no change for its
    cooldowns to pass at once:

    >>> from switchgear import circuit_protected
    >>> from switchgear.testing import ManualClock
    >>> @circuit_protected("prices", threshold=1, cooldown=120.0)
    ... def price(item: str) -> float:
    ...     return float(item)
    >>> clock = ManualClock()
    >>> with isolated_registry(clock=clock):
    ...     breaker = registry.breaker("prices", threshold=1, cooldown=120.0)
    ...     breaker.record_failure()
    ...     clock.advance(120.0)
    ...     price("1.5")
    1.5

    Args:
        clock: What the instances that are made in the block go by, unless
            their definition names a clock. None: as outside of the block.

    Yields:
        The default registry, ``switchgear.registry``.

    .. versionadded:: 0.1.0
    """
    from switchgear._registry import registry

    end = registry._isolate(clock)  # noqa: SLF001 -- made for this
    try:
        yield registry
    finally:
        end("the isolated registry it was from is gone")


@contextmanager
def capture_events(*event_types: type[Event]) -> Iterator[list[Event]]:
    """
    Collect the events of every instance for the length of a block.

    Other listeners hear of them as well. Events that several threads set off
    are collected by whichever of them delivers, so wait for the threads before
    you look.

    >>> from switchgear import CircuitBreaker
    >>> from switchgear.events import CircuitOpened
    >>> from switchgear.testing import capture_events
    >>> with capture_events(CircuitOpened) as events:
    ...     CircuitBreaker(threshold=1, name="images").record_failure()
    >>> [event.breaker for event in events]
    ['images']

    Args:
        event_types: Which events, subclasses included. None given: all.

    Yields:
        A list that grows as events arrive, and stays when the block ends.

    Raises:
        TypeError: If one of *event_types* is not an event class.

    .. versionadded:: 0.1.0
    """
    events: list[Event] = []
    unsubscribe = subscribe(events.append, *event_types)
    try:
        yield events
    finally:
        unsubscribe()


@contextmanager
def disabled() -> Iterator[None]:
    """
    Switch all protection off for the length of a block.

    Every limiter admits at once, without charging; no breaker refuses or
    counts. It holds for the whole process, threads and event loops included.
    Blocks may nest and overlap; protection is back when the last one ends.

    >>> from switchgear import RateLimiter
    >>> from switchgear.testing import disabled
    >>> limiter = RateLimiter(calls_per_second=0.001)
    >>> with disabled():
    ...     for _ in range(1000):
    ...         limiter.wait()

    .. versionadded:: 0.1.0
    """
    _depth.change(+1)
    try:
        _tell_all()
        yield
    finally:
        _depth.change(-1)
        _tell_all()


class _Depth:
    """
    Count the open blocks.
    """

    def __init__(self) -> None:
        self._after_fork()
        _fork.track(self)

    def change(self, by: int) -> None:
        """
        Open (+1) or close (-1) a block.
        """
        with self._lock:
            _bypass.active += by

    def _after_fork(self) -> None:
        self._lock = RLock()


_depth = _Depth()


def _tell_all() -> None:
    owners = [one for one in _fork.tracked() if isinstance(one, Instance)]
    each(owners, lambda one: one._note_bypass())  # noqa: SLF001 -- ours
