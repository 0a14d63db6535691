"""Judges from a source's history what nobody judged at the time: the gap since a stop, and the past of a new rule.

So a breach that is ten minutes old already pages at the next live slot, and not ten minutes later. Backfill is bounded,
and never delays a live slot: a rule that was judged live in the meantime is left alone. What a rule with `only_if`
missed is judged where both sources keep history: with only one of the two answers nothing would be known of it.
"""

import asyncio
import math
from collections.abc import Iterable, Sequence

import structlog

from evaluator.daemon.answers import gate_of
from evaluator.daemon.clock import Clock
from evaluator.daemon.cycle import Cycles
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.filling import Filling
from evaluator.daemon.history import Historian, Past
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.sightings import Sightings
from evaluator.daemon.slots import phase_of
from evaluator.engine.alerts import BLIND_STEPS
from evaluator.engine.rules import Query, Rule
from evaluator.engine.samples import PollResult
from evaluator.engine.window import window_size
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Questions to sources at a time, and answers that are being judged."""

FURTHEST = 86_400.0
"""Seconds: how far back is looked at most, unless the rule's own durations are longer."""

MOST_SLOTS = 5_000
"""Slots of one rule at most."""

TOGETHER = 50
"""Slots that are judged before anybody else gets a turn."""

_Slot = tuple[float, PollResult, PollResult | None]
"""A slot, the answer to the rule's query, and that to the query of its `only_if`."""


class Backfill:
    """Judges the past of rules."""

    def __init__(
        self,
        equipment: Equipment,
        cycles: Cycles,
        ledger: Ledger,
        sightings: Sightings,
        historian: Historian,
        filling: Filling,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Work with what is in force."""
        self._equipment = equipment
        self._cycles = cycles
        self._ledger = ledger
        self._sightings = sightings
        self._historian = historian
        self._filling = filling
        self._clock = clock
        self._metrics = metrics
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, rules: Iterable[Rule], edited: Iterable[Rule] = ()) -> None:
        """Judge the past of these rules, a few queries at a time, while everything else goes on.

        What rules look back on is filled before; of the edited ones, which were judged at the time, only that is done.
        """
        rules = list(rules)
        self._filling.start([*rules, *edited])
        alike: dict[tuple[Query, float, Query | None], list[Rule]] = {}
        for rule in rules:
            alike.setdefault((rule.query, rule.every, gate_of(rule)), []).append(rule)
        for (query, _, _), group in alike.items():
            task = asyncio.create_task(self.together(group), name=f"backfill {query.source}: {query.spec}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Leave off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def together(self, rules: Sequence[Rule]) -> None:
        """Judge the past of rules that ask the same at the same slots: history is asked for once, since it may cost."""
        for rule in rules:
            # A sample of the past is judged with what the rule keeps of the time before it.
            await self._filling.filled(rule)
        async with self._turns:
            missed = {rule.name: slots for rule in rules if (slots := self._missed(rule))}
            if not missed:
                return
            asking = [rule for rule in rules if rule.name in missed]
            history = await self._history(asking, max(missed.values(), key=len))
            for rule in asking:
                # Of the sums of floats that the slots are, none is missed for its last digit.
                since = missed[rule.name][0] - rule.every / 2
                await self._judge(rule, [each for each in history if each[0] > since])

    def _missed(self, rule: Rule) -> Sequence[float]:
        """Return the slots of a rule that are to be judged from history."""
        return () if not rule.judged or self._judged_live(rule) else self._slots(rule)

    async def _judge(self, rule: Rule, history: Sequence[_Slot]) -> None:
        """Judge one rule, and save what comes of it."""
        try:
            if history and await self._replay(rule, history):
                await self._ledger.flush()
        except Exception:  # Our mistake with one rule must not keep the others from being judged.
            log.exception("backfill broke", rule=rule.name, source=rule.source)
            self._metrics.errors.labels("judge").inc()

    def _slots(self, rule: Rule) -> Sequence[float]:
        """Return the slots that nobody judged, oldest first; empty where nothing worth the question was missed."""
        now = self._clock.now()
        mark = self._ledger.world.judged.get(rule.name)
        judged_until = mark.at if mark else 0.0
        if judged_until and now - judged_until <= rule.step:
            return ()
        start = judged_until + rule.every / 2 if judged_until else now - _looks_back(rule)
        start = max(start, now - max(FURTHEST, _looks_back(rule)), now - MOST_SLOTS * rule.every)
        phase = phase_of(rule.source, rule.every)
        first = math.ceil((start - phase) / rule.every)
        last = math.floor((now - phase) / rule.every)
        return [phase + index * rule.every for index in range(first, last + 1)]

    async def _history(self, rules: Sequence[Rule], slots: Sequence[float]) -> list[_Slot]:
        """Return what the sources would have answered to what these rules ask; empty: there is no telling."""
        gate = gate_of(rules[0])
        past = await self._past(rules[0].query, rules, slots)
        if gate is None:
            return [(slot, result, None) for slot, result in past]
        # Two sources may write the same slot with another last digit.
        gates = {round(slot, 3): result for slot, result in (await self._past(gate, rules, slots) if past else ())}
        return [(slot, result, gates[round(slot, 3)]) for slot, result in past if round(slot, 3) in gates]

    async def _past(self, query: Query, rules: Sequence[Rule], slots: Sequence[float]) -> Past:
        """Return what one query would have been answered; empty where any of it is not known."""
        told = await self._historian.ask(query, slots[0], slots[-1], rules[0].every)
        if told.error:
            names = [each.name for each in rules]
            log.warning("history is not to be had", rules=names, source=query.source, error=told.error)
            return []
        return told.past

    async def _replay(self, rule: Rule, history: Sequence[_Slot]) -> bool:
        """Judge the slots in their order, unless the rule is edited or judged live; return whether any was."""
        for number, (slot, result, gate) in enumerate(history):
            if self._judged_live(rule) or self._equipment.rules.get(rule.name) != rule:
                return number > 0
            self._ledger.take(self._cycles.judgement(rule, result, slot, live=False, gate=gate).changes)
            if number % TOGETHER == TOGETHER - 1:
                await asyncio.sleep(0)
        log.info("judged from history", rule=rule.name, slots=len(history))
        return True

    def _judged_live(self, rule: Rule) -> bool:
        status = self._sightings.rules.get(rule.name)
        return status is not None and status.last_evaluation is not None


def _looks_back(rule: Rule) -> float:
    """Return how many seconds of the past a rule that was never judged can need."""
    longest = max(
        max(tier.for_, tier.recover.for_, window_size(tier) * rule.step if window_size(tier) else 0.0)
        for tier in rule.tiers
    )
    return longest + BLIND_STEPS * rule.step
