"""Prints incidents for a person, to stdout: the receiver that is always there.

This module knows lines and colours. It never knows the log (that is stderr's), and nothing that happens to stdout
stops the daemon or its outbox: a reader that is gone is nobody to tell, one that has stalled is waited for, but never
blocked on.
"""

import asyncio
import errno
import os
import select
import sys
from typing import ClassVar, TextIO

import structlog
from pydantic import BaseModel

from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Accepted, Action, Delivery, Outcome, RetryLater
from evaluator.notifiers.fields import Strict
from evaluator.notifiers.shortening import one_line, shorten
from evaluator.notifiers.wording import News, body, news, subject, utc_text

_COLOURS = {Severity.P0: "1;97;41", Severity.P1: "1;31", Severity.P2: "1;33", Severity.P3: "1;36"}
_SHOWN = ("closed", "why", "runbook")
_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ENOTCONN, errno.ECONNRESET})
_LARGEST = 4000
"""Bytes of one write: a pipe that says it is writable takes 4096 (PIPE_BUF) without blocking, see pipe(7)."""
_PATIENCE = 5.0
"""Seconds to wait for a reader that has stalled."""
_REMEMBERED = 1000
"""Incidents of which is kept in mind what was printed last, to tell a raise from an update, and news from a repeat."""

_log = structlog.get_logger(__name__)


class ConsoleSettings(Strict):
    """`[notifiers.NAME]` of `type = "console"`: there is nothing to set."""


class ConsoleNotifier:
    """A `[notifiers.NAME]` that prints one line for what happened and a few for why."""

    Settings: ClassVar[type[BaseModel]] = ConsoleSettings

    def __init__(self, name: str, settings: BaseModel, instance: str, *, stream: TextIO | None = None) -> None:
        if not isinstance(settings, ConsoleSettings):
            raise TypeError(f"notifier {name} needs ConsoleSettings")
        self.name = name
        self.instance = instance
        self._given = stream
        self._stream: TextIO | None = stream
        self._gone = ""
        self._heard: dict[str, tuple[str, float]] = {}
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"ConsoleNotifier({self.name!r})"

    async def open(self) -> None:
        """Take stdout as it is now."""
        self._gone = ""
        self._stream = sys.stdout if self._given is None else self._given

    async def close(self) -> None:
        """Let go of the stream; it belongs to somebody else, so it is not closed."""
        self._stream = self._given

    async def send(self, delivery: Delivery, now: float) -> Outcome:  # noqa: ARG002  # The protocol has it.
        """Print it. What was printed before is not printed again.

        Where stdout is gone for good (closed pipe, lost terminal) the answer is still `Accepted`, and the log says so
        once: no later try could succeed, the fallback would be this console again, and what is open stays to be seen on
        the page. A stalled reader and a full disk are weather, and are tried again.
        """
        async with self._turn:
            heard = self._heard.get(delivery.incident)
            kind = news(delivery.action, delivery.message, heard[0] if heard else None)
            if kind is None or self._old(delivery):
                return Accepted()
            outcome = await self._print(self.text(kind, delivery))
            if isinstance(outcome, Accepted):
                self._remember(delivery)
            return outcome

    def text(self, kind: News, delivery: Delivery) -> str:
        """Return what is printed, with its newline."""
        message = delivery.message
        line = shorten(subject(kind, message), 600)
        severity = message.severity
        if self._colours():
            line = line.replace(severity.value, f"\x1b[{_COLOURS[severity]}m{severity.value}\x1b[0m", 1)
        at = utc_text(message.at)
        lines = [f"{at} {line}" if at else line]
        # One line each: what a rule's text says must not look like another incident.
        lines += [f"    {name}: {shorten(one_line(text), 900)}" for name, text in body(kind, message) if name in _SHOWN]
        return "\n".join(lines) + "\n"

    def _colours(self) -> bool:
        # https://no-color.org
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or self._stream is None:
            return False
        try:
            return self._stream.isatty()
        except ValueError:
            return False

    def _old(self, delivery: Delivery) -> bool:
        """Return whether this message was printed already: by us, or, as far as the row can tell, before a restart."""
        if delivery.accepted_at is None:
            return False
        heard = self._heard.get(delivery.incident)
        return delivery.message.at <= (heard[1] if heard else delivery.accepted_at)

    def _remember(self, delivery: Delivery) -> None:
        if delivery.action is Action.RESOLVE:
            self._heard.pop(delivery.incident, None)
        elif delivery.action is Action.TRIGGER and delivery.incident:
            # Put at the end anew, so that what was heard of least recently is forgotten first.
            self._heard.pop(delivery.incident, None)
            self._heard[delivery.incident] = (delivery.message.severity.value, delivery.message.at)
            if len(self._heard) > _REMEMBERED:
                del self._heard[next(iter(self._heard))]

    async def _print(self, text: str) -> Outcome:
        stream = self._stream
        if stream is None or self._gone:
            return self._lost("stdout is closed")
        text = _fitting(text, stream.encoding or "utf-8")
        try:
            if not await _writable(stream):
                return RetryLater("timeout", f"nobody reads stdout: it took nothing for {_PATIENCE:g} s", arrived=False)
            stream.write(text)
            stream.flush()
        except ValueError as error:
            return self._lost(str(error))
        except OSError as error:
            if error.errno in _GONE:
                if error.errno != errno.EBADF:
                    _silence(stream)
                return self._lost(os.strerror(error.errno or 0))
            return RetryLater("stdout", f"stdout: {error.strerror or error}")
        return Accepted()

    def _lost(self, why: str) -> Accepted:
        if not self._gone:
            self._gone = why
            _log.warning("nobody reads stdout any more", notifier=self.name, reason=why)
        return Accepted()


def _fitting(text: str, encoding: str) -> str:
    """Return the text in what the stream can write, and in no more bytes than one write takes."""
    data = text.encode(encoding, "backslashreplace")
    if len(data) > _LARGEST:
        return data[: _LARGEST - 4].decode(encoding, "ignore") + "...\n"
    return data.decode(encoding)


def _silence(stream: TextIO) -> None:
    """Lead the stream into nothing, or the interpreter fails at its end to write what is still buffered.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, stream.fileno())
    finally:
        os.close(nothing)


async def _writable(stream: TextIO) -> bool:
    """Wait until a write of `_LARGEST` bytes cannot block. What has no file behind it always can be written.

    A closed pipe counts as writable: writing then says so.
    """
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
    except OSError:
        return True
    for _ in range(int(_PATIENCE / 0.05)):
        if poll.poll(0):
            return True
        await asyncio.sleep(0.05)
    return False
