"""When each source is asked: one APScheduler job for each (source, interval).

The scheduler counts on the wall clock, and a wall clock that is set back would stop it for as long as it was set back
(measured with APScheduler 3.11). So a watch on the monotonic clock beside it puts every job on its next slot again when
the wall clock jumps. Slots themselves are on the daemon's time, which never goes back.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from evaluator.daemon.clock import Clock, Jump
from evaluator.daemon.cycle import Cycles
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.slots import Slots, phase_of
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

WATCH_EVERY = 1.0
"""Seconds between looks at the clocks."""

STUCK_AFTER = 3
STUCK_GRACE = 30.0
"""A job that was not started for this many intervals and seconds means that the scheduler is stuck."""

JobKey = tuple[str, float]
"""A source and an interval in seconds."""


@dataclass(slots=True)
class Job:
    """One (source, interval)."""

    source: str
    slots: Slots
    since: float
    """When it was put on the schedule."""
    committed: float | None = None
    """The last slot that was committed."""
    task: asyncio.Task[None] | None = None


class Poller:
    """Keeps the jobs that the rules in force need."""

    def __init__(self, equipment: Equipment, cycles: Cycles, clock: Clock, metrics: Metrics) -> None:
        """Make a scheduler without jobs."""
        self._equipment = equipment
        self._cycles = cycles
        self._clock = clock
        self._metrics = metrics
        self._jobs: dict[JobKey, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._scheduler.add_listener(self._skipped, EVENT_JOB_MAX_INSTANCES)

    def start(self) -> None:
        """Start the schedule."""
        self.sync()
        self._scheduler.start()

    def sync(self) -> None:
        """Have a job for each (source, interval) that a rule in force needs, and no other."""
        wanted = {(rule.source, rule.every) for rule in self._equipment.rules if rule.judged}
        for key in set(self._jobs) - wanted:
            self._scheduler.remove_job(_id(key))
            del self._jobs[key]
        for key in sorted(wanted - set(self._jobs)):
            source, every = key
            job = Job(source, Slots(every, phase_of(source, every)), self._clock.now())
            self._jobs[key] = job
            self._scheduler.add_job(
                self._due,
                IntervalTrigger(seconds=every, timezone=UTC),
                args=[key],
                id=_id(key),
                next_run_time=self._wall_time_of_next(job),
            )

    def overdue(self) -> list[str]:
        """Return a sentence for each job whose last committed slot is too long ago; a fresh daemon has none."""
        now = self._clock.now()
        sentences = []
        for (source, every), job in self._jobs.items():
            last = job.committed if job.committed is not None else job.since
            patience = 2 * every + self._cycles.timeout_of(source) + 5.0
            if now - last > patience:
                sentences.append(f"source {source} has not been judged for {round(now - last)} s, every {every:g} s")
        return sentences

    def committed(self) -> bool:
        """Return whether a cycle, other than of `self`, has been committed since the start, or there is none to be."""
        jobs = [job for job in self._jobs.values() if not self._equipment.is_self(job.source)]
        return not jobs or any(job.committed is not None for job in jobs)

    def stuck(self) -> str:
        """Return why the daemon does not do its work although its loop runs; empty: it does."""
        late = self.overdue()
        return late[0] if late and self._scheduler_is_late() else ""

    def _scheduler_is_late(self) -> bool:
        """Return whether a job should have been started long ago and was not: the scheduler itself is stuck."""
        now = self._clock.now()
        return any(
            job.task is None and now - (job.slots.last or job.since) > STUCK_AFTER * job.slots.every + STUCK_GRACE
            for job in self._jobs.values()
        )

    async def watch(self) -> None:
        """Put every job on its next slot when the wall clock jumps; for ever."""
        while True:
            await asyncio.sleep(WATCH_EVERY)
            self._clock.now()
            jump = self._clock.jump()
            if jump is not None:
                self._jumped(jump)

    async def stop(self) -> None:
        """Start no cycle any more, and cancel those that are still asking their source."""
        self._stopping = True
        self._scheduler.shutdown(wait=False)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cycles.stop()

    async def _due(self, key: JobKey) -> None:
        job = self._jobs.get(key)
        slot = job.slots.take(self._clock.now()) if job else None
        if job is None or slot is None:
            return
        if job.slots.missed:
            self._metrics.missed_slots.labels(job.source).inc(job.slots.missed)
            log.warning("slots were missed", source=job.source, slots=job.slots.missed)
        job.task = asyncio.create_task(self._run(job, slot))
        self._tasks.add(job.task)
        job.task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.shield(job.task)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            job.task = None

    async def _run(self, job: Job, slot: float) -> None:
        try:
            if await self._cycles.run(job.source, job.slots.every, slot):
                job.committed = slot
        except Exception:  # Our own mistake: the next slot is another chance, and `overdue` tells if it goes on.
            log.exception("cycle broke", source=job.source)
            self._metrics.errors.labels("cycle").inc()

    def _skipped(self, event: JobSubmissionEvent) -> None:
        log.warning("a cycle was still running when its next slot was due", job=event.job_id)

    def _jumped(self, jump: Jump) -> None:
        self._metrics.clock_jumps.labels(jump.value).inc()
        log.warning("the wall clock jumped", direction=jump.value, behind_seconds=round(self._clock.behind))
        for key, job in self._jobs.items():
            self._scheduler.modify_job(_id(key), next_run_time=self._wall_time_of_next(job))

    def _wall_time_of_next(self, job: Job) -> datetime:
        """Return when the job's next slot is, as the wall clock shows it now."""
        now = self._clock.now()
        wait = max(0.0, job.slots.next(now) - now)
        return self._clock.wall() + timedelta(seconds=wait)


def _id(key: JobKey) -> str:
    source, every = key
    return f"{source}/{every:g}"
