"""
Download images, from threads and from an event loop, through the same objects.

This is the file to read: what protects the calls is ``define`` and the two
transports of ``Downloader``; the rest is what a program does about a call that
failed, or that was not made.
"""

from __future__ import annotations

import asyncio
import time

from http import HTTPStatus
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2
import structlog

from backlog import Again, Backlog
from bad_input import shown

from switchgear import CallNotPermitted, registry
from switchgear.http.httpx2 import AsyncProtectedTransport, ProtectedTransport


if TYPE_CHECKING:
    from collections.abc import Sequence

    from addresses import Address
    from gallery import Gallery
    from interruption import Interruption
    from tally import Tallies


#: The longest to wait for a host that is down or asks to be left alone, in
#: seconds.
PATIENCE: Final = 30.0

#: How often the circuit of a host may refuse an address.
MAX_REFUSALS: Final = 200

#: How long to let threads finish their calls when interrupted, in seconds.
GRACE: Final = 1.0

_log = structlog.get_logger("downloader")


def define(limiter: dict[str, Any], breaker: dict[str, Any]) -> None:
    """
    Define what protects each host, under the name ``images``.

    Args:
        limiter: What differs from the defaults of a limiter.
        breaker: What differs from those of a breaker.
    """
    registry.keyed_limiter("images", **limiter)
    registry.keyed_breaker("images", **breaker)


def host_of(request: httpx2.Request) -> str:
    """
    Return which of the limiters and breakers *request* goes through.
    """
    host: str = request.extensions["host"]
    return host


class Counted(httpx2.BaseTransport):
    """
    Count requests that are about to be sent.
    """

    def __init__(self, inner: httpx2.BaseTransport, tallies: Tallies) -> None:
        self._inner = inner
        self._tallies = tallies

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """
        Send *request*.
        """
        self._tallies[host_of(request)].called()
        return self._inner.handle_request(request)

    def close(self) -> None:
        """
        Close the inner transport.
        """
        self._inner.close()


class CountedAsync(httpx2.AsyncBaseTransport):
    """
    Count requests that are about to be sent from an event loop.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, tallies: Tallies) -> None:
        self._inner = inner
        self._tallies = tallies

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """
        Send *request*.
        """
        self._tallies[host_of(request)].called()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """
        Close the inner transport.
        """
        await self._inner.aclose()


class Missing(NamedTuple):
    """
    Say which image could not be had, and why.
    """

    address: Address
    reason: str


class Downloader:
    """
    Download images until each has arrived or is given up.

    Args:
        gallery: Where they go.
        tallies: Where calls are counted.
        images: How many there are.
        max_failures: After how many failed calls an image is given up.
        trust_env: Whether certificates and the like are taken from the environment.
    """

    def __init__(
        self,
        gallery: Gallery,
        tallies: Tallies,
        *,
        images: int,
        max_failures: int,
        trust_env: bool,
    ) -> None:
        self._gallery = gallery
        self._tallies = tallies
        self._images = images
        self._max_failures = max_failures
        # One for both clients: it takes its time to be made.
        self._certificates = httpx2.create_ssl_context(trust_env=trust_env)
        sender = httpx2.HTTPTransport(verify=self._certificates)
        self._client = httpx2.Client(
            transport=ProtectedTransport("images", Counted(sender, tallies), **_HOW),
            timeout=_TIMEOUT,
        )
        self._arrived = registry.counter("arrived")
        self._crash: BaseException | None = None
        self.missing: list[Missing] = []

    def run(
        self, addresses: Sequence[Address], threads: int, interruption: Interruption
    ) -> None:
        """
        Download *addresses*: the first with so many threads, the last with tasks.

        The tasks begin when the threads have done half of theirs, and take
        turns with them: they wait in the same queues.

        However it ends, nobody waits for a turn any more afterwards.
        """
        mine = (len(addresses) * 3 + 4) // 5
        backlog = Backlog(addresses[:mine])
        workers = [
            # A call that hangs does not keep an interrupted program alive.
            Thread(target=self._work, args=(backlog,), name=f"worker-{n}", daemon=True)
            for n in range(threads)
        ]
        try:
            # Raised amid the start of a thread, it would confuse the interpreter.
            with interruption.postponed():
                for worker in workers:
                    worker.start()
            backlog.wait(left=mine // 2)
            if len(addresses) > mine and self._crash is None:
                _log.info("downloader.tasks_join", tasks=len(addresses) - mine)
                interruption.run(self._run_tasks(addresses[mine:]))
            backlog.wait()
        except BaseException:
            backlog.close()
            registry.close("the download is over")
            raise
        finally:
            backlog.close()
            _join(workers)
            self._client.close()
        if self._crash is not None:
            raise self._crash

    # From threads

    def _work(self, backlog: Backlog) -> None:
        try:
            while address := backlog.take():
                backlog.finish(address, self._attempt(address))
        except BaseException as error:  # noqa: BLE001 -- raised again where it is heard
            self._crash = error
            backlog.close()

    def _attempt(self, address: Address) -> Again | None:
        try:
            response = self._client.get(address.url, extensions={"host": address.host})
        except _EXPECTED as error:
            return self._after_error(address, error)
        return self._after_response(address, response)

    # From an event loop

    async def _run_tasks(self, addresses: Sequence[Address]) -> None:
        sender = CountedAsync(
            httpx2.AsyncHTTPTransport(verify=self._certificates), self._tallies
        )
        transport = AsyncProtectedTransport("images", sender, **_HOW)
        try:
            async with (
                httpx2.AsyncClient(transport=transport, timeout=_TIMEOUT) as client,
                asyncio.TaskGroup() as group,
            ):
                for address in addresses:
                    group.create_task(self._pursue(Again(address), client))
        except BaseExceptionGroup as errors:
            # The others would say the same.
            raise errors.exceptions[0] from None

    async def _pursue(self, again: Again | None, client: httpx2.AsyncClient) -> None:
        while again is not None:
            await asyncio.sleep(again.delay)
            again = await self._attempt_async(again.address, client)

    async def _attempt_async(
        self, address: Address, client: httpx2.AsyncClient
    ) -> Again | None:
        try:
            response = await client.get(address.url, extensions={"host": address.host})
        except _EXPECTED as error:
            return self._after_error(address, error)
        return self._after_response(address, response)

    # What comes next

    def _after_error(self, address: Address, error: Exception) -> Again | None:
        if isinstance(error, CallNotPermitted):
            return self._after_refusal(address, error)
        self._tallies[address.host].call_failed()
        return self._retry(address, shown(f"{type(error).__name__}: {error}"))

    def _after_refusal(
        self, address: Address, refusal: CallNotPermitted
    ) -> Again | None:
        address = address.refused()
        delay = refusal.retry_after
        if delay is None or delay > PATIENCE or address.refusals > MAX_REFUSALS:
            self._give_up(address, str(refusal))
            return None
        return Again(address, delay)

    def _after_response(
        self, address: Address, response: httpx2.Response
    ) -> Again | None:
        if response.is_success:
            self._arrive(address, response)
            return None
        if response.next_request is not None:
            # To be called at its own host's turn.
            return self._retry_at(address, response.next_request.url)
        tally, reason = self._tallies[address.host], f"HTTP {response.status_code}"
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            # For how long, the limiter has been told.
            tally.called_too_fast()
            return self._retry(address, reason)
        tally.call_failed()
        if response.is_server_error:
            return self._retry(address, reason)
        self._give_up(address, reason)
        return None

    def _arrive(self, address: Address, response: httpx2.Response) -> None:
        self._tallies[address.host].arrived(is_new=self._gallery.add(response))
        # Each number comes up once, so each tenth is told of once.
        arrived = self._arrived.increment()
        if arrived * 10 // self._images > (arrived - 1) * 10 // self._images:
            _log.info("downloader.progress", arrived=arrived, of=self._images)

    def _retry(self, address: Address, reason: str) -> Again | None:
        address = address.failed()
        if address.failures >= self._max_failures:
            self._give_up(address, reason)
            return None
        # A quarter of a second, a half, one, and no more.
        return Again(address, min(1.0, 0.125 * 2**address.failures))

    def _retry_at(self, address: Address, url: httpx2.URL) -> Again | None:
        try:
            moved = address.moved(url)
        except ValueError as error:
            self._give_up(address, f"moved to {shown(url)}: {shown(error)}")
            return None
        if moved.failures >= self._max_failures:
            self._give_up(address, "moved too often")
            return None
        # It is known by its host before that is called.
        self._tallies.meet(moved.host)
        return Again(moved)

    def _give_up(self, address: Address, reason: str) -> None:
        self.missing.append(Missing(address, reason))


#: What is expected of calls on a network, and of their protection.
_EXPECTED: Final = (CallNotPermitted, httpx2.HTTPError)

#: How both clients are protected. A host that asks to be left alone for longer than
#: anybody is to wait has its calls refused.
_HOW: Final[dict[str, Any]] = {"key": host_of, "max_pause": PATIENCE}

#: How long to wait for a host to connect, or to say something, in seconds.
_TIMEOUT: Final = 10.0


def _join(workers: list[Thread]) -> None:
    deadline = time.monotonic() + GRACE
    for worker in workers:
        if worker.is_alive():
            worker.join(max(0.0, deadline - time.monotonic()))
