"""Reads the schedules that beat keeps outside itself: RedBeat's in Redis, django-celery-beat's in PostgreSQL.

This module knows their layouts. It never writes, and never judges whether a run was missed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row
from redis import exceptions as redis_errors

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.celery_broker import ERRORS, Broker
from evaluator.sources.celery_crontab import crontab_text, is_crontab
from evaluator.sources.celery_schedule import Entry
from evaluator.sources.weather import place, reason_of, said

_MOST = 10_000
_WRITTEN = 360.0
"""Seconds until the last run is in Django's database for certain: beat writes it down when it sends something and 3
minutes have passed, or every 5 minutes, in its loop of 5 s
(SCHEDULE_SYNC_MAX_INTERVAL in
https://github.com/celery/django-celery-beat/blob/main/django_celery_beat/schedulers.py)."""
_UNITS = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0, "microseconds": 1e-6}

# The tables of django-celery-beat 2.x:
# https://github.com/celery/django-celery-beat/blob/main/django_celery_beat/models.py
_DJANGO = f"""
SELECT p.name, p.task, p.enabled, p.last_run_at, p.date_changed, greatest(p.date_changed, p.start_time) AS begins,
  p.expires IS NOT NULL AND p.expires < now() OR p.one_off AND p.total_run_count > 0 AS ended, p.one_off,
  i.every, i.period, c.minute, c.hour, c.day_of_week,
  c.day_of_month, c.month_of_year, c.timezone::text AS timezone
FROM django_celery_beat_periodictask p
LEFT JOIN django_celery_beat_intervalschedule i ON i.id = p.interval_id
LEFT JOIN django_celery_beat_crontabschedule c ON c.id = p.crontab_id
ORDER BY p.name LIMIT {_MOST}
"""  # noqa: S608 - a number of our own.


@dataclass(frozen=True, slots=True)
class Stored:
    """What the stores say."""

    entries: Sequence[Entry]
    warnings: tuple[str, ...] = ()
    requests: int = 0


def read(broker: Broker) -> Stored | PollFailed:
    """Return the entries of all stores that are set; the first failure counts."""
    settings, entries, warnings, requests = broker.settings, list[Entry](), list[str](), 0
    if settings.redbeat_url is not None:
        where = f"RedBeat at {place(settings.redbeat_url.get_secret_value())}"
        try:
            entries += _redbeat(broker, warnings)
        except redis_errors.NoPermissionError as error:
            return PollFailed(FailureReason.AUTH, f"{where}: {said(str(error), broker.secrets)}")
        except ERRORS as error:
            return broker.failure(error, where)
        requests += 2
    if settings.django_url is not None:
        try:
            entries += _django(broker, warnings)
        except psycopg.Error as error:
            return _failure(error, settings.django_url.get_secret_value())
        requests += 1
    return Stored(entries, tuple(warnings), requests)


def _redbeat(broker: Broker, warnings: list[str]) -> list[Entry]:
    """Return RedBeat's schedule: a sorted set of keys by due time, and a hash for each key."""
    settings = broker.settings
    with broker.redis(settings.redbeat_url) as client:
        found: Any = client.zrange(f"{settings.redbeat_prefix}:schedule", 0, _MOST - 1, withscores=True)
        with client.pipeline(transaction=False) as pipeline:
            for key, _ in found:
                pipeline.hmget(key, "definition", "meta")
            bodies = pipeline.execute()
    entries = []
    for (key, due), (definition, meta) in zip(found, bodies, strict=True):
        try:
            entries.append(_redbeat_entry(json.loads(definition), json.loads(meta or "{}"), float(due), broker))
        except (ValueError, TypeError, KeyError, AttributeError):
            warnings.append(said(f"RedBeat: {key.decode(errors='backslashreplace')} is not understood"))
    return entries


def _redbeat_entry(definition: Mapping[str, Any], meta: Mapping[str, Any], due: float, broker: Broker) -> Entry:
    """Return one entry of RedBeat."""
    schedule, last = definition["schedule"], meta.get("last_run_at")
    # An entry that has not run has an instant too: when it was made. Only a run is counted.
    # https://github.com/sibson/redbeat/blob/main/redbeat/schedulers.py
    ran = last is not None and bool(meta.get("total_run_count"))
    cron = crontab_text(schedule) if schedule.get("__type__") == "crontab" else None
    return Entry(
        name=str(definition["name"]),
        task=str(definition["task"]),
        grace=broker.settings.grace,
        every=float(schedule["every"]) if schedule.get("__type__") == "interval" else None,
        cron=cron if cron is not None and is_crontab(cron) else None,
        zone=broker.settings.timezone,
        kept=True,
        last=None if last is None else _instant(last),
        ran=ran,
        due=due,
        # Below 0: its rule has come to its end, and it will never be due again.
        enabled=bool(definition.get("enabled", True)) and due >= 0,
    )


def _instant(value: Mapping[str, Any] | str | float) -> float:
    """Return an instant as RedBeat writes it: parts with a time zone, or seconds."""
    if not isinstance(value, Mapping):
        return float(value)
    zone = value.get("timezone")
    parts = {name: int(part) for name, part in value.items() if name not in ("__type__", "timezone")}
    # A zone without a name is written as its distance from UTC, in seconds.
    named = ZoneInfo(zone) if isinstance(zone, str) else timezone(timedelta(seconds=float(zone or 0.0)))
    return datetime(**parts, tzinfo=named).timestamp()


def _django(broker: Broker, warnings: list[str]) -> list[Entry]:
    """Return the schedule in Django's database; entries of other kinds (solar, clocked) are left out."""
    settings = broker.settings
    if settings.django_url is None:
        return []
    seconds = max(2, int(settings.timeout))
    options = f"-c statement_timeout={int(settings.timeout * 900)}"
    with psycopg.connect(
        settings.django_url.get_secret_value(),
        connect_timeout=seconds,
        autocommit=True,
        application_name="evaluator",
        options=options,
        row_factory=dict_row,
    ) as connection:
        rows = connection.execute(_DJANGO).fetchall()
    entries, others = [], 0
    for row in rows:
        every = None if row["every"] is None else float(row["every"]) * _UNITS.get(row["period"], 1.0)
        cron = None if row["minute"] is None else crontab_text(row)
        if every is None and (cron is None or not is_crontab(cron)):
            others += 1
            continue
        base = row["last_run_at"] or row["begins"]
        entries.append(
            Entry(
                name=row["name"],
                task=row["task"],
                grace=max(settings.grace, _WRITTEN),
                every=every,
                cron=cron,
                zone=_zone(row["timezone"], settings.timezone),
                kept=True,
                last=None if base is None else base.timestamp(),
                ran=row["last_run_at"] is not None,
                enabled=row["enabled"] and not row["ended"],
                once=row["one_off"],
                changed=row["date_changed"].timestamp(),
            )
        )
    if others:
        warnings.append(f"{others} entries of django-celery-beat have no interval and no crontab: left out")
    return entries


def _zone(name: str | None, otherwise: str) -> str:
    """Return the time zone of a stored crontab."""
    try:
        ZoneInfo(name or otherwise)
    except (OSError, ValueError, KeyError):
        return otherwise
    return name or otherwise


def _failure(error: psycopg.Error, url: str) -> PollFailed:
    """Return what an error of PostgreSQL means. libpq's own text holds no password."""
    where, text, known = f"django-celery-beat at {place(url)}", said(str(error)), reason_of(error)
    match error:
        case psycopg.errors.InsufficientPrivilege() | psycopg.errors.InvalidAuthorizationSpecification():
            return PollFailed(FailureReason.AUTH, f"{where}: {text}")
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return PollFailed(FailureReason.BAD_QUERY, f"{where}: {text}")
        case psycopg.errors.QueryCanceled() | psycopg.errors.ConnectionTimeout():
            return PollFailed(FailureReason.TIMEOUT, f"{where}: no answer in time")
        case _ if "password authentication failed" in text:
            return PollFailed(FailureReason.AUTH, f"{where}: password authentication failed")
        case _ if "refused" in text:
            return PollFailed(FailureReason.REFUSED, f"{where}: nobody listens there")
        case _:
            reason = FailureReason.UNAVAILABLE if known is None else known[0]
            return PollFailed(reason, f"{where}: {text}")
