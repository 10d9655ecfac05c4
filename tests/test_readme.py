"""
What the docstrings show, run as it stands; and what the README says of us.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re

from pathlib import Path

import pytest

from pages import blocks, check

import switchgear

from switchgear.testing import isolated_registry


ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
SOURCE = Path(switchgear.__file__).parents[1]


def docstrings():
    """
    Yield a doctest for each docstring that has examples.
    """
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    parser = doctest.DocTestParser()
    for path in sorted((SOURCE / "switchgear").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            text = ast.get_docstring(node) if isinstance(node, documented) else None
            if text and ">>>" in text:
                module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
                module = module.removesuffix(".__init__")
                names = dict(vars(importlib.import_module(module)))
                name = f"{module}.{getattr(node, 'name', '')}"
                line = node.body[0].lineno - 1
                yield parser.get_doctest(text, names, name, str(path), line)


class TestReadme:
    """
    README.md.
    """

    def test_its_commands_are_targets(self):
        """
        If the README names a make target, the Makefile has it.
        """
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))

        text = README.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:`|\$ )make (\w+)", text))

        assert {"demo", "test"} <= named
        assert named <= targets

    def test_its_tree_of_errors_is_the_true_one(self):
        """
        If the README shows an error below another, it is one of that kind.
        """
        (text,) = [one.text for one in blocks(README) if "SwitchgearError" in one.text]
        parents = []
        for line in text.splitlines():
            name = re.search(r"\w+", line)
            depth = name.start() // 4
            error = getattr(switchgear, name[0])
            parents[depth:] = [error]

            assert depth == 0 or issubclass(error, parents[depth - 1])


class TestDocstrings:
    """
    The docstrings of the source.
    """

    @pytest.mark.parametrize("example", list(docstrings()), ids=lambda one: one.name)
    def test_examples_run(self, example):
        """
        If a docstring has an example, it does what it says.
        """
        with isolated_registry():
            check(example)
