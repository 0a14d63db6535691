"""`rising` and `falling`: how far the line goes that fits the samples of a window best.

This module knows arithmetic on kept samples. It never knows rules, alerts or a clock.
"""

import math
from statistics import linear_regression

from evaluator.engine.look import Look
from evaluator.engine.shapes import Trend, Way
from evaluator.engine.trail import Trail, points
from evaluator.engine.units import format_duration, format_value, plain

FEWEST = 5
"""Through fewer samples no line is fitted: two or three would make a trend of each wobble."""
SPREAD = 0.75
"""The first and the last sample must be this share of the window apart: a line is not drawn beyond what was seen."""
_NOISE = 1e-9
"""By this share a rise may be below `by`: what a line of exactly that rise loses in floating-point arithmetic."""


def look(trend: Trend, trail: Trail, width: float, at: float, value: float, unit: str | None) -> Look:
    """Judge the sample `value` at `at` by the line through it and the kept samples of the window before it.

    `trail` has buckets of `width` seconds; samples stand where their buckets begin, and the one that is judged takes
    the place of what its own bucket kept. `unit` is for the sentence.
    """
    if not math.isfinite(value):
        return Look(None, f"no line can be fitted through {plain(value)}")
    own = at // width * width
    line = [*points(trail, width, _after(at - trend.over, width), own), (own, value)]
    problem = _too_little(trend, line)
    return Look(None, problem) if problem else _judged(trend, line, unit)


def _after(time: float, width: float) -> float:
    """Return the begin of the first bucket that begins after a time."""
    return (time // width + 1) * width


def _too_little(trend: Trend, line: list[tuple[float, float]]) -> str:
    """Return why these samples make no trend; an empty string: they do."""
    over = format_duration(trend.over)
    if len(line) < FEWEST:
        return f"only {len(line)} of at least {FEWEST} samples within {over}"
    spread = line[-1][0] - line[0][0]
    if spread < SPREAD * trend.over:
        return (
            f"the {len(line)} samples reach over {format_duration(spread)} of {over},"
            f" not yet over {format_duration(SPREAD * trend.over)}"
        )
    return ""


def _judged(trend: Trend, line: list[tuple[float, float]], unit: str | None) -> Look:
    end = line[-1][0]
    # Scaled by a power of two, which loses nothing, so that no sum is too large for a float.
    _, exponent = math.frexp(max(abs(value) for _, value in line))
    slope, at_end = linear_regression(
        [time - end for time, _ in line], [math.ldexp(value, -exponent) for _, value in line]
    )
    at_start = at_end - slope * trend.over
    rise, by = at_end - at_start, _by(trend, at_start, exponent)
    towards = rise if trend.way is Way.RISING else -rise
    # From zero any rise is more than any share of it.
    holds = towards >= by * (1 - _NOISE) if by else towards > 0
    first, last = _scaled(at_start, exponent), _scaled(at_end, exponent)
    verb = "rose" if rise >= 0 else "fell"
    if not trend.share:
        how_far = f" by {format_value(abs(_scaled(rise, exponent)), unit)}"
    else:
        how_far = f" by {plain(abs(rise / at_start) * 100)} %" if at_start else ""
    return Look(
        holds,
        f"{verb}{how_far} within {format_duration(trend.over)},"
        f" from {format_value(first, unit)} to {format_value(last, unit)} ({len(line)} samples)",
    )


def _by(trend: Trend, at_start: float, exponent: int) -> float:
    """Return how far the line must go, in the scale of the fit."""
    return trend.by * abs(at_start) if trend.share else _scaled(trend.by, -exponent)


def _scaled(value: float, exponent: int) -> float:
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)
