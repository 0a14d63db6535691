"""Which outbox rows an incident's beginning, change and end need.

This module knows keys, order and what is superseded. It never sends, and never knows when a row is due again (that is
`outbox`).

A raise is a trigger under a new key and the resolve of the old one; `outbox` holds a resolve back while a trigger of
its (incident, notifier) is under way or was not accepted yet, so that it can overtake none.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Action, Delivery, DeliveryState, Message
from evaluator.incidents.incident import Incident
from evaluator.incidents.messages import message_of
from evaluator.incidents.routing import Routes, Target


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decisions need besides rows: all of it is given."""

    now: float
    """Seconds since the epoch."""
    routes: Routes
    instance: str
    """The installation's name: part of each dedup_key."""
    ids: Callable[[], str]
    """Makes ULIDs."""


def dedup_key(instance: str, incident: str, severity: Severity) -> str:
    """Return the key under which receivers know an incident at a severity."""
    return f"evaluator/{instance}/{incident}/{severity}"


def announce_opened(incident: Incident, rows: Sequence[Delivery], given: Circumstances) -> list[Delivery]:
    """Return the rows that tell of a new incident."""
    message = message_of(incident, given.now)
    targets = given.routes.to(incident.service, incident.severity)
    return [_trigger(incident, target, message, _next_seq(rows, target.notifier), given) for target in targets]


def announce_raised(incident: Incident, rows: Sequence[Delivery], given: Circumstances) -> list[Delivery]:
    """Return the rows that tell of a worse severity: a trigger under a new key, and then the end of the old one."""
    message = message_of(incident, given.now)
    changed: list[Delivery] = []
    paged = set()
    for target in given.routes.to(incident.service, incident.severity):
        paged.add(target.notifier)
        live = [row for row in live_triggers(rows) if row.notifier == target.notifier]
        same = [row for row in live if row.dedup_key == dedup_key(given.instance, incident.id, incident.severity)]
        changed.extend(_refreshed(row, message, given.now) for row in same)
        seq = _next_seq(rows, target.notifier)
        if not same:
            changed.append(_trigger(incident, target, message, seq, given))
        for row in live:
            if row not in same:
                seq += 1
                changed.extend(superseded(row, seq, message, given))
    changed.extend(_refreshed(row, message, given.now) for row in live_triggers(rows) if row.notifier not in paged)
    return changed


def announce_changed(incident: Incident, rows: Sequence[Delivery], given: Circumstances) -> list[Delivery]:
    """Return the rows that tell of news under the same key, which pages nobody."""
    message = message_of(incident, given.now)
    return [_refreshed(row, message, given.now) for row in live_triggers(rows)]


def announce_closed(incident: Incident, rows: Sequence[Delivery], given: Circumstances) -> list[Delivery]:
    """Return the rows that tell the end to everybody who may have been told of the incident."""
    message = message_of(incident, given.now)
    changed: list[Delivery] = []
    for notifier in sorted({row.notifier for row in rows}):
        seq = _next_seq(rows, notifier)
        for row in live_triggers(rows):
            if row.notifier == notifier:
                changed.extend(superseded(row, seq, message, given))
                seq += 1
    return changed


def notice(target: Target, message: Message, rows: Sequence[Delivery], given: Circumstances) -> Delivery:
    """Return a row that tells a person something without opening anything."""
    seq = _next_seq(rows, target.notifier)
    return _row(
        given, message, Action.NOTICE, seq, target, dedup_key(given.instance, message.incident, message.severity)
    )


def superseded(row: Delivery, seq: int, message: Message, given: Circumstances) -> list[Delivery]:
    """Return the trigger as dropped, and the resolve of its key if anybody may have been told of it."""
    told = row.told or row.claimed or row.accepted > 0
    ended = replace(row, state=DeliveryState.DONE if row.accepted else DeliveryState.DROPPED)
    if not told:
        return [ended]
    target = Target(row.notifier, row.routing_key)
    resolve = replace(
        _row(given, message, Action.RESOLVE, seq, target, row.dedup_key), service=row.service, severity=row.severity
    )
    return [ended, resolve]


def live_triggers(rows: Iterable[Delivery]) -> list[Delivery]:
    """Return the triggers that are, or may be, open at their receivers, or are still to be sent."""
    states = (DeliveryState.PENDING, DeliveryState.REFUSED)
    return [row for row in rows if row.action is Action.TRIGGER and row.state in states]


def _trigger(incident: Incident, target: Target, message: Message, seq: int, given: Circumstances) -> Delivery:
    key = dedup_key(given.instance, incident.id, incident.severity)
    return _row(given, message, Action.TRIGGER, seq, target, key)


def _row(given: Circumstances, message: Message, action: Action, seq: int, target: Target, key: str) -> Delivery:
    return Delivery(
        id=given.ids(),
        seq=seq,
        incident=message.incident,
        notifier=target.notifier,
        service=message.service,
        severity=message.severity,
        action=action,
        dedup_key=key,
        message=message,
        created_at=given.now,
        due_at=given.now,
        routing_key=target.routing_key,
    )


def _refreshed(row: Delivery, message: Message, now: float) -> Delivery:
    """Return a trigger with a newer message; one that was accepted is sent again now, the others keep their time."""
    due_at = min(row.due_at, now) if row.accepted else row.due_at
    return replace(row, message=message, due_at=due_at)


def _next_seq(rows: Iterable[Delivery], notifier: str) -> int:
    return max((row.seq for row in rows if row.notifier == notifier), default=0) + 1
