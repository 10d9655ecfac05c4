"""
A place in the queue, and what can become of it.
"""

from __future__ import annotations

import enum

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from switchgear._core.rooms import Room


#: Later than any moment.
NEVER = 1 << 100


class Status(enum.Enum):
    """
    Name what can become of a place in the queue.
    """

    #: It was not put into the queue.
    NEW = "new"
    QUEUED = "queued"
    #: Its turn came and it was charged.
    GRANTED = "granted"
    #: Its owner left, before the turn or after it.
    LEFT = "left"
    #: Its deadline came before its turn.
    LATE = "late"
    #: It can never be admitted any more: the burst was lowered.
    TOO_LARGE = "too large"
    #: The limiter was closed.
    CLOSED = "closed"


class Place:
    """
    Stand in the queue for some tokens.
    """

    __slots__ = (
        "__weakref__",
        "asks",
        "deadline",
        "number",
        "owes",
        "room",
        "settled",
        "since",
        "status",
        "tokens",
        "turned",
        "vigilant",
        "waiter",
    )

    def __init__(self, tokens: int, waiter: Any = None) -> None:
        self.tokens = tokens
        #: What must be there at its turn, and what it takes beyond: all that
        #: was booked, unless it was settled before.
        self.asks = tokens
        self.owes = 0
        #: Whoever wakes its owner, or None: nobody waits on it.
        self.waiter = waiter
        self.status = Status.NEW
        #: How many had been put into the queue with it; 0 before it was.
        self.number = 0
        #: When it was put into the queue.
        self.since = 0
        #: When its owner will have given up, or gave up being late.
        self.deadline = NEVER
        #: When it was granted; of one that was late, when it would have been
        #: had it asked again.
        self.turned = 0
        #: Whether its waiter looks after the first in the queue, whose own
        #: waiter was found to oversleep.
        self.vigilant = False
        #: How much of it may go back.
        self.room: Room | None = None
        #: What it costs in the end, once that is known.
        self.settled: int | None = None
