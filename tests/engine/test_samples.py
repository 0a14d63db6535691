"""Series: what they are known by, and how people write them."""

import pytest

from evaluator.engine.samples import Samples, Series, series_of, series_text


def test_a_series_is_its_labels_sorted_by_name() -> None:
    assert series_of({"host": "web-1", "device": "sda"}) == (("device", "sda"), ("host", "web-1"))
    assert series_of({"device": "sda", "host": "web-1"}) == series_of({"host": "web-1", "device": "sda"})


@pytest.mark.parametrize(
    ("series", "text"),
    [
        ((), ""),
        ((("host", "web-1"),), "host=web-1"),
        ((("device", "sda"), ("host", "web-1")), "device=sda, host=web-1"),
        ((("__name__", "up"), ("host", "web-1")), "host=web-1"),
        ((("__name__", "up"),), ""),
    ],
)
def test_a_series_is_written_without_its_metrics_name(series: Series, text: str) -> None:
    assert series_text(series) == text


def test_an_answer_is_as_long_as_it_has_values() -> None:
    assert (len(Samples()), len(Samples([{}], [1.0]))) == (0, 1)
