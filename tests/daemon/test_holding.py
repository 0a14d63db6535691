"""What is said of a pending alert that something mutes: that nothing would be sent."""

from collections.abc import Mapping

from evaluator.daemon.holding import MOST, with_pending, would_hold
from evaluator.engine.alerts import AlertKey
from evaluator.engine.maintenance import Selector
from evaluator.engine.rules import Mode, Severity
from evaluator.incidents.judge import Judgement, assess
from tests.stories import HI, PAGERDUTY, Story, answer, rule, tier

AT = 1_790_000_000.0
SAID = "silenced by ann until 2026-09-21 14:23:20 UTC: disk swap"


def look(story: Story, at: float, **values: float) -> Judgement:
    asked = story.rules["cpu"]
    judgement = assess(
        story.world, asked, answer(**values), at,
        routes=PAGERDUTY, instance="test", ids=story.ids, rules=story.in_force,
    )  # fmt: skip
    story.take(judgement.changes)
    return with_pending(judgement, story.world, story.in_force, asked, at)


def shown(story: Story, at: float) -> Mapping[AlertKey, str]:
    return would_hold(story.world, story.in_force, story.world.book("cpu").values(), at)


def test_a_pending_alert_says_what_would_hold_it_back_for_as_long_as_that_is_in_force() -> None:
    story = Story.of(rule(tier(for_=6000.0)))
    story.silence(AT, AT + 600, Selector(series={"host": "web-1"}))
    held = look(story, AT, web_1=HI, web_2=HI).held
    key = AlertKey("cpu", Severity.P1, (("host", "web-1"),))
    assert {each: [mute.text for mute in mutes] for each, mutes in held.items()} == {key: [SAID]}
    assert shown(story, AT) == {key: SAID}
    assert look(story, AT + 600, web_1=HI, web_2=HI).held == {}
    assert shown(story, AT + 600) == {}


def test_what_fires_and_what_is_in_shadow_is_none_of_it() -> None:
    story = Story.of(rule(tier(for_=0.0)))
    story.silence(AT, AT + 600)
    assert len(look(story, AT, web_1=HI).held) == 1, "it fires, and is held back"
    assert shown(story, AT) == {}
    shadow = Story.of(rule(tier(for_=6000.0), mode=Mode.SHADOW))
    shadow.silence(AT, AT + 600)
    assert look(shadow, AT, web_1=HI).held == {}
    assert shown(shadow, AT) == {}


def test_of_very_many_pending_alerts_only_some_are_asked_about() -> None:
    story = Story.of(rule(tier(for_=6000.0)))
    story.silence(AT, AT + 600)
    values = {f"web_{number}": HI for number in range(MOST + 1)}
    assert len(look(story, AT, **values).held) == MOST
    assert len(shown(story, AT)) == MOST


def test_alerts_of_a_rule_that_is_gone_are_passed_over() -> None:
    story = Story.of(rule(tier(for_=6000.0)))
    story.silence(AT, AT + 600)
    look(story, AT, web_1=HI)
    assert would_hold(story.world, Story.of().in_force, story.world.book("cpu").values(), AT) == {}
