from __future__ import annotations

import pytest

from recording import Recording
from tally import Tally


@pytest.fixture
def tally():
    return Tally("a", Recording())


class TestRateNow:
    @pytest.mark.parametrize(
        ("limit", "moments", "rate"),
        [
            (20.0, [], 0.0),
            (20.0, [98.9, 99.0, 99.1, 99.5, 100.0], 3.0),
            (2.0, [94.0, 95.5, 96.0, 98.0, 100.0], 0.8),
            (0.01, [80.0, 90.5], 0.1),
        ],
    )
    def test_of_late(self, tally, limit, moments, rate):
        """
        If calls were sent, those of the last second count; of a longer time
        where the limit is low.
        """
        tally.moments.extend(moments)

        assert rate == tally.rate_now(limit, 100.0)


class TestNotes:
    def test_what_is_counted_is_noted(self, tally):
        """
        If a call is counted, it is noted, too.
        """
        tally.called()
        tally.call_failed()
        tally.called_too_fast()
        tally.arrived(is_new=True)
        tally.arrived(is_new=False)

        assert [
            ("call_sent", "a"),
            ("call_failed", "a"),
            ("call_sent_away", "a"),
            ("image_stored", "a"),
            ("image_known", "a"),
        ] == [(entry.event, entry.host) for entry in tally.recording.entries]
        assert [1] * 5 == [
            int(counter)
            for counter in (
                tally.calls,
                tally.failed,
                tally.too_fast,
                tally.stored,
                tally.duplicates,
            )
        ]
