"""The samples that a rule keeps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.shapes import (
    WIDTH_OF_BASELINE,
    Keep,
    Trend,
    Unusual,
    Way,
    kept_for_trend,
    kept_for_unusual,
)
from evaluator.engine.trail import CHUNK, Chunk, first_kept, noted, outlived, points, values
from tests.engine.trails import trail_of

WIDTHS = st.sampled_from([1.0, 60.0, 300.0, 0.1, 100 / 60, 7 / 3, 86_400.0])
TIMES = st.integers(0, 3_000)


def test_the_first_sample_of_a_bucket_is_kept() -> None:
    trail = trail_of([(60.0, 1.0), (119.9, 2.0), (120.0, 3.0)], 60.0)
    assert list(points(trail, 60.0, 0.0, 600.0)) == [(60.0, 1.0), (120.0, 3.0)]
    assert noted(trail, 60.0, 90.0, 9.0) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_leaves_its_bucket_free(value) -> None:
    assert noted({}, 60.0, 60.0, value) is None
    assert list(points(trail_of([(60.0, value), (61.0, 5.0)], 60.0), 60.0, 0.0, 600.0)) == [(60.0, 5.0)]


def test_a_chunk_is_changed_as_a_whole() -> None:
    change = noted(trail_of([(600.0, 1.0)], 60.0), 60.0, 180.0, 5.0)
    assert change is not None
    number, chunk = change
    assert (number, len(chunk)) == (0, CHUNK)
    assert {place: value for place, value in enumerate(chunk) if not math.isnan(value)} == {3: 5.0, 10: 1.0}


def test_samples_on_both_sides_of_the_end_of_a_chunk_are_found() -> None:
    samples = [(0.0, 1.0), ((CHUNK - 1) * 60.0, 2.0), (CHUNK * 60.0, 3.0)]
    trail = trail_of(samples, 60.0)
    assert sorted(trail) == [0, 1]
    assert list(points(trail, 60.0, 0.0, CHUNK * 60.0 + 0.1)) == samples
    assert list(points(trail, 60.0, 0.1, CHUNK * 60.0)) == samples[1:2]
    assert list(points(trail, 60.0, CHUNK * 60.0, 1e6)) == samples[2:]


@given(WIDTHS, st.dictionaries(TIMES, st.floats(allow_nan=False, allow_infinity=False)), TIMES, TIMES)
def test_points_are_those_of_the_buckets_that_begin_in_a_span_of_time(width, kept, first, last) -> None:
    trail = trail_of([((bucket + 0.5) * width, value) for bucket, value in kept.items()], width)
    # A time at which a bucket begins is in the span where it begins one, and not where it ends one.
    start, end = first * width, last * width
    begins = {bucket: bucket * width for bucket in kept}
    expected = [(begins[bucket], kept[bucket]) for bucket in sorted(kept) if start <= begins[bucket] < end]
    assert list(points(trail, width, start, end)) == expected
    assert values(trail, width, start, end) == [value for _, value in expected]


@given(WIDTHS, st.permutations(list(range(0, 2_000, 130))))
def test_the_order_in_which_samples_come_changes_nothing(width, buckets) -> None:
    samples = [((bucket + 0.5) * width, float(bucket)) for bucket in buckets]
    trail, end = trail_of(samples, width), 2_000 * width
    assert list(points(trail, width, 0.0, end)) == list(points(trail_of(sorted(samples), width), width, 0.0, end))
    assert first_kept(trail, width, 0.0) == 0.0


def test_the_oldest_sample_is_found_in_the_oldest_chunk_that_has_one() -> None:
    assert first_kept({}, 60.0, 0.0) is None
    assert first_kept({0: (math.nan,) * CHUNK}, 60.0, 0.0) is None
    two = trail_of([(9e6, 1.0), (6e5, 2.0)], 60.0)
    assert [first_kept(two, 60.0, start) for start in (0.0, 6e5, 6e5 + 1, 9e6, 9e6 + 1)] == [6e5, 6e5, 9e6, 9e6, None]


def test_a_chunk_is_outlived_when_its_last_bucket_is() -> None:
    trail = trail_of([(0.0, 1.0), (CHUNK * 60.0, 1.0)], 60.0)
    keep = Keep(60.0, 3_600.0)
    end = CHUNK * 60.0
    assert outlived(trail, keep, end + 3_599.0) == []
    assert outlived(trail, keep, end + 3_600.0) == [0]
    assert outlived(trail, keep, 2 * end + 3_600.0) == [0, 1]


def test_a_trend_is_kept_as_about_sixty_samples_and_never_finer_than_its_rule() -> None:
    assert kept_for_trend(Trend(Way.RISING, 1.0, share=False, over=3_600.0), 10.0) == Keep(60.0, 3_660.0)
    assert kept_for_trend(Trend(Way.RISING, 1.0, share=False, over=900.0), 60.0) == Keep(60.0, 960.0)


def test_a_baseline_is_kept_for_half_an_hour_longer_than_its_history() -> None:
    assert kept_for_unusual(Unusual(4.0), 30.0) == Keep(WIDTH_OF_BASELINE, 28 * 86_400.0 + 1_800.0)
    assert kept_for_unusual(Unusual(4.0), 3_600.0).width == 3_600.0
    assert Keep(60.0, 3_660.0).points == 62


@given(st.floats(1e9, 2e9), WIDTHS)
def test_a_sample_is_kept_in_the_bucket_that_begins_at_or_before_it(at, width) -> None:
    own = at // width * width
    ((begin, _),) = points(trail_of([(at, 1.0)], width), width, own, own + width / 2)
    assert begin == own


def test_a_time_that_floats_put_between_two_buckets_is_in_the_one_that_its_look_takes_for_its_own() -> None:
    assert list(points(trail_of([(0.9, 1.0)], 0.1), 0.1, 0.0, 2.0)) == [(0.9 // 0.1 * 0.1, 1.0)]


def test_a_span_may_begin_and_end_where_a_bucket_does_though_floats_divide_into_more_than_its_number() -> None:
    assert 3 * 0.1 / 0.1 > 3
    trail = trail_of([(0.25, 9.0), (0.35, 1.0)], 0.1)
    assert list(points(trail, 0.1, 3 * 0.1, 1.0)) == [(3 * 0.1, 1.0)]
    assert list(points(trail, 0.1, 0.0, 3 * 0.1)) == [(2 * 0.1, 9.0)]
    assert list(points(trail, 0.1, 3 * 0.1 + 0.001, 1.0)) == []


class Watched(dict[int, Chunk]):
    """Chunks that know which of them were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def get(self, number, default=None):  # noqa: ANN201 - as of dict.
        self.asked.append(number)
        return super().get(number, default)


@pytest.mark.parametrize("look", [points, values])
def test_only_the_chunks_of_the_span_are_touched(look) -> None:
    chunk = CHUNK * 60.0
    for start, end, asked in (
        (5 * chunk, 6 * chunk, [5]),
        (5 * chunk + 60.0, 6 * chunk + 1.0, [5, 6]),
        (6 * chunk - 60.0, 6 * chunk, [5]),
        (5 * chunk, 5 * chunk, []),
    ):
        watched = Watched()
        assert list(look(watched, 60.0, start, end)) == []
        assert watched.asked == asked
