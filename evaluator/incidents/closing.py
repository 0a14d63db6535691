"""The end of an incident: its row, its timeline, and what everybody hears who was told of it.

This module ends. Whether an incident is over is decided elsewhere.
"""

from dataclasses import replace

from evaluator.incidents.announce import Circumstances, announce_closed
from evaluator.incidents.changes import Changes
from evaluator.incidents.incident import CloseReason, Event, EventKind, Incident, IncidentState
from evaluator.incidents.messages import closed_text
from evaluator.incidents.world import World


def close(incident: Incident, reason: CloseReason, world: World, given: Circumstances, by: str = "") -> Changes:
    """Return what closing an incident changes. `by` is who resolved it, where somebody did."""
    before = world.deliveries_of(incident.id)
    told = any(row.told or row.accepted or row.claimed for row in before)
    closed = replace(
        incident,
        state=IncidentState.RESOLVED,
        closed_at=given.now,
        updated_at=given.now,
        close_reason=reason,
        closed_by=by,
        told=told,
        muted="",
    )
    rows = announce_closed(closed, before, given)
    event = Event(incident.id, given.now, EventKind.RESOLVED, f"closed: {closed_text(closed)}")
    changes = Changes(incidents={closed.id: closed}, events=[event], deliveries={row.id: row for row in rows})
    if not told:
        text = "it ended before anybody had been told of it, so nothing is sent"
        changes.events.append(Event(incident.id, given.now, EventKind.DROPPED, text))
    return changes
