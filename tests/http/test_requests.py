"""
Adapters of requests: what other clients do not have.
"""

from __future__ import annotations

import gzip
import io
import shutil

import pytest
import requests
import urllib3

from misbehaving import Answer
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import HTTPDigestAuth
from urllib3.exceptions import ClosedPoolError, EmptyPoolError, MaxRetryError
from urllib3.util import Retry

from switchgear import CircuitState
from switchgear.http.requests import (
    CircuitOpenRequestError,
    ProtectedAdapter,
    protect,
)


@pytest.fixture
def session(registry):
    with requests.Session() as session:
        session.trust_env = False
        protect(session, "api", registry=registry, threshold=3, calls_per_second=1e3)
        yield session


def breaker_of(registry, host):
    return registry.keyed_breaker("api")[host]


class Raising(BaseAdapter):
    """
    Be an adapter that fails.
    """

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.closed = False

    def send(self, request, **_):
        raise self.error

    def close(self):
        self.closed = True


class TestProtect:
    """
    ``protect()``.
    """

    def test_wraps_every_adapter(self, registry):
        """
        If a session has adapters of its own, each is wrapped where it is.
        """
        session, own = requests.Session(), HTTPAdapter()
        session.mount("https://example.org/", own)

        assert protect(session, "api", registry=registry, threshold=3) is session

        adapters = session.adapters
        assert list(adapters) == ["https://example.org/", "https://", "http://"]
        assert all(type(one) is ProtectedAdapter for one in adapters.values())
        assert adapters["https://example.org/"]._inner is own
        session.close()

    def test_twice(self, registry):
        """
        If a session is protected by the same name already, it is left as it is.
        """
        session = protect(requests.Session(), "api", registry=registry, threshold=3)
        before = dict(session.adapters)

        protect(session, "api", registry=registry)
        assert dict(session.adapters) == before

        protect(session, "other", registry=registry, threshold=3)
        assert session.adapters["http://"]._inner is before["http://"]
        session.close()


class TestAdapter:
    """
    :class:`switchgear.http.requests.ProtectedAdapter`.
    """

    def test_is_an_adapter(self):
        """
        If somebody asks, it is what requests takes for its own.
        """
        assert issubclass(ProtectedAdapter, HTTPAdapter)

    @pytest.mark.parametrize(
        "error",
        [
            EmptyPoolError(None, "all are in use"),
            requests.ConnectionError(ClosedPoolError(None, "it was closed")),
            requests.ConnectionError(
                MaxRetryError(None, "/", EmptyPoolError(None, "all are in use"))
            ),
            requests.exceptions.InvalidHeader("bad"),
            OSError("no certificates"),
        ],
        ids=["full", "closed", "full, tried again", "header", "system"],
    )
    def test_own_mistakes(self, registry, error):
        """
        If the mistake was made here, it counts neither way.
        """
        session = requests.Session()
        inner = Raising(error)
        adapter = ProtectedAdapter("api", inner, registry=registry, threshold=3)
        session.mount("http://", adapter)

        with pytest.raises(type(error)):
            session.get("http://example.org/")

        snapshot = breaker_of(registry, "example.org").snapshot()
        assert (snapshot.failures, snapshot.ignored) == (0, 1)
        session.close()
        assert inner.closed

    def test_refusals_know_the_request(self, registry):
        """
        If a request is refused, the error has it, as those of requests do.
        """
        session = requests.Session()
        inner = Raising(requests.ConnectionError("down"))
        adapter = ProtectedAdapter("api", inner, registry=registry, threshold=1)
        session.mount("http://", adapter)
        with pytest.raises(requests.ConnectionError):
            session.get("http://example.org/")

        with pytest.raises(CircuitOpenRequestError) as caught:
            session.get("http://example.org/")

        assert caught.value.request.url == "http://example.org/"
        assert caught.value.response is None

    def test_sends_by_itself(self, registry, server):
        """
        If no other adapter is given, it sends as requests does.
        """
        session = requests.Session()
        session.mount(
            "http://", ProtectedAdapter("api", registry=registry, threshold=3)
        )

        with session.get(server.at("/")) as response:
            assert response.content == b"well done"
        session.close()

    @pytest.mark.parametrize(
        ("url", "key"),
        [
            ("http://EXAMPLE.org/x", "example.org"),
            ("http://example.org:80/x", "example.org"),
            ("http://user:secret@example.org:8080/", "example.org:8080"),
            ("http://[::1]:81/", "[::1]:81"),
        ],
    )
    def test_hosts(self, registry, url, key):
        """
        If a request names a host, its key has no more than that and the port.
        """
        session = requests.Session()
        inner = Raising(requests.ConnectionError("down"))
        adapter = ProtectedAdapter("api", inner, registry=registry, threshold=3)
        session.mount("http://", adapter)

        with pytest.raises(requests.ConnectionError):
            session.get(url)

        assert list(registry.keyed_breaker("api")) == [key]

    def test_challenges(self, session, registry, server):
        """
        If a challenge is answered, that request is protected as well.
        """
        challenge = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
        url = server.at("/", Answer(401, challenge), Answer(503))

        response = session.get(url, auth=HTTPDigestAuth("user", "secret"))

        assert (response.status_code, server.requests["/"]) == (503, 2)
        snapshot = breaker_of(registry, server.host).snapshot()
        assert (snapshot.admitted, snapshot.failures) == (2, 1)
        assert registry.keyed_limiter("api")[server.host].snapshot().admitted == 2

    def test_429_that_was_tried_again(self, registry, server):
        """
        If urllib3 was told to try again after 429, it is no failure all the same.
        """
        session = requests.Session()
        inner = HTTPAdapter(max_retries=Retry(1, status_forcelist=[429, 503]))
        adapter = ProtectedAdapter("api", inner, registry=registry, threshold=3)
        session.mount("http://", adapter)

        for status, failures in (429, 0), (503, 1):
            with pytest.raises(requests.exceptions.RetryError):
                session.get(server.at("/", status=status))
            assert breaker_of(registry, server.host).snapshot().failures == failures
        session.close()

    @pytest.mark.parametrize("raw", [io.BytesIO(b"a file"), None])
    def test_what_is_no_connection(self, registry, clock, raw):
        """
        If an inner adapter answers by itself, the response is as without us, and a
        probe is over.
        """

        class Stub(BaseAdapter):
            def send(self, request, **_):
                response = requests.Response()
                response.status_code, response.raw = 200, raw
                response.request, response.url = request, request.url
                return response

            def close(self):
                pass

        session = requests.Session()
        adapter = ProtectedAdapter(
            "api", Stub(), registry=registry, threshold=1, cooldown=1.0, clock=clock
        )
        session.mount("http://", adapter)
        breaker = breaker_of(registry, "example.org")
        breaker.record_failure()
        clock.advance(1.0)

        response = session.get("http://example.org/", stream=True)

        assert response.raw is raw
        assert breaker.snapshot().state is CircuitState.CLOSED
        session.close()


READINGS = {
    "read": lambda raw: raw.read(),
    "read some": lambda raw: raw.read(10),
    "read1": lambda raw: raw.read1(10),
    "readinto": lambda raw: raw.readinto(bytearray(10)),
    "readline": lambda raw: raw.readline(),
    "readlines": lambda raw: raw.readlines(),
    "stream": lambda raw: next(raw.stream(10)),
    "lines": next,
    "data": lambda raw: raw.data,
}


class TestRaw:
    """
    ``Response.raw``, for those who read that.
    """

    @pytest.mark.parametrize("how", READINGS)
    def test_breaks_off_in_any_way(self, session, registry, server, how):
        """
        If reading it in any way fails, that is a failure, once.
        """
        url = server.at("/", body=b"x" * 10_000, fault="short body")
        response = session.get(url, stream=True)
        with response, pytest.raises(urllib3.exceptions.HTTPError):
            while True:
                assert READINGS[how](response.raw)

        snapshot = breaker_of(registry, server.host).snapshot()
        assert (snapshot.failures, snapshot.failed) == (1, 1)

    def test_in_chunks(self, session, registry, server):
        """
        If it comes in chunks, it is read in them; a bad one is a failure.
        """
        session.get(server.at("/bad", status=500))
        headers = {"Transfer-Encoding": "chunked"}
        url = server.at("/", headers=headers, body=b"4\r\nwell\r\n0\r\n\r\n")
        with session.get(url, stream=True) as response:
            assert list(response.raw.stream()) == [b"well"]
        assert breaker_of(registry, server.host).snapshot().failures == 0

        with session.get(server.at("/", fault="bad chunk"), stream=True) as response:
            pieces = response.raw.stream()
            assert next(pieces) == b"well"
            with pytest.raises(urllib3.exceptions.HTTPError):
                next(pieces)
        assert breaker_of(registry, server.host).snapshot().failures == 1

    def test_is_what_it_is_elsewhere(self, session, server):
        """
        If something is set on it, or it is entered, it does what urllib3's does.
        """
        packed = gzip.compress(b"well done")
        url = server.at("/", body=packed, headers={"Content-Encoding": "gzip"})
        response = session.get(url, stream=True)
        copied = io.BytesIO()
        with response.raw as raw:
            assert isinstance(raw, urllib3.HTTPResponse)
            raw.decode_content = True
            shutil.copyfileobj(raw, copied)

        assert copied.getvalue() == b"well done"

    def test_is_read(self, session, server):
        """
        If it is read as a file, it is one.
        """
        url = server.at("/", body=b"line one\nline two\n")
        with session.get(url, stream=True) as response:
            assert response.raw.status == 200
            assert response.raw.read(4) == b"line"
            copied = io.BytesIO()
            shutil.copyfileobj(response.raw, copied)

        assert copied.getvalue() == b" one\nline two\n"

    def test_is_iterated_over(self, session, server):
        """
        If it is iterated over, it gives what urllib3's own does.
        """
        url = server.at("/", body=b"line one\nline two\n")
        with session.get(url, stream=True) as response:
            assert b"".join(response.raw) == b"line one\nline two\n"

    def test_is_dropped(self, session, registry, server):
        """
        If iterating stops in the middle, the service has done its work.
        """
        session.get(server.at("/bad", status=500))
        url = server.at("/", body=b"x" * 1000)
        with session.get(url, stream=True) as response:
            assert next(response.iter_content(10)) == b"x" * 10

        snapshot = breaker_of(registry, server.host).snapshot()
        assert (snapshot.failures, snapshot.ignored) == (0, 0)

    def test_breaks_off(self, session, registry, server):
        """
        If reading it fails, that is a failure.
        """
        url = server.at("/", body=b"x" * 1000, fault="reset body")
        response = session.get(url, stream=True)
        with response, pytest.raises(urllib3.exceptions.ProtocolError):
            response.raw.read()

        assert breaker_of(registry, server.host).snapshot().failures == 1

    def test_counts_once_read(self, session, registry, server):
        """
        If all of it was read, the streak ends, though nobody closed it yet.
        """
        session.get(server.at("/bad", status=500))
        response = session.get(server.at("/"), stream=True)
        assert response.raw.read() == b"well done"

        assert breaker_of(registry, server.host).snapshot().failures == 0
        response.close()
