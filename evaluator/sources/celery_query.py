"""What a rule may ask of a Celery installation, and the settings of the source `celery`.

This module knows the words. It never talks to a broker, and imports Celery only to check a crontab.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from evaluator.sources.fields import Options, Seconds, Strict, Text, refuse_idle_options, refuse_unknown
from evaluator.sources.names import Names

Measure = Literal[
    "up", "workers", "queue_depth", "oldest_task_age", "unacked", "failure_ratio", "missed_runs", "last_run"
]

QUEUES = frozenset({"workers", "queue_depth", "oldest_task_age"})
"""Measures that may have a series for each queue."""
TASKS = frozenset({"failure_ratio", "missed_runs", "last_run"})
"""Measures that may be of some tasks only."""
SCHEDULES = frozenset({"missed_runs", "last_run"})
"""Measures with a series for each scheduled task."""
LONGEST_WINDOW = 86400.0
"""Seconds for which the results of tasks are remembered at most."""
BROKERS = ("redis", "rediss", "amqp", "amqps")
"""What the address of a broker may begin with."""

Steps = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=256)]

_OPTIONS: Options = {
    "queue": (QUEUES, "`workers`, `queue_depth` and `oldest_task_age`"),
    "task": (TASKS, "`failure_ratio`, `missed_runs` and `last_run`"),
    "name": (SCHEDULES, "`missed_runs` and `last_run`"),
    "window": (frozenset({"failure_ratio"}), "`failure_ratio`"),
    "min_count": (frozenset({"failure_ratio"}), "`failure_ratio`"),
}


def _zone(name: str) -> str:
    """Return the name of a time zone that exists."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        msg = f'{name} is not a time zone; write one like "UTC" or "Europe/Berlin"'
        raise ValueError(msg) from None
    return name


Zone = Annotated[str, AfterValidator(_zone)]


class Scheduled(Strict):
    """One task that beat sends, in `[sources.NAME.schedule.ENTRY]`; either `every` or `cron`."""

    task: Text = Field(description="The task's name, as Celery knows it.")
    every: Seconds | None = Field(None, description="How often it is sent.")
    cron: str | None = Field(None, description="When it is sent: minute, hour, day of month, month, day of week.")
    timezone: Zone | None = Field(None, description="Of `cron`; default the source's `timezone`.")
    grace: Seconds | None = Field(None, description="How late it may be; default the source's `grace`.")

    @field_validator("cron")
    @classmethod
    def _cron_is_one(cls, cron: str | None) -> str | None:
        """Take what Celery's crontab takes."""
        if cron is not None:
            # It imports Celery, and that takes a moment.
            from evaluator.sources.celery_crontab import is_crontab

            if not is_crontab(cron):
                msg = 'must be five fields that Celery understands and that are ever due, such as "0 2 * * *"'
                raise ValueError(msg)
        return cron

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        """Want exactly one way of saying when."""
        if (self.every is None) == (self.cron is None):
            msg = "needs either `every` or `cron`"
            raise ValueError(msg)
        return self


def _is_address(url: SecretStr, schemes: tuple[str, ...]) -> SecretStr:
    """Take an address that begins with one of these schemes; say nothing of what is in it."""
    parts = urlsplit(url.get_secret_value())
    try:
        fine = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        words = " or ".join(f"{each}://" for each in schemes)
        msg = f"must begin with {words} and name a host, and a port from 1 to 65535 if any"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = "must hold no ? and no #; in a password they are written %3F and %23"
        raise ValueError(msg)
    return url


class CelerySettings(Strict):
    """Settings of `type = "celery"`."""

    broker: SecretStr = Field(
        description="Celery's `broker_url`: `redis://`, `rediss://`, `amqp://` or `amqps://`; may hold user and "
        "password, and is never shown."
    )
    timeout: Seconds = Field(10.0, description="A poll, from the connection to the last answer, takes no longer.")
    reply_timeout: Seconds = Field(1.0, description="How long workers are waited for, after the last of them answered.")
    patience: Seconds = Field(
        900.0,
        description="How long a worker that is connected and does not answer counts as online: one of the pool "
        "`solo` answers nothing while it works.",
    )
    enable_events: bool = Field(
        default=False,
        description="Tell workers to send task events. This changes the workers; without it start them with `-E`.",
    )
    priority_steps: Steps = Field(
        (0, 3, 6, 9), description="Redis: Celery's `broker_transport_options.priority_steps`."
    )
    separator: Text = Field("\x06\x16", description="Redis: Celery's `broker_transport_options.sep`.")
    global_keyprefix: str = Field("", description="Redis: Celery's `broker_transport_options.global_keyprefix`.")
    control_exchange: Text = Field("celery", description="Celery's setting of this name.")
    event_exchange: Text = Field("celeryev", description="Celery's setting of this name.")
    sent_at_header: str | None = Field(
        None,
        description="A header of your tasks with the time at which they were sent: seconds since the epoch, or ISO "
        "8601. Makes `oldest_task_age` exact.",
    )
    schedule: dict[Text, Scheduled] = Field(
        default_factory=dict, description="What beat sends, where it keeps that to itself; a table for each entry."
    )
    redbeat_url: SecretStr | None = Field(None, description="The Redis in which RedBeat keeps the schedule.")
    redbeat_prefix: str = Field("redbeat:", description="RedBeat's `redbeat_key_prefix`.")
    django_url: SecretStr | None = Field(
        None, description="The PostgreSQL database in which django-celery-beat keeps the schedule: `postgresql://`."
    )
    timezone: Zone = Field("UTC", description="Celery's setting `timezone`: that of crontabs that say none.")
    grace: Seconds = Field(300.0, description="How late a scheduled task may be before its run counts as missed.")
    ca: Path | None = Field(None, description="TLS: file with the certificate authorities to trust (PEM).")
    cert: Path | None = Field(None, description="TLS: file with the client certificate (PEM).")
    key: Path | None = Field(None, description="TLS: file with the client certificate's key (PEM).")

    def refuse(self, query: "CeleryQuery") -> None:
        """Refuse an entry or a task that no schedule has, where the whole schedule stands here."""
        if query.measure in SCHEDULES and self.schedule and self.redbeat_url is None and self.django_url is None:
            refuse_unknown("name", query.name or (), self.schedule, "entry of the schedule")
            tasks = {entry.task for entry in self.schedule.values()}
            refuse_unknown("task", query.task or (), tasks, "scheduled task")

    @property
    def on_redis(self) -> bool:
        """Whether the broker is a Redis server; else it is RabbitMQ."""
        return self.broker.get_secret_value().startswith("redis")

    @field_validator("broker")
    @classmethod
    def _broker_is_a_place(cls, url: SecretStr) -> SecretStr:
        """Take an address that kombu understands."""
        return _is_address(url, BROKERS)

    @field_validator("redbeat_url")
    @classmethod
    def _redbeat_is_a_place(cls, url: SecretStr | None) -> SecretStr | None:
        """Take an address that redis-py understands."""
        return None if url is None else _is_address(url, ("redis", "rediss"))

    @field_validator("django_url")
    @classmethod
    def _django_is_a_place(cls, url: SecretStr | None) -> SecretStr | None:
        """Take an address that psycopg understands."""
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            msg = "must begin with postgresql://"
            raise ValueError(msg)
        return url

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        """Refuse TLS files that would not be used."""
        given = [name for name in ("ca", "cert", "key") if getattr(self, name) is not None]
        if given and not self.broker.get_secret_value().startswith(("rediss://", "amqps://")):
            msg = f"`{given[0]}` needs a broker that starts with rediss:// or amqps://"
            raise ValueError(msg)
        if self.key is not None and self.cert is None:
            msg = "`key` needs `cert`"
            raise ValueError(msg)
        return self


class CeleryQuery(Strict):
    """What a rule asks: `query = "workers"`, or `query = { measure = "queue_depth", queue = "celery" }`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `workers` (online), `queue_depth` (tasks), `oldest_task_age` (seconds), "
        "`unacked` (tasks), `failure_ratio` (0 to 1), `missed_runs` (runs), `last_run` (seconds since the epoch), "
        "`up` (1, or 0 when the broker refuses connections or is silent)."
    )
    queue: Names | None = Field(
        None,
        description="workers, queue_depth, oldest_task_age: a queue, or a list; a series for each (label `queue`).",
    )
    task: Names | None = Field(
        None,
        description="failure_ratio, missed_runs, last_run: a task, or a list (label `task`); default all.",
    )
    name: Names | None = Field(
        None, description="missed_runs, last_run: an entry of the schedule, or a list (label `name`); default all."
    )
    window: Seconds = Field(600.0, description="failure_ratio: the time that is looked back at; at most a day.")
    min_count: int = Field(20, ge=1, description="failure_ratio: with fewer finished tasks in the window it is 0.")

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing, and ask for the one that is needed."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        if self.measure in ("queue_depth", "oldest_task_age") and self.queue is None:
            msg = f"`{self.measure}` needs `queue`"
            raise ValueError(msg)
        if not 60.0 <= self.window <= LONGEST_WINDOW:
            msg = "`window` must be from 1m to 24h"
            raise ValueError(msg)
        return self
