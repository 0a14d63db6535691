"""What a person must know at a glance, worked out once from a snapshot: for the page, the API and the terminal.

This module decides what is shown, in which order and how much of it. It never knows HTML or a terminal.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from evaluator.engine.alerts import Alert, State
from evaluator.engine.rules import Mode, Rule
from evaluator.engine.samples import Series
from evaluator.engine.wording import healthy_text
from evaluator.incidents.incident import Incident
from evaluator.web.alerts import (
    ALERTS_SHOWN,
    TITLE_SHOWN,
    Active,
    left,
    muted_json,
    muted_of,
    pending_json,
    shadow_json,
)
from evaluator.web.incidents import blind_since, group_text, incident_json
from evaluator.web.quiet import learning_json, silences_json, windows_json
from evaluator.web.view import RuleStatus, Snapshot, SourceStatus
from evaluator.web.wording import count, rfc3339, shorten

Json = dict[str, Any]

INCIDENTS_SHOWN = 50
RESOLVED_SHOWN = 5
PROBLEMS_SHOWN = 20
SOURCES_SHOWN = 50
WARNINGS_SHOWN = 5


def picture(snapshot: Snapshot) -> Json:
    """Return the data of `/api/v1/status`; lists are cut, and `counts` has how many there are."""
    rules = {status.rule.name: status.rule for status in snapshot.rules}
    active: dict[tuple[str, Series], list[Alert]] = defaultdict(list)
    for alert in snapshot.alerts:
        if alert.active:
            active[alert.rule, alert.series].append(alert)
    opened = sorted((found for found in snapshot.incidents if found.open), key=lambda found: found.severity)
    resolved = [incident for incident in snapshot.incidents if not incident.open]
    pending = [alert for alert in snapshot.alerts if alert.state is State.PENDING]
    muted = muted_of(snapshot, rules, active)
    troubles = _troubles(snapshot)
    data: Json = {
        "instance": snapshot.instance,
        "version": snapshot.version,
        "now": rfc3339(snapshot.now),
        "timezone": snapshot.timezone,
        "started_at": rfc3339(snapshot.started_at),
        "last_checked": _optional(_last_checked(snapshot)),
        "ready": not snapshot.ready,
        "not_ready": list(snapshot.ready),
        "troubles": troubles,
        "counts": _counts(snapshot, opened, pending, muted),
        "incidents": [_open(incident, rules, active, snapshot.now) for incident in opened[:INCIDENTS_SHOWN]],
        "pending": pending_json(pending, rules, active, snapshot),
        "muted": muted_json(muted, rules, snapshot),
        "shadow": shadow_json(rules, active, snapshot),
        "silences": silences_json(snapshot),
        "windows": windows_json(snapshot),
        "learning": learning_json(snapshot),
        "resolved": [incident_json(incident, snapshot.now) for incident in resolved[:RESOLVED_SHOWN]],
        "sources": [_source(source, _warnings(snapshot, source)) for source in snapshot.sources[:SOURCES_SHOWN]],
        "blind_rules": _blind(snapshot),
        "problems": [
            {"where": problem.where, "message": shorten(problem.message, TITLE_SHOWN), "error": problem.error}
            for problem in sorted(snapshot.problems, key=lambda problem: not problem.error)[:PROBLEMS_SHOWN]
        ],
        "deliveries": {
            "pending": snapshot.backlog.pending,
            "refused": snapshot.backlog.refused,
            "oldest": _optional(snapshot.backlog.oldest),
        },
        "cannot_page": dict(sorted(snapshot.notes.items())),
    }
    data["level"], data["headline"] = _headline(data)
    return data


def _headline(data: Json) -> tuple[str, str]:
    """Return how bad it is (`incident`, `trouble`, `pending`, `quiet`) and one sentence."""
    counts = data["counts"]
    if counts["open"]:
        return "incident", count(counts["open"], "open incident")
    if data["troubles"]:
        return "trouble", "No open incident, but look at this"
    waiting = [f"{count(counts[kind], 'alert')} {kind}" for kind in ("pending", "muted") if counts[kind]]
    if waiting:
        return "pending", f"No open incident, {', '.join(waiting)}"
    return "quiet", f"All quiet: {count(counts['rules'], 'rule')} on {count(counts['sources'], 'source')}"


def _troubles(snapshot: Snapshot) -> list[str]:
    """Return one sentence for each thing that keeps the daemon from seeing or from telling, the worst first."""
    sentences = [f"Not ready: {reason}" for reason in snapshot.ready]
    if snapshot.backlog.refused:
        refused = count(snapshot.backlog.refused, "delivery was", "deliveries were")
        sentences.append(f"{refused} refused by the receiver: nobody may have been told")
    sentences += [f"Service {service} cannot page: {note}" for service, note in sorted(snapshot.notes.items())]
    down = [source.name for source in snapshot.sources if source.enabled and source.up is False]
    if down:
        sentences.append(f"{count(len(down), 'source does', 'sources do')} not answer: {', '.join(down)}")
    blind = len(_blind(snapshot, most=len(snapshot.rules)))
    if blind:
        sentences.append(f"{count(blind, 'rule gets', 'rules get')} no answer while the source is up")
    errors = sum(problem.error for problem in snapshot.problems)
    if errors:
        sentences.append(f"{count(errors, 'error')} in settings or rule files: the last good version is in force")
    if not any(status.rule.judged and not status.rule.built_in for status in snapshot.rules):
        sentences.append("Nothing is watched: no rule is in force")
    return [shorten(sentence, TITLE_SHOWN) for sentence in sentences]


def _counts(snapshot: Snapshot, opened: list[Incident], pending: list[Alert], muted: list[Alert]) -> Json:
    modes = [status.rule.mode for status in snapshot.rules if not status.rule.built_in]
    states = [alert.state for alert in snapshot.alerts]
    return {
        "open": len(opened),
        "pending": len(pending),
        "muted": len(muted),
        "firing": states.count(State.FIRING),
        "recovering": states.count(State.RECOVERING),
        "stale": sum(alert.stale for alert in snapshot.alerts),
        "rules": len(modes) - modes.count(Mode.OFF),
        "rules_shadow": modes.count(Mode.SHADOW),
        "rules_off": modes.count(Mode.OFF),
        "rules_learning": sum(bool(status.learned) for status in snapshot.rules),
        "silences": sum(silence.holds(snapshot.now) for silence in snapshot.silences),
        "windows": sum(status.until is not None for status in snapshot.windows),
        "rules_built_in": sum(status.rule.built_in and status.rule.judged for status in snapshot.rules),
        "sources": sum(source.enabled for source in snapshot.sources),
        "sources_down": sum(source.enabled and source.up is False for source in snapshot.sources),
        "problems": len(snapshot.problems),
        "resolved": sum(not incident.open for incident in snapshot.incidents),
    }


def _open(incident: Incident, rules: Mapping[str, Rule], active: Active, now: float) -> Json:
    alerts = [alert for series in incident.members for alert in active.get((incident.rule, series), ())]
    fields = incident_json(incident, now)
    fields["title"] = shorten(fields["title"], TITLE_SHOWN)
    fields["group_text"] = shorten(group_text(incident), TITLE_SHOWN)
    fields["blind_since"] = _optional(blind_since(incident, alerts))
    fields["closes_in"], fields["closes_if"] = _closing(rules.get(incident.rule), alerts, now)
    return fields


def _closing(rule: Rule | None, alerts: list[Alert], now: float) -> tuple[float | None, str]:
    """Return how long until the last of its alerts is quiet, and what must hold until then; `""`: not recovering."""
    if rule is None or not alerts or any(alert.state is State.FIRING for alert in alerts):
        return None, ""
    waits = [(left(alert, rule, now), rule.tier(alert.severity)) for alert in alerts]
    known = [wait for wait, _ in waits if wait is not None]
    tier = waits[0][1]
    condition = f"it stays {healthy_text(tier, rule.unit)}" if tier else ""
    return (max(known) if len(known) == len(waits) else None), condition


def _warnings(snapshot: Snapshot, source: SourceStatus) -> list[str]:
    """Return what a source had to say about the last answers to its rules, each sentence once."""
    said = {text: None for status in snapshot.rules if status.rule.source == source.name for text in status.warnings}
    return [shorten(text, TITLE_SHOWN) for text in list(said)[:WARNINGS_SHOWN]]


def _source(source: SourceStatus, warnings: list[str]) -> Json:
    return {
        "name": source.name,
        "type": source.type,
        "enabled": source.enabled,
        "up": source.up,
        "last_good": _optional(source.last_good),
        "last_poll": _optional(source.last_poll),
        "error": shorten(source.error, TITLE_SHOWN),
        "warnings": warnings,
        "rules": source.rules,
        "seconds": source.duration,
    }


def _blind(snapshot: Snapshot, most: int = ALERTS_SHOWN) -> list[Json]:
    """Return the rules whose own query fails while their source answers; a source that is down speaks for its rules."""
    down = {source.name for source in snapshot.sources if source.up is False}
    blind: list[RuleStatus] = [
        status for status in snapshot.rules if status.error and status.rule.judged and status.rule.source not in down
    ]
    return [
        {
            "rule": status.rule.name,
            "error": shorten(status.error, TITLE_SHOWN),
            "last_good": _optional(status.last_good),
        }
        for status in blind[:most]
    ]


def _last_checked(snapshot: Snapshot) -> float | None:
    rules = [status for status in snapshot.rules if not status.rule.built_in]
    times = [status.last_evaluation for status in rules if status.last_evaluation is not None]
    return max(times, default=None)


def _optional(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)
