"""Which delivery may be sent now, and what an outcome makes of it.

This module knows time, order and back-off as arguments and tables. It never sends. Whoever sends does it in three
steps: `claim` and commit, send, `settled` and commit.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import assert_never

from evaluator.incidents.announce import Circumstances, notice
from evaluator.incidents.changes import Changes
from evaluator.incidents.deliveries import Accepted, Action, Delivery, DeliveryState, Outcome, Refused, RetryLater
from evaluator.incidents.incident import Event, EventKind
from evaluator.incidents.world import World

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 30.0
"""Seconds of exponential back-off, without the jitter and what a Retry-After asks for."""

REFUSED_AGAIN = 600.0
"""Seconds until what was refused is tried again."""

TRIGGER_REPEATS = (120.0, 480.0, 3600.0)
"""Seconds after each acceptance until a trigger is repeated: 2 m and 10 m after the first, then hourly."""

RESOLVE_REPEATS = (120.0, 480.0, 3000.0)
"""Seconds after each acceptance until a resolve is repeated: 2 m, 10 m and 1 h after the first, then never."""

Lane = tuple[str, str]
"""A notifier and a routing key: what one lane tells is told one after the other."""


def next_due(
    deliveries: Iterable[Delivery], now: float, busy: Collection[Lane] = (), unwritten: Collection[str] = ()
) -> list[Delivery]:
    """Return what may be sent now: for each lane that is not busy the most urgent delivery.

    Resolves go first, then the worst severity, then what has been due the longest. What is not written to the store yet
    (`unwritten` has the ids) is not sent, and what comes behind it waits for it.
    """
    chosen: dict[Lane, Delivery] = {}
    for delivery in _sendable(deliveries, now):
        lane = lane_of(delivery)
        if lane in busy or delivery.id in unwritten:
            continue
        best = chosen.get(lane)
        if best is None or _urgency(delivery) < _urgency(best):
            chosen[lane] = delivery
    return sorted(chosen.values(), key=_urgency)


def next_time(deliveries: Iterable[Delivery]) -> float | None:
    """Return when the next delivery becomes due, be it blocked or not; `None`: nothing waits."""
    return min((row.due_at for row in deliveries if _waits(row) and not row.claimed), default=None)


def lane_of(delivery: Delivery) -> Lane:
    """Return the lane of a delivery."""
    return delivery.notifier, delivery.routing_key


def claim(delivery: Delivery) -> Delivery:
    """Return the delivery as being sent; a crash from here on means that a request may have arrived."""
    return replace(delivery, claimed=True)


def settle(delivery: Delivery, outcome: Outcome, now: float, jitter: float) -> Delivery:
    """Return the delivery after a request. `jitter` is a random number from 0 to 1.

    A delivery that was superseded while its request was under way stays so; it only learns whether it was told.
    """
    superseded = not _waits(delivery)
    delivery = replace(delivery, claimed=False)
    match outcome:
        case Accepted():
            delivery = replace(
                delivery, told=True, accepted=delivery.accepted + 1, accepted_at=now, attempts=0, error=""
            )
            return delivery if superseded else _repeated(delivery, now, queued=outcome.queued)
        case RetryLater():
            delivery = replace(
                delivery,
                told=delivery.told or outcome.arrived,
                attempts=delivery.attempts + 1,
                error=outcome.message,
            )
            if superseded:
                return delivery
            due_at = now + max(_backoff(delivery.attempts, jitter), outcome.after or 0.0)
            return replace(delivery, state=DeliveryState.PENDING, due_at=due_at)
        case Refused():
            delivery = replace(delivery, attempts=0, error=outcome.message)
            if superseded:
                return delivery
            return replace(delivery, state=DeliveryState.REFUSED, due_at=now + REFUSED_AGAIN)
        case _:
            assert_never(outcome)


def settled(world: World, row: str, outcome: Outcome, given: Circumstances, jitter: float) -> Changes:
    """Return everything that the outcome of one request changes: the row, the timeline, and who hears of a refusal."""
    before = world.deliveries[row]
    after = settle(before, outcome, given.now, jitter)
    changes = Changes(deliveries={row: after})
    if isinstance(outcome, Accepted) and before.accepted == 0:
        text = f"{before.notifier} accepted the {before.action} under {before.dedup_key}"
        changes.events.append(Event(before.incident, given.now, EventKind.SENT, text))
    refused = after.state is DeliveryState.REFUSED and before.state is not DeliveryState.REFUSED
    if isinstance(outcome, Refused) and refused:
        text = f"{before.notifier} refused the {before.action}: {outcome.message}"
        changes.events.append(Event(before.incident, given.now, EventKind.REFUSED, text))
        changes.deliveries.update(_refusal_told(world, before, text, given))
    return changes


def overdue(deliveries: Iterable[Delivery], now: float, by: float) -> bool:
    """Return whether anything, refused ones apart, should have been accepted for the first time so many seconds ago."""
    return any(
        row.state is DeliveryState.PENDING and row.accepted == 0 and row.created_at <= now - by for row in deliveries
    )


def _refusal_told(world: World, refused: Delivery, text: str, given: Circumstances) -> dict[str, Delivery]:
    """Tell the service's fallback of a refusal, unless it is the fallback that refused."""
    target = given.routes.fallback(refused.service)
    if target.notifier == refused.notifier:
        return {}
    message = replace(refused.message, why=f"{text}. {refused.message.why}", at=given.now)
    row = notice(target, message, world.deliveries_of(refused.incident), given)
    return {row.id: row}


def _sendable(deliveries: Iterable[Delivery], now: float) -> list[Delivery]:
    """Return what is due and need not wait for another row of its (incident, notifier).

    While a request is under way everything waits. A resolve also waits for a trigger that nobody has accepted yet: in a
    raise the old key stays open until the new one is. Nothing waits for a resolve, which may be refused for ever.
    """
    queues: defaultdict[tuple[str, str], list[Delivery]] = defaultdict(list)
    for row in deliveries:
        if _waits(row) or row.claimed:
            queues[row.incident, row.notifier].append(row)
    sendable = []
    for queue in queues.values():
        if any(row.claimed for row in queue):
            continue
        untold = any(row.action is Action.TRIGGER and row.accepted == 0 for row in queue)
        for row in queue:
            waits = row.action is Action.RESOLVE and untold
            if row.due_at <= now and not waits:
                sendable.append(row)
    return sendable


def _waits(row: Delivery) -> bool:
    return row.state in (DeliveryState.PENDING, DeliveryState.REFUSED)


def _urgency(delivery: Delivery) -> tuple[bool, str, float, str]:
    return delivery.action is not Action.RESOLVE, delivery.severity.value, delivery.due_at, delivery.id


def _repeated(delivery: Delivery, now: float, *, queued: bool) -> Delivery:
    """Return an accepted delivery with the time of its repeat, or as done.

    An incident's trigger stays pending while the incident is open even where it needs no repeat, since news are sent
    through the same row.
    """
    if delivery.action is Action.TRIGGER:
        wait = TRIGGER_REPEATS[min(delivery.accepted, len(TRIGGER_REPEATS)) - 1] if queued else math.inf
        return replace(delivery, state=DeliveryState.PENDING, due_at=now + wait)
    if delivery.action is Action.RESOLVE and queued and delivery.accepted <= len(RESOLVE_REPEATS):
        wait = RESOLVE_REPEATS[delivery.accepted - 1]
        return replace(delivery, state=DeliveryState.PENDING, due_at=now + wait)
    return replace(delivery, state=DeliveryState.DONE)


def _backoff(attempts: int, jitter: float) -> float:
    """Return the seconds until the next try: doubling from 1 to 30, less up to half of it by chance."""
    longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempts - 1, 10))
    return max(FIRST_BACKOFF, longest * (1.0 - jitter / 2))
