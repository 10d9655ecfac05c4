"""
How many wait, looked at now and then: no event tells of those who begin to.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from switchgear import registry


if TYPE_CHECKING:
    from recording import Recording


#: How often to look, in seconds.
EVERY: Final = 0.1


class Sampler:
    """
    Note how the limiters stand, whenever that has changed.

    Args:
        recording: Where it is noted.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._latest: dict[str, dict[str, float]] = {}
        self._done = Event()
        self._thread = Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """
        Begin to look, now and then.
        """
        self._thread.start()

    def stop(self) -> None:
        """
        Look no more.
        """
        self._done.set()
        self._thread.join()

    def sample(self) -> None:
        """
        Look once.
        """
        for host, limiter in registry.keyed_limiter("images").snapshot().items():
            sample = {
                "waiting": limiter.waiting,
                "calls_per_second": limiter.calls_per_second,
                "burst": limiter.burst,
            }
            if self._latest.get(host) != sample:
                self._latest[host] = sample
                self._recording.note("limiter_sampled", host, **sample)

    def _run(self) -> None:
        self.sample()
        while not self._done.wait(EVERY):
            self.sample()
