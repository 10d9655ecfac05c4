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
from typing import Any

from switchgear import protected, registry


@protected("prices", calls_per_second=100, burst=5, threshold=2, cooldown=60.0)
def price_of(item: str) -> int:
    """
    Stand for a call of a service that is down.
    """
    msg = f"no price of {item}"
    raise ConnectionError(msg)


@protected(
    "hosts", key=lambda host: host, calls_per_second=100, threshold=2, cooldown=60.0
)
def ping(host: str) -> str:
    """
    Stand for a call of one of many hosts.
    """
    return host


def every(kind: str) -> dict[str, dict[str, Any]]:
    """
    Return the state of each limiter or breaker, those of templates included.
    """
    state = registry.snapshot()
    keyed = {
        one["name"]: one
        for template in state["templates"][kind].values()
        for one in template["instances"]
    }
    return {**state[kind], **keyed}


def health() -> dict[str, Any]:
    """
    Return what to answer.
    """
    circuits = {
        name: {
            "state": one["state"],
            "retry_after": one["retry_after"],
            "last_failure": one["last_failure"],
        }
        for name, one in every("breakers").items()
    }
    queues = {name: one["waiting"] for name, one in every("limiters").items()}
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
    ping("a.example")

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
