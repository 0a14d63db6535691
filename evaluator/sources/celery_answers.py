"""What was asked and what was heard, as the answers to queries.

This module knows measures, and when nobody can say. It never talks to a broker, and reads no clock: `now` is the slot,
`at` the same instant on the clock of the events.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, Series, series_of
from evaluator.sources.celery_age import Ages
from evaluator.sources.celery_asking import Facts
from evaluator.sources.celery_beat import Stored
from evaluator.sources.celery_query import CeleryQuery, CelerySettings
from evaluator.sources.celery_schedule import Entry, after_run, around, declared, dues, missed_in_store
from evaluator.sources.celery_tally import Tally
from evaluator.sources.celery_workers import Crew, Roll
from evaluator.sources.names import several
from evaluator.sources.weather import up_after

SILENCE = 60.0
"""Seconds without any event, while workers are online, after which nothing is believed to be heard."""
_ENOUGH = 0.95
"""The part of a window that must have been listened to, where few tasks say little."""
_WHOLE = 0.999
_MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class Memory:
    """What is kept from poll to poll."""

    crew: Crew
    tally: Tally
    ages: Ages
    seen_queues: set[str] = field(default_factory=set)
    """Queues that RabbitMQ has or had."""
    entries: dict[Series, float] = field(default_factory=dict)
    """The entries of stored schedules, with when each was switched on as far as that was seen."""
    read: bool = False
    """Whether a stored schedule was read before."""
    began: float | None = None
    """When listening to tasks began."""


@dataclass(frozen=True, slots=True)
class Round:
    """One poll: what is known in it."""

    where: str
    settings: CelerySettings
    memory: Memory
    facts: Facts | PollFailed | None
    stored: Stored | PollFailed | None
    deaf: PollFailed | None
    """Why no events are heard, where that is known."""
    now: float
    at: float

    def answer(self, query: CeleryQuery) -> PollResult:
        """Return the answer to one query."""
        if query.measure in ("missed_runs", "last_run"):
            return self._scheduled(query)
        facts = self.facts
        if facts is None or isinstance(facts, PollFailed):
            failed = facts or self._cannot("it was not asked")
            return up_after(failed) if query.measure == "up" else failed
        match query.measure:
            case "up":
                return Samples([{}], [1.0])
            case "workers":
                return self._workers(query, facts)
            case "queue_depth":
                return self._depths(query, facts)
            case "oldest_task_age":
                return self._ages(query, facts)
            case "unacked":
                return self._unacked(facts)
            case _:
                return self._failures(query, facts)

    def _cannot(self, what: str, reason: FailureReason = FailureReason.UNAVAILABLE) -> PollFailed:
        """Return that this cannot be said."""
        return PollFailed(reason, f"{self.where}: {what}")

    def _workers(self, query: CeleryQuery, facts: Facts) -> PollResult:
        """Count the workers that are online."""
        if not isinstance(facts.roll, Roll):
            return facts.roll or self._cannot("the workers were not asked")
        rows = Rows()
        for queue in several(query.queue) or (None,):
            found = self.memory.crew.count(queue, facts.consumers, self.at)
            if isinstance(found, PollFailed):
                return PollFailed(found.reason, f"{self.where}: {found.message}")
            count, strange = found
            rows.add({} if queue is None else {"queue": queue}, float(count), strange)
        return rows.samples()

    def _depths(self, query: CeleryQuery, facts: Facts) -> PollResult:
        """Count the tasks that wait. A list that Redis does not have is empty."""
        rows, failed = Rows(), None
        for queue in several(query.queue):
            depth = facts.depths.get(queue)
            if isinstance(depth, PollFailed):
                failed = depth
                rows.warnings.append(depth.message)
            elif depth is not None:
                self.memory.seen_queues.add(queue)
                rows.add({"queue": queue}, float(depth))
            elif queue in self.memory.seen_queues:
                rows.add({"queue": queue}, 0.0, f"the queue {queue} is not there any more, so nothing waits in it")
            else:
                what = f"there is no queue {queue} in this virtual host; a worker makes it, or the first task"
                failed = self._cannot(what, FailureReason.BAD_QUERY)
                rows.warnings.append(what)
        return failed if failed is not None and not rows.values else rows.samples()

    def _ages(self, query: CeleryQuery, facts: Facts) -> PollResult:
        """Return how long the oldest task waits, or at least waits."""
        if not self.settings.on_redis:
            what = "RabbitMQ does not say how long a message waits; use `queue_depth`"
            return self._cannot(what, FailureReason.BAD_QUERY)
        rows = Rows()
        for queue in several(query.queue):
            tails = facts.tails.get(queue)
            if tails is None or isinstance(tails, PollFailed):
                return tails or self._cannot(f"{queue} was not asked")
            rows.add({"queue": queue}, self.memory.ages.oldest(queue, tails, self.now, self.at))
        return rows.samples()

    def _unacked(self, facts: Facts) -> PollResult:
        """Count the tasks that workers hold."""
        if not self.settings.on_redis:
            return self._cannot("RabbitMQ says this only in its management API", FailureReason.BAD_QUERY)
        return facts.unacked if isinstance(facts.unacked, PollFailed) else Samples([{}], [float(facts.unacked)])

    def _failures(self, query: CeleryQuery, facts: Facts) -> PollResult:
        """Return which part of the tasks that ended failed."""
        blind = self._blind(facts)
        if isinstance(blind, PollFailed):
            return blind
        rows, tally = Rows(), self.memory.tally
        covered = tally.covered(self.at - query.window, self.at)
        for task in several(query.task) or (None,):
            results = tally.results(query.window, self.at, task)
            value = 0.0
            if results.finished >= query.min_count:
                value = results.failed / results.finished
            elif covered < _ENOUGH:
                value = math.nan
            rows.add({} if task is None else {"task": task}, value)
        heard = covered * query.window
        words = f"events were heard for {heard:.0f} s of the last {query.window:g} s"
        if any(math.isnan(value) for value in rows.values):
            # It was heard, and is not enough yet: unknown for a while after each start, and no failure.
            words = f"{words}, and fewer than {query.min_count} tasks ended in them: too few to say"
        rows.warnings.extend([blind] if blind else [])
        rows.warnings.extend([words] if covered < _ENOUGH else [])
        return rows.samples()

    def _blind(self, facts: Facts | PollFailed | None) -> PollFailed | str:
        """Return why the events of tasks cannot be relied on; else whose are missing, or nothing."""
        tally, since = self.memory.tally, self.memory.tally.since()
        if since is None:
            return self.deaf or self._cannot("events are not heard yet")
        if isinstance(facts, PollFailed):
            return facts
        if facts is not None and isinstance(facts.roll, PollFailed):
            return facts.roll
        online, mute = self.memory.crew.online, tally.mute(self.at)
        if online and self.at - (tally.heard() or since) > SILENCE:
            return self._cannot(f"{len(online)} workers are online, and no event came for {SILENCE:g} s")
        if not mute:
            return ""
        words = f"{', '.join(sorted(mute)[:5])} work and send no task events (worker_send_task_events = True, or -E)"
        return self._cannot(words) if mute >= online else words

    def _scheduled(self, query: CeleryQuery) -> PollResult:
        """Return what is known of each scheduled task."""
        if isinstance(self.stored, PollFailed):
            return self.stored
        own, stored = declared(self.settings), self.stored.entries if self.stored else ()
        if not own and self.stored is None:
            what = "no schedule is known: set `schedule`, `redbeat_url` or `django_url` in the settings of this source"
            return self._cannot(what, FailureReason.BAD_QUERY)
        wanted = [entry for entry in own if _meant(query, entry)]
        kept = [entry for entry in stored if _meant(query, entry)]
        rows = Rows(warnings=list(self.stored.warnings) if self.stored else [])
        gone = self._gone(query, stored)
        if not wanted and not kept:
            what = "the schedule has no such entry"
            if self.stored is None:
                return self._cannot(what, FailureReason.BAD_QUERY)
            rows.warnings.append(what)
        if wanted:
            blind = self._blind(self.facts)
            if isinstance(blind, PollFailed) and not kept:
                return blind
            rows.warnings.extend([str(getattr(blind, "message", blind))] if blind else [])
            for entry in wanted if isinstance(blind, str) else ():
                self._seen(query, entry, rows)
        for entry in kept:
            if not entry.enabled:
                continue
            if query.measure == "missed_runs":
                self._missed(entry, rows)
            elif entry.ran and entry.last is not None:
                rows.add(entry.labels, entry.last)
        return rows.samples(gone)

    def _missed(self, entry: Entry, rows: "Rows") -> None:
        """Add the row of a stored entry; none where beat has not yet had the time to take in a change."""
        if entry.last is not None and entry.last > self.now + entry.grace:
            # Nothing would ever be missed until that time has come.
            ahead = f"{entry.last - self.now:.0f} s ahead of our clock"
            rows.warnings.append(f"{entry.name}: its last run is {ahead}: beat's clock, or USE_TZ = False in Django?")
            return
        missed = missed_in_store(entry, self.now)
        changed = max(entry.changed or -math.inf, self.memory.entries.get(series_of(entry.labels), -math.inf))
        if missed and self.now - changed < entry.grace:
            rows.warnings.append(f"{entry.name}: changed {self.now - changed:.0f} s ago, so it may run a little later")
        else:
            rows.add(entry.labels, float(missed))

    def _seen(self, query: CeleryQuery, entry: Entry, rows: "Rows") -> None:
        """Add the row of an entry whose runs are seen by events; none where nobody can say."""
        tally, shift = self.memory.tally, self.now - self.at
        if query.measure == "last_run":
            succeeded = tally.succeeded(entry.task)
            if succeeded is not None:
                rows.add(entry.labels, succeeded)
            return
        ran, began = tally.ran(entry.task), self.memory.began
        base = after_run(entry, ran + shift) if ran is not None else None if began is None else began + shift
        if base is None:
            return
        due = [around(entry, each) for each in dues(entry, base, self.now - entry.grace)]
        missed = sum(1 for first, last in due if tally.covered(first - shift, last - shift) >= _WHOLE)
        if missed or (ran is not None and not due):
            rows.add(entry.labels, float(missed))
        elif due:
            rows.warnings.append(f"{entry.name}: events were not heard when it was due")

    def _gone(self, query: CeleryQuery, stored: Iterable[Entry]) -> frozenset[Series]:
        """Return the entries that were taken out of a stored schedule, or switched off there."""
        if self.stored is None:
            return frozenset()
        current = {series_of(entry.labels) for entry in stored if entry.enabled}
        off = {series_of(entry.labels) for entry in stored if not entry.enabled and _meant(query, entry)} - current
        memory = self.memory
        gone = frozenset((memory.entries.keys() - current) | off)
        for series in gone & memory.entries.keys():
            memory.entries[series] = math.inf
        for series in current:
            if memory.entries.get(series) == math.inf or (series not in memory.entries and memory.read):
                memory.entries[series] = self.now
            elif len(memory.entries) < _MOST_REMEMBERED:
                memory.entries.setdefault(series, -math.inf)
        memory.read = True
        return gone


@dataclass(slots=True)
class Rows:
    """The rows of one answer."""

    labels: list[Mapping[str, str]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, labels: Mapping[str, str], value: float, warning: str = "") -> None:
        """Append a row, and what is strange about it."""
        self.labels.append(labels)
        self.values.append(value)
        if warning:
            self.warnings.append(warning)

    def samples(self, gone: frozenset[Series] = frozenset()) -> Samples:
        """Return them as an answer."""
        return Samples(self.labels, self.values, gone=gone, warnings=tuple(self.warnings))


def _meant(query: CeleryQuery, entry: Entry) -> bool:
    """Return whether the rule means this entry."""
    return (query.task is None or entry.task in several(query.task)) and (
        query.name is None or entry.name in several(query.name)
    )
