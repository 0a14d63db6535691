"""What one decision changes, as rows: the only thing that the store commits, and always in one transaction.

This module knows which rows there are. It never knows SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from evaluator.engine.alerts import Alert, AlertKey
from evaluator.engine.evaluate import Transition
from evaluator.engine.samples import Series
from evaluator.incidents.commands import Command
from evaluator.incidents.deliveries import Delivery
from evaluator.incidents.incident import Event, Incident
from evaluator.incidents.silence import Silence


class SeriesKey(NamedTuple):
    """What a remembered series is known by."""

    rule: str
    series: Series


@dataclass(frozen=True, slots=True)
class Remembered:
    """A series of a `no_data = "breach"` rule that was seen once, so that it can be missed."""

    rule: str
    series: Series
    absent: float = 0.0
    """Seconds of good answers since it was last in one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How far a rule has been judged, and what it was then: compared at a start and at a reload."""

    rule: str
    at: float
    """The slot of its last good answer; 0 before the first."""
    identity: str
    """`Rule.identity` of then."""
    mode: str
    """`page`, `shadow`, `off`."""
    since: float = 0.0
    """When the rule was first seen, or asked something else: due times of `missed` count from here. 0: not known."""


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file's last good text, so that a restart equals a reload."""

    path: str
    """Relative to the rules folder, with `/`."""
    text: str
    loaded_at: float


class ChunkKey(NamedTuple):
    """What a chunk of kept samples is known by."""

    rule: str
    width: float
    """Seconds of a bucket; see `engine.shapes.Keep`."""
    series: Series
    number: int
    """Which `CHUNK` buckets since the epoch; see `engine.trail`."""


MEMORY_ONLY = frozenset({"slots", "held"})
"""The fields of `Changes` that are not written."""


@dataclass(slots=True)
class Changes:
    """Rows to write; `None` deletes. Later changes to the same key replace earlier ones."""

    alerts: dict[AlertKey, Alert | None] = field(default_factory=dict)
    series: dict[SeriesKey, Remembered | None] = field(default_factory=dict)
    judged: dict[str, Judged | None] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    files: dict[str, RuleFile | None] = field(default_factory=dict)
    commands: dict[str, Command | None] = field(default_factory=dict)
    silences: dict[str, Silence | None] = field(default_factory=dict)
    chunks: dict[ChunkKey, tuple[float, ...] | None] = field(default_factory=dict)
    """Kept samples, one value for each bucket; NaN where there is none."""
    transitions: list[Transition] = field(default_factory=list)
    """What alerts did, for `evaluator why`; only ever added."""
    slots: dict[str, float] = field(default_factory=dict)
    """By rule: the slot of its last live evaluation, whatever came of it. Only memory needs it: it is not written."""
    held: dict[str, Mapping[AlertKey, str]] = field(default_factory=dict)
    """By rule: its alerts that fire and are held back from opening, with the reason for people. Not written either."""

    def __bool__(self) -> bool:
        """Return whether there is anything to write."""
        return any(getattr(self, rows.name) for rows in fields(self) if rows.name not in MEMORY_ONLY)

    def add(self, newer: "Changes") -> None:
        """Take newer changes on top of these."""
        self.alerts.update(newer.alerts)
        self.series.update(newer.series)
        self.judged.update(newer.judged)
        self.incidents.update(newer.incidents)
        self.events.extend(newer.events)
        self.deliveries.update(newer.deliveries)
        self.files.update(newer.files)
        self.commands.update(newer.commands)
        self.silences.update(newer.silences)
        self.chunks.update(newer.chunks)
        self.transitions.extend(newer.transitions)
        self.slots.update(newer.slots)
        self.held.update(newer.held)


@dataclass(slots=True)
class Saved:
    """What a start finds: everything that is not over."""

    alerts: list[Alert] = field(default_factory=list)
    series: list[Remembered] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    """The open ones, and those that ended less than a day ago."""
    deliveries: list[Delivery] = field(default_factory=list)
    """All rows of open incidents, and every row of any other incident that is pending or refused, with the rows of
    the same (incident, notifier) beside it."""
    files: list[RuleFile] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    """Those that are not over, and those that ended less than a day ago."""
    chunks: dict[ChunkKey, tuple[float, ...]] = field(default_factory=dict)
