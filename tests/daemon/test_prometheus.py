"""A real Prometheus, which scrapes a value that the test sets: several severities, and what history is good for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evaluator.testing import servers
from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.weather import Reply
from evaluator.testing.wire import Heard, WireServer
from tests.daemon.running import House, rule, settings, until

SCRAPING = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["{target}"]}}]
"""


class Exporter:
    """What Prometheus scrapes."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.server = WireServer(self._reply)

    def _reply(self, heard: Heard) -> Reply:
        del heard
        return Reply(200, f"error_rate {self.rate}\n".encode(), {"Content-Type": "text/plain; version=0.0.4"})


@contextmanager
def prometheus_of(exporter: Exporter) -> Iterator[str]:
    """Run a Prometheus that scrapes the exporter five times a second."""
    with exporter.server, servers.prometheus(config=SCRAPING.format(target=exporter.server.url[7:])) as url:
        yield url


@pytest.fixture(scope="module")
def scraped() -> Iterator[tuple[Exporter, str]]:
    exporter = Exporter()
    with prometheus_of(exporter) as url:
        yield exporter, url


@pytest.fixture
def exporter(scraped: tuple[Exporter, str], house: House, pagerduty: PagerDuty) -> Exporter:
    exporter, url = scraped
    exporter.rate = 0.0
    house.settle(settings(pagerduty.url, url))
    return exporter


def error_rate(name: str = "error-rate", **tiers: str) -> str:
    return rule(name, "max(error_rate)", unit='"ratio"', **tiers)


def test_a_raise_pages_anew_and_ends_the_old_key(house: House, pagerduty: PagerDuty, exporter: Exporter) -> None:
    house.rule(
        error_rate(
            P0='{ above = "5%", for = "1s" }', P1='{ above = "2%", for = "30m" }', P2='{ above = "0.5%", for = "1s" }'
        )
    )
    daemon = house.run()
    exporter.rate = 0.01
    (low,) = until(pagerduty.open_incidents)
    assert (low.severity, low.dedup_key.rsplit("/", 1)[1]) == ("warning", "P2")
    exporter.rate = 0.2
    until(lambda: not low.open)
    (high,) = pagerduty.open_incidents()
    assert (high.severity, high.dedup_key) == ("critical", low.dedup_key.removesuffix("P2") + "P0")
    assert low.closed_at is not None
    assert high.opened_at <= low.closed_at, "the new one is accepted before the old one ends"
    exporter.rate = 0.01
    until(lambda: daemon.status()["incidents"][0]["value_text"] == "1 %" or daemon.said("incident", what="lowered"))
    assert high.open, "a severity only rises while it is open"
    exporter.rate = 0.0
    until(lambda: not high.open)
    assert pagerduty.account.pages == 2


def test_history_bridges_a_stop_and_knows_what_a_new_rule_has_missed(
    house: House, pagerduty: PagerDuty, exporter: Exporter
) -> None:
    exporter.rate = 0.1
    begin = time.time()
    house.rule(error_rate("steady", severity='"P1"', above='"5%"', for_='"12s"'))
    first = house.run()
    until(lambda: first.status()["pending"])
    first.stop()
    assert not pagerduty.incidents()
    # It stays away for longer than a breach may go unseen.
    until(lambda: time.time() >= begin + 13)
    again = house.run()
    (found,) = until(pagerduty.open_incidents, 10)
    assert found.payload["payload"]["class"] == "steady"
    assert again.said("judged from history", rule="steady")
    # It has been there for twelve seconds already, so a rule that is new now pages at once.
    house.rule(error_rate("fresh", severity='"P2"', above='"5%"', for_='"12s"'), "fresh.toml")
    until(lambda: again.said("judged from history", rule="fresh"))
    judged = time.time()
    until(lambda: len(pagerduty.open_incidents()) == 2)
    assert time.time() - judged < 11
    exporter.rate = 0.0
    until(lambda: not pagerduty.open_incidents())
    assert pagerduty.account.pages == 2
