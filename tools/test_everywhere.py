"""
Run the tests on the default Python and on every other one that is found.

    test_everywhere.py PYTHON [pytest arguments]

In two halves each, unless there are arguments, as many at a time as there are
processors. All but the first leave out what is about this repository rather than
about a Python, and take samples of schedules, and stories, a quarter as large. What
comes first is shown as it comes, the rest once it is done. Ends with a line for each,
and names those it knows of but did not find.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast


if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader


TOOLS = Path(__file__).parent
KNOWN = ("3.11", "3.12", "3.13", "3.13t", "3.14", "3.14t")

NAME = """
import platform, sys, sysconfig
free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(f"3.{sys.version_info.minor}{free}", platform.python_version())
"""

#: What is about this repository, the same for every Python; the demo, which sleeps
#: most of its time, uses nothing that is not tested elsewhere.
ONCE = (
    "tests/docs",
    "tests/test_breakages.py",
    "tests/test_demo.py",
    "tests/test_everywhere.py",
    "tests/test_mutants.py",
    "tests/test_prove.py",
)

#: One half on the first Python, and on each other; the second is all the rest. They
#: take about as long, so that no processor waits for another.
SLOW = ("tests/docs", "tests/interleavings", "tests/test_demo.py")
SLOW_ELSEWHERE = (
    "tests/http",
    "tests/interleavings",
    "tests/testing",
)

#: How deep the others look, unless it is said: see tests/depth.py.
SHALLOW = "0.25"

#: What pytest says at the end, and what tests/conftest.py adds.
OUTCOME = re.compile(r"^=* ?(\d+ (?:passed|failed|error|skipped|deselected).*)$")
COLOUR = re.compile(r"\x1b\[[\d;]*m")
COUNT = re.compile(r"(\d+) ([a-z]+)")
GIL = re.compile(r"^GIL: (on|off)$")


@dataclass
class Part:
    """
    Be one call of pytest, and what came of it.
    """

    arguments: tuple[str, ...]
    depth: str | None = None
    output: str = ""
    status: int | None = None

    def run(self, folder: str, *, is_shown: bool) -> None:
        """
        Run the tests to their end.
        """
        command = [f"{folder}/bin/python", "-m", "pytest", "-q", *self.arguments]
        chunks: list[bytes] = []
        environment = dict(os.environ)
        if self.depth is not None:
            environment.setdefault("DEPTH", self.depth)
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            pipe = cast("BufferedReader", process.stdout)
            while chunk := pipe.read1():
                chunks.append(chunk)
                if is_shown:
                    show(chunk.decode(errors="replace"))
        self.output = b"".join(chunks).decode(errors="replace")
        self.status = process.returncode


@dataclass
class Run:
    """
    Be one interpreter's run; without a folder, there is none.
    """

    name: str
    version: str
    folder: str
    parts: list[Part] = field(default_factory=list)

    @property
    def title(self) -> str:
        """
        What stands above its output.
        """
        return f"\nPython {self.name} ({self.version})\n"

    @property
    def is_well(self) -> bool:
        """
        Whether all of it passed, without the GIL where there need not be one.
        """
        passed = bool(self.parts) and all(part.status == 0 for part in self.parts)
        # Said only where it could be off.
        return passed and "GIL: on" not in self.outcome

    @property
    def outcome(self) -> str:
        """
        How many passed and did not, and whether there was a GIL if there need not be.
        """
        if not self.folder:
            return "its environment could not be set up"
        counts: Counter[str] = Counter()
        others: list[str] = []
        for part in self.parts:
            lines = COLOUR.sub("", part.output).splitlines()
            found = [match[1] for line in lines if (match := OUTCOME.match(line))]
            if found:
                for number, what in COUNT.findall(found[-1].split(" in ")[0]):
                    counts[what] += int(number)
            if not found or part.status not in {0, 1}:
                others.append(f"ended with status {part.status}")
            others += [match[0] for line in lines if (match := GIL.match(line))]
        said = [f"{number} {what}" for what, number in counts.items()]
        return ", ".join([*said, *dict.fromkeys(others)])


def parts_of(arguments: tuple[str, ...], *, is_first: bool) -> list[Part]:
    """
    Return what to run on one of them.
    """
    if arguments:
        return [Part(arguments)]
    slow, left_out = (SLOW, ()) if is_first else (SLOW_ELSEWHERE, ONCE)
    rest = ("tests", *(f"--ignore={one}" for one in (*slow, *left_out)))
    return [Part(half, None if is_first else SHALLOW) for half in (slow, rest)]


def show(text: str) -> None:
    """
    Print *text* at once.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def prepared(folder: str, python: str, group: str) -> Run | None:
    """
    Set an environment up; None if that fails.
    """
    made = subprocess.run(
        [TOOLS / "make-venv", folder, python, group],
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if made.returncode:
        return None
    said = subprocess.check_output([f"{folder}/bin/python", "-c", NAME], text=True)
    name, version = said.split()
    return Run(name, version, folder)


def others(default: str) -> Iterator[Run]:
    """
    Set up an environment for every other Python.
    """
    found = subprocess.check_output([TOOLS / "find-pythons"], text=True)
    for line in found.splitlines():
        name, python = line.split(" ", 1)
        if name != default:
            run = prepared(f".venv-{name}", python, "test")
            yield run or Run(name, "", "")


def main(python: str, *arguments: str) -> int:
    """
    Run them all; return the exit status.
    """
    first = prepared(".venv", python, "dev")
    if first is None:
        return 1
    runs = [first, *others(first.name)]
    for run in runs:
        if run.folder:
            run.parts = parts_of(arguments, is_first=run is first)
    jobs = [(run, part) for run in runs for part in run.parts]
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        show(first.title)
        running = [
            pool.submit(part.run, run.folder, is_shown=number == 0)
            for number, (run, part) in enumerate(jobs)
        ]
        for number, (done, (run, part)) in enumerate(zip(running, jobs, strict=True)):
            done.result()
            if number:
                show(f"{run.title}{part.output}")
    finally:
        # After Ctrl-C nothing more begins.
        pool.shutdown(cancel_futures=True)

    print("\nTests, by interpreter:")
    for run in runs:
        print(f"  {run.name:6} {run.version:9} {run.outcome}")
    missing = [name for name in KNOWN if name not in {run.name for run in runs}]
    if missing:
        print("  not found:", *missing)
    return int(not all(run.is_well for run in runs))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
