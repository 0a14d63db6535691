"""What `only_if` asks belongs to the slot of its rule, and whoever waits for it delays nobody else."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from evaluator.config.settings import SourceEntry
from evaluator.daemon.cycle import Cycles
from evaluator.daemon.equipment import Held, Prepared
from evaluator.daemon.health import HealthBook
from evaluator.daemon.sightings import Sightings
from evaluator.engine.rules import Limit, OnlyIf, Op, Query, Rule, RuleSet
from evaluator.engine.samples import PollResult
from evaluator.web.view import Backlog
from tests.daemon.inside import Rooms, soon
from tests.stories import FAILED, HI, answer, rule

SLOT = 1_790_000_040.0
HERE, THERE = Query("prometheus", '{"promql":"busy"}'), Query("redis", '{"measure":"clients"}')


class Asked:
    """A source that remembers what it was asked, and answers when the test lets it."""

    def __init__(self) -> None:
        self.polls: list[tuple[float, list[Query]]] = []
        self.result: PollResult = answer(HI)
        self.gate = asyncio.Event()
        self.gate.set()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def poll(self, queries: Sequence[Query], now: float) -> list[PollResult]:
        self.polls.append((now, list(queries)))
        await self.gate.wait()
        return [self.result] * len(queries)

    async def history(self, query: Query, start: float, end: float, step: float) -> None: ...


def gated(name: str, query: Query) -> Rule:
    return replace(rule(name=name), only_if=OnlyIf(query, Limit(Op.ABOVE, 50.0)))


class Cycling:
    """Rules on `prometheus`, whose `only_if` may ask `redis`."""

    def __init__(self, *rules: Rule) -> None:
        self.rooms, self.sightings = Rooms(), Sightings()
        self.here, self.there = Asked(), Asked()
        equipment, ledger, clock = self.rooms.equipment, self.rooms.ledger, self.rooms.clock
        self.use(*rules)
        equipment.sources.swap(Prepared({"prometheus": Held(None, self.here), "redis": Held(None, self.there)}))
        self.cycles = Cycles(equipment, ledger, self.sightings, clock, self.rooms.metrics)
        self.health = HealthBook(equipment, ledger, self.sightings, Backlog, self.rooms.metrics, clock)

    def use(self, *rules: Rule) -> None:
        self.rooms.equipment.rules = RuleSet({each.name: each for each in rules})

    async def run(self, slot: float = SLOT) -> bool:
        return await self.cycles.run("prometheus", 60.0, slot)

    def judged(self) -> dict[str, float | None]:
        """Return the slot in which each rule was judged last."""
        return {name: status.last_evaluation for name, status in self.sightings.rules.items()}


async def test_a_gate_on_the_same_source_is_part_of_the_same_poll() -> None:
    cycling = Cycling(gated("cpu", HERE), gated("load", HERE), replace(rule(name="busy"), query=HERE))
    assert await cycling.run()
    ((slot, queries),) = cycling.here.polls
    assert (slot, queries) == (SLOT, [rule().query, HERE])
    assert cycling.judged() == {"cpu": SLOT, "load": SLOT, "busy": SLOT}


async def test_a_gate_on_another_source_is_asked_in_the_same_slot_each_query_once() -> None:
    cycling = Cycling(gated("cpu", THERE), gated("load", THERE), rule(name="plain"))
    assert await cycling.run()
    await soon(lambda: len(cycling.judged()) == 3)
    assert cycling.here.polls == [(SLOT, [rule().query])]
    assert cycling.there.polls == [(SLOT, [THERE])]
    await soon(lambda: not cycling.cycles._tasks)
    written = {name for commit in cycling.rooms.store.commits for name in commit.judged}
    assert written == {"cpu", "load", "plain"}


async def test_a_slow_gate_delays_neither_other_rules_nor_the_next_slot() -> None:
    cycling = Cycling(gated("cpu", THERE), rule(name="plain"))
    cycling.there.gate.clear()
    assert await cycling.run()
    assert await cycling.run(SLOT + 60)
    assert cycling.judged() == {"plain": SLOT + 60}
    assert cycling.rooms.counted("missed_slots_total", source="redis") == 1
    cycling.there.gate.set()
    await soon(lambda: cycling.judged().get("cpu") == SLOT and not cycling.cycles._apart)
    assert await cycling.run(SLOT + 120)
    await soon(lambda: cycling.judged().get("cpu") == SLOT + 120)
    assert [slot for slot, _ in cycling.there.polls] == [SLOT, SLOT + 120]


async def test_two_gates_on_two_sources_wait_for_nobody_but_their_own() -> None:
    elsewhere = Query("celery", "{}")
    cycling = Cycling(gated("cpu", THERE), gated("load", elsewhere))
    cycling.there.gate.clear()
    await cycling.run()
    await soon(lambda: "load" in cycling.judged())
    assert "cpu" not in cycling.judged()
    cycling.there.gate.set()
    await soon(lambda: "cpu" in cycling.judged())


async def test_a_gate_that_cannot_be_asked_blinds_its_rule_alone() -> None:
    cycling = Cycling(gated("cpu", THERE), rule(name="plain"))
    cycling.there.result = FAILED
    await cycling.run()
    await soon(lambda: "cpu" in cycling.judged())
    assert cycling.sightings.rules["cpu"].error == f"only_if: {FAILED.message}"
    assert cycling.sightings.rules["plain"].error == ""
    counted = cycling.rooms.counted
    assert counted("rule_evaluation_failures_total", rule="cpu", reason="timeout") == 1
    assert counted("poll_failures_total", source="redis", reason="timeout") == 1
    assert counted("source_up", source="redis") == 0
    assert counted("source_up", source="prometheus") == 1
    assert counted("poll_duration_seconds_count", source="redis") == 1
    health = cycling.health.health()
    assert health.sources["redis"].silent, "a source that only a gate asks is known to be silent"
    assert health.rules["cpu"].blind is None, "its source does not answer, which is another rule's business"


async def test_a_gate_whose_source_is_off_blinds_its_rule_and_says_so() -> None:
    cycling = Cycling(gated("cpu", THERE))
    settings = cycling.rooms.equipment.settings
    off = SourceEntry(type="redis", enabled=False)
    cycling.rooms.equipment.settings = settings.model_copy(update={"sources": {**settings.sources, "redis": off}})
    await cycling.run()
    await soon(lambda: "cpu" in cycling.judged())
    assert not cycling.there.polls
    assert "redis is switched off" in cycling.sightings.rules["cpu"].error
    health = cycling.health.health()
    assert "redis" not in health.sources
    assert health.rules["cpu"].blind, "nobody else would tell"


async def test_a_gate_that_is_edited_while_it_is_asked_is_left_alone() -> None:
    cycling = Cycling(gated("cpu", THERE))
    cycling.there.gate.clear()
    await cycling.run()
    cycling.use(gated("cpu", HERE))
    cycling.there.gate.set()
    await soon(lambda: not cycling.cycles._apart)
    assert cycling.judged() == {}


async def test_what_waits_for_another_source_is_left_off_at_the_end() -> None:
    cycling = Cycling(gated("cpu", THERE))
    cycling.there.gate.clear()
    await cycling.run()
    await cycling.cycles.stop()
    assert not cycling.cycles._tasks
    assert cycling.judged() == {}


async def test_a_cycle_that_is_cancelled_takes_what_waits_for_it_along() -> None:
    cycling = Cycling(gated("cpu", THERE))
    cycling.here.gate.clear()
    running = asyncio.create_task(cycling.run())
    await soon(lambda: cycling.here.polls and cycling.there.polls)
    running.cancel()
    await soon(lambda: running.done() and not cycling.cycles._apart)
    assert cycling.judged() == {}


async def test_our_own_mistake_with_one_gate_is_survived_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    cycling = Cycling(gated("cpu", THERE), rule(name="plain"))

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Sightings, "polled", broken)
    cycling.here.gate.clear()
    running = asyncio.create_task(cycling.run())
    await soon(lambda: cycling.rooms.counted("errors_total", where="cycle") == 1)
    running.cancel()
    await soon(running.done)
