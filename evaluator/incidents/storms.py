"""Many openings of one service at once: the rest join one incident, the storm.

This module gathers what joins, leaves and gets worse, for one rule or for many, and then makes the storms of it. Which
groups those are is decided elsewhere.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from evaluator.engine.alerts import Alert
from evaluator.engine.damping import Storm
from evaluator.engine.missing import missing_after
from evaluator.engine.rules import Rule, RuleSet
from evaluator.engine.samples import Series
from evaluator.incidents.announce import Circumstances, announce_changed, announce_opened, announce_raised
from evaluator.incidents.changes import Changes
from evaluator.incidents.closing import close
from evaluator.incidents.incident import STORM, Caught, CloseReason, Event, EventKind, Incident, IncidentState
from evaluator.incidents.index import InStorm
from evaluator.incidents.messages import CLOSE_SENTENCES, caught_text, listed_caught, storm_title
from evaluator.incidents.sight import look_at
from evaluator.incidents.world import World

KNOWN_EVERY = 600.0
"""Seconds: when anything of a storm was last known is written no more often than this, since a storm may be large."""


@dataclass(frozen=True, slots=True)
class _Joining:
    """What a storm takes in, or what gets worse in it."""

    caught: Caught
    alert: Alert
    """Its worst."""

    @property
    def text(self) -> str:
        """What it is, for people."""
        return f"{caught_text(self.caught)}: {self.alert.reason}"


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is known of a storm after an evaluation of one of its rules."""

    known_at: float
    missing: float
    """Seconds after which nothing counts as known."""
    why: str
    """Why nothing is known, where that is so."""


@dataclass(slots=True)
class _Edit:
    """What changes for one storm."""

    joined: list[_Joining] = field(default_factory=list)
    worse: list[_Joining] = field(default_factory=list)
    left: dict[Caught, CloseReason] = field(default_factory=dict)
    renamed: dict[Caught, tuple[Caught, ...]] = field(default_factory=dict)
    """What stays under other names, since its rule was edited."""
    sight: _Sight | None = None

    def worst(self) -> _Joining:
        """Return the worst of what joined or got worse."""
        return min((*self.joined, *self.worse), key=lambda joining: _order(joining.caught))

    def applied_to(self, caught: tuple[Caught, ...]) -> tuple[Caught, ...]:
        """Return what the storm has then."""
        if not (self.joined or self.worse or self.left or self.renamed):
            return caught
        found = {(each.rule, each.group): each for each in caught if each not in self.left and each not in self.renamed}
        for each in (each for renamed in self.renamed.values() for each in renamed):
            known = found.get((each.rule, each.group))
            if known is None or each.severity.worse_than(known.severity):
                found[each.rule, each.group] = each
        for joining in (*self.joined, *self.worse):
            found[joining.caught.rule, joining.caught.group] = joining.caught
        return in_order(found.values())

    def known_at(self, before: Incident) -> float:
        """Return since when nothing of the storm is known, as it is written down."""
        known = max((joining.alert.known for joining in self.joined), default=before.known_at)
        seen = self.sight.known_at if self.sight is not None else before.known_at
        return max(known, seen) if max(known, seen) - before.known_at >= KNOWN_EVERY else before.known_at

    def news(self, incident: Incident, now: float) -> list[Event]:
        """Return the lines of what joined and left."""
        events = []
        if self.joined:
            names = listed_caught(in_order(joining.caught for joining in self.joined))
            events.append(Event(incident.id, now, EventKind.JOINED, f"caught: {'; '.join(names)}"))
        for reason in sorted(set(self.left.values())):
            names = listed_caught(in_order(each for each, why in self.left.items() if why is reason))
            text = f"{CLOSE_SENTENCES[reason]}: {'; '.join(names)}"
            events.append(Event(incident.id, now, EventKind.LEFT, text))
        return events


class Storms:
    """Changes of storms, gathered first and then made all at once."""

    def __init__(self, world: World, given: Circumstances) -> None:
        """Begin with the storms that are open."""
        self._world = world
        self._given = given
        self._open = {incident.service: incident for incident in world.open_incidents(STORM)}
        self._edits: defaultdict[str, _Edit] = defaultdict(_Edit)
        self._opened = 0
        self._known: int | None = None

    def rages(self, rule: Rule) -> bool:
        """Return whether what a rule would open now joins a storm. Of one rule only, as `opened` is."""
        if rule.storm is None:
            return False
        if self._known is None:
            self._known = self._openings(rule.service, rule.storm)
        return self._known + self._opened >= rule.storm.opens

    def opened(self) -> None:
        """Note that the rule opened an incident of its own."""
        self._opened += 1

    def join(self, rule: Rule, group: Series, worst: Alert) -> None:
        """Take a group in instead of opening an incident of its own."""
        caught = Caught(rule.name, group, worst.severity, self._given.now)
        self._edits[rule.service].joined.append(_Joining(caught, worst))

    def worsen(self, found: InStorm, worst: Alert) -> None:
        """Note that what was caught got worse."""
        caught = replace(found.caught, severity=worst.severity)
        self._edits[found.service].worse.append(_Joining(caught, worst))

    def leave(self, found: InStorm, reason: CloseReason) -> None:
        """Note that a caught group is over, or is no storm's business any more."""
        self._edits[found.service].left[found.caught] = reason

    def rename(self, found: InStorm, renamed: Sequence[Caught]) -> None:
        """Put other groups in the place of one, after an edit of its rule; none: it leaves."""
        if not renamed:
            self.leave(found, CloseReason.EDITED)
        elif list(renamed) != [found.caught]:
            self._edits[found.service].renamed[found.caught] = tuple(renamed)

    def look(self, rule: Rule, rules: RuleSet, alerts: Sequence[Alert], why: str) -> None:
        """Note what is known now of what storms have of a rule; `why` says why nothing is."""
        known = max(alert.known for alert in alerts)
        # A storm is as blind as the slowest of its rules is.
        others = [each for each in map(rules.get, self._world.index.caught_rules()) if each is not None]
        missing = max(missing_after(each) for each in (rule, *others)) + KNOWN_EVERY
        for service in {found.service for found in self._world.index.caught(rule.name).values()}:
            self._edits[service].sight = _Sight(known, missing, why)

    def changes(self) -> Changes:
        """Return all of it."""
        changes = Changes()
        for service, edit in self._edits.items():
            before = self._open.get(service)
            changes.add(self._begun(service, edit) if before is None else self._gone_on(before, edit))
        return changes

    def _openings(self, service: str, storm: Storm) -> int:
        now = self._given.now
        known = self._open.get(service)
        caught = known.caught if known is not None else ()
        recent = sum(now - storm.within < each.at <= now for each in caught)
        return self._world.index.openings(service, storm.within, now) + recent

    def _begun(self, service: str, edit: _Edit) -> Changes:
        """Open a storm."""
        now = self._given.now
        worst = edit.worst()
        text = f"too many alerts of {service} opened at once, so the rest joins this one; the worst is {worst.text}"
        incident = Incident(
            id=self._given.ids(),
            rule=STORM,
            group=(("service", service),),
            service=service,
            severity=worst.caught.severity,
            state=IncidentState.OPEN,
            opened_at=now,
            active_at=min(joining.alert.active_at for joining in edit.joined),
            updated_at=now,
            title="",
            why=text,
            known_at=max(joining.alert.known for joining in edit.joined),
            caught=in_order(joining.caught for joining in edit.joined),
        )
        incident = replace(incident, title=storm_title(incident))
        rows = announce_opened(incident, [], self._given)
        events = [
            Event(incident.id, now, EventKind.OPENED, f"opened as {incident.severity}: {text}"),
            Event(incident.id, now, EventKind.JOINED, f"caught: {'; '.join(listed_caught(incident.caught))}"),
        ]
        return Changes(incidents={incident.id: incident}, events=events, deliveries={row.id: row for row in rows})

    def _gone_on(self, before: Incident, edit: _Edit) -> Changes:
        """Change a storm, or end it."""
        world, given = self._world, self._given
        caught = edit.applied_to(before.caught)
        if not caught:
            reasons = set(edit.left.values())
            reason = reasons.pop() if len(reasons) == 1 else CloseReason.RECOVERED
            changes = Changes(events=edit.news(before, given.now))
            changes.add(close(replace(before, caught=()), reason, world, given))
            return changes
        incident = replace(before, caught=caught, known_at=edit.known_at(before))
        changes = Changes(events=edit.news(incident, given.now))
        incident = replace(incident, title=storm_title(incident))
        rows = world.deliveries_of(before.id)
        worst = edit.worst() if edit.joined or edit.worse else None
        if worst is not None and worst.caught.severity.worse_than(before.severity):
            incident = replace(
                incident, severity=worst.caught.severity, why=f"the worst is {worst.text}", updated_at=given.now
            )
            text = f"raised from {before.severity} to {incident.severity}: {incident.why}"
            changes.events.append(Event(incident.id, given.now, EventKind.RAISED, text))
            changes.deliveries.update({row.id: row for row in announce_raised(incident, rows, given)})
        elif caught != before.caught:
            incident = replace(incident, updated_at=given.now)
            changes.deliveries.update({row.id: row for row in announce_changed(incident, rows, given)})
        if edit.sight is not None:
            sight = look_at(before, incident, edit.sight.missing, edit.sight.why, world, given)
            incident = sight.incident
            changes.add(sight.changes)
        if incident != before:
            changes.incidents[incident.id] = incident
        return changes


def in_order(caught: Iterable[Caught]) -> tuple[Caught, ...]:
    """Return what a storm has in the order in which people read it: the worst first."""
    return tuple(sorted(caught, key=_order))


def _order(caught: Caught) -> tuple[str, str, Series]:
    return caught.severity.value, caught.rule, caught.group
