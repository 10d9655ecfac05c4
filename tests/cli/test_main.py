"""
The command line as a whole.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys

from contextlib import redirect_stdout
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from switchgear import _config
from switchgear.cli import main


def run(*arguments, **environ):
    """
    Run it as a process, with nothing but ASCII on its streams.
    """
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "switchgear", *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", **environ},
    )


def shell(command):
    """
    Run it as a shell does, which can close its streams.
    """
    return subprocess.run(  # noqa: S602 -- the command is ours
        f"{shlex.quote(sys.executable)} -W error -m switchgear {command}",
        shell=True,
        capture_output=True,
        check=False,
        # As it usually is: what is printed is written at the end.
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )


class TestMain:
    def test_version(self, capsys):
        """
        If the version is asked for, it is that of the package.
        """
        with pytest.raises(SystemExit) as exited:
            main(["--version"])

        assert 0 == exited.value.code
        assert f"switchgear {version('switchgear')}\n" == capsys.readouterr().out

    @pytest.mark.parametrize("command", [[], ["check"], ["show"]])
    def test_help(self, command, capsys):
        """
        If help is asked for, it fits on 80 columns and tells the exit status.
        """
        with pytest.raises(SystemExit) as exited:
            main([*command, "--help"])

        assert 0 == exited.value.code
        told = capsys.readouterr().out
        assert "exit status:\n  0  all is well\n" in told
        assert all(len(line) <= 80 for line in told.splitlines())

    @pytest.mark.parametrize(
        "arguments", [[], ["check"], ["chec", "f"], ["check", "--js", "f"], ["--env"]]
    )
    def test_what_makes_no_sense(self, arguments, capsys):
        """
        If the command makes no sense, the status is 2, and stderr says why.
        """
        with pytest.raises(SystemExit) as exited:
            main(arguments)

        assert 2 == exited.value.code
        assert "usage: switchgear" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["check", "show"])
    def test_a_file_that_cannot_be_read(self, command, tmp_path, capsys):
        """
        If a file is missing or is none, the status is 2, and one line says so.
        """
        missing = str(tmp_path / "missing.toml")

        assert 2 == main([command, missing])
        assert f"{missing}: No such file or directory\n" == capsys.readouterr().err
        assert 2 == main([command, str(tmp_path)])
        assert f"{tmp_path}: " in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["check", "show"])
    def test_the_other_files_are_looked_at(self, command, tmp_path, capsys):
        """
        If one file is missing and another bad, both are told, in JSON as well.
        """
        bad = tmp_path / "bad.toml"
        bad.write_text("[limiters.a]\nburts = 2\n", encoding="utf-8")
        files = [str(tmp_path / "missing.toml"), str(bad)]

        assert 2 == main([command, *files])
        told = capsys.readouterr().err.splitlines()
        assert 2 == main([command, *files, "--json"])
        answer = json.loads(capsys.readouterr().out)

        assert told == answer["problems"]
        assert [
            f"{files[0]}: No such file or directory",
            f"{files[1]}: limiters.a.burts: unknown key; did you mean 'burst'?",
        ] == told

    def test_a_stream_that_is_no_file(self):
        """
        If stdout was replaced by something simple, it gets the answer.
        """
        with redirect_stdout(io.StringIO()) as out:
            assert 0 == main(["check", os.devnull])

        assert "No limiter and no breaker, and nothing wrong.\n" == out.getvalue()

    def test_interrupted(self, monkeypatch):
        """
        If Ctrl-C comes, the status is 130.
        """

        def interrupt(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(_config, "read", interrupt)

        assert 130 == main(["check", "f.toml"])


class TestProcess:
    def test_a_stream_that_knows_ascii_only(self, tmp_path):
        """
        If the terminal does not know a sign, it gets an escape.
        """
        file = tmp_path / "f.toml"
        file.write_text('[limiters."s\u00fcd"]\n', encoding="utf-8")

        done = run("check", str(file))

        assert 0 == done.returncode
        assert done.stdout.startswith(b'limiters."s\\xfcd"')
        assert b"" == done.stderr

    @pytest.mark.skipif(os.name != "posix", reason="there is no shell")
    @pytest.mark.parametrize(
        ("closed", "status", "out", "error"),
        [
            (">&-", 0, b"", b""),
            ("2>&-", 0, b"No limiter and no breaker, and nothing wrong.\n", b""),
            (">&- 2>&-", 0, b"", b""),
        ],
    )
    def test_a_closed_stream(self, closed, status, out, error):
        """
        If stdout or stderr is closed, the status still tells.
        """
        done = shell(f"check {os.devnull} {closed}")

        assert (status, out, error) == (done.returncode, done.stdout, done.stderr)

    @pytest.mark.skipif(os.name != "posix", reason="there is no shell")
    def test_errors_stay_out_of_the_answer(self, tmp_path):
        """
        If stderr is closed, its lines are not on stdout instead.
        """
        done = shell(f"check {shlex.quote(str(tmp_path))}/missing.toml 2>&-")

        assert (2, b"") == (done.returncode, done.stdout)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("command", ["check /dev/null", "--version", "--help"])
    def test_a_full_disk(self, command):
        """
        If the answer cannot be written, the status is 2, and one line says why.
        """
        done = shell(f"{command} >/dev/full")

        assert (2, b"switchgear: No space left on device\n") == (
            done.returncode,
            done.stderr,
        )
        assert 2 == shell(f"{command} >/dev/full 2>/dev/full").returncode

    @pytest.mark.skipif(os.name != "posix", reason="there is no head")
    @pytest.mark.parametrize("command", [["check", os.devnull], ["--version"]], ids=str)
    def test_whoever_reads_may_leave(self, command):
        """
        If the pipe is closed early, that is no error to talk about.
        """
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            done = subprocess.run(
                [sys.executable, "-m", "switchgear", *command],
                stdout=pipe,
                stderr=subprocess.PIPE,
                check=False,
                # As it usually is: what is printed is written at the end.
                env={**os.environ, "PYTHONUNBUFFERED": ""},
            )

        assert 141 == done.returncode
        assert b"" == done.stderr

    def test_is_quick_to_start(self):
        """
        If only the version is asked for, nothing heavy is imported.
        """
        code = (
            "import sys, contextlib; there = set(sys.modules)\n"
            "from switchgear.cli import main\n"
            "with contextlib.suppress(SystemExit): main(['--version'])\n"
            "sys.exit(bool({'structlog', 'tomllib'} & set(sys.modules) - there))"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False)

        assert 0 == done.returncode

    def test_is_installed_as_a_command(self):
        """
        If switchgear is installed, so is its command.
        """
        (script,) = entry_points(group="console_scripts", name="switchgear")

        assert main is script.load()
