"""
Gather what speaks for correctness: run every check, end with one report.

    prove.py PYTHON [STEP ...]

Each step is shown as it goes, and none keeps the next from running. The report says
of each what it counted; one that failed, or counted nothing, makes the whole fail.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import textwrap
import time

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


ROOT = Path(__file__).parents[1]
WIDTH = 79
INDENT = 12


@dataclass(frozen=True)
class Step:
    """
    Name a check, how to run it, and which lines of its output are its figures.
    """

    name: str
    command: tuple[str, ...]
    figures: str
    env: Mapping[str, str] = field(default_factory=dict)
    #: How many figures there must be: with fewer, something was not looked at.
    least: int = 1


@dataclass(frozen=True)
class Outcome:
    """
    Say how a step ended, and what it counted.
    """

    step: Step
    status: int
    figures: tuple[str, ...]
    seconds: float

    @property
    def is_well(self) -> bool:
        """
        Whether it passed, and says of what.
        """
        return self.status == 0 and len(self.figures) >= self.step.least

    @property
    def verdict(self) -> str:
        """
        In one line, how it went.
        """
        minutes, seconds = divmod(round(self.seconds), 60)
        took = f"in {minutes} min {seconds} s"
        if self.status:
            return f"FAILED with status {self.status} {took}"
        if self.is_well:
            return f"passed {took}"
        return f"FAILED, counted {'too little' if self.figures else 'nothing'} {took}"


def steps(python: str) -> list[Step]:
    """
    Return all steps, those that are over soon first.
    """
    pytest = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    # The tests look as deep as there is time for in every run; here there is more.
    deeper = {"DEPTH": os.environ.get("DEPTH", "10")}
    return [
        Step(
            "stress",
            (sys.executable, "tests/stress/stress_shared.py"),
            r"^Stress, (.*)",
        ),
        Step(
            "models",
            (*pytest, "-v", "--hypothesis-show-statistics", "tests/models"),
            r"^(tests/models/.*)::runTest:|- (\d+ passing.*)",
            deeper,
            # Each model, and its stories.
            least=6,
        ),
        Step(
            "schedules",
            (*pytest, "-v", "tests/interleavings"),
            r"^(\d+ scenarios, .*|[\d,]+ histories .*)",
            deeper,
            least=2,
        ),
        Step(
            "tests",
            (sys.executable, "tools/test_everywhere.py", python),
            r"^  (3\.\d+t? +3\..*|not found: .*)",
        ),
        Step(
            "breakages",
            (sys.executable, "tools/breakages.py"),
            r"^(\d+ breakages: .*|caught by .*)",
            least=2,
        ),
        Step(
            "mutants",
            (".venv-mutants/bin/python", "tools/mutants.py"),
            r"^(\w+: \d+ mutants)$|^  (noticed: .*)",
            # Of each part how many there are, and what became of them.
            least=6,
        ),
    ]


def run(step: Step) -> Outcome:
    """
    Run *step* to its end, and show what it prints.
    """
    began = time.monotonic()
    figures: list[str] = []
    # How deep to look is said for some steps; the others would never end.
    inherited = {key: value for key, value in os.environ.items() if key != "DEPTH"}
    try:
        status = _status(step, {**inherited, **step.env}, figures)
    except OSError as error:
        # Its program is not there, say. The others are run all the same.
        print(error, flush=True)
        status = 127
    took = time.monotonic() - began
    return Outcome(step, status, tuple(figures), took)


def _status(step: Step, env: Mapping[str, str], figures: list[str]) -> int:
    with subprocess.Popen(
        step.command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if figure := found(step, line.rstrip()):
                figures.append(figure)
    return process.returncode


def found(step: Step, line: str) -> str:
    """
    Return the figures of *step* in *line*, empty if there are none.
    """
    match = re.search(step.figures, line)
    return " ".join(filter(None, match.groups())) if match else ""


def report(outcomes: Iterable[Outcome]) -> str:
    """
    Return what became of all, for a terminal of eighty columns.
    """
    where = f"Python {platform.python_version()}, {os.cpu_count()} processors"
    lines = [f"Report: {where}, {time.strftime('%Y-%m-%d')}", ""]
    for outcome in outcomes:
        how = "".join(f", {key}={value}" for key, value in outcome.step.env.items())
        lines.append(f"{outcome.step.name:{INDENT}}{outcome.verdict}{how}")
        for figure in outcome.figures:
            lines += textwrap.wrap(
                figure,
                WIDTH,
                initial_indent=" " * INDENT,
                subsequent_indent=" " * (INDENT + 2),
            )
    return "\n".join(lines)


def main(python: str, *names: str) -> int:
    """
    Run what the command line names, or everything; return the exit status.
    """
    chosen = [step for step in steps(python) if not names or step.name in names]
    unknown = set(names) - {step.name for step in chosen}
    if unknown:
        known = ", ".join(step.name for step in steps(python))
        print(f"no such step: {', '.join(sorted(unknown))}; there are {known}")
        return 2
    status = prove(chosen)
    left_out = [step.name for step in steps(python) if step not in chosen]
    if left_out:
        print(f"Left out: {', '.join(left_out)}")
    return status


def prove(chosen: Sequence[Step]) -> int:
    """
    Run those steps, and print the report, also of a run that is interrupted.
    """
    outcomes: list[Outcome] = []
    try:
        for step in chosen:
            print(f"\n{step.name.capitalize()}\n", flush=True)
            outcomes.append(run(step))
    except KeyboardInterrupt:
        print(f"\n\n{report(outcomes)}")
        left = [step.name for step in chosen[len(outcomes) :]]
        print(f"Interrupted, not run to the end: {', '.join(left)}")
        return 130
    print(f"\n{report(outcomes)}")
    return int(not all(outcome.is_well for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
