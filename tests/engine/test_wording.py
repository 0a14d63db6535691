"""Sentences with numbers in them."""

import pytest

from evaluator.engine.rules import Limit, NoDataPolicy, Op, Recover, Severity, Tier
from evaluator.engine.shapes import Direction, Missed, Trend, Unusual, Way
from evaluator.engine.wording import healthy_text, limit_text, render, tier_text, value_text
from tests.stories import HI, LO, Story, answer, m_of_n, rule, tier


@pytest.mark.parametrize(
    ("limit", "text", "healthy"),
    [
        (Limit(Op.ABOVE, 90), "above 90 %", "not above 90 %"),
        (Limit(Op.BELOW, 1), "below 1 %", "not below 1 %"),
        (Limit(Op.AT_LEAST, 90), "at least 90 %", "below 90 %"),
        (Limit(Op.AT_MOST, 1), "at most 1 %", "above 1 %"),
        (Limit(Op.EQUALS, 0), "equal to 0 %", "not equal to 0 %"),
        (Limit(Op.NOT_EQUALS, 1), "not equal to 1 %", "equal to 1 %"),
        (Limit(Op.OUTSIDE, 10, 20), "outside 10 % to 20 %", "inside 10 % to 20 %"),
        (Limit(Op.OUTSIDE, 10), "outside 10 %", "inside 10 %"),
    ],
)
def test_limits_in_words(limit, text, healthy) -> None:
    assert limit_text(limit, "percent") == text
    assert healthy_text(Tier(Severity.P1, limit), "percent") == healthy


def test_a_recovery_limit_says_what_is_healthy() -> None:
    recovering = Tier(Severity.P1, Limit(Op.ABOVE, 90), recover=Recover(Limit(Op.BELOW, 80)))
    assert healthy_text(recovering, "percent") == "below 80 %"


def test_an_unknown_name_in_a_text_stays_as_written() -> None:
    text = "{host} is {value}, {limit}, {since}, {nobody} {0} {} {{x}} {a b}"
    rendered = render(text, {"host": "web-1", "x": "y"}, value="95 %", limit="above 90 %", since="12:00")
    assert rendered == "web-1 is 95 %, above 90 %, 12:00, {nobody} {0} {} {y} {a b}"


def test_a_label_value_that_looks_like_a_placeholder_is_not_filled_in() -> None:
    assert render("{host}", {"host": "{value}"}, value="1", limit="", since="") == "{value}"


def test_the_words_of_the_language_win_over_labels() -> None:
    assert render("{value}", {"value": "label"}, value="95 %", limit="", since="") == "95 %"


def test_no_value_is_said_to_be_none() -> None:
    assert value_text(None, "percent") == "no value"


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        ([(0, HI)], "95 % is above 90 %; fires when that has lasted 2m"),
        ([(0, HI), (60, HI), (120, HI)], "95 % is above 90 %, and has been for 2m"),
        ([(0, HI), (60, HI), (120, HI), (180, LO)], "10 % is not above 90 %; ends when that has lasted 5m"),
        ([(0, HI), (60, HI), (120, HI), (180, LO), (240, HI)], "95 % is above 90 % again, before it had recovered"),
    ],
)
def test_each_state_says_why(story, reason) -> None:
    told = Story.of(rule(tier(for_=120, recover=Recover(for_=300)))).tell(story)
    assert told.alert().reason == reason


def test_a_return_into_the_band_says_so() -> None:
    banded = tier(recover=Recover(Limit(Op.BELOW, 80), for_=300))
    told = Story.of(rule(banded)).tell([(0, HI), (60, LO), (120, 85.0)])
    assert told.alert().reason == "85 % is not below 80 % again, before it had recovered"


def test_a_missing_series_says_for_how_long() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.look(0, LO)
    for now in (60, 120, 180):
        story.look(now, answer(web_2=LO))
    assert story.alert().reason == "no sample for 3m, and no_data is breach"


def test_datapoints_say_how_many() -> None:
    story = Story.of(rule(tier(datapoints="2 of 3"))).tell([(0, HI), (60, HI)])
    assert story.alert().reason == "2 of the last 3 samples above 90 %, now 95 %"


def test_what_ends_says_what_was_seen() -> None:
    story = Story.of(rule(tier(recover=Recover(for_=60)), tier(Severity.P2, 50, 600)))
    story.tell([(0, HI)])
    assert story.alert(Severity.P2).reason == "95 % is above 50 %, while a worse limit of the same series is passed"
    ends = []
    for now, value in ((60, LO), (120, LO)):
        before = story.alert()
        story.look(now, value)
        ends.append((before.state, story.row()))
    assert ends[1][1] is None
    few = Story.of(rule(tier(datapoints="1 of 2", recover=Recover(datapoints=m_of_n("0 of 2"), for_=60))))
    few.tell([(0, HI), (60, LO), (120, LO)])
    assert few.alert().reason.startswith("at most 0 of 2 samples above 90 %, now 10 %")
    fewer = Story.of(rule(tier(datapoints="1 of 1", recover=Recover(for_=60)))).tell([(0, HI), (60, LO)])
    assert fewer.alert().reason.startswith("fewer than 1 of 1 samples above 90 %, now 10 %")


def test_each_condition_has_its_words() -> None:
    trend, usual = Trend(Way.FALLING, 0.5, share=True, over=900.0), Unusual(4.0, direction=Direction.LOW)
    job = Missed("0 2 * * *", "UTC")
    every = Tier(Severity.P1, Limit(Op.ABOVE, 10), trend=trend, unusual=usual, missed=job)
    assert tier_text(every, "percent") == (
        "falling by 50 % within 15m and more than 4 MAD below what is usual"
        " and without a success since 0 2 * * * (UTC) was due and above 10 %"
    )
    assert tier_text(Tier(Severity.P1, None, absent=True), None) == "absent"
    assert healthy_text(Tier(Severity.P1, None, absent=True), None) == "no longer absent"
    assert healthy_text(every, None).startswith("no longer falling")
