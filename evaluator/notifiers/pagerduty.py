"""Tells PagerDuty: Events API v2, one request for each delivery.

This module knows PagerDuty's event, its fields and their limits. It never knows why something is sent, never retries,
and never reads an incident back. https://developer.pagerduty.com/docs/events-api-v2-overview
"""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import BaseModel

from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Accepted, Action, Delivery, Message, Outcome, Refused, RetryLater
from evaluator.notifiers.fields import WebAddress, web_address
from evaluator.notifiers.http import Answer, HttpSender, HttpSettings, hide, judge, words
from evaluator.notifiers.shortening import Json, encoded, fit, one_line, readable, shorten
from evaluator.notifiers.wording import since, title, utc_text

SEVERITIES = {Severity.P0: "critical", Severity.P1: "error", Severity.P2: "warning", Severity.P3: "info"}
"""Case matters: https://developer.pagerduty.com/docs/send-alert-event"""
LONGEST_SUMMARY = 1024
"""Characters of `payload.summary`: https://developer.pagerduty.com/docs/send-alert-event"""
LONGEST_KEY = 255
"""Characters of `dedup_key`: https://developer.pagerduty.com/docs/send-alert-event"""
LARGEST_EVENT = 512_000
"""Bytes of the whole body (512 KB): https://developer.pagerduty.com/docs/events-api-v2-overview"""
LONGEST_FIELD = 1024
"""Characters of a field or a series that has no documented limit: more than a person reads."""
LONGEST_LINK = 2048
"""Characters of a link; a longer one is no link that a browser opens everywhere, and goes into the details."""

_ENQUEUE = "/v2/enqueue"


class PagerDutySettings(HttpSettings):
    """`[notifiers.NAME]` of `type = "pagerduty"`. Routing keys are the services' (`[services.NAME]`)."""

    events_url: WebAddress = "https://events.pagerduty.com"
    """The Events API: the EU host (`https://events.eu.pagerduty.com`), or a test server."""
    page_url: WebAddress | None = None
    """Where people reach this daemon's own page, for the links in an incident."""


class PagerDutyNotifier:
    """A `[notifiers.NAME]` that opens, acknowledges and resolves PagerDuty alerts."""

    Settings: ClassVar[type[BaseModel]] = PagerDutySettings

    def __init__(self, name: str, settings: BaseModel, instance: str) -> None:
        if not isinstance(settings, PagerDutySettings):
            raise TypeError(f"notifier {name} needs PagerDutySettings")
        self.name = name
        self._instance = instance
        self._page = settings.page_url
        self._url = settings.events_url.removesuffix(_ENQUEUE) + _ENQUEUE
        self._sender = HttpSender(settings)

    def __repr__(self) -> str:
        return f"PagerDutyNotifier({self.name!r}, {self._url!r})"

    async def open(self) -> None:
        """Make the HTTP client."""
        await self._sender.open()

    async def close(self) -> None:
        """Close its connections."""
        await self._sender.close()

    async def send(self, delivery: Delivery, now: float) -> Outcome:
        """Send one event and say what became of it. Accepted means queued: PagerDuty processes events later."""
        if delivery.action is Action.NOTICE:
            return Refused(
                "unsupported", "PagerDuty has no place for a notice: every event there opens or ends an alert"
            )
        if not delivery.routing_key:
            return Refused("no_key", f'service "{delivery.service}" has no PagerDuty routing key')
        secrets = (delivery.routing_key,)
        answer = await self._sender.post(
            self._url,
            encoded(event(delivery, self._instance, self._page)),
            headers={"Content-Type": "application/json"},
            secrets=secrets,
        )
        if isinstance(answer, RetryLater):
            return answer
        return judge(answer, "PagerDuty", now, secrets) or _success(answer, secrets)


def _success(answer: Answer, secrets: tuple[str, ...]) -> Outcome:
    """Return what a 2xx means: a 202 is PagerDuty's; anything else may be a proxy's page, unless it says success."""
    if answer.status == 202 or answer.fields.get("status") == "success":
        return Accepted(queued=True)
    said = shorten(hide(words(answer), secrets), 200)
    return RetryLater("bad_answer", f"PagerDuty answered {answer.status}, but not as PagerDuty does: {said}")


def event(delivery: Delivery, instance: str, page: str | None = None) -> dict[str, Any]:
    """Return the body of the request, within all limits whatever the delivery says.

    An acknowledge or a resolve carries the keys alone: what is not there cannot be refused.
    """
    body: dict[str, Any] = {
        "routing_key": delivery.routing_key,
        "event_action": delivery.action.value,
        "dedup_key": dedup_key(delivery.dedup_key),
    }
    if delivery.action is not Action.TRIGGER:
        return body
    message = delivery.message
    links, rest = _links(message, page)
    body["client"] = shorten(one_line(f"evaluator {instance}"), LONGEST_FIELD)
    if page:
        body["client_url"] = page
    if links:
        body["links"] = links
    payload = body["payload"] = _payload(message, instance)
    payload["custom_details"] = {}
    payload["custom_details"] = fit(_details(message, instance, rest), LARGEST_EVENT - len(encoded(body)))
    return body


def dedup_key(key: str) -> str:
    """Return the key as it is; one that is too long or has no clean text is shortened, always to the same.

    What is cut off is in the digest, so two different keys stay different.
    """
    if key and one_line(key) == key and len(key.encode()) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    beginning = one_line(key).encode()[: LONGEST_KEY - len(digest) - 1].decode("utf-8", "ignore")
    return f"{beginning}~{digest}"


def _payload(message: Message, instance: str) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "summary": shorten(title(message), LONGEST_SUMMARY),
        "source": _field(message.source)
        or _field(message.group)
        or _field(message.rule)
        or _field(instance)
        or "evaluator",
        "severity": SEVERITIES[message.severity],
    }
    # PagerDuty groups and routes by these three, so they are names that stay the same from one incident to the next.
    component = message.labels.get("component", "").strip() or payload["source"]
    names = {"component": component, "group": message.service, "class": message.rule}
    payload.update({name: _field(text) for name, text in names.items() if _field(text)})
    timestamp = utc_text(message.opened_at, "milliseconds")
    if timestamp:
        payload["timestamp"] = timestamp
    return payload


def _details(message: Message, instance: str, rest: Mapping[str, str]) -> dict[str, Json]:
    """Return what a person needs at night, first things first; empty fields are left out."""
    details: dict[str, Json] = {
        "why": message.why,
        "value": message.value,
        "limit": message.limit,
        "since": since(message),
        "series": [_field(text) for text in message.series],
        "group": message.group,
        "description": message.description,
        **rest,
        "rule": message.rule,
        "rule_at": message.rule_at,
        "labels": {_field(name): _field(value) for name, value in message.labels.items()},
        "instance": instance,
        "incident": message.incident,
    }
    return {name: readable(value) if isinstance(value, str) else value for name, value in details.items() if value}


def _links(message: Message, page: str | None) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return the links, and what should be one but is none (`see the wiki`), for the details."""
    own = f"{page}/incidents/{quote(readable(message.incident), safe='')}" if page and message.incident else ""
    links, rest = [], {}
    for name, text, url in (
        ("runbook", "Runbook", message.runbook),
        ("dashboard", "Dashboard", message.dashboard),
        ("incident", "Incident in evaluator", own),
    ):
        if _is_link(url):
            links.append({"href": url.strip(), "text": text})
        elif url.strip():
            rest[name] = url
    return links, rest


def _is_link(text: str) -> bool:
    address = text.strip()
    if len(address) > LONGEST_LINK or one_line(address) != address:
        return False
    try:
        web_address(address.partition("#")[0].partition("?")[0])
    except ValueError:
        return False
    return " " not in address


def _field(text: str) -> str:
    return shorten(one_line(text), LONGEST_FIELD)
