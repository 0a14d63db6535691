"""`evaluator eval` on real sources: what it shows, and its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evaluator.cli.eval import judge
from evaluator.cli.main import app
from evaluator.engine.rules import Limit, Op, Query, Recover, Rule, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.testing.peers import nobody

RULES = """
[defaults]
source = "host"
service = "ops"
unit = "percent"

[rule.disk]
query = { measure = "disk", mount = "/" }
P1 = { above = 0.0001, for = "5m" }
P2 = { above = 0.00001 }

[rule.cpu]
severity = "P2"
query = "cpu"
above = 101

[rule.nowhere]
severity = "P2"
query = { measure = "disk", mount = "/no/such/mount" }
above = 90

[rule.down]
source = "down"
severity = "P2"
query = "memory_percent"
above = 90

[rule.dark]
source = "dark"
severity = "P2"
query = "cpu"
above = 90
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.toml").write_text(RULES)
    path = tmp_path / "evaluator.toml"
    path.write_text(
        'rules = "rules"\n[sources.host]\ntype = "host"\n[sources.dark]\ntype = "host"\nenabled = false\n'
        f'[sources.down]\ntype = "redis"\nurl = "redis://:s3cret@127.0.0.1:{nobody()}/0"\n'
        '[services.ops]\ntitle = "Operations"\n'
    )
    return path


def call(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments, "--config", str(config)])


def test_it_shows_series_value_limit_and_verdict(config: Path) -> None:
    result = call(config, "disk")
    assert result.exit_code == 0, result.output
    assert "mount=/" in result.stdout
    assert "P1  above 0.0001 %" in result.stdout
    assert result.stdout.count("breach") == 2
    assert "1 of 1 series beyond a limit. How long that must last is judged by the daemon." in result.stdout


def test_a_machine_reads_the_same(config: Path) -> None:
    result = call(config, "disk", "--json")
    data = json.loads(result.stdout)
    assert data["error"] is None
    assert data["tiers"][0] == {"severity": "P1", "limit": "above 0.0001 %"}
    (series,) = data["series"]
    assert series["labels"]["mount"] == "/"
    assert series["verdicts"] == {"P1": "breach", "P2": "breach"}


def test_what_needs_two_readings_is_asked_twice(config: Path) -> None:
    result = call(config, "cpu", "--json")
    (series,) = json.loads(result.stdout)["series"]
    assert 0 <= series["value"] <= 100
    assert series["verdicts"] == {"P2": "clear"}


@pytest.mark.parametrize(
    ("rule", "words"),
    [("nowhere", "bad_query: nothing is mounted at"), ("down", "refused: "), ("dark", "switched off")],
)
def test_a_source_that_does_not_answer_is_exit_1_and_says_why(config: Path, rule: str, words: str) -> None:
    result = call(config, rule)
    assert result.exit_code == 1
    assert words in result.stdout
    assert "s3cret" not in result.output
    assert json.loads(call(config, rule, "--json").stdout)["error"]["message"]


def test_an_unknown_rule_is_exit_2_with_the_one_that_was_meant(config: Path) -> None:
    result = call(config, "dsik")
    assert result.exit_code == 2
    assert 'there is no rule "dsik"; did you mean "disk"?' in result.stderr


def test_settings_that_are_wrong_are_exit_2(tmp_path: Path) -> None:
    (tmp_path / "evaluator.toml").write_text("nonsense = 1\n")
    result = call(tmp_path / "evaluator.toml", "disk")
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


def test_the_worst_series_comes_first() -> None:
    tier = Tier(Severity.P1, Limit(Op.ABOVE, 90), recover=Recover(Limit(Op.BELOW, 80)))
    rule = Rule("r", Query("s", "{}"), (tier,))
    values = [50.0, float("nan"), 95.0, 85.0, 99.0]
    rows = judge(rule, Samples([{"i": str(number)} for number in range(5)], values))
    assert [row.labels["i"] for row in rows] == ["4", "2", "3", "1", "0"]


def test_of_several_samples_of_a_series_the_newest_is_shown() -> None:
    rule = Rule("r", Query("s", "{}"), (Tier(Severity.P1, Limit(Op.ABOVE, 90)),))
    (row,) = judge(rule, Samples([{}, {}, {}], [1.0, 3.0, 2.0], at=[10, 30, 20]))
    assert row.value == 3.0
