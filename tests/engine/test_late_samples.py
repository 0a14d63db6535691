"""Samples with timestamps of their own, as CloudWatch has them: told again, late, changed, and no longer coming."""

import math
from dataclasses import replace

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.evaluate import evaluate
from evaluator.engine.rules import NoDataPolicy, Query, Severity
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed, Unusual
from evaluator.engine.window import amended
from tests.stories import FAILED, HI, LO, NAN, WEB, Story, labels, rule, tier

Q, P, F = State.QUIET, State.PENDING, State.FIRING
MINUTE, HOUR, DAY = 60, 3600, 86_400


def dated(*points: tuple[float, float], host="web-1") -> Samples:
    return Samples([{"host": host}] * len(points), [value for _, value in points], [at for at, _ in points])


def last(values: dict[int, float], now: int, lag: int = 120, periods: int = 5) -> Samples:
    """Return what a poll reads: the last periods that are complete."""
    edge = (now - lag) // MINUTE * MINUTE
    return dated(*((at, value) for at, value in sorted(values.items()) if edge - periods * MINUTE < at <= edge))


def test_a_series_is_missed_three_steps_and_the_lag_after_its_last_new_sample() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH, lag=120.0))
    values = dict.fromkeys(range(0, 601, MINUTE), LO)
    # The last new one is told at 720; from then on the same ones are told again, and after that nothing.
    for now in range(300, 720 + 5 * MINUTE, MINUTE):
        story.look(now, last(values, now))
        assert story.state() is Q, now
    story.look(720 + 5 * MINUTE, last(values, 720 + 5 * MINUTE))
    assert story.state() is F
    assert "no sample for 5m" in story.alert().reason


def test_failed_polls_make_no_dated_series_missing() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(60, dated((0, LO)))
    story.tell([(now, FAILED) for now in range(120, 7200, 60)])
    for now in (7200, 7260):
        story.look(now, dated((0, LO)))
        assert story.state() is Q
    story.look(7320, dated((7200, LO)))
    assert story.state() is Q


def test_a_missing_series_that_brings_a_new_sample_is_back() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    for now in range(60, 300, 60):
        story.look(now, dated((0, LO)))
    assert story.state() is F
    story.look(300, dated((0, LO), (240, LO)))
    assert story.state() is Q
    assert story.kinds.count("opened") == story.kinds.count("resolved") == 1


def test_what_is_missed_is_missed_after_a_restart_too() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(60, dated((0, LO)))
    # The mark of a quiet series is a row: the store gives it back.
    assert story.row() is not None
    assert story.alert().sample_at == 0
    story.tell([(now, dated((0, LO))) for now in (120, 180)])
    assert story.state() is Q
    story.look(240, dated((0, LO)))
    assert story.state() is F


def test_a_series_that_has_ended_is_not_missed_although_its_old_samples_are_told_again() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(60, dated((0, LO)))
    story.look(120, Samples(gone=frozenset({WEB})))
    for now in range(180, 1200, 60):
        story.look(now, dated((0, LO)))
        assert story.state() is Q, now
    assert WEB not in story.world.remembered["cpu"]
    assert story.kinds == []


def test_nobody_waits_for_a_series_for_ever() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(60, dated((0, LO)))
    for now in range(120, DAY + 2 * HOUR, 60):
        story.look(now, dated((now - 60, LO), host="web-2"))
    assert story.row() is None
    assert WEB not in story.world.remembered["cpu"]
    assert story.kinds.count("resolved") == 1


def test_after_an_edit_the_first_answer_decides_also_with_old_samples() -> None:
    before = rule(no_data=NoDataPolicy.BREACH)
    story = Story.of(before)
    story.look(60, dated((0, LO)))
    story.edit(90, rule(no_data=NoDataPolicy.BREACH, group_by=()))
    for now in (120, 180):
        story.look(now, dated((0, LO)))
        assert story.state() is Q
    story.look(240, dated((0, LO)))
    assert story.state() is F


def test_a_sample_that_is_older_than_our_memory_is_not_judged() -> None:
    story = Story.of(rule(lag=120.0))
    story.look(HOUR + 121, dated((0, HI)))
    assert story.row() is None
    story.look(HOUR + 122, dated((0, HI), (HOUR, LO)))
    assert story.row() is None
    story.look(HOUR + 123, dated((3, HI)))
    assert story.state() is F


def test_a_sample_from_the_far_future_keeps_no_later_one_from_being_judged() -> None:
    story = Story.of(
        rule(replace(tier(), unusual=Unusual(4.0)), replace(tier(Severity.P2), missed=Missed("* * * * *", "UTC")))
    )
    for at in (60 + DAY + 1, 1e15, 1e308, -1e308, math.inf, math.nan):
        story.look(60, dated((at, HI)))
        assert story.row() is None
    story.look(120, dated((120 + DAY, LO)))
    assert story.alert().sample_at == 120 + DAY


def test_an_old_breach_of_a_slow_metric_is_remembered_for_ten_periods() -> None:
    story = Story.of(
        rule(query=Query("cloudwatch", "{}", step=float(DAY)), no_data=NoDataPolicy.RESOLVE, resolve_after=3600.0)
    )
    story.look(0, dated((0, HI)))
    assert story.state() is F
    for now in range(0, 6 * DAY, HOUR):
        story.look(now, dated((0, HI)))
    assert story.kinds.count("opened") == 1


def test_a_late_point_counts_in_a_window_with_the_next_newer_one() -> None:
    story = Story.of(rule(tier(datapoints="3 of 4"), query=Query("cloudwatch", "{}", step=60.0)))
    story.look(300, dated((60, HI), (180, LO)))
    story.look(360, dated((60, HI), (120, HI), (180, LO)))
    assert story.state() is Q  # An evaluation that brings no newer sample changes nothing.
    story.look(420, dated((120, HI), (180, LO), (240, HI)))
    assert story.state() is F


def test_a_point_that_changes_counts_as_it_is_now() -> None:
    story = Story.of(rule(tier(datapoints="2 of 3")))
    story.look(180, dated((60, HI), (120, LO)))
    story.look(240, dated((60, LO), (120, LO), (180, HI)))
    assert story.state() is Q
    story.look(300, dated((120, HI), (180, HI), (240, LO)))
    assert story.state() is F


def test_a_late_breach_of_a_series_that_was_quiet_counts() -> None:
    story = Story.of(rule(tier(datapoints="2 of 3")))
    story.look(240, dated((120, LO), (180, LO)))
    assert story.row() is None
    story.look(300, dated((120, LO), (180, HI), (240, HI)))
    assert story.state() is F


def test_for_each_sample_a_worse_tier_carries_the_milder_one() -> None:
    story = Story.of(rule(tier(Severity.P0, 90), tier(Severity.P1, 50, 600)))
    # Both are told in one answer: at the first one P0 fires and takes P1 along, which then stays.
    story.look(300, dated((180, HI), (240, 60.0)))
    assert (story.state(Severity.P0), story.state(Severity.P1)) == (Q, F)


def test_windows_are_amended_within_their_reach() -> None:
    three = tier(datapoints="2 of 3")
    window = ((300.0, 1.0), (360.0, 2.0))
    assert amended(window, three, [(330.0, 5.0), (300.0, 9.0)], 60.0) == ((300.0, 9.0), (330.0, 5.0), (360.0, 2.0))
    assert amended(window, three, [(-60.0, 5.0)], 60.0) == window
    assert amended(window, three, [(330.0, NAN)], 60.0) == window
    assert amended((), three, [(330.0, 5.0)], 60.0) == ()
    assert amended(window, tier(datapoints="1 of 2"), [(330.0, 5.0)], 60.0) == ((330.0, 5.0), (360.0, 2.0))


def test_an_empty_answer_of_dated_samples_changes_nothing() -> None:
    assert evaluate(rule(no_data=NoDataPolicy.BREACH), Samples(at=()), {}, {}, 0.0).alerts == {}
    assert labels(host="web-1") == WEB


def daily(policy: NoDataPolicy) -> Story:
    """Return a story of a metric that comes once a day, with its first sample told, and some more a day later."""
    query = Query("cloudwatch", "{}", step=float(DAY))
    story = Story.of(rule(tier(for_=DAY), query=query, every=float(HOUR), no_data=policy, resolve_after=float(HOUR)))
    for now in range(0, 2 * DAY, HOUR):
        story.look(now, dated((now // DAY * DAY, HI)))
    assert story.state() is F
    return story


def test_a_daily_metric_that_is_late_for_a_day_keeps_its_incident() -> None:
    for policy in NoDataPolicy:
        story = daily(policy)
        for now in range(2 * DAY, 3 * DAY + 6 * HOUR, HOUR):
            story.look(now, dated((DAY, HI)))
            assert story.state() is F, policy
        story.look(3 * DAY + 6 * HOUR, dated((3 * DAY, HI)))
        # Nor does anybody hear that nothing is known of it.
        assert story.kinds == ["opened"]


def test_a_daily_metric_is_missed_before_it_is_forgotten() -> None:
    story = daily(NoDataPolicy.BREACH)
    for now in range(2 * DAY, 8 * DAY, HOUR):
        story.look(now, dated((now // DAY * DAY, LO)))
    assert story.kinds == ["opened", "resolved", "dropped"]
    for now in range(8 * DAY, 13 * DAY - HOUR, HOUR):
        story.look(now, dated((7 * DAY, LO)))
    assert story.state() is F
    assert story.kinds == ["opened", "resolved", "dropped", "opened"]
    for now in range(13 * DAY - HOUR, 13 * DAY + 3 * HOUR, HOUR):
        story.look(now, dated((7 * DAY, LO)))
    assert story.state() is Q
    assert WEB not in story.world.remembered["cpu"]


def test_what_is_told_again_writes_no_alert() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    assert len(story.look(60, dated((0, LO))).alerts) == 1
    changes = story.look(120, dated((0, LO)))
    assert changes.alerts == {}
    assert [kept.absent for kept in changes.series.values() if kept] == [60.0]


def unseen(*points: tuple[float, float]) -> Samples:
    """Return an answer of a source that knows the series to go on, and sees nothing new of it."""
    return replace(dated(*points), blind=frozenset({WEB}))


@pytest.mark.parametrize("points", [(), ((0, LO),)])
def test_what_the_source_knows_to_go_on_unseen_is_never_missing(points) -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(60, dated((0, LO)))
    for now in range(120, 3 * DAY, 1800):
        story.look(now, unseen(*points))
        assert story.state() is Q, now
    # From when it no longer knows, the series is missed as any other.
    for now in (3 * DAY + 60, 3 * DAY + 120):
        story.look(now, dated(*points))
        assert story.state() is Q, now
    story.look(3 * DAY + 180, dated(*points))
    assert story.state() is F


@pytest.mark.parametrize("policy", [NoDataPolicy.BREACH, NoDataPolicy.RESOLVE, NoDataPolicy.HOLD])
def test_what_fires_unseen_is_held_until_a_sample_comes(policy) -> None:
    story = Story.of(rule(no_data=policy, resolve_after=600.0))
    story.look(60, dated((0, HI)))
    assert story.state() is F
    story.look(120, unseen((0, HI)))
    assert not story.alert().stale, "a sample that is merely not there yet changes nothing"
    for now in range(240, 2 * DAY, 600):
        story.look(now, unseen((0, HI)))
        assert story.state() is F, now
        assert story.alert().stale, now
    story.look(2 * DAY, dated((2 * DAY - 60, LO)))
    assert story.state() is Q
    assert story.kinds.count("opened") == story.kinds.count("resolved") == 1


def test_a_new_sample_of_what_was_said_to_be_unseen_counts() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(60, dated((0, LO)))
    story.look(120, unseen((0, LO), (60, HI)))
    assert story.state() is F
