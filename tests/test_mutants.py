"""
What is known of mutants, without trying any: that takes an hour.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib

from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "mutants.py"
SPEC = importlib.util.spec_from_file_location("mutants", TOOL)
mutants = importlib.util.module_from_spec(SPEC)
sys.modules["mutants"] = mutants
SPEC.loader.exec_module(mutants)


def explained():
    """
    Return every change that is explained by itself: function, and the rest.
    """
    table = tomllib.loads(mutants.SURVIVORS.read_text(encoding="utf-8"))
    for group in table["survivors"]:
        for change in group.get("mutants", ()):
            function, _, rest = change.partition(": ")
            yield function, rest


class TestMutant:
    @pytest.mark.parametrize(
        ("key", "function"),
        [
            ("switchgear._core.circuit.x_admit__mutmut_3", "_core.circuit.admit"),
            ("switchgear._core.circuit.x__open__mutmut_12", "_core.circuit._open"),
            ("switchgear._set.xǁ_Tableǁ__init____mutmut_1", "_set._Table.__init__"),
            ("switchgear._set.xǁ_Tableǁremove__mutmut_1", "_set._Table.remove"),
        ],
    )
    def test_function(self, key, function):
        """
        If mutmut names a mutant, the function is named as in the source.
        """
        assert function == mutants.Mutant(key, "survived").function


class TestExplanations:
    def write(self, tmp_path, text):
        path = tmp_path / "survivors.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def test_the_whole_change_must_be_explained(self, tmp_path):
        """
        If a change is written out, or a pattern matches all of it, it is
        explained; a part is not enough.
        """
        explanations = mutants.Explanations(
            self.write(
                tmp_path,
                """
                [[survivors]]
                why = "Because."
                mutants = ["_a.f: x + 1 -> x - 1"]
                patterns = ['_b\\.\\w+: y -> \\d']
                """,
            )
        )

        assert explanations.explain("_a.f: x + 1 -> x - 1")
        assert explanations.explain("_b.g: y -> 7")
        assert not explanations.explain("_a.f: x + 1 -> x - 12")
        assert not explanations.explain("_b.g: y -> 77")

    def test_a_reason_is_needed(self, tmp_path):
        """
        If there is no reason, that is an error.
        """
        path = self.write(tmp_path, "[[survivors]]\nwhy = ' '\nmutants = []\n")

        with pytest.raises(ValueError, match="without a reason"):
            mutants.Explanations(path)

    def test_none_is_about_what_is_gone(self):
        """
        If a mutant is explained, what it changes is still in the source.
        """
        gone = []
        for function, rest in explained():
            parts = function.split(".")
            module = parts[:2] if parts[0] == "_core" else parts[:1]
            file = ROOT.joinpath("src", "switchgear", *module).with_suffix(".py")
            source = " ".join(file.read_text(encoding="utf-8").split())
            # An arrow may be part of either side.
            arrows = [found.start() for found in re.finditer(" -> ", rest)]
            was = [" ".join(rest[:arrow].split()) for arrow in arrows]
            if f"def {parts[-1]}(" not in source or not any(
                one in source for one in was
            ):
                gone.append(f"{function}: {rest}")

        assert [] == gone


class TestParts:
    def test_every_file_of_the_core_is_in_one(self):
        """
        If a part names sources and tests, they are there.
        """
        for part in mutants.PARTS:
            for name in part.sources:
                assert list((ROOT / "src" / "switchgear").glob(f"{name}.py"))
            for name in part.tests:
                assert (ROOT / "tests" / name).exists()

    def test_what_is_skipped_is_there(self):
        """
        If tests are left out, they exist under that name.
        """
        text = "".join(
            path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")
        )

        assert [] == [name for name in mutants.SKIPPED if name not in text]

    def test_an_unknown_part_is_an_error(self):
        """
        If somebody asks for a part there is not, those that are there are named.
        """
        with pytest.raises(SystemExit, match="no such part: cre; there are core, shel"):
            mutants.main(["cre"])
