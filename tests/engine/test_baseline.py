"""What is usual, and how far a value is from it."""

import math
from datetime import datetime
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.baseline import look
from evaluator.engine.look import Look
from evaluator.engine.shapes import Comparison, Direction, Unusual
from evaluator.engine.trail import Trail
from tests.engine.trails import trail_of

WIDTH = 300.0
HOUR, DAY, WEEK = 3_600.0, 86_400.0, 604_800.0
NEW_YORK = "America/New_York"


def at(text: str, timezone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone), fold=fold).timestamp()


NOW = at("2026-10-15 12:00")
DAYS = Comparison.LAST_DAYS


def unusual(by: float = 4.0, days: float = 7, learn: float = 0.0, **fields: object) -> Unusual:
    made = {"compared_to": DAYS, "direction": Direction.HIGH, **fields}
    return Unusual(by, history=days * DAY, learn=learn * DAY, **made)  # type: ignore[arg-type]


def before(values, now: float = NOW, width: float = WIDTH) -> Trail:
    """Return the trail of values in the buckets before a time, the newest last; `None` is a gap."""
    samples = [(now - width * back, value) for back, value in enumerate(reversed(values), start=1)]
    return trail_of([(moment, value) for moment, value in samples if value is not None], width)


def judged(unusual: Unusual, values, value: float, unit: str | None = None) -> Look:
    return look(unusual, before(values), WIDTH, NOW, value, unit)


SOME = [100.0, 102.0, 98.0, 104.0, 96.0]
"""Their median is 100; they deviate from it by 0, 2, 2, 4 and 4, so that the MAD is 2."""


@pytest.mark.parametrize(
    ("direction", "value", "holds"),
    [
        (Direction.HIGH, 108.1, True),
        (Direction.HIGH, 108.0, False),
        (Direction.HIGH, 50.0, False),
        (Direction.LOW, 91.9, True),
        (Direction.LOW, 92.0, False),
        (Direction.LOW, 150.0, False),
        (Direction.BOTH, 108.1, True),
        (Direction.BOTH, 91.9, True),
        (Direction.BOTH, 108.0, False),
        (Direction.BOTH, 92.0, False),
        (Direction.HIGH, math.inf, True),
        (Direction.LOW, math.inf, False),
        (Direction.LOW, -math.inf, True),
    ],
)
def test_more_than_four_mad_on_the_side_that_counts_is_unusual(direction, value, holds) -> None:
    assert judged(unusual(4.0, direction=direction), SOME, value).holds is holds


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (110.0, None, "110 is 5 MAD above the usual 100 (median of 5 samples of the last 7d)"),
        (95.0, "percent", "95 % is 2.5 MAD below the usual 100 % (median of 5 samples of the last 7d)"),
        (100.0, None, "100 is what is usual (median of 5 samples of the last 7d)"),
    ],
)
def test_it_says_how_far_from_what_and_of_how_many_samples(value, unit, said) -> None:
    assert judged(unusual(), SOME, value, unit).said == said


def test_where_most_are_the_same_the_mean_deviation_is_taken() -> None:
    # Eight of ten are 10; the other two deviate by 5, which is 1 on average.
    mostly = [10.0] * 4 + [15.0, 5.0] + [10.0] * 4
    assert judged(unusual(), mostly, 14.1) == Look(
        holds=True, said="14.1 is 4.1 mean deviations above the usual 10 (median of 10 samples of the last 7d)"
    )
    assert judged(unusual(), mostly, 14.0).holds is False


def test_where_all_are_the_same_four_percent_more_are_usual() -> None:
    flat = [200.0] * 10
    assert judged(unusual(), flat, 208.0).holds is False
    assert judged(unusual(), flat, 209.0) == Look(
        holds=True, said="209 is 4.5 times 1 % above the usual 200 (median of 10 samples of the last 7d)"
    )
    # Also where they differ by less than that.
    nearly = [200.0, 200.1, 199.9, 200.05, 199.95]
    assert judged(unusual(), nearly, 208.0).holds is False
    # Below zero it is one percent of its size.
    assert judged(unusual(), [-200.0] * 10, -192.0).holds is False
    assert judged(unusual(), [-200.0] * 10, -191.0).holds is True


def test_a_deviation_of_just_one_percent_is_still_called_what_it_is() -> None:
    assert "4.5 MAD above" in judged(unusual(), [200.0, 202.0, 198.0, 204.0, 196.0], 209.0).said


def test_where_all_are_zero_anything_else_is_unusual() -> None:
    assert judged(unusual(), [0.0] * 10, 0.0).holds is False
    assert judged(unusual(), [0.0] * 10, 0.001) == Look(
        holds=True, said="0.001 is above the usual 0 (median of 10 samples of the last 7d)"
    )
    assert judged(unusual(direction=Direction.LOW), [0.0] * 10, 0.001).holds is False
    assert judged(unusual(direction=Direction.BOTH), [0.0] * 10, -1.0).said.startswith("-1 is below the usual 0 (")


def test_nothing_is_said_of_what_is_no_number() -> None:
    assert judged(unusual(), SOME, math.nan) == Look(None, "no value that could be compared")


def test_fewer_than_five_samples_are_not_enough() -> None:
    assert judged(unusual(), SOME[:4], 1e6) == Look(None, "learning: 4 of 5 samples of the last 7d")
    weekly = unusual(days=28, compared_to=Comparison.HOUR_OF_WEEK)
    assert judged(weekly, SOME, 1e6) == Look(None, "learning: 0 of 5 samples at this hour of the week")
    daily = unusual(days=28, compared_to=Comparison.HOUR_OF_DAY)
    assert judged(daily, SOME, 1e6).said == "learning: 0 of 5 samples at this hour of the day"


def test_it_learns_until_its_time_has_passed_since_the_first_sample() -> None:
    trail = before(SOME)
    first = NOW - 5 * WIDTH
    learning = unusual(learn=1)
    assert look(learning, trail, WIDTH, NOW, 1e6, None) == Look(None, "learning until 2026-10-16 11:35 UTC")
    assert look(learning, trail, WIDTH, first + DAY - 1.0, 1e6, None).holds is None
    assert look(learning, trail, WIDTH, first + DAY, 1e6, None).holds is True
    assert look(learning, before(SOME[:2]), WIDTH, NOW, 1e6, None).said == (
        "learning until 2026-10-16 11:50 UTC: 2 of 5 samples"
    )


def test_it_learns_anew_after_a_gap_as_long_as_its_history_be_the_old_samples_pruned_or_not() -> None:
    weeks = trail_of([(NOW - 8 * DAY, 100.0)], WIDTH)
    learning = unusual(learn=1)
    assert look(learning, {**weeks, **before(SOME)}, WIDTH, NOW, 1e6, None) == judged(learning, SOME, 1e6)
    oldest = NOW - 7 * DAY - HOUR / 2
    kept = {**trail_of([(oldest, 100.0)], WIDTH), **before(SOME)}
    assert look(learning, kept, WIDTH, NOW, 1e6, None).holds is True


def test_a_series_that_is_new_begins_to_learn_now() -> None:
    assert look(unusual(learn=14, days=28), {}, WIDTH, NOW + 60.0, 5.0, None) == Look(
        None, "learning until 2026-10-29 12:00 UTC: 0 of 5 samples"
    )


def test_only_what_is_older_than_its_own_bucket_is_compared_with() -> None:
    trail = dict(before(SOME))
    own_and_later = trail_of([(NOW, 1e6), (NOW + WIDTH, 1e6), (NOW + 2 * WIDTH, 1e6)], WIDTH)
    for number, chunk in own_and_later.items():
        old = trail.get(number, (math.nan,) * len(chunk))
        trail[number] = tuple(new if math.isnan(kept) else kept for kept, new in zip(old, chunk, strict=True))
    assert look(unusual(), trail, WIDTH, NOW + 299.0, 110.0, None) == judged(unusual(), SOME, 110.0)


def test_the_last_days_reach_as_far_as_the_history() -> None:
    trail = trail_of(
        [(NOW - DAY, 7.0), (NOW - DAY - WIDTH, 1e6), *((NOW - WIDTH * n, 7.0) for n in (1, 2, 3, 4))], WIDTH
    )
    assert look(unusual(days=1), trail, WIDTH, NOW, 7.0, None).said == (
        "7 is what is usual (median of 5 samples of the last 1d)"
    )


def test_the_same_hour_of_the_week_is_half_an_hour_to_either_side_both_ends_included() -> None:
    weekly = unusual(days=14, compared_to=Comparison.HOUR_OF_WEEK)
    kept = [(NOW - number * WEEK + offset, 5.0) for number in (1, 2) for offset in (-1_800.0, 0.0, 1_800.0)]
    beside = [(NOW - WEEK + offset, 1e6) for offset in (-2_100.0, 2_100.0, DAY)]
    too_old = [(NOW - 3 * WEEK, 1e6)]
    said = look(weekly, trail_of([*kept, *beside, *too_old], WIDTH), WIDTH, NOW, 5.0, None).said
    assert said == "5 is what is usual (median of 6 samples at this hour of the week)"


def test_a_week_counts_that_is_just_as_old_as_the_history() -> None:
    weekly = unusual(days=7, compared_to=Comparison.HOUR_OF_WEEK)
    trail = trail_of([(NOW - WEEK + WIDTH * number, 5.0) for number in range(-2, 3)], WIDTH)
    assert look(weekly, trail, WIDTH, NOW, 50.0, None).holds is True
    shorter = unusual(days=6.99, compared_to=Comparison.HOUR_OF_WEEK)
    assert look(shorter, trail, WIDTH, NOW, 50.0, None).holds is None


def test_the_same_hour_of_the_day_compares_with_each_day() -> None:
    daily = unusual(days=3, compared_to=Comparison.HOUR_OF_DAY)
    trail = trail_of([(NOW - number * DAY + offset, 5.0) for number in (1, 2, 3, 4) for offset in (0.0, 900.0)], WIDTH)
    assert look(daily, trail, WIDTH, NOW, 5.0, None).said == (
        "5 is what is usual (median of 6 samples at this hour of the day)"
    )


@pytest.mark.parametrize("now", ["2026-03-10 09:00", "2026-11-03 09:00"])
def test_hours_are_those_of_the_clocks_there_before_and_after_they_change(now) -> None:
    # Each day it is 500 from 09:00 to 10:00 in New York, and 5 in all other hours.
    end = at(now, NEW_YORK)
    moments = [end - WIDTH * number for number in range(1, int(15 * DAY / WIDTH))]
    trail = trail_of(
        [(each, 500.0 if datetime.fromtimestamp(each, ZoneInfo(NEW_YORK)).hour == 9 else 5.0) for each in moments],
        WIDTH,
    )
    for compared_to in (Comparison.HOUR_OF_DAY, Comparison.HOUR_OF_WEEK):
        there = unusual(days=14, compared_to=compared_to, timezone=NEW_YORK)
        assert look(there, trail, WIDTH, end + 1_800.0, 500.0, None).holds is False
        elsewhere = unusual(days=14, compared_to=compared_to, timezone="UTC")
        assert look(elsewhere, trail, WIDTH, end + 1_800.0, 500.0, None).holds is True


def test_an_hour_that_did_not_exist_is_compared_an_hour_later() -> None:
    # 02:30 of Sunday, 15 March: a week before, the clocks jumped over it.
    now = at("2026-03-15 02:30", NEW_YORK)
    weekly = unusual(days=8, compared_to=Comparison.HOUR_OF_WEEK, timezone=NEW_YORK)
    target = at("2026-03-08 03:30", NEW_YORK)
    trail = trail_of([(target + WIDTH * number, 5.0) for number in range(-6, 7)], WIDTH)
    assert look(weekly, trail, WIDTH, now, 5.0, None).said.startswith("5 is what is usual (median of 13 samples")


def test_an_hour_that_came_twice_is_compared_the_first_time() -> None:
    weekly = unusual(days=8, compared_to=Comparison.HOUR_OF_WEEK, timezone=NEW_YORK)
    first = at("2026-11-01 01:30", NEW_YORK)
    trail = trail_of([(first + WIDTH * number, 5.0) for number in range(-2, 3)], WIDTH)
    assert look(weekly, trail, WIDTH, at("2026-11-08 01:30", NEW_YORK), 50.0, None).holds is True
    # The second 01:30 of that day is compared with that of a week ago too.
    week_before = at("2026-10-25 01:30", NEW_YORK)
    earlier = trail_of([(week_before + WIDTH * number, 5.0) for number in range(-2, 3)], WIDTH)
    assert look(weekly, earlier, WIDTH, at("2026-11-01 01:30", NEW_YORK, fold=1), 50.0, None).holds is True


def test_a_history_reaches_over_a_change_of_clocks() -> None:
    # A week ago the clocks showed the same time an hour and six days and 23 hours ago.
    weekly = unusual(days=7 - 1 / 24, compared_to=Comparison.HOUR_OF_WEEK, timezone=NEW_YORK)
    now = at("2026-03-10 09:00", NEW_YORK)
    same = at("2026-03-03 09:00", NEW_YORK)
    assert now - same == WEEK - HOUR
    trail = trail_of([(same + WIDTH * number, 5.0) for number in range(-2, 3)], WIDTH)
    assert look(weekly, trail, WIDTH, now, 50.0, None).holds is True


def test_what_is_kept_once_a_day_is_compared_by_the_bucket_that_the_hour_falls_into() -> None:
    daily = unusual(days=28, compared_to=Comparison.HOUR_OF_DAY)
    trail = trail_of([(NOW - DAY * number, 5.0) for number in range(1, 8)], DAY)
    assert look(daily, trail, DAY, NOW, 50.0, None).said.endswith("(median of 7 samples at this hour of the day)")


def test_a_value_that_stays_high_for_hours_is_unusual_all_the_time_and_what_follows_is_not() -> None:
    usual = [100.0 + number % 7 for number in range(int(7 * DAY / WIDTH))]
    hours_of_it = int(12 * HOUR / WIDTH)
    for length in (1, hours_of_it // 2, hours_of_it):
        history = [*usual, *[400.0] * length]
        for compared_to in (DAYS, Comparison.HOUR_OF_DAY):
            limit = unusual(days=7, compared_to=compared_to)
            assert judged(limit, history, 400.0).holds is True
            assert judged(limit, history, 103.0).holds is False
            both = unusual(days=7, compared_to=compared_to, direction=Direction.BOTH)
            assert judged(both, history, 103.0).holds is False


def test_yesterdays_incident_is_no_reason_to_find_todays_usual_or_calm_unusual() -> None:
    day = int(DAY / WIDTH)
    quiet = [100.0 + number % 7 for number in range(day)]
    broken = [400.0] * day
    limit = unusual(days=7, compared_to=Comparison.HOUR_OF_DAY, direction=Direction.BOTH)
    history = [*quiet * 5, *broken, *quiet[: day // 2]]
    assert judged(limit, history, 400.0).holds is True
    assert judged(limit, history, 103.0).holds is False


def test_gaps_change_nothing_but_the_number_of_samples() -> None:
    whole = [100.0 + number % 9 for number in range(600)]
    holes = [None if 50 <= number < 400 else value for number, value in enumerate(whole)]
    assert judged(unusual(), holes, 130.0).said.endswith("(median of 250 samples of the last 7d)")
    assert judged(unusual(), whole, 130.0).holds is judged(unusual(), holes, 130.0).holds is True


def test_huge_numbers_make_it_neither_fail_nor_hold() -> None:
    huge = [1.7e308, -1.7e308] * 5
    assert judged(unusual(direction=Direction.BOTH), huge, 1.7e308).holds is False
    assert judged(unusual(), [1.7e308] * 6, 1.0).holds is False


VALUES = st.lists(st.integers(-1000, 1000).map(float), min_size=5, max_size=60)
SIDES = st.sampled_from(list(Direction))


@given(VALUES, st.integers(-2000, 2000), st.integers(1, 8), SIDES)
def test_it_is_the_median_and_its_deviations(values, value, by, side) -> None:
    usual = median(values)
    mad = median(abs(each - usual) for each in values)
    mean = sum(abs(each - usual) for each in values) / len(values)
    scale = max(mad or mean, 0.01 * abs(usual))
    deviation = {Direction.HIGH: value - usual, Direction.LOW: usual - value, Direction.BOTH: abs(value - usual)}[side]
    assert judged(unusual(by, direction=side), values, float(value)).holds is (deviation > by * scale)


@given(VALUES, st.integers(-2000, 2000), st.sampled_from([0.5, 2.0, 4096.0]), SIDES)
def test_a_factor_changes_nothing(values, value, factor, side) -> None:
    scaled = [each * factor for each in values]
    limit = unusual(3.0, direction=side)
    assert judged(limit, values, float(value)).holds is judged(limit, scaled, value * factor).holds


@given(VALUES, st.integers(-2000, 2000), SIDES)
def test_turned_over_it_is_unusual_on_the_other_side(values, value, side) -> None:
    other = {Direction.HIGH: Direction.LOW, Direction.LOW: Direction.HIGH, Direction.BOTH: Direction.BOTH}[side]
    over = [-each for each in values]
    assert (
        judged(unusual(3.0, direction=side), values, float(value)).holds
        is judged(unusual(3.0, direction=other), over, -float(value)).holds
    )


@given(VALUES, st.permutations(range(60)), st.integers(-2000, 2000))
def test_the_order_of_samples_changes_nothing(values, order, value) -> None:
    shuffled = [values[number] for number in order if number < len(values)]
    assert judged(unusual(), values, float(value)) == judged(unusual(), shuffled, float(value))


@given(VALUES, st.integers(-2000, 2000), st.floats(0, 1e6))
def test_what_is_higher_is_no_less_unusual(values, value, more) -> None:
    assert judged(unusual(), values, value + more).holds or not judged(unusual(), values, float(value)).holds


@given(VALUES, st.integers(1, 1000), st.integers(-1000, 1000))
def test_a_shift_changes_nothing_where_the_spread_is_what_counts(values, constant, value) -> None:
    spread = [*values, -3e5, 3e5, -2e5, 2e5]
    limit = unusual(0.5)
    wide = [each * 100 for each in spread]
    usual = median(wide)
    if median(abs(each - usual) for each in wide) > 0.01 * (abs(usual) + constant):
        shifted = [each + constant for each in wide]
        assert judged(limit, wide, value * 100.0).holds is judged(limit, shifted, value * 100.0 + constant).holds
