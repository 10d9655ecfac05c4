"""
Mutate the code, and see that tests notice.

    mutants.py [--report] [PART ...]

mutmut changes one operator, constant or argument at a time, and runs the tests
that come by there. Each part of the code has a folder below ``build/mutants``:
who stops a run goes on with it next time, and who changes a function has its
mutants tried anew. What survives is tried again, put into the source by itself,
by the tests that cannot run in mutmut's wrappers and by those that explore
interleavings. Ends with what survives that as well, and fails if
``tests/survivors.toml`` does not say of each why no test could notice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "mutants"
SURVIVORS = ROOT / "tests" / "survivors.toml"

#: mutmut wraps every function, so a step is no longer what it was, a signature
#: and a place in the code are the wrapper's, and a million calls take long.
#: These tests would fail, or never end, without any mutant.
STEPS = ("reentered", "interrupted", "Interruptions", "ctrl_c")
#: In mutmut's process these bring the interpreter down.
ALONE = ("fork", "freezegun")
#: Where a mutant is tried again, besides the tests of its own file.
AGAIN = ("interleavings", *ALONE)
SKIPPED = (
    *STEPS,
    "shown_as_such",
    "agrees_on_its_size",
    "definitions_must_agree",
    "name_both_places",
    "hundred_thousand",
    "million_grants",
    "16_threads_and_50_tasks",
)

#: For how many seconds a mutant is tried again.
LIMIT = 60

#: How often to say how far it is, in seconds.
MINUTE = 60

#: What mutmut calls the end of a mutant that was noticed.
NOTICED = frozenset({"killed", "timeout", "segfault"})


#: And of one that was not; any other has not been tried yet.
TRIED = frozenset({"survived", "no tests"})


@dataclass(frozen=True)
class Part:
    """
    Name files, and the tests that are to notice what is wrong with them.
    """

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """
        Where it is worked on.
        """
        return FOLDER / self.name


PARTS = (
    Part(
        "core",
        ("_core/*",),
        (
            "core",
            "models",
            "test_breaker.py",
            "test_breaker_time.py",
            "test_limiter.py",
            "test_reservation.py",
        ),
    ),
    Part(
        "shells",
        (
            "_breaker",
            "_counter",
            "_keyed",
            "_limiter",
            "_registry",
            "_set",
            "_waiting",
        ),
        (
            "models",
            "test_breaker.py",
            "test_breaker_threads.py",
            "test_breaker_time.py",
            "test_counter.py",
            "test_decision.py",
            "test_decorators.py",
            "test_decorators_iteration.py",
            "test_decorators_kinds.py",
            "test_guard.py",
            "test_instance.py",
            "test_keyed.py",
            "test_limiter.py",
            "test_registry.py",
            "test_registry_layers.py",
            "test_registry_objections.py",
            "test_registry_reload.py",
            "test_reservation.py",
            "test_set.py",
            "test_shared_limiter.py",
            "test_waiting.py",
            "test_waiting_loops.py",
            "testing/test_isolation.py",
        ),
    ),
)


@dataclass(frozen=True)
class Mutant:
    """
    Say what was changed where, and what became of it.
    """

    key: str
    status: str

    @property
    def function(self) -> str:
        """
        The function's name, with its module and class.
        """
        module, _, name = self.key.rpartition(".")
        name = name.rpartition("__mutmut_")[0]
        name = name.removeprefix("x").removeprefix("_").strip("ǁ").replace("ǁ", ".")
        return f"{module.removeprefix('switchgear.')}.{name}"


def prepare(part: Part) -> None:
    """
    Bring the folder of *part* up to date.
    """
    part.folder.mkdir(parents=True, exist_ok=True)
    for name in ("src", "tests"):
        shutil.rmtree(part.folder / name, ignore_errors=True)
        shutil.copytree(ROOT / name, part.folder / name)
    skipped = " and ".join(f"not {name}" for name in SKIPPED)
    tests = [f"tests/{name}" for name in part.tests]
    sources = [f"src/switchgear/{name}.py" for name in part.sources]
    arguments = ["-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    # At most twice what all tests of a function take, which is 20 s at the most.
    table = f"""
[tool.mutmut]
source_paths = ["src"]
only_mutate = {sources}
pytest_add_cli_args = {[*arguments, "-k", skipped]}
pytest_add_cli_args_test_selection = {tests}
timeout_multiplier = 2
timeout_constant = 10
track_dependencies = false
"""
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (part.folder / "pyproject.toml").write_text(settings + table, encoding="utf-8")


def mutmut(part: Part, *arguments: str) -> str:
    """
    Return what mutmut says.
    """
    return subprocess.check_output(
        [_command(), *arguments],
        cwd=part.folder,
        encoding="utf-8",
        stderr=subprocess.STDOUT,
    )


def run(part: Part) -> bool:
    """
    Try the mutants of *part* that are left; answer whether that went well.

    If the tests have changed, those that survived are tried once more.
    """
    note = part.folder / "tests.sha256"
    tests = _digest(ROOT / "tests")
    survivors: list[str] = []
    if note.exists() and note.read_text(encoding="utf-8") != tests:
        survivors = [one.key for one in results(part) if one.status in TRIED]
        (part.folder / "second.json").unlink(missing_ok=True)
    prepare(part)
    if not _run(part) or (survivors and not _run(part, *survivors)):
        return False
    note.write_text(tests, encoding="utf-8")
    return True


def _run(part: Part, *names: str) -> bool:
    log = part.folder / "log"
    # One more than there are processors: some mutants wait for what never comes.
    children = str((os.cpu_count() or 1) + 1)
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [_command(), "run", "--max-children", children, *names],
            cwd=part.folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        told_at = 0.0
        while process.poll() is None:
            time.sleep(1)
            counts = re.findall(rb"(\d+/\d+)  ", log.read_bytes())
            if counts and time.monotonic() - told_at > MINUTE:
                told_at = time.monotonic()
                print(f"{part.name}: {counts[-1].decode()}", flush=True)
    if process.returncode:
        print(log.read_text(encoding="utf-8", errors="replace")[-3_000:])
    return process.returncode == 0


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def results(part: Part) -> list[Mutant]:
    """
    Return what is known of the mutants of *part*.
    """
    said = mutmut(part, "results", "--all", "true")
    found = re.findall(r"^\s*(switchgear\.\S+): (.+)$", said, re.MULTILINE)
    return [Mutant(key, status.strip()) for key, status in found]


def change(part: Part, mutant: Mutant) -> str:
    """
    Return in one line what *mutant* changes: function, what it was, what it is.
    """
    lines = mutmut(part, "show", mutant.key).splitlines()
    sides = [
        " ".join(
            line[1:].strip()
            for line in lines
            if line.startswith(sign) and not line.startswith(sign * 3)
        )
        for sign in "-+"
    ]
    return f"{mutant.function}: {sides[0]} -> {sides[1]}"


class SecondTry:
    """
    Try what survived again, without wrappers; remember what came of it.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._path = part.folder / "second.json"
        self._noticed: dict[str, bool] = {}
        if self._path.exists():
            self._noticed = json.loads(self._path.read_text(encoding="utf-8"))
        self._lock = Lock()

    def notices(self, mutant: Mutant, change: str) -> bool:
        """
        Answer whether a test notices *change*, which *mutant* is about.
        """
        if change not in self._noticed:
            noticed = self._try(mutant)
            with self._lock:
                self._noticed[change] = noticed
                text = json.dumps(self._noticed, indent=1, ensure_ascii=False)
                self._path.write_text(text, encoding="utf-8")
        return self._noticed[change]

    def _try(self, mutant: Mutant) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            for name in ("src", "tests"):
                shutil.copytree(ROOT / name, copy / name)
            shutil.copy(ROOT / "pyproject.toml", copy)
            file = self._file(mutant)
            with self._lock:
                mutmut(self._part, "apply", mutant.key)
                shutil.move(self._part.folder / file, copy / file)
                shutil.copy(ROOT / file, self._part.folder / file)
            command = [sys.executable, "-m", "pytest", "-x", "-q"]
            command += ["-p", "no:cacheprovider"]
            command += ["-k", " or ".join([*STEPS, *AGAIN, f"test{file.stem}"])]
            tests = sorted({*self._part.tests, *(f"test_{one}.py" for one in ALONE)})
            command += [f"tests/{name}" for name in tests]
            try:
                ended = subprocess.run(
                    [*command, "tests/interleavings"],
                    cwd=copy,
                    env={**os.environ, "PYTHONPATH": str(copy / "src")},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                    timeout=LIMIT,
                )
            except subprocess.TimeoutExpired:
                return False
            return ended.returncode == 1

    def _file(self, mutant: Mutant) -> Path:
        module = mutant.key.rpartition(".")[0]
        return Path("src", *module.split(".")).with_suffix(".py")


class Explanations:
    """
    Know why some mutants survive.
    """

    def __init__(self, path: Path) -> None:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        self.mutants: set[str] = set()
        self.patterns: list[re.Pattern[str]] = []
        for group in table.get("survivors", []):
            if not group["why"].strip():
                msg = f"{path}: without a reason: {group}"
                raise ValueError(msg)
            self.mutants.update(group.get("mutants", ()))
            self.patterns += map(re.compile, group.get("patterns", ()))

    def explain(self, change: str) -> bool:
        """
        Answer whether it is known why *change* survives.
        """
        return change in self.mutants or any(
            pattern.fullmatch(change) for pattern in self.patterns
        )


def report(part: Part, explanations: Explanations) -> bool:
    """
    Print what became of the mutants of *part*; answer whether all is well.
    """
    mutants = results(part)
    left = [one for one in mutants if one.status not in NOTICED]
    second = SecondTry(part)

    def explained(mutant: Mutant) -> tuple[str, bool, bool]:
        text = change(part, mutant)
        is_explained = explanations.explain(text)
        may_try = mutant.status in TRIED and not is_explained
        return text, is_explained, may_try and second.notices(mutant, text)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tried = list(pool.map(explained, left))
    again = sum(is_noticed for _, _, is_noticed in tried)
    unexplained = [
        (mutant, text)
        for mutant, (text, *is_known) in zip(left, tried, strict=True)
        if not any(is_known)
    ]
    by_file = Counter(one.key.rsplit(".", 1)[0] for one in mutants)
    noticed = Counter(
        one.key.rsplit(".", 1)[0] for one in mutants if one.status in NOTICED
    )
    print(f"\n{part.name}: {len(mutants)} mutants")
    for name, count in sorted(by_file.items()):
        file = name.removeprefix("switchgear.")
        survived = count - noticed[name]
        print(f"  {file:20} {count:5}  noticed {noticed[name]:5}  left {survived:3}")
    timeouts = sum(one.status == "timeout" for one in mutants)
    print(
        f"  noticed: {sum(noticed.values())}, {timeouts} of them by taking too long;"
        f" {again} more without wrappers; survived: {len(left) - again},"
        f" not explained: {len(unexplained)}"
    )
    for one, text in unexplained:
        print(f"    {one.status}: {text}")
    return bool(mutants) and not unexplained


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run and report; return the exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("parts", nargs="*", help="which parts, if not all")
    parser.add_argument(
        "--report", action="store_true", help="say only what is known already"
    )
    options = parser.parse_args(arguments)
    parts = _chosen(options.parts)
    explanations = Explanations(SURVIVORS)
    is_well = True
    for part in parts:
        if not options.report and not run(part):
            return 1
        is_well = report(part, explanations) and is_well
    return 0 if is_well else 1


def _chosen(names: Iterable[str]) -> list[Part]:
    known = {part.name: part for part in PARTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        msg = f"no such part: {', '.join(unknown)}; there are {', '.join(known)}"
        raise SystemExit(msg)
    return [known[name] for name in names] or list(PARTS)


def _command() -> Path:
    return Path(sys.executable).with_name("mutmut")


if __name__ == "__main__":
    sys.exit(main())
