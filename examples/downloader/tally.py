"""
What is counted for each host.
"""

from __future__ import annotations

import time

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from switchgear import AtomicCounter, registry, subscribe
from switchgear.events import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    RateLimitWaited,
)


if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from recording import Recording

    from switchgear import BreakerSnapshot, LimiterSnapshot


@dataclass(frozen=True, slots=True)
class Tally:
    """
    Count what happens to the calls of one host, and have it noted.

    Attributes:
        host: Its name.
        recording: Where it is noted.
        calls: Calls that were sent.
        failed: Those that failed.
        too_fast: Those the host answered with 429.
        stored: Those that brought a new image.
        duplicates: Those that brought an image there was already.
        moments: When the calls were sent.
    """

    host: str
    recording: Recording
    calls: AtomicCounter = field(default_factory=AtomicCounter)
    failed: AtomicCounter = field(default_factory=AtomicCounter)
    too_fast: AtomicCounter = field(default_factory=AtomicCounter)
    stored: AtomicCounter = field(default_factory=AtomicCounter)
    duplicates: AtomicCounter = field(default_factory=AtomicCounter)
    moments: list[float] = field(default_factory=list)

    def called(self) -> None:
        """
        Count a call that is about to be sent.
        """
        self.calls.increment()
        self.moments.append(time.monotonic())
        self.recording.note("call_sent", self.host)

    def call_failed(self) -> None:
        """
        Count a call that got no answer, or an error.
        """
        self.failed.increment()
        self.recording.note("call_failed", self.host)

    def called_too_fast(self) -> None:
        """
        Count a call that was answered with 429.
        """
        self.too_fast.increment()
        self.recording.note("call_sent_away", self.host)

    def arrived(self, *, is_new: bool) -> None:
        """
        Count a call that brought an image.
        """
        (self.stored if is_new else self.duplicates).increment()
        self.recording.note("image_stored" if is_new else "image_known", self.host)

    def rate_now(self, limit: float, now: float) -> float:
        """
        Return the calls per second of late.

        Late is a second, or longer where the *limit* is so low that a second
        would tell nothing.
        """
        late = min(max(1.0, 10.0 / limit), 10.0)
        calls = 0
        for moment in reversed(self.moments):
            if moment <= now - late:
                break
            calls += 1
        return calls / late

    def rate(self, burst: int) -> float | None:
        """
        Return the calls per second, less the *burst* there was at the start.

        None if there are too few calls to tell.
        """
        sent = len(self.moments)
        if sent <= burst:
            return None
        return (sent - burst) / (max(self.moments) - min(self.moments))


class Tallies:
    """
    Hold the counts of every host, and listen to what protects it.

    Limiters and breakers count for themselves; events tell what they do not:
    how many calls waited, and how often a circuit changed.

    Args:
        recording: Where what happens is noted.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._tallies: dict[str, Tally] = {}
        self._waits: dict[str | None, AtomicCounter] = {}
        self._changes: dict[str | None, AtomicCounter] = {}

    def __enter__(self) -> Self:
        changes = (CircuitOpened, CircuitHalfOpened, CircuitClosed)
        self._unsubscribe = (
            subscribe(self._note_wait, RateLimitWaited),
            subscribe(self._note_change, *changes),
        )
        return self

    def __exit__(self, *_: object) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def __getitem__(self, host: str) -> Tally:
        return self._tallies[host]

    def meet(self, host: str) -> None:
        """
        Be ready to count for *host*; that it is known already does no harm.
        """
        self._recording.meet(host, self.limiter(host).name, self.breaker(host).name)
        # Of all who meet it first, one brings the tally that all will use.
        self._tallies.setdefault(host, Tally(host, self._recording))

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._tallies))

    @property
    def arrived(self) -> int:
        """
        How many images arrived.
        """
        tallies = list(self._tallies.values())
        return sum(int(tally.stored) + int(tally.duplicates) for tally in tallies)

    def limiter(self, host: str) -> LimiterSnapshot:
        """
        Return what the limiter of *host* has counted.
        """
        return registry.keyed_limiter("images")[host].snapshot()

    def breaker(self, host: str) -> BreakerSnapshot:
        """
        Return what the breaker of *host* has counted.
        """
        return registry.keyed_breaker("images")[host].snapshot()

    def waits(self, host: str) -> int:
        """
        Return how many calls of *host* waited for their turn.
        """
        return int(self._waits.get(self.limiter(host).name, 0))

    def changes(self, host: str) -> int:
        """
        Return how often the circuit of *host* changed its state.
        """
        return int(self._changes.get(self.breaker(host).name, 0))

    def _note_wait(self, event: RateLimitWaited) -> None:
        self._waits.setdefault(event.limiter, AtomicCounter()).increment()

    def _note_change(
        self, event: CircuitOpened | CircuitHalfOpened | CircuitClosed
    ) -> None:
        self._changes.setdefault(event.breaker, AtomicCounter()).increment()
