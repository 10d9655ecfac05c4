"""
Show that the tests can fail: apply every deliberate breakage, one by one.

A breakage is a patch, ``tests/breakages/NAME.patch``, whose first lines say
what it breaks and which tests must notice::

    # the breaker forgets to count failures
    # test: tests/test_breaker.py::TestTrip::test_threshold
    # expect: hang        (if the test cannot fail in any other way)
    # limit: 20           (seconds until a run counts as hung; 120)

Without a ``test`` line the whole suite must notice. Each is applied to a copy
of the source. Caught means that a test failed: a file that no longer imports,
a patch that no longer applies, an error in a fixture are no proof of anything.
"""

from __future__ import annotations

import argparse
import enum
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


#: What the tests may look at.
SHIPPED = ("benchmarks", "docs", "examples", "src", "tests", "tools")
SHIPPED_FILES = ("CONTRIBUTING.md", "Makefile", "README.md", "pyproject.toml")
HUNG = -1


class Answer(enum.Enum):
    """
    Say how a breakage fared.
    """

    CAUGHT = "caught"
    SURVIVED = "NOT CAUGHT"
    BROKEN = "BROKEN"


@dataclass(frozen=True)
class Breakage:
    """
    One patch, and what its header says.
    """

    name: str
    path: Path
    tests: tuple[str, ...]
    expects_hang: bool
    limit: float

    @classmethod
    def read(cls, path: Path, limit: float) -> Breakage:
        """
        Read the header of the patch at *path*.
        """
        said: dict[str, list[str]] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            key, colon, value = line.lstrip("# ").partition(":")
            if colon:
                said.setdefault(key, []).append(value.strip())
        return cls(
            name=path.stem,
            path=path,
            tests=tuple(said.get("test", ())),
            expects_hang=said.get("expect") == ["hang"],
            limit=float(said.get("limit", [limit])[0]),
        )


@dataclass(frozen=True)
class Run:
    """
    What pytest said.
    """

    code: int
    output: str

    @property
    def failed(self) -> list[str]:
        """
        The tests that failed, as pytest lists them.
        """
        return re.findall(r"^FAILED (\S+)", self.output, re.MULTILINE)

    @property
    def ending(self) -> str:
        """
        The last line that says something.
        """
        lines = [line for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else "no output"


@dataclass(frozen=True)
class Verdict:
    """
    How one breakage fared, and the particulars.
    """

    breakage: Breakage
    answer: Answer
    detail: str


class Prover:
    """
    Try breakages on copies of the project at *root*.
    """

    def __init__(self, root: Path, workshop: Path) -> None:
        self.root = root
        self.workshop = workshop
        self.unbroken = workshop / "(unbroken)"

    def ship(self) -> Path:
        """
        Copy what is shipped: the unbroken project, from which the others come.
        """
        self.unbroken.mkdir()
        leave_out = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        for folder in SHIPPED:
            if (self.root / folder).is_dir():
                target = self.unbroken / folder
                shutil.copytree(self.root / folder, target, ignore=leave_out)
        for file in SHIPPED_FILES:
            if (self.root / file).is_file():
                shutil.copy2(self.root / file, self.unbroken / file)
        return self.unbroken

    def copy(self, name: str) -> Path:
        """
        Copy the unbroken project, with the bytecode its run has left.
        """
        leave_out = shutil.ignore_patterns(".*")
        return Path(
            shutil.copytree(self.unbroken, self.workshop / name, ignore=leave_out)
        )

    def pytest(self, copy: Path, tests: Sequence[str], limit: float) -> Run:
        """
        Run *tests* in *copy*, or all; kill them after *limit* seconds.
        """
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-rf", "--tb=no"]
        command += ["-p", "no:cacheprovider", "-o", "faulthandler_timeout=0", *tests]
        # Before the installed package: that one is not broken.
        env = {**os.environ, "PYTHONPATH": str(copy / "src"), "COLUMNS": "400"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        with subprocess.Popen(
            command,
            cwd=copy,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                # With whatever it started: the tests fork.
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                return Run(HUNG, output)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Run(process.returncode, output)

    def apply(self, breakage: Breakage, copy: Path) -> str | None:
        """
        Apply the patch in *copy*; return what went wrong, if anything did.
        """
        # In a repository's subfolder git would skip every file, silently.
        env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
        done = subprocess.run(
            ["git", "apply", str(breakage.path)],
            cwd=copy,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return None if done.returncode == 0 else done.stderr.strip().splitlines()[0]

    def sound(self, breakages: Iterable[Breakage], limit: float) -> set[str]:
        """
        Return the names of those whose tests pass as long as nothing is broken.
        """
        breakages = list(breakages)
        copy = self.ship()
        tests = sorted({test for one in breakages for test in one.tests})
        if not all(one.tests for one in breakages):
            tests = []
        if self.pytest(copy, tests, limit * 5).code == 0:
            return {one.name for one in breakages}
        return {
            one.name
            for one in breakages
            if self.pytest(copy, one.tests, limit).code == 0
        }

    def prove(self, breakage: Breakage) -> Verdict:
        """
        Break a copy, and see whether the tests notice.
        """
        copy = self.copy(breakage.name)
        try:
            problem = self.apply(breakage, copy)
            if problem is not None:
                return Verdict(breakage, Answer.BROKEN, f"does not apply: {problem}")
            run = self.pytest(copy, breakage.tests, breakage.limit)
            answer, detail = judge(breakage, run)
            if answer is Answer.CAUGHT and run.failed:
                # Once more, lest it was a test that now and then fails for no reason.
                again = self.pytest(copy, breakage.tests, breakage.limit)
                answer, _ = judge(breakage, again)
                if answer is not Answer.CAUGHT:
                    detail = f"the second time, after {detail}"
            return Verdict(breakage, answer, detail)
        finally:
            shutil.rmtree(copy)

    def prove_all(
        self, breakages: Sequence[Breakage], *, jobs: int, limit: float
    ) -> Iterator[Verdict]:
        """
        Try all, *jobs* at a time, in order.
        """
        sound = self.sound(breakages, limit)
        with ThreadPoolExecutor(jobs) as pool:
            try:
                yield from pool.map(
                    lambda one: (
                        self.prove(one)
                        if one.name in sound
                        else Verdict(one, Answer.BROKEN, "its tests fail unbroken")
                    ),
                    breakages,
                )
            finally:
                pool.shutdown(cancel_futures=True)


def kind_of(verdict: Verdict) -> str:
    """
    Say what sort of check caught a breakage, by where its test lives.
    """
    where = verdict.detail
    if "::" not in where:
        # It hung, and tells nothing.
        where = " ".join(verdict.breakage.tests)
    if "tests/interleavings" in where:
        return "schedules"
    if "tests/models" in where:
        return "models"
    if "tests/test_stress" in where:
        return "stress"
    if "::TestLaws" in where or "::TestGuarantees" in where:
        return "laws"
    return "unit tests"


def judge(breakage: Breakage, run: Run) -> tuple[Answer, str]:
    """
    Say what *run* means for *breakage*.
    """
    if run.code == HUNG:
        if breakage.expects_hang:
            return Answer.CAUGHT, "hung, as expected"
        return Answer.BROKEN, f"hung for {breakage.limit:g} s"
    if run.code == 0:
        return Answer.SURVIVED, run.ending
    if run.code == 1 and run.failed:
        return Answer.CAUGHT, ", ".join(run.failed)
    return Answer.BROKEN, f"no test failed, but status {run.code}: {run.ending}"


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Prove what the command line names, or everything; return the exit status.
    """
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").strip().partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", help="breakages; none: all")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds a run")
    options = parser.parse_args(arguments)

    root = options.root.resolve()
    folder = root / "tests" / "breakages"
    breakages = [Breakage.read(path, options.limit) for path in folder.glob("*.patch")]
    breakages.sort(key=lambda one: one.name)
    if options.names:
        unknown = set(options.names) - {one.name for one in breakages}
        if unknown:
            parser.error(f"no such breakage: {', '.join(sorted(unknown))}")
        breakages = [one for one in breakages if one.name in options.names]
    if not breakages:
        print("There is nothing to prove:", folder, "holds no patch.")
        return 1

    width = max(len(one.name) for one in breakages)
    counts = dict.fromkeys(Answer, 0)
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="prove-") as workshop:
        prover = Prover(root, Path(workshop))
        verdicts = prover.prove_all(breakages, jobs=options.jobs, limit=options.limit)
        for verdict in verdicts:
            counts[verdict.answer] += 1
            if verdict.answer is Answer.CAUGHT:
                kinds[kind_of(verdict)] += 1
            shown = f"{verdict.breakage.name:{width}}  {verdict.answer.value:10}"
            print(f"{shown}  {verdict.detail}", flush=True)
    print(
        f"\n{len(breakages)} breakages: {counts[Answer.CAUGHT]} caught,"
        f" {counts[Answer.SURVIVED]} not caught, {counts[Answer.BROKEN]} broken"
    )
    if kinds:
        print("caught by", ", ".join(f"{kind}: {n}" for kind, n in kinds.most_common()))
    return 0 if counts[Answer.CAUGHT] == len(breakages) else 1


if __name__ == "__main__":
    sys.exit(main())
