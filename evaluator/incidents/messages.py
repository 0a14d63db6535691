"""What an incident says of itself: its title, its why-sentence, and the message that receivers get.

This module words. It never decides whether anything is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from evaluator.engine.alerts import Alert, State
from evaluator.engine.conditions import nearest_row
from evaluator.engine.rules import Rule, Tier
from evaluator.engine.samples import Series, series_of, series_text
from evaluator.engine.wording import held_text, render, tier_text, value_text
from evaluator.incidents.deliveries import Message
from evaluator.incidents.grouping import common_labels
from evaluator.incidents.incident import CloseReason, Incident

MOST_SERIES = 50
"""A message, and a line of the timeline, list at most this many series."""

CLOSE_SENTENCES = {
    CloseReason.RECOVERED: "it has recovered",
    CloseReason.GONE: "its source says that it has ended",
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
    """Return the alert of the worst tier, and in it the one furthest beyond its limit; `None` without alerts."""
    firing = [alert for alert in alerts if alert.state is State.FIRING] or list(alerts)
    severity = min((alert.severity for alert in firing), default=None)
    tier = rule.tier(severity) if severity is not None else None
    if tier is None:
        return None
    candidates = [alert for alert in firing if alert.severity is severity]
    row = nearest_row(tier.limit, [float("nan") if alert.value is None else alert.value for alert in candidates])
    return Worst(candidates[row or 0], tier)


def told_of(incident: Incident, rule: Rule, alerts: Sequence[Alert]) -> Incident:
    """Return the incident with title, why, value and texts as its alerts and its rule say now."""
    worst = worst_of(rule, alerts)
    if worst is None:
        return incident
    value, limit = value_text(worst.alert.value, rule.unit), tier_text(worst.tier, rule.unit)
    since = time_text(incident.active_at)
    labels = {**rule.labels, **common_labels(alerts)}
    title = render(rule.summary or _default_summary(rule, incident), labels, value=value, limit=limit, since=since)
    series = series_text(worst.alert.series)
    return replace(
        incident,
        title=title,
        why=f"{series}: {worst.alert.reason}" if series else worst.alert.reason,
        limit=limit,
        unit=rule.unit,
        description=render(rule.description, labels, value=value, limit=limit, since=since),
        runbook=rule.runbook,
        dashboard=rule.dashboard,
        rule_at=f"{rule.file}:{rule.line}" if rule.file else "",
        labels=series_of(rule.labels),
    )


def message_of(incident: Incident, now: float) -> Message:
    """Return what receivers get of an incident as it stands."""
    listed = listed_series(incident.members, incident.rule)
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
        value=value_text(incident.value, incident.unit),
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
    listed = [series_text(series) or nameless for series in found[:MOST_SERIES]]
    if len(found) > MOST_SERIES:
        listed.append(f"and {len(found) - MOST_SERIES} more")
    return listed


def closed_text(incident: Incident) -> str:
    """Return why it ended and how long it lasted; empty while it is open."""
    if incident.closed_at is None or incident.close_reason is None:
        return ""
    return f"{CLOSE_SENTENCES[incident.close_reason]}, after {held_text(incident.closed_at - incident.opened_at)}"


def time_text(at: float) -> str:
    """Return a time for people who may be anywhere: `2026-11-23 03:04:05 UTC`; an impossible one as its number."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return str(at)


def _default_summary(rule: Rule, incident: Incident) -> str:
    group = series_text(incident.group)
    return f"{rule.name} ({group}) is {{value}}" if group else f"{rule.name} is {{value}}"
