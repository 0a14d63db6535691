"""AWS' published examples of M out of N with missing data, judged by the engine."""

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.samples import Samples
from tests.engine.aws_alarms import ALARM, DIFFERENCES, EXAMPLES, OK, RETAIN, TREATMENTS
from tests.stories import HI, LO, Story, answer, rule, tier

STEP = 60.0
OUT_OF_SIGHT = ["?"] * 10
"""Failed polls: they move no state, and leave no earlier sample within the window."""


def state_after(begin: str, points: str, m: int, treatment: str, *, dated: bool) -> State:
    """Return the state after data points that come when the alarm was in the state that `begin` makes."""
    story = Story.of(rule(tier(datapoints=f"{m} of 3"), no_data=TREATMENTS[treatment]))
    for number, point in enumerate([*begin, *OUT_OF_SIGHT, *points.split()], start=1):
        now = STEP * number
        match point:
            case "?":
                story.look(now, None)
            case "-":
                story.look(now, Samples([], [], [] if dated else None))
            case _:
                story.look(now, answer(HI if point == "X" else LO, at=now if dated else None))
    return story.state()


@pytest.mark.parametrize("dated", [False, True])
@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("treatment", list(TREATMENTS))
def test_the_state_is_that_of_cloudwatch_or_differs_on_purpose(example, treatment, dated) -> None:
    theirs = example.states[list(TREATMENTS).index(treatment)]
    difference = DIFFERENCES.get((example.points, example.m, treatment))
    quiet, firing = State.QUIET, State.FIRING
    expected = {OK: (quiet, quiet), ALARM: (firing, firing), RETAIN: (quiet, firing)}
    found = tuple(state_after(begin, example.points, example.m, treatment, dated=dated) for begin in ("000", "XXX"))
    assert found == expected[difference.ours if difference else theirs]
    assert difference is None or difference.ours != theirs


def test_every_difference_is_one_of_an_example() -> None:
    examples = {(example.points, example.m, treatment) for example in EXAMPLES for treatment in TREATMENTS}
    assert examples > DIFFERENCES.keys()
