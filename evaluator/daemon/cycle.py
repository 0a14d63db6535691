"""One cycle: ask a source everything that is due, judge each rule on its answer, and commit the lot.

This module joins a source, the pure core and the ledger for one slot. It never knows when the next slot is.
"""

import asyncio
from collections.abc import Sequence

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.identifiers import new_id
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.metering import Meter
from evaluator.daemon.sightings import Sightings
from evaluator.engine.alerts import State
from evaluator.engine.evaluate import Transition
from evaluator.engine.rules import Query, Rule
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.incidents.judge import Judgement, assess
from evaluator.sources.reader import SELF
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

GRACE = 5.0
"""Seconds that a source has beyond its own timeout before its poll is cancelled."""

USUAL_TIMEOUT = 10.0
"""Seconds; the timeout of a source whose settings have none."""


class Cycles:
    """Runs cycles, one for each (source, interval) at a time."""

    def __init__(
        self, equipment: Equipment, ledger: Ledger, sightings: Sightings, clock: Clock, metrics: Metrics
    ) -> None:
        """Work with what is in force at each moment."""
        self._equipment = equipment
        self._ledger = ledger
        self._sightings = sightings
        self._clock = clock
        self._metrics = metrics
        self._meter = Meter(metrics)

    async def run(self, source: str, every: float, slot: float) -> bool:
        """Run one cycle and return whether it was committed."""
        rules = self.rules_of(source, every)
        queries = list(dict.fromkeys(rule.query for rule in rules))
        results = dict(zip(queries, await self._poll(source, queries, slot, every), strict=True))
        for rule in rules:
            # A reload may have come while the source was being asked: what is judged is what is in force now.
            current = self._equipment.rules.get(rule.name)
            if current is not None and current.judged and (current.query, current.every) == (rule.query, rule.every):
                self._judge_safely(current, results[rule.query], slot)
                await asyncio.sleep(0)
        committed = await self._committed(every)
        lag = max(0.0, self._clock.now() - slot)
        self._metrics.cycle_lag_seconds.observe(lag)
        self._sightings.lags[source] = lag
        if committed:
            self._metrics.last_cycle_timestamp_seconds.set(slot)
        return committed

    async def _committed(self, every: float) -> bool:
        """Write, and return whether that was done before the next slot needs us: a store that hangs delays no slot."""
        flush = asyncio.ensure_future(self._ledger.flush())
        done, _ = await asyncio.wait({flush}, timeout=every / 2)
        return bool(done) and flush.result()

    def rules_of(self, source: str, every: float) -> list[Rule]:
        """Return the rules that a cycle judges."""
        rules = self._equipment.rules
        return [rule for rule in rules if rule.judged and rule.source == source and rule.every == every]

    async def _poll(self, source: str, queries: Sequence[Query], slot: float, every: float) -> list[PollResult]:
        started = self._clock.monotonic()
        results = await self._ask(source, queries, slot)
        duration = self._clock.monotonic() - started
        declared = self._equipment.settings.sources.get(source)
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
        return results

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

    def timeout_of(self, source: str) -> float:
        """Return the seconds within which a source promises to end a poll."""
        declared = self._equipment.settings.sources.get(source)
        timeout = getattr(declared.settings, "timeout", None) if declared else None
        return float(timeout) if isinstance(timeout, int | float) else USUAL_TIMEOUT

    def _judge_safely(self, rule: Rule, result: PollResult, slot: float) -> None:
        try:
            self._judge(rule, result, slot)
        except Exception:  # Our mistake with one rule must not keep the others from being judged.
            log.exception("judging broke", rule=rule.name)
            self._metrics.errors.labels("judge").inc()

    def _judge(self, rule: Rule, result: PollResult, slot: float) -> None:
        started = self._clock.monotonic()
        judgement = self.judgement(rule, result, slot)
        self._ledger.take(judgement.changes)
        self._sightings.judged(rule, result, slot, self._clock.monotonic() - started)
        self._metrics.rule_evaluations.labels(rule.name).inc()
        if isinstance(result, PollFailed):
            self._metrics.rule_evaluation_failures.labels(rule.name, result.reason.value).inc()
        for transition in judgement.evaluation.transitions:
            _log_transition(transition)

    def judgement(self, rule: Rule, result: PollResult, slot: float, *, live: bool = True) -> Judgement:
        """Judge one answer on the world as it is, changing nothing."""
        return assess(
            self._ledger.world,
            rule,
            result,
            slot,
            routes=self._equipment.routes,
            instance=self._equipment.settings.instance,
            ids=new_id,
            live=live,
        )

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


def _log_transition(transition: Transition) -> None:
    alert = transition.alert
    level = log.info if State.FIRING in (alert.state, transition.before) else log.debug
    level(
        "alert",
        rule=alert.rule,
        severity=alert.severity.value,
        series=dict(alert.series),
        before=transition.before.value,
        state=alert.state.value,
        reason=alert.reason,
    )
