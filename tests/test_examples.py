"""
The examples: found by those who look for them, and made of what is public.

What they print is compared where the documentation shows it.
"""

from __future__ import annotations

import ast
import re

import pytest

from pages import ROOT, blocks

import switchgear

from switchgear import events, testing
from switchgear.http import aiohttp, httpx, httpx2, requests


EXAMPLES = ROOT / "examples"

HTTP = (aiohttp, httpx, httpx2, requests)

#: What the examples call is no example.
HELPERS = {"service.py"}

PROGRAMS = {path.name for path in EXAMPLES.glob("*.py")} - HELPERS


def test_each_is_shown_and_run():
    """
    If there is an example, the documentation shows it and what it prints.
    """
    page = blocks(ROOT / "docs" / "examples.md")

    shown = [
        block.argument.removeprefix("../examples/")
        for block in page
        if block.language == "{literalinclude}"
    ]
    run = [
        re.match(r"\$ python examples/(\w+\.py)\n.", block.text)[1]
        for block in page
        if block.language == "console"
    ]

    assert len(PROGRAMS) > 10
    assert sorted(shown) == sorted(PROGRAMS | HELPERS)
    assert sorted(run) == sorted(PROGRAMS)


def test_each_is_listed_beside_them():
    """
    If the folder is opened, its README names all that is in it.
    """
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[([\w.]+)\]\(\1\) \|", text, re.MULTILINE)

    there = PROGRAMS | {path.parent.name for path in EXAMPLES.glob("*/__main__.py")}
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.stem
)
def test_each_is_made_of_what_is_public(path):
    """
    If an example takes something of ours, a reader may do so, too.
    """
    public = {
        "switchgear": {*switchgear.__all__, "testing", "events"},
        "switchgear.events": set(events.__all__),
        "switchgear.testing": set(testing.__all__),
        **{one.__name__: set(one.__all__) for one in HTTP},
    }
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            ours = {name.name for name in node.names if "switchgear" in name.name}
            assert ours <= {"switchgear"}
        elif isinstance(node, ast.ImportFrom) and "switchgear" in (node.module or ""):
            assert {name.name for name in node.names} <= public.get(node.module, set())
