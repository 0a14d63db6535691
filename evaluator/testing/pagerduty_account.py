"""What PagerDuty makes of events: the documented shapes, limits and meanings, in memory, with time as an argument.

This module knows the Events API v2 as its documentation has it, and nothing of evaluator, HTTP or clocks.
https://developer.pagerduty.com/docs/events-api-v2-overview, https://developer.pagerduty.com/docs/send-alert-event
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import Any
from urllib.parse import urlsplit

LONGEST_SUMMARY = 1024
LONGEST_KEY = 255
LARGEST_EVENT = 512_000
SEVERITIES = frozenset({"critical", "error", "warning", "info"})

_FIELDS = frozenset({"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"})
_PAYLOAD = frozenset({"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"})


class Status(StrEnum):
    """Where an incident stands."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(slots=True)
class PagerDutyIncident:
    """An alert and its incident: one each, as a service that groups nothing makes them. It paged when it opened."""

    routing_key: str = field(repr=False)
    dedup_key: str
    severity: str
    summary: str
    opened_at: float
    payload: Mapping[str, Any] = field(repr=False)
    status: Status = Status.TRIGGERED
    acknowledged_at: float | None = None
    closed_at: float | None = None
    closed_by: str = ""
    """`event`, or `human`."""
    triggers: int = 1
    """Triggers that it has seen, the one that opened it included."""
    log: list[tuple[float, str]] = field(default_factory=list)
    """What happened to it, and when."""

    @property
    def open(self) -> bool:
        """Whether it is not resolved."""
        return self.status is not Status.RESOLVED


@dataclass(slots=True)
class Account:
    """What PagerDuty makes of events. Times are the caller's, in seconds."""

    keys: Collection[str] | None = None
    """The routing keys of its integrations; `None`: every well-formed one."""
    delay: float = 0.0
    """Seconds from 202 until an event is processed; `inf`: never, the 202 is all that comes of it."""
    ignored: list[str] = field(default_factory=list)
    """Fields that events had and PagerDuty does not know, so silently leaves out."""
    dropped: list[tuple[float, str, str]] = field(default_factory=list)
    """(when, action, dedup_key) of accepted events that found nothing to act on, or were lost."""
    _incidents: list[PagerDutyIncident] = field(default_factory=list)
    _queue: list[tuple[float, int, Mapping[str, Any]]] = field(default_factory=list)
    _made: int = 0

    def receive(self, content: bytes, now: float) -> tuple[int, dict[str, Any]]:
        """Take the bytes of a request's body; return (status, answer)."""
        if len(content) > LARGEST_EVENT:
            return 413, {"status": "invalid event", "message": "Event is too large", "errors": ["over 512 KB"]}
        try:
            body = json.loads(content.decode("utf-8"))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            message = "Event object format is unrecognized"
            return 400, {"status": "Unrecognized object", "message": message, "errors": ["JSON parse error"]}
        return self.event(body, now)

    def event(self, body: Mapping[str, Any], now: float) -> tuple[int, dict[str, Any]]:
        """Take one event; return (status, answer). Accepted is queued: what is due by `now` has been processed then."""
        self.advance(now)
        errors = problems(body)
        if not errors and self.keys is not None and body["routing_key"] not in self.keys:
            errors = ["Invalid routing key"]
        if errors:
            return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
        self.ignored += sorted(set(body) - _FIELDS) + sorted(
            f"payload.{name}" for name in set(body.get("payload") or ()) - _PAYLOAD
        )
        self._made += 1
        key = body.get("dedup_key") or f"{self._made:032x}"
        if self.delay == inf:
            self.dropped.append((now, body["event_action"], key))
        else:
            self._queue.append((now + self.delay, self._made, {**body, "dedup_key": key}))
        self.advance(now)
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def advance(self, now: float) -> None:
        """Process the queued events that are due, in the order of their times."""
        self._queue.sort(key=lambda queued: queued[:2])
        while self._queue and self._queue[0][0] <= now:
            at, _, body = self._queue.pop(0)
            self._process(body, at)

    def incidents(self, dedup_key: str | None = None) -> list[PagerDutyIncident]:
        """Return all incidents, or those of one key, in the order in which they opened."""
        return [found for found in self._incidents if dedup_key in {None, found.dedup_key}]

    def open_incidents(self) -> list[PagerDutyIncident]:
        """Return those that are not resolved."""
        return [found for found in self._incidents if found.open]

    @property
    def pages(self) -> int:
        """How often somebody was paged."""
        return len(self._incidents)

    def human_acknowledges(self, incident: PagerDutyIncident, now: float) -> None:
        """Acknowledge it as a person does in the app."""
        self._acknowledge(incident, now, "human")

    def human_resolves(self, incident: PagerDutyIncident, now: float) -> None:
        """Resolve it as a person does in the app."""
        self._resolve(incident, now, "human")

    def _process(self, body: Mapping[str, Any], at: float) -> None:
        routing_key, key, action = body["routing_key"], body["dedup_key"], body["event_action"]
        found = next(
            (i for i in self._incidents if i.open and (i.routing_key, i.dedup_key) == (routing_key, key)), None
        )
        if action == "trigger":
            self._trigger(found, body, at)
        elif found is None:
            self.dropped.append((at, action, key))
        elif action == "acknowledge":
            self._acknowledge(found, at, "event")
        else:
            self._resolve(found, at, "event")

    def _trigger(self, found: PagerDutyIncident | None, body: Mapping[str, Any], at: float) -> None:
        payload = body["payload"]
        if found is None:
            found = PagerDutyIncident(
                body["routing_key"], body["dedup_key"], payload["severity"], payload["summary"], at, dict(body)
            )
            self._incidents.append(found)
        else:
            # No new incident and no new page, acknowledged or not; what the alert shows is the newest.
            found.triggers += 1
            found.severity, found.summary, found.payload = payload["severity"], payload["summary"], dict(body)
        found.log.append((at, "trigger"))

    @staticmethod
    def _acknowledge(found: PagerDutyIncident, at: float, by: str) -> None:
        found.log.append((at, f"acknowledge by {by}"))
        if found.status is Status.TRIGGERED:
            found.status, found.acknowledged_at = Status.ACKNOWLEDGED, at

    @staticmethod
    def _resolve(found: PagerDutyIncident, at: float, by: str) -> None:
        if found.open:
            found.log.append((at, f"resolve by {by}"))
            found.status, found.closed_at, found.closed_by = Status.RESOLVED, at, by


def problems(body: Mapping[str, Any]) -> list[str]:
    """Return what PagerDuty says is wrong with an event; empty: it is valid."""
    action, key = body.get("event_action"), body.get("dedup_key")
    found = _key_problems(body.get("routing_key"))
    if action not in ("trigger", "acknowledge", "resolve"):
        found.append("'event_action' must be one of trigger, acknowledge, resolve")
    if key is not None and not isinstance(key, str):
        found.append("'dedup_key' must be a string")
    elif len(key or "") > LONGEST_KEY:
        found.append(f"Length of 'dedup_key' is incorrect (should be at most {LONGEST_KEY} characters)")
    elif not key and action != "trigger":
        found.append("'dedup_key' is missing or blank")
    found += [
        f"'{name}' must be a string" for name in ("client", "client_url") if not isinstance(body.get(name, ""), str)
    ]
    found += _url_problems("links", body.get("links"), "href", {"http", "https"})
    found += _url_problems("images", body.get("images"), "src", {"https"})
    payload = body.get("payload")
    if isinstance(payload, dict):
        return found + _payload_problems(payload)
    if payload is not None or action == "trigger":
        found.append("'payload' is missing or blank" if payload is None else "'payload' must be an object")
    return found


def _key_problems(key: object) -> list[str]:
    if not isinstance(key, str) or not key:
        return ["'routing_key' is missing or blank"]
    found = []
    if len(key) != 32:
        found.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if not re.fullmatch(r"[A-Za-z0-9]*", key):
        found.append("'routing_key' cannot contain non-alphanumeric characters.")
    return found


def _payload_problems(payload: Mapping[str, Any]) -> list[str]:
    found = []
    for name in ("summary", "source"):
        value = payload.get(name)
        if not isinstance(value, str) or not value.strip():
            found.append(f"'payload.{name}' is missing or blank")
    if len(str(payload.get("summary", ""))) > LONGEST_SUMMARY:
        found.append(f"Length of 'payload.summary' is incorrect (should be at most {LONGEST_SUMMARY} characters)")
    if payload.get("severity") not in SEVERITIES:
        found.append(f"'payload.severity' is invalid (must be one of the following: {sorted(SEVERITIES)})")
    names = ("component", "group", "class")
    found += [f"'payload.{name}' must be a string" for name in names if not isinstance(payload.get(name, ""), str)]
    if not isinstance(payload.get("custom_details", {}), dict):
        found.append("'payload.custom_details' must be an object")
    try:
        zone = datetime.fromisoformat(payload["timestamp"]).tzinfo if "timestamp" in payload else True
    except (TypeError, ValueError):
        zone = None
    if zone is None:
        found.append("'payload.timestamp' must be ISO 8601 with a time zone")
    return found


def _url_problems(name: str, items: object, url: str, schemes: set[str]) -> list[str]:
    if items is None:
        return []
    if not isinstance(items, list):
        return [f"'{name}' must be an array"]
    found = []
    for position, item in enumerate(items):
        address = item.get(url) if isinstance(item, dict) else None
        if not isinstance(address, str) or urlsplit(address).scheme not in schemes or not urlsplit(address).netloc:
            found.append(f"'{name}[{position}].{url}' must be a URL")
    return found
