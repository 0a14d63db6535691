"""The look-alike does what PagerDuty's documentation says."""

import json
import math
import socket
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from evaluator.testing.pagerduty import PagerDuty, main
from evaluator.testing.pagerduty_account import Account, Status, problems

KEY = "a" * 32
OTHER = "b" * 32


def body(action: str = "trigger", key: object = "k", **changes: object) -> dict[str, Any]:
    made: dict[str, Any] = {"routing_key": KEY, "event_action": action}
    if key is not None:
        made["dedup_key"] = key
    if action == "trigger":
        made["payload"] = {"summary": "s", "source": "x", "severity": "error"}
    return {**made, **changes}


def payload(**changes: object) -> dict[str, Any]:
    return body(payload={"summary": "s", "source": "x", "severity": "error", **changes})


def test_an_event_is_answered_as_documented() -> None:
    account = Account()
    assert account.event(body(), 1.0) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "k"},
    )
    status, said = account.event({}, 1.0)
    assert (status, said["status"], said["message"]) == (400, "invalid event", "Event object is invalid")
    assert "'routing_key' is missing or blank" in said["errors"]


@pytest.mark.parametrize(
    "good",
    [
        body(),
        body(key=None),
        body("resolve"),
        body("acknowledge"),
        payload(summary="x" * 1024),
        body(key="k" * 255),
        payload(timestamp="2015-07-17T08:42:58.315+0000", component="mysql", group="g"),
        payload(custom_details={"load avg": 0.75}, **{"class": "disk"}),
        body(links=[{"href": "http://pagerduty.example.com", "text": "An example link."}], client="c", client_url="u"),
        body(images=[{"src": "https://chart.googleapis.com/chart?x", "href": "https://google.com", "alt": "a"}]),
    ],
)
def test_documented_shapes_are_taken(good: dict[str, Any]) -> None:
    assert problems(good) == []


@pytest.mark.parametrize(
    "bad",
    [
        body(routing_key="a" * 31),
        body(routing_key="a" * 33),
        body(routing_key="a-" * 16),
        body(routing_key="ä" * 32),
        body(routing_key=None),
        body("Trigger"),
        body("resolve", key=None),
        body("acknowledge", key=""),
        body(key="k" * 256),
        body(key=7),
        body(payload=None),
        body(payload="text"),
        body(links={}),
        body(links=[{"text": "no address"}]),
        body(links=[{"href": "javascript:alert(1)"}]),
        body(images=[{"src": "http://insecure.example.com/x.png"}]),
        body(client=7),
        payload(summary="x" * 1025),
        payload(summary=" "),
        payload(source=""),
        payload(source=None),
        payload(severity="Info"),
        payload(severity="high"),
        payload(custom_details="text"),
        payload(timestamp="2015-07-17T08:42:58"),
        payload(timestamp="yesterday"),
        payload(timestamp=7),
        payload(component=7),
    ],
)
def test_documented_limits_are_enforced(bad: dict[str, Any]) -> None:
    assert Account().event(bad, 1.0)[0] == 400


def test_a_body_of_512_kb_is_the_largest() -> None:
    frame = len(json.dumps(payload(custom_details={"x": ""})))
    account = Account()
    fits = json.dumps(payload(custom_details={"x": "y" * (512_000 - frame)})).encode()
    assert len(fits) == 512_000
    assert account.receive(fits, 1.0)[0] == 202
    assert account.receive(fits + b" ", 1.0)[0] == 413


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_unrecognized(content: bytes) -> None:
    assert Account().receive(content, 1.0)[0] == 400


def test_a_trigger_on_an_open_alert_pages_nobody() -> None:
    account = Account()
    account.event(body(), 1.0)
    account.event(payload(summary="newer", severity="critical"), 2.0)
    (incident,) = account.incidents()
    assert (incident.triggers, incident.summary, incident.severity, account.pages) == (2, "newer", "critical", 1)


def test_a_trigger_on_an_acknowledged_alert_leaves_it_acknowledged() -> None:
    account = Account()
    for at, event in enumerate([body(), body("acknowledge"), body()]):
        account.event(event, float(at))
    (incident,) = account.incidents()
    assert (incident.status, incident.acknowledged_at, account.pages) == (Status.ACKNOWLEDGED, 1.0, 1)


def test_a_trigger_on_a_resolved_alert_is_a_new_incident() -> None:
    account = Account()
    for at, event in enumerate([body(), body("resolve"), body()]):
        account.event(event, float(at))
    first, second = account.incidents("k")
    assert (first.opened_at, first.closed_at, first.closed_by) == (0.0, 1.0, "event")
    assert (second.opened_at, second.open, account.pages) == (2.0, True, 2)


def test_a_trigger_without_a_key_is_always_a_new_alert() -> None:
    account = Account()
    keys = {account.event(body(key=None), 1.0)[1]["dedup_key"] for _ in range(2)}
    assert len(keys) == len(account.incidents()) == 2


def test_an_end_without_a_beginning_is_accepted_and_dropped() -> None:
    account = Account()
    assert account.event(body("resolve"), 1.0)[0] == account.event(body("acknowledge"), 2.0)[0] == 202
    assert account.incidents() == []
    assert account.dropped == [(1.0, "resolve", "k"), (2.0, "acknowledge", "k")]


def test_a_key_belongs_to_its_routing_key() -> None:
    account = Account()
    account.event(body(), 1.0)
    account.event(body(routing_key=OTHER), 2.0)
    account.event(body("resolve", routing_key=OTHER), 3.0)
    assert [incident.open for incident in account.incidents("k")] == [True, False]


def test_an_unknown_routing_key_is_refused() -> None:
    assert Account(keys={OTHER}).event(body(), 1.0)[1]["errors"] == ["Invalid routing key"]


def test_accepted_is_not_processed() -> None:
    account = Account(delay=10.0)
    account.event(body(), 1.0)
    account.advance(10.9)
    assert account.incidents() == []
    account.advance(11.0)
    assert account.incidents()[0].opened_at == 11.0


def test_events_are_processed_in_the_order_of_their_times_not_of_their_arrival() -> None:
    account = Account(delay=10.0)
    account.event(body(), 1.0)
    account.delay = 0.0
    account.event(body("resolve"), 2.0)
    account.advance(20.0)
    assert account.dropped == [(2.0, "resolve", "k")]
    assert len(account.open_incidents()) == 1


def test_an_accepted_event_can_be_lost() -> None:
    account = Account(delay=math.inf)
    assert account.event(body(), 1.0)[0] == 202
    account.advance(1e12)
    assert (account.incidents(), account.dropped) == ([], [(1.0, "trigger", "k")])


def test_fields_that_pagerduty_does_not_know_are_noted() -> None:
    account = Account()
    account.event({**payload(links=[]), "colour": "red"}, 1.0)
    assert account.ignored == ["colour", "payload.links"]


def test_people_acknowledge_and_resolve_in_the_app() -> None:
    account = Account()
    account.event(body(), 1.0)
    (incident,) = account.incidents()
    account.human_acknowledges(incident, 2.0)
    account.human_resolves(incident, 3.0)
    account.human_resolves(incident, 4.0)
    assert (incident.acknowledged_at, incident.closed_at, incident.closed_by) == (2.0, 3.0, "human")
    assert account.open_incidents() == []


def test_no_routing_key_is_in_a_repr() -> None:
    account = Account()
    account.event(body(), 1.0)
    assert KEY not in repr(account.incidents())


def post(url: str, content: bytes) -> int:
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return int(response.status)


def test_it_can_be_tried_by_hand() -> None:
    command = [sys.executable, "-m", "evaluator.testing.pagerduty", "--print"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        try:
            assert post(url + "/v2/enqueue", json.dumps(body()).encode()) == 202
            line = process.stdout.readline()
            with urllib.request.urlopen(url + "/incidents", timeout=10) as response:
                (shown,) = json.load(response)
        finally:
            process.send_signal(2)
        assert process.wait(10) == 0
    assert line.split()[1:] == ["202", "trigger", "k", "error", "s"]
    assert (shown["status"], shown["summary"]) == ("triggered", "s")


def test_its_help_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--delay" in capsys.readouterr().out


def test_other_paths_and_methods_are_not_found() -> None:
    with PagerDuty() as server:
        for method, path in (("GET", "/v2/enqueue"), ("POST", "/v1/enqueue"), ("GET", "/")):
            with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as connection:
                connection.sendall(
                    f"{method} {path} HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )
                status = connection.recv(1000).split()[1]
            assert status in {b"404", b"405"}


def test_a_request_without_a_length_or_too_long_is_not_read() -> None:
    with PagerDuty() as server:
        for header, expected in (("X: y", b"411"), ("Content-Length: 99999999", b"413")):
            with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as connection:
                connection.sendall(f"POST /v2/enqueue HTTP/1.1\r\n{header}\r\n\r\n".encode())
                assert connection.recv(1000).split()[1] == expected
        assert server.log == []
        with pytest.raises(TimeoutError):
            server.server.wait(1, timeout=0.02)
