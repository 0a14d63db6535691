"""What an evaluation says of itself, and what is judged beside a worse tier or without any answer."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import AlertKey, State, quiet_alert
from evaluator.engine.evaluate import Cause
from evaluator.engine.rules import NoDataPolicy, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed
from tests.engine.plays import Play, rows
from tests.stories import FAILED, HI, LO, WEB, rule, tier

ABSENT = Tier(Severity.P1, None, absent=True)
DAY, HALF = 86_400.0, 43_200.0
HOLD = {"no_data": NoDataPolicy.HOLD}
RESOLVE = {"no_data": NoDataPolicy.RESOLVE, "resolve_after": 2 * DAY}
MISSED = Tier(Severity.P2, None, missed=Missed("0 2 * * *", "UTC"))
NOTHING = Samples()


def test_an_answer_is_good_and_a_failed_poll_is_not() -> None:
    story = Play(rule())
    assert story.look(60, rows(HI)).good is True
    assert story.look(120, FAILED).good is False
    assert story.look(180, NOTHING).good is True


def test_what_cannot_be_seen_has_been_looked_at_all_the_same() -> None:
    story = Play(rule())
    story.look(60, rows(HI))
    story.look(120, FAILED)
    assert (story.alert().judged, story.alert().known, story.alert().seen) == (120, 60, 60)


def test_nothing_at_all_must_last_for_as_long_as_its_rule_says() -> None:
    story = Play(rule(replace(ABSENT, for_=600.0)))
    for now in (60, 120, 180):
        story.look(now, NOTHING)
    assert story.state(()) is State.PENDING


def test_an_edited_rule_of_absence_ends_with_a_dated_sample() -> None:
    story = Play(rule(ABSENT))
    for now in (60, 120, 180):
        story.look(now, NOTHING)
    assert story.state(()) is State.FIRING
    story.book[Severity.P1, ()] = replace(story.alert(()), edited=True)
    evaluation = story.look(240, rows(HI, at=[230.0]))
    assert [step.alert.state for step in evaluation.transitions] == [State.QUIET]
    assert evaluation.transitions[0].alert.reason == "there is a sample"


def test_an_edited_rule_of_absence_ends_with_an_empty_answer_and_counts_anew() -> None:
    story = Play(rule(ABSENT))
    for now in (60, 120, 180):
        story.look(now, NOTHING)
    story.book[Severity.P1, ()] = replace(story.alert(()), edited=True)
    (step,) = story.look(240, NOTHING).transitions
    assert (step.cause, step.alert.state, step.alert.since, step.alert.absent) == (Cause.EDITED, State.QUIET, 240, 60)
    assert step.alert.reason == "the rule was edited, and the series is not in its first answer"


def test_that_a_rule_had_a_series_is_written_once_and_after_a_tier_that_needs_no_mark_too() -> None:
    story = Play(rule(ABSENT, MISSED))
    marked = AlertKey("cpu", Severity.P2, ())
    assert marked in story.look(60, rows(30.0)).alerts
    mark = story.alert((), Severity.P2)
    assert (mark.state, mark.since, mark.judged, mark.reason) == (
        State.QUIET,
        60,
        60,
        "its series was seen for the first time",
    )
    assert marked not in story.look(120, rows(30.0)).alerts


def test_a_series_that_is_back_at_the_last_moment_is_judged_and_not_forgotten() -> None:
    story = Play(rule(tier(for_=600.0)))
    story.look(60, rows(HI))
    story.book[Severity.P1, WEB] = replace(story.alert(), absent=86_400.0 - 60)
    story.look(120, rows(HI))
    assert (story.state(), story.alert().absent) == (State.PENDING, 0)


@pytest.mark.parametrize(
    ("policy", "state", "every", "absent", "cause"),
    [
        # What fires is held open for ever, and what is only pending for a day.
        (HOLD, State.FIRING, 60.0, DAY, None),
        (HOLD, State.PENDING, 60.0, DAY - 60, None),
        (HOLD, State.PENDING, 60.0, DAY, Cause.FORGOTTEN),
        (RESOLVE, State.FIRING, 60.0, 2 * DAY - 60, None),
        (RESOLVE, State.FIRING, 60.0, 2 * DAY, Cause.FORGOTTEN),
        # What comes twice a day is forgotten after three days.
        (HOLD, State.PENDING, HALF, 3 * DAY - HALF, None),
        (HOLD, State.PENDING, HALF, 3 * DAY, Cause.FORGOTTEN),
    ],
)
def test_a_missing_series_is_forgotten_at_this_very_moment(policy, state, every, absent, cause) -> None:
    story = Play(rule(tier(for_=100 * DAY, datapoints="3 of 10"), every=every, **policy))
    alert = replace(quiet_alert(AlertKey("cpu", Severity.P1, WEB), 60.0), state=state, absent=absent - every)
    story.book[Severity.P1, WEB] = alert
    evaluation = story.look(absent, rows(LO, host="web-2"))
    assert [(step.cause, step.alert.since) for step in evaluation.transitions] == ([(cause, absent)] if cause else [])
    assert story.state() is (State.QUIET if cause else state)


@pytest.mark.parametrize(("policy", "days"), [(HOLD, 7.0), (RESOLVE, 3.0)])
def test_of_a_quiet_series_the_window_is_kept_for_as_long_as_its_samples_count(policy, days) -> None:
    story = Play(rule(tier(datapoints="3 of 10"), every=HALF, **policy))
    for absent, kept in ((days * DAY - HALF, True), (days * DAY, False)):
        alert = quiet_alert(AlertKey("cpu", Severity.P1, WEB), 60.0)
        story.book[Severity.P1, WEB] = replace(alert, absent=absent - HALF, window=((60.0, HI),))
        story.look(absent, rows(LO, host="web-2"))
        assert ((Severity.P1, WEB) in story.book) is kept


def test_a_job_that_is_not_missed_yet_is_never_forgotten() -> None:
    story = Play(rule(MISSED))
    alert = replace(quiet_alert(AlertKey("cpu", Severity.P2, WEB), 60.0), value=9 * DAY, absent=5 * DAY)
    story.book[Severity.P2, WEB] = alert
    story.look(6 * DAY, NOTHING)
    assert story.alert(severity=Severity.P2).value == 9 * DAY


def test_a_series_that_is_gone_is_quiet_from_then_on() -> None:
    story = Play(rule())
    story.look(60, rows(HI))
    (step,) = story.look(120, Samples(gone=frozenset({WEB}))).transitions
    assert (step.cause, step.alert.state, step.alert.since) == (Cause.GONE, State.QUIET, 120)


def test_that_the_first_success_of_all_came_is_kept_in_mind() -> None:
    story = Play(rule(MISSED))
    for now in (60, 7200):
        story.look(now, NOTHING)
    assert story.state((), Severity.P2) is State.FIRING
    (step,) = story.look(7260, rows(7230.0)).transitions
    assert (step.cause, story.state((), Severity.P2)) == (Cause.SEEN, State.QUIET)
    assert (Severity.P2, ()) in story.book


def test_a_second_without_anything_is_counted_too() -> None:
    story = Play(rule(ABSENT, every=1.0))
    story.look(60, NOTHING)
    assert story.alert(()).absent == 1


@pytest.mark.parametrize(
    ("policy", "now", "kept"),
    [(HOLD, 3720.0, True), (HOLD, 3721.0, False), ({"no_data": NoDataPolicy.BREACH}, 3721.0, True)],
)
def test_which_dated_sample_was_the_last_is_known_for_an_hour_and_longer_where_it_must_come(policy, now, kept) -> None:
    story = Play(rule(**policy))
    story.look(60, rows(HI, at=[60.0]))
    story.look(120, rows(LO, at=[120.0]))
    story.look(now, rows(LO, host="web-2", at=[now]))
    assert ((Severity.P1, WEB) in story.book) is kept
