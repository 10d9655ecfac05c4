"""
A clock for models.
"""

from __future__ import annotations


class ToldClock:
    """
    Tell the time it is told, which may step back.
    """

    def __init__(self) -> None:
        self.reading = 0
        self._seen = 0

    def monotonic_ns(self) -> int:
        return self.reading

    def passed(self) -> int:
        """
        Return how much time passed since this was asked: none if it stepped back.
        """
        passed = max(0, self.reading - self._seen)
        self._seen = self.reading
        return passed
