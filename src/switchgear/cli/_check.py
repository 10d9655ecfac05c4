"""
``switchgear check``.
"""

from __future__ import annotations

import sys

from typing import TYPE_CHECKING, Any, Final

from switchgear.cli._settings import plain, read
from switchgear.cli._text import paragraph, print_json
from switchgear.cli._words import words_for


if TYPE_CHECKING:
    from argparse import Namespace

    from switchgear.cli._settings import Named, Reading


_ASSUMED: Final = (
    "What a table leaves open is as the code says; this assumes the defaults. All"
    " numbers are those of one process, as long as its settings stay."
)


def check(given: Namespace) -> int:
    """
    Say what is wrong with the files, else what they will do.
    """
    reading = read(given.files, {})
    if given.json:
        print_json(_as_json(given.files, reading))
    elif reading.problems:
        print(*reading.problems, sep="\n", file=sys.stderr)
    elif reading.named:
        _print(reading)
    else:
        print("No limiter and no breaker, and nothing wrong.")
    return reading.status


def _print(reading: Reading) -> None:
    for one in reading.named:
        print(one.path)
        for sentence in _sentences(one):
            print(paragraph(sentence, indent="  ", hang="    "))
        print()
    print(paragraph(_ASSUMED))


def _sentences(one: Named) -> list[str]:
    if one.contradiction is None:
        return words_for(one.kind, one.settings)
    return [f"Makes sense only if the code says more: {one.contradiction}."]


def _as_json(files: list[str], reading: Reading) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "files": files,
        "problems": reading.problems,
        "limiters": {},
        "breakers": {},
    }
    if not reading.problems:
        for one in reading.named:
            answer[f"{one.kind}s"][one.name] = {
                "settings": {key: plain(one.settings[key]) for key in one.settings},
                "contradiction": one.contradiction,
                "words": [] if one.contradiction else _sentences(one),
            }
    return answer
