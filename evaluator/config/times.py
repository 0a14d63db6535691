"""The kinds of values that speak of time in a place: time zones, crontab lines, hours of the week, dates.

This module knows how they are written, and what nobody can mean. It never reads a clock, nor knows whose they are.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from evaluator.config.fields import did_you_mean
from evaluator.engine.calendar import DAYS, MINUTES, ActiveHours

_FIELDS = "minute hour day-of-month month day-of-week"
_LONGEST = 200
_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_ABBREVIATIONS = {
    **dict.fromkeys(("ET", "EDT"), "America/New_York"),
    **dict.fromkeys(("CT", "CDT"), "America/Chicago"),
    **dict.fromkeys(("MT", "MDT"), "America/Denver"),
    **dict.fromkeys(("PT", "PST", "PDT"), "America/Los_Angeles"),
    "BST": "Europe/London",
    "CEST": "Europe/Berlin",
    **dict.fromkeys(("AEST", "AEDT"), "Australia/Sydney"),
    "JST": "Asia/Tokyo",
    "Z": "UTC",
}
"""What clocks show, and what is no name of a time zone: those that mean one place only."""
_HOURS = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z,\s-]*?)\s+)?(?P<from>[0-9]\S*?)\s*-\s*(?P<to>\S+)(?:\s+(?P<zone>\S.*))?"
)
_TIME = re.compile(r"([0-9]{2}):([0-9]{2})")
_LOOSE_TIME = re.compile(r"([0-9]{1,2})(?::?([0-9]{2}))?\s*(am|pm|h)?", re.IGNORECASE)
_NAMES = {name.lower(): index for index, name in enumerate(DAYS)}
_GROUPS = {
    **dict.fromkeys(("weekday", "weekdays", "workday", "workdays"), "Mon-Fri"),
    **dict.fromkeys(("weekend", "weekends"), "Sat,Sun"),
    **dict.fromkeys(("daily", "always", "everyday"), "Mon-Sun"),
}
"""What people call several days."""
_EXAMPLE = '"Mon-Fri 08:00-20:00 America/New_York"'
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
"""A Monday, the first day of a leap year: from here on it is looked when a crontab line is due."""
_YEARS = range(1990, 2200)
_MOST_DUES = 11_000
"""Times of a crontab line that are looked at: a week of minutes, and a bit."""


def zone_name(value: str) -> str:
    """Return the IANA name of a time zone."""
    try:
        ZoneInfo(value)
    except (LookupError, ValueError, OSError):
        meant = _zone_meant(value)
        hint = f'did you mean "{meant}"?' if meant else 'write one like "Europe/Vienna" or "UTC"'
        raise ValueError(f'"{value[:60]}" is not a time zone; {hint}') from None
    return value


def _zone_meant(value: str) -> str:
    """Return the zone that somebody means by an abbreviation, a city or a slip; empty where nobody can tell."""
    if value.upper() in _ABBREVIATIONS:
        return _ABBREVIATIONS[value.upper()]
    zones, name = available_timezones(), value.strip().replace(" ", "_").lower()
    same = sorted(zone for zone in zones if zone.lower() == name or zone.lower().partition("/")[2] == name)
    if name and same:
        return min(same, key=lambda zone: zone.lower() != name)
    # Three letters are near to three others, of a place far away; and an offset is near to another hour.
    vague = len(value) <= len("AEST") or re.search(r"[+-][0-9]", value)
    return "" if vague else did_you_mean(value, zones)


def _cron(value: object) -> str:
    """Return a crontab line of five fields that is due some day."""
    if not isinstance(value, str):
        raise ValueError('must be a line as in a crontab; write one like "0 2 * * *"')  # noqa: TRY004 - pydantic.
    text = " ".join(value.split())
    shown = f'"{text[:60]}"'
    if text.lower() in _SHORTHANDS:
        raise ValueError(f'{shown} is not written in five fields; write "{_SHORTHANDS[text.lower()]}"')
    fields = text.split(" ")
    if len(fields) == 6:
        raise ValueError(f'{shown} has six fields; leave out the seconds: "{" ".join(fields[1:])[:60]}"')
    if len(fields) != 5 or len(text) > _LONGEST:
        raise ValueError(f'{shown} is not a line of a crontab; write five fields, {_FIELDS}: "0 2 * * *"')
    names = _FIELDS.split()
    for index, name in enumerate(names):
        # Each by itself, since of all together the library says the same for no day and for a day that never comes.
        try:
            CronSim(" ".join(fields[index] if place == index else "*" for place in range(5)), _FIRST)
        except CronSimError:
            hint = f'the fields are {_FIELDS}, as in "0 2 * * *"'
            message = f'{shown} is not a line of a crontab: "{fields[index][:30]}" is no {name}'
            raise ValueError(f"{message}; {hint}") from None
    if not _is_due(text):
        raise ValueError(f"{shown} is never due: no such day comes; write a day that its months have")
    return text


def _is_due(cron: str) -> bool:
    """Return whether a line of right fields is due some day."""
    try:
        return next(_dues(cron), None) is not None
    except CronSimError:
        return False


def _dues(cron: str) -> Iterator[datetime]:
    return CronSim(cron, _FIRST)


@lru_cache(maxsize=256)
def longest_gap(cron: str, more_than: float) -> float | None:
    """Return the longest time (seconds) between two dues of a line, or `None` once a gap of `more_than` is found.

    It is looked at a year, or at a week of a line that is due each minute.
    """
    longest, before, number = 0.0, None, 0
    for number, due in enumerate(_dues(cron)):
        if before is not None:
            longest = max(longest, (due - before).total_seconds())
        if longest > more_than:
            return None
        if number >= _MOST_DUES or (number and (due - _FIRST).days > 366):
            break
        before = due
    return longest if number else None


def hours(text: str) -> ActiveHours:
    """Return one `active`; its time zone is empty where it names none."""
    match = _HOURS.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f'"{text[:60]}" says no hours; write days, hours and time zone: {_EXAMPLE}')
    start, end = _minute(match["from"]), _minute(match["to"])
    if start == end:
        raise ValueError(f'"{text[:60]}" begins when it ends; write "00:00-24:00" for the whole day')
    if start == MINUTES:
        raise ValueError(f'"{text[:60]}" begins at 24:00; write 00:00, and the day after')
    days = _days(match["days"]) if match["days"] else frozenset(range(len(DAYS)))
    return ActiveHours(text.strip(), days, start, end, zone_name(match["zone"]) if match["zone"] else "")


def _minute(text: str) -> int:
    """Return the minute of a day that `08:00` is."""
    match = _TIME.fullmatch(text)
    if match is not None:
        minute = int(match[1]) * 60 + int(match[2])
        if int(match[2]) < 60 and minute <= MINUTES:
            return minute
        raise ValueError(f'"{text[:20]}" is not a time of day; the last one is 23:59, or 24:00 for the end of the day')
    loose = _LOOSE_TIME.fullmatch(text)
    if loose is not None:
        hour = int(loose[1]) % 12 + 12 if (loose[3] or "").lower() == "pm" else int(loose[1])
        raise ValueError(f'"{text[:20]}" is not a time of day; write "{hour:02}:{loose[2] or "00"}"')
    if text.endswith((",", ";")):
        raise ValueError('these are several hours; write a list: ["Mon-Fri 08:00-20:00", "Sat 10:00-12:00"]')
    raise ValueError(f'"{text[:20]}" is not a time of day; write one like "08:00", as in {_EXAMPLE}')


def _days(text: str) -> frozenset[int]:
    """Return the days that `Mon-Fri,Sun` has; 0 is Monday."""
    found: set[int] = set()
    for part in re.split(r"\s*,\s*", text.strip()):
        first, dash, last = (word.strip() for word in part.partition("-"))
        start = _day(first)
        end = _day(last) if dash else start
        found.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(found)


def _day(text: str) -> int:
    """Return the number of a day."""
    if text.lower() in _NAMES:
        return _NAMES[text.lower()]
    meant = DAYS[_NAMES[text[:3].lower()]] if text[:3].lower() in _NAMES else _GROUPS.get(text.lower(), "")
    hint = f'did you mean "{meant}"?' if meant else f"the days are {', '.join(DAYS)}"
    raise ValueError(f'"{text[:20]}" is not a day; {hint}')


def _active(value: object) -> tuple[ActiveHours, ...]:
    """Return the hours of `active`: one text, or a list of them."""
    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise ValueError('without any hours is never; write "00:00-24:00" for always, or mode = "off" for never')
    found = [hours(text) for text in texts if isinstance(text, str)]
    if len(found) < len(texts):
        raise ValueError(f"must be a text, or a list of texts; write active = {_EXAMPLE}")
    return tuple(found)


def _moment(value: object) -> datetime:
    """Return a date with its time; local where it has no offset."""
    if isinstance(value, datetime):
        return _near(value)
    if isinstance(value, date):
        raise ValueError(f'has no time of day; write "{value} 00:00"')  # noqa: TRY004 - pydantic collects it.
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}\s*", value):
        raise ValueError(f'has no time of day; write "{value.strip()} 00:00"')
    try:
        text = value.strip() if isinstance(value, str) else ""
        found = datetime.fromisoformat(f"{text.removesuffix(' UTC')}+00:00" if text.endswith(" UTC") else text)
    except ValueError:
        shown = f'"{value[:40]}" is not a time' if isinstance(value, str) else "must be a time"
        raise ValueError(f'{shown}; write one like "2026-12-01 02:00", or 2026-12-01T02:00:00Z') from None
    return _near(found)


def _near(moment: datetime) -> datetime:
    """Return a time that somebody may mean: to the far ends of the calendar no clock can be converted."""
    if moment.year not in _YEARS:
        raise ValueError(f"is in the year {moment.year}; write one from {_YEARS[0]} to {_YEARS[-1]}")
    return moment


_HOURS_SCHEMA = {"type": "string", "examples": ["Mon-Fri 08:00-20:00 America/New_York", "Sat,Sun 22:00-06:00"]}

TimeZone = Annotated[str, AfterValidator(zone_name)]
"""IANA name."""
Cron = Annotated[
    str, PlainValidator(_cron), WithJsonSchema({"type": "string", "examples": ["0 2 * * *", "*/15 8-18 * * MON-FRI"]})
]
"""Five fields, due some day."""
Hours = Annotated[
    tuple[ActiveHours, ...],
    PlainValidator(_active),
    WithJsonSchema({"anyOf": [_HOURS_SCHEMA, {"type": "array", "items": _HOURS_SCHEMA, "minItems": 1}]}),
]
"""`active`; a time zone that is not named is empty."""
Moment = Annotated[
    datetime,
    PlainValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-12-01 02:00", "2026-12-01T02:00:00Z"]}),
]
"""A date with its time; without an offset it is local."""
