"""The dead man's switch hears us only while what it is told is true."""

from collections.abc import Iterator

import pytest

from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.weather import Reply, answer
from evaluator.testing.wire import WireServer
from tests.daemon.inside import Time, daemon_of, soon
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, rule, settings, until


@pytest.fixture
def switch() -> Iterator[WireServer]:
    with WireServer(lambda _heard: Reply(200)) as server:
        yield server


@pytest.fixture
def house_with_switch(house: House, pagerduty: PagerDuty, metrics: Metrics, switch: WireServer) -> House:
    more = f'[heartbeat]\nurl = "{switch.url}/s3cret-of-the-switch"\nevery = "1s"'
    house.settle(settings(pagerduty.url, metrics.url, more=more))
    return house


def test_it_beats_only_after_a_committed_cycle(house_with_switch: House, switch: WireServer) -> None:
    house = house_with_switch
    house.rule(rule("errors", every='"1d"'))
    daemon = house.run()
    until(lambda: daemon.metric("heartbeats_total", outcome="withheld") >= 2)
    assert daemon.said("heartbeat withheld", because="no cycle has been committed yet")
    assert not switch.log
    house.rule(rule("errors"))
    until(lambda: daemon.metric("heartbeats_total", outcome="sent") >= 2)
    assert len(switch.log) >= 2
    assert switch.log[0].path == "/s3cret-of-the-switch"
    switch.always = answer(500)
    until(lambda: daemon.said("heartbeat failed", error="HTTP 500"))
    switch.stop()
    until(lambda: daemon.said("heartbeat failed", error="ConnectError"))
    assert "s3cret-of-the-switch" not in daemon.output


async def test_it_is_withheld_while_a_delivery_is_overdue(
    house_with_switch: House,
    switch: WireServer,
    pagerduty: PagerDuty,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house_with_switch.rule(rule("errors"))
    time = Time(monkeypatch)
    async with daemon_of(house_with_switch, time.clock()) as daemon:
        await soon(lambda: switch.log)
        with pagerduty.server.refusing():
            metrics["errors"] = 20.0
            await soon(daemon.ledger.world.open_incidents)
            assert daemon.heartbeat.withheld() == "", "not yet"
            time.wall_ahead += 301.0
            await soon(lambda: daemon.heartbeat.withheld() == "a delivery is overdue by more than 5 minutes")
        await soon(pagerduty.open_incidents)
        await soon(lambda: daemon.heartbeat.withheld() == "")
        before = len(switch.log)
        await soon(lambda: len(switch.log) > before)


async def test_it_is_withheld_while_cycles_are_late(
    house_with_switch: House, switch: WireServer, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    house_with_switch.rule(rule("errors"))
    time = Time(monkeypatch)
    async with daemon_of(house_with_switch, time.clock()) as daemon:
        await soon(lambda: switch.log)
        with metrics.server.lock:
            # A poll is under way, and an hour later by the clock it still is.
            await soon(lambda: any(job.task is not None for job in daemon.poller._jobs.values()))
            time.wall_ahead += 3600.0
            assert "has not been judged for" in daemon.heartbeat.withheld()
            assert daemon.picture.not_ready()
        await soon(lambda: daemon.heartbeat.withheld() == "")
