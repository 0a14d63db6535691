"""What an incident says of itself, word by word, and what of it reaches receivers."""

import math
from dataclasses import replace

import pytest

from evaluator.engine.alerts import Alert, AlertKey, State, quiet_alert
from evaluator.engine.damping import Flapping
from evaluator.engine.rules import Limit, Op, Severity, Tier
from evaluator.engine.samples import Series
from evaluator.engine.shapes import Missed
from evaluator.engine.units import TIME
from evaluator.incidents.deliveries import Message
from evaluator.incidents.incident import STORM, Caught, CloseReason, Incident, IncidentState
from evaluator.incidents.messages import (
    CLOSE_SENTENCES,
    caught_text,
    closed_text,
    listed_caught,
    listed_series,
    listed_texts,
    message_of,
    reason_text,
    storm_title,
    told_of,
    worst_of,
)
from tests.stories import labels, rule, tier

INCIDENT = Incident(
    id="i1",
    rule="cpu",
    group=labels(zone="x"),
    service="web",
    severity=Severity.P1,
    state=IncidentState.OPEN,
    opened_at=60.0,
    active_at=0.0,
    updated_at=60.0,
    title="CPU is high",
    why="95 % is above 90 %",
    value=95.0,
    limit="above 90 %",
    unit="percent",
    members=(labels(host="a", zone="x"), labels(host="b", zone="x")),
    runbook="https://runbook",
    dashboard="https://dashboard",
    description="Look at it.",
    rule_at="rules/web.toml:3",
    labels=labels(team="web"),
)


def alert(
    host: str = "a",
    value: float | None = 95.0,
    severity: Severity = Severity.P1,
    state: State = State.FIRING,
    reason: str = "it is so",
) -> Alert:
    made = quiet_alert(AlertKey("cpu", severity, labels(host=host)), 0.0)
    return replace(made, state=state, value=value, reason=reason)


def test_receivers_get_all_that_is_known() -> None:
    assert message_of(INCIDENT, 70.0) == Message(
        incident="i1",
        rule="cpu",
        service="web",
        severity=Severity.P1,
        title="CPU is high",
        why="95 % is above 90 %",
        source="zone=x",
        opened_at=60.0,
        at=70.0,
        value="95 %",
        limit="above 90 %",
        series=("host=a, zone=x", "host=b, zone=x"),
        group="zone=x",
        rule_at="rules/web.toml:3",
        description="Look at it.",
        runbook="https://runbook",
        dashboard="https://dashboard",
        labels={"team": "web"},
        closed="",
    )


@pytest.mark.parametrize(
    ("group", "members", "source"),
    [
        (labels(zone="x"), (labels(host="a", zone="x"),), "zone=x"),
        ((), (labels(host="a"),), "host=a"),
        ((), (labels(host="a"), labels(host="b")), "cpu"),
        ((), ((),), "cpu"),
        ((), (), "cpu"),
    ],
)
def test_a_message_is_about_its_group_or_its_only_series_or_its_rule(group, members, source) -> None:
    assert message_of(replace(INCIDENT, group=group, members=members), 70.0).source == source


def test_a_storm_has_no_value_and_lists_what_it_caught() -> None:
    caught = (Caught("cpu", labels(host="a"), Severity.P0, 1.0), Caught("disk", (), Severity.P2, 2.0))
    storm = replace(INCIDENT, rule=STORM, group=labels(service="web"), caught=caught, members=())
    told = message_of(storm, 70.0)
    assert (told.value, told.series, told.source) == ("", ("P0 cpu (host=a)", "P2 disk"), "service=web")
    assert [caught_text(each) for each in caught] == list(told.series)
    assert storm_title(storm) == "Storm: 2 alerts of web"
    assert storm_title(replace(storm, caught=caught[:1])) == "Storm: 1 alert of web"
    assert storm_title(replace(storm, caught=())) == "Storm: 0 alerts of web"


@pytest.mark.parametrize(
    ("count", "last", "length"), [(50, "h49", 50), (51, "and 1 more", 51), (200, "and 150 more", 51)]
)
def test_fifty_are_listed_and_the_others_are_counted(count: int, last: str, length: int) -> None:
    names = [f"h{number:02d}" for number in range(count)]
    found = [listed_texts(names, count)]
    found.append([text.removeprefix("host=") for text in listed_series([labels(host=name) for name in names], "cpu")])
    caught = [Caught("cpu", labels(host=name), Severity.P0, 1.0) for name in names]
    found.append([text.removeprefix("P0 cpu (host=").removesuffix(")") for text in listed_caught(caught)])
    for texts in found:
        assert (texts[0], texts[-1], len(texts)) == ("h00", last, length)


def test_more_are_counted_than_were_given() -> None:
    assert listed_texts(["a", "b"], 5) == ["a", "b", "and 3 more"]
    assert listed_texts([], 0) == []


def test_a_series_without_labels_is_told_by_another_name() -> None:
    nameless: list[Series] = [(), labels(host="a")]
    assert listed_series(nameless, "cpu") == ["cpu", "host=a"]
    assert reason_text(alert()) == "host=a: it is so"
    assert reason_text(replace(alert(), series=())) == "it is so"


@pytest.mark.parametrize("reason", CloseReason)
def test_the_end_says_why_and_after_how_long(reason: CloseReason) -> None:
    assert CLOSE_SENTENCES[reason]
    closed = replace(INCIDENT, state=IncidentState.RESOLVED, closed_at=150.0, close_reason=reason)
    assert closed_text(closed) == f"{CLOSE_SENTENCES[reason]}, after 1m30s"
    assert message_of(closed, 150.0).closed == closed_text(closed)


def test_what_has_not_ended_says_nothing_of_an_end() -> None:
    assert closed_text(INCIDENT) == ""
    assert closed_text(replace(INCIDENT, closed_at=150.0)) == ""
    assert closed_text(replace(INCIDENT, close_reason=CloseReason.GONE)) == ""


TWO = rule(tier(Severity.P0, 95), tier(Severity.P2, 80))


@pytest.mark.parametrize(
    ("alerts", "speaks"),
    [
        ([alert("a", 81, Severity.P2), alert("b", 99, Severity.P2)], "b"),
        ([alert("a", 99, Severity.P2), alert("b", 96, Severity.P0), alert("c", 97, Severity.P0)], "c"),
        ([alert("a", 96, Severity.P0, State.RECOVERING), alert("b", 81, Severity.P2)], "b"),
        ([alert("a", 81, Severity.P2, State.RECOVERING), alert("b", 96, Severity.P0, State.RECOVERING)], "b"),
        ([alert("a", None, Severity.P2), alert("b", 81, Severity.P2)], "b"),
        ([alert("a", None, Severity.P2), alert("b", None, Severity.P2)], "a"),
        ([alert("a", math.nan, Severity.P2), alert("b", 81, Severity.P2)], "b"),
    ],
)
def test_the_worst_that_fires_speaks_for_all(alerts: list[Alert], speaks: str) -> None:
    worst = worst_of(TWO, alerts)
    assert worst is not None
    assert worst.alert.series == labels(host=speaks)
    assert worst.tier is TWO.tier(worst.alert.severity)


def test_for_a_limit_below_the_lowest_value_speaks() -> None:
    low = rule(replace(tier(), limit=Limit(Op.BELOW, 10.0)))
    worst = worst_of(low, [alert("a", 5), alert("b", 1), alert("c", 9)])
    assert worst is not None
    assert worst.alert.series == labels(host="b")


def test_of_missed_jobs_the_one_without_a_success_for_the_longest_speaks() -> None:
    nightly = rule(replace(tier(), limit=None, missed=Missed("0 2 * * *", "UTC")))
    worst = worst_of(nightly, [alert("a", 5), alert("b", 1), alert("c", 9)])
    assert worst is not None
    assert worst.alert.series == labels(host="b")


def test_nobody_speaks_where_there_is_nothing_or_no_tier_for_it() -> None:
    assert worst_of(TWO, []) is None
    assert worst_of(TWO, [alert(severity=Severity.P1)]) is None
    assert told_of(INCIDENT, TWO, [alert(severity=Severity.P1)]) == INCIDENT


TEXT = "{host}, {team}: {value} ({limit}) since {since}"


def test_its_texts_are_filled_in_with_what_its_alerts_and_its_rule_say() -> None:
    full = rule(
        summary=TEXT,
        description=f"D {TEXT}",
        runbook="r",
        dashboard="d",
        file="rules/a.toml",
        line=7,
        labels={"team": "db", "host": "of the rule"},
    )
    filled = "a, b, db: 95 % (above 90 %) since 1970-01-01 00:00:00 UTC"
    told = told_of(INCIDENT, full, [alert(), alert("b", 91)])
    assert told == replace(
        INCIDENT,
        title=filled,
        why="host=a: it is so",
        limit="above 90 %",
        unit="percent",
        description=f"D {filled}",
        runbook="r",
        dashboard="d",
        rule_at="rules/a.toml:7",
        labels=(("host", "of the rule"), ("team", "db")),
    )


def test_without_a_summary_and_a_file_the_title_is_the_rule_and_its_value() -> None:
    plain = rule(unit=None)
    assert told_of(INCIDENT, plain, [alert()]).title == "cpu (zone=x) is 95"
    told = told_of(replace(INCIDENT, group=()), plain, [alert(value=None)])
    assert (told.title, told.rule_at, told.unit, told.limit) == ("cpu has no value", "", None, "above 90")


@pytest.mark.parametrize(
    ("fields", "value", "title"),
    [
        ({"absent": True}, None, "cpu (zone=x) is absent"),
        ({"missed": Missed("0 2 * * *", "UTC")}, None, "cpu (zone=x) has never succeeded"),
        ({"missed": Missed("0 2 * * *", "UTC")}, 0.0, "cpu (zone=x) has never succeeded"),
        ({"missed": Missed("0 2 * * *", "UTC")}, 7.0, "cpu (zone=x) has not succeeded since 1970-01-01 00:00:07 UTC"),
    ],
)
def test_without_a_summary_the_title_says_what_is_not_there(fields, value, title) -> None:
    lost = rule(Tier(Severity.P1, None, **fields), unit=TIME)
    assert told_of(INCIDENT, lost, [alert(value=value)]).title == title


@pytest.mark.parametrize(
    ("flaps", "damping", "why"),
    [
        (
            True,
            Flapping(3, 3600.0, 900.0),
            "host=a: it is so; opened 3 times within 1h: from now on it ends only when clear has lasted 15m",
        ),
        (False, Flapping(3, 3600.0, 900.0), "host=a: it is so"),
        (True, None, "host=a: it is so"),
    ],
)
def test_what_flaps_says_so(flaps, damping, why) -> None:
    assert told_of(replace(INCIDENT, flapping=flaps), rule(flapping=damping), [alert()]).why == why
