"""
A breaker that is obviously right: the table of states, spelled out.

Without windows, slow calls, growing cooldowns and leases that expire.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class Ticket:
    """
    Be what an admitted call holds.
    """

    generation: int
    is_probe: bool
    is_used: bool = False


@dataclass
class NaiveBreaker:
    """
    Open after *threshold* failures in a row; try again after *cooldown*.
    """

    threshold: int
    cooldown: int
    slots: int
    needed: int
    now: int = 0
    state: str = "closed"
    generation: int = 1
    streak: int = 0
    opened_at: int = 0
    #: Cooldowns are what they were when the circuit opened.
    open_for: int = 0
    out: list[Ticket] = field(default_factory=list)
    successes: int = 0
    ignored: int = 0

    def look(self) -> None:
        """
        Make the step that is due.
        """
        if self.state == "open" and self.now >= self.opened_at + self.open_for:
            self._become("half_open")

    def ask(self) -> Ticket | None:
        """
        Ask for a call.
        """
        self.look()
        match self.state:
            case "closed" | "forced_closed":
                return Ticket(self.generation, is_probe=False)
            case "half_open" if len(self.out) < self.slots:
                probe = Ticket(self.generation, is_probe=True)
                self.out.append(probe)
                return probe
        return None

    def report(  # noqa: C901 -- a table has as many lines as it has
        self, outcome: str, ticket: Ticket | None
    ) -> None:
        """
        Take what became of a call; of one that did not ask, without a ticket.
        """
        self.look()
        if ticket is not None:
            if ticket.is_used:
                return
            ticket.is_used = True
            if ticket.generation != self.generation:
                return
            if ticket in self.out:
                self.out.remove(ticket)
        match self.state, outcome:
            case "closed", "success":
                self.streak = 0
            case "closed", "failure":
                self.streak += 1
                if self.streak >= self.threshold:
                    self._open()
            case "half_open", "success":
                self.ignored = 0
                self.successes += 1
                if self.successes >= self.needed:
                    self._become("closed")
            case "half_open", "failure":
                self._open()
            case "half_open", "ignored":
                self.ignored += 1
                if self.ignored >= self.threshold:
                    self._open()

    def force(self, state: str) -> None:
        """
        Do what an operator says.
        """
        self._become(state)

    def _open(self) -> None:
        self.opened_at, self.open_for = self.now, self.cooldown
        streak = self.streak
        self._become("open")
        self.streak = streak

    def _become(self, state: str) -> None:
        self.state = state
        self.generation += 1
        self.out = []
        self.successes = self.ignored = 0
        if state != "half_open":
            self.streak = 0
