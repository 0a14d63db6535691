"""What the notifiers share: wording, shortening, and the reading of an answer."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Accepted, Action, Outcome, RetryLater
from evaluator.notifiers.http import Answer, HttpSender, HttpSettings, hide, retry_after, words
from evaluator.notifiers.pagerduty import PagerDutyNotifier, PagerDutySettings
from evaluator.notifiers.shortening import Json, encoded, fit, one_line, readable, shorten
from evaluator.notifiers.wording import News, body, news, subject, utc_text
from evaluator.testing.notifiers import AWKWARD_MESSAGES, NOW, a_delivery, a_message, run, sent


def test_a_subject_says_it_all_in_one_line() -> None:
    assert subject(News.RAISED, a_message()) == "P1 raised: CPU of web-1 is 95 % (infrastructure, cpu-high)"


@pytest.mark.parametrize("name", AWKWARD_MESSAGES)
def test_no_message_makes_wording_fail(name: str) -> None:
    line = subject(News.OPENED, AWKWARD_MESSAGES[name])
    assert line.startswith("P1 opened: ")
    assert len(line.splitlines()) == 1
    for kind in News:
        assert all(text for _, text in body(kind, AWKWARD_MESSAGES[name]))


def test_the_lines_below_come_in_the_order_of_need() -> None:
    message = a_message(series=tuple(f"host=web-{number}" for number in range(12)))
    lines = body(News.OPENED, message)
    assert [name for name, _ in lines] == [
        *("why", "value", "since", "series", "description", "runbook", "dashboard", "labels", "rule"),
    ]
    assert dict(lines)["value"] == "95 %, limit: above 90 %"
    assert dict(lines)["since"] == "2026-09-21T14:12:20Z, 1m ago"
    assert dict(lines)["series"].endswith("host=web-9; and 2 more")
    assert dict(lines)["rule"] == "cpu-high at rules/cpu.toml:3"


@pytest.mark.parametrize(
    ("action", "heard", "expected"),
    [
        (Action.TRIGGER, None, News.OPEN),
        (Action.TRIGGER, "P2", News.RAISED),
        (Action.TRIGGER, "P1", News.UPDATED),
        (Action.TRIGGER, "P0", News.UPDATED),
        (Action.ACKNOWLEDGE, "P1", News.ACKNOWLEDGED),
        (Action.NOTICE, "P1", News.NOTICE),
        (Action.RESOLVE, "P1", None),
    ],
)
def test_news_depends_on_what_was_heard(action: Action, heard: str | None, expected: News | None) -> None:
    assert news(action, a_message(severity=Severity.P1), heard) is expected


def test_an_end_that_is_one_is_told() -> None:
    assert news(Action.RESOLVE, a_message(closed="it has recovered")) is News.RESOLVED


def test_a_time_that_is_none_is_empty() -> None:
    assert [utc_text(at) for at in (float("nan"), float("inf"), -1e18, 0.0)] == ["", "", "", "1970-01-01T00:00:00Z"]


def test_readable_text_stays_as_it_is() -> None:
    assert readable("Überlast \U0001f525 auf\tweb-1\n") == "Überlast \U0001f525 auf\tweb-1\n"
    assert readable("a\x00\x1b\ud800\u202eb") == "a\ufffd\ufffd\ufffd\ufffdb"
    assert one_line(" a\r\n b\u2028c ") == "a b c"


def test_short_is_short_to_the_character() -> None:
    assert [shorten("abcdef", limit) for limit in (6, 5, 2, 1, 0)] == ["abcdef", "abcd…", "a…", "…", ""]


_fields = st.dictionaries(
    st.text(max_size=10),
    st.one_of(
        st.text(max_size=2000),
        st.lists(st.text(max_size=50), max_size=80),
        st.dictionaries(st.text(max_size=10), st.text(max_size=50), max_size=40),
    ),
    max_size=8,
)


@given(fields=_fields, budget=st.integers(1500, 4000))
def test_whatever_is_too_large_fits_and_no_field_is_lost(fields: dict[str, Json], budget: int) -> None:
    fitted = fit(fields, budget)
    assert len(encoded(fitted)) <= budget
    assert list(fitted) == list(fields)
    if len(encoded(fields)) <= budget:
        assert fitted == fields


def test_small_fields_do_not_pay_for_large_ones() -> None:
    fitted = fit({"why": "95 % is above 90 %", "description": "x" * 5000, "series": ["host=a"] * 5000}, 2000)
    assert fitted["why"] == "95 % is above 90 %"
    assert str(fitted["description"]).endswith("x… shortened")
    assert len(encoded(fitted)) > 1900


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"status":"invalid event","message":"no","errors":["a","b"]}', "invalid event - no - a - b"),
        (b'{"error":{"code":7,"message":"nested"}}', "nested"),
        (b"<html><head><TITLE>502\n Bad Gateway</TITLE></head>", "502 Bad Gateway"),
        (b"plain \x1b[31mtext\xff", "plain \ufffd[31mtext\ufffd"),
        (b"", ""),
    ],
)
def test_an_error_is_told_in_the_receivers_own_words(content: bytes, expected: str) -> None:
    assert words(Answer(400, content)) == expected


def test_a_secret_is_hidden_however_it_is_written() -> None:
    said = "key s3cr/t+ and S3CR/T+ and s3cr%2Ft%2B; see https://user:word@example.com"
    assert hide(said, ("s3cr/t+", "")) == "key *** and *** and ***; see https://***@example.com"


@pytest.mark.parametrize(
    ("asked", "date", "expected"),
    [
        ("Mon, 21 Sep 2026 14:14:20 GMT", "", 60.0),
        ("Mon, 21 Sep 2026 14:14:20 GMT", "Mon, 21 Sep 2026 14:14:10 GMT", 10.0),
        ("Mon, 21 Sep 2020 14:14:20 GMT", "", 0.0),
        ("Mon, 21 Sep 2099 14:14:20 -0000", "nonsense", 300.0),
    ],
)
def test_a_retry_after_may_be_a_date(asked: str, date: str, expected: float) -> None:
    assert retry_after(Answer(503, headers={"retry-after": asked, "date": date}), NOW) == expected


def test_posting_before_opening_is_a_mistake() -> None:
    with pytest.raises(RuntimeError):
        run(HttpSender(HttpSettings()).post("http://127.0.0.1:1", b"", headers={}))


class _Accepting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = json.dumps({"status": "success"}).encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), _Accepting) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_that_nobody_vouches_for_is_weather_and_nothing_arrived(secure: str) -> None:
    settings = PagerDutySettings(events_url=secure)
    (outcome,) = run(sent(PagerDutyNotifier("pagerduty", settings, "test"), a_delivery()))
    assert isinstance(outcome, RetryLater)
    assert (outcome.reason, outcome.arrived) == ("tls", False)


def test_a_ca_of_ones_own_is_trusted(secure: str, authority: trustme.CA, tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    settings = PagerDutySettings.model_validate({"events_url": secure, "ca": str(pem)})
    outcomes: list[Outcome] = run(sent(PagerDutyNotifier("pagerduty", settings, "test"), a_delivery()))
    assert outcomes == [Accepted(queued=True)]
