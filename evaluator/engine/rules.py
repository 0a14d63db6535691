"""Rules as frozen values: what to ask, where the limits are, who must hear of it.

This module knows the meaning of a rule. It never knows TOML, files being read, or the state of an alert: state lives in
rows keyed by (rule name, severity, series), never in a rule, so a reload has nothing to copy.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from evaluator.engine.calendar import ActiveHours
from evaluator.engine.damping import Flapping, Storm
from evaluator.engine.maintenance import Window
from evaluator.engine.shapes import Keep, Missed, Trend, Unusual, kept_for_trend, kept_for_unusual

BUILT_IN = "built-in"
"""What stands in place of a file for rules that nobody wrote."""


class Severity(StrEnum):
    """How bad it is. `P0` is the worst; the strings sort from worst to mildest."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"

    def worse_than(self, other: "Severity") -> bool:
        """Return whether this one is worse than the other."""
        return self.value < other.value


class Op(StrEnum):
    """The kinds of limits, by their key in TOML."""

    ABOVE = "above"
    BELOW = "below"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: `above 90`, `outside [10, 20]`. Values are in the rule's unit."""

    op: Op
    value: float
    """The limit; for `outside` the lower end."""
    high: float | None = None
    """Only for `outside`: the upper end, not below `value`. Both ends are inside."""

    def holds(self, value: float) -> bool:
        """Return whether the value is beyond this limit. NaN is beyond none."""
        match self.op:
            case Op.ABOVE:
                return value > self.value
            case Op.BELOW:
                return value < self.value
            case Op.AT_LEAST:
                return value >= self.value
            case Op.AT_MOST:
                return value <= self.value
            case Op.EQUALS:
                return value == self.value
            case Op.NOT_EQUALS:
                # NaN differs from everything, itself included; it must still not be a breach.
                return not math.isnan(value) and value != self.value
            case Op.OUTSIDE:
                high = self.value if self.high is None else self.high
                return value < self.value or value > high
            case _:
                assert_never(self.op)


@dataclass(frozen=True, slots=True)
class Datapoints:
    """`datapoints = "M of N"`: M of the last N samples."""

    m: int
    n: int

    def __str__(self) -> str:
        """Return it as it is written in TOML."""
        return f"{self.m} of {self.n}"


@dataclass(frozen=True, slots=True)
class Recover:
    """When a firing alert is over. Without anything said: at the first value that is not beyond the limit."""

    limit: Limit | None = None
    """The value must be here to count as clear (`recover = { below = 80 }`; a margin is worked out at load); what is
    neither beyond the tier's limit nor here is `between`. `None`: whatever is not beyond the tier's limit."""
    for_: float = 0.0
    """Seconds that clear must last."""
    datapoints: Datapoints | None = None
    """At most M of the last N samples beyond the tier's limit."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A limit with its severity. A rule with `severity` has one, a rule with `P0` ... `P3` one for each."""

    severity: Severity
    limit: Limit | None
    """`None` where only other conditions make the breach. All that there are must hold."""
    for_: float = 0.0
    """Seconds that the breach must last; 0 fires at the first breach."""
    datapoints: Datapoints | None = None
    """Instead of `for_`."""
    recover: Recover = Recover()
    trend: Trend | None = None
    unusual: Unusual | None = None
    missed: Missed | None = None
    absent: bool = False
    """The breach is that there is no series at all; then nothing else is a condition."""

    @property
    def looks_back(self) -> bool:
        """Whether its verdict needs more than the value: every series counts then, not only those beyond a limit."""
        return self.trend is not None or self.unusual is not None or self.missed is not None


class NoDataPolicy(StrEnum):
    """What a series that was seen before and is missing now means."""

    HOLD = "hold"
    """Unknown: nothing opens, nothing closes."""
    BREACH = "breach"
    """A breach."""
    RESOLVE = "resolve"
    """Unknown, and clear after `NoData.resolve_after`."""


@dataclass(frozen=True, slots=True)
class NoData:
    """`no_data` of a rule."""

    policy: NoDataPolicy = NoDataPolicy.HOLD
    resolve_after: float = 0.0
    """Seconds; only for `RESOLVE`."""


class Mode(StrEnum):
    """What comes of a rule's verdicts."""

    PAGE = "page"
    """Incidents are opened and sent."""
    SHADOW = "shadow"
    """Judged and drawn, never sent."""
    OFF = "off"
    """Not asked."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask a source. Two rules that ask the same share one question."""

    source: str
    """The source's name in the settings."""
    spec: str
    """The query as canonical JSON (sorted keys), validated by the source's own model when the rule was loaded."""
    step: float = 0.0
    """The query's own period in seconds (a CloudWatch period); 0 where it has none."""

    @property
    def text(self) -> str:
        """The query for a person: the one string that it consists of, or its JSON."""
        fields = json.loads(self.spec)
        if isinstance(fields, dict) and len(fields) == 1:
            (value,) = fields.values()
            if isinstance(value, str):
                return value
        return self.spec


@dataclass(frozen=True, slots=True)
class OnlyIf:
    """`only_if`: a second question, whose answer must be beyond this limit for the rule to be judged."""

    query: Query
    limit: Limit
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[rule.NAME]`, complete: defaults are filled in and units are worked out."""

    name: str
    query: Query
    tiers: tuple[Tier, ...]
    """At least one; the worst first."""
    every: float = 30.0
    """Seconds between evaluations."""
    service: str = "default"
    unit: str | None = None
    """`percent`, `ratio`, `seconds`, `bytes`, ... (see `engine.units`); `None` for a bare number."""
    lag: float = 0.0
    """Seconds that samples may come late."""
    no_data: NoData = NoData()
    group_by: tuple[str, ...] | None = None
    """Labels that make one incident; `None`: all of them, an incident for each series; `()`: one for the rule."""
    only_if: OnlyIf | None = None
    active: tuple[ActiveHours, ...] = ()
    """When it may open and raise incidents; outside of all of them it is muted. `()`: always."""
    inhibited_by: tuple[str, ...] = ()
    """Names of rules whose open incidents hold this one's back."""
    flapping: Flapping | None = None
    storm: Storm | None = None
    mode: Mode = Mode.PAGE
    off_because: str = ""
    """Why it is off, where it was not the rule that said so (`source "cloudwatch" is disabled`)."""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    summary: str = ""
    """A template: `{label}`, `{value}`, `{limit}`, `{since}`; see `engine.wording`."""
    description: str = ""
    runbook: str = ""
    dashboard: str = ""
    file: str = ""
    """Where it was read, relative to the settings file, for people."""
    line: int = 0

    @property
    def source(self) -> str:
        """The name of the source that it asks."""
        return self.query.source

    @property
    def step(self) -> float:
        """The larger of `every` and the query's own period, in seconds: the unit in which blindness is measured."""
        return max(self.every, self.query.step)

    @property
    def keeps(self) -> tuple[Keep, ...]:
        """How its samples must be kept for its conditions to be judged, each way once; `()`: they need not be."""
        trends = [kept_for_trend(tier.trend, self.step) for tier in self.tiers if tier.trend is not None]
        usual = [kept_for_unusual(tier.unusual, self.step) for tier in self.tiers if tier.unusual is not None]
        spans: dict[float, float] = {}
        for keep in (*trends, *usual):
            spans[keep.width] = max(keep.span, spans.get(keep.width, 0.0))
        return tuple(Keep(width, span) for width, span in sorted(spans.items()))

    @property
    def judged(self) -> bool:
        """Whether it is asked and judged at all."""
        return self.mode is not Mode.OFF

    @property
    def built_in(self) -> bool:
        """Whether it is one that every installation has, as it comes; one that a file changes is that file's."""
        return self.file == BUILT_IN

    @property
    def identity(self) -> str:
        """What its alerts stand on, as JSON. While it stays the same, an edit keeps every alert and incident."""
        fields: dict[str, object] = {
            "source": self.query.source,
            "query": self.query.spec,
            "group_by": self.group_by,
            "tiers": [tier.severity.value for tier in self.tiers],
        }
        others = {it.severity: "absent" if it.absent else "missed" for it in self.tiers if it.absent or it.missed}
        if others:
            # An alert of a value would never be judged again as one of what is not there.
            fields["others"] = others
        return json.dumps(fields, sort_keys=True)

    def tier(self, severity: Severity) -> Tier | None:
        """Return the tier of this severity, or `None`."""
        return next((tier for tier in self.tiers if tier.severity is severity), None)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules and windows, by name. Frozen: a reload puts a new one in its place."""

    rules: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))
    windows: Mapping[str, Window] = field(default_factory=lambda: MappingProxyType({}))
    """Maintenance windows, by name."""

    def __iter__(self) -> Iterator[Rule]:
        """Iterate over the rules in the order in which they were read."""
        return iter(self.rules.values())

    def __len__(self) -> int:
        """Return the number of rules."""
        return len(self.rules)

    def get(self, name: str) -> Rule | None:
        """Return the rule of this name, or `None`."""
        return self.rules.get(name)
