"""Rules and alerts in the response shapes of Prometheus' HTTP API, so that Grafana and its like can show them.

Each tier of a rule is an alerting rule there, with its severity as a label; a recovering alert is still `firing`.
https://prometheus.io/docs/prometheus/latest/querying/api/#rules and `#alerts`.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from evaluator.engine.alerts import Alert, State
from evaluator.engine.calendar import time_text
from evaluator.engine.rules import Mode, Rule, Severity, Tier
from evaluator.engine.wording import render, tier_text, value_text
from evaluator.web.view import RuleStatus, Snapshot
from evaluator.web.wording import NEVER, rfc3339

Json = dict[str, Any]

_STATES = {
    State.QUIET: "inactive",
    State.PENDING: "pending",
    State.FIRING: "firing",
    State.RECOVERING: "firing",
}
_WORST = ("firing", "pending", "inactive")

_Shown = tuple[Alert, str]
"""An alert, and what keeps it from being sent."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a caller wants of `/api/v1/rules`; an empty collection wants all."""

    names: Collection[str] = ()
    groups: Collection[str] = ()
    files: Collection[str] = ()
    recording: bool = False
    """Only recording rules, of which there are none here."""
    alerts: bool = True
    """`False`: without the alerts of each rule."""

    def wants(self, rule: Rule) -> bool:
        """Return whether this rule is asked for. A group has the name of its file."""
        return (
            not self.recording
            and (not self.names or rule.name in self.names)
            and (not self.groups or rule.file in self.groups)
            and (not self.files or rule.file in self.files)
        )


def rules_json(snapshot: Snapshot, wanted: Filter) -> Json:
    """Return the data of `/api/v1/rules`: a group for each rule file."""
    files: dict[str, list[RuleStatus]] = defaultdict(list)
    for status in snapshot.rules:
        if wanted.wants(status.rule):
            files[status.rule.file].append(status)
    alerts = _by_tier(snapshot.alerts)
    shown = {tier: [(alert, snapshot.held.get(alert.key, "")) for alert in found] for tier, found in alerts.items()}
    return {"groups": [_group(file, statuses, shown, wanted) for file, statuses in files.items()]}


def alerts_json(snapshot: Snapshot) -> Json:
    """Return the data of `/api/v1/alerts`: every alert that is not quiet."""
    rules = {status.rule.name: status.rule for status in snapshot.rules}
    return {
        "alerts": [
            _alert(alert, rule, snapshot.held.get(alert.key, ""))
            for alert in snapshot.alerts
            if alert.state is not State.QUIET and (rule := rules.get(alert.rule)) is not None
        ]
    }


def _group(
    file: str,
    statuses: list[RuleStatus],
    alerts: Mapping[tuple[str, Severity], list[_Shown]],
    wanted: Filter,
) -> Json:
    return {
        "name": file,
        "file": file,
        "interval": min(status.rule.every for status in statuses),
        "limit": 0,
        "evaluationTime": sum(status.duration for status in statuses),
        "lastEvaluation": _time(max((status.last_evaluation or 0.0 for status in statuses), default=0.0)),
        "rules": [
            _rule(status, tier, alerts.get((status.rule.name, tier.severity), []), wanted)
            for status in statuses
            for tier in status.rule.tiers
        ],
    }


def _rule(status: RuleStatus, tier: Tier, alerts: list[_Shown], wanted: Filter) -> Json:
    rule = status.rule
    states = {_STATES[alert.state] for alert, _ in alerts}
    return {
        "type": "alerting",
        "name": rule.name,
        "query": rule.query.text,
        "duration": tier.for_,
        "keepFiringFor": tier.recover.for_,
        "labels": _rule_labels(rule, tier.severity),
        "annotations": _texts(rule),
        **({"alerts": [_alert(alert, rule, held) for alert, held in alerts]} if wanted.alerts else {}),
        "health": _health(status),
        "lastError": status.error or rule.off_because,
        "evaluationTime": status.duration,
        "lastEvaluation": _time(status.last_evaluation or 0.0),
        "state": next((state for state in _WORST if state in states), "inactive"),
        "mode": rule.mode.value,
        "limit": tier_text(tier, rule.unit),
    }


def _alert(alert: Alert, rule: Rule, held: str) -> Json:
    tier = rule.tier(alert.severity)
    series = {name: value for name, value in alert.series if name != "__name__"}
    words = {
        "value": value_text(alert.value, rule.unit),
        "limit": tier_text(tier, rule.unit) if tier else "",
        "since": time_text(alert.active_at),
    }
    annotations = {name: render(text, {**rule.labels, **series}, **words) for name, text in _texts(rule).items()}
    if alert.reason:
        annotations["why"] = alert.reason
    if held:
        annotations["muted"] = held
    fields: Json = {
        "labels": {**series, **_rule_labels(rule, alert.severity), "alertname": rule.name},
        "annotations": annotations,
        "state": _STATES[alert.state],
        "activeAt": _time(alert.active_at),
        "value": go_number(alert.value),
    }
    if alert.state is State.RECOVERING:
        fields["keepFiringSince"] = _time(alert.clock)
    return fields


def _rule_labels(rule: Rule, severity: Severity) -> dict[str, str]:
    return {"service": rule.service, **rule.labels, "severity": severity.value}


def _texts(rule: Rule) -> dict[str, str]:
    texts = {
        "summary": rule.summary,
        "description": rule.description,
        "runbook_url": rule.runbook,
        "dashboard_url": rule.dashboard,
    }
    return {name: text for name, text in texts.items() if text}


def _health(status: RuleStatus) -> str:
    if status.error:
        return "err"
    return "unknown" if status.last_evaluation is None or status.rule.mode is Mode.OFF else "ok"


def _by_tier(alerts: Iterable[Alert]) -> dict[tuple[str, Severity], list[Alert]]:
    found: dict[tuple[str, Severity], list[Alert]] = defaultdict(list)
    for alert in alerts:
        if alert.state is not State.QUIET:
            found[alert.rule, alert.severity].append(alert)
    return found


def _time(at: float) -> str:
    return rfc3339(at) if at else NEVER


def go_number(value: float | None) -> str:
    """Return a number as Prometheus writes it in an alert: `9.31e+01`, `NaN`, `+Inf`."""
    if value is None or math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, exponent = f"{Decimal(repr(value)).normalize():e}".split("e")
    return f"{mantissa}e{int(exponent):+03d}"
