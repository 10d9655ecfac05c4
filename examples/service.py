"""
Stand for the services of others: an HTTP server on this machine.

The examples call it, and switch it off. It is no part of what they show.
"""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, cast


if TYPE_CHECKING:
    from collections.abc import Iterator


class Service(ThreadingHTTPServer):
    """
    Answer ``/tea`` with ``300``, and whatever begins with ``/no-`` with 404.

    Attributes:
        calls: How many calls there were.
        down: Whether every call is answered with 503.
        busy: Whether every call is answered with 429, and told to come back in a
            second.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls = 0
        self.down = False
        self.busy = False
        self._lock = Lock()

    @property
    def url(self) -> str:
        """
        Where it is.
        """
        return f"http://127.0.0.1:{self.server_port}"

    def status(self, path: str) -> HTTPStatus:
        """
        Count a call; return the status of its answer.
        """
        with self._lock:
            self.calls += 1
        if self.down:
            return HTTPStatus.SERVICE_UNAVAILABLE
        if self.busy:
            return HTTPStatus.TOO_MANY_REQUESTS
        return HTTPStatus.NOT_FOUND if path.startswith("/no-") else HTTPStatus.OK


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = cast("Service", self.server).status(self.path)
        price = 100 * len(self.path.strip("/"))
        body = str(price).encode() if status == HTTPStatus.OK else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name
        """
        Say nothing.
        """


@contextmanager
def serve() -> Iterator[Service]:
    """
    Run a service for the length of a block.
    """
    with Service() as service:
        thread = Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()
