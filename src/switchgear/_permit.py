"""
Permits and guards: how one call asks its circuit, and reports back.
"""

# ruff: noqa: SLF001 -- a call and its breaker know each other

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from switchgear._core.outcomes import (
    FAILURE,
    IGNORED,
    SUCCESS,
    Outcome,
    is_cancellation,
)
from switchgear._validate import optional_seconds


if TYPE_CHECKING:
    from types import TracebackType
    from typing import NoReturn, Self

    from switchgear._breaker import CircuitBreaker
    from switchgear._core.circuit import Lease
    from switchgear._core.outcomes import Judge
    from switchgear.events import CircuitState


_T = TypeVar("_T")

#: The generation of a call made while protection is switched off.
BYPASSED: Final = -2


class Refusal(NamedTuple):
    """
    Say who refused a call, and for how long.
    """

    state: CircuitState
    retry_after: float | None


class Call:
    """
    Report how one call went, once.

    Whoever reports first decides; the lock of the breaker says who that is.
    """

    __slots__ = ("_breaker", "_decided", "_generation", "_lease", "_start_ns")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        #: The generation it was admitted in; 0: not admitted.
        self._generation = 0
        self._lease: Lease | None = None
        #: When it was admitted, None if nobody needs to know.
        self._start_ns: int | None = None
        self._decided = False

    def __reduce__(self) -> NoReturn:
        msg = f"a {type(self).__name__} cannot be pickled or copied: it reports once"
        raise TypeError(msg)

    def _raised(self, error: BaseException, judge: Judge | None = None) -> None:
        """
        Record that the call raised *error*.

        What a predicate of *judge* raises is passed on, the call is ignored.
        """
        if self._decided:
            return
        breaker = self._breaker
        try:
            outcome = (judge or breaker._judge).of_exception(error)
            cancelled = is_cancellation(error)
        except BaseException:
            breaker._record(IGNORED, call=self)
            raise
        breaker._record(outcome, error, call=self, cancelled=cancelled)

    def _returned(self, value: object, judge: Judge | None = None) -> None:
        """
        Record that the call returned *value*.

        What a predicate of *judge* raises is passed on, the call is ignored.
        """
        if self._decided:
            return
        breaker = self._breaker
        try:
            outcome = (judge or breaker._judge).of_result(value)
        except BaseException:
            breaker._record(IGNORED, call=self)
            raise
        breaker._record(outcome, call=self)


class Permit(Call):
    """
    Hold the answer to "may I call?": truthy if the call is admitted.

    Whoever holds an admitted permit makes the call and then says how it went,
    once; later reports change nothing and return False. While the circuit is
    half-open a permit is a lease: one that reports nothing within the
    *probe_timeout* of its breaker counts as ignored, and so does its report.

    Made by :meth:`CircuitBreaker.try_acquire`; may be passed between threads
    and tasks.

    .. versionadded:: 0.1.0
    """

    __slots__ = ("_refusal",)

    def __init__(self, breaker: CircuitBreaker) -> None:
        super().__init__(breaker)
        self._refusal: Refusal | None = None

    def __bool__(self) -> bool:
        return self._refusal is None

    def __repr__(self) -> str:
        if self._refusal is None:
            return "<Permit admitted>"
        return f"<Permit refused: {self._refusal.state.value}>"

    @property
    def retry_after(self) -> float | None:
        """
        Seconds until a refused call may be admitted.

        0.0 if this one is; None if an operator forced the circuit open.
        """
        return 0.0 if self._refusal is None else self._refusal.retry_after

    def success(self) -> bool:
        """
        Say that the service did its work; return whether this decided.
        """
        return self._report(SUCCESS)

    def failure(
        self, error: BaseException | None = None, *, retry_after: float | None = None
    ) -> bool:
        """
        Say that the service failed; return whether this decided.

        Args:
            error: What was raised, if anything: the ``__cause__`` of refusals.
            retry_after: Seconds for which the service asked to be left alone:
                a circuit this failure opens stays open at least that long.

        Raises:
            TypeError, ValueError: If an argument is of the wrong type or out
                of its range.
        """
        check_failure(error, retry_after)
        return self._report(FAILURE, error, retry_after)

    def ignore(self) -> bool:
        """
        Say that the call tells nothing; return whether this decided.
        """
        return self._report(IGNORED)

    def _report(
        self,
        outcome: Outcome,
        error: BaseException | None = None,
        retry_after: float | None = None,
    ) -> bool:
        if self._decided or not self._generation:
            return False
        return self._breaker._record(outcome, error, call=self, retry_after=retry_after)


class Guard(Call):
    """
    Put one block of code behind a circuit.

    Made by :meth:`CircuitBreaker.guard`, for one ``with`` or ``async with``:
    entering it a second time is a RuntimeError, and so is an outcome that is
    given before it was entered.
    However the block is left, the call has exactly one outcome: the one given
    first inside it, else what its exception is judged to be, else success.

    .. versionadded:: 0.1.0
    """

    __slots__ = ()

    def __enter__(self) -> Self:
        breaker = self._breaker
        if self._generation:
            msg = "a guard is good for one block: call guard() again"
            raise RuntimeError(msg)
        generation = breaker._closed
        if generation:
            breaker._tick()
            self._generation = generation
            return self
        refusal = breaker._ask(self)
        if refusal is not None:
            raise breaker._error(refusal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._decided or not self._generation:
            return
        if error is not None:
            self._raised(error)
        elif self._start_ns is not None or self._breaker._streak:
            self._breaker._record(SUCCESS, call=self)
        else:
            # A success that changes nothing. Should somebody else report at
            # this very moment, theirs is the one that counts.
            self._decided = True

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def result(self, value: _T) -> _T:
        """
        Judge *value* by the breaker's *failure_when*, and return it.

        What the predicate raises is passed on; the call is then ignored.
        """
        self._check_entered()
        self._returned(value)
        return value

    def fail(
        self, error: BaseException | None = None, *, retry_after: float | None = None
    ) -> bool:
        """
        Say that the service failed; return whether this decided.

        Args:
            error: What went wrong, if it is an exception.
            retry_after: Seconds for which the service asked to be left alone:
                a circuit this failure opens stays open at least that long.

        Raises:
            TypeError, ValueError: If an argument is of the wrong type or out
                of its range.
        """
        check_failure(error, retry_after)
        self._check_entered()
        return self._breaker._record(FAILURE, error, call=self, retry_after=retry_after)

    def ignore(self) -> bool:
        """
        Say that the call tells nothing; return whether this decided.
        """
        self._check_entered()
        return self._breaker._record(IGNORED, call=self)

    def _check_entered(self) -> None:
        if not self._generation:
            msg = "outcomes are given inside the block: use `with breaker.guard()`"
            raise RuntimeError(msg)


def check_failure(error: Any, retry_after: Any) -> None:
    if error is not None and not isinstance(error, BaseException):
        msg = f"error must be an exception or None, not {error!r}"
        raise TypeError(msg)
    optional_seconds("retry_after", retry_after)
