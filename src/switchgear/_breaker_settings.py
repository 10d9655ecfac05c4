"""
The settings of a circuit breaker, checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from switchgear._core.circuit import Policy
from switchgear._core.outcomes import Judge
from switchgear._core.windows import CountWindow, TimeWindow, ledger
from switchgear._record import Record, record
from switchgear._validate import (
    MAX_SECONDS,
    fraction,
    nanoseconds,
    optional_seconds,
    real,
    seconds,
    whole,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from switchgear._core.outcomes import Matcher
    from switchgear._core.windows import Window


#: The most probes that may be out at once.
MAX_PROBES: Final = 1000

#: The largest factor by which a cooldown may grow.
MAX_FACTOR: Final = 1000.0


def _threshold(value: Any) -> int | None:
    return None if value is None else whole("threshold", value, minimum=1)


def _window(value: Any) -> Window | None:
    if value is not None and not isinstance(value, (CountWindow, TimeWindow)):
        msg = (
            "window must be a CountWindow, a TimeWindow or None,"
            f" not {type(value).__name__}: {value!r}"
        )
        raise TypeError(msg)
    window: Window | None = value
    return window


#: What checks each setting that can be checked by itself: returns the value as
#: it is kept, or raises TypeError or ValueError.
CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "cooldown": lambda value: seconds("cooldown", value, above=True),
    "slow_call_seconds": lambda value: optional_seconds(
        "slow_call_seconds", value, above=True
    ),
    "half_open_probes": lambda value: whole(
        "half_open_probes", value, minimum=1, maximum=MAX_PROBES
    ),
    "successes_to_close": lambda value: whole("successes_to_close", value, minimum=1),
    "probe_timeout": lambda value: optional_seconds("probe_timeout", value, above=True),
    "cooldown_factor": lambda value: real(
        "cooldown_factor", value, minimum=1.0, maximum=MAX_FACTOR
    ),
    "max_cooldown": lambda value: optional_seconds("max_cooldown", value, above=True),
    "jitter": lambda value: fraction("jitter", value, above=False),
    "threshold": _threshold,
    "window": _window,
}


@record
class Settings(Record):
    """
    Hold the settings of a breaker as the user gave them, checked.
    """

    threshold: int | None
    cooldown: float
    window: Window | None
    slow_call_seconds: float | None
    half_open_probes: int
    successes_to_close: int
    probe_timeout: float | None
    cooldown_factor: float
    max_cooldown: float | None
    jitter: float
    failure_on: Matcher
    ignore: Matcher
    failure_when: Callable[[Any], bool] | None

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            # The way a record initialises itself.
            object.__setattr__(self, name, check(getattr(self, name)))
        self._check_together()
        self.judge()

    def _check_together(self) -> None:
        window = self.window
        if self.threshold is None and window is None:
            msg = "threshold may be None only with a window: nothing could open it"
            raise ValueError(msg)
        if self.max_cooldown is not None and self.max_cooldown < self.cooldown:
            msg = (
                f"max_cooldown must be at least the cooldown, {self.cooldown:g} s,"
                f" not {self.max_cooldown:g}"
            )
            raise ValueError(msg)
        if (
            window is not None
            and window.slow_call_rate is not None
            and self.slow_call_seconds is None
        ):
            msg = (
                f"slow_call_seconds must be set for slow_call_rate to mean"
                f" something: {window!r}"
            )
            raise ValueError(msg)

    def judge(self) -> Judge:
        """
        Return who judges how calls went.
        """
        return Judge(self.failure_on, self.ignore, self.failure_when)

    def policy(self) -> Policy:
        """
        Return the same settings as the core takes them.
        """
        longest = MAX_SECONDS if self.max_cooldown is None else self.max_cooldown
        timeout = self.cooldown if self.probe_timeout is None else self.probe_timeout
        slow = self.slow_call_seconds
        return Policy(
            threshold=self.threshold,
            ledger=ledger(self.window),
            cooldown_ns=_some_nanoseconds(self.cooldown),
            max_cooldown_ns=_some_nanoseconds(longest),
            cooldown_factor=self.cooldown_factor,
            jitter=self.jitter,
            half_open_probes=self.half_open_probes,
            successes_to_close=self.successes_to_close,
            probe_timeout_ns=_some_nanoseconds(timeout),
            slow_ns=None if slow is None else _some_nanoseconds(slow),
        )

    def as_dict(self) -> dict[str, Any]:
        """
        Return the settings by name.
        """
        from dataclasses import fields

        return {field.name: getattr(self, field.name) for field in fields(self)}

    def changes_to(self, other: Settings) -> dict[str, tuple[Any, Any]]:
        """
        Return old and new value of every setting that differs.
        """
        return {
            name: (old, new)
            for name, old in self.as_dict().items()
            if (new := getattr(other, name)) is not old and new != old
        }


def _some_nanoseconds(duration: float) -> int:
    # A duration greater than zero stays one.
    return max(1, nanoseconds(duration))
