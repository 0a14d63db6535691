"""Whether anything of an incident is known: said once when it is not, told to a person after a day, said when it is.

This module knows one incident and times. It opens and closes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluator.engine.alerts import Alert
from evaluator.engine.calendar import time_text
from evaluator.engine.gate import ENDS
from evaluator.engine.wording import held_text
from evaluator.incidents.announce import Circumstances, announce_changed, notice
from evaluator.incidents.changes import Changes
from evaluator.incidents.incident import Event, EventKind, Incident
from evaluator.incidents.messages import message_of
from evaluator.incidents.world import World

BLIND_TOLD_AFTER = 86_400.0
"""Seconds of blindness after which a person is told of it, once."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is told of an incident's being seen."""

    incident: Incident
    changes: Changes
    """Lines and deliveries; the incident itself is not in them."""


def look_at(
    before: Incident, incident: Incident, missing: float, why: str, world: World, given: Circumstances
) -> Sight:
    """Return what is to be said of an incident that goes on.

    `missing` are the seconds after which nothing counts as known, `why` says why nothing is.
    """
    changes = Changes()
    unseen = given.now - incident.known_at
    if unseen <= missing:
        if incident.unknown_told or incident.blind_told:
            text = f"its series can be seen again, after {held_text(given.now - before.known_at)}"
            changes.events.append(Event(incident.id, given.now, EventKind.SIGHTED, text))
        return Sight(replace(incident, unknown_told=False, blind_told=False), changes)
    if not incident.unknown_told:
        text = f"nothing is known of it since {time_text(incident.known_at)}: {why}"
        changes.events.append(Event(incident.id, given.now, EventKind.UNKNOWN, text))
        incident = replace(incident, unknown_told=True)
    # What is told once a day, and late, is not blind in between.
    if unseen >= BLIND_TOLD_AFTER and not incident.blind_told:
        incident = _blind(incident, changes, world, given)
    return Sight(incident, changes)


def unseen_because(failure: str, alerts: Sequence[Alert]) -> str:
    """Return why nothing is known of alerts; `failure` says why there was no answer at all."""
    if failure:
        return failure
    if all(alert.unmet_since is not None for alert in alerts):
        return f"only_if does not hold, {ENDS}"
    if all(alert.absent > 0 for alert in alerts):
        return "its source answers without it"
    return "the answers have no value of it"


def _blind(incident: Incident, changes: Changes, world: World, given: Circumstances) -> Incident:
    """Tell a person of an incident of which nothing has been known for a day, and how to end it."""
    text = (
        f"nothing has been known of it since {time_text(incident.known_at)}, so it stays open; "
        f"if it is over, close it with: evaluator resolve {incident.id}"
    )
    changes.events.append(Event(incident.id, given.now, EventKind.BLIND, text))
    incident = replace(incident, blind_told=True, why=text, updated_at=given.now)
    rows = world.deliveries_of(incident.id)
    told = announce_changed(incident, rows, given)
    told.append(notice(given.routes.fallback(incident.service), message_of(incident, given.now), rows, given))
    changes.deliveries.update({row.id: row for row in told})
    return incident
