"""The past is judged once, bounded, never late, and never opens anything by itself."""

import asyncio
from dataclasses import replace

import pytest

from evaluator.daemon.backfill import FURTHEST, MOST_SLOTS
from evaluator.daemon.equipment import Held
from evaluator.engine.alerts import State
from evaluator.engine.rules import Limit, Mode, OnlyIf, Op, Query, Rule, RuleSet, Severity, Tier
from evaluator.engine.shapes import Trend, Way
from tests.daemon.looking import Archive, Looking
from tests.stories import HI, LO, answer, rule, tier

DAY = 86_400.0


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


@pytest.mark.parametrize(("for_", "every"), [(3 * DAY, 600.0), (21 * DAY, 3600.0), (7 * DAY, 300.0)])
async def test_a_rule_that_must_hold_for_days_is_judged_from_days(for_: float, every: float) -> None:
    looking = Looking(rule(tier(for_=for_), every=every))
    ((start, end, _),) = await looking.run()
    assert start == pytest.approx(looking.rooms.time.at - for_ - 3 * every, abs=every)
    assert (end - start) / every <= MOST_SLOTS
    assert looking.states() == {State.FIRING}


async def test_a_rule_that_must_hold_for_longer_than_its_slots_allow_is_judged_from_as_many() -> None:
    looking = Looking(rule(tier(for_=14 * DAY)))
    ((start, _, _),) = await looking.run()
    assert start == pytest.approx(looking.rooms.time.at - MOST_SLOTS * 60, abs=60)
    assert looking.states() == {State.PENDING}


def gated(source: str) -> Rule:
    return rule(tier(for_=600.0), only_if=OnlyIf(Query(source, '{"gate":1}'), Limit(Op.ABOVE, 50.0)))


@pytest.mark.parametrize(("gate", "states"), [(HI, {State.FIRING}), (LO, set()), (None, set())])
@pytest.mark.parametrize("source", ["prometheus", "redis"])
async def test_the_past_of_only_if_counts_as_its_present_does(
    source: str, gate: float | None, states: set[State]
) -> None:
    looking = Looking(gated(source))
    other = looking.archive if source == "prometheus" else Archive()
    looking.rooms.equipment.sources._open["redis"] = Held(None, other)
    other.gate = gate
    await looking.run()
    assert looking.states() == states
    asked = looking.archive.asked if other is looking.archive else [*looking.archive.asked, *other.asked]
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert bool(looking.rooms.ledger.world.judged) is (gate is not None), "with half of the answers nothing is known"


async def test_what_only_if_asked_and_nobody_kept_leaves_the_gap_unknown() -> None:
    looking = Looking(gated("redis"))
    other = Archive()
    other.keeps = False
    looking.rooms.equipment.sources._open["redis"] = Held(None, other)
    await looking.run()
    assert other.asked
    assert not looking.rooms.ledger.world.judged


async def test_the_past_is_judged_with_what_was_kept_before_it() -> None:
    climbs = Trend(Way.RISING, 0.5, share=True, over=3600.0)
    looking = Looking(rule(Tier(Severity.P1, None, 600.0, trend=climbs)))
    looking.archive.at = lambda at: answer((at - looking.rooms.time.at) / 60 + 1000)
    await looking.run()
    assert looking.states() == set(), "a thousand and sixty are no half more than a thousand"
    looking = Looking(rule(Tier(Severity.P1, None, 600.0, trend=climbs)))
    looking.archive.at = lambda at: answer((at - looking.rooms.time.at) / 60 + 120)
    await looking.run()
    assert looking.states() == {State.FIRING}
