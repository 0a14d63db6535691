"""Incidents and their timelines in the shape of the API; `docs/http.md` says what each field means.

This module knows values in and JSON out. It never knows where incidents are kept.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from evaluator.engine.alerts import Alert
from evaluator.engine.samples import Series, series_text
from evaluator.engine.wording import value_text
from evaluator.incidents.incident import Caught, Event, Incident
from evaluator.web.wording import rfc3339, shorten

Json = dict[str, Any]

MEMBERS_SHOWN = 100
TEXT_SHOWN = 2000
"""Characters; a text may hold the label of a careless exporter."""


def incident_json(incident: Incident, now: float) -> Json:
    """Return an incident as the API shows it in a list."""
    ended = now if incident.closed_at is None else incident.closed_at
    return {
        "id": incident.id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "service": incident.service,
        "rule": incident.rule,
        "rule_at": incident.rule_at,
        "group": labels_json(incident.group),
        "title": shorten(incident.title or incident.rule, TEXT_SHOWN),
        "why": shorten(incident.why, TEXT_SHOWN),
        "value": number(incident.value),
        "value_text": value_text(incident.value, incident.unit),
        "limit": incident.limit,
        "unit": incident.unit,
        "since": rfc3339(incident.active_at),
        "opened_at": rfc3339(incident.opened_at),
        "updated_at": rfc3339(incident.updated_at),
        "known_at": rfc3339(incident.known_at) if incident.known_at else None,
        "closed_at": None if incident.closed_at is None else rfc3339(incident.closed_at),
        "close_reason": incident.close_reason.value if incident.close_reason else None,
        "seconds": round(max(ended - incident.active_at, 0.0), 3),
        "members": [labels_json(series) for series in incident.members[:MEMBERS_SHOWN]],
        "member_count": len(incident.members),
        "muted": shorten(incident.muted, TEXT_SHOWN),
        "flapping": incident.flapping,
        "caught": [_caught_json(each) for each in incident.caught[:MEMBERS_SHOWN]],
        "caught_count": len(incident.caught),
        "description": shorten(incident.description, TEXT_SHOWN),
        "runbook": incident.runbook,
        "dashboard": incident.dashboard,
        "url": f"/incidents/{incident.id}",
    }


def _caught_json(caught: Caught) -> Json:
    return {
        "rule": caught.rule,
        "group": labels_json(caught.group),
        "group_text": shorten(series_text(caught.group), TEXT_SHOWN),
        "severity": caught.severity.value,
        "at": rfc3339(caught.at),
    }


def timeline_json(events: Iterable[Event]) -> list[Json]:
    """Return a timeline, oldest line first."""
    return [
        {"at": rfc3339(event.at), "kind": event.kind.value, "text": shorten(event.text, TEXT_SHOWN)}
        for event in sorted(events, key=lambda event: event.at)
    ]


def blind_since(incident: Incident, members: Sequence[Alert]) -> float | None:
    """Return since when nothing is known of an open incident, or `None` while anything of it is known.

    `members` are its alerts that are firing or recovering.
    """
    if not incident.open or not members or not all(alert.stale for alert in members):
        return None
    return max(alert.known for alert in members)


def labels_json(series: Series) -> dict[str, str]:
    """Return the labels of a series as an object."""
    return dict(series)


def group_text(incident: Incident) -> str:
    """Return what the incident's series share, for people."""
    return shorten(series_text(incident.group), TEXT_SHOWN)


def number(value: float | None) -> float | None:
    """Return a number as JSON can carry it: what is not finite is null, and stays readable in the text beside it."""
    return value if value is not None and math.isfinite(value) else None
