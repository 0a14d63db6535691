"""`evaluator why`: the transcript, where the answer comes from, and what is said where there is none."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evaluator.cli.main import app
from evaluator.engine.alerts import Alert, State, Verdict
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series, series_of
from evaluator.incidents.changes import Changes
from evaluator.store.store import open_store
from evaluator.telemetry.metrics import Metrics
from evaluator.web.app import make_app
from evaluator.web.server import listen
from evaluator.web.why import Line
from tests.web.snapshots import NASTY, NIGHT, NOW, FrozenView

WEB = series_of({"instance": "web-1"})
RULES = """
[rule.disk-full]
source = "host"
service = "default"
severity = "P2"
query = { measure = "disk" }
unit = "percent"
above = 90
for = "5m"
"""


@pytest.fixture(autouse=True)
def _away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALUATOR_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def invoke(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["why", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@asynccontextmanager
async def daemon(*lines: Line) -> AsyncIterator[str]:
    server = await listen(make_app(FrozenView(NIGHT, seen=lines), Metrics(), token=None), "127.0.0.1:0")
    try:
        yield server.url
    finally:
        await server.close()


async def asked(*arguments: str, lines: tuple[Line, ...] = ()) -> Result:
    async with daemon(*lines) as url:
        return await asyncio.to_thread(invoke, *arguments, "--url", url)


LINES = (
    Line(NOW - 60, "96.2 % is above 90 % since 02:05:00 UTC", Severity.P1, WEB, State.PENDING, 96.2),
    Line(NOW - 30, "unknown since 2026-10-20 02:14:30 UTC: prometheus does not answer"),
    Line(
        NOW, "96.4 % is above 90 %; firing since 02:05:00 UTC", Severity.P1, WEB, State.FIRING, 96.4,
        "silenced by ann until 2026-10-20 03:00 UTC: new kernel",
    ),
)  # fmt: skip


async def test_a_sentence_for_each_evaluation_the_newest_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    done = await asked("cpu-high", "instance=web-1", lines=LINES)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        (
            "cpu-high  P0 above 98 % for 5m; P1 above 90 % for 10m  every 30s on prometheus  rules/host.toml:12"
            "  times in America/New_York"
        ),
        "22:14:00  P1 pending    instance=web-1: 96.2 % is above 90 % since 22:05:00 EDT",
        "22:14:30                unknown since 2026-10-19 22:14:30 EDT: prometheus does not answer",
        (
            "22:15:00  P1 firing     instance=web-1: 96.4 % is above 90 %; firing since 22:05:00 EDT; nothing is sent:"
            " silenced by ann until 2026-10-19 23:00 EDT: new kernel"
        ),
    ]


async def test_earlier_lines_are_left_out_and_that_is_said() -> None:
    done = await asked("cpu-high", "--limit", "1", lines=LINES)
    assert "earlier lines are left out; --limit shows more" in done.stdout
    assert len(done.stdout.splitlines()) == 3


async def test_for_a_machine_it_is_what_the_api_says() -> None:
    found = json.loads((await asked("cpu-high", "--json", "--at", "22:14:10", lines=LINES)).stdout)
    assert [line["state"] for line in found["lines"]] == ["pending"]
    assert found["at"] == "2026-10-20T02:14:10Z"


async def test_a_rule_that_nobody_has_is_an_error_of_the_caller_with_what_was_meant() -> None:
    done = await asked("cpu-hihg")
    assert (done.exit_code, done.stderr) == (2, 'evaluator: there is no rule "cpu-hihg"; did you mean cpu-high?\n')


@pytest.mark.parametrize("arguments", [("cpu-high", "web-1"), ("cpu-high", "--at", "soon"), ("", "a=b")])
async def test_what_is_not_clear_is_one_sentence(arguments: tuple[str, ...]) -> None:
    done = await asked(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("evaluator: ")
    assert len(done.stderr) < 200


async def test_labels_are_no_control_codes_and_no_markup() -> None:
    odd = Line(NOW, f"\x1b[31m{NASTY}[bold]", Severity.P1, (("host", "\x1b[2J[red]x"),), State.FIRING, 1.0, "\x07")
    done = await asked("cpu-high", lines=(odd,))
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "[red]x" in done.stdout
    assert "[bold]" in done.stdout


def transition(at: float, mount: str, state: State, reason: str) -> Transition:
    series: Series = (("mount", mount),)
    alert = Alert(
        rule="disk-full", severity=Severity.P2, series=series, state=state, since=at, active_at=at, clock=at, seen=at,
        judged=at, verdict=Verdict.BREACH, known=at, value=97.0, reason=reason,
    )  # fmt: skip
    return Transition(State.PENDING, alert, Cause.JUDGED)


@pytest.fixture
def stopped(tmp_path: Path) -> float:
    """An installation whose daemon does not run; returns when the last alert fired."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "host.toml").write_text(RULES)
    (tmp_path / "evaluator.toml").write_text(
        'timezone = "America/New_York"\n[store]\nurl = "sqlite:///state.db"\n[web]\nlisten = "127.0.0.1:1"\n'
        '[sources.host]\ntype = "host"\n[services.default]\n'
    )
    now = time.time()
    firing = [
        transition(now - 90_000, "/", State.FIRING, "95 % is above 90 %"),
        transition(now - 60, "/var", State.FIRING, "97 % is above 90 %"),
    ]
    with open_store(f"sqlite:///{tmp_path / 'state.db'}") as store:
        store.commit(Changes(transitions=firing))
    return now


def test_without_a_daemon_the_store_tells_what_alerts_did(stopped: float) -> None:
    done = invoke("disk-full")
    assert done.exit_code == 0, done.output
    assert "This is what the store says:" in done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.startswith("disk-full  P2 above 90 % for 5m  every 30s on host  rules/host.toml:2")
    assert second.endswith("P2 firing     mount=/: pending became firing: 95 % is above 90 %")
    assert third.endswith("P2 firing     mount=/var: pending became firing: 97 % is above 90 %")


def test_without_a_daemon_a_series_and_a_time_can_be_asked_about(stopped: float) -> None:
    lines = json.loads(invoke("disk-full", "mount=/var", "--json").stdout)["lines"]
    assert [line["series"] for line in lines] == [{"mount": "/var"}]
    then = json.loads(invoke("disk-full", "--at", "1h ago", "--json").stdout)["lines"]
    assert [line["series"] for line in then] == [{"mount": "/"}]
    assert "it was quiet, or not watched yet" in invoke("disk-full", "--at", "3d ago").stdout


def test_without_a_daemon_an_unknown_rule_is_named_and_broken_files_are_a_hint(stopped: float, tmp_path: Path) -> None:
    done = invoke("disk-ful")
    assert (done.exit_code, "did you mean disk-full?" in done.stderr) == (2, True)
    (tmp_path / "rules" / "host.toml").write_text("[rule.disk-full\n")
    done = invoke("disk-other")
    assert done.exit_code == 2
    assert "rule files have mistakes, and `evaluator check` says which" in done.stderr


def test_what_the_store_said_is_still_told_of_a_rule_that_was_removed(stopped: float, tmp_path: Path) -> None:
    (tmp_path / "rules" / "host.toml").write_text(RULES.replace("disk-full", "disk-other"))
    done = invoke("disk-full")
    assert done.exit_code == 0
    assert done.stdout.startswith("disk-full (removed)")


def test_without_a_daemon_and_without_a_store_both_are_said(tmp_path: Path) -> None:
    (tmp_path / "evaluator.toml").write_text('[store]\nurl = "sqlite:///none.db"\n[web]\nlisten = "127.0.0.1:1"\n')
    done = invoke("cpu-high")
    assert done.exit_code == 1
    assert "no daemon answers at http://127.0.0.1:1" in done.stderr
    assert "none.db" in done.stderr
    assert invoke("cpu-high", "--url", "http://127.0.0.1:1").exit_code == 1
