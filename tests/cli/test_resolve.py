"""`evaluator resolve`: who asks, and what is said where nothing can be resolved."""

import getpass
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluator.cli.main import app
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes
from evaluator.incidents.incident import Incident, IncidentState
from evaluator.store.store import open_store

ID = "01JD000000000000000000000A"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings with a store in which one incident is open, and no daemon."""
    monkeypatch.setattr("evaluator.cli.wishes.PATIENCE", 0.0)
    path = tmp_path / "evaluator.toml"
    path.write_text('[store]\nurl = "sqlite:///state.db"\n')
    incident = Incident(
        id=ID, rule="cpu", group=(), service="ops", severity=Severity.P1, state=IncidentState.OPEN,
        opened_at=1.0, active_at=1.0, updated_at=1.0, title="cpu", why="95 is above 90",
    )  # fmt: skip
    with open_store(f"sqlite:///{tmp_path / 'state.db'}") as store:
        store.commit(Changes(incidents={ID: incident}))
    return path


def test_a_wish_is_written_down_where_no_daemon_runs(settings: Path) -> None:
    before = time.time()
    done = CliRunner().invoke(app, ["resolve", ID.lower(), "--note", "moved", "--config", str(settings)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no daemon has carried it out yet" in done.stderr
    with open_store(f"sqlite:///{settings.parent / 'state.db'}", read_only=True) as store:
        (command,) = store.commands()
    assert (command.incident, command.note, command.by) == (ID, "moved", getpass.getuser())
    assert command.at >= before


def test_a_user_without_a_name_is_a_number(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as any user: no name in the environment, none in the list of users."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    done = CliRunner().invoke(app, ["resolve", ID, "--config", str(settings)])
    assert done.exit_code == 1, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    with open_store(f"sqlite:///{settings.parent / 'state.db'}", read_only=True) as store:
        assert [command.by for command in store.commands()] == ["user 3999999999"]


def test_an_incident_that_is_not_there_is_one_sentence(settings: Path) -> None:
    done = CliRunner().invoke(app, ["resolve", "01JD000000000000000000000B", "--config", str(settings)])
    assert done.exit_code == 1
    assert done.stderr.startswith("evaluator: there is no incident 01JD000000000000000000000B")
