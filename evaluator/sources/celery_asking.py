"""One round of questions to the broker: everything that the queries of a poll need, each asked once.

This module knows lists of Redis and queues of RabbitMQ. It blocks, so it runs in a thread; it never judges.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import kombu
from amqp import exceptions as amqp_errors
from redis import exceptions as redis_errors

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.celery_broker import ERRORS, Broker
from evaluator.sources.celery_query import CelerySettings
from evaluator.sources.celery_workers import Roll, call
from evaluator.sources.weather import said

Tails = Mapping[str, bytes]
"""The oldest message of each list of a queue that is not empty, by the list's key."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a poll needs to know."""

    depths: frozenset[str] = frozenset()
    """Queues whose tasks are counted; on RabbitMQ also those whose consumers are."""
    tails: frozenset[str] = frozenset()
    """Queues whose oldest message is looked at; only on Redis."""
    unacked: bool = False
    call: bool = False
    """Whether the workers are asked."""
    enable_events: bool = False
    known_queues: frozenset[str] = frozenset()
    """Queues whose consumers are counted on RabbitMQ, where the workers are asked."""


@dataclass(slots=True)
class Facts:
    """What came back."""

    depths: dict[str, int | PollFailed | None] = field(default_factory=dict)
    """Waiting tasks by queue; `None`: RabbitMQ has no such queue."""
    consumers: dict[str, int] = field(default_factory=dict)
    tails: dict[str, Tails | PollFailed] = field(default_factory=dict)
    unacked: int | PollFailed = 0
    roll: Roll | PollFailed | None = None
    requests: int = 0


def lists(queue: str, settings: CelerySettings) -> list[str]:
    """Return the keys of the lists that make a queue on Redis, as kombu names them; priority 0 has no suffix."""
    suffixes = dict.fromkeys(["", *(f"{settings.separator}{step}" for step in settings.priority_steps if step)])
    return [f"{settings.global_keyprefix}{queue}{suffix}" for suffix in suffixes]


def ask(broker: Broker, wanted: Wanted, expected: Any) -> Facts | PollFailed:  # noqa: ANN401 - a `Crew.expected`.
    """Ask everything in one go; a failure of the broker is one of everything."""
    facts = Facts()
    try:
        if broker.settings.on_redis:
            _redis(broker, wanted, facts)
        else:
            with broker.connection() as connection:
                facts.requests += 1
                _rabbitmq(broker, connection, wanted, facts)
                if wanted.call:
                    consumers = max((0, *facts.consumers.values()))
                    _call(broker, connection, wanted, facts, expected(consumers))
            return facts
    except ERRORS as error:
        return broker.failure(error)
    if wanted.call:
        try:
            with broker.connection() as connection:
                _call(broker, connection, wanted, facts, None)
        except ERRORS as error:
            facts.roll = broker.failure(error)
    return facts


def _call(broker: Broker, connection: "kombu.Connection", wanted: Wanted, facts: Facts, expected: int | None) -> None:
    """Ask the workers; that this is not allowed spoils nothing else."""
    facts.requests += 1 + wanted.enable_events
    try:
        facts.roll = call(connection, broker.settings, expected, enable_events=wanted.enable_events)
    except ERRORS as error:
        facts.roll = broker.failure(error)


def _redis(broker: Broker, wanted: Wanted, facts: Facts) -> None:
    """Send all commands in one pipeline that is no transaction, so that one bad key spoils only its own query."""
    settings = broker.settings
    depth_of = {queue: lists(queue, settings) for queue in sorted(wanted.depths)}
    tail_of = {queue: lists(queue, settings) for queue in sorted(wanted.tails)}
    with broker.redis() as client, client.pipeline(transaction=False) as pipeline:
        pipeline.ping()
        for keys in depth_of.values():
            for key in keys:
                pipeline.llen(key)
        for keys in tail_of.values():
            for key in keys:
                pipeline.lindex(key, -1)
        if wanted.unacked:
            pipeline.hlen(f"{settings.global_keyprefix}unacked")
        facts.requests += 1
        replies: list[Any] = pipeline.execute(raise_on_error=False)
    first = replies.pop(0)
    if isinstance(first, Exception):
        raise first
    rest = iter(replies)
    for queue, keys in depth_of.items():
        found = [next(rest) for _ in keys]
        facts.depths[queue] = _refused(broker, found, queue) or sum(int(each) for each in found)
    for queue, keys in tail_of.items():
        found = [next(rest) for _ in keys]
        heads = {key: each for key, each in zip(keys, found, strict=True) if isinstance(each, bytes)}
        facts.tails[queue] = _refused(broker, found, queue) or heads
    if wanted.unacked:
        (count,) = rest
        facts.unacked = _refused(broker, [count], "unacked") or int(count)


def _refused(broker: Broker, replies: list[Any], key: str) -> PollFailed | None:
    """Return the failure that one of the replies is, if any."""
    for reply in replies:
        if isinstance(reply, redis_errors.NoPermissionError):
            return broker.failure(reply)
        if isinstance(reply, Exception):
            what = said(str(reply), broker.secrets)
            wrong = "is not a list of tasks" if what.startswith("WRONGTYPE") else f"cannot be read: {what}"
            return PollFailed(FailureReason.BAD_QUERY, f"{broker.where}: the key {key} {wrong}")
    return None


def _rabbitmq(broker: Broker, connection: "kombu.Connection", wanted: Wanted, facts: Facts) -> None:
    """Ask for each queue without making it: waiting tasks, and consumers. Only an open channel can ask."""
    channel: Any = connection.channel()
    for queue in sorted(wanted.depths | wanted.known_queues):
        facts.requests += 1
        try:
            answer = channel.queue_declare(queue=queue, passive=True)
        except amqp_errors.NotFound:
            facts.depths[queue], facts.consumers[queue] = None, 0
        except amqp_errors.AccessRefused as error:
            facts.depths[queue] = broker.failure(error)
        except amqp_errors.ResourceLocked:
            what = f"{broker.where}: {queue} is exclusive: only the connection that made it may look"
            facts.depths[queue] = PollFailed(FailureReason.BAD_QUERY, what)
        else:
            facts.depths[queue], facts.consumers[queue] = answer.message_count, answer.consumer_count
            continue
        with suppress(*ERRORS):
            channel.close()
        channel = connection.channel()
    channel.close()
