"""Verdicts that need more than one sample: `datapoints = "M of N"`.

The window is a value of the alert's row, so a restart keeps it. This module never knows where it is kept.
"""

from collections.abc import Iterable

from evaluator.engine.alerts import Verdict
from evaluator.engine.conditions import verdict_of
from evaluator.engine.rules import Tier

Window = tuple[tuple[float, float], ...]
"""Samples as (time, value), oldest first. Values and not verdicts, so that an edited limit judges them anew."""

SPARE_STEPS = 3
"""A sample counts while it is no older than N plus this many steps."""


def window_size(tier: Tier) -> int:
    """Return how many samples the tier looks back; 0 where it judges each sample by itself."""
    sizes = [datapoints.n for datapoints in (tier.datapoints, tier.recover.datapoints) if datapoints]
    return max(sizes, default=0)


def push(window: Window, tier: Tier, value: float, at: float, step: float) -> Window:
    """Return the window with a sample at its end, without what is too many or too old. NaN is no sample."""
    if value != value:  # noqa: PLR0124 - NaN.
        return window
    size = window_size(tier)
    oldest = at - (size + SPARE_STEPS) * step
    kept = [point for point in window if oldest <= point[0] < at]
    return (*kept, (at, value))[-size:]


def amended(window: Window, tier: Tier, late: Iterable[tuple[float, float]], step: float) -> Window:
    """Return the window with what is known now of instants that it has passed.

    `late` are samples as (time, value), none newer than the window's end: points that came late, and points whose value
    has changed since. They count from the next newer sample on. A window that was emptied stays so.
    """
    points = dict(window) | {at: value for at, value in late if value == value}  # noqa: PLR0124 - NaN.
    if not window:
        return window
    size = window_size(tier)
    oldest = window[-1][0] - (size + SPARE_STEPS) * step
    return tuple(sorted(point for point in points.items() if point[0] >= oldest))[-size:]


def beyond(tier: Tier, window: Window) -> int:
    """Return how many samples of a window are beyond the tier's limit."""
    return 0 if tier.limit is None else sum(tier.limit.holds(value) for _, value in window)


def windowed_verdict(tier: Tier, window: Window, value: float, at: float, step: float) -> Verdict:
    """Return the verdict of the newest sample in the light of the window that it ends.

    Without `datapoints` the sample itself decides what a breach is; without `recover.datapoints` it decides, together
    with the M of N, what is clear.
    """
    alone = verdict_of(tier, value)
    if alone is Verdict.UNKNOWN:
        return alone
    if _breaches(tier, window, alone, at, step):
        return Verdict.BREACH
    needed = tier.recover.datapoints
    if needed is not None:
        recent = _recent(window, needed.n, at, step)
        if len(recent) < needed.n or beyond(tier, recent) > needed.m:
            return Verdict.BETWEEN
    # A sample beyond the limit ends nothing, however few there are of its kind: there may have been no others to see.
    return Verdict.BETWEEN if alone is Verdict.BREACH else alone


def _breaches(tier: Tier, window: Window, alone: Verdict, at: float, step: float) -> bool:
    if tier.datapoints is None:
        return alone is Verdict.BREACH
    recent = _recent(window, tier.datapoints.n, at, step)
    return beyond(tier, recent) >= tier.datapoints.m


def _recent(window: Window, n: int, at: float, step: float) -> Window:
    """Return the last n samples, none older than n + 3 steps."""
    oldest = at - (n + SPARE_STEPS) * step
    return tuple(point for point in window[-n:] if point[0] >= oldest)
