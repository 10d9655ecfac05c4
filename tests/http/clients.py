"""
The HTTP clients, each with the same few verbs, protected alike.
"""

from __future__ import annotations

import asyncio

from contextlib import contextmanager
from typing import NamedTuple

import aiohttp
import httpx
import httpx2
import requests

from switchgear.http import aiohttp as ours_aiohttp
from switchgear.http import httpx as ours_httpx
from switchgear.http import httpx2 as ours_httpx2
from switchgear.http import requests as ours_requests


class Reply(NamedTuple):
    status: int
    body: bytes
    #: Of each hop.
    statuses: tuple[int, ...]


class Errors(NamedTuple):
    """
    What a client calls things.
    """

    #: What all that goes wrong with a request is.
    base: type[Exception]
    circuit: type[Exception]
    rate: type[Exception]
    burst: type[Exception]
    #: What retries commonly go by: no refusal is one.
    leaves: tuple[type[Exception], ...]


def like_httpx(module, ours):
    return Errors(
        module.TransportError,
        ours.CircuitOpenTransportError,
        ours.RateLimitTransportError,
        ours.BurstExceededTransportError,
        (module.NetworkError, module.TimeoutException, module.ProtocolError),
    )


class SyncHttpx:
    """
    A :class:`httpx.Client`.
    """

    module, ours = httpx, ours_httpx
    is_async = False

    def __init__(self, name="api", *, bare=(), patience=None, **options):
        self.errors = like_httpx(self.module, self.ours)
        inner = self.module.HTTPTransport(**dict(bare)) if bare else None
        self.transport = self.ours.ProtectedTransport(name, inner, **options)
        self.client = self.module.Client(
            transport=self.transport, timeout=patience, trust_env=False
        )

    def get(self, url, **more):
        with self.client.stream("GET", url, follow_redirects=True, **more) as response:
            return self._reply(response, response.read())

    def _reply(self, response, body):
        hops = [*response.history, response]
        return Reply(response.status_code, body, tuple(h.status_code for h in hops))

    def drop(self, url):
        """
        Ask, and drop the response, neither read nor closed.
        """
        self.client.send(self.client.build_request("GET", url), stream=True)

    @contextmanager
    def opened(self, url):
        """
        Ask, but read nothing in this block.
        """
        with self.client.stream("GET", url) as response:
            yield response.status_code

    def close(self):
        self.client.close()


class SyncHttpx2(SyncHttpx):
    """
    A :class:`httpx2.Client`.
    """

    module, ours = httpx2, ours_httpx2


class Async:
    """
    What clients of event loops have in common.
    """

    is_async = True

    def __init__(self):
        self.runner = asyncio.Runner()

    def get(self, url, **more):
        return self.runner.run(self.get_async(url, **more))

    def drop(self, url):
        self.runner.run(self.drop_async(url))

    @contextmanager
    def opened(self, url):
        block = self.opened_async(url)
        status = self.runner.run(self._entered(block))
        try:
            yield status
        finally:
            self.runner.run(self._left(block))

    async def _entered(self, block):
        return (await block.__aenter__()).status

    async def _left(self, block):
        await block.__aexit__(None, None, None)

    def close(self):
        self.runner.run(self.close_async())
        self.runner.close()


class AsyncHttpx(Async):
    """
    A :class:`httpx.AsyncClient`.
    """

    module, ours = httpx, ours_httpx

    def __init__(self, name="api", *, bare=(), patience=None, **options):
        super().__init__()
        self.errors = like_httpx(self.module, self.ours)
        inner = self.module.AsyncHTTPTransport(**dict(bare)) if bare else None
        self.transport = self.ours.AsyncProtectedTransport(name, inner, **options)
        self.client = self.module.AsyncClient(
            transport=self.transport, timeout=patience, trust_env=False
        )

    async def get_async(self, url, **more):
        stream = self.client.stream("GET", url, follow_redirects=True, **more)
        async with stream as response:
            return SyncHttpx._reply(self, response, await response.aread())

    async def drop_async(self, url):
        await self.client.send(self.client.build_request("GET", url), stream=True)

    def opened_async(self, url):
        return self.client.stream("GET", url)

    async def _entered(self, block):
        return (await block.__aenter__()).status_code

    async def close_async(self):
        await self.client.aclose()


class AsyncHttpx2(AsyncHttpx):
    """
    A :class:`httpx2.AsyncClient`.
    """

    module, ours = httpx2, ours_httpx2


class Requests:
    """
    A :class:`requests.Session`.
    """

    is_async = False

    def __init__(self, name="api", *, bare=(), patience=None, **options):
        self.errors = Errors(
            requests.RequestException,
            ours_requests.CircuitOpenRequestError,
            ours_requests.RateLimitRequestError,
            ours_requests.BurstExceededRequestError,
            (requests.ConnectionError, requests.Timeout),
        )
        self.client = requests.Session()
        self.client.trust_env = False
        self.patience = patience
        if bare:
            inner = requests.adapters.HTTPAdapter(**dict(bare))
            self.client.mount("http://", inner)
        ours_requests.protect(self.client, name, **options)

    def get(self, url, **more):
        with self.client.get(url, stream=True, timeout=self.patience, **more) as got:
            hops = [*got.history, got]
            statuses = tuple(hop.status_code for hop in hops)
            return Reply(got.status_code, got.content, statuses)

    def drop(self, url):
        self.client.get(url, stream=True)

    @contextmanager
    def opened(self, url):
        with self.client.get(url, stream=True) as response:
            yield response.status_code

    def close(self):
        self.client.close()


class Aiohttp(Async):
    """
    A :class:`aiohttp.ClientSession`.
    """

    def __init__(self, name="api", *, bare=(), patience=None, **options):
        super().__init__()
        self.errors = Errors(
            aiohttp.ClientError,
            ours_aiohttp.CircuitOpenClientError,
            ours_aiohttp.RateLimitClientError,
            ours_aiohttp.BurstExceededClientError,
            (aiohttp.ClientConnectionError, aiohttp.ClientResponseError),
        )
        self.middleware = ours_aiohttp.ProtectedMiddleware(name, **options)
        self.client = self.runner.run(self._session(dict(bare), patience))

    async def _session(self, bare, patience):
        return aiohttp.ClientSession(
            middlewares=[self.middleware],
            connector=aiohttp.TCPConnector(**bare),
            timeout=aiohttp.ClientTimeout(sock_read=patience, connect=patience),
        )

    async def get_async(self, url, **more):
        async with self.client.get(url, **more) as response:
            hops = [*response.history, response]
            statuses = tuple(hop.status for hop in hops)
            return Reply(response.status, await response.read(), statuses)

    async def drop_async(self, url):
        await self.client.get(url)

    def opened_async(self, url):
        return self.client.get(url)

    async def close_async(self):
        await self.client.close()


ALL = (SyncHttpx2, AsyncHttpx2, SyncHttpx, AsyncHttpx, Requests, Aiohttp)
