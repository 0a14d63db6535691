"""What the model says of a value that is held against earlier ones, or against a crontab.

Kept samples are a dict from the time at which their bucket begins to the value; nothing is ever thrown away. It never
imports the real judging code, and has its own line, its own median and its own crontab.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from evaluator.engine.calendar import ActiveHours
from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Rule
from evaluator.engine.shapes import Comparison, Direction, Trend, Unusual, Way

FEWEST = 5
"""With fewer samples than these nothing is said of a line, and nothing is called unusual."""
HALF_AN_HOUR = 1800.0

Kept = Mapping[float, float]


def width_of_trend(rule: Rule, trend: Trend) -> float:
    """Return the seconds of which one sample is kept for a line: about 60 for the window, none finer than the step."""
    return max(rule.step, trend.over / 60)


def width_of_unusual(rule: Rule) -> float:
    """Return the same for what `unusual` compares with: five minutes."""
    return max(rule.step, 300.0)


def widths(rule: Rule) -> set[float]:
    """Return all widths in which a rule keeps its samples."""
    trends = {width_of_trend(rule, tier.trend) for tier in rule.tiers if tier.trend is not None}
    return trends | {width_of_unusual(rule) for tier in rule.tiers if tier.unusual is not None}


def on_a_line(trend: Trend, width: float, kept: Kept, value: float, at: float) -> bool | None:
    """Return whether the fitted line goes far enough; `None`: too little is known."""
    own = at // width * width
    points = sorted([(time, was) for time, was in kept.items() if at - trend.over < time < at and time != own])
    points.append((own, value))
    if len(points) < FEWEST or points[-1][0] - points[0][0] < 0.75 * trend.over:
        return None
    # Times are counted from the last point, values from where they are.
    xs, ys = [time - own for time, _ in points], [was for _, was in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    squares = sum((each - x) ** 2 for each in xs)
    slope = sum((one - x) * (other - y) for one, other in zip(xs, ys, strict=True)) / squares
    end, start = y - slope * x, y - slope * (x + trend.over)
    rise = end - start if trend.way is Way.RISING else start - end
    if not trend.share:
        return rise >= trend.by
    return rise >= trend.by * abs(start) if start != 0.0 else rise > 0.0


def is_unusual(unusual: Unusual, width: float, kept: Kept, value: float, at: float) -> bool | None:
    """Return whether a value is far from the comparable ones; `None`: still learning."""
    own = at // width * width
    like = [was for time, was in kept.items() if time < own and comparable(unusual, time, at)]
    first = min([time for time in kept if time >= at - unusual.history - HALF_AN_HOUR], default=at)
    if at - first < unusual.learn or len(like) < FEWEST:
        return None
    middle = median(like)
    scale = median([abs(was - middle) for was in like])
    if scale == 0.0:
        scale = sum(abs(was - middle) for was in like) / len(like)
    scale = max(scale, abs(middle) / 100)
    away = value - middle
    if unusual.direction is Direction.LOW:
        away = -away
    if unusual.direction is Direction.BOTH:
        away = abs(away)
    return away > unusual.by * scale


def comparable(unusual: Unusual, time: float, at: float) -> bool:
    """Return whether a sample is one that a value of now is held against."""
    if unusual.compared_to is Comparison.LAST_DAYS:
        return at - unusual.history <= time < at
    days = 7 if unusual.compared_to is Comparison.HOUR_OF_WEEK else 1
    return any(
        abs(time - same) <= HALF_AN_HOUR for same in same_hours(at, unusual.timezone, days, at - unusual.history)
    )


@lru_cache(maxsize=1000)
def same_hours(at: float, timezone: str, days: int, oldest: float) -> list[float]:
    """Return when the clocks there showed the same as now, some days ago, twice as many days ago, ..."""
    found: list[float] = []
    local = datetime.fromtimestamp(at, ZoneInfo(timezone))
    while True:
        local = (local - timedelta(days=days)).replace(fold=0)
        if local.timestamp() < oldest:
            return found
        found.append(local.timestamp())


def median(values: list[float]) -> float:
    """Return the one in the middle, or the mean of the two there."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def last_due(cron: str, timezone: str, at: float) -> float | None:
    """Return the last time of a crontab line (of minutes and hours) that is not after `at`."""
    return due_before(cron, timezone, at // 60 * 60)


@lru_cache(maxsize=10_000)
def due_before(cron: str, timezone: str, at: float) -> float | None:
    """Go back from a full minute, minute by minute, over the hours that are none of it at once."""
    minutes, hours = (numbers(field, size) for field, size in zip(cron.split()[:2], (60, 24), strict=True))
    time = at
    while at - time <= 49 * 3600:
        local = datetime.fromtimestamp(time, ZoneInfo(timezone))
        if local.hour in hours and local.minute in minutes:
            return time
        time -= 60.0 if local.hour in hours else 60.0 * (local.minute + 1)
    return None


def numbers(field: str, size: int) -> set[int]:
    """Return what `*`, `*/5` or `17` means."""
    if field.startswith("*"):
        return set(range(0, size, int(field[2:] or "1")))
    return {int(field)}


def in_force(window: Window, now: float) -> bool:
    """Return whether planned work goes on."""
    if window.when is None:
        return window.start <= now < window.end
    begun = last_due(window.when.cron, window.when.timezone, now)
    return begun is not None and now < begun + window.when.for_


def is_active(hours: ActiveHours, now: float) -> bool:
    """Return whether a time is in these hours; those that pass midnight belong to the day on which they begin."""
    local = datetime.fromtimestamp(now, ZoneInfo(hours.timezone))
    minute, today, yesterday = local.hour * 60 + local.minute, local.weekday(), (local.weekday() - 1) % 7
    end = hours.end if hours.start < hours.end else hours.end + 1440
    return any(
        day in hours.days and hours.start <= minute + passed < end for day, passed in ((today, 0), (yesterday, 1440))
    )
