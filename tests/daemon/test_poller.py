"""One job for each (source, interval), as the rules in force need them; late, missed and stuck ones are known."""

import asyncio
from collections.abc import Callable

import pytest

from evaluator.daemon.poller import Poller
from evaluator.engine.rules import Mode, Query, Rule, RuleSet
from tests.daemon.inside import soon
from tests.daemon.looking import Looking
from tests.stories import rule


class Polling:
    """A poller with what it works on; its scheduler starts nothing unless the test starts it."""

    def __init__(self, *rules: Rule) -> None:
        """Have these rules in force."""
        self.looking = Looking(*rules)
        self.rooms = self.looking.rooms
        self.poller = Poller(self.rooms.equipment, self.looking.cycles, self.rooms.clock, self.rooms.metrics)
        self.poller.sync()

    def edit(self, *rules: Rule) -> None:
        """Have these rules in force instead."""
        self.rooms.equipment.rules = RuleSet({each.name: each for each in rules})
        self.poller.sync()

    def scheduled(self) -> set[str]:
        """Return the ids of the scheduler's jobs."""
        return {job.id for job in self.poller._scheduler.get_jobs()}

    def missed(self) -> float:
        """Return how many slots were missed."""
        return self.rooms.counted("missed_slots_total", source="prometheus")

    async def due(self, after: float = 0.0, every: float = 60.0) -> None:
        """Let the timer of a job go off, after so many seconds."""
        self.rooms.time.at += after
        await self.poller._due(("prometheus", every))


def test_there_is_a_job_for_each_source_and_interval_that_is_needed() -> None:
    other = Query("redis", "{}")
    polling = Polling(
        rule(),
        rule(name="same"),
        rule(name="fast", every=1.0),
        rule(name="else", query=other),
        rule(name="off", every=5.0, mode=Mode.OFF),
        rule(name="shadow", every=2.0, mode=Mode.SHADOW),
    )
    wanted = {"prometheus/60", "prometheus/1", "prometheus/2", "redis/60"}
    assert polling.scheduled() == wanted
    kept = polling.poller._jobs["prometheus", 60.0]
    polling.edit(rule(), rule(name="slow", every=3600.0))
    assert polling.scheduled() == {"prometheus/60", "prometheus/3600"}
    assert polling.poller._jobs["prometheus", 60.0] is kept, "its slots go on"
    polling.edit()
    assert polling.scheduled() == set()


async def test_a_slot_is_taken_once_and_what_was_missed_is_counted() -> None:
    polling = Polling(rule())
    await polling.due()
    (first,) = [job.committed for job in polling.poller._jobs.values()]
    assert first is not None
    await polling.due()
    assert polling.rooms.counted("rule_evaluations_total", rule="cpu") == 1
    await polling.due(after=60.0)
    assert polling.missed() == 0
    await polling.due(after=240.0)
    assert polling.missed() == 3
    assert polling.rooms.counted("rule_evaluations_total", rule="cpu") == 3, "missed slots are not judged as if now"
    assert [job.committed for job in polling.poller._jobs.values()] == [first + 300]


async def test_a_job_that_a_reload_took_away_does_nothing() -> None:
    polling = Polling(rule())
    polling.edit()
    await polling.due()
    assert polling.rooms.counted("rule_evaluations_total", rule="cpu") == 0


async def test_what_is_late_is_said_and_a_fresh_start_is_not_late() -> None:
    polling = Polling(rule())
    assert (polling.poller.overdue(), polling.poller.committed()) == ([], False)
    await polling.due()
    assert polling.poller.committed()
    polling.rooms.time.at += 60
    assert polling.poller.overdue() == []
    polling.rooms.time.at += 200
    assert polling.poller.overdue()[0].startswith("source prometheus has not been judged for ")


async def test_an_uncommitted_cycle_is_none() -> None:
    polling = Polling(rule())
    polling.rooms.store.failing = ValueError("a mistake")
    await polling.due()
    assert not polling.poller.committed()


async def test_without_rules_nothing_is_awaited() -> None:
    polling = Polling()
    assert (polling.poller.committed(), polling.poller.overdue(), polling.poller.stuck()) == (True, [], "")


async def test_a_source_that_is_slow_is_not_a_scheduler_that_is_stuck() -> None:
    polling = Polling(rule())
    await polling.due()
    polling.rooms.time.at += 600
    assert polling.poller.stuck() != ""
    (job,) = polling.poller._jobs.values()
    job.task = asyncio.create_task(asyncio.sleep(0))
    assert polling.poller.stuck() == ""
    await job.task


async def test_stopping_cancels_what_is_still_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    polling = Polling(rule(every=1.0))
    asking, forever = asyncio.Event(), asyncio.Event()

    async def poll(*_: object) -> None:
        asking.set()
        await forever.wait()

    monkeypatch.setattr(polling.looking.archive, "poll", poll)
    polling.poller.start()
    await soon(asking.is_set)
    await asyncio.wait_for(polling.poller.stop(), 10)
    assert polling.rooms.counted("rule_evaluations_total", rule="cpu") == 0


@pytest.mark.parametrize("breaks", [lambda: 1 / 0, list])
async def test_a_source_that_breaks_its_promise_is_a_failed_poll(
    breaks: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    polling = Polling(rule())

    async def poll(*_: object) -> object:
        return breaks()

    monkeypatch.setattr(polling.looking.archive, "poll", poll)
    await polling.due()
    failures = polling.rooms.counted("rule_evaluation_failures_total", rule="cpu", reason="internal")
    assert failures == 1
    assert polling.rooms.counted("source_up", source="prometheus") == 0
