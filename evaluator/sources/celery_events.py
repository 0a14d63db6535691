"""Hears Celery's events in a thread of its own, and comes back whenever the broker does.

This module knows one connection and its pauses. What events mean is in `celery_tally`; it never knows a rule.
"""

import threading
import time
from contextlib import suppress
from typing import Any

import kombu
from celery.events.event import get_exchange
from kombu.utils.uuid import uuid

from evaluator.engine.samples import PollFailed
from evaluator.sources.celery_broker import ERRORS, Broker
from evaluator.sources.celery_tally import Tally

_WAKE = 0.3
"""Seconds between two looks at whether the thread shall end."""
_SUBSCRIBES = 0.1
"""Seconds after which a subscription of ours surely reached the broker."""
_SHORTEST, _LONGEST = 1.0, 30.0
"""Seconds between two attempts to connect; they double."""
_HEARTBEAT = 20.0
"""Seconds of silence after which RabbitMQ and we give each other up."""
_QUEUE_TTL, _QUEUE_EXPIRES = 5.0, 60.0
"""As Celery's `event_queue_ttl` and `event_queue_expires`: what is left behind on RabbitMQ is gone in a minute."""
_ONLY_WORKERS, _EVERYTHING = "worker.#", "#"


class Listener:
    """At most one thread with one connection; nothing before `need`."""

    def __init__(self, name: str, broker: Broker, tally: Tally) -> None:
        """Take where to listen, and where to count."""
        self.failed: PollFailed | None = None
        """Why it does not hear anything, if so."""
        self.connected = False
        self.began: float | None = None
        """When the events of tasks were heard first."""
        self._name = name
        self._broker = broker
        self._tally = tally
        self._scope = _ONLY_WORKERS
        self._renewed = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread has not yet ended."""
        return self._thread is not None and self._thread.is_alive()

    def need(self, *, tasks: bool) -> None:
        """Begin to listen, if nobody does: to workers only, or to tasks as well."""
        if tasks and self._scope == _ONLY_WORKERS:
            self._scope = _EVERYTHING
            self.renew()
        if self._thread is None and not self._stop.is_set():
            self._thread = threading.Thread(target=self._run, name=f"{self._name}-events", daemon=True)
            self._thread.start()

    def renew(self) -> None:
        """Connect anew: what is open is not good for us, or seems to be cut without a word."""
        self._renewed += 1

    def stop(self) -> None:
        """Let the thread end; waits for nothing."""
        self._stop.set()

    def _run(self) -> None:
        """Listen, until it is stopped; after a failure pause, longer and longer."""
        pause = _SHORTEST
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                self._listen()
            except ERRORS as error:
                self.failed = self._broker.failure(error)
            else:
                continue
            if time.monotonic() - begun > _LONGEST:
                pause = _SHORTEST
            self._stop.wait(pause)
            pause = min(_LONGEST, pause * 2)

    def _listen(self) -> None:
        """Hear events until it is stopped or renewed, or the connection breaks."""
        renewed, alive, tasks = self._renewed, time.monotonic(), self._scope == _EVERYTHING
        try:
            with self._broker.connection(heartbeat=_HEARTBEAT) as connection, self._consumer(connection):
                with suppress(TimeoutError):
                    # kombu on Redis subscribes only when it is first asked for messages.
                    connection.drain_events(timeout=_SUBSCRIBES)
                alive = time.monotonic()
                self.failed, self.connected = None, True
                self._tally.listening(alive, tasks=tasks)
                if tasks and self.began is None:
                    self.began = alive
                while not self._stop.is_set() and renewed == self._renewed:
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=_WAKE)
                    connection.heartbeat_check()
                    alive = time.monotonic()
        finally:
            self._tally.deaf(alive)
            self.connected = False

    def _consumer(self, connection: "kombu.Connection") -> "kombu.Consumer":
        """Return a consumer of a queue that only we have, and that goes with us."""
        queue = kombu.Queue(
            f"celeryev.evaluator.{uuid()}",
            exchange=get_exchange(connection, name=self._broker.settings.event_exchange),
            routing_key=self._scope,
            auto_delete=True,
            durable=False,
            exclusive=True,
            message_ttl=_QUEUE_TTL,
            expires=_QUEUE_EXPIRES,
        )
        return kombu.Consumer(
            connection.default_channel,
            queues=[queue],
            callbacks=[self._heard],
            on_decode_error=_ignore,
            no_ack=True,
            accept=["json"],
        )

    def _heard(self, body: object, _message: object) -> None:
        """Count what came: an event, or a bundle of them."""
        at = time.monotonic()
        for event in body if isinstance(body, list) else [body]:
            if isinstance(event, dict):
                self._tally.event(event, at)


def _ignore(_message: Any, _error: Exception) -> None:  # noqa: ANN401 - kombu carries no types.
    """Leave out what is no JSON: somebody else's message."""
