"""The past is judged once, bounded, never late, and never opens anything by itself."""

import asyncio
from dataclasses import replace

import pytest

from evaluator.daemon.backfill import FURTHEST, MOST_SLOTS
from evaluator.engine.alerts import State
from evaluator.engine.rules import Mode, Query, RuleSet
from tests.daemon.looking import Looking
from tests.stories import HI, LO, rule, tier


async def test_what_was_judged_a_moment_ago_needs_no_past() -> None:
    looking = Looking(rule())
    looking.judged(ago=0.0)
    assert await looking.run() == []


@pytest.mark.parametrize(
    ("ago", "every", "seconds"),
    [
        (600.0, 60.0, 600.0),
        (3600.0, 60.0, 3600.0),
        (10 * 86_400.0, 60.0, FURTHEST),
        (10 * 86_400.0, 3600.0, FURTHEST),
        (86_400.0, 1.0, MOST_SLOTS * 1.0),
    ],
)
async def test_the_gap_is_asked_for_within_bounds(ago: float, every: float, seconds: float) -> None:
    looking = Looking(rule(every=every))
    looking.judged(ago)
    judged = looking.rooms.ledger.world.judged["cpu"].at
    ((start, end, step),) = await looking.run()
    now = looking.rooms.time.at
    assert step == every
    assert now - every < end <= now
    assert now - seconds - every <= start <= now - seconds + every
    assert start > judged + every / 2, "what was judged is not judged again"
    assert (end - start) / step + 1 <= MOST_SLOTS + 1


async def test_a_new_rule_looks_back_as_far_as_its_verdicts_can_need() -> None:
    looking = Looking(rule(tier(for_=1200.0)))
    ((start, _, _),) = await looking.run()
    assert start == pytest.approx(looking.rooms.time.at - 1200 - 180, abs=60)


async def test_the_past_makes_it_fire_and_only_the_present_opens() -> None:
    looking = Looking(rule(tier(for_=600.0)))
    await looking.run()
    world = looking.rooms.ledger.world
    assert looking.states() == {State.FIRING}
    assert not world.open_incidents()
    assert looking.rooms.store.commits, "what was judged is written"
    # Even where the present is blind.
    looking.archive.value = None
    slot = world.judged["cpu"].at + 60
    await looking.cycles.run("prometheus", 60.0, slot)
    assert not world.open_incidents()
    looking.archive.value = HI
    await looking.cycles.run("prometheus", 60.0, slot + 60)
    assert len(world.open_incidents()) == 1


async def test_a_past_that_is_healthy_ends_what_was_pending() -> None:
    looking = Looking(rule(tier(for_=600.0)))
    await looking.run()
    looking.rooms.time.at += 3600
    looking.archive.value = LO
    await looking.run()
    assert looking.states() <= {State.QUIET}


@pytest.mark.parametrize("why", ["no history", "no answer", "no source", "no time"])
async def test_without_history_the_gap_stays_unknown(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.daemon.history.TIMEOUT", 0.05)
    looking = Looking(rule(tier(for_=600.0)))
    if why == "no history":
        looking.archive.keeps = False
    elif why == "no answer":
        looking.archive.value = None
    elif why == "no source":
        looking.rooms.equipment.sources._open = {}
    else:
        looking.archive.during = lambda: asyncio.sleep(10)
    await looking.run()
    assert looking.states() == set()
    assert not looking.rooms.ledger.world.judged


async def test_a_rule_that_is_judged_live_meanwhile_is_left_alone() -> None:
    looking = Looking(rule(tier(for_=600.0)))
    looking.archive.during = lambda: looking.cycles.run("prometheus", 60.0, looking.rooms.time.at)
    await looking.run()
    assert looking.states() == {State.PENDING}


async def test_a_rule_that_is_edited_meanwhile_is_left_alone() -> None:
    looking = Looking(rule(tier(for_=600.0)))
    edited = replace(looking.rules[0], query=Query("prometheus", '{"promql":"other"}'))

    def edit() -> None:
        looking.rooms.equipment.rules = RuleSet({"cpu": edited})

    looking.archive.during = edit
    await looking.run()
    assert looking.states() == set()


async def test_a_rule_that_is_off_has_no_past() -> None:
    assert await Looking(rule(mode=Mode.OFF)).run() == []


async def test_rules_that_ask_the_same_share_one_look_at_the_past() -> None:
    high, higher, slow = (
        replace(rule(tier(for_=for_), every=every), name=name)
        for name, for_, every in (("high", 600.0, 60.0), ("higher", 1200.0, 60.0), ("slow", 600.0, 120.0))
    )
    looking = Looking(high, higher, slow)
    asked = await looking.run()
    assert sorted(step for *_, step in asked) == [60.0, 120.0]
    start = next(start for start, _, step in asked if step == 60.0)
    assert start == pytest.approx(looking.rooms.time.at - 1200 - 180, abs=60), "as far as any of them needs"
    books = looking.rooms.ledger.world.alerts
    assert {name: {alert.state for alert in book.values()} for name, book in books.items()} == {
        "high": {State.FIRING},
        "higher": {State.FIRING},
        "slow": {State.FIRING},
    }
    began = {name: min(alert.active_at or 0.0 for alert in book.values()) for name, book in books.items()}
    assert 0.0 < began["higher"] < began["high"], "each begins where its own past begins"
