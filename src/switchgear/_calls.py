"""
Make one protected call, whatever the kind of the function.

A *closure* stands in for the function it protects. It makes an *attempt* of
each call, which takes the turn and the permit and is told how the call ended.
Two do without one, because they are the usual case and their price is what
people measure: a circuit that is closed, and a limiter alone.
"""

# ruff: noqa: SLF001 -- a decorated call and its breaker are one mechanism

from __future__ import annotations

import enum
import inspect

from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

from switchgear._core.outcomes import Judge
from switchgear.errors import CallNotPermitted


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Hashable

    from switchgear._breaker import CircuitBreaker, Permit
    from switchgear._core.outcomes import Matcher
    from switchgear._keyed import Keyed
    from switchgear._limiter import RateLimiter
    from switchgear._registry import Cell
    from switchgear._reservation import Reservation

    Function: TypeAlias = Callable[..., Any]
    Arguments: TypeAlias = tuple[Any, ...]
    Keywords: TypeAlias = dict[str, Any]
    Attempts: TypeAlias = Callable[[Arguments, Keywords], "Attempt"]

T = TypeVar("T")


# -- What kind of function it is -----------------------------------------------


class Kind(enum.Enum):
    """
    Say when a function has done its work.
    """

    #: When it returns.
    FUNCTION = "a function"
    #: When what it returned was awaited.
    COROUTINE = "a coroutine function"
    #: When what it returned was exhausted or closed.
    GENERATOR = "a generator function"
    ASYNC_GENERATOR = "an async generator function"


_ITERATED: Final = frozenset({Kind.GENERATOR, Kind.ASYNC_GENERATOR})

#: Which kinds of fallback can stand in for which kind of function. A plain
#: function always can: it may return what the other one would have.
_ANSWERS: Final = {
    Kind.FUNCTION: frozenset({Kind.FUNCTION, Kind.GENERATOR, Kind.ASYNC_GENERATOR}),
    Kind.COROUTINE: frozenset(Kind),
    Kind.GENERATOR: frozenset({Kind.FUNCTION, Kind.GENERATOR}),
    Kind.ASYNC_GENERATOR: frozenset({Kind.FUNCTION, Kind.ASYNC_GENERATOR}),
}

#: What even a plain function may return before its work is done.
_UNFINISHED: Final = frozenset({CoroutineType, GeneratorType, AsyncGeneratorType})


def kind_of(function: Function) -> Kind:
    """
    Look at *function*, through partials and ``__call__``, for its kind.
    """
    while isinstance(function, partial):
        function = function.func
    own_call = getattr(function, "__call__", None)  # noqa: B004 -- for its kind
    for one in (function, own_call):
        if inspect.iscoroutinefunction(one) or _is_awaitable_generator(one):
            return Kind.COROUTINE
        if inspect.isgeneratorfunction(one):
            return Kind.GENERATOR
        if inspect.isasyncgenfunction(one):
            return Kind.ASYNC_GENERATOR
    return Kind.FUNCTION


def _is_awaitable_generator(function: Any) -> bool:
    # types.coroutine() made it so: a generator function to look at.
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


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
        held: Any = self.held()
        found: T = held if self.key is None else held[self.key(*args, **kwargs)]
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

    def of_call(
        self, args: Arguments, kwargs: Keywords
    ) -> tuple[RateLimiter, int, float | None]:
        """
        Return what :class:`Turn` needs for a call with these arguments.
        """
        limiter = self.lookup.of_call(args, kwargs)
        ask = self.tokens_of
        tokens = self.tokens if ask is None else ask(*args, **kwargs)
        return limiter, tokens, self.timeout


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
    settings = {"failure_on": failure_on, "ignore": ignore, "failure_when": failure_when}
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

    def of_call(
        self, args: Arguments, kwargs: Keywords
    ) -> tuple[CircuitBreaker, Verdicts | None]:
        """
        Return what :class:`Trial` needs for a call with these arguments.
        """
        return self.lookup.of_call(args, kwargs), self.own


# -- One call ------------------------------------------------------------------


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

    def begun(self, result: Any) -> Any:
        """
        Return what to hand out for *result*, whose work has yet to be done.
        """


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

    def begun(self, result: Any) -> Any:
        return result


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
        if self._ticket:
            return
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

    def begun(self, result: Any) -> Any:
        if isinstance(result, CoroutineType):
            return _awaited(result, self)
        if isinstance(result, GeneratorType):
            return _iterated(result, self)
        return _streamed(result, self)


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
            turn.cancel()
            raise

    async def enter_async(self) -> None:
        turn = self._place()
        try:
            await turn.wait_async(self._timeout)
            super().enter()
        except BaseException:
            turn.cancel()
            raise

    def _place(self) -> Reservation:
        breaker = self._breaker
        if not breaker._closed and breaker.is_open:
            # Raises, counts and tells of the refusal. If a slot came free in
            # between, it is given back: the call is not being made yet.
            breaker._admit().ignore()
        return self._limiter.reserve(self._tokens, max_wait=self._timeout)


# -- The closures --------------------------------------------------------------


def limited_call(function: Function, limit: Limit) -> Function:
    """
    Return the closure for a *function* that is rate limited.
    """
    kind = kind_of(function)
    if limit.lookup.key is None and limit.tokens_of is None:
        if kind is Kind.FUNCTION:
            return _limited(function, limit)
        if kind is Kind.COROUTINE:
            return _limited_coroutine(function, limit)
    return _CLOSURES[kind](
        function, lambda args, kwargs: Turn(*limit.of_call(args, kwargs)), None
    )


def circuit_call(function: Function, circuit: Circuit) -> Function:
    """
    Return the closure for a *function* that is protected by a circuit.

    Raises:
        TypeError: If the fallback, or the judgement of results, does not go
            with the kind of *function*.
    """
    kind = _checked_kind(function, circuit)
    anyhow = _CLOSURES[kind](
        function,
        lambda args, kwargs: Trial(*circuit.of_call(args, kwargs)),
        circuit.fallback,
    )
    if circuit.lookup.key is None:
        if kind is Kind.FUNCTION:
            return _closed(function, circuit, anyhow)
        if kind is Kind.COROUTINE:
            return _closed_coroutine(function, circuit, anyhow)
    return anyhow


def protected_call(function: Function, limit: Limit, circuit: Circuit) -> Function:
    """
    Return the closure for a *function* with a circuit and a limiter.

    Raises:
        TypeError: As :func:`circuit_call` does.
    """
    return _CLOSURES[_checked_kind(function, circuit)](
        function,
        lambda args, kwargs: TurnAndTrial(
            *circuit.of_call(args, kwargs), *limit.of_call(args, kwargs)
        ),
        circuit.fallback,
    )


def _checked_kind(function: Function, circuit: Circuit) -> Kind:
    kind = kind_of(function)
    if (
        kind in _ITERATED
        and circuit.own is not None
        and callable(circuit.own.failure_when)
    ):
        msg = f"failure_when judges returned values, {kind.value} returns none"
        raise TypeError(msg)
    if circuit.fallback is not None:
        its = kind_of(circuit.fallback)
        if its not in _ANSWERS[kind]:
            msg = f"fallback of {kind.value} must not be {its.value}: {circuit.fallback!r}"
            raise TypeError(msg)
    return kind


# A circuit that is closed, a limiter alone: as little as can be.


def _closed(function: Function, circuit: Circuit, anyhow: Function) -> Function:
    cell, own = circuit.lookup.cell, circuit.own

    def call(*args: Any, **kwargs: Any) -> Any:
        breaker = cell.instance
        if breaker is None or not (generation := breaker._closed):
            return anyhow(*args, **kwargs)
        breaker._tick()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            Trial(breaker, own, generation).raised(error)
            raise
        if type(result) in _UNFINISHED:
            return Trial(breaker, own, generation).begun(result)
        if breaker._streak or (own or breaker._judge).failure_when is not None:
            Trial(breaker, own, generation).returned(result)
        return result

    return call


def _closed_coroutine(
    function: Function, circuit: Circuit, anyhow: Function
) -> Function:
    cell, own = circuit.lookup.cell, circuit.own

    async def call(*args: Any, **kwargs: Any) -> Any:
        breaker = cell.instance
        if breaker is None or not (generation := breaker._closed):
            return await anyhow(*args, **kwargs)
        breaker._tick()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            Trial(breaker, own, generation).raised(error)
            raise
        if breaker._streak or (own or breaker._judge).failure_when is not None:
            Trial(breaker, own, generation).returned(result)
        return result

    return call


def _limited(function: Function, limit: Limit) -> Function:
    find, tokens, timeout = limit.lookup.held, limit.tokens, limit.timeout

    def call(*args: Any, **kwargs: Any) -> Any:
        limiter: Any = find()
        limiter.wait(tokens, timeout=timeout)
        return function(*args, **kwargs)

    return call


def _limited_coroutine(function: Function, limit: Limit) -> Function:
    find, tokens, timeout = limit.lookup.held, limit.tokens, limit.timeout

    async def call(*args: Any, **kwargs: Any) -> Any:
        limiter: Any = find()
        await limiter.wait_async(tokens, timeout=timeout)
        return await function(*args, **kwargs)

    return call


# Everything else. The user's functions for *tokens* and *key* run while the
# attempt is made, outside of what a fallback could take for a refusal.


def _function(
    function: Function, attempts: Attempts, fallback: Function | None
) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        attempt = attempts(args, kwargs)
        try:
            attempt.enter()
        except CallNotPermitted as refusal:
            if fallback is None:
                raise
            return fallback(refusal, *args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            attempt.raised(error)
            raise
        if type(result) in _UNFINISHED:
            return attempt.begun(result)
        attempt.returned(result)
        return result

    return call


def _coroutine(
    function: Function, attempts: Attempts, fallback: Function | None
) -> Function:
    async def call(*args: Any, **kwargs: Any) -> Any:
        attempt = attempts(args, kwargs)
        try:
            await attempt.enter_async()
        except CallNotPermitted as refusal:
            if fallback is None:
                raise
            answer = fallback(refusal, *args, **kwargs)
            return await answer if inspect.isawaitable(answer) else answer
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            attempt.raised(error)
            raise
        attempt.returned(result)
        return result

    return call


# Arguments are bound and looked at when a generator function is called, as
# they are without us; turn and permit are taken when the first item is wanted.


def _generator(
    function: Function, attempts: Attempts, fallback: Function | None
) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        source = function(*args, **kwargs)
        answer = _answer(fallback, args, kwargs)
        return _iterated(source, attempts(args, kwargs), answer)

    return call


def _async_generator(
    function: Function, attempts: Attempts, fallback: Function | None
) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        source = function(*args, **kwargs)
        answer = _answer(fallback, args, kwargs)
        return _streamed(source, attempts(args, kwargs), answer)

    return call


def _answer(
    fallback: Function | None, args: Arguments, kwargs: Keywords
) -> Callable[[CallNotPermitted], Any] | None:
    if fallback is None:
        return None
    return lambda refusal: fallback(refusal, *args, **kwargs)


_CLOSURES: Final = {
    Kind.FUNCTION: _function,
    Kind.COROUTINE: _coroutine,
    Kind.GENERATOR: _generator,
    Kind.ASYNC_GENERATOR: _async_generator,
}


async def _awaited(coroutine: CoroutineType[Any, Any, T], attempt: Attempt) -> T:
    """
    Await *coroutine*, which an admitted call returned.
    """
    try:
        result = await coroutine
    except BaseException as error:
        attempt.raised(error)
        raise
    attempt.returned(result)
    return result


def _iterated(
    source: Generator[Any, Any, Any],
    attempt: Attempt,
    answer: Callable[[CallNotPermitted], Any] | None = None,
) -> Generator[Any, Any, Any]:
    """
    Stand in for *source*, and be admitted before its first item.
    """
    admitted = True
    try:
        attempt.enter()
    except CallNotPermitted as refusal:
        if answer is None:
            raise
        admitted = False
        source = answer(refusal)
    if not admitted:
        return (yield from source)
    # Spelt out, because "yield from" does not tell a consumer that closes the
    # iteration from a source that gives up, which is no success.
    step: Callable[[Any], Any] = source.send
    sent = None
    while True:
        try:
            item = step(sent)
        except StopIteration as stop:
            attempt.ended()
            return stop.value
        except BaseException as error:
            attempt.raised(error)
            raise
        finally:
            # An error in it would hold itself in a cycle through this frame.
            sent = None
        try:
            sent = yield item
            step = source.send
        except GeneratorExit:
            try:
                source.close()
            except BaseException as error:
                attempt.raised(error)
                raise
            attempt.ended()
            raise
        except BaseException as error:
            sent = error
            step = source.throw


async def _streamed(
    source: AsyncGenerator[Any, Any],
    attempt: Attempt,
    answer: Callable[[CallNotPermitted], Any] | None = None,
) -> AsyncGenerator[Any, Any]:
    """
    Stand in for *source*, and be admitted before its first item.
    """
    ending: Ending = attempt
    try:
        await attempt.enter_async()
    except CallNotPermitted as refusal:
        if answer is None:
            raise
        ending = Unjudged()
        source = _all_of(answer(refusal))
    step: Callable[[Any], Any] = source.asend
    sent = None
    while True:
        try:
            item = await step(sent)
        except StopAsyncIteration:
            ending.ended()
            return
        except BaseException as error:
            ending.raised(error)
            raise
        finally:
            # As above: no cycle.
            sent = None
        try:
            sent = yield item
            step = source.asend
        except GeneratorExit:
            try:
                await source.aclose()
            except BaseException as error:
                ending.raised(error)
                raise
            ending.ended()
            raise
        except BaseException as error:
            sent = error
            step = source.athrow


def _all_of(stream: Any) -> AsyncGenerator[Any, Any]:
    """
    Return *stream* as an async generator, whatever async iterable it is.
    """
    if isinstance(stream, AsyncGeneratorType):
        return stream

    async def items() -> AsyncGenerator[Any, Any]:
        async for item in stream:
            yield item

    return items()
