"""The world in memory: what it keeps, finds and forgets."""

from dataclasses import replace

from evaluator.engine.calendar import time_text
from evaluator.engine.rules import Rule, RuleSet, Severity
from evaluator.incidents.announce import Circumstances, notice
from evaluator.incidents.changes import Changes, Remembered, Saved
from evaluator.incidents.judge import MARK_EVERY
from evaluator.incidents.messages import message_of, told_of
from evaluator.incidents.routing import CONSOLE, Routes, Target
from evaluator.incidents.world import World
from tests.stories import HI, KEY, LO, PAGERDUTY, WEB, Story, rule


def test_ended_incidents_are_kept_for_a_day_in_memory() -> None:
    story = Story.of(rule()).tell([(0, HI), (60, LO)])
    story.world.forget_old(86_460)
    assert list(story.world.ended_incidents())
    story.world.forget_old(86_461)
    assert not story.world.incidents


def test_rows_of_an_ended_incident_stay_until_all_are_finished() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.deliver(0)
    story.look(60, LO)
    (incident,) = story.world.ended_incidents()
    assert len(story.world.deliveries_of(incident.id)) == 2
    for now in range(60, 7200, 60):
        story.deliver(now)
    assert story.world.deliveries_of(incident.id) == []


def test_a_row_of_no_incident_is_dropped_once_it_is_finished() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    given = Circumstances(0.0, PAGERDUTY, "test", story.ids)
    message = replace(message_of(story.open[0], 0.0), incident="none")
    row = notice(CONSOLE, message, [], given)
    story.take(Changes(deliveries={row.id: row}))
    assert row.id in story.world.deliveries
    story.deliver(0)
    assert row.id not in story.world.deliveries


def test_a_quiet_rule_is_marked_now_and_then_and_not_at_each_look() -> None:
    story = Story.of(rule())
    marks = [bool(story.look(now, LO).judged) for now in range(60, int(MARK_EVERY) + 180, 60)]
    assert marks == [True, *[False] * 9, True, False]
    assert story.look(MARK_EVERY + 240, HI).judged


def test_an_unchanged_world_has_nothing_to_write() -> None:
    story = Story.of(rule()).tell([(60, LO)])
    assert not story.look(120, LO)
    assert not story.edit(150, rule())


def test_changes_add_up() -> None:
    story = Story.of(rule())
    first, second = story.look(0, HI), story.look(60, HI)
    both = Changes()
    both.add(first)
    both.add(second)
    assert both.alerts == second.alerts
    assert both.events == first.events
    assert bool(both)
    assert not Changes()


def test_a_restart_finds_everything_again() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    again = story.restart(30)
    assert again.world.alerts == story.world.alerts
    assert again.open == story.open
    assert again.world.open_incidents("cpu") == story.open
    assert again.world.open_incidents("another") == []


def test_routes_name_each_key_once_for_each_service_that_has_it() -> None:
    routes = Routes(
        targets={
            ("web", Severity.P0): (Target("pagerduty", KEY), CONSOLE),
            ("web", Severity.P1): (Target("pagerduty", KEY),),
            ("db", Severity.P1): (Target("pagerduty", "d" * 32),),
            ("jobs", Severity.P1): (Target("pagerduty", KEY),),
        },
        fallbacks={"db": Target("mail")},
    )
    assert [(service, target.routing_key) for service, target in routes.keyed()] == [
        ("web", KEY),
        ("db", "d" * 32),
        ("jobs", KEY),
    ]
    assert routes.to("web", Severity.P3) == (CONSOLE,)
    assert (routes.fallback("db").notifier, routes.fallback("web")) == ("mail", CONSOLE)


def test_an_impossible_time_is_still_a_text() -> None:
    assert time_text(1e300) == str(1e300)


def test_texts_of_an_incident_whose_rule_lost_its_tier_stay() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    assert told_of(story.open[0], rule(), []) == story.open[0]


def test_a_rule_set_is_found_by_name() -> None:
    one = rule()
    rules = RuleSet({"cpu": one})
    assert (len(rules), rules.get("cpu"), rules.get("x"), list(rules)) == (1, one, None, [one])
    assert isinstance(one, Rule)
    assert one.tier(Severity.P0) is None
    assert (one.query.text, replace(one.query, spec='{"a":1,"b":2}').text) == ("cpu", '{"a":1,"b":2}')
    assert replace(one.query, spec='{"a":1}').text == '{"a":1}'


def test_remembered_series_come_back_too() -> None:
    world = World.load(Saved(series=[Remembered("cpu", WEB, 120.0)]), 0.0)
    assert world.remembered == {"cpu": {WEB: 120.0}}


def test_a_rule_knows_whether_it_is_judged_and_where_it_asks() -> None:
    assert rule().judged
    assert rule().source == "prometheus"
    assert rule(query=replace(rule().query, step=300.0)).step == 300
