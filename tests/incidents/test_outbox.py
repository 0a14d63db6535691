"""Deliveries: order, claims, outcomes, repeats, raises, refusals."""

from dataclasses import replace

import pytest

from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes
from evaluator.incidents.deliveries import Accepted, Action, Delivery, DeliveryState, Refused, RetryLater
from evaluator.incidents.outbox import claim, lane_of, next_due, next_time, overdue, settle
from evaluator.incidents.routing import Routes, Target
from tests.stories import HI, KEY, LO, Story, answer, rule, tier

QUEUED = Accepted(queued=True)
LOST = RetryLater("timeout", "no answer")
NEVER_LEFT = RetryLater("refused", "nobody listens", arrived=False)
NO = Refused("bad_request", "the key is wrong")


def opened() -> Story:
    return Story.of(rule()).tell([(0, HI)])


def only(story: Story) -> Delivery:
    (row,) = story.world.deliveries.values()
    return row


def test_an_incident_is_told_under_its_own_key() -> None:
    story = opened()
    (sent,) = story.deliver(0)
    assert sent.dedup_key == f"evaluator/test/{story.open[0].id}/P1"
    assert (sent.routing_key, sent.notifier, sent.action) == (KEY, "pagerduty", Action.TRIGGER)
    assert KEY not in repr(sent)


def test_the_end_is_told_under_the_same_key() -> None:
    story = opened()
    (trigger,) = story.deliver(0)
    story.look(60, LO)
    (resolve,) = story.deliver(60)
    assert (resolve.action, resolve.dedup_key) == (Action.RESOLVE, trigger.dedup_key)
    assert "it has recovered, after 1m" in resolve.message.closed


def test_an_open_trigger_is_repeated_after_2_and_10_minutes_and_then_hourly() -> None:
    story = opened()
    times = [now for now in range(0, 4 * 3600, 60) if story.deliver(float(now))]
    assert times == [0, 120, 600, 4200, 7800, 11400]


def test_a_resolve_is_repeated_after_2_and_10_minutes_and_an_hour_and_then_is_done() -> None:
    story = opened()
    story.deliver(0)
    story.look(60, LO)
    times = [now - 60 for now in range(60, 4 * 3600, 60) if story.deliver(float(now))]
    assert times == [0, 120, 600, 3600]
    assert not story.world.deliveries


def test_what_is_not_only_queued_is_not_repeated() -> None:
    story = opened()
    story.deliver(0, Accepted())
    assert next_time(story.world.deliveries.values()) == float("inf")
    story.look(60, LO)
    story.deliver(60, Accepted())
    assert not story.world.deliveries


def test_no_trigger_follows_its_resolve() -> None:
    story = opened()
    story.deliver(0)
    story.look(60, LO)
    for now in range(60, 86_400, 60):
        assert all(row.action is Action.RESOLVE for row in story.deliver(float(now)))


@pytest.mark.parametrize("outcome", [LOST, NEVER_LEFT, RetryLater("server_error", "500")])
def test_weather_is_retried_with_back_off_up_to_30_seconds_for_as_long_as_it_takes(outcome) -> None:
    row = only(opened())
    waits, now = [], 0.0
    for _ in range(9):
        row = settle(claim(row), outcome, now, 0.0)
        waits.append(row.due_at - now)
        now = row.due_at
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert row.state is DeliveryState.PENDING
    assert 15 <= settle(row, outcome, now, 1.0).due_at - now < 30


def test_retry_after_is_honoured() -> None:
    row = settle(only(opened()), RetryLater("rate_limited", "429", after=45.0, arrived=False), 0.0, 0.5)
    assert row.due_at == 45


@pytest.mark.parametrize(("outcome", "told"), [(LOST, True), (NEVER_LEFT, False), (NO, False), (QUEUED, True)])
def test_told_means_that_a_request_may_have_arrived(outcome, told) -> None:
    assert settle(only(opened()), outcome, 0.0, 0.5).told is told


@pytest.mark.parametrize(("outcome", "actions"), [(LOST, [Action.RESOLVE]), (NEVER_LEFT, []), (NO, [])])
def test_what_ends_unaccepted_is_resolved_only_if_it_may_have_been_told(outcome, actions) -> None:
    story = opened()
    story.deliver(0, outcome)
    story.look(60, LO)
    sent = [row for row in story.deliver(120) if row.notifier == "pagerduty"]
    assert [row.action for row in sent] == actions


def test_an_end_during_a_request_is_told_after_it() -> None:
    story = opened()
    row = claim(only(story))
    story.take(Changes(deliveries={row.id: row}))
    story.look(60, LO)
    assert next_due(story.world.deliveries.values(), 60) == []
    for outcome in (QUEUED, LOST, NO):
        after = settle(story.world.deliveries[row.id], outcome, 61.0, 0.5)
        assert after.state is DeliveryState.DROPPED
        assert not after.claimed
    story.take(Changes(deliveries={row.id: settle(story.world.deliveries[row.id], LOST, 61.0, 0.5)}))
    (resolve,) = next_due(story.world.deliveries.values(), 61)
    assert resolve.action is Action.RESOLVE


def raised() -> Story:
    story = Story.of(rule(tier(Severity.P0, 95), tier(Severity.P2, 80)))
    story.look(0, 85.0)
    return story


def test_a_raise_triggers_the_new_key_first_and_then_resolves_the_old_one() -> None:
    story = raised()
    story.deliver(0)
    story.look(60, 99.0)
    sent = story.deliver(60)
    assert [(row.action, row.dedup_key[-2:]) for row in sent] == [(Action.TRIGGER, "P0"), (Action.RESOLVE, "P2")]


def test_the_old_key_waits_until_the_new_one_was_accepted() -> None:
    story = raised()
    story.deliver(0)
    story.look(60, 99.0)
    for now, outcome in ((700, LOST), (760, NO)):
        assert [row.action for row in story.deliver(now, outcome) if row.notifier == "pagerduty"] == [Action.TRIGGER]
    sent = story.deliver(1500)
    assert [row.action for row in sent if row.notifier == "pagerduty"] == [Action.TRIGGER, Action.RESOLVE]


def test_a_raise_before_anybody_was_told_is_one_page() -> None:
    story = raised()
    story.look(60, 99.0)
    assert [row.dedup_key[-2:] for row in story.deliver(60)] == ["P0"]


def test_after_a_refused_raise_the_end_still_resolves_the_old_key() -> None:
    story = raised()
    story.deliver(0)
    story.look(60, 99.0)
    story.deliver(60, NO)
    story.look(120, LO)
    sent = [row for row in story.deliver(120) if row.notifier == "pagerduty"]
    assert [(row.action, row.dedup_key[-2:]) for row in sent] == [(Action.RESOLVE, "P2")]


def test_who_is_not_among_the_receivers_of_the_worse_severity_gets_the_news_and_the_end() -> None:
    routes = Routes(
        targets={
            ("web", Severity.P2): (Target("mail"),),
            ("web", Severity.P0): (Target("pagerduty", KEY),),
        }
    )
    story = Story.of(rule(tier(Severity.P0, 95), tier(Severity.P2, 80)), routes=routes)
    story.look(0, 85.0)
    story.deliver(0)
    story.look(60, 99.0)
    sent = {(row.notifier, row.action, row.message.severity.value) for row in story.deliver(60)}
    assert sent == {("mail", Action.TRIGGER, "P0"), ("pagerduty", Action.TRIGGER, "P0")}
    story.look(120, LO)
    assert {(row.notifier, row.action) for row in story.deliver(120)} == {
        ("mail", Action.RESOLVE),
        ("pagerduty", Action.RESOLVE),
    }


def test_a_refusal_is_told_to_the_fallback_once_and_tried_again_every_ten_minutes() -> None:
    story = opened()
    sent = story.deliver(0, NO)
    assert [row.notifier for row in sent] == ["pagerduty", "console"]
    assert sent[1].action is Action.NOTICE
    assert "pagerduty refused the trigger: the key is wrong" in sent[1].message.why
    assert story.deliver(599, NO) == []
    assert [row.notifier for row in story.deliver(600, NO)] == ["pagerduty"]
    assert story.kinds.count("refused") == 1


def test_a_refusing_fallback_is_not_told_of_itself() -> None:
    routes = Routes(targets={("web", Severity.P1): (Target("mail"),)}, fallbacks={"web": Target("mail")})
    story = Story.of(rule(), routes=routes).tell([(0, HI)])
    assert [row.notifier for row in story.deliver(0, NO)] == ["mail"]


def test_news_are_sent_at_once_where_the_trigger_was_accepted_and_wait_where_it_was_not() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, web_1=HI)
    story.deliver(0, LOST)
    story.look(0.5, web_1=HI, web_2=HI)
    assert story.deliver(0.6) == []
    (sent,) = story.deliver(2)
    assert len(sent.message.series) == 2


def test_for_each_key_resolves_go_first_and_then_the_worst_severity() -> None:
    rules = [rule(tier(severity), name=severity.value) for severity in (Severity.P3, Severity.P0, Severity.P2)]
    story = Story.of(*rules, rule(name="old"))
    story.look(0, HI, rule="old")
    story.deliver(0)
    for number, one in enumerate(rules):
        story.look(60 + number, HI, rule=one.name)
    story.look(70, LO, rule="old")
    sent = [(row.action.value, row.message.rule) for row in story.deliver(80)]
    assert sent == [("resolve", "old"), ("trigger", "P0"), ("trigger", "P2"), ("trigger", "P3")]


def test_one_lane_has_one_request_under_way() -> None:
    story = Story.of(rule(group_by=None))
    story.look(0, web_1=HI, web_2=HI)
    (first,) = next_due(story.world.deliveries.values(), 0)
    assert next_due(story.world.deliveries.values(), 0, {lane_of(first)}) == []


def test_what_is_not_written_is_not_sent_and_holds_back_what_comes_behind_it() -> None:
    story = opened()
    row = only(story)
    assert next_due([row], 0, unwritten={row.id}) == []
    story.deliver(0, LOST)
    story.look(60, LO)
    rows = story.world.deliveries.values()
    resolve = next(one for one in rows if one.action is Action.RESOLVE)
    assert next_due(rows, 60, unwritten={resolve.id}) == []


def test_what_is_overdue_keeps_the_heartbeat_away_but_what_is_refused_does_not() -> None:
    story = opened()
    rows = story.world.deliveries
    assert not overdue(rows.values(), 299, 300)
    assert overdue(rows.values(), 300, 300)
    story.deliver(300, NO)
    assert not overdue([row for row in rows.values() if row.notifier == "pagerduty"], 900, 300)
    assert next_time([replace(only(opened()), state=DeliveryState.DONE)]) is None


def test_a_crash_during_a_request_means_told() -> None:
    story = opened()
    row = claim(only(story))
    story.take(Changes(deliveries={row.id: row}))
    again = story.restart(30.0)
    assert only(again).told
    assert not only(again).claimed
    (sent,) = again.deliver(30)
    assert sent.dedup_key == row.dedup_key


def test_a_time_that_a_wrong_clock_wrote_does_not_keep_a_delivery_waiting() -> None:
    story = opened()
    far = replace(only(story), due_at=10.0**10)
    story.take(Changes(deliveries={far.id: far}))
    assert story.restart(60.0).deliver(60)


def test_a_notice_holds_nothing_back() -> None:
    story = Story.of(rule(service="nobody"), rule(name="other", service="nobody"))
    story.tell([(0, HI)])
    assert [row.action for row in story.deliver(0)] == [Action.TRIGGER]
    for now in (3600, 86_400):
        story.look(now, None)
    sent = story.deliver(86_400)
    assert [row.action for row in sent] == [Action.TRIGGER, Action.NOTICE]
    assert answer(LO).values == [LO]


def test_what_is_lower_now_is_told_under_the_same_key() -> None:
    story = Story.of(rule(tier(Severity.P0, 90), tier(Severity.P1, 50)))
    story.look(0, HI)
    (first,) = story.deliver(0)
    story.look(60, 60.0)
    (news,) = story.deliver(60)
    assert (news.action, news.dedup_key) == (Action.TRIGGER, first.dedup_key)
    assert (news.message.severity, news.message.value) == (Severity.P0, "60 %")
    assert "lowered" in story.kinds
    assert story.deliver(61) == []


def test_who_left_is_told_too() -> None:
    story = Story.of(rule(group_by=()))
    story.look(0, web_1=HI, web_2=HI)
    story.deliver(0)
    story.look(60, web_1=HI, web_2=LO)
    (news,) = story.deliver(60)
    assert news.message.series == ("host=web-1",)


def test_a_resolve_that_is_refused_for_ever_holds_up_nothing() -> None:
    story = Story.of(rule(tier(Severity.P0, 90), tier(Severity.P1, 70), tier(Severity.P2, 50)))
    story.look(0, 60.0)
    story.deliver(0)
    story.look(60, 80.0)
    (trigger,) = next_due(story.world.deliveries.values(), 60)
    story.take(Changes(deliveries={trigger.id: settle(trigger, QUEUED, 60, 0.5)}))
    (resolve,) = next_due(story.world.deliveries.values(), 60)
    story.take(Changes(deliveries={resolve.id: settle(resolve, NO, 60, 0.5)}))
    story.look(120, HI)
    assert story.deliver(120)[0].dedup_key.endswith("P0")
    story.look(180, LO)
    assert {row.dedup_key[-2:] for row in story.deliver(180)} == {"P0"}


def test_an_old_key_stays_open_until_any_newer_one_was_accepted() -> None:
    story = Story.of(rule(tier(Severity.P0, 90), tier(Severity.P1, 70), tier(Severity.P2, 50)))
    story.look(0, 60.0)
    story.deliver(0)
    story.look(60, 80.0)
    story.deliver(60, LOST)
    story.look(61, HI)
    sent = [(row.action.value, row.dedup_key[-2:]) for row in story.deliver(61)]
    assert sent[0] == ("trigger", "P0")
    assert sorted(sent[1:]) == [("resolve", "P1"), ("resolve", "P2")]
