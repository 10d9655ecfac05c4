"""
What is known of mutants, without trying any: that takes an hour.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys

from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

import switchgear


ROOT = Path(__file__).parents[1]
#: As installed: the source need not be there.
PACKAGE = Path(switchgear.__file__).parent
TOOL = ROOT / "tools" / "mutants.py"
SPEC = importlib.util.spec_from_file_location("mutants", TOOL)
mutants = importlib.util.module_from_spec(SPEC)
sys.modules["mutants"] = mutants
SPEC.loader.exec_module(mutants)


def mutant(name, difference="", status="survived"):
    key = f"switchgear.{name}__mutmut_1"
    return mutants.Mutant(key, status, dedent(difference))


SOURCE = '''\
class One:
    def move(self):
        """
        Move.
        """
        at = 1
        return at


class Other:
    # Not that of One.
    def move(self):
        """
        Move.
        """
        at = 1
        return at
'''


class TestMutant:
    @pytest.mark.parametrize(
        ("name", "names", "file"),
        [
            ("_core.circuit.x_admit", ["admit"], "_core/circuit.py"),
            ("_core.circuit.x__open", ["_open"], "_core/circuit.py"),
            ("_set.xǁ_Tableǁ__init__", ["_Table", "__init__"], "_set.py"),
            ("_set.xǁ_Tableǁremove", ["_Table", "remove"], "_set.py"),
        ],
    )
    def test_where_it_is(self, name, names, file):
        """
        If mutmut names a mutant, its class, function and file are known.
        """
        assert names == mutant(name).names
        assert Path("src/switchgear", file) == mutant(name).file

    def test_text(self):
        """
        If it is shown, it is one line, and says which of several it is.
        """
        one = mutant(
            "_set.x_f",
            """\
            --- src/switchgear/_set.py
            +++ src/switchgear/_set.py
            @@ -1,4 +1,4 @@
             def f(a, b):
            -    return (
            -        a + b
            +    return (
            +        a - b
             )
            """,
        )

        assert "_set.f: return ( a + b -> return ( a - b" == one.text
        assert one.text + " (2)" == replace(one, number=2).text

    def test_is_put_into_its_own_class(self):
        """
        If two classes have functions that read alike, the right one is changed.
        """
        changed = mutants.mutated(
            SOURCE,
            mutant(
                "_set.xǁOtherǁmove",
                """\
                @@ -2,7 +2,7 @@
                 # Not that of One.
                 def move(self):
                     \"\"\"
                         Move.
                         \"\"\"
                -    at = 1
                +    at = 2
                     return at
                """,
            ),
        )

        assert (
            SOURCE.replace("at = 1", "at = 2").replace("at = 2", "at = 1", 1) == changed
        )

    def test_that_does_not_fit_is_an_error(self):
        """
        If the source is not what was changed, that is said.
        """
        with pytest.raises(ValueError, match="it fits 0 places"):
            mutants.mutated(
                SOURCE,
                mutant(
                    "_set.xǁOneǁmove", "@@ -1,2 +1,2 @@\n-    at = 3\n+    at = 4\n"
                ),
            )


class TestReport:
    """
    What the report says of mutants that were tried.
    """

    @pytest.fixture
    def report(self, monkeypatch, capsys, tmp_path):
        monkeypatch.setattr(mutants, "FOLDER", tmp_path)

        def run(*tried, known=(), again=None, doubt=False, took=None):
            folder = mutants.PARTS[0].folder / "mutants"
            folder.mkdir(parents=True, exist_ok=True)
            meta = json.dumps({"durations_by_key": took or {}})
            (folder / "one.py.meta").write_text(meta, encoding="utf-8")
            monkeypatch.setattr(mutants, "results", lambda part: list(tried))
            monkeypatch.setattr(mutants, "SecondTry", lambda part: Second(again or {}))
            is_well = mutants.report(mutants.PARTS[0], set(known), doubt=doubt)
            return is_well, capsys.readouterr().out

        class Second:
            def __init__(self, found):
                self.found = found

            def notices(self, mutant):
                return self.found.get(mutant.key, False)

        return run

    def test_all_noticed(self, report):
        """
        If every mutant was noticed, or is explained, all is well.
        """
        killed = mutant("_set.x_f", status="killed")
        slow = mutant("_set.x_g", status="timeout")
        left = mutant("_set.x_h")

        took = {killed.key: 14.9, slow.key: 15.1, left.key: 16.0}

        is_well, said = report(killed, slow, left, known=[left.text], took=took)

        assert is_well
        assert "3 mutants" in said
        assert "noticed: 2, 1 after more than 15 s, 0 without wrappers" in said
        assert "survived: 1; problems: 0" in said

    @pytest.mark.parametrize("status", ["survived", "no tests", "not checked"])
    def test_one_that_is_not_explained(self, report, status):
        """
        If a mutant survived, or was not tried, and nobody says why, that is told.
        """
        is_well, said = report(mutant("_set.x_f", status=status))

        assert not is_well
        assert f"    {status}: _set.f" in said

    def test_noticed_at_the_second_try(self, report):
        """
        If it is noticed without wrappers, it is noticed.
        """
        left = mutant("_set.x_f")

        assert report(left, again={left.key: True})[0]

    def test_too_slow_at_the_second_try(self, report):
        """
        If that took too long, nothing is known, and that is told.
        """
        left = mutant("_set.x_f")

        is_well, said = report(left, again={left.key: None})

        assert not is_well
        assert "survived (tried again, it took too long): _set.f" in said

    def test_explained_but_noticed(self, report):
        """
        If it is said why none could notice, and one does, that is told.
        """
        one = mutant("_set.x_f", status="killed")

        is_well, said = report(one, known=[one.text])

        assert not is_well
        assert "explained, but noticed: _set.f" in said

    def test_explained_but_noticed_at_the_second_try(self, report):
        """
        If what has a reason is doubted, it is tried a second time like the others.
        """
        one = mutant("_set.x_f")

        assert report(one, known=[one.text], again={one.key: True})[0]

        is_well, said = report(one, known=[one.text], again={one.key: True}, doubt=True)

        assert not is_well
        assert "explained, but noticed: _set.f" in said

    def test_none_at_all(self, report):
        """
        If there is no mutant, something went wrong.
        """
        assert not report()[0]


class TestSecondTry:
    """
    What the tests say of a mutant that is in the source by itself.
    """

    @pytest.fixture
    def notices(self, monkeypatch, tmp_path):
        """
        Try a mutant that steps and schedules end with: 0, 1, or None, too late.
        """

        def run(*ends):
            left = iter(ends)

            def ended(command, *, timeout, **_):
                code = next(left)
                if code is None:
                    raise subprocess.TimeoutExpired(command, timeout)
                return subprocess.CompletedProcess(command, code)

            part = replace(mutants.PARTS[0], name="some")
            monkeypatch.setattr(mutants, "FOLDER", tmp_path)
            monkeypatch.setattr(mutants.subprocess, "run", ended)
            second = mutants.SecondTry(part)
            return second._fails(tmp_path, "queue", 60.0), list(left)

        return run

    @pytest.mark.parametrize(
        ("ends", "noticed"),
        [
            ([0, 0], False),
            ([1], True),
            ([0, 1], True),
            ([None, 1], True),
            ([None, 0], None),
            ([0, None], None),
        ],
    )
    def test_one_kind_of_tests_may_be_too_slow(self, notices, ends, noticed):
        """
        If the tests of one kind take too long, those of the other may still notice;
        if they do not, nothing is known.
        """
        assert (noticed, []) == notices(*ends)

    @pytest.mark.parametrize("code", [2, 3, -11])
    def test_one_that_brings_the_tests_down_is_noticed(self, notices, code):
        """
        If the tests do not come to their end, the mutant was noticed.
        """
        assert (True, []) == notices(code)

    @pytest.mark.parametrize("code", [4, 5])
    def test_no_tests_notice_nothing(self, notices, code):
        """
        If no test was run, that is no answer.
        """
        with pytest.raises(RuntimeError, match="it runs no tests"):
            notices(0, code)


class TestRuns:
    """
    Which mutants are tried, and which once more.
    """

    @pytest.fixture
    def runs(self, monkeypatch, tmp_path):
        """
        The runs of a part whose mutants were tried before, in a place of its own.
        """
        runs = []
        tried = [
            mutant("_set.x_f", status="killed"),
            mutant("_set.x_g"),
            mutant("_set.x_h", status="no tests"),
        ]
        for name in ("src", "tests", "tests/http"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "some.py").touch()
        (tmp_path / "pyproject.toml").touch()
        monkeypatch.setattr(mutants, "ROOT", tmp_path)
        monkeypatch.setattr(mutants, "FOLDER", tmp_path / "build")
        monkeypatch.setattr(mutants, "results", lambda part: tried)

        def run(part, *names, **settings):
            runs.append((*names, *settings.items()))
            return True

        monkeypatch.setattr(mutants, "_run", run)
        return runs

    def stats(self, part):
        return part.folder / "mutants" / "mutmut-stats.json"

    def test_the_first(self, runs):
        """
        If nothing was tried yet, everything is, and only that is left next time.
        """
        part = mutants.PARTS[0]

        assert mutants.run(part)
        assert [()] == runs

        stats = self.stats(part)
        stats.parent.mkdir()
        stats.write_text("{}", encoding="utf-8")

        assert mutants.run(part)
        assert [(), ()] == runs
        assert stats.exists()

    def test_something_has_changed(self, runs):
        """
        If tests or code have changed since, what survived is tried once more, and
        it is looked anew which tests come by where.
        """
        part = mutants.PARTS[0]
        assert mutants.run(part)
        stats = self.stats(part)
        stats.parent.mkdir()
        stats.write_text("{}", encoding="utf-8")
        runs.clear()
        (mutants.ROOT / "tests" / "http" / "some.py").write_text("1", encoding="utf-8")

        assert mutants.run(part)
        # Those have nothing to do with it.
        assert [()] == runs

        runs.clear()
        (mutants.ROOT / "tests" / "some.py").write_text("2", encoding="utf-8")

        assert mutants.run(part)

        survivors = ("switchgear._set.x_g__mutmut_1", "switchgear._set.x_h__mutmut_1")
        assert [(), survivors] == runs
        assert not stats.exists()

    def test_explained_but_noticed(self, runs):
        """
        If one was noticed that is explained, it is tried once more, by itself: it
        may have been a test that failed for no reason.
        """
        part = mutants.PARTS[0]
        known = {one.text for one in mutants.results(part)[1:]}

        assert mutants.try_again(part, known)
        assert [] == runs

        known.add(mutants.results(part)[0].text)

        assert mutants.try_again(part, known)
        assert [("switchgear._set.x_f__mutmut_1", ("children", 1))] == runs

    def test_ended_oddly(self, runs):
        """
        If one ended neither as noticed nor otherwise, it is tried once more.
        """
        part = mutants.PARTS[0]
        mutants.results(part).append(mutant("_set.x_i", status="suspicious"))

        assert mutants.try_again(part, set())
        assert [("switchgear._set.x_i__mutmut_1", ("children", 1))] == runs


class TestExplanations:
    def write(self, tmp_path, text):
        path = tmp_path / "survivors.toml"
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def test_are_read(self, tmp_path):
        """
        If there are reasons, it is known of which mutants.
        """
        text = """
            [[survivors]]
            why = "Because."
            mutants = ["_a.f: x + 1 -> x - 1"]
        """

        known = mutants.explanations(self.write(tmp_path, text))

        assert {"_a.f: x + 1 -> x - 1"} == known

    def test_a_reason_is_needed(self, tmp_path):
        """
        If there is no reason, that is an error.
        """
        path = self.write(tmp_path, "[[survivors]]\nwhy = ' '\nmutants = []\n")

        with pytest.raises(ValueError, match="without a reason"):
            mutants.explanations(path)

    def test_none_is_about_what_is_gone(self):
        """
        If a mutant is explained, what it changes is still in the source.
        """
        gone = []
        for text in mutants.explanations(mutants.SURVIVORS):
            function, _, rest = text.partition(": ")
            parts = function.split(".")
            module = parts[:2] if parts[0] == "_core" else parts[:1]
            file = PACKAGE.joinpath(*module).with_suffix(".py")
            source = " ".join(file.read_text(encoding="utf-8").split())
            # An arrow may be part of either side.
            arrows = [found.start() for found in re.finditer(" -> ", rest)]
            was = [" ".join(rest[:arrow].split()) for arrow in arrows]
            if f"def {parts[-1]}(" not in source or not any(
                one in source for one in was
            ):
                gone.append(text)

        assert [] == gone


class TestParts:
    def test_what_they_name_is_there(self):
        """
        If a part names sources and tests, they are there, and it is known which
        interleavings are about each.
        """
        core = (PACKAGE / "_core").glob("[a-z]*.py")
        names = {path.stem for path in core}
        names.update(*[part.sources for part in mutants.PARTS[1:]])
        assert names == set(mutants.INTERLEAVINGS)
        for part in mutants.PARTS:
            for name in part.sources:
                assert list(PACKAGE.glob(f"{name}.py"))
            for name in part.tests:
                assert (ROOT / "tests" / name).exists()

    def test_what_is_skipped_is_there(self):
        """
        If tests are left out, they exist under that name.
        """
        text = "".join(
            path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")
        )

        assert [] == [name for name in mutants.SKIPPED if name not in text]

    def test_an_unknown_part_is_an_error(self):
        """
        If somebody asks for a part there is not, those that are there are named.
        """
        with pytest.raises(SystemExit, match="no such part: cre; there are core, shel"):
            mutants.main(["cre"])
