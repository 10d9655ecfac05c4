"""
An HTTP server on this machine that misbehaves as it is told to.

HTTP/1.1, and HTTP/2 for whoever begins with its preface. Asynchronous, in a
thread of its own, by hand: no library would let us break the protocol.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events


#: What a client sends first that wants HTTP/2, as far as its first line.
PREFACE = b"PRI * HTTP/2.0\r\n"


@dataclass
class Answer:
    """
    Say what is answered, and what goes wrong with it.

    Faults: ``reset`` (the connection, instead of an answer), ``garbage`` (what is
    no HTTP), ``hang`` (nothing comes), ``slow headers`` (only their beginning
    comes), ``reset body``, ``short body`` (the connection is closed after half of
    it), ``bad chunk``, ``hang body`` (the rest never comes), ``close`` (the
    connection, after a good answer that did not say so).
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"well done"
    fault: str = ""
    #: Released whenever a connection was closed after it. Of its own: that of an
    #: earlier test may be closed late.
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Server:
    """
    Answer what is asked at a path by what was put there, the last one for ever.
    """

    def __init__(self):
        self.answers: dict[str, list[Answer]] = {}
        #: How often each path was asked for, and how many connections were made.
        self.requests: Counter[str] = Counter()
        self.connections = 0
        #: Set when somebody asks for what hangs.
        self.hanging = threading.Event()
        self._released = asyncio.Event()
        self._tasks = set()
        self.port = 0

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def at(self, path, *answers, **answer):
        """
        Answer *path* so from now on; return its URL.
        """
        self.answers[path] = list(answers) or [Answer(**answer)]
        return f"http://{self.host}{path}"

    def next_answer(self, target):
        path = urlsplit(target).path
        self.requests[path] += 1
        answers = self.answers.get(path, [Answer(404, body=b"nothing here")])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    # HTTP/1.1

    async def serve(self, reader, writer):
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        try:
            first = await reader.readline()
            if first == PREFACE:
                await self._serve_2(reader, writer, first)
            while first and await self._answer(first, reader, writer):
                first = await reader.readline()
        except ConnectionError:
            # A client that went away.
            pass
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()

    async def _answer(self, first, reader, writer):
        """
        Answer one request; say whether another may follow.
        """
        target = first.split()[1].decode()
        length = 0
        while (line := await reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        await reader.readexactly(length)
        return await self._send(self.next_answer(target), writer)

    async def _send(self, answer, writer):
        head, body = self._written(answer)
        before = {
            "reset": b"",
            "hang": b"",
            "garbage": b"SSH-2.0-OpenSSH_9.9\r\n",
            "slow headers": head[:-4],
            "reset body": head + body[: len(body) // 2],
            "short body": head + body[: len(body) // 2],
            "hang body": head + body[: len(body) // 2],
            "bad chunk": head + b"4\r\nwell\r\nno number\r\n",
        }
        # At once: aiohttp 3.14 hangs if a bad chunk comes later than what is before.
        writer.write(before.get(answer.fault, head + body))
        await writer.drain()
        if answer.fault in {"reset", "reset body"}:
            self._reset(writer)
        elif answer.fault in {"hang", "slow headers", "hang body"}:
            self.hanging.set()
            await self._released.wait()
        if answer.fault:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            answer.closed.release()
        return not answer.fault

    def _written(self, answer):
        headers = dict(answer.headers)
        if answer.fault == "bad chunk":
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(answer.body))
        lines = [f"HTTP/1.1 {answer.status} Said", *map(": ".join, headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1"), answer.body

    def _reset(self, writer):
        # No farewell: whatever is unsent is dropped, the other end learns of it.
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    # HTTP/2, as much of it as answering takes

    async def _serve_2(self, reader, writer, first):
        config = h2.config.H2Configuration(client_side=False)
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        data = first
        while data:
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._answer_2(connection, event)
            writer.write(connection.data_to_send())
            await writer.drain()
            data = await reader.read(65_536)

    def _answer_2(self, connection, event):
        target = dict(event.headers)[b":path"].decode()
        answer = self.next_answer(target)
        if answer.fault == "reset":
            connection.reset_stream(event.stream_id)
            return
        headers = [(":status", str(answer.status)), *answer.headers.items()]
        headers = [(name.lower(), value) for name, value in headers]
        connection.send_headers(event.stream_id, headers)
        if answer.fault == "reset body":
            connection.send_data(event.stream_id, answer.body[:4])
            connection.reset_stream(event.stream_id)
            return
        connection.send_data(event.stream_id, answer.body, end_stream=True)

    async def run(self, ready):
        """
        Serve until cancelled.
        """
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            ready()
            await asyncio.Event().wait()
        finally:
            self._released.set()
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


@contextmanager
def misbehaving():
    """
    Run a server meanwhile.
    """
    server, started, loops, tasks = Server(), threading.Event(), [], []

    async def main():
        loops.append(asyncio.get_running_loop())
        tasks.append(asyncio.current_task())
        with suppress(asyncio.CancelledError):
            await server.run(started.set)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(tasks[0].cancel)
        thread.join()
