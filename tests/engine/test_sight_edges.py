"""All conditions of one tier, asked about one sample: what each says, and what they say together."""

import math
from dataclasses import replace

import pytest

from evaluator.engine.kept import Kept
from evaluator.engine.look import Look
from evaluator.engine.rules import Limit, Op, Rule, Severity, Tier
from evaluator.engine.shapes import Comparison, Direction, Missed, Trend, Unusual, Way
from evaluator.engine.sight import Sight, limit_look
from tests.stories import WEB, rule

RISES = Trend(Way.RISING, 10.0, share=False, over=600.0)
ODD = Unusual(3.0, 86_400.0, Comparison.LAST_DAYS, Direction.HIGH, 0.0)
ABOVE = Limit(Op.ABOVE, 50.0)


def asked(**fields: object) -> Rule:
    return rule(replace(Tier(Severity.P1, None), **fields))  # type: ignore[arg-type]


def sight(found: Rule, *samples: tuple[float, float], known: bool = True) -> Sight:
    """Return what is seen of a series of which these samples are kept."""
    kept = Kept(found, {}, 600.0)
    if known:
        kept.note(WEB, 0.0, math.nan)
    for at, value in samples:
        kept.note(WEB, at, value)
    return Sight(found, found.tiers[0], WEB, kept, 0.0)


RISING = [(60.0 * number, float(number)) for number in range(10)]


def test_a_limit_says_on_which_side_of_it_the_value_is() -> None:
    assert limit_look(ABOVE, 51.0, "percent") == Look(holds=True, said="51 % is above 50 %")
    assert limit_look(ABOVE, 50.0, None) == Look(holds=False, said="50 is not above 50")


def test_a_trend_that_does_not_hold_says_what_was_asked() -> None:
    look = sight(asked(trend=RISES), *RISING).look(600.0, 9.0)
    assert look.holds is False
    assert look.said.endswith(": not rising by 10 % within 10m")
    held = sight(asked(trend=RISES), *RISING).look(600.0, 20.0)
    assert held.holds is True
    assert "not rising" not in held.said


def test_what_is_not_unusual_says_what_was_asked() -> None:
    steady = [(300.0 * number, 10.0 + number % 3) for number in range(12)]
    look = sight(asked(unusual=ODD), *steady).look(3600.0, 11.0)
    assert look == Look(
        holds=False,
        said="11 % is what is usual (median of 12 samples of the last 1d): not more than 3 MAD above what is usual",
    )
    high = sight(asked(unusual=ODD), *steady).look(3600.0, 99.0)
    assert high.holds is True
    assert high.said == "99 % is 88 MAD above the usual 11 % (median of 12 samples of the last 1d)"


def test_all_must_hold_and_one_that_does_not_speaks_alone() -> None:
    both = asked(limit=ABOVE, trend=RISES)
    assert sight(both, *RISING).look(600.0, 40.0) == Look(holds=False, said="40 % is not above 50 %")
    found = sight(both, *RISING).look(600.0, 60.0)
    assert found.holds is True
    assert found.said.startswith("60 % is above 50 % and rose by ")
    # What is not known speaks alone too, where nothing is known not to hold.
    unsure = sight(both).look(600.0, 60.0)
    assert unsure == Look(None, "only 1 of at least 5 samples within 10m")


def test_several_that_are_not_known_are_all_told() -> None:
    unsure = sight(asked(trend=RISES, unusual=ODD)).look(600.0, 60.0)
    assert unsure.holds is None
    assert unsure.said == ("only 1 of at least 5 samples within 10m and learning: 0 of 5 samples of the last 1d")


@pytest.mark.parametrize("field", [{"trend": RISES}, {"unusual": ODD}])
def test_a_series_for_which_there_is_no_place_is_not_known(field) -> None:
    beyond = sight(asked(**field), known=False)
    said = beyond.look(600.0, 60.0).said
    assert beyond.look(600.0, 60.0).holds is None
    assert said.startswith("the rule keeps samples of ")
    assert said.endswith(" series, and this one is beyond them")


def test_nan_is_no_value_and_none_is_never_one() -> None:
    assert sight(asked(limit=ABOVE, trend=RISES)).look(600.0, math.nan) == Look(None, "there is no value")
    job = asked(missed=Missed("* * * * *", "UTC"), limit=ABOVE)
    assert sight(job).look(600.0, None).holds is True
    assert sight(job).holds(600.0, 0.0) is False
    assert sight(job).holds(600.0, math.nan) is None


def test_each_sample_is_looked_at_by_itself() -> None:
    one = sight(asked(limit=ABOVE, trend=RISES), *RISING)
    assert [one.holds(600.0, value) for value in (40.0, 60.0, 40.0)] == [False, True, False]
    assert one.look(600.0, 60.0) is one.look(600.0, 60.0)
    assert one.holds(9999.0, 60.0) is None
