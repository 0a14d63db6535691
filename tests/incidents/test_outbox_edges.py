"""What a request's outcome makes of a row, to the second, and who is sent first."""

import math
from dataclasses import replace

import pytest

from evaluator.engine.rules import Severity
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes
from evaluator.incidents.deliveries import Accepted, Action, Delivery, DeliveryState, Refused, RetryLater
from evaluator.incidents.outbox import claim, next_due, next_time, overdue, settle, settled
from evaluator.incidents.routing import Routes, Target
from tests.stories import HI, KEY, LO, Story, rule

QUEUED, TAKEN = Accepted(queued=True), Accepted()
LOST = RetryLater("timeout", "no answer")
NO = Refused("bad_request", "the key is wrong")


@pytest.fixture
def row() -> Delivery:
    """A trigger that was made and is due at 0."""
    (found,) = Story.of(rule()).tell([(0, HI)]).world.deliveries.values()
    return found


def test_an_acceptance_is_counted_and_forgets_what_went_wrong_before(row: Delivery) -> None:
    tried = settle(claim(row), LOST, 10.0, 0.5)
    assert (tried.attempts, tried.error, tried.claimed, tried.told, tried.accepted) == (1, "no answer", False, True, 0)
    taken = settle(claim(tried), QUEUED, 20.0, 0.5)
    assert taken == replace(row, told=True, accepted=1, accepted_at=20.0, due_at=140.0)


@pytest.mark.parametrize("action", [Action.TRIGGER, Action.RESOLVE])
def test_what_was_refused_and_is_accepted_later_is_repeated_like_any_other(row: Delivery, action: Action) -> None:
    refused = settle(claim(replace(row, action=action)), NO, 0.0, 0.5)
    assert (refused.state, refused.due_at, refused.attempts) == (DeliveryState.REFUSED, 600.0, 0)
    assert refused.error == "the key is wrong"
    taken = settle(claim(refused), QUEUED, 600.0, 0.5)
    assert (taken.state, taken.due_at, taken.error) == (DeliveryState.PENDING, 720.0, "")


def test_what_was_refused_and_then_meets_weather_is_retried_as_if_it_had_not_been(row: Delivery) -> None:
    refused = settle(claim(replace(row, attempts=7)), NO, 0.0, 0.5)
    again = settle(claim(refused), LOST, 600.0, 0.0)
    assert (again.state, again.due_at, again.attempts) == (DeliveryState.PENDING, 601.0, 1)


@pytest.mark.parametrize(
    ("attempts", "jitter", "wait"),
    [(0, 0.0, 1), (0, 1.0, 1), (1, 1.0, 1), (2, 0.5, 3), (4, 0.5, 12), (9, 1.0, 15), (9, 0.5, 22.5), (5000, 0.0, 30)],
)
def test_the_wait_doubles_up_to_half_a_minute_less_up_to_half_by_chance(row, attempts, jitter, wait) -> None:
    assert settle(replace(row, attempts=attempts), LOST, 100.0, jitter).due_at == 100 + wait


@pytest.mark.parametrize(("after", "wait"), [(None, 8), (2.0, 8), (8.5, 8.5)])
def test_a_retry_after_counts_where_it_is_longer_than_the_back_off(row, after, wait) -> None:
    assert settle(replace(row, attempts=3), RetryLater("rate_limited", "429", after), 100.0, 0.0).due_at == 100 + wait


@pytest.mark.parametrize("outcome", [QUEUED, LOST, NO])
@pytest.mark.parametrize("state", [DeliveryState.DONE, DeliveryState.DROPPED])
def test_what_was_superseded_meanwhile_stays_so_and_learns_only_whether_it_was_told(row, outcome, state) -> None:
    old = replace(claim(row), state=state, due_at=7.0)
    after = settle(old, outcome, 100.0, 0.5)
    assert (after.state, after.due_at, after.claimed, after.told) == (state, 7.0, False, outcome is not NO)


@pytest.mark.parametrize(
    ("action", "accepted", "outcome", "state", "due_at"),
    [
        (Action.TRIGGER, 0, QUEUED, DeliveryState.PENDING, 220.0),
        (Action.TRIGGER, 1, QUEUED, DeliveryState.PENDING, 580.0),
        (Action.TRIGGER, 2, QUEUED, DeliveryState.PENDING, 3700.0),
        (Action.TRIGGER, 9, QUEUED, DeliveryState.PENDING, 3700.0),
        (Action.TRIGGER, 0, TAKEN, DeliveryState.PENDING, math.inf),
        (Action.RESOLVE, 0, QUEUED, DeliveryState.PENDING, 220.0),
        (Action.RESOLVE, 2, QUEUED, DeliveryState.PENDING, 3100.0),
        (Action.RESOLVE, 3, QUEUED, DeliveryState.DONE, 0.0),
        (Action.RESOLVE, 0, TAKEN, DeliveryState.DONE, 0.0),
        (Action.NOTICE, 0, QUEUED, DeliveryState.DONE, 0.0),
    ],
)
def test_what_was_only_queued_is_repeated_as_often_as_its_action_wants(
    row, action, accepted, outcome, state, due_at
) -> None:
    after = settle(replace(row, action=action, accepted=accepted), outcome, 100.0, 0.5)
    assert (after.state, after.due_at, after.accepted) == (state, due_at, accepted + 1)


def test_the_first_acceptance_is_a_line_of_the_timeline_and_no_later_one() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    (incident,) = story.open
    story.deliver(3)
    story.deliver(200)
    (sent,) = [event for event in story.events if event.kind.value == "sent"]
    assert (sent.incident, sent.at) == (incident.id, 3)
    assert sent.text == f"pagerduty accepted the trigger under evaluator/test/{incident.id}/P1"


def test_a_refusal_is_told_with_its_time_and_behind_what_its_fallback_was_told() -> None:
    pager, mail = Target("pagerduty", KEY), Target("mail")
    routes = Routes(targets={("web", Severity.P1): (pager, mail)}, fallbacks={"web": mail})
    story = Story.of(rule(), routes=routes).tell([(0, HI)])
    (incident,) = story.open
    story.deliver(5, NO)
    told = {(row.notifier, row.action): row for row in story.world.deliveries_of(incident.id)}
    notice = told["mail", Action.NOTICE]
    assert (notice.seq, told["mail", Action.TRIGGER].seq) == (2, 1)
    assert (notice.message.at, notice.created_at, notice.incident) == (5, 5, incident.id)
    assert notice.message.why == f"pagerduty refused the trigger: the key is wrong. {incident.why}"
    lines = [event for event in story.events if event.kind.value == "refused"]
    assert [(event.incident, event.at, event.text) for event in lines] == [
        (incident.id, 5, "pagerduty refused the trigger: the key is wrong"),
        (incident.id, 5, "mail refused the trigger: the key is wrong"),
        (incident.id, 5, "mail refused the notice: the key is wrong"),
    ]


def test_a_refusal_of_what_was_superseded_meanwhile_is_told_to_nobody() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    (claimed,) = [claim(row) for row in story.world.deliveries.values()]
    story.take(Changes(deliveries={claimed.id: claimed}))
    story.look(60, LO)
    changes = settled(story.world, claimed.id, NO, Circumstances(61.0, story.routes, "test", story.ids), 0.5)
    assert (list(changes.deliveries), changes.events) == ([claimed.id], [])
    assert changes.deliveries[claimed.id].state is DeliveryState.DROPPED


def made(row: Delivery, name: str, **fields: object) -> Delivery:
    """Return another row, of an incident of its own."""
    return replace(row, id=name, incident=name, **fields)  # type: ignore[arg-type]


def test_the_most_urgent_goes_first_resolves_then_severity_then_who_waits_longest_then_who_was_first(row) -> None:
    keys = {"routing_key": ""}
    rows = [
        made(row, "e", severity=Severity.P1, due_at=5.0, notifier="n1", **keys),
        made(row, "d", severity=Severity.P1, due_at=5.0, notifier="n2", **keys),
        made(row, "c", severity=Severity.P1, due_at=4.0, notifier="n3", **keys),
        made(row, "b", severity=Severity.P0, due_at=9.0, notifier="n4", **keys),
        made(row, "a", severity=Severity.P3, due_at=9.0, notifier="n5", action=Action.RESOLVE, **keys),
        made(row, "f", severity=Severity.P2, due_at=1.0, notifier="n6", action=Action.NOTICE, **keys),
        made(row, "later", due_at=10.1, notifier="n7", **keys),
    ]
    assert [each.id for each in next_due(rows, 10.0)] == ["a", "b", "c", "d", "e", "f"]
    assert [each.id for each in next_due(reversed(rows), 10.0)] == ["a", "b", "c", "d", "e", "f"]
    one_lane = [replace(each, notifier="n") for each in rows]
    assert [each.id for each in next_due(one_lane, 10.0)] == ["a"]
    assert [each.id for each in next_due(reversed(one_lane), 10.0)] == ["a"]


def test_a_busy_lane_and_what_is_not_written_hold_back_only_themselves(row) -> None:
    rows = [made(row, "a", notifier="n1"), made(row, "b", notifier="n2"), made(row, "c", notifier="n3")]
    assert [each.id for each in next_due(rows, 0.0, busy={("n1", KEY)}, unwritten={"b"})] == ["c"]


def test_nothing_that_is_finished_or_under_way_is_sent(row) -> None:
    assert next_due([replace(row, state=DeliveryState.DONE), made(row, "x", state=DeliveryState.DROPPED)], 0.0) == []
    assert [each.id for each in next_due([claim(row), made(row, "other")], 0.0)] == ["other"]
    assert [each.id for each in next_due([replace(row, state=DeliveryState.REFUSED)], 0.0)] == [row.id]


def test_the_next_time_is_that_of_what_waits_and_is_not_under_way(row) -> None:
    rows = [
        replace(row, due_at=30.0),
        replace(row, due_at=20.0, state=DeliveryState.REFUSED),
        replace(row, due_at=10.0, claimed=True),
        replace(row, due_at=5.0, state=DeliveryState.DONE),
    ]
    assert next_time(rows) == 20.0
    assert next_time(rows[2:]) is None


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, True),
        ({"created_at": 0.1}, False),
        ({"accepted": 1}, False),
        ({"state": DeliveryState.REFUSED}, False),
        ({"state": DeliveryState.DONE}, False),
    ],
)
def test_only_what_nobody_accepted_for_so_long_is_overdue(row, fields, found) -> None:
    assert overdue([replace(row, **fields)], 300.0, 300.0) is found
