"""The source `postgres` against a real server, and against bad weather."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import psycopg
import pytest

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.postgres import PostgresSource
from evaluator.testing import servers
from evaluator.testing.peers import nobody, peer
from evaluator.testing.sources import RemoteSourceConformance, build, polled, query, run

PASSWORD = "s3cret-postgres-password"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server with pg_stat_statements, few slots, and the role of the documentation."""
    with servers.postgres(
        shared_preload_libraries="pg_stat_statements", max_connections="20", max_wal_senders="2"
    ) as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
            admin.execute(f"CREATE ROLE evaluator LOGIN PASSWORD '{PASSWORD}'")
            admin.execute("GRANT pg_monitor TO evaluator")
            admin.execute("CREATE ROLE app LOGIN PASSWORD 'app' CONNECTION LIMIT 4")
            admin.execute("CREATE ROLE blind LOGIN PASSWORD 'blind'")
            admin.execute("CREATE DATABASE shop")
            admin.execute("CREATE TABLE orders (id int primary key, state text)")
            admin.execute("INSERT INTO orders VALUES (1, 'new'), (2, 'new'), (3, 'sent')")
            admin.execute("GRANT SELECT ON orders TO evaluator")
        yield url


@pytest.fixture
def admin(server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


def as_role(url: str, role: str, password: str | None = None, database: str = "postgres") -> str:
    place = url.split("@")[1].split("/")[0]
    return f"postgresql://{role}:{password or role}@{place}/{database}"


def monitor(url: str) -> str:
    return as_role(url, "evaluator", PASSWORD)


def ask(url: str, *queries: Mapping[str, Any] | str, **settings: object) -> list[PollResult]:
    source = build(PostgresSource, {"url": url, "timeout": "3s", **settings})
    answers: list[list[PollResult]] = run(polled(source, asked(*queries)))
    return answers[0]


def asked(*queries: Mapping[str, Any] | str) -> list[Any]:
    return [query(PostgresSource, {"measure": each} if isinstance(each, str) else each) for each in queries]


def sql(text: str, **more: object) -> dict[str, Any]:
    return {"measure": "sql", "sql": text, **more}


def values(result: PollResult) -> list[float]:
    assert isinstance(result, Samples), result
    return list(result.values)


def series(result: PollResult, *labels: str) -> dict[Any, float]:
    assert isinstance(result, Samples), result
    keys = [tuple(row[label] for label in labels) if len(labels) > 1 else row[labels[0]] for row in result.labels]
    return dict(zip(keys, result.values, strict=True))


def failure(result: PollResult) -> PollFailed:
    assert isinstance(result, PollFailed), result
    return result


class TestConformance(RemoteSourceConformance):
    kind = PostgresSource
    queries = (
        {"measure": "connections", "by": ["database", "state"]},
        {"measure": "connections_percent"},
        {"measure": "longest_transaction"},
        {"measure": "idle_in_transaction", "longer_than": "1m"},
        {"measure": "locks_waiting", "user": "app"},
        {"measure": "database_size", "database": ["postgres", "shop"]},
        {"measure": "deadlocks"},
        {"measure": "xid_age_percent"},
        {"measure": "sql", "sql": "SELECT state, count(*) AS value FROM orders GROUP BY state"},
    )
    up = MappingProxyType({"measure": "up"})
    secrets = (PASSWORD,)
    bad_query = MappingProxyType({"measure": "sql", "sql": "SELECT nonsense FROM orders"})
    many = tuple({"measure": "slow_queries", "longer_than": f"{number}s"} for number in range(1, 101))
    most_requests = 1
    url: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _server(self, server: str) -> None:
        type(self).url = server

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"url": f"postgresql://evaluator:{PASSWORD}@{host}:{port}/postgres"}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        yield {"url": monitor(self.url)}
