"""`absent` and the mark of `missed`, field by field."""

import math
from dataclasses import replace

import pytest

from evaluator.engine.absence import NOBODY, SEEN, absent_finding, awaits_the_first, is_empty, is_mark, mark_of
from evaluator.engine.alerts import Alert, AlertKey, Finding, State, Verdict, quiet_alert
from evaluator.engine.rules import Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed
from tests.stories import WEB, rule, tier

ABSENT = rule(Tier(Severity.P1, None, absent=True), lag=30.0)
MISSED = Tier(Severity.P1, None, missed=Missed("0 2 * * *", "UTC"))
NOW = 600.0


def alert(**fields: object) -> Alert:
    return replace(quiet_alert(AlertKey("cpu", Severity.P1, NOBODY), 0.0), **fields)  # type: ignore[arg-type]


def dated(*at: float) -> Samples:
    return Samples([{"host": f"h{number}"} for number in range(len(at))], [1.0] * len(at), list(at))


@pytest.mark.parametrize(
    ("samples", "mark", "empty"),
    [
        (Samples(), None, True),
        (Samples(), 10.0, True),
        (Samples([{}], [math.nan]), None, False),
        (Samples([{}], [1.0]), 10.0, False),
        (dated(5.0), None, False),
        (dated(10.0), 10.0, True),
        (dated(10.0, 5.0), 10.0, True),
        (dated(5.0, 10.1), 10.0, False),
    ],
)
def test_an_answer_is_empty_that_has_nothing_new(samples, mark, empty) -> None:
    assert is_empty(samples, alert(sample_at=mark)) is empty


@pytest.mark.parametrize(
    ("samples", "mark", "said"),
    [
        (Samples([{}], [1.0]), None, "there is a sample"),
        (Samples([{}, {"host": "a"}], [1.0, 2.0]), None, "there are 2 samples"),
        (dated(7.0, 9.0, 8.0), 9.0, "there are 3 samples"),
    ],
)
def test_any_sample_is_clear_and_ends_the_count(samples, mark, said) -> None:
    after, finding = absent_finding(ABSENT, alert(absent=240.0), samples, NOW)
    assert after == alert(absent=0.0, sample_at=mark)
    assert finding == Finding(Verdict.CLEAR, NOW, NOW, said=said)


@pytest.mark.parametrize(
    ("counted", "verdict", "said"),
    [
        (0.0, Verdict.UNKNOWN, "no sample at all for 1m, of 3m30s"),
        (149.0, Verdict.UNKNOWN, "no sample at all for 3m29s, of 3m30s"),
        (150.0, Verdict.BREACH, "no sample at all for 3m30s"),
        (600.0, Verdict.BREACH, "no sample at all for 11m"),
    ],
)
def test_no_sample_is_a_breach_after_three_steps_and_the_lag(counted, verdict, said) -> None:
    after, finding = absent_finding(ABSENT, alert(absent=counted), Samples(), NOW)
    assert after == alert(absent=counted + 60.0)
    assert finding == Finding(verdict, NOW, NOW, said=said)


def test_the_mark_of_a_rule_that_has_had_a_series() -> None:
    mark = mark_of(ABSENT, MISSED, NOW)
    assert mark == replace(quiet_alert(AlertKey("cpu", Severity.P1, NOBODY), NOW), reason=SEEN)
    assert SEEN == "its series was seen for the first time"


@pytest.mark.parametrize(
    ("kind", "fields", "mark", "awaits"),
    [
        (MISSED, {}, True, False),
        (MISSED, {"state": State.PENDING}, False, True),
        (MISSED, {"state": State.FIRING}, False, True),
        (MISSED, {"value": 5.0}, False, False),
        (MISSED, {"value": 5.0, "state": State.FIRING}, False, False),
        (MISSED, {"series": WEB}, False, False),
        (MISSED, {"series": WEB, "state": State.FIRING}, False, False),
        (tier(), {}, False, False),
        (tier(), {"state": State.FIRING}, False, False),
    ],
)
def test_a_row_without_labels_and_value_is_a_mark_while_quiet_and_else_waits_for_the_first(
    kind, fields, mark, awaits
) -> None:
    assert (is_mark(kind, alert(**fields)), awaits_the_first(kind, alert(**fields))) == (mark, awaits)
