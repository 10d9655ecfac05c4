"""
Download images, from threads and from an event loop, through the same objects.

This is the file to read: what protects the calls is ``fetch`` and
``fetch_async``; the rest is what a program does about a call that failed, or
that was not made.
"""

from __future__ import annotations

import asyncio
import email.utils
import time

from http import HTTPStatus
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2
import structlog

from backlog import Again, Backlog
from bad_input import shown

from switchgear import (
    CallNotPermitted,
    circuit_protected,
    limiter_of,
    rate_limited,
    registry,
)


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


class TooManyRequestsError(Exception):
    """
    Say that the host wants to be called less often: HTTP 429.
    """

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("HTTP 429")
        self.retry_after = retry_after


def define(limiter: dict[str, Any], breaker: dict[str, Any]) -> None:
    """
    Define what protects each host, under the name ``images``.

    Args:
        limiter: What differs from the defaults of a limiter.
        breaker: What differs from those of a breaker.
    """
    registry.keyed_limiter("images", **limiter)
    registry.keyed_breaker(
        "images",
        failure_on=httpx2.TransportError,
        failure_when=lambda response: response.is_server_error,
        # It is up, and busy: that is for the limiter to see to.
        ignore=TooManyRequestsError,
        **breaker,
    )


def host_of(_: Downloader, address: Address, *__: object) -> str:
    """
    Return which of the limiters and breakers a call goes through.
    """
    return address.host


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
        trust_env: Whether proxies and the like are taken from the environment.
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
        self._settings: dict[str, Any] = {
            "timeout": 10.0,
            "trust_env": trust_env,
            # One for both clients: it takes its time to be made.
            "verify": httpx2.create_ssl_context(trust_env=trust_env),
        }
        self._client = httpx2.Client(**self._settings)
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

    # The calls

    @circuit_protected("images", key=host_of)
    @rate_limited("images", key=host_of)
    def fetch(self, address: Address) -> httpx2.Response:
        """
        Call *address* when it is its turn.
        """
        self._tallies[address.host].called()
        return _heard(self._client.get(address.url))

    @circuit_protected("images", key=host_of)
    @rate_limited("images", key=host_of)
    async def fetch_async(
        self, address: Address, client: httpx2.AsyncClient
    ) -> httpx2.Response:
        """
        Call *address* when it is its turn, from an event loop.
        """
        self._tallies[address.host].called()
        return _heard(await client.get(address.url))

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
            response = self.fetch(address)
        except _EXPECTED as error:
            return self._after_error(address, error)
        return self._after_response(address, response)

    # From an event loop

    async def _run_tasks(self, addresses: Sequence[Address]) -> None:
        try:
            async with (
                httpx2.AsyncClient(**self._settings) as client,
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
            response = await self.fetch_async(address, client)
        except _EXPECTED as error:
            return self._after_error(address, error)
        return self._after_response(address, response)

    # What comes next

    def _after_error(self, address: Address, error: Exception) -> Again | None:
        if isinstance(error, CallNotPermitted):
            return self._after_refusal(address, error)
        tally = self._tallies[address.host]
        if isinstance(error, TooManyRequestsError):
            tally.called_too_fast()
            self._slow_down(address, error.retry_after)
        else:
            tally.call_failed()
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
        self._tallies[address.host].call_failed()
        reason = f"HTTP {response.status_code}"
        if response.is_server_error:
            self._slow_down(address, _retry_after(response))
            return self._retry(address, reason)
        self._give_up(address, reason)
        return None

    def _arrive(self, address: Address, response: httpx2.Response) -> None:
        self._tallies[address.host].arrived(is_new=self._gallery.add(response))
        # Each number comes up once, so each tenth is told of once.
        arrived = self._arrived.increment()
        if arrived * 10 // self._images > (arrived - 1) * 10 // self._images:
            _log.info("downloader.progress", arrived=arrived, of=self._images)

    def _slow_down(self, address: Address, seconds: float | None) -> None:
        """
        Leave the host alone for so long; for good if that is too long.
        """
        if seconds is None:
            return
        limiter = limiter_of(self.fetch, key=address.host)
        if seconds > PATIENCE:
            limiter.close(f"the host asks to be left alone for {seconds:.0f} s")
        else:
            limiter.pause(seconds)

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
_EXPECTED: Final = (CallNotPermitted, TooManyRequestsError, httpx2.HTTPError)


def _heard(response: httpx2.Response) -> httpx2.Response:
    """
    Return *response*, unless it is a refusal of the host's.
    """
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        raise TooManyRequestsError(_retry_after(response))
    return response


def _retry_after(response: httpx2.Response) -> float | None:
    """
    Return the seconds *response* asks for: given as such, or as a date.
    """
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - time.time())


def _join(workers: list[Thread]) -> None:
    deadline = time.monotonic() + GRACE
    for worker in workers:
        if worker.is_alive():
            worker.join(max(0.0, deadline - time.monotonic()))
