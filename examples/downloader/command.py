"""
What the command line asks for.
"""

from __future__ import annotations

import sys

from typing import TYPE_CHECKING

from bad_input import BadInputError
from drawing import check_place, draw
from options import Options, parse
from recording import read_recording
from status import BAD_INPUT, INTERRUPTED


if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Do what the command line says; return the exit status.
    """
    options = parse(arguments)
    try:
        check_place(options.picture)
        if options.replay is not None:
            draw(read_recording(options.replay), options.picture)
            return 0
        return _download(options)
    except BadInputError as error:
        print(f"downloader: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        # Before anything was done, or after everything was.
        return INTERRUPTED


def _download(options: Options) -> int:
    # They take their time, and are for downloading only.
    from interruption import Interruption
    from run import run

    interruption = Interruption()
    interruption.listen()
    return run(options, interruption)
