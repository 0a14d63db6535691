"""Which rows of an answer are nearest to a limit: what a quiet rule looks like.

This module scans numbers, fast: it is asked after every evaluation. It never knows which series the rows are.
"""

from collections.abc import Sequence
from heapq import nlargest, nsmallest

from evaluator.engine.conditions import nearest_row
from evaluator.engine.rules import Limit, Op

_SOME = 997
"""Values that are looked at to see where the largest ones begin; a prime, since answers are laid out regularly."""


def nearest_rows(limit: Limit | None, values: Sequence[float], few: int) -> list[int]:
    """Return the positions of a few values that are nearest to, or furthest beyond, a limit, the nearest first.

    Without a limit they are the highest values; NaN is none of them. Where nearness has two sides, one is returned.
    """
    if limit is None or limit.op in (Op.ABOVE, Op.AT_LEAST):
        return _highest(values, few)
    if limit.op in (Op.BELOW, Op.AT_MOST):
        return _lowest(values, few)
    row = nearest_row(limit, values)
    return [] if row is None else [row]


def _highest(values: Sequence[float], few: int) -> list[int]:
    # Comparing all with a number that few pass is several times as fast as keeping the highest of all.
    some = [value for value in values[:: len(values) // _SOME + 1] if value == value]  # noqa: PLR0124 - NaN.
    least = nlargest(few, some)
    if len(least) < few:
        rows = [row for row, value in enumerate(values) if value == value]  # noqa: PLR0124 - NaN.
    else:
        rows = [row for row, value in enumerate(values) if value > least[-1]]
        if len(rows) < few:
            rows += _equal(values, least[-1], few - len(rows))
    return nlargest(few, rows, key=values.__getitem__)


def _lowest(values: Sequence[float], few: int) -> list[int]:
    some = [value for value in values[:: len(values) // _SOME + 1] if value == value]  # noqa: PLR0124 - NaN.
    most = nsmallest(few, some)
    if len(most) < few:
        rows = [row for row, value in enumerate(values) if value == value]  # noqa: PLR0124 - NaN.
    else:
        rows = [row for row, value in enumerate(values) if value < most[-1]]
        if len(rows) < few:
            rows += _equal(values, most[-1], few - len(rows))
    return nsmallest(few, rows, key=values.__getitem__)


def _equal(values: Sequence[float], wanted: float, few: int) -> list[int]:
    """Return the first rows that have this value."""
    rows: list[int] = []
    for row, value in enumerate(values):
        if value == wanted:
            rows.append(row)
            if len(rows) == few:
                break
    return rows
