"""How far back samples are kept: as far as the oldest that may still be judged is held against what was before it."""

from dataclasses import replace

import pytest

from evaluator.engine.kept import Kept
from evaluator.engine.rules import Rule
from evaluator.engine.shapes import Trend, Way
from tests.stories import LO, WEB, rule, tier

NOW = 1_000_000.0


def keeping(datapoints: str, **fields: object) -> Rule:
    rising = Trend(Way.RISING, 10.0, share=False, over=3600.0)
    return rule(replace(tier(datapoints=datapoints), trend=rising), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "oldest"),
    [
        # An hour, or ten steps, in which a sample may be late; and then the lag.
        (keeping(""), 3600.0),
        (keeping("2 of 3", lag=30.0), 3630.0),
        (keeping("3 of 20", every=600.0), 13_800.0),
        (keeping("3 of 20", every=600.0, lag=60.0), 13_860.0),
    ],
)
def test_a_sample_is_kept_if_the_oldest_that_is_judged_looks_back_on_it(made, oldest) -> None:
    (keep,) = made.keeps
    first = NOW - oldest - keep.span
    kept = Kept(made, {}, NOW)
    kept.note(WEB, first - 1, LO)
    assert kept.chunks == {}
    kept.note(WEB, first, LO)
    assert len(kept.chunks) == 1
