"""The blocking half of the source `celery`: what a poll needs, who asks it, and what is remembered.

This module knows Celery's libraries. It is loaded when a source of this type is opened, and never before.
"""

import time
from collections.abc import Collection, Mapping, Sequence

from evaluator.engine.samples import PollFailed, PollResult
from evaluator.sources import celery_beat, celery_checkup
from evaluator.sources.celery_age import Ages
from evaluator.sources.celery_answers import Memory, Round
from evaluator.sources.celery_asking import Facts, Wanted, ask
from evaluator.sources.celery_beat import Stored
from evaluator.sources.celery_broker import Broker
from evaluator.sources.celery_events import Listener
from evaluator.sources.celery_query import CeleryQuery, CelerySettings
from evaluator.sources.celery_tally import Tally
from evaluator.sources.celery_workers import Crew, Roll
from evaluator.sources.checkup import Checkup
from evaluator.sources.names import several

_DEFAULT_QUEUE = "celery"
"""The queue that Celery consumes where nobody says another one."""
_MOST_QUEUES = 200
"""Queues whose consumers are counted at most because workers have them, and no rule names them."""
_EVENTS_OF_TASKS = ("failure_ratio", "missed_runs", "last_run")


class Poller:
    """One installation's connections and memory."""

    def __init__(self, name: str, settings: CelerySettings) -> None:
        """Take the settings; nothing is connected."""
        self._settings = settings
        self._broker = Broker(settings)
        self._memory = Memory(Crew(settings.patience), Tally(), Ages(settings.sent_at_header))
        self._memory.tally.remember([entry.task for entry in settings.schedule.values()])
        self.listener = Listener(f"celery-{name}", self._broker, self._memory.tally)
        self.stores = settings.redbeat_url is not None or settings.django_url is not None
        """Whether a schedule is kept outside beat."""

    @property
    def hears(self) -> bool:
        """Whether events are heard now."""
        return self.listener.connected

    def wanted(self, queries: Collection[CeleryQuery]) -> Wanted | None:
        """Return what must be asked of the broker; `None`: nothing. Begins to listen where events are needed."""
        asked = [query for query in queries if query.measure not in ("missed_runs", "last_run")]
        events = [
            query
            for query in queries
            if query.measure == "failure_ratio" or (query.measure in _EVENTS_OF_TASKS and self._settings.schedule)
        ]
        if not asked and not events:
            return None
        for query in events:
            self._memory.tally.remember(several(query.task))
        call = bool(events) or any(query.measure == "workers" for query in asked)
        if call:
            self.listener.need(tasks=bool(events))
        return self._questions(asked, call=call, events=bool(events))

    def _questions(self, asked: Collection[CeleryQuery], *, call: bool, events: bool) -> Wanted:
        """Return the questions, each once."""
        on_redis = self._settings.on_redis
        consumed = {queue for query in asked if query.measure == "workers" for queue in several(query.queue)}
        known = set(sorted(self._memory.crew.queues())[:_MOST_QUEUES]) or {_DEFAULT_QUEUE}
        return Wanted(
            depths=_queues(asked, "queue_depth"),
            tails=_queues(asked, "oldest_task_age") if on_redis else frozenset(),
            unacked=on_redis and any(query.measure == "unacked" for query in asked),
            call=call,
            enable_events=events and self._settings.enable_events,
            known_queues=frozenset(consumed | known) if call and not on_redis else frozenset(),
        )

    def ask(self, wanted: Wanted) -> Facts | PollFailed:
        """Ask the broker. It blocks, and ends by itself."""
        at, crew = time.monotonic(), self._memory.crew
        return ask(self._broker, wanted, lambda consumers: crew.expected(at, consumers))

    def read(self) -> Stored | PollFailed:
        """Read the stored schedules. It blocks, and ends by itself."""
        return celery_beat.read(self._broker)

    def answers(
        self,
        asked: Mapping[str, CeleryQuery],
        facts: Facts | PollFailed | None,
        stored: Stored | PollFailed | None,
        now: float,
    ) -> dict[str, PollResult]:
        """Return the answer to each query, by its spec."""
        self._memory.began = self.listener.began
        at = time.monotonic()
        if isinstance(facts, Facts) and isinstance(facts.roll, Roll):
            # Here and not in the thread: an answer that comes too late must not change what another poll looks at.
            self._memory.crew.muster(facts.roll, self._memory.tally.beating(at), at)
        failed = self.listener.failed
        this = Round(self._broker.where, self._settings, self._memory, facts, stored, failed, now, at)
        answers = {spec: this.answer(query) for spec, query in asked.items()}
        heard, since = self._memory.tally.heard(), self._memory.tally.since()
        if self._memory.crew.online and since is not None and at - max(heard or 0.0, since) > celery_checkup.RENEW:
            # A connection that was cut without a word looks like one on which nothing happens.
            self.listener.renew()
        return answers

    def examine(self, queries: Collection[CeleryQuery]) -> list[Checkup]:
        """Try what polls need of the broker."""
        return celery_checkup.of_broker(self._broker, self.wanted(queries), queries, self._memory, self.listener)

    def examine_schedule(self) -> list[Checkup]:
        """Try the stores of the schedule."""
        return celery_checkup.of_schedule(self.read())

    def unreachable(self, failed: PollFailed) -> Checkup:
        """Return what `doctor` says of a broker that does not answer."""
        return celery_checkup.wrong(self._broker, "connection", failed)


def _queues(queries: Collection[CeleryQuery], measure: str) -> frozenset[str]:
    """Return the queues of all queries of a measure."""
    found: Sequence[str] = [queue for query in queries if query.measure == measure for queue in several(query.queue)]
    return frozenset(found)
