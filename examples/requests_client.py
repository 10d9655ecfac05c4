"""
Protect a session of requests, from several threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests

from service import serve

from switchgear import registry
from switchgear.http.requests import CircuitOpenRequestError, protect


def main() -> None:
    """
    Ask a service that is well, and one that is down.
    """
    session = protect(
        requests.Session(), "prices", calls_per_second=50, burst=3, threshold=3
    )
    items = ["tea", "bread", "butter", "no-tea", "marmalade"]
    with serve() as service, session, ThreadPoolExecutor(5) as pool:
        urls = [f"{service.url}/{item}" for item in items]
        for item, response in zip(items, pool.map(session.get, urls), strict=True):
            print(f"{item}:", response.text or f"HTTP {response.status_code}")

        service.down = True
        for _ in range(3):
            print("tea:", f"HTTP {session.get(f'{service.url}/tea').status_code}")
        try:
            session.get(f"{service.url}/tea")
        except CircuitOpenRequestError as refusal:
            print("tea: refused, because", refusal.last_failure)
        print("calls:", service.calls)
        host = service.url.removeprefix("http://")
        print("circuit:", registry.keyed_breaker("prices")[host].snapshot().state.name)


if __name__ == "__main__":
    main()
