"""
Mutate the code, and see that tests notice.

    mutants.py [--report | --fresh] [--doubt] [PART ...]

mutmut changes one operator, constant or argument at a time, and runs the tests
that come by there. Each part of the code has a folder below ``build/mutants``:
who stops a run goes on with it next time, and who changes a function has its
mutants tried anew; who changes anything, those that had survived. What was noticed
before is not tried again until ``--fresh``.

What survives, though ``tests/survivors.toml`` does not say why no test could notice
it, is tried again, put into the source by itself, by the tests that cannot run in
mutmut's wrappers, all those of its own file, and those that explore interleavings.
Ends with what survives that as well, and fails if there is any; or if a reason is
given for one that was noticed. With ``--doubt`` what has a reason is tried again as
well, which takes half an hour more.
"""

from __future__ import annotations

import argparse
import ast
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
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    _Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "mutants"
SURVIVORS = ROOT / "tests" / "survivors.toml"

#: Tests that count steps or frames, which are others in mutmut's wrappers.
STEPS = ("reentered", "interrupted", "Interruptions", "ctrl_c", "few_frames")

#: There a signature and a place in the code are the wrapper's as well, and a million
#: calls take long. These would fail, or never end, without any mutant.
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

#: For how many seconds a mutant is tried again, by each of two kinds of tests.
LIMIT = 60

#: How long one test may take in wrappers, in seconds. All together may take longer;
#: by itself none needs more than three on a machine that does nothing else.
PATIENCE = 15

#: How often to say how far it is, in seconds.
MINUTE = 60

#: What mutmut calls the end of a mutant that was noticed.
NOTICED = frozenset({"killed", "timeout", "segfault"})

#: And of one that was not; any other has not been tried yet.
TRIED = frozenset({"survived", "no tests"})

#: What pytest ends with if it was called wrongly, or found no test.
NO_TESTS = frozenset({4, 5})

#: Which interleavings are about a file; those of forks are about all of them.
INTERLEAVINGS = {
    "circuit": "breaker",
    "outcomes": "breaker",
    "windows": "breaker",
    "_breaker": "breaker",
    "_permit": "breaker",
    "_trip_unit": "breaker",
    "place": "limiter",
    "queue": "limiter",
    "rooms": "limiter",
    "rate": "limiter",
    "token_bucket": "limiter",
    "_limiter": "limiter",
    "_reservation": "limiter",
    "_turnstile": "limiter",
    "_waiting": "limiter",
    "_counter": "counter",
    "_entry": "registry",
    "_keyed": "keyed",
    "_orders": "keyed",
    "_registry": "registry",
    "_set": "set",
    "_shown_key": "registry",
}

#: Tests of forks and of frozen clocks bring mutmut's own process down.
ALONE = ("fork", "freezegun")

#: What has nothing to do with any part: what is tried is tried without it.
ELSEWHERE = ("breakages", "cli", "demo", "docs", "http", "typing")

#: Says in its own process, as mutmut goes by the working directory, what mutants
#: change: their names come in, and their differences go out.
DIFFERENCES = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
json.dump({key: get_diff_for_mutant(key) for key in json.load(sys.stdin)}, sys.stdout)
"""


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


#: Those of a limiter, a breaker and a registry, and of what they are made of.
SHELL_TESTS = (
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
    "test_shown_key.py",
    "test_waiting.py",
    "test_waiting_loops.py",
    "testing/test_isolation.py",
)

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
            "_orders",
            "_registry",
            "_set",
            "_shown_key",
            "_waiting",
        ),
        SHELL_TESTS,
    ),
    Part(
        "inside",
        ("_entry", "_permit", "_reservation", "_trip_unit", "_turnstile"),
        SHELL_TESTS,
    ),
)


@dataclass(frozen=True)
class Mutant:
    """
    Say what was changed where, and what became of it.
    """

    key: str
    status: str
    difference: str = ""
    #: Counted among those that read alike.
    number: int = 1

    @property
    def file(self) -> Path:
        """
        The file it is in, from the root of the project.
        """
        module = self.key.rpartition(".")[0]
        return Path("src", *module.split(".")).with_suffix(".py")

    @property
    def names(self) -> list[str]:
        """
        The names of its class, if any, and of its function.
        """
        name = self.key.rpartition(".")[2].rpartition("__mutmut_")[0]
        if name.startswith("xǁ"):
            return name.removeprefix("xǁ").split("ǁ")
        return [name.removeprefix("x_")]

    @property
    def text(self) -> str:
        """
        In one line: the function, what it was, what it is.
        """
        module = self.key.rpartition(".")[0].removeprefix("switchgear.")
        lines = self.difference.splitlines()
        was, now = (
            " ".join(
                line[1:].strip()
                for line in lines
                if line.startswith(sign) and not line.startswith(sign * 3)
            )
            for sign in "-+"
        )
        which = "" if self.number == 1 else f" ({self.number})"
        return f"{'.'.join([module, *self.names])}: {was} -> {now}{which}"


def mutated(source: str, mutant: Mutant) -> str:
    """
    Return *source*, changed as *mutant* is.

    Raises ValueError if its difference does not fit the function.
    """
    node = _named(ast.parse(source), mutant.names)
    lines = source.splitlines()
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    # What stands above a function belongs to it.
    while first and lines[first - 1].strip()[:1] in {"", "#"}:
        first -= 1
    # From the end, so that the places of the others stay.
    for hunk in re.split(r"(?m)^@@.*\n", mutant.difference)[:0:-1]:
        told = [(line[:1], line[1:]) for line in hunk.splitlines()]
        # Docstrings are told as they stand, all else as if it stood by itself.
        before = [line.strip() for sign, line in told if sign != "+"]
        places = [
            at
            for at in range(first, last - len(before) + 1)
            if [line.strip() for line in lines[at : at + len(before)]] == before
        ]
        if len(places) != 1:
            msg = f"it fits {len(places)} places: {mutant.key}\n{mutant.difference}"
            raise ValueError(msg)
        at = places[0]
        for sign, line in told:
            if sign == "+":
                lines.insert(at, " " * node.col_offset + line)
                at += 1
            elif sign == "-":
                del lines[at]
            else:
                at += 1
    return "\n".join([*lines, ""])


def _named(node: ast.Module | _Definition, names: Sequence[str]) -> _Definition:
    """
    Return the function of those names, class first.
    """
    name, *others = names
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [one for one in node.body if isinstance(one, kinds) and one.name == name]
    # Of overloads the last is the one that runs.
    return _named(found[-1], others) if others else found[-1]


def prepare(part: Part) -> None:
    """
    Bring the folder of *part* up to date.
    """
    part.folder.mkdir(parents=True, exist_ok=True)
    for name in ("src", "tests"):
        shutil.rmtree(part.folder / name, ignore_errors=True)
        copy_what_matters(name, part.folder)
    skipped = " and ".join(f"not {name}" for name in SKIPPED)
    tests = [f"tests/{name}" for name in part.tests]
    sources = [f"src/switchgear/{name}.py" for name in part.sources]
    arguments = ["-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    # It ends the process. Left to mutmut, who waits for what never comes would be
    # waited for as long as for all tests.
    arguments += ["-o", f"faulthandler_timeout={PATIENCE}"]
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

    If tests or code have changed, it is looked anew which tests come by where, and
    those that survived are tried once more.
    """
    note = part.folder / "state.sha256"
    state = _digest(ROOT / "tests") + _digest(ROOT / "src")
    survivors: list[str] = []
    if (part.folder / "mutants").exists():
        known = note.read_text(encoding="utf-8") if note.exists() else ""
        if known != state:
            survivors = [one.key for one in results(part) if one.status in TRIED]
            # mutmut itself asks new tests only.
            (part.folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    prepare(part)
    if not _run(part) or (survivors and not _run(part, *survivors)):
        return False
    note.write_text(state, encoding="utf-8")
    return True


def try_again(part: Part, known: set[str]) -> bool:
    """
    Try once more what ended oddly.

    That is, what was noticed though it is among those that are explained: it may have
    been a test that failed for no reason, on a busy machine. And what ended neither
    so nor so: where no stack is left, a process may end with one signal or another.
    """
    odd = [
        one.key
        for one in results(part)
        if (one.status in NOTICED and one.text in known)
        or one.status not in NOTICED | TRIED
    ]
    # One at a time, lest we are what keeps it busy.
    return not odd or _run(part, *odd, children=1)


def _run(part: Part, *names: str, children: int | None = None) -> bool:
    log = part.folder / "log"
    if children is None:
        # Twice as many as there are processors: some wait for what never comes.
        children = 2 * (os.cpu_count() or 1)
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [_command(), "run", "--max-children", str(children), *names],
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


def copy_what_matters(name: str, folder: Path) -> None:
    """
    Copy the folder called *name* into *folder*, but for what is elsewhere.
    """
    ignored = shutil.ignore_patterns(*ELSEWHERE, "__pycache__")
    shutil.copytree(ROOT / name, folder / name, ignore=ignored)


def _digest(folder: Path) -> str:
    """
    Return what changes when something changes there that matters.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        if not set(ELSEWHERE).intersection(path.relative_to(folder).parts):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def results(part: Part) -> list[Mutant]:
    """
    Return what is known of the mutants of *part*, in order.
    """
    said = mutmut(part, "results", "--all", "true")
    found = re.findall(r"^\s*(switchgear\.\S+): (.+)$", said, re.MULTILINE)
    told = subprocess.run(
        [sys.executable, "-c", DIFFERENCES],
        input=json.dumps([key for key, _ in found]),
        capture_output=True,
        check=True,
        cwd=part.folder,
        encoding="utf-8",
    )
    differences = json.loads(told.stdout)
    alike: Counter[str] = Counter()
    mutants = []
    for key, status in found:
        mutant = Mutant(key, status.strip(), differences[key])
        alike[mutant.text] += 1
        mutants.append(replace(mutant, number=alike[mutant.text]))
    return mutants


def durations(part: Part) -> dict[str, float]:
    """
    Return for how many seconds mutants of *part* were tried.
    """
    found: dict[str, float] = {}
    for path in (part.folder / "mutants").rglob("*.meta"):
        found |= json.loads(path.read_text(encoding="utf-8"))["durations_by_key"]
    return found


class SecondTry:
    """
    Try what survived again, without wrappers; remember what came of it.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._path = part.folder / "second.json"
        self._known: dict[str, bool] = {}
        if self._path.exists():
            self._known = json.loads(self._path.read_text(encoding="utf-8"))
        #: What was tried holds for these tests and this source.
        self._state = _digest(ROOT / "tests") + _digest(ROOT / "src")
        self._lock = Lock()

    def notices(self, mutant: Mutant) -> bool | None:
        """
        Answer whether a test notices *mutant*; None if that takes too long.
        """
        source = (ROOT / mutant.file).read_text(encoding="utf-8")
        changed = mutated(source, mutant)
        noticed = self._is_red(mutant.file, changed, mutant.key)
        if not noticed:
            return noticed
        if self._is_red(mutant.file, source, "") is not False:
            msg = f"{mutant.file}: the tests fail, or hang, without any mutant"
            raise RuntimeError(msg)
        # Once more, lest it was a test that now and then fails for no reason.
        return self._is_red(mutant.file, changed, f"{mutant.key} again")

    def _is_red(self, file: Path, source: str, key: str) -> bool | None:
        """
        Answer whether a test fails if *source* is in *file*.
        """
        about = f"{self._state} {key or file}"
        with self._lock:
            if about in self._known:
                return self._known[about]
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            for name in ("src", "tests"):
                copy_what_matters(name, copy)
            shutil.copy(ROOT / "pyproject.toml", copy)
            (copy / file).write_text(source, encoding="utf-8")
            red = self._fails(copy, file.stem, LIMIT if key else 10 * LIMIT)
        if red is not None:
            with self._lock:
                self._known[about] = red
                text = json.dumps(self._known, indent=1, ensure_ascii=False)
                self._path.write_text(text, encoding="utf-8")
        return red

    def _fails(self, copy: Path, stem: str, limit: float) -> bool | None:
        """
        Answer whether a test fails in *copy*, where each command has so many seconds.

        Raises RuntimeError if a command runs no test: it would notice nothing.
        """
        answer: bool | None = False
        for command in self._commands(stem):
            try:
                ended = subprocess.run(
                    command,
                    cwd=copy,
                    env={**os.environ, "PYTHONPATH": str(copy / "src")},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                    timeout=limit,
                )
            except subprocess.TimeoutExpired:
                answer = None
                continue
            if ended.returncode in NO_TESTS:
                msg = f"{' '.join(map(str, command))}: it runs no tests"
                raise RuntimeError(msg)
            # Failed, or brought down.
            if ended.returncode:
                return True
        return answer

    def _commands(self, stem: str) -> list[list[str]]:
        """
        Return what runs the tests that may notice something in that file.
        """
        own = f"test_{stem.lstrip('_')}"
        # Its own first: most are noticed there.
        steps = sorted(self._part.tests, key=lambda name: own not in name)
        schedules = [f"interleavings/test_{INTERLEAVINGS[stem]}.py"]
        schedules += [
            "interleavings/test_fork.py",
            *(f"test_{one}.py" for one in ALONE),
        ]
        run = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        # To show an endless recursion in pytest's own way takes a minute.
        run += ["--tb=native"]
        return [
            [*run, "-k", " or ".join(which), *(f"tests/{name}" for name in names)]
            for which, names in (
                ([own, *STEPS, *ALONE], steps),
                (["interleavings", *ALONE], schedules),
            )
        ]


def explanations(path: Path) -> set[str]:
    """
    Return the mutants of which it is said why they survive.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    known: set[str] = set()
    for group in table.get("survivors", []):
        if not group["why"].strip():
            msg = f"{path}: without a reason: {group}"
            raise ValueError(msg)
        known.update(group["mutants"])
    return known


def report(part: Part, known: set[str], *, doubt: bool = False) -> bool:
    """
    Print what became of the mutants of *part*; answer whether all is well.

    With *doubt* those that are explained are tried again like the others.
    """
    mutants = results(part)
    left = [
        one
        for one in mutants
        if one.status in TRIED and (doubt or one.text not in known)
    ]
    second = SecondTry(part)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        noticed = dict(zip(left, pool.map(second.notices, left), strict=True))

    def is_noticed(mutant: Mutant) -> bool:
        return mutant.status in NOTICED or noticed.get(mutant) is True

    problems = []
    for mutant in mutants:
        if mutant.status not in NOTICED | TRIED:
            problems.append(f"{mutant.status}: {mutant.text}")
        elif is_noticed(mutant) and mutant.text in known:
            problems.append(f"explained, but noticed: {mutant.text}")
        elif not is_noticed(mutant) and mutant.text not in known:
            slow = " (tried again, it took too long)" if noticed[mutant] is None else ""
            problems.append(f"{mutant.status}{slow}: {mutant.text}")

    print(f"\n{part.name}: {len(mutants)} mutants")
    for file in sorted({one.file for one in mutants}):
        there = [one for one in mutants if one.file == file]
        survived = sum(not is_noticed(one) for one in there)
        print(f"  {file.stem:16} {len(there):5}, survived {survived:3}")
    # Of these it may be that nothing was wrong, but the machine was busy.
    took = durations(part)
    late = sum(
        one.status in NOTICED and took.get(one.key, 0) > PATIENCE for one in mutants
    )
    again = sum(one is True for one in noticed.values())
    survived = sum(not is_noticed(one) for one in mutants)
    print(
        f"  noticed: {len(mutants) - survived}, {late} after more than {PATIENCE} s,"
        f" {again} without wrappers; survived: {survived}; problems: {len(problems)}"
    )
    for problem in problems:
        print(f"    {problem}")
    return bool(mutants) and not problems


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run and report; return the exit status.
    """
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0].strip()
    )
    parser.add_argument("parts", nargs="*", help="which parts, if not all")
    parser.add_argument(
        "--report", action="store_true", help="start no run, only report"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="forget what earlier runs have found"
    )
    parser.add_argument(
        "--doubt", action="store_true", help="try again what has a reason, too"
    )
    options = parser.parse_args(arguments)
    parts = _chosen(options.parts)
    known = explanations(SURVIVORS)
    is_well = True
    for part in parts:
        if options.fresh:
            shutil.rmtree(part.folder, ignore_errors=True)
        if not options.report and not (run(part) and try_again(part, known)):
            return 1
        is_well = report(part, known, doubt=options.doubt) and is_well
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
