"""Every test gets an installation, a PagerDuty and a Prometheus look-alike of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluator.testing.pagerduty import PagerDuty
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, settings


@pytest.fixture
def pagerduty() -> Iterator[PagerDuty]:
    with PagerDuty() as running:
        yield running


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    with Metrics() as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, pagerduty: PagerDuty, metrics: Metrics) -> Iterator[House]:
    """An installation with the usual settings and no rule."""
    found = House(tmp_path)
    found.settle(settings(pagerduty.url, metrics.url))
    try:
        yield found
    finally:
        found.close()
