"""
A schedule as one line: where it departs from running on.
"""

from __future__ import annotations

from typing import NamedTuple


class Turn(NamedTuple):
    """
    Let another party go on.

    Attributes:
        step: Before which step of the run, counted over all parties.
        party: Who goes on instead.
    """

    step: int
    party: int


class Schedule(NamedTuple):
    """
    Say when whom to let go on; otherwise whoever runs goes on as long as it can.

    Attributes:
        turns: The departures from that, in order.
        digest: What the way to the last of them looked like, or None for any.
    """

    turns: tuple[Turn, ...] = ()
    digest: int | None = None

    def __str__(self) -> str:
        turns = [f"{step}>{party}" for step, party in self.turns]
        return " ".join([*turns, f"#{self.digest or 0:x}"])

    @classmethod
    def parse(cls, line: str) -> Schedule:
        """
        Read what ``str`` has written.
        """
        *turns, digest = line.split()
        return cls(
            tuple(Turn(*map(int, turn.split(">"))) for turn in turns),
            int(digest.removeprefix("#"), 16) or None,
        )
