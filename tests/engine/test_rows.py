"""Finding the rows that matter among many: by their whole series, whichever label tells them apart."""

from collections.abc import Mapping

import pytest

from evaluator.engine.rows import rows_of
from evaluator.engine.samples import Samples, series_of


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
