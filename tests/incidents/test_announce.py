"""The outbox rows of an incident's beginning, change and end: their keys, their order, and what they supersede."""

from dataclasses import replace
from itertools import count

import pytest

from evaluator.engine.rules import Severity
from evaluator.incidents.announce import (
    Circumstances,
    announce_changed,
    announce_closed,
    announce_opened,
    announce_raised,
    dedup_key,
    live_triggers,
    notice,
    superseded,
)
from evaluator.incidents.deliveries import Action, Delivery, DeliveryState
from evaluator.incidents.incident import CloseReason, Incident, IncidentState
from evaluator.incidents.messages import message_of
from evaluator.incidents.routing import Routes, Target

PAGER, MAIL, CONSOLE = Target("pagerduty", "k" * 32), Target("mail", "m"), Target("console")
ROUTES = Routes(
    targets={
        ("web", Severity.P0): (PAGER, MAIL),
        ("web", Severity.P1): (PAGER, MAIL),
        ("web", Severity.P2): (PAGER, CONSOLE),
    }
)
INCIDENT = Incident(
    id="i1",
    rule="cpu",
    group=(("host", "web-1"),),
    service="web",
    severity=Severity.P1,
    state=IncidentState.OPEN,
    opened_at=100.0,
    active_at=90.0,
    updated_at=100.0,
    title="CPU is high",
    why="95 % is above 90 %",
    members=((("host", "web-1"),),),
)
NOW = 500.0
PENDING, REFUSED, DONE, DROPPED = DeliveryState


def given(now: float = NOW) -> Circumstances:
    """Return circumstances whose ids are n1, n2, ..."""
    return Circumstances(now, ROUTES, "test", map("n{}".format, count(1)).__next__)


def row(target: Target = PAGER, severity: Severity = Severity.P1, seq: int = 1, **fields: object) -> Delivery:
    """Return a trigger of the incident that was made at 100, and accepted once."""
    made = Delivery(
        id=f"{target.notifier}-{seq}",
        seq=seq,
        incident="i1",
        notifier=target.notifier,
        service="web",
        severity=severity,
        action=Action.TRIGGER,
        dedup_key=dedup_key("test", "i1", severity),
        message=message_of(replace(INCIDENT, severity=severity), 100.0),
        created_at=100.0,
        due_at=700.0,
        routing_key=target.routing_key,
        accepted=1,
        told=True,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def test_a_key_names_the_installation_the_incident_and_its_severity() -> None:
    assert dedup_key("test", "i1", Severity.P2) == "evaluator/test/i1/P2"


def test_a_new_incident_is_told_to_each_receiver_of_its_severity() -> None:
    first, second = announce_opened(INCIDENT, [row(seq=7)], given())
    assert first == Delivery(
        id="n1",
        seq=8,
        incident="i1",
        notifier="pagerduty",
        service="web",
        severity=Severity.P1,
        action=Action.TRIGGER,
        dedup_key="evaluator/test/i1/P1",
        message=message_of(INCIDENT, NOW),
        created_at=NOW,
        due_at=NOW,
        routing_key="k" * 32,
    )
    assert (second.notifier, second.routing_key, second.seq, second.id) == ("mail", "m", 1, "n2")


def test_news_go_to_all_whose_trigger_is_open_at_once_where_it_was_accepted() -> None:
    rows = [
        row(),
        row(MAIL, accepted=0),
        row(CONSOLE, due_at=400.0),
        row(CONSOLE, seq=2, action=Action.RESOLVE),
        row(CONSOLE, seq=3, state=DONE),
    ]
    news = message_of(INCIDENT, NOW)
    assert announce_changed(INCIDENT, rows, given()) == [
        replace(rows[0], message=news, due_at=NOW),
        replace(rows[1], message=news),
        replace(rows[2], message=news),
    ]


def test_a_raise_is_a_new_trigger_and_then_the_end_of_each_old_key() -> None:
    rows = [row(severity=Severity.P2), row(severity=Severity.P1, seq=2), row(seq=3, state=DONE), row(MAIL, seq=5)]
    worse = replace(INCIDENT, severity=Severity.P0)
    told = announce_raised(worse, rows, given())
    made = [(each.notifier, each.action.value, each.dedup_key[-2:], each.seq) for each in told if each.id[0] == "n"]
    assert made == [
        ("pagerduty", "trigger", "P0", 4),
        ("pagerduty", "resolve", "P2", 5),
        ("pagerduty", "resolve", "P1", 6),
        ("mail", "trigger", "P0", 6),
        ("mail", "resolve", "P1", 7),
    ]
    assert {each.id: each.state for each in told if each.id[0] != "n"} == {
        "pagerduty-1": DONE,
        "pagerduty-2": DONE,
        "mail-5": DONE,
    }
    assert all(each.message == message_of(worse, NOW) for each in told if each.id[0] == "n")


def test_a_raise_to_a_severity_whose_key_is_open_is_news_under_that_key() -> None:
    rows = [row(severity=Severity.P0), row(severity=Severity.P2, seq=2), row(CONSOLE, Severity.P2)]
    worse = replace(INCIDENT, severity=Severity.P0)
    told = announce_raised(worse, rows, given())
    news = message_of(worse, NOW)
    assert told[0] == replace(rows[0], message=news, due_at=NOW)
    assert told[1] == replace(rows[1], state=DONE)
    assert (told[2].action, told[2].dedup_key[-2:], told[2].seq) == (Action.RESOLVE, "P2", 4)
    assert (told[3].notifier, told[3].action, told[3].seq) == ("mail", Action.TRIGGER, 1)
    # The console is no receiver of P0: it hears the news under the key that it knows.
    assert told[4:] == [replace(rows[2], message=news, due_at=NOW)]


def test_the_end_is_told_under_each_key_that_may_be_open() -> None:
    rows = [
        row(MAIL, seq=3),
        row(severity=Severity.P2, state=REFUSED),
        row(severity=Severity.P1, seq=4, accepted=0, told=False),
        row(severity=Severity.P0, seq=5, accepted=0),
        row(CONSOLE, state=DONE),
    ]
    over = replace(
        INCIDENT, state=IncidentState.RESOLVED, closed_at=NOW, close_reason=CloseReason.RECOVERED, opened_at=440.0
    )
    told = announce_closed(over, rows, given())
    made = [(each.notifier, each.action.value, each.dedup_key[-2:], each.seq) for each in told if each.id[0] == "n"]
    assert made == [
        ("mail", "resolve", "P1", 4),
        ("pagerduty", "resolve", "P2", 6),
        # The third had a place in the order too, which nobody takes.
        ("pagerduty", "resolve", "P0", 8),
    ]
    assert all(each.message == message_of(over, NOW) for each in told if each.id[0] == "n")
    assert message_of(over, NOW).closed == "it has recovered, after 1m"
    assert {each.id: each.state for each in told if each.id[0] != "n"} == {
        "mail-3": DONE,
        "pagerduty-1": DONE,
        "pagerduty-4": DROPPED,
        "pagerduty-5": DROPPED,
    }


@pytest.mark.parametrize(
    ("fields", "state", "resolves"),
    [
        ({"accepted": 1, "told": True}, DONE, True),
        ({"accepted": 1, "told": False}, DONE, True),
        ({"accepted": 0, "told": True}, DROPPED, True),
        ({"accepted": 0, "told": False, "claimed": True}, DROPPED, True),
        ({"accepted": 0, "told": False}, DROPPED, False),
    ],
)
def test_what_is_superseded_is_resolved_if_anybody_may_have_been_told(fields, state, resolves) -> None:
    old = row(MAIL, Severity.P2, **fields)
    ended, *resolve = superseded(old, 9, message_of(INCIDENT, NOW), given())
    assert ended == replace(old, state=state)
    expected = Delivery(
        id="n1",
        seq=9,
        incident="i1",
        notifier="mail",
        service="web",
        severity=Severity.P2,
        action=Action.RESOLVE,
        dedup_key=old.dedup_key,
        message=message_of(INCIDENT, NOW),
        created_at=NOW,
        due_at=NOW,
        routing_key="m",
    )
    assert resolve == ([expected] if resolves else [])


def test_a_resolve_goes_where_its_trigger_went_although_the_service_has_moved() -> None:
    old = row(service="old", severity=Severity.P3)
    _, resolve = superseded(old, 2, message_of(INCIDENT, NOW), given())
    assert (resolve.service, resolve.severity) == ("old", Severity.P3)


def test_triggers_are_live_while_they_are_pending_or_refused() -> None:
    rows = [row(seq=number, state=state) for number, state in enumerate(DeliveryState)]
    assert [each.state for each in live_triggers(rows)] == [PENDING, REFUSED]
    assert live_triggers([row(action=action) for action in Action if action is not Action.TRIGGER]) == []


def test_a_notice_has_a_place_in_the_order_of_its_receiver() -> None:
    message = message_of(INCIDENT, NOW)
    told = notice(MAIL, message, [row(MAIL, seq=4), row(seq=9)], given())
    assert (told.seq, told.action, told.notifier, told.routing_key) == (5, Action.NOTICE, "mail", "m")
    assert (told.dedup_key, told.message, told.created_at) == ("evaluator/test/i1/P1", message, NOW)
