"""What another rule set means for alerts and incidents that are there already, at a reload as at a start.

This module compares what each rule was when it was judged last with what it is now. A limit, `for` or text may change
without anything happening; what the alerts stand on (`Rule.identity`) may not.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from evaluator.engine.alerts import Alert, AlertKey
from evaluator.engine.rules import Mode, Rule, RuleSet, Severity
from evaluator.engine.samples import Series
from evaluator.engine.trail import Chunk
from evaluator.incidents.announce import Circumstances, announce_changed, live_triggers
from evaluator.incidents.changes import Changes, ChunkKey, Judged, SeriesKey
from evaluator.incidents.closing import close
from evaluator.incidents.deliveries import DeliveryState
from evaluator.incidents.grouping import belongs, group_of, part_of
from evaluator.incidents.incident import STORM, Caught, CloseReason, Event, EventKind, Incident
from evaluator.incidents.index import InStorm
from evaluator.incidents.routing import Routes
from evaluator.incidents.storms import Storms
from evaluator.incidents.world import World


def reload(
    world: World, rules: RuleSet, now: float, *, routes: Routes, instance: str, ids: Callable[[], str]
) -> Changes:
    """Return what the rule set changes. `world` is left as it is: the caller applies and commits."""
    given = Circumstances(now, routes, instance, ids)
    changes = _renewed_keys(world, given)
    storms = Storms(world, given)
    opened = {incident.rule for incident in world.open_incidents()} - {STORM}
    known = {*world.judged, *world.alerts, *opened, *world.index.caught_rules()}
    for name in sorted(known | set(rules.rules)):
        rule = rules.get(name)
        if rule is None:
            changes.add(_ended(world, name, CloseReason.REMOVED, storms, given))
            changes.chunks.update(_without_trails(world, name))
            changes.judged[name] = None
            continue
        changes.add(_changed(world, rule, storms, given))
        before = world.judged.get(name)
        mark = Judged(name, before.at if before else 0.0, rule.identity, rule.mode.value, _since(before, rule, now))
        if mark != before:
            changes.judged[name] = mark
    changes.add(storms.changes())
    return changes


def _since(before: Judged | None, rule: Rule, now: float) -> float:
    """Return since when the rule asks what it asks."""
    return before.since if before is not None and before.since and before.identity == rule.identity else now


def _changed(world: World, rule: Rule, storms: Storms, given: Circumstances) -> Changes:
    if rule.mode is Mode.OFF:
        return _ended(world, rule.name, CloseReason.OFF, storms, given)
    changes = Changes()
    if rule.mode is Mode.SHADOW:
        changes.add(_closed(world, rule.name, CloseReason.SHADOW, storms, given))
    before = world.judged.get(rule.name)
    if before is None or not before.identity or before.identity == rule.identity:
        return changes
    was = json.loads(before.identity)
    moves = _moves(was, rule)
    edit = _Edit.of(was, rule, moves)
    alerts = _moved_alerts(world, rule, moves, edit)
    changes.alerts.update(alerts)
    if edit.asks_anew:
        changes.chunks.update(_without_trails(world, rule.name))
    if edit.confirms:
        changes.series.update({SeriesKey(rule.name, series): None for series in world.remembered.get(rule.name, {})})
    if rule.mode is Mode.PAGE:
        after = [alert for alert in alerts.values() if alert is not None]
        changes.add(_rehomed(world, rule, after, moves, given))
        mine = {incident.id: incident for incident in world.open_incidents(rule.name)} | changes.incidents
        taken = {incident.group for incident in mine.values() if incident.open}
        for found, renamed in _renamed(world, was, rule, after, moves):
            storms.rename(found, [caught for caught in renamed if caught.group not in taken])
    return changes


def _ended(world: World, name: str, reason: CloseReason, storms: Storms, given: Circumstances) -> Changes:
    """End everything that a rule had."""
    changes = Changes(alerts={alert.key: None for alert in world.book(name).values()})
    changes.series.update({SeriesKey(name, series): None for series in world.remembered.get(name, {})})
    changes.add(_closed(world, name, reason, storms, given))
    return changes


def _closed(world: World, name: str, reason: CloseReason, storms: Storms, given: Circumstances) -> Changes:
    """Close what a rule has open, and let storms go what they have of it."""
    changes = Changes()
    for incident in world.open_incidents(name):
        changes.add(close(incident, reason, world, given))
    for found in world.index.caught(name).values():
        storms.leave(found, reason)
    return changes


def _without_trails(world: World, name: str) -> dict[ChunkKey, Chunk | None]:
    """Return the samples that a rule keeps as dropped: they say nothing of what it asks now."""
    return {
        ChunkKey(name, width, series, number): None
        for (width, series), trail in world.trails.get(name, {}).items()
        for number in trail
    }


def _moves(before: dict[str, object], rule: Rule) -> dict[Severity, Severity]:
    """Return which severity became which: as many as went away came, so each took the place of one, in order.

    None did where the one looks at values, and the other at what is missed or not there at all.
    """
    tiers = before.get("tiers")
    old = [Severity(tier) for tier in tiers] if isinstance(tiers, list) else []
    new = [tier.severity for tier in rule.tiers]
    went = [severity for severity in old if severity not in new]
    came = [severity for severity in new if severity not in old]
    moves = {severity: severity for severity in new}
    if len(went) == len(came):
        moves.update(zip(went, came, strict=True))
    kinds, others = _kinds(before), _kinds(json.loads(rule.identity))
    return {was: severity for was, severity in moves.items() if kinds.get(was) == others.get(severity)}


def _kinds(identity: dict[str, object]) -> dict[str, str]:
    """Return what the tiers look at that do not look at values."""
    others = identity.get("others")
    return others if isinstance(others, dict) else {}


@dataclass(frozen=True, slots=True)
class _Edit:
    """What kind of edit it was."""

    asks_anew: bool
    """Another source or query: nothing that was seen says anything of what will be."""
    confirms: bool
    """The first good answer decides which alerts go on. A severity that only has another name moves with all of its."""

    @classmethod
    def of(cls, was: dict[str, object], rule: Rule, moves: dict[Severity, Severity]) -> "_Edit":
        now = json.loads(rule.identity)
        asks_anew = (was.get("source"), was.get("query")) != (now["source"], now["query"])
        tiers = was.get("tiers")
        old = {Severity(tier) for tier in tiers} if isinstance(tiers, list) else set()
        renamed_only = was.get("group_by") == now["group_by"] and set(moves) >= old and len(old) == len(rule.tiers)
        return cls(asks_anew, asks_anew or not renamed_only)


def _moved_alerts(
    world: World, rule: Rule, moves: dict[Severity, Severity], edit: _Edit
) -> dict[AlertKey, Alert | None]:
    """Return the rule's alerts under the severities of now."""
    rows: dict[AlertKey, Alert | None] = {}
    for alert in world.book(rule.name).values():
        severity = moves.get(alert.severity)
        if severity is not alert.severity:
            rows.setdefault(alert.key, None)
        if severity is not None:
            moved = replace(alert, severity=severity, edited=alert.edited or edit.confirms)
            rows[moved.key] = replace(moved, window=(), sample_at=None) if edit.asks_anew else moved
    return rows


def _rehomed(
    world: World, rule: Rule, alerts: list[Alert], moves: dict[Severity, Severity], given: Circumstances
) -> Changes:
    """Give each open incident the group that its worst alert is in now; two that fall together become one."""
    changes = Changes()
    taken = set()
    incidents = sorted(world.open_incidents(rule.name), key=lambda incident: (incident.severity, incident.id))
    for incident in incidents:
        mine = [alert for alert in alerts if alert.active and belongs(alert.series, incident.group)]
        groups = [
            group_of(rule, alert.series) for alert in sorted(mine, key=lambda alert: (alert.severity, alert.series))
        ]
        group = next((group for group in groups if group not in taken), None)
        if group is None:
            changes.add(close(incident, CloseReason.EDITED, world, given))
            continue
        taken.add(group)
        changes.add(_relabelled(world, replace(incident, group=group), moves, given))
    return changes


def _renamed(
    world: World, was: dict[str, object], rule: Rule, alerts: list[Alert], moves: dict[Severity, Severity]
) -> Iterator[tuple[InStorm, list[Caught]]]:
    """Yield what storms have of a rule, with what it is now: nobody is paged anew for what a storm has already."""
    caught = world.index.caught(rule.name)
    if not caught:
        return
    before = was.get("group_by")
    labels = before if isinstance(before, list) else None
    groups: defaultdict[Series, set[Series]] = defaultdict(set)
    for alert in alerts:
        if alert.active:
            groups[part_of(labels, alert.series)].add(group_of(rule, alert.series))
    for group, found in caught.items():
        severity = moves.get(found.caught.severity, found.caught.severity)
        if severity.worse_than(found.caught.severity):
            severity = found.caught.severity  # A raise waits for the next breach, which pages.
        named = sorted(groups.get(group, ()))
        yield found, [replace(found.caught, group=each, severity=severity) for each in named]


def _relabelled(world: World, incident: Incident, moves: dict[Severity, Severity], given: Circumstances) -> Changes:
    """Lower the incident with its tier, under the same key. A raise waits for the next breach, which pages."""
    before = world.incidents[incident.id]
    severity = moves.get(incident.severity, incident.severity)
    changes = Changes()
    if incident.severity.worse_than(severity):
        incident = replace(incident, severity=severity, updated_at=given.now)
        text = f"lowered from {before.severity} to {severity}: its rule was edited"
        changes.events.append(Event(incident.id, given.now, EventKind.LOWERED, text))
        rows = announce_changed(incident, world.deliveries_of(incident.id), given)
        changes.deliveries.update({row.id: row for row in rows})
    if incident != before:
        changes.incidents[incident.id] = incident
    return changes


def _renewed_keys(world: World, given: Circumstances) -> Changes:
    """Give triggers that nobody can have received the routing key of now, and try at once what was refused."""
    changes = Changes()
    for row in world.deliveries.values():
        fresh = row
        if row in live_triggers([row]) and not (row.told or row.claimed or row.accepted):
            targets = given.routes.to(row.service, row.severity)
            key = next((target.routing_key for target in targets if target.notifier == row.notifier), row.routing_key)
            fresh = replace(fresh, routing_key=key)
        if row.state is DeliveryState.REFUSED:
            fresh = replace(fresh, due_at=min(row.due_at, given.now))
        if fresh != row:
            changes.deliveries[row.id] = fresh
    return changes
