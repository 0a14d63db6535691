"""The shipped rules that ask Redis: a server killed and started again, and one whose memory is full."""

import os
import signal
import time

import pytest
import redis as redis_py

from evaluator.testing import servers
from tests.rules.shipped import watch


@pytest.mark.parametrize(("rule", "severity"), [("redis-down", "P1"), ("session-store-down", "P2")])
def test_a_server_that_is_killed_opens_and_closes_when_it_is_back(rule: str, severity: str) -> None:
    port = servers.free_port()
    with servers.redis(port=port) as url, watch(rule, url=url, timeout="2s") as watched:
        watched.is_quiet()
        with redis_py.Redis.from_url(url) as client:
            os.kill(client.info("server")["process_id"], signal.SIGKILL)
        while servers.answers(port):
            time.sleep(0.01)
        watched.look_until(watched.rule.tiers[0].limit, within=30)
        incident = watched.opens(severity)
        assert "does not answer" in incident.title
        watched.stays_open_while_blind()
        with servers.redis(port=port):
            watched.closes()


def test_a_server_that_wants_a_password_is_not_down() -> None:
    with servers.redis("--requirepass", "other") as url, watch("redis-down", url=url) as watched:
        watched.look_for(600)
        assert not watched.open


def test_a_full_session_store_that_throws_sessions_away_opens_until_it_no_longer_does() -> None:
    options = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
    with (
        servers.redis(*options) as url,
        redis_py.Redis.from_url(url) as client,
        watch("session-store-evictions", url=url) as watched,
    ):
        watched.is_quiet(1)
        _a_moment()
        watched.is_quiet()
        with client.pipeline(transaction=False) as pipeline:
            for number in range(60):
                pipeline.set(f"session:{number}", "x" * 100_000, ex=86_400)
            pipeline.execute()
        _a_moment()
        incident = watched.opens("P2", repeat=True)
        assert "sessions a minute" in incident.title
        watched.stays_open_while_blind()
        _a_moment()
        watched.closes(repeat=True)
        assert watched.values == [0.0]


def _a_moment() -> None:
    """A rate needs two readings that lie apart; the source takes their time from the server, and not from the slots."""
    time.sleep(0.6)
