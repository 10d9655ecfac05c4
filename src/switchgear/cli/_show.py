"""
``switchgear show``: the answer is a TOML file itself, the sources are comments.
"""

from __future__ import annotations

import os
import sys

from typing import TYPE_CHECKING, Any, Final

from switchgear.cli._settings import plain, quoted, read
from switchgear.cli._text import WIDTH, paragraph, print_json


if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from switchgear.cli._settings import Named, Reading


_DEFAULT: Final = "default"

#: Where comments begin, if there is room.
_COMMENTS: Final = 32


def show(given: Namespace) -> int:
    """
    Show what files and environment come to.
    """
    reading = read(given.files, os.environ if given.env else {})
    if given.json:
        print_json(_as_json(given.files, reading))
    elif reading.problems:
        print(*reading.problems, sep="\n", file=sys.stderr)
    else:
        print(*_document(reading.named), sep="\n")
    return reading.status


def _document(named: Sequence[Named]) -> Iterator[str]:
    if not named:
        yield "# no limiter and no breaker"
    for number, one in enumerate(named):
        if number:
            yield ""
        if one.contradiction is not None:
            yield _comment(
                f"makes sense only if the code says more: {one.contradiction}"
            )
        if not one.in_files:
            yield _comment(
                "there is no table for this; it is meant for the name that looks so"
                " in the environment"
            )
        yield f"[{one.path}]"
        for key, value in one.settings.items():
            yield from _lines(key, plain(value), one.sources.get(key, _DEFAULT))


def _comment(text: str) -> str:
    return paragraph(text, indent="# ", hang="# ")


def _lines(key: str, value: Any, source: str) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value:
            yield _with_source(f"{key}.{part} = {_value(value[part])}", source)
    elif isinstance(value, list):
        yield _with_source(f"{key} = [", source)
        for one in value:
            parts = ", ".join(f"{part} = {_value(one[part])}" for part in one)
            yield f"  {{ {parts} }},"
        yield "]"
    else:
        yield _with_source(f"{key} = {_value(value)}", source)


def _with_source(line: str, source: str) -> str:
    # A file may be called anything; a comment ends with its line.
    source = source if source.isprintable() else repr(source)
    text = f"{line:<{_COMMENTS}}  # {source}"
    return text if len(text) <= WIDTH else f"# {source}\n{line}"


def _value(value: Any) -> str:
    """
    Return *value* as TOML has it.
    """
    if value is None:
        return '"none"'
    if isinstance(value, str):
        return quoted(value)
    return repr(value).removesuffix(".0")


def _as_json(files: list[str], reading: Reading) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "files": files,
        "problems": reading.problems,
        "limiters": {},
        "breakers": {},
    }
    if not reading.problems:
        for one in reading.named:
            settings = {
                key: {"value": plain(value), "source": one.sources.get(key, _DEFAULT)}
                for key, value in one.settings.items()
            }
            answer[f"{one.kind}s"][one.name] = {
                "settings": settings,
                "contradiction": one.contradiction,
            }
    return answer
