"""
A number that any number of threads may add to.
"""

from __future__ import annotations

from threading import RLock
from typing import Any

from switchgear import _fork
from switchgear._home import Homed
from switchgear._validate import whole


#: What one argument may be: more is a mistake. The value itself has no bound.
_LIMIT = 2**63


class AtomicCounter(Homed):
    """
    Count, from any number of threads, without losing or doubling a step.

    Every operation happens at one instant. Using a counter in a signal handler
    or a finaliser that interrupts one of its own operations is safe. A forked
    child goes on from the value at the fork, on its own. Counters named in the
    default registry pickle as their name, others refuse with :exc:`TypeError`.

    Args:
        initial: The value to start from: an int, at most 2**63 from zero, like every
            other argument. The value itself may grow beyond.

    Raises:
        TypeError: If an argument is not an int (``True`` and ``1.0`` are not).
        ValueError: If an argument is out of range.

    >>> downloads = AtomicCounter()
    >>> downloads.increment()
    1
    >>> downloads.increment(10)
    11

    .. versionadded:: 0.1.0
    """

    __slots__ = ("__weakref__", "_lock", "_value")

    def __init__(self, initial: int = 0) -> None:
        super().__init__()
        self._value = _checked("initial", initial)
        # Re-entrant, and nothing within it calls anything: a signal handler
        # that uses the counter it interrupts runs before or after, not amid.
        self._lock = RLock()
        _fork.track(self)

    @property
    def value(self) -> int:
        """
        The value as it is now.
        """
        return self._value

    def increment(self, n: int = 1) -> int:
        """
        Add *n* and return the new value, which no other call was given.

        A negative *n* counts down.
        """
        if type(n) is not int or not -_LIMIT <= n <= _LIMIT:
            n = _checked("n", n)
        with self._lock:
            self._value = value = self._value + n
        return value

    def decrement(self, n: int = 1) -> int:
        """
        Subtract *n* and return the new value.
        """
        n = _checked("n", n)
        with self._lock:
            self._value = value = self._value - n
        return value

    def get_and_set(self, value: int) -> int:
        """
        Replace the value and return the one before.
        """
        value = _checked("value", value)
        with self._lock:
            before = self._value
            self._value = value
        return before

    def compare_and_set(self, expected: int, new: int) -> bool:
        """
        Replace the value by *new* if it is *expected*; say whether it was.
        """
        expected = _checked("expected", expected)
        new = _checked("new", new)
        with self._lock:
            if self._value == expected:
                self._value = new
                return True
        return False

    def reset(self) -> int:
        """
        Go back to zero and return the value before: nothing is missed between.
        """
        return self.get_and_set(0)

    def __int__(self) -> int:
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._value})"

    def _after_fork(self) -> None:
        self._lock = RLock()


def _checked(name: str, value: Any) -> int:
    # Always a plain int: a subclass could run code of its own, under the lock.
    return whole(name, value, minimum=-_LIMIT, maximum=_LIMIT)
