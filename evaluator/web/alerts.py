"""Alerts that have no incident of their own, for people: what waits, what is muted, what only shadow mode keeps quiet.

This module decides which they are and what is said of each. It never knows HTML or a terminal.
"""

from collections.abc import Mapping
from typing import Any

from evaluator.engine.alerts import Alert
from evaluator.engine.calendar import time_text
from evaluator.engine.rules import Mode, Rule, Tier
from evaluator.engine.samples import Series, series_text
from evaluator.engine.wording import render, tier_text, value_text
from evaluator.incidents.grouping import group_of
from evaluator.web.countdown import time_left
from evaluator.web.view import Snapshot
from evaluator.web.wording import rfc3339, shorten

Json = dict[str, Any]

ALERTS_SHOWN = 20
TITLE_SHOWN = 300

Active = Mapping[tuple[str, Series], list[Alert]]
"""The alerts that are firing or recovering, by rule and series."""


def pending_json(pending: list[Alert], rules: Mapping[str, Rule], active: Active, snapshot: Snapshot) -> list[Json]:
    """Return what is about to open or become worse, the soonest first."""
    waiting = []
    for alert in pending:
        rule = rules.get(alert.rule)
        tier = rule.tier(alert.severity) if rule else None
        if rule and tier:
            waiting.append((left(alert, rule, snapshot.now), alert, rule, tier))
    waiting.sort(key=lambda item: (item[1].severity, item[0] is None, item[0] or 0.0, item[1].series))
    return [
        {
            **_alert(alert, rule, tier, snapshot),
            "opens_in": wait,
            "opens_if": f"it stays {tier_text(tier, rule.unit)}",
            "raises": (alert.rule, alert.series) in active,
            "blind": alert.verdict.value == "unknown",
            "shadow": rule.mode is Mode.SHADOW,
        }
        for wait, alert, rule, tier in waiting[:ALERTS_SHOWN]
    ]


def muted_of(snapshot: Snapshot, rules: Mapping[str, Rule], active: Active) -> list[Alert]:
    """Return the alerts that fire, and have no open incident because something mutes them; the worst first."""
    shown = {(incident.rule, series) for incident in snapshot.incidents if incident.open for series in incident.members}
    caught = {(each.rule, each.group) for incident in snapshot.incidents if incident.open for each in incident.caught}
    found = [
        alert
        for (name, series), alerts in active.items()
        if (rule := rules.get(name)) is not None and rule.mode is Mode.PAGE
        if (name, series) not in shown and (name, group_of(rule, series)) not in caught
        for alert in alerts
        if snapshot.held.get(alert.key)
    ]
    return sorted(found, key=lambda alert: (alert.severity, alert.active_at, alert.rule, alert.series))


def muted_json(muted: list[Alert], rules: Mapping[str, Rule], snapshot: Snapshot) -> list[Json]:
    """Return the first of the alerts that `muted_of` found."""
    return [
        {**_alert(alert, rule, tier, snapshot), "seconds": _seconds(alert, snapshot)}
        for alert in muted[:ALERTS_SHOWN]
        if (rule := rules.get(alert.rule)) is not None and (tier := rule.tier(alert.severity)) is not None
    ]


def shadow_json(rules: Mapping[str, Rule], active: Active, snapshot: Snapshot) -> list[Json]:
    """Return what would be open if its rule were not in shadow mode."""
    return [
        {**_alert(alert, rule, tier, snapshot), "seconds": _seconds(alert, snapshot)}
        for (name, _), alerts in active.items()
        if (rule := rules.get(name)) is not None and rule.mode is Mode.SHADOW
        for alert in alerts
        if (tier := rule.tier(alert.severity)) is not None
    ][:ALERTS_SHOWN]


def left(alert: Alert, rule: Rule, now: float) -> float | None:
    """Return the seconds until the alert fires or is over, if nothing changes; `None`: that cannot be told."""
    tier = rule.tier(alert.severity)
    wait = time_left(alert, tier, every=rule.every, step=rule.step, now=now) if tier else None
    return None if wait is None else round(wait, 3)


def _seconds(alert: Alert, snapshot: Snapshot) -> float:
    return max(snapshot.now - alert.active_at, 0.0)


def _alert(alert: Alert, rule: Rule, tier: Tier, snapshot: Snapshot) -> Json:
    value, limit, since = value_text(alert.value, rule.unit), tier_text(tier, rule.unit), time_text(alert.active_at)
    labels = {**rule.labels, **dict(alert.series)}
    title = render(rule.summary, labels, value=value, limit=limit, since=since)
    return {
        "rule": alert.rule,
        "severity": alert.severity.value,
        "service": rule.service,
        "series": shorten(series_text(alert.series), TITLE_SHOWN),
        "title": shorten(title or alert.rule, TITLE_SHOWN),
        "value_text": value,
        "limit": limit,
        "why": shorten(alert.reason, TITLE_SHOWN),
        "since": rfc3339(alert.active_at),
        "muted": shorten(snapshot.held.get(alert.key, ""), TITLE_SHOWN),
    }
