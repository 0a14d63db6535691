"""What `inhibited_by` holds back: alerts whose inhibitor is open and was told, or is still to be looked at.

This module knows one rule that inhibits, at one time. It holds back opening, joining and raising, and never closes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evaluator.engine.alerts import Alert
from evaluator.engine.missing import missing_after
from evaluator.engine.rules import Mode, Rule
from evaluator.engine.samples import Series
from evaluator.incidents.agreement import Agreement
from evaluator.incidents.deliveries import Action, DeliveryState
from evaluator.incidents.grouping import group_of
from evaluator.incidents.incident import STORM, Incident
from evaluator.incidents.world import World

AFTERWARDS = 300.0
"""Seconds for which a rule still inhibits after its incident ended."""


@dataclass(frozen=True, slots=True)
class Inhibitor:
    """A rule that inhibits another one, as it stands now."""

    name: str
    rule: Rule | None
    """`None` where it pages nobody: what is off, or in shadow, opens nothing, and is not waited for."""
    looked: float | None
    """The slot of its last live evaluation, whatever came of it."""
    alive: Agreement
    """What its open incidents are about."""
    over: Agreement
    """What those were about that ended a moment ago."""

    @classmethod
    def of(cls, world: World, name: str, rule: Rule | None, now: float) -> "Inhibitor":
        """Return the rule of a name; `None`: there is none any more."""
        paging = rule if rule is not None and rule.mode is Mode.PAGE else None
        alive = () if paging is None else _alive(world, paging, now)
        return cls(name, paging, world.slots.get(name), Agreement.of(alive), Agreement.of(_over(world, name, now)))

    def waits_until(self, alert: Alert, now: float) -> float | None:
        """Return until when an alert waits for this rule's first look after the breach began; `None`: it does not."""
        if self.rule is None or (self.looked is not None and self.looked > alert.active_at):
            return None
        # A clock that was set back must not make anything wait for longer than a step.
        return alert.active_at + self.rule.step if 0 <= now - alert.active_at < self.rule.step else None


def _alive(world: World, parent: Rule, now: float) -> Iterator[tuple[Series, str]]:
    fresh = now - missing_after(parent)
    for incident in world.open_incidents(parent.name):
        if incident.known_at >= fresh and _is_told(world, incident):
            yield from ((member, incident.id) for member in incident.members)
    caught = world.index.caught(parent.name)
    if not caught:
        return
    storms = {each.storm for each in caught.values()}
    told = {storm for storm in storms if _is_told(world, world.incidents[storm])}
    for alert in world.book(parent.name).values():
        # What a storm knows last is of any of its rules; what counts is this one.
        found = caught.get(group_of(parent, alert.series)) if alert.active and alert.known >= fresh else None
        if found is not None and found.storm in told:
            yield alert.series, found.storm


def _over(world: World, name: str, now: float) -> Iterator[tuple[Series, str]]:
    for found in world.index.ended_since(name, now - AFTERWARDS):
        incident = world.incidents[found]
        # What ended later than now did so before the clock was set back.
        if not incident.told or incident.closed_at is None or incident.closed_at > now:
            continue
        if incident.rule == STORM:
            yield from ((each.group, found) for each in incident.caught if each.rule == name)
        else:
            yield from ((member, found) for member in incident.members)


def _is_told(world: World, incident: Incident) -> bool:
    """Return whether anybody was told of an open incident, or will be: a trigger that was refused pages nobody."""
    return any(
        row.action is Action.TRIGGER
        and (row.state is DeliveryState.PENDING or row.told or row.claimed or row.accepted > 0)
        for row in world.deliveries_of(incident.id)
    )
