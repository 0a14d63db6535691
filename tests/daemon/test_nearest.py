import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.daemon.nearest import nearest_rows
from evaluator.engine.rules import Limit, Op

VALUES = st.lists(st.one_of(st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf]), st.floats()), max_size=40)


@given(VALUES, st.integers(1, 5))
def test_the_highest_are_nearest_to_an_upper_limit(values: list[float], few: int) -> None:
    known = [value for value in values if not math.isnan(value)]
    for limit in (Limit(Op.ABOVE, 5), Limit(Op.AT_LEAST, 5), None):
        rows = nearest_rows(limit, values, few)
        assert [values[row] for row in rows] == sorted(known, reverse=True)[:few]
        assert len(set(rows)) == len(rows)


@given(VALUES, st.integers(1, 5))
def test_the_lowest_are_nearest_to_a_lower_limit(values: list[float], few: int) -> None:
    known = [value for value in values if not math.isnan(value)]
    for limit in (Limit(Op.BELOW, 5), Limit(Op.AT_MOST, 5)):
        rows = nearest_rows(limit, values, few)
        assert [values[row] for row in rows] == sorted(known)[:few]
        assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("values", [[7.0] * 5000, [float(number) for number in range(5000)], [0.0, *[math.nan] * 5000]])
def test_where_some_values_show_where_the_others_begin(values: list[float]) -> None:
    known = sorted((value for value in values if not math.isnan(value)), reverse=True)
    rows = nearest_rows(Limit(Op.ABOVE, 5), values, 3)
    assert [values[row] for row in rows] == known[:3]
    assert [values[row] for row in nearest_rows(Limit(Op.BELOW, 5), values, 3)] == known[::-1][:3]


def test_where_near_has_two_sides_it_is_the_one_that_people_see_first() -> None:
    assert nearest_rows(Limit(Op.OUTSIDE, 10, 20), [15.0, 19.0, 11.5], 3) == [1]
    assert nearest_rows(Limit(Op.OUTSIDE, 10, 20), [math.nan], 3) == []
