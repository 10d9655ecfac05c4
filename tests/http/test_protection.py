"""
What protects a client, whichever it is.
"""

from __future__ import annotations

import subprocess
import sys

import httpx2
import pytest

from switchgear.http import ProtectedClient
from switchgear.http.httpx2 import CircuitOpenTransportError, ProtectedTransport


def answer(request):
    """
    Ask to be left alone for longer than anybody is.
    """
    return httpx2.Response(429, headers={"Retry-After": "3600"})


class TestLongPauses:
    """
    What servers asked for and did not get.
    """

    def test_are_forgotten(self, registry, clock):
        """
        If ever more hosts ask for too much, those that are over are forgotten.
        """
        transport = ProtectedTransport(
            "api",
            httpx2.MockTransport(answer),
            registry=registry,
            calls_per_second=1e6,
            clock=clock,
        )
        known = transport._protection._long
        most = 0

        for number in range(2000):
            url = f"http://{number}.example.org/"
            transport.handle_request(httpx2.Request("GET", url))
            most = max(most, len(known))
            clock.advance(1.2)

        # About 110 of them are paused at a time.
        assert 100 < most < 250

    def test_are_forgotten_when_looked_at(self, registry, clock):
        """
        If one is over and its host is asked again, nothing is left of it.
        """
        answers = iter([429, 200])
        transport = ProtectedTransport(
            "api",
            httpx2.MockTransport(
                lambda _: httpx2.Response(
                    next(answers), headers={"Retry-After": "3600"}
                )
            ),
            registry=registry,
            calls_per_second=1e6,
            clock=clock,
        )
        request = httpx2.Request("GET", "http://example.org")
        transport.handle_request(request)
        clock.advance(140.0)

        transport.handle_request(request)

        assert not transport._protection._long


class TestManyHosts:
    """
    Clients that ask ever more hosts.
    """

    def test_are_not_all_remembered(self, registry):
        """
        If two thousand hosts are asked, those that matter no more are forgotten.
        """
        transport = ProtectedTransport(
            "api",
            httpx2.MockTransport(lambda _: httpx2.Response(200)),
            registry=registry,
            calls_per_second=1e9,
            threshold=3,
            max_keys=20,
        )

        for number in range(2000):
            url = f"http://{number}.example.org/"
            transport.handle_request(httpx2.Request("GET", url))

        assert len(registry.keyed_limiter("api")) <= 21
        assert len(registry.keyed_breaker("api")) <= 21


class TestHistory:
    """
    Refusals of a circuit, whose failures descend from refusals.
    """

    def test_does_not_grow(self, registry, clock):
        """
        If each failure is raised while a refusal is handled, none keeps the others.
        """

        def fail(request):
            raise httpx2.ConnectError("down")

        transport = ProtectedTransport(
            "api",
            httpx2.MockTransport(fail),
            registry=registry,
            threshold=1,
            cooldown=1.0,
            clock=clock,
        )
        request = httpx2.Request("GET", "http://example.org")

        def ask():
            with pytest.raises(httpx2.ConnectError):
                transport.handle_request(request)

        ask()
        for _ in range(50):
            try:
                transport.handle_request(request)
            except CircuitOpenTransportError as refusal:
                clock.advance(1.0)
                ask()
                last = refusal

        with pytest.raises(CircuitOpenTransportError) as caught:
            transport.handle_request(request)
        depth, error = 0, caught.value
        while error is not None:
            depth, error = depth + 1, error.__cause__ or error.__context__
        assert depth <= 4
        assert last.last_failure is None


class TestExtras:
    """
    Clients that are not installed.
    """

    @pytest.mark.parametrize(
        ("module", "package", "extra"),
        [
            ("aiohttp", "aiohttp", "aiohttp"),
            ("httpx", "httpx", "httpx"),
            ("httpx2", "httpx2", "httpx2"),
            ("requests", "requests", "requests"),
            ("requests", "http_sf", "http"),
        ],
    )
    def test_are_named(self, module, package, extra):
        """
        If a package is missing, the error says which extra brings it.
        """
        code = (
            f"import sys; sys.modules[{package!r}] = None\n"
            "try:\n"
            f"    import switchgear.http.{module}\n"
            "except ImportError as error:\n"
            "    print(error.name, error)\n"
        )

        said = subprocess.check_output([sys.executable, "-c", code], text=True)

        assert said.startswith(package)
        assert f'pip install "switchgear[{extra}]"' in said

    def test_are_imported_alone(self):
        """
        If one client is protected, no other is imported.
        """
        code = (
            "import sys, switchgear.http.requests\n"
            "print(*{'aiohttp', 'httpx', 'httpx2'} & sys.modules.keys())\n"
        )

        said = subprocess.check_output([sys.executable, "-c", code], text=True)

        assert said == "\n"


def test_what_all_take_is_public():
    """
    If somebody asks what all protected clients have in common, there is a name.
    """
    assert issubclass(ProtectedTransport, ProtectedClient)
