"""
A lock and a clock around the decisions of a circuit.

How it stays whole: the state is one immutable value. Whatever changes it
computes the next one first, under the lock, and then commits it in a run of
plain stores, after looking whether the state is still the one it started from
(``TripUnit._commit``). Signal handlers, finalisers and Ctrl-C come between
calls, never between stores: one that uses the breaker in the middle of a
computation makes it start over, and none sees half a change.
"""

# ruff: noqa: SLF001 -- a breaker and its calls know each other

from __future__ import annotations

import itertools
import time

from typing import TYPE_CHECKING, Any, Final

from switchgear import _bypass
from switchgear._breaker_events import closed_by_reset, refused, tells_why, told_of
from switchgear._clock import MONOTONIC, checked_clock
from switchgear._core import circuit as core
from switchgear._core.circuit import (
    CLOSED,
    FORCED_CLOSED,
    FORCED_OPEN,
    Circuit,
    Policy,
    Report,
    Step,
)
from switchgear._core.outcomes import FAILURE, IGNORED, Outcome
from switchgear._failure import text_of, unchain
from switchgear._instance import Instance
from switchgear._permit import BYPASSED, Call, Refusal
from switchgear._validate import nanoseconds, optional_seconds
from switchgear.events import CircuitForced, CircuitState, Reconfigured


if TYPE_CHECKING:
    from collections.abc import Callable

    from switchgear._breaker_settings import Settings
    from switchgear._clock import Clock
    from switchgear.events import Event

    _Plan = Callable[[frozenset[str]], tuple[dict[str, Any], frozenset[str]]]


# Makes a named tuple in half the time that its own __new__ takes.
_new: Final = tuple.__new__


class TripUnit(Instance):
    """
    Decide for a breaker whether calls may pass, one locked section at a time.
    """

    __slots__ = (
        "_circuit",
        "_clock",
        "_closed",
        "_failed",
        "_ignored",
        "_judge",
        "_last_failure",
        "_last_ns",
        "_mark",
        "_offset_ns",
        "_policy",
        "_reads",
        "_refused",
        "_settings",
        "_streak",
        "_tick",
    )

    def __init__(
        self, name: str | None, settings: Settings, clock: Clock | None
    ) -> None:
        self._settings = settings
        self._clock = checked_clock(clock)
        #: What is added to the clock, so that this breaker's time never goes back.
        self._offset_ns = 0
        self._last_ns = self._clock.monotonic_ns()
        self._judge = settings.judge()
        self._policy = settings.policy()
        self._circuit = core.fresh(self._policy, self._last_ns)
        #: The generation while a call may take the quick path, else 0, and
        #: the failures in a row: both follow from the circuit, and are read
        #: without the lock.
        self._closed = _quick_generation(self._policy, self._circuit)
        self._streak = 0
        #: Count one admission, atomically and without a lock.
        self._tick: Callable[[], int] = itertools.count().__next__
        # How many of the ticks were no admissions, but readings of the count.
        self._reads = 0
        self._refused = 0
        self._failed = 0
        self._ignored = 0
        self._last_failure: BaseException | None = None
        self._mark = object()
        # Last: it makes the instance known, which must be whole by then.
        super().__init__(name)
        # Protection may have been switched off before anybody could be told.
        self._note_bypass()

    # Time

    def _now(self) -> int:
        """
        Return the time of this breaker, which never goes back.
        """
        # The offset first: with one that is too old the sum may be behind,
        # which is noticed, but never ahead.
        offset_ns = self._offset_ns
        now_ns = self._read() + offset_ns
        if now_ns < self._last_ns:
            return self._read_again()
        # Unlocked, so a slower thread may put it back a little. It only makes
        # a step of the clock by so little go unnoticed.
        self._last_ns = now_ns
        return now_ns

    def _read(self) -> int:
        # Through the module at each call: a replaced function is noticed.
        if self._clock is MONOTONIC:
            return time.monotonic_ns()
        return self._clock.monotonic_ns()

    def _read_again(self) -> int:
        """
        Return the time after a reading that was behind the last one seen.

        Perhaps another thread was faster. If the clock is still behind, it
        has stepped back, and time goes on from the last reading.
        """
        with self._lock:
            while True:
                last_ns, offset_ns = self._last_ns, self._offset_ns
                reading_ns = self._read()
                if self._offset_ns == offset_ns:
                    now_ns = reading_ns + offset_ns
                    if now_ns < last_ns:
                        self._offset_ns = last_ns - reading_ns
                        return last_ns
                    self._last_ns = now_ns
                    return now_ns

    def _chance(self) -> float:
        import random  # slow to import, and seldom needed

        return random.random()  # noqa: S311 -- to spread load, not to hide

    # Deciding

    def _ask(self, call: Call) -> Refusal | None:
        """
        Admit *call*, or return why not.
        """
        if _bypass.active:
            call._generation = BYPASSED
            return None
        now_ns = self._now()
        circuit = self._circuit
        if circuit.phase is CLOSED and circuit.override is not FORCED_OPEN:
            call._generation = circuit.generation
            call._start_ns = now_ns
            self._tick()
            return None
        try:
            return self._ask_closely(call, now_ns, core.admit)
        except BaseException:
            # Interrupted before its call: the place is given back.
            if call._lease:
                self._record(IGNORED, call=call)
            raise

    def _ask_closely(
        self, call: Call, now_ns: int, decide: Callable[..., tuple[Step, core.Answer]]
    ) -> Refusal | None:
        chance = self._chance() if self._policy.jitter else 0.5
        told: tuple[BaseException | None, str | None] = (None, None)
        while True:
            with self._lock:
                circuit, policy = self._circuit, self._policy
                failure = self._last_failure
                at_ns = max(now_ns, self._last_ns)
                step, answer = decide(policy, circuit, at_ns, chance)
                if told[0] is failure or not tells_why(self._outbox, step):
                    events = told_of(self._outbox, self._name, step, told[1])
                    refusal = None
                    if not answer.admitted:
                        state = step.circuit.state
                        refusal = Refusal(state, _to_seconds(answer.retry_ns))
                        events += refused(self._outbox, self._name, refusal, at_ns)
                    call._start_ns = at_ns
                    if self._commit(
                        policy,
                        circuit,
                        step,
                        failure,
                        events,
                        asked=call,
                        answer=answer,
                    ):
                        break
                    continue
            # Not under the lock: what an exception says is its author's code.
            told = (failure, text_of(failure))
        # Without a generation it was only a look.
        if answer.generation:
            self._tick()
        if events:
            self._outbox.deliver()
        return refusal

    def _look(self, now_ns: int) -> bool:
        """
        Do what is due, and answer whether a call would be refused.
        """
        chance = self._chance() if self._policy.jitter else 0.5
        told: tuple[BaseException | None, str | None] = (None, None)
        while True:
            with self._lock:
                circuit, policy = self._circuit, self._policy
                failure = self._last_failure
                at_ns = max(now_ns, self._last_ns)
                step = core.due(policy, circuit, at_ns, chance)
                if told[0] is failure or not tells_why(self._outbox, step):
                    events = told_of(self._outbox, self._name, step, told[1])
                    if self._commit(policy, circuit, step, failure, events):
                        break
                    continue
            told = (failure, text_of(failure))
        if events:
            self._outbox.deliver()
        return core.wait_ns(policy, step.circuit, at_ns) != 0

    def _record_unasked(
        self,
        outcome: Outcome,
        error: BaseException | None,
        duration: float | None,
        retry_after: float | None,
    ) -> None:
        length = optional_seconds("duration", duration)
        if _bypass.active:
            return
        self._tick()
        self._record(
            outcome,
            error,
            duration_ns=None if length is None else nanoseconds(length),
            retry_after=retry_after,
        )

    def _record(
        self,
        outcome: Outcome,
        error: BaseException | None = None,
        *,
        call: Call | None = None,
        generation: int | None = None,
        duration_ns: int | None = None,
        retry_after: float | None = None,
        cancelled: bool = False,
    ) -> bool:
        """
        Count an outcome; return whether it was the first of *call*.
        """
        try:
            now_ns = self._now()
            quick, lease = generation is not None, None
            if call is not None:
                generation, lease = call._generation, call._lease
                if call._start_ns is None:
                    quick = True
                else:
                    duration_ns = now_ns - call._start_ns
            hold_ns = None if retry_after is None else now_ns + nanoseconds(retry_after)
            chance = self._chance() if self._policy.jitter else 0.5
            if error is not None:
                unchain(error, self._mark)
            # fmt: off
            report = _new(Report, (
                outcome, generation, lease, quick,
                duration_ns, cancelled, hold_ns, chance,
            ))
            # fmt: on
            return self._settle(call, error, report, now_ns)
        except BaseException:
            # Interrupted while reporting: the place at least is given back.
            if call is not None and call._lease and not call._decided:
                self._record(IGNORED, call=call)
            raise

    def _settle(
        self,
        call: Call | None,
        error: BaseException | None,
        report: Report,
        now_ns: int,
    ) -> bool:
        told: tuple[BaseException | None, str | None] = (None, None)
        while True:
            with self._lock:
                if call is not None and call._decided:
                    return False
                circuit, policy = self._circuit, self._policy
                # Let go after the lock: its frames may have finalisers.
                previous = self._last_failure
                if report.generation == BYPASSED:
                    step = Step(circuit)
                else:
                    at_ns = max(now_ns, self._last_ns)
                    step = core.record(policy, circuit, report, at_ns)
                failure = _failure_after(circuit, step, error, previous)
                # Most steps have nothing to tell: no calls for those.
                quiet = not step.transitions
                if quiet or told[0] is failure or not tells_why(self._outbox, step):
                    events: tuple[Event, ...] = ()
                    if not quiet:
                        events = told_of(self._outbox, self._name, step, told[1])
                    if self._commit(
                        policy, circuit, step, failure, events, reported=call
                    ):
                        break
                    continue
            # Not under the lock: what an exception says is its author's code.
            told = (failure, text_of(failure))
        if events:
            self._outbox.deliver()
        del previous
        return step.counted is not None or report.generation == BYPASSED

    def _force(self, override: CircuitState, reason: str) -> None:
        _check_reason(reason)
        now_ns = self._now()
        while True:
            with self._lock:
                circuit, policy = self._circuit, self._policy
                previous = self._last_failure
                # Only a circuit that refuses has a use for it.
                kept = override is FORCED_OPEN
                at_ns = max(now_ns, self._last_ns)
                after = core.fresh(
                    policy,
                    at_ns,
                    generation=circuit.generation + 1,
                    override=override,
                )
                events: tuple[Event, ...] = ()
                if self._outbox.wants(CircuitForced):
                    forced = CircuitForced(
                        at=at_ns / 1e9,
                        breaker=self._name,
                        from_state=circuit.state,
                        to_state=override,
                        reason=reason,
                    )
                    events = (forced,)
                failure = previous if kept else None
                if self._commit(policy, circuit, Step(after), failure, events):
                    break
        self._outbox.deliver()
        del previous

    def _restart(self) -> None:
        now_ns = self._now()
        while True:
            with self._lock:
                circuit, policy = self._circuit, self._policy
                # Let go after the lock: its frames may have finalisers.
                failure = self._last_failure
                at_ns = max(now_ns, self._last_ns)
                after = core.fresh(policy, at_ns, generation=circuit.generation + 1)
                events = closed_by_reset(self._outbox, self._name, circuit, at_ns)
                admitted = self._admitted()
                if self._commit(
                    policy, circuit, Step(after), None, events, forgotten=admitted
                ):
                    break
        self._outbox.deliver()
        del failure

    def _configure_like(self, pattern: TripUnit, *, forget: bool) -> None:
        """
        Go on with the settings of *pattern*, but for those changed at run time.

        With *forget* those too; what the pattern has of its own counts as
        changed at run time then.
        """

        def plan(own: frozenset[str]) -> tuple[dict[str, Any], frozenset[str]]:
            below = pattern._settings.as_dict()
            if forget:
                return below, pattern._own
            return {name: below[name] for name in below if name not in own}, own

        self._change(plan, alone=False if forget else None)

    def _check_like(self, pattern: TripUnit) -> None:
        """
        Raise what ``_configure_like`` would raise.
        """
        from dataclasses import replace

        own = {name: getattr(self._settings, name) for name in self._own}
        replace(pattern._settings, **own)

    def _reconfigure(self, *, alone: bool, **wanted: Any) -> None:
        """
        Change the settings *wanted* at run time; *alone*: of this one by itself.
        """
        self._change(
            lambda own: (wanted, own | wanted.keys()), alone=True if alone else None
        )

    def _change(self, plan: _Plan, *, alone: bool | None) -> None:
        """
        Go on with other settings.

        *plan* is given the names of those changed at run time, and returns the
        new settings, and the names of those that are then. *alone*: whether
        this one was changed by itself then; None: if it was before.
        """
        while not self._changed(plan, alone=alone):
            pass
        self._outbox.deliver()

    def _changed(self, plan: _Plan, *, alone: bool | None) -> bool:
        """
        Try to change what is planned; return False if others came first.
        """
        from dataclasses import replace

        # Validation and comparisons run code of the user's: before the lock.
        before = self._settings
        # After the settings: who changes it changes those, and is noticed.
        wanted, own = plan(self._own)
        after = replace(before, **wanted)
        changes = before.changes_to(after)
        policy, judge = after.policy(), self._judge
        if not {"failure_on", "ignore", "failure_when"}.isdisjoint(changes):
            judge = after.judge()
        old = self._policy
        if "window" not in changes:
            policy = policy._replace(ledger=old.ledger)
        now_ns = self._now()
        with self._lock:
            circuit, at_ns = self._circuit, max(now_ns, self._last_ns)
            adapted = core.adapt(old, policy, circuit, at_ns)
            closed = _quick_generation(policy, adapted)
            events: tuple[Event, ...] = ()
            if changes and self._outbox.wants(Reconfigured):
                changed = Reconfigured(
                    at=at_ns / 1e9, kind="breaker", name=self._name, changes=changes
                )
                events = (changed,)
            room = self._outbox.room_for(events) if events else None
            # Nothing is called from here to the return: see _commit().
            if (
                self._settings is not before
                or self._policy is not old
                or self._circuit is not circuit
            ):
                return False
            self._settings = after
            self._own = own
            if alone is not None:
                self._alone = alone
            self._judge = judge
            self._policy = policy
            self._circuit = adapted
            self._closed = closed
            if room is not None:
                room += events
            return True

    def _commit(  # noqa: C901 -- one run of stores
        self,
        policy: Policy,
        before: Circuit,
        step: Step,
        failure: BaseException | None,
        events: tuple[Event, ...],
        *,
        reported: Call | None = None,
        asked: Call | None = None,
        answer: core.Answer = core.Answer(admitted=True),  # noqa: B008 -- immutable
        forgotten: int | None = None,
    ) -> bool:
        """
        Make *step* what is, if *before* and *policy* still are, and tell *events*.

        With so many admitted calls *forgotten*, they are counted from here on.

        Returns False if they are not: then somebody interrupted this thread
        and used the breaker, and the step has to be computed anew. The caller
        holds the lock, and keeps a reference to the failure that is replaced.
        """
        after, entry = step.circuit, step.entry
        slots, slot, value = before.books.slots, 0, None
        if entry is not None:
            slot, value, _ = entry
        closed, streak = self._closed, after.streak
        if after.generation != before.generation:
            closed = _quick_generation(policy, after)
        admitted, generation, lease, _ = answer
        failed = int(step.counted is FAILURE)
        ignored = step.expired + (step.counted is IGNORED)
        room = self._outbox.room_for(events) if events else None
        # Nothing is called from here to the end. Signal handlers run, and
        # KeyboardInterrupt is raised, at calls and at the end of loops only.
        if self._circuit is not before or self._policy is not policy:
            return False
        if reported is not None:
            if reported._decided:
                return False
            reported._decided = True
        if entry is not None:
            slots[slot] = value
        self._circuit = after
        self._closed = closed
        self._streak = streak
        self._last_failure = failure
        if forgotten is not None:
            self._reads += forgotten
            self._refused = self._failed = self._ignored = 0
        self._failed += failed
        self._ignored += ignored
        if asked is not None:
            if admitted:
                asked._generation = generation
                asked._lease = lease
            else:
                self._refused += 1
        if room is not None:
            room += events
        return True

    def _admitted(self) -> int:
        """
        Return how many calls were admitted; the caller holds the lock.
        """
        # First the note that this tick is none: nothing can come in between.
        reads = self._reads
        self._reads = reads + 1
        return self._tick() - reads

    def _note_bypass(self) -> None:
        with self._lock:
            while True:
                circuit, policy = self._circuit, self._policy
                bypassed = _bypass.active
                closed = _quick_generation(policy, circuit)
                # Nothing is called from here to the end: see _commit().
                if (
                    self._circuit is circuit
                    and self._policy is policy
                    and _bypass.active == bypassed
                ):
                    self._closed = closed
                    break

    def _after_fork(self) -> None:
        super()._after_fork()
        circuit = core.orphaned(self._policy, self._circuit, self._last_ns)
        self._circuit = circuit
        self._closed = _quick_generation(self._policy, circuit)
        self._streak = circuit.streak


def _quick_generation(policy: Policy, circuit: Circuit) -> int:
    """
    Return the generation if calls may go through unmeasured, else 0.
    """
    if (
        circuit.phase is CLOSED
        and not _bypass.active
        and policy.ledger is None
        and policy.slow_ns is None
        and circuit.override in _QUICK_OVERRIDES
    ):
        return circuit.generation
    return 0


_QUICK_OVERRIDES: Final = (None, FORCED_CLOSED)


def _failure_after(
    before: Circuit,
    step: Step,
    error: BaseException | None,
    previous: BaseException | None,
) -> BaseException | None:
    """
    Return the failure seen last, once *step* is made.
    """
    if step.transitions and step.circuit.phase is CLOSED:
        return None
    # A failure that moved the circuit has made the streak longer. One that came
    # after others were given up, and reopened it, is counted and no more.
    return error if step.circuit.streak > before.streak else previous


def _to_seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / 1e9


def _check_reason(reason: Any) -> None:
    if not isinstance(reason, str):
        msg = f"reason must be a string, not {type(reason).__name__}: {reason!r}"
        raise TypeError(msg)
