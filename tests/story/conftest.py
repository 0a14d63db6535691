"""The real stores that stories are told to: empty for each history, on both databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from evaluator.store import tables
from evaluator.store.store import Store, open_store
from tests.store.conftest import fresh_database


@pytest.fixture
def story_database(postgres_url: str) -> Iterator[str]:
    """A PostgreSQL database of its own."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def story_file(tmp_path: Path) -> str:
    """An SQLite file of its own."""
    return f"sqlite:///{tmp_path / 'evaluator.db'}"


@pytest.fixture(params=["story_file", "story_database"])
def empty_store(request: pytest.FixtureRequest) -> Iterator[Callable[[], Store]]:
    """A store that can be had empty again and again."""
    url = str(request.getfixturevalue(request.param))
    engine = create_engine(url)
    with open_store(url) as store:

        def emptied() -> Store:
            with engine.begin() as connection:
                for table in reversed(tables.METADATA.sorted_tables):
                    connection.execute(table.delete())
            return store

        yield emptied
    engine.dispose()
