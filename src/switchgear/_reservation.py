"""
A place in the queue of a limiter, to be used later.
"""

# ruff: noqa: SLF001 -- a reservation and its limiter know each other

from __future__ import annotations

from typing import TYPE_CHECKING

from switchgear._core.place import Status
from switchgear._validate import optional_seconds, whole


if TYPE_CHECKING:
    from types import TracebackType
    from typing import NoReturn, Self

    from switchgear._core.place import Place
    from switchgear._limiter import RateLimiter


class Reservation:
    """
    Hold a place in the queue of a limiter.

    Made by :meth:`RateLimiter.reserve`. It is charged when its turn comes,
    whether or not anybody waits on it, and costs what was booked unless
    :meth:`settle` or :meth:`cancel` says otherwise. ``with`` and ``async
    with`` wait for the turn; leaving the block settles nothing.

    Safe to use from any thread; one thread or task at a time can wait for it.

    .. versionadded:: 0.1.0
    """

    __slots__ = ("__weakref__", "_limiter", "_place")

    def __init__(self, limiter: RateLimiter, place: Place) -> None:
        self._limiter = limiter
        self._place = place

    @property
    def tokens(self) -> int:
        """
        How many tokens are booked.
        """
        return self._place.tokens

    @property
    def delay(self) -> float:
        """
        Seconds to its turn as things stand, 0.0 from then on.

        Infinite if the turn will never come: cancelled before it, or sent
        away when the limiter was closed or its burst lowered.
        """
        return self._limiter._delay(self._place)

    def wait(self, timeout: float | None = None) -> None:
        """
        Block until its turn.

        However this is interrupted before the turn, the place is given back.

        Args:
            timeout: How many seconds to wait at the most; None for ever.

        Raises:
            RateLimitExceeded: If the turn cannot or does not come within
                *timeout* (the place is given back), the reservation was
                cancelled, or the limiter was closed.
            BurstExceeded: If the burst was lowered below what is booked.
            RuntimeError: If somebody else is waiting for it.
            TypeError, ValueError: If *timeout* is no number, or negative.
        """
        limit = optional_seconds("timeout", timeout)
        limiter, place = self._limiter, self._place
        # Mostly it was granted when it was made.
        if place.status is not Status.GRANTED:
            limiter._wait_thread(place, limiter._join, limit)

    async def wait_async(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- decides at once
        """
        Suspend the task until its turn; else as :meth:`wait`.
        """
        limit = optional_seconds("timeout", timeout)
        limiter, place = self._limiter, self._place
        if place.status is not Status.GRANTED:
            await limiter._wait_task(place, limiter._join, limit)

    def cancel(self) -> bool:
        """
        Give the place up.

        Before its turn the place vanishes and those behind move up exactly;
        from then on this is ``settle(0)``.

        Returns:
            Whether it decided: False once cancelled, settled or sent away.
        """
        return self._limiter._cancel(self._place)

    def settle(self, actual: int) -> bool:
        """
        Say what it cost in the end.

        Less than booked goes back, as far as the bucket is then no fuller
        than if it had not been booked; more becomes debt. A rate that counts
        calls is left alone.

        Args:
            actual: Tokens, at least 0.

        Returns:
            Whether it decided: False once cancelled, settled or sent away.

        Raises:
            TypeError, ValueError: If *actual* is no int, or negative.
        """
        actual = whole("actual", actual, minimum=0)
        return self._limiter._settle(self._place, actual)

    def _undo(self) -> None:
        """
        Take everything back, for a call that is not made: its charge as a call, too.
        """
        self._limiter._undo(self._place)

    def __reduce__(self) -> NoReturn:
        msg = "a Reservation cannot be pickled or copied: its place is one"
        raise TypeError(msg)

    def __enter__(self) -> Self:
        self.wait()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    async def __aenter__(self) -> Self:
        await self.wait_async()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def __repr__(self) -> str:
        return (
            f"<Reservation of {self.tokens} tokens from {self._limiter!r}:"
            f" {self._place.status.value}>"
        )
