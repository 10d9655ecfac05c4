"""
What is counted for each host, and by whom.
"""

from __future__ import annotations

import time

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from switchgear import AtomicCounter, subscribe
from switchgear.events import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    RateLimitWaited,
)
