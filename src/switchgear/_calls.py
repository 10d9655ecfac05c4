"""
Make one protected call, whatever the kind of the function.

A *closure* stands in for the function it protects. It makes an *attempt* of
each call, which takes the turn and the permit and is told how the call ended.
Two do without one, because they are the usual case and their price is what
people measure: a circuit that is closed, and a limiter alone.
"""

# ruff: noqa: SLF001 -- a decorated call and its breaker are one mechanism

from __future__ import annotations

import inspect

from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from switchgear._attempts import Trial
from switchgear._kinds import Kind, kind_of
from switchgear._streams import entered, iterated, streamed
from switchgear.errors import CallNotPermitted


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from switchgear._attempts import (
        Arguments,
        Attempt,
        Circuit,
        Keywords,
        Limit,
    )
    from switchgear._kinds import Function

    Attempts: TypeAlias = Callable[[Arguments, Keywords], Attempt]

R = TypeVar("R")

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
    return _CLOSURES[kind](function, limit.turn, None)


def circuit_call(function: Function, circuit: Circuit) -> Function:
    """
    Return the closure for a *function* that is protected by a circuit.

    Raises:
        TypeError: If the fallback, or the judgement of results, does not go
            with the kind of *function*.
    """
    kind = _checked_kind(function, circuit)
    if circuit.lookup.key is None:
        if kind is Kind.FUNCTION:
            return _closed(function, circuit)
        if kind is Kind.COROUTINE:
            return _closed_coroutine(function, circuit)
    return _CLOSURES[kind](function, circuit.trial, circuit.fallback)


def protected_call(function: Function, limit: Limit, circuit: Circuit) -> Function:
    """
    Return the closure for a *function* with a circuit and a limiter.

    Raises:
        TypeError: As :func:`circuit_call` does.
    """
    kind = _checked_kind(function, circuit)
    attempts = partial(circuit.trial_at_its_turn, limit)
    return _CLOSURES[kind](function, attempts, circuit.fallback)


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
            shown = f"{its.value}: {circuit.fallback!r}"
            msg = f"fallback of {kind.value} must not be {shown}"
            raise TypeError(msg)
    return kind


# A circuit that is closed, a limiter alone: as little as can be.


def _closed(function: Function, circuit: Circuit) -> Function:
    cell, own = circuit.lookup.cell, circuit.own
    # Whether it returns when its work is done, as far as was seen. Looking at
    # each result would cost a tenth of a call.
    is_done, is_unfinished = False, False

    def observed(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_done, is_unfinished
        result = function(*args, **kwargs)
        is_unfinished = is_unfinished or type(result) in _UNFINISHED
        is_done = not is_unfinished
        return result

    anyhow = _function(observed, circuit.trial, circuit.fallback)

    def call(*args: Any, **kwargs: Any) -> Any:
        breaker = cell.instance
        if breaker is None or not is_done:
            return anyhow(*args, **kwargs)
        generation = breaker._closed
        if not generation:
            return anyhow(*args, **kwargs)
        breaker._tick()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            Trial(breaker, own, generation).raised(error)
            raise
        if breaker._streak or (own or breaker._judge).failure_when is not None:
            Trial(breaker, own, generation).returned(result)
        return result

    return call


def _closed_coroutine(function: Function, circuit: Circuit) -> Function:
    cell, own = circuit.lookup.cell, circuit.own
    anyhow = _coroutine(function, circuit.trial, circuit.fallback)

    async def call(*args: Any, **kwargs: Any) -> Any:
        breaker = cell.instance
        if breaker is None:
            return await anyhow(*args, **kwargs)
        generation = breaker._closed
        if not generation:
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
        if type(result) in _UNFINISHED and isinstance(attempt, Trial):
            return _unfinished(result, attempt)
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
        return entered(source, attempts(args, kwargs), answer)

    return call


def _async_generator(
    function: Function, attempts: Attempts, fallback: Function | None
) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        source = function(*args, **kwargs)
        answer = _answer(fallback, args, kwargs)
        return streamed(source, attempts(args, kwargs), answer)

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


def _unfinished(result: Any, attempt: Attempt) -> Any:
    """
    Return what stands in for *result*, in which the work is yet to be done.
    """
    if inspect.isawaitable(result):
        return _awaited(result, attempt)
    if isinstance(result, GeneratorType):
        return iterated(result, attempt)
    return streamed(result, attempt, is_admitted=True)


async def _awaited(coroutine: Awaitable[R], attempt: Attempt) -> R:
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
