"""Rules in force, a source with a past, and the rooms that judge them, one step at a time.

This module makes them. It never knows what a test expects.
"""

import asyncio
from collections.abc import Callable, Sequence

from evaluator.daemon.backfill import Backfill
from evaluator.daemon.cycle import Cycles
from evaluator.daemon.equipment import Held, Prepared
from evaluator.daemon.filling import Filling
from evaluator.daemon.history import Historian
from evaluator.daemon.sightings import Sightings
from evaluator.daemon.slots import phase_of
from evaluator.engine.alerts import State
from evaluator.engine.rules import Query, Rule, RuleSet
from evaluator.engine.samples import PollResult
from evaluator.incidents.changes import Changes, Judged
from tests.daemon.inside import Rooms
from tests.stories import FAILED, HI, answer

Past = list[tuple[float, PollResult]] | None


class Archive:
    """A source that knows the past: the same answer at every time."""

    def __init__(self) -> None:
        """Answer a breach."""
        self.asked: list[tuple[float, float, float]] = []
        self.value: float | None = HI
        self.gate: float | None = HI
        """What it answers to the query of an `only_if`."""
        self.at: Callable[[float], PollResult] | None = None
        """What it answers for a time of the past, where the test says so."""
        self.keeps = True
        self.during: Callable[[], object] = bool

    async def open(self) -> None:
        """Need nothing."""

    async def close(self) -> None:
        """Give nothing back."""

    async def poll(self, queries: Sequence[Query], now: float) -> list[PollResult]:
        """Answer as of now."""
        del now
        return [self._answer(query) for query in queries]

    async def history(self, query: Query, start: float, end: float, step: float) -> Past:
        """Answer for the past."""
        self.asked.append((start, end, step))
        found = self.during()
        if asyncio.iscoroutine(found):
            await found
        if not self.keeps:
            return None
        times = [start + number * step for number in range(round((end - start) / step) + 1)]
        return [(at, self.at(at) if self.at else self._answer(query)) for at in times]

    def _answer(self, query: Query) -> PollResult:
        value = self.gate if "gate" in query.spec else self.value
        return FAILED if value is None else answer(value)


class Looking:
    """A backfill with what it works on."""

    def __init__(self, *rules: Rule) -> None:
        """Have these rules in force."""
        self.rooms = Rooms()
        self.archive = Archive()
        self.sightings = Sightings()
        equipment, ledger, clock = self.rooms.equipment, self.rooms.ledger, self.rooms.clock
        equipment.rules = RuleSet({each.name: each for each in rules})
        equipment.sources.swap(Prepared({"prometheus": Held(None, self.archive)}))
        self.cycles = Cycles(equipment, ledger, self.sightings, clock, self.rooms.metrics)
        historian = Historian(equipment, self.rooms.metrics)
        self.filling = Filling(equipment, ledger, historian, clock)
        self.backfill = Backfill(
            equipment, self.cycles, ledger, self.sightings, historian, self.filling, clock, self.rooms.metrics
        )
        self.rules = rules

    def judged(self, ago: float) -> None:
        """Let the rules have been judged last in the slot of so many seconds ago."""
        for each in self.rules:
            phase, at = phase_of(each.source, each.every), self.rooms.time.at - ago
            at = phase + (at - phase) // each.every * each.every
            judged = Judged(each.name, at, each.identity, each.mode.value)
            self.rooms.ledger.take(Changes(judged={each.name: judged}))

    async def run(self) -> list[tuple[float, float, float]]:
        """Judge the past; return which past was asked for."""
        self.backfill.start(self.rules)
        await asyncio.gather(*self.backfill._tasks)
        return self.archive.asked

    def states(self) -> set[State]:
        """Return the states of all alerts that have a row."""
        return {alert.state for book in self.rooms.ledger.world.alerts.values() for alert in book.values()}
