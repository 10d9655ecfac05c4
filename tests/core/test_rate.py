"""
Rates, and which goes on from which.
"""

from __future__ import annotations

import copy
import math
import pickle

import pytest

from hypothesis import given
from hypothesis import strategies as st

from switchgear import Rate
from switchgear._core.rate import successors


RATES = st.builds(
    Rate,
    st.integers(1, 3),
    per=st.sampled_from([1.0, 60.0]),
    counts=st.sampled_from(["tokens", "calls"]),
)


class TestRate:
    def test_defaults(self):
        """
        If only the limit is given, it is per second, in tokens, one at a time.
        """
        rate = Rate(5)

        assert (5.0, 1.0, 1, "tokens") == (
            rate.limit,
            rate.per,
            rate.burst,
            rate.counts,
        )

    def test_calls_per_second(self):
        """
        If the period is a minute, the pace is a sixtieth of the limit.
        """
        assert 1.5 == Rate(90, per=60).calls_per_second

    @pytest.mark.parametrize(
        ("limit", "per"),
        [(1e-9, 1.0), (1e12, 1.0), (1, 1e9), (1e21, 1e9), (1, 30 * 86_400)],
    )
    def test_extremes_are_taken(self, limit, per):
        """
        If the pace lies within 1e-9 to 1e12 per second, it is taken.
        """
        assert limit / per == Rate(limit, per=per).calls_per_second

    @pytest.mark.parametrize("limit", [True, "5", None, 5j, [5]])
    def test_limit_of_the_wrong_type(self, limit):
        """
        If the limit is no number, TypeError names it.
        """
        with pytest.raises(TypeError, match=r"^limit must be a number, not "):
            Rate(limit)

    @pytest.mark.parametrize(
        "limit", [0, 0.0, -1, math.nan, math.inf, -math.inf, 1e22, 10**400]
    )
    def test_limit_out_of_range(self, limit):
        """
        If the limit is out of its range, ValueError names both.
        """
        with pytest.raises(
            ValueError, match=r"^limit must be greater than 0 and at most 1e\+21, not "
        ):
            Rate(limit)

    @pytest.mark.parametrize("per", [True, "1", None])
    def test_period_of_the_wrong_type(self, per):
        """
        If the period is no number, TypeError names it.
        """
        with pytest.raises(TypeError, match=r"^per must be a number, not "):
            Rate(1, per=per)

    @pytest.mark.parametrize("per", [0, -1.0, math.nan, math.inf, 1.1e9])
    def test_period_out_of_range(self, per):
        """
        If the period is out of its range, ValueError names both.
        """
        with pytest.raises(ValueError, match=r"^per must be greater than 0 and at"):
            Rate(1, per=per)

    @pytest.mark.parametrize("burst", [True, 1.5, 1.0, "1", None])
    def test_burst_of_the_wrong_type(self, burst):
        """
        If the burst is no int, TypeError names it.
        """
        with pytest.raises(TypeError, match=r"^burst must be an int, not "):
            Rate(1, burst=burst)

    @pytest.mark.parametrize("burst", [0, -1, 10**12 + 1])
    def test_burst_out_of_range(self, burst):
        """
        If the burst is out of its range, ValueError names both.
        """
        with pytest.raises(ValueError, match=r"^burst must be at least 1 and at most"):
            Rate(1, burst=burst)

    def test_counts_of_the_wrong_type(self):
        """
        If the unit is no string, TypeError names it.
        """
        with pytest.raises(TypeError, match=r"^counts must be a string, not "):
            Rate(1, counts=1)

    def test_unknown_unit(self):
        """
        If the unit is unknown, ValueError tells those there are.
        """
        with pytest.raises(
            ValueError, match=r"^counts must be one of 'tokens', 'calls', not 'bytes'$"
        ):
            Rate(1, counts="bytes")

    @pytest.mark.parametrize(
        ("limit", "per"), [(0.9e-9, 1.0), (1e-3, 1.1e6), (1.1e12, 1.0), (1, 1e-13)]
    )
    def test_pace_out_of_range(self, limit, per):
        """
        If limit and period are right but their ratio is not, ValueError says so.
        """
        with pytest.raises(
            ValueError,
            match=r"^limit / per must be at least 1e-09 and at most 1e\+12 per second",
        ):
            Rate(limit, per=per)

    @pytest.mark.parametrize("name", ["limit", "per", "burst", "counts", "extra"])
    def test_immutable(self, name):
        """
        If somebody assigns to an attribute, it is refused.
        """
        with pytest.raises(AttributeError):
            setattr(Rate(1), name, 2)

    def test_equality(self):
        """
        If all four settings are equal the rates are, and hash alike.
        """
        assert Rate(2) == Rate(2.0, per=1, burst=1, counts="tokens")
        assert hash(Rate(2)) == hash(Rate(2.0))
        assert hash(Rate(2)) != hash(Rate(3))
        assert 4 == len({Rate(1), Rate(1, per=2), Rate(1, burst=2), Rate(3)})
        assert Rate(1) != Rate(1, counts="calls")
        assert Rate(1) != 1

    def test_repr(self):
        """
        If a rate is shown, the text makes an equal one, odd numbers included.
        """
        rate = Rate(123456.789, per=60, burst=3, counts="calls")

        assert "Rate(123456.789, per=60, burst=3, counts='calls')" == repr(rate)
        assert rate == eval(repr(rate))  # noqa: S307 -- written above

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
    def test_copies(self, again):
        """
        If a rate is copied, the copy is equal.
        """
        rate = Rate(60, per=60, burst=10, counts="calls")

        assert rate == again(rate)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickles(self, protocol):
        """
        If a rate is pickled, what comes out is equal.
        """
        rate = Rate(1, per=30 * 86_400, burst=10, counts="calls")

        assert rate == pickle.loads(pickle.dumps(rate, protocol))


class TestSuccessors:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            # What is given again goes on, in whatever order.
            ([Rate(1), Rate(9, per=60)], [Rate(9, per=60), Rate(1)], [1, 0]),
            # The same period before the same position.
            ([Rate(1), Rate(9, per=60)], [Rate(8, per=60)], [1]),
            # Another period: in order.
            ([Rate(1), Rate(9, per=60)], [Rate(8, per=3600)], [0]),
            ([Rate(1), Rate(9, per=60)], [Rate(7, per=2), Rate(5)], [1, 0]),
            # One more than there were is new.
            ([Rate(1)], [Rate(9, per=60), Rate(1)], [None, 0]),
            # Another unit never goes on.
            ([Rate(1)], [Rate(1, counts="calls")], [None]),
            (
                [Rate(1, counts="calls"), Rate(5)],
                [Rate(5), Rate(1, counts="calls")],
                [1, 0],
            ),
            ([Rate(1), Rate(2)], [Rate(3), Rate(4), Rate(5)], [0, 1, None]),
        ],
    )
    def test_table(self, old, new, expected):
        """
        If rates change, each goes on from the likest of those that are left.
        """
        assert expected == successors(old, new)

    @given(st.lists(RATES, min_size=1, max_size=5), st.data())
    def test_order_does_not_matter(self, old, data):
        """
        If rates of different periods or units are reordered, each goes on from
        itself.
        """
        old = list({(rate.per, rate.counts): rate for rate in old}.values())
        new = data.draw(st.permutations(old))

        assert new == [old[index] for index in successors(old, new)]

    @given(st.lists(RATES, max_size=5), st.lists(RATES, max_size=5))
    def test_nobody_is_followed_twice(self, old, new):
        """
        If rates change, no two go on from the same one, and units are kept.
        """
        chosen = successors(old, new)
        used = [index for index in chosen if index is not None]

        assert len(used) == len(set(used))
        for index, rate in zip(chosen, new, strict=True):
            if index is not None:
                assert old[index].counts == rate.counts
        for counts in ("tokens", "calls"):
            had = sum(rate.counts == counts for rate in old)
            have = sum(rate.counts == counts for rate in new)
            went_on = sum(old[index].counts == counts for index in used)

            assert min(had, have) == went_on
