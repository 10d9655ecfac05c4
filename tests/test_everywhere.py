"""
What is said of the tests of several interpreters.
"""

from __future__ import annotations

import importlib.util
import sys

from pathlib import Path

import pytest


TOOL = Path(__file__).parents[1] / "tools" / "test_everywhere.py"
SPEC = importlib.util.spec_from_file_location("everywhere", TOOL)
everywhere = importlib.util.module_from_spec(SPEC)
sys.modules["everywhere"] = everywhere
SPEC.loader.exec_module(everywhere)


def ran(*parts, folder=".venv"):
    return everywhere.Run(
        "3.14t",
        "3.14.7",
        folder,
        [everywhere.Part((), None, output, status) for output, status in parts],
    )


class TestRun:
    @pytest.mark.parametrize(
        ("parts", "outcome", "is_well"),
        [
            ([("5 passed in 1s", 0)], "5 passed", True),
            ([("5 passed in 1s", 0), ("7 passed in 1s", 0)], "12 passed", True),
            (
                [("= 1 failed, 5 passed in 1s =", 1), ("7 passed, 2 skipped in 1s", 0)],
                "1 failed, 12 passed, 2 skipped",
                False,
            ),
            (
                [("5 passed in 1s", 0), ("7 passed in 1s", -11)],
                "12 passed, ended with status -11",
                False,
            ),
            ([("", 4), ("5 passed in 1s", 0)], "5 passed, ended with status 4", False),
            ([("no tests ran in 1s", 5)], "ended with status 5", False),
            (
                [("5 passed in 1s\nGIL: off", 0), ("7 passed in 1s\nGIL: off", 0)],
                "12 passed, GIL: off",
                True,
            ),
            (
                [("5 passed in 1s\nGIL: off", 0), ("7 passed in 1s\nGIL: on", 0)],
                "12 passed, GIL: off, GIL: on",
                False,
            ),
            (
                [("\x1b[32m\x1b[1m5 passed\x1b[0m\x1b[32m in 1s\x1b[0m", 0)],
                "5 passed",
                True,
            ),
            ([("5 passed in 1s", None)], "5 passed, ended with status None", False),
        ],
    )
    def test_outcome(self, parts, outcome, is_well):
        """
        If the halves have ended, their counts are summed up; one that ended in
        any other way than pytest does is told, and is no success.
        """
        run = ran(*parts)

        assert (outcome, is_well) == (run.outcome, run.is_well)

    def test_without_an_environment(self):
        """
        If it could not be set up, that is told, and is no success.
        """
        run = ran(folder="")

        assert "its environment could not be set up" == run.outcome
        assert not run.is_well


class TestHalves:
    def test_no_test_is_left_out(self):
        """
        If the tests run in halves, what one names, the other ignores.
        """
        first, second = everywhere.parts_of((), is_first=True)

        ignored = tuple(f"--ignore={one}" for one in first.arguments)
        assert ("tests", *ignored) == second.arguments
        assert all((TOOL.parents[1] / one).exists() for one in first.arguments)
        assert [None, None] == [first.depth, second.depth]

    def test_others_leave_out_what_is_said(self):
        """
        If another Python runs them, what is about the repository is left out, and
        nothing else; schedules are fewer.
        """
        first, second = everywhere.parts_of((), is_first=False)

        out = {one.removeprefix("--ignore=") for one in second.arguments[1:]}
        assert {*first.arguments, *everywhere.ONCE} == out
        assert all((TOOL.parents[1] / one).exists() for one in out)
        assert ["0.25", "0.25"] == [first.depth, second.depth]

    def test_what_is_asked_for_runs_as_a_whole(self):
        """
        If there are arguments, every Python runs just that.
        """
        for is_first in (True, False):
            assert [everywhere.Part(("-k", "breaker"))] == everywhere.parts_of(
                ("-k", "breaker"), is_first=is_first
            )
