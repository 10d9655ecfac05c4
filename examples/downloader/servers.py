"""
Three real HTTP servers on the loopback interface, two of which make trouble.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import time

from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Protocol, cast

from images import png

from switchgear import AtomicCounter, ThreadSafeSet


if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self


#: Every so many images of a host are those that the other hosts have, too.
SHARED_EVERY = 5

#: For how many seconds the strict host sends callers away.
RETRY_AFTER = 1


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    Answer with an error, or with nothing at all if there is no *status*.
    """

    status: HTTPStatus | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Mood(Protocol):
    """
    Decide how a host takes a call.
    """

    def trouble(self) -> Trouble | None:
        """
        Return what goes wrong with the call that has come in, if anything.
        """
        ...


class Healthy:
    """
    Answer every call.
    """

    def trouble(self) -> Trouble | None:
        """
        Return None: nothing goes wrong.
        """
        return None


class Flaky:
    """
    Go down now and then, for some seconds.

    Args:
        down_at: At which calls it goes down, counted from 1.
        down_for: For how many seconds.
    """

    def __init__(self, down_at: frozenset[int], down_for: float) -> None:
        self._down_at = down_at
        self._down_for = down_for
        self._calls = AtomicCounter()
        self._back_at = 0.0

    def trouble(self) -> Trouble | None:
        """
        Return an error or silence, in turn, while it is down.
        """
        number = self._calls.increment()
        now = time.monotonic()
        # One thread only sees this number.
        if number in self._down_at:
            self._back_at = now + self._down_for
        if now >= self._back_at:
            return None
        return Trouble(HTTPStatus.INTERNAL_SERVER_ERROR) if number % 2 else Trouble()


class Strict:
    """
    Send callers away who come too fast.

    Args:
        limit: How many calls it answers within any second.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._answered: deque[float] = deque()

    def trouble(self) -> Trouble | None:
        """
        Return 429 and Retry-After for a call too many.
        """
        now = time.monotonic()
        with self._lock:
            while self._answered and self._answered[0] <= now - 1.0:
                self._answered.popleft()
            if len(self._answered) < self._limit:
                self._answered.append(now)
                return None
        headers = {"Retry-After": str(RETRY_AFTER)}
        return Trouble(HTTPStatus.TOO_MANY_REQUESTS, headers)


class Handler(BaseHTTPRequestHandler):
    """
    Answer ``GET /12`` with the twelfth image, or with trouble.
    """

    protocol_version = "HTTP/1.1"
    # Head and body in one packet: the second would wait for the first to be
    # acknowledged, which takes its time.
    wbufsize = -1

    def do_GET(self) -> None:
        """
        Answer one call.
        """
        trouble = self._host.mood.trouble()
        if trouble is None:
            self._hand_out(self.path.removeprefix("/"))
        elif trouble.status is None:
            self.close_connection = True
        else:
            self._answer(trouble.status, trouble.headers, b"")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name
        """
        Say nothing: the story is told by the caller's side.
        """

    @property
    def _host(self) -> Server:
        return cast("Server", self.server)

    def _hand_out(self, name: str) -> None:
        if not name.isdecimal():
            self._answer(HTTPStatus.NOT_FOUND, {}, b"")
            return
        number = int(name)
        if number % SHARED_EVERY:
            number += self._host.first_own
        self._answer(HTTPStatus.OK, {"Content-Type": "image/png"}, png(number))

    def _answer(self, status: HTTPStatus, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# No http.server.HTTPServer: it asks the name service for its own name.
class Server(socketserver.ThreadingTCPServer):
    """
    Serve images from 127.0.0.1, in threads of its own, until the block is left.

    Args:
        name: What the demo calls it.
        mood: How it takes calls.
        first_own: Where the numbers of its own images begin.
    """

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, name: str, mood: Mood, first_own: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        self.mood = mood
        self.first_own = first_own
        self._connections: ThreadSafeSet[socket.socket] = ThreadSafeSet()
        self._thread = Thread(
            target=self.serve_forever, args=(0.05,), name=f"server-{name}"
        )

    @property
    def port(self) -> int:
        """
        The port it listens on.
        """
        port: int = self.server_address[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        # Else threads would wait for more calls on connections kept alive.
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        # Waits for the threads, too.
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """
        Remember the connection, and serve it in a thread.
        """
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """
        Forget the connection, and close it.
        """
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """
        Report what went wrong, unless it is a caller who has gone away.
        """
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def loopback(images: int, *, down_for: float, limit: int) -> Iterator[list[Server]]:
    """
    Run three hosts: a healthy one, a flaky one and a strict one.

    Args:
        images: How many each of them hands out.
        down_for: For how many seconds the flaky one goes down, each time.
        limit: How many calls per second the strict one answers.
    """
    # After a quarter of its images, and well into the second half.
    down_at = frozenset({1 + images // 4, 1 + images * 3 // 4})
    moods: dict[str, Mood] = {
        "healthy": Healthy(),
        "flaky": Flaky(down_at, down_for),
        "strict": Strict(limit),
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(Server(name, mood, position * images))
            for position, (name, mood) in enumerate(moods.items(), 1)
        ]
