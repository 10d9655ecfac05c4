"""
The rate limiter.
"""

from __future__ import annotations

import time

from typing import TYPE_CHECKING, Any, Final

from switchgear._core.place import Place
from switchgear._core.rate import plain
from switchgear._core.token_bucket import budget_of, rates_of
from switchgear._decision import ADMITTED, READY_MADE, Decision
from switchgear._limiter_settings import (
    DEFAULT_BURST,
    DEFAULT_PACE,
    checked_max_waiters,
    checked_rates,
    first_rates,
    next_rates,
    rates_over,
    settings_of,
)
from switchgear._limiter_snapshot import snapshot_of
from switchgear._reservation import Reservation
from switchgear._turnstile import Turnstile
from switchgear._unchanged import UNCHANGED, Unchanged
from switchgear._validate import optional_seconds, text, whole
from switchgear._validate import seconds as duration
from switchgear.events import (
    LimiterClosed,
    LimiterReopened,
    Reconfigured,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from switchgear._clock import Clock
    from switchgear._core.rate import Rate
    from switchgear._limiter_snapshot import LimiterSnapshot
    from switchgear.events import Event

    #: Rates, and how many may wait.
    _Wanted = tuple[tuple[Rate, ...], int | None]


_ONE: Final = 1
_new: Final[Callable[..., Decision]] = tuple.__new__


class RateLimiter(Turnstile):
    """
    Admit calls at a steady pace, with short bursts.

    A token bucket with one queue: whoever has to wait is served in the order
    of arrival, threads and tasks of any event loops alike. Safe to share
    between any number of them.

    ``with limiter:`` is :meth:`wait`, ``async with limiter:`` is
    :meth:`wait_async`, for one token; leaving the block gives nothing back.

    In any window of *t* seconds at most ``burst + rate * (t + 0.002)`` tokens
    are admitted. Arithmetic is exact, whatever the rate.

    Args:
        calls_per_second: Sustained pace, in tokens per second; from 1e-9 to
            1e12.
        burst: Capacity, in tokens: the most one call can take; at least 1.
        rates: Instead of the first two: several rates, all of which admit and
            are charged in one step, or none.
        name: How logs and errors call it.
        max_waiters: How many may wait at a time, reservations included; None
            for any number. Further ones are refused at once.
        clock: Where the time comes from. Tests pass a ``ManualClock``.
        store: Reserved for shared stores; only None is taken.

    Raises:
        TypeError, ValueError: If an argument is of the wrong type or out of
            its range.

    .. versionadded:: 0.1.0
    """

    __slots__ = ()

    def __init__(
        self,
        calls_per_second: float = DEFAULT_PACE,
        *,
        burst: int = DEFAULT_BURST,
        rates: Iterable[Rate] | None = None,
        name: str | None = None,
        max_waiters: int | None = None,
        clock: Clock | None = None,
        store: object = None,
    ) -> None:
        if store is not None:
            msg = f"store must be None: there are no shared stores yet, not {store!r}"
            raise TypeError(msg)
        checked = first_rates(calls_per_second, burst, rates)
        super().__init__(name, checked, checked_max_waiters(max_waiters), clock)

    # Asking

    def try_acquire(self, tokens: int = 1) -> Decision:
        """
        Answer at once whether *tokens* are admitted; charge them if so.

        While anybody queues the answer is no, even if tokens are there, and
        ``retry_after`` counts the queue. Of a closed limiter it is None.

        Args:
            tokens: How many, at least 1.

        Raises:
            BurstExceeded: If *tokens* can never be admitted.
            TypeError, ValueError: If *tokens* is no int, or less than 1.
        """
        # Before the lock: a call inside a locked section makes convoys.
        reading = time.monotonic_ns()
        queue = self._queue
        with self._lock:
            # The short way, for a token at a time; spelled out here and in
            # _take(), as a call more would cost a tenth of all. Nothing in it
            # calls anything, so that a signal handler never finds it half done.
            if reading >= self._floor and tokens is _ONE:
                now = reading - self._epoch
                if self._ticks != 1:
                    now *= self._ticks
                state = queue.state
                cost = self._cost
                least = now - self._capacity
                if state < least:  # noqa: PLR1730 -- max() is a call
                    state = least
                state += cost
                if state <= now:
                    queue.state = state
                    queue.admitted += 1
                    self._floor = reading
                    spare: int = (now - state) // cost
                    if spare < READY_MADE:
                        return ADMITTED[spare]
                else:
                    spare = -1
            else:
                spare = -1
        if spare >= 0:
            return _new(Decision, (True, 0.0, spare))
        return self._decide(whole("tokens", tokens, minimum=1))

    def wait(self, tokens: int = 1, *, timeout: float | None = None) -> None:
        """
        Block until *tokens* are admitted, in turn.

        Whatever interrupts the wait, KeyboardInterrupt included, gives the
        place back exactly: those behind move up.

        Args:
            tokens: How many, at least 1.
            timeout: How many seconds to wait at the most; 0 is now or never,
                None for ever.

        Raises:
            RateLimitExceeded: If as things stand the turn cannot come within
                *timeout*, or too many wait: at once, consuming nothing. Also
                when a pause or the like pushes the turn past *timeout*, no
                later than then, and when the limiter is closed.
            BurstExceeded: If *tokens* can never be admitted.
            TypeError, ValueError: If *tokens* is no int, or less than 1; if
                *timeout* is no number, or negative.
        """
        if timeout is None and self._take(tokens):
            return
        place = Place(whole("tokens", tokens, minimum=1))
        self._wait_thread(place, self._enter, optional_seconds("timeout", timeout))

    async def wait_async(
        self,
        tokens: int = 1,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 -- it decides at once
    ) -> None:
        """
        Suspend the task until *tokens* are admitted, in turn.

        As :meth:`wait`, for event loops: the loop is never blocked, and any
        number of loops may wait for one limiter. Cancellation gives the place
        back exactly.

        Raises:
            RateLimitExceeded, BurstExceeded: As :meth:`wait`.
            TypeError, ValueError: As :meth:`wait`.
        """
        if timeout is None and self._take(tokens):
            return
        place = Place(whole("tokens", tokens, minimum=1))
        limit = optional_seconds("timeout", timeout)
        await self._wait_task(place, self._enter, limit)

    def reserve(self, tokens: int = 1, *, max_wait: float | None = None) -> Reservation:
        """
        Take a place in the queue without waiting for the turn.

        It is charged when its turn comes, whether or not anybody waits on it.

        Args:
            tokens: How many, at least 1.
            max_wait: How many seconds the turn may be away at the most; None
                for any time.

        Raises:
            RateLimitExceeded: If as things stand the turn cannot come within
                *max_wait*, or too many wait: consuming nothing. Also when the
                limiter is closed.
            BurstExceeded: If *tokens* can never be admitted.
            TypeError, ValueError: If *tokens* is no int, or less than 1; if
                *max_wait* is no number, or negative.
        """
        place = Place(whole("tokens", tokens, minimum=1))
        limit = optional_seconds("max_wait", max_wait)
        self._enter(place, waiter=None, timeout=limit)
        return Reservation(self, place)

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

    # Operating

    def pause(self, seconds: float) -> None:
        """
        Admit nobody for a while: the server said Retry-After.

        A later pause only extends; the bucket fills meanwhile.

        Args:
            seconds: From now on; at least 0.

        Raises:
            TypeError, ValueError: If *seconds* is no number, or negative.
        """
        length = duration("seconds", seconds)
        self._pause(length, length)

    def close(self, reason: str = "") -> None:
        """
        Send every waiter away, now and later, with RateLimitExceeded.

        This is how a program shuts down its workers. Closing a closed limiter
        only changes the reason.

        Args:
            reason: What the error is to say.

        Raises:
            TypeError: If *reason* is not a string.
        """
        reason = text("reason", reason)

        def act(now: int, _: list[Place]) -> None:
            queue, is_closed = self._queue, False
            while not is_closed:
                waiting = queue.waiting
                events = self._events(
                    LimiterClosed,
                    now,
                    limiter=self._name,
                    reason=reason,
                    waiting=waiting,
                )
                news = self._outbox.room_for(events)
                is_closed = queue.close(reason, waiting, news, events)

        self._visit(act)

    def reopen(self) -> None:
        """
        Admit again after :meth:`close`; level and pause are what they would be.
        """

        def act(now: int, _: list[Place]) -> None:
            events = self._events(LimiterReopened, now, limiter=self._name)
            self._queue.reopen(self._outbox.room_for(events), events)

        self._visit(act)

    def reconfigure(
        self,
        *,
        calls_per_second: float | Unchanged = UNCHANGED,
        burst: int | Unchanged = UNCHANGED,
        rates: Iterable[Rate] | Unchanged = UNCHANGED,
        max_waiters: int | Unchanged | None = UNCHANGED,
    ) -> None:
        """
        Go on with other settings; what is left out stays as it is.

        Debt, level and queue are kept, nothing is minted, and whoever waits
        is timed anew. Those who now ask more than the burst are sent away
        with BurstExceeded. A rate that is added starts empty; each other goes
        on from the one with the same period and unit, or else in order.

        Args:
            calls_per_second: Sustained pace, in tokens per second.
            burst: Capacity, in tokens.
            rates: Instead of the first two.
            max_waiters: How many may wait at a time; None for any number.

        Raises:
            TypeError, ValueError: If an argument is of the wrong type or out
                of its range, or if *calls_per_second* or *burst* is given for
                a limiter with several rates. Nothing is changed then.
        """
        self._reconfigure(
            alone=True,
            calls_per_second=calls_per_second,
            burst=burst,
            rates=rates,
            max_waiters=max_waiters,
        )

    def _reconfigure(
        self,
        *,
        alone: bool,
        calls_per_second: float | Unchanged = UNCHANGED,
        burst: int | Unchanged = UNCHANGED,
        rates: Iterable[Rate] | Unchanged = UNCHANGED,
        max_waiters: int | Unchanged | None = UNCHANGED,
    ) -> None:
        """
        Do what :meth:`reconfigure` does; *alone*: to this one by itself.
        """
        if max_waiters is not UNCHANGED:
            max_waiters = checked_max_waiters(max_waiters)
        if burst is not UNCHANGED:
            burst = whole("burst", burst, minimum=1)
        if rates is not UNCHANGED:
            # Before the lock: it may be anything iterable.
            rates = checked_rates(rates)

        given = {
            "calls_per_second": calls_per_second,
            "burst": burst,
            "rates": rates,
            "max_waiters": max_waiters,
        }
        own = {name for name, value in given.items() if value is not UNCHANGED}

        def plan(old: tuple[Rate, ...], most: int | None) -> _Wanted:
            limit = most if isinstance(max_waiters, Unchanged) else max_waiters
            return next_rates(old, calls_per_second, burst, rates), limit

        def act(now: int, _: list[Place]) -> None:
            self._adopt(now, plan, alone=alone)
            self._own |= own

        self._visit(act)

    def reset(self) -> None:
        """
        Start anew: a full bucket, no pause, counts at zero.

        Settings stay, and so does the queue: its first ones go at once.
        """
        self._visit(lambda now, _: self._queue.refill(now))

    @property
    def _rates(self) -> tuple[Rate, ...]:
        # Of the queue, so that nobody ever sees one of them without the other.
        return rates_of(self._queue.budget)

    def settings(self) -> dict[str, Any]:
        """
        Return the arguments that would make a limiter like this one now.

        Without *name* and *clock*.
        """
        return settings_of(self._rates, self._queue.max_waiters)

    def snapshot(self) -> LimiterSnapshot:
        """
        Return what there is to know, as of now.
        """
        return self._visit(lambda now, _: snapshot_of(self._name, self._queue, now))

    def __repr__(self) -> str:
        name = "" if self._name is None else f" {self._name!r}"
        shown = ", ".join(
            f"{plain(rate.limit)} {rate.counts} per {plain(rate.per)} s,"
            f" burst {rate.burst}"
            for rate in self._rates
        )
        return f"<RateLimiter{name}: {shown}>"

    def _twin(self) -> RateLimiter:
        """
        Return another with these settings, which nobody else knows.
        """
        return RateLimiter(**self.settings())

    def _configure_like(self, pattern: RateLimiter, *, forget: bool) -> None:
        """
        Go on with the settings of *pattern*, but for those changed at run time.

        With *forget* those too; what the pattern has of its own counts as
        changed at run time then. The pattern is new, and nobody else's.
        """

        def plan(old: tuple[Rate, ...], most: int | None) -> _Wanted:
            # Asked anew each time: a signal handler may have set something.
            own = self._own
            limit = most if "max_waiters" in own else pattern._queue.max_waiters
            return rates_over(pattern._rates, old, own), limit

        def act(now: int, _: list[Place]) -> None:
            if forget:
                self._own, self._alone = frozenset(), False
            self._adopt(now, plan)
            if forget:
                self._own |= pattern._own

        self._visit(act)

    def _check_like(self, pattern: RateLimiter) -> None:
        """
        Raise what ``_configure_like`` would raise.
        """
        rates_over(pattern._rates, self._rates, self._own)

    def _adopt(
        self,
        now: int,
        plan: Callable[[tuple[Rate, ...], int | None], _Wanted],
        *,
        alone: bool = False,
    ) -> None:
        """
        Change rates and max_waiters as *plan* says of those before, and tell it.

        *alone*: those of this one by itself.
        """
        queue, changed = self._queue, False
        while not changed:
            budget, most = queue.budget, queue.max_waiters
            old = rates_of(budget)
            rates, limit = plan(old, most)
            before, after = settings_of(old, most), settings_of(rates, limit)
            changes = {
                key: (before.get(key), after.get(key))
                for key in {**before, **after}
                if before.get(key) != after.get(key)
            }
            events: tuple[Event, ...] = ()
            if changes:
                events = self._events(
                    Reconfigured, now, kind="limiter", name=self._name, changes=changes
                )
            # Before: an exception may come right after.
            self._alone |= alone
            changed = queue.reconfigure(
                now,
                budget if rates == old else budget_of(rates),
                limit,
                (budget, most),
                self._outbox.room_for(events),
                events,
            )

    def _take(self, tokens: int) -> bool:
        """
        Take the short way, as :meth:`try_acquire`; answer whether it was open.
        """
        if tokens is not _ONE:
            return False
        reading = time.monotonic_ns()
        queue = self._queue
        with self._lock:
            if reading >= self._floor:
                now = (reading - self._epoch) * self._ticks
                state = queue.state
                if state < now - self._capacity:  # noqa: PLR1730 -- max() is a call
                    state = now - self._capacity
                state += self._cost
                if state <= now:
                    queue.state = state
                    queue.admitted += 1
                    self._floor = reading
                    return True
        return False
