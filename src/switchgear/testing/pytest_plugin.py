"""
Fixtures for pytest, which finds them when switchgear is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest


if TYPE_CHECKING:
    from collections.abc import Iterator

    from switchgear import Registry
    from switchgear.events import Event
    from switchgear.testing import ManualClock


@pytest.fixture
def switchgear_clock() -> ManualClock:
    """
    Give the test a clock that stands still until the test moves it.
    """
    from switchgear.testing import ManualClock

    return ManualClock()


@pytest.fixture
def switchgear_registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """
    Empty the default registry for the length of the test.

    If the test uses ``switchgear_clock`` too, whatever is made in the registry
    goes by that clock.
    """
    from switchgear.testing import isolated_registry

    name = "switchgear_clock"
    clock = request.getfixturevalue(name) if name in request.fixturenames else None
    with isolated_registry(clock=clock) as registry:
        yield registry


@pytest.fixture
def switchgear_events() -> Iterator[list[Event]]:
    """
    Collect the events of every instance for the length of the test.
    """
    from switchgear.testing import capture_events

    with capture_events() as events:
        yield events
