"""A Celery application for tests, and what they do with it: send tasks, poll until something is so."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from celery import Celery

from evaluator.engine.rules import Query
from evaluator.engine.samples import PollFailed, PollResult, Samples
from evaluator.sources.celery import CelerySource
from evaluator.sources.source import Source
from evaluator.testing.peers import nobody
from evaluator.testing.sources import build, query

T = TypeVar("T")

JOBS = """
import os
import time

from celery import Celery

app = Celery("jobs", broker=os.environ["BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    beat_schedule={"tick": {"task": "jobs.ok", "schedule": 1.0}},
)


@app.task(name="jobs.ok")
def ok():
    return 1


@app.task(name="jobs.bad")
def bad():
    raise ValueError("as it is meant to")


@app.task(name="jobs.nap")
def nap(seconds):
    time.sleep(seconds)


@app.task(name="jobs.again", bind=True, max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(countdown=0)
"""
APP = "jobs:app"
SOLO = ("-P", "solo", "-E")


def home(folder: Path) -> Path:
    """Write the application into a folder."""
    (folder / "jobs.py").write_text(JOBS)
    return folder


@contextmanager
def sender(broker: str) -> Iterator[Callable[..., None]]:
    """Give what sends tasks: `send("jobs.nap", 3)`."""
    with Celery("sender", broker=broker, set_as_current=False) as app, app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)

        def send(task: str, *arguments: object) -> None:
            app.send_task(task, args=arguments, producer=producer, ignore_result=True)

        yield send


def values(result: PollResult) -> list[float]:
    assert isinstance(result, Samples), result
    return list(result.values)


def failed(result: PollResult) -> PollFailed:
    assert isinstance(result, PollFailed), result
    return result


class Gate:
    """A way to a server that can be shut: to who goes through it, the server was killed."""

    def __init__(self, behind: int) -> None:
        """Take the port of the server."""
        self.port = nobody()
        self._behind = behind
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def shut(self) -> None:
        """Refuse connections, and cut those that there are."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what both sides say, until one of them ends."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._behind)
        both = {writer, to_server}
        self._writers |= both
        await asyncio.gather(_copy(reader, to_server), _copy(from_server, writer))
        self._writers -= both


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while said := await reader.read(65536):
            writer.write(said)
    writer.close()


class Asked:
    """An open source, and the time."""

    def __init__(self, source: Source) -> None:
        self.source = source

    async def __call__(self, *fields: Mapping[str, Any], now: float | None = None) -> list[PollResult]:
        asked: Sequence[Query] = [query(CelerySource, each) for each in fields]
        return await self.source.poll(asked, time.time() if now is None else now)

    async def until(self, fields: Mapping[str, Any], fits: Callable[[PollResult], bool], within: float = 20) -> None:
        """Poll until the answer fits."""
        deadline = time.monotonic() + within
        while True:
            (answer,) = await self(fields)
            if fits(answer):
                return
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.1)

    async def hears(self) -> None:
        """Return when the events of tasks are heard."""
        assert isinstance(self.source, CelerySource)
        await self({"measure": "failure_ratio"})
        poller = self.source._poller
        assert poller is not None
        while not poller.hears:
            await asyncio.sleep(0.02)


def story(task: Callable[[Asked], Coroutine[None, None, T]], broker: str, **settings: object) -> T:
    """Run a story with an open source."""

    async def told() -> T:
        source = build(CelerySource, {"broker": broker, "timeout": "5s", "reply_timeout": "500ms", **settings})
        await source.open()
        try:
            async with asyncio.timeout(60):
                return await task(Asked(source))
        finally:
            await source.close()

    return asyncio.run(told())
