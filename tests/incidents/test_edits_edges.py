"""Edits that a model of the rules of judgement and the real thing once disagreed about, and the edges of others."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import Alert, State
from evaluator.engine.damping import Storm
from evaluator.engine.rules import NoDataPolicy, Query, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed
from evaluator.incidents.changes import Changes, Judged, SeriesKey
from evaluator.incidents.incident import STORM, CloseReason, Event, EventKind
from evaluator.incidents.routing import Routes, Target
from tests.stories import HI, KEY, LO, WEB, Story, answer, rule, tier

OTHER = Query("prometheus", '{"promql":"other"}')

NOTHING = Samples()
ABSENT = Tier(Severity.P1, None, absent=True)
MISSED = Tier(Severity.P1, None, missed=Missed("*/5 * * * *", "UTC"))


@pytest.mark.parametrize("other", [ABSENT, MISSED])
def test_what_fires_of_its_value_ends_when_the_rule_looks_at_what_is_not_there(other) -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.edit(30, rule(other))
    assert not story.open
    assert [it.close_reason for it in story.world.ended_incidents()] == [CloseReason.EDITED]
    assert story.row() is None


def test_an_absence_ends_when_the_rule_looks_at_values() -> None:
    story = Story.of(rule(ABSENT)).tell([(0, NOTHING), (60, NOTHING), (120, NOTHING)])
    assert len(story.open) == 1
    story.edit(150, rule())
    assert not story.open
    story.look(180, HI)
    assert story.state() is State.FIRING


def test_an_absence_stays_what_it_is_when_only_its_for_is_edited() -> None:
    story = Story.of(rule(ABSENT)).tell([(0, NOTHING), (60, NOTHING), (120, NOTHING)])
    story.edit(150, rule(replace(ABSENT, for_=600.0)))
    story.look(180, NOTHING)
    assert story.state(series=()) is State.FIRING
    assert len(story.open) == 1


def test_what_a_storm_caught_is_raised_by_the_next_breach_and_not_by_an_edit() -> None:
    mild, worse = (rule(tier(severity), storm=Storm(1, 60.0)) for severity in (Severity.P2, Severity.P1))
    story = Story.of(mild)
    story.look(60, web_1=HI, web_2=HI)
    story.edit(90, worse)
    (storm,) = story.world.open_incidents(STORM)
    assert (storm.severity, storm.caught[0].severity) == (Severity.P2, Severity.P2)
    story.look(120, web_1=HI, web_2=HI)
    (storm,) = story.world.open_incidents(STORM)
    assert (storm.severity, storm.caught[0].severity) == (Severity.P1, Severity.P1)


def test_a_rule_is_judged_from_when_it_was_first_seen_and_from_when_it_asks_something_else() -> None:
    story = Story.of()
    story.edit(30, rule())
    assert story.world.judged["cpu"] == Judged("cpu", 0.0, rule().identity, "page", 30)
    story.look(6000, LO)
    story.edit(6090, rule(query=OTHER))
    assert story.world.judged["cpu"] == Judged("cpu", 6000, rule(query=OTHER).identity, "page", 6090)
    story.edit(6120, rule(query=OTHER))
    assert story.world.judged["cpu"].since == 6090


def test_what_is_removed_takes_only_its_own_with_it() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH), rule(name="disk"))
    story.look(60, HI)
    story.look(60, HI, rule="disk")
    assert story.edit(90, rule(name="disk")).series == {SeriesKey("cpu", WEB): None}
    assert [incident.rule for incident in story.open] == ["disk"]


@pytest.mark.parametrize("identity", ["{}", '{"tiers": null}'])
def test_what_was_written_without_tiers_is_taken_for_another_question(identity) -> None:
    story = Story.of(rule()).tell([(60, HI)])
    story.take(Changes(judged={"cpu": Judged("cpu", 60, identity, "page", 60)}))
    story.edit(90, rule())
    assert story.alert().edited


def test_a_severity_of_a_group_that_only_has_another_name_asks_for_no_confirmation() -> None:
    story = Story.of(rule(group_by=("host",))).tell([(60, HI)])
    story.edit(90, rule(tier(Severity.P3), group_by=("host",)))
    assert not story.alert(Severity.P3).edited


def windowed(*edited: object, **fields: object) -> Alert:
    """Return an alert with a window of dated samples after an edit."""
    story = Story.of(rule(tier(datapoints="2 of 3")))
    story.look(60, answer(HI, at=50))
    story.look(120, answer(HI, at=110))
    story.edit(150, rule(*edited, **fields))  # type: ignore[arg-type]
    (alert,) = story.world.book("cpu").values()
    return alert


def test_samples_of_before_say_nothing_of_another_question_and_go_on_counting_under_another_name() -> None:
    other = windowed(tier(datapoints="2 of 3"), query=OTHER)
    assert (other.window, other.sample_at) == ((), None)
    renamed = windowed(tier(Severity.P3, datapoints="2 of 3"))
    assert (renamed.window, renamed.sample_at) == (((50.0, HI), (110.0, HI)), 110.0)


def test_what_is_lowered_by_an_edit_has_its_line() -> None:
    story = Story.of(rule()).tell([(60, HI)])
    story.edit(90, rule(tier(Severity.P3)))
    (incident,) = story.open
    text = "lowered from P1 to P3: its rule was edited"
    assert story.events[-1] == Event(incident.id, 90, EventKind.LOWERED, text)
    assert incident.updated_at == 90


def test_an_incident_of_another_rule_takes_no_group_from_a_storm() -> None:
    caught = {"storm": Storm(1, 60.0), "name": "disk"}
    story = Story.of(rule(), rule(**caught))  # type: ignore[arg-type]
    story.look(60, HI)
    story.look(60, HI, rule="disk")
    story.edit(90, rule(), rule(tier(Severity.P3), **caught))  # type: ignore[arg-type]
    (storm,) = story.world.open_incidents(STORM)
    assert [(each.rule, each.group, each.severity) for each in storm.caught] == [("disk", WEB, Severity.P3)]


@pytest.mark.parametrize("known", [{"told": True}, {"claimed": True}, {"accepted": 1}])
def test_whatever_may_have_arrived_keeps_its_key(known) -> None:
    story = Story.of(rule()).tell([(60, HI)])
    rows = [replace(row, **known) for row in story.world.deliveries.values() if row.notifier == "pagerduty"]
    story.take(Changes(deliveries={row.id: row for row in rows}))
    story.routes = Routes(targets={("web", Severity.P1): (Target("pagerduty", "n" * 32),)})
    story.edit(90, rule())
    assert [story.world.deliveries[row.id].routing_key for row in rows] == [KEY]


def test_a_trigger_whose_receiver_is_no_longer_asked_keeps_its_key() -> None:
    story = Story.of(rule()).tell([(60, HI)])
    story.routes = Routes()
    story.edit(90, rule())
    assert {row.routing_key for row in story.world.deliveries.values() if row.notifier == "pagerduty"} == {KEY}
