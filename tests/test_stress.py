from __future__ import annotations

import os
import re
import subprocess
import sys

from pathlib import Path

from stress.stress_shared import is_possible


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


class TestIsPossible:
    def test_what_a_bucket_could_have_done(self):
        """
        If every call can have been admitted at some moment of its span, it is
        possible: the burst at once, the others at their turns.
        """
        at_once = [(0, 1)] * 5
        later = [(0, SECOND), (0, 2 * SECOND)]

        assert is_possible([], 1, 5)
        assert is_possible(at_once + later, 1, 5)

    def test_what_none_could(self):
        """
        If more calls were admitted within some window than its length allows, it
        is not possible, whatever was before and after.
        """
        window = [(10 * SECOND, 11 * SECOND)]

        assert is_possible([(0, 1), *window * 6], 1, 5)
        assert not is_possible([(0, 1), *window * 7, (99 * SECOND, 100 * SECOND)], 1, 5)
        assert not is_possible([(0, 1)] * 6, 1, 5)
