"""Times as people write them: `03:00`, `yesterday 03:00`, `2h ago`, `2026-11-24T03:00:00Z`.

This module knows spellings. What time it is, and where, are arguments; what becomes of a time is the caller's business.
"""

import re
from datetime import date, datetime, timedelta, tzinfo

from evaluator.engine.units import parse_duration
from evaluator.web.wording import shorten

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_BACK = 'write "03:00", "yesterday 03:00", "2h ago" or "2026-11-24T03:00:00Z"'
_AHEAD = 'write "03:00", "tomorrow 03:00", "in 2h" or "2026-11-24T03:00:00Z"'


def moment_of(text: str, now: float, where: tzinfo, *, ahead: bool) -> float:
    """Return the time that a text means, in seconds since the epoch; `ValueError` says what to write.

    A time of day alone is the next one where the caller looks `ahead`, else the last one. What has no offset is meant
    in the timezone `where`; a time that a day has twice is the first of the two.
    """
    words = " ".join(text.replace(",", " ").split())
    try:
        found = _relative(words.lower(), now)
        if found is None:
            found = _of_day(words.lower(), now, where, ahead=ahead)
        if found is None:
            found = _written_out(words, where)
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None:
        raise ValueError(f'"{shorten(text, 40)}" is not a time; {_AHEAD if ahead else _BACK}')
    return found


def _relative(words: str, now: float) -> float | None:
    if words == "now":
        return now
    if words.endswith(" ago"):
        return now - parse_duration(words.removesuffix(" ago").replace(" ", ""))
    if words.startswith("in "):
        return now + parse_duration(words.removeprefix("in ").replace(" ", ""))
    return None


def _of_day(words: str, now: float, where: tzinfo, *, ahead: bool) -> float | None:
    """Return what `03:00` and `yesterday 03:00` mean."""
    day, _, clock = words.rpartition(" ")
    found = _CLOCK.fullmatch(clock)
    if found is None or (day and day not in _DAYS):
        return None
    today = datetime.fromtimestamp(now, where).date()
    if day:
        return _at(today + timedelta(days=_DAYS[day]), found, where)
    at = _at(today, found, where)
    if ahead and at <= now:
        return _at(today + timedelta(days=1), found, where)
    if not ahead and at > now:
        return _at(today - timedelta(days=1), found, where)
    return at


def _at(day: date, clock: re.Match[str], where: tzinfo) -> float:
    hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=where).timestamp()


def _written_out(words: str, where: tzinfo) -> float:
    # Our own sentences write `2026-11-24 03:00 UTC`, and what is read there is copied.
    written = datetime.fromisoformat(f"{words.removesuffix(' UTC')}+00:00" if words.endswith(" UTC") else words)
    return (written if written.tzinfo else written.replace(tzinfo=where)).timestamp()
