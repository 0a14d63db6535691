"""`evaluator doctor` on real sources, stores and receivers: what it finds, how it says so, and what it leaves alone."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import BaseModel, SecretStr
from typer.testing import CliRunner, Result

from evaluator.cli import doctor as command
from evaluator.cli.main import app
from evaluator.config import load as loading
from evaluator.config.plugins import Plugins, installed
from evaluator.engine import rules as rules_
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.fields import Seconds, Strict
from evaluator.store.store import open_store
from evaluator.testing.peers import nobody, peer
from evaluator.testing.wire import Reply, WireServer

SECRET = "s3cret-of-the-doctor"
KEY = "0123456789abcdef0123456789abcdef"
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


class Told(Strict):
    """What a plugin's source is told."""

    token: SecretStr = SecretStr(SECRET)
    timeout: Seconds = 0.2


class Asked(Strict):
    """What a plugin's source is asked."""

    shorthand: ClassVar[str] = "word"
    word: str = ""


class Plain:
    """A source that cannot examine itself."""

    Settings: ClassVar[type[BaseModel]] = Told
    Query: ClassVar[type[BaseModel]] = Asked
    polled: ClassVar[list[Sequence[rules_.Query]]] = []

    def __init__(self, name: str, settings: Told) -> None:
        self.token = settings.token.get_secret_value()

    async def open(self) -> None: ...

    async def poll(self, queries: Sequence[rules_.Query], now: float) -> list[PollResult]:
        assert abs(now - time.time()) < 60
        Plain.polled.append(list(queries))
        return [self.answer(json.loads(query.spec)["word"]) for query in queries]

    def answer(self, word: str) -> PollResult:
        if word == "bad":
            return PollFailed(FailureReason.AUTH, f"the token {self.token} is not known")
        if word == "down":
            return PollFailed(FailureReason.REFUSED, "nobody listens there")
        return Samples([{"a": "1"}, {"a": "2"}], [1.0, 2.0], warnings=("old\nversion",) if word == "old" else ())

    async def history(self, query: rules_.Query, start: float, end: float, step: float) -> None: ...

    async def close(self) -> None: ...


class Examined(Plain):
    """A source that examines itself."""

    found: ClassVar[Any] = [Checkup(Grade.WARNING, "version", f"3.0 [red]\x1b[31m {SECRET}", "upgrade")]

    async def examine(self, queries: Sequence[rules_.Query], now: float) -> list[Checkup]:
        assert [json.loads(query.spec)["word"] for query in queries] == ["one", "two"]
        result: list[Checkup] = self.found
        return result


class Hanging(Plain):
    async def examine(self, queries: Sequence[rules_.Query], now: float) -> list[Checkup]:
        await asyncio.sleep(60)
        return []


class Blocking(Plain):
    async def examine(self, queries: Sequence[rules_.Query], now: float) -> list[Checkup]:
        time.sleep(6)
        return []


class Raising(Plain):
    async def open(self) -> None:
        raise RuntimeError(SECRET)


class Odd(Plain):
    async def examine(self, queries: Sequence[rules_.Query], now: float) -> list[str]:
        return ["all well"]


class NeedsToken(Strict):
    """What a source is told that has no default."""

    token: SecretStr


class Keyed(Plain):
    Settings = NeedsToken


TYPES: dict[str, Any] = {
    kind.__name__.lower(): kind for kind in (Plain, Examined, Hanging, Blocking, Raising, Odd, Keyed)
}


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    own = installed()
    both = Plugins({**own.sources, **TYPES}, own.notifiers, own.broken)
    monkeypatch.setattr(loading, "installed", lambda: both)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@contextmanager
def events(status: int = 404, ahead: float = 0.0) -> Iterator[WireServer]:
    """The Events API's host, as it answers a GET."""
    with WireServer(lambda _: Reply(status, b"", {"Date": formatdate(time.time() + ahead, usegmt=True)})) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "some.toml").write_text("")
    return tmp_path


def settings(folder: Path, text: str, rules: str = "", url: str = "") -> Path:
    path = folder / "evaluator.toml"
    pager = f'[notifiers.pagerduty]\ntype = "pagerduty"\nevents_url = "{url}"\ntimeout = "500ms"\n' if url else ""
    start = "" if "[web]" in text else f'[web]\nlisten = "127.0.0.1:{nobody()}"\n'
    path.write_text(f"{text}\n{start}{pager}")
    path.chmod(0o644)
    if rules:
        (folder / "rules" / "some.toml").write_text(rules)
    return path


def rules(source: str, *words: str) -> str:
    return "".join(
        f'[rule.{source}-{word}]\nsource = "{source}"\nquery = {{ word = "{word}" }}\nabove = 1\nseverity = "P1"\n'
        for word in words
    )


def call(path: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(app, ["doctor", *arguments, "--config", str(path)])
    assert SECRET not in result.output
    assert KEY not in result.output
    return result


def found(path: Path, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the sections by kind and name."""
    data = json.loads(call(path, "--json", *arguments).stdout)
    return {(each["kind"], each["name"]): each for each in data["sections"]}


def grades(section: Mapping[str, Any]) -> dict[str, str]:
    return {each["subject"]: each["grade"] for each in section["checkups"]}


def test_a_source_that_cannot_examine_itself_is_polled_once(folder: Path) -> None:
    Plain.polled.clear()
    words = rules("plain", "good", "old", "bad", "down") + rules("plain", "good").replace("plain-good", "again")
    path = settings(folder, '[sources.plain]\ntype = "plain"', words)
    section = found(path)["source", "plain"]
    assert len(Plain.polled) == 1
    assert len(Plain.polled[0]) == 4
    assert grades(section) == {
        "poll": "fine",
        "rule plain-old": "warning",
        "rule plain-bad": "wrong",
        "rule plain-down": "wrong",
    }
    said = {each["subject"]: each for each in section["checkups"]}
    assert said["poll"]["found"] == "answers 2 queries with 4 series"
    assert said["rule plain-old"]["found"] == "old version"
    assert said["rule plain-bad"]["found"] == "auth: the token … is not known"
    assert "[sources.plain]" in said["rule plain-bad"]["mend"]
    assert "start it" in said["rule plain-down"]["mend"]


def test_a_source_that_examines_itself_is_shown_without_secrets_and_control_codes(folder: Path) -> None:
    path = settings(folder, '[sources.own]\ntype = "examined"', rules("own", "one", "two"))
    result = call(path, "own")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "  warning version: 3.0 [red]\N{REPLACEMENT CHARACTER}[31m …\n          mend: upgrade\n" in result.stdout
    assert result.stdout.startswith("source own  examined, 2 rules\n")
    assert result.stdout.endswith("1 warning\n")


def test_nothing_that_hangs_blocks_or_breaks_holds_up_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.cli.doctor_sources.GRACE", 0.3)
    monkeypatch.setattr("evaluator.cli.doctor_sources.GOODBYE", 0.2)
    monkeypatch.setattr(command, "SLACK", 0.3)
    declared = "\n".join(f'[sources.{name}]\ntype = "{name}"\ntoken = "{SECRET}"' for name in TYPES)
    with peer() as hole:
        declared += (
            f'\n[sources.hole]\ntype = "redis"\nurl = "redis://u:{SECRET}@127.0.0.1:{hole.port}"\ntimeout = "300ms"'
        )
        path = settings(folder, declared, rules("examined", "one", "two") + rules("plain", "good"))
        start = time.monotonic()
        sections = found(path, *TYPES, "hole")
    assert time.monotonic() - start < 5
    assert grades(sections["source", "plain"]) == {"poll": "fine"}
    assert grades(sections["source", "examined"]) == {"version": "warning"}
    for name in ("hanging", "blocking", "raising", "odd"):
        (checkup,) = sections["source", name]["checkups"]
        assert checkup["grade"] == "wrong", name
        assert checkup["mend"], name
    assert "did not end within 0.5 s" in sections["source", "hanging"]["checkups"][0]["found"]
    assert "cannot be interrupted" in sections["source", "blocking"]["checkups"][0]["found"]
    assert "RuntimeError" in sections["source", "raising"]["checkups"][0]["found"]
    assert "list instead of a list of checkups" in sections["source", "odd"]["checkups"][0]["found"]


def test_what_is_off_says_how_to_have_it_and_can_be_tried_by_name(folder: Path) -> None:
    text = '[sources.plain]\ntype = "plain"\nenabled = false\n[sources.dark]\ntype = "keyed"\nenabled = false\n'
    path = settings(folder, text + 'token = { env = "EVALUATOR_NO_SUCH" }', rules("plain", "good", "bad"))
    sections = found(path)
    assert sections["source", "plain"]["off"] == "set enabled = true in [sources.plain]; 2 rules wait for it"
    assert sections["source", "dark"]["off"] == (
        "set enabled = true in [sources.dark]; the environment variable EVALUATOR_NO_SUCH is not set"
    )
    assert list(grades(found(path, "plain")["source", "plain"]).values()) == ["fine", "wrong"]
    dark = call(path, "dark")
    assert dark.exit_code == 1
    assert "WRONG   settings: the environment variable EVALUATOR_NO_SUCH is not set" in dark.stdout


def test_a_source_that_is_not_there_and_wrong_settings_are_exit_2(folder: Path) -> None:
    path = settings(folder, '[sources.plain]\ntype = "plain"')
    unknown = call(path, "plian")
    assert unknown.exit_code == 2
    assert 'no source "plian"; did you mean "plain"?' in unknown.stderr
    broken = call(settings(folder, "nonsense = 1"))
    assert broken.exit_code == 2
    assert "nonsense" in broken.stderr
    assert "Traceback" not in broken.output
    document = json.loads(call(settings(folder, "nonsense = 1"), "--json").stdout)
    assert not document["ok"]
    (only,) = [each["checkups"] for each in document["sections"]]
    assert [(each["grade"], "nonsense" in each["found"]) for each in only] == [("wrong", True)]


def test_a_mistake_in_a_rule_is_wrong_and_the_rest_is_tried(folder: Path) -> None:
    path = settings(folder, '[sources.plain]\ntype = "plain"', "[rule.a]\nnonsense = 1\n")
    sections = found(path)
    assert grades(sections["settings", ""])["rules"] == "wrong"
    assert ("source", "plain") in sections


def test_pagerduty_is_reached_without_an_event(folder: Path) -> None:
    with events() as server:
        path = settings(folder, f'[services.pay]\nrouting_key = "{KEY}"', url=server.url)
        sections = found(path)
    assert grades(sections["notifier", "pagerduty"]) == {"events_url": "fine"}
    assert [(heard.method, heard.path, heard.body) for heard in server.log] == [("GET", "/", b"")]
    assert "no event was sent" in sections["notifier", "pagerduty"]["checkups"][0]["found"]
    assert grades(sections["notifier", "console"]) == {"notifier": "fine"}


@pytest.mark.parametrize(("status", "ahead", "subject", "grade"), [
    (503, 0.0, "events_url", "warning"),
    (407, 0.0, "events_url", "wrong"),
    (404, 60.0, "clock", "warning"),
    (404, -60.0, "clock", "warning"),
])  # fmt: skip
def test_what_the_events_host_answers_is_judged(
    folder: Path, status: int, ahead: float, subject: str, grade: str
) -> None:
    with events(status, ahead) as server:
        section = found(settings(folder, "", url=server.url))["notifier", "pagerduty"]
    assert grades(section)[subject] == grade
    if ahead:
        (clock,) = [each["found"] for each in section["checkups"] if each["subject"] == "clock"]
        assert ("behind" if ahead > 0 else "ahead of") in clock
        # The server's clock has whole seconds, and the answer takes a moment, on a busy machine more than one.
        (off,) = re.findall(r"(\d+) s ", clock)
        assert abs(int(off) - 60) <= 5


@pytest.mark.parametrize(("where", "words"), [("nobody", ": nobody listens there"), ("hole", "no answer within 0.5 s")])
def test_a_pager_that_cannot_be_reached_is_wrong(folder: Path, where: str, words: str) -> None:
    with peer() as hole:
        port = nobody() if where == "nobody" else hole.port
        result = call(settings(folder, "", url=f"http://127.0.0.1:{port}"))
    assert result.exit_code == 1
    assert words in result.stdout
    assert "HTTPS_PROXY" in result.stdout


def test_services_say_who_can_page(folder: Path) -> None:
    text = (
        f'[services.pay]\nrouting_key = "{KEY}"\n[services.ops]\nrouting_key = {{ env = "EVALUATOR_NO_KEY" }}\n'
        '[services.idle]\ntitle = "Idle"\n[sources.plain]\ntype = "plain"'
    )
    made = rules("plain", "good").replace("above", 'service = "ops"\nabove')
    with events() as server:
        section = found(settings(folder, text, made, url=server.url))["services", ""]
    assert grades(section) == {"pay": "fine", "ops": "warning", "idle": "fine"}
    (ops,) = [each for each in section["checkups"] if each["subject"] == "ops"]
    assert "EVALUATOR_NO_KEY is not set" in ops["found"]
    assert "PagerDuty shows it at" in ops["mend"]


def test_secrets_that_everybody_may_read_are_a_warning(folder: Path) -> None:
    path = settings(folder, f'[sources.plain]\ntype = "plain"\ntoken = "{SECRET}"\n[services.a]\nrouting_key = "{KEY}"')
    (warning,) = [each for each in found(path)["settings", ""]["checkups"] if each["subject"] == "file"]
    assert "services.a.routing_key, sources.plain.token" in warning["found"]
    path.chmod(0o640)
    assert "file" not in grades(found(path)["settings", ""])
    path.chmod(0o642)
    assert "chmod o-w" in str(found(path)["settings", ""])


def test_the_heartbeat_is_told_nothing(folder: Path) -> None:
    with WireServer(lambda _: Reply(200, b"")) as server:
        path = settings(folder, f'[heartbeat]\nurl = "{server.url}/ping/{SECRET}?token={SECRET}"')
        assert grades(found(path)["settings", ""])["heartbeat"] == "fine"
    assert [heard.path for heard in server.log] == ["/"]
    assert grades(found(path)["settings", ""])["heartbeat"] == "wrong"
    path = settings(folder, "")
    assert grades(found(path)["settings", ""])["heartbeat"] == "warning"
    path = settings(folder, '[lint]\nignore = ["no-heartbeat"]')
    assert grades(found(path)["settings", ""])["heartbeat"] == "fine"


@pytest.mark.parametrize(("status", "body", "grade"), [
    (200, b"ready\n", "fine"),
    (503, b"not ready\nno cycle yet\n", "warning"),
    (200, b"<html>", "wrong"),
])  # fmt: skip
def test_who_answers_at_our_own_address_is_told(folder: Path, status: int, body: bytes, grade: str) -> None:
    with WireServer(lambda _: Reply(status, body)) as server:
        path = settings(folder, f'[web]\nlisten = "{urlsplit(server.url).netloc}"')
        ((_, section),) = [item for item in found(path).items() if item[0][0] == "web"]
    assert grades(section)["daemon"] == grade


def test_a_page_that_others_can_reach_needs_a_token(folder: Path) -> None:
    open_ = settings(folder, f'[web]\nlisten = "0.0.0.0:{nobody()}"')
    assert "there is no token" in call(open_).stdout
    closed = settings(folder, f'[web]\nlisten = "0.0.0.0:{nobody()}"\ntoken = "{SECRET}"')
    assert "there is no token" not in call(closed).stdout


def test_a_store_that_is_not_there_is_not_made(folder: Path) -> None:
    path = settings(folder, '[store]\nurl = "sqlite:///state/evaluator.db"')
    assert grades(found(path)["store", ""]) == {"file": "fine"}
    assert not (folder / "state").exists()


def test_a_store_in_use_is_read_and_left_as_it_is(folder: Path) -> None:
    path = settings(folder, '[store]\nurl = "sqlite:///evaluator.db"')
    file = folder / "evaluator.db"
    with open_store(f"sqlite:///{file}", instance="default") as held:
        assert grades(found(path)["store", ""]) == {"schema": "fine", "writing": "fine"}
        held.check()
    before = file.read_bytes()
    file.chmod(0o644)
    assert grades(found(path)["store", ""]) == {"schema": "fine", "writing": "fine", "mode": "warning"}
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o644
    file.write_bytes(b"this is no database" * 100)
    assert grades(found(path)["store", ""])["connection"] == "wrong"


def test_a_store_that_the_rules_watch_is_a_warning(folder: Path, postgres_url: str) -> None:
    place = urlsplit(postgres_url.replace("postgresql+psycopg", "postgresql"))
    store = f"postgresql+psycopg://{place.username}:{place.password or ''}@localhost:{place.port}/postgres"
    declared = f'[store]\nurl = "{store}"\n[sources.db]\ntype = "redis"\nurl = "redis://127.0.0.1:{place.port}"\n'
    rule = '[rule.r]\nsource = "db"\nquery = { measure = "up" }\nequals = 0\nseverity = "P0"\n'
    section = found(settings(folder, declared + 'timeout = "1s"', rule))["store", ""]
    assert grades(section)["place"] == "warning"
    assert "the rules of db watch the server that the store is on" in str(section)
    unwatched = found(settings(folder, declared + "enabled = false", rule))["store", ""]
    assert "place" not in grades(unwatched)


def test_a_role_that_may_only_read_is_told_what_to_be_granted(folder: Path, postgres_url: str) -> None:
    plain = postgres_url.replace("postgresql+psycopg", "postgresql")
    place = urlsplit(plain)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute("CREATE DATABASE doctor")
    with open_store(postgres_url.rsplit("/", 1)[0] + "/doctor"):
        pass
    with psycopg.connect(plain.rsplit("/", 1)[0] + "/doctor", autocommit=True) as admin:
        admin.execute(f"CREATE ROLE looker LOGIN PASSWORD '{SECRET}'")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
    url = f"postgresql+psycopg://looker:{SECRET}@{place.hostname}:{place.port}/doctor"
    path = settings(folder, f'[store]\nurl = "{url}"')
    section = found(path)["store", ""]
    assert grades(section) == {"schema": "fine", "writing": "wrong"}
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON alerts, " in str(section)
    with psycopg.connect(plain.rsplit("/", 1)[0] + "/doctor", autocommit=True) as admin:
        admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO looker")
        admin.execute("ALTER ROLE looker SET default_transaction_read_only = on")
    assert "default_transaction_read_only" in str(found(path)["store", ""])
    assert grades(found(settings(folder, f'[store]\nurl = "{url.replace("looker", "nobody")}"'))["store", ""]) == {
        "connection": "wrong"
    }


def test_json_says_what_the_drawing_says(folder: Path) -> None:
    path = settings(folder, '[sources.plain]\ntype = "plain"', rules("plain", "good", "bad"))
    data = json.loads(call(path, "--json", "plain").stdout)
    assert (data["ok"], data["wrong"], data["warnings"]) == (False, 1, 0)
    drawn = call(path, "plain").stdout
    for checkup in data["sections"][0]["checkups"]:
        assert checkup["found"] in drawn
        assert checkup["mend"] in drawn
    assert drawn.endswith("1 thing is wrong\n")


def test_an_interrupt_ends_it_at_once_and_without_a_traceback(folder: Path) -> None:
    with peer() as hole:
        text = f'[sources.hole]\ntype = "redis"\nurl = "redis://127.0.0.1:{hole.port}"\ntimeout = "50s"'
        path = settings(
            folder, text, '[rule.r]\nsource = "hole"\nquery = { measure = "up" }\nequals = 0\nseverity = "P0"\n'
        )
        arguments = [sys.executable, "-m", "evaluator", "doctor", "hole", "--config", str(path)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 20
            while not hole.connections and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            start = time.monotonic()
            said = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert process.returncode == 130
    assert said == ("", "")


def test_the_page_shows_what_is_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`docs/cli.md` has settings, and what `doctor` says of them."""
    text = DOCS.read_text().split("## `evaluator doctor`")[1]
    example = text.split("```toml\n")[1].split("```")[0]
    shown = text.split("```console\n$ evaluator doctor\n")[1].split("```")[0]
    for name in ("REDIS_PASSWORD", "PAGERDUTY_DATABASE_KEY"):
        monkeypatch.delenv(name, raising=False)
    port = nobody()
    with events() as server:
        own = example.replace("https://events.pagerduty.com", server.url).replace("localhost:6379", f"localhost:{port}")
        (folder / "rules" / "some.toml").write_text(
            '[defaults]\nservice = "database"\n[rule.redis-down]\nsource = "redis"\nquery = { measure = "up" }\n'
            'equals = 0\nseverity = "P1"\nrunbook = "https://runbooks.example.com"\n'
        )
        own_path = settings(folder, own)
        monkeypatch.chdir(folder)
        result = call(own_path.relative_to(folder))
    said = result.stdout.replace(server.url, "https://events.pagerduty.com").replace(str(folder), "/etc/evaluator")
    said = said.replace(f"localhost:{port}", "localhost:6379")
    said = said.replace(own_path.read_text().split('listen = "')[1].split('"')[0], "127.0.0.1:9464")
    if os.environ.get("EVALUATOR_WRITE_TRANSCRIPTS"):
        DOCS.write_text(DOCS.read_text().replace(f"$ evaluator doctor\n{shown}```", f"$ evaluator doctor\n{said}```"))
    assert _timeless(said) == _timeless(shown)
    assert result.exit_code == 1


def _timeless(text: str) -> list[str]:
    """Return lines without how long anything took."""
    return [re.sub(r"\d+ ms", "N ms", each.rstrip()) for each in text.splitlines()]
