"""
Protect a client of httpx, and one for event loops: both take the same turns.

What a client says of connections is said to the inner transport.
"""

from __future__ import annotations

import asyncio

from typing import Any, Final

import httpx

from service import serve

from switchgear import registry
from switchgear.http.httpx import AsyncProtectedTransport, ProtectedTransport


LIMITS: Final = httpx.Limits(max_connections=10)


def key_of(request: httpx.Request) -> str:
    """
    Tell tenants apart, where by default it is hosts.
    """
    return request.headers["X-Tenant"]


HOW: Final[dict[str, Any]] = {"key": key_of}


async def in_a_loop(url: str) -> list[str]:
    """
    Ask for several things at once.
    """
    inner = httpx.AsyncHTTPTransport(limits=LIMITS)
    transport = AsyncProtectedTransport("prices", inner, **HOW)
    headers = {"X-Tenant": "acme"}
    async with httpx.AsyncClient(transport=transport, headers=headers) as client:
        responses = await asyncio.gather(
            *[client.get(f"{url}/{item}") for item in ("tea", "bread", "butter")]
        )
    return [response.text for response in responses]


def main() -> None:
    """
    Ask from here, and from a loop.
    """
    registry.keyed_limiter("prices", calls_per_second=20, burst=2)
    registry.keyed_breaker("prices", threshold=3)
    inner = httpx.HTTPTransport(limits=LIMITS)
    transport = ProtectedTransport("prices", inner, **HOW)
    with serve() as service, httpx.Client(transport=transport) as client:
        tea = client.get(f"{service.url}/tea", headers={"X-Tenant": "acme"})
        print("tea:", tea.text)
        print("from a loop:", *asyncio.run(in_a_loop(service.url)))

    snapshot = registry.keyed_limiter("prices")["acme"].snapshot()
    print(f"{snapshot.name}: {snapshot.admitted} turns")


if __name__ == "__main__":
    main()
