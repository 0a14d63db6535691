"""Finding the rows that matter among many: by their whole series, whichever label tells them apart."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from evaluator.engine.alerts import AlertKey, quiet_alert
from evaluator.engine.rows import AHEAD, is_newer, memory, newest_of, readings_that_matter, recent, rows_of
from evaluator.engine.rules import Limit, Op, Severity, Tier
from evaluator.engine.samples import Samples, series_of
from tests.stories import rule

WEB_A = series_of({"host": "a"})


class Counted(dict[str, str]):
    """Labels that count how often they are looked at."""

    looks = 0

    def get(self, name: str) -> str | None:  # type: ignore[override]  # All that the engine calls.
        Counted.looks += 1
        return super().get(name)


def labels(number: int) -> Mapping[str, str]:
    return {"__name__": "used", "device": f"sd{number % 7}", "job": "node", "host": f"web-{number}", "zone": "a"}


@pytest.fixture(autouse=True)
def no_looks() -> None:
    Counted.looks = 0


@pytest.mark.parametrize("size", [1, 2, 99, 100, 101, 1000])
@pytest.mark.parametrize("every", [1, 3, 50])
def test_each_wanted_series_is_found_and_no_other(size: int, every: int) -> None:
    samples = Samples([labels(number) for number in range(size)], [0.0] * size)
    wanted = list(range(0, size, every))
    assert rows_of(samples, {series_of(labels(number)) for number in wanted}) == wanted


def test_the_order_of_labels_and_a_label_more_or_less_are_told_apart() -> None:
    rows = [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": "1"}, {"a": "1", "b": "2", "c": "3"}, {}]
    samples = Samples(rows, [0.0] * len(rows))
    assert rows_of(samples, {(("a", "1"), ("b", "2"))}) == [0, 1]
    assert rows_of(samples, {(("a", "1"),), ()}) == [2, 4]
    assert rows_of(samples, {()}) == [4]
    assert rows_of(samples, {(("a", "2"),)}) == []
    assert rows_of(Samples(), {(("a", "1"),)}) == []


def test_one_known_series_among_many_costs_about_one_look_at_each() -> None:
    size = 10_000
    samples = Samples([Counted(labels(number)) for number in range(size)], [0.0] * size)
    assert rows_of(samples, {series_of(labels(4321))}) == [4321]
    assert Counted.looks < 1.2 * size


def test_dated_samples_of_a_series_are_read_oldest_first_whatever_their_rows() -> None:
    one, other = {"host": "a"}, {"host": "b"}
    samples = Samples([one, other, one, one], [91.0, 92.0, 93.0, 1.0], [30.0, 20.0, 10.0, 0.0])
    found = readings_that_matter(rule(), samples, set())
    # The last one is not beyond the limit, but its series has one that is.
    assert found == {
        series_of(one): [(1.0, 0.0), (93.0, 10.0), (91.0, 30.0)],
        series_of(other): [(92.0, 20.0)],
    }


def test_of_dated_samples_at_the_same_time_the_first_row_is_read_first() -> None:
    samples = Samples([{}] * 12, [91.0, *[95.0] * 11], [10.0] * 12)
    assert readings_that_matter(rule(), samples, set()) == {(): [(91.0, 10.0), *[(95.0, 10.0)] * 11]}


@pytest.mark.parametrize(
    ("limit", "values", "read"),
    [
        (Limit(Op.ABOVE, 90), [91.0, 99.0, 95.0], 99.0),
        (Limit(Op.BELOW, 90), [91.0, 80.0, 70.0, 85.0], 70.0),
        (Limit(Op.ABOVE, 90), [math.nan, 91.0], 91.0),
    ],
)
def test_of_a_series_that_an_answer_has_twice_the_worst_value_counts(limit, values, read) -> None:
    one = Tier(Severity.P1, limit)
    samples = Samples([{"host": "a"}] * len(values), values)
    assert readings_that_matter(rule(one), samples, {series_of({"host": "a"})}) == {WEB_A: [(read, None)]}


def test_a_known_series_is_read_though_nothing_is_wrong_with_it_and_one_that_is_not_there_is_not() -> None:
    samples = Samples([{"host": "a"}, {"host": "b"}], [1.0, 2.0])
    assert readings_that_matter(rule(), samples, {WEB_A, series_of({"host": "c"})}) == {WEB_A: [(1.0, None)]}


def test_the_newest_sample_of_each_series() -> None:
    labels_of = [{"host": "a"}, {"host": "b"}, {"host": "a"}]
    assert newest_of(Samples(labels_of[:2], [1.0, 2.0])) == {WEB_A: None, series_of({"host": "b"}): None}
    dated = Samples(labels_of, [1.0, 2.0, 3.0], [30.0, 20.0, 10.0])
    assert newest_of(dated) == {WEB_A: 30.0, series_of({"host": "b"}): 20.0}


def test_columns_of_different_lengths_are_a_mistake_that_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="shorter"):
        newest_of(Samples([{}, {"host": "a"}], [1.0, 2.0], [10.0]))


def test_what_is_too_old_or_dated_after_tomorrow_is_left_out_of_all_columns_and_nothing_else() -> None:
    samples = Samples([{"host": "a"}, {"host": "b"}], [1.0, 2.0], [9.9, 10.0], gone=frozenset({WEB_A}), warnings=("w",))
    left = recent(samples, 10.0, 60.0)
    assert (left.labels, left.values, left.at) == ([{"host": "b"}], [2.0], [10.0])
    assert (left.gone, left.warnings) == (samples.gone, ("w",))
    assert recent(samples, 9.9, 10.0 - AHEAD) is samples
    assert recent(samples, 9.9, 9.95 - AHEAD).at == [9.9]
    odd = Samples([{}] * 4, [1.0] * 4, [math.nan, math.inf, 1e308, 12.0])
    assert recent(odd, 10.0, 60.0).at == [12.0]
    undated = Samples([{"host": "a"}], [1.0])
    assert recent(undated, 10.0, 60.0) is undated


@pytest.mark.parametrize(
    ("every", "lag", "seconds"), [(60.0, 0.0, 3600.0), (360.0, 0.0, 3600.0), (361.0, 0.0, 3610.0), (60.0, 90.0, 3690.0)]
)
def test_it_is_known_for_an_hour_or_ten_steps_which_samples_were_judged(every, lag, seconds) -> None:
    assert memory(rule(every=every, lag=lag)) == seconds


@pytest.mark.parametrize(
    ("mark", "at", "newer"),
    [(None, 10.0, True), (None, None, True), (10.0, None, True), (10.0, 10.1, True), (10.0, 10.0, False)],
)
def test_a_sample_is_newer_that_is_behind_the_mark(mark, at, newer) -> None:
    alert = replace(quiet_alert(AlertKey("cpu", Severity.P1, WEB_A), 0.0), sample_at=mark)
    assert is_newer((1.0, at), alert) is newer
