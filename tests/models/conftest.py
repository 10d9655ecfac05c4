"""
Fixtures of the models.
"""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def _silence(caplog):
    """
    Thousands of transitions, none of which anybody will read.
    """
    caplog.set_level(logging.CRITICAL, logger="switchgear")
