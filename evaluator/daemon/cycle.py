"""One cycle: ask a source everything that is due, judge each rule on its answer, and commit the lot.

The query of an `only_if` belongs to the same slot: on the same source it is part of the same poll, on another one that
source is asked at the same time. Rules that wait for another source are judged apart, when both have answered, so that
they delay no other rule and no slot. This module joins a source, the pure core and the ledger for one slot. It never
knows when the next slot is.
"""

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from evaluator.daemon.answers import gate_of, is_gated_elsewhere
from evaluator.daemon.asking import Asking
from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.holding import with_pending
from evaluator.daemon.identifiers import new_id
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.sightings import Sightings
from evaluator.engine.alerts import State
from evaluator.engine.evaluate import Transition
from evaluator.engine.rules import Query, Rule
from evaluator.engine.samples import PollFailed, PollResult
from evaluator.incidents.judge import Judgement, assess
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

Results = dict[Query, PollResult]
"""The answers to queries."""


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
        self._asking = Asking(equipment, sightings, clock, metrics)
        self._apart: set[tuple[str, float, str]] = set()
        """Source, interval and the source of `only_if` of rules that wait for both."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, source: str, every: float, slot: float) -> bool:
        """Run one cycle and return whether it was committed; rules that wait for another source may still wait."""
        rules = self.rules_of(source, every)
        answers: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
        self._judge_apart([rule for rule in rules if is_gated_elsewhere(rule)], every, slot, answers)
        try:
            results = await self._asking.poll(source, _asked(source, rules), slot, every)
        except BaseException:
            answers.cancel()
            raise
        answers.set_result(results)
        await self._judge_all([rule for rule in rules if not is_gated_elsewhere(rule)], results, slot)
        committed = await self._committed(every)
        lag = max(0.0, self._clock.now() - slot)
        self._metrics.cycle_lag_seconds.observe(lag)
        self._sightings.lags[source] = lag
        if committed:
            self._metrics.last_cycle_timestamp_seconds.set(slot)
        return committed

    async def stop(self) -> None:
        """Leave off what still waits for another source."""
        waiting = list(self._tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _committed(self, every: float) -> bool:
        """Write, and return whether that was done before the next slot needs us: a store that hangs delays no slot."""
        flush = asyncio.ensure_future(self._ledger.flush())
        done, _ = await asyncio.wait({flush}, timeout=every / 2)
        return bool(done) and flush.result()

    def rules_of(self, source: str, every: float) -> list[Rule]:
        """Return the rules that a cycle judges."""
        rules = self._equipment.rules
        return [rule for rule in rules if rule.judged and rule.source == source and rule.every == every]

    def timeout_of(self, source: str) -> float:
        """Return the seconds within which a source promises to end a poll."""
        return self._asking.timeout_of(source)

    def _judge_apart(self, rules: Sequence[Rule], every: float, slot: float, answers: asyncio.Future[Results]) -> None:
        """Begin to judge the rules whose `only_if` asks another source, each such source by itself."""
        for elsewhere in dict.fromkeys(gate.source for rule in rules if (gate := gate_of(rule)) is not None):
            mine = [rule for rule in rules if (gate := gate_of(rule)) is not None and gate.source == elsewhere]
            key = (mine[0].source, every, elsewhere)
            if key in self._apart:
                # To judge two slots of a rule at once would mix them up: this one is missed, by the slower of the two.
                self._metrics.missed_slots.labels(elsewhere).inc()
                log.warning("slots were missed", source=elsewhere, slots=1, rules=[rule.name for rule in mine])
                continue
            self._apart.add(key)
            task = asyncio.create_task(self._judge_when_both(key, mine, slot, answers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _judge_when_both(
        self, key: tuple[str, float, str], rules: Sequence[Rule], slot: float, answers: asyncio.Future[Results]
    ) -> None:
        """Ask the other source, wait for the rules' own, and judge."""
        _, every, elsewhere = key
        try:
            gates = await self._asking.poll(elsewhere, _asked(elsewhere, rules), slot, every)
            await self._judge_all(rules, {**await asyncio.shield(answers), **gates}, slot)
        except Exception:  # Our own mistake: the next slot is another chance, as for a whole cycle.
            log.exception("cycle broke", source=elsewhere)
            self._metrics.errors.labels("cycle").inc()
        finally:
            # Before the writing: a store that hangs delays no slot.
            self._apart.discard(key)
        await self._ledger.flush()

    async def _judge_all(self, rules: Sequence[Rule], results: Results, slot: float) -> None:
        for rule in rules:
            # A reload may have come while the source was being asked: what is judged is what is in force now.
            current = self._equipment.rules.get(rule.name)
            if current is not None and current.judged and _asks_alike(current, rule):
                self._judge_safely(current, results, slot)
                await asyncio.sleep(0)

    def _judge_safely(self, rule: Rule, results: Results, slot: float) -> None:
        try:
            self._judge(rule, results, slot)
        except Exception:  # Our mistake with one rule must not keep the others from being judged.
            log.exception("judging broke", rule=rule.name)
            self._metrics.errors.labels("judge").inc()

    def _judge(self, rule: Rule, results: Results, slot: float) -> None:
        started = self._clock.monotonic()
        asks = gate_of(rule)
        result, gate = results[rule.query], None if asks is None else results[asks]
        judgement = self.judgement(rule, result, slot, gate=gate)
        self._ledger.take(judgement.changes)
        shown = with_pending(judgement, self._ledger.world, self._equipment.rules, rule, slot)
        self._sightings.whys.judged(rule, result, slot, shown, self._ledger.world)
        self._sightings.judged(rule, result, gate, slot, self._clock.monotonic() - started)
        self._metrics.rule_evaluations.labels(rule.name).inc()
        failed = next((each for each in (result, gate) if isinstance(each, PollFailed)), None)
        if failed is not None:
            self._metrics.rule_evaluation_failures.labels(rule.name, failed.reason.value).inc()
        for transition in judgement.evaluation.transitions:
            _log_transition(transition)

    def judgement(
        self, rule: Rule, result: PollResult, slot: float, *, live: bool = True, gate: PollResult | None = None
    ) -> Judgement:
        """Judge one answer, with that to the query of the rule's `only_if`, on the world as it is, changing nothing."""
        return assess(
            self._ledger.world,
            rule,
            result,
            slot,
            routes=self._equipment.routes,
            instance=self._equipment.settings.instance,
            ids=new_id,
            live=live,
            rules=self._equipment.rules,
            gate=gate,
        )


def _asked(source: str, rules: Iterable[Rule]) -> list[Query]:
    """Return what rules ask a source, each query once."""
    queries = [query for rule in rules for query in (rule.query, gate_of(rule)) if query is not None]
    return list(dict.fromkeys(query for query in queries if query.source == source))


def _asks_alike(one: Rule, other: Rule) -> bool:
    return (one.query, one.every, gate_of(one)) == (other.query, other.every, gate_of(other))


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
