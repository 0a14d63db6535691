"""`only_if`: whether a rule is to be judged, joined on labels, and what alerts see where it is not."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.gate import Gate
from evaluator.engine.rules import Limit, NoData, NoDataPolicy, OnlyIf, Op, Query, Recover, Tier
from evaluator.engine.samples import FailureReason, PollFailed, Samples, series_of
from tests.engine.plays import Play, above, rows
from tests.stories import FAILED, HI, LO, NAN, WEB, rule, tier

Q, P, F, R = State.QUIET, State.PENDING, State.FIRING, State.RECOVERING
MINUTE, HOUR = 60, 3600
TRAFFIC = OnlyIf(Query("prometheus", '{"promql":"traffic"}'), above(50))
BUSY, IDLE = rows(100.0, job="all"), rows(3.0, job="all")


def gate(samples: Samples, limit: Limit | None = None) -> Gate:
    return Gate(replace(TRAFFIC, limit=limit or above(50)), samples)


@pytest.mark.parametrize(
    ("labels", "holds"),
    [
        ({"host": "a"}, True),
        ({"host": "b"}, False),
        ({"host": "c"}, False),
        ({"host": "a", "device": "sda"}, True),
        ({"device": "sda"}, True),
        ({}, True),
        ({"host": "a", "zone": "x"}, True),
        ({"host": "a", "zone": "y"}, False),
        ({"__name__": "errors", "host": "a"}, True),
    ],
)
def test_a_row_matches_what_agrees_in_all_labels_that_both_have(labels, holds) -> None:
    answer = Samples(
        [{"host": "a", "zone": "x", "__name__": "requests"}, {"host": "b", "zone": "x"}],
        [100.0, 3.0],
    )
    assert gate(answer).look(series_of(labels)).holds is holds


def test_any_matching_row_will_do_whatever_its_labels_are_named() -> None:
    answer = Samples([{"host": "a"}, {"job": "web"}, {"host": "a", "core": "1"}], [3.0, 100.0, NAN])
    assert gate(answer).look(series_of({"host": "a"})).holds is True
    assert gate(answer).look(series_of({"host": "a", "job": "db"})).holds is False
    assert gate(answer).look(series_of({"job": "db", "core": "2"})).holds is False


@pytest.mark.parametrize(
    ("limit", "values", "holds", "said"),
    [
        (above(50), [3.0, 20.0], False, "only_if does not hold: 20 is not above 50"),
        (above(50), [3.0, 60.0], True, "only_if holds: 60 is above 50"),
        (Limit(Op.EQUALS, 1), [0.0, 1.0], True, "only_if holds: 1 is equal to 1"),
        (Limit(Op.BELOW, 5), [7.0, 9.0], False, "only_if does not hold: 7 is not below 5"),
        (above(50), [NAN], False, "only_if does not hold: no value for this series"),
        (above(50), [], False, "only_if does not hold: no value for this series"),
    ],
)
def test_the_nearest_value_is_what_is_told(limit, values, holds, said) -> None:
    look = gate(Samples([{"n": str(number)} for number in range(len(values))], values), limit).look(WEB)
    assert (look.holds, look.said) == (holds, said)


def test_of_samples_with_timestamps_the_newest_of_each_series_counts() -> None:
    answer = Samples([{"host": "a"}] * 3 + [{"host": "b"}], [100.0, 3.0, 80.0, 60.0], [120.0, 180.0, 60.0, 60.0])
    assert gate(answer).look(series_of({"host": "a"})).holds is False
    assert gate(answer).look(series_of({"host": "b"})).holds is True


def test_without_an_answer_it_is_not_known() -> None:
    look = Gate(TRAFFIC, FAILED).look(WEB)
    assert (look.holds, look.said) == (None, "it is not known whether only_if holds: no answer in time")
    assert Gate(TRAFFIC, None).look(WEB).holds is None


def play(*tiers: Tier, **fields: object) -> Play:
    return Play(rule(*tiers, only_if=TRAFFIC, **fields))  # type: ignore[arg-type]


def test_what_is_quiet_or_pending_sees_clear_where_it_does_not_hold() -> None:
    story = play(tier(for_=120))
    story.look(0, rows(HI), IDLE)
    assert story.book == {}
    story.look(60, rows(HI), BUSY)
    assert story.state() is P
    evaluation = story.look(120, rows(HI), IDLE)
    assert story.book == {}
    assert evaluation.transitions[0].alert.reason == "only_if does not hold: 3 is not above 50"
    assert story.said(evaluation) == ["only_if does not hold: 3 is not above 50"]


def firing(*tiers: Tier, **fields: object) -> Play:
    story = play(*tiers, **fields)
    story.look(0, rows(HI), BUSY)
    assert story.state() is F
    return story


def test_what_fires_is_held_for_an_hour_where_it_does_not_hold_and_then_sees_clear() -> None:
    story = firing()
    for now in range(MINUTE, HOUR + MINUTE, MINUTE):
        story.look(now, rows(HI), IDLE)
        assert (story.state(), story.alert().stale, story.alert().unmet_since) == (F, True, MINUTE), now
    evaluation = story.look(HOUR + MINUTE, rows(HI), IDLE)
    assert story.state() is Q
    assert evaluation.transitions[0].alert.reason == "only_if does not hold: 3 is not above 50, and has not for 1h"


def test_it_says_that_what_fires_ends_where_it_goes_on_not_to_hold() -> None:
    story = firing()
    (said,) = story.said(story.look(MINUTE, rows(HI), IDLE))
    seen = "unknown since 00:00:00 UTC: only_if does not hold: 3 is not above 50"
    assert said == f"{seen}, which ends it once it has lasted 1h; firing since 00:00:00 UTC"


@pytest.mark.parametrize("answer", [rows(NAN), rows(LO), rows(LO, host="web-2"), rows(HI)])
@pytest.mark.parametrize("policy", list(NoDataPolicy))
def test_a_total_outage_without_traffic_is_not_open_for_ever(answer, policy) -> None:
    story = firing(no_data=policy, resolve_after=86_400.0)
    for now in range(MINUTE, HOUR + MINUTE, MINUTE):
        story.look(now, answer, IDLE)
        assert story.state() is F, now
    story.look(HOUR + MINUTE, answer, IDLE)
    assert story.state() is Q


def test_one_slot_in_which_it_holds_begins_the_hour_anew() -> None:
    story = firing()
    for now in range(MINUTE, HOUR, MINUTE):
        story.look(now, rows(HI), IDLE)
    story.look(HOUR, rows(HI), BUSY)
    assert (story.alert().unmet_since, story.alert().unmet_seen) == (None, None)
    story.look(HOUR + MINUTE, rows(HI), IDLE)
    story.look(HOUR + 2 * MINUTE, rows(HI), IDLE)
    assert (story.state(), story.alert().unmet_since) == (F, HOUR + MINUTE)


@pytest.mark.parametrize(("gap", "since"), [(180, 60.0), (181, 241.0), (-120, -60.0)])
def test_more_than_three_steps_between_two_looks_begin_the_hour_anew(gap, since) -> None:
    story = firing()
    story.look(60, rows(HI), IDLE)
    story.look(60 + gap, rows(HI), IDLE)
    assert story.alert().unmet_since == since


@pytest.mark.parametrize("failed", [FAILED, None])
def test_everything_sees_unknown_where_it_is_not_known(failed) -> None:
    story = firing()
    story.look(60, rows(HI), IDLE)
    story.look(120, rows(LO), failed)
    assert (story.state(), story.alert().verdict) == (F, Verdict.UNKNOWN)
    assert (story.alert().unmet_since, story.alert().unmet_seen) == (60.0, 60.0)
    fresh = play(tier(for_=60))
    fresh.look(0, rows(HI), failed)
    assert fresh.book == {}
    fresh.look(60, rows(HI), BUSY)
    fresh.look(120, rows(LO), failed)
    assert fresh.state() is P


def test_a_failed_poll_of_the_rule_itself_leaves_the_gate_unseen() -> None:
    story = firing()
    story.look(60, rows(HI), IDLE)
    story.look(120, FAILED, IDLE)
    assert (story.state(), story.alert().unmet_seen) == (F, 60.0)


def test_flipping_neither_opens_nor_ends_anything_that_is_not_so() -> None:
    story = play(tier(for_=300))
    for now in range(0, 2 * HOUR, MINUTE):
        story.look(now, rows(HI), BUSY if now % (5 * MINUTE) else IDLE)
        assert story.state() is not F, now
    story = firing()
    for now in range(MINUTE, 4 * HOUR, MINUTE):
        story.look(now, rows(HI), BUSY if now % (30 * MINUTE) == 0 else IDLE)
        assert story.state() is F, now


def test_recovering_goes_on_after_the_hour() -> None:
    story = firing(tier(recover=Recover(for_=120.0)))
    for now in range(MINUTE, HOUR + MINUTE, MINUTE):
        story.look(now, rows(LO), IDLE)
        assert story.state() is F
    story.look(HOUR + MINUTE, rows(HI), IDLE)
    assert story.state() is R
    story.look(HOUR + 2 * MINUTE, rows(HI), IDLE)
    story.look(HOUR + 3 * MINUTE, rows(HI), IDLE)
    assert story.state() is Q


def test_a_series_without_a_matching_row_is_not_judged() -> None:
    story = play()
    answer = Samples([{"host": "web-1"}, {"host": "web-2"}], [HI, HI])
    story.look(0, answer, rows(100.0, host="web-2"))
    assert (story.state(), story.state(series_of({"host": "web-2"}))) == (Q, F)


def test_dated_samples_that_are_told_again_still_count_as_looks_at_the_gate() -> None:
    story = play(query=Query("cloudwatch", "{}", step=300.0))
    story.look(0, rows(HI, at=[0.0]), BUSY)
    for now in range(MINUTE, HOUR + MINUTE, MINUTE):
        story.look(now, rows(HI, at=[now // 300 * 300.0]), IDLE)
        assert (story.state(), story.alert().unmet_seen) == (F, now)
    story.look(HOUR + MINUTE, rows(HI, at=[HOUR]), IDLE)
    assert story.state() is F, "an evaluation that brings no newer sample changes nothing"
    story.look(HOUR + 5 * MINUTE, rows(HI, at=[HOUR + 300.0]), IDLE)
    assert story.state() is Q


def test_samples_that_came_while_it_did_not_hold_are_not_among_the_last_ones() -> None:
    story = play(tier(datapoints="3 of 5"))
    for now in (0, 60, 120):
        story.look(now, rows(HI), IDLE)
    story.look(180, rows(HI), None)
    story.look(240, rows(HI), BUSY)
    assert (story.state(), story.alert().window) == (Q, ((240.0, HI),))
    story.look(300, rows(LO), IDLE)
    story.look(360, rows(HI), BUSY)
    assert story.alert().window == ((240.0, HI), (360.0, HI))
    story.look(420, rows(HI), BUSY)
    assert story.state() is F


def test_dated_samples_that_were_passed_over_are_not_let_in_as_late_ones() -> None:
    story = play(tier(datapoints="2 of 3"), query=Query("cloudwatch", "{}", step=60.0))
    story.look(60, rows(HI, at=[60.0]), BUSY)
    story.look(120, rows(HI, HI, at=[60.0, 120.0]), IDLE)
    story.look(180, rows(LO, HI, HI, at=[60.0, 120.0, 180.0]), BUSY)
    assert (story.state(), story.alert().window) == (Q, ((60.0, LO), (180.0, HI)))
    story.look(240, rows(HI, HI, HI, at=[120.0, 180.0, 240.0]), BUSY)
    assert story.state() is F


def test_absence_may_have_a_gate_too() -> None:
    story = Play(rule(Tier(tier().severity, None, absent=True), only_if=TRAFFIC))
    for now in range(0, 600, MINUTE):
        story.look(now, Samples(), IDLE)
        assert story.state(()) is Q
    assert story.alert(()).absent == 600.0
    story.look(600, Samples(), BUSY)
    assert story.state(()) is F
    story.look(660, Samples(), PollFailed(FailureReason.REFUSED, "nobody listens there"))
    assert story.alert(()).stale


def test_a_rule_without_a_gate_asks_for_none() -> None:
    story = Play(rule(no_data=NoDataPolicy.HOLD))
    story.look(0, rows(HI), FAILED)
    assert story.state() is F
    assert story.rule.no_data == NoData()
