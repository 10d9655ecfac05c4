"""
A limiter that is obviously right, and slow: what happened is a list.

How full the bucket is at a time is found by going through everything from the
beginning, in fractions. Whoever waits is a list, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


SECOND = 10**9


@dataclass(eq=False)
class Booking:
    """
    Be what one call takes, or will take.

    Attributes:
        tokens: What it asks for.
        takes: What it takes in the end.
        at: When it was admitted; None while it waits.
        is_settled: Whether somebody has said what it costs.
    """

    tokens: int
    takes: int
    at: int | None = None
    is_settled: bool = False

    @property
    def asks(self) -> int:
        """
        How much has to be there for it.
        """
        return min(self.tokens, self.takes)


@dataclass(eq=False)
class NaiveLimiter:
    """
    Admit at most *burst* at once, and *pace* tokens a second.
    """

    pace: int
    burst: int
    now: int = 0
    paused_until: int = 0
    #: Charges ``(time, booking)`` or returns; and other settings
    #: ``(time, (pace, burst))``; in the order they happened.
    story: list[tuple[int, Booking | tuple[int, int] | int]] = field(
        default_factory=list
    )
    queue: list[Booking] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = self.pace, self.burst

    def level(self, at: int) -> Fraction:
        """
        Return how many tokens are there at a time, by going through the story.
        """
        pace, burst = self.began
        level, before = Fraction(burst), 0
        for when, what in self.story:
            level = min(
                Fraction(burst), level + Fraction(pace * (when - before), SECOND)
            )
            before = when
            match what:
                case Booking():
                    level -= what.takes
                case int():
                    # It turned out to cost more: a debt from then on.
                    level -= what
                case pace, burst:
                    level = min(level, Fraction(burst))
        return min(Fraction(burst), level + Fraction(pace * (at - before), SECOND))

    def turn(self, tokens: int, not_before: int) -> int:
        """
        Return the first nanosecond from which on *tokens* are there.
        """
        at = max(not_before, self.paused_until)
        missing = tokens - self.level(at)
        if missing > 0:
            wait = missing * SECOND / self.pace
            at += -(-wait.numerator // wait.denominator)
        return at

    def pass_to(self, now: int) -> None:
        """
        Let time pass; serve who is due, in turn, at their very moments.
        """
        while self.queue:
            first = self.queue[0]
            at = self.turn(first.asks, self.now)
            if at > now:
                break
            self.now = at
            self._admit(self.queue.pop(0))
        self.now = now

    def book(self, tokens: int) -> Booking:
        """
        Admit a call, or let it wait at the end of the queue.
        """
        booking = Booking(tokens, tokens)
        if not self.queue and self.turn(tokens, self.now) == self.now:
            self._admit(booking)
        else:
            self.queue.append(booking)
        return booking

    def delay(self, booking: Booking) -> int:
        """
        Return how long it has to wait yet, by serving a copy of the queue.
        """
        if booking.at is not None:
            return 0
        copy = NaiveLimiter(*self.began)
        copy.pace, copy.burst = self.pace, self.burst
        copy.story, copy.now = list(self.story), self.now
        copy.paused_until = self.paused_until
        for other in self.queue:
            copy.now = copy.turn(other.asks, copy.now)
            copy.story.append((copy.now, Booking(other.tokens, other.takes)))
            if other is booking:
                break
        return copy.now - self.now

    def settle(self, booking: Booking, actual: int) -> bool:
        """
        Say what it cost: as if it had cost that from the beginning.
        """
        if booking.is_settled:
            return False
        booking.is_settled = True
        if booking.at is not None and actual > booking.takes:
            self.story.append((self.now, actual - booking.takes))
        else:
            booking.takes = actual
        # It, and those behind, may be due now.
        self.pass_to(self.now)
        return True

    def leave(self, booking: Booking) -> None:
        """
        Let somebody who waits go.
        """
        self.queue.remove(booking)
        self.pass_to(self.now)

    def configure(self, pace: int, burst: int) -> list[Booking]:
        """
        Go on with other settings; return those who are sent away.
        """
        self.pace, self.burst = pace, burst
        self.story.append((self.now, (pace, burst)))
        gone = [one for one in self.queue if one.asks > burst]
        self.queue = [one for one in self.queue if one.asks <= burst]
        self.pass_to(self.now)
        return gone

    def _admit(self, booking: Booking) -> None:
        booking.at = self.now
        self.story.append((self.now, booking))
