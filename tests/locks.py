"""
Locks that tell what is done to them.
"""

from __future__ import annotations

import threading


class Announced:
    """
    Tell that a lock is about to be taken.
    """

    def __init__(self, lock):
        self.lock = lock
        self.wanted = threading.Event()

    def __enter__(self):
        self.wanted.set()
        return self.lock.__enter__()

    def __exit__(self, *exc_info):
        return self.lock.__exit__(*exc_info)
