"""What `evaluator doctor` says of a Celery installation: what works, and how to mend what does not.

This module knows the words for a person, and which rights each broker must grant. It changes nothing.
"""

import time
from collections.abc import Collection

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.celery_answers import Memory
from evaluator.sources.celery_asking import Facts, Wanted, ask
from evaluator.sources.celery_beat import Stored
from evaluator.sources.celery_broker import Broker
from evaluator.sources.celery_events import Listener
from evaluator.sources.celery_query import CeleryQuery
from evaluator.sources.celery_workers import Roll
from evaluator.sources.checkup import Checkup, Grade

RENEW = 90.0
"""Seconds without any event, while workers are online, after which the connection for events is made anew."""
_LISTEN = 2.5
"""Seconds that the examination listens: workers send a heartbeat every 2 s."""
_REDIS_GRANT = (
    "ACL SETUSER evaluator on >PASSWORD %R~* ~*_kombu.binding* ~*reply.celery.pidbox* &* -@all +ping +select +llen "
    "+lindex +hlen +hmget +zrange +zrangebyscore +time +publish +psubscribe +punsubscribe +brpop +sadd +srem +smembers "
    "+zadd +zrem +del +exists +multi +exec +evalsha +script|exists +script|load"
)
_NAMES = r"^(celeryev(\..*)?|.*\.?reply\.celery\.pidbox|celery\.pidbox)$"
_RABBITMQ_GRANT = f"rabbitmqctl set_permissions -p VHOST evaluator '{_NAMES}' '{_NAMES}' '{_NAMES}'"
_EVENTS = "start workers with -E, or set worker_send_task_events = True (or enable_events = true in this source)"
_MEND = {
    FailureReason.REFUSED: "start the broker, or correct host and port in `broker`; look at the firewall",
    FailureReason.TIMEOUT: "look whether the broker is overloaded or a firewall drops packets; else raise `timeout`",
    FailureReason.RESET: "look into the broker's log; is `broker` the address of this kind of broker, with TLS or not?",
    FailureReason.TLS: "give the authority in `ca`, and use the name that the certificate has",
    FailureReason.UNAVAILABLE: "wait until the broker is ready, and look into its log",
    FailureReason.BAD_ANSWER: "correct `broker`: another kind of server listens there",
    FailureReason.BAD_QUERY: "correct the name, or start a worker that makes it",
}
_DJANGO_GRANT = (
    "GRANT SELECT ON django_celery_beat_periodictask, django_celery_beat_intervalschedule, "
    "django_celery_beat_crontabschedule TO evaluator"
)


def wrong(broker: Broker, subject: str, failed: PollFailed) -> Checkup:
    """Return a thing that does not work."""
    grant = _REDIS_GRANT if broker.settings.on_redis else _RABBITMQ_GRANT
    mend = f"correct user and password in `broker`, or grant: {grant}"
    return Checkup(Grade.WRONG, subject, failed.message, _MEND.get(failed.reason, mend))


def of_broker(
    broker: Broker, wanted: Wanted | None, queries: Collection[CeleryQuery], memory: Memory, listener: Listener
) -> list[Checkup]:
    """Try the connection, each queue, the workers and their events."""
    begun = time.monotonic()
    facts = ask(broker, wanted or Wanted(call=True), lambda _: None)
    if isinstance(facts, PollFailed):
        return [wrong(broker, "connection", facts)]
    took = (time.monotonic() - begun) * 1000
    found = [Checkup(Grade.FINE, "connection", f"{broker.where} answers, in {took:.0f} ms with the workers")]
    found += _of_queues(broker, facts)
    if isinstance(facts.unacked, PollFailed):
        found.append(wrong(broker, "unacked", facts.unacked))
    if wanted is None or wanted.call:
        found.append(_of_workers(broker, facts))
    if any(query.measure in ("failure_ratio", "missed_runs", "last_run") for query in queries):
        found += _of_events(broker, facts, memory, listener)
    return found


def _of_queues(broker: Broker, facts: Facts) -> list[Checkup]:
    """Return what is wrong with queues; one line for those that are well."""
    found, well = [], []
    for queue, depth in sorted(facts.depths.items()):
        if isinstance(depth, PollFailed):
            found.append(wrong(broker, f"queue {queue}", depth))
        elif depth is None:
            what = "RabbitMQ has no such queue in this virtual host"
            found.append(Checkup(Grade.WARNING, f"queue {queue}", what, _MEND[FailureReason.BAD_QUERY]))
        else:
            well.append(f"{queue} ({depth})")
    found += [
        wrong(broker, f"queue {queue}", each) for queue, each in facts.tails.items() if isinstance(each, PollFailed)
    ]
    return [Checkup(Grade.FINE, "queues", f"waiting tasks: {', '.join(well[:20])}"), *found] if well else found


def _of_workers(broker: Broker, facts: Facts) -> Checkup:
    """Return who answered."""
    if not isinstance(facts.roll, Roll):
        failed = facts.roll or PollFailed(FailureReason.UNAVAILABLE, "the workers were not asked")
        return wrong(broker, "workers", failed)
    if not facts.roll.queues:
        what = "no worker answers"
        mend = "start workers; they must have worker_enable_remote_control, and `control_exchange` must be theirs"
        return Checkup(Grade.WARNING, "workers", what, mend)
    names = sorted(facts.roll.queues)
    queues = sorted({queue for each in facts.roll.queues.values() for queue in each})
    what = f"{len(names)} answer ({', '.join(names[:5])}) and consume {', '.join(queues[:10]) or 'nothing'}"
    return Checkup(Grade.FINE, "workers", what)


def _of_events(broker: Broker, facts: Facts, memory: Memory, listener: Listener) -> list[Checkup]:
    """Return whether events are heard."""
    deadline = time.monotonic() + min(_LISTEN, broker.settings.timeout / 4)
    while memory.tally.heard() is None and listener.failed is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if listener.failed is not None:
        return [wrong(broker, "events", listener.failed)]
    at = time.monotonic()
    mute = memory.tally.mute(at)
    if mute:
        what = f"{', '.join(sorted(mute)[:5])} work and send no task events"
        return [Checkup(Grade.WRONG, "events", what, _EVENTS)]
    if memory.tally.heard() is None and isinstance(facts.roll, Roll) and facts.roll.queues:
        what = "workers answer, and no event came while we listened"
        return [Checkup(Grade.WARNING, "events", what, f"if it stays so: {_EVENTS}; not --without-heartbeat")]
    return [Checkup(Grade.FINE, "events", "we listen; whether workers send those of tasks shows when a task ends")]


def of_schedule(stored: Stored | PollFailed) -> list[Checkup]:
    """Return whether the stored schedules can be read."""
    if isinstance(stored, PollFailed):
        mend = _MEND.get(stored.reason, "")
        if stored.reason is FailureReason.AUTH:
            mend = f"correct user and password; in PostgreSQL: {_DJANGO_GRANT}"
        elif stored.reason is FailureReason.BAD_QUERY:
            mend = "is it the database of the Django application, and has django-celery-beat been migrated there?"
        return [Checkup(Grade.WRONG, "schedule", stored.message, mend or "look into the log of the database")]
    entries = [entry for entry in stored.entries if entry.enabled]
    found = [Checkup(Grade.FINE, "schedule", f"{len(entries)} entries")]
    if not entries:
        found = [Checkup(Grade.WARNING, "schedule", "no entry is enabled", "start beat, or correct `redbeat_prefix`")]
    mend = "declare such an entry in `schedule` to have it watched"
    return [*found, *(Checkup(Grade.WARNING, "schedule", each, mend) for each in stored.warnings)]
