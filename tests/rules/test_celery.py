"""The shipped rules that ask Celery: real workers and a real beat on Redis, killed, flooded, and given broken work."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_py
from celery import Celery

from evaluator.engine.samples import Samples
from evaluator.testing import brokers, servers
from tests.rules.shipped import Watch, watch

APP = """\
import os
from celery import Celery

app = Celery("shop", broker=os.environ["BROKER"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
app.conf.beat_schedule = {"renewals": {"task": "shop.work", "schedule": 0.5, "args": [False]}}


@app.task(name="shop.work")
def work(fails):
    if fails:
        raise ValueError("broken")
"""
QUIET = ("--pool=solo", "--without-gossip")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with servers.redis() as url:
        yield url


@pytest.fixture(autouse=True)
def _empty(broker: str) -> None:
    with redis_py.Redis.from_url(broker) as client:
        client.flushall()


def eventually(watched: Watch, fits: Callable[[float], bool], within: float = 15.0) -> None:
    """Ask, and judge nothing, until the value is as it should be: processes take real time."""
    end = time.monotonic() + within
    while True:
        answer = watched.poll(watched.now)
        if isinstance(answer, Samples) and answer.values and fits(answer.values[0]):
            return
        assert time.monotonic() < end, answer
        time.sleep(0.05)


def work(broker: str, well: int, broken: int = 0) -> None:
    """Send tasks."""
    with Celery("shop", broker=broker) as app:
        for fails in [False] * well + [True] * broken:
            app.send_task("shop.work", args=[fails], ignore_result=True)


def test_the_last_worker_that_is_killed_opens_and_a_new_one_closes(shop: Path, broker: str) -> None:
    # Without heartbeats nothing has to be waited for: they count as life for half a minute.
    with (
        brokers.worker(shop, "shop:app", broker, *QUIET, "--without-heartbeat") as worker,
        watch("workers-down", broker=broker, timeout="3s", reply_timeout="500ms") as watched,
    ):
        watched.is_quiet()
        assert watched.values == [1.0]
        worker.kill()
        eventually(watched, lambda workers: workers == 0)
        incident = watched.opens("P1", repeat=True)
        assert incident.title == "No Celery worker is online"
        watched.stays_open_while_blind()
        with brokers.worker(shop, "shop:app", broker, *QUIET, "--without-heartbeat"):
            eventually(watched, lambda workers: workers == 1)
            watched.closes(repeat=True)


def test_a_broker_that_is_gone_is_not_a_worker_that_is_gone() -> None:
    with watch("workers-down", broker=f"redis://127.0.0.1:{servers.free_port()}/0", timeout="1s") as watched:
        watched.look_for(600)
        assert not watched.incidents


def test_a_queue_that_fills_opens_and_closes_when_it_is_worked_off(broker: str) -> None:
    with redis_py.Redis.from_url(broker) as client, watch("task-queue-long", broker=broker) as watched:
        client.lpush("celery", *[b"{}"] * 1000)
        watched.is_quiet()
        client.lpush("celery", b"{}")
        incident = watched.opens("P2")
        assert incident.title == "1001 tasks wait in celery"
        watched.stays_open_while_blind()
        client.ltrim("celery", 0, 899)
        watched.look_for(1200)
        assert watched.open, "it is not short yet"
        client.delete("celery")
        watched.closes()


def test_tasks_that_fail_open_and_close_when_they_succeed(shop: Path, broker: str) -> None:
    with (
        brokers.worker(shop, "shop:app", broker, *QUIET, "-E"),
        watch("task-failures", broker=broker, timeout="3s", reply_timeout="500ms") as watched,
    ):
        _heard(watched)
        work(broker, 40)
        eventually(watched, lambda ratio: ratio == 0)
        watched.is_quiet()
        work(broker, 0, 10)
        eventually(watched, lambda ratio: ratio == pytest.approx(0.2))
        incident = watched.opens("P2", repeat=True)
        assert incident.title == "20 % of background tasks fail"
        watched.stays_open_while_blind()
        work(broker, 200)
        eventually(watched, lambda ratio: ratio == pytest.approx(10 / 250))
        watched.closes(repeat=True)


def test_a_beat_that_is_killed_opens_and_a_new_one_closes(shop: Path, broker: str) -> None:
    schedule = {"renewals": {"task": "shop.work", "every": "1s", "grace": "3s"}}
    with (
        brokers.worker(shop, "shop:app", broker, *QUIET, "-E"),
        brokers.beat(shop, "shop:app", broker) as beat,
        watch("scheduled-tasks-missed", broker=broker, timeout="3s", schedule=schedule) as watched,
    ):
        eventually(watched, lambda missed: missed == 0)
        watched.is_quiet()
        beat.kill()
        eventually(watched, lambda missed: missed > 0)
        incident = watched.opens("P3", repeat=True)
        assert incident.title.startswith("renewals missed ")
        watched.stays_open_while_blind()
        with brokers.beat(shop, "shop:app", broker):
            eventually(watched, lambda missed: missed == 0)
            watched.closes(repeat=True)


def _heard(watched: Watch, within: float = 10.0) -> None:
    """Return when the source hears events: before that, tasks would end unheard."""
    end = time.monotonic() + within
    while "too few to say" not in str(watched.poll(watched.now)):
        assert time.monotonic() < end, watched.poll(watched.now)
        time.sleep(0.05)
