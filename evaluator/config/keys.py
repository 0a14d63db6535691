"""Every key of a rule file, with the sentence that an editor and the docs show for it.

This module knows names and kinds of keys. It never knows how keys act together; that is `rules` and `limits`.
"""

from pydantic import Field

from evaluator.config.fields import (
    Breaches,
    Duration,
    Ends,
    Interval,
    Keys,
    Link,
    Missing,
    ModeName,
    Points,
    Quantity,
    QueryTable,
    SeverityName,
    Unit,
)

LIMITS = ("above", "below", "at_least", "at_most", "equals", "not_equals", "outside")
"""The keys of which a tier has exactly one."""
TIERS = ("P0", "P1", "P2", "P3")
"""The keys of several severities, the worst first."""
LATER = frozenset(
    {
        *("rising", "falling", "unusual", "missed", "absent", "only_if", "active", "inhibited_by", "flapping", "storm"),
        *("window", "workflow"),
    }
)
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


class LimitKeys(Keys):
    """A limit, and how long it must be passed."""

    above: Quantity | None = Field(None, description="wrong when the value is above this")
    below: Quantity | None = Field(None, description="wrong when the value is below this")
    at_least: Quantity | None = Field(None, description="wrong when the value is this or more")
    at_most: Quantity | None = Field(None, description="wrong when the value is this or less")
    equals: Quantity | None = Field(None, description="wrong when the value is exactly this")
    not_equals: Quantity | None = Field(None, description="wrong when the value is anything else")
    outside: Ends | None = Field(None, description="wrong when the value is below the first or above the second")
    for_: Duration | None = Field(None, alias="for", description="how long the limit must be passed; default 0s")
    datapoints: Breaches | None = Field(None, description='instead of `for`: M of the last N samples, "3 of 5"')
    recover: RecoverKeys | None = Field(None, description="when it is over; default: at the limit itself, at once")


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
    for_: Duration | None = Field(None, alias="for", description="how long the limit must be passed; default 0s")
    datapoints: Breaches | None = Field(None, description='instead of `for`: M of the last N samples, "3 of 5"')
    recover: RecoverKeys | None = Field(None, description="when it is over; default: at the limit itself, at once")
    no_data: Missing | None = Field(
        None, description='what a missing series means: "hold" (default), "breach" or { resolve_after = "1h" }'
    )
    group_by: list[str] | None = Field(
        None, description="labels that make one incident; default: all of them; []: one for the rule"
    )
    mode: ModeName | None = Field(None, description='"page" (default), "shadow" (judged, never sent) or "off"')
    labels: dict[str, str] | None = Field(None, description="words of your own, shown with the incident")
    summary: str | None = Field(
        None, description="the incident's title; {label}, {value}, {limit}, {since} are filled in"
    )
    description: str | None = Field(None, description="a longer text for whoever is paged")
    runbook: Link | None = Field(None, description="address of what to do")
    dashboard: Link | None = Field(None, description="address of where to look")


class RuleKeys(LimitKeys, DefaultKeys):
    """`[rule.NAME]`: one rule. NAME (letters, digits, - and _) is its permanent id."""

    query: QueryTable | None = Field(None, description="what to ask the source; see the page of the source")
    P0: TierKeys | None = Field(None, description="the limit of severity P0")
    P1: TierKeys | None = Field(None, description="the limit of severity P1")
    P2: TierKeys | None = Field(None, description="the limit of severity P2")
    P3: TierKeys | None = Field(None, description="the limit of severity P3")
