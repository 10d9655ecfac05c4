"""
What protects a client, whichever it is.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import httpx2
import pytest

from parties import Party

import switchgear

from switchgear.http import ProtectedClient
from switchgear.http.httpx2 import (
    CircuitOpenTransportError,
    ProtectedTransport,
    RateLimitTransportError,
)
from switchgear.testing import isolated_registry


def asking_for_an_hour(*statuses):
    """
    Answer so, and after that well; ask for an hour, if anything goes wrong.
    """
    left = list(statuses)
    headers = {"Retry-After": "3600"}
    return httpx2.MockTransport(
        lambda _: httpx2.Response(left.pop(0) if left else 200, headers=headers)
    )


REQUEST = httpx2.Request("GET", "http://example.org")


class TestLongPauses:
    """
    What a server asked for and did not get.
    """

    @pytest.fixture
    def protect(self, registry, clock):
        def protect(*statuses, **options):
            return ProtectedTransport(
                "api",
                asking_for_an_hour(*statuses),
                registry=registry,
                calls_per_second=10.0,
                burst=2,
                clock=clock,
                pause_jitter=0.0,
                **options,
            )

        return protect

    def test_are_known_to_all(self, protect):
        """
        If a server asked one client, others of the same name are refused as well.
        """
        protect(429).handle_request(REQUEST)

        with pytest.raises(RateLimitTransportError) as caught:
            protect().handle_request(REQUEST)

        assert caught.value.retry_after == 3600.0

    def test_are_over_when_the_limiter_is_reset(self, protect, registry, clock):
        """
        If an operator resets the limiter, requests wait for their turn as ever.
        """
        transport = protect(429)
        transport.handle_request(REQUEST)
        registry.keyed_limiter("api")["example.org"].reset()
        for _ in range(2):
            transport.handle_request(REQUEST)

        waiting = Party(transport.handle_request, REQUEST)
        clock.wait_for_sleepers(1)
        clock.advance(0.1)

        assert waiting.outcome().status_code == 200

    def test_shorter_ones_do_not_end_them(self, protect, registry, clock):
        """
        If it is paused by hand for less, what the server asked for is still told.
        """
        transport = protect(429, timeout=0.0)
        transport.handle_request(REQUEST)
        registry.keyed_limiter("api")["example.org"].pause(5.0)
        clock.advance(60.0)

        with pytest.raises(RateLimitTransportError) as caught:
            transport.handle_request(REQUEST)

        assert caught.value.retry_after == 3540.0


class TestDefinitions:
    """
    What a client defines.
    """

    def test_come_back(self, registry):
        """
        If the name is removed, the next request defines it again.
        """
        transport = ProtectedTransport(
            "api",
            httpx2.MockTransport(lambda _: httpx2.Response(200)),
            registry=registry,
            calls_per_second=3.0,
            threshold=3,
        )
        transport.handle_request(REQUEST)
        registry.remove("api")

        transport.handle_request(REQUEST)

        limiter = registry.keyed_limiter("api")["example.org"]
        assert limiter.snapshot().calls_per_second == 3.0
        assert registry.keyed_breaker("api")["example.org"].snapshot().admitted == 1

    def test_outlive_isolated_blocks(self):
        """
        If a client is made in an isolated block, it is protected after it as well.
        """
        with isolated_registry():
            transport = ProtectedTransport(
                "made inside",
                httpx2.MockTransport(lambda _: httpx2.Response(200)),
                calls_per_second=3.0,
            )
        try:
            transport.handle_request(REQUEST)
            limiter = switchgear.registry.keyed_limiter("made inside")["example.org"]
            assert limiter.snapshot().admitted == 1
        finally:
            switchgear.registry.remove("made inside")


class TestRefusals:
    """
    Requests that are not made.
    """

    def test_leave_no_cycles(self, registry):
        """
        If a refusal is handled, nothing of it is left for the garbage collector.
        """
        transport = ProtectedTransport(
            "api",
            httpx2.MockTransport(lambda _: httpx2.Response(200)),
            registry=registry,
            calls_per_second=0.001,
            timeout=0.0,
        )
        transport.handle_request(REQUEST)
        gc.collect()
        gc.disable()
        try:
            try:
                transport.handle_request(REQUEST)
            except RateLimitTransportError as refusal:
                left = weakref.ref(refusal)
            assert left() is None
        finally:
            gc.enable()

    @pytest.mark.parametrize("name", [5, [], "a[b]", ""])
    def test_names_that_are_none(self, registry, name):
        """
        If a resolver returns what is no name, the error says so.
        """
        transport = ProtectedTransport(
            "api",
            httpx2.MockTransport(lambda _: httpx2.Response(200)),
            registry=registry,
            name_resolver=lambda _: name,
        )

        with pytest.raises((TypeError, ValueError), match="name_resolver"):
            transport.handle_request(REQUEST)


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
