"""
Whether what several threads saw could have been seen one call at a time.

An object is linearizable if every history of concurrent calls has an order in
which each call takes effect at one instant between its beginning and its end,
and each result is what a sequential model gives in that order (Herlihy and
Wing, 1990). The search for the order is that of Wing and Gong ("Testing and
verifying concurrent objects", 1993), with the memory of Lowe ("Testing for
linearizability", 2017): the same calls done, the same state: not tried again.
"""

from __future__ import annotations

import itertools

from collections.abc import Callable, Hashable
from typing import Any, ClassVar, NamedTuple, TypeAlias

from switchgear.events import CircuitState


#: Does an operation to a state: returns the result, and the state after it.
Model: TypeAlias = Callable[[Any, str, tuple[Any, ...]], tuple[Any, Hashable]]


class Operation(NamedTuple):
    """
    Note one call: what was asked and answered, and when, in ticks of a history.
    """

    name: str
    arguments: tuple[Any, ...]
    result: Any
    began: int
    ended: int


class History:
    """
    Record the calls of any number of threads.
    """

    #: How many were linearizable so far.
    checked: ClassVar[int] = 0

    def __init__(self) -> None:
        # Drawing a number and appending are one step each, whoever does it.
        self._ticks = itertools.count()
        self.operations: list[Operation] = []

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """
        Call *function*, and note what it returned or, by its type, raised.
        """
        began = next(self._ticks)
        result: Any
        try:
            result = function(*arguments)
        except Exception as error:
            result = type(error)
        ended = next(self._ticks)
        name = function.__name__
        self.operations.append(Operation(name, arguments, result, began, ended))
        return result

    def is_linearizable(self, model: Model, initial: Hashable) -> bool:
        """
        Answer whether some order of the calls explains all results.
        """
        seen: set[tuple[frozenset[Operation], Hashable]] = set()
        ways = [(frozenset(self.operations), initial)]
        while ways:
            left, state = ways.pop()
            if not left:
                History.checked += 1
                return True
            if (left, state) in seen:
                continue
            seen.add((left, state))
            # What ended before another began comes before it.
            first_end = min(one.ended for one in left)
            for one in left:
                if one.began < first_end:
                    result, after = model(state, one.name, one.arguments)
                    if result == one.result and type(result) is type(one.result):
                        ways.append((left - {one}, after))
        return False

    def __str__(self) -> str:
        return "\n".join(
            f"{one.began:4}-{one.ended:<4} {one.name}{one.arguments} -> {one.result!r}"
            for one in sorted(self.operations, key=lambda one: one.began)
        )


def counter(value: Any, name: str, arguments: tuple[Any, ...]) -> tuple[Any, Hashable]:
    """
    Be a counter, one call at a time.
    """
    match name, arguments:
        case "increment", (n,):
            return value + n, value + n
        case "decrement", (n,):
            return value - n, value - n
        case "get_and_set", (new,):
            return value, new
        case "compare_and_set", (expected, new):
            return value == expected, new if value == expected else value
        case "reset", ():
            return value, 0
        case "__int__", ():
            return value, value
    raise ValueError(name)


def unique(items: Any, name: str, arguments: tuple[Any, ...]) -> tuple[Any, Hashable]:
    """
    Be a set without a bound, one call at a time.
    """
    match name, arguments:
        case ("add", (item,)) | ("update", ((item,),)):
            is_new = item not in items
            return is_new if name == "add" else int(is_new), items | {item}
        case "discard", (item,):
            return item in items, items - {item}
        case "__contains__", (item,):
            return item in items, items
        case "__len__", ():
            return len(items), items
        case (("snapshot" | "iterate"), ()):
            return items, items
        case "clear", ():
            return None, frozenset()
    raise ValueError(name)


def bounded(size: int) -> Model:
    """
    Return a set that remembers *size* items: a tuple, the oldest first.
    """

    def model(
        items: Any, name: str, arguments: tuple[Any, ...]
    ) -> tuple[Any, Hashable]:
        match name, arguments:
            case ("add", (item,)) | ("update", ((item,),)):
                is_new = item not in items
                after = (*items, item)[-size:] if is_new else items
                return is_new if name == "add" else int(is_new), after
            case "discard", (item,):
                left = tuple(one for one in items if one != item)
                return item in items, left
            case "__contains__", (item,):
                return item in items, items
            case "__len__", ():
                return len(items), items
            case (("snapshot" | "iterate"), ()):
                return frozenset(items), items
            case "clear", ():
                return None, ()
        raise ValueError(name)

    return model


def bucket(tokens: Any, name: str, arguments: tuple[Any, ...]) -> tuple[Any, Hashable]:
    """
    Be a limiter while no time passes: tokens that do not come back.
    """
    match name, arguments:
        case "admitted", (asked,):
            return tokens >= asked, tokens - asked if tokens >= asked else tokens
    raise ValueError(name)


def fragile(streak: Any, name: str, arguments: tuple[Any, ...]) -> tuple[Any, Hashable]:
    """
    Be a circuit that two failures in a row open for good: how many there were.
    """
    match name, arguments:
        case "ask", ():
            return streak < 2, streak
        case "count", ():
            return streak, streak
        case (("success" | "failure"), ()):
            after = streak + 1 if name == "failure" else 0
            # Late results count, but move nothing.
            return True, streak if streak == 2 else after
    raise ValueError(name)


def half_open(
    state: Any, name: str, arguments: tuple[Any, ...]
) -> tuple[Any, Hashable]:
    """
    Be a circuit that begins half-open: its state, its free slots, and how many
    successes close it.
    """
    phase, free, lacking = state
    match name, arguments:
        case "look", ():
            return phase, state
        case "ask", () if phase is CircuitState.HALF_OPEN:
            return free > 0, (phase, max(0, free - 1), lacking)
        case "ask", ():
            return phase is CircuitState.CLOSED, state
        case (("ignore" | "success" | "failure"), ()):
            after: Hashable = (phase, free + 1, lacking - (name == "success"))
            if phase is not CircuitState.HALF_OPEN:
                # Late results count, but move nothing.
                after = state
            elif name == "failure":
                after = (CircuitState.OPEN, 0, 0)
            elif name == "success" and lacking == 1:
                after = (CircuitState.CLOSED, 0, 0)
            return True, after
    raise ValueError(name)
