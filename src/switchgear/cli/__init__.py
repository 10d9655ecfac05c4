"""
The command line: look at settings before a program lives by them.
"""

from __future__ import annotations

import argparse
import os
import sys

from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from switchgear.cli._check import check
from switchgear.cli._show import show
from switchgear.cli._text import UNREADABLE


if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["main"]

_EPILOG: Final = """\
exit status:
  0  all is well
  1  there are problems; each is on stderr (with --json: in the answer)
  2  the command makes no sense, a file cannot be read, or nothing written
"""

_CHECK: Final = """\
Check files of settings, and say in words what each limiter and breaker will
do. What a table leaves open is as the code says; the words assume defaults.
Of several files, the later lie over the earlier, key by key, as when a
program loads one after the other.
"""

_SHOW: Final = """\
Show every setting that files (and, with --env, the environment) come to, and
which of them each value is from. What code and run time say is not known here:
"default" is what holds if they say nothing.
"""

_EXAMPLE: Final = """\
example:
  switchgear {command}

"""

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Do what the command line says; return the exit status.

    Args:
        arguments: Those after the program's name; None for the process's own.

    .. versionadded:: 0.1.0
    """
    # Python has None for a stream that was closed (`2>&-`, `pythonw`), and
    # print(file=None) prints to stdout: errors would be in the answer.
    with (
        Path(os.devnull).open("w") as nobody,
        redirect_stdout(sys.stdout or nobody),
        redirect_stderr(sys.stderr or nobody),
    ):
        _print_anything()
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        try:
            given = _parser().parse_args(arguments)
            status: int = given.act(given)
        finally:
            # Also when help or the version was asked for.
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has seen enough.
        _give_up()
        return BROKEN_PIPE
    except OSError as error:
        # Where it is told may be what cannot be written.
        with suppress(OSError):
            print(f"switchgear: {error.strerror}", file=sys.stderr)
        _give_up()
        return UNREADABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _give_up() -> None:
    """
    Forget what cannot be written: at exit Python would try again, and complain.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _print_anything() -> None:
    """
    Have signs that stdout or stderr do not know shown as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="switchgear",
        description="Look at the settings of rate limiters and circuit breakers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version, and stop"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add(
        commands,
        "check",
        help="say what is wrong with files, and what they will do",
        description=_CHECK,
        example="check switchgear.toml",
    ).set_defaults(act=check)
    shown = _add(
        commands,
        "show",
        help="show what files come to, and where each value is from",
        description=_SHOW,
        example="show switchgear.toml production.toml --env",
    )
    shown.set_defaults(act=show)
    shown.add_argument(
        "--env",
        action="store_true",
        help="lay the variables SWITCHGEAR_... of the environment over the files",
    )
    return parser


def _add(
    commands: Any,
    name: str,
    *,
    help: str,  # noqa: A002 -- argparse's word
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=_EXAMPLE.format(command=example) + _EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a TOML file")
    parser.add_argument(
        "--json", action="store_true", help="answer with one JSON object"
    )
    return parser


class _Version(argparse.Action):
    """
    Print the version; looked up only now, for that takes its time.
    """

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"switchgear {version('switchgear')}")
        parser.exit()
