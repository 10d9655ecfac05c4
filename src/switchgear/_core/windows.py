"""
Sliding windows over the latest calls: how many there were, failed, were slow.

The user describes a window with :class:`CountWindow` or :class:`TimeWindow`;
a ledger keeps its books. They are two things: the *slots*, a fixed number of
places written one at a time, and a :class:`Tally`, the immutable totals over
them. A ledger plans which slot to write and what the totals will be; whoever
keeps the two stores both at once. So a record costs the same whatever the size
(the running totals of a ring buffer), and one that was planned in vain leaves
no trace.

Ledgers hold no state of their own; slots are not safe to share between threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from switchgear import _validate
from switchgear._record import Record, record
from switchgear._validate import fraction, nanoseconds, whole


if TYPE_CHECKING:
    from collections.abc import MutableSequence


#: The most calls a :class:`CountWindow` looks back on: one byte each.
MAX_SIZE = 1_000_000

#: In how many slices a :class:`TimeWindow` forgets.
SLICES = 32

# Makes a named tuple in half the time that its own __new__ takes.
_new = tuple.__new__

# A slot of a count window is one byte: empty, or a call and its two marks.
_CALL, _FAILED, _SLOW = 1, 2, 4


@record
class CountWindow(Record):
    """
    Look back on the latest *size* calls.

    Args:
        size: How many calls, 1 to 1,000,000; each takes one byte.
        failure_rate: The share of failures that trips the circuit: greater
            than 0, at most 1.
        minimum_calls: Judge nothing before so many calls are in the window.
            A full window is always judged, so more than *size* means *size*.
        slow_call_rate: The share of slow calls that trips it, or None: then a
            slow call is a failure. Needs the breaker's *slow_call_seconds*.

    Raises:
        TypeError: If an argument is no number of its kind.
        ValueError: If an argument is out of its range.

    .. versionadded:: 0.1.0
    """

    size: int
    failure_rate: float
    minimum_calls: int
    slow_call_rate: float | None

    def __init__(
        self,
        size: int,
        failure_rate: float = 0.5,
        minimum_calls: int = 10,
        slow_call_rate: float | None = None,
    ) -> None:
        # Not super(): a class with slots is another than the one it was written as.
        Record.__init__(
            self,
            size=whole("size", size, minimum=1, maximum=MAX_SIZE),
            **_rates(failure_rate, minimum_calls, slow_call_rate),
        )


@record
class TimeWindow(Record):
    """
    Look back on the calls of the latest *seconds*.

    Time is counted in 32 slices, each forgotten as a whole: the window covers
    between 31/32 of *seconds* and all of it. Memory does not depend on how
    many calls there are.

    Args:
        seconds: How far it looks back; greater than zero.
        failure_rate: The share of failures that trips the circuit: greater
            than 0, at most 1.
        minimum_calls: Judge nothing before so many calls are in the window.
        slow_call_rate: The share of slow calls that trips it, or None: then a
            slow call is a failure. Needs the breaker's *slow_call_seconds*.

    Raises:
        TypeError: If an argument is no number of its kind.
        ValueError: If an argument is out of its range.

    .. versionadded:: 0.1.0
    """

    seconds: float
    failure_rate: float
    minimum_calls: int
    slow_call_rate: float | None

    def __init__(
        self,
        seconds: float,
        failure_rate: float = 0.5,
        minimum_calls: int = 10,
        slow_call_rate: float | None = None,
    ) -> None:
        Record.__init__(
            self,
            seconds=_validate.seconds("seconds", seconds, above=True),
            **_rates(failure_rate, minimum_calls, slow_call_rate),
        )


#: Either kind of window.
Window: TypeAlias = CountWindow | TimeWindow


class Tally(NamedTuple):
    """
    Total up a window.

    Attributes:
        calls: Calls in the window.
        failures: How many of them failed.
        slow: How many of them were slow.
        at: Where the window stands: the slot to be written next, or the
            number of the current slice.
    """

    calls: int = 0
    failures: int = 0
    slow: int = 0
    at: int = 0


EMPTY = Tally()


class Books(NamedTuple):
    """
    Keep a window: its slots and their totals.
    """

    slots: MutableSequence[Any]
    tally: Tally


class Entry(NamedTuple):
    """
    Say which slot to write, with what, and the totals from then on.
    """

    slot: int
    value: Any
    tally: Tally


class CountLedger:
    """
    Keep the books of a :class:`CountWindow`: one byte per call, in a ring.
    """

    __slots__ = ("_minimum", "_size", "window")

    def __init__(self, window: CountWindow) -> None:
        self.window = window
        self._size = window.size
        self._minimum = min(window.minimum_calls, window.size)

    def fresh(self, now_ns: int) -> Books:  # noqa: ARG002 -- one interface for both
        """
        Return books without a call.
        """
        return Books(bytearray(self._size), EMPTY)

    def current(self, books: Books, now_ns: int) -> Tally:  # noqa: ARG002 -- as above
        """
        Return the totals at *now_ns*: time takes nothing from this window.
        """
        return books.tally

    def plan(
        self,
        books: Books,
        now_ns: int,  # noqa: ARG002 -- one interface for both
        *,
        failed: bool,
        slow: bool,
    ) -> Entry:
        """
        Plan to count one more call; the oldest of a full window goes.
        """
        slots, (calls, failures, slows, at) = books
        leaving = slots[at]
        if leaving:
            failures -= leaving >> 1 & 1
            slows -= leaving >> 2
        else:
            calls += 1
        entering = _CALL
        if failed:
            entering |= _FAILED
            failures += 1
        if slow:
            entering |= _SLOW
            slows += 1
        tally = _new(Tally, (calls, failures, slows, (at + 1) % self._size))
        return _new(Entry, (at, entering, tally))

    def verdict(self, tally: Tally) -> str | None:
        """
        Return why *tally* trips a circuit, or None if it does not.
        """
        return _verdict(self.window, tally, self._minimum)

    def adopt(self, other: Ledger, books: Books, now_ns: int) -> Books:
        """
        Return books with the latest calls of another window.

        The calls of a time window have no order, so nothing comes from one.
        """
        if not isinstance(other, CountLedger):
            return self.fresh(now_ns)
        slots, tally = books
        # Oldest first; empty slots are there only before the oldest call.
        ordered = bytes(slots[tally.at :]) + bytes(slots[: tally.at])
        latest = ordered.replace(b"\0", b"")[-self._size :]
        totals = Tally(
            len(latest),
            sum(call >> 1 & 1 for call in latest),
            sum(call >> 2 for call in latest),
            len(latest) % self._size,
        )
        return Books(bytearray(latest.ljust(self._size, b"\0")), totals)


class TimeLedger:
    """
    Keep the books of a :class:`TimeWindow`: one slot per slice, in a ring.

    A slot is ``(number of the slice, calls, failures, slow)``. One that holds
    an older slice than it should counts as empty.
    """

    __slots__ = ("_slice_ns", "window")

    def __init__(self, window: TimeWindow) -> None:
        self.window = window
        self._slice_ns = max(1, nanoseconds(window.seconds) // SLICES)

    def fresh(self, now_ns: int) -> Books:
        """
        Return books without a call.
        """
        number = now_ns // self._slice_ns
        return Books([(number, 0, 0, 0)] * SLICES, Tally(at=number))

    def current(self, books: Books, now_ns: int) -> Tally:
        """
        Return the totals at *now_ns*, without the slices that are too old.
        """
        slots, tally = books
        number = now_ns // self._slice_ns
        if number <= tally.at:
            return tally
        if number - tally.at >= SLICES:
            return Tally(at=number)
        calls, failures, slow, at = tally
        # At most 31 rounds, and in all no more than slices have passed.
        for begun in range(at + 1, number + 1):
            held = slots[begun % SLICES]
            # One that is older still left the totals in a long silence.
            if held[0] == begun - SLICES:
                calls -= held[1]
                failures -= held[2]
                slow -= held[3]
        return Tally(calls, failures, slow, number)

    def plan(self, books: Books, now_ns: int, *, failed: bool, slow: bool) -> Entry:
        """
        Plan to count one more call in the current slice.
        """
        calls, failures, slows, number = self.current(books, now_ns)
        slot = number % SLICES
        value = _added(books.slots[slot], (number, 1, failed, slow))
        tally = _new(Tally, (calls + 1, failures + failed, slows + slow, number))
        return _new(Entry, (slot, value, tally))

    def verdict(self, tally: Tally) -> str | None:
        """
        Return why *tally* trips a circuit, or None if it does not.
        """
        return _verdict(self.window, tally, self.window.minimum_calls)

    def adopt(self, other: Ledger, books: Books, now_ns: int) -> Books:
        """
        Return books with those calls of another window that are recent enough.

        The calls of a count window have no time, so nothing comes from one.
        """
        slots, (_, _, _, at) = self.fresh(now_ns)
        if isinstance(other, CountLedger):
            return Books(slots, Tally(at=at))
        calls = failures = slow = 0
        oldest = other.current(books, now_ns).at - SLICES + 1
        for held in books.slots:
            # A slice is as young as its last moment.
            ended = ((held[0] + 1) * other._slice_ns - 1) // self._slice_ns  # noqa: SLF001 -- a window too
            number = min(ended, at)
            if held[0] >= oldest and number > at - SLICES:
                moved = (number, *held[1:])
                slots[number % SLICES] = _added(slots[number % SLICES], moved)
                calls, failures, slow = (
                    calls + held[1],
                    failures + held[2],
                    slow + held[3],
                )
        return Books(slots, Tally(calls, failures, slow, at))


#: Either kind of ledger.
Ledger: TypeAlias = CountLedger | TimeLedger

_Slice: TypeAlias = tuple[int, int, int, int]


def ledger(window: Window | None) -> Ledger | None:
    """
    Return who keeps the books of *window*.
    """
    if window is None:
        return None
    return (
        CountLedger(window) if isinstance(window, CountWindow) else TimeLedger(window)
    )


def _added(held: _Slice, more: _Slice) -> _Slice:
    """
    Return *more*, with what is *held* of the same slice.
    """
    if held[0] != more[0]:
        return more
    return more[0], held[1] + more[1], held[2] + more[2], held[3] + more[3]


def _verdict(window: Window, tally: Tally, minimum: int) -> str | None:
    calls, failures, slow, _ = tally
    if calls < minimum:
        return None
    # Divided, not multiplied: 7 / 100 is 0.07, but 0.07 * 100 is more than 7.
    if failures / calls >= window.failure_rate:
        return "failure_rate"
    if window.slow_call_rate is not None and slow / calls >= window.slow_call_rate:
        return "slow_call_rate"
    return None


def _rates(
    failure_rate: float, minimum_calls: int, slow_call_rate: float | None
) -> dict[str, Any]:
    return {
        "failure_rate": fraction("failure_rate", failure_rate),
        "minimum_calls": whole("minimum_calls", minimum_calls, minimum=1),
        "slow_call_rate": (
            None
            if slow_call_rate is None
            else fraction("slow_call_rate", slow_call_rate)
        ),
    }
