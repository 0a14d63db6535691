"""An outbox row: what must be told to whom, under which key, due when, in which order.

This module knows the row and what a notifier may answer. `announce` makes the rows, `outbox` says which is due and what
an outcome means for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from evaluator.engine.rules import Severity


class Action(StrEnum):
    """What is sent."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    NOTICE = "notice"
    """A sentence for a person that opens and closes nothing (told to fallbacks)."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    """To be sent at `due_at`: for the first time, again, or as a repeat."""
    REFUSED = "refused"
    """Refused by the receiver; tried again at `due_at` and on reload."""
    DONE = "done"
    """Accepted, and no repeat is due any more."""
    DROPPED = "dropped"
    """Superseded before it was accepted."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a delivery says, in no vendor's shape; `notifiers` put it into theirs. All of it is kept in the store."""

    incident: str
    """The incident's ULID; empty for what belongs to no incident."""
    rule: str
    service: str
    severity: Severity
    title: str
    why: str
    source: str
    """The series (or the source's name) that it is about."""
    opened_at: float
    """Seconds since the epoch; PagerDuty's `payload.timestamp`."""
    at: float
    """When this message was written."""
    value: str = ""
    """Rendered with its unit."""
    limit: str = ""
    series: tuple[str, ...] = ()
    """The firing series, rendered."""
    group: str = ""
    rule_at: str = ""
    description: str = ""
    runbook: str = ""
    dashboard: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Labels of the rule."""
    closed: str = ""
    """For a resolve: the reason, and how long it lasted."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the outbox. All times are seconds since the epoch (UTC)."""

    id: str
    """A ULID."""
    seq: int
    """The place in the order in which the rows of its (incident, notifier) were made; unique there, growing."""
    incident: str
    notifier: str
    """The notifier's name in the settings: `pagerduty`, `console`."""
    service: str
    severity: Severity
    action: Action
    dedup_key: str
    message: Message
    created_at: float
    due_at: float
    routing_key: str = field(default="", repr=False)
    """The secret that addresses it; a resolve has that of its trigger."""
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    """Requests since it was last accepted or refused: the exponent of the back-off."""
    accepted: int = 0
    """How often it was accepted: 1 plus the repeats."""
    accepted_at: float | None = None
    """When it was accepted last."""
    told: bool = False
    """A request may have arrived."""
    claimed: bool = False
    """A request is under way; after a crash this means told."""
    error: str = ""
    """What the receiver said last, where it did not accept."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receiver took it."""

    queued: bool = False
    """It was only queued for later processing (PagerDuty's 202), so it may still be lost: it is repeated."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Weather: send the same again."""

    reason: str
    """The label of the metric: `timeout`, `refused`, `reset`, `rate_limited`, `server_error`, ..."""
    message: str
    after: float | None = None
    """Seconds that the receiver asked for (Retry-After)."""
    arrived: bool = True
    """Whether the request may have been taken all the same; `False` only where that is certain (no connection, 429)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver says that this can never work: a person must mend something."""

    reason: str
    """The label of the metric: `bad_request`, `auth`, `not_found`, ..."""
    message: str


Outcome = Accepted | RetryLater | Refused
"""What became of one request."""
