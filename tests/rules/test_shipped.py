"""What ships is what was agreed: each rule with its service, severities and limits; each with its runbook page."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evaluator.config.load import load
from evaluator.config.plugins import installed
from evaluator.engine.rules import Rule
from evaluator.engine.wording import tier_text
from tests.rules.shipped import KEYS, ROOT, shipped

RUNBOOKS = ROOT / "docs" / "runbooks"
AGREED = {
    "api-platform": {
        "error-rate": ["P0 above 5 % for 2m", "P1 above 2 % for 5m", "P2 above 0.5 % for 15m"],
        "slow-queries": ["P3 above 100 ms for 15m"],
    },
    "database": {
        "connection-pool": ["P2 above 90 % for 5m"],
        "database-down": ["P0 equal to 0 for 1m"],
        "redis-down": ["P1 equal to 0 for 1m"],
        "slow-queries-increasing": ["P3 rising by 50 % within 3h and above 20 ms for 15m"],
    },
    "payments": {
        "payment-webhook-failures": ["P0 above 0 for 2m"],
        "stripe-api-errors": ["P0 above 5 % for 2m"],
        "payment-processing-time": ["P1 above 30 s for 5m"],
        "refund-rate-unusual": ["P2 more than 6 MAD above what is usual and above 2 % for 30m"],
    },
    "background-jobs": {
        "workers-down": ["P1 equal to 0 for 2m"],
        "task-queue-long": ["P2 above 1000 for 10m"],
        "task-failures": ["P2 above 10 % for 5m"],
        "scheduled-tasks-missed": ["P3 above 0 for 2m"],
    },
    "authentication": {
        "auth-down": ["P0 equal to 0 for 1m"],
        "login-failures": ["P1 above 20 % for 10m"],
        "session-errors-increasing": ["P2 rising by 50 % within 30m and above 10 for 5m"],
        "session-store-down": ["P2 equal to 0 for 1m"],
        "session-store-evictions": ["P2 above 0 for 5m"],
    },
    "infrastructure": {
        "ec2-instance-down": ["P0 above 0 for 2m"],
        "cpu-high": ["P1 above 90 % for 10m"],
        "disk-full": ["P2 above 85 % for 15m"],
        "network-errors": ["P2 rising by 50 % within 10m and above 10 for 2m"],
    },
}
"""By service: each rule's limits, as people read them."""
SHIPPED = {rule.name: rule for rule in shipped().rules if Path(rule.file).suffix == ".toml"}
"""Without those that are built in."""


def limits(rule: Rule) -> list[str]:
    return [f"{tier.severity} {tier_text(tier, rule.unit)} for {tier.for_ / 60:g}m" for tier in rule.tiers]


def test_the_rules_are_those_that_were_agreed() -> None:
    found: dict[str, dict[str, list[str]]] = {}
    for rule in SHIPPED.values():
        found.setdefault(rule.service, {})[rule.name] = limits(rule)
    assert found == AGREED


def test_each_service_has_a_file_and_a_routing_key() -> None:
    assert {path.stem for path in (ROOT / "rules").iterdir()} == set(AGREED)
    assert all(rule.file.endswith(f"/{rule.service}.toml") for rule in SHIPPED.values())
    loaded = load(ROOT / "evaluator.toml", KEYS)
    assert loaded.problems == ()
    assert loaded.notes == {}


def test_with_every_source_enabled_every_rule_is_judged_and_nothing_is_wrong() -> None:
    credentials = {
        "postgres": {"url": "postgresql://evaluator@localhost/postgres"},
        "pgbouncer": {"url": "postgresql://evaluator@localhost:6432/pgbouncer"},
        "celery": {"broker": "redis://localhost"},
        "stripe": {"token": "rk_test_0123456789"},
        "sentry": {"token": "a-token"},
        "uptimerobot": {"token": "a-token"},
    }
    declared = tomllib.loads((ROOT / "evaluator.toml").read_text())["sources"]
    loaded = shipped(**{name: credentials.get(name, {}) for name in declared})
    assert loaded.problems == ()
    assert [rule.name for rule in loaded.rules if not rule.judged] == []


@pytest.mark.parametrize("rule", SHIPPED.values(), ids=lambda rule: rule.name)
def test_a_rule_is_whole(rule: Rule) -> None:
    assert rule.summary
    assert len(re.findall(r"[.?!](?= |$)", rule.description)) >= 2, "what it means, and where to look first"
    assert rule.runbook == f"https://runbooks.example.com/{rule.name}"
    for tier in rule.tiers:
        assert tier.for_, "one odd sample is no incident"
        assert tier.for_ >= 2 * rule.step
        assert tier.recover.for_, "what comes and goes is one incident"


@pytest.mark.parametrize("rule", SHIPPED.values(), ids=lambda rule: rule.name)
def test_a_rule_says_in_the_file_how_to_tune_it(rule: Rule) -> None:
    lines = (ROOT / "rules" / Path(rule.file).name).read_text().splitlines()
    comment = []
    for line in reversed(lines[: rule.line - 1]):
        if not line.startswith("#"):
            break
        comment.append(line)
    assert any(line.startswith("# To tune: ") for line in comment)


def test_each_rule_has_a_page_and_each_page_a_rule() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == set(SHIPPED)


@pytest.mark.parametrize("rule", SHIPPED.values(), ids=lambda rule: rule.name)
def test_a_page_tells_everything_that_is_needed_at_night(rule: Rule) -> None:
    text = (RUNBOOKS / f"{rule.name}.md").read_text()
    assert text.startswith(f"# {rule.name}\n")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["What it means", "How to look", "How to mend", "How to tune", "When it is a false alarm"]
    for section in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]:
        assert len(section.split()) >= 10
    looking = text.split("## How to look")[1].split("\n## ")[0]
    assert "```" in looking, "something to copy"
    assert f"evaluator eval {rule.name}" in looking
    assert f"{rule.service}.toml" in text
    assert f"`[sources.{rule.source}]`" in text
    for tier in rule.tiers:
        assert tier.severity in text
    row = f"[{rule.name}]({rule.name}.md)"
    assert row in (RUNBOOKS / "README.md").read_text()


def queries(text: str) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield each query that a comment or a page names, with its source where that stands right before it."""
    text = re.sub(r"\n#? *", " ", text)
    for found in re.finditer(r"\{ (?:measure|namespace) = ", text):
        depth, end = 1, found.start()
        while depth:
            end += 1
            depth += {"{": 1, "}": -1}.get(text[end], 0)
        before = re.search(r'source = "(\w+)"`?, +`?query = $', text[: found.start()])
        table = tomllib.loads(f"query = {text[found.start() : end + 1]}")["query"]
        yield before and before[1], table


@pytest.mark.parametrize(
    "path", [*(ROOT / "rules").iterdir(), *RUNBOOKS.glob("*.md")], ids=lambda path: path.name.partition(".")[0]
)
def test_what_a_comment_or_a_page_offers_instead_is_a_query_that_a_source_takes(path: Path) -> None:
    types = installed().sources
    for source, table in queries(path.read_text()):
        takes = []
        for name in [source] if source else types:
            with suppress(ValidationError):
                types[name].Query.model_validate(table)
                takes.append(name)
        assert takes, (source, table)
