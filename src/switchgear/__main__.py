"""
``python -m switchgear``: the command line.
"""

from __future__ import annotations

import sys

from switchgear.cli import main


if __name__ == "__main__":  # pragma: no branch -- nobody imports it
    sys.exit(main())
