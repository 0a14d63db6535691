"""`evaluator silence`: what is written down, what is said, and what is refused before anything is written."""

import getpass
import json
import sqlite3
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evaluator.cli.main import app
from evaluator.engine.alerts import Alert, State, Verdict
from evaluator.engine.maintenance import Selector
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes
from evaluator.incidents.commands import CommandKind
from evaluator.incidents.silence import Silence
from evaluator.store.store import open_store

RULES = """
[defaults]
source = "host"
service = "default"
severity = "P2"
unit = "percent"
[rule.disk-full]
query = { measure = "disk" }
above = 90
[rule.memory-high]
query = "memory"
above = 90
"""
OLD = Silence("01JD000000000000000000000A", Selector(("disk-*",)), "ann", "disk swap", 1.0, 4e9)
PAST = Silence("01JD000000000000000000000B", Selector(("*",)), "ben", "old", 1.0, 2.0)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation whose daemon does not run, with an alert that fires and two silences."""
    monkeypatch.setattr("evaluator.cli.wishes.PATIENCE", 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALUATOR_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "180")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "host.toml").write_text(RULES)
    (tmp_path / "evaluator.toml").write_text(
        '[store]\nurl = "sqlite:///state.db"\n[web]\nlisten = "127.0.0.1:1"\n[sources.host]\ntype = "host"\n'
        "[services.default]\n"
    )
    firing = Alert(
        rule="disk-full", severity=Severity.P2, series=(("mount", "/"),), state=State.FIRING, since=1.0, active_at=1.0,
        clock=1.0, seen=1.0, judged=1.0, verdict=Verdict.BREACH, known=1.0, value=97.0,
    )  # fmt: skip
    with open_store(f"sqlite:///{tmp_path / 'state.db'}") as store:
        store.commit(Changes(alerts={firing.key: firing}, silences={OLD.id: OLD, PAST.id: PAST}))
    return tmp_path


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["silence", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.mark.parametrize("add", [(), ("add",)])
def test_a_silence_is_written_down_where_no_daemon_runs_and_says_what_it_covers(
    house: Path, add: tuple[str, ...]
) -> None:
    before = time.time()
    done = run(*add, "disk-*", "--series", "mount=/*", "--for", "2h", "--reason", "disk  swap", "--until-recovered")
    assert done.exit_code == 1
    assert " will silence disk-* where mount=/* until " in done.stdout
    assert "(2 h), or until that is over\n" in done.stdout
    assert "it is for 1 rule, and silences 1 alert that fires now: P2 disk-full (mount=/)\n" in done.stdout
    assert done.stderr == "written down, but no daemon has carried it out yet; it will when it runs\n"
    with open_store(f"sqlite:///{house / 'state.db'}", read_only=True) as store:
        (command,) = store.commands()
    kept = command.silence
    assert kept is not None
    assert (command.kind, command.incident, command.by) == (CommandKind.SILENCE, kept.id, getpass.getuser())
    assert kept.selector == Selector(("disk-*",), (), {"mount": "/*"})
    assert (kept.by, kept.reason, kept.ends_with_alert) == (getpass.getuser(), "disk swap", True)
    assert before <= kept.starts_at == command.at
    assert kept.ends_at == kept.starts_at + 7200


def test_a_pattern_that_names_no_rule_is_a_warning(house: Path) -> None:
    done = run("disc-full", "--except", "x", "--until", "tomorrow 03:00", "-m", "x", "--by", "ann")
    assert 'warning: no rule is called "disc-full"; did you mean disk-full?\n' in done.stderr
    assert "it is for 0 rules, of which nothing that it silences fires now" in done.stdout


def test_for_a_machine_it_is_json(house: Path) -> None:
    done = run("*", "--for", "1h", "-m", "x", "--by", "ann", "--json")
    found = json.loads(done.stdout)
    assert (found["rules"], found["by"], found["state"], found["firing_count"], found["rule_count"] >= 2) == (
        ["*"], "ann", "active", 1, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("disk-full", "-m", "x"), "say how long, with --for 2h, or until when"),
        (("disk-full", "-m", "x", "--for", "1h", "--until", "03:00"), "one of the two"),
        (("disk-full", "--for", "1h"), "reason is missing"),
        (("disk-full", "--for", "1h", "-m", " "), "reason is missing"),
        (("disk-full", "--for", "1h", "-m", "bell \x07"), "reason has control characters"),
        (("disk-full", "--for", "soon", "-m", "x"), '--for "soon" is not a duration'),
        (("disk-full", "--until", "soon", "-m", "x"), '"soon" is not a time; write "03:00", "tomorrow 03:00"'),
        (("disk-full", "--until", "2020-01-01", "-m", "x"), "must be in the future"),
        (("disk-full", "--for", "400d", "-m", "x"), "365 days at most"),
        (("disk-full", "--for", "1h", "-m", "x", "--series", "host"), "write LABEL=PATTERN"),
        (("disk-full", "--for", "1h", "-m", "x", "--series", "=x\x1b"), "write LABEL=PATTERN"),
        (("x" * 501, "--for", "1h", "-m", "x"), "rules has a pattern"),
        (("disk-full", "--for", "1h", "-m", "x", "--by", ""), "by is missing"),
        (("--for", "1h", "-m", "x"), "RULE"),
    ],
)
def test_what_is_not_clear_is_one_sentence_and_nothing_is_written(
    house: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert "\x1b" not in done.stderr
    with open_store(f"sqlite:///{house / 'state.db'}", read_only=True) as store:
        assert store.commands() == []


def test_a_rule_that_is_called_like_a_command_is_named_after_dashes(house: Path) -> None:
    done = run("--", "list")
    assert (done.exit_code, "say how long" in done.stderr) == (2, True)
    assert run("--for", "1h", "-m", "x", "list").exit_code == 1


def test_help_has_the_commands_and_the_short_form() -> None:
    text = " ".join(run("--help").stdout.split())
    for words in ("evaluator silence RULE... --for 2h --reason TEXT", "add", "list", "end"):
        assert words in text
    assert "--until-recovered" in run("add", "--help").stdout


def test_without_a_daemon_the_store_is_listed_and_that_is_said(house: Path) -> None:
    done = run("list")
    assert "This is what the store says:" in done.stderr
    lines = done.stdout.splitlines()
    assert (len(lines), lines[1].split()[:2]) == (2, [OLD.id, "disk-*"])
    found = json.loads(run("list", "--all", "--json").stdout)["silences"]
    assert [(each["id"], each["state"], each["firing_count"]) for each in found] == [
        (PAST.id, "ended", 1),
        (OLD.id, "active", 1),
    ]
    assert "its time was over" in run("list", "--all").stdout


def test_kept_samples_are_not_read_for_a_list_or_a_silence(house: Path) -> None:
    with sqlite3.connect(house / "state.db") as database:
        database.execute("DROP TABLE observations")
    listed = run("list")
    assert (listed.exit_code, "disk swap" in listed.stdout) == (0, True)
    assert "silences 1 alert that fires now" in run("disk-*", "--for", "2h", "--reason", "swap").stdout


def test_where_there_is_none_that_is_said(tmp_path: Path, house: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'state.db'}") as store:
        store.commit(Changes(silences={OLD.id: None, PAST.id: None}))
    assert run("list").stdout == "No silence is in force.\n"
    assert run("list", "--all").stdout == "There was no silence.\n"


def test_an_end_is_written_down_where_no_daemon_runs(house: Path) -> None:
    done = run("end", OLD.id.lower(), "--by", "ben")
    assert (done.exit_code, done.stdout) == (1, "")
    with open_store(f"sqlite:///{house / 'state.db'}", read_only=True) as store:
        (command,) = store.commands()
    assert (command.kind, command.incident, command.by, command.silence) == (
        CommandKind.UNSILENCE, OLD.id, "ben", None,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["", "x" * 101, "ann\x1b[2J"])
def test_who_ends_it_is_a_plain_name(house: Path, name: str) -> None:
    done = run("end", OLD.id, "--by", name)
    assert (done.exit_code, done.stderr.startswith("evaluator: by ")) == (2, True)
    with open_store(f"sqlite:///{house / 'state.db'}", read_only=True) as store:
        assert store.commands() == []


def test_what_is_over_or_was_never_there_cannot_end(house: Path) -> None:
    assert (run("end", PAST.id).exit_code, run("end", PAST.id).stdout) == (0, f"{PAST.id} has ended already\n")
    done = run("end", "nosuch\x1b[31m")
    assert done.exit_code == 1
    assert done.stderr.startswith("evaluator: there is no silence NOSUCH")
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("arguments", [("*", "--for", "1h", "-m", "x"), ("list",), ("end", OLD.id)])
def test_without_settings_or_store_it_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALUATOR_CONFIG", raising=False)
    (tmp_path / "evaluator.toml").write_text('[web]\nlisten = "127.0.0.1:1"\n[store]\nurl = "sqlite:///none.db"\n')
    done = run(*arguments)
    assert done.exit_code == 1
    assert done.stderr.count("Traceback") == 0
    assert "none.db" in done.stderr
    assert not (tmp_path / "none.db").exists()
