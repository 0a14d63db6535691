"""kill -9 at any moment: after the restart the same incidents open and close, exactly once for each key."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from evaluator.store.store import open_store
from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.weather import answer, reset
from tests.daemon.running import House, settings, until

QUEUE = """
[rule.queue-long]
source   = "redis"
service  = "shop"
query    = { measure = "queue_depth", queue = ["fast", "slow"] }
P1       = { above = 20 }
P2       = { above = 5 }
flapping = false
"""
KILLS = 15


@contextmanager
def filling_and_draining(broker: redis.Redis, chance: random.Random) -> Iterator[None]:
    """Let two queues grow and shrink, each at its own pace, until the end; then they are empty."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(chance.uniform(0.2, 0.8)):
            queue = chance.choice(["fast", "slow"])
            broker.delete(queue)
            broker.rpush(queue, *range(chance.choice([1, 1, 10, 30])))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()
        broker.delete("fast", "slow")


@pytest.mark.parametrize("weather", ["fine", "rough"])
def test_kill_9_at_any_moment_opens_and_closes_each_key_once(
    house: House, pagerduty: PagerDuty, redis_url: str, weather: str
) -> None:
    chance = random.Random(f"2024 {weather}")
    house.settle(settings(pagerduty.url, "", sources=f'[sources.redis]\ntype = "redis"\nurl = "{redis_url}"'))
    house.rule(QUEUE)
    if weather == "rough":
        kinds = [None, None, reset(), reset(take=True), answer(500), answer(503, take=True)]
        pagerduty.server.forecast(*(chance.choice(kinds) for _ in range(40)))
    with redis.Redis.from_url(redis_url) as broker:
        broker.flushdb()
        with filling_and_draining(broker, chance):
            for number in range(KILLS):
                daemon = house.start()
                if number % 3:
                    daemon.started()
                # From the first statement to a few slots later.
                time.sleep(chance.uniform(0.0, 2.0 if number % 3 else 0.4))
                daemon.kill()
                assert "Traceback" not in daemon.output
    daemon = house.run()
    until(lambda: daemon.metric("rule_evaluations_total") >= 1)
    until(lambda: not daemon.status()["incidents"] and not daemon.metric("deliveries_pending"))
    until(lambda: not pagerduty.open_incidents())
    daemon.stop()
    opened = Counter(found.dedup_key for found in pagerduty.incidents())
    assert opened
    assert set(opened.values()) == {1}, "a key was opened twice"
    told = {key.split("/")[2] for key in opened}
    with open_store(house.store_url) as store:
        kept = {incident.id: incident for incident in store.incidents(1000)}
        assert told <= kept.keys(), "nothing is sent that was not written first"
        for incident in kept.values():
            timeline = store.incident(incident.id)
            assert timeline is not None
            kinds_of_events = [event.kind.value for event in timeline[1]]
            assert kinds_of_events.count("opened") == 1
            assert kinds_of_events.count("resolved") == 1
            assert not incident.open
