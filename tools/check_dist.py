"""
Look inside what was built: everything is there, and nothing else.

    check_dist.py FOLDER      with one sdist and one wheel
"""

from __future__ import annotations

import sys
import tarfile

from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile


ROOT = Path(__file__).parents[1]

#: What the wheel may have beside the package.
METADATA = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
}

#: What a stranger needs who has the sdist alone, beside the package.
SHIPPED = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md")
FOLDERS = ("benchmarks", "docs", "examples", "src", "tests", "tools")

#: All that may be installed along.
DEPENDENCIES = {"structlog", "wrapt"}


def files(*folders: str) -> set[str]:
    """
    Return the files of the checkout that are to be shipped.
    """
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def problems_of_wheel(path: Path) -> list[str]:
    """
    Return what is wrong with the wheel at *path*.
    """
    with ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    wanted = {name.removeprefix("src/") for name in files("src")}
    wanted |= {f"{info}/{name}" for name in METADATA}
    problems = _differences(path, wanted, names)
    needed = {
        requirement.partition(">")[0]
        for requirement in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in requirement
    }
    if needed != DEPENDENCIES:
        problems.append(f"{path.name} requires {sorted(needed)}")
    if metadata["Description-Content-Type"] != "text/markdown":
        problems.append(f"{path.name} has no README")
    return problems


def problems_of_sdist(path: Path) -> list[str]:
    """
    Return what is wrong with the sdist at *path*.
    """
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {*files(*FOLDERS), *SHIPPED, "pyproject.toml"}
    return _differences(path, wanted, names - {"PKG-INFO", ".gitignore"})


def _differences(path: Path, wanted: set[str], names: set[str]) -> list[str]:
    return [
        *(f"{path.name} lacks {name}" for name in sorted(wanted - names)),
        *(f"{path.name} should not have {name}" for name in sorted(names - wanted)),
    ]


def main() -> int:
    """
    Say what is wrong; return the exit status.
    """
    folder = Path(sys.argv[1])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    problems = problems_of_wheel(wheel) + problems_of_sdist(sdist)
    print(*problems, sep="\n", end="\n" if problems else "")
    if not problems:
        print(f"{wheel.name}, {sdist.name}: complete, and nothing else")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
