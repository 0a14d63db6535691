"""Says what an edit will do before a reload does it: the sources of the changed rules are asked once more, in time.

This module asks and hands on. What the edit does is worked out in `incidents.preview`; nothing is changed by it.
"""

import asyncio
from collections.abc import Sequence

from evaluator.config.load import Loaded
from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.ledger import Ledger
from evaluator.engine.rules import Query, Rule
from evaluator.engine.samples import FailureReason, PollFailed, PollResult
from evaluator.incidents.preview import Answers, Effect, changed_rules, effect_of

PATIENCE = 3.0
"""Seconds that an edit waits for the answers: then it is put in force, whoever has not answered."""


class Foresight:
    """Looks at what would be, with the sources that are open."""

    def __init__(self, equipment: Equipment, ledger: Ledger, clock: Clock) -> None:
        """Compare with what is in force."""
        self._equipment = equipment
        self._ledger = ledger
        self._clock = clock

    async def effect(self, loaded: Loaded) -> Effect:
        """Return what putting this in force does; within a few seconds, whatever the sources do."""
        before = self._equipment.rules
        changed = [loaded.rules.rules[name] for name in changed_rules(before, loaded.rules)]
        answers = await self._answers([rule for rule in changed if rule.judged], loaded)
        return effect_of(
            self._ledger.world,
            before,
            loaded.rules,
            answers,
            self._clock.now(),
            routes=loaded.routes,
            instance=self._equipment.settings.instance,
        )

    async def _answers(self, rules: Sequence[Rule], loaded: Loaded) -> Answers:
        asked: dict[str, dict[Query, PollResult]] = {}
        for rule in rules:
            gate = None if rule.only_if is None else rule.only_if.query
            for query in (rule.query, gate):
                if query is not None:
                    late = PollFailed(FailureReason.TIMEOUT, f"source {query.source} did not answer in time")
                    asked.setdefault(query.source, {})[query] = late
        async with asyncio.TaskGroup() as group:
            for source, queries in asked.items():
                group.create_task(self._ask(source, queries, loaded))
        return Answers(
            {rule.name: asked[rule.source][rule.query] for rule in rules},
            {
                rule.name: asked[rule.only_if.query.source][rule.only_if.query]
                for rule in rules
                if rule.only_if is not None
            },
        )

    async def _ask(self, source: str, queries: dict[Query, PollResult], loaded: Loaded) -> None:
        """Put a source's answers in place of what stands there."""
        adapter, settings = self._equipment.sources.get(source), loaded.settings
        same = settings is not None and self._equipment.settings.sources.get(source) == settings.sources.get(source)
        if adapter is None or not same:
            new = PollFailed(
                FailureReason.UNAVAILABLE, f"source {source} is new, or was edited: it is asked afterwards"
            )
            queries.update(dict.fromkeys(queries, new))
            return
        try:
            async with asyncio.timeout(PATIENCE):
                results = await adapter.poll(list(queries), self._clock.now())
        except Exception:  # noqa: BLE001 - the same question is asked again at its slot, and there it is counted and logged.
            return
        queries.update(zip(queries, results, strict=False))
