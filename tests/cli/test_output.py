"""Every command where its output cannot be written, or not in these letters: a sentence, and never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes
from evaluator.incidents.incident import CloseReason, Incident, IncidentState
from evaluator.store.store import open_store

ID = "01JD000000000000000000000A"
RULE = """
[rule.memory]
source = "host"
severity = "P2"
query = "memory"
above = 101
summary = "Speicher läuft voll ●: {value}"
"""
COMMANDS = {
    "check": ["check"],
    "check --json": ["check", "--json"],
    "schema": ["schema"],
    "incidents": ["incidents", "--all"],
    "incident": ["incidents", ID],
    "incidents --json": ["incidents", "--all", "--json"],
    "eval": ["eval", "memory"],
    "resolve": ["resolve", ID],
    "help": ["--help"],
    "version": ["--version"],
}
"""What prints to stdout without a daemon."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Settings with a rule, a store with an incident that has ended, and no daemon."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "memory.toml").write_text(RULE)
    settings = '[sources.host]\ntype = "host"\n[web]\nlisten = "127.0.0.1:1"\n[store]\nurl = "sqlite:///state.db"\n'
    (tmp_path / "evaluator.toml").write_text(settings)
    incident = Incident(
        id=ID, rule="memory", group=(), service="ops", severity=Severity.P1, state=IncidentState.RESOLVED,
        opened_at=1.0, active_at=1.0, updated_at=1.0, closed_at=2.0, close_reason=CloseReason.RESOLVED_BY_HUMAN,
        title="Speicher läuft voll ●", why="95 % is above 90 % …",
    )  # fmt: skip
    with open_store(f"sqlite:///{tmp_path / 'state.db'}") as store:
        store.commit(Changes(incidents={ID: incident}))
    return tmp_path


def run(
    folder: Path, *arguments: str, stdout: int = subprocess.PIPE, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "evaluator", *arguments],
        cwd=folder, env={**os.environ, **(environ or {})},
        stdout=stdout, stderr=subprocess.PIPE, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_sentence(folder: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(folder, *COMMANDS[command], stdout=full.fileno())
    said = [each for each in done.stderr.decode().splitlines() if "the store says" not in each]
    assert said == ["evaluator: the output could not be written: No space left on device"]
    assert done.returncode == 1


@pytest.mark.parametrize("command", ["schema", "incidents", "eval", "resolve"])
def test_a_reader_that_has_gone_is_no_news(folder: Path, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(folder, *COMMANDS[command], stdout=writer)
    os.close(writer)
    assert [each for each in done.stderr.decode().splitlines() if "the store says" not in each] == []
    assert done.returncode == 141


ASCII = {"PYTHONIOENCODING": "ascii"}
LANG_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("command", "environ"),
    [*((command, ASCII) for command in COMMANDS), ("incident", LANG_C), ("incidents --json", LANG_C)],
)
def test_an_encoding_with_few_letters_does(folder: Path, command: str, environ: dict[str, str]) -> None:
    done = run(folder, *COMMANDS[command], environ=environ)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout.isascii()
    if "--json" in command:
        assert json.loads(done.stdout) == json.loads(
            run(folder, *COMMANDS[command], environ={"PYTHONUTF8": "1"}).stdout
        )


def test_no_standard_output_at_all_is_no_traceback(folder: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m evaluator check >&-'],
        cwd=folder, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_a_person_has_ended_is_resolved_by_hand(folder: Path) -> None:
    assert "resolved by hand" in run(folder, "incidents", ID, environ={"PYTHONUTF8": "1"}).stdout.decode()


def test_rules_are_counted_as_people_count(folder: Path) -> None:
    assert "there is 1 rule in " in run(folder, "eval", "nope", environ={"COLUMNS": "300"}).stderr.decode()
