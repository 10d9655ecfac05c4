"""
What a limiter or breaker is defined by, and what it comes to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypedDict

from switchgear._breaker import CircuitBreaker
from switchgear._core.windows import CountWindow
from switchgear._keyed import MAX_KEYS
from switchgear._limiter import RateLimiter
from switchgear._validate import whole


if TYPE_CHECKING:
    from collections.abc import Callable

    from switchgear._clock import Clock
    from switchgear._core.outcomes import Matcher
    from switchgear._core.rate import Rate
    from switchgear._core.windows import TimeWindow

    class LimiterDefinition(TypedDict, total=False):
        """
        Define a limiter: what :class:`RateLimiter` takes, and *max_keys*.
        """

        calls_per_second: float
        burst: int
        rates: Iterable[Rate]
        max_waiters: int | None
        clock: Clock | None
        store: None
        max_keys: int

    class CircuitDefinition(TypedDict, total=False):
        """
        Define a breaker, apart from how calls are judged.
        """

        threshold: int | None
        cooldown: float
        window: CountWindow | TimeWindow | None
        slow_call_seconds: float | None
        half_open_probes: int
        successes_to_close: int
        probe_timeout: float | None
        cooldown_factor: float
        max_cooldown: float | None
        jitter: float
        clock: Clock | None
        store: None
        max_keys: int

    class BreakerDefinition(CircuitDefinition, total=False):
        """
        Define a breaker: what :class:`CircuitBreaker` takes, and *max_keys*.
        """

        failure_on: Matcher
        ignore: Matcher
        failure_when: Callable[[Any], bool] | None

    class ProtectedDefinition(CircuitDefinition, total=False):
        """
        Define a limiter and a breaker of one name.
        """

        calls_per_second: float
        burst: int
        rates: Iterable[Rate]
        max_waiters: int | None


#: Settings of a limiter, and those it shares with a breaker.
_LIMITER: Final = frozenset({"burst", "calls_per_second", "max_waiters", "rates"})
SHARED: Final = frozenset({"clock", "max_keys", "store"})


def split(definition: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return what of *definition* is for the limiter, and what for the breaker.
    """
    for_limiter = {
        key: value
        for key, value in definition.items()
        if key in _LIMITER or key in SHARED
    }
    for_breaker = {
        key: value for key, value in definition.items() if key not in _LIMITER
    }
    return for_limiter, for_breaker


#: What is made of a definition.
CLASSES: Final[dict[str, Callable[..., RateLimiter | CircuitBreaker]]] = {
    "limiter": RateLimiter,
    "breaker": CircuitBreaker,
}


def build(kind: str, name: str | None, definition: dict[str, Any]) -> Any:
    settings = {key: definition[key] for key in definition if key != "max_keys"}
    return CLASSES[kind](name=name, **settings)


def kept(definition: dict[str, Any]) -> dict[str, Any]:
    """
    Return a copy of *definition* that can be used again and again.
    """
    kept = dict(definition)
    if isinstance(kept.get("rates"), Iterable):
        kept["rates"] = tuple(kept["rates"])
    # What cannot be iterated over is refused where the limiter is made.
    return kept


def settled(kind: str, definition: dict[str, Any]) -> dict[str, Any]:
    """
    Return the settings that *definition* comes to.
    """
    max_keys = definition.get("max_keys", MAX_KEYS)
    return {
        **build(kind, None, definition).settings(),
        "clock": definition.get("clock"),
        "max_keys": whole("max_keys", max_keys, minimum=1),
    }


def effective(kind: str, definition: dict[str, Any]) -> dict[str, Any]:
    """
    Return the settings that *definition* comes to, as far as it comes to any.
    """
    try:
        return settled(kind, definition)
    except (TypeError, ValueError):
        # Code that is still to come may make sense of it; if not, the look-up
        # says so.
        return definition


def contradiction(kind: str, said: dict[str, Any]) -> str | None:
    """
    Return why *said* makes no sense whatever the code under it says, or None.
    """
    # Code that stands in the way of nothing.
    code: dict[str, Any] = {}
    if kind == "breaker":
        longest = said.get("max_cooldown")
        code = {
            "cooldown": 1.0 if longest is None else longest,
            "slow_call_seconds": 1.0,
            "threshold": 1,
            "window": CountWindow(1),
        }
    try:
        settled(kind, {**code, **said})
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """
    Answer whether both are written the same, types included (True is not 1).
    """
    return one == other and all(type(one[key]) is type(other[key]) for key in one)
