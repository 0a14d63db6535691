"""What pages and the API show: one frozen picture of the daemon at a moment.

The daemon makes the picture; web and cli only draw it. Nothing in it is a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from evaluator.engine.alerts import Alert, AlertKey
from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Rule
from evaluator.incidents.incident import Event, Incident
from evaluator.incidents.silence import Silence
from evaluator.web.why import Looks, Question


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source has answered."""

    name: str
    type: str
    enabled: bool = True
    up: bool | None = None
    """Whether its last poll was answered; `None` before the first."""
    last_good: float | None = None
    """Seconds since the epoch of the last poll that was answered."""
    last_poll: float | None = None
    error: str = ""
    """The sentence of the last failure, while it is down."""
    rules: int = 0
    duration: float | None = None
    """Seconds that the last poll took."""


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """How a rule has been judged."""

    rule: Rule
    last_evaluation: float | None = None
    """Slot of the last evaluation."""
    last_good: float | None = None
    duration: float = 0.0
    """Seconds that judging took last time."""
    error: str = ""
    """The failure of its last poll; empty when that was answered."""
    series: int = 0
    """Rows in the last good answer."""
    warnings: tuple[str, ...] = ()
    """What the source had to say about its last answer, although it gave it."""
    learned: str = ""
    """While it learns what is usual, and pages nobody: how far that has come, told of one of its series."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The outbox."""

    pending: int = 0
    """Deliveries that are due and were not accepted yet."""
    refused: int = 0
    oldest: float | None = None
    """When the oldest of the pending ones became due."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """What is wrong with settings or a rule file, or worth a word."""

    where: str
    """`file:line:column`."""
    message: str
    error: bool = True
    """`False`: a warning."""


@dataclass(frozen=True, slots=True)
class WindowStatus:
    """A maintenance window that is in force, or will be."""

    window: Window
    until: float | None = None
    """When it ends; `None`: it is not in force."""
    begins: float | None = None
    """When it begins next; `None` while it is in force."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The daemon at a moment. All times are seconds since the epoch (UTC)."""

    now: float
    instance: str
    version: str
    started_at: float
    timezone: str
    """IANA name, for pages."""
    ready: tuple[str, ...] = ()
    """What is missing until it is ready; empty: ready."""
    rules: tuple[RuleStatus, ...] = ()
    alerts: tuple[Alert, ...] = ()
    """Every alert that is not quiet."""
    incidents: tuple[Incident, ...] = ()
    """Open ones, worst first, then those that ended in the last day, newest first."""
    sources: tuple[SourceStatus, ...] = ()
    backlog: Backlog = Backlog()
    problems: tuple[ConfigProblem, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    """By service: why it cannot page (`PAGERDUTY_INFRA_KEY is not set`)."""
    silences: tuple[Silence, ...] = ()
    """Those that are not over, and those that ended in the last day."""
    windows: tuple[WindowStatus, ...] = ()
    """Those in force, then those to come, the next first."""
    held: Mapping[AlertKey, str] = field(default_factory=dict)
    """Alerts that fire and are held back, with the reason; and pending ones that would be, the first thousand."""


class View(Protocol):
    """What web asks the daemon for."""

    def snapshot(self) -> Snapshot:
        """Return the picture of now. It is cheap, and never waits."""

    async def incident(self, incident: str) -> tuple[Incident, tuple[Event, ...]] | None:
        """Return an incident of any age with its timeline, from the store; `None`: there is none of this id."""

    async def history(self, limit: int, before: str | None = None) -> tuple[Incident, ...]:
        """Return incidents of any age, newest first, older than the id `before`."""

    async def looks(self, asked: Question) -> Looks:
        """Return what is known of a rule's evaluations; raises `StoreUnavailable`."""

    async def silences(self, limit: int) -> tuple[Silence, ...]:
        """Return silences of any age, newest first; raises `StoreUnavailable`."""

    async def silence(self, asked: Silence) -> Silence:
        """Begin a silence, under a new id; return it once it is written. Raises `StoreUnavailable`."""

    async def unsilence(self, silence: Silence, by: str) -> Silence:
        """End a silence; return it once that is written. Raises `StoreUnavailable`."""
