"""`only_if`, joined with series: which rows are about which, and what becomes of a verdict where it does not hold."""

import math
from dataclasses import replace

import pytest

from evaluator.engine.alerts import Alert, AlertKey, Finding, State, Verdict, quiet_alert
from evaluator.engine.gate import PATIENCE, Gate, gated, noted
from evaluator.engine.look import Look
from evaluator.engine.rules import Limit, OnlyIf, Op, Query, Severity
from evaluator.engine.samples import FailureReason, PollFailed, Samples
from tests.stories import labels

BUSY = OnlyIf(Query("prometheus", "{}"), Limit(Op.ABOVE, 100.0), "per_second")
HOLDS, NOT, UNKNOWN = Look(holds=True, said="yes"), Look(holds=False, said="no"), Look(None, "who knows")
STEP = 60.0


def gate(*rows: tuple[dict[str, str], float], at: list[float] | None = None, only_if: OnlyIf = BUSY) -> Gate:
    return Gate(only_if, Samples([row[0] for row in rows], [row[1] for row in rows], at))


@pytest.mark.parametrize(
    ("row", "series", "holds"),
    [
        ({}, labels(host="a"), True),
        ({"host": "a"}, labels(host="a"), True),
        ({"host": "b"}, labels(host="a"), False),
        ({"host": "a", "zone": "x"}, labels(host="a"), True),
        ({"host": "a"}, labels(host="a", zone="x"), True),
        ({"host": "a", "zone": "y"}, labels(host="a", zone="x"), False),
        ({"host": "b", "zone": "x"}, labels(host="a", zone="x"), False),
        ({"rack": "1"}, labels(host="a"), True),
        ({"host": "a"}, (), True),
        ({"__name__": "requests", "host": "a"}, labels(__name__="errors", host="a"), True),
        ({"__name__": "requests"}, labels(__name__="errors", host="a"), True),
    ],
)
def test_a_row_is_about_a_series_that_agrees_in_all_labels_that_both_have(row, series, holds) -> None:
    assert gate((row, 101.0)).look(series).holds is holds


@pytest.mark.parametrize(
    ("value", "look"),
    [
        (100.5, Look(holds=True, said="only_if holds: 100.5/s is above 100/s")),
        (100.0, Look(holds=False, said="only_if does not hold: 100/s is not above 100/s")),
        (math.nan, Look(holds=False, said="only_if does not hold: no value for this series")),
    ],
)
def test_it_holds_beyond_its_limit_and_says_the_value(value, look) -> None:
    assert gate(({"host": "a"}, value)).look(labels(host="a")) == look


def test_any_row_that_matches_is_enough_whatever_labels_it_has_and_the_furthest_is_told() -> None:
    found = gate(({"host": "a", "core": "0"}, 50.0), ({"host": "a", "core": "1"}, 300.0), ({"zone": "x"}, 200.0))
    assert found.look(labels(host="a", zone="x")).said == "only_if holds: 300/s is above 100/s"
    assert found.look(labels(host="b", zone="x")).said == "only_if holds: 200/s is above 100/s"
    assert found.look(labels(host="b", zone="y")).said == "only_if does not hold: no value for this series"
    # Asked again, and of another shape: what was joined once is not mixed up.
    assert found.look(labels(host="a", zone="y")).said == "only_if holds: 300/s is above 100/s"
    assert found.look(labels(core="0", host="a", zone="y")).said == "only_if does not hold: 50/s is not above 100/s"
    below = replace(BUSY, limit=Limit(Op.BELOW, 100.0))
    assert gate(({"n": "1"}, 80.0), ({"n": "2"}, 20.0), ({}, 50.0), only_if=below).look(()).said == (
        "only_if holds: 20/s is below 100/s"
    )


def test_of_rows_with_timestamps_the_newest_of_each_series_counts() -> None:
    rows = [({"host": "a"}, 300.0), ({"host": "a"}, 50.0), ({"host": "b"}, 50.0), ({"host": "b"}, 300.0)]
    found = gate(*rows, at=[10.0, 20.0, 10.0, 20.0])
    assert (found.look(labels(host="a")).holds, found.look(labels(host="b")).holds) == (False, True)
    turned = gate(*rows, at=[20.0, 10.0, 20.0, 10.0])
    assert (turned.look(labels(host="a")).holds, turned.look(labels(host="b")).holds) == (True, False)
    # The same labels in another order are the same series.
    twice = gate(({"a": "1", "b": "2"}, 300.0), ({"b": "2", "a": "1"}, 50.0), at=[10.0, 20.0])
    assert twice.look(()).holds is False


@pytest.mark.parametrize(
    ("answer", "because"),
    [(None, "its query was not asked"), (PollFailed(FailureReason.TIMEOUT, "no answer in time"), "no answer in time")],
)
def test_without_an_answer_it_is_not_known(answer, because) -> None:
    assert Gate(BUSY, answer).look(()) == Look(None, f"it is not known whether only_if holds: {because}")
    assert Gate(BUSY, Samples()).look(()) == Look(holds=False, said="only_if does not hold: no value for this series")


def test_columns_of_different_lengths_are_a_mistake_that_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Gate(BUSY, Samples([{}, {"host": "a"}], [1.0]))


def alert(state: State = State.FIRING, since: float | None = None, seen: float | None = None) -> Alert:
    made = quiet_alert(AlertKey("cpu", Severity.P1, ()), 0.0)
    return replace(made, state=state, unmet_since=since, unmet_seen=seen)


@pytest.mark.parametrize("state", [State.FIRING, State.RECOVERING])
@pytest.mark.parametrize(
    ("since", "seen", "look", "after"),
    [
        (None, None, NOT, (600.0, 600.0)),
        (60.0, 540.0, NOT, (60.0, 600.0)),
        (60.0, 600.0, NOT, (60.0, 600.0)),
        (60.0, 420.0, NOT, (60.0, 600.0)),
        (60.0, 419.9, NOT, (600.0, 600.0)),
        (60.0, 600.1, NOT, (600.0, 600.0)),
        (60.0, 540.0, UNKNOWN, (60.0, 540.0)),
        (60.0, 540.0, HOLDS, (None, None)),
        (None, None, HOLDS, (None, None)),
    ],
)
def test_it_is_noted_since_when_it_has_not_held_without_a_break_of_more_than_three_steps(
    state, since, seen, look, after
) -> None:
    before = alert(state, since, seen)
    assert noted(before, look, STEP, 600.0) == replace(before, unmet_since=after[0], unmet_seen=after[1])


@pytest.mark.parametrize("state", [State.QUIET, State.PENDING])
def test_of_what_does_not_fire_it_is_not_noted(state) -> None:
    assert noted(alert(state), NOT, STEP, 600.0) == alert(state)
    assert noted(alert(state, 60.0, 540.0), HOLDS, STEP, 600.0) == alert(state)


BREACH = Finding(Verdict.BREACH, 595.0, 4000.0, 95.0, worse=True, said="as it was")


@pytest.mark.parametrize(
    ("before", "look", "verdict", "said"),
    [
        (alert(), HOLDS, Verdict.BREACH, "as it was"),
        (alert(), UNKNOWN, Verdict.UNKNOWN, "who knows"),
        (alert(State.QUIET), UNKNOWN, Verdict.UNKNOWN, "who knows"),
        (alert(State.QUIET), NOT, Verdict.CLEAR, "no"),
        (alert(State.PENDING), NOT, Verdict.CLEAR, "no"),
        (alert(State.FIRING), NOT, Verdict.UNKNOWN, "no, which ends it once it has lasted 1h"),
        (alert(State.FIRING, 4000.1 - PATIENCE), NOT, Verdict.UNKNOWN, "no, which ends it once it has lasted 1h"),
        (alert(State.FIRING, 4000.0 - PATIENCE), NOT, Verdict.CLEAR, "no, and has not for 1h"),
        (alert(State.RECOVERING, 4000.1 - PATIENCE), NOT, Verdict.UNKNOWN, "no, which ends it once it has lasted 1h"),
        (alert(State.RECOVERING, 0.0), NOT, Verdict.CLEAR, "no, and has not for 1h"),
    ],
)
def test_what_fires_stays_for_an_hour_and_what_does_not_is_clear_at_once(before, look, verdict, said) -> None:
    assert gated(before, look, BREACH) == replace(BREACH, verdict=verdict, said=said)
