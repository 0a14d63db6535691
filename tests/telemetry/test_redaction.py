import pytest
from pydantic import SecretStr

from evaluator.telemetry.redaction import redact, redact_text, secret_name

SECRETS = (
    "redis://:hunter2@cache:6379/0",
    "postgresql+psycopg://app:hunter2@db/evaluator",
    "https://app:hun@hunter2@host/path?x=1",
    "GET http://host/query?token=hunter2&step=30",
    "Authorization: Bearer hunter2hunter2",
    "authorization: Basic hunter2hunter2==",
    "sent with Bearer hunter2hunter2",
    '{"routing_key": "hunter2", "event_action": "trigger"}',
    "{'password': 'hunter2'}",
    "password=hunter2",
    'api_key = "hunter2"',
    "X-Api-Key: hunter2",
    "aws_secret_access_key=hunter2",
    "connection to server failed: host=db password='hunter2' user=app",
)


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_survives_in_a_sentence(text: str) -> None:
    assert "hunter2" not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis at cache:6379 did not answer within 5s",
        "https://runbooks.example.com/cpu-high?x=1#y",
        "dedup_key=evaluator/production/01K8/P1",
        "mail to ops@example.com",
        "PAGERDUTY_INFRA_KEY is not set",
        "the token was refused",
        "series: instance=web-1, tokens=5",
    ],
)
def test_a_harmless_sentence_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


def test_what_is_around_a_secret_can_still_be_read() -> None:
    assert redact_text("redis://app:x@cache:6379/0 refused") == "redis://***@cache:6379/0 refused"
    assert redact_text("?token=x&step=30") == "?token=***&step=30"
    assert redact_text('{"routing_key": "x", "a": 1}') == '{"routing_key": ***, "a": 1}'


@pytest.mark.parametrize(
    "name", ["routing_key", "token", "web_token", "PASSWORD", "db-password", "authorization", "X-Auth-Token", "api_key"]
)
def test_names_that_tell_a_secret(name: str) -> None:
    assert secret_name(name)


@pytest.mark.parametrize("name", ["dedup_key", "key", "event", "tokens_seen", "monkey", "series", "source"])
def test_names_that_tell_none(name: str) -> None:
    assert not secret_name(name)


def test_values_of_any_depth_are_gone_through() -> None:
    value = {
        "settings": [{"token": "x", "url": "http://u:x@h"}, SecretStr("x"), (SecretStr("x"),)],
        "count": 3,
        "up": True,
    }
    assert redact(value) == {
        "settings": [{"token": "***", "url": "http://***@h"}, "***", ["***"]],
        "count": 3,
        "up": True,
    }


def test_an_object_that_prints_its_secret_is_redacted_as_it_prints() -> None:
    class Loose:
        def __str__(self) -> str:
            return "<client token=hunter2>"

    assert redact(Loose()) == "<client token=***>"
    assert redact("abc", "routing_key") == "***"
    assert redact(None, "routing_key") is None
