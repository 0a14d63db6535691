"""The source `pgbouncer` against a real PgBouncer before a real server, and against bad weather."""

import asyncio
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
import pytest

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.pgbouncer import PgBouncerSource
from evaluator.testing.peers import nobody, peer
from evaluator.testing.poolers import pgbouncer
from evaluator.testing.sources import RemoteSourceConformance, build, polled, query, run

PASSWORD = "s3cret-bouncer-password"


def client(console: str) -> psycopg.Connection:
    """Connect to the database `shop` as an application does."""
    url = console.replace("monitor:monitor", "app:app").replace("/pgbouncer", "/shop")
    return psycopg.connect(url, prepare_threshold=None, autocommit=True)


def asked(*queries: Mapping[str, Any] | str) -> list[Any]:
    return [query(PgBouncerSource, {"measure": each} if isinstance(each, str) else each) for each in queries]


def ask(url: str, *queries: Mapping[str, Any] | str, **settings: object) -> list[PollResult]:
    source = build(PgBouncerSource, {"url": url, "timeout": "3s", **settings})
    answers: list[list[PollResult]] = run(polled(source, asked(*queries)))
    return answers[0]


def values(result: PollResult) -> list[float]:
    assert isinstance(result, Samples), result
    return list(result.values)


def examined(url: str, **settings: object) -> list[Checkup]:
    async def look() -> list[Checkup]:
        source = build(PgBouncerSource, {"url": url, "timeout": "3s", **settings})
        await source.open()
        try:
            return await source.examine([], 0)  # type: ignore[attr-defined,no-any-return] # The source has it.
        finally:
            await source.close()

    found: list[Checkup] = run(look())
    return found


@pytest.fixture(scope="module")
def console(postgres_url: str) -> Iterator[str]:
    with pgbouncer(postgres_url, default_pool_size="2", max_client_conn="60") as url:
        with client(url) as first:
            first.execute("SELECT 1")
        yield url


@contextmanager
def crowd(console: str, clients: int, seconds: float) -> Iterator[None]:
    """Have so many clients run a transaction of so many seconds at once."""

    def work() -> None:
        with client(console) as connection:
            connection.execute(f"SELECT pg_sleep({seconds})")

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


class TestConformance(RemoteSourceConformance):
    kind = PgBouncerSource
    queries = (
        {"measure": "pool_waiting"},
        {"measure": "pool_wait", "database": "shop"},
        {"measure": "pool_percent"},
        {"measure": "pool_clients"},
        {"measure": "clients"},
        {"measure": "clients_percent"},
    )
    up = MappingProxyType({"measure": "up"})
    secrets = (PASSWORD,)
    many = tuple({"measure": "pool_waiting", "database": f"shop-{number}"} for number in range(100))
    most_requests = 1
    url: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _console(self, console: str) -> None:
        type(self).url = console

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"url": f"postgresql://monitor:{PASSWORD}@{host}:{port}/pgbouncer"}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        yield {"url": self.url}


def test_clients_that_wait_for_a_pool_of_two(console: str) -> None:
    measures = ("pool_waiting", "pool_wait", "pool_percent", "pool_clients", "clients")

    def look() -> list[list[float]]:
        return [values(each) for each in ask(console, *measures)]

    with crowd(console, clients=5, seconds=0.4):
        deadline = time.monotonic() + 5
        while (seen := look())[0] != [3.0] and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        seen = look()
    waiting, wait, percent, clients, everybody = seen
    assert waiting == [3.0]
    assert 0.05 < wait[0] < 1
    assert percent == [100.0]
    assert clients == [5.0]
    assert everybody[0] >= 6
    calm = look()
    assert calm[:3] == [[0.0], [0.0], [0.0]]


def test_series_are_named_by_database_and_user(console: str) -> None:
    mine, other, nobodys = ask(
        console,
        "pool_waiting",
        {"measure": "pool_waiting", "database": ["shop"], "user": "postgres"},
        {"measure": "pool_waiting", "database": "none"},
    )
    assert isinstance(mine, Samples)
    assert isinstance(other, Samples)
    assert list(mine.labels) == list(other.labels) == [{"database": "shop", "user": "postgres"}]
    assert values(nobodys) == []
    assert "no pool of the database none" in nobodys.warnings[0]  # type: ignore[union-attr] # It is Samples.


def test_times_are_means_between_two_polls(postgres_url: str) -> None:
    async def story(url: str) -> list[list[PollResult]]:
        source = build(PgBouncerSource, {"url": url})
        await source.open()
        polls = [await source.poll(asked("query_time", "wait_time"), 0)]
        with client(url) as connection:
            for _ in range(4):
                connection.execute("SELECT pg_sleep(0.1)")
            await asyncio.sleep(0.2)
            polls.append(await source.poll(asked("query_time", "wait_time"), 0))
            await asyncio.sleep(0.55)
            polls.append(await source.poll(asked("query_time", "wait_time"), 0))
        await source.close()
        return polls

    with pgbouncer(postgres_url) as url:
        with client(url) as connection:
            connection.execute("SELECT 1")
        first, second, third = run(story(url))
    assert [values(each) for each in first] == [[], []]
    assert 0.1 <= values(second[0])[0] < 0.3
    assert 0 <= values(second[1])[0] < 0.1
    # Nothing was asked meanwhile: a mean of nothing is no zero.
    assert values(third[0]) == []


def test_the_console_still_answers_when_no_client_may_connect_any_more(postgres_url: str) -> None:
    with pgbouncer(postgres_url, max_client_conn="4") as url:
        with client(url), client(url):
            (percent,) = ask(url, "clients_percent")
            assert values(percent) == [75.0]
            with client(url), client(url), pytest.raises(psycopg.OperationalError, match="max_client_conn"):
                client(url)
        with client(url), client(url), client(url), client(url):
            percent, up = ask(url, "clients_percent", "up")
    # The console counts itself, and is not limited.
    assert values(percent) == [125.0]
    assert values(up) == [1.0]


def test_a_console_that_is_refused_for_lack_of_connections_is_full() -> None:
    text = b"SFATAL\0C08P01\0Mno more connections allowed (max_client_conn)\0\0"
    with peer(b"E" + struct.pack("!i", 4 + len(text)) + text, "close") as full:
        url = f"postgresql://monitor:{PASSWORD}@127.0.0.1:{full.port}/pgbouncer?sslmode=disable"
        percent, up, waiting = ask(url, "clients_percent", "up", "pool_waiting")
        (failed,) = examined(url)
    assert values(percent) == [100.0]
    assert "no more connections allowed" in percent.warnings[0]  # type: ignore[union-attr] # It is Samples.
    assert values(up) == [1.0]
    assert isinstance(waiting, PollFailed)
    assert waiting.reason is FailureReason.UNAVAILABLE
    assert failed.grade is Grade.WRONG
    assert "max_client_conn" in failed.mend


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"user": "monitor", "password": PASSWORD}, "password authentication failed"),
        ({"user": "app", "password": "app"}, "not allowed"),
        ({"user": "stranger", "password": PASSWORD}, "authentication failed"),
    ],
)
def test_who_may_not_look_is_told_so(console: str, change: dict[str, str], said: str) -> None:
    place = urlsplit(console).netloc.rpartition("@")[2]
    host, port = place.split(":")
    source = build(PgBouncerSource, {"host": host, "port": int(port), **change})
    (answers,) = run(polled(source, asked("pool_waiting", "up")))
    for answer in answers:
        assert isinstance(answer, PollFailed), answer
        assert answer.reason is FailureReason.AUTH
        assert said in answer.message
        assert PASSWORD not in answer.message
    (failed,) = examined(f"postgresql://{change['user']}:{change['password']}@{place}/pgbouncer")
    assert failed.grade is Grade.WRONG
    assert "stats_users" in failed.mend


def test_postgres_itself_is_no_console(postgres_url: str) -> None:
    (answer,) = ask(postgres_url, "pool_waiting")
    assert isinstance(answer, PollFailed)
    assert answer.reason is FailureReason.BAD_ANSWER
    assert "PostgreSQL itself" in answer.message


def test_each_command_is_asked_once_and_the_connection_is_held(console: str) -> None:
    async def story() -> Mapping[str, float]:
        source = build(PgBouncerSource, {"url": console})
        await source.open()
        for _ in range(20):
            answers = await source.poll(asked("pool_waiting", "pool_percent", "clients", "clients_percent", "up"), 0)
            assert all(isinstance(each, Samples) for each in answers), answers
        await source.close()
        return source.usage()  # type: ignore[attr-defined,no-any-return] # The source has it.

    assert run(story()) == {"requests": 100.0, "connections": 1.0}


def test_a_pgbouncer_that_was_restarted_is_asked_at_once_again(postgres_url: str) -> None:
    port = nobody()

    async def story() -> list[float]:
        source = build(PgBouncerSource, {"url": f"postgresql://monitor:monitor@127.0.0.1:{port}/pgbouncer"})
        await source.open()
        seen = []
        for _ in range(2):
            with pgbouncer(postgres_url, port=port):
                seen += values((await source.poll(asked("up"), 0))[0])
        with pgbouncer(postgres_url, port=port):
            seen += values((await source.poll(asked("up"), 0))[0])
        seen += values((await source.poll(asked("up"), 0))[0])
        await source.close()
        return seen

    assert run(story()) == [1.0, 1.0, 1.0, 0.0]


def test_doctor_tries_every_command(console: str) -> None:
    found = examined(console)
    assert {each.grade for each in found} == {Grade.FINE}
    assert "PgBouncer" in found[0].found


def test_what_does_not_fit_together_is_refused() -> None:
    for fields in ({"measure": "clients", "database": "x"}, {"measure": "query_time", "user": "x"}, {"measure": "x"}):
        with pytest.raises(ValueError, match=r".+"):
            query(PgBouncerSource, fields)
