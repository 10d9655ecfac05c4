"""
Which kind a function is of, and where only an ordinary one will do.
"""

from __future__ import annotations

import enum
import inspect

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from switchgear._validate import whole


if TYPE_CHECKING:
    from collections.abc import Callable

    Function: TypeAlias = Callable[..., Any]


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


def checked_function(name: str, function: Function) -> Function:
    """
    Return *function*, which answers at once; TypeError if it is of another kind.
    """
    kind = kind_of(function)
    if kind is not Kind.FUNCTION:
        msg = f"{name} must be an ordinary function, not {kind.value}: {function!r}"
        raise TypeError(msg)
    return function


def checked_tokens(tokens: Any) -> int | Callable[..., int]:
    """
    Return what each call costs, or the function that says so.
    """
    if callable(tokens):
        return checked_function("tokens", tokens)
    return whole("tokens", tokens, minimum=1)


def _is_awaitable_generator(function: Any) -> bool:
    # types.coroutine() made it so: a generator function to look at.
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)
