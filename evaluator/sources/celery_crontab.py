"""Crontabs as Celery's beat understands them: when one is due next.

This module knows Celery's class, and seconds since the epoch. It never knows what is due.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab

_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def is_crontab(text: str) -> bool:
    """Return whether Celery understands it, and it is ever due."""
    try:
        next_due(text, "UTC", 0.0)
    except (ParseException, ValueError, RuntimeError):
        return False
    return True


def crontab_text(fields: Mapping[str, object]) -> str:
    """Return the five fields of a stored crontab as one line."""
    return " ".join(str(fields.get(name, "*")).replace(" ", "") or "*" for name in _FIELDS)


@lru_cache(maxsize=4096)
def _crontab(text: str) -> crontab:
    """Return Celery's own crontab, so that due times are beat's."""
    fields = dict(zip(_FIELDS, text.split(), strict=True))
    return crontab(**fields, nowfun=lambda: datetime.fromtimestamp(0, UTC))


def next_due(cron: str, zone: str, after: float) -> float:
    """Return the first due time after an instant."""
    local = datetime.fromtimestamp(after, ZoneInfo(zone))
    start, step, _ = _crontab(cron).remaining_delta(local, tz=ZoneInfo(zone))
    found: datetime = start + step
    # An hour that is there twice must not hold the count up.
    return max(found.timestamp(), after + 1.0)
