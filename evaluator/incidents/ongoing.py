"""What one evaluation changes for an incident that goes on: who joins and leaves, how bad it is, whether it is seen.

This module knows one incident that neither opens nor closes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from evaluator.engine.alerts import Alert, AlertKey, State, Verdict
from evaluator.engine.evaluate import Transition
from evaluator.engine.missing import missing_after
from evaluator.engine.rules import Severity
from evaluator.incidents import timeline
from evaluator.incidents.announce import announce_changed, announce_raised
from evaluator.incidents.changes import Changes
from evaluator.incidents.flapping import flaps
from evaluator.incidents.incident import Event, EventKind, Incident
from evaluator.incidents.messages import told_of, worst_of
from evaluator.incidents.occasion import Occasion
from evaluator.incidents.sight import look_at, unseen_because


@dataclass(frozen=True, slots=True)
class Course:
    """What there is to know of an incident after an evaluation in which it stays open."""

    before: Incident
    alerts: Sequence[Alert]
    """All of its group that are firing or recovering, the worst first."""
    news: Sequence[Alert]
    """Those that join or raise: they breach in this evaluation, and nothing mutes them."""
    held: Collection[AlertKey]
    """Those that would join or raise if nothing muted them."""
    worst_before: Severity | None
    """The worst of the group's alerts before the evaluation."""
    steps: Sequence[Transition]
    """What the group's alerts did in it."""
    muted: str
    """What keeps all of it from being raised, for people; empty: nothing does."""


def gone_on(occasion: Occasion, course: Course) -> Changes:
    """Return what changes."""
    given, before, rule = occasion.given, course.before, occasion.rule
    rows = occasion.world.deliveries_of(before.id)
    changes = Changes()
    flapping = flaps(occasion.world, rule, before.group, given.now)
    incident = replace(_seen_now(occasion, course), muted=course.muted, flapping=flapping)
    joined = sorted({alert.series for alert in course.news} - set(before.members))
    left = sorted(set(before.members) - set(incident.members))
    lowered = _lowered(course)
    heard = _heard(course, incident)
    worst = min((alert.severity for alert in course.news), default=before.severity)
    if worst.worse_than(before.severity):
        incident = told_of(replace(incident, severity=worst, updated_at=given.now), rule, heard)
        text = f"raised from {before.severity} to {incident.severity}: {incident.why}"
        changes.events.append(Event(incident.id, given.now, EventKind.RAISED, text))
        changes.deliveries.update({row.id: row for row in announce_raised(incident, rows, given)})
    elif joined or left or lowered or flapping is not before.flapping:
        incident = told_of(replace(incident, updated_at=given.now), rule, heard)
        changes.deliveries.update({row.id: row for row in announce_changed(incident, rows, given)})
    changes.events += timeline.joined(incident, joined, given.now)
    changes.events += timeline.lowered(incident, lowered, given.now)
    changes.events += timeline.left(incident, left, course.steps, given.now)
    changes.events += timeline.moved(incident, rule, course.steps, given.now)
    changes.events += timeline.flapping(incident, rule.flapping, before=before.flapping, now=given.now)
    changes.events += timeline.muted(before, incident, given.now)
    sight = look_at(
        before,
        incident,
        missing_after(rule),
        unseen_because(occasion.failure, course.alerts),
        occasion.world,
        given,
    )
    incident = sight.incident
    changes.add(sight.changes)
    if incident != before:
        changes.incidents[incident.id] = incident
    return changes


def _seen_now(occasion: Occasion, course: Course) -> Incident:
    """Return the incident with the title, the value, the members and the sight of now."""
    before, rule = course.before, occasion.rule
    still = {alert.series for alert in course.alerts}
    # A series that fires again, but may not join in this evaluation, is no member before it does.
    members = {series for series in before.members if series in still} | {alert.series for alert in course.news}
    incident = replace(before, members=tuple(sorted(members)))
    heard = _heard(course, incident)
    worst = worst_of(rule, heard)
    shown = told_of(incident, rule, heard)
    fresh = any(alert.state is State.FIRING and alert.verdict is Verdict.BREACH for alert in heard)
    return replace(
        incident,
        # What has recovered is told by the value; the title goes on saying what was wrong.
        title=shown.title if fresh else before.title,
        value=worst.alert.value if worst else before.value,
        limit=shown.limit,
        known_at=max(before.known_at, *(alert.known for alert in course.alerts)),
    )


def _heard(course: Course, incident: Incident) -> Sequence[Alert]:
    """Return the alerts that speak for an incident: what is held back does not."""
    members = set(incident.members)
    return [
        alert for alert in course.alerts if alert.series in members and alert.key not in course.held
    ] or course.alerts


def _lowered(course: Course) -> Severity | None:
    """Return the severity that is left, where a worse one is over that the incident had."""
    if course.worst_before is None:
        return None
    was = max(course.worst_before, course.before.severity)
    now_worst = course.alerts[0].severity
    return now_worst if was.worse_than(now_worst) else None
