"""A store that cannot be written: judging goes on, nothing unwritten is sent, people hear of it, nothing is lost."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from evaluator.testing.pagerduty import PagerDuty
from tests.daemon.inside import Time, daemon_of, soon
from tests.daemon.metrics import Metrics
from tests.daemon.running import KEY, House, rule, settings, until
from tests.store.conftest import fresh_database
from tests.store.servers import PostgresServer

QUIET_KEY = "Quiet000Quiet000Quiet000Quiet000"
STORE = "evaluator/test/store"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    server = PostgresServer()
    try:
        server.create()
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):
            server.start()
        server.remove()


def classes(pagerduty: PagerDuty, *, opened: bool) -> list[str]:
    """Return the rules of the incidents that are open, or are not."""
    return [found.payload["payload"]["class"] for found in pagerduty.incidents() if found.open is opened]


def test_a_database_server_that_goes_away_and_comes_back(
    house: House, pagerduty: PagerDuty, metrics: Metrics, server: PostgresServer
) -> None:
    with fresh_database(server.url()) as url:
        more = '[heartbeat]\nurl = "http://127.0.0.1:1/"\nevery = "1s"'
        house.settle(settings(pagerduty.url, metrics.url, store=f'[store]\nurl = "{url}"', more=more))
        house.rule(rule("before") + rule("during") + rule("brief"))
        metrics["before"] = 20.0
        daemon = house.run()
        until(lambda: classes(pagerduty, opened=True) == ["before"])
        server.stop()
        metrics["during"] = metrics["brief"] = 20.0
        until(lambda: len(daemon.said("incident", what="opened")) == 3)
        metrics["brief"] = 0.0
        until(lambda: daemon.said("incident", what="resolved"))
        until(lambda: daemon.get("/readyz")[0] == 503)
        said = daemon.get("/readyz")[1]
        assert "the store cannot be written" in said
        assert "correct-horse" not in said
        assert any("the store cannot be written" in trouble for trouble in daemon.status()["troubles"])
        withheld = daemon.metric("heartbeats_total", outcome="withheld")
        until(lambda: daemon.metric("heartbeats_total", outcome="withheld") > withheld)
        assert classes(pagerduty, opened=True) == ["before"], "nothing is sent that is not written"
        server.start()
        until(lambda: sorted(classes(pagerduty, opened=True)) == ["before", "during"])
        until(lambda: daemon.get("/readyz")[0] == 200)
        metrics["before"] = metrics["during"] = 0.0
        until(lambda: not pagerduty.open_incidents())
        assert pagerduty.account.pages == 2, "what came and went in between is recorded, and told to nobody"
        assert sorted(each["rule"] for each in daemon.status()["resolved"]) == ["before", "brief", "during"]
        daemon.stop()


@contextmanager
def locked(house: House) -> Iterator[sqlite3.Connection]:
    """Hold the store's file as another program may, until the end of the block."""
    with closing(sqlite3.connect(house.folder / "var" / "evaluator.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_after_a_minute_one_p0_tells_whoever_has_something_firing(
    house: House, pagerduty: PagerDuty, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = f'[services.shop]\nrouting_key = "{KEY}"\n[services.quiet]\nrouting_key = "{QUIET_KEY}"'
    house.settle(settings(pagerduty.url, metrics.url, services=services))
    house.rule(rule("before") + rule("during") + rule("calm", service='"quiet"'))
    metrics["before"] = 20.0
    time = Time(monkeypatch)
    async with daemon_of(house, time.clock()) as daemon:
        await soon(lambda: classes(pagerduty, opened=True) == ["before"])
        with locked(house):
            metrics["during"] = 20.0
            await soon(lambda: daemon.ledger.failing_since is not None)
            await soon(lambda: len(daemon.ledger.world.open_incidents()) == 2)
            time.wall_ahead += 61.0
            await soon(lambda: pagerduty.incidents(STORE))
            (told,) = pagerduty.incidents(STORE)
            assert (told.routing_key, told.severity) == (KEY, "critical")
            listed = " ".join(told.payload["payload"]["custom_details"]["series"])
            assert "P1 before: 20 is above 10" in listed
            assert "P1 during: 20 is above 10" in listed
            assert sorted(classes(pagerduty, opened=True)) == ["before", "store"], "nothing unwritten is sent"
        await soon(lambda: not told.open)
        await soon(lambda: sorted(classes(pagerduty, opened=True)) == ["before", "during"])
        assert pagerduty.account.pages == 3
        metrics["before"] = metrics["during"] = 0.0
        await soon(lambda: not pagerduty.open_incidents())


async def test_a_store_emergency_that_a_crash_left_behind_is_resolved_at_the_start(
    house: House, pagerduty: PagerDuty
) -> None:
    house.rule(rule("errors"))
    payload = {"summary": "left behind", "source": "evaluator", "severity": "critical"}
    event = {"routing_key": KEY, "event_action": "trigger", "dedup_key": STORE, "payload": payload}
    pagerduty.account.event(event, 0.0)
    async with daemon_of(house):
        await soon(lambda: not pagerduty.open_incidents())


async def test_a_short_failure_tells_nobody(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    async with daemon_of(house) as daemon:
        await soon(lambda: daemon.ledger.committed_at is not None)
        with locked(house):
            metrics["errors"] = 20.0
            await soon(lambda: daemon.ledger.failing_since is not None)
        await soon(lambda: classes(pagerduty, opened=True) == ["errors"])
        assert daemon.ledger.failing_since is None
        assert pagerduty.account.pages == 1
