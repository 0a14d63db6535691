import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from evaluator.cli import incidents, status
from evaluator.cli.asking import Daemon, address, find
from evaluator.engine.alerts import State
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes
from evaluator.incidents.incident import Incident
from evaluator.store.store import open_store
from evaluator.telemetry.metrics import Metrics
from evaluator.web.app import make_app
from evaluator.web.server import listen
from evaluator.web.view import Snapshot
from tests.web.snapshots import (
    ALERTS,
    CPU,
    HUSHED,
    NASTY,
    NIGHT,
    OPEN,
    PENDING,
    QUIET,
    RESOLVED,
    STORMY,
    TIMELINE,
    TROUBLE,
    FrozenView,
    flood,
    incident,
)

NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALUATOR_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "160")


def invoke(*arguments: str) -> Result:
    app = typer.Typer()
    status.register(app)
    incidents.register(app)
    return CliRunner().invoke(app, arguments)


async def run(*arguments: str) -> Result:
    """Run a command beside the server that it asks."""
    return await asyncio.to_thread(invoke, *arguments)


@asynccontextmanager
async def daemon(shown: Snapshot, token: str | None = None) -> AsyncIterator[str]:
    app = make_app(FrozenView(shown), Metrics(), token=SecretStr(token) if token else None)
    server = await listen(app, "127.0.0.1:0")
    try:
        yield server.url
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("shown", "code", "words"),
    [
        (QUIET, 0, "All quiet: 5 rules on 2 sources"),
        (PENDING, 0, "opens in 3 m 25 s"),
        (NIGHT, 1, "48,120 tasks wait in payments.capture"),
        (TROUBLE, 1, "Not ready: the store cannot be written: disk full"),
    ],
)
async def test_status_shows_the_page_and_its_exit_code_says_whether_it_is_fine(
    shown: Snapshot, code: int, words: str
) -> None:
    async with daemon(shown) as url:
        ran = await run("status", "--url", url)
    assert ran.exit_code == code, ran.output
    assert words in ran.output


async def test_status_of_a_bad_night() -> None:
    async with daemon(NIGHT) as url:
        text = (await run("status", "--url", url)).output
    for words in (
        "4 open incidents  production, last checked 5 s ago, times in America/New_York",
        "! Service marketing cannot page: PAGERDUTY_MARKETING_KEY is not set",
        "22:02 (13 m)",
        "acknowledged",
        "no data",
        "closes in 4 m 25 s",
        "becomes worse in 4 m 25 s",
        "no answer, last good: 4 m ago  redis at cache-1:6379 did not answer within 5s",
        'rules/web.toml:14:9 unknown key "abov"; did you mean "above"?',
    ):
        assert words in text


async def test_status_says_what_would_hold_a_pending_alert_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    held = {each.key: "window swap until 2026-10-20 03:00 UTC" for each in ALERTS if each.state is State.PENDING}
    async with daemon(replace(NIGHT, held=held)) as url:
        text = (await run("status", "--url", url)).output
    assert "becomes worse in 4 m 25 s; nothing would be sent: window swap until 2026-10-19 23:00 EDT" in text


async def test_why_an_incident_is_muted_takes_no_room_from_what_it_is() -> None:
    muted = "silenced by ann until 2026-10-19 23:00 EDT: the disks of the second rack are swapped by their owners"
    high = incident(CPU, Severity.P1, 9, {"host": "web-1"}, title="CPU of web-1 is 96.2 %", muted=muted)
    async with daemon(replace(QUIET, incidents=(high,))) as url:
        assert "CPU of web-1 is 96.2 %" in (await run("status", "--url", url)).output


async def test_status_shows_what_keeps_quiet_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    async with daemon(HUSHED) as url:
        text = (await run("status", "--url", url)).output
    for words in (
        "fires, but muted",
        "silenced by ben until its alert is over",
        "muted: silenced by ann until 2026-10-19 23:00 EDT",
        "flapping",
        "disk-*, checkout-* except",
        "new disk for db-1",
        "window db-upgrade in force until 20 Oct, 00:00, for db-*: PostgreSQL 18",
        "window backups begins 20 Oct, 00:00, for disk-*: nightly dump",
        "checkout-slow pages nobody yet: learning until 2026-10-29 23:00 EDT: 2 of 5 samples",
    ):
        assert words in text, text


async def test_a_storm_is_shown_with_what_it_caught() -> None:
    async with daemon(HUSHED) as url:
        text = (await run("incidents", STORMY.id, "--url", url)).output
    assert "caught by the storm" in text
    assert "queue=shop-41" in text


async def test_status_for_a_machine_is_what_the_api_says() -> None:
    async with daemon(NIGHT) as url:
        ran = await run("status", "--json", "--url", url)
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["counts"]["open"] == 4


async def test_nothing_from_outside_reaches_the_terminal_as_a_command() -> None:
    mean = incident(CPU, Severity.P1, 9, {"a": "\x1b[31m"}, title=f"\x1b]0;owned\x07[red]x[/red] {NASTY}", value=1.0)
    async with daemon(replace(QUIET, incidents=(mean,))) as url:
        texts = [
            (await run(*words, "--url", url)).output for words in (["status"], ["incidents"], ["incidents", mean.id])
        ]
    for text in texts:
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "[red]x[/red]" in text


async def test_incidents_lists_the_worst_first() -> None:
    async with daemon(NIGHT) as url:
        ran = await run("incidents", "--url", url)
        quiet = await run("incidents", "--all", "--url", url)
    assert ran.exit_code == 0
    assert [line[1:3] for line in ran.output.splitlines()[1:]] == ["P0", "P1", "P1", "P2"]
    assert "01K80000000000000000000004" in ran.output
    assert "resolved: recovered" not in ran.output
    assert "resolved: recovered" in quiet.output


async def test_no_incident_is_said() -> None:
    async with daemon(QUIET) as url:
        ran = await run("incidents", "--url", url)
    assert (ran.exit_code, ran.output) == (0, "No incident is open.\n")


async def test_all_pages_are_asked_for_and_the_limit_holds() -> None:
    worst = incident(CPU, Severity.P0, 0, {}, title="the very oldest and worst")
    shown = flood(2500)
    async with daemon(replace(shown, incidents=(worst, *shown.incidents[1:]))) as url:
        answer = json.loads((await run("incidents", "--json", "--limit", "2", "--url", url)).stdout)
        everything = json.loads((await run("incidents", "--json", "--all", "--limit", "3000", "--url", url)).stdout)
    assert [found["title"] for found in answer["incidents"]] == ["the very oldest and worst", "CPU of web-3 is 96.2 %"]
    assert answer["more"]
    assert (len(everything["incidents"]), everything["more"]) == (2500, False)


async def test_one_incident_has_its_timeline() -> None:
    async with daemon(NIGHT) as url:
        ran = await run("incidents", OPEN[0].id, "--url", url)
        as_json = await run("incidents", OPEN[0].id, "--json", "--url", url)
        none = await run("incidents", "01K8NONE", "--url", url)
        odd = await run("incidents", "../status", "--url", url)
    assert "celery-backlog has been above 5000 for 2m: 48120" in ran.output
    assert "redis answers again: 48120" in ran.output
    assert len(json.loads(as_json.stdout)["timeline"]) == 4
    assert (none.exit_code, none.stderr) == (1, "evaluator: there is no incident 01K8NONE\n")
    assert odd.exit_code == 1


@pytest.mark.parametrize("command", ["status", "incidents"])
async def test_a_daemon_that_does_not_answer_is_one_clear_sentence(command: str) -> None:
    ran = await run(command, "--url", NOBODY)
    assert ran.exit_code == 1
    assert ran.stderr == f"evaluator: no daemon answers at {NOBODY}; start it with `evaluator run`, or give --url\n"


async def test_another_program_there_is_not_taken_for_the_daemon() -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        ran = await run("status", "--url", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert ran.exit_code == 1
    assert "is not evaluator (200)" in ran.stderr


@pytest.mark.parametrize("url", ["http://user:hunter2@127.0.0.1:1", "http://[", "ftp://user:hunter2@x", "http://a b"])
async def test_an_address_that_cannot_be_asked_is_a_sentence_without_its_password(url: str) -> None:
    ran = await run("status", "--url", url)
    assert ran.exit_code == 1
    assert ran.stderr.startswith("evaluator: ")
    assert "hunter2" not in ran.output
    assert "Traceback" not in ran.output


def settings(folder: Path, listen: str, extra: str = "") -> Path:
    """Write settings that name a daemon and a store."""
    (folder / "rules").mkdir()
    file = folder / "evaluator.toml"
    file.write_text(
        'timezone = "America/New_York"\n[store]\nurl = "sqlite:///var/evaluator.db"\n'
        f'[web]\nlisten = "{listen}"\n{extra}'
    )
    return file


async def test_the_settings_say_where_the_daemon_is(tmp_path: Path) -> None:
    async with daemon(QUIET) as url:
        file = settings(tmp_path, url.removeprefix("http://"))
        named = await run("status", "--config", str(file))
        here = await run("status")
    assert "All quiet" in named.output
    assert "All quiet" in here.output


async def test_settings_whose_secrets_this_shell_lacks_still_say_where(tmp_path: Path) -> None:
    async with daemon(QUIET) as url:
        settings(tmp_path, url.removeprefix("http://"), 'token = { env = "NOT_IN_THIS_SHELL" }\n')
        ran = await run("status")
    assert "All quiet" in ran.output


def test_a_settings_file_that_is_not_there_is_a_mistake_of_the_caller() -> None:
    assert invoke("status", "--config", "nowhere.toml").exit_code == 2


def test_the_token_goes_to_the_address_of_the_settings_only(tmp_path: Path) -> None:
    file = settings(tmp_path, "127.0.0.1:9464", 'token = "hunter2-hunter2-hunter2"\n')
    found, _ = find(None, file)
    assert found.token is not None
    assert "hunter2" not in repr(found)
    assert find("http://elsewhere:9464", file)[0] == Daemon("http://elsewhere:9464")


@pytest.mark.parametrize(
    ("listens", "url"),
    [
        ("127.0.0.1:9464", "http://127.0.0.1:9464"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        (":80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("[fd00::1]:80", "http://[fd00::1]:80"),
        ("monitoring:80", "http://monitoring:80"),
    ],
)
def test_where_it_is_reached_from_where_it_listens(listens: str, url: str) -> None:
    assert address(listens) == url


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Incident, ...]:
    """A store that has incidents, and settings whose daemon does not run."""
    settings(tmp_path, "127.0.0.1:1")
    (tmp_path / "var").mkdir()
    found = (*OPEN, RESOLVED)
    with open_store(f"sqlite:///{tmp_path / 'var' / 'evaluator.db'}") as store:
        store.commit(Changes(incidents={each.id: each for each in found}, events=list(TIMELINE)))
    return found


async def test_without_a_daemon_the_store_is_read_and_that_is_said(kept: tuple[Incident, ...]) -> None:
    ran = await run("incidents")
    assert ran.exit_code == 0
    assert "This is what the store says:" in ran.stderr
    assert [line[1:3] for line in ran.stdout.splitlines()[1:]] == ["P0", "P1", "P1", "P2"]
    everything = json.loads((await run("incidents", "--all", "--json")).stdout)
    assert [found["id"] for found in everything["incidents"]] == [each.id for each in kept]


async def test_without_a_daemon_one_incident_still_has_its_timeline(kept: tuple[Incident, ...]) -> None:
    found = json.loads((await run("incidents", OPEN[0].id, "--json")).stdout)
    assert [line["kind"] for line in found["timeline"]] == ["opened", "sent", "blind", "sighted"]
    assert (await run("incidents", "01K8NONE")).exit_code == 1


async def test_reading_the_store_changes_nothing(kept: tuple[Incident, ...], tmp_path: Path) -> None:
    file = tmp_path / "var" / "evaluator.db"
    before = file.read_bytes(), file.stat().st_mtime_ns
    time.sleep(0.01)
    await run("incidents", "--all")
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


async def test_without_a_daemon_and_without_a_store_both_are_said(tmp_path: Path) -> None:
    settings(tmp_path, "127.0.0.1:1")
    ran = await run("incidents")
    assert ran.exit_code == 1
    assert "no daemon answers at http://127.0.0.1:1" in ran.stderr
    assert "evaluator.db" in ran.stderr
    assert "Traceback" not in ran.output
    assert not (tmp_path / "var").exists()
