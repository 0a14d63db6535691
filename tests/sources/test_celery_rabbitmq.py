"""The source `celery` on a RabbitMQ broker: killed, restarted, and asked with the rights of the page and no more."""

import asyncio
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import amqp
import pytest
import trustme

from evaluator.engine.samples import FailureReason, Samples
from evaluator.sources import celery_events, celery_tally
from evaluator.sources.celery import CelerySource
from evaluator.sources.checkup import Grade
from evaluator.testing import brokers, servers
from evaluator.testing.peers import nobody
from evaluator.testing.sources import RemoteSourceConformance, query
from tests.sources import celery_jobs as jobs
from tests.sources.celery_jobs import Asked, failed, story, values

PASSWORD = "s3cret-rabbit-password"
PAGE = Path(__file__).parents[2] / "docs" / "sources" / "celery.md"
WORKERS = {"measure": "workers"}
OF_CELERY = {"measure": "workers", "queue": "celery"}
DEPTH = {"measure": "queue_depth", "queue": "celery"}
RATIO = {"measure": "failure_ratio", "window": "1m", "min_count": 2}


def granted() -> str:
    """The names that the page grants."""
    found = re.search(r"^rabbitmqctl set_permissions .* '(.*)' '(.*)' '(.*)'$", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    assert found[1] == found[2] == found[3]
    return found[1]


def certify(home: Path) -> None:
    """Write an authority, and a certificate of 127.0.0.1 that it signed, which serves as a client's too."""
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(home / "ca.pem"))
    own.private_key_pem.write_to_path(str(home / "key.pem"))
    (home / "cert.pem").write_bytes(b"".join(each.bytes() for each in own.cert_chain_pems))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server, with its certificates: one for all processes of the session."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "rabbitmq"


@pytest.fixture(scope="session")
def rabbit(certificates: Path) -> Iterator[brokers.Shared]:
    """The server; each test has a virtual host of its own."""
    users = {"evaluator": (PASSWORD, granted()), "nobody": (PASSWORD, "^$")}
    with brokers.shared_rabbitmq(certificates, users, certify) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return jobs.home(tmp_path)


def declare(port: int, host: str, *queues: str, messages: int = 0) -> None:
    with amqp.Connection(f"127.0.0.1:{port}", virtual_host=host) as connection:
        channel = connection.channel()
        for queue in queues:
            channel.queue_declare(queue, durable=True, auto_delete=False)
            for _ in range(messages):
                channel.basic_publish(amqp.Message("x"), routing_key=queue)


class TestConformance(RemoteSourceConformance):
    kind = CelerySource
    queries = (
        {"measure": "workers"},
        {"measure": "workers", "queue": ["celery", "emails"]},
        {"measure": "queue_depth", "queue": "celery"},
    )
    bad_query = MappingProxyType({"measure": "queue_depth", "queue": "no-such-queue"})
    up = MappingProxyType({"measure": "up"})
    secrets = (PASSWORD,)

    @pytest.fixture(autouse=True)
    def server(self, rabbit: brokers.Shared) -> None:
        self.rabbit = rabbit
        declare(rabbit.port, "a", "celery", "emails")

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"broker": f"amqp://monitor:{PASSWORD}@{host}:{port}/a", "reply_timeout": "100ms"}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        # With exactly the rights that the page grants.
        yield {"broker": self.rabbit.url("a", "evaluator", PASSWORD), "reply_timeout": "100ms"}


def test_workers_are_killed_and_tasks_return(
    rabbit: brokers.Shared, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celery_tally, "BEAT", 3.0)
    url = rabbit.url("b")

    async def told(ask: Asked) -> None:
        await ask.hears()
        with brokers.worker(home, jobs.APP, url, "-c", "1", "-E", "-n", "one@host") as worker:
            await ask.until(OF_CELERY, lambda answer: isinstance(answer, Samples) and values(answer) == [1.0])
            with jobs.sender(url) as send:
                send("jobs.ok")
                send("jobs.bad")
                await ask.until(RATIO, lambda answer: isinstance(answer, Samples) and values(answer) == [0.5])
                for _ in range(8):
                    send("jobs.nap", 30)
            # The worker's prefetch is full: one at work and four in its hands, or so.
            await ask.until(DEPTH, lambda answer: 3.0 <= values(answer)[0] <= 4.0)
            worker.kill()
            start = time.monotonic()
            # RabbitMQ knows at once that nobody consumes any more, and what was not acknowledged waits again.
            await ask.until(OF_CELERY, lambda answer: values(answer) == [0.0], within=2)
            await ask.until(DEPTH, lambda answer: values(answer)[0] >= 7.0, within=2)
            await ask.until(WORKERS, lambda answer: values(answer) == [0.0])
            assert time.monotonic() - start < 8

    # The monitor has the rights of the page, and no others.
    story(told, rabbit.url("b", "evaluator", PASSWORD), reply_timeout="300ms")


def test_a_busy_solo_worker_is_online(rabbit: brokers.Shared, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_tally, "BEAT", 0.5)
    url = rabbit.url("c")

    async def told(ask: Asked) -> None:
        with brokers.worker(home, jobs.APP, url, *jobs.SOLO, "-n", "solo@host") as worker:
            await ask.until(OF_CELERY, lambda answer: values(answer) == [1.0])
            with jobs.sender(url) as send:
                send("jobs.nap", 3)
            worker.said("received")
            await asyncio.sleep(1.0)
            for answer in await ask(WORKERS, OF_CELERY):
                assert values(answer) == [1.0]
                assert isinstance(answer, Samples)
                assert "connected and silent" in answer.warnings[0]

    story(told, url, reply_timeout="300ms")


def test_a_queue_that_is_not_there_is_a_wrong_name_or_empty(rabbit: brokers.Shared) -> None:
    async def told(ask: Asked) -> None:
        for reason in [failed(answer).reason for answer in await ask(DEPTH, {**DEPTH, "queue": ["x", "y"]})]:
            assert reason is FailureReason.BAD_QUERY
        declare(rabbit.port, "d", "celery", messages=3)
        (mixed,) = await ask({**DEPTH, "queue": ["celery", "x"]})
        assert values(mixed) == [3.0]
        assert isinstance(mixed, Samples)
        assert "no queue x" in mixed.warnings[0]
        with amqp.Connection(f"127.0.0.1:{rabbit.port}", virtual_host="d") as connection:
            connection.channel().queue_delete("celery")
        # It was there: nothing waits in it, and an incident must close.
        assert values((await ask(DEPTH))[0]) == [0.0]

    story(told, rabbit.url("d"))


def test_what_rabbitmq_does_not_say_is_said_so(rabbit: brokers.Shared) -> None:
    async def told(ask: Asked) -> None:
        for answer in await ask({"measure": "oldest_task_age", "queue": "celery"}, {"measure": "unacked"}):
            assert failed(answer).reason is FailureReason.BAD_QUERY
            assert "RabbitMQ" in failed(answer).message

    story(told, rabbit.url("d"))


def test_a_user_without_rights_is_told_which(rabbit: brokers.Shared) -> None:
    async def told(ask: Asked) -> None:
        up, workers = await ask({"measure": "up"}, WORKERS)
        assert values(up) == [1.0]
        assert failed(workers).reason is FailureReason.AUTH
        assert isinstance(ask.source, CelerySource)
        found = await ask.source.examine([query(CelerySource, WORKERS), query(CelerySource, RATIO)], 0.0)
        wrong = {checkup.subject: checkup for checkup in found if checkup.grade is Grade.WRONG}
        assert set(wrong) == {"workers", "events"}
        assert "rabbitmqctl set_permissions" in wrong["workers"].mend

    story(told, rabbit.url("a", "nobody", PASSWORD), reply_timeout="100ms")


def test_a_wrong_password_and_a_wrong_virtual_host_are_no_outage(rabbit: brokers.Shared) -> None:
    async def told(ask: Asked) -> None:
        (answer,) = await ask({"measure": "up"})
        assert failed(answer).reason is FailureReason.AUTH
        assert "wrong-password" not in failed(answer).message

    story(told, rabbit.url("a", "guest", "wrong-password"))
    story(told, rabbit.url("no-such-host"))


def test_both_brokers_are_asked_over_tls_by_who_trusts_them(rabbit: brokers.Shared, certificates: Path) -> None:
    files = {name: str(certificates / f"{name}.pem") for name in ("ca", "cert", "key")}

    async def trusting(ask: Asked) -> None:
        await ask.hears()
        up, workers = await ask({"measure": "up"}, WORKERS)
        assert values(up) == [1.0]
        assert values(workers) == [0.0]

    async def not_trusting(ask: Asked) -> None:
        for answer in await ask({"measure": "up"}, WORKERS):
            assert failed(answer).reason is FailureReason.TLS
            assert "certificate is not acceptable" in failed(answer).message

    def told(url: str) -> None:
        story(trusting, url, **files, reply_timeout="100ms")
        story(not_trusting, url, reply_timeout="100ms")
        story(not_trusting, url.replace("127.0.0.1", "localhost"), ca=files["ca"], reply_timeout="100ms")

    told(rabbit.url("a").replace("amqp://", "amqps://").replace(f":{rabbit.port}/", f":{rabbit.tls_port}/"))
    port = nobody()
    options: list[str] = []
    for name, path in (("ca-cert", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")):
        options += [f"--tls-{name}-file", str(certificates / path)]
    with servers.redis("--tls-port", str(port), *options, port=nobody()):
        told(f"rediss://127.0.0.1:{port}/0")


def test_a_broker_that_goes_and_comes_back(rabbit: brokers.Shared, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_events, "_SHORTEST", 0.2)
    monkeypatch.setattr(celery_events, "_LONGEST", 0.2)
    gate = jobs.Gate(rabbit.port)

    async def told(ask: Asked) -> None:
        await gate.open()
        await ask.hears()
        with brokers.worker(home, jobs.APP, rabbit.url("e"), *jobs.SOLO, "-n", "one@host"):
            await ask.until(OF_CELERY, lambda answer: isinstance(answer, Samples) and values(answer) == [1.0])
            await gate.shut()
            up, workers, ratio, depth = await ask({"measure": "up"}, WORKERS, RATIO, DEPTH)
            assert values(up) == [0.0]
            # Nobody could be asked: that is not "no workers", and not "no failures".
            assert {failed(each).reason for each in (workers, ratio, depth)} == {FailureReason.REFUSED}
            await gate.open()
            await ask.hears()
            with jobs.sender(rabbit.url("e")) as send:
                send("jobs.bad")
                send("jobs.bad")
            await ask.until(RATIO, lambda answer: isinstance(answer, Samples) and values(answer) == [1.0])
            assert values((await ask(OF_CELERY))[0]) == [1.0]
        await gate.shut()

    story(told, f"amqp://guest:guest@127.0.0.1:{gate.port}/e", reply_timeout="300ms")


def test_a_broker_that_is_killed_and_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_events, "_SHORTEST", 0.2)
    monkeypatch.setattr(celery_events, "_LONGEST", 0.2)
    # A server of its own: the others' is not to be killed.
    with brokers.rabbitmq() as server:

        async def told(ask: Asked) -> None:
            await ask.hears()
            with brokers.worker(home, jobs.APP, server.url("e"), *jobs.SOLO, "-n", "one@host"):
                await ask.until(OF_CELERY, lambda answer: isinstance(answer, Samples) and values(answer) == [1.0])
                server.kill()
                up, workers, ratio, depth = await ask({"measure": "up"}, WORKERS, RATIO, DEPTH)
                assert values(up) == [0.0]
                assert not [each for each in (workers, ratio, depth) if isinstance(each, Samples)]
                await asyncio.to_thread(server.start)
                # The worker finds its way back by itself, and so do we.
                await ask.until(OF_CELERY, lambda answer: isinstance(answer, Samples) and values(answer) == [1.0])
                assert values((await ask({"measure": "up"}))[0]) == [1.0]

        story(told, server.url("e"), reply_timeout="300ms")
