"""What was heard of Celery's events: results of tasks over time, runs, heartbeats, and when nobody listened.

This module knows events and instants on a clock that only goes forward (seconds). It never listens itself, keeps a
bounded memory, and may be used by several threads.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from evaluator.sources.celery_query import LONGEST_WINDOW

BEAT = 30.0
"""Seconds without a heartbeat after which a worker is not known to live; workers send one every 2 s."""
_BEATS = 3
"""Heartbeats after which a worker's events of tasks should have come: it sends them in bundles, each second, and one of
the pool `solo` only when its task has ended."""
_BUCKET = 10.0
_MOST_COUNTS = 100_000
_MOST_TASKS = 300
_MOST_UUIDS = 20_000
_MOST_WORKERS = 5_000
_MOST_SPANS = 500
_OTHER = "(other)"
"""Where the results of tasks are counted whose name nobody knows, or that are one too many to keep apart."""


@dataclass(slots=True)
class _Worker:
    """What was heard of one worker."""

    at: float
    processed: int | None = None
    unheard: int = 0
    """Heartbeats since it said first that it began a task of which no event came."""
    told: bool = False
    """Whether an event of a task came since its last heartbeat: then what it began was told of."""


@dataclass(frozen=True, slots=True)
class Results:
    """How tasks ended."""

    succeeded: int
    failed: int

    @property
    def finished(self) -> int:
        """How many ended; one that will be tried again did not."""
        return self.succeeded + self.failed


class Tally:
    """Counters of events. Its memory does not grow with the number of tasks."""

    def __init__(self) -> None:
        """Know nothing, and listen not yet."""
        self._lock = threading.Lock()
        self._buckets: OrderedDict[int, dict[str, list[int]]] = OrderedDict()
        self._counts = 0
        self._floor = float("-inf")
        self._names: OrderedDict[str, str] = OrderedDict()
        self._tasks: set[str] = set()
        self._workers: dict[str, _Worker] = {}
        self._runs: dict[str, float] = {}
        self._successes: dict[str, float] = {}
        self._spans: list[tuple[float, float]] = []
        self._since: float | None = None
        self._heard: float | None = None

    def listening(self, at: float, *, tasks: bool = True) -> None:
        """Note that events are heard from now on: those of tasks as well, or only those of workers."""
        with self._lock:
            self._since = at if tasks else None
            self._heard = None
            for worker in self._workers.values():
                worker.processed, worker.unheard = None, 0

    def deaf(self, at: float) -> None:
        """Note that nothing is heard any more since `at`."""
        with self._lock:
            if self._since is not None:
                self._spans = [*self._spans[-_MOST_SPANS:], (self._since, max(at, self._since))]
                self._since = None

    def event(self, event: Mapping[str, Any], at: float) -> None:
        """Count one event; whatever is not understood is left out."""
        kind, worker = event.get("type"), event.get("hostname")
        if not isinstance(kind, str) or not isinstance(worker, str):
            return
        with self._lock:
            self._heard = at
            if kind == "worker-offline":
                self._workers.pop(worker, None)
            elif kind.startswith("worker-"):
                self._beat(worker, event.get("processed"), at)
            elif kind.startswith("task-") and kind != "task-sent":
                self._task(kind, event, at)
                if known := self._workers.get(worker):
                    known.at, known.unheard, known.told = at, 0, True

    def beating(self, at: float) -> set[str]:
        """Return the workers that live for certain: they sent something within the last half minute."""
        with self._lock:
            for name in [name for name, worker in self._workers.items() if at - worker.at > LONGEST_WINDOW]:
                del self._workers[name]
            return {name for name, worker in self._workers.items() if at - worker.at <= BEAT}

    def mute(self, at: float) -> set[str]:
        """Return the workers that work and send no events of tasks: these are switched off there."""
        with self._lock:
            living = {name: worker for name, worker in self._workers.items() if at - worker.at <= BEAT}
            return {name for name, worker in living.items() if worker.unheard >= _BEATS}

    def heard(self) -> float | None:
        """Return when the last event came on the connection that is open."""
        with self._lock:
            return self._heard

    def since(self) -> float | None:
        """Return since when events of tasks are heard without a break; `None`: they are not heard now."""
        with self._lock:
            return self._since

    def covered(self, start: float, end: float) -> float:
        """Return which part of a stretch of time was listened to, from 0 to 1."""
        with self._lock:
            spans = self._spans if self._since is None else [*self._spans, (self._since, end)]
            seen = sum(max(0.0, min(end, last) - max(start, first, self._floor)) for first, last in spans)
        return min(1.0, seen / (end - start)) if end > start else 1.0

    def results(self, window: float, at: float, task: str | None = None) -> Results:
        """Return how tasks ended within the window, of one name or of all."""
        first = int((at - window) // _BUCKET)
        succeeded = failed = 0
        with self._lock:
            for bucket, tasks in self._buckets.items():
                if bucket >= first:
                    for counts in tasks.values() if task is None else filter(None, (tasks.get(task),)):
                        succeeded += counts[0]
                        failed += counts[1]
        return Results(succeeded, failed)

    def ran(self, task: str) -> float | None:
        """Return when a worker last had this task in its hands."""
        with self._lock:
            return self._runs.get(task)

    def succeeded(self, task: str) -> float | None:
        """Return when this task last succeeded, in seconds since the epoch on its worker's clock."""
        with self._lock:
            return self._successes.get(task)

    def remember(self, tasks: Collection[str]) -> None:
        """Keep the names of these tasks, however many others there are."""
        with self._lock:
            self._tasks.update(tasks)

    def _beat(self, name: str, processed: object, at: float) -> None:
        """Take a heartbeat, and compare how much it says was done with what was heard of it."""
        worker = self._workers.get(name)
        if worker is None:
            if len(self._workers) >= _MOST_WORKERS:
                self._workers = {each: known for each, known in self._workers.items() if at - known.at <= BEAT}
            if len(self._workers) >= _MOST_WORKERS:
                return
            worker = self._workers[name] = _Worker(at)
        worker.at = at
        if isinstance(processed, int):
            # A worker that was started again counts from 0.
            grown = worker.processed is not None and processed > worker.processed
            worker.unheard += (grown and not worker.told) or worker.unheard > 0
            worker.processed = processed
            worker.told = False

    def _task(self, kind: str, event: Mapping[str, Any], at: float) -> None:
        """Take an event of a task. Only the first one tells its name."""
        uuid, name = str(event.get("uuid")), event.get("name")
        if isinstance(name, str):
            name = self._kept(name)
            self._names[uuid] = name
            if len(self._names) > _MOST_UUIDS:
                self._names.popitem(last=False)
        ended = kind in ("task-succeeded", "task-failed", "task-revoked", "task-rejected")
        known = self._names.pop(uuid, _OTHER) if ended else self._names.get(uuid, _OTHER)
        self._runs[known] = at
        if kind in ("task-succeeded", "task-failed"):
            self._count(known, int(at // _BUCKET), failed=kind == "task-failed")
            sent = event.get("timestamp")
            if kind == "task-succeeded" and isinstance(sent, int | float) and math.isfinite(sent):
                self._successes[known] = float(sent)

    def _count(self, task: str, bucket: int, *, failed: bool) -> None:
        """Count one result, and forget the oldest that are too old or too many."""
        tasks = self._buckets.setdefault(bucket, {})
        if task not in tasks:
            tasks[task] = [0, 0]
            self._counts += 1
        tasks[task][failed] += 1
        while (oldest := next(iter(self._buckets))) < bucket - LONGEST_WINDOW / _BUCKET or self._counts > _MOST_COUNTS:
            self._counts -= len(self._buckets.pop(oldest))
            self._floor = (oldest + 1) * _BUCKET

    def _kept(self, name: str) -> str:
        """Return the name under which a task is counted."""
        if name not in self._tasks:
            if len(self._tasks) >= _MOST_TASKS:
                return _OTHER
            self._tasks.add(name)
        return name
