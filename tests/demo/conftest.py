"""
The modules of the demo, and what tests of several of them need.
"""

from __future__ import annotations

import sys

from pathlib import Path

import pytest


# The demo is no package: Python finds its modules beside the one that is run.
# And last, so that nothing of the same name is hidden. The stories are here.
sys.path += [
    str(Path(__file__).parents[2] / "examples" / "downloader"),
    str(Path(__file__).parent),
]


@pytest.fixture
def entry():
    """
    A function that makes an entry.
    """
    from entries import Entry

    def entry(t, event, host="images", **details):
        return Entry(t, event, host, details)

    return entry


@pytest.fixture
def sample(entry):
    """
    A function that makes an entry of how a limiter stands.
    """

    def sample(t, waiting=0, host="images", *, rate=20.0, burst=5):
        return entry(
            t,
            "limiter_sampled",
            host,
            waiting=waiting,
            calls_per_second=rate,
            burst=burst,
        )

    return sample
