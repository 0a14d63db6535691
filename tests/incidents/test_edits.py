"""What an edited rule set means for what is there, at a reload and at a start."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Mode, NoDataPolicy, Query, Rule, Severity
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Trend, Way
from evaluator.incidents.deliveries import Action, Refused
from evaluator.incidents.incident import CloseReason
from evaluator.incidents.routing import Routes, Target
from tests.stories import ALL, FAILED, HI, KEY, LO, Story, answer, labels, rule, tier

OTHER = Query("prometheus", '{"promql":"other"}')


def reason(story: Story) -> CloseReason | None:
    (incident,) = story.world.ended_incidents()
    return incident.close_reason


def told() -> Story:
    story = Story.of(rule()).tell([(0, HI)])
    story.deliver(0)
    return story


@pytest.mark.parametrize(
    ("edited", "why"),
    [
        ((), CloseReason.REMOVED),
        ((rule(mode=Mode.OFF),), CloseReason.OFF),
        ((rule(mode=Mode.SHADOW),), CloseReason.SHADOW),
    ],
)
def test_what_is_removed_or_switched_off_is_closed_and_its_end_is_told(edited, why) -> None:
    story = told()
    story.edit(60, *edited)
    assert reason(story) is why
    assert [row.action for row in story.deliver(60)] == [Action.RESOLVE]


def test_a_rule_in_shadow_goes_on_being_judged_and_pages_when_it_is_back() -> None:
    story = told()
    story.edit(60, rule(mode=Mode.SHADOW))
    story.look(120, HI)
    assert story.state() is State.FIRING
    assert not story.open
    story.edit(150, rule())
    story.look(180, HI)
    assert len(story.open) == 1


def test_an_edited_limit_keeps_alert_and_incident_and_is_judged_anew() -> None:
    story = told()
    story.edit(60, rule(tier(above=99)))
    assert len(story.open) == 1
    story.look(120, HI)
    assert not story.open


def test_an_edited_text_changes_nothing() -> None:
    story = told()
    assert not story.edit(60, rule(summary="new", labels={"team": "x"})).incidents


@pytest.mark.parametrize("edited", [rule(query=OTHER), rule(query=replace(OTHER, source="elsewhere"))])
def test_after_an_edit_of_the_query_what_is_in_the_first_good_answer_goes_on(edited) -> None:
    story = told()
    story.edit(60, edited)
    story.look(120, FAILED)
    assert len(story.open) == 1
    story.look(180, HI)
    assert len(story.open) == 1
    assert not story.alert().edited


def test_after_an_edit_of_the_query_what_is_not_in_the_first_good_answer_ends() -> None:
    story = told()
    story.edit(60, rule(query=OTHER))
    story.look(120, answer(web_9=LO))
    assert reason(story) is CloseReason.EDITED


def test_the_edit_is_noticed_at_a_start_just_as_at_a_reload() -> None:
    story = told().restart(60, rule(query=OTHER))
    story.look(120, answer(web_9=LO))
    assert reason(story) is CloseReason.EDITED
    assert not told().restart(60).alert().edited


def test_a_rule_that_went_away_while_the_daemon_was_down_is_closed_at_the_start() -> None:
    story = told()
    story.world.judged.clear()
    again = story.restart(60, rule(name="another"))
    assert reason(again) is CloseReason.REMOVED


def test_a_changed_severity_moves_the_alert_and_lowers_the_incident_under_the_same_key() -> None:
    story = told()
    story.edit(60, rule(tier(Severity.P3)))
    assert story.open[0].severity is Severity.P3
    (sent,) = story.deliver(60)
    assert (sent.action, sent.dedup_key[-2:], sent.message.severity) == (Action.TRIGGER, "P1", Severity.P3)
    story.look(120, HI)
    assert story.state(Severity.P3) is State.FIRING
    assert story.state(Severity.P1) is State.QUIET
    story.look(180, LO)
    assert [(row.action, row.dedup_key[-2:]) for row in story.deliver(180)] == [(Action.RESOLVE, "P1")]


def test_a_worse_severity_waits_for_the_next_breach_and_then_pages() -> None:
    story = told()
    story.edit(60, rule(tier(Severity.P0)))
    assert story.deliver(60) == []
    story.look(120, HI)
    assert [(row.action, row.dedup_key[-2:]) for row in story.deliver(120)] == [
        (Action.TRIGGER, "P0"),
        (Action.RESOLVE, "P1"),
    ]


def test_a_severity_that_was_lowered_by_an_edit_and_rises_again_keeps_its_key() -> None:
    story = told()
    story.edit(60, rule(tier(Severity.P3)))
    story.edit(90, rule(tier(Severity.P1)))
    story.look(120, HI)
    sent = story.deliver(120)
    assert [(row.action, row.dedup_key[-2:]) for row in sent] == [(Action.TRIGGER, "P1")]


def test_a_tier_that_was_removed_ends_and_the_others_go_on() -> None:
    two = rule(tier(Severity.P0, 95), tier(Severity.P2, 80))
    story = Story.of(two)
    story.look(0, 99.0)
    story.edit(60, rule(tier(Severity.P2, 80)))
    assert story.row(Severity.P0) is None
    story.look(120, 99.0)
    assert [incident.severity for incident in story.open] == [Severity.P0]
    story.look(180, LO)
    assert not story.open


def test_the_only_tier_that_fired_being_removed_closes() -> None:
    two = rule(tier(Severity.P0, 95), tier(Severity.P2, 80), tier(Severity.P3, 99))
    story = Story.of(two)
    story.look(0, 85.0)
    story.edit(60, rule(tier(Severity.P0, 95), tier(Severity.P3, 99)))
    assert reason(story) is CloseReason.EDITED


def test_a_tier_that_was_added_starts_quiet() -> None:
    story = told()
    story.edit(60, rule(tier(Severity.P0, 99), tier()))
    story.look(120, HI)
    assert story.state(Severity.P0) is State.QUIET
    assert len(story.open) == 1


def grouped(group_by, *hosts: tuple[str, str]) -> Story:
    story = Story.of(rule(group_by=group_by))
    names = [{"host": host, "zone": zone} for host, zone in hosts]
    story.look(0, Samples(names, [HI] * len(names)))
    story.deliver(0)
    return story


def test_incidents_that_fall_into_one_group_become_one() -> None:
    story = grouped(None, ("a", "x"), ("b", "x"), ("c", "y"))
    first = story.open[0].id
    story.edit(60, rule(group_by=("zone",)))
    assert [incident.group for incident in story.open] == [labels(zone="x"), labels(zone="y")]
    assert story.open[0].id == first
    assert reason(story) is CloseReason.EDITED


def test_an_incident_that_falls_apart_goes_with_its_worst_alert_and_the_rest_opens_anew() -> None:
    story = grouped((), ("a", "x"), ("b", "x"))
    story.edit(60, rule(group_by=None))
    assert [incident.group for incident in story.open] == [labels(host="a", zone="x")]
    story.look(120, Samples([{"host": "a", "zone": "x"}, {"host": "b", "zone": "x"}], [HI, HI]))
    assert len(story.open) == 2


def test_remembered_series_of_another_query_are_forgotten() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH)).tell([(0, LO)])
    story.edit(60, rule(no_data=NoDataPolicy.BREACH, query=OTHER))
    story.tell([(now, answer(web_2=LO)) for now in range(120, 600, 60)])
    assert story.state() is State.QUIET
    story.edit(660)
    assert not story.world.remembered


def test_a_rule_in_shadow_that_is_edited_keeps_its_alerts_and_has_no_incident() -> None:
    story = Story.of(rule(mode=Mode.SHADOW)).tell([(0, HI)])
    story.edit(60, rule(mode=Mode.SHADOW, query=OTHER))
    assert story.alert().edited


def test_a_trigger_that_nobody_can_have_received_takes_the_key_of_now() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.deliver(0, Refused("bad_request", "wrong key"))
    story.routes = Routes(targets={("web", Severity.P1): (Target("pagerduty", "n" * 32),)})
    story.edit(10, rule())
    sent = [row for row in story.deliver(10) if row.notifier == "pagerduty"]
    assert [row.routing_key for row in sent] == ["n" * 32]


def test_a_trigger_that_may_have_arrived_keeps_its_key_and_so_does_its_resolve() -> None:
    story = told()
    story.routes = Routes(targets={("web", Severity.P1): (Target("pagerduty", "n" * 32),)})
    story.edit(10, rule())
    story.look(60, LO)
    assert [row.routing_key for row in story.deliver(60)] == [KEY]


def test_a_removed_service_strands_nothing() -> None:
    story = told()
    story.routes = Routes()
    story.edit(10)
    assert [(row.action, row.routing_key) for row in story.deliver(10)] == [(Action.RESOLVE, KEY)]


def test_a_severity_that_is_renamed_while_its_series_is_missing_stays_open() -> None:
    story = told()
    story.look(60, answer(web_2=LO))
    story.edit(90, rule(tier(Severity.P3)))
    story.look(120, answer(web_2=LO))
    assert [incident.severity for incident in story.open] == [Severity.P3]


def test_what_was_missing_before_an_edit_does_not_open_again_after_it() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH)).tell([(0, LO)])
    story.tell([(now, answer(web_2=LO)) for now in (60, 120, 180)])
    assert len(story.open) == 1
    story.edit(200, rule(tier(Severity.P0, 99), tier(), no_data=NoDataPolicy.BREACH))
    story.tell([(now, answer(web_2=LO)) for now in range(240, 900, 60)])
    assert reason(story) is CloseReason.EDITED
    assert not story.open


TREND = Trend(Way.RISING, 10.0, share=False, over=3600.0)


def keeping(**fields: object) -> Rule:
    """Return a rule that keeps samples."""
    return rule(replace(tier(), trend=TREND), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("edited", [(keeping(query=OTHER),), ()])
def test_kept_samples_say_nothing_of_another_question(edited) -> None:
    story = Story.of(keeping()).tell([(60, HI), (120, HI)])
    kept = {(width, series) for width, series in story.world.trails["cpu"]}
    assert {series for _, series in kept} == {labels(host="web-1")}
    changes = story.edit(150, *edited)
    assert {(key.width, key.series) for key in changes.chunks} == kept
    assert set(changes.chunks.values()) == {None}
    assert "cpu" not in story.world.trails


def test_kept_samples_outlive_every_other_edit() -> None:
    story = Story.of(keeping()).tell([(60, HI)])
    assert not story.edit(90, keeping(group_by=())).chunks
    assert story.world.trails["cpu"]


def test_silences_and_windows_need_nothing_at_an_edit() -> None:
    story = Story.of(rule()).tell([(60, HI)])
    story.silence(90.0, 600.0)
    story.windows["work"] = Window("work", ALL, 0.0, 600.0)
    assert not story.edit(120, rule())
    story.look(180, HI)
    assert story.open[0].muted.startswith("silenced by ann")
