from __future__ import annotations

import asyncio
import logging
import re
import signal
import subprocess
import sys
import threading

from collections import Counter
from dataclasses import fields

import pytest
import structlog

from switchgear import _structlog, events
from switchgear._listeners import EVERYWHERE, Outbox
from switchgear._structlog import LogListener
from switchgear.events import CircuitState


PATIENCE = 20.0

OPENED = events.CircuitOpened(
    at=1.0,
    breaker="images",
    from_state=CircuitState.CLOSED,
    failures=5,
    reason="failures",
    retry_after=30.0,
    last_failure="TimeoutError: too\nslow",
)

#: Each event, its line as text, its level, and its keys.
LINES = [
    (
        OPENED,
        (
            "switchgear.circuit_opened breaker=images from_state=closed failures=5"
            r" reason=failures retry_after=30 last_failure='TimeoutError: too\nslow'"
            " to_state=open"
        ),
        "warning",
        {
            "breaker": "images",
            "from_state": "closed",
            "to_state": "open",
            "failures": 5,
            "reason": "failures",
            "retry_after": 30.0,
            "last_failure": "TimeoutError: too\nslow",
        },
    ),
    (
        events.CircuitHalfOpened(at=1.0, breaker="a b", from_state=CircuitState.OPEN),
        (
            "switchgear.circuit_half_opened breaker='a b' from_state=open"
            " to_state=half_open"
        ),
        "info",
        {"breaker": "a b", "from_state": "open", "to_state": "half_open"},
    ),
    (
        events.CircuitClosed(
            at=1.0, breaker=None, from_state=CircuitState.HALF_OPEN, reason="reset"
        ),
        (
            "switchgear.circuit_closed breaker=None from_state=half_open reason=reset"
            " to_state=closed"
        ),
        "info",
        {
            "breaker": None,
            "from_state": "half_open",
            "to_state": "closed",
            "reason": "reset",
        },
    ),
    (
        events.CircuitForced(
            at=1.0,
            breaker="images",
            from_state=CircuitState.CLOSED,
            to_state=CircuitState.FORCED_OPEN,
            reason="",
        ),
        (
            "switchgear.circuit_forced breaker=images from_state=closed"
            " to_state=forced_open reason=''"
        ),
        "warning",
        {
            "breaker": "images",
            "from_state": "closed",
            "to_state": "forced_open",
            "reason": "",
        },
    ),
    (
        events.CircuitTripObserved(
            at=1.0,
            breaker="images",
            failures=5,
            reason="failure_rate",
            last_failure=None,
        ),
        (
            "switchgear.circuit_trip_observed breaker=images failures=5"
            " reason=failure_rate last_failure=None"
        ),
        "warning",
        {
            "breaker": "images",
            "failures": 5,
            "reason": "failure_rate",
            "last_failure": None,
        },
    ),
    (
        events.CircuitRefused(
            at=1.0, breaker="images", state=CircuitState.OPEN, retry_after=1 / 3
        ),
        (
            "switchgear.circuit_refused breaker=images state=open retry_after=0.333333"
            " refused=1"
        ),
        "info",
        {
            "breaker": "images",
            "state": "open",
            "retry_after": 1 / 3,
            "refused": 1,
        },
    ),
    (
        events.RateLimitRefused(
            at=1.0, limiter="images", tokens=3, retry_after=None, reason="closed"
        ),
        (
            "switchgear.rate_limit_refused limiter=images tokens=3 retry_after=None"
            " reason=closed refused=1"
        ),
        "info",
        {
            "limiter": "images",
            "tokens": 3,
            "retry_after": None,
            "reason": "closed",
            "refused": 1,
        },
    ),
    (
        events.RateLimitWaited(at=1.0, limiter="images", tokens=3, waited=0.25),
        "switchgear.rate_limit_waited limiter=images tokens=3 waited=0.25",
        "debug",
        {"limiter": "images", "tokens": 3, "waited": 0.25},
    ),
    (
        events.LoopBlocked(at=1.0, limiter="images"),
        "switchgear.loop_blocked limiter=images",
        "warning",
        {"limiter": "images"},
    ),
    (
        events.LimiterPaused(at=1.0, limiter="images", paused_for=5.0),
        "switchgear.limiter_paused limiter=images paused_for=5",
        "info",
        {"limiter": "images", "paused_for": 5.0},
    ),
    (
        events.LimiterClosed(at=1.0, limiter="images", reason="a=b", waiting=7),
        "switchgear.limiter_closed limiter=images reason='a=b' waiting=7",
        "info",
        {"limiter": "images", "reason": "a=b", "waiting": 7},
    ),
    (
        events.LimiterReopened(at=1.0, limiter="images"),
        "switchgear.limiter_reopened limiter=images",
        "info",
        {"limiter": "images"},
    ),
    (
        events.Reconfigured(
            at=1.0,
            kind="limiter",
            name="images",
            changes={"calls_per_second": (2.0, 5.0), "burst": (1, 2)},
        ),
        (
            "switchgear.reconfigured kind=limiter instance=images"
            " changes='calls_per_second: 2.0 -> 5.0, burst: 1 -> 2'"
        ),
        "info",
        {
            "kind": "limiter",
            "instance": "images",
            "changes": "calls_per_second: 2.0 -> 5.0, burst: 1 -> 2",
        },
    ),
    (
        events.KeysExceeded(at=1.0, name="images", max_keys=1024),
        "switchgear.keys_exceeded template=images max_keys=1024",
        "warning",
        {"template": "images", "max_keys": 1024},
    ),
]

each_line = pytest.mark.parametrize(
    ("event", "text", "level", "keys"), LINES, ids=lambda one: type(one).__name__
)


@pytest.fixture
def listener():
    """
    A listener of its own, apart from the one that hears of everything.
    """
    return LogListener()


@pytest.fixture
def plain(caplog):
    """
    The standard log, down to debug.
    """
    caplog.set_level(logging.DEBUG, "switchgear")
    return caplog


@pytest.fixture
def unconfigured():
    """
    Leave structlog unconfigured after the test, as it was before.
    """
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def entries(unconfigured):
    """
    What an application that configured structlog gets to see.
    """
    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture])
    return capture.entries


def refusal(at, name="images", kind=events.CircuitRefused):
    """
    A call that *name* refused at a time.
    """
    if kind is events.CircuitRefused:
        return kind(at=at, breaker=name, state=CircuitState.OPEN, retry_after=1.0)
    return kind(at=at, limiter=name, tokens=1, retry_after=1.0, reason="full")


def refusals(log):
    """
    How many refusals each line tells of.
    """
    return [one.refused for one in log.records if hasattr(one, "refused")]


class TestLines:
    @pytest.mark.usefixtures("unconfigured")
    @each_line
    def test_line_goes_to_standard_logging(
        self, listener, plain, event, text, level, keys
    ):
        """
        If structlog is not configured, the line goes to the logger
        ``switchgear``: as text, and with the keys as attributes.
        """
        listener(event)

        (record,) = plain.records
        assert text == record.getMessage()
        assert "switchgear" == record.name
        assert level == record.levelname.lower()
        assert keys == {key: vars(record)[key] for key in keys}

    @each_line
    def test_line_goes_to_structlog_if_configured(
        self, listener, entries, plain, event, text, level, keys
    ):
        """
        If the application configured structlog, the line goes there and
        nowhere else, flat and unformatted.
        """
        listener(event)

        assert [{"event": text.split()[0], "log_level": level, **keys}] == entries
        assert [] == plain.records

    def test_every_event_has_a_line(self):
        """
        If there is a class of event, the log knows what to say about it.
        """

        def leaves(kind):
            below = [
                one
                for one in kind.__subclasses__()
                if one.__module__ == kind.__module__
            ]
            return (
                {kind} if not below else {leaf for one in below for leaf in leaves(one)}
            )

        assert leaves(events.Event) == set(_structlog.LINES)
        assert set(_structlog.LINES) == {type(event) for event, *_ in LINES}

    def test_documented_table_is_what_is_logged(self):
        """
        If the table in the documentation names a line, that is its level and
        these are its keys.
        """
        documented = {}
        for line in _structlog.__doc__.splitlines():
            row = re.match(r"``switchgear\.(\w+)``  +(\w+)", line)
            if row:
                name, level = row.groups()
                keys = documented.setdefault((name, level), set())
            if row or line.startswith("    "):
                keys.update(re.findall(r" ``(\w+)``", line))
        logged = {
            (text.split()[0].removeprefix("switchgear."), level): set(keys)
            for _, text, level, keys in LINES
        }
        logged["listener_failed", "error"] = {"listener", "event_type"}
        logged["events_dropped", "error"] = {"dropped"}

        assert logged == documented

    def test_no_key_is_an_attribute_of_records(self):
        """
        If a key were named like an attribute of a log record, logging would
        refuse the line.
        """
        taken = {"message", "asctime", *vars(logging.makeLogRecord({}))}

        for _, _, _, keys in LINES:
            assert not taken & keys.keys()
        assert not taken & {"listener", "event_type", "dropped"}

    def test_keys_are_those_of_the_event(self):
        """
        If an event has a field, it is logged under its own name.
        """
        renamed = {events.Reconfigured, events.KeysExceeded}

        for event, _, _, keys in LINES:
            if type(event) not in renamed:
                assert {one.name for one in fields(event)} - {"at"} <= set(keys)


class TestWants:
    """
    What the log says when asked whether an event is worth building.
    """

    @pytest.fixture
    def wanted(self, listener, unconfigured, monkeypatch):
        """
        A function that lists the levels whose events are wanted, and finds
        that only those are logged.
        """

        def levels():
            written = []
            monkeypatch.setattr(
                _structlog, "write", lambda level, *_: written.append(level)
            )
            answers = []
            for event, _, level, _ in LINES:
                written.clear()
                listener(event)

                assert listener.wants(type(event)) == (level in written)

                answers.extend(written[-1:])
            return sorted(set(answers))

        return levels

    @pytest.mark.parametrize(
        ("level", "expected"),
        [
            (logging.DEBUG, ["debug", "info", "warning"]),
            (logging.INFO, ["info", "warning"]),
            (logging.WARNING, ["warning"]),
            (logging.ERROR, []),
        ],
    )
    @pytest.mark.parametrize("name", ["switchgear", None])
    def test_levels_of_standard_logging_count(
        self, wanted, caplog, name, level, expected
    ):
        """
        If the logger, or the one above it, is set to a level, events below it
        are not wanted.
        """
        caplog.set_level(level, name)

        assert expected == wanted()

    def test_logger_nobody_has_made_yet(self, wanted, caplog, monkeypatch):
        """
        If the logger does not exist so far, or only one below it, the level
        of the root counts.
        """
        caplog.set_level(logging.INFO)
        known = logging.root.manager.loggerDict
        monkeypatch.delitem(known, "switchgear", raising=False)

        assert ["info", "warning"] == wanted()

        monkeypatch.setitem(known, "switchgear", logging.PlaceHolder(logging.root))

        assert ["info", "warning"] == wanted()

    def test_disabled_loggers_want_nothing(self, wanted, plain, monkeypatch):
        """
        If logging is disabled, here or up to a level, nothing is wanted there.
        """
        monkeypatch.setattr(logging.root.manager, "disable", logging.INFO)

        assert ["warning"] == wanted()

        monkeypatch.setattr(logging.getLogger("switchgear"), "disabled", True)

        assert [] == wanted()

    def test_logger_without_any_level(self, wanted, monkeypatch, plain):
        """
        If not even the root has a level, everything is wanted.
        """
        plain.set_level(logging.NOTSET, "switchgear")
        plain.set_level(logging.NOTSET)

        assert ["debug", "info", "warning"] == wanted()

    def test_without_logging_warnings_are_wanted(self, wanted, monkeypatch):
        """
        If nobody imported logging, nobody changed its level.
        """
        monkeypatch.delitem(sys.modules, "logging")

        assert ["warning"] == wanted()

    @pytest.mark.parametrize(
        ("level", "expected"),
        [(0, ["debug", "info", "warning"]), (20, ["info", "warning"]), (40, [])],
    )
    def test_levels_of_structlog_count(self, wanted, level, expected):
        """
        If structlog filters by level, events below it are not wanted.
        """
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))

        assert expected == wanted()

    def test_other_wrappers_of_structlog_decide_themselves(self, wanted):
        """
        If structlog filters later, everything is wanted.
        """
        structlog.configure(wrapper_class=structlog.BoundLogger)

        assert ["debug", "info", "warning"] == wanted()

    def test_kinds_the_log_does_not_know_are_wanted(self, listener):
        """
        If somebody asks for all events, or for a base class, that is a yes.
        """
        assert listener.wants(events.Event)
        assert listener.wants(events.CircuitEvent)


class TestWhereTo:
    def test_decided_when_logging(self, listener, unconfigured, plain):
        """
        If the application configures structlog late, lines go there from then
        on.
        """
        listener(OPENED)

        assert 1 == len(plain.records)

        capture = structlog.testing.LogCapture()
        structlog.configure(processors=[capture])
        listener(OPENED)

        assert 1 == len(plain.records)
        assert 1 == len(capture.entries)

        structlog.reset_defaults()
        listener(OPENED)

        assert 2 == len(plain.records)

    def test_nothing_is_printed_or_configured(self, listener, unconfigured, capsys):
        """
        If nobody configured anything, nothing goes to standard output, and
        no handler or level has been set.
        """
        listener(OPENED)

        assert "" == capsys.readouterr().out
        assert not structlog.is_configured()
        assert [] == logging.getLogger("switchgear").handlers
        assert logging.NOTSET == logging.getLogger("switchgear").level

    def test_waits_are_not_even_formatted_when_debug_is_off(
        self, listener, unconfigured, caplog, monkeypatch
    ):
        """
        If the level is above, nothing of a line is put into words.
        """
        caplog.set_level(logging.INFO, "switchgear")
        monkeypatch.setattr(_structlog, "_text", None)
        listener(events.RateLimitWaited(at=1.0, limiter="i", tokens=3, waited=0.25))

        assert [] == caplog.records

    def test_asynchronous_structlog_is_logged_to_synchronously(
        self, listener, unconfigured
    ):
        """
        If the application configured structlog's asynchronous wrapper, lines
        arrive; no coroutine is left unawaited.
        """
        capture = structlog.testing.LogCapture()
        structlog.configure(
            processors=[capture], wrapper_class=structlog.stdlib.AsyncBoundLogger
        )

        async def main():
            listener(OPENED)

        asyncio.run(main())

        assert ["switchgear.circuit_opened"] == [
            one["event"] for one in capture.entries
        ]

    def test_logger_of_structlog_is_named(self, listener, unconfigured, plain):
        """
        If structlog passes lines on to the standard library, the logger is
        ``switchgear`` there, too.
        """
        structlog.configure(
            processors=[structlog.stdlib.render_to_log_kwargs],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        listener(OPENED)

        (record,) = plain.records
        assert "switchgear" == record.name
        assert "images" == record.breaker

    def test_neither_log_is_imported_with_the_listener(self):
        """
        If switchgear's events are listened to, neither structlog nor logging
        is imported before there is something to say.
        """
        code = (
            "import sys, wrapt; old = set(sys.modules); import switchgear._listeners;"
            "print({'structlog', 'logging', 'asyncio'} & (set(sys.modules) - old))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )

        assert "set()" == done.stdout.strip()


@pytest.mark.usefixtures("unconfigured")
class TestSummaries:
    @pytest.mark.parametrize("kind", [events.CircuitRefused, events.RateLimitRefused])
    def test_a_storm_of_refusals_is_summarised(self, listener, plain, kind):
        """
        If refusals come in a storm, the first is logged at once, then one line
        per ten seconds says how many there were since.
        """
        for tenths in range(250):
            listener(refusal(100 + tenths / 10, kind=kind))

        assert [1, 100, 100] == refusals(plain)
        assert ["INFO"] * 3 == [one.levelname for one in plain.records]

    def test_what_remains_is_told_when_the_state_changes(self, listener, plain):
        """
        If the state changes, the refusals not yet told of are told first, and
        the next refusal is the first of another storm.
        """
        for at in (1.0, 2.0, 3.0):
            listener(refusal(at))
        listener(
            events.CircuitHalfOpened(
                at=4.0, breaker="images", from_state=CircuitState.OPEN
            )
        )
        listener(refusal(5.0))
        listener(OPENED)

        assert [
            (
                "switchgear.circuit_refused breaker=images state=open retry_after=1"
                " refused=1"
            ),
            (
                "switchgear.circuit_refused breaker=images state=open retry_after=1"
                " refused=2"
            ),
            (
                "switchgear.circuit_half_opened breaker=images from_state=open"
                " to_state=half_open"
            ),
            (
                "switchgear.circuit_refused breaker=images state=open retry_after=1"
                " refused=1"
            ),
        ] == plain.messages[:4]
        assert 5 == len(plain.messages)

    @pytest.mark.parametrize(
        "change",
        [
            events.LimiterPaused(at=4.0, limiter="images", paused_for=5.0),
            events.LimiterClosed(at=4.0, limiter="images", reason="", waiting=7),
            events.LimiterReopened(at=4.0, limiter="images"),
            events.Reconfigured(at=4.0, kind="limiter", name="images", changes={}),
        ],
    )
    def test_changes_of_a_limiter_tell_what_remains(self, listener, plain, change):
        """
        If a limiter is paused, closed, reopened or reconfigured, the refusals
        not yet told of are told first.
        """
        for at in (1.0, 2.0, 3.0):
            listener(refusal(at, kind=events.RateLimitRefused))
        listener(change)

        assert [1, 2] == refusals(plain)
        assert 3 == len(plain.records)

    def test_waits_change_no_state(self, listener, plain):
        """
        If somebody waited, that ends no storm.
        """
        listener(refusal(1.0, kind=events.RateLimitRefused))
        listener(refusal(2.0, kind=events.RateLimitRefused))
        listener(events.RateLimitWaited(at=3.0, limiter="images", tokens=1, waited=1.0))
        listener(events.LoopBlocked(at=3.0, limiter="images"))

        assert [1] == refusals(plain)

    def test_instances_are_told_apart(self, listener, plain):
        """
        If two instances refuse, or a limiter and a breaker of one name, each
        has its own first line; those without a name share one.
        """
        for name in ("images", "other", None, None):
            for kind in (events.CircuitRefused, events.RateLimitRefused):
                listener(refusal(1.0, name, kind))

        assert [1] * 6 == refusals(plain)

    def test_clock_that_stepped_back_starts_anew(self, listener, plain):
        """
        If the clock of an instance steps back, its lines do not wait for it to
        come round again.
        """
        listener(refusal(1000.0))
        listener(refusal(1001.0))
        listener(refusal(3.0))
        listener(refusal(4.0))

        assert [1, 2] == refusals(plain)

    def test_memory_is_bounded_for_many_names(self, listener, plain, monkeypatch):
        """
        If more instances refuse than are remembered, the others share a
        summary, and no refusal goes uncounted.
        """
        monkeypatch.setattr(_structlog, "MAX_SUMMARIES", 3)
        for second in range(30):
            for name in range(10):
                listener(refusal(100.0 + second, f"host-{name}"))

        assert 3 == len(listener._storms)
        assert 1 == len(listener._others)
        told = Counter()
        for record in plain.records:
            told[record.breaker] += record.refused
        left = sum(
            one.count
            for storms in (listener._storms, listener._others)
            for one in storms.values()
        )
        assert 300 == told.total() + left
        assert told[_structlog.OTHERS] > 0
        # At 100, 110 and 120 seconds, and two when one makes room for another.
        assert len(plain.records) <= 3 * 2 * (3 + 1)

    def test_forgetting_tells_what_remains(self, listener, plain, monkeypatch):
        """
        If the summary told of longest ago makes room for another, what it
        counted is told.
        """
        monkeypatch.setattr(_structlog, "MAX_SUMMARIES", 2)
        listener(refusal(1.0, "a"))
        listener(refusal(1.0, "b"))
        listener(refusal(2.0, "a"))
        listener(refusal(3.0, "a"))
        listener(refusal(20.0, "c"))
        listener(refusal(20.0, "d"))

        assert [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("d", 1)] == [
            (one.breaker, one.refused) for one in plain.records
        ]

    def test_threads_lose_no_refusal(self, listener, plain):
        """
        If threads refuse at once under one name, none is lost from the count.
        """
        barrier = threading.Barrier(4)

        def body():
            barrier.wait(PATIENCE)
            for _ in range(500):
                listener(refusal(1.0))

        threads = [threading.Thread(target=body, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        listener(OPENED)

        assert [1, 1999] == refusals(plain)

    def test_signal_handler_may_refuse_amid_a_refusal(self, listener, plain):
        """
        If a signal handler refuses a call while the thread it interrupts is
        writing a line, neither is lost, and nothing hangs.
        """
        if not hasattr(signal, "SIGUSR1"):
            pytest.skip("there are no user signals here")
        lock = listener._lock

        class Interrupted:
            """
            Raise the signal as soon as the lock is held.
            """

            def __enter__(self):
                lock.acquire()
                listener._lock = lock
                signal.raise_signal(signal.SIGUSR1)

            def __exit__(self, *_):
                lock.release()

        before = signal.signal(signal.SIGUSR1, lambda *_: listener(refusal(1.0)))
        try:
            for _ in range(3):
                listener._lock = Interrupted()
                listener(refusal(1.0))
        finally:
            signal.signal(signal.SIGUSR1, before)
        listener(OPENED)

        assert [1, 5] == refusals(plain)

    def test_signal_handler_may_forget_the_summary_at_hand(self, listener, plain):
        """
        If a signal handler makes room by forgetting the very summary that the
        thread it interrupts is about to count on, nothing is lost from it.
        """

        class Forgetful(dict):
            def setdefault(self, key, default):
                storm = super().setdefault(key, default)
                del self[key]
                return storm

        listener._storms = Forgetful()
        listener(refusal(1.0))
        listener(refusal(2.0))
        listener(OPENED)

        assert [1, 1] == refusals(plain)

    def test_child_tells_of_its_own_refusals_only(self, listener, in_child, plain):
        """
        If the parent forks while somebody is counting, the child can count,
        from nothing.
        """
        listener(refusal(1.0))
        listener(refusal(2.0))
        held = threading.Event()
        leave = threading.Event()

        def hold():
            with listener._lock:
                held.set()
                assert leave.wait(PATIENCE)

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert held.wait(PATIENCE)

        def child():
            plain.clear()
            listener(refusal(3.0))
            listener(OPENED)

            assert [1] == refusals(plain)

        in_child(child)
        leave.set()
        thread.join(PATIENCE)
        listener(OPENED)

        assert [1, 1] == refusals(plain)


class TestFailingLogs:
    """
    What happens when the log itself cannot be written to.
    """

    @pytest.fixture
    def deliver(self):
        """
        Deliver an event to a listener that raises.
        """

        def run(listener):
            outbox = Outbox()
            outbox.subscribe(listener)
            outbox.put(events.LimiterReopened(at=1.0, limiter="images"))
            outbox.deliver()

        return run

    @staticmethod
    def failing(event):
        raise ValueError("the listener's")

    def test_failure_goes_to_structlog_if_configured(self, entries, deliver):
        """
        If the application configured structlog, it hears of failing listeners.
        """
        deliver(self.failing)

        (entry,) = [one for one in entries if "listener" in one]
        assert "switchgear.listener_failed" == entry["event"]
        assert "error" == entry["log_level"]
        assert entry["exc_info"]
        assert entry["listener"].endswith("TestFailingLogs.failing")

    def test_failing_structlog_is_told_to_the_standard_log(
        self, unconfigured, plain, deliver
    ):
        """
        If structlog's processors raise, the caller does not feel it, and the
        standard log has the error.
        """

        def broken(*_):
            raise RuntimeError("the processor's")

        structlog.configure(processors=[broken])
        deliver(print)

        (record,) = plain.records
        assert "switchgear._structlog.LogListener" == record.listener
        assert "the processor's" in str(record.exc_info[1])

    def test_failing_standard_log_is_told_to_standard_error(
        self, unconfigured, deliver, capsys
    ):
        """
        If even the standard log raises, the whole story goes to standard
        error, and the caller does not feel it.
        """

        def broken(record):
            raise RuntimeError("the filter's")

        logger = logging.getLogger("switchgear")
        logger.addFilter(broken)
        try:
            deliver(self.failing)
        finally:
            logger.removeFilter(broken)

        shown = capsys.readouterr().err
        assert "the listener's" in shown
        assert "the filter's" in shown

    def test_failing_methods_are_named(self, unconfigured, plain, deliver):
        """
        If the listener is a method, the log names the method.
        """

        class Exporter:
            def note(self, event):
                raise ValueError("no")

        deliver(Exporter().note)

        assert plain.records[-1].listener.endswith("Exporter.note")


class TestEverywhere:
    def test_the_log_is_on_by_default(self):
        """
        If nobody subscribes anything, the log hears of every instance.
        """
        assert any(isinstance(one.listener, LogListener) for one in EVERYWHERE._who)
