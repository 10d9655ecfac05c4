"""
Judge how a call went: success, failure, or neither.
"""

from __future__ import annotations

import enum
import inspect

from collections.abc import Callable
from typing import Any, TypeAlias

from switchgear.errors import CallNotPermitted


_One: TypeAlias = type[BaseException] | Callable[[Any], bool]

#: What ``failure_on`` and ``ignore`` take.
Matcher: TypeAlias = _One | tuple[_One, ...]


class Outcome(enum.Enum):
    """
    Say what a call means for its circuit.
    """

    #: The service answered.
    SUCCESS = "success"
    #: The service did not do its work.
    FAILURE = "failure"
    #: The call says nothing about the service.
    IGNORED = "ignored"


# Looked up once: that is slow on Python 3.11.
SUCCESS = Outcome.SUCCESS
FAILURE = Outcome.FAILURE
IGNORED = Outcome.IGNORED


class Judge:
    """
    Turn what a call raised or returned into an outcome.

    Immutable. The predicates are the user's: never asked under a lock.

    Args:
        failure_on: What is a failure: an exception type, a predicate
            ``exc -> bool``, or a tuple of these.
        ignore: What counts neither way; the same kinds. Looked at first.
        failure_when: Which *returned* values are failures, or None.

    Raises:
        TypeError: If one of them is something else, or a coroutine function.
    """

    __slots__ = (
        "_failure_predicates",
        "_failure_types",
        "_ignore_predicates",
        "_ignore_types",
        "failure_on",
        "failure_when",
        "ignore",
    )

    def __init__(
        self,
        failure_on: Matcher = Exception,
        ignore: Matcher = (),
        failure_when: Callable[[Any], bool] | None = None,
    ) -> None:
        self._failure_types, self._failure_predicates = _sorted_out(
            "failure_on", failure_on
        )
        self._ignore_types, self._ignore_predicates = _sorted_out("ignore", ignore)
        if failure_when is not None:
            _check_predicate("failure_when", failure_when, "a function of the result")
        self.failure_on = failure_on
        self.ignore = ignore
        self.failure_when = failure_when

    def of_exception(self, error: BaseException) -> Outcome:
        """
        Judge a call that raised *error*.

        What a predicate raises is passed on: the outcome is then *ignored*.
        """
        if not isinstance(error, Exception) or isinstance(error, CallNotPermitted):
            return IGNORED
        if _matches(error, self._ignore_types, self._ignore_predicates):
            return IGNORED
        if _matches(error, self._failure_types, self._failure_predicates):
            return FAILURE
        return SUCCESS

    def of_result(self, value: object) -> Outcome:
        """
        Judge a call that returned *value*.

        What the predicate raises is passed on: the outcome is then *ignored*.
        """
        if self.failure_when is not None and self.failure_when(value):
            return FAILURE
        return SUCCESS


def is_cancellation(error: BaseException) -> bool:
    """
    Answer whether *error* is how a framework ends a call from outside.

    That is every exception beside the ``Exception`` tree which is not one of
    the interpreter's own: asyncio's ``CancelledError`` and its like elsewhere.
    """
    return not isinstance(
        error, (Exception, KeyboardInterrupt, SystemExit, GeneratorExit)
    )


def _matches(
    error: Exception,
    types: tuple[type[BaseException], ...],
    predicates: tuple[Callable[[Any], bool], ...],
) -> bool:
    return isinstance(error, types) or any(ask(error) for ask in predicates)


def _sorted_out(
    name: str, matcher: Any
) -> tuple[tuple[type[BaseException], ...], tuple[Callable[[Any], bool], ...]]:
    """
    Return the types and the predicates of *matcher*.
    """
    types, predicates = [], []
    for one in matcher if isinstance(matcher, tuple) else (matcher,):
        if _is_exception_type(one):
            types.append(one)
        else:
            # Another type is a mistake: called, most would raise.
            usable = not isinstance(one, type)
            wanted = "an exception type, a predicate, or a tuple of these"
            _check_predicate(name, one, wanted, usable=usable)
            predicates.append(one)
    return tuple(types), tuple(predicates)


def _check_predicate(
    name: str, value: Any, wanted: str, *, usable: bool = True
) -> None:
    if not usable or not callable(value) or _is_exception_type(value):
        msg = f"{name} must be {wanted}, not {value!r}"
        raise TypeError(msg)
    # What a coroutine function returns is always true.
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(
        value.__call__
    ):
        msg = f"{name} must be no coroutine function: {value!r}"
        raise TypeError(msg)


def _is_exception_type(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
