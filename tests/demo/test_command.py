from __future__ import annotations

import pytest

from command import main
from recording import Recording


@pytest.fixture
def recorded(tmp_path):
    """
    A file in which something was recorded.
    """
    path = tmp_path / "run.jsonl"
    with Recording(path) as recording:
        recording.note("call_sent", "a")
        recording.note("run_ended", images=1, arrived=1, interrupted=False)
    return path


class TestReplay:
    def test_the_picture_is_drawn(self, recorded, tmp_path, monkeypatch, capsys):
        """
        If a recording is replayed, there is a picture, whose name is printed.
        """
        monkeypatch.chdir(tmp_path)

        assert 0 == main(["--replay", str(recorded)])

        assert ("Timeline: timeline.svg\n", "") == capsys.readouterr()
        assert "1 of 1 image arrived" in (tmp_path / "timeline.svg").read_text("utf-8")

    def test_the_same_again(self, recorded, tmp_path):
        """
        If a picture is drawn twice, it is the same, and replaces the first.
        """
        path = tmp_path / "picture.svg"
        arguments = ["--replay", str(recorded), "--picture", str(path)]
        main(arguments)
        first = path.read_bytes()
        path.write_bytes(first * 2)

        main(arguments)

        assert first == path.read_bytes()

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "empty; no recording"),
            (b"http://example.org/\n", "no recording of the downloader"),
        ],
    )
    def test_what_is_no_recording(self, tmp_path, monkeypatch, capsys, content, says):
        """
        If the file makes no sense, one line says so, and nothing is drawn.
        """
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "file"
        path.write_bytes(content)

        assert 2 == main(["--replay", str(path)])

        assert ("", f"downloader: {path}: {says}\n") == capsys.readouterr()
        assert [path] == list(tmp_path.iterdir())


class TestPicture:
    @pytest.mark.parametrize(
        ("name", "says"),
        [("", "Is a directory"), ("nowhere/x.svg", "No such file or directory")],
    )
    def test_where_it_cannot_go(self, tmp_path, capsys, name, says):
        """
        If the picture cannot be written, that is said before anything is done.
        """
        path = tmp_path / name

        assert 2 == main(["--picture", str(path)])

        assert ("", f"downloader: {path}: {says}\n") == capsys.readouterr()


class TestOptions:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--urls", ""], "--urls: must be the name of a file or folder, not ''"),
            (["--into", ""], "--into: must be the name"),
            (["--rate", "0"], "--rate: must be a number from 0.001 to 10000, not '0'"),
            (["--rate", "nan"], "--rate: must be a number"),
            (["--threads", "1.5"], "--threads: must be a whole number from 1 to 256"),
            (["--images", "2"], "--images: must be a whole number from 3"),
            (["--outage", "-1"], "--outage: must be a number from 0 to 20"),
            (["--urls", "a", "--images", "60"], "--images is about the servers"),
            (["--record", ""], "--record: must be the name"),
            (["--replay", "a", "--urls", "b"], "--urls is about downloading"),
            (["--replay", "a", "--threads", "16"], "--threads is about downloading"),
            (["--replay", "a", "--record", "b"], "--record is about downloading"),
            (["--replay", "a", "--picture", "./a"], "--picture and --replay cannot"),
            (["--record", "a", "--picture", "a"], "--picture and --record cannot"),
            (["--urls", "a", "--record", "a"], "--record and --urls cannot"),
            (["--urls", "a", "--picture", "a"], "--picture and --urls cannot"),
        ],
    )
    def test_what_makes_no_sense(self, tmp_path, monkeypatch, capsys, arguments, says):
        """
        If options make no sense, alone or together, one line says why.
        """
        monkeypatch.chdir(tmp_path)

        with pytest.raises(SystemExit) as ended:
            main(arguments)

        assert 2 == ended.value.code
        told = capsys.readouterr()
        assert not told.out
        assert says in told.err
        assert 1 == len(told.err.splitlines())
        assert not list(tmp_path.iterdir())
