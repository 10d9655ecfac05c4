"""
Whether protection is switched off for a test.

Instances look at :data:`active` where they would refuse, wait or count.
"""

from __future__ import annotations


#: How many ``disabled()`` blocks are open in this process.
active: int = 0
