"""
Run the tests on the default Python and on every other one that is found.

    test_everywhere.py PYTHON [pytest arguments]

As many at a time as there are processors. What the default one prints is shown
as it comes, that of the others once they are done. Ends with a line for each,
and names those it knows of but did not find.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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

#: What pytest says at the end, and what tests/conftest.py adds.
OUTCOME = re.compile(
    r"^=* ?(.*\d+ (?:passed|failed|error|skipped|deselected).*|no tests ran.*)$"
)
GIL = re.compile(r"^GIL: (on|off)$")


@dataclass
class Run:
    """
    Be one interpreter's run, and what came of it.
    """

    name: str
    version: str
    folder: str
    output: str = ""
    status: int | None = None

    def start(self, arguments: list[str], *, is_shown: bool) -> Run:
        """
        Run the tests to their end.
        """
        command = [f"{self.folder}/bin/python", "-m", "pytest", "-q", *arguments]
        chunks: list[bytes] = []
        with subprocess.Popen(
            command,
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
        return self

    @property
    def outcome(self) -> str:
        """
        What pytest said last, and whether there was a GIL if there need not be.
        """
        lines = self.output.splitlines()
        said = [
            found[1].rstrip(" =") for line in lines if (found := OUTCOME.match(line))
        ]
        outcome = said[-1] if said else f"ended with status {self.status}"
        gil = [found[1] for line in lines if (found := GIL.match(line))]
        return f"{outcome}, GIL {gil[-1]}" if gil else outcome


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
            yield run or Run(name, "", "", status=1)


def main(python: str, *arguments: str) -> int:
    """
    Run them all; return the exit status.
    """
    first = prepared(".venv", python, "dev")
    if first is None:
        return 1
    rest = list(others(first.name))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        show(f"\nPython {first.name} ({first.version})\n")
        running = [pool.submit(first.start, list(arguments), is_shown=True)]
        running += [
            pool.submit(one.start, list(arguments), is_shown=False)
            for one in rest
            if one.folder
        ]
        running[0].result()
        for done in running[1:]:
            run = done.result()
            show(f"\nPython {run.name} ({run.version})\n{run.output}")

    print("\nTests, by interpreter:")
    runs = [first, *rest]
    for run in runs:
        outcome = run.outcome if run.folder else "its environment could not be set up"
        print(f"  {run.name:6} {run.version:9} {outcome}")
    missing = [name for name in KNOWN if name not in {run.name for run in runs}]
    if missing:
        print("  not found:", *missing)
    return int(any(run.status for run in runs))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
