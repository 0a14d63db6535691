"""How long a series has been missing: counted by good answers, and never while its source says that it is there."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import AlertKey, quiet_alert
from evaluator.engine.missing import Missing, forgotten_after
from evaluator.engine.rules import NoDataPolicy, Severity
from evaluator.engine.samples import Samples
from tests.engine.plays import rows
from tests.stories import LO, WEB, rule

DAY = 86_400.0
BREACH = rule(no_data=NoDataPolicy.BREACH)
BLIND, GONE = Samples(blind=frozenset({WEB})), Samples(gone=frozenset({WEB}))
ALERT = replace(quiet_alert(AlertKey("cpu", Severity.P1, WEB), 0.0), absent=120.0)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, DAY),
        ({"every": 14_400.0}, DAY),
        ({"every": 14_401.0}, DAY + 6),
        ({"every": 14_400.0, "lag": 10.0}, DAY + 20),
        ({"no_data": NoDataPolicy.RESOLVE, "resolve_after": DAY - 1}, DAY),
        ({"no_data": NoDataPolicy.RESOLVE, "resolve_after": DAY + 1}, DAY + 1),
    ],
)
def test_a_series_is_forgotten_after_a_day_or_when_it_has_been_missed_for_long(fields, seconds) -> None:
    assert forgotten_after(rule(**fields)) == seconds


@pytest.mark.parametrize(("samples", "absent"), [(Samples(), 180), (BLIND, 120), (rows(LO, host="web-2"), 180)])
def test_a_good_answer_without_a_series_counts_unless_its_source_says_that_it_is_there(samples, absent) -> None:
    assert Missing(rule(), samples, {}, {}).absent(ALERT) == absent
    assert Missing(BREACH, samples, {}, {WEB: 120.0}).absent(replace(ALERT, absent=0.0)) == absent


@pytest.mark.parametrize(
    ("samples", "before", "after", "waits"),
    [
        (rows(LO), {}, {WEB: 0.0}, True),
        (rows(LO), {WEB: 0.0}, {}, True),
        (rows(LO), {WEB: 60.0}, {WEB: 0.0}, True),
        (Samples(), {WEB: 60.0}, {WEB: 120.0}, True),
        (BLIND, {WEB: 60.0}, {}, True),
        (GONE, {WEB: 60.0}, {WEB: None}, False),
        (Samples(), {WEB: DAY - 120}, {WEB: DAY - 60}, True),
        (Samples(), {WEB: DAY - 60}, {WEB: None}, False),
        (Samples(), {}, {}, False),
    ],
)
def test_what_must_not_be_missing_is_waited_for_until_it_is_gone_or_forgotten(samples, before, after, waits) -> None:
    missing = Missing(BREACH, samples, {}, before)
    assert (missing.changed, missing.waits_for(WEB)) == (after, waits)


def test_the_newest_sample_that_any_limit_has_judged_counts() -> None:
    alerts = [
        replace(ALERT, severity=severity, sample_at=at) for severity, at in ((Severity.P1, 100.0), (Severity.P2, 50.0))
    ]
    book = {(alert.severity, WEB): alert for alert in alerts}
    assert Missing(BREACH, rows(LO, at=[80.0]), book, {WEB: 60.0}).changed == {WEB: 120.0}
    assert Missing(BREACH, rows(LO, at=[101.0]), book, {WEB: 60.0}).changed == {WEB: 0.0}
