"""From a value to a verdict: breach, between, clear or unknown.

This module compares. It never looks back (that is `window`), and never knows in which state an alert is.
"""

from collections.abc import Sequence
from typing import assert_never

from evaluator.engine.alerts import Verdict
from evaluator.engine.rules import Limit, Op, Tier
from evaluator.engine.shapes import Direction, Way


def holds_alone(tier: Tier, value: float) -> bool | None:
    """Return whether this tier's conditions hold, as far as one value says; `None`: it does not. NaN says nothing."""
    if value != value:  # noqa: PLR0124 - the cheapest test for NaN, and the one that needs no import.
        return None
    if tier.limit is not None and not tier.limit.holds(value):
        return False
    return None if tier.looks_back else tier.limit is not None


def verdict_of(tier: Tier, value: float) -> Verdict:
    """Return what one value says by itself under this tier's conditions and recovery limit."""
    return verdict_from(tier, value, holds_alone(tier, value))


def verdict_from(tier: Tier, value: float | None, holds: bool | None) -> Verdict:  # noqa: FBT001 - three values.
    """Return what one value says of which it is known whether all conditions hold; `None`: it is not.

    The value is `None` where there has never been one.
    """
    if holds is None:
        return Verdict.UNKNOWN
    if holds:
        return Verdict.BREACH
    if value is None or tier.recover.limit is None or tier.recover.limit.holds(value):
        return Verdict.CLEAR
    return Verdict.BETWEEN


def rows_beyond(limit: Limit, values: Sequence[float]) -> list[int]:
    """Return the positions of the values that are beyond the limit.

    One comprehension for each kind of limit: with 100,000 quiet series this loop is the whole cost of a rule, and a
    call of `Limit.holds` for each value would take several times as long.
    """
    low = limit.value
    match limit.op:
        case Op.ABOVE:
            return [row for row, value in enumerate(values) if value > low]
        case Op.BELOW:
            return [row for row, value in enumerate(values) if value < low]
        case Op.AT_LEAST:
            return [row for row, value in enumerate(values) if value >= low]
        case Op.AT_MOST:
            return [row for row, value in enumerate(values) if value <= low]
        case Op.EQUALS:
            return [row for row, value in enumerate(values) if value == low]
        case Op.NOT_EQUALS:
            return [row for row, value in enumerate(values) if value != low and value == value]  # noqa: PLR0124 - NaN.
        case Op.OUTSIDE:
            high = low if limit.high is None else limit.high
            return [row for row, value in enumerate(values) if value < low or value > high]
        case _:
            assert_never(limit.op)


_LOWEST = Limit(Op.BELOW, 0.0)


def worst_row(tier: Tier, values: Sequence[float]) -> int | None:
    """Return the position of the value that speaks for a tier: where several are wrong, what people look at first.

    Where no limit says which that is, what falls or is unusually low is the worse the lower it is, and so is a last
    success the earlier it was. `None` where no value is known.
    """
    falls = tier.trend is not None and tier.trend.way is Way.FALLING
    low = tier.unusual is not None and tier.unusual.direction is Direction.LOW
    downwards = tier.missed is not None or (tier.limit is None and (falls or low))
    return nearest_row(_LOWEST if downwards else tier.limit, values)


def nearest_row(limit: Limit | None, values: Sequence[float]) -> int | None:
    """Return the position of the value that is nearest to, or furthest beyond, the limit: what people look at first.

    Without a limit it is the highest value. `None` where no value is known.
    """
    known = [row for row, value in enumerate(values) if value == value]  # noqa: PLR0124 - NaN.
    if not known:
        return None
    if limit is None:
        return max(known, key=values.__getitem__)
    match limit.op:
        case Op.ABOVE | Op.AT_LEAST:
            return max(known, key=values.__getitem__)
        case Op.BELOW | Op.AT_MOST:
            return min(known, key=values.__getitem__)
        case Op.EQUALS:
            return min(known, key=lambda row: abs(values[row] - limit.value))
        case Op.NOT_EQUALS:
            return max(known, key=lambda row: abs(values[row] - limit.value))
        case Op.OUTSIDE:
            high = limit.value if limit.high is None else limit.high
            return max(known, key=lambda row: max(limit.value - values[row], values[row] - high))
        case _:
            assert_never(limit.op)
