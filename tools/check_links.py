"""
Follow every link inside a built site.

    check_links.py FOLDER      exit status 1 if one leads nowhere
"""

from __future__ import annotations

import sys

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """
    Note where a page leads, and where in it one can be led.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """
        Note what *tag* links to, and what it is called.
        """
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in {"href", "src"}:
                self.links.append(value)


def dead_links(folder: Path) -> list[str]:
    """
    Return each link that leads nowhere, and the page it is on.
    """
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in folder.rglob("*.html")
    }
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            if target.is_dir():
                target /= "index.html"
            target = target.resolve()
            known = pages.get(target)
            there = (
                target.is_file()
                if known is None
                else (unquote(parts.fragment) in known.anchors)
            )
            if not there:
                dead.append(f"{path.relative_to(folder.resolve())}: {link}")
    return dead


def main() -> int:
    """
    Say which links are dead; return the exit status.
    """
    folder = Path(sys.argv[1])
    pages = len(list(folder.rglob("*.html")))
    dead = dead_links(folder)
    print(*dead, sep="\n", end="\n" if dead else "")
    print(f"{pages} pages, {len(dead) or 'no'} dead links")
    return 1 if dead or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
