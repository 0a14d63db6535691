"""The main job, end to end: a value of a real system becomes an incident at PagerDuty, and its end."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis

from evaluator.testing.pagerduty import PagerDuty
from tests.daemon.metrics import Metrics
from tests.daemon.running import KEY, House, rule, settings, until
from tests.store.conftest import fresh_database

QUEUE = """
[rule.queue-long]
source  = "redis"
service = "shop"
query   = { measure = "queue_depth", queue = "celery" }
unit    = "count"
P1      = { above = 8, for = "1s" }
P3      = { above = 100_000 }
recover = { below = 3 }
summary = "{value} tasks wait in {queue}"
runbook = "https://runbooks.example.com/queue"
"""


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        yield client


def redis_settings(pagerduty: PagerDuty, url: str) -> str:
    return settings(pagerduty.url, "", sources=f'[sources.redis]\ntype = "redis"\nurl = "{url}"')


def test_a_queue_that_fills_pages_and_resolves_when_it_drains(
    house: House, pagerduty: PagerDuty, redis_url: str, broker: redis.Redis
) -> None:
    house.settle(redis_settings(pagerduty, redis_url))
    house.rule(QUEUE)
    daemon = house.run(fork=False)
    # Celery keeps a list for each priority beside the queue's own.
    broker.rpush("celery", *range(5))
    broker.rpush("celery\x06\x163", *range(6))
    (found,) = until(pagerduty.open_incidents)
    assert re.fullmatch(r"evaluator/test/[0-9A-HJKMNP-TV-Z]{26}/P1", found.dedup_key)
    assert (found.routing_key, found.severity, found.summary) == (KEY, "error", "11 tasks wait in celery")
    payload = found.payload["payload"]
    assert (payload["group"], payload["class"], payload["source"]) == ("shop", "queue-long", "queue=celery")
    details = payload["custom_details"]
    assert (details["value"], details["limit"], details["rule_at"]) == ("11", "above 8", "rules/shop.toml:2")
    assert details["why"].startswith("queue=celery: 11 is above 8, and has been for 1s")
    assert found.payload["links"][0]["href"] == "https://runbooks.example.com/queue"
    broker.ltrim("celery\x06\x163", 0, 0)
    until(lambda: [each["value_text"] for each in daemon.status()["incidents"]] == ["6"])
    assert len(pagerduty.open_incidents()) == 1, "6 is below the limit, but not below that of its recovery"
    broker.delete("celery", "celery\x06\x163")
    until(lambda: not found.open)
    assert [action for _, action in found.log if action != "trigger"] == ["resolve by event"]
    assert pagerduty.account.pages == 1
    assert daemon.stop() < 10
    assert "Traceback" not in daemon.output


def test_a_busy_loop_opens_the_processor_rule_and_its_end_closes_it(house: House, pagerduty: PagerDuty) -> None:
    # The processor's share of the whole machine, where other tests run too, can only be made to rise: the rule opens
    # for sure, and closes with a limit that is edited once the loop is over.
    house.settle(settings(pagerduty.url, "", sources='[sources.host]\ntype = "host"'))
    busy_rule = """
[rule.cpu-high]
source   = "host"
service  = "shop"
severity = "P1"
query    = { measure = "cpu" }
unit     = "percent"
above    = LIMIT
for      = "2s"
summary  = "CPU at {value}"
"""
    house.rule(busy_rule.replace("LIMIT", "30"))
    house.run()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as loop:
        try:
            (found,) = until(pagerduty.open_incidents)
        finally:
            loop.kill()
    assert re.match(r"CPU at [\d.]+ ?%", found.summary)
    house.rule(busy_rule.replace("LIMIT", "100"))
    until(lambda: not found.open)
    assert pagerduty.account.pages == 1


def test_the_whole_story_with_postgresql_and_a_restart(
    house: House, pagerduty: PagerDuty, metrics: Metrics, postgres_url: str
) -> None:
    with fresh_database(postgres_url) as url:
        house.settle(settings(pagerduty.url, metrics.url, store=f'[store]\nurl = "{url}"'))
        house.rule(rule("errors", for_='"1s"'))
        first = house.run()
        metrics["errors"] = 20.0
        (found,) = until(pagerduty.open_incidents)
        assert first.stop() < 10
        assert found.open, "the end of the daemon is not the end of the incident"
        metrics["errors"] = 1.0
        second = house.run()
        until(lambda: not found.open)
        shown = json.loads(second.get("/api/v1/incidents?state=resolved")[1])["data"]
        assert str(found.dedup_key.split("/")[2]) in json.dumps(shown)
        second.stop()
        house.close()
    assert pagerduty.account.pages == 1


def test_severities_map_to_pagerdutys_words(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule("".join(rule(f"errors-{each}", severity=f'"{each}"') for each in ("P0", "P1", "P2", "P3")))
    for each in ("P0", "P1", "P2", "P3"):
        metrics[f"errors-{each}"] = 11.0
    house.run()
    until(lambda: len(pagerduty.open_incidents()) == 4)
    said = {found.dedup_key.rsplit("/", 1)[1]: found.severity for found in pagerduty.incidents()}
    assert said == {"P0": "critical", "P1": "error", "P2": "warning", "P3": "info"}


def test_what_is_due_is_still_sent_after_sigterm(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    daemon = house.run()
    until(lambda: daemon.metric("rule_evaluations_total", rule="errors") >= 1)
    with pagerduty.server.lock:
        # Until the signal is on its way nobody hears anything.
        metrics["errors"] = 20.0
        until(lambda: daemon.said("incident", what="opened"))
        begin = time.monotonic()
        daemon.signal(signal.SIGTERM)
        until(lambda: daemon.said("draining"))
    assert daemon.ended() == 0
    assert time.monotonic() - begin < 10
    assert [found.open for found in pagerduty.incidents()] == [True]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_labels_that_nobody_expects_open_and_close_like_any_other(
    house: House, pagerduty: PagerDuty, metrics: Metrics, request: pytest.FixtureRequest, store: str
) -> None:
    awkward = ("nul\x00", "x" * 5000, "\u202e\U0001f525", "{value} [bold]", "<script>")
    with ExitStack() as stack:
        if store == "postgres":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_url")))
            house.settle(settings(pagerduty.url, metrics.url, store=f'[store]\nurl = "{url}"'))
        stack.callback(house.close)
        house.rule(rule("errors", summary='"{host}: {value}"'))
        metrics["errors"] = dict.fromkeys(awkward, 20.0)
        first = house.run()
        until(lambda: len(pagerduty.open_incidents()) == len(awkward))
        first.stop()
        metrics["errors"] = dict.fromkeys(awkward, 0.0)
        second = house.run()
        until(lambda: not pagerduty.open_incidents())
        assert second.get("/")[0] == second.get("/api/v1/alerts")[0] == 200
        assert pagerduty.account.pages == len(awkward)
        assert "Traceback" not in first.output + second.output
