"""
Download images, protected by switchgear: see ``--help``.
"""

from __future__ import annotations

import sys
import tempfile
import time

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx2
import log

from addresses import Address, BadInputError, read_addresses, shown
from download import Downloader, define
from gallery import Gallery
from interruption import Interruption
from options import Options, parse
from report import summary, table
from servers import Server, loopback
from tally import Tallies


if TYPE_CHECKING:
    from collections.abc import Sequence


#: What the limiters of the demo's own servers are.
RATE: Final = 20.0
BURST: Final = 5

#: What their breakers are. (The default of 120 s would make a long film.)
COOLDOWN: Final = 1.0

#: After how many failed calls an image is given up.
MAX_FAILURES: Final = 3

MISSING, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main() -> int:
    """
    Do what the command line says; return the exit status.
    """
    options = parse()
    log.configure()
    interruption = Interruption()
    interruption.listen()
    try:
        addresses = None if options.urls is None else read_addresses(options.urls)
        with ExitStack() as stack:
            gallery = Gallery(_folder(options.into, stack))
            if addresses is None:
                return _from_own_servers(options, gallery, interruption)
            return _from_addresses(options, gallery, interruption, addresses)
    except BadInputError as error:
        print(f"downloader: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        # Before anything was done.
        return INTERRUPTED


def _from_own_servers(
    options: Options, gallery: Gallery, interruption: Interruption
) -> int:
    rate = options.rate or RATE
    define({"calls_per_second": rate, "burst": BURST}, {"cooldown": COOLDOWN})
    each, limit = options.images // 3, max(1, int(rate * 0.75))
    with loopback(each, down_for=options.outage, limit=limit) as hosts:
        print(
            f"{3 * each} images from three hosts, each to be called"
            f" {rate:g} times a second, burst {BURST}:"
        )
        for host, nature in zip(hosts, _natures(options.outage, limit), strict=True):
            print(f"  {host.name:<8} 127.0.0.1:{host.port:<6} {nature}")
        sys.stdout.flush()
        # Enough for an image that is every probe while the host is down.
        return _download(
            options,
            gallery,
            interruption,
            _addresses(hosts, each),
            max_failures=10 + 2 * int(options.outage / COOLDOWN),
            trust_env=False,
        )


def _natures(outage: float, limit: int) -> tuple[str, ...]:
    return (
        "answers every call",
        f"goes down twice, for {outage:g} s",
        f"answers 429 to more than {limit} calls in a second",
    )


def _addresses(hosts: Sequence[Server], each: int) -> list[Address]:
    # Called by name: the ports are others every time.
    return [
        Address(httpx2.URL(f"http://127.0.0.1:{host.port}/{number}"), host.name)
        for number in range(each)
        for host in hosts
    ]


def _from_addresses(
    options: Options,
    gallery: Gallery,
    interruption: Interruption,
    addresses: list[Address],
) -> int:
    # The defaults of the library, apart from what was said.
    limiter: dict[str, Any] = {"burst": 1}
    if options.rate is not None:
        limiter["calls_per_second"] = options.rate
    define(limiter, {"threshold": 5})
    hosts = len({address.host for address in addresses})
    print(f"{_many(len(addresses), 'image')} from {_many(hosts, 'host')}", flush=True)
    return _download(
        options,
        gallery,
        interruption,
        addresses,
        max_failures=MAX_FAILURES,
        trust_env=True,
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _download(
    options: Options,
    gallery: Gallery,
    interruption: Interruption,
    addresses: list[Address],
    *,
    max_failures: int,
    trust_env: bool,
) -> int:
    """
    Download from *addresses* and say what came of it; return the exit status.
    """
    began = time.monotonic()
    with Tallies() as tallies:
        downloader = Downloader(
            gallery,
            tallies,
            images=len(addresses),
            max_failures=max_failures,
            trust_env=trust_env,
        )
        interrupted = False
        try:
            downloader.run(addresses, options.threads, interruption)
        except KeyboardInterrupt:
            interrupted = True
        seconds = time.monotonic() - began
        # What an interruption left undone is no news.
        missing = [] if interrupted else downloader.missing
        print("\nInterrupted; until then:\n" if interrupted else "")
        hosts = dict.fromkeys([*(address.host for address in addresses), *tallies])
        print(*table(tallies, list(hosts)), "", sep="\n")
        print(*summary(tallies, len(addresses), missing, seconds), sep="\n")
    if interrupted:
        return INTERRUPTED
    return MISSING if missing else 0


def _folder(into: Path | None, stack: ExitStack) -> Path:
    if into is None:
        made = tempfile.TemporaryDirectory(prefix="downloader-")
        return Path(stack.enter_context(made))
    try:
        into.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"{shown(into)}: {reason}"
        raise BadInputError(msg) from error
    return into


if __name__ == "__main__":
    sys.exit(main())
