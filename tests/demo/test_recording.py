from __future__ import annotations

import json

import pytest

from bad_input import BadInputError
from recording import HEADER, Recording, read_recording


@pytest.fixture
def limiter(switchgear_registry):
    """
    A limiter that is used up.
    """
    limiter = switchgear_registry.keyed_limiter("images", calls_per_second=0.001)["a"]
    limiter.try_acquire()
    return limiter


class TestRecording:
    def test_events_and_notes(self, limiter):
        """
        If something happens inside the block, it is kept, in its order, with
        the seconds since the beginning.
        """
        with Recording() as recording:
            recording.meet("a", limiter.name)
            recording.note("call_sent", "a")
            limiter.try_acquire()
            recording.note("run_ended", images=1)
        limiter.try_acquire()

        kept = recording.entries

        assert ["call_sent", "rate_limit_refused", "run_ended"] == [
            entry.event for entry in kept
        ]
        assert ["a", "a", None] == [entry.host for entry in kept]
        assert [{}, {"images": 1}] == [kept[0].details, kept[2].details]
        assert 0.0 <= kept[0].t <= kept[1].t <= kept[2].t < 60.0

    def test_what_is_written_is_what_is_kept(self, tmp_path, limiter):
        """
        If there is a file, what is read from it is what was kept, and what was
        not to be kept.
        """
        path = tmp_path / "run.jsonl"
        with Recording(path, ignored={"rate_limit_refused"}) as recording:
            limiter.try_acquire()
            recording.note("call_sent", "a")
            recording.note("call_failed", "b")

        read = read_recording(path)

        assert ["rate_limit_refused", "call_sent", "call_failed"] == [
            entry.event for entry in read
        ]
        assert list(recording.entries) == read[1:]

    def test_lines_are_there_at_once(self, tmp_path, limiter):
        """
        If the program is killed, the file has everything until then.
        """
        path = tmp_path / "run.jsonl"
        with Recording(path) as recording:
            recording.note("call_sent", "a")
            limiter.close("for a test")

            header, *lines = path.read_text(encoding="utf-8").splitlines()

        assert HEADER == json.loads(header)
        assert ["call_sent", "limiter_closed"] == [
            json.loads(line)["event"] for line in lines
        ]

    def test_a_file_that_cannot_be_opened(self, tmp_path):
        """
        If the file cannot be opened, that is said at once, in one line.
        """
        with pytest.raises(BadInputError, match=r"run\.jsonl: No such file"):
            Recording(tmp_path / "nowhere" / "run.jsonl")

    def test_a_full_disk(self, tmp_path):
        """
        If the disk is full, no call fails for that; it is told in the end, and
        nothing was lost but the file.
        """
        with Recording(tmp_path / "run.jsonl") as recording:
            recording.note("call_sent", "a")
            recording.check()
            recording._file._file.close()
            recording._file._file = _Full()
            recording.note("call_sent", "b")
            recording.note("call_sent", "c")

        assert ["a", "b", "c"] == [entry.host for entry in recording.entries]
        with pytest.raises(BadInputError, match=r"run\.jsonl: No space left"):
            recording.check()


class _Full:
    """
    A file on a disk that is full.
    """

    closed = False

    def write(self, text):
        raise OSError(28, "No space left on device")

    close = flush = lambda self: self.write("")


class TestReadRecording:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "run.jsonl"
        with Recording(path) as recording:
            recording.note("call_sent", "a")
            recording.note("call_sent", "b")
        return path

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", ": empty; no recording"),
            (b"GIF89a\xff\x00\n", ": no recording of the downloader"),
            (b"[]\n", ": no recording of the downloader"),
            (b'{"format": "another"}\n', ": no recording of the downloader"),
            (b"[" * 100_000, ": no recording of the downloader"),
            (
                b'{"format": "switchgear-downloader", "version": 2}\n',
                ": a recording of version 2; only version 1 can be read",
            ),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_files_that_are_none(self, path, content, says):
        """
        If a file is no recording, or one of another version, one line says so.
        """
        path.write_bytes(content)

        with pytest.raises(BadInputError) as refused:
            read_recording(path)

        assert f"{path}{says}" == str(refused.value)

    def test_a_file_that_is_cut_off(self, path):
        """
        If the last line is not whole, that is said; without it, or with all of
        it but its end, the rest can be read.
        """
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])

        with pytest.raises(BadInputError) as refused:
            read_recording(path)

        assert f"{path}:3: cut off in the middle; without this line" in str(
            refused.value
        )

        path.write_bytes(whole[:-1])

        assert ["a", "b"] == [entry.host for entry in read_recording(path)]

        path.write_bytes(whole[: whole.rindex(b"{")])

        assert ["a"] == [entry.host for entry in read_recording(path)]

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            (b"{}\n", ":2: no proper 't'"),
            (b"\xff\n", ":2: 'utf-8' codec can't decode byte 0xff in position 0"),
        ],
    )
    def test_a_line_that_makes_no_sense(self, path, line, says):
        """
        If a line makes no sense, its number is said, and what is wrong.
        """
        header, *lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([header, line, *lines]))

        with pytest.raises(BadInputError) as refused:
            read_recording(path)

        assert f"{path}{says}" in str(refused.value)

    def test_a_file_that_is_not_there(self, tmp_path):
        """
        If there is no such file, one line says so.
        """
        with pytest.raises(BadInputError, match="nothing: No such file"):
            read_recording(tmp_path / "nothing")
