"""
``switchgear check``.
"""

from __future__ import annotations

import json

from textwrap import dedent

import pytest

from switchgear.cli import main


WORDS = """\
breakers."süd west"
  Opens after 5 failures in a row.
  Open, it refuses every call for 30 s.
  Then one probe at a time may try: one success closes it, one failure opens
    it again; a probe that says nothing for 30 s is given up.

limiters.images
  At most 7 calls in any second: 5 a second, and bursts of 2.
  A call that asks for several tokens counts as so many.
  Who comes too early waits, first come, first served.

What a table leaves open is as the code says; this assumes the defaults. All
numbers are those of one process, as long as its settings stay.
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """
    A file to be written in the current folder: call it with text, maybe a name.
    """
    monkeypatch.chdir(tmp_path)

    def write(text, name="switchgear.toml"):
        (tmp_path / name).write_text(dedent(text), encoding="utf-8")
        return name

    return write


class TestCheck:
    def test_says_what_each_will_do(self, file, capsys):
        """
        If nothing is wrong, every limiter and breaker is put in words that fit
        on 80 columns.
        """
        name = file(
            """
            [limiters.images]
            calls_per_second = 5
            burst = 2

            [breakers."süd west"]
            cooldown = 30
            """
        )

        assert 0 == main(["check", name])
        out, errors = capsys.readouterr()
        assert "" == errors
        assert all(len(line) <= 80 for line in out.splitlines())
        assert WORDS.split() == out.split()

    def test_all_problems_of_all_files(self, file, capsys):
        """
        If something is wrong, all of it is on stderr, and nothing else is said.
        """
        bad = file("[limiters.images]\nbrust = 2\ncalls_per_second = -1\n")
        torn = file("[limiters.images]\nburst = ", "torn.toml")

        assert 1 == main(["check", bad, torn])
        out, errors = capsys.readouterr()
        assert "" == out
        first, second, third = errors.splitlines()
        assert (
            "switchgear.toml: limiters.images.brust: unknown key; did you mean 'burst'?"
            == first
        )
        assert second.startswith("switchgear.toml: limiters.images.calls_per_second: ")
        assert third.startswith("torn.toml: ")

    def test_what_code_may_still_mend_is_no_problem(self, file, capsys):
        """
        If a table makes no sense alone, code may complete it: it says so.
        """
        name = file('[breakers.images]\nthreshold = "none"\n')

        assert 0 == main(["check", name])
        assert (
            "  Makes sense only if the code says more: threshold may be None only"
            in capsys.readouterr().out
        )

    def test_later_files_lie_over_earlier_ones(self, file, capsys):
        """
        If several files speak of a name, the later wins, setting by setting.
        """
        first = file("[limiters.a]\ncalls_per_second = 5\nburst = 2\n")
        second = file("[limiters.a]\nburst = 3\n", "more.toml")

        assert 0 == main(["check", first, second])
        assert "At most 8 calls in any second" in capsys.readouterr().out

    def test_the_environment_is_left_out(self, file, capsys, monkeypatch):
        """
        If the environment says something, it is not of the file.
        """
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__A__BURST", "wrong")

        assert 0 == main(["check", file("[limiters.a]\nburst = 3\n")])
        assert "bursts of 3" in capsys.readouterr().out

    def test_an_empty_file(self, file, capsys):
        """
        If a file says nothing, there is nothing wrong.
        """
        assert 0 == main(["check", file("")])
        assert (
            "No limiter and no breaker, and nothing wrong.\n" == capsys.readouterr().out
        )


class TestJson:
    def test_fine(self, file, capsys):
        """
        If JSON is wanted, settings and words are in it.
        """
        name = file(
            """
            [limiters.llm]
            rates = [{ limit = 60, per = 60, burst = 10, counts = "calls" }]

            [breakers.b]
            window = { seconds = 60 }
            """
        )

        assert 0 == main(["check", name, "--json"])
        answer = json.loads(capsys.readouterr().out)

        assert ["files", "problems", "limiters", "breakers"] == list(answer)
        assert ["switchgear.toml"] == answer["files"]
        assert [] == answer["problems"]
        assert {
            "settings": {
                "max_waiters": None,
                "max_keys": 1024,
                "rates": [{"limit": 60, "per": 60, "burst": 10, "counts": "calls"}],
            },
            "contradiction": None,
            "words": [
                "At most 70 calls in any minute: 60 a minute, and bursts of 10.",
                "Who comes too early waits, first come, first served.",
            ],
        } == answer["limiters"]["llm"]
        assert {
            "seconds": 60.0,
            "failure_rate": 0.5,
            "minimum_calls": 10,
            "slow_call_rate": None,
        } == answer["breakers"]["b"]["settings"]["window"]

    def test_problems(self, file, capsys):
        """
        If something is wrong, JSON says so, on stdout.
        """
        assert 1 == main(["check", "--json", file("[limiter.a]\n")])
        out, errors = capsys.readouterr()
        assert {
            "files": ["switchgear.toml"],
            "problems": [
                "switchgear.toml: limiter: unknown table; did you mean 'limiters'?"
            ],
            "limiters": {},
            "breakers": {},
        } == json.loads(out)
        assert "" == errors

    def test_contradictions(self, file, capsys):
        """
        If a table makes no sense alone, JSON says why.
        """
        name = file('[breakers.a]\nthreshold = "none"\n')

        assert 0 == main(["check", "--json", name])
        told = json.loads(capsys.readouterr().out)["breakers"]["a"]
        assert {"threshold": None} == told["settings"]
        assert [] == told["words"]
        assert told["contradiction"].startswith("threshold may be None only")

    @pytest.mark.parametrize("command", ["check", "show"])
    def test_what_no_code_can_mend(self, command, file, capsys):
        """
        If a table contradicts itself whatever the code says, that is a problem,
        told with those who said it; what code may complete is none.
        """
        bad = file("[breakers.b]\ncooldown = 50\nmax_cooldown = 10\n", "bad.toml")
        fine = file('[breakers.b]\nthreshold = "none"\n', "fine.toml")

        assert 0 == main([command, fine])
        capsys.readouterr()
        assert 1 == main([command, bad])
        assert (
            "bad.toml: breakers.b: max_cooldown must be at least the cooldown, 50 s,"
            " not 10\n"
        ) == capsys.readouterr().err
