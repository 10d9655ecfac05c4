"""
A picture of what happened, as SVG text.
"""

from __future__ import annotations

from picture.document import picture


__all__ = ["picture"]
