"""What is not there at all: `absent`, and `missed` where there has never been a success."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.evaluate import Cause
from evaluator.engine.rules import Query, Recover, Severity, Tier
from evaluator.engine.samples import Samples, series_of
from evaluator.engine.shapes import Missed
from tests.engine.plays import Play, rows
from tests.stories import FAILED, HI, LO, NAN, WEB, rule, tier

Q, P, F, R = State.QUIET, State.PENDING, State.FIRING, State.RECOVERING
DAY, HOUR = 86_400.0, 3_600.0
NOBODY = ()
NIGHTLY = Missed("0 2 * * *", "UTC", 1200.0)
DUE = 2 * HOUR
"""The first time at which it is due."""


def absent(for_: float = 0.0, recover: Recover | None = None, **fields: object) -> Play:
    asked = Tier(Severity.P1, None, for_, recover=recover or Recover(), absent=True)
    return Play(rule(asked, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(("lag", "looks"), [(0.0, 3), (120.0, 5)])
def test_no_sample_for_three_steps_and_the_lag_is_a_breach(lag, looks) -> None:
    story = absent(lag=lag)
    for number in range(1, looks):
        evaluation = story.look(number * 60, Samples())
        assert (story.state(NOBODY), story.alert(NOBODY).verdict) == (Q, Verdict.UNKNOWN)
        assert story.said(evaluation) == [f"no sample at all for {number}m, of {looks}m"]
    evaluation = story.look(looks * 60, Samples())
    assert story.state(NOBODY) is F
    assert evaluation.transitions[0].alert.reason == f"no sample at all for {looks}m"


@pytest.mark.parametrize("answer", [rows(NAN), rows(LO), rows(HI, host="anybody")])
def test_any_sample_at_all_is_clear_and_ends_the_count(answer) -> None:
    story = absent()
    story.look(0, Samples())
    story.look(60, Samples())
    evaluation = story.look(120, answer)
    assert story.book == {}
    assert story.said(evaluation) == ["there is a sample"]
    story.look(180, Samples())
    story.look(240, Samples())
    assert story.state(NOBODY) is Q
    story.look(300, Samples())
    assert story.state(NOBODY) is F
    evaluation = story.look(360, Samples([{"n": "1"}, {"n": "2"}], [1.0, 2.0]))
    assert (story.book, evaluation.transitions[0].alert.reason) == ({}, "there are 2 samples")


def test_failed_polls_are_no_absence() -> None:
    story = absent()
    for now in range(0, 6000, 60):
        story.look(now, FAILED)
        assert story.book == {}
    story.look(6000, Samples())
    story.look(6060, Samples())
    story.look(6120, FAILED)
    assert story.state(NOBODY) is Q
    story.look(6180, Samples())
    assert story.state(NOBODY) is F
    story.look(6240, FAILED)
    assert (story.state(NOBODY), story.alert(NOBODY).stale) == (F, True)


def test_what_the_source_says_of_single_series_plays_no_part() -> None:
    story = absent()
    for now in (0, 60, 120):
        story.look(now, Samples(gone=frozenset({WEB, NOBODY}), blind=frozenset({WEB})))
    assert story.state(NOBODY) is F
    story.look(180, Samples(gone=frozenset({NOBODY})))
    assert story.state(NOBODY) is F


def test_dated_samples_count_while_they_are_new() -> None:
    story = absent(query=Query("cloudwatch", "{}", step=60.0), lag=60.0)
    for now in (60, 120, 180):
        story.look(now, rows(LO, at=[now - 60.0]))
        assert (story.state(NOBODY), story.alert(NOBODY).absent) == (Q, 0.0)
    for now in (240, 300, 360):
        story.look(now, rows(LO, at=[120.0]))
        assert story.state(NOBODY) is Q
    story.look(420, Samples(at=()))
    assert story.state(NOBODY) is F
    story.look(480, rows(LO, LO, at=[120.0, 420.0]))
    assert story.state(NOBODY) is Q


def test_absence_has_for_and_recovery_as_anything_else() -> None:
    story = absent(120.0, Recover(for_=60.0))
    for now in range(0, 300, 60):
        story.look(now, Samples())
    assert story.state(NOBODY) is F
    assert story.alert(NOBODY).active_at == 120.0
    story.look(300, rows(LO))
    assert story.state(NOBODY) is R
    story.look(360, rows(LO))
    assert story.book == {}


def test_of_two_tiers_the_worse_one_takes_the_milder_one_along() -> None:
    soon, late = (Tier(Severity.P1, None, absent=True), Tier(Severity.P2, None, 3600.0, absent=True))
    story = Play(rule(soon, late))
    for now in (0, 60, 120):
        story.look(now, Samples())
    assert [story.state(NOBODY, severity) for severity in (Severity.P1, Severity.P2)] == [F, F]


def test_beside_other_tiers_it_is_judged_by_itself() -> None:
    story = Play(rule(Tier(Severity.P0, None, absent=True), tier(Severity.P1)))
    story.look(0, rows(HI))
    assert [(severity, series) for severity, series in story.book] == [(Severity.P1, WEB)]
    for now in (60, 120, 180):
        evaluation = story.look(now, Samples())
    assert story.state(NOBODY, Severity.P0) is F
    assert len(evaluation.looked) == 2


def test_after_an_edit_an_empty_answer_ends_it_and_counts_anew() -> None:
    story = absent()
    for now in (0, 60, 120):
        story.look(now, Samples())
    story.book = {key: replace(alert, edited=True) for key, alert in story.book.items()}
    evaluation = story.look(180, Samples())
    assert [(step.cause, step.alert.state) for step in evaluation.transitions] == [(Cause.EDITED, Q)]
    story.look(240, Samples())
    assert story.state(NOBODY) is Q
    story.look(300, Samples())
    assert story.state(NOBODY) is F


def test_after_an_edit_a_sample_ends_it_as_ever() -> None:
    story = absent(0.0, Recover(for_=60.0))
    for now in (0, 60, 120):
        story.look(now, Samples())
    story.book = {key: replace(alert, edited=True) for key, alert in story.book.items()}
    story.look(180, rows(LO))
    assert (story.state(NOBODY), story.alert(NOBODY).edited) == (R, False)


def nightly(*tiers: Tier, since: float = 0.0, **fields: object) -> Play:
    asked = tiers or (Tier(Severity.P1, None, missed=NIGHTLY),)
    return Play(rule(*asked, unit=None, **fields), since)  # type: ignore[arg-type]


def test_a_success_that_was_due_and_did_not_come_is_missed_after_the_grace() -> None:
    story = nightly()
    story.look(DUE - 60, rows(DUE - DAY + 5))
    story.look(DUE + 1140, rows(DUE - DAY + 5))
    assert story.state() is Q
    evaluation = story.look(DUE + 1200, rows(DUE - DAY + 5))
    assert story.state() is F
    assert evaluation.transitions[0].alert.reason == (
        "no success since 1969-12-31 02:00:05 UTC; one was due at 1970-01-01 02:00:00 UTC, 20m of grace are over"
    )
    evaluation = story.look(DUE + 1260, rows(DUE + 1250))
    assert story.state() is Q
    assert evaluation.transitions[0].alert.reason.startswith("the last success was at 1970-01-01 02:20:50 UTC")


def test_a_series_that_is_not_in_the_answer_is_judged_by_its_last_success() -> None:
    story = nightly()
    story.look(0, rows(-5.0))
    for now in range(60, int(DUE + 1200), 60):
        story.look(now, Samples())
        assert (story.state(), story.alert().value) == (Q, -5.0)
    story.look(DUE + 1200, Samples())
    assert story.state() is F
    assert story.alert().absent > 0
    for now in range(int(DUE + 1800), int(3 * DAY), 600):
        story.look(now, Samples())
        assert story.state() is F
    story.look(3 * DAY, rows(3 * DAY - 10))
    assert story.state() is Q
    assert story.alert().absent == 0.0


def test_of_two_last_successes_of_one_series_the_earlier_one_counts() -> None:
    for values in ((-5.0, 100.0), (100.0, -5.0)):
        story = nightly()
        story.look(0, rows(*values))
        assert story.alert().value == -5.0


def test_a_weekly_job_is_not_forgotten_in_between() -> None:
    story = Play(rule(Tier(Severity.P1, None, missed=Missed("0 2 * * 1", "UTC")), every=HOUR))
    story.look(0, rows(-5.0))
    due = 4 * DAY + DUE
    for now in range(int(HOUR), int(due), int(HOUR)):
        story.look(now, Samples())
        assert story.state() is Q
    story.look(due, Samples())
    assert story.state() is F


def test_a_failed_poll_and_a_value_that_is_none_say_nothing() -> None:
    story = nightly()
    story.look(0, rows(-5.0))
    story.look(DUE + 1200, FAILED)
    assert story.state() is Q
    story.look(DUE + 1260, rows(NAN))
    assert (story.state(), story.alert().verdict, story.alert().value) == (Q, Verdict.UNKNOWN, -5.0)


def test_what_was_due_before_the_rule_was_first_seen_was_not_missed() -> None:
    story = nightly(since=DUE + 1)
    story.look(DUE + 1800, rows(DUE - DAY))
    assert story.state() is Q
    story.look(DUE + DAY + 1200, rows(DUE - DAY))
    assert story.state() is F


def test_a_dated_success_is_judged_as_of_its_own_time_and_at_the_slot_once_it_is_missing() -> None:
    story = nightly(query=Query("cloudwatch", "{}", step=300.0), every=300.0)
    story.look(DUE + 1200, rows(-5.0, at=[DUE + 900]))
    assert story.state() is Q
    for now in (DUE + 1500, DUE + 1800):
        story.look(now, rows(-5.0, at=[DUE + 900]))
        assert story.state() is Q
    story.look(DUE + 2100, rows(-5.0, at=[DUE + 900]))
    assert story.state() is F


def test_what_its_source_cannot_see_is_not_missed() -> None:
    story = nightly()
    story.look(0, rows(-5.0))
    evaluation = story.look(DUE + 1200, Samples(blind=frozenset({WEB})))
    assert (story.state(), story.alert().verdict) == (Q, Verdict.UNKNOWN)
    assert story.said(evaluation) == ["its source cannot see its value now"]


def test_a_job_that_never_had_a_series_is_missed_as_nobody_until_one_comes() -> None:
    story = nightly(Tier(Severity.P1, None, 60.0, missed=NIGHTLY))
    story.look(0, Samples())
    assert story.book == {}
    story.look(DUE + 1200, Samples())
    assert story.state(NOBODY) is P
    evaluation = story.look(DUE + 1260, Samples())
    assert story.state(NOBODY) is F
    assert evaluation.transitions[0].alert.reason.startswith("never a success; one was due at 1970-01-01 02:00:00 UTC")
    evaluation = story.look(DUE + 1320, rows(DUE + 1300))
    (step,) = evaluation.transitions
    assert (step.cause, step.alert.reason) == (Cause.SEEN, "its series was seen for the first time")
    assert (story.state(), story.state(NOBODY)) == (Q, Q)


def test_a_more_patient_tier_misses_nobody_in_the_answer_with_the_first_series() -> None:
    patient = Tier(Severity.P1, None, missed=replace(NIGHTLY, grace=NIGHTLY.grace + 60.0))
    story = nightly(patient, Tier(Severity.P2, None, missed=NIGHTLY))
    story.look(DUE + 1200, Samples())
    assert (story.state(NOBODY), story.state(NOBODY, Severity.P2)) == (Q, F)
    story.look(DUE + 1260, rows(DUE + 1250))
    assert (story.state(NOBODY), story.state(NOBODY, Severity.P2)) == (Q, Q)


def test_nobody_goes_on_as_the_series_without_labels_if_that_is_what_comes() -> None:
    story = nightly()
    story.look(DUE + 1200, Samples())
    assert story.state(NOBODY) is F
    evaluation = story.look(DUE + 1260, Samples([{}], [DUE + 1250]))
    assert [step.cause for step in evaluation.transitions] == [Cause.JUDGED]
    assert story.alert(NOBODY).value == DUE + 1250
    story.look(DUE + 1320, Samples())
    assert story.state(NOBODY) is Q


@pytest.mark.parametrize("answer", [Samples(gone=frozenset({WEB})), Samples(blind=frozenset({WEB}))])
def test_a_rule_that_has_had_a_series_is_never_missed_as_nobody(answer) -> None:
    story = nightly()
    story.look(0, rows(-5.0))
    for now in range(60, 600, 60):
        story.look(now, answer)
    # Nor when somebody has resolved what was open of it, which drops the row.
    story.book.pop((Severity.P1, WEB), None)
    for later in (DUE + 1200, DUE + DAY + 1200, DUE + 2 * DAY + 1200):
        story.look(later, Samples())
        assert story.state(NOBODY) is Q


def test_a_job_whose_source_has_given_it_up_has_ended() -> None:
    story = nightly()
    story.look(DUE + 1200, rows(-5.0))
    assert story.state() is F
    evaluation = story.look(DUE + 1260, Samples(gone=frozenset({WEB})))
    assert [step.cause for step in evaluation.transitions] == [Cause.GONE]
    assert (Severity.P1, WEB) not in story.book
    for now in range(int(DUE + 1320), int(DAY), 60):
        story.look(now, Samples())
        assert {series for _, series in story.book} == {NOBODY}
        assert story.state(NOBODY) is Q


def test_a_dated_job_that_has_ended_is_not_judged_by_its_old_samples() -> None:
    story = nightly(query=Query("cloudwatch", "{}", step=60.0))
    story.look(DUE + 1260, rows(-5.0, at=[DUE + 1200]))
    assert story.state() is F
    story.look(DUE + 1320, Samples(at=(), gone=frozenset({WEB})))
    for now in range(int(DUE + 1380), int(DUE + 2 * HOUR), 60):
        story.look(now, rows(-5.0, at=[DUE + 1200]))
        assert story.state() is Q


def test_after_an_edit_nothing_is_known_of_what_was_seen_before() -> None:
    story = nightly()
    story.look(0, rows(-5.0))
    story.book = {key: replace(alert, edited=True) for key, alert in story.book.items()}
    story.look(60, Samples())
    assert story.book == {}
    story.look(DUE + 1200, Samples())
    assert story.state(NOBODY) is F


def test_after_an_edit_the_series_of_the_first_answer_go_on() -> None:
    story = nightly()
    story.look(0, rows(-5.0))
    story.book = {key: replace(alert, edited=True) for key, alert in story.book.items()}
    story.look(60, rows(-5.0))
    assert [alert.edited for alert in story.book.values()] == [False, False]
    story.look(DUE + 1200, Samples())
    assert (story.state(), story.state(NOBODY)) == (F, Q)


def test_a_milder_tier_of_another_kind_leaves_the_mark_alone() -> None:
    story = nightly(Tier(Severity.P1, None, missed=NIGHTLY), tier(Severity.P2, 1e9))
    story.look(0, rows(-5.0))
    mark = story.alert(NOBODY)
    story.look(60, Samples([{}], [2e9]))
    assert story.state(NOBODY, Severity.P2) is F
    assert story.alert(NOBODY).value == 2e9
    story.book[Severity.P1, NOBODY] = mark
    story.look(120, Samples())
    assert (story.state(NOBODY), story.alert(NOBODY).value) == (Q, None)
    assert story.state(NOBODY, Severity.P2) is F


def test_a_series_that_only_another_tier_knows_has_told_of_no_success() -> None:
    story = nightly(Tier(Severity.P1, None, missed=NIGHTLY), tier(Severity.P2, 1e9))
    story.look(0, rows(2e9))
    del story.book[Severity.P1, WEB]
    story.look(DUE + 1200, Samples())
    assert (story.state(), story.state(WEB, Severity.P2)) == (Q, F)
    assert series_of({}) == NOBODY
