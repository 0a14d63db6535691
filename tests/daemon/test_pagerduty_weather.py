"""PagerDuty's bad days: nothing is lost, nothing doubled, and the order is kept."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.weather import Weather, answer, hang, reset
from tests.daemon.metrics import Metrics
from tests.daemon.running import KEY, House, Running, rule, settings, until

Story = Callable[..., None]


def actions(pagerduty: PagerDuty) -> list[tuple[str, str]]:
    """Return what was asked of PagerDuty for incidents: action and severity, repeats of a try left out."""
    bodies = [heard.json for heard in pagerduty.log if not heard.json["dedup_key"].endswith("/store")]
    said = [(body["event_action"], body["dedup_key"].rsplit("/", 1)[1]) for body in bodies]
    return said[:1] + [after for before, after in pairwise(said) if before != after]


def calm(pagerduty: PagerDuty, daemon: Running) -> None:
    """Wait until what a start sends has been sent, so that the forecast is for what the test does."""
    until(lambda: len(pagerduty.log) >= 1)
    until(lambda: daemon.metric("rule_evaluations_total") >= 1)


@pytest.mark.parametrize(
    ("weather", "outcome"),
    [
        pytest.param((hang(), hang(take=True)), "retry_timeout", id="hangs"),
        pytest.param((reset(), reset(take=True)), "retry_reset", id="resets"),
        pytest.param((answer(502, b"<html>Bad Gateway"), answer(503)), "retry_server_error", id="5xx"),
        pytest.param((answer(429, retry_after=2),), "retry_rate_limited", id="429"),
        pytest.param((answer(200, b"<html>captive portal"),), "retry_bad_answer", id="200 of somebody else"),
    ],
)
def test_weather_delays_and_neither_loses_nor_doubles(
    house: House, pagerduty: PagerDuty, metrics: Metrics, weather: tuple[Weather, ...], outcome: str
) -> None:
    house.rule(rule("errors"))
    daemon = house.run()
    calm(pagerduty, daemon)
    pagerduty.server.forecast(*weather)
    metrics["errors"] = 20.0
    until(lambda: daemon.said("delivery accepted", action="trigger"))
    assert daemon.metric("deliveries_total", action="trigger", outcome=outcome) == len(weather)
    pagerduty.server.forecast(*weather)
    metrics["errors"] = 0.0
    until(lambda: daemon.said("delivery accepted", action="resolve"))
    assert [found.open for found in pagerduty.incidents()] == [False]
    assert actions(pagerduty) == [("trigger", "P1"), ("resolve", "P1")]
    assert "Traceback" not in daemon.output


def test_retry_after_is_waited_for(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    daemon = house.run()
    calm(pagerduty, daemon)
    before = len(pagerduty.log)
    pagerduty.server.forecast(answer(429, retry_after=3))
    metrics["errors"] = 20.0
    until(pagerduty.open_incidents)
    refused, accepted = pagerduty.log[before:]
    assert (refused.status, accepted.status) == (429, 202)
    assert accepted.at - refused.at >= 2.9


def test_a_refused_trigger_is_told_to_the_fallback_and_sent_once_the_key_is_mended(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    wrong = "Wrong000Wrong000Wrong000Wrong000"
    pagerduty.account.keys = {KEY}
    house.settle(settings(pagerduty.url, metrics.url, services=f'[services.shop]\nrouting_key = "{wrong}"'))
    house.rule(rule("errors", summary='"{value} errors"'))
    metrics["errors"] = 20.0
    daemon = house.run()
    until(lambda: daemon.metric("deliveries_refused") == 1)
    until(lambda: "pagerduty refused the trigger" in daemon.output and "20 errors" in daemon.output)
    assert any("refused by the receiver" in trouble for trouble in daemon.status()["troubles"])
    assert wrong not in daemon.output
    assert wrong not in daemon.get("/")[1]
    house.settle(settings(pagerduty.url, metrics.url))
    (found,) = until(pagerduty.open_incidents)
    assert found.routing_key == KEY
    until(lambda: daemon.metric("deliveries_refused") == 0)
    metrics["errors"] = 0.0
    until(lambda: not found.open)
    assert pagerduty.account.pages == 1


def test_events_that_are_processed_late_are_processed_in_their_order(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    pagerduty.account.delay = 2.0
    house.rule(rule("errors"))
    daemon = house.run()
    metrics["errors"] = 20.0
    until(lambda: daemon.said("delivery accepted", action="trigger"))
    metrics["errors"] = 0.0
    until(lambda: daemon.said("delivery accepted", action="resolve"))
    until(lambda: [found.open for found in pagerduty.incidents()] == [False])


def test_what_came_and_went_while_pagerduty_was_away_is_recorded_and_not_sent(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    house.rule(rule("errors") + rule("others"))
    daemon = house.run()
    calm(pagerduty, daemon)
    with pagerduty.server.refusing():
        metrics["errors"] = 20.0
        until(lambda: daemon.said("incident", what="opened"))
        until(lambda: daemon.said("delivery will be tried again", action="trigger"))
        metrics["errors"] = 0.0
        until(lambda: daemon.said("incident", what="resolved"))
    metrics["others"] = 20.0
    (found,) = until(pagerduty.open_incidents)
    assert found.payload["payload"]["class"] == "others"
    assert pagerduty.account.pages == 1
    until(lambda: daemon.metric("deliveries_pending") == 0)
    (ended,) = daemon.status()["resolved"]
    assert ended["rule"] == "errors"


def test_a_raise_during_an_outage_pages_at_its_end_and_the_old_key_is_resolved_after_it(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    house.rule(rule("errors", P0="{ above = 50 }", P2="{ above = 10 }"))
    metrics["errors"] = 20.0
    daemon = house.run()
    (low,) = until(pagerduty.open_incidents)
    with pagerduty.server.refusing():
        metrics["errors"] = 60.0
        until(lambda: daemon.said("incident", what="raised"))
        until(lambda: daemon.said("delivery will be tried again"))
    until(lambda: not low.open)
    (high,) = pagerduty.open_incidents()
    assert (low.severity, high.severity) == ("warning", "critical")
    assert low.closed_at is not None
    assert high.opened_at <= low.closed_at
    metrics["errors"] = 0.0
    until(lambda: not high.open)
    assert actions(pagerduty) == [("trigger", "P2"), ("trigger", "P0"), ("resolve", "P2"), ("resolve", "P0")]
    assert pagerduty.account.pages == 2


def test_an_incident_raised_and_closed_during_an_outage_ends_the_one_key_that_was_told(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    house.rule(rule("errors", P0="{ above = 50 }", P2="{ above = 10 }"))
    metrics["errors"] = 20.0
    daemon = house.run()
    (low,) = until(pagerduty.open_incidents)
    with pagerduty.server.refusing():
        metrics["errors"] = 60.0
        until(lambda: daemon.said("incident", what="raised"))
        metrics["errors"] = 0.0
        until(lambda: daemon.said("incident", what="resolved"))
    until(lambda: not low.open)
    assert pagerduty.account.pages == 1
