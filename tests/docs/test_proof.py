"""
The page on how we know it is right names checks that are there.
"""

from __future__ import annotations

import re

from pathlib import Path


ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "concepts" / "proof.md"


def test_what_it_names_is_there():
    """
    If the page names a file, a class or a test, it exists, in that file if it
    says which.
    """
    text = PAGE.read_text(encoding="utf-8")
    sources = {
        path: path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")
    }
    named = re.findall(r"`(tests/[\w/.]+)((?:::\w+)*)`", text)
    loose = re.findall(r"`((?:Test\w+)?(?:::)?test_\w+|Test\w+::test_\w+)`", text)

    assert len(named) > 20
    assert loose
    for path, names in named:
        assert (ROOT / path).exists(), path
        for name in names.split("::")[1:]:
            found = re.search(rf"(class|def) {name}\b", sources[ROOT / path])
            assert found, (path, name)
    for names in loose:
        for name in names.split("::"):
            pattern = re.compile(rf"(class|def) {name}\b")
            assert any(map(pattern.search, sources.values())), name


def test_the_numbers_it_gives():
    """
    If the page says how many breakages there are at least, there are.
    """
    (least,) = re.findall(
        r"holds more than (\d+) deliberate", PAGE.read_text(encoding="utf-8")
    )

    assert len(list(ROOT.glob("tests/breakages/*.patch"))) > int(least)
