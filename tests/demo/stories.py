"""
Invented runs, to be drawn.
"""

from __future__ import annotations

import random

from entries import Entry


def run(
    host,
    seconds,
    rate,
    *,
    limit=None,
    burst=1,
    down=(),
    cooldown=1.0,
    pauses=(),
    seed=1,
):
    """
    Return the entries of a host that is called steadily, and is down at times.
    """
    chance = random.Random(seed)
    entries = []

    def note(t, event, **details):
        if t <= seconds:
            entries.append(Entry(round(t, 6), event, host, details))

    def sample(waiting):
        rates = {"calls_per_second": limit or rate, "burst": burst}
        note(t, "limiter_sampled", waiting=waiting, **rates)

    t = 0.0
    sample(0)
    while t < seconds:
        pause = next((end for begin, end in pauses if begin <= t < end), None)
        if pause is not None:
            note(t, "call_sent_away")
            note(t, "limiter_paused", paused_for=pause - t)
            t = pause
        note(t, "call_sent")
        if any(begin <= t < end for begin, end in down):
            note(t + 0.01, "call_failed")
            note(t + 0.01, "circuit_opened")
            for _ in range(chance.randint(1, 90)):
                note(t + 0.02, "circuit_refused")
            t += cooldown
            note(t, "circuit_half_opened")
            if not any(begin <= t < end for begin, end in down):
                note(t + 0.01, "circuit_closed")
        else:
            t += 1 / rate
        sample(chance.randint(0, 90))
    return entries


def ended(seconds, images, *, arrived=None, interrupted=False):
    """
    Return the end of a run.
    """
    arrived = images if arrived is None else arrived
    details = {"images": images, "arrived": arrived, "interrupted": interrupted}
    return [Entry(seconds, "run_ended", None, details)]


def operated():
    """
    Return the entries of a host whose circuit and limiter are in human hands.
    """
    changes = [
        (5.0, "circuit_forced", {"to_state": "forced_open"}),
        (12.0, "circuit_forced", {"to_state": "forced_closed"}),
        (20.0, "circuit_forced", {"to_state": "observing"}),
        (30.0, "circuit_half_opened", {}),
        (36.0, "circuit_closed", {}),
        (35.0, "limiter_closed", {}),
    ]
    slower = {"waiting": 0, "calls_per_second": 0.5, "burst": 12345}
    return [
        *(entry for entry in run("operated", 40.0, 4.0) if entry.event == "call_sent"),
        *(Entry(t, event, "operated", details) for t, event, details in changes),
        Entry(20.0, "limiter_sampled", "operated", slower),
    ]


#: More than three, and what may be a name of a host.
NAMES = (
    "<script>&\"'.example",
    f"{'x' * 180}.example.org",
    "\u4e2d\u6587\u57df\u540d" * 12,
    "control\x00\x1b[31m\ud800",
    "127.0.0.1:8080",
    "",
    *(f"host-{number}.example.org" for number in range(6)),
)

STORIES = {
    "nothing": [],
    "no call": ended(0.2, 0),
    "a moment": [
        *(Entry(number / 100, "call_sent", "healthy", {}) for number in range(3)),
        *ended(0.05, 3),
    ],
    "cut off": run("a", 3.0, 20.0),
    "one host": [
        *run("images.example.org", 4.2, 5.0, burst=3, pauses=[(1.5, 2.5)]),
        *ended(4.2, 20),
    ],
    "interrupted": [
        *run("slow.example.org", 9.3, 0.4),
        *ended(9.3, 30, arrived=5, interrupted=True),
    ],
    "far below and above": [
        *run("fast", 30.0, 5.0, limit=10_000.0),
        *run("slow", 30.0, 0.5, limit=0.001),
        *ended(30.0, 1),
    ],
    "operated": [*operated(), *ended(40.0, 160)],
    "three hosts": [
        *run("healthy", 20.4, 20.0, burst=5),
        *run("flaky", 20.4, 20.0, burst=5, down=[(3.0, 6.0), (11.0, 13.0)]),
        *run("strict", 20.4, 15.0, pauses=[(n, n + 1) for n in range(1, 20, 2)]),
        *ended(20.4, 600),
    ],
    "twelve hosts": [
        entry
        for number, name in enumerate(NAMES)
        for entry in run(
            name,
            95.0,
            2.0 + number % 2,
            down=[(20.0 + 5 * number, 30.0 + 6 * number)] if number % 3 == 0 else [],
            cooldown=2.5,
            pauses=[(40.0, 52.0)] if number % 4 == 1 else [],
            seed=number,
        )
    ],
    "an hour and a half": [
        *run("flapping", 5000.0, 0.2, down=[(600.0, 1900.0)], cooldown=3.0),
        *run("steady", 5000.0, 0.2, down=[(600.0, 1900.0)], cooldown=30.0),
        *ended(5000.0, 1),
    ],
    "days": [
        *run("patient", 460_000.0, 0.002, down=[(86_400.0, 172_800.0)], cooldown=600.0),
        *ended(460_000.0, 1),
    ],
}
