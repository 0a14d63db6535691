"""Each source has a page, and the page has every measure, key, unit and label that the code has."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from evaluator.sources import (
    celery_query,
    host_query,
    http_query,
    pgbouncer_query,
    postgres_query,
    redis_query,
    self_query,
    sentry_query,
    stripe_query,
    uptimerobot_query,
)
from evaluator.sources.celery import CelerySource
from evaluator.sources.cloudwatch import CloudWatchSource
from evaluator.sources.host import HostSource
from evaluator.sources.http import HttpSource
from evaluator.sources.pgbouncer import PgBouncerSource
from evaluator.sources.postgres import PostgresSource
from evaluator.sources.prometheus import PrometheusSource
from evaluator.sources.redis import RedisSource
from evaluator.sources.self_source import SelfSource
from evaluator.sources.sentry import SentrySource
from evaluator.sources.stripe import StripeSource
from evaluator.sources.uptimerobot import UptimeRobotSource
from evaluator.testing.sources import query

PAGES = Path(__file__).parents[2] / "docs" / "sources"
SOURCES: dict[str, Any] = {
    "cloudwatch": CloudWatchSource,
    "celery": CelerySource,
    "host": HostSource,
    "http": HttpSource,
    "pgbouncer": PgBouncerSource,
    "postgres": PostgresSource,
    "prometheus": PrometheusSource,
    "redis": RedisSource,
    "self": SelfSource,
    "uptimerobot": UptimeRobotSource,
    "stripe": StripeSource,
    "sentry": SentrySource,
}
MEASURES = {
    "cloudwatch": ("metric", "expression", "up"),
    "celery": get_args(celery_query.Measure),
    "host": get_args(host_query.Measure),
    "http": get_args(http_query.Measure),
    "pgbouncer": get_args(pgbouncer_query.Measure),
    "postgres": get_args(postgres_query.Measure),
    "prometheus": ("promql", "up"),
    "redis": get_args(redis_query.Measure),
    "self": get_args(self_query.Measure),
    "uptimerobot": get_args(uptimerobot_query.Measure),
    "stripe": get_args(stripe_query.Measure),
    "sentry": get_args(sentry_query.Measure),
}


PARTS: dict[str, list[Any]] = {"http": [http_query.HttpTarget]}
"""Models of tables within a source's settings."""
PLAIN_SHARES = {"host": {"cpu", "memory", "swap", "disk", "disk_inodes"}}
"""Percents that go without the ending, since everybody calls them so."""
SECRETS = {"broker": "redis://localhost", "url": "redis://localhost", "token": "rk_live_t"}
"""What a reference stands for, where not any text will do."""


def filled(key: str, value: object) -> object:
    """Return a setting with each reference to the environment in it replaced by a text."""
    if not isinstance(value, dict):
        return value
    if set(value) == {"env"}:
        return SECRETS.get(key, "x")
    return {name: filled(name, inner) for name, inner in value.items()}


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SOURCES)
def test_each_measure_has_a_row(name: str) -> None:
    section = page(name).split("## Measures")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    assert sorted(rows) == sorted(MEASURES[name])


@pytest.mark.parametrize("name", SOURCES)
def test_a_share_is_called_by_its_unit(name: str) -> None:
    section = page(name).split("## Measures")[1].split("\n## ")[0]
    unit = dict(re.findall(r"^\| `(\w+)` \| (\w+)", section, re.MULTILINE))
    plain = PLAIN_SHARES.get(name, set())
    assert {each for each in unit if unit[each] == "ratio"} == {each for each in unit if each.endswith("_ratio")}
    assert {each for each in unit if unit[each] == "percent"} - plain == {each for each in unit if "_percent" in each}


def test_the_list_of_sources_has_each_once() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\((\w+)\.md\)", page("README"), re.MULTILINE)
    assert rows == [(name, name) for name in sorted(SOURCES)]


def test_a_key_of_several_sources_is_of_one_kind_in_all() -> None:
    kinds: dict[str, set[str]] = {}
    for each in SOURCES.values():
        for key, value in each.Settings.model_json_schema().get("properties", {}).items():
            kinds.setdefault(key, set()).update(one.get("type", "") for one in value.get("anyOf", [value]))
    mixed = {key: sorted(kind - {"null"}) for key, kind in kinds.items() if len(kind - {"null"}) > 1}
    assert mixed == {"max_size": ["integer", "string"]}, "a size is a number of bytes, or a text with a unit"


@pytest.mark.parametrize("name", SOURCES)
def test_each_setting_has_a_row(name: str) -> None:
    section = page(name).split("## Settings")[1].split("\n## ")[0]
    rows = [key for cell in re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE) for key in re.findall(r"\w+", cell)]
    models = [SOURCES[name].Settings, *PARTS.get(name, [])]
    assert sorted(rows) == sorted(key for model in models for key in model.model_fields)


@pytest.mark.parametrize("name", SOURCES)
def test_each_key_of_a_query_is_told_of(name: str) -> None:
    for key in SOURCES[name].Query.model_fields:
        assert re.search(rf"`{key}`|\b{key} = ", page(name)), key


@pytest.mark.parametrize("name", SOURCES)
def test_the_examples_are_right(name: str) -> None:
    rules = 0
    for example in re.findall(r"```toml\n(.*?)```", page(name), re.DOTALL):
        document = tomllib.loads(example)
        for keys in document.get("rule", {}).values():
            written = keys["query"]
            query(SOURCES[name], {SOURCES[name].Query.shorthand: written} if isinstance(written, str) else written)
            rules += 1
        for keys in document.get("sources", {}).values():
            settings = {key: filled(key, value) for key, value in keys.items() if key != "type"}
            SOURCES[name].Settings.model_validate(settings)
    assert rules


def test_the_user_of_the_page_may_do_everything(redis_url: str) -> None:
    import redis as redis_py  # Only this test needs it.

    from evaluator.engine.samples import Samples
    from evaluator.testing.sources import build, polled, run

    found = re.search(r"^ACL SETUSER evaluator (.*)$", page("redis"), re.MULTILINE)
    assert found is not None
    with redis_py.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", "evaluator", *found[1].split())
        admin.xgroup_create("documented", "group", mkstream=True)
        needs = {"queue": "q", "stream": "documented", "field": "connected_slaves"}
        asked = []
        for measure in MEASURES["redis"]:
            wanted = {"queue_depth": ["queue"], "info": ["field"]}.get(
                measure, ["stream"] if "stream" in measure else []
            )
            asked.append(query(RedisSource, {"measure": measure, **{key: needs[key] for key in wanted}}))
        source = build(RedisSource, {"url": redis_url, "username": "evaluator", "password": "PASSWORD"})
        (answers,) = run(polled(source, asked))
        admin.execute_command("ACL", "DELUSER", "evaluator")
        admin.delete("documented")
    for one, answer in zip(asked, answers, strict=True):
        assert isinstance(answer, Samples), (one, answer)
