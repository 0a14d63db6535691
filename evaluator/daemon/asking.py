"""Asks a source, and notes how it did: whatever an adapter does, each query has an answer in time.

This module joins adapters, sightings and metrics for one poll. It never knows rules, or what an answer means for them.
"""

import asyncio
from collections.abc import Sequence

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.metering import Meter
from evaluator.daemon.sightings import Sightings
from evaluator.engine.rules import Query
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.reader import SELF
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

GRACE = 5.0
"""Seconds that a source has beyond its own timeout before its poll is cancelled."""

USUAL_TIMEOUT = 10.0
"""Seconds; the timeout of a source whose settings have none."""


class Asking:
    """Polls the open sources."""

    def __init__(self, equipment: Equipment, sightings: Sightings, clock: Clock, metrics: Metrics) -> None:
        """Ask what is in force at each moment."""
        self._equipment = equipment
        self._sightings = sightings
        self._clock = clock
        self._metrics = metrics
        self._meter = Meter(metrics)

    async def poll(self, source: str, queries: Sequence[Query], slot: float, every: float) -> dict[Query, PollResult]:
        """Return the answer to each of the queries as of the slot; it never raises."""
        declared = self._equipment.settings.sources.get(source)
        if declared is not None and not declared.enabled:
            # Its own rules are off; only the `only_if` of another source's rule still asks.
            off = PollFailed(FailureReason.UNAVAILABLE, f"source {source} is switched off (enabled = false)")
            return dict.fromkeys(queries, off)
        started = self._clock.monotonic()
        results = await self._ask(source, queries, slot)
        duration = self._clock.monotonic() - started
        before = self._sightings.sources.get(source)
        answers = list(zip(queries, results, strict=True))
        type_ = declared.type if declared else ""
        up = self._sightings.polled(source, type_, answers, slot, every, duration)
        if up is not (before.up if before else True):
            # Once at each turn; the metrics count the failures in between.
            level = log.info if up else log.warning
            level(
                "source answers again" if up else "source is down", source=source, error=self._sightings.error(source)
            )
        if type_ != SELF:
            # It would always be up, and what is asked costs nobody anything.
            self._count(source, results, slot, duration, up=up)
        return dict(answers)

    def timeout_of(self, source: str) -> float:
        """Return the seconds within which a source promises to end a poll."""
        declared = self._equipment.settings.sources.get(source)
        timeout = getattr(declared.settings, "timeout", None) if declared else None
        return float(timeout) if isinstance(timeout, int | float) else USUAL_TIMEOUT

    async def _ask(self, source: str, queries: Sequence[Query], slot: float) -> list[PollResult]:
        adapter = await self._equipment.sources.again(source)
        if adapter is None:
            failed = PollFailed(FailureReason.INTERNAL, f"source {source} is not open; the log says why")
            return [failed] * len(queries)
        limit = self.timeout_of(source) + GRACE
        try:
            async with asyncio.timeout(limit):
                results = _checked(await adapter.poll(queries, slot), len(queries))
        except TimeoutError:
            failed = PollFailed(FailureReason.TIMEOUT, f"source {source} did not end its poll within {limit:g} s")
            return [failed] * len(queries)
        except Exception:  # One of the three places where our own mistakes are survived, counted and logged.
            log.exception("poll broke", source=source)
            self._metrics.errors.labels("poll").inc()
            failed = PollFailed(FailureReason.INTERNAL, f"source {source} made a mistake; the log has its traceback")
            return [failed] * len(queries)
        return results

    def _count(self, source: str, results: Sequence[PollResult], slot: float, duration: float, *, up: bool) -> None:
        self._metrics.poll_duration_seconds.labels(source).observe(duration)
        self._metrics.source_up.labels(source).set(up)
        if up:
            self._metrics.source_last_good_timestamp_seconds.labels(source).set(slot)
        self._meter.read(source, self._equipment.sources.get(source))
        for result in results:
            if isinstance(result, PollFailed):
                self._metrics.poll_failures.labels(source, result.reason.value).inc()


def _checked(results: object, expected: int) -> list[PollResult]:
    """Return what a source answered if it keeps the protocol, which a plugin may not; else raise `TypeError`."""
    if not isinstance(results, list) or len(results) != expected:
        raise TypeError(f"poll answered {type(results).__name__} where a list of {expected} was due")
    for result in results:
        if isinstance(result, Samples):
            columns = {len(result.labels), len(result.values), len(result.values if result.at is None else result.at)}
            if len(columns) != 1:
                raise TypeError("the columns of an answer have different lengths")
        elif not isinstance(result, PollFailed):
            raise TypeError(f"poll answered {type(result).__name__} where samples or a failure were due")
    return results
