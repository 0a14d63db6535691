"""One alert of the model: the table of part 4, what *held* means, and what samples say of a limit.

It knows one alert and its samples. It never imports the real judging code.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from evaluator.engine.rules import Limit, Op, Rule, Tier
from evaluator.engine.samples import Series

TABLE: dict[str, dict[str, str]] = {
    "quiet": {"breach": "pending?", "between": "quiet", "clear": "quiet", "unknown": "quiet"},
    "pending": {"breach": "firing once held", "between": "quiet", "clear": "quiet", "unknown": "pending"},
    "firing": {"breach": "firing", "between": "firing", "clear": "recovering?", "unknown": "firing"},
    "recovering": {"breach": "firing", "between": "firing", "clear": "quiet once held", "unknown": "recovering"},
}
"""The table of part 4, cell by cell. A cell with a condition in it is worked out in `step_alert`."""

COMPARE: dict[Op, Callable[[float, Limit], bool]] = {
    Op.ABOVE: lambda value, limit: value > limit.value,
    Op.BELOW: lambda value, limit: value < limit.value,
    Op.AT_LEAST: lambda value, limit: value >= limit.value,
    Op.AT_MOST: lambda value, limit: value <= limit.value,
    Op.EQUALS: lambda value, limit: value == limit.value,
    Op.NOT_EQUALS: lambda value, limit: value != limit.value,
    Op.OUTSIDE: lambda value, limit: (
        not limit.value <= value <= (limit.high if limit.high is not None else limit.value)
    ),
}


@dataclass
class ModelAlert:
    """Where one alert stands."""

    state: str = "quiet"
    own: list[float] = field(default_factory=list)
    """When the verdict that the state waits for was given (breach in pending, clear in recovering), each time since the
    last gap of more than three steps. A gap is judged by the step of its own time: an edit of `every` makes no gap of
    what was none, and fills none."""


def step_alert(rule: Rule, tier: Tier, alert: ModelAlert, said: str, time: float, *, at_once: bool) -> None:
    """Move one alert by one verdict, as the table says."""
    cell = TABLE[alert.state][said]
    if said == "unknown":
        return
    if at_once and said == "breach":
        alert.state, alert.own = "firing", []
    elif cell in ("pending?", "firing once held"):
        alert.own = since_the_last_gap(alert.own if alert.state == "pending" else [], time, 3 * rule.step)
        needed = 0.0 if tier.datapoints is not None else tier.for_
        alert.state = "firing" if held(alert.own) >= needed else "pending"
    elif cell in ("recovering?", "quiet once held"):
        alert.own = since_the_last_gap(alert.own if alert.state == "recovering" else [], time, 3 * rule.step)
        alert.state = "quiet" if held(alert.own) >= tier.recover.for_ else "recovering"
    else:
        alert.state, alert.own = cell, []


def since_the_last_gap(times: list[float], time: float, blind: float) -> list[float]:
    """Return these verdicts and the one of now; only that one where we were blind (or the clock jumped) before it."""
    return [*times, time] if times and 0 <= time - times[-1] <= blind else [time]


def held(times: list[float]) -> float:
    """Return how long these verdicts have held."""
    return times[-1] - times[0]


def verdict(rule: Rule, tier: Tier, samples: list[tuple[float, float]], time: float) -> str:
    """Return what the samples up to now say of one tier. The last of them is a number."""
    value = samples[-1][1]
    if tier.datapoints is None:
        breach = COMPARE[tier.limit.op](value, tier.limit)
    else:
        breach = count(rule, tier.limit, samples, tier.datapoints.n, time)[0] >= tier.datapoints.m
    if breach:
        return "breach"
    if COMPARE[tier.limit.op](value, tier.limit):
        return "between"  # Too few of them to fire; but nothing recovers with a sample beyond the limit.
    if tier.recover.limit is not None:
        return "clear" if COMPARE[tier.recover.limit.op](value, tier.recover.limit) else "between"
    if tier.recover.datapoints is not None:
        # N samples are needed: those that are not there may have been beyond the limit, and not knowing ends nothing.
        beyond, lacking = count(rule, tier.limit, samples, tier.recover.datapoints.n, time)
        return "clear" if beyond <= tier.recover.datapoints.m and not lacking else "between"
    return "clear"


def longest(tier: Tier) -> int:
    """Return how many samples this tier looks at, at most."""
    points = [it.n for it in (tier.datapoints, tier.recover.datapoints) if it is not None]
    return max(points, default=1)


def count(rule: Rule, limit: Limit, samples: list[tuple[float, float]], n: int, time: float) -> tuple[int, int]:
    """Return how many of the last `n` samples, none older than `n` + 3 steps, are beyond the limit; how many lack."""
    recent = [value for at, value in samples[-n:] if time - (n + 3) * rule.step <= at <= time]
    return sum(COMPARE[limit.op](value, limit) for value in recent), n - len(recent)


def group_of(rule: Rule, series: Series) -> Series:
    """Return the labels that this series shares with the others of its incident."""
    if rule.group_by is None:
        return series
    return tuple((name, value) for name, value in series if name in rule.group_by)


def question(rule: Rule) -> object:
    """Return what an edit must not touch if the alerts are to go on without a look at the first good answer."""
    return (rule.query, rule.group_by, [tier.severity for tier in rule.tiers])
