"""The row of an alert and the values that its state machine is made of.

An alert is (rule, severity, series). This module knows nothing but one alert.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series


class State(StrEnum):
    """Where an alert stands."""

    QUIET = "quiet"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"


class Verdict(StrEnum):
    """What one evaluation says of one alert."""

    BREACH = "breach"
    BETWEEN = "between"
    """Inside the hysteresis band: not beyond the limit, not yet back at the recovery limit."""
    CLEAR = "clear"
    UNKNOWN = "unknown"
    """Poll failed, series missing, NaN."""


class AlertKey(NamedTuple):
    """What an alert is known by, everywhere."""

    rule: str
    severity: Severity
    series: Series


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it stands after its last evaluation. All times are seconds since the epoch (UTC)."""

    rule: str
    severity: Severity
    series: Series
    state: State
    since: float
    """When it entered this state."""
    active_at: float
    """When the present episode began: its first breach. What people are shown as `since`."""
    clock: float
    """From when *held* is counted, for pending and recovering; blind time of more than 3 steps restarts it."""
    seen: float
    """The last verdict that was the state's own: breach while pending or firing, clear while recovering."""
    judged: float
    """The slot of its last evaluation, of whatever verdict."""
    verdict: Verdict
    known: float
    """The last verdict that was not unknown."""
    value: float | None = None
    """The last value that was known."""
    sample_at: float | None = None
    """The own timestamp of the newest sample that was judged, where samples carry one."""
    absent: float = 0.0
    """Seconds of good answers since its series was last in one."""
    window: tuple[tuple[float, bool], ...] = ()
    """The last samples as (time, beyond the limit?), oldest first, where `datapoints` needs them."""
    edited: bool = False
    """The rule's identity changed: the next good answer decides whether this alert goes on."""
    reason: str = ""
    """Why it is in this state: one sentence with the numbers in it."""

    @property
    def key(self) -> AlertKey:
        """What it is known by."""
        return AlertKey(self.rule, self.severity, self.series)

    @property
    def active(self) -> bool:
        """Whether it is firing, or was and has not recovered yet."""
        return self.state in (State.FIRING, State.RECOVERING)

    @property
    def stale(self) -> bool:
        """Whether what it says is no longer known to be true."""
        return self.active and self.verdict is Verdict.UNKNOWN
