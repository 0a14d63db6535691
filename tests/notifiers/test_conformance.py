"""The conformance suite finds what it promises to find, and the pages name every setting."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from evaluator.incidents.deliveries import Accepted, Delivery, Outcome, Refused
from evaluator.notifiers.console import ConsoleSettings
from evaluator.notifiers.fields import Strict
from evaluator.notifiers.notifier import Notifier
from evaluator.notifiers.pagerduty import PagerDutySettings
from evaluator.testing.notifiers import HttpNotifierConformance
from evaluator.testing.wire import Heard, Reply

DOCS = Path(__file__).parents[2] / "docs" / "notifiers"


class _Naive:
    """What one writes on a first day: no deadline, no table, everything passed on."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def send(self, delivery: Delivery, now: float) -> Outcome:
        async with httpx.AsyncClient(timeout=2.0) as client:
            try:
                answer = await client.post(self.url, json={"key": delivery.routing_key}, follow_redirects=True)
            except httpx.HTTPError:
                return Accepted()
        return Refused("error", answer.text) if answer.is_error else Accepted()


class _NaiveConformance(HttpNotifierConformance):
    def make(self, url: str, timeout: float) -> Notifier:
        return _Naive(url)

    def reply(self, heard: Heard) -> Reply:
        return Reply(200)


@pytest.mark.parametrize(
    "fact",
    [
        "test_408_429_and_5xx_are_tried_again",
        "test_other_4xx_and_redirects_are_refused",
        "test_retry_after_is_honoured_and_capped",
        "test_an_answer_never_gives_a_secret_away",
        "test_a_huge_or_broken_answer_is_cut",
        "test_nobody_there_is_weather_and_nothing_arrived",
        "test_a_black_hole_keeps_the_deadline",
        "test_a_slow_drip_keeps_the_deadline",
        "test_a_reset_is_weather_and_may_have_arrived",
    ],
)
def test_a_naive_notifier_does_not_pass(fact: str) -> None:
    with pytest.raises(AssertionError):
        getattr(_NaiveConformance(), fact)()


def test_a_suite_without_a_notifier_says_so() -> None:
    suite = HttpNotifierConformance()
    with pytest.raises(NotImplementedError):
        suite.make("http://127.0.0.1", 1.0)


@pytest.mark.parametrize(
    ("page", "model"),
    [("pagerduty.md", PagerDutySettings), ("console.md", ConsoleSettings)],
    ids=str,
)
def test_every_setting_is_on_the_page_of_its_notifier(page: str, model: type[Strict]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [name for name in model.model_fields if f"| `{name}` |" not in text] == []


def test_the_schema_describes_every_setting_and_shows_defaults_as_they_are_written() -> None:
    schema: dict[str, Any] = json.loads(json.dumps(PagerDutySettings.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert schema["properties"]["timeout"]["default"] == "10s"
    assert all(found["description"] for found in schema["properties"].values())
