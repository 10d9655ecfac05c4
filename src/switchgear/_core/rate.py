"""
How fast: the public description of one token bucket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from switchgear._validate import MAX_RATE, MAX_SECONDS, MIN_RATE, one_of, real, whole


if TYPE_CHECKING:
    from collections.abc import Sequence


#: What a rate counts: the tokens of an admission, or the admission as such.
Counts = Literal["tokens", "calls"]


class Rate:
    """
    Allow *limit* tokens per *per* seconds, in bursts of up to *burst*.

    Immutable. Arithmetic on it is exact, for 3 per second as for one a month.

    Args:
        limit: How many per *per* seconds, greater than zero.
        per: Seconds, greater than zero. ``limit / per`` must lie between
            1e-9 and 1e12 per second.
        burst: Capacity: the most one request can take, at least 1.
        counts: ``"tokens"`` charges an admission its tokens, ``"calls"``
            charges it 1, whatever its tokens.

    Raises:
        TypeError, ValueError: If an argument is of the wrong type or out of
            its range.

    .. versionadded:: 0.1.0
    """

    __slots__ = ("_burst", "_counts", "_limit", "_per")

    def __init__(
        self,
        limit: float,
        *,
        per: float = 1.0,
        burst: int = 1,
        counts: Counts = "tokens",
    ) -> None:
        self._limit = real("limit", limit, minimum=0.0, maximum=1e21, above=True)
        self._per = real("per", per, minimum=0.0, maximum=MAX_SECONDS, above=True)
        self._burst = whole("burst", burst, minimum=1)
        one_of("counts", counts, ("tokens", "calls"))
        self._counts: Counts = counts
        pace = self._limit / self._per
        if not MIN_RATE <= pace <= MAX_RATE:
            msg = (
                f"limit / per must be at least {MIN_RATE:g} and at most {MAX_RATE:g}"
                f" per second, not {self._limit!r} / {self._per!r}"
            )
            raise ValueError(msg)

    @property
    def limit(self) -> float:
        """
        How many per :attr:`per` seconds.
        """
        return self._limit

    @property
    def per(self) -> float:
        """
        The period of :attr:`limit`, in seconds.
        """
        return self._per

    @property
    def burst(self) -> int:
        """
        The most one request can take.
        """
        return self._burst

    @property
    def counts(self) -> Counts:
        """
        ``"tokens"`` or ``"calls"``.
        """
        return self._counts

    @property
    def calls_per_second(self) -> float:
        """
        The pace, per second.
        """
        return self._limit / self._per

    def _key(self) -> tuple[float, float, int, str]:
        return self._limit, self._per, self._burst, self._counts

    def __eq__(self, other: object) -> bool:
        return (
            self._key() == other._key() if isinstance(other, Rate) else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"Rate({plain(self._limit)}, per={plain(self._per)}, burst={self._burst},"
            f" counts={self._counts!r})"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return _rate, self._key()


def _rate(limit: float, per: float, burst: int, counts: Counts) -> Rate:
    return Rate(limit, per=per, burst=burst, counts=counts)


def plain(number: float) -> str:
    """
    Return *number* in full, but for a fraction of nothing.
    """
    return repr(number).removesuffix(".0")


def successors(old: Sequence[Rate], new: Sequence[Rate]) -> list[int | None]:
    """
    Return for each of *new* which of *old* it goes on from, or None: added.

    The one with the same period and the same unit first; what is left over
    then goes on in order, as long as the unit is the same.
    """
    free = dict(enumerate(old))
    chosen: list[int | None] = [None] * len(new)
    for same_period in (True, False):
        for position, rate in enumerate(new):
            if chosen[position] is not None:
                continue
            for index, candidate in free.items():
                if candidate.counts == rate.counts and (
                    not same_period or candidate.per == rate.per
                ):
                    chosen[position] = index
                    del free[index]
                    break
    return chosen
