"""An incident and its timeline, as values.

An incident is what people hear of: one for each (rule, group) while anything in that group is firing or recovering.
This module knows what an incident is. It never knows how one is sent, or where it is kept.
"""

from dataclasses import dataclass
from enum import StrEnum

from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class CloseReason(StrEnum):
    """Why an incident ended: in the timeline, the metric and the API."""

    RECOVERED = "recovered"
    """Everything in it is quiet again."""
    GONE = "gone"
    """Its series ended, and the source says so."""
    SEEN = "seen"
    """It was about a series that had never been there, and now there is one, which is judged for itself."""
    FORGOTTEN = "forgotten"
    """Its series has been missing from good answers for longer than the rule remembers."""
    EDITED = "edited"
    """The rule now asks something else."""
    REMOVED = "removed"
    """The rule is no longer there."""
    OFF = "off"
    """The rule, or its source, was switched off."""
    SHADOW = "shadow"
    """The rule was switched to `mode = "shadow"`."""
    RESOLVED_BY_HUMAN = "resolved_by_human"


class EventKind(StrEnum):
    """What a line of the timeline tells."""

    OPENED = "opened"
    JOINED = "joined"
    LEFT = "left"
    RAISED = "raised"
    LOWERED = "lowered"
    EDITED = "edited"
    BLIND = "blind"
    SIGHTED = "sighted"
    ACKNOWLEDGED = "acknowledged"
    COMMANDED = "commanded"
    RESOLVED = "resolved"
    SENT = "sent"
    REFUSED = "refused"
    DROPPED = "dropped"
    RECOVERING = "recovering"
    RELAPSED = "relapsed"
    UNKNOWN = "unknown"
    """Its series cannot be seen now; `BLIND` comes after a day of it."""
    FLAPPING = "flapping"
    MUTED = "muted"
    """A silence, a window, ... now covers it: it goes on, and is not raised."""
    UNMUTED = "unmuted"


@dataclass(frozen=True, slots=True)
class Event:
    """A line of an incident's timeline."""

    incident: str
    at: float
    kind: EventKind
    text: str


STORM = "storm"
"""The rule name of incidents that a storm made; no rule can have it."""


@dataclass(frozen=True, slots=True)
class Caught:
    """What a storm took in, instead of an incident of its own."""

    rule: str
    group: Series
    severity: Severity
    at: float
    """When it joined."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident as it stands. All times are seconds since the epoch (UTC)."""

    id: str
    """A ULID; part of the dedup_key."""
    rule: str
    group: Series
    """The labels that its series share: all of them, those of `group_by`, or none."""
    service: str
    severity: Severity
    """The worst that fired since it opened; only an edit of the rule lowers it."""
    state: IncidentState
    opened_at: float
    active_at: float
    """When the breach that opened it began."""
    updated_at: float
    title: str
    """The rendered summary."""
    why: str
    """One sentence with the numbers that opened or last changed it."""
    value: float | None = None
    """The last known value of its worst series."""
    limit: str = ""
    """The limit of the worst tier, for people: `above 90 %`."""
    unit: str | None = None
    members: tuple[Series, ...] = ()
    """The series that are firing or recovering now, sorted; after its end those that were to the last."""
    known_at: float = 0.0
    """When anything of it was last known."""
    blind_told: bool = False
    """A person has been told that it has been blind for a day."""
    closed_at: float | None = None
    close_reason: CloseReason | None = None
    closed_by: str = ""
    """Who resolved it, where a human did: a user's name."""
    told: bool = False
    """Only after its end: a request that tells of it may have arrived."""
    runbook: str = ""
    dashboard: str = ""
    description: str = ""
    rule_at: str = ""
    """`file:line` of the rule."""
    labels: Series = ()
    """The labels of the rule, for people."""
    flapping: bool = False
    """Its group opens so often that it is held open for longer."""
    muted: str = ""
    """What keeps it from being raised now, for people; empty: nothing does."""
    unknown_told: bool = False
    """Its timeline says that nothing is known of it now."""
    caught: tuple[Caught, ...] = ()
    """Only for a storm: what is still wrong of what it took in, the worst first. Kept when a human resolves it."""

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.state is not IncidentState.RESOLVED
