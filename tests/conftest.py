"""
Fixtures that every test may use.
"""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
import traceback
import warnings

import pytest

from hypothesis import HealthCheck, settings

from switchgear.testing import ManualClock


pytest_plugins = ["pytester"]

# Mutation testing wraps every function, which makes them slow, and an example
# that was found for one mutant says nothing about the next.
settings.register_profile(
    "mutants",
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=list(HealthCheck),
)


def pytest_configure():
    """
    Have mutmut look who comes by where without noting who called whom.

    Nobody asks for that, and the context variable it keeps it in brings CPython
    3.11 down once these tests have used contexts of their own.
    """
    stack = getattr(sys.modules.get("mutmut.core"), "MutmutCallStack", None)
    if stack is not None:
        stack.set = stack.reset = classmethod(lambda cls, value: None)


def pytest_terminal_summary(terminalreporter):
    """
    Say whether the GIL was off, where it can be: an extension may turn it on.
    """
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        gil = "on" if sys._is_gil_enabled() else "off"
        terminalreporter.line(f"GIL: {gil}")


class FailingClock:
    """
    Stand still, or raise an error once it is broken.
    """

    is_broken = False

    def monotonic_ns(self) -> int:
        if self.is_broken:
            raise OSError("no time")
        return 0


@pytest.fixture
def failing_clock() -> FailingClock:
    """
    A clock that raises once it is said to be broken.
    """
    return FailingClock()


@pytest.fixture
def clock() -> ManualClock:
    """
    A clock that stands still until the test moves it.
    """
    return ManualClock()


@pytest.fixture
def in_child():
    """
    A function that runs another in a forked child, and fails if that fails.

    A child that hangs is ended after twenty seconds.
    """
    if not hasattr(os, "fork"):
        pytest.skip("there is no os.fork here")

    def run(function):
        with warnings.catch_warnings():
            # Python warns of forking with threads; that is what is tested.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            status = 1
            try:
                # The default action, not a handler: it ends a deadlock, too.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(20)
                function()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 0

    return run
