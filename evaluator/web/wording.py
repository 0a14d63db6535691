"""How pages and the API write times and long texts.

This module knows spelling. The settings' timezone and the moment of looking are arguments.
"""

import math
import re
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

NEVER = "0001-01-01T00:00:00Z"
"""How Prometheus' API writes a time that has not been yet."""
_TIME = re.compile(r"(?<![\w-])(?:([0-9]{4}-[0-9]{2}-[0-9]{2}) )?([0-9]{2}:[0-9]{2}(:[0-9]{2})?) UTC(?!\w)")
"""A time inside of a sentence, as the engine writes it."""


def zone(name: str) -> tzinfo:
    """Return the timezone of this IANA name; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return UTC


def rfc3339(at: float) -> str:
    """Return a time as APIs write it: `2026-11-23T14:02:00.5Z`; one that no calendar has is `NEVER`."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):
        return NEVER
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def wall_clock(at: float, now: float, where: tzinfo) -> str:
    """Return a time as people read it: `14:02` today, `22 Nov 14:02` on another day, with the year in another year."""
    try:
        moment, today = datetime.fromtimestamp(at, where), datetime.fromtimestamp(now, where)
    except (OverflowError, OSError, ValueError):
        return "?"
    if moment.date() == today.date():
        return moment.strftime("%H:%M")
    day = f"{moment.day} {moment.strftime('%b')}"
    if moment.year != today.year:
        return f"{day} {moment.year}, {moment.strftime('%H:%M')}"
    return f"{day}, {moment.strftime('%H:%M')}"


def clock(at: float, now: float, where: tzinfo) -> str:
    """Return a time to the second as people read it: `14:02:05` today, `22 Nov, 14:02:05` on another day."""
    short = wall_clock(at, now, where)
    return short if short == "?" else f"{short}:{datetime.fromtimestamp(at, where).second:02d}"


def local(text: str, where: tzinfo, near: float | None = None) -> str:
    """Return a sentence whose times (`2026-11-24 03:00 UTC`, `03:00:05 UTC`) are those of a place: `22:00:05 EST`.

    Sentences are made, kept and sent in UTC; whoever looks at one has local clocks beside it. A time without a day is
    of the day (in UTC) of `near`, the moment that the sentence is about; without that it stays as it is.
    """

    def told(found: re.Match[str]) -> str:
        day, clock, seconds = found.groups()
        if day is None and (near is None or seconds is None):
            return found[0]
        try:
            of = day or f"{datetime.fromtimestamp(near or 0.0, UTC):%Y-%m-%d}"
            there = datetime.fromisoformat(f"{of}T{clock}+00:00").astimezone(where)
            today = day is None and there.date() == datetime.fromtimestamp(near or 0.0, where).date()
        except (OverflowError, OSError, ValueError):
            return found[0]
        clocks = there.strftime("%H:%M:%S %Z" if seconds else "%H:%M %Z")
        return clocks if today else f"{there.date()} {clocks}"

    return _TIME.sub(told, text)


def localised(answer: Any, where: tzinfo) -> Any:  # noqa: ANN401  # Any piece of JSON.
    """Return an answer of the API with the times inside of its sentences in local time, for whoever draws it."""
    if isinstance(answer, str):
        return local(answer, where)
    if isinstance(answer, dict):
        return {name: localised(value, where) for name, value in answer.items()}
    return [localised(each, where) for each in answer] if isinstance(answer, list) else answer


def span(seconds: float) -> str:
    """Return a length of time by its two largest parts: `12 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`."""
    left = max(math.ceil(seconds), 0)
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            # Only neighbours stand together: `2 h`, not `2 h 5 s`.
            break
    return " ".join(parts[:2])


def ago(seconds: float) -> str:
    """Return how long ago something was: `just now`, `5 s ago`."""
    return "just now" if seconds < 1 else f"{span(math.floor(seconds))} ago"


def shorten(text: str, most: int) -> str:
    """Return a text of at most this many characters, with an ellipsis where something was left out."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 rule`, `1,200 rules`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def ending(reason: str | None) -> str:
    """Return why an incident has ended, as a word or two: `recovered`, `by hand`."""
    return "by hand" if reason == "resolved_by_human" else (reason or "").replace("_", " ")


def moment(text: str) -> float:
    """Return the seconds since the epoch of a time that `rfc3339` wrote."""
    return datetime.fromisoformat(text).timestamp()
