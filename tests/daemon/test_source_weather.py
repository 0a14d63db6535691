"""A source that cannot be seen: nothing opens, nothing closes, and everybody can see why."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from evaluator.testing import servers
from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.weather import Weather, answer, hang, reset
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, rule, settings, until

QUEUE = """
[rule.queue-long]
source   = "redis"
service  = "shop"
severity = "P1"
query    = { measure = "queue_depth", queue = "celery" }
above    = 5

[rule.redis-down]
source   = "redis"
service  = "shop"
severity = "P0"
query    = { measure = "up" }
equals   = 0
for      = "1s"
"""
CUT_OFF = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0'


@pytest.mark.parametrize(
    ("weather", "reason"),
    [
        pytest.param(answer(500, b"oops"), "unavailable", id="500"),
        pytest.param(answer(200, b"<html><title>Sign in</title></html>"), "bad_answer", id="HTML"),
        pytest.param(answer(200, CUT_OFF), "bad_answer", id="cut off"),
        pytest.param(answer(200, b'{"status":"success","data":"' + b"x" * 200_000 + b'"}'), "too_big", id="huge"),
        pytest.param(hang(), "timeout", id="hangs"),
        pytest.param(reset(), "reset", id="resets"),
    ],
)
def test_a_prometheus_that_fails_opens_nothing_and_closes_nothing(
    house: House, pagerduty: PagerDuty, metrics: Metrics, weather: Weather, reason: str
) -> None:
    sources = f'[sources.metrics]\ntype = "prometheus"\nurl = "{metrics.url}"\ntimeout = "1s"\nmax_size = "100kB"'
    house.settle(settings(pagerduty.url, metrics.url, sources=sources))
    house.rule(rule("errors") + rule("others", no_data='"breach"'))
    metrics["errors"] = 20.0
    daemon = house.run()
    (found,) = until(pagerduty.open_incidents)
    until(lambda: daemon.metric("source_up", source="metrics") == 1)
    metrics.server.always = weather
    # Whatever would be seen now must not count.
    metrics["errors"], metrics["others"] = 0.0, 20.0
    before = daemon.metric("rule_evaluations_total")
    until(lambda: daemon.metric("poll_failures_total", reason=reason) >= 4)
    assert daemon.metric("source_up", source="metrics") == 0
    assert daemon.metric("rule_evaluations_total") > before
    assert any("metrics" in trouble and "not answer" in trouble for trouble in daemon.status()["troubles"])
    (shown,) = daemon.status()["sources"]
    assert (shown["up"], bool(shown["error"])) == (False, True)
    assert daemon.get("/readyz")[0] == 200, "the daemon is well, it is the source that is not"
    assert found.open
    assert pagerduty.account.pages == 1
    metrics["others"] = 0.0
    metrics.server.always = None
    until(lambda: not found.open)
    assert pagerduty.account.pages == 1
    assert "Traceback" not in daemon.output


@pytest.fixture
def broker() -> Iterator[tuple[str, int]]:
    """A Redis server that a test may freeze: its address and its process."""
    program = servers.binary("redis-server", "redis-server")
    with servers.folder() as home:
        port = servers.free_port()
        arguments = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), "--save", ""]
        with servers.process(arguments, lambda: servers.answers(port), Path(home) / "log") as server:
            yield f"redis://127.0.0.1:{port}/0", server.pid
            os.kill(server.pid, signal.SIGCONT)


def test_a_redis_that_hangs_keeps_its_incidents_and_the_rule_on_up_tells(
    house: House, pagerduty: PagerDuty, broker: tuple[str, int]
) -> None:
    url, pid = broker
    sources = f'[sources.redis]\ntype = "redis"\nurl = "{url}"\ntimeout = "1s"'
    house.settle(settings(pagerduty.url, "", sources=sources))
    house.rule(QUEUE)
    with redis.Redis.from_url(url) as client:
        client.rpush("celery", *range(10))
        daemon = house.run()
        (queue,) = until(pagerduty.open_incidents)
        client.delete("celery")
        client.rpush("celery", *range(10))
        os.kill(pid, signal.SIGSTOP)
        down = until(lambda: pagerduty.open_incidents()[1:])[0]
        assert down.payload["payload"]["class"] == "redis-down"
        assert daemon.metric("poll_failures_total", source="redis", reason="timeout") >= 1
        assert queue.open
        os.kill(pid, signal.SIGCONT)
        until(lambda: not down.open)
        assert queue.open
        client.delete("celery")
        until(lambda: not queue.open)
    assert pagerduty.account.pages == 2


def test_a_prometheus_that_is_gone_is_down_and_comes_back(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors") + rule("gone", equals="0").replace("'gone'", '{ measure = "up" }'))
    metrics["errors"] = 20.0
    daemon = house.run()
    (errors,) = until(pagerduty.open_incidents)
    with metrics.server.refusing():
        gone = until(lambda: pagerduty.open_incidents()[1:])[0]
        assert gone.payload["payload"]["class"] == "gone"
        assert errors.open
        assert daemon.metric("poll_failures_total", source="metrics", reason="refused") >= 1
    until(lambda: not gone.open)
    assert errors.open
