"""How long and how many: connections that a stranger opens must not use up our file descriptors.

This module knows sockets and HTTP/1.1 as uvicorn speaks it. It never knows a path or an answer. Uvicorn bounds
requests, but a connection that never finishes one costs a descriptor too, and the sources and the store need theirs.
"""

import asyncio
import resource
from dataclasses import dataclass
from typing import ClassVar

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

_log = structlog.stdlib.get_logger("evaluator.web")

_MOST = 256
_FEWEST = 16


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a client may take."""

    headers: float = 10.0
    """For all headers of a request, from the first byte; from the beginning for the first one."""
    idle: float = 75.0
    """Between an answer and the next request."""
    stalled: float = 30.0
    """For taking anything at all of an answer that waits."""


def most_connections() -> int:
    """Return how many connections are held at once: a quarter of the file descriptors of this process, 256 at most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(_FEWEST, min(_MOST, soft // 4))


class Connection(H11Protocol):
    """A connection with deadlines, one of at most `most`: where it is one too many, the longest idle one goes."""

    most: ClassVar[int] = _MOST
    patience: ClassVar[Patience] = Patience()

    since: float = 0.0
    """When it began to wait for a request, or to answer one; a clock of the loop."""
    _deadline: asyncio.TimerHandle | None = None
    _unsent: int = 0

    @property
    def serving(self) -> bool:
        """Whether a request is being answered."""
        # Uvicorn declares a cycle that is not there yet.
        return bool(self.cycle) and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn's own.
        """Take the connection, and make room for it."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self._expect(self.patience.headers)
        while len(self.connections) > self.most:
            others = [each for each in self.connections if isinstance(each, Connection) and each is not self]
            # A newcomer may be a probe or a person; what has waited longest is most likely neither.
            min(others, key=lambda each: (each.serving, each.since)).drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._relax()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, and expect the rest in time."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self.since = self.loop.time()
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to take the last answer."""
        self.since = self.loop.time()
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Give a client that does not read a while."""
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._expect(self.patience.stalled)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._relax()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; where an answer is under way already, it was the last."""
        _log.debug("a request was not HTTP", client=self.client[0] if self.client else "")
        if self.serving:
            # Its answer has nowhere to go; else uvicorn would take that for a mistake of ours.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close what was idle for too long."""
        self.timeout_keep_alive_task = None
        self._late()

    def shutdown(self) -> None:
        """Close when what is under way has ended."""
        if not self.transport.is_closing():
            super().shutdown()

    def drop(self) -> None:
        """Close now, whatever is under way."""
        self.connections.discard(self)
        self._relax()
        self.transport.abort()

    def _watch(self) -> None:
        """Set the deadline that fits: none of the client's while we work."""
        if self.flow.write_paused:
            return
        if self.serving:
            self._relax()
        elif self._deadline is None and self.timeout_keep_alive_task is None:
            self._expect(self.patience.headers)

    def _expect(self, seconds: float) -> None:
        self._relax()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        """End the connection, but for a client that still takes what we sent."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self._unsent = unsent
            self._expect(self.patience.stalled)
            return
        self.drop()


def connections(most: int, patience: Patience) -> type[Connection]:
    """Return the protocol of a server with these bounds, as uvicorn takes it."""
    return type("BoundedConnection", (Connection,), {"most": most, "patience": patience})
