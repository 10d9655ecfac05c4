"""
The answer to "may I, now?".
"""

from __future__ import annotations

import math

from operator import itemgetter
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from typing import Self


class Decision(tuple[bool, float | None, int]):
    """
    Answer whether a call is admitted: truthy if it is.

    An immutable tuple of its three attributes.

    .. versionadded:: 0.1.0
    """

    # A subclass of tuple is built several times faster than anything with
    # attributes of its own, and this is built for every call.
    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def admitted(self) -> bool:
            """
            Whether the call may be made, now.
            """
            ...

        @property
        def retry_after(self) -> float | None:
            """
            Seconds after which asking again for as many will be enough.

            If nobody else asks; 0.0 if admitted, None when nobody can know.
            """
            ...

        @property
        def remaining(self) -> int:
            """
            Tokens that a next call could take at once.
            """
            ...

    else:
        admitted = property(itemgetter(0), doc="Whether the call may be made, now.")
        retry_after = property(
            itemgetter(1),
            # No colon: what is before one in a property, Napoleon takes for a type.
            doc="Seconds after which asking again for as many will be enough, if"
            " nobody else asks; 0.0 if admitted, None when nobody can know.",
        )
        remaining = property(
            itemgetter(2), doc="Tokens that a next call could take at once."
        )

    def __new__(
        cls,
        admitted: bool,  # noqa: FBT001 -- it is the answer
        retry_after: float | None,
        remaining: int,
    ) -> Self:
        """
        Make an answer, for a test double perhaps.
        """
        return tuple.__new__(cls, (admitted, retry_after, remaining))

    def __bool__(self) -> bool:
        return self[0]

    def __repr__(self) -> str:
        return (
            f"Decision(admitted={self[0]}, retry_after={self[1]}, remaining={self[2]})"
        )

    def __getnewargs__(self) -> tuple[bool, float | None, int]:
        return self[0], self[1], self[2]


#: The commonest answers, by the tokens that remain. Looking one up costs a
#: tenth of building it.
READY_MADE: Final = 1024
ADMITTED: Final = tuple(
    [tuple.__new__(Decision, (True, 0.0, left)) for left in range(READY_MADE)]
)


def to_seconds(nanoseconds: int) -> float:
    """
    Convert *nanoseconds* to the least float that is no shorter.

    Up to about fifty days, rounding it to nanoseconds gives the number back.
    """
    seconds = nanoseconds / 1e9
    while round(seconds * 1e9) < nanoseconds:
        seconds = math.nextafter(seconds, math.inf)
    return seconds
