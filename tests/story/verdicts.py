"""One alert of the model: the table of part 4, what *held* means, and what samples say of a tier.

It knows one alert and its samples. It never imports the real judging code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evaluator.engine.rules import Limit, Op, Rule, Tier
from evaluator.engine.samples import Series
from tests.story.looking_back import is_unusual, last_due, on_a_line, width_of_trend, width_of_unusual

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

HOUR = 3600.0


@dataclass
class ModelAlert:
    """Where one alert stands."""

    state: str = "quiet"
    own: list[float] = field(default_factory=list)
    """When the verdict that the state waits for was given (breach in pending, clear in recovering), each time since the
    last gap of more than three steps. A gap is judged by the step of its own time: an edit of `every` makes no gap of
    what was none, and fills none."""
    began: float = 0.0
    """When the first breach of this episode was."""
    said: str = "clear"
    """The last verdict."""
    known: float = 0.0
    """When the last verdict that was not unknown was given."""
    unmet: list[float] = field(default_factory=list)
    """The first and the last slot at which `only_if` did not hold, since the last gap of more than three steps."""


def step_alert(
    rule: Rule, tier: Tier, alert: ModelAlert, said: str, time: float, *, at_once: bool, hold: float = 0.0
) -> None:
    """Move one alert by one verdict, as the table says."""
    cell = TABLE[alert.state][said]
    alert.said = said
    if said == "unknown":
        return
    alert.known = time
    if alert.state == "quiet":
        alert.began = time
    if at_once and said == "breach":
        alert.state, alert.own = "firing", []
    elif cell in ("pending?", "firing once held"):
        alert.own = since_the_last_gap(alert.own if alert.state == "pending" else [], time, 3 * rule.step)
        needed = 0.0 if tier.datapoints is not None else tier.for_
        alert.state = "firing" if held(alert.own) >= needed else "pending"
    elif cell in ("recovering?", "quiet once held"):
        alert.own = since_the_last_gap(alert.own if alert.state == "recovering" else [], time, 3 * rule.step)
        alert.state = "quiet" if held(alert.own) >= max(tier.recover.for_, hold) else "recovering"
    else:
        alert.state, alert.own = cell, []


def since_the_last_gap(times: list[float], time: float, blind: float) -> list[float]:
    """Return these verdicts and the one of now; only that one where we were blind (or the clock jumped) before it."""
    return [*times, time] if times and 0 <= time - times[-1] <= blind else [time]


def held(times: list[float]) -> float:
    """Return how long these verdicts have held."""
    return times[-1] - times[0]


def without_only_if(rule: Rule, alert: ModelAlert, slot: float) -> str:
    """Return what an alert sees where `only_if` does not hold."""
    gap = not alert.unmet or not 0 <= slot - alert.unmet[-1] <= 3 * rule.step
    alert.unmet = [slot, slot] if gap else [alert.unmet[0], slot]
    if alert.state in ("quiet", "pending"):
        return "clear"
    return "clear" if held(alert.unmet) >= HOUR else "unknown"


@dataclass
class Past:
    """What else is known when a sample of one series is judged."""

    rule: Rule
    series: Series
    kept: Mapping[tuple[str, float, Series], Mapping[float, float]]
    since: float
    """When the rule was first seen."""

    def holds(self, tier: Tier, value: float | None, at: float) -> bool | None:
        """Return whether all conditions of a tier hold for one sample; `None`: that is not known."""
        found: list[bool | None] = []
        if tier.missed is not None:
            due = last_due(tier.missed.cron, tier.missed.timezone, at - tier.missed.grace)
            found.append(due is not None and due >= self.since and (value is None or value < due))
        if value is not None and tier.limit is not None:
            found.append(COMPARE[tier.limit.op](value, tier.limit))
        if value is not None and tier.trend is not None:
            width = width_of_trend(self.rule, tier.trend)
            found.append(on_a_line(tier.trend, width, self.trail(width), value, at))
        if value is not None and tier.unusual is not None:
            width = width_of_unusual(self.rule)
            found.append(is_unusual(tier.unusual, width, self.trail(width), value, at))
        if False in found:
            return False
        return None if None in found else True

    def trail(self, width: float) -> Mapping[float, float]:
        """Return what was kept of this series."""
        return self.kept.get((self.rule.name, width, self.series), {})


def verdict(tier: Tier, samples: list[tuple[float, float]], time: float, past: Past) -> str:
    """Return what the samples up to now say of one tier. The last of them is a number."""
    value = samples[-1][1]
    now = past.holds(tier, value, time)
    if tier.datapoints is None:
        breach = now is True
    else:
        breach = count(tier, samples, tier.datapoints.n, time, past)[0] >= tier.datapoints.m
    if breach:
        return "breach"
    if now is None:
        return "unknown"
    if now:
        return "between"  # Too few of them to fire; but nothing recovers with a sample beyond the limit.
    if tier.recover.limit is not None:
        return "clear" if COMPARE[tier.recover.limit.op](value, tier.recover.limit) else "between"
    if tier.recover.datapoints is not None:
        # N samples are needed: those that are not there may have been beyond the limit, and not knowing ends nothing.
        beyond, lacking = count(tier, samples, tier.recover.datapoints.n, time, past)
        return "clear" if beyond <= tier.recover.datapoints.m and not lacking else "between"
    return "clear"


def longest(tier: Tier) -> int:
    """Return how many samples this tier looks at, at most."""
    points = [it.n for it in (tier.datapoints, tier.recover.datapoints) if it is not None]
    return max(points, default=1)


def count(tier: Tier, samples: list[tuple[float, float]], n: int, time: float, past: Past) -> tuple[int, int]:
    """Return how many of the last `n` samples, none older than `n` + 3 steps, are beyond; how many are not known."""
    recent = [(at, value) for at, value in samples[-n:] if time - (n + 3) * past.rule.step <= at <= time]
    said = [past.holds(tier, value, at) for at, value in recent]
    return said.count(True), n - len(recent) + said.count(None)


def group_of(rule: Rule, series: Series) -> Series:
    """Return the labels that this series shares with the others of its incident."""
    if rule.group_by is None:
        return series
    return tuple((name, value) for name, value in series if name in rule.group_by)


def question(rule: Rule) -> object:
    """Return what an edit must not touch if the alerts are to go on without a look at the first good answer."""
    query = (rule.query.source, rule.query.spec)
    return (query, rule.group_by, [tier.severity for tier in rule.tiers], kind_of(rule))


def kind_of(rule: Rule) -> str:
    """Return what a rule looks at: values, the last success, or whether there is anything at all."""
    if rule.tiers[0].absent:
        return "absent"
    return "values" if rule.tiers[0].missed is None else "missed"
