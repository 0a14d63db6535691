"""What an incident says of itself: its title, its why-sentence, and the message that receivers get.

This module words. It never decides whether anything is sent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluator.engine.alerts import Alert, State
from evaluator.engine.calendar import time_text
from evaluator.engine.conditions import worst_row
from evaluator.engine.rules import Rule, Tier
from evaluator.engine.samples import Series, series_of, series_text
from evaluator.engine.wording import held_text, render, tier_text, value_text
from evaluator.incidents.deliveries import Message
from evaluator.incidents.flapping import flapping_text
from evaluator.incidents.grouping import common_labels
from evaluator.incidents.incident import STORM, Caught, CloseReason, Incident

MOST_SERIES = 50
"""A message, and a line of the timeline, list at most this many series."""

CLOSE_SENTENCES = {
    CloseReason.RECOVERED: "it has recovered",
    CloseReason.GONE: "its source says that it has ended",
    CloseReason.SEEN: "its series was seen for the first time",
    CloseReason.FORGOTTEN: "its series has been missing for so long that it is forgotten",
    CloseReason.EDITED: "its rule was edited and now asks something else",
    CloseReason.REMOVED: "its rule was removed",
    CloseReason.OFF: "its rule was switched off",
    CloseReason.SHADOW: 'its rule was switched to mode = "shadow"',
    CloseReason.RESOLVED_BY_HUMAN: "somebody resolved it by hand",
}
"""Why an incident ended, for people."""


@dataclass(frozen=True, slots=True)
class Worst:
    """The alert that speaks for a group."""

    alert: Alert
    tier: Tier


def worst_of(rule: Rule, alerts: Sequence[Alert]) -> Worst | None:
    """Return the alert of the worst tier, and in it the one with the worst value; `None` without alerts."""
    firing = [alert for alert in alerts if alert.state is State.FIRING] or list(alerts)
    severity = min((alert.severity for alert in firing), default=None)
    tier = rule.tier(severity) if severity is not None else None
    if tier is None:
        return None
    candidates = [alert for alert in firing if alert.severity is severity]
    row = worst_row(tier, [math.nan if alert.value is None else alert.value for alert in candidates])
    return Worst(candidates[row or 0], tier)


def told_of(incident: Incident, rule: Rule, alerts: Sequence[Alert]) -> Incident:
    """Return the incident with title, why, value and texts as its alerts and its rule say now."""
    worst = worst_of(rule, alerts)
    if worst is None:
        return incident
    value, limit = value_text(worst.alert.value, rule.unit), tier_text(worst.tier, rule.unit)
    since = time_text(incident.active_at)
    labels = {**rule.labels, **common_labels(alerts)}
    title = render(
        rule.summary or _default_summary(rule, incident, worst), labels, value=value, limit=limit, since=since
    )
    why = reason_text(worst.alert)
    return replace(
        incident,
        title=title,
        why=f"{why}; {flapping_text(rule.flapping)}" if incident.flapping and rule.flapping else why,
        limit=limit,
        unit=rule.unit,
        description=render(rule.description, labels, value=value, limit=limit, since=since),
        runbook=rule.runbook,
        dashboard=rule.dashboard,
        rule_at=f"{rule.file}:{rule.line}" if rule.file else "",
        labels=series_of(rule.labels),
    )


def reason_text(alert: Alert) -> str:
    """Return why an alert is in its state, with the series that it is about."""
    series = series_text(alert.series)
    return f"{series}: {alert.reason}" if series else alert.reason


def message_of(incident: Incident, now: float) -> Message:
    """Return what receivers get of an incident as it stands. The series of a storm are what it has caught."""
    storm = incident.rule == STORM
    listed = listed_caught(incident.caught) if storm else listed_series(incident.members, incident.rule)
    group = series_text(incident.group)
    return Message(
        incident=incident.id,
        rule=incident.rule,
        service=incident.service,
        severity=incident.severity,
        title=incident.title,
        why=incident.why,
        source=group or (listed[0] if len(listed) == 1 else incident.rule),
        opened_at=incident.opened_at,
        at=now,
        value="" if storm else value_text(incident.value, incident.unit),
        limit=incident.limit,
        series=tuple(listed),
        group=group,
        rule_at=incident.rule_at,
        description=incident.description,
        runbook=incident.runbook,
        dashboard=incident.dashboard,
        labels=dict(incident.labels),
        closed=closed_text(incident),
    )


def listed_series(found: Sequence[Series], nameless: str) -> list[str]:
    """Return series for people, at most `MOST_SERIES` and how many more there are; `nameless` is one without labels."""
    return listed_texts([series_text(series) or nameless for series in found[:MOST_SERIES]], len(found))


def listed_caught(found: Sequence[Caught]) -> list[str]:
    """Return what a storm has for people, at most `MOST_SERIES` and how many more there are."""
    return listed_texts([caught_text(caught) for caught in found[:MOST_SERIES]], len(found))


def listed_texts(found: Sequence[str], count: int) -> list[str]:
    """Return at most `MOST_SERIES` texts, and how many more of `count` there are."""
    listed = list(found[:MOST_SERIES])
    return [*listed, f"and {count - len(listed)} more"] if count > len(listed) else listed


def caught_text(caught: Caught) -> str:
    """Return what a storm caught, for people: `P1 cpu (host=web-1)`."""
    group = series_text(caught.group)
    return f"{caught.severity} {caught.rule} ({group})" if group else f"{caught.severity} {caught.rule}"


def storm_title(storm: Incident) -> str:
    """Return the title of a storm."""
    count = len(storm.caught)
    return f"Storm: {count} alert{'s' if count != 1 else ''} of {storm.service}"


def closed_text(incident: Incident) -> str:
    """Return why it ended and how long it lasted; empty while it is open."""
    if incident.closed_at is None or incident.close_reason is None:
        return ""
    return f"{CLOSE_SENTENCES[incident.close_reason]}, after {held_text(incident.closed_at - incident.opened_at)}"


def _default_summary(rule: Rule, incident: Incident, worst: Worst) -> str:
    group = series_text(incident.group)
    name = f"{rule.name} ({group})" if group else rule.name
    if worst.tier.absent:
        return f"{name} is absent"
    if worst.tier.missed is not None:
        return f"{name} has not succeeded since {{value}}" if worst.alert.value else f"{name} has never succeeded"
    return f"{name} has no value" if worst.alert.value is None else f"{name} is {{value}}"
