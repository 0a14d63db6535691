"""The source `celery`: workers, queues, results and schedule of one Celery installation.

It knows how to ask everything that a poll needs in one go, in threads, since Celery's libraries block. What was said
is made into answers in `celery_answers`. Celery is imported when such a source is opened: it is large.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import PollFailed, PollResult
from evaluator.sources.celery_query import CeleryQuery, CelerySettings
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.source import NoHistory
from evaluator.sources.threads import Threads
from evaluator.sources.weather import place, timed_out

if TYPE_CHECKING:
    from evaluator.sources.celery_poller import Poller

T = TypeVar("T")
_parsed = lru_cache(maxsize=4096)(CeleryQuery.model_validate_json)
_GOODBYE = 0.7
"""Seconds that the listener has to say goodbye to the broker."""
_LOOK = 0.02
"""Seconds between two looks at whether it has."""
_SCHEDULES = ("missed_runs", "last_run")


class CelerySource(NoHistory):
    """One Celery installation: its broker, its workers, its beat."""

    Settings: ClassVar[type[BaseModel]] = CelerySettings
    Query: ClassVar[type[BaseModel]] = CeleryQuery

    def __init__(self, name: str, settings: CelerySettings) -> None:
        """Take the settings; nothing is connected before the first poll."""
        self._name = name
        self._settings = settings
        self._where = place(settings.broker.get_secret_value())
        self._poller: Poller | None = None
        # The broker and the store of the schedule: one that is silent must not hold the other up.
        self._threads = (Threads(f"celery-{name}", 1), Threads(f"celery-{name}-schedule", 1))
        self._requests = 0.0

    async def open(self) -> None:
        """Load Celery; nothing is connected."""
        from evaluator.sources.celery_poller import Poller

        self._poller = Poller(self._name, self._settings)

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:
        """Ask the broker and the schedule's store, each at most once, and answer each query, in their order."""
        poller = self._poller
        if poller is None or not queries:
            return [timed_out(self._where, 0.0)] * len(queries)
        asked = {query.spec: _parsed(query.spec) for query in queries}
        wanted = poller.wanted(asked.values())
        scheduled = any(query.measure in _SCHEDULES for query in asked.values())
        facts, stored = await asyncio.gather(
            self._within(0, (lambda: poller.ask(wanted)) if wanted else None),
            self._within(1, poller.read if scheduled and poller.stores else None),
        )
        if facts is not None and not isinstance(facts, PollFailed):
            self._requests += facts.requests
        elif facts is not None:
            self._requests += 1
        self._requests += getattr(stored, "requests", 0 if stored is None else 1)
        answers = poller.answers(asked, facts, stored, now)
        return [answers[query.spec] for query in queries]

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:  # noqa: ARG002 - as of now.
        """Try the connection, the queues, the workers, their events and the schedule."""
        poller = self._poller
        if poller is None:
            return [Checkup(Grade.WRONG, "source", "it is not open", "open it first")]
        asked = list({query.spec: _parsed(query.spec) for query in queries}.values())
        found, stored = await asyncio.gather(
            self._within(0, lambda: poller.examine(asked)),
            self._within(1, poller.examine_schedule if poller.stores else None),
        )
        checkups: list[Checkup] = []
        for each in (found, stored):
            if isinstance(each, PollFailed):
                checkups.append(poller.unreachable(each))
            elif each is not None:
                checkups += each
        return checkups

    def usage(self) -> Mapping[str, float]:
        """Return how many requests were sent: pipelines, declarations, broadcasts, statements."""
        return {"requests": self._requests}

    async def close(self) -> None:
        """Close every connection, but wait for none that does not answer."""
        poller, self._poller = self._poller, None
        for threads in self._threads:
            threads.close()
        if poller is None:
            return
        poller.listener.stop()
        for _ in range(int(_GOODBYE / _LOOK)):
            if not (poller.listener.alive and poller.hears):
                break
            await asyncio.sleep(_LOOK)

    async def _within(self, which: int, call: Callable[[], T] | None) -> T | PollFailed | None:
        """Return what a call in a thread says within the timeout; `None` where there is nothing to call."""
        if call is None:
            return None
        future: Future[T] = self._threads[which].submit(call)
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            where = self._where if which == 0 else f"{self._name}: the schedule"
            return timed_out(where, self._settings.timeout)
