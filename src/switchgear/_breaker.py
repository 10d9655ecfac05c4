"""
The circuit breaker.
"""

# ruff: noqa: SLF001 -- a breaker and its calls know each other

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from switchgear import _bypass
from switchgear._breaker_settings import Settings
from switchgear._breaker_snapshot import BreakerSnapshot, WindowSnapshot
from switchgear._core import circuit as core
from switchgear._core.circuit import (
    CLOSED,
    FORCED_CLOSED,
    FORCED_OPEN,
    OBSERVING,
    OPEN,
)
from switchgear._core.outcomes import FAILURE, IGNORED, SUCCESS, Judge, Outcome
from switchgear._failure import sign, text_of
from switchgear._permit import Guard, Permit, Refusal, check_failure
from switchgear._trip_unit import TripUnit
from switchgear._unchanged import UNCHANGED, Unchanged
from switchgear.errors import CircuitOpenError


if TYPE_CHECKING:
    from collections.abc import Callable

    from switchgear._clock import Clock
    from switchgear._core.outcomes import Matcher
    from switchgear._core.windows import Window


class CircuitBreaker(TripUnit):
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

    __slots__ = ()

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
        settings = Settings(
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
        super().__init__(name, settings, clock)

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

        Entering it raises :class:`CircuitOpenError` if the call is refused,
        and RuntimeError the second time. Inside, ``call.result(value)`` judges
        a result, ``call.fail()`` and ``call.ignore()`` say how it went; else
        the exception that leaves the block is judged. Guards may be nested,
        entered and left anywhere.

        Put ``asyncio.timeout`` *inside* the block: from outside it cancels
        the call, which is then ignored.
        """
        return Guard(self)

    def try_acquire(self) -> Permit:
        """
        Answer whether a call may be made; a truthy permit must report back.

        A refusal raises nothing: its permit is falsy.
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

        Raises:
            TypeError: If *reason* is not a string.
        """
        self._force(FORCED_OPEN, reason)

    def force_closed(self, reason: str = "") -> None:
        """
        Admit every call, whatever fails, until the next operator call.

        Args:
            reason: What the event is to say.

        Raises:
            TypeError: If *reason* is not a string.
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

        Raises:
            TypeError: If *reason* is not a string.
        """
        self._force(OBSERVING, reason)

    def reset(self) -> None:
        """
        Start anew: closed, nothing counted. Settings stay.
        """
        self._restart()

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
        self._reconfigure(alone=True, **wanted)

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
            retry_after=None if wait_ns is None else wait_ns / 1e9,
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
        self,
        generation: int,
        outcome: Outcome,
        error: BaseException | None,
        retry_after: float | None = None,
    ) -> None:
        """
        Record the outcome of a quick call.
        """
        if not _bypass.active:
            self._record(outcome, error, generation=generation, retry_after=retry_after)

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

    def _twin(self) -> CircuitBreaker:
        """
        Return another with these settings, which nobody else knows.
        """
        return CircuitBreaker(**self.settings())

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


def _check_store(store: Any) -> None:
    if store is not None:
        msg = f"store must be None, it is reserved for shared stores: {store!r}"
        raise TypeError(msg)
