"""
The tool that follows the links of the built documentation.
"""

from __future__ import annotations

import subprocess
import sys

from pathlib import Path


TOOL = Path(__file__).parents[2] / "tools" / "check_links.py"


def run(folder):
    done = subprocess.run(
        [sys.executable, TOOL, folder], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()


class TestCheckLinks:
    def test_links_that_lead_somewhere(self, tmp_path):
        """
        If every link leads to a file, or to an anchor that is there, all is well.
        """
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "index.html").write_text("<h1 id=here>Here</h1>")
        (tmp_path / "a b.svg").touch()
        (tmp_path / "index.html").write_text(
            "<p id=self><a href='#self'></a><a href='sub/index.html#here'></a>"
            "<a href='sub/'></a><img src='a%20b.svg'><a href='#'></a>"
            "<a href='https://example.org/nowhere'></a><a href='mailto:a@b.c'></a>"
        )

        assert (0, ["2 pages, no dead links"]) == run(tmp_path)

    def test_links_that_lead_nowhere(self, tmp_path):
        """
        If a file or an anchor is missing, each link to it is told.
        """
        (tmp_path / "other.html").write_text("<p>")
        (tmp_path / "index.html").write_text(
            "<a href='missing.html'></a><a href='other.html#nobody'></a><img src=x.svg>"
        )

        assert (
            1,
            [
                "index.html: missing.html",
                "index.html: other.html#nobody",
                "index.html: x.svg",
                "2 pages, 3 dead links",
            ],
        ) == run(tmp_path)

    def test_nothing_at_all(self, tmp_path):
        """
        If there is no page, nothing was built: that is no success.
        """
        assert 1 == run(tmp_path)[0]
