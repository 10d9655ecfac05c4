from __future__ import annotations

import pytest

from words import counted, duration, span_in_words


class TestCounted:
    def test_one_and_many(self):
        """
        If there is one, the noun is in the singular.
        """
        assert ["0 hosts", "1 host", "2 hosts"] == [
            counted(count, "host") for count in range(3)
        ]


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.0, "0.00 s"),
            (0.05, "0.05 s"),
            (20.44, "20.4 s"),
            (119.9, "119.9 s"),
            (120.4, "2 min 0 s"),
            (3599.9, "1 h 0 min"),
            (3600 * 23 + 59 * 60, "23 h 59 min"),
            (86400 * 5 + 3600 * 7, "5 d 7 h"),
        ],
    )
    def test_two_units_at_most(self, seconds, words):
        """
        If it is long, it is told in larger units, and never in more than two.
        """
        assert words == duration(seconds)


class TestSpanInWords:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.1, "0.1 s"),
            (9.3456, "9.35 s"),
            (30, "30 s"),
            (300, "5 min"),
            (7200, "2 h"),
        ],
    )
    def test_one_unit(self, seconds, words):
        """
        If a span is round, so are its words.
        """
        assert words == span_in_words(seconds)
