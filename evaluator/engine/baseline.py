"""`unusual`: how far a value is from what is usual at such a time.

Usual is the median of comparable earlier samples, and far is measured in their median absolute deviation (MAD): an
incident that is among them moves neither, as long as it is the smaller part. This module knows arithmetic on kept
samples. It never knows rules, alerts or a clock.
"""

from datetime import datetime, timedelta
from itertools import count, takewhile
from statistics import median

from evaluator.engine.calendar import time_text, zone
from evaluator.engine.look import Look
from evaluator.engine.shapes import Comparison, Direction, Unusual
from evaluator.engine.trail import Trail, first_kept, values
from evaluator.engine.units import format_duration, format_value, plain

FEWEST = 5
"""With fewer comparable samples nothing is usual yet."""
AROUND = 1_800.0
"""Seconds to either side of the same local time that are the same hour."""
LEAST_SHARE = 0.01
"""Deviations are measured in at least this share of the median: what is nearly constant is allowed that much."""

_EACH = {Comparison.HOUR_OF_WEEK: timedelta(weeks=1), Comparison.HOUR_OF_DAY: timedelta(days=1)}


def look(unusual: Unusual, trail: Trail, width: float, at: float, value: float, unit: str | None) -> Look:
    """Judge the sample `value` at `at` by the kept samples that it is comparable with.

    `trail` has buckets of `width` seconds; its own bucket is none of them. `unit` is for the sentence.
    """
    if value != value:  # noqa: PLR0124 - NaN.
        return Look(None, "no value that could be compared")
    own = at // width * width
    comparable = _comparable(unusual, trail, width, at, own)
    # Older ones are still kept or not, as it comes: what is judged must not hang on when they are pruned.
    begun = first_kept(trail, width, at - unusual.history - AROUND)
    learned = (own if begun is None else begun) + unusual.learn
    few = len(comparable) < FEWEST
    if at < learned:
        return Look(
            None, f"learning until {time_text(learned, seconds=False)}" + (_how_many(comparable) if few else "")
        )
    if few:
        return Look(None, f"learning{_how_many(comparable)} {_compared(unusual)}")
    return _judged(unusual, comparable, value, unit)


def _comparable(unusual: Unusual, trail: Trail, width: float, at: float, own: float) -> list[float]:
    """Return the values that the sample is compared with; none as young as its own bucket."""
    each = _EACH.get(unusual.compared_to)
    if each is None:
        return values(trail, width, at - unusual.history, own)
    place = zone(unusual.timezone)
    local = datetime.fromtimestamp(at, place).replace(tzinfo=None)
    found: list[float] = []
    same_hours = ((local - number * each).replace(tzinfo=place).timestamp() for number in count(1))
    for target in takewhile(lambda target: target >= at - unusual.history, same_hours):
        # Where buckets are longer than that hour, the one that the time falls into counts.
        start = min(target - AROUND, target // width * width)
        found += values(trail, width, start, min(((target + AROUND) // width + 1) * width, own))
    return found


def _judged(unusual: Unusual, comparable: list[float], value: float, unit: str | None) -> Look:
    # Sorted once: what `median` is given then is in order already, or nearly so.
    comparable.sort()
    usual = median(comparable)
    scale, name = _scale(comparable, usual)
    deviation = value - usual
    counts = {Direction.HIGH: deviation, Direction.LOW: -deviation, Direction.BOTH: abs(deviation)}
    holds = counts[unusual.direction] > unusual.by * scale
    shown, normal = format_value(value, unit), format_value(usual, unit)
    of = f"(median of {len(comparable)} samples {_compared(unusual)})"
    if not deviation:
        return Look(holds, f"{shown} is what is usual {of}")
    side = "above" if deviation > 0 else "below"
    how_far = f"{plain(abs(deviation) / scale)} {name} {side}" if scale else side
    return Look(holds, f"{shown} is {how_far} the usual {normal} {of}")


def _scale(comparable: list[float], usual: float) -> tuple[float, str]:
    """Return in what deviations are measured, and its name: the MAD, or what stands in for one that is too small."""
    deviations = [abs(each - usual) for each in comparable]
    scale, name = median(deviations), "MAD"
    if not scale:
        # More than half are the same. The mean tells that there are others.
        scale, name = sum(deviations) / len(deviations), "mean deviations"
    least = LEAST_SHARE * abs(usual)
    return (scale, name) if scale >= least else (least, f"times {plain(LEAST_SHARE * 100)} %")


def _how_many(comparable: list[float]) -> str:
    return f": {len(comparable)} of {FEWEST} samples"


def _compared(unusual: Unusual) -> str:
    if unusual.compared_to is Comparison.LAST_DAYS:
        return f"of the last {format_duration(unusual.history)}"
    return f"at this {unusual.compared_to.value.removeprefix('same ')}"
