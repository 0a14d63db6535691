"""The sentences of the engine: limits, reasons and the rule's own templates, with the numbers in them.

This module knows words. It never decides anything, and no template can make it fail.
"""

import re
from collections.abc import Mapping

from evaluator.engine.rules import Limit, Op, Tier
from evaluator.engine.shapes import Direction, Trend, Unusual
from evaluator.engine.units import format_duration, format_value

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.\-]*)\}")

_WORDS = {
    Op.ABOVE: "above",
    Op.BELOW: "below",
    Op.AT_LEAST: "at least",
    Op.AT_MOST: "at most",
    Op.EQUALS: "equal to",
    Op.NOT_EQUALS: "not equal to",
    Op.OUTSIDE: "outside",
}
_HEALTHY = {
    Op.ABOVE: "not above",
    Op.BELOW: "not below",
    Op.AT_LEAST: "below",
    Op.AT_MOST: "above",
    Op.EQUALS: "not equal to",
    Op.NOT_EQUALS: "equal to",
    Op.OUTSIDE: "inside",
}


def limit_text(limit: Limit, unit: str | None) -> str:
    """Return a limit for people: `above 90 %`, `outside 10 to 20`."""
    return f"{_WORDS[limit.op]} {_bounds(limit, unit)}"


def tier_text(tier: Tier, unit: str | None) -> str:
    """Return what makes the breach, for people: `above 90 %`, `rising by 50 % within 15m and above 10 %`."""
    parts = [trend_text(tier.trend, unit)] if tier.trend is not None else []
    if tier.unusual is not None:
        parts.append(unusual_text(tier.unusual))
    if tier.missed is not None:
        parts.append(f"without a success since {tier.missed.cron} ({tier.missed.timezone}) was due")
    if tier.absent:
        parts.append("absent")
    if tier.limit is not None:
        parts.append(limit_text(tier.limit, unit))
    return " and ".join(parts)


def healthy_text(tier: Tier, unit: str | None) -> str:
    """Return what the value must be for the tier to be clear: `below 80 %`, `not above 90 %`."""
    if tier.recover.limit is not None:
        return limit_text(tier.recover.limit, unit)
    if tier.limit is None or tier.looks_back:
        return f"no longer {tier_text(tier, unit)}"
    return f"{_HEALTHY[tier.limit.op]} {_bounds(tier.limit, unit)}"


def trend_text(trend: Trend, unit: str | None) -> str:
    """Return what a trend must be, for people: `rising by 50 % within 15m`."""
    by = f"{trend.by * 100:g} %" if trend.share else format_value(trend.by, unit)
    return f"{trend.way} by {by} within {format_duration(trend.over)}"


def unusual_text(unusual: Unusual) -> str:
    """Return what is unusual, for people: `more than 4 MAD above what is usual`."""
    side = {Direction.HIGH: "above", Direction.LOW: "below", Direction.BOTH: "from"}[unusual.direction]
    return f"more than {unusual.by:g} MAD {side} what is usual"


def value_text(value: float | None, unit: str | None) -> str:
    """Return a value for people, or `no value`."""
    return "no value" if value is None else format_value(value, unit)


def held_text(seconds: float) -> str:
    """Return how long something has lasted, to the second."""
    return format_duration(float(round(max(seconds, 0.0))))


def render(template: str, labels: Mapping[str, str], *, value: str, limit: str, since: str) -> str:
    """Fill in a rule's text: `{label}`, `{value}`, `{limit}`, `{since}`. An unknown name stays as written.

    A series' own label wins over nothing: `value`, `limit` and `since` are the words of the language.
    """
    words = {**labels, "value": value, "limit": limit, "since": since}
    return _PLACEHOLDER.sub(lambda found: words.get(found.group(1), found.group(0)), template)


def _bounds(limit: Limit, unit: str | None) -> str:
    if limit.op is Op.OUTSIDE and limit.high is not None:
        return f"{format_value(limit.value, unit)} to {format_value(limit.high, unit)}"
    return format_value(limit.value, unit)
