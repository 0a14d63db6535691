"""The rule language on real components: what looks back, what asks a second source, what keeps quiet for a while."""

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

import pytest
import redis
from ulid import ULID

from evaluator.engine.maintenance import Selector
from evaluator.incidents.changes import Changes
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.silence import Silence
from evaluator.store.store import open_store
from evaluator.testing import servers
from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.pagerduty_account import PagerDutyIncident
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, Running, rule, settings, until
from tests.daemon.test_prometheus import SCRAPING, Exporter

DAY = 86_400


class Queue:
    """A list in Redis, as long as the test says."""

    def __init__(self, url: str) -> None:
        self.name = f"queue-{ULID()}"
        self._client = redis.Redis.from_url(url)

    def long(self, number: int) -> None:
        with self._client.pipeline() as pipe:
            pipe.delete(self.name)
            if number:
                pipe.rpush(self.name, *range(number))
            pipe.execute()

    def close(self) -> None:
        self._client.delete(self.name)
        self._client.close()


@pytest.fixture
def queue(house: House, pagerduty: PagerDuty, metrics: Metrics, redis_url: str) -> Iterator[Queue]:
    """An installation with a source `box`, which is Redis, beside `metrics`."""
    sources = settings("", metrics.url).split("\n\n")[3]
    sources += f'\n\n[sources.box]\ntype = "redis"\nurl = "{redis_url}"\ntimeout = "2s"'
    house.settle(settings(pagerduty.url, metrics.url, sources=sources))
    queue = Queue(redis_url)
    yield queue
    queue.close()


def summary(incident: PagerDutyIncident) -> str:
    return str(incident.payload["payload"]["custom_details"]["why"])


def test_a_rise_is_seen_over_a_kill_where_nobody_else_remembers(
    house: House, pagerduty: PagerDuty, queue: Queue
) -> None:
    house.rule(
        rule(
            "backlog",
            source='"box"',
            query=f'{{ measure = "queue_depth", queue = "{queue.name}" }}',
            rising='{ by = 30, over = "24s" }',
            above="20",
        )
    )
    begin = time.monotonic()

    def climb() -> None:
        queue.long(round(10 + 4 * (time.monotonic() - begin)))

    def climbs_for(evaluations: int) -> bool:
        climb()
        return first.metric("rule_evaluations_total", rule="backlog") > evaluations

    queue.long(10)
    first = house.run()
    until(lambda: climbs_for(12))
    first.kill()
    assert not pagerduty.incidents(), "three quarters of the window must be known"
    with open_store(house.store_url, read_only=True) as store:
        chunks = store.load(time.time()).chunks
    kept = sum(math.isfinite(value) for chunk in chunks.values() for value in chunk)
    assert kept >= 5
    again = house.run()
    restarted = time.monotonic()

    def opened() -> list[PagerDutyIncident]:
        climb()
        return pagerduty.open_incidents()

    (incident,) = until(opened)
    said = summary(incident)
    assert "rose by" in said, said
    samples = int(said.split(" samples")[0].rsplit("(", 1)[1])
    assert samples > time.monotonic() - restarted + 2, f"{said}: only with those from before the kill"
    assert again.metric("kept_series", rule="backlog") == 1
    assert again.metric("kept_chunks", rule="backlog") >= 1
    queue.long(10)
    until(lambda: not incident.open)


@contextmanager
def busy_for_days(exporter: Exporter) -> Iterator[str]:
    """Run a Prometheus that has three days of a series around 100, and scrapes what the exporter says."""
    dice, now = random.Random(7), int(time.time())
    times = range(now - 3 * DAY, now - 600, 60)
    lines = [f"error_rate {dice.gauss(100, 5):.3f} {at}" for at in times]
    history = "# TYPE error_rate gauge\n" + "\n".join(lines) + "\n# EOF\n"
    with exporter.server:
        config = SCRAPING.format(target=exporter.server.url[7:])
        with servers.prometheus(config=config, openmetrics=history) as url:
            yield url


def test_what_is_unusual_is_learned_from_history_at_once(house: House, pagerduty: PagerDuty) -> None:
    exporter = Exporter()
    exporter.rate = 101.0
    with busy_for_days(exporter) as url:
        house.settle(settings(pagerduty.url, url))
        text = rule(
            "odd",
            "max(error_rate)",
            unusual='{ by = "6 mad", compared_to = "last 3 days", direction = "high", learn = "1d" }',
        )
        house.rule(text.replace("above = 10\n", ""))
        daemon = house.run()
        until(lambda: daemon.metric("rule_evaluations_total", rule="odd") >= 3)
        until(lambda: daemon.metric("kept_chunks", rule="odd") >= 3)
        assert daemon.metric("history_requests_total", source="metrics", outcome="answered") >= 3
        assert not pagerduty.incidents()
        exporter.rate = 400.0
        (incident,) = until(pagerduty.open_incidents)
        said = summary(incident)
        assert "MAD above the usual" in said, said
        assert int(said.split(" samples")[0].rsplit(" ", 1)[1]) > 700, f"{said}: of three days, one each five minutes"
        exporter.rate = 100.0
        until(lambda: not incident.open)
        # What was fetched is kept: a start asks for what is lacking, and that is nothing.
        daemon.stop()
        again = house.run()
        until(lambda: again.metric("rule_evaluations_total", rule="odd") >= 3)
        assert again.metric("kept_chunks", rule="odd") >= 3
        assert again.metric("history_requests_total", source="metrics", outcome="answered") <= 3


def test_an_edit_of_the_query_drops_what_was_kept_and_fetches_it_anew(
    house: House, metrics: Metrics, pagerduty: PagerDuty
) -> None:
    metrics.past = lambda query, _at: {"old": 100.0, "new": 7.0}.get(query)
    metrics["old"], metrics["new"] = 100.0, 7.0
    unusual = '{ by = "6 mad", compared_to = "last 2 days", direction = "both", learn = "1d" }'

    def kept() -> set[float]:
        with open_store(house.store_url, read_only=True) as store:
            chunks = store.load(time.time()).chunks
        return {value for chunk in chunks.values() for value in chunk if math.isfinite(value)}

    house.rule(rule("odd", "old", unusual=unusual).replace("above = 10\n", ""))
    daemon = house.run()
    until(lambda: kept() == {100.0})
    house.rule(rule("odd", "new", unusual=unusual).replace("above = 10\n", ""))
    until(lambda: kept() == {7.0})
    until(lambda: daemon.metric("kept_chunks", rule="odd") >= 2)
    metrics["new"] = 9.0
    (incident,) = until(pagerduty.open_incidents)
    assert "the usual 7" in summary(incident)
    house.rule("")
    until(lambda: not kept())
    until(lambda: not incident.open)


def test_a_rule_speaks_only_while_a_second_source_says_so(
    house: House, pagerduty: PagerDuty, metrics: Metrics, queue: Queue
) -> None:
    asks = f'{{ source = "box", query = {{ measure = "queue_depth", queue = "{queue.name}" }}, above = 5 }}'
    house.rule(rule("errors", only_if=asks) + rule("always"))
    metrics["errors"] = metrics["always"] = 50.0
    daemon = house.run()
    (other,) = until(pagerduty.open_incidents)
    assert other.payload["payload"]["class"] == "always"
    until(lambda: daemon.metric("rule_evaluations_total", rule="errors") >= 3)
    assert daemon.metric("source_up", source="box") == 1
    assert len(pagerduty.incidents()) == 1
    queue.long(9)
    until(lambda: len(pagerduty.open_incidents()) == 2)
    metrics["errors"] = 0.0
    until(lambda: pagerduty.open_incidents() == [other])


def silenced(house: House, seconds: float) -> Silence:
    """Write the command that begins a silence, as a terminal does."""
    now = time.time()
    selector = Selector(("err*",), ("other",), MappingProxyType({}))
    silence = Silence(str(ULID()), selector, "ann", "disk swap", now, now + seconds)
    command = Command(str(ULID()), CommandKind.SILENCE, silence.id, "ann", now, silence=silence)
    with open_store(house.store_url) as store:
        store.commit(Changes(commands={command.id: command}))
    return silence


def state_of(house: House, silence: Silence) -> Silence | None:
    """Return the silence as the store has it."""
    with open_store(house.store_url, read_only=True) as store:
        return next((found for found in store.silences(9) if found.id == silence.id), None)


def firing(daemon: Running, name: str) -> bool:
    return bool(daemon.said("alert", rule=name, state="firing"))


def test_a_silence_holds_back_an_opening_until_its_time_is_over(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    house.rule(rule("errors") + rule("other"))
    daemon = house.run()
    silence = silenced(house, 8)
    until(lambda: state_of(house, silence))
    metrics["errors"] = metrics["other"] = 50.0
    (heard,) = until(pagerduty.open_incidents)
    assert heard.payload["payload"]["class"] == "other"
    until(lambda: firing(daemon, "errors"))
    until(lambda: len(pagerduty.open_incidents()) == 2)
    assert time.time() >= silence.ends_at

    def ended() -> Silence | None:
        found = state_of(house, silence)
        return found if found is not None and found.ended_at is not None else None

    found = until(ended)
    assert found is not None
    assert (found.ended_at, found.ended_because) == (silence.ends_at, "its time was over")


def test_a_silence_outlives_a_kill_and_ends_when_somebody_says_so(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    house.rule(rule("errors"))
    daemon = house.run()
    silence = silenced(house, 3600)
    until(lambda: state_of(house, silence))
    daemon.kill()
    metrics["errors"] = 50.0
    again = house.run()
    until(lambda: firing(again, "errors"))
    until(lambda: again.metric("rule_evaluations_total", rule="errors") >= 3)
    assert not pagerduty.incidents()
    command = Command(str(ULID()), CommandKind.UNSILENCE, silence.id, "bob", time.time(), "swapped")
    with open_store(house.store_url) as store:
        store.commit(Changes(commands={command.id: command}))
    until(pagerduty.open_incidents)
    found = state_of(house, silence)
    assert found is not None
    assert found.ended_because == "ended by bob: swapped"
