"""Everything that is not over, in memory: what decisions are made from.

This module knows the rows and finds them quickly. It decides nothing: `judge` and `edits` return `Changes`, `apply`
takes them in, and the same `Changes` go to the store.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from evaluator.engine.alerts import Alert, AlertKey
from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series
from evaluator.engine.trail import Chunk
from evaluator.incidents.changes import Changes, ChunkKey, Judged, Saved
from evaluator.incidents.deliveries import Delivery, DeliveryState
from evaluator.incidents.incident import Incident
from evaluator.incidents.index import Index
from evaluator.incidents.silence import Silence

Book = dict[tuple[Severity, Series], Alert]
"""The alerts of one rule that have a row."""

RECENT = 86_400.0
"""Seconds for which an incident that ended is kept in memory."""

LONGEST_WAIT = 3600.0
"""Seconds: no delivery is ever due later than this from now; a later one was written by a clock that was wrong."""


@dataclass(slots=True)
class World:
    """The state of the daemon."""

    alerts: dict[str, Book] = field(default_factory=dict)
    """By rule."""
    remembered: dict[str, dict[Series, float]] = field(default_factory=dict)
    """By rule with `no_data = "breach"`: its series, with the seconds for which each has been missing."""
    judged: dict[str, Judged] = field(default_factory=dict)
    """By rule: how far it has been judged."""
    incidents: dict[str, Incident] = field(default_factory=dict)
    """By id: the open ones and the recent ones."""
    silences: dict[str, Silence] = field(default_factory=dict)
    """By id: those that are not over, and the recent ones."""
    trails: dict[str, dict[tuple[float, Series], dict[int, Chunk]]] = field(default_factory=dict)
    """By rule: the samples that it keeps; see `engine.trail`."""
    slots: dict[str, float] = field(default_factory=dict)
    """By rule: the slot of its last live evaluation since the start, whatever came of it."""
    held: dict[str, Mapping[AlertKey, str]] = field(default_factory=dict)
    """By rule: its alerts that fire and are held back, with the reason; lost at a restart."""
    index: Index = field(default_factory=Index)
    """Finds incidents."""
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    """By id: those of open incidents, and those that are not finished."""
    _open: dict[str, dict[Series, str]] = field(default_factory=dict)
    """Open incidents by rule and group."""
    _rows: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Deliveries by incident."""

    @classmethod
    def load(cls, saved: Saved, now: float) -> "World":
        """Return the world as the store has it. A request that was under way may have arrived."""
        world = cls()
        changes = Changes(
            alerts={alert.key: alert for alert in saved.alerts},
            judged={judged.rule: judged for judged in saved.judged},
            incidents={incident.id: incident for incident in saved.incidents},
            deliveries={delivery.id: _woken(delivery, now) for delivery in saved.deliveries},
            silences={silence.id: silence for silence in saved.silences},
            chunks={**saved.chunks},
        )
        world.apply(changes)
        for remembered in saved.series:
            world.remembered.setdefault(remembered.rule, {})[remembered.series] = remembered.absent
        return world

    def copied(self) -> "World":
        """Return a world of its own, to try something on: what is in it is frozen, so only the books are copied."""
        return World(
            alerts={rule: {**book} for rule, book in self.alerts.items()},
            remembered={rule: {**series} for rule, series in self.remembered.items()},
            judged={**self.judged},
            incidents={**self.incidents},
            silences={**self.silences},
            trails={rule: {key: {**trail} for key, trail in trails.items()} for rule, trails in self.trails.items()},
            slots={**self.slots},
            held={**self.held},
            index=self.index.copied(),
            deliveries={**self.deliveries},
            _open={rule: {**groups} for rule, groups in self._open.items()},
            _rows=defaultdict(set, {incident: {*rows} for incident, rows in self._rows.items()}),
        )

    def apply(self, changes: Changes) -> None:
        """Take changes in."""
        for alert_key, alert in changes.alerts.items():
            self._put_alert(alert_key.rule, (alert_key.severity, alert_key.series), alert)
        for series_key, remembered in changes.series.items():
            series = self.remembered.setdefault(series_key.rule, {})
            if remembered is None:
                series.pop(series_key.series, None)
            else:
                series[series_key.series] = remembered.absent
        for rule, judged in changes.judged.items():
            if judged is None:
                self.judged.pop(rule, None)
                self.remembered.pop(rule, None)
                self.trails.pop(rule, None)
                self.slots.pop(rule, None)
                self.held.pop(rule, None)
            else:
                self.judged[rule] = judged
        self._put_kept(changes)
        for incident in changes.incidents.values():
            self._put_incident(incident)
        for delivery in changes.deliveries.values():
            self.deliveries[delivery.id] = delivery
            self._rows[delivery.incident].add(delivery.id)
        for touched in {*changes.incidents, *(delivery.incident for delivery in changes.deliveries.values())}:
            self._drop_finished(touched)

    def book(self, rule: str) -> Book:
        """Return the alerts of a rule. Not to be changed."""
        return self.alerts.get(rule, {})

    def open_incidents(self, rule: str | None = None) -> list[Incident]:
        """Return the open incidents, of one rule or of all, in the order in which they opened."""
        groups = [self._open.get(rule, {})] if rule is not None else list(self._open.values())
        found = [self.incidents[incident] for by_group in groups for incident in by_group.values()]
        return sorted(found, key=lambda incident: incident.id)

    def ended_incidents(self) -> Iterator[Incident]:
        """Iterate over the recent incidents that ended."""
        return (incident for incident in self.incidents.values() if not incident.open)

    def deliveries_of(self, incident: str) -> list[Delivery]:
        """Return the deliveries of an incident, in their order."""
        rows = [self.deliveries[row] for row in self._rows.get(incident, ())]
        return sorted(rows, key=lambda delivery: (delivery.notifier, delivery.seq))

    def forget_old(self, now: float) -> None:
        """Drop incidents that ended long ago from memory; the store keeps them."""
        for incident in list(self.ended_incidents()):
            if incident.closed_at is not None and now - incident.closed_at > RECENT:
                del self.incidents[incident.id]
                self.index.forget(incident, now)
        for silence in list(self.silences.values()):
            ended_at = silence.ends_at if silence.ended_at is None else silence.ended_at
            if now - ended_at >= RECENT:
                del self.silences[silence.id]

    def _put_alert(self, rule: str, key: tuple[Severity, Series], alert: Alert | None) -> None:
        if alert is not None:
            self.alerts.setdefault(rule, {})[key] = alert
            return
        book = self.alerts.get(rule, {})
        book.pop(key, None)
        if not book:
            self.alerts.pop(rule, None)

    def _put_kept(self, changes: Changes) -> None:
        for key, chunk in changes.chunks.items():
            self._put_chunk(key, chunk)
        for name, silence in changes.silences.items():
            if silence is None:
                self.silences.pop(name, None)
            else:
                self.silences[name] = silence
        self.slots.update(changes.slots)
        self.held.update(changes.held)

    def _put_chunk(self, key: ChunkKey, chunk: Chunk | None) -> None:
        trails = self.trails.setdefault(key.rule, {})
        trail = trails.setdefault((key.width, key.series), {})
        if chunk is not None:
            trail[key.number] = chunk
            return
        trail.pop(key.number, None)
        if not trail:
            del trails[key.width, key.series]
        if not trails:
            del self.trails[key.rule]

    def _put_incident(self, incident: Incident) -> None:
        before = self.incidents.get(incident.id)
        self.index.put(before, incident)
        groups = self._open.setdefault(incident.rule, {})
        if before is not None and groups.get(before.group) == incident.id:
            del groups[before.group]
        if incident.open:
            groups[incident.group] = incident.id
        if not groups:
            del self._open[incident.rule]
        self.incidents[incident.id] = incident

    def _drop_finished(self, incident_id: str) -> None:
        """Drop the rows of an ended incident once all of them are finished: they matter to each other until then."""
        incident = self.incidents.get(incident_id)
        rows = self._rows.get(incident_id, ())
        if incident is not None and incident.open:
            return
        if all(_finished(self.deliveries[row]) for row in rows):
            for row in rows:
                del self.deliveries[row]
            self._rows.pop(incident_id, None)


def _finished(delivery: Delivery) -> bool:
    return delivery.state in (DeliveryState.DONE, DeliveryState.DROPPED) and not delivery.claimed


def _woken(delivery: Delivery, now: float) -> Delivery:
    if delivery.claimed:
        delivery = replace(delivery, claimed=False, told=True)
    if now + LONGEST_WAIT < delivery.due_at < math.inf:
        delivery = replace(delivery, due_at=now)
    return delivery
