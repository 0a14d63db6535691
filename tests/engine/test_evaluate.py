"""One evaluation: tiers, missing series, dated samples, edits, gone series."""

import random
from dataclasses import replace

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.evaluate import Cause, evaluate
from evaluator.engine.rules import BUILT_IN, NoDataPolicy, Query, Recover, Severity
from evaluator.engine.samples import Samples, series_of
from evaluator.incidents.incident import CloseReason
from evaluator.incidents.world import Book
from tests.stories import FAILED, HI, LO, NAN, WEB, Story, answer, labels, rule, tier

Q, P, F, R = State.QUIET, State.PENDING, State.FIRING, State.RECOVERING
DAY = 86_400


def test_a_failed_poll_opens_nothing_and_closes_nothing() -> None:
    story = Story.of(rule(tier(for_=60)))
    story.tell([(0, None), (60, HI), (120, HI)])
    assert story.state() is F
    story.tell([(now, None) for now in range(180, 7200, 60)])
    assert story.state() is F
    assert story.alert().stale


def test_nothing_is_unknown_of_a_series_that_is_quiet() -> None:
    story = Story.of(rule())
    story.tell([(0, LO), (60, None), (120, NAN)])
    assert not story.world.book("cpu")


def test_nan_is_unknown() -> None:
    story = Story.of(rule())
    story.tell([(0, HI), (60, NAN)])
    assert story.alert().verdict is Verdict.UNKNOWN
    assert story.alert().value == HI


def test_tiers_with_their_own_for_and_a_worse_one_that_carries_the_milder() -> None:
    story = Story.of(rule(tier(Severity.P0, 5, 120), tier(Severity.P1, 2, 300), unit="percent"))
    story.tell([(0, 6.0), (60, 6.0), (120, 6.0)])
    assert (story.state(Severity.P0), story.state(Severity.P1)) == (F, F)
    story.tell([(180, 3.0), (240, 3.0)])
    assert (story.state(Severity.P0), story.state(Severity.P1)) == (Q, F)
    assert [incident.severity for incident in story.open] == [Severity.P0]
    story.look(300, 1.0)
    assert story.kinds.count("opened") == story.kinds.count("resolved") == 1


def test_each_series_has_its_own_alert() -> None:
    story = Story.of(rule())
    story.look(0, web_1=HI, web_2=LO, web_3=HI)
    assert sorted(story.world.book("cpu")) == [(Severity.P1, labels(host=host)) for host in ("web-1", "web-3")]


def test_what_the_source_knows_of_a_series_ends_the_reason() -> None:
    story = Story.of(rule())
    story.look(0, replace(answer(web_1=HI, web_2=HI), notes={labels(host="web-1"): "its disk is broken"}))
    reasons = {dict(series)["host"]: alert.reason for (_, series), alert in story.world.book("cpu").items()}
    assert reasons["web-1"] == f"{reasons['web-2']}: its disk is broken"


def test_a_rule_of_a_file_is_not_built_in() -> None:
    assert [rule(file=file).built_in for file in ("rules/a.toml", BUILT_IN)] == [False, True]


def test_label_order_changes_nothing() -> None:
    story = Story.of(rule())
    story.look(0, Samples([{"a": "1", "b": "2"}], [HI]))
    story.look(60, Samples([{"b": "2", "a": "1"}], [LO]))
    assert not story.world.book("cpu")
    assert story.kinds == ["opened", "resolved", "dropped"]


def test_a_missing_series_is_unknown_under_hold_for_ever() -> None:
    story = Story.of(rule())
    story.look(0, HI)
    for now in range(60, 2 * DAY, 600):
        story.look(now, answer(web_2=LO))
    assert story.state() is F


def test_a_pending_series_that_never_comes_back_is_forgotten() -> None:
    story = Story.of(rule(tier(for_=600)))
    story.look(0, HI)
    for now in range(60, DAY + 120, 60):
        story.look(now, answer(web_2=LO))
    assert story.row() is None


@pytest.mark.parametrize(("lag", "looks"), [(0.0, 3), (120.0, 5)])
def test_a_series_is_missing_after_three_steps_and_the_lag_of_good_answers(lag, looks) -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH, lag=lag))
    story.look(0, LO)
    for number in range(1, looks):
        story.look(number * 60, answer(web_2=LO))
        assert story.state() is Q
    story.look(looks * 60, answer(web_2=LO))
    assert story.state() is F
    assert "no sample for" in story.alert().reason


def test_failed_polls_make_nothing_missing() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(0, LO)
    story.tell([(now, None) for now in range(60, 3600, 60)])
    story.look(3600, answer(web_2=LO))
    story.look(3660, answer(web_2=LO))
    assert story.state() is Q
    story.look(3720, answer(web_2=LO))
    assert story.state() is F


def test_a_series_that_comes_back_is_no_longer_missing() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.tell([(0, LO), (60, answer(web_2=LO)), (120, LO), (180, answer(web_2=LO)), (240, answer(web_2=LO))])
    assert story.state() is Q
    story.look(300, answer(web_2=LO))
    assert story.state() is F
    story.look(360, LO)
    assert story.state() is Q


def test_a_missing_series_is_forgotten_after_a_day_and_that_closes_what_it_had_open() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(0, LO)
    now = 0
    while not story.kinds or story.kinds[-1] == "opened":
        now += 60
        story.look(now, answer(web_2=LO))
    assert now == DAY
    (ended,) = story.world.ended_incidents()
    assert ended.close_reason is CloseReason.FORGOTTEN
    assert labels(host="web-1") not in story.world.remembered["cpu"]
    story.look(now + 60, answer(web_2=LO))
    assert story.state() is Q


def test_resolve_after_resolves_after_so_long_and_not_before() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.RESOLVE, resolve_after=600.0))
    story.look(0, HI)
    for now in range(60, 600, 60):
        story.look(now, answer(web_2=LO))
        assert story.state() is F
    story.look(600, answer(web_2=LO))
    assert story.state() is Q
    assert "resolves after 10m" in story.events[-2].text or story.kinds[-2:] == ["resolved", "dropped"]


def test_resolve_after_of_days_is_not_cut_short_by_forgetting() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.RESOLVE, resolve_after=2.0 * DAY, every=3600.0))
    story.look(0, HI)
    for hour in range(1, 48):
        story.look(hour * 3600, answer(web_2=LO))
        assert story.state() is F
    story.look(48 * 3600, answer(web_2=LO))
    assert story.state() is Q


def test_a_gone_series_is_quiet_at_once_whatever_recover_says() -> None:
    story = Story.of(rule(tier(recover=Recover(for_=3600))))
    story.look(0, HI)
    story.look(60, Samples(gone=frozenset({WEB})))
    assert story.state() is Q
    assert next(story.world.ended_incidents()).close_reason is CloseReason.GONE


def test_a_gone_series_is_no_longer_remembered() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(0, LO)
    story.look(60, Samples(gone=frozenset({WEB})))
    assert WEB not in story.world.remembered["cpu"]


def dated(*points: tuple[float, float], host="web-1") -> Samples:
    return Samples([{"host": host}] * len(points), [value for _, value in points], [at for at, _ in points])


def test_held_is_measured_between_the_timestamps_of_dated_samples() -> None:
    story = Story.of(rule(tier(for_=120), lag=120.0))
    story.look(1000, dated((780, HI)))
    assert story.alert().clock == 780
    story.look(1060, dated((780, HI)))
    assert (story.state(), story.alert().judged) == (P, 1000)
    story.look(1120, dated((780, HI), (840, HI), (900, HI)))
    assert story.state() is F


def test_an_evaluation_without_a_newer_sample_changes_nothing() -> None:
    story = Story.of(rule(tier(for_=600), query=Query("cloudwatch", "{}", step=300.0)))
    for now in range(0, 900, 60):
        story.look(now, dated((now // 300 * 300, HI)))
    assert story.state() is F


def test_several_new_samples_are_judged_in_turn_whatever_their_order() -> None:
    story = Story.of(rule())
    story.look(300, dated((240, LO), (120, HI), (180, LO)))
    assert story.state() is Q
    assert story.kinds == []


def test_an_old_breach_that_is_read_again_is_not_a_new_one() -> None:
    story = Story.of(rule())
    story.look(120, dated((60, HI)))
    assert story.state() is F
    story.look(180, dated((60, HI), (120, LO)))
    assert story.state() is Q
    story.look(240, dated((60, HI), (120, LO), (180, LO)))
    assert story.state() is Q
    assert story.kinds.count("opened") == 1


def test_the_mark_of_dated_samples_is_dropped_in_the_end() -> None:
    story = Story.of(rule())
    story.look(120, dated((60, HI)))
    story.look(180, dated((120, LO)))
    assert story.row() is not None
    story.look(180 + 3600, dated((180 + 3600 - 60, LO), host="web-2"))
    story.look(240 + 3600, dated((240 + 3600 - 60, LO), host="web-2"))
    assert story.row() is None


def test_dated_samples_that_stop_coming_make_the_series_missing() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.RESOLVE, resolve_after=300.0))
    story.look(60, dated((0, HI)))
    for now in range(120, 360, 60):
        story.look(now, dated((0, HI)))
        assert story.state() is F
    story.look(360, dated((0, HI)))
    assert story.state() is Q


def test_many_quiet_series_leave_no_rows_and_a_known_one_is_found_among_them() -> None:
    numbers = list(range(5000))
    random.Random(7).shuffle(numbers)
    names = [{"host": f"h{number}", "job": "x"} for number in numbers]
    story = Story.of(rule())
    quiet = [LO] * 5000
    story.look(0, Samples(names, quiet))
    assert not story.world.book("cpu")
    one = [HI if name["host"] == "h77" else LO for name in names]
    story.look(60, Samples(names, one))
    assert list(story.world.book("cpu")) == [(Severity.P1, series_of({"host": "h77", "job": "x"}))]
    story.look(120, Samples(names, quiet))
    assert not story.world.book("cpu")


def test_series_with_other_label_names_are_not_mixed_up() -> None:
    story = Story.of(rule())
    story.look(0, Samples([{"host": "a"}, {"host": "a", "core": "1"}, {}], [HI, HI, HI]))
    story.look(60, Samples([{"host": "a"}, {"host": "a", "core": "1"}, {}], [LO, HI, LO]))
    assert list(story.world.book("cpu")) == [(Severity.P1, labels(core="1", host="a"))]


def test_nothing_that_is_given_is_changed() -> None:
    book: Book = {}
    remembered = {WEB: 60.0}
    first = evaluate(rule(no_data=NoDataPolicy.BREACH), answer(HI), book, remembered, 0.0)
    assert (book, remembered) == ({}, {WEB: 60.0})
    assert first.transitions[0].cause is Cause.JUDGED
    assert evaluate(rule(), FAILED, {}, {}, 0.0).alerts == {}


def test_a_failed_poll_leaves_what_is_only_remembered_alone() -> None:
    story = Story.of(rule(tier(datapoints="2 of 3")))
    story.look(0, HI)
    before = story.alert()
    story.look(60, FAILED)
    assert story.alert() is before


def test_of_a_series_that_is_told_twice_the_worse_value_counts() -> None:
    for values in ([HI, LO], [LO, HI]):
        story = Story.of(rule(tier(for_=60)))
        for now in (0, 60):
            story.look(now, Samples([{"host": "web-1"}] * 2, values))
        assert story.state() is F
