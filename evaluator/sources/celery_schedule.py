"""When scheduled tasks are due, and how many due times have passed without a run.

This module knows intervals and crontabs as Celery's beat understands them, and seconds since the epoch. It never
talks to anybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evaluator.sources.celery_crontab import next_due
from evaluator.sources.celery_query import CelerySettings

MOST = 1000
"""Due times that are counted at most."""
_SKEW = 30.0
"""Seconds that the clock of beat's machine may be ahead of ours: a run a little before its due time is that one's."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of beat's schedule."""

    name: str
    task: str
    grace: float
    """Seconds that it may be late."""
    every: float | None = None
    cron: str | None = None
    zone: str = "UTC"
    kept: bool = False
    """Whether beat itself writes down when it sent it last; else its runs are seen by events."""
    last: float | None = None
    """When beat sent it last, or when the entry was made."""
    ran: bool = False
    """Whether `last` is a run."""
    due: float | None = None
    """When it is due next, where beat says so."""
    enabled: bool = True
    once: bool = False
    """Whether it runs a single time."""
    changed: float | None = None
    """When its entry was last written, by a person or by beat."""

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its series."""
        return {"name": self.name, "task": self.task}


def declared(settings: CelerySettings) -> list[Entry]:
    """Return the schedule that stands in the settings."""
    return [
        Entry(
            name=name,
            task=entry.task,
            grace=settings.grace if entry.grace is None else entry.grace,
            every=entry.every,
            cron=entry.cron,
            zone=entry.timezone or settings.timezone,
        )
        for name, entry in settings.schedule.items()
    ]


def dues(entry: Entry, after: float, until: float) -> Iterator[float]:
    """Yield the due times after an instant and up to another, at most `MOST`."""
    at = after
    for _ in range(MOST):
        if entry.every is not None:
            at += entry.every
        elif entry.cron is not None:
            at = next_due(entry.cron, entry.zone, at)
        else:
            return
        if at > until:
            return
        yield at


def missed_in_store(entry: Entry, now: float) -> int:
    """Return how many due times have passed since beat sent it last, as beat itself says."""
    until = now - entry.grace
    if entry.due is not None:
        missed = 0 if entry.due > until else 1 + sum(1 for _ in dues(entry, entry.due, until))
    else:
        missed = 0 if entry.last is None else sum(1 for _ in dues(entry, entry.last, until))
    return min(missed, 1) if entry.once else missed


def after_run(entry: Entry, ran: float) -> float:
    """Return the instant after which due times count, where a run was seen by its event."""
    return ran if entry.every is not None else ran + _SKEW


def around(entry: Entry, due: float) -> tuple[float, float]:
    """Return within which time the run of a due time must have been seen."""
    return due - min(_SKEW, entry.every or _SKEW), due + entry.grace
