from __future__ import annotations

import os
import re
import subprocess
import sys

from pathlib import Path

import pytest

from hypothesis import given
from hypothesis import strategies as st
from stress.stress_shared import (
    count_inside,
    most_at_a_time,
    most_at_once,
    most_within,
)


SCRIPT = Path(__file__).parent / "stress" / "stress_shared.py"

SECOND = 10**9


class TestStress:
    def test_a_short_slice(self):
        """
        If threads, tasks, signals, thrown exceptions and forks meet on the same
        objects, every step is accounted for; and they did meet.
        """
        # Not traced: a tracer's lock, wanted by a signal handler, hangs.
        env = {key: os.environ[key] for key in os.environ if "COV" not in key}

        done = subprocess.run(
            [sys.executable, SCRIPT, "2"],
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

        assert 0 == done.returncode, done.stderr
        assert re.match(r"Stress, 2 s, GIL (on|off): [\d,]+ operations", done.stdout)
        assert 1 == len(done.stdout.splitlines())

    def test_a_run_without_collisions_proves_nothing(self):
        """
        If a run is over before anybody met at each of the objects, and before
        their code was interrupted, it fails, and says what was missing.
        """
        done = subprocess.run(
            [sys.executable, SCRIPT, "0"], capture_output=True, text=True, check=False
        )

        assert 1 == done.returncode
        assert "This proves nothing: no operations, no collisions" in done.stdout
        assert "no collisions at the spared limiter" in done.stdout
        assert "no cancels after the turn" in done.stdout
        assert "no signals inside, no signals under a lock" in done.stdout
        assert "no bookings given back late" in done.stdout


class TestMostAtOnce:
    @given(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12),
        st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    )
    def test_like_counting_each_window(self, pairs, rate):
        """
        If the spans within every window are counted one by one, the largest
        count, less the rate, is the same.
        """
        spans = [(min(one), max(one)) for one in pairs]
        windows = [(begin, end) for begin, _ in spans for _, end in spans]

        counts = [
            (sum(begin <= b and e <= end for b, e in spans), end - begin)
            for begin, end in windows
        ]
        expected = max(
            (count - rate * length for count, length in counts if count), default=0.0
        )

        in_nanoseconds = [(begin * SECOND, end * SECOND) for begin, end in spans]
        assert expected == pytest.approx(most_at_once(in_nanoseconds, rate))


#: Few moments, so that many spans begin and end at the same.
SPANS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
        lambda pair: (min(pair), max(pair))
    ),
    max_size=12,
)


class TestMostAtATime:
    @given(SPANS)
    def test_like_counting_each_moment(self, spans):
        """
        If the spans at the middle of each moment are counted one by one, the
        largest count is the same.
        """
        counts = [
            sum(begin <= moment < end for begin, end in spans) for moment in range(10)
        ]

        assert max(counts) == most_at_a_time(spans)


class TestCountInside:
    @given(SPANS, SPANS)
    def test_like_comparing_each(self, spans, windows):
        """
        If each span is compared with each window, as many are inside.
        """
        expected = sum(
            since < begin and end < until
            for begin, end in spans
            for since, until in windows
        )

        assert expected == count_inside(spans, windows)


class TestMostWithin:
    @given(SPANS, SPANS)
    def test_like_counting_each_moment(self, spans, windows):
        """
        If the spans at each moment of a window are counted one by one, ends
        included, the largest count is the same.
        """
        expected = [
            max(
                sum(begin <= moment <= end for begin, end in spans)
                for moment in range(first, last + 1)
            )
            for first, last in windows
        ]

        assert expected == most_within(spans, windows)
