"""Windows of samples: what is in them, for how long it counts, and how many it takes."""

import math

import pytest

from evaluator.engine.alerts import Verdict
from evaluator.engine.rules import Limit, Op, Recover
from evaluator.engine.window import amended, count_of, push, remembers, window_size, windowed_verdict
from tests.stories import m_of_n, tier

STEP = 60.0
TWO_OF_THREE = tier(datapoints="2 of 3")


def window(*points: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    return points


@pytest.mark.parametrize(
    ("datapoints", "recover", "size"), [("", "", 0), ("2 of 3", "", 3), ("", "1 of 5", 5), ("2 of 3", "1 of 5", 5)]
)
def test_a_window_is_as_long_as_the_longest_look_back(datapoints, recover, size) -> None:
    assert window_size(tier(datapoints=datapoints, recover=Recover(datapoints=m_of_n(recover)))) == size


@pytest.mark.parametrize(
    ("before", "at", "after"),
    [
        ((), 600.0, ((600.0, 9.0),)),
        (((480.0, 1.0), (540.0, 2.0)), 600.0, ((480.0, 1.0), (540.0, 2.0), (600.0, 9.0))),
        (((420.0, 0.0), (480.0, 1.0), (540.0, 2.0)), 600.0, ((480.0, 1.0), (540.0, 2.0), (600.0, 9.0))),
        # Six steps: three samples, and three steps to spare.
        (((239.9, 0.0), (240.0, 1.0)), 600.0, ((240.0, 1.0), (600.0, 9.0))),
        (((540.0, 2.0), (600.0, 3.0), (660.0, 4.0)), 600.0, ((540.0, 2.0), (600.0, 9.0))),
    ],
)
def test_a_sample_goes_to_the_end_and_what_is_too_many_or_too_old_goes(before, at, after) -> None:
    assert push(before, TWO_OF_THREE, 9.0, at, STEP) == after
    assert push(before, TWO_OF_THREE, math.nan, at, STEP) == before


@pytest.mark.parametrize(
    ("late", "after"),
    [
        ([], ((540.0, 2.0), (600.0, 3.0))),
        ([(570.0, 7.0)], ((540.0, 2.0), (570.0, 7.0), (600.0, 3.0))),
        ([(480.0, 7.0), (420.0, 8.0)], ((480.0, 7.0), (540.0, 2.0), (600.0, 3.0))),
        ([(540.0, 7.0)], ((540.0, 7.0), (600.0, 3.0))),
        ([(540.0, math.nan)], ((540.0, 2.0), (600.0, 3.0))),
        ([(239.9, 7.0)], ((540.0, 2.0), (600.0, 3.0))),
        ([(240.0, 7.0)], ((240.0, 7.0), (540.0, 2.0), (600.0, 3.0))),
    ],
)
def test_what_comes_late_takes_its_place_as_long_as_it_counts(late, after) -> None:
    assert amended(((540.0, 2.0), (600.0, 3.0)), TWO_OF_THREE, late, STEP) == after
    assert amended((), TWO_OF_THREE, late, STEP) == ()


def test_a_single_sample_is_the_end_of_its_window() -> None:
    assert amended(((600.0, 3.0),), TWO_OF_THREE, [(570.0, 7.0)], STEP) == ((570.0, 7.0), (600.0, 3.0))


@pytest.mark.parametrize(
    ("points", "count"),
    [
        ((), 0),
        (((600.0, 91.0),), 1),
        (((540.0, 10.0), (600.0, 91.0)), 1),
        (((480.0, 91.0), (540.0, 92.0), (600.0, 93.0)), 3),
        (((420.0, 91.0), (480.0, 91.0), (540.0, 92.0), (600.0, 93.0)), 3),
        (((240.0, 91.0), (600.0, 93.0)), 2),
        (((239.9, 91.0), (600.0, 93.0)), 1),
    ],
)
def test_only_the_last_samples_count_and_none_that_is_too_old(points, count) -> None:
    assert count_of(TWO_OF_THREE, points, 600.0, STEP) == count
    assert count_of(tier(), points, 600.0, STEP) == 0


def test_who_knows_more_than_the_value_is_asked_for_each_sample_with_its_time() -> None:
    points = window((480.0, 1.0), (540.0, 2.0), (600.0, 3.0))
    known = {(480.0, 1.0): True, (540.0, 2.0): None, (600.0, 3.0): True}
    assert count_of(TWO_OF_THREE, points, 600.0, STEP, lambda at, value: known[at, value]) == 2
    assert remembers(TWO_OF_THREE, points, lambda at, value: known[at, value])
    assert not remembers(TWO_OF_THREE, points, lambda at, value: None if known[at, value] is None else False)
    assert not remembers(TWO_OF_THREE, points)
    assert remembers(TWO_OF_THREE, ((540.0, 91.0), (600.0, 3.0)))


BAND = Recover(Limit(Op.BELOW, 80.0))
FEW = Recover(datapoints=m_of_n("1 of 3"))
FEW_BELOW = Recover(Limit(Op.BELOW, 80.0), datapoints=m_of_n("1 of 3"))
HIGH, MIDDLE, LOW, GAP = 95.0, 85.0, 10.0, None


@pytest.mark.parametrize(
    ("one", "values", "verdict"),
    [
        (tier(), (HIGH,), Verdict.BREACH),
        (tier(), (LOW,), Verdict.CLEAR),
        (tier(recover=BAND), (MIDDLE,), Verdict.BETWEEN),
        (tier(), (math.nan,), Verdict.UNKNOWN),
        (TWO_OF_THREE, (HIGH,), Verdict.BETWEEN),
        (TWO_OF_THREE, (HIGH, HIGH), Verdict.BREACH),
        (TWO_OF_THREE, (HIGH, LOW, HIGH), Verdict.BREACH),
        # Two of the last three breach, whatever the newest one is.
        (TWO_OF_THREE, (HIGH, HIGH, LOW), Verdict.BREACH),
        (TWO_OF_THREE, (HIGH, LOW, LOW), Verdict.CLEAR),
        (TWO_OF_THREE, (LOW,), Verdict.CLEAR),
        (TWO_OF_THREE, (HIGH, HIGH, math.nan), Verdict.UNKNOWN),
        # Recovery needs all three samples, and at most one beyond the limit.
        (tier(recover=FEW), (HIGH, LOW), Verdict.BETWEEN),
        (tier(recover=FEW), (HIGH, LOW, LOW), Verdict.CLEAR),
        (tier(recover=FEW), (HIGH, HIGH, LOW), Verdict.BETWEEN),
        (tier(recover=FEW), (LOW, LOW, HIGH), Verdict.BREACH),
        (tier(datapoints="2 of 2", recover=FEW), (LOW, LOW, HIGH), Verdict.BETWEEN),
        (tier(recover=FEW_BELOW), (HIGH, LOW, MIDDLE), Verdict.BETWEEN),
    ],
)
def test_the_newest_sample_is_judged_with_those_before_it(one, values, verdict) -> None:
    points = window(
        *((600.0 - 60.0 * back, value) for back, value in enumerate(reversed(values)) if not math.isnan(value))
    )
    assert windowed_verdict(one, points[::-1], values[-1], 600.0, STEP) is verdict


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        ((True, True, True), Verdict.BREACH),
        ((True, None, None), Verdict.UNKNOWN),
        ((True, True, None), Verdict.BREACH),
        # Of one it is not known whether it was beyond: recovery cannot be told from it.
        ((None, False, False), Verdict.BETWEEN),
        ((False, False, False), Verdict.CLEAR),
    ],
)
def test_a_sample_of_which_it_is_not_known_counts_neither_way(known, verdict) -> None:
    one = tier(datapoints="2 of 3", recover=FEW)
    points = window((480.0, 1.0), (540.0, 2.0), (600.0, 3.0))
    by_sample = dict(zip(points, known, strict=True))
    assert windowed_verdict(one, points, 3.0, 600.0, STEP, lambda at, value: by_sample[at, value]) is verdict
