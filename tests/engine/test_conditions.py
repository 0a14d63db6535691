"""Values against limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.alerts import Verdict
from evaluator.engine.conditions import nearest_row, rows_beyond, verdict_of, worst_row
from evaluator.engine.rules import Limit, Op, Recover, Severity, Tier
from evaluator.engine.shapes import Direction, Missed, Trend, Unusual, Way

LIMITS = [Limit(op, 10.0) for op in Op if op is not Op.OUTSIDE] + [
    Limit(Op.OUTSIDE, 10.0, 20.0),
    Limit(Op.OUTSIDE, 10.0),
]


@pytest.mark.parametrize(
    ("limit", "beyond", "inside"),
    [
        (Limit(Op.ABOVE, 10), [10.1, math.inf], [10, -math.inf]),
        (Limit(Op.BELOW, 10), [9.9, -math.inf], [10, math.inf]),
        (Limit(Op.AT_LEAST, 10), [10, 11], [9.9]),
        (Limit(Op.AT_MOST, 10), [10, 9], [10.1]),
        (Limit(Op.EQUALS, 0), [0.0, -0.0], [1]),
        (Limit(Op.NOT_EQUALS, 1), [0, math.inf], [1]),
        (Limit(Op.OUTSIDE, 10, 20), [9.9, 20.1], [10, 15, 20]),
        (Limit(Op.OUTSIDE, 10), [9.9, 10.1], [10]),
    ],
)
def test_what_is_beyond_a_limit(limit, beyond, inside) -> None:
    assert [limit.holds(value) for value in beyond] == [True] * len(beyond)
    assert [limit.holds(value) for value in inside] == [False] * len(inside)


@given(limit=st.sampled_from(LIMITS), values=st.lists(st.floats(width=16) | st.sampled_from([10.0, 20.0, math.nan])))
def test_the_scan_finds_what_the_limit_holds_for(limit, values) -> None:
    assert rows_beyond(limit, values) == [row for row, value in enumerate(values) if limit.holds(value)]


@given(limit=st.sampled_from(LIMITS), values=st.lists(st.floats(width=16)))
def test_the_nearest_row_is_beyond_if_any_row_is(limit, values) -> None:
    row = nearest_row(limit, values)
    if row is None:
        assert all(math.isnan(value) for value in values)
    elif any(limit.holds(value) for value in values):
        assert limit.holds(values[row])


def test_without_a_limit_the_highest_value_is_looked_at_first() -> None:
    assert nearest_row(None, [1.0, math.nan, 3.0, 2.0]) == 2
    assert nearest_row(None, [math.nan]) is None


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({"trend": Trend(Way.RISING, 1.0, share=False, over=600.0)}, 1),
        ({"trend": Trend(Way.FALLING, 1.0, share=False, over=600.0)}, 0),
        ({"unusual": Unusual(4.0, direction=Direction.LOW)}, 0),
        ({"unusual": Unusual(4.0, direction=Direction.HIGH)}, 1),
        ({"unusual": Unusual(4.0, direction=Direction.BOTH)}, 1),
        ({"missed": Missed("0 2 * * *", "UTC")}, 0),
        ({"missed": Missed("0 2 * * *", "UTC"), "limit": Limit(Op.ABOVE, 0)}, 0),
        ({"trend": Trend(Way.FALLING, 1.0, share=False, over=600.0), "limit": Limit(Op.ABOVE, 0)}, 1),
        ({"unusual": Unusual(4.0, direction=Direction.LOW), "limit": Limit(Op.ABOVE, 0)}, 1),
        ({"absent": True}, 1),
    ],
)
def test_the_value_that_speaks_is_the_worst_that_the_conditions_know(fields, row) -> None:
    tier = Tier(Severity.P1, **{"limit": None, **fields})
    assert worst_row(tier, [2.0, 3.0, math.nan]) == row
    assert worst_row(tier, [math.nan]) is None


def test_nan_is_unknown_under_every_limit() -> None:
    for limit in LIMITS:
        assert verdict_of(Tier(Severity.P1, limit), math.nan) is Verdict.UNKNOWN


def test_between_the_limits_is_neither_breach_nor_clear() -> None:
    tier = Tier(Severity.P1, Limit(Op.ABOVE, 90), recover=Recover(Limit(Op.BELOW, 80)))
    said = [verdict_of(tier, value) for value in (90.5, 90, 80, 79.9)]
    assert said == [Verdict.BREACH, Verdict.BETWEEN, Verdict.BETWEEN, Verdict.CLEAR]


def test_without_a_recovery_limit_what_is_no_breach_is_clear() -> None:
    tier = Tier(Severity.P1, Limit(Op.ABOVE, 90))
    assert verdict_of(tier, 90.0) is Verdict.CLEAR
