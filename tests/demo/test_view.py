from __future__ import annotations

import io

from dataclasses import replace

import pytest

from rich.console import Console
from view import HostView, View

from switchgear import CircuitBreaker, RateLimiter


AT_80_COLUMNS = """
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸                   412 of 600 images, 14 s
host                                  now   limit  waiting  circuit       stored
healthy  ━━━━━━━━━━━━━━━━━━━━━━━━━   20.0    20/s        0  closed           138
flaky    ━━━━━━━━━                    7.2    20/s        1  open, 0.8 s       96
strict   paused, 0.8 s                0.0    20/s        1  open, 0.8 s        0
""".splitlines()


@pytest.fixture
def limiter(clock):
    return RateLimiter(20.0, burst=5, clock=clock)


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(threshold=1, cooldown=1.0, clock=clock)


@pytest.fixture
def host(limiter, breaker):
    """
    How a host stands that has been called as often as is allowed.
    """
    return HostView("healthy", 20.0, 138, limiter.snapshot(), breaker.snapshot())


@pytest.fixture
def view(host):
    return View(arrived=412, images=600, seconds=14.4, hosts=[host])


def lines(view, *, width=80, height=24, encoding="utf-8", **terminal):
    """
    Return what is drawn on a terminal, without what is blank.
    """
    raw = io.BytesIO()
    console = Console(
        file=io.TextIOWrapper(raw, encoding, write_through=True),
        width=width,
        height=height,
        force_terminal=True,
        legacy_windows=False,
        **{"color_system": None, "_environ": {}, **terminal},
    )
    console.print(view)
    drawn = raw.getvalue().decode(encoding)
    return [line.rstrip() for line in drawn.splitlines()]


class TestView:
    def test_80_columns(self, host, view, limiter, breaker, clock):
        """
        If a terminal is 80 columns wide, everything has its place there.
        """
        breaker.record_failure()
        clock.advance(0.25)
        limiter.reserve(tokens=5)
        limiter.reserve(tokens=5)
        down = HostView("flaky", 7.25, 96, limiter.snapshot(), breaker.snapshot())
        limiter.pause(0.75)
        slow = HostView("strict", 0.0, 0, limiter.snapshot(), breaker.snapshot())

        assert AT_80_COLUMNS == lines(replace(view, hosts=[host, down, slow]))

    @pytest.mark.parametrize("width", range(20, 200, 7))
    def test_any_width(self, view, width):
        """
        If a terminal is wider, it is drawn as in 80 columns; in a narrower one
        no line is too long, and there is one for each thing.
        """
        drawn = lines(view, width=width)

        assert max(map(len, drawn)) <= min(width, 80)
        if width >= 40:
            assert 4 == len(drawn)
            assert {"host", "now", "waiting", "circuit"} <= set(drawn[2].split())

    @pytest.mark.parametrize("height", [1, 5, 12, 24])
    def test_more_hosts_than_lines(self, host, view, height):
        """
        If there are more hosts than fit, those are shown where something
        happens, in their order, and how many there are besides.
        """
        idle = replace(host, rate=0.0)
        hosts = [replace(idle, host=f"idle-{number}") for number in range(40)]
        hosts[30:30] = [replace(host, host="busy")]

        drawn = lines(replace(view, hosts=hosts), height=height)

        shown = [line.split()[0] for line in drawn[3:-1]]
        assert "busy" == shown[-1]
        assert [f"idle-{number}" for number in range(len(shown) - 1)] == shown[:-1]
        assert f"and {41 - len(shown)} more" == drawn[-1]
        assert len(drawn) < max(height, 6)

    def test_long_names(self, host, view):
        """
        If a host has a long name, its end is left out.
        """
        *_, line = lines(replace(view, hosts=[replace(host, host="x" * 100)]))

        assert line.startswith("x" * 23 + "…  ━")

    def test_no_markup_in_names(self, host, view):
        """
        If a name looks like markup, it is shown as it is.
        """
        *_, line = lines(replace(view, hosts=[replace(host, host="[::1]:80")]))

        assert line.startswith("[::1]:80  ━")

    def test_no_colours(self, view):
        """
        If no colours are wanted, there are none.
        """
        colours = {"color_system": "truecolor"}
        with_colours = lines(view, **colours)
        without = lines(view, **colours, _environ={"NO_COLOR": "1"})

        assert any("\x1b[32m" in line for line in with_colours)
        assert all("\x1b[3" not in line for line in without)

    def test_ascii(self, view):
        """
        If a terminal has ASCII only, bars are made of that.
        """
        drawn = lines(view, encoding="ascii")

        assert drawn[1].startswith("-----")

    def test_nothing_yet(self, view):
        """
        If no host is known yet, nothing breaks.
        """
        assert 3 == len(lines(replace(view, hosts=[])))
