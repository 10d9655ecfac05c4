from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture
def run(pytester, monkeypatch):
    """
    Run a test file with the plugin, and with no other that is installed.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run_tests(text):
        pytester.makepyfile(text)
        return pytester.runpytest_inprocess(
            "-p", "switchgear.testing.pytest_plugin", "-p", "no:cacheprovider"
        )

    return run_tests


class TestFixtures:
    def test_clock_stands_still_and_is_fresh_in_each_test(self, run):
        """
        If a test asks for the clock, it gets one that nobody else moves.
        """
        result = run(
            """
            import pytest

            from switchgear.testing import ManualClock

            seen = []

            @pytest.mark.parametrize("number", range(2))
            def test_clock(switchgear_clock, number):
                assert isinstance(switchgear_clock, ManualClock)
                assert switchgear_clock not in seen
                seen.append(switchgear_clock)
                switchgear_clock.advance(120)
            """
        )

        result.assert_outcomes(passed=2)

    def test_registry_is_empty_in_each_test(self, run):
        """
        If a test asks for the registry, names of other tests are unknown.
        """
        result = run(
            """
            import pytest

            from switchgear._registry import registry

            @pytest.mark.parametrize("number", range(2))
            def test_registry(switchgear_registry, number):
                assert registry is switchgear_registry
                assert "images" not in registry
                registry.counter("images").increment()
                assert 1 == registry.counter("images").value

            def test_after():
                assert "images" not in registry
            """
        )

        result.assert_outcomes(passed=3)

    def test_events_of_the_test_are_collected(self, run):
        """
        If a test asks for the events, it gets those of its own, as they come.
        """
        result = run(
            """
            import pytest

            from switchgear._listeners import Outbox
            from switchgear.events import LimiterReopened

            @pytest.mark.parametrize("number", range(2))
            def test_events(switchgear_events, number):
                outbox = Outbox()
                outbox.put(LimiterReopened(at=1.0, limiter=f"images-{number}"))
                outbox.deliver()
                (event,) = switchgear_events
                assert f"images-{number}" == event.limiter
            """
        )

        result.assert_outcomes(passed=2)

    def test_fixtures_are_documented(self, run, pytester):
        """
        If somebody lists the fixtures, ours are there with a sentence each.
        """
        pytester.makepyfile("")
        result = pytester.runpytest_inprocess(
            "-p", "switchgear.testing.pytest_plugin", "--fixtures", "-v"
        )

        text = result.stdout.str()
        for name in ("clock", "registry", "events"):
            assert f"switchgear_{name} -- " in text
        assert "Give the test a clock that stands still" in text


class TestImport:
    def test_testing_does_not_import_pytest(self):
        """
        If a program uses the manual clock, it does not need pytest.
        """
        code = "import sys, switchgear.testing; print('pytest' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )

        assert "False" == done.stdout.strip()
