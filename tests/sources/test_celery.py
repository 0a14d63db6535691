"""The source `celery` on a Redis broker, with real workers and a real beat, and against bad weather."""

import asyncio
import gc
import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
import redis as redis_py
from pydantic import SecretStr

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources import celery_checkup, celery_events, celery_query, celery_tally
from evaluator.sources.celery import CelerySource
from evaluator.sources.celery_broker import Broker
from evaluator.sources.celery_query import CelerySettings
from evaluator.sources.celery_workers import Crew, Roll
from evaluator.sources.checkup import Checkup, Grade
from evaluator.testing import brokers, servers
from evaluator.testing.peers import nobody
from evaluator.testing.sources import RemoteSourceConformance, build, query
from tests.sources import celery_jobs as jobs
from tests.sources.celery_jobs import Asked, failed, story, values

PASSWORD = "s3cret-celery-password"
WORKERS = {"measure": "workers"}
OF_CELERY = {"measure": "workers", "queue": "celery"}
DEPTH = {"measure": "queue_depth", "queue": "celery"}
RATIO = {"measure": "failure_ratio", "window": "1m", "min_count": 4}


@pytest.fixture
def database(redis_url: str) -> Iterator[str]:
    """A database of the worker's Redis that is empty and no other test's: Celery's broadcasts stay in it."""
    url = redis_url.replace("/0", "/7")
    with redis_py.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return jobs.home(tmp_path)


class TestConformance(RemoteSourceConformance):
    kind = CelerySource
    queries = (
        {"measure": "workers"},
        {"measure": "workers", "queue": ["celery", "emails"]},
        {"measure": "queue_depth", "queue": ["celery", "emails"]},
        {"measure": "oldest_task_age", "queue": "celery"},
        {"measure": "unacked"},
    )
    many = tuple({"measure": "queue_depth", "queue": f"q{number}"} for number in range(100))
    most_requests = 1
    up = MappingProxyType({"measure": "up"})
    secrets = (PASSWORD,)

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"broker": f"redis://monitor:{PASSWORD}@{host}:{port}/0", "reply_timeout": "200ms"}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        with servers.redis("--requirepass", PASSWORD) as url:
            place = urlsplit(url)
            broker = f"redis://:{PASSWORD}@{place.hostname}:{place.port}/0"
            yield {"broker": broker, "reply_timeout": "200ms"}


def test_a_worker_comes_works_and_is_killed(database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_tally, "BEAT", 3.0)

    async def told(ask: Asked) -> None:
        nobody_yet, of_queue = await ask(WORKERS, OF_CELERY)
        assert values(nobody_yet) == values(of_queue) == [0.0]
        await ask.hears()
        with brokers.worker(home, jobs.APP, database, "-c", "1", "-E", "-n", "one@host") as worker:
            with jobs.sender(database) as send:
                for task in ["jobs.ok"] * 3 + ["jobs.bad"] * 2 + ["jobs.again"]:
                    send(task)
            await ask.until(RATIO, lambda answer: isinstance(answer, Samples) and values(answer) == [2 / 6])
            both = await ask(WORKERS, {"measure": "workers", "queue": ["celery", "other"]})
            assert [values(each) for each in both] == [[1.0], [1.0, 0.0]]
            each, few = await ask({**RATIO, "task": ["jobs.ok", "jobs.bad"], "min_count": 2}, {**RATIO, "min_count": 9})
            assert values(each) == [0.0, 1.0]
            # A listener that has heard a part of the window cannot say that few tasks ended in it.
            assert isinstance(few, Samples), few
            assert [math.isnan(value) for value in few.values] == [True]
            assert "too few to say" in few.warnings[0]
            worker.kill()
            start = time.monotonic()
            await ask.until(WORKERS, lambda answer: values(answer) == [0.0])
            # A heartbeat is believed for a while, so that a worker that connects anew is not missed.
            assert 1.0 < time.monotonic() - start < 6.0
            assert values((await ask(OF_CELERY))[0]) == [0.0]

    story(told, database)


def test_a_solo_worker_that_is_busy_is_online_and_one_that_says_goodbye_is_not(
    database: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celery_tally, "BEAT", 0.5)

    async def told(ask: Asked) -> None:
        with brokers.worker(home, jobs.APP, database, *jobs.SOLO, "-n", "solo@host") as worker:
            await ask.until(OF_CELERY, lambda answer: values(answer) == [1.0])
            with jobs.sender(database) as send:
                send("jobs.nap", 4)
                for _ in range(6):
                    send("jobs.ok")
            worker.said("received")
            await asyncio.sleep(1.0)
            silent, of_queue, none, depth, held = await ask(
                WORKERS, OF_CELERY, {"measure": "workers", "queue": "other"}, DEPTH, {"measure": "unacked"}
            )
            assert values(silent) == values(of_queue) == [1.0]
            assert isinstance(silent, Samples)
            assert "connected and silent" in silent.warnings[0]
            assert values(none) == [0.0]
            # What a worker has taken in advance waits nowhere: its prefetch is full.
            assert values(depth)[0] + values(held)[0] == 7.0
            assert values(held)[0] >= 1.0
            await ask.until({"measure": "unacked"}, lambda answer: values(answer) == [0.0])
            worker.process.terminate()
            worker.process.wait(10)
            await ask.until(WORKERS, lambda answer: values(answer) == [0.0], within=3)

    story(told, database)


def test_a_worker_that_is_stuck_is_counted_no_longer_than_patience(database: str) -> None:
    """One that is connected, and never answers: a subscriber of the broadcasts."""

    async def told(ask: Asked) -> list[PollResult]:
        answers = [*await ask(WORKERS, OF_CELERY)]
        await asyncio.sleep(0.6)
        return [*answers, *await ask(WORKERS)]

    with redis_py.Redis.from_url(database) as client, client.pubsub() as stuck:
        stuck.psubscribe("/7.celery.pidbox")
        stuck.get_message(timeout=1)
        counted, of_queue, later = story(told, database, patience="500ms", reply_timeout="200ms")
    assert values(counted) == [1.0]
    # Nobody knows what it consumes, so nobody can say that nothing consumes the queue.
    assert failed(of_queue).reason is FailureReason.UNAVAILABLE
    assert values(later) == [0.0]
    assert isinstance(later, Samples)
    assert "longer than `patience`" in later.warnings[0]


def test_workers_that_never_say_what_they_consume_are_not_said_to_be_missing() -> None:
    """With `worker_enable_remote_control = False` they send heartbeats, and answer nothing."""
    on_redis = Crew(900.0, online=frozenset({"quiet"}), reached=0)
    assert on_redis.count(None, {}, 0.0) == (1, "")
    unknown = on_redis.count("celery", {}, 0.0)
    assert isinstance(unknown, PollFailed)
    assert "worker_enable_remote_control" in unknown.message
    # RabbitMQ knows how many consume the queue, so one that lives does not run out of patience.
    on_rabbitmq = Crew(900.0, online=frozenset({"quiet"}))
    assert [on_rabbitmq.count("celery", {"celery": 1, "x": 0}, at) for at in (0.0, 9999.0)] == [(1, "")] * 2
    assert on_rabbitmq.count("x", {"celery": 1, "x": 0}, 0.0) == (0, "")


def online(crew: Crew, queue: str | None, at: float, **consumers: int) -> int:
    found = crew.count(queue, consumers, at)
    assert not isinstance(found, PollFailed), found
    return found[0]


def test_of_several_busy_solo_workers_each_has_its_own_patience() -> None:
    """Some of them are always silent; when all are, that is no outage as long as each was heard of late."""
    crew = Crew(900.0)
    everybody = {name: frozenset({"celery"}) for name in "abc"}
    crew.muster(Roll(everybody, 3), set(), 0.0)
    for at in range(0, 3600, 60):
        awake = {name: queues for name, queues in everybody.items() if "abc"[at // 600 % 3] != name}
        crew.muster(Roll(awake, 3), set(), float(at))
        assert online(crew, "celery", at) == online(crew, None, at) == 3
    crew.muster(Roll({}, 3), set(), 3700.0)
    assert online(crew, None, 3700) == online(crew, "celery", 3700) == 3
    # On RabbitMQ, which counts consumers.
    crew.muster(Roll({}, None), set(), 3700.0)
    assert online(crew, "celery", 3700, celery=3) == online(crew, None, 3700, celery=3) == 3
    # Nobody is heard for longer than that.
    for now in (4700.0, 9000.0):
        crew.muster(Roll({}, 3), set(), now)
        assert online(crew, None, now) == online(crew, "celery", now) == 0
    # Another one, that took a long task before it ever answered, while those are gone.
    for now, count in ((9050.0, 0), (9100.0, 1), (9900.0, 1), (10100.0, 0)):
        crew.muster(Roll({}, 0 if now < 9100 else 1), set(), now)
        assert online(crew, None, now) == count


def test_the_brokers_tls_files_are_for_redbeat_on_the_same_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, dict[str, object]]] = []

    def client(url: str, **options: object) -> redis_py.Redis:
        made.append((url, options))
        return redis_py.Redis()

    monkeypatch.setattr(redis_py.Redis, "from_url", client)
    broker = Broker(CelerySettings.model_validate({"broker": "rediss://x:6380/0", "ca": "/ca.pem"}))
    for url in ("rediss://user@x:6380/1", "rediss://y:6380/1", "redis://x:6380/1"):
        with broker.redis(SecretStr(url)):
            pass
    assert ["ssl_ca_certs" in options for _, options in made] == [True, False, False]


def test_depth_and_age_are_those_of_all_priorities(database: str) -> None:
    def message(**headers: object) -> str:
        return json.dumps({"body": "W10=", "headers": {"id": "x", **headers}, "properties": {"delivery_tag": "t"}})

    async def told(ask: Asked) -> list[PollResult]:
        age = {"measure": "oldest_task_age", "queue": ["celery", "empty"]}
        with redis_py.Redis.from_url(database) as client:
            client.lpush("app:celery", message(sent_at="2026-01-01T00:00:40+00:00"), "not json")
            client.lpush("app:celery:3", message(sent_at=1767225600 + 10), message(), message())
            client.lpush("app:celery:7", "not one of the steps")
            client.hset("app:unacked", "tag", "x")
            first = await ask(DEPTH, age, {"measure": "unacked"}, now=1767225600 + 100.0)
            await asyncio.sleep(0.3)
            client.rpop("app:celery:3")
            client.rpop("app:celery:3")
            await ask(age)
            await asyncio.sleep(0.3)
            return [*first, *await ask(age)]

    settings = {"global_keyprefix": "app:", "separator": ":", "priority_steps": [0, 3], "sent_at_header": "sent_at"}
    depth, age, held, bound = story(told, database, **settings)
    assert values(depth) == [5.0]
    assert values(age) == [90.0, 0.0]
    assert values(held) == [1.0]
    # Without a time in them: for how long the same message has been the next one.
    assert 0.3 <= values(bound)[0] < time.time() - 1767225600


def test_a_key_of_another_type_spoils_only_its_own_query(database: str) -> None:
    async def told(ask: Asked) -> list[PollResult]:
        with redis_py.Redis.from_url(database) as client:
            client.set("wrong", "text")
        bad = {"measure": "queue_depth", "queue": "wrong"}
        return await ask(bad, {"measure": "oldest_task_age", "queue": "wrong"}, DEPTH, {"measure": "up"})

    bad, age, depth, up = story(told, database)
    assert failed(bad).reason is failed(age).reason is FailureReason.BAD_QUERY
    assert values(depth) == [0.0]
    assert values(up) == [1.0]


def test_workers_that_send_no_task_events_are_known_and_can_be_told_to(database: str, home: Path) -> None:
    every_second = {"tick": {"task": "jobs.ok", "every": "1s", "grace": "1s"}}
    missed = {"measure": "missed_runs"}

    async def blind(ask: Asked) -> None:
        await ask.hears()
        await ask.until(RATIO, lambda answer: "send no task events" in getattr(answer, "message", ""))
        (no_runs,) = await ask(missed)
        assert "send no task events" in failed(no_runs).message
        assert isinstance(ask.source, CelerySource)
        checkups = await ask.source.examine([query(CelerySource, RATIO)], 0.0)
        (events,) = [checkup for checkup in checkups if checkup.subject == "events"]
        assert events.grade is Grade.WRONG
        assert "worker_send_task_events" in events.mend

    async def told(ask: Asked) -> None:
        await ask.until(RATIO, lambda answer: isinstance(answer, Samples) and values(answer) == [0.0])
        await ask.until(missed, lambda answer: isinstance(answer, Samples) and values(answer) == [0.0])
        (last,) = await ask({"measure": "last_run"})
        assert isinstance(last, Samples)
        assert last.labels == [{"name": "tick", "task": "jobs.ok"}]
        assert abs(last.values[0] - time.time()) < 5
        beating.kill()
        await ask.until(missed, lambda answer: isinstance(answer, Samples) and values(answer) == [2.0])

    worker = brokers.worker(home, jobs.APP, database, "-P", "solo", "-n", "quiet@host")
    with worker, brokers.beat(home, jobs.APP, database) as beating:
        story(blind, database, schedule=every_second)
        story(told, database, schedule=every_second, enable_events=True)


def test_a_broker_that_is_killed_and_comes_back_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_events, "_SHORTEST", 0.1)
    monkeypatch.setattr(celery_events, "_LONGEST", 0.1)
    port = nobody()
    url = f"redis://127.0.0.1:{port}/0"

    def held() -> tuple[int, int]:
        # kombu's objects hold each other: their sockets close when that is noticed.
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    async def told(ask: Asked) -> tuple[list[tuple[int, int]], int, list[float]]:
        seen, ups, clients = [], [], 0
        for _ in range(5):
            with servers.redis(port=port):
                await ask.hears()
                (up, count) = await ask({"measure": "up"}, WORKERS)
                assert values(count) == [0.0]
                ups += values(up)
                seen.append(held())
                with redis_py.Redis.from_url(url) as client:
                    clients = max(clients, len(client.client_list()))
            down, workers = await ask({"measure": "up"}, WORKERS)
            ups += values(down)
            # Nobody could be asked, which is not the same as nobody.
            assert failed(workers).reason is FailureReason.REFUSED
        return seen, clients, ups

    seen, clients, ups = story(told, url, reply_timeout="100ms")
    assert ups == [1.0, 0.0] * 5
    # How many sockets are open just then differs by one or so; what leaks adds up.
    assert min(seen[-2:]) <= max(seen[:2])
    assert clients < 10


def test_a_day_of_polls_leaves_nothing_on_the_broker(database: str) -> None:
    async def told(ask: Asked) -> tuple[Any, Any]:
        with redis_py.Redis.from_url(database) as client:
            before = None
            for _ in range(60):
                await ask(WORKERS, DEPTH)
                before = before or (len(client.client_list()), sorted(client.keys()))
            return before, (len(client.client_list()), sorted(client.keys()))

    before, after = story(told, database, reply_timeout="20ms")
    assert before == after


def test_other_clients_unacknowledged_tasks_are_never_given_back(database: str) -> None:
    """kombu on Redis redelivers what is older than its own `visibility_timeout`: ours must never come."""
    with redis_py.Redis.from_url(database) as client:
        client.hset("unacked", "tag", json.dumps([{"body": "", "properties": {}}, "", "celery"]))
        client.zadd("unacked_index", {"tag": time.time() - 30 * 86400})

        async def told(ask: Asked) -> None:
            await ask.hears()
            for _ in range(12):
                await ask(WORKERS)

        story(told, database, reply_timeout="20ms")
        assert client.hlen("unacked") == 1
        assert client.llen("celery") == 0


def test_a_thousand_queues_are_one_pipeline(database: str) -> None:
    queries = [query(CelerySource, {"measure": "queue_depth", "queue": f"q{number}"}) for number in range(1000)]

    async def told(ask: Asked) -> float:
        assert isinstance(ask.source, CelerySource)
        answers = await ask.source.poll(queries, 0.0)
        assert [values(answer) for answer in answers] == [[0.0]] * 1000
        return ask.source.usage()["requests"]

    assert story(told, database) == 1.0


def test_the_user_of_the_page_may_do_what_is_needed_and_no_more(
    database: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celery_events, "_SHORTEST", 0.1)
    page = (Path(__file__).parents[2] / "docs" / "sources" / "celery.md").read_text(encoding="utf-8")
    assert celery_checkup._REDIS_GRANT in page
    every_second = {"tick": {"task": "jobs.ok", "every": "1s"}}
    ours = database.replace("redis://", "redis://evaluator:PASSWORD@")
    queues = {"queue": ["celery", "other"]}
    asked: list[dict[str, Any]] = [
        {"measure": measure, **(queues if measure in ("queue_depth", "oldest_task_age") else {})}
        for measure in get_args(celery_query.Measure)
    ]

    async def told(ask: Asked) -> None:
        await ask.hears()
        with jobs.sender(database) as send:
            send("jobs.ok")
        missed = {"measure": "missed_runs"}
        await ask.until(missed, lambda answer: isinstance(answer, Samples) and values(answer) == [0.0])
        for fields, answer in zip(
            asked,
            await ask(*({**each, "min_count": 1} if "ratio" in each["measure"] else each for each in asked)),
            strict=True,
        ):
            assert isinstance(answer, Samples), (fields, answer)
        assert isinstance(ask.source, CelerySource)
        found = await ask.source.examine([query(CelerySource, each) for each in asked], 0.0)
        assert not [checkup for checkup in found if checkup.grade is Grade.WRONG], found

    with redis_py.Redis.from_url(database) as admin:
        admin.execute_command(*celery_checkup._REDIS_GRANT.split())
        try:
            with brokers.worker(home, jobs.APP, database, *jobs.SOLO, "-n", "one@host"):
                story(told, ours, schedule=every_second, redbeat_url=ours)
            with redis_py.Redis.from_url(ours) as monitor, pytest.raises(redis_py.exceptions.NoPermissionError):
                monitor.brpop(["celery"], timeout=1)
            admin.execute_command("ACL", "SETUSER", "evaluator", "-publish", "-psubscribe")
            found = story(_examined, ours)
        finally:
            admin.acl_deluser("evaluator")
    (workers,) = [checkup for checkup in found if checkup.subject == "workers"]
    assert workers.grade is Grade.WRONG
    assert celery_checkup._REDIS_GRANT in workers.mend


async def _examined(ask: Asked) -> list[Checkup]:
    assert isinstance(ask.source, CelerySource)
    return await ask.source.examine([], 0.0)


def test_a_wrong_password_is_nobodys_worker() -> None:
    async def told(ask: Asked) -> list[PollResult]:
        return await ask(WORKERS, {"measure": "up"})

    with servers.redis("--requirepass", PASSWORD) as url:
        for answer in story(told, url.replace("redis://", "redis://:wrong-password@")):
            assert failed(answer).reason is FailureReason.AUTH
            assert "wrong-password" not in failed(answer).message


def test_what_does_not_fit_together_is_refused() -> None:
    for fields in (
        {"measure": "queue_depth"},
        {"measure": "unacked", "queue": "q"},
        {"measure": "failure_ratio", "window": "10s"},
        {"measure": "failure_ratio", "name": "x"},
        {"measure": "workers", "task": "x"},
        {"measure": "failure_ratio", "min_count": 0},
    ):
        with pytest.raises(ValueError, match=r".+"):
            query(CelerySource, fields)
    tick = {"task": "t"}
    for settings in (
        {"broker": f"http://:{PASSWORD}@x"},
        {"broker": f"redis://:{PASSWORD}@x:99999/0"},
        {"broker": f"redis://:{PASSWORD}@x/0?a=b"},
        {"broker": f"amqp://u:{PASSWORD}@x//", "ca": "/ca.pem"},
        {"broker": f"amqp://u:{PASSWORD}@x//", "schedule": {"a": tick}},
        {"broker": f"amqp://u:{PASSWORD}@x//", "schedule": {"a": {**tick, "every": "1m", "cron": "* * * * *"}}},
        {"broker": f"amqp://u:{PASSWORD}@x//", "schedule": {"a": {**tick, "cron": "0 0 31 2 *"}}},
        {"broker": f"amqp://u:{PASSWORD}@x//", "timezone": "Mars/Olympus"},
        {"broker": f"amqp://u:{PASSWORD}@x//", "django_url": f"mysql://u:{PASSWORD}@x/y"},
    ):
        with pytest.raises(ValueError, match=r".+") as caught:
            build(CelerySource, settings)
        assert PASSWORD not in str(caught.value)
