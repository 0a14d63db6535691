"""Values that are kept as JSON text in one column: series, windows, messages.

This module knows their written form and every older one. It never knows a table. A reader takes what an older or newer
version wrote: an unknown field is passed over, and a missing one has its default.
"""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series
from evaluator.incidents.deliveries import Message

MESSAGE_VERSION = 1
"""Written as `v` into each message: raised when a field changes its meaning, so that a reader can tell."""


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def series_to_text(series: Series) -> str:
    """Return a series as JSON: its pairs, sorted."""
    return _dump(sorted(series))


def series_from_text(text: str) -> Series:
    """Return the series of the text."""
    return _series(json.loads(text))


def _series(pairs: Iterable[tuple[str, str]]) -> Series:
    return tuple((name, value) for name, value in pairs)


def members_to_text(members: tuple[Series, ...]) -> str:
    """Return the members of an incident as JSON: a list of series."""
    return _dump(members)


def members_from_text(text: str) -> tuple[Series, ...]:
    """Return the members of the text."""
    return tuple(_series(pairs) for pairs in json.loads(text))


def window_to_text(window: tuple[tuple[float, float], ...]) -> str:
    """Return a window of samples as JSON: pairs of time and value."""
    return _dump(window)


def window_from_text(text: str) -> tuple[tuple[float, float], ...]:
    """Return the window of the text."""
    return tuple((float(at), float(value)) for at, value in json.loads(text))


def message_to_text(message: Message) -> str:
    """Return a message as JSON, with the version of its form."""
    return _dump(
        {
            "v": MESSAGE_VERSION,
            "incident": message.incident,
            "rule": message.rule,
            "service": message.service,
            "severity": message.severity.value,
            "title": message.title,
            "why": message.why,
            "source": message.source,
            "opened_at": message.opened_at,
            "at": message.at,
            "value": message.value,
            "limit": message.limit,
            "series": message.series,
            "group": message.group,
            "rule_at": message.rule_at,
            "description": message.description,
            "runbook": message.runbook,
            "dashboard": message.dashboard,
            "labels": dict(message.labels),
            "closed": message.closed,
        }
    )


def message_from_text(text: str) -> Message:
    """Return the message of the text."""
    fields: Mapping[str, Any] = json.loads(text)
    opened_at = float(fields.get("opened_at", 0.0))
    return Message(
        incident=fields.get("incident", ""),
        rule=fields.get("rule", ""),
        service=fields.get("service", ""),
        severity=Severity(fields.get("severity", Severity.P3)),
        title=fields.get("title", ""),
        why=fields.get("why", ""),
        source=fields.get("source", ""),
        opened_at=opened_at,
        at=float(fields.get("at", opened_at)),
        value=fields.get("value", ""),
        limit=fields.get("limit", ""),
        series=tuple(fields.get("series", ())),
        group=fields.get("group", ""),
        rule_at=fields.get("rule_at", ""),
        description=fields.get("description", ""),
        runbook=fields.get("runbook", ""),
        dashboard=fields.get("dashboard", ""),
        labels=MappingProxyType(dict(fields.get("labels", {}))),
        closed=fields.get("closed", ""),
    )
