"""
Decorated functions for other processes to import.
"""

from __future__ import annotations

import os

from functools import partial

from switchgear._decorators import circuit_protected, protected, rate_limited


@circuit_protected("decorated", threshold=2)
@rate_limited("decorated", calls_per_second=1000, burst=1000)
def double(number):
    """
    Double *number*, and say where.
    """
    return 2 * number, os.getpid()


class Client:
    def __init__(self, base):
        self.base = base

    @protected("decorated")
    def add(self, number):
        return self.base + number

    @rate_limited("decorated")
    @classmethod
    def name(cls):
        return cls.__name__

    @staticmethod
    @circuit_protected("decorated")
    def negative(number):
        return -number


def make_local():
    @rate_limited("decorated")
    def local():
        pass

    return local


nameless = rate_limited("decorated")(partial(pow, 2))
