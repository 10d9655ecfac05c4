"""
Serve ``/live`` and ``/health`` from snapshots.

An open circuit means that a service one calls is down, not that one is down
oneself: it is told, but does not have the process restarted.
"""

from __future__ import annotations

import json
import urllib.request

from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from switchgear import protected, registry


if TYPE_CHECKING:
    from collections.abc import Iterator


@protected("prices", calls_per_second=100, burst=5, threshold=2, cooldown=60.0)
def price_of(item: str) -> int:
    """
    Stand for a call of a service that is down.
    """
    msg = f"no price of {item}"
    raise ConnectionError(msg)


def every(named: dict[str, Any], templates: dict[str, Any]) -> Iterator[Any]:
    """
    Go through instances with a name, and those with a name and a key.
    """
    yield from named.values()
    for template in templates.values():
        yield from template["instances"]


def health() -> dict[str, Any]:
    """
    Return what to answer.
    """
    state = registry.snapshot()
    keyed = state["templates"]
    circuits = {
        one["name"]: {
            "state": one["state"],
            "retry_after": one["retry_after"],
            "last_failure": one["last_failure"],
        }
        for one in every(state["breakers"], keyed["breakers"])
    }
    queues = {
        one["name"]: one["waiting"]
        for one in every(state["limiters"], keyed["limiters"])
    }
    closed = all(one["state"] == "closed" for one in circuits.values())
    return {
        "status": "ok" if closed else "degraded",
        "circuits": circuits,
        "queues": queues,
    }


class Handler(BaseHTTPRequestHandler):
    """
    Answer both with 200: whoever asks is answered, so the process lives.
    """

    def do_GET(self) -> None:
        """
        Tell how things stand.
        """
        told: dict[str, Any] = health() if self.path == "/health" else {}
        body = json.dumps(told, indent=2).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name
        """
        Say nothing.
        """


def main() -> None:
    """
    Have a circuit open, and ask.
    """
    for _ in range(2):
        try:
            price_of("tea")
        except ConnectionError as error:
            print("failed:", error)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/health"
            with closing(urllib.request.urlopen(url, timeout=5.0)) as answer:
                told = json.load(answer)
        finally:
            server.shutdown()
            thread.join()
    told["circuits"]["prices"]["retry_after"] = round(
        told["circuits"]["prices"]["retry_after"]
    )
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
