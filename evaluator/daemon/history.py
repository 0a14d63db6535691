"""Asks a source for the past of one query: bounded, counted, and never failing for weather.

This module knows one question and its answer. What is lacking, what comes of it, and how many questions there may be at
a time is known to those who ask.
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

import structlog

from evaluator.daemon.equipment import Equipment
from evaluator.engine.rules import Query
from evaluator.engine.samples import PollFailed, PollResult
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

TIMEOUT = 30.0
"""Seconds that a source may take for the history of one query."""

Past = list[tuple[float, PollResult]]
"""What polls would have answered, by slot."""


class Outcome(StrEnum):
    """What became of a question, as the metric counts it."""

    ANSWERED = "answered"
    NONE = "none"
    """The source keeps no history of this query."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Told:
    """What a source said of the past."""

    outcome: Outcome
    past: Past
    """Empty unless it was answered; single slots of it may have failed."""
    error: str = ""


class Historian:
    """Asks for the past. Live polls never wait for it."""

    def __init__(self, equipment: Equipment, metrics: Metrics) -> None:
        """Ask the sources that are open."""
        self._equipment = equipment
        self._metrics = metrics

    async def ask(self, query: Query, start: float, end: float, step: float) -> Told:
        """Return what polls would have answered at `start`, `start + step`, ... up to `end`; it never raises."""
        told = await self._ask(query, start, end, step)
        self._metrics.history_requests.labels(query.source, told.outcome.value).inc()
        return told

    async def _ask(self, query: Query, start: float, end: float, step: float) -> Told:
        adapter = self._equipment.sources.get(query.source)
        if adapter is None:
            return Told(Outcome.FAILED, [], f"source {query.source} is not open")
        try:
            async with asyncio.timeout(TIMEOUT):
                past = await adapter.history(query, start, end, step)
        except TimeoutError:
            return Told(Outcome.FAILED, [], f"its history did not come within {TIMEOUT:g} s")
        except Exception:  # As for any poll: our own mistakes, and a plugin's, are survived, counted and logged.
            log.exception("history broke", source=query.source)
            self._metrics.errors.labels("poll").inc()
            return Told(Outcome.FAILED, [], "a mistake of the source; the log has its traceback")
        if past is None:
            return Told(Outcome.NONE, [])
        failed = next((result for _, result in past if isinstance(result, PollFailed)), None)
        if failed is not None and all(isinstance(result, PollFailed) for _, result in past):
            return Told(Outcome.FAILED, [], failed.message)
        return Told(Outcome.ANSWERED, past, "" if failed is None else failed.message)
