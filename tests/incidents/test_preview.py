"""What an edit would do, said before it does it, and then done: the two must be the same."""

from dataclasses import fields, replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.maintenance import Selector, Window
from evaluator.engine.rules import Limit, Mode, Op, Query, Rule, RuleSet, Severity
from evaluator.engine.shapes import Trend, Way
from evaluator.incidents.preview import LOOKS_BACK, Answers, Effect, Touched, changed_rules, effect_of
from evaluator.incidents.world import World
from tests.stories import FAILED, HI, LO, Story, answer, labels, rule, tier

OTHER = Query("prometheus", '{"promql":"other"}')


def effect(story: Story, *rules: Rule, now: float = 60.0, **answers: object) -> Effect:
    """Return what an edit to these rules would do, with the same answer for each of them but for those named."""
    results = {each.name: answers.get(each.name.replace("-", "_"), answer(HI)) for each in rules}
    before, after = RuleSet(story.rules), RuleSet({each.name: each for each in rules})
    said = Answers({name: result for name, result in results.items() if result is not None})  # type: ignore[misc]
    return effect_of(story.world, before, after, said, now, routes=story.routes, instance="test")


def names(touched: list[Touched]) -> list[str]:
    return [each.name for each in touched]


def test_a_lower_limit_opens_what_is_beyond_it_now() -> None:
    story = Story.of(rule(tier(above=97.0))).tell([(0, HI)])
    seen = effect(story, rule(tier(above=90.0)))
    assert names(seen.opens) == ["cpu (host=web-1)"]
    assert seen.sentence() == "opens 1: cpu (host=web-1)"
    assert seen.opens[0].why == "95 % is above 90 %"
    assert story.open == []


def test_a_higher_limit_closes_what_is_no_longer_beyond_it() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    seen = effect(story, rule(tier(above=97.0)))
    assert names(seen.closes) == ["cpu (host=web-1)"]
    assert seen.closes[0].why == "it has recovered"
    assert seen.sentence() == "closes 1: cpu (host=web-1)"
    assert len(story.open) == 1


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ((), "its rule was removed"),
        ((rule(mode=Mode.OFF),), "its rule was switched off"),
        ((rule(mode=Mode.SHADOW),), 'its rule was switched to mode = "shadow"'),
    ],
)
def test_what_ends_a_rule_closes_its_incidents(after, why) -> None:
    story = Story.of(rule()).tell([(0, HI)])
    seen = effect(story, *after)
    assert [each.why for each in seen.closes] == [why]
    assert seen.removed == (() if after else ("cpu",))
    assert bool(seen)


def test_a_worse_severity_raises() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    seen = effect(story, rule(tier(Severity.P0)))
    assert [(each.name, each.severity) for each in seen.raises] == [("cpu (host=web-1)", Severity.P0)]
    assert not seen.opens
    assert not seen.closes


def test_what_must_last_opens_later() -> None:
    story = Story.of(rule(tier(above=97.0))).tell([(0, HI)])
    seen = effect(story, rule(tier(above=90.0, for_=600.0)))
    assert names(seen.pends) == ["cpu (host=web-1)"]
    assert seen.sentence() == "opens 1 later, if that lasts: cpu (host=web-1)"


def test_what_a_new_rule_finds_may_have_lasted_already() -> None:
    seen = effect(Story.of(), rule(tier(for_=600.0)))
    perhaps = "or at once, where the source's history shows that it has lasted"
    assert [each.why.endswith(perhaps) for each in seen.pends] == [True]
    assert seen.sentence() == f"opens 1 later, if that lasts, {perhaps}: cpu (host=web-1)"


def test_of_what_looks_back_on_samples_that_are_not_there_nobody_can_tell() -> None:
    rising, longer = (
        replace(tier(), trend=Trend(Way.RISING, 20.0, share=False, over=over)) for over in (600.0, 6000.0)
    )
    assert effect(Story.of(), rule(rising)).unknown == {"cpu": LOOKS_BACK}
    story = Story.of(rule(rising)).tell([(0, LO)])
    assert not effect(story, rule(replace(rising, for_=60.0))).unknown
    assert (
        effect(story, rule(longer)).unknown == effect(story, rule(rising, query=OTHER)).unknown == {"cpu": LOOKS_BACK}
    )


def test_what_is_pending_already_is_no_news() -> None:
    story = Story.of(rule(tier(for_=600.0))).tell([(0, HI)])
    assert not effect(story, rule(tier(for_=300.0))).pends


def test_another_question_ends_what_its_first_answer_does_not_have() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    seen = effect(story, rule(query=OTHER), cpu=answer(web_2=HI))
    assert names(seen.closes) == ["cpu (host=web-1)"]
    assert names(seen.opens) == ["cpu (host=web-2)"]


@pytest.mark.parametrize(("result", "why"), [(FAILED, FAILED.message), (None, "it was not asked")])
def test_without_an_answer_nobody_can_tell(result, why) -> None:
    story = Story.of(rule()).tell([(0, HI)])
    seen = effect(story, rule(tier(above=99.0)), cpu=result)
    assert seen.unknown == {"cpu": why}
    assert seen.sentence() == "cannot tell for cpu"


def test_a_rule_that_is_off_is_not_asked_for() -> None:
    story = Story.of(rule())
    assert not effect(story, rule(mode=Mode.OFF)).unknown


def test_an_edit_of_nothing_is_no_edit() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    seen = effect(story, rule(line=7, file="rules/b.toml"))
    assert not seen
    assert seen.sentence() == "opens 0, closes 0"


def test_a_window_changes_the_rules_that_it_names() -> None:
    rules = {each.name: each for each in (rule(), rule(name="disk"))}
    window = Window("work", Selector(("di*",)), 0.0, 100.0)
    plain, muted = RuleSet(rules), RuleSet(rules, MappingProxyType({"work": window}))
    moved = RuleSet(rules, MappingProxyType({"work": replace(window, end=200.0)}))
    assert changed_rules(plain, muted) == changed_rules(muted, plain) == changed_rules(muted, moved) == ("disk",)
    lower = RuleSet(rules, MappingProxyType({"work": replace(window, file="rules/b.toml", line=7)}))
    assert changed_rules(muted, muted) == changed_rules(muted, lower) == ()


def test_a_sentence_names_ten_and_counts_the_rest() -> None:
    hosts = {f"web-{number:02}": HI for number in range(12)}
    story = Story.of(rule(tier(above=97.0)))
    seen = effect(story, rule(), cpu=answer(**hosts))
    assert len(seen.opens) == 12
    assert seen.sentence().endswith("cpu (host=web-09), and 2 more")


def test_an_incident_without_labels_has_the_name_of_its_rule() -> None:
    assert Touched("cpu", (), Severity.P1, "").name == "cpu"


@given(
    st.lists(st.sampled_from([LO, 85.0, HI, 99.0]), max_size=4),
    st.sampled_from([80.0, 90.0, 97.0]),
    st.sampled_from(list(Mode)),
    st.sampled_from([LO, 85.0, HI, 99.0]),
    st.sampled_from([0.0, 60.0]),
)
def test_what_is_said_is_what_happens(before, above, mode, value, for_) -> None:
    story = Story.of(rule()).tell([(60.0 * number, each) for number, each in enumerate(before)])
    now = 60.0 * len(before)
    edited = rule(replace(tier(for_=for_), limit=Limit(Op.ABOVE, above)), mode=mode)
    seen = effect(story, edited, now=now, cpu=answer(value))
    was = {incident.id for incident in story.open}
    story.edit(now, edited)
    if mode is not Mode.OFF and seen.changed:
        story.look(now, value)
    is_ = {incident.id for incident in story.open}
    assert (len(seen.opens), len(seen.closes)) == (len(is_ - was), len(was - is_))


def test_a_copy_of_a_world_is_the_same_and_its_own() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    copy = story.world.copied()
    assert copy == story.world
    assert all(getattr(copy, each.name) is not getattr(story.world, each.name) for each in fields(World))
    copy.alerts["cpu"].clear()
    assert (Severity.P1, labels(host="web-1")) in story.world.book("cpu")
