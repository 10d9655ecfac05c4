"""
``switchgear show``.
"""

from __future__ import annotations

import json
import tomllib

import pytest

from switchgear import Registry
from switchgear.cli import main


TEXT = """\
[limiters.images]
calls_per_second = 5

[limiters."süd west"]
rates = [
  { limit = 60, per = 60, burst = 10, counts = "calls" },
  { limit = 90_000, per = 60, burst = 9_000 },
]

[breakers.images]
cooldown = 30
max_cooldown = 1e8
window = { size = 20 }
"""

SHOWN = """\
[limiters.images]
calls_per_second = 5              # switchgear.toml
burst = 8                         # SWITCHGEAR_LIMITERS__IMAGES__BURST
max_waiters = "none"              # SWITCHGEAR_LIMITERS__IMAGES__MAX_WAITERS
max_keys = 7                      # more.toml

[limiters.thumbnails-of-images]
calls_per_second = 2              # default
# SWITCHGEAR_LIMITERS__THUMBNAILS_OF_IMAGES__BURST
burst = 4
max_waiters = "none"              # default
max_keys = 1024                   # default
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="switchgear.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write


class TestShow:
    def test_every_setting_and_where_it_is_from(self, file, capsys, monkeypatch):
        """
        If files and environment say something, each value names its source.
        """
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__IMAGES__BURST", "8")
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__IMAGES__MAX_WAITERS", "none")
        name = "SWITCHGEAR_LIMITERS__THUMBNAILS_OF_IMAGES__BURST"
        monkeypatch.setenv(name, "4")
        name = file("[limiters.images]\ncalls_per_second = 5\nburst = 2\n")
        more = file(
            "[limiters.images]\nmax_keys = 7\n[limiters.thumbnails-of-images]\n",
            "more.toml",
        )

        assert 0 == main(["show", name, more, "--env"])
        assert SHOWN == capsys.readouterr().out

    def test_the_answer_is_a_file_that_means_the_same(self, file, capsys):
        """
        If the answer is read as a file, it makes the same limiters and breakers.
        """
        name = file(TEXT)

        assert 0 == main(["show", name])
        shown = capsys.readouterr().out
        before, after = Registry(), Registry()
        before.load(name)
        after.configure(tomllib.loads(shown))

        assert all(len(line) <= 80 for line in shown.splitlines())
        for names in (before, after):
            names.limiter("images")
            names.limiter("süd west")
            names.breaker("images")
        for kind, name in [
            ("limiter", "images"),
            ("limiter", "süd west"),
            ("breaker", "images"),
        ]:
            old, new = (getattr(names, kind)(name) for names in (before, after))
            assert old.settings() == new.settings()

    def test_without_env_the_environment_is_left_out(self, file, capsys, monkeypatch):
        """
        If it is not asked for, the environment is not looked at.
        """
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__IMAGES__BURST", "wrong")

        assert 0 == main(["show", file("[limiters.images]\nburst = 3\n")])
        assert "burst = 3 " in capsys.readouterr().out

    def test_what_only_the_environment_says(self, file, capsys, monkeypatch):
        """
        If no table is meant by a variable, it is shown all the same.
        """
        monkeypatch.setenv("SWITCHGEAR_BREAKERS__API_V2__WINDOW__SIZE", "20")
        monkeypatch.setenv("SWITCHGEAR_BREAKERS__API_V2__WINDOW__FAILURE_RATE", "0.1")

        assert 0 == main(["show", file("[limiters.a]\n"), "--env"])
        out = capsys.readouterr().out
        first, second = out.split("\n\n")
        assert first.startswith("[limiters.a]")
        assert (
            "# there is no table for this; it is meant for the name that looks so in"
            " the\n# environment\n"
            "[breakers.API_V2]\n"
        ) in second
        assert (
            "# SWITCHGEAR_BREAKERS__API_V2__WINDOW__FAILURE_RATE,"
            " SWITCHGEAR_BREAKERS__API_V2__WINDOW__SIZE\n"
            "window.size = 20\n"
        ) in second

    def test_a_variable_as_it_is_spelt(self, file, capsys, monkeypatch):
        """
        If a variable spells the name as the file does, that is where it is from.
        """
        name = file("[limiters.images-cdn]\n")
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__IMAGES-CDN__BURST", "3")

        assert 0 == main(["show", name, "--env"])
        assert "# SWITCHGEAR_LIMITERS__IMAGES-CDN__BURST\n" in capsys.readouterr().out
        assert 0 == main(["show", name, "--env", "--json"])
        told = json.loads(capsys.readouterr().out)["limiters"]["images-cdn"]["settings"]
        assert {
            "value": 3,
            "source": "SWITCHGEAR_LIMITERS__IMAGES-CDN__BURST",
        } == told["burst"]

    def test_rates_with_a_burst_over_them(self, file, capsys, monkeypatch):
        """
        If a variable contradicts a file, both are named.
        """
        name = file("[limiters.a]\nrates = [{ limit = 5 }]\n")
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__A__BURST", "8")

        assert 1 == main(["show", name, "--env"])
        assert (
            f"{name}, SWITCHGEAR_LIMITERS__A__BURST: limiters.a: rates is given"
        ) in capsys.readouterr().err

    def test_a_file_of_two_lines(self, file, capsys):
        """
        If the name of a file is on two lines, the answer still is TOML.
        """
        name = file("[limiters.a]\nburst = 2\n", "two\nlines.toml")

        assert 0 == main(["show", name])
        out = capsys.readouterr().out
        assert 2 == tomllib.loads(out)["limiters"]["a"]["burst"]
        assert "'two\\nlines.toml'" in out

    def test_problems(self, file, capsys, monkeypatch):
        """
        If file or environment are wrong, all of it is on stderr.
        """
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__IMAGES__BURST", "wrong")

        assert 1 == main(["show", file("[limiters.images]\nburst = 0\n"), "--env"])
        out, errors = capsys.readouterr()
        assert "" == out
        assert [
            "switchgear.toml: limiters.images.burst",
            "environment: SWITCHGEAR_LIMITERS__IMAGES__BURST",
        ] == [": ".join(line.split(": ")[:2]) for line in errors.splitlines()]

    def test_a_contradiction(self, file, capsys):
        """
        If a table makes no sense alone, what it says is shown, and why.
        """
        assert 0 == main(["show", file('[breakers.a]\nthreshold = "none"\n')])
        assert (
            "# makes sense only if the code says more: threshold may be None only with"
            " a\n# window: nothing could open it\n"
            "[breakers.a]\n"
            'threshold = "none"                # switchgear.toml\n'
        ) == capsys.readouterr().out

    def test_nothing(self, file, capsys):
        """
        If nothing is said, it says so.
        """
        assert 0 == main(["show", file("")])
        assert "# no limiter and no breaker\n" == capsys.readouterr().out


class TestJson:
    def test_values_and_sources(self, file, capsys, monkeypatch):
        """
        If JSON is wanted, values and sources are in it.
        """
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__IMAGES__BURST", "8")

        name = file("[limiters.images]\ncalls_per_second = 5\n")
        assert 0 == main(["show", "--json", "--env", name])
        assert {
            "files": ["switchgear.toml"],
            "problems": [],
            "limiters": {
                "images": {
                    "settings": {
                        "calls_per_second": {"value": 5.0, "source": "switchgear.toml"},
                        "burst": {
                            "value": 8,
                            "source": "SWITCHGEAR_LIMITERS__IMAGES__BURST",
                        },
                        "max_waiters": {"value": None, "source": "default"},
                        "max_keys": {"value": 1024, "source": "default"},
                    },
                    "contradiction": None,
                }
            },
            "breakers": {},
        } == json.loads(capsys.readouterr().out)

    def test_problems(self, file, capsys):
        """
        If something is wrong, JSON says so, and no settings.
        """
        assert 1 == main(["show", "--json", file("[limiters.a]\nburst = 0\n")])
        answer = json.loads(capsys.readouterr().out)

        assert 1 == len(answer["problems"])
        assert {} == answer["limiters"]
