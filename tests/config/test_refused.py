"""Queries that fit their model, and to which the settings of their source have no answer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.config.load import load

SETTINGS = """\
[sources.probes]
type = "http"
{enabled}
[sources.probes.targets.auth]
url = "http://auth.example.com/"
ca = "ours/ca.pem"
[sources.probes.targets.shop-eu]
url = "https://shop.example.com/"

[sources.db]
type = "postgres"
host = "db.example.com"
timeout = "5s"

[sources.jobs]
type = "celery"
broker = "redis://broker.example.com"
{schedule}
"""
SCHEDULE = 'schedule = { nightly = { task = "shop.clean", every = "1d" } }'
RULE = """\
[rule.probe]
source   = "{source}"
severity = "P2"
above    = 1
query    = {query}
"""
Write = Callable[..., list[str]]


@pytest.fixture
def errors(tmp_path: Path) -> Write:
    def check(source: str, query: str, *, enabled: bool = True, schedule: str = SCHEDULE) -> list[str]:
        """Return where and how a rule with this query is wrong."""
        (tmp_path / "rules").mkdir(exist_ok=True)
        switch = "" if enabled else "enabled = false"
        (tmp_path / "evaluator.toml").write_text(SETTINGS.format(enabled=switch, schedule=schedule))
        (tmp_path / "rules" / "a.toml").write_text(RULE.format(source=source, query=query))
        loaded = load(tmp_path / "evaluator.toml", {})
        return [f"{each.headline} | {each.hint}" for each in loaded.problems if each.error]

    return check


@pytest.mark.parametrize("enabled", [True, False])
def test_a_target_that_is_mistyped_is_found_where_it_is_written(errors: Write, *, enabled: bool) -> None:
    assert errors("probes", '{ measure = "up", target = "auth" }', enabled=enabled) == []
    assert errors("probes", '"up"', enabled=enabled) == []
    (wrong,) = errors("probes", '{ measure = "up", target = "auht" }', enabled=enabled)
    assert wrong == ('rules/a.toml:5:39: there is no target "auht" in source "probes" | did you mean "auth"?')
    (listed,) = errors("probes", '{ measure = "up", target = ["auth", "shop"] }', enabled=enabled)
    assert listed.startswith('rules/a.toml:5:48: there is no target "shop" in source "probes"')


@pytest.mark.parametrize(
    ("source", "query", "at", "what"),
    [
        ("probes", '{ measure = "up", target = "x*" }', '"x*"', "no target is meant by x*"),
        (
            "probes",
            '{ measure = "tls_days_left", target = "auth" }',
            '"auth"',
            "is not for the target auth",
        ),
        ("probes", '"match"', '"match"', "`match` or `not_match`"),
        ("db", '{ measure = "sql", sql = "SELECT 1", statement_timeout = "6s" }', '"6s"', "at most 5s (`timeout`)"),
        ("jobs", '{ measure = "missed_runs", name = "nightli" }', '"nightli"', 'did you mean "nightly"?'),
        ("jobs", '{ measure = "last_run", task = ["shop.claen"] }', '"shop.claen"', 'did you mean "shop.clean"?'),
    ],
)
def test_what_settings_cannot_answer_says_why(errors: Write, source: str, query: str, at: str, what: str) -> None:
    (wrong,) = errors(source, query)
    assert wrong.startswith(f"rules/a.toml:5:{len('query    = ') + query.index(at) + 1}: ")
    assert what in wrong


def test_what_only_the_other_side_knows_is_not_refused(errors: Write) -> None:
    assert errors("jobs", '{ measure = "missed_runs", name = "nightly" }') == []
    assert errors("jobs", '{ measure = "missed_runs" }') == []
    elsewhere = f'redbeat_url = "redis://beat.example.com"\n{SCHEDULE}'
    assert errors("jobs", '{ measure = "missed_runs", name = "hourly" }', schedule=elsewhere) == []
    assert errors("jobs", '{ measure = "failure_ratio", task = "other" }') == []


def test_files_of_targets_are_relative_to_the_settings(errors: Write, tmp_path: Path) -> None:
    assert errors("probes", '"up"') == []
    settings = load(tmp_path / "evaluator.toml", {}).settings
    assert settings is not None
    assert settings.sources["probes"].settings.targets["auth"].ca == tmp_path / "ours" / "ca.pem"  # type: ignore[union-attr]  # The model of `http`.
