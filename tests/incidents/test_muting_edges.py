"""What each kind of mute is called, until when it lasts, and the very moments at which it begins and ends."""

import pytest

from evaluator.engine.calendar import ActiveHours
from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Mode, Rule
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.muting import Mute, MuteKind, mutes_of
from evaluator.incidents.obey import obey
from tests.stories import ALL, HI, LO, WEB, Story, labels, rule

HOUR = 3600.0
WORK = Window("db-upgrade", ALL, 0.0, HOUR)
OFFICE = ActiveHours("Mon-Fri 08:00-20:00 UTC", frozenset(range(5)), 8 * 60, 20 * 60, "UTC")
NIGHT = ActiveHours("22:00-23:00 UTC", frozenset(range(7)), 22 * 60, 23 * 60, "UTC")


def family() -> Story:
    """Return a child whose parent fires since 60."""
    story = Story.of(rule(name="db"), rule(name="api", inhibited_by=("db",)))
    story.look(60, HI, rule="db")
    return story


def mutes_now(story: Story, about: Rule, now: float) -> tuple[Mute, ...]:
    return mutes_of(story.world, story.in_force, about, WEB, now)


def test_each_mute_has_its_kind_its_name_and_its_end() -> None:
    story = Story.of(rule(mode=Mode.SHADOW, active=(OFFICE,)), windows=[WORK]).tell([(60, HI)])
    story.silence(0.0, HOUR)
    found = mutes_now(story, story.rules["cpu"], 60.0)
    assert [(mute.kind, mute.name, mute.until) for mute in found] == [
        (MuteKind.SHADOW, "cpu", None),
        (MuteKind.SILENCE, "s0", HOUR),
        (MuteKind.WINDOW, "db-upgrade", HOUR),
        (MuteKind.INACTIVE, "cpu", 8 * HOUR),
    ]


def test_hours_that_never_come_are_named_after_their_rule() -> None:
    never = ActiveHours("never", frozenset(), 0, 60, "UTC")
    assert [mute.name for mute in mutes_now(Story.of(), rule(active=(never,)), 0.0)] == ["cpu"]


def test_several_hours_are_told_with_the_first_of_their_beginnings() -> None:
    (mute,) = mutes_now(Story.of(), rule(active=(NIGHT, OFFICE)), 60.0)
    assert mute.text == "not active (22:00-23:00 UTC, Mon-Fri 08:00-20:00 UTC) until 1970-01-01 08:00 UTC"


def test_an_open_incident_of_the_parent_mutes_with_no_end() -> None:
    story = family()
    story.look(90, HI, rule="api")
    (incident,) = story.open
    text = f"inhibited by db (incident {incident.id})"
    assert list(story.held.values()) == [(Mute(MuteKind.INHIBITED, "db", None, text),)]
    assert mutes_now(story, story.rules["api"], 90) == (Mute(MuteKind.INHIBITED, "db", None, text),)


def test_an_incident_of_the_parent_that_ended_mutes_for_five_minutes() -> None:
    story = family()
    (incident,) = story.open
    story.deliver(60)
    story.look(120, LO, rule="db")
    text = f"inhibited by db (incident {incident.id}, which has ended) until 1970-01-01 00:07 UTC"
    assert mutes_now(story, story.rules["api"], 120) == (Mute(MuteKind.INHIBITED, "db", 420.0, text),)


def test_what_waits_says_for_what_and_until_when() -> None:
    story = family()
    story.look(61, LO, rule="db")
    story.look(70, HI, rule="api")
    (mutes,) = story.held.values()
    assert mutes == (Mute(MuteKind.WAITING, "db", 130.0, "waits for the next look of db"),)


def test_only_what_the_parent_is_about_is_muted() -> None:
    story = family()
    rules, api = story.in_force, story.rules["api"]
    assert mutes_of(story.world, rules, api, labels(host="web-2"), 90) == ()
    story.silence(60.0, HOUR)
    assert [mute.kind for mute in mutes_of(story.world, rules, api, WEB, 90)] == [MuteKind.SILENCE, MuteKind.INHIBITED]


@pytest.mark.parametrize(("now", "held"), [(3599, False), (3600, True), (5399, True), (5400, False)])
def test_a_humans_resolve_is_respected_from_its_very_time_on(now, held) -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.obey(HOUR, CommandKind.RESOLVE, story.open[0].id)
    assert bool(mutes_now(story, story.rules["cpu"], now)) is held


def test_an_alert_and_its_series_are_held_back_by_the_same_resolve_whatever_other_rules_have_open() -> None:
    story = Story.of(rule(), rule(name="disk")).tell([(0, HI)])
    story.look(0, HI, rule="disk")
    story.obey(60, CommandKind.RESOLVE, story.world.open_incidents("cpu")[0].id)
    found = mutes_now(story, story.rules["cpu"], 120)
    assert [mute.kind for mute in found] == [MuteKind.RESPITE]
    assert mutes_of(story.world, story.in_force, story.rules["cpu"], story.alert(), 120) == found


def test_a_resolve_by_nobody_in_particular_is_one_by_hand() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    command = Command("c", CommandKind.RESOLVE, story.open[0].id, "", 60)
    story.take(obey(story.world, command, Circumstances(60, story.routes, "test", story.ids), story.in_force))
    (mute,) = mutes_now(story, story.rules["cpu"], 120)
    assert (mute.name, mute.until) == ("", 1860)
    assert mute.text == "resolved by hand 1m ago, opens again after 30m"


def test_a_group_with_an_open_incident_is_not_held_back_by_a_resolve_of_an_earlier_one() -> None:
    story = Story.of(rule())
    story.look(0, web_1=HI, web_2=HI)
    ended = next(incident for incident in story.open if incident.group == WEB)
    story.obey(60, CommandKind.RESOLVE, ended.id)
    assert mutes_now(story, story.rules["cpu"], 120)
    # With another `group_by` the other incident comes to be of all, and then of this group alone.
    story.edit(90, rule(group_by=()))
    story.look(120, web_1=HI, web_2=LO)
    story.edit(150, rule())
    assert [incident.group for incident in story.open] == [WEB]
    assert mutes_of(story.world, story.in_force, story.rules["cpu"], story.alert(), 180) == ()
