from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest


ROOT = Path(__file__).parent.parent
DEMO = [sys.executable, "-W", "error", str(ROOT / "examples" / "downloader")]

HOSTS = ("healthy", "flaky", "strict")
COLUMNS = (
    ("calls", int),
    ("waits", int),
    ("refused", int),
    ("failed", int),
    ("429", int),
    ("changes", int),
    ("rate", lambda cell: None if cell == "-" else float(cell)),
    ("limit", float),
    ("stored", int),
    ("dupl", int),
)
TRANSITIONS = ("circuit_opened", "circuit_half_opened", "circuit_closed")


@pytest.fixture(scope="module")
def environment():
    # Colours are wanted, as in many a CI: in what is no terminal they are not.
    return {**os.environ, "COLUMNS": "80", "FORCE_COLOR": "1"}


@pytest.fixture(scope="module")
def into(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """
    Where the demo is run for long.
    """
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def demo(environment, folder, into):
    """
    What the demo says when there is little to download.
    """
    options = ["--images", "60", "--rate", "10", "--outage", "0.5"]
    return subprocess.run(
        [*DEMO, *options, "--into", str(into), "--record", "run.jsonl"],
        capture_output=True,
        check=False,
        cwd=folder,
        encoding="utf-8",
        env=environment,
        timeout=100,
    )


@pytest.fixture
def run(environment, tmp_path):
    def run(*options):
        return subprocess.run(
            [*DEMO, *map(str, options)],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            encoding="utf-8",
            env=environment,
            timeout=100,
        )

    return run


@pytest.fixture
def interruptible(environment, tmp_path):
    """
    A function that starts the demo, ready to be interrupted.
    """
    started = []
    # Ignored, as it is in background jobs, it would be ignored by the demo, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(*options):
        process = subprocess.Popen(
            [*DEMO, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            encoding="utf-8",
            env=environment,
        )
        started.append(process)
        return process

    yield start
    signal.signal(signal.SIGINT, before)
    for process in started:
        process.kill()
        process.communicate()


def rows(text):
    """
    Return the rows of the table in *text*, by host.
    """
    found = {}
    for line in text.splitlines():
        host, *cells = line.split() or [""]
        if host in HOSTS and len(cells) == len(COLUMNS) and cells[0].isdecimal():
            values = zip(COLUMNS, cells, strict=True)
            found[host] = {name: kind(cell) for (name, kind), cell in values}
    return found


def lines_of_log(text):
    """
    Return the lines of the log in *text*, each in one piece again.
    """
    return re.sub(r"\n +(?! |\d+\.\d s )", " ", text).splitlines()


class TestDemo:
    def test_every_image_arrives(self, demo, into):
        """
        If hosts fail and send callers away, every image arrives in the end, and
        those that are the same are stored once.
        """
        stored = [path.read_bytes() for path in into.iterdir()]

        assert 0 == demo.returncode
        assert "60 of 60 images arrived" in demo.stdout
        assert "52 stored, 8 already there" in demo.stdout
        assert 52 == len(stored) == len(set(stored))
        assert all(image.startswith(b"\x89PNG\r\n\x1a\n") for image in stored)

    def test_the_table_has_a_row_for_each_host(self, demo):
        """
        If the demo has ended, the table tells what became of the calls of each
        host, and its numbers add up.
        """
        table = rows(demo.stdout)

        assert set(HOSTS) == set(table)
        for row in table.values():
            arrived = row["stored"] + row["dupl"]
            assert 20 == arrived
            assert row["calls"] == arrived + row["failed"] + row["429"]

    def test_nobody_is_called_too_fast(self, demo):
        """
        If threads and tasks share a limiter, the rate that is measured is not
        above its limit, and calls have waited for that.
        """
        for row in rows(demo.stdout).values():
            assert 10.0 == row["limit"]
            # Between decision and call there may be a few milliseconds.
            assert row["rate"] < 1.05 * row["limit"]
            assert row["waits"] > 0

    def test_a_healthy_host_is_called_once_for_each_image(self, demo):
        """
        If a host answers, none of its calls is refused or made twice.
        """
        healthy = rows(demo.stdout)["healthy"]

        assert 20 == healthy["calls"]
        assert 0 == healthy["refused"] == healthy["failed"] == healthy["changes"]

    def test_every_transition_is_logged(self, demo):
        """
        If the circuit of the host that goes down changes, there is a structured
        line for it, from closed back to closed.
        """
        log = lines_of_log(demo.stderr)
        changes = [
            dict(re.findall(r"(\w+)=(\S+)", line))
            for line in log
            if any(f"switchgear.{name} " in line for name in TRANSITIONS)
        ]

        assert len(changes) == rows(demo.stdout)["flaky"]["changes"] >= 3
        assert {"images[flaky]"} == {change["breaker"] for change in changes}
        states = [change["from_state"] for change in changes]
        assert [*states[1:], "closed"] == [change["to_state"] for change in changes]
        assert "closed" == states[0]

    def test_calls_are_refused_while_a_host_is_down(self, demo):
        """
        If a host is down, few calls reach it, and others are refused.
        """
        flaky = rows(demo.stdout)["flaky"]

        assert flaky["failed"] >= 5
        assert flaky["refused"] > 0

    def test_retry_after_pauses_the_limiter(self, demo):
        """
        If a host says 429 and Retry-After, its limiter pauses, and its circuit
        stays closed.
        """
        strict = rows(demo.stdout)["strict"]

        assert strict["429"] > 0
        assert 0 == strict["failed"] == strict["changes"]
        assert "switchgear.limiter_paused limiter=images[strict]" in demo.stderr

    def test_threads_and_tasks_take_part(self, demo):
        """
        If half of the threads' images are there, the tasks join them.
        """
        assert "downloader.tasks_join tasks=24" in demo.stderr

    def test_there_is_a_picture(self, demo, folder):
        """
        If the demo has ended, its last line names a picture, which shows every
        host.
        """
        assert "Timeline: timeline.svg" == demo.stdout.splitlines()[-1]

        picture = ET.parse(folder / "timeline.svg").getroot()  # noqa: S314 -- ours

        words = {element.text for element in picture.iter() if element.text}
        assert {*HOSTS, "20 calls", "open", "limit 10/s"} <= words
        assert "60 of 60 images arrived." in " ".join(words)

    def test_the_picture_can_be_drawn_again(self, demo, folder, run, tmp_path):
        """
        If a run was recorded, its picture can be drawn from that, the same in
        every byte.
        """
        ended = run("--replay", folder / "run.jsonl")

        assert (0, "Timeline: timeline.svg\n", "") == (
            ended.returncode,
            ended.stdout,
            ended.stderr,
        )
        assert (folder / "timeline.svg").read_bytes() == (
            tmp_path / "timeline.svg"
        ).read_bytes()

    def test_it_fits_80_columns(self, demo):
        """
        If the terminal is 80 columns wide, so is what is printed, at the most.
        """
        text = demo.stdout + demo.stderr

        assert max(map(len, text.splitlines())) <= 80
        assert text.replace("\n", "").isprintable()

    def test_everything_is_closed(self, demo):
        """
        If the demo has ended, no socket is left open, and nothing went wrong.
        """
        assert "Warning" not in demo.stderr
        assert "Traceback" not in demo.stderr
        assert "Exception" not in demo.stderr


class TestInterrupted:
    @pytest.mark.parametrize("signals", [1, 3])
    def test_threads_that_wait_for_their_turn(self, interruptible, signals):
        """
        If Ctrl-C comes, once or more, while the threads wait for turns that are
        far away, they are sent away, and what was done is shown.
        """
        options = ("--images", "30", "--rate", "0.1", "--outage", "0")
        demo = interruptible(*options)
        # The bursts are all but used up; the next turns are ten seconds away.
        wait_for(demo.stderr, "downloader.progress arrived=9 ")

        for _ in range(signals):
            demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=30)

        assert 130 == demo.returncode
        assert "Interrupted; until then:" in out
        assert set(HOSTS) == set(rows(out))
        assert "limiter_closed limiter=images[healthy]" in err
        assert "Traceback" not in err
        assert "Warning" not in err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_tasks(self, interruptible, tmp_path, number):
        """
        If Ctrl-C or SIGTERM comes while an event loop is at it, too, what was
        done is shown, also in a picture, and everything is closed.
        """
        demo = interruptible("--images", "60", "--rate", "5")
        wait_for(demo.stderr, "downloader.tasks_join")
        wait_for(demo.stderr, "downloader.progress")

        demo.send_signal(number)
        out, err = demo.communicate(timeout=30)

        assert 130 == demo.returncode
        assert set(HOSTS) == set(rows(out))
        assert "Traceback" not in err
        assert "Warning" not in err
        assert "Interrupted: " in (tmp_path / "timeline.svg").read_text("utf-8")

    def test_when_everything_has_arrived(self, interruptible, tmp_path):
        """
        If Ctrl-C comes while servers are closed, nothing is left to interrupt:
        there is a picture all the same.
        """
        demo = interruptible("--images", "3", "--outage", "0", "--rate", "100")
        wait_for(demo.stdout, "3 of 3 images arrived")

        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=30)

        assert 0 == demo.returncode
        assert "Timeline: timeline.svg" in out
        assert "Traceback" not in err
        assert (tmp_path / "timeline.svg").exists()

    def test_while_it_gets_ready(self, environment, tmp_path):
        """
        If Ctrl-C comes before there is anything to tell, nothing is told.
        """
        (tmp_path / "httpx2.py").write_text(
            "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n",
            encoding="utf-8",
        )

        path = [str(tmp_path), os.environ.get("PYTHONPATH", "")]

        ended = subprocess.run(
            # In background jobs Ctrl-C is ignored: here it is not.
            [sys.executable, "-c", NOT_IGNORED, *DEMO],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": os.pathsep.join(path)},
            timeout=100,
        )

        assert (-signal.SIGINT, b"", b"") == (
            ended.returncode,
            ended.stdout,
            ended.stderr,
        )


NOT_IGNORED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class TestTerminal:
    def test_it_is_left_as_it_was(self, environment, tmp_path):
        """
        If it is watched on a terminal and Ctrl-C comes, there was a live line
        for each host, and in the end the log and the table are left, the
        cursor, and no colours where none are wanted.
        """
        options = ("--images", "90", "--rate", "5", "--outage", "0")
        pty = pytest.importorskip("pty")
        here, there = pty.openpty()
        termios = pytest.importorskip("termios")
        termios.tcsetwinsize(there, (24, 80))
        environment = {**environment, "TERM": "xterm-256color", "NO_COLOR": "1"}
        del environment["FORCE_COLOR"]
        demo = subprocess.Popen(
            [sys.executable, "-c", NOT_IGNORED, *DEMO, *options],
            stdin=there,
            stdout=there,
            stderr=there,
            cwd=tmp_path,
            env=environment,
        )
        os.close(there)
        try:
            seen = read_until(here, rb"strict .* closed .*downloader.progress")

            demo.send_signal(signal.SIGINT)
            seen += read_until(here, rb"Timeline: timeline.svg\r\n")

            assert 130 == demo.wait(timeout=30)
        finally:
            demo.kill()
            demo.wait()
            os.close(here)
        text = seen.decode()
        codes = set(re.findall(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", text))
        assert {"\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[1A"} <= codes
        assert {code for code in codes if code.endswith("m")} <= {
            "\x1b[0m",
            "\x1b[1m",
            "\x1b[2m",
        }
        _, final = text.split("\x1b[?25h")
        assert set(HOSTS) == set(rows(final))
        assert "\x1b[?25l" not in final
        assert "Traceback" not in text


def read_until(terminal, pattern):
    """
    Return what appears on *terminal*, up to a line that matches.
    """
    seen = b""
    while not re.search(pattern, seen, re.DOTALL):
        seen += os.read(terminal, 1 << 16)
    return seen


def wait_for(stream, text):
    for line in stream:
        if text in line:
            return
    pytest.fail(f"{text} was not to be read")


class TestUrls:
    def test_addresses_that_cannot_be_called(self, run, tmp_path):
        """
        If a name does not resolve or nobody listens, that is counted as
        failures, the run goes on to its end, and the status says so.
        """
        urls = tmp_path / "urls"
        urls.write_text(
            "# nobody is there\n\nhttp://nobody.invalid/1.png\n"
            "http://127.0.0.1:1/1.png\n",
            encoding="utf-8",
        )

        ended = run("--urls", urls, "--rate", "100")

        assert 1 == ended.returncode
        assert "0 of 2 images arrived" in ended.stdout
        assert re.search(r"127\.0\.0\.1:1 +3 +\d+ +0 +3 ", ended.stdout)
        assert "missing: http://nobody.invalid/1.png" in ended.stdout
        assert "Traceback" not in ended.stderr
        assert "Warning" not in ended.stderr

    def test_a_file_that_makes_no_sense(self, run, tmp_path):
        """
        If the file makes no sense, one line says where, and nothing is done.
        """
        urls = tmp_path / "urls"
        urls.write_text("http://a/\n\nimage.png\n", encoding="utf-8")

        ended = run("--urls", urls, "--into", "into", "--record", "record")

        assert 2 == ended.returncode
        assert not ended.stdout
        assert 1 == len(ended.stderr.splitlines())
        assert f"{urls}:3: image.png: not an http://" in ended.stderr
        assert [urls] == list(tmp_path.iterdir())


class TestStdout:
    LITTLE = ("--images", "3", "--outage", "0", "--rate", "100")

    def run(self, environment, folder, *options, stdout, first=()):
        """
        Run a little demo with *stdout*.
        """
        return subprocess.run(
            [*first, *DEMO, *self.LITTLE, *options],
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            cwd=folder,
            env=environment,
            timeout=100,
        )

    def test_whoever_reads_may_leave(self, environment, tmp_path):
        """
        If the pipe is closed early, that is no error to talk about.
        """
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            ended = self.run(environment, tmp_path, stdout=pipe)

        assert (141, b"") == (ended.returncode, ended.stderr)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_full_disk(self, environment, tmp_path):
        """
        If what is printed cannot be written, one line says why.
        """
        with Path("/dev/full").open("wb") as full:
            ended = self.run(environment, tmp_path, stdout=full)

        assert (2, b"downloader: No space left on device\n") == (
            ended.returncode,
            ended.stderr,
        )

    def test_it_knows_ascii_only(self, environment, tmp_path):
        """
        If stdout does not know a sign, it is shown as an escape.
        """
        ascii_only = {**environment, "PYTHONIOENCODING": "ascii"}

        ended = self.run(
            ascii_only,
            tmp_path,
            "--picture",
            "b\u00fcld.svg",
            stdout=subprocess.PIPE,
        )

        assert 0 == ended.returncode
        assert ended.stdout.endswith(b"Timeline: b\\xfcld.svg" + os.linesep.encode())

    def test_there_is_none(self, environment, tmp_path):
        """
        If there is no stdout at all, the picture is drawn.
        """
        closes_it = [sys.executable, "-c", NO_STDOUT]

        ended = self.run(environment, tmp_path, stdout=None, first=closes_it)

        assert 0 == ended.returncode
        assert b"Traceback" not in ended.stderr
        assert (tmp_path / "timeline.svg").stat().st_size


NO_STDOUT = """
import os, sys
os.close(1)
os.execv(sys.argv[1], sys.argv[1:])
"""


class TestExtra:
    @pytest.mark.parametrize("name", ["httpx2", "rich"])
    def test_what_it_needs_is_missing(self, environment, tmp_path, name):
        """
        If a package of the extra is not installed, one line says what to do.
        """
        (tmp_path / f"{name}.py").write_text(
            f"raise ModuleNotFoundError('No module', name={name!r})\n",
            encoding="utf-8",
        )
        path = [str(tmp_path), os.environ.get("PYTHONPATH", "")]

        ended = subprocess.run(
            DEMO,
            capture_output=True,
            check=False,
            cwd=tmp_path,
            encoding="utf-8",
            env={**environment, "PYTHONPATH": os.pathsep.join(path)},
            timeout=100,
        )

        assert (
            2,
            "",
            (
                f"downloader: {name} is not installed;"
                " pip install 'switchgear[demo]' does it\n"
            ),
        ) == (ended.returncode, ended.stdout, ended.stderr)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (("--nonsense",), "unrecognized arguments: --nonsense"),
            (("--into", __file__), f"{__file__}: File exists"),
            (("--record", "nowhere/run"), "nowhere/run: No such file or directory"),
        ],
    )
    def test_what_makes_no_sense(self, run, options, says):
        """
        If an option makes no sense, one line says which and why.
        """
        ended = run(*options)

        assert (2, "", f"downloader: {says}\n") == (
            ended.returncode,
            ended.stdout,
            ended.stderr,
        )

    def test_help(self, run):
        """
        If help is asked for, every option is explained, in 80 columns.
        """
        ended = run("--help")

        assert 0 == ended.returncode
        # In colours since Python 3.14.
        text = re.sub(r"\x1b\[[\d;]*m", "", ended.stdout)
        for option in re.findall(r"\[(--\w+)", text):
            assert f"  {option} " in text
        assert {"--urls", "--picture", "--record", "--replay"} <= set(
            re.findall(r"--\w+", text)
        )
        assert max(map(len, text.splitlines())) <= 80
