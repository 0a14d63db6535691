"""Every key of a rule file, with the sentence that an editor and the docs show for it.

This module knows names and kinds of keys. It never knows how keys act together; that is `rules`, `limits`,
`conditions` and `windows`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from evaluator.config.fields import (
    Breaches,
    Compared,
    Deviations,
    Duration,
    Ends,
    Interval,
    Keys,
    Lasting,
    Link,
    Missing,
    ModeName,
    Points,
    Quantity,
    QueryTable,
    SeverityName,
    Span,
    Unit,
)
from evaluator.config.times import Cron, Hours, Moment, TimeZone

LIMITS = ("above", "below", "at_least", "at_most", "equals", "not_equals", "outside")
"""The keys of which a tier has exactly one."""
TIERS = ("P0", "P1", "P2", "P3")
"""The keys of several severities, the worst first."""
CONDITIONS = ("rising", "falling", "unusual", "missed", "absent")
"""The keys of conditions that look at more than one value."""
OWN = (*LIMITS, *CONDITIONS, *TIERS, "query", "only_if")
"""The keys of a rule that cannot be defaults."""
LATER = frozenset({"workflow"})
"""Keys of the rule language that a later version brings: refused by name, never ignored."""


class RecoverKeys(Keys):
    """When a firing alert is over."""

    above: Quantity | None = Field(None, description="over when the value is above this")
    below: Quantity | None = Field(None, description="over when the value is below this")
    at_least: Quantity | None = Field(None, description="over when the value is this or more")
    at_most: Quantity | None = Field(None, description="over when the value is this or less")
    equals: Quantity | None = Field(None, description="over when the value is exactly this")
    not_equals: Quantity | None = Field(None, description="over when the value is anything else")
    margin: Quantity | None = Field(
        None, description='how far back from the limit, towards healthy: a quantity, or a share of the limit like "20%"'
    )
    for_: Duration | None = Field(None, alias="for", description="how long it must be back; default 0s")
    datapoints: Points | None = Field(
        None, description='over when at most M of the last N samples are beyond the limit: "0 of 3"'
    )


class ComparedKeys(Keys):
    """What a value is compared with."""

    above: Quantity | None = Field(None, description="wrong when the value is above this")
    below: Quantity | None = Field(None, description="wrong when the value is below this")
    at_least: Quantity | None = Field(None, description="wrong when the value is this or more")
    at_most: Quantity | None = Field(None, description="wrong when the value is this or less")
    equals: Quantity | None = Field(None, description="wrong when the value is exactly this")
    not_equals: Quantity | None = Field(None, description="wrong when the value is anything else")
    outside: Ends | None = Field(None, description="wrong when the value is below the first or above the second")


class TrendKeys(Keys):
    """`rising` and `falling`: the line that fits the samples of the window best."""

    by: Quantity = Field(
        description='how far at least: a quantity in the rule\'s unit, or a share of where the line begins, "50%"'
    )
    over: Duration = Field(description="the window that ends now; at least five steps")


class UnusualKeys(Keys):
    """`unusual`: far from the median of earlier samples."""

    by: Deviations = Field(description='how far from the median, in median absolute deviations: "4 mad"')
    history: Duration | None = Field(None, description="how far back; default 28d")
    compared_to: Compared | None = Field(
        None,
        description='"same hour of the week" (default), "same hour of the day", or "last 7 days": all of them',
    )
    direction: Literal["high", "low", "both"] | None = Field(
        None, description='on which side: "high", "low" or "both" (default)'
    )
    learn: Duration | None = Field(
        None, description="how long a new series is only watched; default 14d, or half of `history` if that is less"
    )


class MissedKeys(Keys):
    """`missed`: the value is the time of the last success, in seconds since 1970, and one was due since."""

    cron: Cron = Field(description='when it is due: the five fields of a crontab, "0 2 * * *"')
    timezone: TimeZone | None = Field(None, description="in which time zone; default: that of the settings")
    grace: Duration | None = Field(None, description="how long after that the success may still come; default 0s")


class LimitKeys(ComparedKeys):
    """What is wrong, and for how long it must be."""

    rising: TrendKeys | None = Field(None, description="wrong when the values of the window rise by this")
    falling: TrendKeys | None = Field(None, description="wrong when the values of the window fall by this")
    unusual: UnusualKeys | None = Field(None, description="wrong when the value is unlike earlier ones")
    missed: MissedKeys | None = Field(
        None, description="wrong when a job was due and has not run; the value is the time of its last success"
    )
    absent: bool | None = Field(None, description="true: wrong when there is no series at all; stands alone")
    for_: Duration | None = Field(None, alias="for", description="how long it must be wrong; default 0s")
    datapoints: Breaches | None = Field(None, description='instead of `for`: M of the last N samples, "3 of 5"')
    recover: RecoverKeys | None = Field(None, description="when it is over; default: when it is not wrong, at once")


class OnlyIfKeys(ComparedKeys):
    """`only_if`: a second question; the rule is judged where its answer is beyond the limit."""

    source: str | None = Field(None, description="which source to ask; default: the rule's own")
    query: QueryTable = Field(description="what to ask; joined with the rule's series on the labels that both have")
    unit: Unit | None = Field(None, description="what this query's value is")


def _table_or_false(value: object) -> object:
    """Refuse what is neither, before either of the two complains."""
    if value is False or isinstance(value, dict):
        return value
    raise ValueError("must be a table or false; write { opens = 3 }, or false for never")


def _kind(value: object) -> str:
    """Return which of two kinds a value is, so that only that one's complaints are heard."""
    return "off" if value is False else "table"


_Off = Annotated[Literal[False], Tag("off")]


class FlappingKeys(Keys):
    """`flapping`: an incident that opens again and again is held open for longer."""

    opens: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None, description="how often one incident must have opened ...; default 3"
    )
    within: Span | None = Field(None, description="... within this time, at most 1d; default 1h ...")
    hold: Lasting | None = Field(None, description="... for clear to have to last this long; default 15m")


class StormKeys(Keys):
    """`storm`: when very many incidents of one service open at once, the rest join one incident."""

    opens: Annotated[int, Field(ge=2, le=100_000)] | None = Field(
        None, description="after how many openings of one service ...; default 30"
    )
    within: Span | None = Field(None, description="... within this time, at most 1d; default 1m")


Flaps = Annotated[Annotated[FlappingKeys, Tag("table")] | _Off, Discriminator(_kind), BeforeValidator(_table_or_false)]
"""`flapping`: a table or `false`."""
Storms = Annotated[Annotated[StormKeys, Tag("table")] | _Off, Discriminator(_kind), BeforeValidator(_table_or_false)]
"""`storm`: a table or `false`."""


class TierKeys(LimitKeys):
    """One severity of a rule; what it does not say, it inherits from the rule."""


class DefaultKeys(Keys):
    """`[defaults]`: what the rules of this file do not say themselves."""

    source: str | None = Field(None, description="which [sources.NAME] of evaluator.toml to ask")
    every: Interval | None = Field(None, description="how often it is asked and judged, 1s to 1d")
    unit: Unit | None = Field(
        None, description="what the query's value is, so that limits may be written like 5% or 2GB"
    )
    lag: Duration | None = Field(None, description="how late samples may come")
    service: str | None = Field(None, description="which [services.NAME] of evaluator.toml is told")
    severity: SeverityName | None = Field(None, description="how bad it is: P0 (the worst) to P3")
    for_: Duration | None = Field(None, alias="for", description="how long it must be wrong; default 0s")
    datapoints: Breaches | None = Field(None, description='instead of `for`: M of the last N samples, "3 of 5"')
    recover: RecoverKeys | None = Field(None, description="when it is over; default: when it is not wrong, at once")
    no_data: Missing | None = Field(
        None, description='what a missing series means: "hold" (default), "breach" or { resolve_after = "1h" }'
    )
    group_by: list[str] | None = Field(
        None, description="labels that make one incident; default: all of them; []: one for the rule"
    )
    active: Hours | None = Field(
        None,
        description='when it may open and raise incidents: "Mon-Fri 08:00-20:00 America/New_York", or a list of such',
    )
    inhibited_by: list[str] | None = Field(
        None, description="names of rules; while one of them has an incident open, this one opens none"
    )
    flapping: Flaps | None = Field(
        None, description="when an incident that opens again and again is held open for longer; false: never"
    )
    storm: Storms | None = Field(
        None, description="when incidents of a service that open all at once become one; false: never"
    )
    mode: ModeName | None = Field(None, description='"page" (default), "shadow" (judged, never sent) or "off"')
    labels: dict[str, str] | None = Field(None, description="words of your own, shown with the incident")
    summary: str | None = Field(
        None, description="the incident's title; {label}, {value}, {limit}, {since} are filled in"
    )
    description: str | None = Field(None, description="a longer text for whoever is paged")
    runbook: Link | None = Field(None, description="address of what to do")
    dashboard: Link | None = Field(None, description="address of where to look")


class WhenKeys(Keys):
    """`when` of a window: it begins again and again."""

    cron: Cron = Field(description='when it begins: the five fields of a crontab, "0 2 * * SUN"')
    timezone: TimeZone | None = Field(None, description="in which time zone; default: that of the settings")
    for_: Lasting = Field(alias="for", description="how long it lasts")


class WindowKeys(Keys):
    """`[window.NAME]`: planned work, during which what it selects opens and raises nothing."""

    rules: list[str] | None = Field(None, description='patterns of rule names; default ["*"]: all of them')
    except_: list[str] | None = Field(None, alias="except", description="patterns of rule names that it does not touch")
    series: dict[str, str] | None = Field(
        None, description='only series whose labels have these values: { InstanceId = "i-1*" }'
    )
    from_: Moment | None = Field(
        None,
        alias="from",
        description='when it begins: "2026-12-01 02:00", in the settings\' time zone if it says none',
    )
    until: Moment | None = Field(None, description="when it ends")
    when: WhenKeys | None = Field(None, description="instead of from and until: when it comes again and again")
    reason: str | None = Field(None, description="what is done, for whoever looks")


class RuleKeys(LimitKeys, DefaultKeys):
    """`[rule.NAME]`: one rule. NAME (letters, digits, - and _) is its permanent id."""

    query: QueryTable | None = Field(None, description="what to ask the source; see the page of the source")
    only_if: OnlyIfKeys | None = Field(
        None, description="a second query with a limit: judged only where it is beyond it"
    )
    P0: TierKeys | None = Field(None, description="the limit of severity P0")
    P1: TierKeys | None = Field(None, description="the limit of severity P1")
    P2: TierKeys | None = Field(None, description="the limit of severity P2")
    P3: TierKeys | None = Field(None, description="the limit of severity P3")
