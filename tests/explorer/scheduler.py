"""
Run the threads of one schedule, one at a time.

Every thread stops before each step another could notice (see ``points``), at
every lock, and where it would sleep. There the schedule says who goes on.
Nothing else decides: time is virtual, and passes only while somebody sleeps.
"""

from __future__ import annotations

import os
import sys
import threading

from _thread import allocate_lock, get_ident
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from explorer import workers
from explorer.failure import DeadlockError, DivergedError, EndlessError


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from explorer.schedule import Schedule

    class Obstacle(Protocol):
        """
        Stand in somebody's way: a lock, a queue, a sleep.
        """

        def is_free(self) -> bool:
            """
            Answer whether whoever waits for it may go on.
            """
            ...


#: How long a run may take, in seconds of the machine: nothing in it sleeps.
PATIENCE = 60.0

#: More steps than any scenario needs.
MAX_STEPS = 50_000

_MASK = 2**61 - 1


class Decision(NamedTuple):
    """
    Note where a run could have gone on differently.

    Attributes:
        step: Before which step.
        digest: What the way there looked like.
        others: Who could have gone on instead, and whether that would have
            pre-empted somebody.
    """

    step: int
    digest: int
    others: tuple[tuple[int, bool], ...]


class Party:
    """
    Be one of the threads: what it does, and what became of it.
    """

    __slots__ = (
        "baton",
        "call",
        "deadline",
        "done",
        "error",
        "number",
        "obstacle",
        "timed_out",
        "value",
    )

    def __init__(self, number: int, call: Callable[[], Any]) -> None:
        self.number = number
        self.call = call
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = False
        #: What it waits for, until when in virtual time, and whether that came.
        self.obstacle: Obstacle | None = None
        self.deadline: int | None = None
        self.timed_out = False
        #: A real lock: released for it to go on.
        self.baton = allocate_lock()
        self.baton.acquire()

    def can_go(self) -> bool:
        """
        Answer whether it could take a step without time passing.
        """
        return not self.done and (self.obstacle is None or self.obstacle.is_free())


class Scheduler:
    """
    Run *calls* in a thread each, as *schedule* says.
    """

    #: The one whose threads run now.
    current: Scheduler | None = None

    def __init__(
        self,
        calls: Sequence[Callable[[], Any]],
        schedule: Schedule,
        *,
        note_preemptions: bool,
        start: int,
    ) -> None:
        self.parties = [Party(number, call) for number, call in enumerate(calls)]
        self.now = start
        self.step = 0
        self.digest = 0
        self.decisions: list[Decision] = []
        self.switches: list[str] = []
        self.is_forked = False
        #: Whether code was run that had not been: do not go by the steps then.
        self.is_cold = False
        self._turns = list(reversed(schedule.turns))
        self._expected = schedule.digest
        self._notes_preemptions = note_preemptions
        self._by_ident: dict[int, Party] = {}
        self._problem: Exception | None = None
        self._over = allocate_lock()
        self._over.acquire()

    def run(self) -> None:
        """
        Run until everybody is done; raise what kept the schedule from ending.
        """
        Scheduler.current = self
        try:
            for party, worker in zip(
                self.parties, workers.crew(len(self.parties)), strict=True
            ):
                worker.give(partial(self._live, party))
            first = self._next(None)
            self.switches.append(f"{first.number} begins")
            first.baton.release()
            if not self._over.acquire(timeout=PATIENCE):
                workers.abandon()
                msg = "a thread is blocked by something that is not scheduled"
                raise DeadlockError(msg)
        finally:
            Scheduler.current = None
        if self._problem is not None:
            workers.abandon()
            raise self._problem
        if self._turns:
            msg = f"the run ended before step {self._turns[-1].step}"
            raise DivergedError(msg)

    def me(self) -> Party | None:
        """
        Return which party runs in this thread, if it is one.
        """
        return self._by_ident.get(get_ident())

    def point(self, me: Party, label: int) -> None:
        """
        Let somebody else go on before this step, if the schedule says so.
        """
        if self.is_forked:
            return
        step = self._count(me, label)
        turns = self._turns
        if turns:
            if turns[-1].step == step:
                self._switch(me, self._turn(me))
        elif self._notes_preemptions:
            others = self._who_could(me)
            if others:
                self._note(others, preempted=True)

    def block(self, me: Party, obstacle: Obstacle, deadline: int | None = None) -> bool:
        """
        Let others go on until *obstacle* is free; False if *deadline* came first.
        """
        if self.is_forked:
            msg = "a lock is held by a thread that is not in the forked child"
            raise DeadlockError(msg)
        me.obstacle, me.deadline, me.timed_out = obstacle, deadline, False
        self._switch(me, self._next(me))
        me.obstacle = me.deadline = None
        return not me.timed_out

    def forking(self) -> None:
        """
        Schedule nothing: what runs now, or goes on in the child, is alone.
        """
        self.is_forked = True

    def forked(self) -> None:
        """
        Schedule again: this is the parent.
        """
        self.is_forked = False

    # Who goes on

    def _count(self, me: Party | None, label: int) -> int:
        self.step += 1
        if self.step > MAX_STEPS:
            self._give_up(EndlessError(f"no end after {MAX_STEPS} steps"))
        number = -1 if me is None else me.number
        self.digest = (self.digest * 1_000_003 + label * 8 + number) & _MASK
        return self.step

    def _who_could(self, me: Party | None) -> list[Party]:
        """
        Return the others who could go on, if need be by letting time pass.
        """
        others = [one for one in self.parties if one is not me and one.can_go()]
        return others + self._sleepers(me)

    def _sleepers(self, me: Party | None) -> list[Party]:
        """
        Return those whose deadline is next, and who cannot go on before it.
        """
        sleepers = [
            one
            for one in self.parties
            if not one.done
            and one is not me
            and one.deadline is not None
            and not one.can_go()
        ]
        first = min((one.deadline or 0 for one in sleepers), default=0)
        return [one for one in sleepers if one.deadline == first]

    def _next(self, me: Party | None) -> Party:
        """
        Return who goes on, as *me* cannot.
        """
        step = self._count(me, 7)
        ready = [one for one in self.parties if one.can_go()]
        # As time passes for all, *me* may be the one to wake up.
        sleepers = self._sleepers(None)
        if self._turns:
            if self._turns[-1].step == step:
                return self._turn(me)
        elif ready:
            self._note(ready[1:], preempted=False)
            if self._notes_preemptions:
                self._note(sleepers, preempted=True)
        else:
            self._note(sleepers[1:], preempted=False)
        if not ready and not sleepers:
            self._give_up(DeadlockError(f"nobody can go on: {self._standing()}"))
        return self._awake((ready or sleepers)[0])

    def _turn(self, me: Party | None) -> Party:
        """
        Return who goes on as the schedule says.
        """
        turn = self._turns.pop()
        party = self.parties[turn.party]
        is_there = party.can_go() or party in self._sleepers(None)
        as_expected = self._turns or self._expected in {None, self.digest}
        if not is_there or not as_expected or (party is me and party.can_go()):
            self._give_up(DivergedError(f"another way led to step {turn.step}"))
        return self._awake(party)

    def _awake(self, party: Party) -> Party:
        if not party.can_go() and party.deadline is not None:
            self.now = max(self.now, party.deadline)
            party.timed_out = True
        return party

    def _note(self, others: list[Party], *, preempted: bool) -> None:
        if others:
            could = tuple((one.number, preempted) for one in others)
            self.decisions.append(Decision(self.step, self.digest, could))

    def _switch(self, me: Party, to: Party) -> None:
        self.switches.append(f"{me.number} at {_place()}, on to {to.number}")
        if to is not me:
            to.baton.release()
            me.baton.acquire()

    def _give_up(self, problem: Exception) -> NoReturn:
        """
        End the run, and this thread never: what it amends would be a mess.
        """
        if self.me() is None:
            raise problem
        self._problem = problem
        self._over.release()
        while True:
            threading.Event().wait()

    def _standing(self) -> str:
        frames = sys._current_frames()
        return "; ".join(
            f"{party.number} at {_place(frames[ident])}"
            for ident, party in sorted(
                self._by_ident.items(), key=lambda item: item[1].number
            )
            if not party.done
        )

    # A party's thread

    def _live(self, party: Party) -> None:
        self._by_ident[get_ident()] = party
        party.baton.acquire()
        try:
            party.value = party.call()
        except BaseException as error:
            party.error = error
        party.done = True
        if all(one.done for one in self.parties):
            self._over.release()
        else:
            self._next(party).baton.release()


class _Condition:
    """
    Stand in the way until something is true.
    """

    def __init__(self, is_true: Callable[[], bool]) -> None:
        self.is_free = is_true


def wait_until(is_true: Callable[[], bool]) -> None:
    """
    Let the other threads go on until something is true.
    """
    scheduler = Scheduler.current
    party = None if scheduler is None else scheduler.me()
    assert scheduler is not None, "only threads of a race wait"
    assert party is not None, "only threads of a race wait"
    while not is_true():
        scheduler.block(party, _Condition(is_true))


def _place(frame: FrameType | None = None) -> str:
    """
    Say where a thread stands, as seen by somebody who reads the package.
    """
    frame = frame or sys._getframe()
    while frame.f_back is not None and "/explorer/" in frame.f_code.co_filename:
        frame = frame.f_back
    name = os.path.basename(frame.f_code.co_filename)  # noqa: PTH119 -- of a frame
    return f"{name}:{frame.f_lineno} ({frame.f_code.co_name})"


def _forking() -> None:
    if Scheduler.current is not None:
        Scheduler.current.forking()


def _forked() -> None:
    if Scheduler.current is not None:
        Scheduler.current.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forking, after_in_parent=_forked)
