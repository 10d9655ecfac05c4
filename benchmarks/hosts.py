"""
Send a million protected requests to ten thousand hosts; see that memory is bounded.

Most go to a few hosts, as crawlers' do; some hosts are down, some fail now and then,
some ask to be left alone. Nothing is sent: an inner transport answers at once. Memory
is what the interpreter has allocated, in blocks, once the instances there may be have
been made, and at the end.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time

import httpx2

from switchgear import CallNotPermitted, Registry
from switchgear.http.httpx2 import ProtectedTransport


REQUESTS, HOSTS, FEW = 1_000_000, 10_000, 500

#: How much more may be allocated at the end than early on, in blocks.
MARGIN = 20_000


def answer(request: httpx2.Request) -> httpx2.Response:
    """
    Answer well, mostly.
    """
    if request.extensions["number"] % 100 == 0:
        return httpx2.Response(500)
    chance = random.random()
    if chance < 0.01:  # noqa: PLR2004 -- one in a hundred
        return httpx2.Response(429, headers={"Retry-After": "0.01"})
    if chance < 0.05:  # noqa: PLR2004 -- four in a hundred
        return httpx2.Response(500)
    return httpx2.Response(200)


def blocks() -> int:
    """
    Return how many blocks of memory are allocated, garbage left aside.
    """
    gc.collect()
    return sys.getallocatedblocks()


def main() -> int:
    """
    Send them; return 1 if memory grew.
    """
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").strip().partition("\n")[0]
    )
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N")
    total: int = parser.parse_args().requests
    # Those that are down would be told of again and again.
    logging.getLogger("switchgear").setLevel(logging.CRITICAL)
    registry = Registry()
    transport = ProtectedTransport(
        "hosts",
        httpx2.MockTransport(answer),
        registry=registry,
        calls_per_second=1e4,
        burst=100,
        threshold=5,
        cooldown=1.0,
    )
    requests = [
        httpx2.Request(
            "GET", f"http://{number}.example.org/", extensions={"number": number}
        )
        for number in range(HOSTS)
    ]
    held: list[int] = []
    refused, start = 0, time.perf_counter()
    for number in range(1, total + 1):
        among = HOSTS if random.random() < 0.2 else FEW  # noqa: PLR2004 -- one in five
        try:
            transport.handle_request(requests[random.randrange(among)]).read()
        except CallNotPermitted:
            refused += 1
        if number % (total // 10) == 0:
            held.append(blocks())
            known = len(registry.keyed_limiter("hosts"))
            print(
                f"{number:9,} requests  {refused:7,} refused  {known:6,} hosts known"
                f"  {held[-1]:9,} blocks",
                flush=True,
            )
    took, grown = time.perf_counter() - start, held[-1] - held[0]
    print(f"{total / took:,.0f} requests/s; grown by {grown:,} blocks since the first")
    return 0 if grown <= MARGIN else 1


if __name__ == "__main__":
    sys.exit(main())
