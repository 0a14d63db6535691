"""Two growing counts as the mean between two polls."""

import pytest

from evaluator.sources.means import Means, Pair

A, B = (("database", "a"),), (("database", "b"),)


def test_a_mean_is_of_what_was_counted_between_two_polls() -> None:
    means = Means()
    assert means.advance("q", {A: Pair(10.0, 100.0)}, 0.0) == {}
    assert means.advance("q", {A: Pair(16.0, 103.0), B: Pair(1.0, 1.0)}, 30.0) == {A: 2.0}
    assert means.advance("q", {A: Pair(17.0, 105.0), B: Pair(4.0, 2.0)}, 60.0) == {A: 0.5, B: 3.0}


def test_nothing_counted_is_no_zero() -> None:
    means = Means()
    means.advance("q", {A: Pair(10.0, 100.0)}, 0.0)
    assert means.advance("q", {A: Pair(10.0, 100.0)}, 30.0) == {}


@pytest.mark.parametrize("again", [Pair(1.0, 200.0), Pair(20.0, 2.0), Pair(20.0, 200.0, 7.0)])
def test_counts_that_began_anew_give_no_mean_once(again: Pair) -> None:
    means = Means()
    means.advance("q", {A: Pair(10.0, 100.0)}, 0.0)
    assert means.advance("q", {A: again}, 30.0) == {}
    assert means.advance("q", {A: Pair(again.total + 3, again.count + 1, again.reset)}, 60.0) == {A: 3.0}


def test_polls_that_are_too_close_answer_the_mean_before() -> None:
    means = Means()
    means.advance("q", {A: Pair(0.0, 0.0)}, 0.0)
    assert means.advance("q", {A: Pair(4.0, 2.0)}, 30.0) == {A: 2.0}
    assert means.advance("q", {A: Pair(99.0, 3.0)}, 30.1) == {A: 2.0}
    assert means.advance("q", {A: Pair(7.0, 3.0)}, 60.0) == {A: 3.0}


def test_a_query_that_nobody_asks_any_more_is_forgotten() -> None:
    means = Means()
    means.advance("old", {A: Pair(0.0, 0.0)}, 0.0)
    means.advance("new", {A: Pair(0.0, 0.0)}, 90_000.0)
    assert means.advance("old", {A: Pair(9.0, 9.0)}, 90_001.0) == {}


def test_a_clock_that_begins_anew_gives_no_mean_once() -> None:
    means = Means()
    means.advance("q", {A: Pair(0.0, 0.0)}, 1000.0)
    assert means.advance("q", {A: Pair(9.0, 9.0)}, 1.0) == {}
