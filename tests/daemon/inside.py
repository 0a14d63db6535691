"""The daemon in the test's own process, so that a test holds its clocks; and rooms of it, to be looked at one by one.

This module makes them. It never knows what a test expects.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Self, TypeVar

import pytest

from evaluator.config.load import Loaded
from evaluator.config.settings import Settings
from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment, Held, Prepared
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.run import Daemon
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes
from evaluator.incidents.deliveries import Accepted, Action, Delivery, Outcome
from evaluator.incidents.world import World
from evaluator.notifiers.notifier import Notifier
from evaluator.store.errors import CommitFailed, Reason
from evaluator.telemetry.metrics import Metrics
from evaluator.testing.deliveries import a_message
from tests.daemon.running import PATIENCE, House
from tests.stories import KEY, PAGERDUTY

_Found = TypeVar("_Found")


class Time:
    """Clocks that a test moves: the real ones, and what it adds to the one on the wall."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Show the real time, to the daemon's scheduler too."""
        self.wall_ahead = 0.0
        wall = self.wall

        class Shown(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return cls.fromtimestamp(wall(), tz)

        monkeypatch.setattr("apscheduler.schedulers.base.datetime", Shown)

    def wall(self) -> float:
        """Return what the clock on the wall shows."""
        return time.time() + self.wall_ahead

    def clock(self) -> Clock:
        """Return the daemon's clock on this time."""
        return Clock(self.wall, time.monotonic)


@asynccontextmanager
async def daemon_of(house: House, clock: Clock | None = None) -> AsyncIterator[Daemon]:
    """Run a daemon on this installation until the end of the block."""
    daemon = Daemon(house.folder / "evaluator.toml", {}, clock)
    await daemon.start()
    running = asyncio.create_task(daemon.run())
    try:
        yield daemon
    finally:
        daemon.end()
        await running
        await daemon.stop()


async def soon(condition: Callable[[], _Found], seconds: float = PATIENCE) -> _Found:
    """Return what the condition returns, once that is true; after so many seconds the test has failed."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"it did not come true within {seconds:g} s"
        await asyncio.sleep(0.01)


class Ticking:
    """A time that only the test moves, wall and monotonic clock at once."""

    def __init__(self, at: float = 1_790_000_000.0) -> None:
        """Begin at this time."""
        self.at = at

    def __call__(self) -> float:
        """Return the time."""
        return self.at


class Writing:
    """A store that takes commits, and does with them what the test says: all that a ledger knows of a store."""

    def __init__(self) -> None:
        """Take everything."""
        self.commits: list[Changes] = []
        self.failing: CommitFailed | Exception | None = None
        self.before: Callable[[], object] = bool

    def commit(self, changes: Changes) -> None:
        """Take a commit, or fail as told; it runs in a thread, so it may wait."""
        self.before()
        if self.failing is not None:
            raise self.failing
        kept = Changes()
        kept.add(changes)
        self.commits.append(kept)

    def written(self, row: str) -> Delivery:
        """Return a delivery as it was committed last."""
        return [commit.deliveries[row] for commit in self.commits if row in commit.deliveries][-1]


FULL = CommitFailed(Reason.DISK_FULL, "the store cannot be written: no room is left")


@dataclass
class Scripted:
    """A notifier whose outcomes a test writes down: the next ones, and then `Accepted`."""

    outcomes: list[Outcome | Exception] = field(default_factory=list)
    sent: list[Delivery] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Attempts wait until it is set."""
    under_way: set[tuple[str, str]] = field(default_factory=set)
    """(notifier, routing key) of the attempts that wait."""

    def __post_init__(self) -> None:
        """Let everything through."""
        self.gate.set()

    async def open(self) -> None:
        """Need nothing."""

    async def close(self) -> None:
        """Give nothing back."""

    async def send(self, delivery: Delivery, now: float) -> Outcome:
        """Take an attempt."""
        lane = delivery.notifier, delivery.routing_key
        assert lane not in self.under_way, "a lane has one request under way at a time"
        self.under_way.add(lane)
        self.sent.append(delivery)
        try:
            await self.gate.wait()
        finally:
            self.under_way.discard(lane)
        outcome = self.outcomes.pop(0) if self.outcomes else Accepted()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Rooms:
    """Equipment, ledger, metrics and a clock, with a scripted notifier `pagerduty` and a store that the test rules."""

    def __init__(self) -> None:
        """Make them, empty."""
        self.time = Ticking()
        self.clock = Clock(self.time, self.time)
        self.metrics = Metrics("test")
        self.store = Writing()
        self.settings = Settings(instance="test")
        self.equipment = Equipment(Loaded(self.settings, routes=PAGERDUTY), self.settings, self.metrics)
        self.ledger = Ledger(World(), self.store, self.clock, self.metrics)
        self.notifier = Scripted()
        self.notifiers("pagerduty", "console")

    def notifiers(self, *names: str) -> None:
        """Let the scripted notifier be these."""
        adapter: Notifier = self.notifier
        self.equipment.notifiers.swap(Prepared({name: Held(None, adapter) for name in names}))

    async def outbox(self, *rows: Delivery) -> None:
        """Write these rows."""
        self.ledger.take(Changes(deliveries={row.id: row for row in rows}))
        await self.ledger.flush()

    def row(self, row: str) -> Delivery:
        """Return a row as it is in memory."""
        return self.ledger.world.deliveries[row]

    def said(self) -> list[tuple[str, str]]:
        """Return what was attempted, in order: action and row."""
        return [(sent.action.value, sent.id) for sent in self.notifier.sent]

    def counted(self, name: str, **labels: str) -> float:
        """Return a metric's value."""
        return self.metrics.registry.get_sample_value(f"evaluator_{name}", labels) or 0.0


def a_row(row: str, incident: str = "", action: Action = Action.TRIGGER, **fields: object) -> Delivery:
    """Return a row of the outbox that is due now, for an incident of its own where none is named."""
    at = Ticking().at
    incident = incident or f"incident-{row}"
    severity = fields.get("severity", Severity.P1)
    made = Delivery(
        id=row,
        seq=1,
        incident=incident,
        notifier="pagerduty",
        service="web",
        severity=Severity.P1,
        action=action,
        dedup_key=f"evaluator/test/{incident}/{severity}",
        message=a_message(incident=incident),
        created_at=at,
        due_at=at,
        routing_key=KEY,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def ids(rows: Iterable[Delivery]) -> list[str]:
    """Return the rows' ids."""
    return [row.id for row in rows]
