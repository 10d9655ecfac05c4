from __future__ import annotations

import json
import math

import pytest

from entries import Entry

from switchgear import CircuitState
from switchgear.events import (
    CircuitForced,
    CircuitOpened,
    CircuitRefused,
    KeysExceeded,
    LimiterPaused,
    Reconfigured,
)


HOSTS = {"images[a]": "a"}


class TestOf:
    @pytest.mark.parametrize(
        ("event", "expected"),
        [
            (
                CircuitOpened(
                    at=7.0,
                    breaker="images[a]",
                    from_state=CircuitState.HALF_OPEN,
                    failures=6,
                    reason="probe_failed",
                    retry_after=1.0000000001,
                    last_failure=None,
                ),
                {
                    "event": "circuit_opened",
                    "host": "a",
                    "from_state": "half_open",
                    "failures": 6,
                    "reason": "probe_failed",
                    "retry_after": 1.0,
                    "last_failure": None,
                },
            ),
            (
                LimiterPaused(at=7.0, limiter="images[a]", paused_for=0.5),
                {"event": "limiter_paused", "host": "a", "paused_for": 0.5},
            ),
            (
                Reconfigured(
                    at=7.0, kind="limiter", name="images[a]", changes={"burst": (1, 2)}
                ),
                {
                    "event": "reconfigured",
                    "host": "a",
                    "kind": "limiter",
                    "changes": "{'burst': (1, 2)}",
                },
            ),
            (
                CircuitRefused(
                    at=7.0,
                    breaker="images[b]",
                    state=CircuitState.OPEN,
                    retry_after=math.inf,
                ),
                {
                    "event": "circuit_refused",
                    "host": None,
                    "breaker": "images[b]",
                    "state": "open",
                    "retry_after": None,
                },
            ),
            (
                KeysExceeded(at=7.0, name="images", max_keys=1024),
                {
                    "event": "keys_exceeded",
                    "host": None,
                    "name": "images",
                    "max_keys": 1024,
                },
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_an_event_becomes_flat(self, event, expected):
        """
        If an event is noted, its line has its values as JSON knows them, and
        the host instead of the instance, if that is known.
        """
        entry = Entry.of(event, t=0.25, hosts=HOSTS)

        assert {"t": 0.25, **expected} == json.loads(entry.to_line())

    def test_there_and_back(self):
        """
        If an entry is written and read, it is the same.
        """
        event = CircuitForced(
            at=1.0,
            breaker="images[a]",
            from_state=CircuitState.CLOSED,
            to_state=CircuitState.FORCED_OPEN,
            reason='"später"\n\ud800',
        )
        entry = Entry.of(event, t=1 / 3, hosts=HOSTS)

        assert entry == Entry.from_line(entry.to_line())


class TestFromLine:
    @pytest.mark.parametrize(
        "line",
        [
            '{"t": 0, "event": "call_sent", "host": "a"}',
            '{"t": 0.5, "event": "of a later version", "host": null, "x": [1]}',
            (
                '{"t": 1, "event": "limiter_sampled", "host": "a", "waiting": 0,'
                ' "calls_per_second": 0.5, "burst": 1}'
            ),
        ],
    )
    def test_what_makes_sense(self, line):
        """
        If a line makes sense, it is an entry, known or not.
        """
        entry = Entry.from_line(line)

        assert json.loads(line) == json.loads(entry.to_line())

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("", "Expecting value"),
            ("[]", "not an object"),
            ("[" * 100_000, "nested too deep"),
            ('{"event": "call_sent", "host": "a"}', "no proper 't'"),
            ('{"t": NaN, "event": "call_sent", "host": "a"}', "no proper 't'"),
            ('{"t": -1, "event": "call_sent", "host": "a"}', "no proper 't'"),
            ('{"t": 1e400, "event": "call_sent", "host": "a"}', "no proper 't'"),
            ('{"t": true, "event": "call_sent", "host": "a"}', "no proper 't'"),
            ('{"t": 0, "event": 5, "host": "a"}', "no proper 'event'"),
            ('{"t": 0, "event": "call_sent"}', "no proper 'host'"),
            ('{"t": 0, "event": "call_sent", "host": 5}', "no proper 'host'"),
            (
                '{"t": 0, "event": "limiter_paused", "host": "a"}',
                "limiter_paused without a proper 'paused_for'",
            ),
            (
                (
                    '{"t": 0, "event": "limiter_sampled", "host": "a", "waiting": 1.5,'
                    ' "calls_per_second": 1, "burst": 1}'
                ),
                "limiter_sampled without a proper 'waiting'",
            ),
            (
                (
                    '{"t": 0, "event": "limiter_sampled", "host": "a", "waiting": 1,'
                    ' "calls_per_second": 0, "burst": 1}'
                ),
                "limiter_sampled without a proper 'calls_per_second'",
            ),
            (
                (
                    '{"t": 0, "event": "limiter_sampled", "host": "a",'
                    ' "calls_per_second": 5e-324, "burst": 1, "waiting": 1}'
                ),
                "limiter_sampled without a proper 'calls_per_second'",
            ),
            (
                '{"t": 0, "event": "circuit_forced", "host": "a", "to_state": []}',
                "circuit_forced without a proper 'to_state'",
            ),
            (
                (
                    '{"t": 0, "event": "run_ended", "host": null, "images": 1,'
                    ' "arrived": 1, "interrupted": 0}'
                ),
                "run_ended without a proper 'interrupted'",
            ),
        ],
        ids=lambda value: value[:70],
    )
    def test_what_makes_none(self, line, says):
        """
        If a line makes no sense, or the picture could not be drawn from it,
        that is said.
        """
        with pytest.raises(ValueError, match=says):
            Entry.from_line(line)
