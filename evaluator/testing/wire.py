"""A real HTTP server on 127.0.0.1 whose weather is made by the test: hangs, resets, errors, drips, nobody there.

This module knows HTTP and sockets. It never knows what is said over them: look-alikes of vendors give it a `reply`.
It runs in threads of its own, so it serves an asyncio test as well as another process.
"""

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from evaluator.testing.weather import Heard, Reply, Weather, answer, drip, hang, reset

LARGEST_REQUEST = 4 * 1024 * 1024
"""Bytes; a larger request is answered 413 without being read."""

__all__ = ["LARGEST_REQUEST", "Heard", "Reply", "Weather", "WireServer", "answer", "drip", "hang", "reset"]


class WireServer:
    """The server: `with WireServer(answer) as server: ... server.url`. All methods may be called from any thread."""

    def __init__(
        self, reply: Callable[[Heard], Reply], *, port: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        self.clock = clock
        self.always: Weather | None = None
        """The weather of every request that has none of its own in the forecast."""
        self.log: list[Heard] = []
        """All requests, oldest first."""
        self.connections = 0
        """How many were accepted."""
        self.stopping = threading.Event()
        self._reply = reply
        self._forecast: deque[Weather | None] = deque()
        self.lock = threading.RLock()
        """Held while a request is answered."""
        self._open: set[socket.socket] = set()
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is, also while nobody listens there."""
        return f"http://127.0.0.1:{self._port}"

    def forecast(self, *weather: Weather | None) -> None:
        """Add the weather of the next requests, one each; `None` is a fine moment."""
        with self.lock:
            self._forecast.extend(weather)

    def start(self) -> Self:
        """Listen. After `stop` it is at the same port again."""
        self.stopping = threading.Event()
        self._server = _Server(self, self._port)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="wire")
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close everything: from now on connections are refused."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        self.stopping.set()
        server.shutdown()
        self._thread.join()
        with self.lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        server.server_close()

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Be not there for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def wait(self, count: int, timeout: float = 10.0) -> None:
        """Wait until that many requests have come, or raise `TimeoutError`."""
        end = time.monotonic() + timeout
        while len(self.log) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.log)} of {count} requests came within {timeout:g} s")
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def serve(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[Weather | None, Reply | None]:
        """Decide on one request: its weather, and what to answer where anything is."""
        with self.lock:
            weather = self._forecast.popleft() if self._forecast else self.always
            taken = weather is None or weather.take
            heard = Heard(self.clock(), method, path, headers, body, None, taken)
            own = self._reply(heard) if taken else None
            said = weather.reply if weather is not None and weather.reply is not None else own
            quiet = weather is not None and weather.kind in {"hang", "reset"}
            if not quiet:
                said = said or Reply(202, b"{}")
            self.log.append(
                Heard(heard.at, method, path, headers, body, None if quiet or said is None else said.status, taken)
            )
            return weather, None if quiet else said

    def opened(self, connection: socket.socket) -> None:
        """Note a connection, so that `stop` can end it."""
        with self.lock:
            self.connections += 1
            self._open.add(connection)
            if self.stopping.is_set():
                # It was accepted in the last moment, and `stop` has not seen it.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self.lock:
            self._open.discard(connection)


class _Server(ThreadingHTTPServer):
    # Waited for at the end, so that no socket outlives the test.
    daemon_threads = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, wire: WireServer, port: int) -> None:
        self.wire = wire
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # A client that never finishes its request is not waited for.
    timeout = 30

    def setup(self) -> None:
        super().setup()
        self.server.wire.opened(self.connection)

    def finish(self) -> None:
        self.server.wire.closed(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # Its name in the base class.
        """Say nothing; the log is `WireServer.log`."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_REQUEST:
            self.close_connection = True
            self._say(Reply(413 if length.isdecimal() else 411))
            return
        self._serve(self.rfile.read(int(length)))

    def _serve(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        weather, reply = self.server.wire.serve(self.command, self.path, headers, body)
        if reply is None:
            if weather is not None and weather.kind == "hang":
                self._until_gone(None)
            self._break()
        elif weather is not None and weather.kind.startswith("drip"):
            self._drip(reply, weather)
        else:
            self._say(reply)

    def _say(self, reply: Reply) -> None:
        self.wfile.write(self._head(reply) + reply.body)

    def _head(self, reply: Reply) -> bytes:
        lines = [f"HTTP/1.1 {reply.status} {self.responses.get(reply.status, ('',))[0]}"]
        headers = {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(reply.body))}
        if self.close_connection:
            headers["Connection"] = "close"
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()

    def _drip(self, reply: Reply, weather: Weather) -> None:
        self.close_connection = True
        head = self._head(reply)
        slow = head + reply.body if weather.kind == "drip head" else reply.body
        if weather.kind == "drip":
            self.wfile.write(head)
        for byte in slow:
            self.wfile.write(bytes([byte]))
            if self._until_gone(weather.every):
                return

    def _until_gone(self, seconds: float | None) -> bool:
        """Wait so long, or for ever; return whether the client or the server ended meanwhile."""
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            left = 0.02 if end is None else min(0.02, max(end - time.monotonic(), 0))
            if self.server.wire.stopping.is_set():
                return True
            # Readable without having been asked anything: the client hung up.
            if select.select([self.connection], [], [], left)[0]:
                return True
        return False

    def _break(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.wire.closed(self.connection)
        # The files around the socket would keep it open; without its descriptor they have nothing left to keep.
        os.close(self.connection.detach())
