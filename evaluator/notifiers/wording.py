"""The words in which people hear of an incident: a subject, and the lines below it.

This module knows a `Message` and plain text. It never knows colours, markup, or limits of a receiver; every notifier
that speaks to people says the same, so that a console, a chat and a mail can be laid side by side.
"""

from datetime import UTC, datetime
from enum import StrEnum

from evaluator.engine.units import format_duration
from evaluator.incidents.deliveries import Action, Message
from evaluator.notifiers.shortening import one_line, readable

_MANY = 10
"""Series that are listed in a text; more are counted."""


class News(StrEnum):
    """What a message is to the one who reads it; the values are the words themselves."""

    OPENED = "opened"
    OPEN = "open"
    """It is open, and whether the reader has heard of it before is not known."""
    RAISED = "raised"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    NOTICE = "notice"


def news(action: Action, message: Message, heard: str | None = None) -> News | None:
    """Return what the message is, where `heard` is the severity that the reader last heard of (`None`: not known).

    `None` is nothing that a person needs to read: after a raise the old key is resolved, but the incident goes on.
    """
    match action:
        case Action.RESOLVE:
            return News.RESOLVED if message.closed else None
        case Action.ACKNOWLEDGE:
            return News.ACKNOWLEDGED
        case Action.NOTICE:
            return News.NOTICE
        case Action.TRIGGER:
            if heard is None:
                return News.OPENED if message.at <= message.opened_at else News.OPEN
            return News.RAISED if message.severity.value < heard else News.UPDATED


def title(message: Message) -> str:
    """Return the message's title in one line; it is never empty."""
    return one_line(message.title) or one_line(message.rule) or one_line(message.source) or "incident"


def subject(kind: News, message: Message) -> str:
    """Return one line that says it all: `P1 raised: CPU of web-1 is 95 % (payments, cpu-high)`."""
    where = ", ".join(part for part in (one_line(message.service), one_line(message.rule)) if part)
    return f"{message.severity.value} {kind.value}: {title(message)}" + (f" ({where})" if where else "")


def body(kind: News, message: Message) -> list[tuple[str, str]]:
    """Return what stands below the subject as (name, text), in the order of what a person at night needs first."""
    ended = kind is News.RESOLVED
    lines = [
        ("closed", message.closed if ended else ""),
        ("why", message.why),
        ("value", _value(message)),
        ("since", "" if kind is News.NOTICE else since(message)),
        ("series", _series(message)),
        ("description", "" if ended else message.description),
        ("runbook", "" if ended else message.runbook),
        ("dashboard", "" if ended else message.dashboard),
        ("labels", ", ".join(f"{name}={value}" for name, value in message.labels.items())),
        ("rule", " at ".join(part for part in (message.rule, message.rule_at) if part)),
    ]
    return [(name, readable(text).strip()) for name, text in lines if text.strip()]


def since(message: Message) -> str:
    """Return when it opened, and how long ago that was when the message was written."""
    text = utc_text(message.opened_at)
    if not text or not utc_text(message.at) or message.at < message.opened_at + 1:
        return text
    return f"{text}, {format_duration(float(round(message.at - message.opened_at)))} ago"


def utc_text(at: float, timespec: str = "seconds") -> str:
    """Return a time as ISO 8601 with its zone (`2026-11-02T03:04:05Z`); an empty string where it is no time at all."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""


def _value(message: Message) -> str:
    return ", limit: ".join(part for part in (message.value.strip(), message.limit.strip()) if part)


def _series(message: Message) -> str:
    # A single series is the message's source already, and the title most often names it.
    more = len(message.series) - _MANY
    return "; ".join(message.series[:_MANY]) + (f"; and {more} more" if more > 0 else "")
