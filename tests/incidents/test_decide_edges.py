"""What a decision remembers of what it held back, and what ends without anything that was seen to end."""

from evaluator.engine.alerts import State
from evaluator.engine.damping import Flapping, Storm
from evaluator.engine.rules import Recover, Severity
from evaluator.engine.samples import Samples
from evaluator.incidents.incident import STORM, CloseReason, IncidentState
from tests.stories import HI, LO, Story, labels, rule, tier

HOUR = 3600.0
SILENCED = "silenced by ann until 1970-01-01 01:00 UTC: disk swap"


def silenced(**fields: object) -> Story:
    story = Story.of(rule(**fields))  # type: ignore[arg-type]
    story.silence(0.0, HOUR)
    return story


def test_what_is_held_back_is_written_once_and_not_at_each_evaluation() -> None:
    story = silenced()
    assert list(story.look(60, HI).held["cpu"].values()) == [SILENCED]
    assert story.look(120, HI).held == {}
    assert story.look(HOUR, HI).held == {"cpu": {}}
    assert story.look(HOUR + 60, HI).held == {}


def test_where_nothing_was_held_back_nothing_is_written_of_it() -> None:
    story = Story.of(rule())
    assert [story.look(now, value).held for now, value in ((60, HI), (120, HI), (180, LO), (240, LO))] == [{}] * 4


def test_what_recovers_is_no_longer_held_back() -> None:
    story = silenced(tiers=(tier(recover=Recover(for_=600.0)),))
    story.tell([(60, HI), (120, LO)])
    assert story.state() is State.RECOVERING
    assert story.world.held == {"cpu": {}}


def test_what_opens_is_open_since_its_evaluation_and_was_seen_in_it() -> None:
    story = Story.of(rule(flapping=Flapping(opens=1, within=60.0, hold=60.0))).tell([(60, HI)])
    (incident,) = story.open
    assert incident.state is IncidentState.OPEN
    assert (incident.opened_at, incident.updated_at, incident.known_at) == (60, 60, 60)
    assert [(event.at, event.kind.value) for event in story.events] == [(60, "opened"), (60, "flapping")]


def test_the_worst_value_says_why_it_opens_and_not_the_first() -> None:
    story = Story.of(rule(group_by=()))
    story.look(60, web_1=91.0, web_2=99.0)
    assert story.lines("opened") == ["opened as P1: host=web-2: 99 % is above 90 %"]


def test_a_severity_that_is_over_is_told_once() -> None:
    story = Story.of(rule(tier(Severity.P0, 97), tier(Severity.P2, 90)))
    story.tell([(60, 99.0), (120, HI), (180, HI), (240, HI)])
    assert story.kinds == ["opened", "lowered"]


def test_what_was_only_pending_says_nothing_of_why_an_incident_ended() -> None:
    story = Story.of(rule(tier(Severity.P1, 97), tier(Severity.P2, 90, for_=600.0), group_by=()))
    story.look(60, web_1=99.0, web_2=HI)
    assert story.state(Severity.P2, labels(host="web-2")) is State.PENDING
    story.look(120, Samples([{"host": "web-2"}], [LO], gone=frozenset({labels(host="web-1")})))
    assert [incident.close_reason for incident in story.world.ended_incidents()] == [CloseReason.GONE]


def test_an_incident_whose_alerts_are_lost_has_recovered() -> None:
    story = Story.of(rule()).tell([(60, HI)])
    story.world.alerts.clear()
    story.look(120, LO)
    assert [incident.close_reason for incident in story.world.ended_incidents()] == [CloseReason.RECOVERED]


def test_a_rule_of_which_everything_is_caught_lets_it_go_when_it_is_quiet() -> None:
    story = Story.of(rule(), rule(name="disk", storm=Storm(opens=1, within=60.0)))
    story.look(60, HI)
    story.look(60, HI, rule="disk")
    (storm,) = story.world.open_incidents(STORM)
    story.look(120, LO, rule="disk")
    assert story.world.incidents[storm.id].close_reason is CloseReason.RECOVERED
    assert [incident.rule for incident in story.open] == ["cpu"]


def test_what_a_storm_has_of_a_rule_whose_alerts_are_lost_has_recovered() -> None:
    story = Story.of(rule(storm=Storm(opens=1, within=60.0)))
    story.look(60, web_1=HI, web_2=HI)
    story.world.alerts.clear()
    story.look(120, web_1=LO, web_2=LO)
    assert story.lines("left") == ["it has recovered: P1 cpu (host=web-2)"]
    assert story.open == []
