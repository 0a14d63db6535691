"""What all tests share: real servers, one of each for a worker, started when the first test asks for it."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from evaluator.testing import servers

# Parallel tests share a processor, so how long one example takes says nothing. Of CI's own profile only this changes.
settings.register_profile("parallel", settings.default, deadline=None)
settings.load_profile("parallel")
# For `make mutants`, which asks for it: what is found today is found tomorrow, and few examples must do.
settings.register_profile("mutants", deadline=None, max_examples=25, derandomize=True, database=None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that are named after the module that a mutant changes: few mutants get any further."""
    name = os.environ.get("MUTANT_UNDER_TEST", "")
    if name.startswith("evaluator."):
        module = name.split(".")[2]
        items.sort(key=lambda item: not item.path.stem.removeprefix("test_").startswith(module))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server of this worker."""
    with servers.redis() as url:
        yield url


@pytest.fixture(scope="session")
def prometheus_url() -> Iterator[str]:
    """A Prometheus server of this worker, which scrapes itself every second."""
    with servers.prometheus() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this worker; its database `postgres` is for making others."""
    with servers.postgres() as url:
        yield url
