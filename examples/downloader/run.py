"""
A run from beginning to end: download, show it, say what came of it.
"""

from __future__ import annotations

import tempfile
import time

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import live
import log

from addresses import read_addresses
from bad_input import BadInputError
from download import Downloader
from drawing import draw
from gallery import Gallery
from jobs import Job, given_job, own_job
from recording import Recording
from report import summary, table
from sampling import Sampler
from status import INTERRUPTED, MISSING
from tally import Tallies
from timeline import IGNORED


if TYPE_CHECKING:
    from collections.abc import Iterator

    from interruption import Interruption
    from options import Options


def run(options: Options, interruption: Interruption) -> int:
    """
    Download what *options* ask for; return the exit status.

    Raises:
        BadInputError: If a file or a folder cannot be used.
    """
    addresses = None if options.urls is None else read_addresses(options.urls)
    with ExitStack() as stack:
        gallery = Gallery(_folder(options.into, stack))
        if addresses is None:
            job = own_job(options, stack)
        else:
            job = given_job(options, addresses)
        # Opened before anything is said: it may be no file that can be written.
        with Recording(options.record, ignored=IGNORED) as recording:
            print(*job.introduction, sep="\n", flush=True)
            status = _download(job, gallery, recording, options.threads, interruption)
    draw(recording.entries, options.picture)
    recording.check()
    return status


def _download(
    job: Job,
    gallery: Gallery,
    recording: Recording,
    threads: int,
    interruption: Interruption,
) -> int:
    """
    Do the *job* and say what came of it; return the exit status.
    """
    began = time.monotonic()
    images = len(job.addresses)
    with Tallies(recording) as tallies:
        for host in job.hosts:
            tallies.meet(host)
        downloader = Downloader(
            gallery,
            tallies,
            images=images,
            max_failures=job.max_failures,
            trust_env=job.trust_env,
        )
        interrupted = False
        try:
            with _watched(recording, tallies, images, interruption):
                downloader.run(job.addresses, threads, interruption)
        except KeyboardInterrupt:
            interrupted = True
        # The table, the picture, and everything closed.
        interruption.ignore()
        seconds = time.monotonic() - began
        # What an interruption left undone is no news.
        missing = [] if interrupted else downloader.missing
        print("\nInterrupted; until then:\n" if interrupted else "")
        print(*table(tallies), "", sep="\n")
        print(*summary(tallies, images, missing, seconds), sep="\n", flush=True)
        recording.note(
            "run_ended", images=images, arrived=tallies.arrived, interrupted=interrupted
        )
    if interrupted:
        return INTERRUPTED
    return MISSING if missing else 0


@contextmanager
def _watched(
    recording: Recording, tallies: Tallies, images: int, interruption: Interruption
) -> Iterator[None]:
    """
    Note how many wait, and show it all on a terminal, inside the block.
    """
    terminal = live.find_terminal()
    log.configure(terminal)
    sampler = Sampler(recording)
    display = live.Display(terminal, tallies, images)
    try:
        # Left in the middle of that, a terminal would miss its cursor.
        with interruption.postponed():
            sampler.start()
            display.start()
        yield
    finally:
        with interruption.postponed():
            display.stop()
            sampler.stop()


def _folder(into: Path | None, stack: ExitStack) -> Path:
    if into is None:
        made = tempfile.TemporaryDirectory(prefix="downloader-")
        return Path(stack.enter_context(made))
    try:
        into.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise BadInputError.about(into, error) from error
    return into
