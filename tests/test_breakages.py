"""
The runner of breakages, on a project of two functions.
"""

from __future__ import annotations

import importlib.util
import sys

from pathlib import Path
from textwrap import dedent

import pytest


TOOL = Path(__file__).parents[1] / "tools" / "breakages.py"
SPEC = importlib.util.spec_from_file_location("breakages", TOOL)
breakages = importlib.util.module_from_spec(SPEC)
sys.modules["breakages"] = breakages
SPEC.loader.exec_module(breakages)

SOURCE = "def double(n):\n    return n + n\n"
TESTS = """
    from pathlib import Path

    import toy

    def test_double():
        assert toy.double(3) == 6

    def test_anything():
        assert toy.double

    def test_wrong():
        assert toy.double(1) == 3

    def test_now_and_then():
        ran = Path("ran")
        if toy.double(3) != 6 and not ran.exists():
            ran.touch()
            assert False
"""
DIFF = """\
--- a/src/toy.py
+++ b/src/toy.py
@@ -1,2 +1,2 @@
 def double(n):
-    return n + n
+    {0}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """
    A project whose tests know one function, and need no plugins.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "toy.py").write_text(SOURCE)
    (tmp_path / "tests" / "breakages").mkdir(parents=True)
    (tmp_path / "tests" / "test_toy.py").write_text(dedent(TESTS))
    return tmp_path


@pytest.fixture
def breakage(project):
    """
    Write a patch that puts *line* into the function, under a header.
    """

    def write(name, line, *header, test="test_double"):
        lines = ["# what is broken", *header]
        if test:
            lines.append(f"# test: tests/test_toy.py::{test}")
        path = project / "tests" / "breakages" / f"{name}.patch"
        path.write_text("\n".join(lines) + "\n" + DIFF.format(line))
        return path

    return write


@pytest.fixture
def run(project, capsys):
    """
    Run the tool; return its status and what it said about each breakage.
    """

    def run(*arguments):
        status = breakages.main(["--root", str(project), *arguments])
        table, _, _ = capsys.readouterr().out.partition("\n\n")
        return status, dict(line.split(maxsplit=1) for line in table.splitlines())

    return run


class TestBreakages:
    """
    ``make breakages``.
    """

    def test_caught_means_that_a_test_failed(self, breakage, run, project):
        """
        If a named test fails once the source is broken, the breakage is
        caught, and the source itself was not touched.
        """
        breakage("doubles-nothing", "return n")

        status, said = run()

        assert status == 0
        assert said["doubles-nothing"].startswith("caught")
        assert said["doubles-nothing"].endswith("tests/test_toy.py::test_double")
        assert (project / "src" / "toy.py").read_text() == SOURCE

    def test_the_others_are_told_apart(self, breakage, run):
        """
        If no test fails, a breakage survived; if nothing could run, if it does
        not apply or its tests fail anyway, it proves nothing. Each is an error.
        """
        breakage("survives", "return n", test="test_anything")
        breakage("cannot-be-read", "return (")
        breakage("is-no-test", "return n", test="test_nothing")
        breakage("fails-anyway", "return n", test="test_wrong")
        outdated = breakage("outdated", "return n")
        outdated.write_text(outdated.read_text().replace("n + n", "2 * n"))

        status, said = run()

        assert status == 1
        assert said["survives"].startswith("NOT CAUGHT")
        assert said["cannot-be-read"].startswith("BROKEN")
        assert said["is-no-test"].startswith("BROKEN")
        assert said["fails-anyway"].startswith("BROKEN")
        assert "does not apply" in said["outdated"]

    def test_a_hang_counts_where_it_is_expected(self, breakage, run):
        """
        If a broken test never ends, it is killed; it counts as caught only if
        the header says so.
        """
        hang = "import threading; threading.Event().wait()"
        breakage("may-hang", hang, "# expect: hang", "# limit: 1")
        breakage("may-not", hang, "# limit: 1")

        status, said = run()

        assert status == 1
        assert said["may-hang"].startswith("caught")
        assert said["may-not"].startswith("BROKEN")

    def test_what_fails_now_and_then_is_no_proof(self, breakage, run):
        """
        If the test of a breakage fails, but not a second time, that was chance.
        """
        breakage("flaky", "return n", test="test_now_and_then")

        status, said = run()

        assert status == 1
        assert said["flaky"].startswith("NOT CAUGHT  the second time, after tests/")

    @pytest.mark.parametrize(
        ("test", "kind"),
        [
            ("tests/interleavings/test_set.py::TestSet::test_one", "schedules"),
            ("tests/models/test_one.py", "models"),
            ("tests/test_stress.py::test_one", "stress"),
            ("tests/core/test_one.py::TestLaws::test_one", "laws"),
            ("tests/test_limiter.py::TestGuarantees::test_one", "laws"),
            ("tests/test_limiter.py::TestPause::test_one", "unit tests"),
        ],
    )
    def test_kinds(self, breakage, test, kind):
        """
        If a breakage is caught, it is told by what kind of check, also if it hangs.
        """
        path = breakage("one", "return n")
        one = breakages.Breakage(
            name="one", path=path, tests=(test,), expects_hang=True, limit=1
        )

        for said in (test, "hung, as expected"):
            verdict = breakages.Verdict(one, breakages.Answer.CAUGHT, said)
            assert kind == breakages.kind_of(verdict)

    def test_kinds_are_counted(self, breakage, run, capsys):
        """
        If breakages are caught, it is told how many by what kind of check.
        """
        hang = "import threading; threading.Event().wait()"
        breakage("fails", "return n")
        path = breakage("hangs", hang, "# expect: hang", "# limit: 1")

        assert breakages.main(["--root", str(path.parents[2])]) == 0
        assert "caught by unit tests: 2" in capsys.readouterr().out

    def test_some_or_all(self, breakage, run, capsys):
        """
        If breakages are named, only they are tried; a misspelt one is refused.
        """
        breakage("one", "return n")
        breakage("two", "return n", test="test_anything")

        status, said = run("one")

        assert status == 0
        assert ["one"] == list(said)
        with pytest.raises(SystemExit) as leaving:
            run("three")

        assert leaving.value.code == 2
        assert "three" in capsys.readouterr().err

    def test_without_a_test_the_whole_suite_must_notice(self, breakage, run, project):
        """
        If a breakage names no test, the whole suite is run against it.
        """
        passing = dedent(TESTS).partition("def test_wrong")[0]
        (project / "tests" / "test_toy.py").write_text(passing)
        breakage("unnamed", "return n", test=None)

        assert run()[0] == 0

    def test_nothing_to_prove(self, run):
        """
        If there are no breakages, nothing was proven.
        """
        assert run()[0] == 1
