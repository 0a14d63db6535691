"""Which rows of an answer are read where limits look both ways, or no value is looked at."""

from evaluator.engine.rows import readings_that_matter
from evaluator.engine.rules import Limit, Op, Severity, Tier
from tests.engine.plays import rows
from tests.stories import HI, LO, WEB, rule, tier


def test_what_is_beyond_any_limit_is_read_and_not_what_is_nearer_to_the_worst_one() -> None:
    both = rule(tier(Severity.P0, 97), Tier(Severity.P2, Limit(Op.BELOW, 20.0)))
    assert readings_that_matter(both, rows(LO, 50.0), ()) == {WEB: [(LO, None)]}


def test_where_only_absence_counts_no_row_is_read() -> None:
    assert readings_that_matter(rule(Tier(Severity.P1, None, absent=True)), rows(HI), ()) == {}
