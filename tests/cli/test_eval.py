"""`evaluator eval` on real sources: what it shows, and its exit codes."""

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evaluator.cli.judged import EARLIER, judge, nothing_there
from evaluator.cli.main import app
from evaluator.engine.alerts import Verdict
from evaluator.engine.rules import Limit, Op, Query, Recover, Rule, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Comparison, Missed, Unusual
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

[rule.gated]
severity = "P2"
query = { measure = "disk", mount = "/" }
above = 0.0001
only_if = { query = { measure = "disk", mount = "/" }, above = 101, unit = "percent" }

[rule.gated-blind]
severity = "P2"
query = { measure = "disk", mount = "/" }
above = 0.0001
only_if = { source = "down", query = "memory_percent", above = 1 }

[rule.climbs]
severity = "P2"
query = { measure = "disk", mount = "/" }
rising = { by = "10%", over = "1h" }

[rule.climbs-from-high]
severity = "P2"
query = { measure = "disk", mount = "/" }
rising = { by = "10%", over = "1h" }
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


def test_it_shows_whether_only_if_holds_and_what_that_means(config: Path) -> None:
    result = call(config, "gated")
    assert result.exit_code == 0, result.output
    assert "only_if  host:" in result.stdout
    assert "above 101 %" in result.stdout
    assert "does not hold: " in result.stdout
    assert "only_if does not hold, or is not known, for 1 of these: nothing opens there." in result.stdout
    data = json.loads(call(config, "gated", "--json").stdout)
    assert (data["only_if"]["limit"], data["only_if"]["error"]) == ("above 101 %", None)
    (series,) = data["series"]
    assert series["only_if"]["holds"] is False
    assert series["verdicts"] == {"P2": "breach"}


def test_an_only_if_that_is_not_answered_is_exit_1_and_the_values_are_shown(config: Path) -> None:
    result = call(config, "gated-blind")
    assert result.exit_code == 1
    assert "refused: " in result.stdout
    assert "mount=/" in result.stdout
    data = json.loads(call(config, "gated-blind", "--json").stdout)
    assert (data["error"], data["only_if"]["error"]["reason"]) == (None, "refused")
    assert data["series"][0]["only_if"]["holds"] is None
    assert "s3cret" not in result.stdout + json.dumps(data)


def test_what_takes_earlier_samples_is_the_daemons_and_it_is_said_who_knows(config: Path) -> None:
    result = call(config, "climbs")
    assert result.exit_code == 0, result.output
    assert "needs earlier samples" in result.stdout
    assert "1 series, none in breach." in result.stdout
    assert "`evaluator why climbs` says what it sees." in result.stdout
    known = call(config, "climbs-from-high").stdout
    assert "clear" in known
    assert "earlier" not in known


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
    rows = judge(rule, Samples([{"i": str(number)} for number in range(5)], values), None, 0.0)
    assert [row.labels["i"] for row in rows] == ["4", "2", "3", "1", "0"]


def test_of_several_samples_of_a_series_the_newest_is_shown() -> None:
    rule = Rule("r", Query("s", "{}"), (Tier(Severity.P1, Limit(Op.ABOVE, 90)),))
    (row,) = judge(rule, Samples([{}, {}, {}], [1.0, 3.0, 2.0], at=[10, 30, 20]), None, 0.0)
    assert row.value == 3.0


NOW = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC."""
MISSED = Missed("0 2 * * *", "UTC", 1200.0)


def test_missed_runs_are_judged_with_the_numbers() -> None:
    rule = Rule("r", Query("s", "{}"), (Tier(Severity.P1, None, missed=MISSED),), unit="time")
    rows = judge(rule, Samples([{"job": "old"}, {"job": "new"}], [NOW - 90_000, NOW - 3600]), None, NOW)
    assert [(row.labels["job"], row.verdicts) for row in rows] == [
        ("old", (Verdict.BREACH,)),
        ("new", (Verdict.CLEAR,)),
    ]
    assert rows[0].said == (
        "no success since 2026-09-20 13:13:20 UTC; one was due at 2026-09-21 02:00:00 UTC, 20m of grace are over",
    )


def test_an_answer_without_series_says_what_that_means_to_missed_and_absent() -> None:
    absent = Rule("r", Query("s", "{}"), (Tier(Severity.P1, None, absent=True),), every=60.0)
    assert list(nothing_there(absent, NOW)) == ["P1: a breach once that has been so for 3m"]
    assert judge(absent, Samples([{}], [1.0]), None, NOW)[0].verdicts == (Verdict.CLEAR,)
    missed = Rule("r", Query("s", "{}"), (Tier(Severity.P2, None, missed=MISSED),), unit="time")
    assert list(nothing_there(missed, NOW)) == [
        (
            "P2: breach, if the rule never had any: never a success; one was due at 2026-09-21 02:00:00 UTC,"
            " 20m of grace are over"
        )
    ]
    assert list(nothing_there(Rule("r", Query("s", "{}"), (Tier(Severity.P1, Limit(Op.ABOVE, 1)),)), NOW)) == []


def test_a_value_that_is_none_needs_no_earlier_samples() -> None:
    unusual = Tier(Severity.P1, None, unusual=Unusual(4.0, 86_400.0, Comparison.LAST_DAYS))
    rows = judge(Rule("r", Query("s", "{}"), (unusual,)), Samples([{"i": "a"}, {"i": "b"}], [1.0, math.nan]), None, NOW)
    assert [(row.verdicts, row.said) for row in rows] == [((Verdict.UNKNOWN,), (EARLIER,)), ((Verdict.UNKNOWN,), ("",))]
