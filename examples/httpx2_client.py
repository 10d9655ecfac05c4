"""
Protect a client of httpx2 in one line, and heed what the service says.

Whoever catches what goes wrong with requests catches refusals as well.
"""

from __future__ import annotations

import time

import httpx2

from service import serve

from switchgear.http.httpx2 import ProtectedTransport


COOLDOWN = 0.5


def price(client: httpx2.Client, url: str) -> str:
    """
    Say what the service says, or why there is nothing to say.
    """
    try:
        response = client.get(url)
        response.raise_for_status()
    except httpx2.HTTPStatusError as error:
        return f"HTTP {error.response.status_code}"
    except httpx2.TransportError as error:
        return f"{type(error).__name__}: {error}"
    return response.text


def main() -> None:
    """
    Ask a service that is well, is busy, and goes down.
    """
    transport = ProtectedTransport(
        "prices", calls_per_second=50, burst=10, threshold=3, cooldown=COOLDOWN
    )
    with serve() as service, httpx2.Client(transport=transport) as client:
        print("tea:", price(client, f"{service.url}/tea"))

        service.busy = True
        print("tea:", price(client, f"{service.url}/tea"))
        service.busy = False
        start = time.monotonic()
        print("tea:", price(client, f"{service.url}/tea"))
        print("waited a second:", time.monotonic() - start >= 1.0)

        service.down = True
        for _ in range(4):
            print("bread:", price(client, f"{service.url}/bread"))
        service.down = False
        time.sleep(COOLDOWN)
        print("bread:", price(client, f"{service.url}/bread"))
        print("calls:", service.calls)


if __name__ == "__main__":
    main()
