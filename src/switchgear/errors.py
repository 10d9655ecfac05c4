"""
Everything switchgear raises on purpose.

.. code-block:: text

    SwitchgearError
    ├── CallNotPermitted            a call was not made (name, retry_after)
    │   ├── RateLimitExceeded       not yet
    │   ├── BurstExceeded           never: more than the bucket holds
    │   └── CircuitOpenError        the circuit is open (state, last_failure)
    ├── ConfigurationError          (also ValueError) every problem, with key paths
    ├── UnknownNameError            (also LookupError) with the nearest names
    └── StoreError                  a shared store failed

All of them survive pickling, and their messages are one line long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Iterable

    from switchgear.events import CircuitState


__all__ = [
    "BurstExceeded",
    "CallNotPermitted",
    "CircuitOpenError",
    "ConfigurationError",
    "RateLimitExceeded",
    "StoreError",
    "SwitchgearError",
    "UnknownNameError",
]


class SwitchgearError(Exception):
    """
    Catch everything switchgear raises on purpose.

    .. versionadded:: 0.1.0
    """


class CallNotPermitted(SwitchgearError):  # noqa: N818 -- public contract
    """
    Say that a protected call was not made.

    Attributes:
        name: The name of the limiter or breaker, or None if it has none.
        retry_after: Seconds after which asking again makes sense: a finite
            float, or None when nobody can know.

    .. versionadded:: 0.1.0
    """

    name: str | None
    retry_after: float | None

    def __init__(
        self, message: str, *, name: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.name = name
        self.retry_after = retry_after


class RateLimitExceeded(CallNotPermitted):
    """
    Say that the turn did not, or cannot, come in time: *not yet*.

    Args:
        name: The name of the limiter.
        retry_after: Seconds until as many tokens would be admitted as things
            stand, or None when nobody can know (a closed limiter).
        reason: Why, in a few words.

    .. versionadded:: 0.1.0
    """

    reason: str

    def __init__(
        self,
        name: str | None = None,
        retry_after: float | None = None,
        reason: str = "no token is free",
    ) -> None:
        hint = "" if retry_after is None else f"; retry in {retry_after:.6g} s"
        super().__init__(
            f"{_titled('rate limiter', name)}: {_one_line(reason)}{hint}",
            name=name,
            retry_after=retry_after,
        )
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.retry_after, self.reason)


class BurstExceeded(CallNotPermitted):
    """
    Say that a request can *never* be admitted: it is larger than the burst.

    Retrying is pointless (``retry_after`` is always None): ask for less, or
    configure a larger burst.

    Args:
        name: The name of the limiter.
        tokens: How many were asked for.
        burst: The most one request can take.

    .. versionadded:: 0.1.0
    """

    tokens: int
    burst: int

    def __init__(
        self, name: str | None = None, *, tokens: int = 0, burst: int = 0
    ) -> None:
        super().__init__(
            f"{_titled('rate limiter', name)}: {tokens} tokens can never be admitted,"
            f" the burst is {burst}; ask for less or raise the burst",
            name=name,
        )
        self.tokens = tokens
        self.burst = burst

    def __reduce__(self) -> tuple[Any, ...]:
        return _burst_exceeded, (type(self), self.name, self.tokens, self.burst)


class CircuitOpenError(CallNotPermitted):
    """
    Say that a call was refused because its circuit is open.

    Only calls that were *never made* raise it; the call that trips a circuit
    raises its own exception.

    Args:
        name: The name of the breaker.
        state: The state that refused the call.
        retry_after: Seconds until a call may be admitted; None if an operator
            forced the circuit open.
        last_failure: The failure seen last, also the ``__cause__``. One that
            does not survive pickling arrives as its text.

    .. versionadded:: 0.1.0
    """

    state: CircuitState
    last_failure: BaseException | None

    def __init__(
        self,
        name: str | None,
        state: CircuitState,
        retry_after: float | None = None,
        last_failure: BaseException | None = None,
    ) -> None:
        hint = (
            "until an operator releases it"
            if retry_after is None
            else f"; retry in {retry_after:.6g} s"
        )
        space = " " if retry_after is None else ""
        super().__init__(
            f"{_titled('circuit', name)} is {state.value.replace('_', ' ')}:"
            f" call refused{space}{hint}",
            name=name,
            retry_after=retry_after,
        )
        self.state = state
        self.last_failure = last_failure
        self.__cause__ = last_failure

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.name,
            self.state,
            self.retry_after,
            _portable(self.last_failure),
        )


class ConfigurationError(SwitchgearError, ValueError):
    """
    List every problem of a configuration at once.

    Args:
        problems: One line each, starting with the key path it is about.

    .. versionadded:: 0.1.0
    """

    problems: tuple[str, ...]

    def __init__(self, problems: Iterable[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(_one_line("; ".join(self.problems)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class UnknownNameError(SwitchgearError, LookupError):
    """
    Say that a registry holds nothing under a name, and what comes nearest.

    Args:
        kind: What was looked for: ``"limiter"``, ``"breaker"``, ...
        name: The name that was asked for.
        nearest: Names that are known and look similar, best first.

    .. versionadded:: 0.1.0
    """

    kind: str
    name: str
    nearest: tuple[str, ...]

    def __init__(self, kind: str, name: str, nearest: Iterable[str] = ()) -> None:
        self.kind = kind
        self.name = name
        self.nearest = tuple(nearest)
        hint = (
            f"; did you mean {' or '.join(map(repr, self.nearest))}?"
            if self.nearest
            else "; define it first"
        )
        super().__init__(f"no {kind} is named {name!r}{hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.name, self.nearest)


class StoreError(SwitchgearError):
    """
    Say that a shared store failed; the original error is the ``__cause__``.

    .. versionadded:: 0.1.0
    """


def _titled(kind: str, name: str | None) -> str:
    return kind if name is None else f"{kind} {name!r}"


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _burst_exceeded(
    kind: type[BurstExceeded], name: str | None, tokens: int, burst: int
) -> BurstExceeded:
    return kind(name, tokens=tokens, burst=burst)


def _portable(error: BaseException | None) -> BaseException | None:
    """
    Return *error*, or its text if it would not arrive at the other end.

    Exceptions with required arguments of their own commonly pickle and then
    fail to load, so both directions are tried.
    """
    import pickle  # heavy, and seldom needed

    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own bytes
    except Exception:  # noqa: BLE001 -- whatever a foreign __reduce__ raises
        title = type(error).__name__
        try:
            said = f": {_one_line(str(error))}"
        except Exception:  # noqa: BLE001 -- whatever a foreign __str__ raises
            said = ", which cannot be shown"
        return SwitchgearError(f"{title}{said}")
    return error
