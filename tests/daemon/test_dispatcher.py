"""Claim, send, settle: in which order, how many at once, and what is known of each request whatever happens to it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from evaluator.daemon.clock import Clock
from evaluator.daemon.dispatcher import Dispatcher
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes
from evaluator.incidents.deliveries import Accepted, Action, Delivery, DeliveryState, Refused, RetryLater
from tests.daemon.inside import FULL, Rooms, a_row, soon


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


@asynccontextmanager
async def dispatching(rooms: Rooms) -> AsyncIterator[Dispatcher]:
    """Let a dispatcher work until the end of the block."""
    dispatcher = Dispatcher(rooms.equipment, rooms.ledger, rooms.clock, rooms.metrics)
    working = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await dispatcher.drain(0.0)


async def test_resolves_go_first_and_then_the_worst_one_after_the_other(rooms: Rooms) -> None:
    await rooms.outbox(
        a_row("low", severity=Severity.P3),
        a_row("high", severity=Severity.P0),
        a_row("middle", severity=Severity.P1),
        a_row("end", action=Action.RESOLVE, severity=Severity.P3),
    )
    async with dispatching(rooms):
        await soon(lambda: len(rooms.said()) == 4)
    assert rooms.said() == [("resolve", "end"), ("trigger", "high"), ("trigger", "middle"), ("trigger", "low")]


async def test_lanes_do_not_wait_for_each_other(rooms: Rooms) -> None:
    rooms.notifier.gate.clear()
    await rooms.outbox(a_row("a"), a_row("b"), a_row("c", routing_key="other"), a_row("d", notifier="console"))
    async with dispatching(rooms):
        await soon(lambda: len(rooms.said()) == 3)
        assert {row for _, row in rooms.said()} == {"a", "c", "d"}
        rooms.notifier.gate.set()
        await soon(lambda: len(rooms.said()) == 4)


async def test_a_claim_is_written_before_anything_is_sent(rooms: Rooms) -> None:
    rooms.notifier.gate.clear()
    await rooms.outbox(a_row("a"))
    async with dispatching(rooms):
        await soon(lambda: rooms.notifier.sent)
        assert rooms.store.written("a").claimed
        assert rooms.row("a").claimed
        rooms.notifier.gate.set()
        await soon(lambda: rooms.store.written("a").accepted == 1)
    assert (rooms.store.written("a").claimed, rooms.store.written("a").told) == (False, True)


async def test_nothing_is_sent_that_is_not_written(rooms: Rooms) -> None:
    rooms.store.failing = FULL
    await rooms.outbox(a_row("a"))
    async with dispatching(rooms):
        await asyncio.sleep(0.5)
        assert not rooms.notifier.sent
        rooms.store.failing = None
        await rooms.ledger.flush()
        await soon(lambda: rooms.notifier.sent)


async def test_a_claim_that_cannot_be_written_is_taken_back(rooms: Rooms) -> None:
    await rooms.outbox(a_row("a"))
    rooms.store.failing = FULL
    async with dispatching(rooms):
        await soon(lambda: rooms.ledger.failing_since)
        await soon(lambda: not rooms.row("a").claimed)
        assert not rooms.notifier.sent
        rooms.store.failing = None
        await rooms.ledger.flush()
        rooms.time.at += 2
        await soon(lambda: rooms.notifier.sent)
        await soon(lambda: rooms.row("a").accepted)
    assert rooms.said() == [("trigger", "a")]


async def test_an_incident_that_ends_while_its_trigger_is_being_claimed_is_not_sent(rooms: Rooms) -> None:
    await rooms.outbox(a_row("a"))
    superseded = a_row("a", state=DeliveryState.DROPPED, claimed=True)
    loop = asyncio.get_running_loop()

    def supersede() -> None:
        rooms.store.before = bool
        asyncio.run_coroutine_threadsafe(_put(rooms, superseded), loop).result(5)

    rooms.store.before = supersede
    async with dispatching(rooms):
        await soon(lambda: rooms.store.written("a").state is DeliveryState.DROPPED)
        await soon(lambda: not rooms.store.written("a").claimed)
    assert not rooms.notifier.sent


async def _put(rooms: Rooms, row: Delivery) -> None:
    rooms.ledger.take(Changes(deliveries={row.id: row}))


async def test_a_resolve_waits_for_its_trigger(rooms: Rooms) -> None:
    rooms.notifier.outcomes = [RetryLater("server_error", "503"), Accepted(queued=True)]
    rooms.notifier.gate.clear()
    await rooms.outbox(a_row("trigger", "one"), a_row("resolve", "one", Action.RESOLVE, seq=2))
    async with dispatching(rooms):
        rooms.notifier.gate.set()
        await soon(lambda: rooms.row("trigger").attempts == 1)
        await asyncio.sleep(0.3)
        assert rooms.said() == [("trigger", "trigger")]
        rooms.time.at += 5
        await soon(lambda: len(rooms.said()) == 3)
    assert rooms.said() == [("trigger", "trigger"), ("trigger", "trigger"), ("resolve", "resolve")]


async def test_a_receiver_that_is_overrun_gets_a_rest_and_others_do_not_wait(rooms: Rooms) -> None:
    rooms.notifier.outcomes = [RetryLater("rate_limited", "429", after=30.0, arrived=False)]
    await rooms.outbox(a_row("a", severity=Severity.P0))
    async with dispatching(rooms):
        await soon(lambda: rooms.row("a").attempts == 1)
        await rooms.outbox(a_row("same-key"), a_row("another-key", routing_key="other"))
        await soon(lambda: len(rooms.said()) == 2)
        await asyncio.sleep(0.3)
        assert rooms.said() == [("trigger", "a"), ("trigger", "another-key")]
        rooms.time.at += 31
        await soon(lambda: len(rooms.said()) == 4)
    assert rooms.said()[2:] == [("trigger", "a"), ("trigger", "same-key")]


async def test_our_own_mistake_is_counted_and_tried_again(rooms: Rooms) -> None:
    rooms.notifier.outcomes = [RuntimeError("a mistake")]
    await rooms.outbox(a_row("a"))
    async with dispatching(rooms):
        await soon(lambda: rooms.row("a").attempts == 1)
        assert rooms.counted("errors_total", where="delivery") == 1
        rooms.time.at += 2
        await soon(lambda: rooms.row("a").accepted == 1)
    labels = {"notifier": "pagerduty", "action": "trigger"}
    assert rooms.counted("deliveries_total", outcome="retry_internal", **labels) == 1
    assert rooms.counted("deliveries_total", outcome="accepted", **labels) == 1


async def test_a_notifier_that_never_ends_is_cut_off(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.daemon.dispatcher.SEND_LIMIT", 0.1)
    rooms.notifier.gate.clear()
    await rooms.outbox(a_row("a"))
    async with dispatching(rooms):
        await soon(lambda: rooms.row("a").attempts == 1)
    assert (rooms.row("a").told, rooms.row("a").state) == (True, DeliveryState.PENDING)


async def test_a_notifier_that_is_no_longer_declared_refuses(rooms: Rooms) -> None:
    rooms.notifiers("console")
    await rooms.outbox(a_row("a"))
    async with dispatching(rooms):
        await soon(lambda: rooms.row("a").state is DeliveryState.REFUSED)
        # The fallback, who is still there, hears of it.
        await soon(rooms.said)
    assert [sent.action for sent in rooms.notifier.sent] == [Action.NOTICE]
    assert "no notifier" in rooms.row("a").error


async def test_a_refused_row_is_tried_again_after_ten_minutes(rooms: Rooms) -> None:
    rooms.notifier.outcomes = [Refused("bad_request", "no")]
    await rooms.outbox(a_row("a"))
    async with dispatching(rooms):
        await soon(lambda: rooms.row("a").state is DeliveryState.REFUSED)
        await soon(lambda: len(rooms.said()) == 2)
        rooms.time.at += 601
        await soon(lambda: rooms.row("a").accepted == 1)
    assert rooms.row("a").state is DeliveryState.PENDING


async def test_draining_sends_what_was_never_tried_and_nothing_else(rooms: Rooms) -> None:
    await rooms.outbox(
        a_row("new"),
        a_row("tried", attempts=3),
        a_row("repeat", accepted=1, told=True),
        a_row("later", due_at=rooms.time.at + 60),
    )
    dispatcher = Dispatcher(rooms.equipment, rooms.ledger, rooms.clock, rooms.metrics)
    await dispatcher.drain(rooms.clock.monotonic() + 5)
    assert rooms.said() == [("trigger", "new")]


async def test_draining_ends_at_its_deadline_and_the_request_counts_as_told(rooms: Rooms) -> None:
    rooms.notifier.gate.clear()
    await rooms.outbox(a_row("a"), a_row("b"))
    dispatcher = Dispatcher(rooms.equipment, rooms.ledger, Clock(rooms.time), rooms.metrics)
    await asyncio.wait_for(dispatcher.drain(time.monotonic() + 0.3), 10)
    assert rooms.said() == [("trigger", "a")]
    assert rooms.store.written("a").claimed, "at the next start it may have arrived"
    assert rooms.row("b").state is DeliveryState.PENDING
