"""The daemon watches itself: what its built-in rules open and close, and what they leave alone."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evaluator.config.load import load
from evaluator.daemon.cycle import Cycles
from evaluator.daemon.equipment import Held, Prepared
from evaluator.daemon.health import HealthBook
from evaluator.daemon.sightings import Sightings
from evaluator.engine.rules import Query
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.incidents.edits import reload
from evaluator.incidents.incident import Incident
from evaluator.sources.self_source import SelfSource
from evaluator.testing.pagerduty import PagerDuty
from evaluator.testing.weather import answer
from evaluator.web.view import Backlog
from tests.daemon.inside import Rooms
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, rule, settings, until

SETTINGS = '[sources.metrics]\ntype = "prometheus"\nurl = "http://localhost"\n[services.shop]\n'
REFUSED = PollFailed(FailureReason.REFUSED, "localhost: nobody listens there")
TYPO = PollFailed(FailureReason.BAD_QUERY, "no such function: rat")
TEN = "".join(rule(f"r{number}", for_='"1m"') for number in range(10))
EVERY = 30.0


class Scripted:
    """A source whose answers a test sets, by the text of the query."""

    def __init__(self) -> None:
        self.usual: PollResult = Samples([{}], [0.0])
        self.answers: dict[str, PollResult] = {}

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def poll(self, queries: Sequence[Query], now: float) -> list[PollResult]:
        del now
        return [self.answers.get(query.text, self.usual) for query in queries]

    async def history(self, query: Query, start: float, end: float, step: float) -> None: ...


class Day:
    """A daemon's cycles, one slot after the other: the test moves the time."""

    def __init__(self, folder: Path, rules: str) -> None:
        self.folder = folder
        (folder / "rules").mkdir()
        (folder / "evaluator.toml").write_text(SETTINGS)
        self.rooms = Rooms()
        self.rooms.time.at = 1_790_000_000 // 3600 * 3600.0
        self.metrics = Scripted()
        self.begin(rules)

    def begin(self, rules: str | None = None) -> None:
        """Start, or restart: what is only remembered is lost; with `rules`, on these."""
        self.sightings = Sightings()
        rooms = self.rooms
        source = SelfSource("self", SelfSource.Settings.model_validate({}))  # type: ignore[arg-type]
        self.cycles = Cycles(rooms.equipment, rooms.ledger, self.sightings, rooms.clock, rooms.metrics)
        source.attach(HealthBook(rooms.equipment, rooms.ledger, self.sightings, Backlog, rooms.metrics, rooms.clock))
        rooms.equipment.sources.swap(Prepared({"metrics": Held(None, self.metrics), "self": Held(None, source)}))
        if rules is not None:
            self.edit(rules)

    def edit(self, rules: str, more: str = "") -> None:
        """Put these rules in force, as a reload does."""
        (self.folder / "evaluator.toml").write_text(SETTINGS + more)
        (self.folder / "rules" / "a.toml").write_text(rules)
        loaded = load(self.folder / "evaluator.toml", {})
        assert loaded.settings is not None, loaded.problems
        equipment, ledger = self.rooms.equipment, self.rooms.ledger
        equipment.settings, equipment.rules, equipment.loaded = loaded.settings, loaded.rules, loaded
        now, ids = self.rooms.time.at, iter(range(10**6, 10**7))
        edits = reload(
            ledger.world, loaded.rules, now, routes=equipment.routes, instance="test", ids=lambda: str(next(ids))
        )
        ledger.take(edits)
        self.sightings.keep_only(loaded.rules.rules, loaded.settings.sources)

    def run(self, seconds: float) -> None:
        """Let so many seconds pass, a slot every 30 s."""

        async def slots() -> None:
            for _ in range(round(seconds / EVERY)):
                self.rooms.time.at += EVERY
                for source, every in sorted({(each.source, each.every) for each in self.rooms.equipment.rules}):
                    if self.rooms.time.at % every == 0:
                        await self.cycles.run(source, every, self.rooms.time.at)

        asyncio.run(slots())

    def open(self) -> list[Incident]:
        """Return what is open."""
        return sorted(self.rooms.ledger.world.open_incidents(), key=lambda each: each.rule)

    def said(self) -> list[tuple[str, str, str]]:
        """Return rule, series and severity of what is open."""
        return [(each.rule, dict(each.members[0])[_label(each)], each.severity.value) for each in self.open()]


def _label(incident: Incident) -> str:
    return "rule" if incident.rule == "rule-blind" else "source"


@pytest.fixture
def day(tmp_path: Path) -> Callable[..., Day]:
    return lambda rules=TEN: Day(tmp_path, rules)


def test_a_source_is_one_incident_after_five_minutes_and_not_ten(day: Callable[..., Day]) -> None:
    today = day()
    today.run(300)
    today.metrics.usual = REFUSED
    today.run(300)
    assert not today.open(), "its first failed poll and its last are 4 min 30 s apart"
    today.run(30)
    assert today.said() == [("source-down", "metrics", "P2")]
    (incident,) = today.open()
    assert incident.service == "shop"
    assert incident.title == "Source metrics has not answered for 5m"
    (alert,) = [found for book in today.rooms.ledger.world.alerts.values() for found in book.values()]
    assert alert.reason == "5m is at least 5m: localhost: nobody listens there"
    today.run(3600)
    assert len(today.open()) == 1
    today.metrics.usual = Samples([{}], [0.0])
    today.run(30)
    assert not today.open()


def test_a_short_failure_is_nothing_however_often(day: Callable[..., Day]) -> None:
    today = day()
    for _ in range(5):
        today.metrics.usual = REFUSED
        today.run(270)
        today.metrics.usual = Samples([{}], [0.0])
        today.run(30)
    assert not today.rooms.ledger.world.incidents


@pytest.mark.parametrize("mode", ["page", "shadow", "off"])
def test_a_source_with_an_up_rule_that_pages_speaks_for_itself(day: Callable[..., Day], mode: str) -> None:
    up = rule("up", equals="0", mode=f'"{mode}"', for_='"1d"').replace("'up'", '{ measure = "up" }')
    today = day(TEN + up)
    today.metrics.usual = REFUSED
    today.metrics.answers["up"] = Samples([{}], [0.0])
    today.run(600)
    assert today.said() == ([] if mode == "page" else [("source-down", "metrics", "P2")])


def test_a_rule_of_its_own_that_is_blind_too_speaks_for_nobody(day: Callable[..., Day]) -> None:
    up = rule("up", equals="0", for_='"1m"').replace("'up'", '{ measure = "up" }')
    today = day(TEN + up)
    today.run(60)
    today.metrics.usual = PollFailed(FailureReason.AUTH, "localhost does not accept our password")
    today.run(330)
    assert today.said() == [("source-down", "metrics", "P2")], "else nobody would hear of a password that was changed"
    (incident,) = today.open()
    today.begin()
    today.run(60)
    assert [each.id for each in today.open()] == [incident.id], "after a restart it is as blind as before"
    # It goes down altogether: that is the word of its own rule.
    today.metrics.usual = REFUSED
    today.metrics.answers["up"] = Samples([{}], [0.0])
    today.run(120)
    assert [each.rule for each in today.open()] == ["up"]
    # It is there again, and the password is still wrong.
    today.metrics.usual = today.metrics.answers["up"] = PollFailed(FailureReason.AUTH, "no such password")
    today.run(330)
    assert [each.rule for each in today.open()] == ["source-down", "up"], "not knowing ends nothing"
    today.metrics.usual = today.metrics.answers["up"] = Samples([{}], [1.0])
    today.run(60)
    assert not today.open()


def test_a_rule_of_its_own_that_comes_later_ends_it(day: Callable[..., Day]) -> None:
    today = day()
    today.metrics.usual = REFUSED
    today.run(600)
    assert today.open()
    today.edit(TEN + rule("up", equals="0", for_='"1d"').replace("'up'", '{ measure = "up" }'))
    today.metrics.answers["up"] = Samples([{}], [0.0])
    today.run(60)
    assert not today.open()


def test_a_source_that_nobody_asks_any_more_ends_it(day: Callable[..., Day]) -> None:
    today = day()
    today.metrics.usual = REFUSED
    today.run(600)
    assert today.open()
    today.edit("")
    today.run(60)
    assert not today.open()
    today.run(600)
    today.edit(TEN)
    today.run(300)
    assert not today.open(), "it begins anew"
    today.run(60)
    assert len(today.open()) == 1


def test_a_restart_neither_opens_nor_closes(day: Callable[..., Day]) -> None:
    today = day()
    today.metrics.usual = REFUSED
    today.run(270)
    today.begin()
    today.run(300)
    assert not today.open(), "what was before the start is not known"
    today.run(30)
    (incident,) = today.open()
    today.begin()
    today.run(30)
    assert [each.id for each in today.open()] == [incident.id], "the source has not answered since"
    today.begin("")
    today.run(30)
    assert not today.open(), "it was removed while evaluator was down"


def test_time_in_which_nobody_asked_is_no_silence(day: Callable[..., Day]) -> None:
    today = day()
    today.run(60)
    today.metrics.usual = REFUSED
    today.run(60)
    today.rooms.time.at += 7200
    today.run(30)
    assert not today.open(), "a machine that slept for two hours has seen three failures"
    today.run(300)
    assert len(today.open()) == 1


def test_a_rare_poll_is_no_silence_by_itself(day: Callable[..., Day]) -> None:
    today = day(rule("hourly", every='"1h"'))
    today.metrics.usual = REFUSED
    today.run(7200)
    assert len(today.open()) == 1, "two in a row are"
    today.metrics.usual = Samples([{}], [0.0])
    today.run(3600)
    assert not today.open()
    today.metrics.usual = REFUSED
    today.run(3600)
    assert not today.open(), "one failure of an hourly poll says nothing"


def test_a_query_that_fails_alone_is_blind_and_says_why(day: Callable[..., Day]) -> None:
    today = day()
    today.run(60)
    today.metrics.answers["r3"] = TYPO
    today.run(600)
    assert not today.open()
    today.run(30)
    assert today.said() == [("rule-blind", "r3", "P3")]
    (alert,) = [found for book in today.rooms.ledger.world.alerts.values() for found in book.values()]
    assert alert.reason == "10m is at least 10m: no such function: rat"
    # Its source goes down: that is another incident, and says nothing of the query.
    today.metrics.usual = today.metrics.answers["r3"] = REFUSED
    today.run(600)
    assert today.said() == [("rule-blind", "r3", "P3"), ("source-down", "metrics", "P2")]
    today.metrics.usual = Samples([{}], [0.0])
    today.metrics.answers["r3"] = TYPO
    today.run(60)
    assert today.said() == [("rule-blind", "r3", "P3")]
    del today.metrics.answers["r3"]
    today.run(30)
    assert not today.open()


def test_a_source_that_understands_us_is_not_down(day: Callable[..., Day]) -> None:
    today = day(rule("r3"))
    today.metrics.usual = TYPO
    today.run(660)
    assert today.said() == [("rule-blind", "r3", "P3")]


def test_a_rule_that_is_gone_is_blind_no_more(day: Callable[..., Day]) -> None:
    today = day()
    today.metrics.answers["r3"] = TYPO
    today.run(660)
    assert today.open()
    today.edit(TEN.replace("[rule.r3]", '[rule.r3]\nmode = "off"'))
    today.run(30)
    assert not today.open()


def test_a_target_that_is_down_is_not_its_source(day: Callable[..., Day]) -> None:
    up = rule("up", equals="0", mode='"shadow"').replace("'up'", '{ measure = "up" }')
    today = day(up)
    today.metrics.usual = Samples([{"target": "shop"}], [0.0])
    today.run(900)
    assert not today.open()


def test_the_daemon_tells_of_a_source_that_is_down(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    mine = '[rule.source-down]\nevery = "1s"\nat_least = "2s"\n[rule.rule-blind]\nmode = "off"\n'
    house.rule(rule("errors") + rule("others") + mine)
    daemon = house.run()
    until(lambda: daemon.metric("source_up", source="metrics") == 1)
    assert daemon.status()["counts"]["rules_built_in"] == 0
    metrics.server.always = answer(500, b"oops")
    (down,) = until(pagerduty.open_incidents)
    payload = down.payload["payload"]
    assert (payload["class"], payload["severity"], payload["group"]) == ("source-down", "warning", "shop")
    assert "500" in str(payload["custom_details"])
    metrics.server.always = None
    until(lambda: not down.open)
    assert pagerduty.account.pages == 1


def test_the_daemon_shows_what_is_built_in_apart(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.settle(settings(pagerduty.url, metrics.url))
    house.rule(rule("errors"))
    daemon = house.run()
    until(lambda: daemon.metric("source_up", source="metrics") == 1)
    shown = daemon.status()
    assert (shown["counts"]["rules"], shown["counts"]["rules_built_in"]) == (1, 2)
    assert [source["name"] for source in shown["sources"]] == ["metrics"]
    assert daemon.metric("rules", mode="page") == 1
    assert daemon.said("started", status="1 rule on 1 source")
    assert 'file":"built-in"' in daemon.get("/api/v1/rules")[1].replace(" ", "")
    assert daemon.get("/readyz")[0] == 200


def test_without_a_rule_nothing_is_watched_and_all_is_well(house: House) -> None:
    house.rule("")
    daemon = house.run()
    assert daemon.get("/readyz")[0] == 200
    assert daemon.said("started", status="0 rules on 1 source")
    assert "Nothing is watched: no rule is in force" in daemon.status()["troubles"]
    house.rule(rule("memory_used", source='"self"', every='"1s"', above="1"))
    until(lambda: daemon.status()["incidents"])
    assert [source["name"] for source in daemon.status()["sources"]] == ["metrics", "self"]
    assert 'source_up{source="self"}' not in daemon.get("/metrics")[1], "it could only ever be up"
