"""
What there is to download, and what protects it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx2

from addresses import Address
from download import define
from servers import Server, loopback
from words import counted


if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from options import Options


#: What the limiters of the demo's own servers are.
RATE: Final = 20.0
BURST: Final = 5

#: What their breakers are. (The default of 120 s would make a long film.)
COOLDOWN: Final = 1.0

#: After how many failed calls an image is given up, from other servers.
MAX_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class Job:
    """
    Say what there is to do.

    Attributes:
        addresses: Where the images are.
        introduction: What is said before it begins.
        max_failures: After how many failed calls an image is given up.
        trust_env: Whether certificates and the like are taken from the environment.
    """

    addresses: list[Address]
    introduction: list[str]
    max_failures: int
    trust_env: bool

    @property
    def hosts(self) -> list[str]:
        """
        The hosts, each of them once.
        """
        return list(dict.fromkeys(address.host for address in self.addresses))


def own_job(options: Options, stack: ExitStack) -> Job:
    """
    Start the demo's own servers, until *stack* is left; return what they have.
    """
    rate = options.rate or RATE
    define({"calls_per_second": rate, "burst": BURST}, {"cooldown": COOLDOWN})
    each, limit = options.images // 3, max(1, int(rate * 0.75))
    servers = stack.enter_context(loopback(each, down_for=options.outage, limit=limit))
    natures = (
        "answers every call",
        f"goes down twice, for {options.outage:g} s",
        f"answers 429 to more than {limit} calls in a second",
    )
    each_is_called = f"each to be called {rate:g} times a second, burst {BURST}"
    return Job(
        _addresses(servers, each),
        [
            f"{3 * each} images from three hosts, {each_is_called}:",
            *(
                f"  {server.name:<8} 127.0.0.1:{server.port:<6} {nature}"
                for server, nature in zip(servers, natures, strict=True)
            ),
        ],
        # Enough for an image that is every probe while the host is down.
        max_failures=10 + 2 * int(options.outage / COOLDOWN),
        trust_env=False,
    )


def _addresses(servers: Sequence[Server], each: int) -> list[Address]:
    # Called by name: the ports are others every time.
    return [
        Address(httpx2.URL(f"http://127.0.0.1:{server.port}/{number}"), server.name)
        for number in range(each)
        for server in servers
    ]


def given_job(options: Options, addresses: list[Address]) -> Job:
    """
    Return what there is to do for *addresses* that were given.
    """
    # The defaults of the library, apart from what was said.
    limiter: dict[str, Any] = {"burst": 1}
    if options.rate is not None:
        limiter["calls_per_second"] = options.rate
    define(limiter, {"threshold": 5})
    job = Job(addresses, [], max_failures=MAX_FAILURES, trust_env=True)
    images, hosts = counted(len(addresses), "image"), counted(len(job.hosts), "host")
    job.introduction.append(f"{images} from {hosts}")
    return job
