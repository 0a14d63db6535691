"""Values that are kept in one column: series, windows, messages and silences as JSON, kept samples as bytes.

This module knows their written form and every older one. It never knows a table. A reader takes what an older or newer
version wrote: an unknown field is passed over, and a missing one has its default.
"""

import json
import math
import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from evaluator.engine.maintenance import Selector
from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series
from evaluator.engine.trail import CHUNK, Chunk
from evaluator.incidents.deliveries import Message
from evaluator.incidents.incident import Caught
from evaluator.incidents.silence import Silence

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


def chunk_to_bytes(chunk: Chunk) -> bytes:
    """Return a chunk of kept samples as doubles, the lowest byte first, without the buckets after its last sample."""
    count = next((place for place in range(len(chunk), 0, -1) if chunk[place - 1] == chunk[place - 1]), 0)
    return struct.pack(f"<{count}d", *chunk[:count])


def chunk_from_bytes(packed: bytes) -> Chunk:
    """Return the chunk of the bytes; raises `ValueError` where they are none."""
    count, rest = divmod(len(packed), 8)
    if rest or count > CHUNK:
        raise ValueError("not a chunk of kept samples")
    return (*struct.unpack(f"<{count}d", packed), *(math.nan,) * (CHUNK - count))


def caught_to_text(caught: tuple[Caught, ...]) -> str:
    """Return what a storm took in as JSON: a list of rule, group, severity and time."""
    return _dump([(one.rule, one.group, one.severity.value, one.at) for one in caught])


def caught_from_text(text: str) -> tuple[Caught, ...]:
    """Return what the storm of the text took in."""
    return tuple(
        Caught(rule, _series(group), Severity(severity), float(at)) for rule, group, severity, at in json.loads(text)
    )


def patterns_to_text(patterns: tuple[str, ...]) -> str:
    """Return patterns of rule names as JSON: a list."""
    return _dump(patterns)


def patterns_from_text(text: str) -> tuple[str, ...]:
    """Return the patterns of the text."""
    return tuple(json.loads(text))


def labels_to_text(labels: Mapping[str, str]) -> str:
    """Return patterns by label as JSON: an object."""
    return _dump(dict(labels))


def labels_from_text(text: str) -> Mapping[str, str]:
    """Return the patterns by label of the text."""
    return MappingProxyType(dict(json.loads(text)))


def silence_to_text(silence: Silence) -> str:
    """Return a silence that is asked for as JSON; it has neither begun nor ended."""
    return _dump(
        {
            "id": silence.id,
            "rules": silence.selector.rules,
            "except": silence.selector.except_,
            "series": dict(silence.selector.series),
            "by": silence.by,
            "reason": silence.reason,
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
            "ends_with_alert": silence.ends_with_alert,
        }
    )


def silence_from_text(text: str) -> Silence:
    """Return the silence of the text."""
    fields: Mapping[str, Any] = json.loads(text)
    series = MappingProxyType(dict(fields.get("series", {})))
    return Silence(
        id=fields["id"],
        selector=Selector(tuple(fields.get("rules", ("*",))), tuple(fields.get("except", ())), series),
        by=fields.get("by", ""),
        reason=fields.get("reason", ""),
        starts_at=float(fields["starts_at"]),
        ends_at=float(fields["ends_at"]),
        ends_with_alert=bool(fields.get("ends_with_alert", False)),
    )


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
