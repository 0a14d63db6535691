"""From alerts to incidents: open, join, raise, close, and what must be sent for it.

This module looks at one rule at a time, after each of its evaluations. What opens, joins or raises must be a *breach*
of *this* evaluation that nothing mutes; what closes needs only that nothing is firing or recovering any more.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evaluator.engine.alerts import Alert, AlertKey, State
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.rules import Rule, Severity
from evaluator.engine.samples import Series
from evaluator.incidents import timeline
from evaluator.incidents.announce import announce_opened
from evaluator.incidents.changes import Changes
from evaluator.incidents.closing import close
from evaluator.incidents.flapping import flaps
from evaluator.incidents.grouping import by_group, group_of
from evaluator.incidents.incident import CloseReason, Incident, IncidentState
from evaluator.incidents.messages import reason_text, told_of, worst_of
from evaluator.incidents.muting import MuteKind, Mutes, Muting, texts_of
from evaluator.incidents.occasion import Occasion
from evaluator.incidents.ongoing import Course, gone_on
from evaluator.incidents.sight import unseen_because
from evaluator.incidents.silencing import after_evaluation
from evaluator.incidents.storms import Storms

_CLOSE_REASONS = {
    Cause.JUDGED: CloseReason.RECOVERED,
    Cause.EDITED: CloseReason.EDITED,
    Cause.GONE: CloseReason.GONE,
    Cause.SEEN: CloseReason.SEEN,
    Cause.FORGOTTEN: CloseReason.FORGOTTEN,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What an evaluation means for incidents."""

    changes: Changes
    held: Mapping[AlertKey, Mutes] = field(default_factory=dict)
    """What would open, join or raise in this evaluation, and what holds it back."""


def decide(occasion: Occasion) -> Decision:
    """Return what an evaluation means for the rule's incidents, for storms and for silences."""
    world, rule, now = occasion.world, occasion.rule, occasion.given.now
    changes = Changes(silences=after_evaluation(world, rule.name, occasion.book.values(), now))
    groups = by_group(rule, (alert for alert in occasion.book.values() if alert.active))
    incidents = {incident.group: incident for incident in world.open_incidents(rule.name)}
    if not (groups or incidents or world.index.caught(rule.name)):
        if world.held.get(rule.name):
            changes.held[rule.name] = {}
        return Decision(changes)
    work = _Round(occasion, groups, incidents)
    work.run()
    changes.add(work.changes)
    remembered = work.remembered()
    if remembered != world.held.get(rule.name, {}):
        changes.held[rule.name] = remembered
    return Decision(changes, work.held)


class _Round:
    """The work on one evaluation of a rule of which anything is, or was, wrong."""

    def __init__(
        self, occasion: Occasion, groups: Mapping[Series, list[Alert]], incidents: Mapping[Series, Incident]
    ) -> None:
        self.occasion = occasion
        self.groups = groups
        self.incidents = incidents
        self.changes = Changes()
        self.held: dict[AlertKey, Mutes] = {}
        self._now = occasion.given.now
        self._muting = Muting(occasion.world, occasion.rules, occasion.rule, self._now)
        self._storms = Storms(occasion.world, occasion.given)
        self._caught = occasion.world.index.caught(occasion.rule.name)
        self._before = occasion.world.held.get(occasion.rule.name, {})
        self._told = {*incidents, *self._caught}
        """The groups of which people know."""

    def run(self) -> None:
        steps, worst_before = self._steps(), self._worst_before()
        for group in sorted(self.groups.keys() | self.incidents.keys()):
            alerts, incident = self.groups.get(group, []), self.incidents.get(group)
            if incident is None:
                self._begin(group, alerts)
            elif not alerts:
                reason = _close_reason(steps.get(group, ()))
                self.changes.add(close(incident, reason, self.occasion.world, self.occasion.given))
            else:
                course = self._course(incident, alerts, steps.get(group, ()), worst_before.get(group))
                self.changes.add(gone_on(self.occasion, course))
        self._look_at_caught(steps)
        self.changes.add(self._storms.changes())

    def remembered(self) -> dict[AlertKey, str]:
        """Return what is held back from opening, with what held it back last."""
        remembered = {}
        for key, mutes in self.held.items():
            if group_of(self.occasion.rule, key.series) not in self._told:
                remembered[key] = texts_of(mutes)
        for key, text in self._before.items():
            alert = self.occasion.book.get((key.severity, key.series))
            firing = alert is not None and alert.state is State.FIRING
            # In an evaluation that sees nothing, nothing is held back, but what was is not forgotten.
            if key not in remembered and firing and group_of(self.occasion.rule, key.series) not in self._told:
                remembered[key] = text
        return remembered

    def _begin(self, group: Series, alerts: Sequence[Alert]) -> None:
        """Open what has no incident of its own, if it may; or let a storm take it."""
        breaching = [alert for alert in alerts if self.occasion.breaches(alert)]
        if not breaching:
            return
        found = self._caught.get(group)
        if found is not None:
            breaching = [alert for alert in breaching if alert.severity.worse_than(found.caught.severity)]
            free = self._unmuted(breaching, ())
            if free:
                self._storms.worsen(found, _worst(free))
            return
        free = self._unmuted(breaching, self._muting.respite(group))
        if not free:
            return
        self._told.add(group)
        if self._storms.rages(self.occasion.rule):
            self._storms.join(self.occasion.rule, group, _worst(free))
        else:
            self._storms.opened()
            self.changes.add(self._opened(group, free))

    def _unmuted(self, alerts: Sequence[Alert], respite: Mutes) -> list[Alert]:
        """Return the alerts that nothing mutes, and note what mutes the others."""
        free = []
        for alert in alerts:
            mutes = (*self._muting.of(alert), *respite)
            if mutes:
                self.held[alert.key] = mutes
            else:
                free.append(alert)
        return free

    def _opened(self, group: Series, free: Sequence[Alert]) -> Changes:
        rule, given = self.occasion.rule, self.occasion.given
        worst = _worst(free)
        incident = Incident(
            id=given.ids(),
            rule=rule.name,
            group=group,
            service=rule.service,
            severity=worst.severity,
            state=IncidentState.OPEN,
            opened_at=given.now,
            active_at=min(alert.active_at for alert in free),
            updated_at=given.now,
            title=rule.name,
            why=worst.reason,
            value=worst.value,
            members=tuple(sorted({alert.series for alert in free})),
            known_at=worst.known,
            flapping=flaps(self.occasion.world, rule, group, given.now, opening=1),
        )
        incident = told_of(incident, rule, free)
        rows = announce_opened(incident, [], given)
        held = {self._before[alert.key] for alert in free if alert.key in self._before}
        events = [timeline.opened(incident, _reason(rule, free), held, given.now)]
        events += timeline.flapping(incident, rule.flapping, before=False, now=given.now)
        return Changes(incidents={incident.id: incident}, events=events, deliveries={row.id: row for row in rows})

    def _course(
        self, incident: Incident, alerts: Sequence[Alert], steps: Sequence[Transition], worst_before: Severity | None
    ) -> Course:
        members = set(incident.members)
        news = [
            alert
            for alert in alerts
            if self.occasion.breaches(alert)
            and (alert.series not in members or alert.severity.worse_than(incident.severity))
        ]
        free = self._unmuted(news, ())
        return Course(incident, alerts, free, self.held.keys(), worst_before, steps, self._muted(alerts))

    def _muted(self, alerts: Sequence[Alert]) -> str:
        """Return what mutes an open incident, in the words of its worst alert; empty: not all alerts are muted."""
        text = ""
        for alert in alerts:
            # What waits was there before the incident, or will be told in a moment.
            mutes = [mute for mute in self._muting.of(alert) if mute.kind is not MuteKind.WAITING]
            if not mutes:
                return ""
            text = text or texts_of(mutes)
        return text

    def _look_at_caught(self, steps: Mapping[Series, Sequence[Transition]]) -> None:
        """Let storms have what they must know of the rule's groups."""
        seen = []
        for group, found in self._caught.items():
            alerts = self.groups.get(group)
            if alerts is None:
                self._storms.leave(found, _close_reason(steps.get(group, ())))
            else:
                seen.extend(alerts)
        if seen:
            why = unseen_because(self.occasion.failure, seen)
            self._storms.look(self.occasion.rule, self.occasion.rules, seen, why)

    def _steps(self) -> dict[Series, list[Transition]]:
        """Return what the alerts of groups of which people know did in this evaluation."""
        steps: defaultdict[Series, list[Transition]] = defaultdict(list)
        if self._told:
            for step in self.occasion.evaluation.transitions:
                steps[group_of(self.occasion.rule, step.alert.series)].append(step)
        return steps

    def _worst_before(self) -> dict[Series, Severity]:
        """Return the worst severity that groups with an incident had before this evaluation."""
        worst: dict[Series, Severity] = {}
        if self.incidents:
            for alert in self.occasion.world.book(self.occasion.rule.name).values():
                if alert.active:
                    group = group_of(self.occasion.rule, alert.series)
                    worst[group] = min(worst.get(group, alert.severity), alert.severity)
        return worst


def _worst(alerts: Sequence[Alert]) -> Alert:
    return min(alerts, key=lambda alert: (alert.severity, alert.active_at, alert.series))


def _reason(rule: Rule, alerts: Sequence[Alert]) -> str:
    worst = worst_of(rule, alerts)
    return reason_text(worst.alert if worst is not None else alerts[0])


def _close_reason(steps: Sequence[Transition]) -> CloseReason:
    """Return why a group ended: what its last alerts ended of; recovery where any of them has recovered."""
    causes = {
        step.cause
        for step in steps
        if step.before in (State.FIRING, State.RECOVERING) and step.alert.state is State.QUIET
    }
    return next((_CLOSE_REASONS[cause] for cause in _CLOSE_REASONS if cause in causes), CloseReason.RECOVERED)
