"""M of the last N samples."""

import math

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.rules import Limit, Op, Recover
from evaluator.engine.window import Window, push, window_size, windowed_verdict
from tests.stories import HI, LO, MID, NAN, Story, m_of_n, rule, tier


def verdicts(tier, values, step=60.0) -> list[Verdict]:
    window: Window = ()
    said = []
    for number, value in enumerate(values):
        at = number * step
        if value is not None:
            window = push(window, tier, value, at, step)
            said.append(windowed_verdict(tier, window, value, at, step))
    return said


B, M, C, U = Verdict.BREACH, Verdict.BETWEEN, Verdict.CLEAR, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([HI, HI, HI], [M, M, B]),
        ([HI, LO, HI, LO, HI], [M, C, M, C, B]),
        ([HI, LO, LO, LO, HI, HI], [M, C, C, C, M, M]),
        ([HI, HI, HI, LO, LO, LO], [M, M, B, B, B, C]),
        ([HI, HI, NAN, HI], [M, M, U, B]),
    ],
)
def test_three_of_five(values, expected) -> None:
    assert verdicts(tier(datapoints="3 of 5"), values) == expected


def test_samples_older_than_n_and_three_steps_do_not_count() -> None:
    assert verdicts(tier(datapoints="3 of 5"), [HI, HI, *[None] * 6, HI])[-1] is B
    assert verdicts(tier(datapoints="3 of 5"), [HI, HI, *[None] * 7, HI])[-1] is M


def test_recovery_by_datapoints_needs_so_many_samples() -> None:
    few = tier(datapoints="3 of 5", recover=Recover(datapoints=m_of_n("0 of 3")))
    assert verdicts(few, [HI, HI, HI, LO, LO, LO]) == [M, M, B, B, B, C]
    assert verdicts(few, [LO, LO]) == [M, M]


def test_recovery_by_datapoints_with_a_plain_limit() -> None:
    plain = tier(recover=Recover(datapoints=m_of_n("1 of 3")))
    assert verdicts(plain, [HI, LO, LO, HI]) == [B, M, C, B]


def test_a_recovery_limit_still_decides_what_is_clear() -> None:
    tiered = tier(datapoints="2 of 3", recover=Recover(limit=Limit(Op.BELOW, 80)))
    assert verdicts(tiered, [HI, HI, MID, MID, LO]) == [M, B, B, M, C]


def test_the_window_is_as_long_as_what_looks_back_furthest() -> None:
    assert window_size(tier()) == 0
    assert window_size(tier(datapoints="1 of 2", recover=Recover(datapoints=m_of_n("0 of 4")))) == 4
    assert len(push(((0.0, HI),) * 9, tier(datapoints="1 of 2"), 1.0, 60.0, 60.0)) == 2
    assert push((), tier(datapoints="1 of 2"), math.nan, 0.0, 60.0) == ()


def test_a_row_is_kept_while_its_window_remembers_a_breach_and_no_longer() -> None:
    story = Story.of(rule(tier(datapoints="2 of 3")))
    story.tell([(0, HI), (60, LO)])
    assert story.state() is State.QUIET
    assert story.row() is not None
    assert story.look(120, HI).incidents
    story.tell([(180, LO), (240, LO), (300, LO)])
    assert story.row() is None


def test_a_sample_beyond_the_limit_after_blindness_ends_nothing() -> None:
    story = Story.of(rule(tier(datapoints="3 of 5"))).tell([(0, HI), (60, HI), (120, HI)])
    story.tell([(now, None) for now in range(180, 840, 60)])
    story.look(840, HI)
    assert story.state() is State.FIRING


def test_an_edited_limit_judges_the_samples_of_the_window_anew() -> None:
    story = Story.of(rule(tier(above=50, datapoints="3 of 5"))).tell([(0, 60.0), (60, 60.0)])
    story.edit(90, rule(tier(above=90, datapoints="3 of 5")))
    story.look(120, HI)
    assert story.state() is State.QUIET
