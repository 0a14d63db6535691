"""PagerDuty: the event, its limits, its meanings, and the weather on the way."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Accepted, Action, Delivery, Message, Outcome, Refused, RetryLater
from evaluator.notifiers.notifier import Notifier, NotifierType
from evaluator.notifiers.pagerduty import PagerDutyNotifier, PagerDutySettings, dedup_key, event
from evaluator.notifiers.shortening import MARK, encoded
from evaluator.testing.notifiers import (
    AWKWARD_MESSAGES,
    NOW,
    ROUTING_KEY,
    HttpNotifierConformance,
    a_delivery,
    a_message,
    run,
    sent,
)
from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.pagerduty_account import LARGEST_EVENT, Account, problems
from evaluator.testing.wire import Heard, Reply, answer, drip, hang, reset


def notifier_at(url: str, timeout: float = 10.0) -> PagerDutyNotifier:
    settings = PagerDutySettings.model_validate({"events_url": url, "timeout": f"{timeout}s"})
    return PagerDutyNotifier("pagerduty", settings, "test")


class TestConformance(HttpNotifierConformance):
    takes_notices = False

    def make(self, url: str, timeout: float) -> Notifier:
        return notifier_at(url, timeout)

    def reply(self, heard: Heard) -> Reply:
        assert heard.path == "/v2/enqueue"
        status, said = Account().receive(heard.body, heard.at)
        return Reply(status, json.dumps(said).encode())


@pytest.fixture
def pagerduty() -> Iterator[PagerDuty]:
    with PagerDuty() as server:
        yield server


def tell(pagerduty: PagerDuty, *deliveries: Delivery, timeout: float = 10.0) -> list[Outcome]:
    outcomes: list[Outcome] = run(sent(notifier_at(pagerduty.url, timeout), *deliveries))
    return outcomes


def test_it_is_a_notifier_type() -> None:
    kind: NotifierType = PagerDutyNotifier
    assert kind.Settings is PagerDutySettings


def test_a_trigger_opens_and_a_resolve_closes_the_same_incident(pagerduty: PagerDuty) -> None:
    outcomes = tell(pagerduty, a_delivery(), a_delivery(Action.ACKNOWLEDGE), a_delivery(Action.RESOLVE))
    assert outcomes == [Accepted(queued=True)] * 3
    (incident,) = pagerduty.incidents()
    assert [what for _, what in incident.log] == ["trigger", "acknowledge by event", "resolve by event"]
    assert not pagerduty.open_incidents()


def test_the_event_says_what_the_contract_promises() -> None:
    body = event(a_delivery(), "production", "https://evaluator.example.com")
    assert problems(body) == []
    details = body["payload"].pop("custom_details")
    assert body == {
        "routing_key": ROUTING_KEY,
        "event_action": "trigger",
        "dedup_key": "evaluator/test/01M5VK3T0XB6Z2M4E8K9Q1R7SW/P1",
        "client": "evaluator production",
        "client_url": "https://evaluator.example.com",
        "links": [
            {"href": "https://runbooks.example.com/cpu-high", "text": "Runbook"},
            {"href": "https://dashboards.example.com/d/cpu?var-host=web-1#now", "text": "Dashboard"},
            {
                "href": "https://evaluator.example.com/incidents/01M5VK3T0XB6Z2M4E8K9Q1R7SW",
                "text": "Incident in evaluator",
            },
        ],
        "payload": {
            "summary": "CPU of web-1 is 95 %",
            "source": "host=web-1",
            "severity": "error",
            "component": "host=web-1",
            "group": "infrastructure",
            "class": "cpu-high",
            "timestamp": "2026-09-21T14:12:20.000Z",
        },
    }
    assert details == {
        "why": "95 % is above 90 % since 10m",
        "value": "95 %",
        "limit": "above 90 %",
        "since": "2026-09-21T14:12:20Z, 1m ago",
        "series": ["host=web-1"],
        "group": "host=web-1",
        "description": "The machine is busy.",
        "rule": "cpu-high",
        "rule_at": "rules/cpu.toml:3",
        "labels": {"team": "web"},
        "instance": "production",
        "incident": "01M5VK3T0XB6Z2M4E8K9Q1R7SW",
    }


@pytest.mark.parametrize("action", [Action.ACKNOWLEDGE, Action.RESOLVE])
def test_an_acknowledge_or_resolve_carries_the_keys_alone(action: Action) -> None:
    body = event(a_delivery(action), "production", "https://evaluator.example.com")
    assert set(body) == {"routing_key", "event_action", "dedup_key"}


def test_severities_are_pagerdutys() -> None:
    said = {severity: event(a_delivery(message=a_message(severity=severity)), "x") for severity in Severity}
    assert [said[severity]["payload"]["severity"] for severity in Severity] == ["critical", "error", "warning", "info"]


def test_a_rules_label_names_the_component() -> None:
    message = a_message(labels={"component": "database"})
    assert event(a_delivery(message=message), "x")["payload"]["component"] == "database"


def test_what_is_no_link_stays_readable_in_the_details() -> None:
    message = a_message(runbook="ask Ada", dashboard="javascript:alert(1)")
    body = event(a_delivery(message=message), "x")
    assert "links" not in body
    assert body["payload"]["custom_details"]["runbook"] == "ask Ada"
    assert body["payload"]["custom_details"]["dashboard"] == "javascript:alert(1)"


@pytest.mark.parametrize("name", AWKWARD_MESSAGES)
def test_limits_are_met_by_shortening(name: str) -> None:
    account = Account()
    message = AWKWARD_MESSAGES[name]
    body = event(a_delivery(message=message), "x" * 5000, "https://evaluator.example.com")
    assert account.receive(encoded(body), NOW)[0] == 202
    assert account.ignored == []
    details = body["payload"]["custom_details"]
    for field in ("why", "value", "limit", "description"):
        assert (field in details) is bool(getattr(message, field)), field


def test_the_largest_details_are_shortened_and_say_so() -> None:
    message = a_message(description="\U0001f525" * 200_000, series=tuple(f"host=web-{n}" for n in range(60_000)))
    body = event(a_delivery(message=message), "x")
    assert LARGEST_EVENT - 2000 < len(encoded(body)) <= LARGEST_EVENT
    details = body["payload"]["custom_details"]
    assert details["description"].endswith(MARK)
    assert details["series"][0] == "host=web-0"
    assert details["series"][-1].endswith("more, shortened")
    assert details["why"] == message.why
    assert [link["text"] for link in body["links"]] == ["Runbook", "Dashboard"]


def test_a_long_summary_is_cut_to_the_character() -> None:
    body = event(a_delivery(message=a_message(title="\U0001f525" * 2000)), "x")
    assert body["payload"]["summary"] == "\U0001f525" * 1023 + "…"


def test_a_key_is_the_same_for_each_action_and_different_keys_stay_different() -> None:
    long = "evaluator/" + "ü" * 300
    assert dedup_key(long + "/a") == dedup_key(long + "/a") != dedup_key(long + "/b")
    assert len(dedup_key(long).encode()) <= 255
    assert dedup_key("evaluator/x/1/P1") == "evaluator/x/1/P1"
    assert dedup_key("a\ud800") != dedup_key("a\ud801")


def test_a_notice_has_no_place_and_is_refused_without_a_request(pagerduty: PagerDuty) -> None:
    (outcome,) = tell(pagerduty, a_delivery(Action.NOTICE))
    assert isinstance(outcome, Refused)
    assert pagerduty.log == []


def test_a_service_without_a_key_is_refused_without_a_request(pagerduty: PagerDuty) -> None:
    (outcome,) = tell(pagerduty, a_delivery(routing_key=""))
    assert outcome == Refused("no_key", 'service "infrastructure" has no PagerDuty routing key')
    assert pagerduty.log == []


def test_a_refusal_has_pagerdutys_own_words_and_not_the_key(pagerduty: PagerDuty) -> None:
    (outcome,) = tell(pagerduty, a_delivery(routing_key="too-short"))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "bad_request"
    assert outcome.message == (
        "PagerDuty answered 400: invalid event - Event object is invalid - Length of 'routing_key' is incorrect "
        "(should be 32 characters) - 'routing_key' cannot contain non-alphanumeric characters."
    )


@pytest.mark.parametrize("body", [b"<html><title>Please log in</title></html>", b"", b'{"status": "error"}'])
def test_a_200_that_is_not_pagerdutys_is_no_success(pagerduty: PagerDuty, body: bytes) -> None:
    pagerduty.server.forecast(answer(200, body))
    (outcome,) = tell(pagerduty, a_delivery())
    assert isinstance(outcome, RetryLater)
    assert outcome.reason == "bad_answer"


def test_a_202_whose_body_never_ends_is_accepted(pagerduty: PagerDuty) -> None:
    pagerduty.server.forecast(drip(every=0.2))
    assert tell(pagerduty, a_delivery(), timeout=0.3) == [Accepted(queued=True)]


def test_a_repeat_after_a_lost_answer_pages_nobody_twice(pagerduty: PagerDuty) -> None:
    pagerduty.server.forecast(reset(take=True), hang(take=True), answer(500, take=True), answer(429), None)
    outcomes = tell(pagerduty, *[a_delivery()] * 5, timeout=0.3)
    assert [getattr(outcome, "reason", "") for outcome in outcomes] == [
        "reset",
        "timeout",
        "server_error",
        "rate_limited",
        "",
    ]
    assert [getattr(outcome, "arrived", True) for outcome in outcomes] == [True, True, True, False, True]
    (incident,) = pagerduty.incidents()
    assert (incident.triggers, pagerduty.account.pages) == (4, 1)


@pytest.mark.parametrize(
    ("url", "path"),
    [("{}", "/v2/enqueue"), ("{}/", "/v2/enqueue"), ("{}/v2/enqueue", "/v2/enqueue"), ("{}/eu", "/eu/v2/enqueue")],
)
def test_the_address_may_be_written_in_the_usual_ways(pagerduty: PagerDuty, url: str, path: str) -> None:
    run(sent(notifier_at(url.format(pagerduty.url)), a_delivery()))
    assert pagerduty.log[0].path == path


@pytest.mark.parametrize(
    "wrong",
    [
        {"events_url": "events.pagerduty.com"},
        {"events_url": "ftp://events.pagerduty.com"},
        {"events_url": "https://user:word@events.pagerduty.com"},
        {"events_url": "https://events.pagerduty.com/?a=b"},
        {"events_url": "https://events.pager duty.com"},
        {"events_url": "https://x:99999"},
        {"timeout": 10},
        {"timeout": "10"},
        {"timeout": "0s"},
        {"timeout": "2m"},
        {"ca": "/nowhere/ca.pem"},
        {"ca": __file__},
        {"routing_key": ROUTING_KEY},
    ],
)
def test_wrong_settings_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PagerDutySettings.model_validate(wrong)


# Everything JSON and terminals choke on: controls, surrogates, marks of direction, four-byte characters.
_texts = st.one_of(
    st.text(st.characters(), max_size=60),
    st.text(st.characters(categories=["Cc", "Cs", "Cf", "So"]), max_size=60),
    st.builds(
        lambda text, times: text * times, st.text(st.characters(), min_size=1, max_size=8), st.integers(1, 90_000)
    ),
    st.sampled_from(["https://example.com/x", "http://[", "https://", "mailto:a@b", "//x", "https://a\u2028b/"]),
)
_messages = st.builds(
    Message,
    incident=_texts,
    rule=_texts,
    service=_texts,
    severity=st.sampled_from(Severity),
    title=_texts,
    why=_texts,
    source=_texts,
    opened_at=st.floats(),
    at=st.floats(),
    value=_texts,
    limit=_texts,
    series=st.lists(_texts, max_size=5).map(tuple),
    group=_texts,
    rule_at=_texts,
    description=_texts,
    runbook=_texts,
    dashboard=_texts,
    labels=st.dictionaries(_texts, _texts, max_size=4),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(message=_messages, key=_texts.filter(bool), instance=_texts, action=st.sampled_from(list(Action)[:3]))
def test_any_message_makes_an_event_that_pagerduty_takes(
    message: Message, key: str, instance: str, action: Action
) -> None:
    account = Account()
    delivery = replace(a_delivery(action, message), dedup_key=key)
    body = event(delivery, instance, "https://evaluator.example.com")
    status, said = account.receive(encoded(body), NOW)
    assert status == 202, said
    assert account.ignored == []
    details = body.get("payload", {}).get("custom_details", {})
    assert all(
        field in details for field in ("why", "value", "description") if body.get("payload") and getattr(message, field)
    )


@contextlib.contextmanager
def _environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name in (
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "NO_PROXY",
            "no_proxy",
            "ALL_PROXY",
            "all_proxy",
        ):
            patch.delenv(name, raising=False)
        for name, value in values.items():
            patch.setenv(name, value)
        yield


def test_a_proxy_that_is_not_there_is_weather(monkeypatch: pytest.MonkeyPatch, pagerduty: PagerDuty) -> None:
    with pagerduty.server.refusing(), _environment(monkeypatch, http_proxy=pagerduty.url):
        (outcome,) = run(sent(notifier_at("http://events.example.com"), a_delivery()))
    assert isinstance(outcome, RetryLater)
    assert not outcome.arrived


def test_a_proxy_that_will_not_connect_is_weather(monkeypatch: pytest.MonkeyPatch, pagerduty: PagerDuty) -> None:
    # The look-alike knows no CONNECT, and says so.
    with _environment(monkeypatch, https_proxy=pagerduty.url):
        (outcome,) = run(sent(notifier_at("https://events.example.com"), a_delivery()))
    assert isinstance(outcome, RetryLater)
    assert (outcome.reason, outcome.arrived) == ("proxy", False)


def test_a_handshake_that_never_ends_is_a_timeout_and_nothing_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        (outcome,) = run(sent(notifier_at(url, timeout=0.3), a_delivery()), within=5.0)
    assert outcome == RetryLater("timeout", "127.0.0.1: no answer within 0.3 s", arrived=False)
