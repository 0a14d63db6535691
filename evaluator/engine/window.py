"""Verdicts that need more than one sample: `datapoints = "M of N"`.

The window is a value of the alert's row, so a restart keeps it. This module never knows where it is kept.
"""

from collections.abc import Callable, Iterable

from evaluator.engine.alerts import Verdict
from evaluator.engine.conditions import holds_alone, verdict_from
from evaluator.engine.rules import Tier

Window = tuple[tuple[float, float], ...]
"""Samples as (time, value), oldest first. Values and not verdicts, so that an edited limit judges them anew."""

Holds = Callable[[float, float], bool | None]
"""Says of a sample, given as time and value, whether all conditions hold, as it is known now."""

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


def remembers(tier: Tier, window: Window, holds: Holds | None = None) -> bool:
    """Return whether the tier's conditions hold for any sample of a window."""
    return any(holds_alone(tier, value) if holds is None else holds(at, value) for at, value in window)


def count_of(tier: Tier, window: Window, at: float, step: float, holds: Holds | None = None) -> int:
    """Return for how many of the last N samples of `datapoints` the conditions hold; 0 where the tier has none."""
    return _marks(tier, window, tier.datapoints.n, at, step, holds).count(True) if tier.datapoints is not None else 0


def windowed_verdict(
    tier: Tier, window: Window, value: float, at: float, step: float, holds: Holds | None = None
) -> Verdict:
    """Return the verdict of the newest sample in the light of the window that it ends.

    Without `datapoints` the sample itself decides what a breach is; without `recover.datapoints` it decides, together
    with the M of N, what is clear. `holds` says of a sample what its value alone does not.
    """
    if value != value:  # noqa: PLR0124 - NaN.
        return Verdict.UNKNOWN
    alone = verdict_from(tier, value, holds_alone(tier, value) if holds is None else holds(at, value))
    if tier.datapoints is not None and count_of(tier, window, at, step, holds) >= tier.datapoints.m:
        return Verdict.BREACH
    if alone is Verdict.UNKNOWN or (alone is Verdict.BREACH and tier.datapoints is None):
        return alone
    needed = tier.recover.datapoints
    if needed is not None:
        marks = _marks(tier, window, needed.n, at, step, holds)
        # A sample of which it is not known whether it was beyond the limit is none that recovery can be told from.
        if len(marks) - marks.count(None) < needed.n or marks.count(True) > needed.m:
            return Verdict.BETWEEN
    # A sample beyond the limit ends nothing, however few there are of its kind: there may have been no others to see.
    return Verdict.BETWEEN if alone is Verdict.BREACH else alone


def _marks(tier: Tier, window: Window, n: int, at: float, step: float, holds: Holds | None) -> list[bool | None]:
    """Return for each of the last n samples, none older than n + 3 steps, whether the conditions hold."""
    oldest = at - (n + SPARE_STEPS) * step
    recent = [point for point in window[-n:] if point[0] >= oldest]
    return [holds_alone(tier, value) if holds is None else holds(time, value) for time, value in recent]
