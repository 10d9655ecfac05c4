from __future__ import annotations

import pytest

from picture.scales import (
    Bin,
    bins,
    multiples,
    round_span,
    round_up,
    time_caption,
    time_label,
)


class TestRoundSpan:
    @pytest.mark.parametrize(
        ("least", "expected"),
        [
            (0.001, 0.1),
            (0.1, 0.1),
            (0.11, 0.2),
            (3, 5),
            (31, 60),
            (61, 120),
            (3601, 7200),
            (86399, 86400),
            (86401, 2 * 86400),
            (3 * 86400, 5 * 86400),
        ],
    )
    def test_people_count_in_it(self, least, expected):
        """
        If a span is needed, it is one that people count in, and long enough.
        """
        assert expected == round_span(least)


class TestRoundUp:
    @pytest.mark.parametrize(
        ("least", "expected"),
        [(1, 1), (1.1, 2), (3, 5), (7, 10), (1000, 1000), (0.003, 0.005), (0.07, 0.1)],
    )
    def test_the_next(self, least, expected):
        """
        If a number is not round, the next that is round is taken.
        """
        assert expected == pytest.approx(round_up(least))


class TestMultiples:
    def test_the_last_one_counts(self):
        """
        If the last multiple is the end but for the arithmetic, it is there.
        """
        assert [0, 0.1, 0.2, pytest.approx(0.3)] == multiples(0.1, 0.3)


class TestTimes:
    @pytest.mark.parametrize(
        ("span", "t", "label", "caption"),
        [
            (1, 0.5, "0.5", "seconds since the start"),
            (100, 50, "50", "seconds since the start"),
            (600, 150, "2:30", "minutes:seconds since the start"),
            (6000, 5400, "90:00", "minutes:seconds since the start"),
            (86400, 5400, "1:30", "hours:minutes since the start"),
            (864000, 216000, "2.5", "days since the start"),
        ],
    )
    def test_labels_fit_the_span(self, span, t, label, caption):
        """
        If an axis is long, it counts in larger units, and says so.
        """
        assert (label, caption) == (time_label(t, span), time_caption(span))


class TestBins:
    @pytest.mark.parametrize(
        ("moments", "width", "seconds", "expected"),
        [
            ([], 1, 0, [Bin(0, 1, 0)]),
            ([0.0, 0.2], 1, 0.2, [Bin(0, 1, 2)]),
            ([0.0, 1.0, 1.5, 2.0], 1, 2, [Bin(0, 1, 1), Bin(1, 2, 3)]),
            # Too little is left over to tell anything.
            ([0.5, 2.1], 1, 2.25, [Bin(0, 1, 1), Bin(1, 2.25, 1)]),
            ([0.5, 2.1], 1, 2.75, [Bin(0, 1, 1), Bin(1, 2, 0), Bin(2, 2.75, 1)]),
        ],
    )
    def test_every_call_is_in_one(self, moments, width, seconds, expected):
        """
        If calls are counted, each is counted once, and the last span is not
        much shorter than the others.
        """
        assert expected == bins(moments, width, seconds)

    def test_rate(self):
        """
        If a span is longer, as many calls are a lower rate.
        """
        assert [5.0, 4.0] == [Bin(0, 1, 5).rate, Bin(1, 2.25, 5).rate]
