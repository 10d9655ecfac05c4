"""
The testing kit as users have it: beside the other plugins of their tests.

Each test hands a file to a pytest of its own, and looks at what it says. The
files assert for themselves what a user would.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def run(tmp_path):
    """
    Run a test file in a new process, with every plugin that is installed.
    """

    def run_tests(text, *options):
        tmp_path.joinpath("test_users.py").write_text(
            textwrap.dedent(text), encoding="utf-8"
        )
        settings = tmp_path / "pytest.ini"
        settings.write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-c", str(settings)),
                *("-p", "no:cacheprovider", *options),
                str(tmp_path),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PYTEST_", "SWITCHGEAR_"))
            },
        )
        return done.stdout + done.stderr

    return run_tests


class TestAlone:
    def test_minutes_pass_in_milliseconds(self, run):
        """
        If users test a cooldown of two minutes, a pool of threads and a pool
        of tasks, each test takes milliseconds, however long the waits are.
        """
        printed = run(
            """
            import asyncio
            import time

            from concurrent.futures import ThreadPoolExecutor

            import pytest

            from switchgear import CircuitOpenError, circuit_protected, rate_limited

            calls = []

            @circuit_protected("prices", threshold=3, cooldown=120.0)
            def price(number):
                return 1 / number

            @rate_limited("images", calls_per_second=0.5, burst=2)
            def download(number):
                calls.append(number)

            @rate_limited("images", calls_per_second=0.5, burst=2)
            async def fetch(number):
                calls.append(number)

            @pytest.fixture(autouse=True)
            def in_milliseconds(switchgear_registry):
                calls.clear()
                started = time.process_time()
                yield
                # Processor time: a busy machine is no fault of ours.
                assert time.process_time() - started < 0.5

            def test_cooldown(switchgear_clock):
                for _ in range(3):
                    with pytest.raises(ZeroDivisionError):
                        price(0)
                with pytest.raises(CircuitOpenError) as refusal:
                    price(1)
                assert 120.0 == refusal.value.retry_after
                switchgear_clock.advance(120.0)
                assert 1.0 == price(1)

            def test_threads(switchgear_clock):
                before = switchgear_clock.monotonic()
                with switchgear_clock.autojump(), ThreadPoolExecutor(4) as pool:
                    list(pool.map(download, range(32)))
                assert 60.0 == pytest.approx(switchgear_clock.monotonic() - before)
                assert set(range(32)) == set(calls)

            def test_tasks(switchgear_clock):
                before = switchgear_clock.monotonic()

                async def main():
                    await asyncio.gather(*map(fetch, range(32)))

                with switchgear_clock.autojump():
                    asyncio.run(main())
                assert 60.0 == pytest.approx(switchgear_clock.monotonic() - before)
                assert list(range(32)) == calls

            def test_step_by_step(switchgear_clock):
                with ThreadPoolExecutor(3) as pool:
                    work = [pool.submit(download, number) for number in range(5)]
                    switchgear_clock.wait_for_sleepers(3)
                    assert 2 == len(calls)
                    switchgear_clock.advance(2.0)
                    switchgear_clock.wait_for_sleepers(2)
                    switchgear_clock.advance(4.0)
                    for each in work:
                        each.result(10.0)
                assert 5 == len(calls)
            """,
            *("-p", "no:asyncio", "-p", "no:anyio"),
        )

        assert "4 passed" in printed, printed


class TestAsyncioPlugins:
    #: Runs under either, whoever gives the loop.
    TESTS = """
        import asyncio
        import time

        import pytest

        from switchgear import CircuitOpenError, RateLimiter, protected

        {mark}

        @protected("prices", calls_per_second=0.1, threshold=2, cooldown=120.0)
        async def price(number):
            return 1 / number

        @pytest.fixture
        def protection(switchgear_registry, switchgear_clock):
            return switchgear_clock

        async def test_cooldown(protection, switchgear_events):
            with protection.autojump():
                for _ in range(2):
                    with pytest.raises(ZeroDivisionError):
                        await price(0)
                with pytest.raises(CircuitOpenError):
                    await price(1)
                protection.advance(120.0)
                assert 1.0 == await price(1)
            kinds = [type(event).__name__ for event in switchgear_events]
            assert "CircuitOpened" in kinds
            assert "CircuitClosed" == kinds[-1]

        @pytest.mark.parametrize("again", range(2))
        async def test_tasks(protection, again):
            started = time.process_time()
            before = protection.monotonic()
            with protection.autojump():
                await asyncio.gather(*(price(1) for _ in range(13)))
            assert 120.0 == pytest.approx(protection.monotonic() - before)
            assert time.process_time() - started < 0.5

        async def test_real_time_goes_on(switchgear_registry):
            limiter = RateLimiter(calls_per_second=100.0)
            await limiter.wait_async()
            await limiter.wait_async(timeout=10.0)
        """

    @pytest.mark.parametrize("mode", ["strict", "auto"])
    def test_pytest_asyncio(self, run, mode):
        """
        If tests run under pytest-asyncio, in either mode, tasks are protected
        and time is theirs to move, in a loop for each test.
        """
        mark = "" if mode == "auto" else "pytestmark = pytest.mark.asyncio"
        printed = run(
            self.TESTS.format(mark=mark),
            *("-p", "no:anyio", "-o", f"asyncio_mode={mode}"),
            *("-o", "asyncio_default_fixture_loop_scope=function"),
        )

        assert "4 passed" in printed, printed

    def test_pytest_asyncio_with_one_loop_for_all(self, run):
        """
        If all tests share one loop, they do not share limiters.
        """
        printed = run(
            self.TESTS.format(
                mark="pytestmark = pytest.mark.asyncio(loop_scope='module')"
            ),
            *("-p", "no:anyio", "-o", "asyncio_mode=strict"),
            *("-o", "asyncio_default_fixture_loop_scope=function"),
        )

        assert "4 passed" in printed, printed

    def test_anyio(self, run):
        """
        If tests run under anyio's plugin on asyncio, it is the same.
        """
        printed = run(
            self.TESTS.format(
                mark="""
        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """
            ),
            *("-p", "no:asyncio"),
        )

        assert "4 passed" in printed, printed


class TestXdist:
    def test_workers_do_not_share(self, run):
        """
        If tests are spread over processes, each has clock, names and events of
        its own, whichever order they come in.
        """
        printed = run(
            """
            import pytest

            from switchgear import rate_limited

            @rate_limited("images", calls_per_second=0.1)
            def download():
                return "bytes"

            @pytest.mark.parametrize("number", range(12))
            def test_download(
                switchgear_registry, switchgear_clock, switchgear_events, number
            ):
                before = switchgear_clock.monotonic()
                with switchgear_clock.autojump():
                    download()
                    download()
                assert 10.0 == pytest.approx(switchgear_clock.monotonic() - before)
                assert 2 == switchgear_registry.limiter("images").snapshot().admitted
                assert {"images"} == {event.limiter for event in switchgear_events}
            """,
            *("-n", "2", "-p", "no:asyncio", "-p", "no:anyio"),
        )

        assert "12 passed" in printed, printed


class TestFrozenTime:
    #: With {freeze} as a context manager that stops the standard clock.
    TESTS = """
        import time

        import pytest

        {imports}

        from switchgear import CircuitOpenError, RateLimiter, circuit_protected

        @circuit_protected("prices", threshold=1, cooldown=120.0)
        def price(number):
            return 1 / number

        def test_manual_clock_moves_while_time_is_frozen(
            switchgear_registry, switchgear_clock
        ):
            with {freeze}:
                with pytest.raises(ZeroDivisionError):
                    price(0)
                with pytest.raises(CircuitOpenError):
                    price(1)
                switchgear_clock.advance(120.0)
                assert 1.0 == price(1)

        def test_pool(switchgear_clock):
            limiter = RateLimiter(calls_per_second=0.1, clock=switchgear_clock)
            before = switchgear_clock.monotonic()
            with {freeze}, switchgear_clock.autojump():
                for _ in range(4):
                    limiter.wait()
            assert 30.0 == pytest.approx(switchgear_clock.monotonic() - before)

        def test_without_a_manual_clock_waits_end(switchgear_registry):
            limiter = RateLimiter(calls_per_second=50.0)
            with {freeze}:
                for _ in range(4):
                    limiter.wait(timeout=10.0)

        {more}
        """

    def test_freezegun(self, run):
        """
        If freezegun stops the clock, a manual one moves all the same, and
        waits by the real one end.
        """
        printed = run(
            self.TESTS.format(
                imports="from freezegun import freeze_time",
                freeze='freeze_time("2026-11-23")',
                more="""
        def test_ticks_end_a_cooldown(switchgear_registry):
            with freeze_time("2026-11-23") as frozen:
                with pytest.raises(ZeroDivisionError):
                    price(0)
                frozen.tick(119.0)
                with pytest.raises(CircuitOpenError):
                    price(1)
                frozen.tick(1.0)
                assert 1.0 == price(1)
        """,
            ),
            *("-p", "no:asyncio", "-p", "no:anyio"),
        )

        assert "4 passed" in printed, printed

    def test_time_machine(self, run):
        """
        If time-machine stops the clock, it is the same; it leaves monotonic
        clocks alone, so travelling is no way to end a cooldown.
        """
        printed = run(
            self.TESTS.format(
                imports="import time_machine",
                freeze='time_machine.travel("2026-11-23", tick=False)',
                more="""
        def test_travel_is_no_cooldown(switchgear_registry):
            with time_machine.travel("2026-11-23") as traveller:
                with pytest.raises(ZeroDivisionError):
                    price(0)
                traveller.shift(3600)
                with pytest.raises(CircuitOpenError):
                    price(1)
        """,
            ),
            *("-p", "no:asyncio", "-p", "no:anyio"),
        )

        assert "4 passed" in printed, printed
