from __future__ import annotations

import pytest

from hypothesis import given
from hypothesis import strategies as st

from switchgear import CountWindow, Rate, RateLimiter, TimeWindow, _layers


PACE = {"calls_per_second": 5.0}
BURST = {"burst": 7}
RATES = {"rates": (Rate(1), Rate(2))}


class TestMerged:
    @pytest.mark.parametrize(
        ("layers", "expected"),
        [
            ([], {}),
            (
                [{"burst": 1, "max_waiters": 2}, {"burst": 3}],
                {"burst": 3, "max_waiters": 2},
            ),
            ([RATES, PACE], PACE),
            ([RATES, {**PACE, **BURST}], {**PACE, **BURST}),
            ([BURST, PACE], {**PACE, **BURST}),
            ([{**PACE, **BURST}, RATES], RATES),
            ([RATES, BURST], {**RATES, **BURST}),
            ([RATES, BURST, PACE], {**PACE, **BURST}),
            ([{**PACE, **BURST}, RATES, PACE], PACE),
            ([RATES, {"max_waiters": 1}], {**RATES, "max_waiters": 1}),
            ([{"rates": None, **PACE}], PACE),
            ([PACE, {"rates": None}], PACE),
            ([{**RATES, "burst": 1}], {**RATES, "burst": 1}),
        ],
    )
    def test_a_pace_displaces_the_other_form(self, layers, expected):
        """
        If a higher layer says the pace in another form, the lower form is gone;
        else layers are merged key by key.
        """
        assert expected == _layers.merged("limiter", *layers)

    def test_rates_and_a_burst_alone_contradict(self):
        """
        If a burst is set over rates, the constructor is left to refuse it.
        """
        settings = _layers.merged("limiter", RATES, BURST)

        with pytest.raises(ValueError, match="rates is given instead of"):
            RateLimiter(**settings)

    def test_a_window_is_one_value(self):
        """
        If a higher layer has a window, nothing of the lower one is left.
        """
        lower = {"window": CountWindow(20, failure_rate=0.1), "cooldown": 5.0}
        upper = {"window": TimeWindow(60)}

        assert {"window": TimeWindow(60), "cooldown": 5.0} == _layers.merged(
            "breaker", lower, upper
        )

    def test_layers_are_left_alone(self):
        """
        If layers are merged, they are what they were.
        """
        lower, upper = dict(RATES), dict(PACE)

        merged = _layers.merged("limiter", lower, upper)
        merged["burst"] = 5

        assert (RATES, PACE) == (lower, upper)

    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(
                    ["calls_per_second", "burst", "max_waiters", "max_keys"]
                ),
                st.integers(),
            ),
            min_size=3,
            max_size=3,
        )
    )
    def test_it_does_not_matter_which_are_merged_first(self, layers):
        """
        If layers say the pace in one form, merging them is associative, and
        one that says nothing changes nothing.
        """
        one, two, three = layers

        merged = _layers.merged("limiter", one, two, three)

        assert merged == _layers.merged(
            "limiter", one, _layers.merged("limiter", two, three)
        )
        assert merged == _layers.merged(
            "limiter", _layers.merged("limiter", one, two), three
        )
        assert merged == _layers.merged("limiter", {}, one, two, {}, three)


class TestSources:
    def test_every_key_has_its_layer(self):
        """
        If layers are merged, it can be told which one each key is from.
        """
        layers = [
            ("code", {"burst": 5, "max_waiters": 1, "max_keys": 2}),
            ("file", {"calls_per_second": 1.0, "max_waiters": 2}),
            ("environment", {"max_waiters": 3}),
        ]

        assert {
            "burst": "code",
            "max_keys": "code",
            "calls_per_second": "file",
            "max_waiters": "environment",
        } == _layers.sources("limiter", *layers)

    def test_what_is_displaced_has_none(self):
        """
        If a form of the pace is displaced, it has no source.
        """
        layers = [("code", {**PACE, **BURST}), ("file", RATES)]

        assert {"rates": "file"} == _layers.sources("limiter", *layers)

    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["calls_per_second", "burst", "rates", "max_waiters"]),
                st.one_of(st.none(), st.integers()),
            )
        )
    )
    def test_they_are_those_of_what_is_merged(self, layers):
        """
        If a key has a source, its value is the one of that layer.
        """
        named = [(str(at), layer) for at, layer in enumerate(layers)]

        found = _layers.sources("limiter", *named)

        assert {
            key: layers[int(name)][key] for key, name in found.items()
        } == _layers.merged("limiter", *layers)
