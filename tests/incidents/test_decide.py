"""Opening, joining, raising, closing: what an incident is after each evaluation."""

import sys

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.rules import Mode, NoDataPolicy, Recover, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.closing import close
from evaluator.incidents.deliveries import Action, DeliveryState
from evaluator.incidents.incident import CloseReason, IncidentState
from tests.stories import FAILED, HI, LO, NAN, Story, answer, labels, rule, tier

DAY = 86_400


def test_an_incident_says_why_with_its_numbers() -> None:
    story = Story.of(
        rule(tier(for_=60), summary="CPU of {host} is {value} ({limit}) since {since}", runbook="https://r")
    )
    story.tell([(0, HI), (60, HI)])
    (incident,) = story.open
    assert incident.title == "CPU of web-1 is 95 % (above 90 %) since 1970-01-01 00:00:00 UTC"
    assert incident.why == "host=web-1: 95 % is above 90 %, and has been for 1m"
    assert (incident.service, incident.severity, incident.value, incident.limit) == ("web", "P1", HI, "above 90 %")
    assert (incident.opened_at, incident.active_at, incident.runbook) == (60, 0, "https://r")


def steps_of(hosts: int) -> int:
    """Return how many calls it takes that so many hosts break, recover and break again, all at once."""
    story = Story.of(rule())
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        for now, value in ((60, HI), (120, LO), (180, HI)):
            story.look(now, answer(**{f"h{number}": value for number in range(hosts)}))
    finally:
        sys.setprofile(None)
    assert len(story.open) == hosts
    return calls


def test_what_many_series_do_at_once_costs_no_more_for_each() -> None:
    assert steps_of(400) < 2.5 * steps_of(200)


def test_a_line_of_the_timeline_stays_readable_whatever_joins() -> None:
    story = Story.of(rule(group_by=()))
    story.look(60, h=HI)
    story.look(120, answer(h=HI, **{f"h{number}": HI for number in range(1000)}))
    story.look(180, answer(h=HI, **{f"h{number}": LO for number in range(1000)}))
    joined, left = (event.text for event in story.events if event.kind.value in ("joined", "left"))
    assert joined.startswith("joined: host=h0; host=h1; ")
    assert left.startswith("recovered: host=h0; host=h1; ")
    assert joined.endswith("; and 950 more")
    assert left.endswith("; and 950 more")


def test_what_is_between_the_limits_does_not_open() -> None:
    story = Story.of(rule(mode=Mode.SHADOW))
    story.look(0, HI)
    story.edit(30, rule(tier(above=96, recover=Recover(limit=None))))
    assert not story.open


def test_what_fires_but_is_unknown_does_not_open() -> None:
    story = Story.of(rule(mode=Mode.SHADOW))
    story.look(0, HI)
    story.edit(30, rule())
    story.tell([(60, FAILED), (120, NAN)])
    assert story.state() is State.FIRING
    assert not story.open
    story.look(180, HI)
    assert len(story.open) == 1


def test_what_is_judged_from_history_opens_only_with_a_live_breach() -> None:
    story = Story.of(rule(tier(for_=600)))
    for now in range(0, 660, 60):
        story.look(now, HI, live=False)
    assert story.state() is State.FIRING
    assert not story.open
    story.look(660, HI)
    assert len(story.open) == 1


def test_history_may_close() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.look(60, LO, live=False)
    assert not story.open


def test_shadow_and_off_open_nothing() -> None:
    story = Story.of(rule(mode=Mode.SHADOW)).tell([(0, HI)])
    assert story.state() is State.FIRING
    assert not story.world.deliveries


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        (None, [labels(host="a", zone="x"), labels(host="b", zone="x"), labels(host="c", zone="y")]),
        ((), [()]),
        (("zone",), [labels(zone="x"), labels(zone="y")]),
        (("rack",), [()]),
    ],
)
def test_group_by_says_what_makes_one_incident(group_by, groups) -> None:
    story = Story.of(rule(group_by=group_by))
    names = [{"host": "a", "zone": "x"}, {"host": "b", "zone": "x"}, {"host": "c", "zone": "y"}]
    story.look(0, Samples(names, [HI, HI, HI]))
    assert [incident.group for incident in story.open] == groups
    assert sum(len(incident.members) for incident in story.open) == 3


def test_a_series_that_joins_updates_the_incident_and_pages_nobody_anew() -> None:
    story = Story.of(rule(group_by=(), summary="CPU of {host}"))
    story.look(0, web_1=HI, web_2=LO)
    story.deliver(0)
    story.look(60, web_1=HI, web_2=HI)
    (incident,) = story.open
    assert incident.title == "CPU of web-1, web-2"
    assert incident.members == (labels(host="web-1"), labels(host="web-2"))
    (sent,) = story.deliver(60)
    assert (sent.action, sent.message.title) == (Action.TRIGGER, "CPU of web-1, web-2")
    assert "joined" in story.kinds


def test_a_series_that_joins_before_anybody_was_told_is_in_the_first_message() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, web_1=HI)
    story.look(60, web_1=HI, web_2=HI)
    (sent,) = story.deliver(60)
    assert sent.message.series == ("host=web-1", "host=web-2")


def test_a_series_that_recovers_leaves_and_the_last_one_closes() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, web_1=HI, web_2=HI)
    story.look(60, web_1=LO, web_2=HI)
    assert story.open[0].members == (labels(host="web-2"),)
    story.look(120, web_1=LO, web_2=LO)
    assert not story.open
    assert story.kinds == ["opened", "left", "resolved", "dropped"]


def test_many_series_are_listed_up_to_a_bound() -> None:
    story = Story.of(rule(group_by=(), summary="CPU of {host}"))
    story.look(0, Samples([{"host": f"h{number:02d}"} for number in range(60)], [HI] * 60))
    (row,) = story.world.deliveries.values()
    assert row.message.title == "CPU of h00, h01, h02, h03, h04 and 55 more"
    assert len(row.message.series) == 51
    assert row.message.series[-1] == "and 10 more"


def test_the_severity_only_rises() -> None:
    story = Story.of(rule(tier(Severity.P0, 95), tier(Severity.P2, 80)))
    severities = []
    for now, value in ((0, 85.0), (60, 99.0), (120, 85.0), (180, 99.0)):
        story.look(now, value)
        severities += [incident.severity.value for incident in story.open]
    assert severities == ["P2", "P0", "P0", "P0"]
    assert story.kinds.count("raised") == 1


def test_a_raise_counts_only_what_breaches_now() -> None:
    story = Story.of(rule(tier(Severity.P0, 95), tier(Severity.P2, 80), group_by=()))
    story.look(0, web_1=85.0, web_2=10.0)
    story.look(60, FAILED)
    assert story.open[0].severity is Severity.P2


def test_the_value_that_speaks_is_the_worst_one() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, web_1=91.0, web_2=99.0, web_3=95.0)
    story.look(60, web_1=91.0, web_2=97.0, web_3=98.0)
    assert story.open[0].value == 98.0


def test_each_way_to_end_has_its_reason() -> None:
    reasons = {}
    for name, end in {
        "recovered": answer(LO),
        "gone": Samples(gone=frozenset({labels(host="web-1")})),
    }.items():
        story = Story.of(rule()).tell([(0, HI), (60, end)])
        (incident,) = story.world.ended_incidents()
        reasons[name] = incident.close_reason
    assert reasons == {"recovered": CloseReason.RECOVERED, "gone": CloseReason.GONE}


def test_an_alert_of_a_job_that_was_never_seen_ends_as_seen_when_one_comes() -> None:
    due, nightly = 7_200.0, Tier(Severity.P1, None, missed=Missed("0 2 * * *", "UTC"))
    story = Story.of(rule(nightly, group_by=()))
    story.tell([(60, Samples()), (due + 60, Samples()), (due + 120, answer(due + 90))])
    (incident,) = story.world.ended_incidents()
    assert incident.close_reason is CloseReason.SEEN
    assert story.lines("resolved") == ["closed: its series was seen for the first time, after 1m"]


def test_what_ended_in_different_ways_has_recovered() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, web_1=HI, web_2=HI)
    story.look(60, Samples([{"host": "web-2"}], [LO], gone=frozenset({labels(host="web-1")})))
    (incident,) = story.world.ended_incidents()
    assert incident.close_reason is CloseReason.RECOVERED


def test_a_day_of_blindness_is_told_once_and_names_the_way_out() -> None:
    story = Story.of(rule())
    story.look(0, HI)
    story.deliver(0)
    for now in range(3600, DAY, 3600):
        story.look(now, FAILED)
    story.deliver(DAY - 1)
    assert "blind" not in story.kinds
    story.look(DAY, FAILED)
    story.look(DAY + 60, FAILED)
    assert story.kinds.count("blind") == 1
    sent = {(row.notifier, row.action) for row in story.deliver(DAY + 60)}
    assert sent == {("pagerduty", Action.TRIGGER), ("console", Action.NOTICE)}
    assert f"evaluator resolve {story.open[0].id}" in story.open[0].why
    story.look(DAY + 120, HI)
    assert story.kinds[-1] == "sighted"
    assert len(story.open) == 1


def test_a_humans_resolve_is_respected_for_half_an_hour() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    given = Circumstances(60.0, story.routes, "test", story.ids)
    story.take(close(story.open[0], CloseReason.RESOLVED_BY_HUMAN, story.world, given))
    story.tell([(now, HI) for now in range(120, 1860, 60)])
    assert not story.open
    story.look(1860, HI)
    assert len(story.open) == 1


def test_an_incident_that_ended_before_anybody_was_told_is_recorded_and_not_sent() -> None:
    story = Story.of(rule()).tell([(0, HI), (60, LO)])
    assert story.deliver(60) == []
    assert story.kinds == ["opened", "resolved", "dropped"]
    (incident,) = story.world.ended_incidents()
    assert incident.state is IncidentState.RESOLVED


def test_without_a_summary_the_rule_and_its_value_are_the_title() -> None:
    assert Story.of(rule()).tell([(0, HI)]).open[0].title == "cpu (host=web-1) is 95 %"
    story = Story.of(rule())
    story.look(0, Samples([{}], [HI]))
    assert story.open[0].title == "cpu is 95 %"
    (row,) = story.world.deliveries.values()
    assert row.message.source == "cpu"


def test_a_missing_series_without_a_value_can_open() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH, file="rules/web.toml", line=3))
    story.look(0, LO)
    story.tell([(now, answer(web_2=LO)) for now in (60, 120, 180)])
    (row,) = story.world.deliveries.values()
    assert (row.message.value, row.message.rule_at) == ("no value", "rules/web.toml:3")
    assert row.state is DeliveryState.PENDING


def test_a_second_episode_is_a_new_incident() -> None:
    story = Story.of(rule()).tell([(0, HI), (60, LO), (120, HI)])
    assert story.kinds.count("opened") == 2
    assert len(story.world.incidents) == 2


def test_while_recovering_it_stays_the_same_incident() -> None:
    story = Story.of(rule(tier(recover=Recover(for_=120)))).tell([(0, HI), (60, LO), (120, HI), (180, LO), (240, LO)])
    assert story.kinds == ["opened", "recovering", "relapsed", "recovering"]
    assert story.events[1].text == "recovering: host=web-1: 10 % is not above 90 %; ends when that has lasted 2m"
    assert story.events[2].text == "relapsed: host=web-1: 95 % is above 90 % again, before it had recovered"
    story.look(300, LO)
    assert story.kinds[4:] == ["resolved", "dropped"]


def test_the_labels_of_the_rule_reach_the_receivers() -> None:
    story = Story.of(rule(labels={"team": "web", "component": "cpu"})).tell([(0, HI)])
    (row,) = story.deliver(0)
    assert row.message.labels == {"component": "cpu", "team": "web"}


def test_while_it_recovers_the_title_goes_on_saying_what_was_wrong() -> None:
    story = Story.of(rule(tier(recover=Recover(for_=60)), summary="CPU is {value}"))
    story.tell([(0, HI), (60, 97.0), (120, LO)])
    assert (story.open[0].title, story.open[0].value) == ("CPU is 97 %", LO)
