"""
A server that misbehaves, and every client that is protected.
"""

from __future__ import annotations

import pytest

from clients import ALL
from misbehaving import misbehaving

from switchgear import Registry


@pytest.fixture(scope="session")
def _server():
    with misbehaving() as server:
        yield server


@pytest.fixture
def server(_server):
    _server.answers.clear()
    _server.requests.clear()
    _server.hanging.clear()
    return _server


@pytest.fixture(scope="session")
def other_server():
    with misbehaving() as server:
        yield server


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture(params=ALL, ids=lambda one: one.__name__)
def client(request, registry, clock):
    """
    Make a client of this kind: with a limiter and a breaker, unless told otherwise.
    """
    made = []

    def make(name="api", **options):
        if not options.keys() & {"name_resolver", "undefined"}:
            usual = {
                "calls_per_second": 10.0,
                "burst": 100,
                "threshold": 3,
                "cooldown": 30.0,
                "clock": clock,
                "pause_jitter": 0.0,
                "timeout": 0.0,
            }
            options = {**usual, **options}
        options.pop("undefined", None)
        one = request.param(name, registry=registry, **options)
        made.append(one)
        return one

    make.kind = request.param
    yield make
    for one in made:
        one.close()
