from __future__ import annotations

import os
import re
import subprocess
import sys

from pathlib import Path

import pytest

from hypothesis import given
from hypothesis import strategies as st
from stress.stress_shared import most_at_once


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

    def test_a_run_without_collisions_proves_nothing(self):
        """
        If a run is over before anybody met, it fails.
        """
        done = subprocess.run(
            [sys.executable, SCRIPT, "0"], capture_output=True, text=True, check=False
        )

        assert 1 == done.returncode
        assert "This proves nothing: no operations, no collisions" in done.stdout


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
