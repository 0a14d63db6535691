"""What is given to judging, and what of its outcome is written."""

from dataclasses import replace

from evaluator.engine.alerts import State
from evaluator.engine.rules import NoDataPolicy, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed, Trend, Way
from evaluator.engine.trail import values
from evaluator.incidents.changes import Remembered, SeriesKey
from evaluator.incidents.judge import assess
from tests.stories import HI, LO, WEB, Story, answer, rule, tier

TREND = Trend(Way.RISING, 10.0, share=False, over=3600.0)
NIGHTLY = Tier(Severity.P1, None, missed=Missed("0 2 * * *", "UTC"))
DUE, DAY = 7_200.0, 86_400.0


def test_a_kept_sample_is_put_with_those_of_before() -> None:
    story = Story.of(rule(replace(tier(), trend=TREND))).tell([(60, LO), (180, LO)])
    ((width, _), trail), *_ = story.world.trails["cpu"].items()
    assert values(trail, width, 0.0, 240.0) == [LO, LO]


def test_what_was_due_before_a_rule_was_seen_first_was_not_missed() -> None:
    story = Story.of(rule(NIGHTLY)).tell([(DUE + 60, answer(60.0)), (DUE + 120, answer(60.0))])
    assert (story.state(), story.events) == (State.QUIET, [])
    assert story.world.judged["cpu"].since == DUE + 60
    story.look(DUE + DAY, answer(60.0))
    assert story.state() is State.FIRING


def test_each_step_of_an_alert_is_written() -> None:
    story = Story.of(rule())
    assert [len(story.look(now, value).transitions) for now, value in ((60, HI), (120, HI), (180, LO))] == [1, 0, 1]


def test_a_series_that_must_not_be_missing_is_written_and_dropped_with_its_end() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    key = SeriesKey("cpu", WEB)
    assert story.look(60, LO).series == {key: Remembered("cpu", WEB, 0.0)}
    assert story.look(120, answer(web_2=LO)).series[key] == Remembered("cpu", WEB, 60.0)
    assert story.look(180, Samples(gone=frozenset({WEB}))).series[key] is None


def test_a_quiet_rule_is_not_marked_twice_at_one_time_nor_before_ten_minutes_have_passed() -> None:
    story = Story.of(rule()).tell([(60, LO)])
    assert [bool(story.look(now, LO).judged) for now in (60, 60.5, 659, 660)] == [False, False, False, True]
    assert bool(story.look(600, LO).judged)


def test_the_evaluation_itself_is_told_besides_what_it_changes() -> None:
    story = Story.of(rule())
    judgement = assess(
        story.world, story.rules["cpu"], answer(HI), 60, routes=story.routes, instance="test", ids=story.ids
    )
    assert [looked.value for looked in judgement.evaluation.looked] == [HI]
    assert judgement.evaluation.transitions == judgement.changes.transitions
