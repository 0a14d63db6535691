"""Times of the week and times of a crontab, in a place's own time.

This module knows local time and its two odd days a year. It never reads a clock: what time it is, is an argument.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""The days of a week, as they are written."""
MINUTES = 24 * 60
"""The minutes of a day."""

_DECADES = 41 * 366
"""Days: 29 February is the same day of the week after 28 years, or after 40 over a century's turn."""
_WEEKS = 3 * 7
"""Days: once in a year the clocks may jump over the only hours of a week."""
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name, which was checked when the rule was loaded."""
    return ZoneInfo(name)


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """One `active` of a rule: hours on some days of the week."""

    text: str
    """As it was written."""
    days: frozenset[int]
    """0 is Monday. Hours that pass midnight belong to the day on which they begin."""
    start: int
    """Minutes after midnight."""
    end: int
    """Minutes after midnight, not part of it; not after `start` where it is on the next day."""
    timezone: str
    """IANA name."""

    def holds(self, at: float) -> bool:
        """Return whether a time (seconds since the epoch) is in it, as the clocks there show it."""
        local = datetime.fromtimestamp(at, zone(self.timezone))
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)

    def next_begin(self, at: float) -> float:
        """Return from when on it holds: `at` itself where it does, else the next time at which it begins to."""
        if self.holds(at):
            return at
        place = zone(self.timezone)
        today = datetime.fromtimestamp(at, place).date()
        for number in range(-1, _WEEKS):
            day = today + timedelta(days=number)
            local = datetime.combine(day, time(self.start // 60, self.start % 60))
            # It may begin with a jump of the clocks, into the middle of it, and twice on one day.
            begins = _shown(local, place) | _jumps(day, place)
            later = [begin for begin in begins if begin > at and self.holds(begin)]
            if later:
                return min(later)
        return math.inf


def _jumps(day: date, place: ZoneInfo) -> set[float]:
    """Return when the clocks of a place jump on a day, if they do."""
    early, late = (datetime.combine(each, time(), place).timestamp() for each in (day, day + timedelta(days=1)))
    before = _offset(early, place)
    if _offset(late, place) == before:
        return set()
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (middle, late) if _offset(middle, place) == before else (early, middle)
    return {late}


def _offset(at: float, place: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at, place).utcoffset()


def time_text(at: float, *, seconds: bool = True) -> str:
    """Return a time for people who may be anywhere: `2026-11-23 03:04:05 UTC`; an impossible one as its number."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):{'%Y-%m-%d %H:%M:%S' if seconds else '%Y-%m-%d %H:%M'}} UTC"
    except (OverflowError, OSError, ValueError):
        return str(at)


def last_due(cron: str, timezone: str, at: float) -> float | None:
    """Return the last time of a crontab line that is not after `at`; `None`: there is none in decades.

    On the days on which clocks change, times are what Debian's cron makes of them
    (https://manpages.debian.org/bookworm/cron/cron.8.en.html): a fixed time that a day does not have is due when the
    clock has jumped over it, and one that a day has twice is due the first time only. Where the minutes or the hours
    begin with a star, times are due as the clocks show them: some not at all, some twice.
    """
    for day in _days(cron, timezone, at, -1):
        times = _dues(cron, timezone, day)
        number = bisect_right(times, at)
        if number:
            return times[number - 1]
    return None


def next_due(cron: str, timezone: str, at: float) -> float | None:
    """Return the first time of a crontab line after `at`; `None`: there is none in decades."""
    for day in _days(cron, timezone, at, 1):
        times = _dues(cron, timezone, day)
        number = bisect_right(times, at)
        if number < len(times):
            return times[number]
    return None


def _days(cron: str, timezone: str, at: float, way: int) -> Iterator[date]:
    """Yield the days of a crontab line around a time, the nearest first, forwards (1) or backwards (-1)."""
    line = _parsed(cron)
    today = datetime.fromtimestamp(at, zone(timezone)).date()
    # A day more behind: where clocks are put back over midnight, yesterday's times may be still to come.
    for number in range(-1, _DECADES):
        day = today + timedelta(days=way * number)
        if day.month in line.months and line.match_day(day):
            yield day


@lru_cache(maxsize=256)
def _parsed(cron: str) -> CronSim:
    # For its fields alone, which need no time: what its walk makes of an hour that comes twice is not what cron does.
    return CronSim(cron, _ANY_TIME)


@lru_cache(maxsize=1024)
def _dues(cron: str, timezone: str, day: date) -> tuple[float, ...]:
    """Return the times at which a crontab line is due on one of its days, in order."""
    line, place = _parsed(cron), zone(timezone)
    begin = datetime.combine(day, time(), place)
    # The later one of two midnights: clocks that go back just after it make the end of this day come again.
    end = datetime.combine(day + timedelta(days=1), time(), place).replace(fold=1)
    if begin.utcoffset() == end.utcoffset():
        midnight = begin.timestamp()
        return tuple(midnight + hour * 3600.0 + minute * 60.0 for hour, minute in _times(line))
    fixed = not line.parts[1].startswith("*") and not line.parts[2].startswith("*")
    found: set[float] = set()
    for hour, minute in _times(line):
        local = datetime.combine(day, time(hour, minute))
        if fixed:
            found.add(_first(local, place))
        else:
            found |= _shown(local, place)
    return tuple(sorted(found))


def _times(line: CronSim) -> list[tuple[int, int]]:
    return [(hour, minute) for hour in sorted(line.hours) for minute in sorted(line.minutes)]


def _shown(local: datetime, place: ZoneInfo) -> set[float]:
    """Return when the clocks of a place show a local time: once, twice, or never."""
    moments = {local.replace(tzinfo=place, fold=fold).timestamp() for fold in (0, 1)}
    return {moment for moment in moments if datetime.fromtimestamp(moment, place).replace(tzinfo=None) == local}


def _first(local: datetime, place: ZoneInfo) -> float:
    """Return when the clocks of a place first show a local time, or a later one where they jump over it."""
    while not (moments := _shown(local, place)):
        local += timedelta(minutes=1)
    return min(moments)
