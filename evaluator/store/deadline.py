"""An end for whatever a server does not answer.

A server that is frozen, or a pooler that waits for one, keeps the connection alive and never answers: no timeout of the
server or of TCP ends that. This module knows sockets and one timer. It never knows SQL.
"""

import os
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_of_thread = threading.local()


class Deadline:
    """Shuts the connections that its thread uses when the time is over, so that whoever waits on them wakes up."""

    def __init__(self, seconds: float) -> None:
        """Allow so many seconds from `with` on."""
        self.seconds = seconds
        self.passed = False
        """Whether the time was over before the work was done."""
        self._sockets: list[socket.socket] = []
        self._guard = threading.Lock()
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Start the clock."""
        _of_thread.deadline = self
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clock."""
        _of_thread.deadline = None
        self._timer.cancel()
        with self._guard:
            while self._sockets:
                self._sockets.pop().close()

    def _shut(self) -> None:
        with self._guard:
            self.passed = True
            for watched in self._sockets:
                # It may have been closed by the other side already.
                with suppress(OSError):
                    watched.shutdown(socket.SHUT_RDWR)

    def watch(self, descriptor: int) -> None:
        """Put the socket of this descriptor under the deadline."""
        # A duplicate: the number of a connection that is closed may belong to another file a moment later.
        watched = socket.socket(fileno=os.dup(descriptor))
        with self._guard:
            self._sockets.append(watched)
        if self.passed:
            self._shut()


def watch(descriptor: int) -> None:
    """Put the socket of this descriptor under the deadline of this thread, where it has one."""
    deadline: Deadline | None = getattr(_of_thread, "deadline", None)
    if deadline is not None:
        deadline.watch(descriptor)
