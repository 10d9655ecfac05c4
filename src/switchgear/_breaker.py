"""
The circuit breaker: a lock and a clock around the decisions of the core.

How it stays whole: the state is one immutable value. Whatever changes it
computes the next one first, under the lock, and then commits it in a run of
plain stores, after looking whether the state is still the one it started from
(``CircuitBreaker._commit``). Signal handlers, finalisers and Ctrl-C come
between calls, never between stores: one that uses the breaker in the middle of
a computation makes it start over, and none sees half a change.
"""

# ruff: noqa: SLF001 -- a breaker and its calls know each other

from __future__ import annotations

import itertools
import time

from typing import TYPE_CHECKING, Any, Final

from switchgear import _bypass
from switchgear._breaker_settings import Settings
from switchgear._clock import MONOTONIC, checked_clock
from switchgear._core import circuit as core
from switchgear._core.circuit import (
    CLOSED,
    FORCED_CLOSED,
    FORCED_OPEN,
    HALF_OPEN,
    OBSERVING,
    OPEN,
    Circuit,
    Policy,
    Report,
    Step,
    Transition,
)
from switchgear._core.outcomes import FAILURE, IGNORED, SUCCESS, Judge, Outcome
from switchgear._core.windows import CountWindow, TimeWindow, Window
from switchgear._failure import sign, text_of, unchain
from switchgear._instance import Instance
from switchgear._permit import BYPASSED, Call, Guard, Permit, Refusal, check_failure
from switchgear._record import Record, record
from switchgear._unchanged import UNCHANGED, Unchanged
from switchgear._validate import nanoseconds, optional_seconds
from switchgear.errors import CircuitOpenError
from switchgear.events import (
    CircuitClosed,
    CircuitForced,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitRefused,
    CircuitState,
    CircuitTripObserved,
    Reconfigured,
)


if TYPE_CHECKING:
    from collections.abc import Callable

    from switchgear._clock import Clock
    from switchgear._core.outcomes import Matcher
    from switchgear.events import Event


__all__ = [
    "BreakerSnapshot",
    "CircuitBreaker",
    "CountWindow",
    "Guard",
    "Permit",
    "TimeWindow",
    "Window",
    "WindowSnapshot",
]


# Makes a named tuple in half the time that its own __new__ takes.
_new: Final = tuple.__new__


@record
class WindowSnapshot(Record):
    """
    Describe what is in the window of a breaker.

    Attributes:
        calls: How many calls.
        failures: How many of them failed.
        slow: How many of them were slow.

    .. versionadded:: 0.1.0
    """

    calls: int
    failures: int
    slow: int


@record
class BreakerSnapshot(Record):
    """
    Describe a breaker as it stands.

    Attributes:
        name: Its name, or None.
        state: Its state.
        since: For how many seconds it has been there.
        failures: Failures in a row.
        window: What is in the window, or None if it has none.
        admitted: Calls admitted so far, those reported without asking
            included.
        refused: Calls refused so far.
        failed: Calls that failed so far.
        ignored: Calls that counted neither way so far, probes that were given
            up included.
        probes_out: Probes that are out.
        retry_after: Seconds until a call may be admitted; 0.0 if one would be
            now, None if an operator has to act first.
        last_failure: The failure seen last, as text, since it was last closed.

    .. versionadded:: 0.1.0
    """

    name: str | None
    state: CircuitState
    since: float
    failures: int
    window: WindowSnapshot | None
    admitted: int
    refused: int
    failed: int
    ignored: int
    probes_out: int
    retry_after: float | None
    last_failure: str | None


class CircuitBreaker(Instance):
    """
    Stop calling a service that is down, and find out when it is back.

    Closed, calls go through and failures are counted. *threshold* failures in
    a row, or too large a share of a window, open the circuit: calls are
    refused at once. After *cooldown* seconds it is half-open: a few probes
    are let through, and their outcomes close it or open it again.

    Safe to share between any number of threads and event loops. No code of
    the user's runs under its lock.

    Args:
        threshold: Failures in a row that open the circuit, at least 1; None to
            go by the *window* only. A success resets the count.
        cooldown: Seconds it stays open; greater than zero.
        name: What it is called in logs, events and errors.
        window: A :class:`CountWindow` or :class:`TimeWindow`, to open on the
            share of failed or slow calls as well; judged on every record.
        slow_call_seconds: A call that takes longer is slow: judged by the
            *slow_call_rate* of the window where set, else a failure. A slow
            probe is a failure. None: no call is.
        half_open_probes: How many probes may be out at once, 1 to 1000.
        successes_to_close: How many probes must succeed to close it.
        probe_timeout: Seconds after which a probe that has reported nothing
            is given up and counts as ignored; None for *cooldown* seconds.
            Choose it longer than the slowest call that may still succeed.
        cooldown_factor: By how much the cooldown grows each time the circuit
            opens again without having closed; 1 to 1000.
        max_cooldown: The longest it grows to, in seconds, jitter left aside;
            at least *cooldown*.
        jitter: How much of a cooldown is left to chance, as a fraction:
            with 0.1 it is 10 % shorter to 10 % longer.
        failure_on: What is a failure: an exception type, a predicate
            ``exc -> bool``, or a tuple of these. Other exceptions count as
            success: the service answered.
        ignore: What counts neither way; the same kinds. Looked at first.
            Always ignored are refusals of this library and whatever is no
            ``Exception``: cancellation, KeyboardInterrupt and the like.
        failure_when: Which returned values are failures: ``result -> bool``.
        clock: Where the time comes from. Tests pass a ``ManualClock``.
        store: Reserved for shared stores; must be None.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of its range, or two contradict
            each other.

    .. versionadded:: 0.1.0
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
        self,
        threshold: int | None = 5,
        cooldown: float = 120.0,
        *,
        name: str | None = None,
        window: Window | None = None,
        slow_call_seconds: float | None = None,
        half_open_probes: int = 1,
        successes_to_close: int = 1,
        probe_timeout: float | None = None,
        cooldown_factor: float = 1.0,
        max_cooldown: float | None = None,
        jitter: float = 0.0,
        failure_on: Matcher = Exception,
        ignore: Matcher = (),
        failure_when: Callable[[Any], bool] | None = None,
        clock: Clock | None = None,
        store: None = None,
    ) -> None:
        self._settings = Settings(
            threshold=threshold,
            cooldown=cooldown,
            window=window,
            slow_call_seconds=slow_call_seconds,
            half_open_probes=half_open_probes,
            successes_to_close=successes_to_close,
            probe_timeout=probe_timeout,
            cooldown_factor=cooldown_factor,
            max_cooldown=max_cooldown,
            jitter=jitter,
            failure_on=failure_on,
            ignore=ignore,
            failure_when=failure_when,
        )
        _check_store(store)
        self._clock = checked_clock(clock)
        #: What is added to the clock, so that this breaker's time never goes back.
        self._offset_ns = 0
        self._last_ns = self._clock.monotonic_ns()
        self._judge = self._settings.judge()
        self._policy = self._settings.policy()
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

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self._name!r}: {self._circuit.state.value}>"

    # Asking and reporting

    @property
    def is_open(self) -> bool:
        """
        Whether a call would be refused now.

        True in ``OPEN`` and ``FORCED_OPEN``, and in ``HALF_OPEN`` while every
        probe is out. An open circuit whose cooldown has passed becomes
        half-open by being looked at. Looking takes no slot: to bound the
        probes of several threads, use :meth:`guard` or :meth:`try_acquire`.
        """
        if self._closed:
            return False
        circuit = self._circuit
        if _bypass.active:
            return False
        if circuit.phase is CLOSED:
            return circuit.override is FORCED_OPEN
        now_ns = self._now()
        if circuit.phase is OPEN and now_ns < circuit.due_ns:
            return circuit.override is None
        return self._look(now_ns)

    def guard(self) -> Guard:
        """
        Return a fresh guard, for one ``with`` or ``async with`` block.

        Entering it raises :class:`CircuitOpenError` if the call is refused.
        Inside, ``call.result(value)`` judges a result, ``call.fail()`` and
        ``call.ignore()`` say how it went; else the exception that leaves the
        block is judged. Guards may be nested, entered and left anywhere.

        Put ``asyncio.timeout`` *inside* the block: from outside it cancels
        the call, which is then ignored.
        """
        return Guard(self)

    def try_acquire(self) -> Permit:
        """
        Answer whether a call may be made; a truthy permit must report back.
        """
        permit = Permit(self)
        permit._refusal = self._ask(permit)
        return permit

    def record_success(self, *, duration: float | None = None) -> None:
        """
        Count a successful call that never asked.

        Closed, it counts; half-open, it is a probe's result; open or forced,
        it only adds to the totals.

        Args:
            duration: How many seconds it took, if known.

        Raises:
            TypeError, ValueError: If *duration* is no number, or negative.
        """
        self._record_unasked(SUCCESS, None, duration, None)

    def record_failure(
        self,
        error: BaseException | None = None,
        *,
        duration: float | None = None,
        retry_after: float | None = None,
    ) -> None:
        """
        Count a failed call that never asked.

        Closed, it counts; half-open, it is a probe's result; open or forced,
        it only adds to the totals.

        Args:
            error: What was raised, if anything: the ``__cause__`` of refusals.
            duration: How many seconds it took, if known.
            retry_after: Seconds for which the service asked to be left alone:
                a circuit this failure opens stays open at least that long.

        Raises:
            TypeError, ValueError: If an argument is of the wrong type or out
                of its range.
        """
        check_failure(error, retry_after)
        self._record_unasked(FAILURE, error, duration, retry_after)

    # Operating

    def force_open(self, reason: str = "") -> None:
        """
        Refuse every call until the next operator call.

        Args:
            reason: What the event is to say.
        """
        self._force(FORCED_OPEN, reason)

    def force_closed(self, reason: str = "") -> None:
        """
        Admit every call, whatever fails, until the next operator call.

        Args:
            reason: What the event is to say.
        """
        self._force(FORCED_CLOSED, reason)

    def observe_only(self, reason: str = "") -> None:
        """
        Admit every call and report the trips there would have been.

        It counts and decides as ever, cooldowns and probes included: calls it
        would have refused are made, but change nothing. Holds until the next
        operator call.

        Args:
            reason: What the event is to say.
        """
        self._force(OBSERVING, reason)

    def reset(self) -> None:
        """
        Start anew: closed, nothing counted. Settings stay.
        """
        now_ns = self._now()
        while True:
            with self._lock:
                circuit, policy = self._circuit, self._policy
                # Let go after the lock: its frames may have finalisers.
                failure = self._last_failure
                at_ns = max(now_ns, self._last_ns)
                after = core.fresh(policy, at_ns, generation=circuit.generation + 1)
                events = self._events_of_reset(circuit, at_ns)
                if self._commit(policy, circuit, Step(after), None):
                    admitted = self._admitted()
                    self._reads += admitted
                    self._refused = self._failed = self._ignored = 0
                    self._put(events)
                    break
        self._outbox.deliver()
        del failure

    def reconfigure(
        self,
        *,
        threshold: int | Unchanged | None = UNCHANGED,
        cooldown: float | Unchanged = UNCHANGED,
        window: Window | Unchanged | None = UNCHANGED,
        slow_call_seconds: float | Unchanged | None = UNCHANGED,
        half_open_probes: int | Unchanged = UNCHANGED,
        successes_to_close: int | Unchanged = UNCHANGED,
        probe_timeout: float | Unchanged | None = UNCHANGED,
        cooldown_factor: float | Unchanged = UNCHANGED,
        max_cooldown: float | Unchanged | None = UNCHANGED,
        jitter: float | Unchanged = UNCHANGED,
        failure_on: Matcher | Unchanged = UNCHANGED,
        ignore: Matcher | Unchanged = UNCHANGED,
        failure_when: Callable[[Any], bool] | Unchanged | None = UNCHANGED,
    ) -> None:
        """
        Go on with other settings; what is left out stays as it is.

        State, counts and window are kept and no generation begins: a running
        cooldown ends when it was going to, probes that are out keep their
        time, and what has been counted already is judged at the next record.
        A window of another length keeps the calls that fit; one of another
        kind starts empty.

        Args:
            threshold: As for the constructor, like all that follow.
            cooldown: From the next opening on.
            window: Another window, or None for none.
            slow_call_seconds: For calls that end from now on.
            half_open_probes: Fewer than are out lets no more through.
            successes_to_close: Judged at the next probe.
            probe_timeout: For probes from now on.
            cooldown_factor: From the next opening on.
            max_cooldown: From the next opening on.
            jitter: From the next opening on.
            failure_on: For calls that end from now on.
            ignore: For calls that end from now on.
            failure_when: For calls that end from now on.

        Raises:
            TypeError, ValueError: As the constructor does, for the settings
                as they would be. Nothing is changed then.
        """
        given = {
            "threshold": threshold,
            "cooldown": cooldown,
            "window": window,
            "slow_call_seconds": slow_call_seconds,
            "half_open_probes": half_open_probes,
            "successes_to_close": successes_to_close,
            "probe_timeout": probe_timeout,
            "cooldown_factor": cooldown_factor,
            "max_cooldown": max_cooldown,
            "jitter": jitter,
            "failure_on": failure_on,
            "ignore": ignore,
            "failure_when": failure_when,
        }
        wanted: dict[str, Any] = {
            name: value
            for name, value in given.items()
            if not isinstance(value, Unchanged)
        }
        while not self._reconfigured(wanted):
            pass
        self._outbox.deliver()

    def settings(self) -> dict[str, Any]:
        """
        Return the arguments that would make a breaker like this one now.

        Without *name*, *clock* and *store*.
        """
        return self._settings.as_dict()

    def snapshot(self) -> BreakerSnapshot:
        """
        Return what there is to know, as of now. Changes nothing.
        """
        now_ns = self._now()
        with self._lock:
            circuit, policy = self._circuit, self._policy
            now_ns = max(now_ns, self._last_ns)
            failure = self._last_failure
            refused, failed, ignored = self._refused, self._failed, self._ignored
            tally = core.tally(policy, circuit, now_ns)
            admitted = self._admitted()
        wait_ns = core.wait_ns(policy, circuit, now_ns)
        observing = circuit.override is OBSERVING
        return BreakerSnapshot(
            name=self._name,
            state=circuit.state,
            since=max(0, now_ns - circuit.since_ns) / 1e9,
            failures=circuit.streak,
            window=None
            if policy.ledger is None
            else WindowSnapshot(
                calls=tally.calls, failures=tally.failures, slow=tally.slow
            ),
            admitted=admitted,
            refused=refused,
            failed=failed,
            ignored=ignored,
            probes_out=0 if observing else len(core.live_leases(circuit, now_ns)),
            retry_after=_to_seconds(wait_ns),
            last_failure=text_of(failure),
        )

    # For guards and decorators. A call that took the quick path reports with
    # the generation it read from _closed.

    def _admit(self) -> Permit:
        """
        Return a truthy permit, or raise the refusal.
        """
        permit = self.try_acquire()
        if permit._refusal is not None:
            raise self._error(permit._refusal)
        return permit

    def _refuse_if_open(self) -> None:
        """
        Raise the refusal of a call that would be refused now. Takes no slot.
        """
        circuit = self._circuit
        if _bypass.active or (
            circuit.phase is CLOSED and circuit.override is not FORCED_OPEN
        ):
            return
        refusal = self._ask_closely(Permit(self), self._now(), core.look)
        if refusal is not None:
            raise self._error(refusal)

    def _record_quick(
        self, generation: int, outcome: Outcome, error: BaseException | None
    ) -> None:
        """
        Record the outcome of a quick call.
        """
        if not _bypass.active:
            self._record(outcome, error, generation=generation)

    def _reset_streak(self, generation: int) -> None:
        """
        Record that a quick call succeeded after others had failed.
        """
        self._record_quick(generation, SUCCESS, None)

    def _quick_raised(
        self, generation: int, error: BaseException, judge: Judge | None = None
    ) -> None:
        """
        Record that a quick call raised *error*.

        What a predicate of *judge* raises is passed on, the call is ignored.
        """
        try:
            outcome = (judge or self._judge).of_exception(error)
        except BaseException:
            self._record_quick(generation, IGNORED, None)
            raise
        self._record_quick(generation, outcome, error)

    def _quick_returned(
        self, generation: int, value: object, judge: Judge | None = None
    ) -> None:
        """
        Record that a quick call returned *value*.

        What a predicate of *judge* raises is passed on, the call is ignored.
        """
        try:
            outcome = (judge or self._judge).of_result(value)
        except BaseException:
            self._record_quick(generation, IGNORED, None)
            raise
        if outcome is not SUCCESS or self._streak:
            self._record_quick(generation, outcome, None)

    def _error(self, refusal: Refusal) -> CircuitOpenError:
        """
        Return a fresh exception for *refusal*.
        """
        state, retry_after = refusal
        error = CircuitOpenError(self._name, state, retry_after, self._last_failure)
        sign(error, self._mark)
        return error

    def _idle(self) -> bool:
        """
        Answer whether forgetting this breaker would change nothing.

        That is: closed, no failure counted, and nobody listens to it alone.
        """
        if self._streak or self._outbox.has_listeners():
            return False
        now_ns = self._now()
        with self._lock:
            circuit, policy = self._circuit, self._policy
            tally = core.tally(policy, circuit, max(now_ns, self._last_ns))
        return (
            circuit.state is CLOSED
            and not circuit.streak
            and not tally.failures
            and not tally.slow
        )

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
                if told[0] is failure or not self._tells(step):
                    events = self._events_of(step, told[1])
                    refusal = None
                    if not answer.admitted:
                        state = step.circuit.state
                        refusal = Refusal(state, _to_seconds(answer.retry_ns))
                        events += self._events_of_refusal(refusal, at_ns)
                    call._start_ns = at_ns
                    if self._commit(
                        policy, circuit, step, failure, asked=call, answer=answer
                    ):
                        self._put(events)
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
                if told[0] is failure or not self._tells(step):
                    events = self._events_of(step, told[1])
                    if self._commit(policy, circuit, step, failure):
                        self._put(events)
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
            quick, lease = generation is not None, 0
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
        events: tuple[Event, ...] = ()
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
                if not step.transitions or told[0] is failure or not self._tells(step):
                    events = self._events_of(step, told[1]) if step.transitions else ()
                    if self._commit(policy, circuit, step, failure, reported=call):
                        if events:
                            self._put(events)
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
                if self._commit(policy, circuit, Step(after), failure):
                    self._put(events)
                    break
        self._outbox.deliver()
        del previous

    def _reconfigured(self, wanted: dict[str, Any]) -> bool:
        """
        Try to change what is *wanted*; return False if others came first.
        """
        from dataclasses import replace

        # Validation and comparisons run code of the user's: before the lock.
        before = self._settings
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
            # Nothing is called from here to the return: see _commit().
            if (
                self._settings is not before
                or self._policy is not old
                or self._circuit is not circuit
            ):
                return False
            self._settings = after
            self._judge = judge
            self._policy = policy
            self._circuit = adapted
            self._closed = closed
            self._put(events)
            return True

    def _commit(
        self,
        policy: Policy,
        before: Circuit,
        step: Step,
        failure: BaseException | None,
        *,
        reported: Call | None = None,
        asked: Call | None = None,
        answer: core.Answer = core.Answer(admitted=True),  # noqa: B008 -- immutable
    ) -> bool:
        """
        Make *step* what is, if *before* and *policy* still are.

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
        failed = 1 if step.counted is FAILURE else 0
        ignored = step.expired + (1 if step.counted is IGNORED else 0)
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
        self._failed += failed
        self._ignored += ignored
        if asked is not None:
            if admitted:
                asked._generation = generation
                asked._lease = lease
            else:
                self._refused += 1
        return True

    def _admitted(self) -> int:
        """
        Return how many calls were admitted; the caller holds the lock.
        """
        # First the note that this tick is none: nothing can come in between.
        reads = self._reads
        self._reads = reads + 1
        return self._tick() - reads

    # Telling

    def _put(self, events: tuple[Event, ...]) -> None:
        for event in events:
            self._outbox.put(event)

    def _tells(self, step: Step) -> bool:
        """
        Answer whether somebody will be told the text of the last failure.
        """
        for one in step.transitions:
            if one.to_phase is OPEN:
                wants = self._outbox.wants
                return wants(CircuitOpened) or wants(CircuitTripObserved)
        return False

    def _events_of(self, step: Step, last_failure: str | None) -> tuple[Event, ...]:
        if not step.transitions:
            return ()
        observing = step.circuit.override is OBSERVING
        build = self._observed if observing else self._transited
        events = [build(one, last_failure) for one in step.transitions]
        return tuple(event for event in events if event is not None)

    def _transited(self, one: Transition, last_failure: str | None) -> Event | None:
        at = one.at_ns / 1e9
        if one.to_phase is OPEN and self._outbox.wants(CircuitOpened):
            return CircuitOpened(
                at=at,
                breaker=self._name,
                from_state=one.from_phase,
                failures=one.failures,
                reason=one.reason,
                retry_after=(one.due_ns - one.at_ns) / 1e9,
                last_failure=last_failure,
            )
        if one.to_phase is HALF_OPEN and self._outbox.wants(CircuitHalfOpened):
            return CircuitHalfOpened(
                at=at, breaker=self._name, from_state=one.from_phase
            )
        if one.to_phase is CLOSED and self._outbox.wants(CircuitClosed):
            return CircuitClosed(
                at=at, breaker=self._name, from_state=one.from_phase, reason=one.reason
            )
        return None

    def _observed(self, one: Transition, last_failure: str | None) -> Event | None:
        if one.to_phase is OPEN and self._outbox.wants(CircuitTripObserved):
            return CircuitTripObserved(
                at=one.at_ns / 1e9,
                breaker=self._name,
                failures=one.failures,
                reason=one.reason,
                last_failure=last_failure,
            )
        return None

    def _events_of_refusal(self, refusal: Refusal, at_ns: int) -> tuple[Event, ...]:
        if not self._outbox.wants(CircuitRefused):
            return ()
        refused = CircuitRefused(
            at=at_ns / 1e9,
            breaker=self._name,
            state=refusal.state,
            retry_after=refusal.retry_after,
        )
        return (refused,)

    def _events_of_reset(self, circuit: Circuit, at_ns: int) -> tuple[Event, ...]:
        if circuit.state is CLOSED or not self._outbox.wants(CircuitClosed):
            return ()
        closed = CircuitClosed(
            at=at_ns / 1e9,
            breaker=self._name,
            from_state=circuit.state,
            reason="reset",
        )
        return (closed,)

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
    if step.circuit is before:
        return previous
    if step.transitions and step.circuit.phase is CLOSED:
        return None
    return error if step.counted is FAILURE else previous


def _to_seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / 1e9


def _check_store(store: Any) -> None:
    if store is not None:
        msg = f"store must be None, it is reserved for shared stores: {store!r}"
        raise TypeError(msg)


def _check_reason(reason: Any) -> None:
    if not isinstance(reason, str):
        msg = f"reason must be a string, not {type(reason).__name__}: {reason!r}"
        raise TypeError(msg)
