"""
A breaker that is obviously right: the table of states, spelled out.

Times are nanoseconds. A window is the list of all calls that were counted; what
is in it is counted out each time.
"""

from __future__ import annotations

import math

from dataclasses import dataclass, field


SECOND = 10**9

#: Where nothing that is reported moves anything.
FORCED = ("forced_open", "forced_closed")


@dataclass(eq=False)
class Ticket:
    """
    Be what an admitted call holds.
    """

    generation: int
    asked_at: int
    #: Admitted while nobody had a use for its duration: no window hears of it.
    is_unmeasured: bool = False
    #: A probe is given up then.
    expires_at: int | None = None
    is_used: bool = False


@dataclass
class Counted:
    """
    Be a call in a window.
    """

    at: int
    failed: bool
    slow: bool


@dataclass
class NaiveWindow:
    """
    Look back on so many calls, or for so long, in 32 slices.
    """

    size: int | None
    length: int | None
    failure_rate: float
    minimum: int
    slow_rate: float | None

    def slice_of(self, moment: int) -> int:
        return moment // (self.length // 32)

    def left_of(self, calls: list[Counted], now: int) -> list[Counted]:
        """
        Return those of *calls* that are in it.
        """
        if self.size is not None:
            return calls[-self.size :]
        return [one for one in calls if self.slice_of(now) - self.slice_of(one.at) < 32]

    def verdict(self, calls: list[Counted]) -> str | None:
        """
        Return why the circuit is to open, if it is.
        """
        minimum = self.minimum if self.size is None else min(self.minimum, self.size)
        if len(calls) < minimum:
            return None
        if sum(one.failed for one in calls) / len(calls) >= self.failure_rate:
            return "failure_rate"
        if self.slow_rate is None:
            return None
        slow = sum(one.slow for one in calls) / len(calls)
        return "slow_call_rate" if slow >= self.slow_rate else None


@dataclass
class NaiveBreaker:
    """
    Go through the states.
    """

    threshold: int | None = 2
    cooldown: int = SECOND
    factor: int = 1
    longest: int | None = None
    slots: int = 1
    needed: int = 1
    patience: int | None = None
    slow_after: int | None = None
    window: NaiveWindow | None = None

    now: int = 0
    phase: str = "closed"
    #: What an operator said: "forced_open", "forced_closed", "observing".
    override: str | None = None
    generation: int = 1
    since: int = 0
    streak: int = 0
    hold_until: int | None = None
    due_at: int = 0
    reopened: int = 0
    out: list[Ticket] = field(default_factory=list)
    successes: int = 0
    #: Probes that said nothing, in a row.
    silent: int = 0
    calls: list[Counted] = field(default_factory=list)

    admitted: int = 0
    refused: int = 0
    failed: int = 0
    ignored: int = 0
    #: The failure that moved it last, since it was closed last.
    last_failure: str | None = None
    told: list[tuple] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.override or self.phase

    def look(self) -> None:
        """
        Make the steps that are due.
        """
        self.give_up()
        if self.phase == "open" and self.now >= self.due_at:
            self._become("half_open", self.now)
            self._tell("half_opened", self.now)

    def give_up(self) -> None:
        """
        Give up the probes whose time is up, each at its moment.
        """
        late = [ticket for ticket in self.out if ticket.expires_at <= self.now]
        for ticket in sorted(late, key=lambda one: one.expires_at):
            if ticket in self.out:
                self.out.remove(ticket)
                self.ignored += 1
                self._hear_nothing(ticket.expires_at)

    def retry_after(self) -> int | None:
        """
        Return for how long a call would be refused, as things stand.
        """
        if self.override is not None:
            return None if self.override == "forced_open" else 0
        return self._left()

    def _left(self) -> int:
        if self.phase == "closed":
            return 0
        if self.phase == "open":
            return max(0, self.due_at - self.now)
        live = [one for one in self.out if one.expires_at > self.now]
        if len(live) < self.slots:
            return 0
        return min(one.expires_at for one in live) - self.now

    def ask(self, *, is_guard: bool = False) -> Ticket | None:
        """
        Ask for a call.
        """
        if self.override != "forced_open":
            self.look()
        ticket = Ticket(self.generation, self.now)
        match self.state:
            case "forced_open":
                self.refused += 1
                return None
            case "observing" if self._left():
                # It is made, but is not what the circuit would have let through.
                ticket.generation = -1
            case "open" | "half_open" if self._left():
                self.refused += 1
                return None
            case _ if self.phase == "half_open":
                patience = self.cooldown if self.patience is None else self.patience
                ticket.expires_at = self.now + patience
                self.out.append(ticket)
            case "closed" | "forced_closed":
                measured = self.window is not None or self.slow_after is not None
                ticket.is_unmeasured = is_guard and not measured
        self.admitted += 1
        return ticket

    def report(
        self,
        outcome: str,
        ticket: Ticket | None,
        *,
        took: int | None = None,
        hold: int | None = None,
        error: str | None = None,
    ) -> bool:
        """
        Take what became of a call; of one that did not ask, without a ticket.
        """
        if ticket is None:
            self.admitted += 1
        else:
            if ticket.is_used:
                return False
            ticket.is_used = True
            took = None if ticket.is_unmeasured else self.now - ticket.asked_at
        slow = self._is_slow(outcome, took)
        rated = self.window is not None and self.window.slow_rate is not None
        if slow and not (self.phase == "closed" and rated):
            outcome = "failure"
        if outcome == "cancelled":
            outcome = "ignored"
        if self.phase == "half_open" and self._is_current(ticket):
            self.give_up()
        if ticket is not None and (ticket.expires_at or math.inf) <= self.now:
            return False
        self.failed += outcome == "failure"
        self.ignored += outcome == "ignored"
        if self._is_current(ticket) and self.override not in FORCED:
            self._take(outcome, ticket, hold, error, slow=slow)
        return True

    def _take(
        self,
        outcome: str,
        ticket: Ticket | None,
        hold: int | None,
        error: str | None,
        *,
        slow: bool,
    ) -> None:
        """
        Let a call of the present move the circuit.
        """
        if outcome == "failure" and self.phase != "open":
            self.last_failure = error
        until = None if hold is None else self.now + hold
        if self.phase == "closed":
            enters = ticket is None or not ticket.is_unmeasured
            self._count(outcome, until, slow=slow, enters=enters)
        elif self.phase == "half_open":
            if ticket is not None:
                self.out.remove(ticket)
            self._probe(outcome, until)

    def _is_current(self, ticket: Ticket | None) -> bool:
        return ticket is None or ticket.generation == self.generation

    def _is_slow(self, outcome: str, took: int | None) -> bool:
        if self.slow_after is None or took is None or outcome == "ignored":
            return False
        return took > self.slow_after

    def _count(
        self, outcome: str, until: int | None, *, slow: bool, enters: bool
    ) -> None:
        reason = None
        match outcome:
            case "success":
                self.streak, self.hold_until = 0, None
            case "failure":
                self.streak += 1
                ends = [one for one in (self.hold_until, until) if one is not None]
                self.hold_until = max(ends, default=None)
            case "ignored" if not slow:
                return
        if self.window is not None and enters:
            self.calls.append(Counted(self.now, outcome == "failure", slow))
            reason = self.window.verdict(self.in_window())
        if self.threshold is not None and self.streak >= self.threshold:
            reason = "failures"
        if reason is not None:
            self._open(self.now, reason)

    def _probe(self, outcome: str, until: int | None) -> None:
        match outcome:
            case "success":
                self.silent = 0
                self.streak = 0
                self.successes += 1
                if self.successes >= self.needed:
                    self._become("closed", self.now)
                    self._tell("closed", self.now, "probes_succeeded")
            case "failure":
                self.streak += 1
                self.hold_until = until
                self._open(self.now, "probe_failed")
            case "ignored":
                self._hear_nothing(self.now)

    def _hear_nothing(self, moment: int) -> None:
        self.silent += 1
        if self.silent >= (5 if self.threshold is None else self.threshold):
            self._open(moment, "probes_ignored")

    def in_window(self) -> list[Counted]:
        """
        Return the calls the window looks back on.
        """
        return self.window.left_of(self.calls, self.now) if self.window else []

    def force(self, state: str) -> None:
        """
        Do what an operator says.
        """
        self.told.append(("forced", self.now, self.state, state))
        last_failure = self.last_failure
        self._become("closed", self.now)
        self.override = state
        if state == "forced_open":
            self.last_failure = last_failure

    def reset(self) -> None:
        """
        Start anew.
        """
        if self.state != "closed":
            self.told.append(("closed", self.now, "reset"))
        self._become("closed", self.now)
        self.override = None
        self.admitted = self.refused = self.failed = self.ignored = 0

    def change_window(self, window: NaiveWindow | None) -> None:
        """
        Look back with another window on the calls in the one there was.
        """
        calls = self.in_window()
        before = self.window
        self.window = window
        kinds = {one is not None and one.size is None for one in (before, window)}
        if before is None or window is None or len(kinds) > 1:
            self.calls = []
        elif before.size is None and before.length != window.length:
            # All that is known of a call is its slice: it counts as its end.
            ends = [
                (before.slice_of(one.at) + 1) * (before.length // 32) - 1
                for one in calls
            ]
            self.calls = [
                Counted(min(end, self.now), one.failed, one.slow)
                for end, one in zip(ends, calls, strict=True)
            ]
        else:
            self.calls = calls
        self.calls = self.in_window()

    def _open(self, moment: int, reason: str) -> None:
        self.reopened = self.reopened + 1 if self.phase == "half_open" else 0
        cooldown = self.cooldown
        for _ in range(self.reopened):
            cooldown *= self.factor
        if self.longest is not None:
            cooldown = min(cooldown, self.longest)
        self.due_at = max(moment + cooldown, self.hold_until or 0)
        self._become("open", moment)
        left = self.due_at - moment
        told = reason, self.streak, self.last_failure, left / SECOND
        self._tell("opened", moment, *told)

    def _become(self, phase: str, moment: int) -> None:
        self.phase = phase
        self.since = moment
        self.generation += 1
        self.out = []
        self.successes = self.silent = 0
        self.hold_until = None
        if phase == "closed":
            self.streak = self.reopened = 0
            self.calls = []
            self.last_failure = None

    def _tell(self, what: str, *more: object) -> None:
        if self.override is None:
            self.told.append((what, *more))
        elif what == "opened":
            self.told.append(("tripped", *more[:-1]))
