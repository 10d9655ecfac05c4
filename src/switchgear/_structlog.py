"""
Tell the log what happened.

Lines go to structlog if the application configured it, else to the standard
logger ``switchgear``: as text, ``switchgear.circuit_opened breaker=images
failures=5 ...``, with the same keys as attributes of the record. Which of the
two is decided when a line is written. Nothing is ever configured here.

====================================  =======  ==============================
Name                                  Level    Keys
====================================  =======  ==============================
``switchgear.circuit_opened``         warning  ``breaker`` ``from_state``
                                               ``to_state`` ``failures``
                                               ``reason`` ``retry_after``
                                               ``last_failure``
``switchgear.circuit_half_opened``    info     ``breaker`` ``from_state``
                                               ``to_state``
``switchgear.circuit_closed``         info     ``breaker`` ``from_state``
                                               ``to_state`` ``reason``
``switchgear.circuit_forced``         warning  ``breaker`` ``from_state``
                                               ``to_state`` ``reason``
``switchgear.circuit_trip_observed``  warning  ``breaker`` ``failures``
                                               ``reason`` ``last_failure``
``switchgear.circuit_refused``        info     ``breaker`` ``state``
                                               ``retry_after`` ``refused``
``switchgear.rate_limit_refused``     info     ``limiter`` ``tokens``
                                               ``retry_after`` ``reason``
                                               ``refused``
``switchgear.rate_limit_waited``      debug    ``limiter`` ``tokens``
                                               ``waited``
``switchgear.loop_blocked``           warning  ``limiter``
``switchgear.limiter_paused``         info     ``limiter`` ``paused_for``
``switchgear.limiter_closed``         info     ``limiter`` ``reason``
                                               ``waiting``
``switchgear.limiter_reopened``       info     ``limiter``
``switchgear.reconfigured``           info     ``kind`` ``instance``
                                               ``changes``
``switchgear.keys_exceeded``          warning  ``template`` ``max_keys``
``switchgear.listener_failed``        error    ``listener`` ``event_type``
``switchgear.events_dropped``         error    ``dropped``
====================================  =======  ==============================

States are strings such as ``half_open``, durations are seconds, ``changes`` is
text, and a key without a value is None. The arguments of calls are never among
them.

Refusals come in storms, and are summarised: the first of an instance is
logged at once, then at most one line in ten seconds of its clock, ``refused``
being how many there were since the line before. When the state of the
instance changes, what is left is logged first. Instances without a name share
one summary. So do those that come while a thousand others are being refused,
under the name ``[others]``. While no line about refusals would be shown, they
are not counted here either; ``snapshot()`` always has the totals.
"""

from __future__ import annotations

import sys

from enum import Enum
from math import inf
from threading import RLock
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from switchgear import _fork, events


if TYPE_CHECKING:
    from collections.abc import Mapping


#: The least time between two lines about the refusals of one instance.
SUMMARY_SECONDS: Final = 10.0

#: Of how many instances refusals are summarised one by one.
MAX_SUMMARIES = 1000

#: Stands for the rest; the names of instances contain no bracket.
OTHERS: Final = "[others]"

#: The numbers of the standard library, which is not imported for them.
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

#: What is said about an event, and how loudly.
LINES: Final[dict[type[events.Event], tuple[str, str]]] = {
    events.CircuitOpened: ("circuit_opened", "warning"),
    events.CircuitHalfOpened: ("circuit_half_opened", "info"),
    events.CircuitClosed: ("circuit_closed", "info"),
    events.CircuitForced: ("circuit_forced", "warning"),
    events.CircuitTripObserved: ("circuit_trip_observed", "warning"),
    events.CircuitRefused: ("circuit_refused", "info"),
    events.RateLimitRefused: ("rate_limit_refused", "info"),
    events.RateLimitWaited: ("rate_limit_waited", "debug"),
    events.LoopBlocked: ("loop_blocked", "warning"),
    events.LimiterPaused: ("limiter_paused", "info"),
    events.LimiterClosed: ("limiter_closed", "info"),
    events.LimiterReopened: ("limiter_reopened", "info"),
    events.Reconfigured: ("reconfigured", "info"),
    events.KeysExceeded: ("keys_exceeded", "warning"),
}

#: The state an event leads to, where its type says so already.
_TO_STATE: Final = {
    events.CircuitOpened: events.CircuitState.OPEN,
    events.CircuitHalfOpened: events.CircuitState.HALF_OPEN,
    events.CircuitClosed: events.CircuitState.CLOSED,
}

_Refusal: TypeAlias = events.CircuitRefused | events.RateLimitRefused

#: Which instance: the key its name is logged under, and its name.
_Who: TypeAlias = tuple[str, str | None]


class _Storm:
    """
    Count the refusals of one instance since the last line about them.
    """

    __slots__ = ("count", "latest", "told_at")

    def __init__(self) -> None:
        self.count = 0
        self.latest: _Refusal | None = None
        self.told_at = -inf


class LogListener:
    """
    Log events, one by one except for refusals.

    Safe to call from any number of threads, and from a signal handler that
    interrupts it: handlers run at calls only, so what must stay together below
    is written without any.
    """

    __slots__ = ("__weakref__", "_lock", "_others", "_storms")

    def __init__(self) -> None:
        self._after_fork()
        _fork.track(self)

    def _after_fork(self) -> None:
        # What was counted before is the parent's to tell.
        self._lock = RLock()
        #: In the order of the last lines about them, the longest ago first.
        self._storms: dict[_Who, _Storm] = {}
        #: For those that find no room there.
        self._others: dict[_Who, _Storm] = {}

    def wants(self, event_type: type[events.Event]) -> bool:
        """
        Answer whether anybody would see a line about an *event_type*.

        Calls nothing that an application may have replaced: the caller may
        hold a lock.
        """
        return event_type not in LINES or _is_heard(LINES[event_type][1])

    def __call__(self, event: events.Event, /) -> None:
        """
        Log *event*, or count it if it is one refusal of many.
        """
        if not self.wants(type(event)):
            return
        match event:
            case events.CircuitRefused():
                self._refused(("breaker", event.breaker), event)
            case events.RateLimitRefused():
                self._refused(("limiter", event.limiter), event)
            case events.RateLimitWaited() | events.LoopBlocked():
                _line(event)
            case events.CircuitEvent():
                self._changed(("breaker", event.breaker), event)
            case events.LimiterEvent():
                self._changed(("limiter", event.limiter), event)
            case events.Reconfigured():
                self._changed((event.kind, event.name), event)
            case _:
                _line(event)

    def _refused(self, who: _Who, event: _Refusal) -> None:
        now = event.at
        storms = self._storms
        if (
            len(storms) >= MAX_SUMMARIES
            and who not in storms
            and not self._forget_oldest(now)
        ):
            storms = self._others
            who = (who[0], OTHERS)
        fresh = _Storm()
        with self._lock:
            storm = storms.setdefault(who, fresh)
            count = storm.count + 1
            # A clock that stepped back starts anew.
            due = not 0 <= now - storm.told_at < SUMMARY_SECONDS
            if due:
                storm.count = 0
                storm.latest = None
                storm.told_at = now
                # To the end: the one told of longest ago comes first.
                if who in storms:
                    del storms[who]
            else:
                storm.count = count
                storm.latest = event
            storms[who] = storm
        if due:
            _summary(who, event, count)

    def _forget_oldest(self, now: float) -> bool:
        """
        Make room, if the last line about somebody is long enough ago.
        """
        with self._lock:
            # Not next(iter(...)): those are calls.
            oldest, *_ = self._storms
            storm = self._storms[oldest]
            if 0 <= now - storm.told_at < SUMMARY_SECONDS:
                return False
            latest = storm.latest
            count = storm.count
            storm.latest = None
            storm.count = 0
            del self._storms[oldest]
        if latest is not None:
            _summary(oldest, latest, count)
        return True

    def _changed(self, who: _Who, event: events.Event) -> None:
        latest = None
        count = 0
        with self._lock:
            storm = self._storms.get(who)
            if storm is not None:
                latest = storm.latest
                count = storm.count
                storm.latest = None
                storm.count = 0
                # The next refusal is the first of another storm.
                storm.told_at = -inf
        if latest is not None:
            _summary(who, latest, count)
        _line(event)


def _is_heard(level: str) -> bool:
    """
    Answer whether lines of *level* go anywhere.

    Errs on the side of yes, and leaves the rest to the log.
    """
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        # What is filtered out does nothing, in so many words.
        wrapper = structlog.get_config()["wrapper_class"]
        return getattr(getattr(wrapper, level, None), "__name__", None) != "_nop"
    logging = sys.modules.get("logging")
    if logging is None:
        # Then nobody changed that warnings, and nothing less, are shown.
        return LEVELS[level] >= LEVELS["warning"]
    logger = logging.root.manager.loggerDict.get("switchgear")
    if not isinstance(logger, logging.Logger):
        logger = logging.root
    if logger.disabled or logger.manager.disable >= LEVELS[level]:
        return False
    while not logger.level and logger.parent is not None:
        logger = logger.parent
    return bool(LEVELS[level] >= logger.level)


def write(
    level: str, name: str, keys: Mapping[str, Any], *, exc_info: bool = False
) -> None:
    """
    Write one line: *name*, less its prefix, and its *keys*.

    Args:
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
        name: What happened, such as ``"circuit_opened"``.
        keys: Flat; none named like an attribute of a ``logging.LogRecord``.
        exc_info: Whether the exception being handled belongs to it.
    """
    # An application that configured structlog imported it before.
    structlog = sys.modules.get("structlog")
    if structlog is None or not structlog.is_configured():
        _write_plainly(level, name, keys, exc_info=exc_info)
        return
    logger = structlog.get_logger("switchgear")
    # The asynchronous wrapper of structlog would hand out a coroutine.
    logger = getattr(logger, "sync_bl", logger)
    more = {"exc_info": True} if exc_info else {}
    getattr(logger, level)(f"switchgear.{name}", **keys, **more)


def report_failure(listener: object, event: events.Event) -> None:
    """
    Log that *listener* raised the exception that is being handled.
    """
    keys = {"listener": _called(listener), "event_type": type(event).__name__}
    _report("listener_failed", keys, exc_info=True)


def report_dropped(dropped: int) -> None:
    """
    Log that as many events were dropped, because a listener did not return.
    """
    _report("events_dropped", {"dropped": dropped}, exc_info=False)


def _report(name: str, keys: Mapping[str, Any], *, exc_info: bool) -> None:
    # Nobody is to feel a log that fails itself, either.
    try:
        write("error", name, keys, exc_info=exc_info)
    except Exception:  # noqa: BLE001 -- shown below
        try:
            _write_plainly("error", name, keys, exc_info=exc_info)
        except Exception:  # noqa: BLE001 -- shown below
            import traceback

            # As the standard library does when a handler fails.
            traceback.print_exc()


def _write_plainly(
    level: str, name: str, keys: Mapping[str, Any], *, exc_info: bool = False
) -> None:
    import logging

    # One template for all lines of a kind, so that collectors can group them.
    template = " ".join((f"switchgear.{name}", *(f"{key}=%s" for key in keys)))
    logging.getLogger("switchgear").log(
        LEVELS[level],
        template,
        *map(_text, keys.values()),
        extra=dict(keys),
        exc_info=exc_info,
    )


def _line(event: events.Event) -> None:
    name, level = LINES[type(event)]
    write(level, name, _keys(event))


def _summary(who: _Who, latest: _Refusal, count: int) -> None:
    name, level = LINES[type(latest)]
    write(level, name, {**_keys(latest), who[0]: who[1], "refused": count})


def _keys(event: events.Event) -> dict[str, Any]:
    """
    Return what is logged about *event*, flat.
    """
    from dataclasses import fields

    match event:
        case events.Reconfigured():
            changes = ", ".join(
                f"{setting}: {old!r} -> {new!r}"
                for setting, (old, new) in event.changes.items()
            )
            return {"kind": event.kind, "instance": event.name, "changes": changes}
        case events.KeysExceeded():
            # A record of the standard library has a name of its own.
            return {"template": event.name, "max_keys": event.max_keys}
    keys = {
        field.name: _plain(getattr(event, field.name))
        for field in fields(event)
        if field.name != "at"
    }
    to_state = _TO_STATE.get(type(event))
    return keys if to_state is None else {**keys, "to_state": to_state.value}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _text(value: Any) -> str:
    """
    Return *value* as it stands behind ``key=``: quoted where it must be.
    """
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if text and text.isprintable() and not any(sign in text for sign in " =\"'"):
        return text
    return repr(text)


def _called(listener: Any) -> str:
    # Not its repr(), which is one more thing of the listener's that may fail.
    kind = type(listener)
    named = listener if kind in (FunctionType, MethodType) else kind
    return f"{named.__module__}.{named.__qualname__}"
