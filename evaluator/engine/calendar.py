"""Times of the week and times of a crontab, in a place's own time.

This module knows local time and its two odd days a year. It never reads a clock: what time it is, is an argument.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""The days of a week, as they are written."""
MINUTES = 24 * 60
"""The minutes of a day."""


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
    clock has jumped over it, and one that a day has twice is due the first time only.
    """
    # The library looks for times strictly before the one that it is given, to the second.
    before = datetime.fromtimestamp(int(at) + 1, zone(timezone))
    found = next(CronSim(cron, before, reverse=True), None)
    return None if found is None else found.timestamp()


def next_due(cron: str, timezone: str, at: float) -> float | None:
    """Return the first time of a crontab line after `at`; `None`: there is none in decades."""
    found = next(CronSim(cron, datetime.fromtimestamp(at, zone(timezone))), None)
    return None if found is None else found.timestamp()
