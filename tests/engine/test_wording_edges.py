"""Words that are rarely needed: what is unusual to either side, what is healthy in a unit, and no time at all."""

import pytest

from evaluator.engine.rules import Limit, Op, Severity, Tier
from evaluator.engine.shapes import Direction, Trend, Unusual, Way
from evaluator.engine.wording import healthy_text, held_text, unusual_text


def test_what_is_healthy_has_the_unit_of_its_rule() -> None:
    trend = Trend(Way.RISING, 10.0, share=False, over=900.0)
    tier = Tier(Severity.P1, Limit(Op.ABOVE, 50), trend=trend)
    assert healthy_text(tier, "percent") == "no longer rising by 10 % within 15m and above 50 %"


@pytest.mark.parametrize(
    ("direction", "side"), [(Direction.HIGH, "above"), (Direction.LOW, "below"), (Direction.BOTH, "from")]
)
def test_what_is_unusual_is_so_to_one_side_or_to_either(direction, side) -> None:
    assert unusual_text(Unusual(2.5, direction=direction)) == f"more than 2.5 MAD {side} what is usual"


@pytest.mark.parametrize(("seconds", "text"), [(-5.0, "0s"), (0.0, "0s"), (0.4, "0s"), (0.6, "1s"), (89.6, "1m30s")])
def test_how_long_something_lasted_is_told_to_the_second(seconds, text) -> None:
    assert held_text(seconds) == text
