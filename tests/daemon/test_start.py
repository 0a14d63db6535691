"""A start that cannot be: an exit code, and what is to be mended, for a person."""

import contextlib
import socket
import sqlite3

import pytest

from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.peers import nobody, peer
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, Running, rule, settings, until


def refused(daemon: Running, code: int) -> str:
    """Return what a start said that ended with this exit code: no log, no traceback."""
    assert daemon.ended() == code, daemon.output
    assert "Traceback" not in daemon.output
    assert not daemon.said("started")
    return daemon.output


def sentence(daemon: Running) -> str:
    """Return the one sentence that a start said."""
    (line,) = refused(daemon, 1).strip().splitlines()
    assert line.startswith("not started: ")
    return line


def test_wrong_settings_and_rules_are_told_all_at_once(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.settle(settings(pagerduty.url, metrics.url, top='instance = "a b"\nevery = "soon"', more="[servces.x]"))
    house.rule(rule("errors", abov="5", service='"shpo"'))
    house.rule("[rule.broken\n", "broken.toml")
    said = refused(house.start(fork=False), 2)
    for expected in (
        "evaluator.toml:1:",
        "evaluator.toml:2:",
        "servces",
        "rules/shop.toml:",
        'did you mean "shop"',
        "rules/broken.toml:1:",
        "not started",
    ):
        assert expected in said


def test_without_settings_it_says_where_they_were_looked_for(house: House) -> None:
    (house.folder / "evaluator.toml").unlink()
    said = refused(house.start("--log-level", "info"), 2)
    assert "no settings found: looked for --config, $EVALUATOR_CONFIG, ./evaluator.toml" in said
    assert "there is no settings file none.toml" in refused(house.start("--config", "none.toml"), 2)


def test_a_taken_port_is_named(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        house.settle(settings(pagerduty.url, metrics.url, web=f'[web]\nlisten = "{place}"'))
        assert place in sentence(house.start())
    assert not pagerduty.log, "a daemon that cannot start says nothing to anybody"


def test_a_store_that_cannot_be_made(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    (house.folder / "var").write_text("a file where a folder should be")
    assert "var" in sentence(house.start())


def test_a_store_that_is_no_database(house: House) -> None:
    house.rule(rule("errors"))
    (house.folder / "var").mkdir()
    (house.folder / "var" / "evaluator.db").write_text("not a database at all" * 100)
    assert "it is not an SQLite database" in sentence(house.start())


def test_a_store_of_a_newer_version_is_left_alone(house: House) -> None:
    house.rule(rule("errors"))
    house.run().stop()
    path = house.folder / "var" / "evaluator.db"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE evaluator_revision SET version_num = '9fff'")
    assert "was written by a newer evaluator" in sentence(house.start())


def test_a_second_daemon_is_refused_and_the_first_goes_on(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    first = house.run()
    assert "already used by evaluator test" in sentence(house.start())
    metrics["errors"] = 20.0
    until(pagerduty.open_incidents)
    assert first.stop() < 10


@pytest.mark.parametrize("kind", ["nobody", "silent"])
def test_a_database_server_that_does_not_answer(
    house: House, pagerduty: PagerDuty, metrics: Metrics, kind: str
) -> None:
    house.rule(rule("errors"))
    with peer() as silent:
        port = nobody() if kind == "nobody" else silent.port
        url = f"postgresql+psycopg://evaluator:correct-horse@127.0.0.1:{port}/evaluator"
        house.settle(settings(pagerduty.url, metrics.url, store=f'[store]\nurl = "{url}"'))
        said = sentence(house.start())
    assert f"127.0.0.1:{port}" in said
    assert "correct-horse" not in said


def test_a_first_start_with_a_broken_rule_file_is_refused(house: House) -> None:
    house.rule("[rule.errors\n")
    assert "rules/shop.toml:1:" in refused(house.start(), 2)


def test_a_wrong_log_level_is_a_usage_error(house: House) -> None:
    assert "loud" in refused(house.start("--log-level", "loud"), 2)
