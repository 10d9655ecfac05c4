"""
Protect a session of aiohttp, by a middleware.
"""

from __future__ import annotations

import asyncio

import aiohttp

from service import serve

from switchgear.http.aiohttp import ProtectedMiddleware, RateLimitClientError


async def price(session: aiohttp.ClientSession, url: str) -> str:
    """
    Say what the service says, or why it was not asked.
    """
    try:
        async with session.get(url) as response:
            return await response.text()
    except RateLimitClientError as refusal:
        return f"not before {refusal.retry_after:.0f} s"


async def main() -> None:
    """
    Ask four times at once, of which two go at once, and one waits for its turn.
    """
    middleware = ProtectedMiddleware(
        "prices", calls_per_second=2, burst=2, threshold=3, timeout=0.7
    )
    with serve() as service:
        async with aiohttp.ClientSession(middlewares=[middleware]) as session:
            asked = [price(session, f"{service.url}/tea") for _ in range(4)]
            print("tea:", *await asyncio.gather(*asked), sep="\n  ")
            print("calls:", service.calls)


if __name__ == "__main__":
    asyncio.run(main())
