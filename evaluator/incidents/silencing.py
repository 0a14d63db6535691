"""The life of a silence: it begins, it is about something, and it ends, by itself or by a person.

This module changes silences. What they hold back is decided in `muting`.
"""

from collections.abc import Iterable
from dataclasses import replace

from evaluator.engine.alerts import Alert
from evaluator.incidents.changes import Changes
from evaluator.incidents.silence import Silence
from evaluator.incidents.world import World

ITS_END = "its time was over"
ITS_ALERT = "what it was about is over"


def begun(world: World, silence: Silence) -> Silence:
    """Return a silence as it begins: what fires already counts for its end."""
    return replace(silence, matched=_has_any_in_books(world, silence))


def ended(silence: Silence, now: float, because: str) -> Silence:
    """Return a silence that is over from now on."""
    return replace(silence, ended_at=now, ended_because=because)


def after_evaluation(world: World, rule: str, alerts: Iterable[Alert], now: float) -> dict[str, Silence | None]:
    """Return the silences that change with one evaluation of a rule; `alerts` are the rule's after it."""
    waiting = [
        silence
        for silence in world.silences.values()
        if silence.ends_with_alert and silence.holds(now) and silence.selector.names(rule)
    ]
    if not waiting:
        return {}
    mine = list(alerts)
    changed: dict[str, Silence | None] = {}
    for silence in waiting:
        if _has_any(silence, mine):
            if not silence.matched:
                changed[silence.id] = replace(silence, matched=True)
        elif silence.matched and not _has_any_in_books(world, silence, rule):
            changed[silence.id] = ended(silence, now, ITS_ALERT)
    return changed


def overdue(world: World, now: float) -> Changes:
    """Return what the time changes: silences whose end has come, and those whose alert has gone with its rule.

    What they muted opens at its next breach verdict; nothing else is changed by their end.
    """
    changes = Changes()
    for silence in world.silences.values():
        if silence.ended_at is not None:
            continue
        if now >= silence.ends_at:
            changes.silences[silence.id] = ended(silence, silence.ends_at, ITS_END)
        elif silence.ends_with_alert and silence.matched and not _has_any_in_books(world, silence):
            changes.silences[silence.id] = ended(silence, now, ITS_ALERT)
    return changes


def _has_any(silence: Silence, alerts: Iterable[Alert]) -> bool:
    """Return whether a silence selects any of the alerts of one rule that it names."""
    return any(alert.active and silence.selector.picks(dict(alert.series)) for alert in alerts)


def _has_any_in_books(world: World, silence: Silence, besides: str | None = None) -> bool:
    books = (book for rule, book in world.alerts.items() if rule != besides and silence.selector.names(rule))
    return any(_has_any(silence, book.values()) for book in books)
