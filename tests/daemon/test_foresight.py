"""An edit says what it does before it does it: in the log of a reload, and from a terminal before it is saved."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from evaluator.cli.main import app
from evaluator.incidents.changes import Changes, RuleFile
from evaluator.store.store import open_store
from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.weather import hang
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, Running, rule, until


def check(house: House, *arguments: str) -> Result:
    """Return what `evaluator check --against-running` says in this installation."""
    settings = str(house.folder / "evaluator.toml")
    return CliRunner().invoke(app, ["check", "--against-running", "--config", settings, *arguments])


def effect(house: House, *arguments: str) -> dict[str, Any]:
    """Return the same for a machine."""
    found: dict[str, Any] = json.loads(check(house, "--json", *arguments).stdout)
    return found


def draft(house: House, *rules: str, name: str = "shop.toml") -> Path:
    """Write rules beside those that are in force."""
    folder = house.folder / "draft"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("\n".join(rules))
    return path


@pytest.fixture
def daemon(house: House, pagerduty: PagerDuty, metrics: Metrics) -> Running:
    """A daemon with two rules, one of which has an incident."""
    house.rule(rule("errors") + rule("waits", above="100"))
    metrics["errors"], metrics["waits"] = 20.0, 50.0
    running = house.run()
    until(pagerduty.open_incidents)
    until(lambda: running.metric("open_incidents", service="shop") == 1)
    return running


def test_a_reload_says_what_it_does_before_it_does_it(house: House, pagerduty: PagerDuty, daemon: Running) -> None:
    house.rule(rule("errors", above="30") + rule("waits", above="40"))
    until(lambda: [found.payload["payload"]["class"] for found in pagerduty.open_incidents()] == ["waits"])
    (said,) = daemon.said("reload will do this")
    assert said["does"] == "opens 1: waits; closes 1: errors"
    assert said["changed"] == ["errors", "waits"]
    lines = daemon.output.split("\n")
    before = next(number for number, line in enumerate(lines) if "reload will do this" in line)
    after = next(number for number, line in enumerate(lines) if '"what": "resolved"' in line)
    assert before < after


def test_a_reload_that_changes_no_rule_says_nothing_of_that_kind(house: House, daemon: Running) -> None:
    house.rule("# a word\n" + rule("errors") + rule("waits", above="100"))
    until(lambda: daemon.said("reloaded"))
    assert not daemon.said("reload will do this")


def test_a_source_that_hangs_delays_an_edit_by_moments_only(
    house: House, pagerduty: PagerDuty, metrics: Metrics, daemon: Running
) -> None:
    metrics.server.forecast(*[hang()] * 60)
    house.rule(rule("errors", above="30") + rule("waits", mode='"off"'))
    (said,) = until(lambda: daemon.said("reload will do this"))
    assert said["does"].endswith("cannot tell for errors")
    until(lambda: daemon.said("reloaded"))


def test_a_draft_is_tried_on_what_runs_and_changes_nothing(house: House, pagerduty: PagerDuty, daemon: Running) -> None:
    path = draft(house, rule("errors", above="30"), rule("waits", above="40"))
    found = check(house, str(path))
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert next(line for line in lines if line.startswith("opens ")).endswith("waits: 50 is above 40")
    assert any(line.startswith("closes ") and line.endswith("errors: it has recovered") for line in lines)
    assert lines[-1] == "opens 1, closes 1 (2 rules new or changed)"
    assert [each.payload["payload"]["class"] for each in pagerduty.open_incidents()] == ["errors"]
    assert not daemon.said("reloaded")


def test_a_draft_of_one_file_leaves_the_others_in_force(house: House, daemon: Running) -> None:
    path = draft(house, rule("queue", promql="waits", above="10", for_='"5m"'), name="more.toml")
    found = effect(house, str(path))["against_running"]
    assert (found["changed"], found["removed"], found["closes"]) == (["queue"], [], [])
    assert [each["rule"] for each in found["pends"]] == ["queue"]


@pytest.mark.parametrize(
    ("place", "removed"),
    [
        ("rules/sub/a.toml", ["sub"]),
        ("rules/a.toml", ["top"]),
        ("rules/new/a.toml", []),
        ("rules/sub/../a.toml", ["top"]),
        ("draft/sub/a.toml", ["sub"]),
        ("draft/a.toml", ["top"]),
        ("draft/b.toml", []),
    ],
)
def test_a_named_file_takes_the_place_of_one_file_only(house: House, place: str, removed: list[str]) -> None:
    in_force = {"a.toml": rule("top"), "sub/a.toml": rule("sub")}
    (house.folder / "var").mkdir(exist_ok=True)
    with open_store(house.store_url) as store:
        store.commit(Changes(files={name: RuleFile(name, text, 1.0) for name, text in in_force.items()}))
    path = house.folder / place
    for folder in ("rules/sub", "rules/new", "draft/sub"):
        (house.folder / folder).mkdir(parents=True, exist_ok=True)
    path.write_text(rule("fresh"))
    found = effect(house, str(path))["against_running"]
    assert (found["changed"], found["removed"]) == (["fresh"], removed)


def test_a_rule_that_the_draft_does_not_have_is_removed(house: House, daemon: Running) -> None:
    found = effect(house, str(draft(house, rule("waits", above="100"))))["against_running"]
    assert found["removed"] == ["errors"]
    assert [(each["rule"], each["why"]) for each in found["closes"]] == [("errors", "its rule was removed")]


def test_what_is_in_force_already_changes_nothing(house: House, daemon: Running) -> None:
    found = check(house)
    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines()[-1] == "Nothing changes: these rules are in force."


def test_a_source_that_is_down_is_named(house: House, metrics: Metrics, daemon: Running) -> None:
    metrics.server.stop()
    found = effect(house, str(draft(house, rule("errors", above="30"), rule("waits", above="100"))))["against_running"]
    assert list(found["unknown"]) == ["errors"]
    assert found["closes"] == []


def test_a_draft_with_a_mistake_is_not_tried(house: House, daemon: Running) -> None:
    found = check(house, str(draft(house, rule("errors", above='"a lot"'))))
    assert found.exit_code == 2
    assert "opens" not in found.stdout


def test_where_nothing_runs_there_is_nothing_to_compare_with(house: House) -> None:
    house.rule(rule("errors"))
    found = check(house)
    assert found.exit_code == 1
    assert "there is nothing to compare with" in found.stdout
    said = effect(house)
    assert said["against_running"] is None
    assert said["incomparable"]
