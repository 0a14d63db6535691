"""Every test gets a store of its own: a file in a folder of its own, or a database on a server of this worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from ulid import ULID

from evaluator.store.store import Store, open_store
from tests.store.servers import PostgresServer


def administer(url: str, statement: str, name: str) -> None:
    """Run a statement about a database of this name; each on a session of its own, since tests restart servers."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(sql.SQL(statement).format(sql.Identifier(name)))


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """Make a database on this server, and give its URL."""
    name = f"t_{ULID()}".lower()
    administer(url, "CREATE DATABASE {} TEMPLATE template0", name)
    try:
        of_it = make_url(url).set(drivername="postgresql+psycopg", database=name)
        yield of_it.render_as_string(hide_password=False)
    finally:
        administer(url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A server that a test may stop and freeze."""
    server = PostgresServer()
    try:
        server.create()
        yield server
    finally:
        server.remove()


@pytest.fixture
def fragile_url(server: PostgresServer) -> Iterator[str]:
    """A database on the server that a test may hurt."""
    with fresh_database(server.url()) as url:
        yield url


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    """A database on the server that all tests share."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits for a lock, for tests in which they pass whole."""
    monkeypatch.setattr("evaluator.store.postgres.LOCK_SECONDS", 1)
    monkeypatch.setattr("evaluator.store.sqlite.BUSY_SECONDS", 1.0)


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'evaluator.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("file_url" if request.param == "sqlite" else "database"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened
