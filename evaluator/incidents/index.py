"""Finding incidents by what decisions ask for, so that no evaluation looks through all of them.

This module counts and finds. It never decides, and everything in it can be made again from the incidents themselves.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from evaluator.engine.samples import Series
from evaluator.incidents.incident import STORM, Caught, CloseReason, Incident

LONGEST_SPAN = 86_400.0
"""Seconds: openings are counted over no more than this."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """That somebody resolved the incident of a group."""

    incident: str
    at: float
    by: str
    """Who; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class InStorm:
    """That a storm has a group."""

    storm: str
    """The incident's id."""
    service: str
    """The storm's."""
    caught: Caught


@dataclass(slots=True)
class Index:
    """What is asked of incidents, open ones and recent ones."""

    _opens: dict[str, dict[Series, dict[str, float]]] = field(default_factory=dict)
    """By rule and group: when each of its incidents opened; storms have none."""
    _openings: dict[str, list[float]] = field(default_factory=dict)
    """By service: when its incidents opened, storms apart, in order."""
    _ended: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """By rule: when its incidents ended, and which, in order."""
    _caught: dict[str, dict[Series, InStorm]] = field(default_factory=dict)
    """By rule and group: the open storm that has it."""
    _by_hand: dict[str, dict[Series, ByHand]] = field(default_factory=dict)
    """By rule and group: who resolved its incident, or the storm that had it, last."""

    def copied(self) -> "Index":
        """Return an index of its own."""
        return Index(
            {rule: {group: {**each} for group, each in groups.items()} for rule, groups in self._opens.items()},
            {service: [*times] for service, times in self._openings.items()},
            {rule: [*ended] for rule, ended in self._ended.items()},
            {rule: {**groups} for rule, groups in self._caught.items()},
            {rule: {**groups} for rule, groups in self._by_hand.items()},
        )

    def put(self, before: Incident | None, after: Incident) -> None:
        """Take an incident in as it stands now, in place of what it was."""
        if after.rule == STORM:
            self._put_caught(before, after)
        else:
            self._put_opening(before, after)
        if not after.open and (before is None or before.open):
            self._put_end(after)

    def forget(self, incident: Incident, now: float) -> None:
        """Drop an incident that ended long ago, and openings that nobody counts any more."""
        _drop(self._opens, incident.rule, incident.group, incident.id)
        for rule, group in _names(incident):
            hand = self._by_hand.get(rule, {}).get(group)
            if hand is not None and hand.incident == incident.id:
                del self._by_hand[rule][group]
            ended = self._ended.get(rule, [])
            del ended[: bisect_left(ended, (now - LONGEST_SPAN, ""))]
        times = self._openings.get(incident.service, [])
        del times[: bisect_left(times, now - LONGEST_SPAN)]

    def opens(self, rule: str, group: Series, within: float, now: float) -> int:
        """Return how often a group opened in the last `within` seconds."""
        times = self._opens.get(rule, {}).get(group)
        return sum(now - within < at <= now for at in times.values()) if times else 0

    def openings(self, service: str, within: float, now: float) -> int:
        """Return how many incidents of a service, storms apart, opened in the last `within` seconds."""
        times = self._openings.get(service, [])
        return bisect_right(times, now) - bisect_right(times, now - within)

    def ended_since(self, rule: str, at: float) -> Iterator[str]:
        """Iterate over the incidents of a rule that ended after a time, the latest first."""
        for closed_at, incident in reversed(self._ended.get(rule, ())):
            if closed_at <= at:
                return
            yield incident

    def caught(self, rule: str) -> dict[Series, InStorm]:
        """Return the groups of a rule that open storms have. Not to be changed."""
        return self._caught.get(rule, {})

    def caught_rules(self) -> list[str]:
        """Return the rules of which open storms have anything."""
        return list(self._caught)

    def by_hand(self, rule: str, group: Series) -> ByHand | None:
        """Return who resolved the last incident of a group, or the storm that had it; `None`: nobody did."""
        return self._by_hand.get(rule, {}).get(group)

    def _put_opening(self, before: Incident | None, after: Incident) -> None:
        if before is None:
            insort(self._openings.setdefault(after.service, []), after.opened_at)
        elif before.group != after.group:
            _drop(self._opens, before.rule, before.group, before.id)
        self._opens.setdefault(after.rule, {}).setdefault(after.group, {})[after.id] = after.opened_at

    def _put_caught(self, before: Incident | None, after: Incident) -> None:
        had = set(before.caught) if before is not None and before.open else set()
        has = set(after.caught) if after.open else set()
        for each in had - has:
            del self._caught[each.rule][each.group]
            if not self._caught[each.rule]:
                del self._caught[each.rule]
        for each in has - had:
            self._caught.setdefault(each.rule, {})[each.group] = InStorm(after.id, after.service, each)

    def _put_end(self, ended: Incident) -> None:
        at = ended.closed_at or 0.0
        for rule in {rule for rule, _ in _names(ended)}:
            insort(self._ended.setdefault(rule, []), (at, ended.id))
        if ended.close_reason is CloseReason.RESOLVED_BY_HUMAN:
            for rule, group in _names(ended):
                self._by_hand.setdefault(rule, {})[group] = ByHand(ended.id, at, ended.closed_by)


def _names(incident: Incident) -> list[tuple[str, Series]]:
    """Return the rules and groups that an incident is about."""
    if incident.rule == STORM:
        return [(each.rule, each.group) for each in incident.caught]
    return [(incident.rule, incident.group)]


def _drop(opens: dict[str, dict[Series, dict[str, float]]], rule: str, group: Series, incident: str) -> None:
    times = opens.get(rule, {}).get(group, {})
    times.pop(incident, None)
    if not times and group in opens.get(rule, {}):
        del opens[rule][group]
