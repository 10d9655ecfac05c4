"""
Thin slice: the interface is final, the rest of the behaviour follows.
"""

from __future__ import annotations

import itertools

from typing import TYPE_CHECKING, Any

from switchgear._clock import checked_clock
from switchgear._core.outcomes import Judge, Outcome
from switchgear._instance import Instance
from switchgear.errors import CircuitOpenError
from switchgear.events import CircuitState


if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Permit:
    """
    One admitted (truthy) or refused (falsy) call.
    """

    __slots__ = ("_breaker", "_decided", "_generation", "retry_after")

    def __init__(self, breaker: CircuitBreaker, generation: int, retry_after: float | None) -> None:
        self._breaker = breaker
        self._generation = generation
        self._decided = not generation
        self.retry_after = retry_after

    def __bool__(self) -> bool:
        return self._generation != 0

    def success(self) -> bool:
        return self._decide(Outcome.SUCCESS, None)

    def failure(self, error: BaseException | None = None, *, retry_after: float | None = None) -> bool:
        return self._decide(Outcome.FAILURE, error)

    def ignore(self) -> bool:
        return self._decide(Outcome.IGNORED, None)

    # For guards and decorators: judge what left the call, once. What a
    # predicate raises comes out of them, the outcome is then "ignored".
    # A cancellation after slow_call_seconds is slow.
    def _raised(self, error: BaseException, judge: Judge | None = None) -> None:
        try:
            outcome = (judge or self._breaker._judge).of_exception(error)
        except BaseException:
            self.ignore()
            raise
        self._decide(outcome, error)

    def _returned(self, value: Any, judge: Judge | None = None) -> None:
        try:
            outcome = (judge or self._breaker._judge).of_result(value)
        except BaseException:
            self.ignore()
            raise
        self._decide(outcome, None)

    def _decide(self, outcome: Outcome, error: BaseException | None) -> bool:
        if self._decided:
            return False
        self._decided = True
        self._breaker._record_quick(self._generation, outcome, error)
        return True


class Guard:
    __slots__ = ("_breaker", "_permit")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker

    def __enter__(self) -> Guard:
        self._permit = self._breaker._admit()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None:
            self._permit.success()
        elif not self._permit._decided:
            self._permit._raised(error)

    async def __aenter__(self) -> Guard:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.__exit__(kind, error, traceback)

    def result(self, value: Any) -> Any:
        self._permit._returned(value)
        return value

    def fail(self, error: BaseException | None = None, *, retry_after: float | None = None) -> bool:
        return self._permit.failure(error)

    def ignore(self) -> bool:
        return self._permit.ignore()


class CircuitBreaker(Instance):
    __slots__ = ("_clock", "_closed", "_cooldown_ns", "_due_ns", "_generation", "_judge", "_last_failure", "_state", "_streak", "_threshold", "_tick")

    def __init__(self, threshold: int | None = 5, cooldown: float = 120.0, *, name: str | None = None, failure_on: Any = Exception, ignore: Any = (), failure_when: Any = None, clock: Any = None, **_later: Any) -> None:
        super().__init__(name)
        self._clock = checked_clock(clock)
        self._threshold = threshold or 5
        self._cooldown_ns = round(cooldown * 1e9)
        self._judge = Judge(failure_on, ignore, failure_when)
        self._closed = self._generation = 1
        self._streak = 0
        self._tick: Callable[[], object] = itertools.count().__next__
        self._state = CircuitState.CLOSED
        self._last_failure: BaseException | None = None
        self._due_ns = 0

    @property
    def is_open(self) -> bool:
        return self._state is CircuitState.OPEN and self._clock.monotonic_ns() < self._due_ns

    def guard(self) -> Guard:
        return Guard(self)

    def try_acquire(self) -> Permit:
        with self._lock:
            now = self._clock.monotonic_ns()
            if self._state is CircuitState.OPEN:
                if now < self._due_ns:
                    return Permit(self, 0, (self._due_ns - now) / 1e9)
                self._to(CircuitState.HALF_OPEN)
                self._tick()
                return Permit(self, self._generation, 0.0)
            if self._state is CircuitState.HALF_OPEN:
                return Permit(self, 0, 1.0)
            self._tick()
            return Permit(self, self._generation, 0.0)

    def _admit(self) -> Permit:
        permit = self.try_acquire()
        if not permit:
            raise CircuitOpenError(self._name, self._state, permit.retry_after, self._last_failure)
        return permit

    def _to(self, state: CircuitState) -> None:
        self._state = state
        self._generation += 1
        self._closed = self._generation if state is CircuitState.CLOSED else 0
        self._streak = 0

    def _record_quick(self, generation: int, outcome: Outcome, error: BaseException | None) -> None:
        with self._lock:
            if generation != self._generation or outcome is Outcome.IGNORED:
                return
            half = self._state is CircuitState.HALF_OPEN
            if outcome is Outcome.SUCCESS:
                self._streak = 0
                if half:
                    self._to(CircuitState.CLOSED)
                return
            self._last_failure = error
            self._streak += 1
            if half or self._streak >= self._threshold:
                self._due_ns = self._clock.monotonic_ns() + self._cooldown_ns
                self._to(CircuitState.OPEN)

    def _reset_streak(self, generation: int) -> None:
        self._record_quick(generation, Outcome.SUCCESS, None)

    # What a quick call raised or returned, judged and recorded; what a
    # predicate raises comes out of them, the outcome is then "ignored".
    def _quick_raised(self, generation: int, error: BaseException, judge: Judge | None = None) -> None:
        try:
            outcome = (judge or self._judge).of_exception(error)
        except BaseException:
            self._record_quick(generation, Outcome.IGNORED, None)
            raise
        self._record_quick(generation, outcome, error)

    def _quick_returned(self, generation: int, value: Any, judge: Judge | None = None) -> None:
        try:
            outcome = (judge or self._judge).of_result(value)
        except BaseException:
            self._record_quick(generation, Outcome.IGNORED, None)
            raise
        if outcome is not Outcome.SUCCESS or self._streak:
            self._record_quick(generation, outcome, None)
