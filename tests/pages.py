"""
Run what a page shows, the way a reader would.

Blocks of a page are run in order, in a folder of their own:

- ``python``: in one namespace, with top-level ``await``. One that begins with
  ``# shop.py`` is a file: it is written, and runs when somebody runs or imports
  it; ``# test_shop.py`` is handed to pytest at once.
- ``pycon``: a doctest, in the same namespace.
- ``toml``: settings; checked, and written if it begins with ``# shop.toml``.
- ``console``: what begins with ``$ switchgear`` or ``$ python`` is run, and what
  it prints is compared (``...`` stands for anything); other commands are not.
- ``json``: has to be JSON. ``text`` is text.
- ``{literalinclude}``: a file of the repository; it is there from the start.

``<!-- not valid: why -->`` before a block says that its settings are wrong on
purpose.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib

from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from switchgear import Registry
from switchgear.testing import isolated_registry


ROOT = Path(__file__).resolve().parents[1]

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

_FENCE = re.compile(
    r"^(?P<before><!-- not valid: .+ -->\n\n?)?"
    r"^```(?P<language>[\w{}-]*) ?(?P<argument>[^\n]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)

#: Commands that are run here, maybe with a variable of their own ...
_RUN = re.compile(
    r"(\w+=\S+ )*(switchgear|python ([\w/]+\.py|-m (pytest|switchgear)))\b"
)

#: ... and those that a reader runs without us.
_NOT_RUN = re.compile(
    r"(\w+=\S+ )*(cd|git|gunicorn|make|mkdir|python -m (venv|pip))\b"
    r"|\. \.venv/bin/activate"
)


class Block(NamedTuple):
    """
    Hold one example.
    """

    language: str
    #: Of its first line.
    line: int
    text: str
    #: It shows what is wrong.
    bad: bool = False
    #: What follows the language, such as the file to be included.
    argument: str = ""

    @property
    def file(self):
        """
        The name that its first line gives it, if it does.
        """
        found = re.match(r"# ([\w/.-]+\.\w+)$", self.text.partition("\n")[0])
        return found and found[1]


def blocks(page):
    """
    Return the examples of *page*, from top to bottom.
    """
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            text.count("\n", 0, found.start("text")),
            found["text"],
            bool(found["before"]),
            found["argument"],
        )
        for found in _FENCE.finditer(text)
    ]


def check(example):
    """
    Run a doctest; fail with its own report.
    """
    report = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    outcome = runner.run(example, out=report.append, clear_globs=False)

    assert outcome.attempted > 0
    assert outcome.failed == 0, "".join(report)


class Page:
    """
    Run the blocks of a page.
    """

    def __init__(self, path, folder):
        self._path = path
        self._folder = folder
        self._names = {"__name__": "page"}
        self._runner = asyncio.Runner()
        # What a page sets in Python is not set in the reader's shell.
        self._environ = dict(os.environ)

    def run(self):
        """
        Run all of them; return how many there were to be run.
        """
        ran = 0
        with _at_home_in(self._folder), isolated_registry(), self._runner:
            found = blocks(self._path)
            for block in found:
                if block.language == "{literalinclude}":
                    self._include(block)
            for block in found:
                act = getattr(self, f"_{block.language}", None)
                if act is not None:
                    act(block)
                    ran += 1
                else:
                    assert block.language in {"", "text"} or "{" in block.language
        return ran

    def _python(self, block):
        # The line numbers of a failure are those of the page.
        text = "\n" * block.line + block.text
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(text, self._path, "exec", flags, dont_inherit=True)
        if block.file:
            self._write(block)
            if block.file.startswith("test_"):
                printed = self._shell(f"python -m pytest -q {block.file}")
                assert re.search(r"^\d+ passed in", printed, re.MULTILINE), printed
        elif code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(eval(code, self._names))  # noqa: S307 -- ours
        else:
            exec(code, self._names)  # noqa: S102 -- ours

    def _pycon(self, block):
        parser, path = doctest.DocTestParser(), str(self._path)
        example = parser.get_doctest(block.text, {}, path, path, block.line)
        # Not a copy: blocks go on from each other.
        example.globs = self._names
        check(example)

    def _toml(self, block):
        if block.bad:
            self._write(block)
            return
        Registry().configure(tomllib.loads(block.text))
        if block.file:
            self._write(block)

    def _include(self, block):
        source = (self._path.parent / block.argument).resolve()
        copy = self._folder / source.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(source.read_bytes())

    def _json(self, block):
        json.loads(block.text)

    def _console(self, block):
        for command, expected in _commands(block.text):
            if _RUN.match(command):
                printed = self._shell(command)
                same = doctest.OutputChecker().check_output(expected, printed, OPTIONS)
                assert same, f"{self._path}:{block.line}: {printed}"
            else:
                assert _NOT_RUN.match(command), command

    def _write(self, block):
        path = self._folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def _shell(self, command):
        """
        Run *command*; return what it prints.
        """
        words = command.split()
        own = dict(word.split("=", 1) for word in words if re.match(r"\w+=", word))
        program, *arguments = words[len(own) :]
        module = ["-m", "switchgear"] if program == "switchgear" else []
        done = subprocess.run(
            [sys.executable, *module, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
            env={
                **self._environ,
                **own,
                "COLUMNS": "80",
                # Lines come in the order in which a terminal shows them.
                "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                # An example that warns is none.
                "PYTHONWARNINGS": "error",
                "PYTHONPATH": os.pathsep.join(
                    [str(self._folder), self._environ.get("PYTHONPATH", "")]
                ),
                # A reader has no plugin but ours.
                "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:asyncio --rootdir .",
            },
        )
        return done.stdout


def _commands(text):
    """
    Return the commands in *text*, and what each is said to print.
    """
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


@contextmanager
def _at_home_in(folder):
    """
    Make *folder* where modules and files are found; forget them afterwards.
    """
    here, modules, path = Path.cwd(), set(sys.modules), sys.path[:]
    environ = dict(os.environ)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        os.chdir(here)
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environ)
        for name in set(sys.modules) - modules:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and origin.startswith(str(folder)):
                del sys.modules[name]
