"""What stands around an installation: a store that only keeps rows, and a receiver that behaves like PagerDuty.

It knows nothing of rules and judgements.
"""

from dataclasses import dataclass, field
from typing import Protocol

from evaluator.incidents.changes import Changes, ChunkKey, Saved
from evaluator.incidents.deliveries import Action, Delivery, DeliveryState
from evaluator.incidents.incident import Incident
from evaluator.incidents.silence import Silence

DAY = 24 * 3600.0


class Store(Protocol):
    """What an installation needs of a store."""

    def commit(self, changes: Changes) -> None:
        """Write all of it, or nothing."""

    def load(self, now: float) -> Saved:
        """Return what a start finds."""


@dataclass
class Rows:
    """A store that keeps rows by their key, as `Changes` says, and nothing more."""

    alerts: dict[object, object] = field(default_factory=dict)
    series: dict[object, object] = field(default_factory=dict)
    judged: dict[object, object] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    chunks: dict[ChunkKey, tuple[float, ...]] = field(default_factory=dict)

    def commit(self, changes: Changes) -> None:
        """Write the rows; `None` deletes."""
        for name in ("alerts", "series", "judged", "incidents", "deliveries", "silences", "chunks"):
            changed = getattr(changes, name)
            if not changed:
                continue
            rows = getattr(self, name)
            for key, row in changed.items():
                if row is None:
                    rows.pop(key, None)
                else:
                    rows[key] = row

    def load(self, now: float) -> Saved:
        """Return everything that is not over."""
        return Saved(
            alerts=list(self.alerts.values()),  # type: ignore[arg-type]
            series=list(self.series.values()),  # type: ignore[arg-type]
            judged=list(self.judged.values()),  # type: ignore[arg-type]
            incidents=[it for it in self.incidents.values() if it.closed_at is None or it.closed_at > now - DAY],
            deliveries=[row for row in self.deliveries.values() if self._wanted(row)],
            silences=[it for it in self.silences.values() if not it.over(now - DAY)],
            chunks=dict(self.chunks),
        )

    def _wanted(self, row: Delivery) -> bool:
        incident = self.incidents.get(row.incident)
        if incident is not None and incident.open:
            return True
        return any(
            other.state in (DeliveryState.PENDING, DeliveryState.REFUSED)
            for other in self.deliveries.values()
            if (other.incident, other.notifier) == (row.incident, row.notifier)
        )


@dataclass
class PagerDuty:
    """What is open there, by (routing key, dedup key), and what was ever asked of it."""

    open: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    """The dedup key of every incident that was made."""
    _later: list[tuple[float, Delivery]] = field(default_factory=list)

    def take(self, event: Delivery, now: float, *, late: float = 0.0) -> None:
        """Process one event, now or later."""
        if late:
            self._later.append((now + late, event))
            return
        key = (event.routing_key, event.dedup_key)
        if event.action is Action.TRIGGER and key not in self.open:
            self.open[key] = event
            self.pages.append(event.dedup_key)
        if event.action is Action.RESOLVE:
            self.open.pop(key, None)

    def pass_time(self, now: float) -> None:
        """Process what was left for later."""
        due = [event for at, event in self._later if at <= now]
        self._later = [(at, event) for at, event in self._later if at > now]
        for event in due:
            self.take(event, now)

    def of(self, incident: str) -> list[str]:
        """Return the dedup keys that are open for one incident of ours."""
        return [dedup for _, dedup in self.open if dedup.split("/")[2] == incident]
