"""
Every example of the documentation, run as it stands.
"""

from __future__ import annotations

import os

import pytest

from pages import ROOT, Page, blocks


PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.fixture(autouse=True)
def _settings_of_nobody(monkeypatch):
    for name in [name for name in os.environ if name.startswith("SWITCHGEAR_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_is_what_happens(page, tmp_path):
    """
    If a reader types the examples of a page in order, each does what it says.
    """
    shown = [block for block in blocks(page) if block.language in {"python", "pycon"}]

    assert Page(page, tmp_path).run() >= len(shown)


def test_pages_have_examples():
    """
    If the pages are counted that are there to be tried, there are many.
    """
    tried = [page for page in PAGES if blocks(page)]

    assert len(tried) > 20
