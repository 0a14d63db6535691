"""Each kind of limit held against the same values: which are beyond it, and which one people look at first."""

import math

import pytest

from evaluator.engine.conditions import nearest_row, rows_beyond
from evaluator.engine.rules import Limit, Op

VALUES = [10.0, 9.0, 15.0, 20.0, math.nan, 21.0, 5.0, 11.0]


@pytest.mark.parametrize(
    ("limit", "beyond", "nearest"),
    [
        (Limit(Op.ABOVE, 10.0), [15.0, 20.0, 21.0, 11.0], 21.0),
        (Limit(Op.AT_LEAST, 10.0), [10.0, 15.0, 20.0, 21.0, 11.0], 21.0),
        (Limit(Op.BELOW, 10.0), [9.0, 5.0], 5.0),
        (Limit(Op.AT_MOST, 10.0), [10.0, 9.0, 5.0], 5.0),
        (Limit(Op.EQUALS, 10.0), [10.0], 10.0),
        (Limit(Op.EQUALS, 16.0), [], 15.0),
        (Limit(Op.NOT_EQUALS, 10.0), [9.0, 15.0, 20.0, 21.0, 5.0, 11.0], 21.0),
        (Limit(Op.NOT_EQUALS, 20.0), [10.0, 9.0, 15.0, 21.0, 5.0, 11.0], 5.0),
        (Limit(Op.OUTSIDE, 10.0, 20.0), [9.0, 21.0, 5.0], 5.0),
        (Limit(Op.OUTSIDE, 8.0, 15.0), [20.0, 21.0, 5.0], 21.0),
        (Limit(Op.OUTSIDE, 10.0), [9.0, 15.0, 20.0, 21.0, 5.0, 11.0], 21.0),
    ],
)
def test_what_is_beyond_and_what_is_looked_at_first(limit, beyond, nearest) -> None:
    assert [VALUES[row] for row in rows_beyond(limit, VALUES)] == beyond
    assert VALUES[nearest_row(limit, VALUES) or 0] == nearest
