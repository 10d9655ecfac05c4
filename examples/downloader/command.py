"""
What the command line asks for.
"""

from __future__ import annotations

import os
import sys

from typing import TYPE_CHECKING, Final

from bad_input import BadInputError
from drawing import check_place, draw
from options import Options, parse
from recording import read_recording
from status import BAD_INPUT, BROKEN_PIPE, INTERRUPTED


if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Do what the command line says; return the exit status.
    """
    options = parse(arguments)
    # Signs that stdout does not know are shown as escapes, as stderr does.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    try:
        check_place(options.picture)
        if options.replay is not None:
            draw(read_recording(options.replay), options.picture)
            status = 0
        else:
            status = _download(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BadInputError as error:
        print(f"downloader: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # Whoever read it has seen enough. Python would complain at exit, too.
        _silence()
        return BROKEN_PIPE
    except OSError as error:
        _silence()
        print(f"downloader: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        # Before anything was done.
        return INTERRUPTED
    return status


#: What comes with the extra.
_EXTRA: Final = frozenset({"http_sf", "httpx2", "rich"})


def _silence() -> None:
    """
    Have what is printed go nowhere.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _download(options: Options) -> int:
    # They take their time, and are for downloading only.
    from interruption import Interruption

    try:
        from run import run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        msg = f"{error.name} is not installed; pip install 'switchgear[demo]' does it"
        raise BadInputError(msg) from error

    interruption = Interruption()
    interruption.listen()
    return run(options, interruption)
