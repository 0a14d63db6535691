"""Peers on 127.0.0.1 that behave badly at the level of the socket: silence, resets, a fixed answer cut anywhere.

This module knows sockets. It never knows a protocol: a test says which bytes are answered, and what follows them.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from evaluator.testing.servers import free_port

Ending = Literal["hang", "close", "reset", "drip"]
DRIP = 0.05
"""Seconds between two bytes of a peer that drips."""


class Peer:
    """Accepts every connection, answers the same bytes to whatever it hears first, and then hangs, closes or resets.

    With `drip` a space follows now and then, for ever.
    """

    def __init__(self, answer: bytes, ending: Ending) -> None:
        """Listen on a free port."""
        self.host = "127.0.0.1"
        self.connections = 0
        """How many were made."""
        self.heard = b""
        """Everything that was sent to it."""
        self._answer = answer
        self._ending = ending
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="peer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        # First, since it may have accepted a connection at the last moment.
        self._thread.join(5)
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), name="peer", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Behave badly on one connection."""
        with contextlib.suppress(OSError):
            heard = connection.recv(1 << 20)
            self.heard += heard
            if heard and self._answer:
                connection.sendall(self._answer)
            if self._ending == "hang":
                while more := connection.recv(1 << 20):
                    self.heard += more
            elif self._ending == "drip":
                while True:
                    time.sleep(DRIP)
                    connection.sendall(b" ")
            elif self._ending == "reset":
                # Lingering for no time makes the kernel send RST instead of FIN.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


@contextmanager
def peer(answer: bytes = b"", ending: Ending = "hang") -> Iterator[Peer]:
    """Run a peer until the end. Without arguments it is a black hole: it accepts, and never says anything."""
    badly = Peer(answer, ending)
    try:
        yield badly
    finally:
        badly.stop()


def nobody() -> int:
    """Return a port of 127.0.0.1 where nobody listens."""
    return free_port()


def http(body: bytes, status: str = "200 OK", *, kind: str = "application/json", length: int | None = None) -> bytes:
    """Return an HTTP response as bytes; `length` is what its head promises, where that is not the truth.

    It says that the connection ends with it, as it does: a client would use it again, and meet the end of it by chance.
    """
    promised = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {promised}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
