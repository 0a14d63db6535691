"""What rules look back on is fetched from sources that keep it: what is lacking, once, the newest first."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from structlog.testing import capture_logs

from evaluator.daemon.filling import DAY, LOOK_EVERY, WAITS
from evaluator.engine.rules import Mode, Query, Rule, RuleSet, Severity, Tier
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.engine.shapes import Trend, Unusual, Way
from evaluator.engine.trail import points
from evaluator.incidents.changes import Changes, ChunkKey
from tests.daemon.inside import soon
from tests.daemon.looking import Looking, Past
from tests.stories import WEB, answer, rule

HOUR = 3600.0
TWO_DAYS = (2 * DAY + 1800) // 300 - 1
"""Whole buckets of what a rule looks back on for two days."""


def unusual(name: str = "cpu", history: float = 2 * DAY) -> Rule:
    return rule(Tier(Severity.P1, None, unusual=Unusual(by=4.0, history=history, learn=DAY)), name=name)


def rising(over: float, every: float) -> Rule:
    trend = Trend(Way.RISING, 0.5, share=True, over=over)
    return rule(Tier(Severity.P1, None, trend=trend), every=every)


class Chronicle:
    """A source with a past that the test writes: a result for each time, or whatever else `tell` does."""

    def __init__(self) -> None:
        self.asked: list[tuple[Query, float, float, float]] = []
        self.at: Callable[[float], PollResult] = lambda at: answer(at % 1000)
        self.tell: Callable[[Past], Past] = lambda past: past
        self.during: Callable[[], object] = bool

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def poll(self, queries: object, now: float) -> list[PollResult]:
        raise AssertionError("nobody polls here")

    async def history(self, query: Query, start: float, end: float, step: float) -> Past:
        self.asked.append((query, start, end, step))
        self.during()
        await asyncio.sleep(0)
        return self.tell([(start + n * step, self.at(start + n * step)) for n in range(int((end - start) / step) + 1)])


class Room(Looking):
    """A filling with a chronicle, and the clock in the test's hand."""

    def __init__(self, *rules: Rule) -> None:
        super().__init__(*rules)
        self.chronicle = Chronicle()
        self.rooms.equipment.sources._open["prometheus"] = replace(
            self.rooms.equipment.sources._open["prometheus"], adapter=self.chronicle
        )

    @property
    def now(self) -> float:
        return self.rooms.time.at

    async def fill(self) -> list[tuple[float, float]]:
        """Fill as at a start; return what was asked for: how many seconds ago the first and the last moment were."""
        self.chronicle.asked.clear()
        self.filling.start(self.rules)
        for each in self.rules:
            await self.filling.filled(each)
        return [(self.now - start, self.now - end) for _, start, end, _ in self.chronicle.asked]

    def use(self, *rules: Rule) -> None:
        self.rooms.equipment.rules = RuleSet({each.name: each for each in rules})
        self.rules = rules

    def kept(self, name: str = "cpu") -> dict[float, float]:
        """Return the samples that a rule keeps of host web-1."""
        (keep,) = self.rules[0].keeps
        trail = self.rooms.ledger.world.trails.get(name, {}).get((keep.width, WEB), {})
        return dict(points(trail, keep.width, 0.0, self.now + HOUR))

    def drop(self, start: float, end: float) -> None:
        """Forget what is kept of this time: nobody polled then."""
        for (width, series), trail in self.rooms.ledger.world.trails["cpu"].items():
            for number, chunk in list(trail.items()):
                times = [(number * 256 + place) * width for place in range(256)]
                holed = tuple(math.nan if start <= at < end else value for at, value in zip(times, chunk, strict=True))
                self.rooms.ledger.take(Changes(chunks={ChunkKey("cpu", width, series, number): holed}))

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.filling.run())
        try:
            yield
        finally:
            running.cancel()
            await self.filling.stop()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.daemon.filling.TICK", 0.001)


async def test_a_new_rule_gets_all_it_looks_back_on_a_day_at_a_time_the_newest_first() -> None:
    room = Room(unusual())
    asked = await room.fill()
    assert len(asked) == 3
    assert all(0 <= first - last <= DAY for first, last in asked)
    assert [last for _, last in asked] == sorted(last for _, last in asked)
    assert {step for *_, step in room.chronicle.asked} == {300.0}
    kept = room.kept()
    assert len(kept) == TWO_DAYS
    assert min(kept) >= room.now - 2 * DAY - 1800
    assert room.now - 600 <= max(kept) < room.now
    assert all(value == (at + 150) % 1000 for at, value in kept.items())
    assert await room.rooms.ledger.flush_all()
    assert sum(len(commit.chunks) for commit in room.rooms.store.commits) >= 3, "what was fetched is written"
    assert room.rooms.counted("history_requests_total", source="prometheus", outcome="answered") == 3


async def test_what_is_there_is_not_asked_for() -> None:
    room = Room(unusual())
    await room.fill()
    assert await room.fill() == []
    room.rooms.time.at += 4 * HOUR
    ((first, last),) = await room.fill()
    assert 4 * HOUR - 600 <= first <= 4 * HOUR + 600
    assert 0 <= last <= 600
    assert len(room.kept()) >= TWO_DAYS


async def test_what_was_polled_stays_as_it_was() -> None:
    room = Room(unusual())
    await room.fill()
    first = room.kept()
    room.drop(room.now - 5 * HOUR, room.now - 4 * HOUR)
    assert len(room.kept()) == len(first) - 12
    room.chronicle.at = lambda _: answer(7.0)
    assert len(await room.fill()) == 1
    kept = room.kept()
    assert {at for at, value in kept.items() if value != first[at]} == {
        at for at in first if room.now - 5 * HOUR <= at < room.now - 4 * HOUR
    }


async def test_rules_that_ask_the_same_share_the_questions() -> None:
    room = Room(unusual("cpu", 2 * DAY), unusual("load", DAY), replace(unusual("off"), mode=Mode.OFF))
    assert len(await room.fill()) == 3
    # An hour more than it looks back on: late samples are held against what was before them.
    assert min(room.kept("cpu")) < room.now - DAY - 2 * HOUR < min(room.kept("load"))
    assert len(room.kept("load")) == TWO_DAYS - DAY // 300 + HOUR // 300
    assert not room.kept("off")


async def test_each_width_is_filled_by_itself() -> None:
    tier = Tier(
        Severity.P1, None, trend=Trend(Way.RISING, 1.0, share=False, over=HOUR), unusual=Unusual(by=4.0, history=DAY)
    )
    room = Room(rule(tier))
    await room.fill()
    assert {step for *_, step in room.chronicle.asked} == {60.0, 300.0}
    assert {width for width, _ in room.rooms.ledger.world.trails["cpu"]} == {60.0, 300.0}


async def test_a_width_of_broken_milliseconds_leaves_no_bucket_out() -> None:
    room = Room(rising(over=100.0, every=1.0))
    (keep,) = room.rules[0].keeps
    assert keep.width == pytest.approx(100 / 60)
    await room.fill()
    assert {step for *_, step in room.chronicle.asked} == {1.666}
    assert len(room.kept()) >= keep.points - 3


async def test_a_source_without_history_is_asked_once() -> None:
    room = Room(unusual())
    room.chronicle.tell = lambda _: None
    assert len(await room.fill()) == 1
    async with room.looking():
        for _ in range(3):
            room.rooms.time.at += DAY
            await asyncio.sleep(0.02)
    assert len(room.chronicle.asked) == 1
    assert room.rooms.counted("history_requests_total", source="prometheus", outcome="none") == 1


@pytest.mark.parametrize("why", ["refused", "broken", "late", "closed"])
async def test_a_source_that_fails_is_asked_again_later_and_later(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(unusual())
    failed = PollFailed(FailureReason.REFUSED, "nobody listens there")

    def broken(_: Past) -> Past:
        raise ZeroDivisionError

    if why == "refused":
        room.chronicle.at = lambda _: failed
    elif why == "broken":
        room.chronicle.tell = broken
    elif why == "late":
        monkeypatch.setattr("evaluator.daemon.history.TIMEOUT", 0.0)
    else:
        room.rooms.equipment.sources._open = {}
    outcome = {"source": "prometheus", "outcome": "failed"}

    def asked(times: int) -> bool:
        return room.rooms.counted("history_requests_total", **outcome) == times

    with capture_logs() as logs:
        await room.fill()
        async with room.looking():
            for tries, wait in enumerate((*WAITS, WAITS[-1]), 1):
                assert asked(tries)
                room.rooms.time.at += wait - 1
                await asyncio.sleep(0.02)
                assert asked(tries), "not before its time"
                room.rooms.time.at += 2
                await soon(partial(asked, tries + 1))
                await soon(lambda: not any(work.task for work in room.filling._work.values()))
    said = [entry for entry in logs if entry["event"] == "history is not to be had"]
    assert said[0]["rules"] == ["cpu"]
    assert said[0]["error"]
    assert not room.kept()


async def test_what_failed_comes_when_the_source_answers_again() -> None:
    room = Room(unusual())
    fine, room.chronicle.at = room.chronicle.at, lambda _: PollFailed(FailureReason.TIMEOUT, "no answer in time")
    await room.fill()
    room.chronicle.at = fine
    async with room.looking():
        room.rooms.time.at += WAITS[0]
        await soon(lambda: len(room.kept()) >= TWO_DAYS)


async def test_single_slots_that_failed_and_what_is_no_number_are_left_out() -> None:
    room = Room(unusual(history=DAY))
    unknown = PollFailed(FailureReason.UNAVAILABLE, "keeps no points that old")
    room.chronicle.at = lambda at: unknown if at % 900 < 300 else answer(math.nan if at % 900 < 600 else 1.0)
    await room.fill()
    assert {at % 900 for at in room.kept()} == {600.0}


async def test_samples_with_a_time_of_their_own_have_the_place_of_that_time() -> None:
    room = Room(unusual(history=DAY))
    room.chronicle.at = lambda at: answer(1.0, at=at // 600 * 600 - 1200)
    await room.fill()
    assert {at % 600 for at in room.kept()} == {0.0}
    assert room.now - 2400 < max(room.kept()) <= room.now - 1200


async def test_an_empty_past_is_asked_for_once() -> None:
    room = Room(unusual())
    room.chronicle.at = lambda _: Samples((), ())
    assert len(await room.fill()) == 3
    async with room.looking():
        room.rooms.time.at += LOOK_EVERY + 1
        await soon(lambda: len(room.chronicle.asked) == 4)
        await soon(lambda: not any(work.task for work in room.filling._work.values()))
    _, start, end, _ = room.chronicle.asked[-1]
    assert room.now - LOOK_EVERY - 900 <= start <= end <= room.now - 180, "only what came since, and is not merely late"


async def test_a_gap_while_running_is_filled_at_the_next_look() -> None:
    room = Room(unusual())
    await room.fill()
    async with room.looking():
        room.rooms.time.at += 2 * HOUR
        await soon(lambda: len(room.chronicle.asked) == 4)
        await soon(lambda: room.now - max(room.kept()) <= 900)


@pytest.mark.parametrize("told", ["no history", "nothing", "a failure"])
async def test_another_source_of_the_same_name_is_asked_for_all_that_the_one_before_did_not_know(told: str) -> None:
    room = Room(unusual())
    if told == "no history":
        room.chronicle.tell = lambda _: None
    else:
        nothing = Samples((), ()) if told == "nothing" else PollFailed(FailureReason.REFUSED, "nobody listens there")
        room.chronicle.at = lambda _: nothing
    await room.fill()
    async with room.looking():
        await asyncio.sleep(0.02)
        assert not room.kept()
        edited = room.chronicle = Chronicle()
        held = room.rooms.equipment.sources._open["prometheus"]
        room.rooms.equipment.sources._open["prometheus"] = replace(held, adapter=edited)
        await soon(lambda: len(room.kept()) == TWO_DAYS)
        await asyncio.sleep(0.02)
    assert len(edited.asked) == 3, "once"


async def test_an_edited_rule_gets_nothing_of_what_it_asked_before() -> None:
    room = Room(unusual())
    edited = replace(room.rules[0], query=Query("prometheus", '{"promql":"other"}'))
    room.chronicle.during = lambda: room.use(edited)
    await room.fill()
    assert len(room.chronicle.asked) == 1
    assert not room.kept()
    room.chronicle.during = bool
    await room.fill()
    assert {query for query, *_ in room.chronicle.asked} == {edited.query}
    assert len(room.kept()) == TWO_DAYS


async def test_a_rule_that_is_gone_is_not_looked_at_again() -> None:
    room = Room(unusual())
    await room.fill()
    async with room.looking():
        room.use()
        await soon(lambda: not room.filling._work)
        room.rooms.time.at += DAY
        await asyncio.sleep(0.02)
    assert len(room.chronicle.asked) == 3


async def test_a_start_anew_takes_the_place_of_the_one_under_way() -> None:
    room = Room(unusual())
    first = room.chronicle.asked
    room.filling.start(room.rules)
    await soon(lambda: first)
    await room.fill()
    assert len(room.kept()) == TWO_DAYS
    assert sum(work.task is not None for work in room.filling._work.values()) == 0


async def test_our_own_mistake_with_one_query_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(unusual())

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("evaluator.daemon.filling.Kept", broken)
    with capture_logs() as logs:
        await room.fill()
    assert [entry["event"] for entry in logs] == ["filling broke"]
    monkeypatch.undo()
    assert len(await room.fill()) == 3
