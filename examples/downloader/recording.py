"""
What happens, collected while it does, and written down to be read again.
"""

from __future__ import annotations

import json
import time

from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from bad_input import BadInputError, shown
from entries import Entry

from switchgear import subscribe


if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    from switchgear.events import Event


#: The first line of a file; the version is that of the entries.
HEADER: Final = {"format": "switchgear-downloader", "version": 1}


class Recording:
    """
    Collect what happens, until the block is left.

    With a file, every entry is a line of it at once: however the program ends,
    what happened until then can be read.

    Safe to share between any number of threads.

    Args:
        path: Where entries are written, or None.
        ignored: What is written, and not kept.

    Raises:
        BadInputError: If the file cannot be written.
    """

    def __init__(
        self, path: Path | None = None, *, ignored: Iterable[str] = ()
    ) -> None:
        self._file = None if path is None else _File(path)
        self._ignored = frozenset(ignored)
        self._hosts: dict[str | None, str] = {}
        self._entries: list[Entry] = []
        self._lock = Lock()
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._unsubscribe = subscribe(self._note_event)
        return self

    def __exit__(self, *_: object) -> None:
        self._unsubscribe()
        if self._file is not None:
            with self._lock:
                self._file.close()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """
        What was kept so far.
        """
        with self._lock:
            return tuple(self._entries)

    def meet(self, host: str, *names: str | None) -> None:
        """
        Take what happens to the instances of those *names* for *host*'s.
        """
        self._hosts.update(dict.fromkeys(names, host))

    def note(self, event: str, host: str | None = None, **details: Any) -> None:
        """
        Note what happens now.
        """
        self._note(Entry(self._since(time.monotonic()), event, host, details))

    def check(self) -> None:
        """
        Raise what went wrong with the file, if anything did.

        Raises:
            BadInputError: If something is missing in it.
        """
        if self._file is not None:
            self._file.check()

    def _note_event(self, event: Event) -> None:
        self._note(Entry.of(event, t=self._since(event.at), hosts=self._hosts))

    def _since(self, moment: float) -> float:
        # With as many digits as are written: what is read is the same.
        return round(max(0.0, moment - self._began), 6)

    def _note(self, entry: Entry) -> None:
        with self._lock:
            if entry.event not in self._ignored:
                self._entries.append(entry)
            if self._file is not None:
                self._file.write(entry.to_line())


class _File:
    """
    Write lines until something goes wrong, which is told in the end.

    It happens in the middle of somebody's call, which is not to fail for that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._error: OSError | None = None
        try:
            self._file = path.open("w", encoding="utf-8")
        except (OSError, ValueError) as error:
            raise BadInputError.about(path, error) from error
        self.write(json.dumps(HEADER))
        try:
            self.check()
        except BadInputError:
            self.close()
            raise

    def write(self, line: str) -> None:
        if self._error is None and not self._file.closed:
            try:
                self._file.write(f"{line}\n")
                self._file.flush()
            except OSError as error:
                self._error = error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self._error = self._error or error

    def check(self) -> None:
        if self._error is not None:
            raise BadInputError.about(self._path, self._error) from self._error


def read_recording(path: Path) -> list[Entry]:
    """
    Return the entries in a file.

    Raises:
        BadInputError: If it cannot be read, or is no recording of this version,
            or is cut off, or a line of it makes no sense.
    """
    try:
        header, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    except (OSError, ValueError) as error:
        raise BadInputError.about(path, error) from error
    _check_header(path, header)
    return [_entry(path, number, line) for number, line in enumerate(lines, 2)]


def _check_header(path: Path, line: bytes) -> None:
    if not line:
        msg = f"{shown(path)}: empty; no recording"
        raise BadInputError(msg)
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != HEADER["format"]:
        msg = f"{shown(path)}: no recording of the downloader"
        raise BadInputError(msg)
    if header.get("version") != HEADER["version"]:
        msg = (
            f"{shown(path)}: a recording of version {shown(header.get('version'))};"
            f" only version {HEADER['version']} can be read"
        )
        raise BadInputError(msg)


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        return Entry.from_line(line.decode("utf-8"))
    except ValueError as error:
        # Lines are written whole: only the last may lack its end.
        problem = (
            shown(error)
            if line.endswith(b"\n")
            else "cut off in the middle; without this line the rest can be drawn"
        )
        msg = f"{shown(path)}:{number}: {problem}"
        raise BadInputError(msg) from error
