"""Lines through samples: how far they rise and fall."""

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaluator.engine.look import Look
from evaluator.engine.shapes import Trend, Way
from evaluator.engine.trend import look
from tests.engine.trails import trail_of

WIDTH = 60.0
NOW = 1_795_000_020.0
"""A bucket begins here."""


def trend(by: float, minutes: float = 10.0, *, falling: bool = False, share: bool = False) -> Trend:
    return Trend(Way.FALLING if falling else Way.RISING, by, share=share, over=minutes * 60.0)


def judged(trend: Trend, values, unit=None) -> Look:
    """Judge the last of some values, a minute apart; `None` is a gap."""
    samples = [(NOW - 60.0 * back, value) for back, value in enumerate(reversed(values)) if value is not None]
    *kept, (at, value) = sorted(samples)
    return look(trend, trail_of(kept, WIDTH), WIDTH, at, value, unit)


RISE = [float(value) for value in range(100, 111)]
"""A line through a window of ten minutes and one sample more, which is too old."""


@pytest.mark.parametrize(
    ("trend", "values", "holds"),
    [
        (trend(10.0), RISE, True),
        (trend(10.1), RISE, False),
        (trend(10.0, falling=True), RISE, False),
        (trend(10.0, falling=True), RISE[::-1], True),
        (trend(10.1, falling=True), RISE[::-1], False),
        (trend(10.0), RISE[::-1], False),
        (trend(0.1, share=True), RISE, True),
        (trend(0.101, share=True), RISE, False),
        # From 110 down to 100 is a share of 110.
        (trend(0.0909, share=True, falling=True), RISE[::-1], True),
        (trend(0.0910, share=True, falling=True), RISE[::-1], False),
        # A level line neither rises nor falls.
        (trend(0.001), [5.0] * 11, False),
        (trend(0.001, falling=True), [5.0] * 11, False),
        (trend(0.001, share=True), [0.1] * 11, False),
        # What goes up and down again in the window does not rise.
        (trend(1.0), [0, 0, 5, 10, 20, 30, 20, 10, 5, 0, 0], False),
        # Below zero: from -110 to -100 it rises, by a share of 110.
        (trend(10.0), [-value for value in RISE[::-1]], True),
        (trend(0.0909, share=True), [-value for value in RISE[::-1]], True),
        (trend(0.0910, share=True), [-value for value in RISE[::-1]], False),
        (trend(0.1, share=True, falling=True), [-value for value in RISE], True),
        # Through zero.
        (trend(3.0, share=True), [float(value) for value in range(-2, 9)], True),
        (trend(5.1, share=True), [float(value) for value in range(-2, 9)], False),
    ],
)
def test_how_far_a_line_goes(trend, values, holds) -> None:
    assert judged(trend, [float(value) for value in values]).holds is holds


def test_from_zero_any_rise_is_more_than_a_share() -> None:
    from_zero = [float(value) for value in range(11)]
    assert judged(trend(9.0, share=True), from_zero).holds
    assert not judged(trend(9.0, share=True, falling=True), from_zero).holds
    assert judged(trend(9.0, share=True, falling=True), [-value for value in from_zero]).holds
    assert not judged(trend(0.5, share=True), [0.0] * 11).holds
    assert judged(trend(9.0, share=True), from_zero).said == "rose within 10m, from 0 to 10 (10 samples)"
    assert judged(trend(9.0, share=True), [0.0] * 11).said == "rose within 10m, from 0 to 0 (10 samples)"


@pytest.mark.parametrize(
    ("trend", "values", "unit", "said"),
    [
        (trend(0.1, share=True), RISE, "percent", "rose by 10 % within 10m, from 100 % to 110 % (10 samples)"),
        (trend(5.0), RISE, "seconds", "rose by 10 s within 10m, from 100 s to 110 s (10 samples)"),
        (trend(5.0), RISE[::-1], None, "fell by 10 within 10m, from 110 to 100 (10 samples)"),
        (trend(5.0), [7.0] * 11, None, "rose by 0 within 10m, from 7 to 7 (10 samples)"),
    ],
)
def test_it_says_how_far_from_where_and_of_how_many_samples(trend, values, unit, said) -> None:
    assert judged(trend, values, unit).said == said


def test_fewer_than_five_samples_are_no_trend() -> None:
    gaps = [None, 1.0, None, None, 2.0, None, None, None, 3.0, None, 4.0]
    assert judged(trend(1.0), gaps) == Look(None, "only 4 of at least 5 samples within 10m")
    assert judged(trend(1.0), [*gaps[:2], 1.0, *gaps[3:]]).holds is True
    assert judged(trend(1.0), [1.0]) == Look(None, "only 1 of at least 5 samples within 10m")


def test_samples_of_too_short_a_part_of_the_window_are_no_trend() -> None:
    # Three quarters of ten minutes are seven and a half.
    assert judged(trend(1.0), [float(value) for value in range(8)]) == Look(
        None, "the 8 samples reach over 7m of 10m, not yet over 7m30s"
    )
    assert judged(trend(1.0), [float(value) for value in range(9)]).holds is True
    assert judged(trend(1.0), [0.0, None, None, None, None, 1.0, 2.0, 3.0, 4.0]).holds is True
    # Exactly three quarters are enough.
    assert judged(trend(1.0, minutes=12.0), [float(value) for value in range(10)]).holds is True


def test_a_line_is_drawn_to_the_ends_of_the_window_across_gaps() -> None:
    # Only eight of its ten minutes were seen: it went on rising in the other two, for all that is known.
    assert judged(trend(10.0), [0.0, None, None, 3.0, 4.0, None, 6.0, None, 8.0]).holds is True


def test_what_is_no_number_or_infinite_is_no_trend() -> None:
    for value, shown in ((math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf")):
        assert judged(trend(1.0), [*RISE, value]) == Look(None, f"no line can be fitted through {shown}")


def test_infinite_and_missing_numbers_among_the_earlier_ones_are_gaps() -> None:
    holes = [*RISE[:4], math.nan, RISE[5], math.inf, *RISE[7:]]
    assert judged(trend(10.0), holes).said == "rose by 10 within 10m, from 100 to 110 (8 samples)"


def test_a_single_outlier_makes_no_rise_of_half() -> None:
    for place in range(1, 10):
        spike = [100.0] * 11
        spike[place] = 200.0
        assert judged(trend(0.5, share=True), spike).holds is False


def test_noise_does_not_hide_a_rise() -> None:
    noisy = [value + (-1) ** number for number, value in enumerate(RISE)]
    assert judged(trend(8.0), noisy).holds is True
    assert judged(trend(12.0), noisy).holds is False


def test_the_sample_that_is_judged_takes_the_place_of_what_its_bucket_kept() -> None:
    kept = trail_of([(NOW - 60.0 * back, 0.0) for back in range(1, 11)] + [(NOW, 0.0)], WIDTH)
    assert look(trend(1.0), kept, WIDTH, NOW + 30.0, 100.0, None).said.endswith("(10 samples)")
    assert look(trend(1.0), kept, WIDTH, NOW + 30.0, 100.0, None).holds is True
    assert look(trend(1.0), kept, WIDTH, NOW + 30.0, 0.0, None).holds is False


def test_what_is_older_than_the_window_or_newer_than_the_sample_does_not_count() -> None:
    line = [(NOW - 60.0 * back, -float(back)) for back in range(1, 10)]
    edge, old, new = (NOW - 600.0, 1e6), (NOW - 660.0, 1e6), (NOW + 60.0, -1e6)
    alone = look(trend(10.0), trail_of(line, WIDTH), WIDTH, NOW, 0.0, None)
    assert look(trend(10.0), trail_of([*line, edge, old, new], WIDTH), WIDTH, NOW, 0.0, None) == alone
    # A little later in the bucket the window's edge is beyond the same buckets.
    assert look(trend(10.0), trail_of([*line, edge, old, new], WIDTH), WIDTH, NOW + 59.0, 0.0, None) == alone


def test_a_bucket_that_begins_just_inside_the_window_counts() -> None:
    line = [(NOW - 60.0 * back, -float(back)) for back in range(1, 11)]
    short = Trend(Way.RISING, 1.0, share=False, over=600.5)
    assert look(short, trail_of(line, WIDTH), WIDTH, NOW, 0.0, None).said.endswith("(11 samples)")


def test_numbers_at_the_ends_of_what_a_float_can_be_are_judged() -> None:
    huge = [value * 1e306 for value in RISE]
    assert judged(trend(0.1, share=True), huge).holds is True
    assert judged(trend(1e307), huge).holds is True
    wide = [-1.7e308] * 5 + [1.7e308] * 6
    assert judged(trend(1e308), wide).holds is True
    assert "+Inf" in judged(trend(1e308), wide).said
    tiny = [value * 1e-308 for value in RISE]
    assert judged(trend(0.0999, share=True), tiny).holds is True


def exact_rise(values, over=10) -> tuple[Fraction, Fraction]:
    """Return how far the fitted line rises, and where it begins, in exact arithmetic; a minute is 1."""
    points = [(Fraction(-back), Fraction(value)) for back, value in enumerate(reversed(values)) if value is not None]
    points = [point for point in points if point[0] > -over]
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return slope * over, mean_y + slope * (-over - mean_x)


NUMBERS = st.integers(-1000, 1000).map(float)
LISTS = st.lists(NUMBERS, min_size=11, max_size=11)
GAPPED = st.lists(st.one_of(NUMBERS, st.none()), min_size=8, max_size=8).map(lambda some: [1.0, 2.0, *some, 3.0])


@given(GAPPED, st.integers(1, 2000), st.booleans(), st.booleans())
def test_it_is_the_line_of_least_squares(values, by, share, falling) -> None:
    rise, start = exact_rise(values)
    by = by / 100 if share else float(by)
    found = judged(trend(by, share=share, falling=falling), values)
    assume(sum(value is not None for value in values[1:]) >= 5)
    towards = -rise if falling else rise
    assume(start != 0 or not share)
    needed = Fraction(by) * (abs(start) if share else 1)
    # What is nearer to the limit than floats can tell is left alone.
    assume(abs(towards - needed) > Fraction(1, 10**6))
    assert found.holds is (towards >= needed)


@given(LISTS, NUMBERS, st.integers(1, 500), st.booleans())
def test_a_constant_added_to_all_changes_no_absolute_rise(values, constant, by, falling) -> None:
    limit = trend(by + 0.37, falling=falling)
    assert judged(limit, values).holds is judged(limit, [value + constant for value in values]).holds


@given(LISTS, st.sampled_from([0.25, 2.0, 1024.0, 1e-3, 3.7]), st.integers(1, 50), st.booleans())
def test_a_factor_changes_no_share(values, factor, tenths, falling) -> None:
    rise, start = exact_rise(values)
    assume(start != 0)
    assume(abs(abs(rise / start) - Fraction(tenths, 10)) > Fraction(1, 10**6))
    limit = trend(tenths / 10, share=True, falling=falling)
    assert judged(limit, values).holds is judged(limit, [value * factor for value in values]).holds


@given(LISTS, st.integers(1, 500))
def test_what_rises_falls_when_it_is_turned_over(values, by) -> None:
    over = [-value for value in values]
    assert judged(trend(by + 0.37), values).holds is judged(trend(by + 0.37, falling=True), over).holds


@given(LISTS, st.floats(0, 1000), st.integers(1, 500))
def test_the_higher_the_newest_sample_the_more_it_rises(values, more, by) -> None:
    higher = [*values[:-1], values[-1] + more]
    assert judged(trend(by + 0.37), higher).holds or not judged(trend(by + 0.37), values).holds


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=11, max_size=11), st.booleans())
def test_no_numbers_make_it_fail(values, share) -> None:
    assert judged(trend(0.5, share=share), values).holds is not None
