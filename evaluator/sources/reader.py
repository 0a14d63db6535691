"""What a source cannot see by itself, and how the daemon hands it over: a `Reader`.

This module knows the shape of what is handed over: the daemon's own health. It never knows where the daemon has it
from, and what a rule makes of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

SELF = "self"
"""The name, and the type, of the source that tells the daemon's own health. It is there without being declared."""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How one source answers. Times are measured in its own polls: what was not asked counts for nothing."""

    silent: float | None = None
    """Seconds from the first to the last of its polls that failed in a row, at least 1; 0: it answered its last poll;
    `None`: it was not asked yet."""
    error: str = ""
    """Why it does not answer; empty while it does."""
    own_rule: bool = False
    """Whether a rule that pages asks for its `up`, and is answered."""
    lag: float | None = None
    """Seconds from the last slot until its outcome was written; `None` before the first."""
    missed: float = 0.0
    """Slots that passed without being judged, since the daemon's start."""


@dataclass(frozen=True, slots=True)
class RuleHealth:
    """How one rule is answered."""

    source: str
    blind: float | None = None
    """Seconds from the first to the last failure in a row of its query while its source answered others, at least 1;
    0: it was answered; `None`: it was not asked yet, or its source does not answer at all."""
    error: str = ""
    """Why its query is not answered; empty while it is."""


@dataclass(frozen=True, slots=True)
class Health:
    """The daemon at a moment."""

    uptime: float = 0.0
    """Seconds since its start."""
    sources: Mapping[str, SourceHealth] = field(default_factory=dict)
    """The enabled sources that rules ask, `self` apart, by name."""
    former_sources: frozenset[str] = frozenset()
    """Sources that alerts know, and that are no longer among `sources`: removed, disabled, or asked by no rule."""
    rules: Mapping[str, RuleHealth] = field(default_factory=dict)
    """The rules that are judged, by name, those on `self` apart."""
    former_rules: frozenset[str] = frozenset()
    """Rules that alerts know, and that are no longer among `rules`."""
    deliveries_pending: int = 0
    """Deliveries that are due and were not accepted yet."""
    deliveries_refused: int = 0
    """Deliveries that the receiver refused."""
    delivery_age: float = 0.0
    """Seconds since the oldest of the pending ones became due; 0 without one."""
    services_unpaged: int = 0
    """Services whose incidents reach no pager."""
    config_errors: int = 0
    """Mistakes in the settings and rule files as they are now: the last good version is in force."""
    store_failing: float = 0.0
    """Seconds for which the store cannot be written; 0: it can."""
    mistakes: float = 0.0
    """Mistakes of the daemon itself that it survived, since its start."""
    memory: float | None = None
    """Bytes of memory that the daemon holds; `None` where the system does not say."""


class Reader(Protocol):
    """Where a source reads what the daemon knows."""

    def health(self) -> Health:
        """Return how the daemon is now. It is cheap, and never waits."""


@runtime_checkable
class NeedsReader(Protocol):
    """A source that the daemon hands a reader before it opens it. Without a daemon (`evaluator eval`) it gets none."""

    def attach(self, reader: Reader) -> None:
        """Take the reader."""
