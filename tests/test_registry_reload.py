"""
Settings that change while they are in use: nobody is lost, nothing is forgiven.
"""

from __future__ import annotations

import threading

from itertools import cycle

import pytest

from load import Load, excess, record
from parties import Party, until

from switchgear import (
    BurstExceeded,
    CircuitOpenError,
    ConfigurationError,
    CountWindow,
    Registry,
)


#: A file that lets through, and one that has everybody wait for days.
WIDE = """
[limiters.images]
calls_per_second = 4000
burst = 8
"""
NARROW = """
[limiters.images]
calls_per_second = 1e-5
burst = 2
max_waiters = 1000
"""
#: What a reader sees who comes while the file is being written.
TORN = NARROW[: NARROW.index("burst =") + len("burst =")]

BREAKER = """
[breakers.images]
cooldown = {cooldown}
slow_call_seconds = {slow}
window = {{ size = 4000, minimum_calls = 3000, failure_rate = {rate} }}
"""


@pytest.fixture
def names():
    return Registry()


class TestAtOnce:
    def test_who_asks_too_much_now(self, names):
        """
        If a load lowers the burst below what somebody waits for, they are told at
        once, whenever their turn would have been.
        """
        limiter = names.limiter("images", calls_per_second=1e-3, burst=5)
        limiter.wait(5)
        waiting = Party(limiter.wait, 5)
        until(lambda: limiter.snapshot().waiting == 1)

        names.configure({"limiters": {"images": {"burst": 2}}})

        with pytest.raises(BurstExceeded):
            waiting.outcome()

    def test_a_container_that_is_being_made(self):
        """
        If a load changes how many keys are kept while the container is made, that
        many are kept.
        """

        class Interrupted(Registry):
            def _new_template(self, entry):
                made = super()._new_template(entry)
                self.__class__ = Registry
                self.configure({"limiters": {"hosts": {"max_keys": 7}}})
                return made

        names = Interrupted()
        names.limiter("hosts", calls_per_second=1.0)

        assert names.keyed_limiter("hosts").max_keys == 7


class TestUnderLoad:
    def test_no_waiter_is_lost(self, names, tmp_path):
        """
        If a file is reloaded over and over while threads and tasks wait, with
        a rate that takes days in between and with halves of a file, everybody
        is admitted in time, never faster than the wider settings allow, and
        nobody twice.
        """
        file = tmp_path / "switchgear.toml"
        file.write_text(WIDE, encoding="utf-8")
        names.load(file)
        limiter = names.limiter("images")
        admissions = record(limiter, 8)
        load = Load(limiter, threads=6, tasks=30)

        parties = load.start()
        for _ in range(20):
            file.write_text(NARROW, encoding="utf-8")
            names.reload()
            until(lambda: limiter.snapshot().waiting == 36)
            file.write_text(TORN, encoding="utf-8")
            with pytest.raises(ConfigurationError):
                names.reload()
            enough = load.delivered() + 72
            file.write_text(WIDE, encoding="utf-8")
            names.reload()
            # Nobody looks at the limiter, which would wake who overslept.
            until(lambda enough=enough: load.delivered() > enough)
        limiter.close()
        for party in parties:
            party.outcome()

        assert excess(admissions, 4000.0, 8) <= 0
        told = limiter.snapshot()
        assert 0 == told.waiting
        assert told.admitted == 1 + load.delivered()
        # Who never had to queue is not noted.
        assert len(admissions) > 0.9 * told.admitted

    def test_a_window_keeps_count(self, names, tmp_path):
        """
        If a file is reloaded over and over while threads call, every outcome
        is in the window, the refused are counted, and the circuit opens once.
        """
        file = tmp_path / "switchgear.toml"
        texts = [
            BREAKER.format(cooldown=cooldown, slow=slow, rate=rate)
            for cooldown, slow, rate in [(1000, 50, 0.3), (2000, 60, 0.4)]
        ]
        window = CountWindow(10, failure_rate=0.5)
        breaker = names.breaker("images", threshold=None, window=window)
        file.write_text(texts[0], encoding="utf-8")
        names.load(file)
        over, loads = threading.Event(), []

        def rewrite():
            for text in cycle(texts):
                file.write_text(text, encoding="utf-8")
                loads.append(names.reload())
                if over.is_set():
                    break

        def call():
            refused = 0
            for number in range(600):
                # Never so fast that the file stays as it is.
                until(lambda number=number: len(loads) > number // 100)
                try:
                    with breaker.guard() as attempt:
                        if number % 2:
                            attempt.fail()
                except CircuitOpenError:
                    refused += 1
            return refused

        writer = Party(rewrite)
        refused = sum(party.outcome() for party in [Party(call) for _ in range(6)])
        over.set()
        writer.outcome()

        told = breaker.snapshot()
        assert len(loads) > 5
        assert 3600 == told.admitted + told.refused
        assert refused == told.refused
        assert "open" == told.state.value
        # The last who were admitted were at it when it opened.
        assert 3000 <= told.admitted <= 3006
        assert 990.0 < told.retry_after <= 2000.0
