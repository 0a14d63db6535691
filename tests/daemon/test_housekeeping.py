"""What is over is written as over, and forgotten in time: silences, kept samples, what alerts did."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from evaluator.daemon.housekeeping import EXPLAINED, MOST_CHUNKS, RETENTION, keep_ending, keep_forgetting
from evaluator.engine.alerts import State
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.rules import Rule, RuleSet, Severity, Tier
from evaluator.engine.shapes import Trend, Unusual, Way
from evaluator.engine.trail import CHUNK, Chunk
from evaluator.incidents.changes import Changes, ChunkKey, Judged
from evaluator.incidents.silence import Silence
from evaluator.incidents.world import World
from evaluator.store.store import PRUNE_LIMIT, open_store
from tests.daemon.inside import Rooms, soon
from tests.store.rows import DAY, a_silence, an_alert
from tests.stories import WEB, rule

FULL: Chunk = (1.0,) * CHUNK


def looking_back(name: str, *, unusual: bool = False) -> Rule:
    trend = Trend(Way.RISING, 0.5, share=True, over=3600.0)
    return rule(
        Tier(Severity.P1, None, trend=trend, unusual=Unusual(4.0, DAY, learn=DAY) if unusual else None), name=name
    )


class House:
    """Rooms on a real store, and one duty at a time."""

    def __init__(self, folder: Path) -> None:
        self.rooms = Rooms()
        self.store = open_store(f"sqlite:///{folder}/evaluator.db")
        self.rooms.ledger._store = self.store

    @property
    def now(self) -> float:
        return self.rooms.time.at

    @property
    def world(self) -> World:
        return self.rooms.ledger.world

    async def during(self, duty: Coroutine[None, None, None], until: Callable[[], object]) -> None:
        """Let a duty go on until something is true."""
        running = asyncio.create_task(duty)
        await soon(until)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async def take(self, changes: Changes) -> None:
        self.rooms.ledger.take(changes)
        await self.rooms.ledger.flush()

    def rules(self, *rules: Rule) -> None:
        self.rooms.equipment.rules = RuleSet({each.name: each for each in rules})

    def chunk(self, rule_: str, width: float, ago: float) -> ChunkKey:
        """Return the key of the chunk that has the bucket of so many seconds ago."""
        return ChunkKey(rule_, width, WEB, int((self.now - ago) // width) // CHUNK)

    async def forget(self) -> None:
        """Forget once."""
        rooms = self.rooms
        # What alerts did long ago is pruned last.
        await self.take(
            Changes(
                transitions=[Transition(State.QUIET, an_alert("last", judged=self.now - EXPLAINED - 1), Cause.JUDGED)]
            )
        )
        duty = keep_forgetting(rooms.equipment, rooms.ledger, self.store, rooms.clock)
        await self.during(duty, lambda: not self.store.transitions("last"))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    with house.store:
        yield house


async def test_the_end_of_a_silence_is_written_although_nobody_evaluates(house: House) -> None:
    mine = a_silence("01J1", starts_at=house.now, ends_at=house.now + 60)
    later = a_silence("01J2", starts_at=house.now, ends_at=house.now + 600)
    await house.take(Changes(silences={each.id: each for each in (mine, later)}))
    house.rooms.time.at += 61

    def ended() -> Silence | None:
        found = {each.id: each for each in house.store.silences(9)}
        return found["01J1"] if found["01J1"].ended_at is not None else None

    await house.during(keep_ending(house.rooms.ledger, house.rooms.clock), ended)
    found = ended()
    assert found is not None
    assert (found.ended_at, found.ended_because) == (mine.ends_at, "its time was over")
    assert house.world.silences["01J1"] == found
    assert house.world.silences["01J2"] == later


async def test_samples_of_rules_that_are_gone_and_what_no_rule_looks_back_on_are_dropped(house: House) -> None:
    house.rules(looking_back("cpu", unusual=True), looking_back("load"))
    fresh, old = house.chunk("cpu", 60.0, 0.0), house.chunk("cpu", 60.0, 3 * DAY)
    of_days = house.chunk("cpu", 300.0, DAY)
    no_more, gone = house.chunk("load", 300.0, 0.0), house.chunk("gone", 60.0, 0.0)
    await house.take(Changes(chunks=dict.fromkeys((fresh, old, of_days, no_more, gone), FULL)))
    await house.forget()
    assert house.store.load(house.now).chunks.keys() == {fresh, of_days}
    assert set(house.world.trails) == {"cpu"}
    assert set(house.world.trails["cpu"]) == {(60.0, WEB), (300.0, WEB)}


async def test_more_than_one_commit_of_samples_is_dropped_in_parts(house: House) -> None:
    many = {ChunkKey("gone", 60.0, (("n", str(number)),), 1): FULL for number in range(MOST_CHUNKS + 5)}
    await house.take(Changes(chunks=dict(many)))
    await house.forget()
    assert not house.world.trails
    assert not house.store.load(house.now).chunks


async def test_what_is_long_over_is_pruned_whole(house: House) -> None:
    old, recent = house.now - EXPLAINED - DAY, house.now - EXPLAINED + DAY
    turned = [
        Transition(State.PENDING, an_alert(judged=old + number), Cause.JUDGED) for number in range(PRUNE_LIMIT + 1)
    ]
    kept = Transition(State.PENDING, an_alert(judged=recent), Cause.JUDGED)
    over = a_silence("01J1", ends_at=house.now - RETENTION - DAY)
    younger = a_silence("01J2", ends_at=house.now - RETENTION + DAY)
    await house.take(Changes(silences={"01J1": over, "01J2": younger}, transitions=[*turned, kept]))
    await house.forget()
    assert [row.at for row in house.store.transitions("cpu-high")] == [recent]
    assert house.store.silences(9) == (younger,)


async def test_samples_of_a_removed_rule_do_not_come_back(house: House) -> None:
    key = house.chunk("cpu", 60.0, 0.0)
    await house.take(Changes(chunks={key: FULL}, judged={"cpu": Judged("cpu", house.now, "{}", "page")}))
    await house.take(Changes(judged={"cpu": None}))
    assert not house.world.trails
    assert not house.store.load(house.now).chunks
