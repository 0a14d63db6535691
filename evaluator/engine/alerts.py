"""The state machine of one alert, as a table, and the row that it stands in.

An alert is (rule, severity, series). This module knows one alert and one verdict at a time; it never knows other
alerts, sources, incidents, or a clock.

`TABLE` is the rule; `advance` adds what does not fit a table: how long a state must be *held*, and that blind time
(more than `BLIND_STEPS` steps between two equal verdicts) restarts that count while the state stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from evaluator.engine.rules import Severity, Tier
from evaluator.engine.samples import Series

BLIND_STEPS = 3
"""Up to this many steps between two equal verdicts count as held."""


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
    window: tuple[tuple[float, float], ...] = ()
    """The last samples as (time, value), oldest first, where `datapoints` needs them."""
    unmet_since: float | None = None
    """Since which slot `only_if` has not held; `None` while it holds, or was never asked."""
    unmet_seen: float | None = None
    """The last slot at which it was seen not to hold."""
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


TABLE: Mapping[tuple[State, Verdict], State] = MappingProxyType(
    {
        (State.QUIET, Verdict.BREACH): State.PENDING,
        (State.QUIET, Verdict.BETWEEN): State.QUIET,
        (State.QUIET, Verdict.CLEAR): State.QUIET,
        (State.QUIET, Verdict.UNKNOWN): State.QUIET,
        (State.PENDING, Verdict.BREACH): State.PENDING,
        (State.PENDING, Verdict.BETWEEN): State.QUIET,
        (State.PENDING, Verdict.CLEAR): State.QUIET,
        (State.PENDING, Verdict.UNKNOWN): State.PENDING,
        (State.FIRING, Verdict.BREACH): State.FIRING,
        (State.FIRING, Verdict.BETWEEN): State.FIRING,
        (State.FIRING, Verdict.CLEAR): State.RECOVERING,
        (State.FIRING, Verdict.UNKNOWN): State.FIRING,
        (State.RECOVERING, Verdict.BREACH): State.FIRING,
        (State.RECOVERING, Verdict.BETWEEN): State.FIRING,
        (State.RECOVERING, Verdict.CLEAR): State.RECOVERING,
        (State.RECOVERING, Verdict.UNKNOWN): State.RECOVERING,
    }
)
"""Where a verdict leads. Pending becomes firing once the breach is held for the tier's `for`, and recovering becomes
quiet once clear is held for `recover.for`; see `PASSES`."""

PASSES: Mapping[State, State] = MappingProxyType(
    {
        State.PENDING: State.FIRING,
        State.RECOVERING: State.QUIET,
    }
)
"""Where a state leads that has been held long enough."""

OWN_VERDICT: Mapping[State, Verdict] = MappingProxyType(
    {
        State.PENDING: Verdict.BREACH,
        State.FIRING: Verdict.BREACH,
        State.RECOVERING: Verdict.CLEAR,
    }
)
"""The verdict that a state is made of: what *held* is counted in."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one evaluation found out for one alert."""

    verdict: Verdict
    at: float
    """The time that counts: the sample's own timestamp, else the evaluation's slot."""
    slot: float
    """The evaluation's slot."""
    value: float | None = None
    """`None` where there is no (known) value."""
    worse: bool = False
    """A worse tier of the same series is firing or recovering: then a breach fires at once."""
    said: str = ""
    """What there is to say besides value and limit: `rose by 62 % within 15m (31 samples)`; `""`: nothing."""
    hold: float = 0.0
    """Seconds that clear must last at least, whatever `recover.for` says: the incident is flapping."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One alert that was looked at, quiet ones included: what `engine.reasons.sentence` says in words.

    It stands for itself, so that it may be kept while the alert goes on.
    """

    series: Series
    severity: Severity
    verdict: Verdict
    state: State
    """After the evaluation."""
    value: float | None
    said: str = ""
    """What was found out besides the value; the same as `Finding.said`, or why there was no answer."""
    fresh: bool = True
    """Whether there was anything to judge: samples with their own timestamps may all have been judged before."""
    at: float = 0.0
    """The slot."""
    active_at: float = 0.0
    clock: float = 0.0
    known: float = 0.0
    absent: float = 0.0
    """As in `Alert`, after the evaluation."""
    hold: float = 0.0
    """As in `Finding`."""


def quiet_alert(key: AlertKey, at: float) -> Alert:
    """Return the alert of a series that nothing was wrong with until now."""
    return Alert(
        rule=key.rule,
        severity=key.severity,
        series=key.series,
        state=State.QUIET,
        since=at,
        active_at=at,
        clock=at,
        seen=at,
        judged=at,
        verdict=Verdict.CLEAR,
        known=at,
    )


def advance(alert: Alert, tier: Tier, finding: Finding, step: float) -> Alert:
    """Return the alert after one verdict. `step` is the rule's, in seconds. The reason is left as it was."""
    state = TABLE[alert.state, finding.verdict]
    alert = _take_note(alert, finding)
    if state is not alert.state:
        alert = _enter(alert, state, finding.at)
    elif finding.verdict is OWN_VERDICT.get(state):
        alert = replace(alert, clock=_clock(alert, finding.at, step), seen=finding.at)
    if finding.verdict is OWN_VERDICT.get(alert.state) and _held(alert, tier, finding):
        alert = _enter(alert, PASSES[alert.state], finding.at)
    return alert


def ended(alert: Alert, at: float, reason: str) -> Alert:
    """Return the alert as quiet from now on, whatever `recover` says: its series, or its rule, is no more."""
    return replace(alert, state=State.QUIET, since=at, window=(), edited=False, reason=reason)


def _take_note(alert: Alert, finding: Finding) -> Alert:
    value = alert.value if finding.value is None else finding.value
    if finding.verdict is Verdict.UNKNOWN:
        return replace(alert, verdict=finding.verdict, judged=finding.slot, value=value)
    return replace(alert, verdict=finding.verdict, judged=finding.slot, known=finding.at, value=value)


def _enter(alert: Alert, state: State, at: float) -> Alert:
    """Enter a state. From quiet a new episode begins; back from recovering it is still the same one."""
    started = at if alert.state is State.QUIET else alert.active_at
    return replace(alert, state=state, since=at, active_at=started, clock=at, seen=at)


def _clock(alert: Alert, at: float, step: float) -> float:
    """Return from when held is counted: as before, unless we were blind (or the clock jumped) in between."""
    return alert.clock if 0 <= at - alert.seen <= BLIND_STEPS * step else at


def _held(alert: Alert, tier: Tier, finding: Finding) -> bool:
    """Return whether the state has been held for as long as it must be."""
    held = finding.at - alert.clock
    match alert.state:
        case State.PENDING:
            return finding.worse or held >= tier.for_
        case State.RECOVERING:
            return held >= max(tier.recover.for_, finding.hold)
        case _:
            return False
