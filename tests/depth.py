"""
How deep schedules and models look: so many times what every run does.
"""

from __future__ import annotations

import os


#: ``DEPTH=20 pytest tests/models tests/interleavings`` looks twenty times as long.
DEPTH = float(os.environ.get("DEPTH", "1"))
