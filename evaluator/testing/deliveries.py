"""Messages and deliveries for tests: one as rules make them, and those that nobody wants and some rule once will make.

This module knows the values that notifiers are handed. It never knows a notifier.
"""

import string
from dataclasses import replace
from typing import Any

from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Action, Delivery, Message

NOW = 1_790_000_000.0
ROUTING_KEY = "C0nf0rmanceC0nf0rmanceC0nf0rmanc"
"""The secret of `a_delivery`; 32 letters and digits, as PagerDuty wants it."""


def a_message(**changes: Any) -> Message:  # noqa: ANN401  # The fields of a message.
    """Return a message as rules make them, with these fields changed."""
    message = Message(
        incident="01M5VK3T0XB6Z2M4E8K9Q1R7SW",
        rule="cpu-high",
        service="infrastructure",
        severity=Severity.P1,
        title="CPU of web-1 is 95 %",
        why="95 % is above 90 % since 10m",
        source="host=web-1",
        opened_at=NOW - 60,
        at=NOW,
        value="95 %",
        limit="above 90 %",
        series=("host=web-1",),
        group="host=web-1",
        rule_at="rules/cpu.toml:3",
        description="The machine is busy.",
        runbook="https://runbooks.example.com/cpu-high",
        dashboard="https://dashboards.example.com/d/cpu?var-host=web-1#now",
        labels={"team": "web"},
    )
    return replace(message, **changes)


def a_delivery(action: Action = Action.TRIGGER, message: Message | None = None, **changes: Any) -> Delivery:  # noqa: ANN401  # The fields of a delivery.
    """Return a delivery of this message, as the outbox hands it to a notifier."""
    message = a_message() if message is None else message
    if action is Action.RESOLVE and not message.closed:
        message = replace(message, closed="it has recovered, after 1m")
    delivery = Delivery(
        id="01M5VK3T0XB6Z2M4E8K9Q1R7SX",
        seq=1,
        incident=message.incident,
        notifier="conformance",
        service=message.service,
        severity=message.severity,
        action=action,
        dedup_key=f"evaluator/test/{message.incident}/{message.severity}",
        message=message,
        created_at=NOW,
        due_at=NOW,
        routing_key=ROUTING_KEY,
        claimed=True,
    )
    return replace(delivery, **changes)


_NASTY = "\x00\x1b[2J\r\n\ud800\u202e\U0001f525" + string.punctuation
AWKWARD_MESSAGES = {
    "empty texts": a_message(
        **dict.fromkeys(("incident", "rule", "service", "title", "why", "source", "value", "limit", "group"), ""),
        **dict.fromkeys(("rule_at", "description", "runbook", "dashboard"), ""),
        series=(),
        labels={},
    ),
    "white space": a_message(title=" \n\t ", source="  ", why="\n", service=" ", rule="\t"),
    "controls, surrogates and marks of direction": a_message(
        title=_NASTY, why=_NASTY, source=_NASTY, service=_NASTY, rule=_NASTY, series=(_NASTY,), labels={_NASTY: _NASTY}
    ),
    "very long texts": a_message(
        **dict.fromkeys(("title", "why", "source", "description", "value", "limit", "group"), "x" * 600_000)
    ),
    "characters of four bytes": a_message(
        **dict.fromkeys(("title", "why", "source", "description", "rule", "service"), "\U0001f525" * 150_000)
    ),
    "very many series": a_message(series=tuple(f"host=web-{number}, zone=b" for number in range(50_000))),
    "very many labels": a_message(labels={f"label-{number}": "y" * 100 for number in range(10_000)}),
    "links that are none": a_message(runbook="see the wiki", dashboard="javascript:alert(1)"),
    "links too long": a_message(runbook="https://example.com/" + "r" * 10_000, dashboard="https://[nowhere"),
    "impossible times": a_message(opened_at=float("nan"), at=float("inf")),
    "times of another age": a_message(opened_at=0.0, at=1.7e308),
    "times of another direction": a_message(opened_at=-1e18, at=-2e18),
}
"""Messages that nobody wants to write and some rule once will: each must be told, never refused, never dropped."""
