"""
Look limiters up by name, set them by a file, and change them while they run.
"""

from __future__ import annotations

import tempfile

from pathlib import Path

from switchgear import ConfigurationError, UnknownNameError, registry


FIRST = """
[limiters.images]
calls_per_second = 20

[limiters.pages]
calls_per_second = 3
"""

MISTAKEN = """
[limiters.images]
calls_per_secnd = 40
"""

SECOND = """
[limiters.images]
calls_per_second = 40
"""

#: What the code says of it lies under what a file says.
registry.limiter("images", calls_per_second=5, burst=2)


def rate(name: str) -> float:
    """
    Return how many calls per second are admitted.
    """
    settings = registry.limiter(name).snapshot()
    return settings.calls_per_second


def main() -> None:
    """
    Load, mistake, reload, change, and take that back.
    """
    print("from code:", rate("images"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "switchgear.toml")
        file.write_text(FIRST, encoding="utf-8")
        registry.load(file)
        print("from the file:", rate("images"), "and", rate("pages"))

        try:
            registry.limiter("image")
        except UnknownNameError as error:
            print(error)

        file.write_text(MISTAKEN, encoding="utf-8")
        try:
            registry.reload()
        except ConfigurationError as error:
            for problem in error.problems:
                print("refused:", problem)
        print("as before:", rate("images"))

        file.write_text(SECOND, encoding="utf-8")
        for path, (before, now) in registry.reload().items():
            print(f"{path}: {before} -> {now}")

        registry.limiter("images").reconfigure(calls_per_second=1)
        print("at run time:", rate("images"))
        registry.forget_changes("images")
        print("and back:", rate("images"))


if __name__ == "__main__":
    main()
