from __future__ import annotations

import pytest

from recording import Recording
from sampling import Sampler


@pytest.fixture
def limiters(switchgear_registry):
    return switchgear_registry.keyed_limiter("images", calls_per_second=0.001)


class TestSampler:
    def test_what_has_changed(self, limiters):
        """
        If it looks, it notes each limiter, and then those that have changed.
        """
        limiters["a"].reserve()
        limiters["b"].reserve()
        with Recording() as recording:
            sampler = Sampler(recording)

            sampler.sample()
            sampler.sample()
            limiters["b"].reserve()
            sampler.sample()
            limiters["a"].reconfigure(burst=7)
            sampler.sample()

        samples = [
            entry for entry in recording.entries if entry.event == "limiter_sampled"
        ]
        assert [("a", 0, 1), ("b", 0, 1), ("b", 1, 1), ("a", 0, 7)] == [
            (entry.host, entry.details["waiting"], entry.details["burst"])
            for entry in samples
        ]

    def test_it_ends(self, limiters):
        """
        If it is stopped, it has looked once at least, and its thread is gone.
        """
        limiters["a"].reserve()
        with Recording() as recording:
            sampler = Sampler(recording)
            sampler.start()
            sampler.stop()

        assert not sampler._thread.is_alive()
        assert ["limiter_sampled"] == [entry.event for entry in recording.entries]
