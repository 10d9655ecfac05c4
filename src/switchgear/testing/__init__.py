"""
Test code that uses switchgear without sleeping.

With pytest, the fixtures ``switchgear_clock``, ``switchgear_registry`` and
``switchgear_events`` are there as soon as switchgear is installed.
"""

from __future__ import annotations

from switchgear.testing._isolation import capture_events, disabled, isolated_registry
from switchgear.testing._manual_clock import ManualClock


__all__ = ["ManualClock", "capture_events", "disabled", "isolated_registry"]
