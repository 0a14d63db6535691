"""`inhibited_by`: a child is silent while its parent pages, and only then."""

from dataclasses import replace

import pytest

from evaluator.engine.damping import Storm
from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Mode, Recover, Rule, Severity
from evaluator.engine.samples import Samples
from evaluator.incidents.agreement import Agreement
from evaluator.incidents.commands import CommandKind
from evaluator.incidents.deliveries import Refused, RetryLater
from evaluator.incidents.muting import MuteKind, mutes_of
from evaluator.incidents.routing import Routes
from tests.stories import ALL, FAILED, HI, LO, WEB, Story, answer, labels, rule, tier

STORM = Storm(opens=1, within=600.0)
DOWN = RetryLater("refused", "nobody listens", arrived=False)


def parent(**fields: object) -> Rule:
    return rule(name="db", **fields)  # type: ignore[arg-type]


def child(*tiers: object, by: tuple[str, ...] = ("db",), **fields: object) -> Rule:
    return rule(*tiers, name="api", inhibited_by=by, **fields)  # type: ignore[arg-type]


def family(**fields: object) -> Story:
    """Return a parent that fires at 60 and a child that does so at 120."""
    story = Story.of(parent(**fields), child())
    story.look(60, HI, rule="db")
    story.look(120, HI, rule="db")
    story.look(120, HI, rule="api")
    return story


def of_child(story: Story) -> list[str]:
    return [incident.id for incident in story.open if incident.rule == "api"]


def test_a_child_is_silent_while_its_parent_is_open() -> None:
    story = family()
    (incident,) = story.open
    assert incident.rule == "db"
    assert story.mutes() == [f"inhibited by db (incident {incident.id})"]
    (mutes,) = story.held.values()
    assert [(mute.kind, mute.name, mute.until) for mute in mutes] == [(MuteKind.INHIBITED, "db", None)]


def test_a_child_opens_five_minutes_after_its_parent_closed_and_no_earlier() -> None:
    story = family()
    story.deliver(120)
    story.look(180, LO, rule="db")
    for now in (180, 240, 300, 360, 420, 479):
        story.look(now, HI, rule="api")
        assert not of_child(story)
    assert "which has ended) until 1970-01-01 00:08 UTC" in story.mutes()[0]
    story.look(480, HI, rule="api")
    assert of_child(story)
    assert "held back until now: inhibited by db" in story.lines("opened")[-1]


def test_a_parent_that_ended_before_anybody_was_told_holds_nothing_back() -> None:
    story = family()
    story.look(180, LO, rule="db")
    story.look(180, HI, rule="api")
    assert of_child(story)


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_a_parent_that_pages_nobody_holds_nothing_back(mode) -> None:
    story = Story.of(parent(mode=mode), child())
    story.look(60, HI, rule="db")
    story.look(60, HI, rule="api")
    assert of_child(story)


def test_a_parent_that_is_not_there_holds_nothing_back() -> None:
    story = Story.of(child())
    story.look(60, HI, rule="api")
    assert of_child(story)


def test_a_parent_that_was_removed_holds_back_for_five_minutes_more_like_any_that_ended() -> None:
    story = family()
    story.deliver(120)
    story.edit(150, child())
    story.look(180, HI, rule="api")
    assert not of_child(story)
    story.look(450, HI, rule="api")
    assert of_child(story)


def test_a_parent_that_is_muted_holds_nothing_back() -> None:
    story = Story.of(parent(), child(), windows=[Window("work", replace(ALL, rules=("db",)), 0.0, 1000.0)])
    for now in (60, 120):
        story.look(now, HI, rule="db")
        story.look(now, HI, rule="api")
    assert of_child(story)
    assert len(story.open) == 1


def test_a_parent_that_is_inhibited_itself_holds_nothing_back() -> None:
    story = Story.of(rule(name="net"), parent(inhibited_by=("net",)), child())
    for now in (60, 120):
        for name in ("net", "db", "api"):
            story.look(now, HI, rule=name)
    assert [incident.rule for incident in story.open] == ["net", "api"]


def test_a_parent_that_every_receiver_refused_holds_nothing_back() -> None:
    story = Story.of(parent(), child())
    story.look(60, HI, rule="db")
    story.deliver(60, Refused("bad_request", "wrong key"))
    story.look(120, HI, rule="db")
    story.look(120, HI, rule="api")
    story.look(180, HI, rule="api")
    assert of_child(story)


def test_a_parent_that_was_told_and_refused_later_goes_on_holding_back() -> None:
    story = Story.of(parent(), child())
    story.look(60, HI, rule="db")
    story.deliver(60)
    story.deliver(180, Refused("bad_request", "wrong key"))
    for now in (180, 240):
        story.look(now, HI, rule="db")
        story.look(now, HI, rule="api")
    assert not of_child(story)


def test_a_parent_that_will_be_told_once_its_receiver_is_back_holds_back() -> None:
    story = Story.of(parent(), child())
    story.look(60, HI, rule="db")
    story.deliver(60, DOWN)
    story.look(120, HI, rule="db")
    story.look(120, HI, rule="api")
    assert not of_child(story)


def test_a_parent_of_which_nothing_is_known_any_more_holds_nothing_back() -> None:
    story = family()
    for now in (180, 240, 300):
        story.look(now, FAILED, rule="db")
        story.look(now, HI, rule="api")
        assert not of_child(story)
    story.look(360, FAILED, rule="db")
    story.look(360, HI, rule="api")
    assert of_child(story)


def test_an_acknowledged_or_silenced_parent_that_was_told_goes_on_holding_back() -> None:
    story = family()
    story.silence(130.0, 1000.0, replace(ALL, rules=("db",)))
    story.look(180, HI, rule="db")
    story.look(180, HI, rule="api")
    assert not of_child(story)


def test_when_a_human_resolves_the_parent_the_child_is_silent_for_five_minutes_more() -> None:
    story = family()
    story.deliver(120)
    story.obey(150, CommandKind.RESOLVE, story.open[0].id)
    story.look(180, HI, rule="db")
    story.look(180, HI, rule="api")
    assert not of_child(story)
    story.look(450, HI, rule="api")
    assert of_child(story)


@pytest.mark.parametrize(
    ("parent_labels", "child_labels", "held"),
    [
        ({"host": "a"}, {"host": "a"}, True),
        ({"host": "a"}, {"host": "b"}, False),
        ({"host": "a"}, {"host": "a", "path": "/x"}, True),
        ({"host": "a", "disk": "sda"}, {"host": "a", "path": "/x"}, True),
        ({"cluster": "x"}, {"host": "a"}, True),
        ({}, {"host": "a"}, True),
        ({"host": "a", "zone": "x"}, {"host": "a", "zone": "y"}, False),
        ({"__name__": "pg_up", "host": "a"}, {"__name__": "api_errors", "host": "a"}, True),
        ({"__name__": "pg_up", "host": "a"}, {"__name__": "pg_up", "host": "b"}, False),
        ({"__name__": "pg_up"}, {"__name__": "api_errors"}, True),
    ],
)
def test_parent_and_child_must_agree_in_the_labels_that_both_have(parent_labels, child_labels, held) -> None:
    story = Story.of(parent(), child())
    for now in (60, 120):
        story.look(now, Samples([parent_labels], [HI]), rule="db")
        story.look(now, Samples([child_labels], [HI]), rule="api")
    assert not of_child(story) if held else of_child(story)


def test_of_a_group_any_member_may_agree() -> None:
    story = Story.of(parent(group_by=()), child())
    for now in (60, 120):
        story.look(now, a=HI, b=HI, rule="db")
        story.look(now, a=HI, c=HI, rule="api")
    assert [incident.group for incident in story.open if incident.rule == "api"] == [labels(host="c")]


def test_the_order_in_which_two_rules_are_looked_at_does_not_matter() -> None:
    story = Story.of(parent(), child())
    story.look(60, HI, rule="api")
    assert story.mutes() == ["waits for the next look of db"]
    (mutes,) = story.held.values()
    assert [(mute.kind, mute.name, mute.until) for mute in mutes] == [(MuteKind.WAITING, "db", 120)]
    story.look(90, HI, rule="db")
    story.look(120, HI, rule="api")
    assert not of_child(story)


@pytest.mark.parametrize("looked", [LO, FAILED])
def test_a_child_waits_for_one_look_of_its_parent_whatever_it_says(looked) -> None:
    story = Story.of(parent(), child())
    story.look(60, HI, rule="api")
    assert not of_child(story)
    story.look(61, looked, rule="db")
    story.look(70, HI, rule="api")
    assert of_child(story)


def test_a_look_at_the_very_time_of_the_breach_is_not_a_later_one() -> None:
    story = Story.of(parent(), child())
    story.look(60, LO, rule="db")
    story.look(60, HI, rule="api")
    story.look(119, HI, rule="api")
    assert not of_child(story)


def test_a_child_waits_for_no_longer_than_a_step_of_its_parent() -> None:
    story = Story.of(parent(every=30.0), child())
    story.look(60, HI, rule="api")
    story.look(89, HI, rule="api")
    assert not of_child(story)
    story.look(90, HI, rule="api")
    assert of_child(story)


def test_a_clock_that_was_set_back_makes_nothing_wait() -> None:
    story = Story.of(parent(), child(tier(recover=Recover(for_=600))))
    story.silence(4000.0, 9000.0)
    story.look(7200, HI, rule="api")
    story.obey(7200, CommandKind.UNSILENCE, "s4000")
    story.look(3600, HI, rule="api")
    assert of_child(story)


def test_what_ended_later_than_now_inhibits_nothing() -> None:
    story = family()
    story.deliver(120)
    story.look(7200, LO, rule="db")
    story.look(3600, HI, rule="api")
    assert of_child(story)


def test_what_waits_is_not_said_of_an_open_incident() -> None:
    story = Story.of(parent(), child(tier(Severity.P0, 97), tier(Severity.P1, 90)))
    story.look(60, LO, rule="db")
    story.look(30, HI, rule="api")
    story.look(90, HI, rule="api")
    assert of_child(story)
    story.look(120, 99.0, rule="api")
    assert {key.severity for key in story.held} == {Severity.P0}
    assert story.open[0].muted == ""
    story.look(121, LO, rule="db")
    story.look(180, 99.0, rule="api")
    assert story.open[0].severity is Severity.P0


def test_in_a_circle_somebody_is_heard() -> None:
    # The configuration refuses a circle; even so, two that breach at once are not both silent for ever.
    story = Story.of(parent(inhibited_by=("api",)), child())
    for now in range(60, 300, 60):
        story.look(now, HI, rule="db")
        story.look(now, HI, rule="api")
    assert len(story.open) == 1


def test_a_parent_in_a_storm_inhibits_what_it_agrees_with() -> None:
    story = Story.of(parent(storm=STORM), child())
    for now in (60, 120):
        story.look(now, a=HI, b=HI, rule="db")
        story.look(now, a=HI, b=HI, c=HI, rule="api")
    assert [incident.rule for incident in story.open] == ["db", "storm", "api"]
    assert [incident.group for incident in story.open if incident.rule == "api"] == [labels(host="c")]
    assert f"inhibited by db (incident {story.open[1].id})" in story.mutes()


def test_a_parent_in_a_storm_that_nobody_hears_of_inhibits_nothing() -> None:
    story = Story.of(parent(storm=STORM), child())
    story.look(60, a=HI, b=HI, rule="db")
    story.deliver(60, Refused("bad_request", "wrong key"))
    story.look(120, a=HI, b=HI, rule="db")
    for now in (120, 180):
        story.look(now, b=HI, rule="api")
    assert of_child(story)


def test_a_storm_that_a_human_resolved_inhibits_for_five_minutes_more() -> None:
    story = Story.of(parent(storm=STORM), child(), rule(name="other"))
    story.look(60, a=HI, b=HI, rule="db")
    story.deliver(60)
    story.obey(90, CommandKind.RESOLVE, story.open[1].id)
    story.look(150, b=HI, rule="api")
    story.look(389, b=HI, rule="api")
    assert not of_child(story)
    story.look(390, b=HI, rule="api")
    assert of_child(story)


def test_a_series_alone_waits_for_nothing() -> None:
    story = Story.of(parent(), child())
    story.look(60, HI, rule="api")
    asked = (story.world, story.in_force, story.rules["api"])
    assert mutes_of(*asked, WEB, 60) == ()
    assert [mute.kind for mute in mutes_of(*asked, story.alert(rule="api"), 60)] == [MuteKind.WAITING]


def test_nobody_routes_to_a_pager_and_the_console_counts_as_told() -> None:
    story = Story.of(parent(), child(), routes=Routes())
    story.look(60, HI, rule="db")
    story.deliver(60)
    story.look(120, HI, rule="db")
    story.look(120, answer(HI), rule="api")
    assert not of_child(story)


def test_many_series_are_found_without_holding_each_against_each() -> None:
    many = [(labels(host=f"h{number}", disk="sda"), f"i{number}") for number in range(20_000)]
    agreement = Agreement.of([*many, (labels(zone="x"), "zone")])
    assert agreement.find(labels(host="h7", zone="y")) == "i7"
    assert agreement.find(labels(host="none", zone="y")) is None
    assert agreement.find(labels(host="none", zone="x")) == "zone"
    assert agreement.find(labels(host="none")) == "zone"
    assert all(agreement.find(labels(host=f"h{number}", zone="y")) == f"i{number}" for number in range(20_000))
