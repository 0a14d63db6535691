"""From alerts to incidents: open, join, raise, close, and what must be sent for it.

This module looks at one rule at a time, after each of its evaluations. What opens, joins or raises must be a *breach*
of *this* evaluation; what closes needs only that nothing is firing or recovering any more.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluator.engine.alerts import Alert, State, Verdict
from evaluator.engine.evaluate import Cause, Evaluation
from evaluator.engine.missing import missing_after
from evaluator.engine.rules import Mode, Rule, RuleSet, Severity
from evaluator.engine.samples import Series
from evaluator.incidents.announce import (
    Circumstances,
    announce_changed,
    announce_closed,
    announce_opened,
    announce_raised,
    notice,
)
from evaluator.incidents.changes import Changes
from evaluator.incidents.grouping import by_group, group_of
from evaluator.incidents.incident import CloseReason, Event, EventKind, Incident, IncidentState
from evaluator.incidents.messages import closed_text, listed_series, message_of, time_text, told_of, worst_of
from evaluator.incidents.world import Book, World

BLIND_TOLD_AFTER = 86_400.0
"""Seconds of blindness after which a person is told of it, once."""

HUMAN_RESPITE = 1_800.0
"""Seconds for which a human's resolve is respected although the breach goes on."""

NO_OTHERS = RuleSet()
"""A rule set in which nothing mutes or inhibits."""

_CLOSE_REASONS = {
    Cause.JUDGED: CloseReason.RECOVERED,
    Cause.EDITED: CloseReason.EDITED,
    Cause.GONE: CloseReason.GONE,
    Cause.FORGOTTEN: CloseReason.FORGOTTEN,
}


@dataclass(frozen=True, slots=True)
class Occasion:
    """What is decided about: a rule, its alerts after the evaluation, and the evaluation itself."""

    world: World
    """As it was before the evaluation."""
    rule: Rule
    book: Book
    evaluation: Evaluation
    live: bool
    """Whether the evaluation is of now; what is judged from history may close, but not open, join or raise."""
    given: Circumstances
    rules: RuleSet = NO_OTHERS
    """The rule set in force."""


def decide(occasion: Occasion) -> Changes:
    """Return what an evaluation means for the rule's incidents."""
    changes = Changes()
    rule = occasion.rule
    groups = by_group(rule, (alert for alert in occasion.book.values() if alert.active))
    were = by_group(rule, (alert for alert in occasion.world.book(rule.name).values() if alert.active))
    incidents = {incident.group: incident for incident in occasion.world.open_incidents(rule.name)}
    # Worked out once for all groups: thousands may open or close in one evaluation.
    respected = _respected(occasion) if groups.keys() - incidents.keys() else frozenset()
    reasons = _close_reasons(occasion)
    for group in sorted(groups.keys() | incidents.keys()):
        alerts, incident = groups.get(group, []), incidents.get(group)
        breaching = [alert for alert in alerts if _breaches_now(alert, occasion)]
        if incident is None:
            if breaching and rule.mode is Mode.PAGE and group not in respected:
                changes.add(_open(occasion, group, alerts, breaching))
        elif not alerts:
            reason = reasons.get(group, CloseReason.RECOVERED)
            changes.add(close(incident, reason, occasion.world, occasion.given))
        else:
            worst_before = min((alert.severity for alert in were.get(group, ())), default=None)
            changes.add(_go_on(occasion, incident, alerts, breaching, worst_before))
    return changes


def close(incident: Incident, reason: CloseReason, world: World, given: Circumstances) -> Changes:
    """Return what closing an incident changes: the row, the timeline, and an end for everybody who was told."""
    closed = replace(
        incident,
        state=IncidentState.RESOLVED,
        closed_at=given.now,
        updated_at=given.now,
        close_reason=reason,
        members=(),
    )
    rows = announce_closed(closed, world.deliveries_of(incident.id), given)
    event = Event(incident.id, given.now, EventKind.RESOLVED, f"closed: {closed_text(closed)}")
    changes = Changes(incidents={closed.id: closed}, events=[event], deliveries={row.id: row for row in rows})
    if not any(row.told or row.accepted or row.claimed for row in world.deliveries_of(incident.id)):
        text = "it ended before anybody had been told of it, so nothing is sent"
        changes.events.append(Event(incident.id, given.now, EventKind.DROPPED, text))
    return changes


def _open(occasion: Occasion, group: Series, alerts: Sequence[Alert], breaching: Sequence[Alert]) -> Changes:
    rule, given = occasion.rule, occasion.given
    worst = min(breaching, key=lambda alert: (alert.severity, alert.active_at, alert.series))
    incident = Incident(
        id=given.ids(),
        rule=rule.name,
        group=group,
        service=rule.service,
        severity=worst.severity,
        state=IncidentState.OPEN,
        opened_at=given.now,
        active_at=min(alert.active_at for alert in breaching),
        updated_at=given.now,
        title=rule.name,
        why=worst.reason,
        value=worst.value,
        members=_members(alerts),
        known_at=worst.known,
    )
    incident = told_of(incident, rule, alerts)
    rows = announce_opened(incident, [], given)
    opened = Event(incident.id, given.now, EventKind.OPENED, f"opened as {incident.severity}: {incident.why}")
    return Changes(incidents={incident.id: incident}, events=[opened], deliveries={row.id: row for row in rows})


def _go_on(
    occasion: Occasion,
    before: Incident,
    alerts: Sequence[Alert],
    breaching: Sequence[Alert],
    worst_before: Severity | None,
) -> Changes:
    """Return what changes for an incident that stays open."""
    given = occasion.given
    rows = occasion.world.deliveries_of(before.id)
    changes = Changes()
    incident = _seen_now(before, occasion.rule, alerts)
    worst = min(breaching, key=lambda alert: alert.severity, default=None)
    joined = sorted({alert.series for alert in breaching} - set(before.members))
    left = sorted(set(before.members) - set(incident.members))
    now_worst = min(alert.severity for alert in alerts)
    lowered = now_worst if worst_before is not None and worst_before.worse_than(now_worst) else None
    if worst is not None and worst.severity.worse_than(before.severity):
        raised = replace(incident, severity=worst.severity, updated_at=given.now)
        incident = told_of(raised, occasion.rule, alerts)
        text = f"raised from {before.severity} to {incident.severity}: {incident.why}"
        changes.events.append(Event(incident.id, given.now, EventKind.RAISED, text))
        changes.deliveries.update({row.id: row for row in announce_raised(incident, rows, given)})
    elif joined or left or lowered:
        incident = told_of(replace(incident, updated_at=given.now), occasion.rule, alerts)
        changes.deliveries.update({row.id: row for row in announce_changed(incident, rows, given)})
    changes.events.extend(_news(incident, joined, left, lowered, given.now))
    incident, blindness = _blindness(occasion, incident)
    changes.add(blindness)
    if incident != before:
        changes.incidents[incident.id] = incident
    return changes


def _seen_now(before: Incident, rule: Rule, alerts: Sequence[Alert]) -> Incident:
    """Return the incident with the title, the value, the members and the sight of now."""
    worst = worst_of(rule, alerts)
    shown = told_of(before, rule, alerts)
    still = {alert.series for alert in alerts}
    # A series that fires again, but does not breach in this evaluation, is no member before it does.
    members = tuple(series for series in before.members if series in still)
    fresh = {alert.series for alert in alerts if alert.state is State.FIRING and alert.verdict is Verdict.BREACH}
    return replace(
        before,
        # What has recovered is told by the value; the title goes on saying what was wrong.
        title=shown.title if fresh else before.title,
        value=worst.alert.value if worst else before.value,
        limit=shown.limit,
        members=tuple(sorted({*members, *fresh})),
        known_at=max(before.known_at, *(alert.known for alert in alerts)),
    )


def _news(
    incident: Incident, joined: Sequence[Series], left: Sequence[Series], lowered: Severity | None, now: float
) -> list[Event]:
    events = []
    if joined:
        text = f"joined: {'; '.join(listed_series(joined, incident.rule))}"
        events.append(Event(incident.id, now, EventKind.JOINED, text))
    if lowered:
        text = f"only {lowered} is left: {incident.why}; the incident stays {incident.severity}"
        events.append(Event(incident.id, now, EventKind.LOWERED, text))
    if left:
        text = f"recovered: {'; '.join(listed_series(left, incident.rule))}"
        events.append(Event(incident.id, now, EventKind.LEFT, text))
    return events


def _blindness(occasion: Occasion, incident: Incident) -> tuple[Incident, Changes]:
    """Tell a person, once, of an incident of which nothing has been known for a day, and say when sight is back."""
    given, changes = occasion.given, Changes()
    # What is told once a day, and late, is not blind in between.
    blind = given.now - incident.known_at >= max(BLIND_TOLD_AFTER, missing_after(occasion.rule))
    if not blind and incident.blind_told:
        changes.events.append(Event(incident.id, given.now, EventKind.SIGHTED, "its series can be seen again"))
        return replace(incident, blind_told=False), changes
    if not blind or incident.blind_told:
        return incident, changes
    text = (
        f"nothing has been known of it since {time_text(incident.known_at)}, so it stays open; "
        f"if it is over, close it with: evaluator resolve {incident.id}"
    )
    changes.events.append(Event(incident.id, given.now, EventKind.BLIND, text))
    incident = replace(incident, blind_told=True, why=text, updated_at=given.now)
    rows = occasion.world.deliveries_of(incident.id)
    told = announce_changed(incident, rows, given)
    told.append(notice(given.routes.fallback(incident.service), message_of(incident, given.now), rows, given))
    changes.deliveries.update({row.id: row for row in told})
    return incident, changes


def _breaches_now(alert: Alert, occasion: Occasion) -> bool:
    """Return whether an alert may open, join or raise: it fires, and this evaluation saw the breach."""
    return (
        occasion.live
        and alert.state is State.FIRING
        and alert.verdict is Verdict.BREACH
        and alert.judged == occasion.given.now
    )


def _members(alerts: Sequence[Alert]) -> tuple[Series, ...]:
    return tuple(sorted({alert.series for alert in alerts}))


def _respected(occasion: Occasion) -> frozenset[Series]:
    """Return the groups whose last incident a human resolved so recently that it is not opened again."""
    return frozenset(
        ended.group
        for ended in occasion.world.ended_incidents()
        if ended.close_reason is CloseReason.RESOLVED_BY_HUMAN
        and ended.rule == occasion.rule.name
        and ended.closed_at is not None
        and occasion.given.now - ended.closed_at < HUMAN_RESPITE
    )


def _close_reasons(occasion: Occasion) -> dict[Series, CloseReason]:
    """Return why groups ended: what their last alerts ended of; recovery where any of them has recovered."""
    causes: defaultdict[Series, set[Cause]] = defaultdict(set)
    for transition in occasion.evaluation.transitions:
        if transition.before in (State.FIRING, State.RECOVERING) and transition.alert.state is State.QUIET:
            causes[group_of(occasion.rule, transition.alert.series)].add(transition.cause)
    return {
        group: next(_CLOSE_REASONS[cause] for cause in _CLOSE_REASONS if cause in found)
        for group, found in causes.items()
    }
