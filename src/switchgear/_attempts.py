"""
What protects a function, and the attempt to make one call of it.
"""

# ruff: noqa: SLF001 -- a decorated call and its breaker are one mechanism

from __future__ import annotations

import enum

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from switchgear._core.outcomes import FAILURE, IGNORED, Judge
from switchgear._instance import Instance


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from switchgear._breaker import CircuitBreaker
    from switchgear._core.outcomes import Matcher
    from switchgear._entry import Cell
    from switchgear._keyed import Keyed
    from switchgear._kinds import Function
    from switchgear._limiter import RateLimiter
    from switchgear._permit import Permit
    from switchgear._reservation import Reservation

    Arguments: TypeAlias = tuple[Any, ...]
    Keywords: TypeAlias = dict[str, Any]

T = TypeVar("T", bound=Instance)


# -- What protects it ----------------------------------------------------------


class Lookup(Generic[T]):
    """
    Find the limiter or breaker for one call.

    Args:
        cell: Where it, or the container of keyed ones, is remembered.
        resolve: Fills the cell when it is empty.
        key: Which of the keyed ones, from the arguments of the call, or None.
    """

    __slots__ = ("_resolve", "cell", "key")

    def __init__(
        self,
        cell: Cell,
        resolve: Callable[[Cell], Any],
        key: Callable[..., Hashable] | None,
    ) -> None:
        self.cell = cell
        self.key = key
        self._resolve = resolve

    def held(self) -> T | Keyed[T]:
        """
        Return the instance, or the container of keyed ones.
        """
        held: T | Keyed[T] | None = self.cell.instance
        # A failed look-up leaves the cell empty: the next call tries again.
        return self._resolve(self.cell) if held is None else held

    def of_call(self, args: Arguments, kwargs: Keywords) -> T:
        """
        Return the instance for a call with these arguments.
        """
        return self.of_key(None if self.key is None else self.key(*args, **kwargs))

    def of_key(self, key: Hashable) -> T:
        """
        Return the instance for *key*, or the only one.
        """
        held: Any = self.held()
        found: T = held if self.key is None else held[key]
        return found


class Limit:
    """
    Say how one function is rate limited.
    """

    __slots__ = ("lookup", "timeout", "tokens", "tokens_of")

    def __init__(
        self,
        lookup: Lookup[RateLimiter],
        tokens: int | Callable[..., int],
        timeout: float | None,
    ) -> None:
        self.lookup = lookup
        self.timeout = timeout
        self.tokens = 1 if callable(tokens) else tokens
        self.tokens_of = tokens if callable(tokens) else None

    def turn(self, args: Arguments, kwargs: Keywords) -> Turn:
        """
        Return the attempt to make a call with these arguments.
        """
        limiter = self.lookup.of_call(args, kwargs)
        return Turn(limiter, self.tokens_for(args, kwargs), self.timeout)

    def tokens_for(self, args: Arguments, kwargs: Keywords) -> int:
        """
        Return what a call with these arguments costs.
        """
        ask = self.tokens_of
        return self.tokens if ask is None else ask(*args, **kwargs)


class Verdicts:
    """
    Judge the calls of one function where it differs from its breaker.

    Args:
        given: Settings of :class:`Judge`; for others the breaker is asked.
    """

    __slots__ = ("_given", "_last", "failure_when")

    def __init__(self, **given: Any) -> None:
        # Refused now if they are bad, not when the first call fails.
        Judge(**given)
        self._given = given
        self._last: tuple[Judge, Judge] | None = None
        #: None only if results need no judging, whatever the breaker says.
        self.failure_when: Any = given.get("failure_when", Own.BREAKER)

    def over(self, base: Judge) -> Judge:
        """
        Return a judge that is *base* where nothing was given.
        """
        last = self._last
        if last is not None and last[0] is base:
            return last[1]
        inherited = {
            "failure_on": base.failure_on,
            "ignore": base.ignore,
            "failure_when": base.failure_when,
        }
        judge = Judge(**(inherited | self._given))
        self._last = (base, judge)
        return judge


class Own(enum.Enum):
    """
    Leave a judgement to the breaker.
    """

    BREAKER = "the breaker's own"

    def __repr__(self) -> str:
        return f"<{self.value}>"


def verdicts(
    failure_on: Matcher | Own,
    ignore: Matcher | Own,
    failure_when: Callable[[Any], bool] | Own | None,
) -> Verdicts | None:
    """
    Return what a function judges for itself, or None.
    """
    settings = {
        "failure_on": failure_on,
        "ignore": ignore,
        "failure_when": failure_when,
    }
    given = {name: one for name, one in settings.items() if not isinstance(one, Own)}
    return Verdicts(**given) if given else None


class Circuit:
    """
    Say how one function is protected by a circuit.
    """

    __slots__ = ("fallback", "lookup", "own")

    def __init__(
        self,
        lookup: Lookup[CircuitBreaker],
        own: Verdicts | None,
        fallback: Function | None,
    ) -> None:
        self.lookup = lookup
        self.own = own
        self.fallback = fallback

    def trial(self, args: Arguments, kwargs: Keywords) -> Trial:
        """
        Return the attempt to make a call with these arguments.
        """
        return Trial(self.lookup.of_call(args, kwargs), self.own)

    def trial_at_its_turn(
        self, limit: Limit, args: Arguments, kwargs: Keywords
    ) -> TurnAndTrial:
        """
        Return the same with *limit* between the circuit and the call.
        """
        key_of = self.lookup.key
        key = None if key_of is None else key_of(*args, **kwargs)
        breaker = self.lookup.of_key(key)
        if limit.lookup.key is key_of:
            # Not asked twice about one call.
            limiter = limit.lookup.of_key(key)
        else:
            limiter = limit.lookup.of_call(args, kwargs)
        tokens = limit.tokens_for(args, kwargs)
        return TurnAndTrial(breaker, self.own, limiter, tokens, limit.timeout)


# -- One call ------------------------------------------------------------------


if TYPE_CHECKING:

    class Ending(Protocol):
        """
        Note how one call ended. Once.
        """

        def raised(self, error: BaseException) -> None:
            """
            Note that the call ended with *error*.
            """

        def returned(self, result: Any) -> None:
            """
            Note that the call ended with *result*.
            """

        def ended(self) -> None:
            """
            Note that an iteration ended: exhausted, or closed by its consumer.
            """

        def failed(self, error: BaseException, retry_after: float | None) -> None:
            """
            Note that the call failed, and for how long it asked to be left alone.
            """

        def ignored(self) -> None:
            """
            Note that the call says nothing about the service.
            """


if TYPE_CHECKING:

    class Attempt(Ending, Protocol):
        """
        Make one call: get it admitted, then note how it ended.
        """

        def enter(self) -> None:
            """
            Return when the call may be made, or raise its refusal.
            """

        async def enter_async(self) -> None:
            """
            Return when the call may be made, or raise its refusal.
            """


class Unjudged:
    """
    Note nothing of how a call ends.
    """

    __slots__ = ()

    def raised(self, error: BaseException) -> None:
        pass

    def returned(self, result: Any) -> None:
        pass

    def ended(self) -> None:
        pass

    def failed(self, error: BaseException, retry_after: float | None) -> None:
        pass

    def ignored(self) -> None:
        pass


class Turn(Unjudged):
    """
    Wait for the turn of one call.
    """

    __slots__ = ("_limiter", "_timeout", "_tokens")

    def __init__(
        self, limiter: RateLimiter, tokens: int, timeout: float | None
    ) -> None:
        self._limiter = limiter
        self._tokens = tokens
        self._timeout = timeout

    def enter(self) -> None:
        self._limiter.wait(self._tokens, timeout=self._timeout)

    async def enter_async(self) -> None:
        await self._limiter.wait_async(self._tokens, timeout=self._timeout)


class Trial:
    """
    Make one call through a circuit.

    Args:
        breaker: The circuit.
        own: What the function judges for itself, or None.
        generation: That of a call which took the quick path already.
    """

    __slots__ = ("_breaker", "_judge", "_ticket")

    def __init__(
        self, breaker: CircuitBreaker, own: Verdicts | None, generation: int = 0
    ) -> None:
        self._breaker = breaker
        # None is the breaker's own, as it is by the time the call has ended.
        self._judge = None if own is None else own.over(breaker._judge)
        #: The generation of a quick call, else its permit; 0: not yet admitted.
        self._ticket: int | Permit = generation

    def enter(self) -> None:
        breaker = self._breaker
        generation = breaker._closed
        if generation:
            breaker._tick()
            self._ticket = generation
        else:
            self._ticket = breaker._admit()

    async def enter_async(self) -> None:
        self.enter()

    def raised(self, error: BaseException) -> None:
        ticket = self._ticket
        if isinstance(ticket, int):
            self._breaker._quick_raised(ticket, error, self._judge)
        else:
            ticket._raised(error, self._judge)

    def returned(self, result: Any) -> None:
        ticket = self._ticket
        if isinstance(ticket, int):
            self._breaker._quick_returned(ticket, result, self._judge)
        else:
            ticket._returned(result, self._judge)

    def ended(self) -> None:
        ticket = self._ticket
        if not isinstance(ticket, int):
            ticket.success()
        elif self._breaker._streak:
            self._breaker._reset_streak(ticket)

    def failed(self, error: BaseException, retry_after: float | None) -> None:
        ticket = self._ticket
        if isinstance(ticket, int):
            self._breaker._record_quick(ticket, FAILURE, error, retry_after)
        else:
            ticket.failure(error, retry_after=retry_after)

    def ignored(self) -> None:
        ticket = self._ticket
        if isinstance(ticket, int):
            self._breaker._record_quick(ticket, IGNORED, None)
        else:
            ticket.ignore()


class TurnAndTrial(Trial):
    """
    Make one call at its turn, through a circuit.

    The circuit is looked at first, so that an open one costs no token; the
    permit is taken after the wait, so that neither the lease of a probe nor
    the duration of the call includes it.
    """

    __slots__ = ("_limiter", "_timeout", "_tokens")

    def __init__(
        self,
        breaker: CircuitBreaker,
        own: Verdicts | None,
        limiter: RateLimiter,
        tokens: int,
        timeout: float | None,
    ) -> None:
        super().__init__(breaker, own)
        self._limiter = limiter
        self._tokens = tokens
        self._timeout = timeout

    def enter(self) -> None:
        turn = self._place()
        try:
            turn.wait(self._timeout)
            super().enter()
        except BaseException:
            turn._undo()
            raise

    async def enter_async(self) -> None:
        turn = self._place()
        try:
            await turn.wait_async(self._timeout)
            super().enter()
        except BaseException:
            turn._undo()
            raise

    def _place(self) -> Reservation:
        breaker = self._breaker
        if not breaker._closed:
            breaker._refuse_if_open()
        return self._limiter.reserve(self._tokens, max_wait=self._timeout)
