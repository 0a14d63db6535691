"""What an incident's timeline says: everything that happened, in order, with reasons."""

import pytest

from evaluator.engine.maintenance import Selector
from evaluator.engine.rules import Limit, NoDataPolicy, OnlyIf, Op, Query, Recover, Severity
from evaluator.engine.samples import FailureReason, PollFailed, Samples
from evaluator.incidents.commands import CommandKind
from tests.stories import FAILED, HI, LO, MID, NAN, Story, answer, labels, rule, tier

CALM = Recover(Limit(Op.BELOW, 80.0), for_=300.0)
GATE = OnlyIf(Query("prometheus", '{"promql":"traffic"}'), Limit(Op.ABOVE, 50.0))
OPENED = (
    "opened as P2: host=web-1: 95 % is above 90 %, and has been for 2m; breaching since 1970-01-01 00:00:00 UTC, for 2m"
)
BOTH = "P0 host=web-1: {0}; P2 host=web-1: {0}"
BUSY, IDLE = Samples([{}], [100.0]), Samples([{}], [1.0])


def test_the_whole_life_of_an_incident() -> None:
    story = Story.of(rule(tier(Severity.P0, 97, recover=CALM), tier(Severity.P2, 90, for_=120.0, recover=CALM)))
    story.tell([(0, HI), (60, HI), (120, HI)])
    story.deliver(120)
    story.look(180, 99.0)
    story.deliver(180)
    story.tell([(240, 60.0), (300, MID), (360, 41.0)])
    story.look(420, 41.0)
    for now in range(480, 720, 60):
        story.look(now, 41.0)
    assert [(event.kind.value, event.text.partition(" under ")[0]) for event in story.events] == [
        ("opened", OPENED),
        ("sent", "pagerduty accepted the trigger"),
        ("raised", "raised from P2 to P0: host=web-1: 99 % is above 97 %"),
        ("sent", "pagerduty accepted the trigger"),
        ("sent", "pagerduty accepted the resolve"),
        ("recovering", f"recovering: {BOTH.format('60 % is below 80 %; ends when that has lasted 5m')}"),
        ("relapsed", f"relapsed: {BOTH.format('85 % is not below 80 % again, before it had recovered')}"),
        ("recovering", f"recovering: {BOTH.format('41 % is below 80 %; ends when that has lasted 5m')}"),
        ("resolved", "closed: it has recovered, after 9m"),
    ]


def test_what_is_left_after_the_worst_is_over_is_told() -> None:
    story = Story.of(rule(tier(Severity.P0, 97), tier(Severity.P2, 90))).tell([(0, 99.0), (60, HI)])
    assert story.lines("lowered") == ["only P2 is left: host=web-1: 99 % is above 90 %; the incident stays P0"]


def test_what_joins_and_leaves_is_told_in_one_line_each() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, a=HI)
    story.look(60, a=HI, b=HI, c=HI)
    story.look(120, a=HI, b=LO, c=LO)
    assert story.lines("joined", "left") == ["joined: host=b; host=c", "recovered: host=b; host=c"]


def test_what_leaves_says_why() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, a=HI, b=HI, c=HI)
    story.look(60, Samples([{"host": "a"}, {"host": "c"}], [HI, LO], gone=frozenset({labels(host="b")})))
    assert story.lines("left") == ["recovered: host=c", "its source says that it has ended: host=b"]


def test_many_series_are_one_line_that_is_shortened() -> None:
    story = Story.of(rule(tier(recover=Recover(for_=600.0)), group_by=()))
    hosts = {f"h{number:03d}": HI for number in range(200)}
    story.look(0, answer(**hosts))
    for now, value in ((60, LO), (120, HI)):
        story.look(now, answer(**dict.fromkeys(hosts, value)))
    assert story.kinds == ["opened", "recovering", "relapsed"]
    assert all(text.endswith("; and 150 more") for text in story.lines("recovering", "relapsed"))


# Sight.


def test_what_is_unknown_is_told_once_after_more_than_three_steps_and_so_is_sight() -> None:
    story = Story.of(rule()).tell([(0, HI), (60, HI)])
    story.tell([(now, FAILED) for now in (120, 180, 240)])
    assert story.kinds == ["opened"]
    story.tell([(now, FAILED) for now in (300, 360, 420)])
    assert story.lines("unknown") == ["nothing is known of it since 1970-01-01 00:01:00 UTC: no answer in time"]
    assert story.open[0].unknown_told
    story.look(480, HI)
    assert story.lines("sighted") == ["its series can be seen again, after 7m"]
    assert not story.open[0].unknown_told
    story.tell([(now, FAILED) for now in range(540, 900, 60)])
    assert len(story.lines("unknown")) == 2


def test_a_short_stretch_is_not_told_at_all() -> None:
    story = Story.of(rule()).tell([(0, HI), (60, FAILED), (120, FAILED), (180, FAILED), (240, HI)])
    assert story.kinds == ["opened"]


def test_that_it_is_unknown_outlives_a_restart() -> None:
    story = Story.of(rule()).tell([(0, HI), *((now, FAILED) for now in range(60, 360, 60))]).restart(360)
    story.tell([(360, FAILED), (420, HI)])
    assert story.kinds == ["opened", "unknown", "sighted"]


@pytest.mark.parametrize(
    ("blind", "gate", "why"),
    [
        (PollFailed(FailureReason.REFUSED, "nobody listens there"), BUSY, "nobody listens there"),
        (answer(HI), PollFailed(FailureReason.TIMEOUT, "no answer"), "only_if cannot be judged: no answer"),
        (answer(HI), None, "only_if cannot be judged: it was not asked"),
        (answer(HI), IDLE, "only_if does not hold, which ends it once it has lasted 1h"),
        (answer(other=HI), BUSY, "its source answers without it"),
        (answer(NAN), BUSY, "the answers have no value of it"),
    ],
)
def test_it_says_why_nothing_is_known(blind, gate, why) -> None:
    story = Story.of(rule(only_if=GATE))
    story.look(0, HI, gate=BUSY)
    for now in range(60, 360, 60):
        story.look(now, blind, gate=gate)
    assert story.lines("unknown") == [f"nothing is known of it since 1970-01-01 00:00:00 UTC: {why}"]


def test_what_is_told_late_is_not_unknown_in_between() -> None:
    story = Story.of(rule(lag=600.0)).tell([(0, HI), *((now, FAILED) for now in range(60, 781, 60))])
    assert story.kinds == ["opened"]
    story.look(840, FAILED)
    assert story.kinds == ["opened", "unknown"]


def test_after_a_day_a_person_is_told_and_both_end_with_one_line() -> None:
    story = Story.of(rule()).tell([(0, HI), *((now, FAILED) for now in range(3600, 90_000, 3600)), (90_000, HI)])
    assert story.kinds == ["opened", "unknown", "blind", "sighted"]
    assert not story.open[0].blind_told


# People.


def test_commands_are_told_with_who_and_why() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.deliver(0)
    story.obey(60, CommandKind.RESOLVE, story.open[0].id)
    assert story.lines("commanded", "resolved") == [
        "ann resolved it: on it",
        "closed: somebody resolved it by hand, after 1m",
    ]
    (ended,) = story.world.ended_incidents()
    assert (ended.closed_by, ended.told, ended.members) == ("ann", True, (labels(host="web-1"),))


def test_what_fires_after_a_humans_resolve_says_what_held_it_back() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.obey(60, CommandKind.RESOLVE, story.open[0].id)
    story.tell([(now, HI) for now in range(120, 1920, 60)])
    line = story.lines("opened")[-1]
    assert line.endswith("for 31m; held back until now: resolved by ann 29m ago, opens again after 30m")


def test_mutes_that_change_while_they_last_are_told() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.silence(30.0, 600.0)
    story.look(60, HI)
    story.silence(90.0, 900.0)
    story.look(120, HI)
    story.look(600, HI)
    assert len(story.lines("muted")) == 3
    assert story.open[0].muted == "silenced by ann until 1970-01-01 00:15 UTC: disk swap"


def test_a_group_is_muted_only_if_all_of_it_is() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, a=HI, b=HI)
    story.silence(30.0, 600.0, Selector(series={"host": "a"}))
    story.look(60, a=HI, b=HI)
    assert story.open[0].muted == ""
    story.look(120, a=HI, b=LO)
    assert story.open[0].muted.startswith("silenced by ann")


def test_an_incident_whose_rows_were_lost_goes_on_with_the_next_breach() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.world.alerts.clear()
    story.look(60, HI)
    assert story.kinds == ["opened"]
    assert story.open[0].known_at == 60


def test_a_missing_series_that_is_forgotten_says_so() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH, group_by=()))
    story.look(0, a=HI, b=HI)
    for now in range(60, 86_520, 60):
        story.look(now, a=HI)
    assert story.lines("left") == ["missing for so long that it is forgotten: host=b"]
