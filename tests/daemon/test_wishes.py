"""A silence over HTTP and why nothing was sent, on the real daemon: through a restart, and where the store fails."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from evaluator.cli.main import app
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.orders import carry_out
from evaluator.engine.maintenance import Selector
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.silence import Silence
from evaluator.incidents.world import World
from evaluator.store.errors import StoreUnavailable
from evaluator.telemetry.metrics import Metrics as Telemetry
from evaluator.testing.pagerduty import PagerDuty
from tests.daemon.inside import FULL, Rooms, Writing
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, Running, rule, settings, until

TOKEN = "a-token-of-some-length"
SILENCE = Silence("01JD000000000000000000000A", Selector(), "ann", "disk swap", 0.0, 4e9)
COMMAND = Command("01JD000000000000000000000B", CommandKind.SILENCE, SILENCE.id, "ann", 0.0, silence=SILENCE)


@pytest.fixture
def running(house: House, pagerduty: PagerDuty, metrics: Metrics) -> Running:
    """A daemon whose one rule breaches at 11."""
    house.settle(settings(pagerduty.url, metrics.url, web=f'[web]\nlisten = "127.0.0.1:0"\ntoken = "{TOKEN}"'))
    house.rule(rule("errors"))
    return house.run()


def asked(running: Running, method: str, path: str, body: Mapping[str, object] | None = None) -> tuple[int, Any]:
    """Ask with the token; return the status and the answer."""
    page = running.said("started")[0]["page"]
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(page + path, content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]


def last(running: Running) -> str:
    """Return the last sentence of the rule."""
    lines = asked(running, "GET", "/api/v1/why?rule=errors&limit=1")[1]["lines"]
    return str(lines[-1]["text"]) if lines else ""


def test_a_silence_over_http_mutes_says_why_outlives_a_kill_and_ends(
    house: House, pagerduty: PagerDuty, metrics: Metrics, running: Running
) -> None:
    asks = {"rules": ["err*"], "for": "1h", "reason": "disk swap", "by": "ann"}
    status, silence = asked(running, "POST", "/api/v1/silences", asks)
    assert (status, silence["state"], silence["rule_count"]) == (201, "active", 1)
    metrics["errors"] = 11.0
    until(lambda: "11 is above 10; firing since " in last(running))
    until(lambda: "; nothing is sent: silenced by ann until " in last(running))
    assert "Firing, but muted" in running.get("/")[1]
    running.kill()
    again = house.run()
    until(lambda: "; nothing is sent: silenced by ann until " in last(again))
    assert asked(again, "DELETE", f"/api/v1/silences/{silence['id']}?by=ben")[1]["ended_because"] == "ended by ben"
    assert asked(again, "DELETE", f"/api/v1/silences/{silence['id']}")[1]["ended_because"] == "ended by ben"
    until(lambda: pagerduty.account.incidents)
    until(lambda: "; incident " in last(again))
    again.stop()


def test_a_terminal_asks_the_daemon_and_without_it_the_store(
    house: House, metrics: Metrics, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(house.folder)
    monkeypatch.setenv("COLUMNS", "200")
    metrics["errors"] = 11.0
    until(lambda: "; incident " in last(running))
    url = running.said("started")[0]["page"]
    there = CliRunner().invoke(app, ["why", "errors", "--url", url])
    assert there.stdout.splitlines()[-1].endswith(" is open")
    done = CliRunner().invoke(app, ["silence", "errors", "--for", "1h", "-m", "disk swap", "--by", "ann"])
    assert done.exit_code == 0, done.output
    assert "silences errors until" in done.stdout
    ident = done.stdout.split()[0]
    assert ident in CliRunner().invoke(app, ["silence", "list", "--url", url]).stdout
    ended = CliRunner().invoke(app, ["silence", "end", ident])
    assert (ended.exit_code, ended.stdout) == (0, f"{ident} has ended\n")
    running.stop()
    alone = CliRunner().invoke(app, ["why", "errors"])
    assert alone.exit_code == 0, alone.output
    assert "This is what the store says:" in alone.stderr
    assert alone.stdout.splitlines()[-1].endswith("P1 firing     quiet became firing: 11 is above 10")


async def test_where_the_store_cannot_be_written_nothing_is_changed_and_that_is_said() -> None:
    rooms, store = Rooms(), Writing()
    ledger = Ledger(World(), store, rooms.clock, Telemetry())
    store.failing = FULL
    with pytest.raises(StoreUnavailable, match="it is done, and will be written as soon as that can be"):
        await carry_out(rooms.equipment, ledger, rooms.clock, COMMAND)
    assert list(ledger.world.silences) == [SILENCE.id]
    other = Command("01JD000000000000000000000C", CommandKind.UNSILENCE, SILENCE.id, "ben", 0.0)
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        await carry_out(rooms.equipment, ledger, rooms.clock, other)
    assert ledger.world.silences[SILENCE.id].ended_at is None
    store.failing = None
    assert await ledger.flush()
    await carry_out(rooms.equipment, ledger, rooms.clock, other)
    assert [commit.silences for commit in store.commits][-1] == ledger.world.silences
    assert ledger.world.silences[SILENCE.id].ended_because == "ended by ben"
