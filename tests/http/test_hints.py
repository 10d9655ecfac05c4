"""
What servers say about when to come back.
"""

from __future__ import annotations

import pytest

from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from switchgear.http import Hint, server_hint
from switchgear.http.hints import LONGEST, PAIRS


#: Fri, 27 Nov 2026 12:00:00 GMT
NOW = 1_795_780_800.0
DATE = "Fri, 27 Nov 2026 12:00:00 GMT"


def seconds(headers, status=429, now=NOW):
    return server_hint(status, headers, now).retry_after


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"Retry-After": "7"}, 7.0),
            ({"Retry-After": "0"}, 0.0),
            ({"Retry-After": " 7 "}, 7.0),
            ({"retry-after": "0.25"}, 0.25),
            ({"Retry-After-Ms": "1500"}, 1.5),
            ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
            ({"Retry-After-Ms": "soon", "Retry-After": "9"}, 9.0),
            ({"Retry-After": "Fri, 27 Nov 2026 12:00:05 GMT"}, 5.0),
            ({"Retry-After": "Friday, 27-Nov-26 12:00:05 GMT"}, 5.0),
            ({"Retry-After": "Fri Nov 27 12:00:05 2026"}, 5.0),
            ({"Retry-After": "Fri, 27 Nov 2026 12:00:00 GMT"}, 0.0),
            # The server's clock is an hour ahead of ours.
            (
                {
                    "Date": "Fri, 27 Nov 2026 13:00:00 GMT",
                    "Retry-After": "Fri, 27 Nov 2026 13:00:05 GMT",
                },
                5.0,
            ),
        ],
    )
    def test_says_when(self, headers, expected):
        """
        If the server says when to come back, that is so many seconds from now.
        """
        assert expected == seconds(headers)

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "-1",
            "+1",
            "1e3",
            "1_000",
            "nan",
            "inf",
            "٣",
            "soon",
            "1, 2",
            "9" * 5000,
            str(LONGEST + 1),
            "Fri, 27 Nov 2026 11:59:59 GMT",
            "Fri, 27 Nov 2028 12:00:00 GMT",
            "Fri, 99 Nov 2026 12:00:00 GMT",
            "Fri, 27 Nov 99999999 12:00:00 GMT",
        ],
    )
    def test_nonsense_is_ignored(self, value):
        """
        If the value is malformed, negative or absurd, nothing was said.
        """
        assert Hint() == server_hint(429, {"Retry-After": value}, NOW)

    @pytest.mark.parametrize("status", [200, 202, 301, 304, 399])
    def test_of_what_is_no_error(self, status):
        """
        If the response is no error, its headers are no hint.
        """
        assert Hint() == server_hint(status, {"Retry-After": "7"}, NOW)

    @pytest.mark.parametrize(("age", "expected"), [("0", 7.0), ("3", None), ("x", 7.0)])
    def test_out_of_a_cache(self, age, expected):
        """
        If the response is older than now, what it says is of the past.
        """
        assert expected == seconds({"Retry-After": "7", "Age": age})


class TestQuotas:
    @pytest.mark.parametrize(("remaining", "reset"), PAIRS)
    def test_an_exhausted_quota_says_when(self, remaining, reset):
        """
        If nothing remains of a quota, it is time when it is renewed.
        """
        headers = {remaining.title(): "0", reset: "30"}

        assert Hint(30.0, True, reset) == server_hint(403, headers, NOW)
        assert Hint() == server_hint(403, {**headers, remaining.title(): "1"}, NOW)
        assert Hint() == server_hint(403, {reset: "30"}, NOW)

    @pytest.mark.parametrize(
        ("reset", "expected"),
        [
            ("30", 30.0),
            ("0.5", 0.5),
            (str(int(NOW) + 30), 30.0),
            (f"{NOW + 30.5}", 30.5),
            (str(int(NOW + 30) * 1000 + 500), 30.5),
            ("6m0s", 360.0),
            ("12ms", 0.012),
            ("1h2m3.5s", 3723.5),
            ("1µs", 1e-6),
            ("1500us", 0.0015),
            ("2026-11-27T12:00:30Z", 30.0),
            ("2026-11-27T13:00:30.500+01:00", 30.5),
            ("2026-11-27t12:00:30z", 30.0),
        ],
    )
    def test_ways_to_write_it(self, reset, expected):
        """
        If the time is written in any of the usual ways, it is understood.
        """
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}

        assert expected == pytest.approx(seconds(headers), abs=1e-6)

    @pytest.mark.parametrize(
        "reset",
        [
            "",
            "-1",
            "6m-1s",
            "m",
            "6 m",
            "2026-11-27T12:00:30",
            "2026-11-27",
            "2026-13-27T12:00:30Z",
            "2026-11-27T11:59:59Z",
            "0001-01-01T00:00:00+23:59",
            str(int(NOW) - 1),
        ],
    )
    def test_nonsense_is_ignored(self, reset):
        """
        If it cannot be understood, or is past, all that is known is that nothing
        is left.
        """
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}

        assert Hint(None, True, None) == server_hint(429, headers, NOW)

    def test_against_the_servers_own_clock(self):
        """
        If the response has a date, moments are relative to that.
        """
        headers = {
            "Date": DATE,
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(int(NOW) + 30),
        }

        assert 30.0 == seconds(headers, now=NOW + 999)

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"RateLimit": '"default";r=0;t=30'}, 30.0),
            ({"RateLimit": '"a";r=0;t=30, "b";r=0;t=60, "c";r=5;t=90'}, 60.0),
            (
                {"RateLimit": '"a";r=0', "RateLimit-Policy": '"b";w=9, "a";q=10;w=60'},
                60.0,
            ),
            ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50.0),
        ],
    )
    def test_of_the_draft(self, headers, expected):
        """
        If the header of the draft says that nothing is left, it says until when.
        """
        assert Hint(expected, True, "ratelimit") == server_hint(429, headers, NOW)

    @pytest.mark.parametrize(
        ("value", "exhausted"),
        [
            ('"a";r=1;t=30', False),
            ('"a";t=30', False),
            ('"a";r=0;t="30"', True),
            ('"a";r=0;t=-5', True),
            ('"a";r=0;t=999999999', True),
            ('("a" "b");r=0;t=5', False),
            ('"a";r=0;t', True),
            ("limit=100, remaining=1, reset=50", False),
            ("limit=100, remaining=0", True),
            ("limit=100, reset=50", False),
            ('"a', False),
            ("ä", False),
        ],
    )
    def test_nonsense_of_the_draft(self, value, exhausted):
        """
        If it is malformed or makes no sense, there is no time in it.
        """
        hint = server_hint(429, {"RateLimit": value}, NOW)

        assert Hint(None, exhausted, None) == hint

    def test_the_longest_of_several(self):
        """
        If several quotas are exhausted, it is time when the last is renewed.
        """
        headers = {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "6m0s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "12ms",
        }

        assert 360.0 == seconds(headers)

    def test_retry_after_goes_first(self):
        """
        If the server says when to come back, quotas do not matter.
        """
        headers = {
            "Retry-After": "7",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "30",
        }

        assert Hint(7.0, True, "retry-after") == server_hint(403, headers, NOW)


NAMES = st.sampled_from(
    [
        "Age",
        "Date",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "Retry-After-Ms",
        *(name for pair in PAIRS for name in pair),
    ]
)
#: What may come over the wire, and some of what may not.
SIGNS = "".join(map(chr, range(256))) + "٣µ\u2013\ud800\U0001f600"
VALUES = st.one_of(
    st.text(SIGNS, max_size=40),
    st.text('-+0123456789.:TZhmsµ,; ="()rtw', max_size=40),
    st.sampled_from(["0", "30", "6m0s", DATE, '"a";r=0;t=30', "limit=1, remaining=0"]),
    st.floats().map(str),
    st.datetimes().map(str),
    st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")),
)


class TestLaws:
    @given(
        status=st.integers(100, 599),
        headers=st.dictionaries(NAMES, VALUES, max_size=8),
        now=st.floats(0, 4e9),
    )
    @example(429, {"Date": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0.0)
    @example(429, {"Retry-After": "0 0 0 0 0 0"}, 0.0)
    @example(429, {"RateLimit": '"a";r=;'}, 0.0)
    def test_no_header_can_raise(self, status, headers, now):
        """
        If headers are anything at all, the answer is a hint that makes sense.
        """
        hint = server_hint(status, headers, now)

        assert hint.retry_after is None or 0 <= hint.retry_after <= LONGEST
        assert (hint.retry_after is None) is (hint.header is None)

    def test_several_lines_are_one_list(self):
        """
        If a header comes in several lines, all of them are read.
        """
        lines = [("RateLimit", '"a";r=0;t=30'), ("ratelimit", '"b";r=5;t=1')]
        headers = CIMultiDict(lines)

        assert 30.0 == server_hint(429, headers, 0.0).retry_after
        assert 30.0 == server_hint(429, CIMultiDict(lines[::-1]), 0.0).retry_after

    def test_what_is_no_text_is_ignored(self):
        """
        If a name or a value is no text, it is passed over.
        """
        assert 7.0 == seconds({b"age": "9", "Date": b"x", "Retry-After": "7"})
