"""Which workers are online: who answers, who beats, and who is only connected.

This module knows remote control of Celery's workers, and how to count them. It never knows a rule, and sends no
command that changes a worker, but `enable_events` when it is told to.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import kombu
from kombu.pidbox import Mailbox

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.celery_query import CelerySettings

_FULL = 60.0
"""Seconds between two broadcasts on RabbitMQ that wait for workers that nobody knows yet."""
_FORGET = 3600.0
"""Seconds after which a worker that is silent is forgotten."""
_MOST = 5_000
"""Workers that are remembered for longer than that."""


class _EnoughError(Exception):
    """Everybody who can answer has answered."""


class _Once(kombu.Producer):
    """A producer that does not try again for ever when the connection breaks."""

    def publish(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as kombu's.
        """Publish as kombu does, once."""
        return super().publish(*arguments, **{**options, "retry": False})


class _Box(Mailbox):
    """kombu's client of remote control, with that producer."""

    @contextmanager
    def producer_or_acquire(self, producer: object = None, channel: Any = None) -> Iterator[_Once]:  # noqa: ANN401, ARG002 - as kombu's.
        """Give a producer on our own channel."""
        yield _Once(channel, auto_declare=False)

    def _collect(self, ticket: Any, *arguments: Any, **options: Any) -> list[Any]:  # noqa: ANN401 - as kombu's.
        """Collect the answers, unless the call reached nobody: kombu would wait for them on Redis for a second."""
        channel = options.get("channel")
        if getattr(channel, "reached", None) != 0 or channel is None:
            found: list[Any] = super()._collect(ticket, *arguments, **options)
            return found
        channel.after_reply_message_received(self.reply_queue.name)
        return []


@dataclass(frozen=True, slots=True)
class Roll:
    """Who answered to one call."""

    queues: Mapping[str, frozenset[str]]
    """The queues of each worker that answered."""
    reached: int | None
    """How many clients the call reached (Redis), or `None` where nobody can say (RabbitMQ)."""


def call(
    connection: "kombu.Connection", settings: CelerySettings, expected: int | None, *, enable_events: bool
) -> Roll:
    """Ask all workers for their queues, on an established connection.

    It returns when `expected` workers have answered, or all that the call reached where Redis says how many these are;
    else after `reply_timeout` without an answer.
    """
    channel: Any = connection.default_channel
    box = _Box(settings.control_exchange, type="fanout", connection=connection, accept=["json"], serializer="json")
    if enable_events:
        box.abcast("enable_events")
    wait = min(settings.reply_timeout, settings.timeout / 2)
    found: dict[str, frozenset[str]] = {}
    deadline = time.monotonic() + max(wait, settings.timeout * 0.6)

    def heard(reply: object) -> None:
        """Take one worker's answer."""
        for name, queues in reply.items() if isinstance(reply, dict) else ():
            found[str(name)] = _names(queues)
        reached = getattr(channel, "reached", None)
        enough = reached if reached is not None else expected
        if (enough is not None and len(found) >= enough) or time.monotonic() > deadline:
            raise _EnoughError

    if getattr(channel, "reached", None) is not None:
        channel.reached = None
    with suppress(_EnoughError):
        box.multi_call("active_queues", timeout=wait, callback=heard, channel=channel)
    return Roll(found, getattr(channel, "reached", None))


def _names(queues: object) -> frozenset[str]:
    """Return the names in an answer to `active_queues`; a worker that consumes nothing has none."""
    return frozenset(
        str(queue["name"])
        for queue in (queues if isinstance(queues, list) else ())
        if isinstance(queue, dict) and "name" in queue
    )


@dataclass(slots=True)
class _Known:
    """A worker that answered before."""

    queues: frozenset[str]
    at: float


@dataclass(slots=True)
class Crew:
    """The workers as far as they are known, over polls."""

    patience: float
    known: dict[str, _Known] = field(default_factory=dict)
    online: frozenset[str] = frozenset()
    reached: int | None = None
    full: float = float("-inf")
    silent: dict[str | None, list[float]] = field(default_factory=dict)
    """For each queue, or all: since when there are one, two... silent workers."""

    def expected(self, at: float, consumers: int) -> int | None:
        """Return how many answers to wait for; `None`: as many as come, since it is time to look for new ones."""
        if at - self.full >= _FULL:
            self.full = at
            return None
        return max(1, consumers, len(self.online)) if self.online else None

    def muster(self, roll: Roll, beating: set[str], at: float) -> None:
        """Note who answered the call, and who sent a heartbeat of late."""
        for name, queues in roll.queues.items():
            self.known[name] = _Known(queues, at)
        for name in beating & self.known.keys():
            self.known[name].at = at
        self.online = frozenset(roll.queues) | beating
        self.reached = roll.reached
        if self.reached is not None and self.reached > len(self.online) and len(self.known) < _MOST:
            # Somebody is silent, and what it consumes must not be forgotten.
            return
        for name in [name for name, worker in self.known.items() if at - worker.at > max(_FORGET, self.patience)]:
            del self.known[name]

    def queues(self) -> set[str]:
        """Return all queues that workers consume, or did."""
        return {queue for worker in self.known.values() for queue in worker.queues}

    def count(self, queue: str | None, consumers: Mapping[str, int], at: float) -> tuple[int, str] | PollFailed:
        """Return how many workers are online, of all or for a queue, and what is strange about it.

        `consumers`: how many RabbitMQ has for each queue; empty on Redis.
        """
        seen = sum(1 for name in self.online if queue is None or queue in self._queues(name))
        # They live for certain, and never said what they consume: remote control is switched off, or they just began.
        strangers = 0 if queue is None else sum(1 for name in self.online if name not in self.known)
        if queue is not None and queue in consumers:
            return self._patient(queue, min(seen + strangers, consumers[queue]), consumers[queue], at)
        if strangers and not seen:
            what = f"{strangers} online that never answered (is worker_enable_remote_control off?)"
            return PollFailed(FailureReason.UNAVAILABLE, f"workers: {what}, so nobody can say what they consume")
        if self.reached is None:
            return self._patient(queue, seen, max((seen, *consumers.values())), at)
        missing = max(0, self.reached - len(self.online))
        if queue is None:
            return self._patient(queue, seen, seen + missing, at)
        if missing and not seen and not self.known:
            what = f"{missing} connected and silent, so nobody can say whether they consume {queue}"
            return PollFailed(FailureReason.UNAVAILABLE, f"workers: {what}")
        return self._patient(queue, seen, seen + min(missing, len(self._asleep(queue))), at)

    def _queues(self, name: str) -> frozenset[str]:
        """Return the queues of a worker, none where it never answered."""
        worker = self.known.get(name)
        return frozenset() if worker is None else worker.queues

    def _asleep(self, queue: str | None) -> list[_Known]:
        """Return the workers that answered once, and are not known to be online now."""
        return [
            worker
            for name, worker in self.known.items()
            if name not in self.online and (queue is None or queue in worker.queues)
        ]

    def _patient(self, queue: str | None, seen: int, connected: int, at: float) -> tuple[int, str]:
        """Return the workers that count: those that are connected and silent do for a while.

        Who was heard of late counts as long as that is: of several busy ones, some worker is always silent. Of the
        others nobody knows who they are, so these count from when there was one silent worker more than before.
        """
        silent, since = max(0, connected - seen), self.silent.setdefault(queue, [])
        since[:] = [*since[max(0, len(since) - silent) :], *[at] * (silent - len(since))]
        if not silent:
            return seen, ""
        named = sum(1 for worker in self._asleep(queue) if at - worker.at <= self.patience)
        counted = min(silent, named + sum(1 for each in since if at - each <= self.patience))
        words = f"{silent} connected and silent (busy in the pool `solo`, or stuck)"
        late = f", {silent - counted} of them for longer than `patience`: not counted" if counted < silent else ""
        return seen + counted, words + late
