"""
How an exploration fails.
"""

from __future__ import annotations


class ScheduleFailed(AssertionError):
    """
    Say that a schedule broke something, and how to see it again.
    """


class DivergedError(RuntimeError):
    """
    Say that the same schedule did not lead to the same place twice.

    What is explored depends on something that the scheduler does not decide:
    the machine's clock, a random number, what an earlier run left behind.
    """


class DeadlockError(RuntimeError):
    """
    Say that nobody can go on.
    """


class EndlessError(RuntimeError):
    """
    Say that a run takes more steps than any schedule needs.
    """
