"""
The report of ``make prove``, of steps that are over at once.
"""

from __future__ import annotations

import importlib.util
import re
import sys

from dataclasses import replace
from pathlib import Path

import pytest


TOOL = Path(__file__).parents[1] / "tools" / "prove.py"
SPEC = importlib.util.spec_from_file_location("prove", TOOL)
prove = importlib.util.module_from_spec(SPEC)
sys.modules["prove"] = prove
SPEC.loader.exec_module(prove)


@pytest.fixture
def step():
    """
    A function that returns a step that runs some Python.
    """

    def make(name, code, env=None):
        command = (sys.executable, "-c", code)
        return prove.Step(name, command, r"^counted: (.*)|also (\d+)", env or {})

    return make


@pytest.fixture
def report(capsys):
    """
    A function that runs steps; returns the status, and the report by line.

    Not how long they took: that is seen where the time is known.
    """

    def run(*steps):
        status = prove.prove(steps)
        _, _, told = capsys.readouterr().out.partition("\nReport: ")
        told = re.sub(r" in \d+ min \d+ s$", "", told, flags=re.MULTILINE)
        return status, told.splitlines()[2:]

    return run


class TestProve:
    """
    ``make prove``.
    """

    def test_it_says_what_each_step_counted(self, step, report):
        """
        If all steps pass, the report has their figures, and all is well.
        """
        first = step("first", "print('counted: 12 sheep'); print('other: 3')")
        second = step("second", "print('this and also 4 of those')")

        status, told = report(first, second)

        assert status == 0
        assert [
            "first       passed",
            "            12 sheep",
            "second      passed",
            "            4",
        ] == told

    def test_a_step_that_fails_keeps_no_other_from_running(self, step, report):
        """
        If a step fails, the others are run all the same, but the whole fails.
        """
        bad = step("bad", "print('counted: 1'); raise SystemExit(3)")
        good = step("good", "print('counted: 2')")

        status, told = report(bad, good)

        assert status == 1
        assert "bad         FAILED with status 3" == told[0]
        assert "            2" == told[-1]

    def test_a_step_without_its_program_keeps_no_other_from_running(self, step, report):
        """
        If the program of a step is not there, it failed, and the others are run.
        """
        lost = prove.Step("lost", (str(prove.ROOT / "no-such-program"),), "")
        good = step("good", "print('counted: 2')")

        status, told = report(lost, good)

        assert status == 1
        assert ["lost        FAILED with status 127", "good        passed"] == told[:2]

    def test_what_counted_too_little_failed(self, step, report):
        """
        If some of the figures are not there, something was not looked at.
        """
        some = replace(step("some", "print('counted: 2')"), least=2)

        status, told = report(some)

        assert status == 1
        assert "some        FAILED, counted too little" == told[0]

    def test_what_counted_nothing_failed(self, step, report):
        """
        If a step passes and says nothing of what it did, that proves nothing.
        """
        status, told = report(step("empty", "print('all well')"))

        assert status == 1
        assert ["empty       FAILED, counted nothing"] == told

    def test_it_is_shown_as_it_goes(self, step, capfd):
        """
        If a step prints something, to wherever, it is seen above the report.
        """
        prove.prove([step("one", "import sys; print('mind', file=sys.stderr)")])

        assert "\nOne\n\nmind\n\nReport: " in capfd.readouterr().out

    def test_interrupted(self, step, capsys, monkeypatch):
        """
        If it is interrupted, what is known by then is reported.
        """
        done, left = step("done", "print('counted: 7')"), step("left", "")

        def run(one):
            if one is left:
                raise KeyboardInterrupt
            return prove.Outcome(one, 0, ("7",), 61.0)

        monkeypatch.setattr(prove, "run", run)

        assert prove.prove([done, left]) == 130
        told = capsys.readouterr().out.splitlines()
        assert "done        passed in 1 min 1 s" in told
        assert "Interrupted, not run to the end: left" == told[-1]

    def test_surroundings(self, step, report):
        """
        If a step needs an environment of its own, it has it.
        """
        code = "import os; print('counted:', os.environ['DEPTH'])"

        told = report(step("deep", code, {"DEPTH": "8"}))[1]

        assert told[0].startswith("deep        passed in ")
        assert told[0].endswith(", DEPTH=8")
        assert "            8" == told[1]

    def test_depth_is_not_for_all(self, step, report, monkeypatch):
        """
        If it is said how deep to look, steps that do not ask for it do not.
        """
        monkeypatch.setenv("DEPTH", "5")
        code = "import os; print('counted:', os.environ.get('DEPTH', 'nothing'))"

        assert "            nothing" == report(step("shallow", code))[1][1]

    def test_long_figures(self, step, report):
        """
        If figures are many, they fit a terminal of eighty columns.
        """
        told = report(step("long", "print('counted:', 'word ' * 30)"))[1]

        assert 4 == len(told)
        assert 80 > max(map(len, told))

    def test_only_some(self, capsys, monkeypatch):
        """
        If steps are named, only they are run; a misspelt one is refused.
        """
        chosen = []
        monkeypatch.setattr(prove, "prove", lambda steps: chosen.extend(steps) or 0)

        assert prove.main("python", "models", "stress") == 0
        assert {"stress", "models"} == {step.name for step in chosen}
        left_out = "Left out: schedules, tests, breakages, mutants\n"
        assert left_out == capsys.readouterr().out
        assert prove.main("python", "modles") == 2
        assert "modles" in capsys.readouterr().out


class TestSteps:
    """
    What the real steps print, as far as the report reads it.
    """

    @pytest.mark.parametrize(
        ("name", "line", "figure"),
        [
            (
                "stress",
                "Stress, 60 s, GIL on: 12 operations",
                "60 s, GIL on: 12 operations",
            ),
            (
                "models",
                "tests/models/test_one.py::TestBeside::runTest:",
                "tests/models/test_one.py::TestBeside",
            ),
            (
                "models",
                "    - 120 passing, 0 failing, and 4 invalid test cases",
                "120 passing, 0 failing, and 4 invalid test cases",
            ),
            ("schedules", "10 scenarios, 1,656 schedules: all", None),
            ("schedules", "1,656 histories agreed with a sequential model", None),
            ("tests", "  3.14t  3.14.7    12 passed, GIL: off", "3.14t  3.14.7"),
            ("tests", "  not found: 3.14", "not found: 3.14"),
            ("breakages", "5 breakages: 5 caught, 0 not caught, 0 broken", None),
            ("breakages", "caught by schedules: 2, laws: 3", None),
            ("mutants", "core: 2342 mutants", None),
            ("mutants", "  noticed: 2282, 4 without wrappers", "noticed: 2282"),
        ],
    )
    def test_figures(self, name, line, figure):
        """
        If a tool prints its figures, the report has them.
        """
        step = next(one for one in prove.steps("python") if one.name == name)

        found = prove.found(step, line)

        assert found.startswith(figure or line)

    def test_commands(self):
        """
        If a step runs a file of ours, there is one.
        """
        named = [
            argument
            for step in prove.steps("python")
            for argument in step.command
            if argument.startswith(("tests/", "tools/"))
        ]

        assert 6 == len(named)
        assert all((prove.ROOT / argument).exists() for argument in named)
