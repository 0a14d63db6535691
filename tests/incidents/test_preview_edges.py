"""What an edit would do where something holds back, was told before, or comes after what nobody can tell."""

from dataclasses import replace

import pytest

from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Limit, Mode, OnlyIf, Op, Query, Rule, RuleSet, Severity
from evaluator.engine.samples import PollResult
from evaluator.incidents.preview import Answers, Effect, Touched, effect_of
from tests.stories import ALL, FAILED, HI, LO, Story, answer, rule, tier

ONE = Touched("cpu", (("host", "web-1"),), Severity.P1, "why")
BUSY = OnlyIf(Query("prometheus", '{"promql":"traffic"}'), Limit(Op.ABOVE, 50.0))


def effect(story: Story, after: RuleSet, results: dict[str, PollResult], **gates: PollResult) -> Effect:
    asked = Answers(results, gates)
    return effect_of(story.world, story.in_force, after, asked, 180.0, routes=story.routes, instance="test")


def ruleset(*rules: Rule, **windows: Window) -> RuleSet:
    return RuleSet({each.name: each for each in rules}, windows)


@pytest.mark.parametrize(
    ("seen", "touches"),
    [
        (Effect(), False),
        (Effect(("cpu",)), True),
        (Effect(removed=("cpu",)), True),
        (Effect(opens=[ONE]), True),
        (Effect(raises=[ONE]), True),
        (Effect(closes=[ONE]), True),
        (Effect(pends=[ONE], unknown={"cpu": "why"}), False),
    ],
)
def test_an_edit_touches_something_where_a_rule_or_an_incident_is_another_one(seen, touches) -> None:
    assert bool(seen) is touches


def test_a_sentence_has_all_that_an_edit_does_in_its_order() -> None:
    seen = Effect(opens=[ONE, ONE], raises=[ONE], closes=[ONE], pends=[ONE], unknown={"b": "", "a": ""})
    name = "cpu (host=web-1)"
    assert seen.sentence() == (
        f"opens 2: {name}, {name}; raises 1: {name}; closes 1: {name};"
        f" opens 1 later, if that lasts: {name}; cannot tell for a, b"
    )


def test_what_receivers_know_is_closed_in_the_trial_too() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.deliver(0)
    assert [each.why for each in effect(story, ruleset(), {}).closes] == ["its rule was removed"]


def test_what_nobody_can_tell_of_one_rule_hides_nothing_of_the_next() -> None:
    story = Story.of(*(rule(tier(above=97.0), name=name) for name in "abcd"))
    edited = [rule(name="a", mode=Mode.OFF), rule(name="b"), rule(name="c"), rule(name="d")]
    seen = effect(story, ruleset(*edited), {"b": FAILED, "d": answer(HI)})
    assert seen.unknown == {"b": "no answer in time", "c": "it was not asked"}
    assert [each.rule for each in seen.opens] == ["d"]


@pytest.mark.parametrize(("traffic", "opens"), [(100.0, ["cpu"]), (1.0, [])])
def test_an_edit_opens_nothing_where_only_if_does_not_hold(traffic, opens) -> None:
    story = Story.of(rule(tier(above=97.0), only_if=BUSY))
    seen = effect(story, ruleset(rule(only_if=BUSY)), {"cpu": answer(HI)}, cpu=answer(traffic))
    assert [each.rule for each in seen.opens] == opens


def test_an_edit_opens_nothing_in_a_window_of_its_own() -> None:
    story = Story.of(rule(tier(above=97.0))).tell([(0, HI)])
    work = Window("work", ALL, 0.0, 600.0)
    assert not effect(story, ruleset(rule(), work=work), {"cpu": answer(HI)}).opens
    assert effect(story, ruleset(rule(), work=replace(work, end=100.0)), {"cpu": answer(HI)}).opens


def test_what_a_removed_rule_inhibits_opens_no_earlier_than_it_does_afterwards() -> None:
    child = rule(name="api", inhibited_by=("db",))
    story = Story.of(rule(name="db"), child)
    story.look(60, HI, rule="db")
    story.deliver(60)
    story.look(120, LO, rule="api")
    assert not effect(story, ruleset(replace(child, summary="{value}")), {"api": answer(HI)}).opens


def test_ten_are_named_and_no_others_counted() -> None:
    assert Effect(opens=[ONE] * 10).sentence() == f"opens 10: {', '.join(['cpu (host=web-1)'] * 10)}"


def test_an_incident_that_only_changes_its_words_is_not_raised() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    seen = effect(story, ruleset(rule(tier(above=80.0))), {"cpu": answer(99.0)})
    assert (seen.opens, seen.raises, seen.closes) == ([], [], [])


def test_what_opens_later_has_its_severity() -> None:
    story = Story.of(rule(tier(above=97.0)))
    seen = effect(story, ruleset(rule(tier(Severity.P3, for_=600.0))), {"cpu": answer(HI)})
    assert [each.severity for each in seen.pends] == [Severity.P3]
