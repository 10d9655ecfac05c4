"""
Explore in tests, and say at the end how much was covered.
"""

from __future__ import annotations

import os

import pytest

from depth import DEPTH
from explorer import explore, is_at_every_step, replay
from linearizability import History


#: What a failure printed: the one schedule to run.
SCHEDULE = os.environ.get("SCHEDULE")

COVERED = pytest.StashKey()


@pytest.fixture
def explored(request):
    """
    A function that explores a scenario: wholly, unless it is given a limit.
    """
    replayed = []

    def run(scenario, *, every_step=True, limit=None, preemptions=2):
        if SCHEDULE is not None:
            # A test may explore in both ways.
            if is_at_every_step(SCHEDULE) == every_step:
                replay(scenario, SCHEDULE)
                replayed.append(scenario)
            return
        coverage = explore(
            scenario,
            every_step=every_step,
            limit=10_000 if limit is None else int(limit * DEPTH),
            preemptions=preemptions,
        )
        coverage.name = f"{request.node.name}: {coverage.name}"
        request.config.stash.setdefault(COVERED, []).append(coverage)
        assert coverage.is_complete or limit is not None, str(coverage)
        # Without any pre-emption threads have hardly met.
        assert len(coverage.tried) > 1, str(coverage)

    yield run
    if SCHEDULE is not None and not replayed:
        pytest.fail(f"this test has no such schedule: {SCHEDULE}")


def pytest_terminal_summary(terminalreporter, config):
    """
    Say how many schedules were tried, and of each scenario whether that was all.
    """
    covered = config.stash.get(COVERED, [])
    if not covered:
        return
    terminalreporter.section("schedules explored")
    schedules = sum(one.schedules for one in covered)
    whole = sum(one.is_complete for one in covered)
    terminalreporter.line(
        f"{len(covered)} scenarios, {schedules:,} schedules: of {whole} scenarios all"
        f" up to the bound, of {len(covered) - whole} a sample"
    )
    if History.checked:
        terminalreporter.line(
            f"{History.checked:,} histories agreed with a sequential model"
        )
    if config.get_verbosity() > 0:
        for one in covered:
            terminalreporter.line(str(one))
