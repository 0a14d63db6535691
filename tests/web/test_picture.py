import json
from dataclasses import replace
from typing import Any

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.rules import Mode, Severity
from evaluator.web.picture import picture
from evaluator.web.view import Backlog, RuleStatus, Snapshot
from tests.web.asking import data
from tests.web.snapshots import (
    ALERTS,
    CPU,
    DISK,
    MEMORY,
    NIGHT,
    NOW,
    OPEN,
    PENDING,
    QUIET,
    SOURCES,
    TROUBLE,
    alert,
    flood,
    incident,
)


def one(shown: Snapshot, rule: str) -> Any:  # noqa: ANN401  # JSON.
    (found,) = [each for each in picture(shown)["incidents"] if each["rule"] == rule]
    return found


@pytest.mark.parametrize(
    ("shown", "level", "headline"),
    [
        (NIGHT, "incident", "4 open incidents"),
        (TROUBLE, "trouble", "No open incident, but look at this"),
        (PENDING, "pending", "No open incident, 1 alert pending"),
        (QUIET, "quiet", "All quiet: 5 rules on 2 sources"),
    ],
)
def test_the_headline_says_how_bad_it_is(shown: Snapshot, level: str, headline: str) -> None:
    found = picture(shown)
    assert (found["level"], found["headline"]) == (level, headline)


def test_the_worst_come_first_whatever_the_order_of_the_snapshot() -> None:
    assert [found["severity"] for found in picture(NIGHT)["incidents"]] == ["P0", "P1", "P1", "P2"]


def test_quiet_has_no_trouble() -> None:
    assert picture(QUIET)["troubles"] == []
    assert picture(QUIET)["ready"]
    assert picture(QUIET)["last_checked"] == "2026-10-20T02:14:55Z"


def test_every_trouble_is_one_sentence_and_the_worst_comes_first() -> None:
    assert picture(TROUBLE)["troubles"] == [
        "Not ready: the store cannot be written: disk full",
        "Not ready: the last cycle is 4 m old",
        "1 delivery was refused by the receiver: nobody may have been told",
        "Service marketing cannot page: PAGERDUTY_MARKETING_KEY is not set",
        "1 source does not answer: redis",
        "1 error in settings or rule files: the last good version is in force",
    ]


def test_a_daemon_that_watches_nothing_is_not_quiet() -> None:
    off = tuple(replace(status, rule=replace(status.rule, mode=Mode.OFF)) for status in QUIET.rules)
    for rules in ((), off):
        found = picture(replace(QUIET, rules=rules))
        assert found["level"] == "trouble"
        assert found["troubles"] == ["Nothing is watched: no rule is in force"]


def test_warnings_alone_leave_it_quiet() -> None:
    warned = replace(QUIET, problems=tuple(problem for problem in NIGHT.problems if not problem.error))
    assert picture(warned)["level"] == "quiet"
    assert len(picture(warned)["problems"]) == 1


def test_a_source_that_is_down_speaks_for_its_rules_and_a_blind_rule_for_itself() -> None:
    rules = (
        RuleStatus(CPU, NOW, NOW - 900, error="bad_query: parse error"),
        RuleStatus(replace(CPU, name="of-redis", query=replace(CPU.query, source="redis")), NOW, error="timeout"),
    )
    found = picture(replace(QUIET, rules=rules, sources=SOURCES))
    assert [blind["rule"] for blind in found["blind_rules"]] == ["cpu-high"]
    assert found["troubles"] == [
        "1 source does not answer: redis",
        "1 rule gets no answer while the source is up",
    ]


def test_an_incident_of_which_nothing_is_known_says_since_when() -> None:
    found = {each["id"]: each["blind_since"] for each in picture(NIGHT)["incidents"]}
    assert found[OPEN[3].id] == "2026-10-20T02:11:00Z"
    assert found[OPEN[0].id] is None


def test_an_incident_is_not_blind_while_one_of_its_series_is_known() -> None:
    members = tuple((("mount", name),) for name in ("/a", "/b"))
    alerts = (
        alert(DISK, Severity.P2, State.FIRING, {"mount": "/a"}, verdict=Verdict.UNKNOWN),
        alert(DISK, Severity.P2, State.FIRING, {"mount": "/b"}),
        alert(DISK, Severity.P2, State.FIRING, {"mount": "/other"}, verdict=Verdict.UNKNOWN),
    )
    shown = replace(NIGHT, incidents=(replace(OPEN[2], members=members),), alerts=alerts)
    assert one(shown, "disk-full")["blind_since"] is None
    assert one(replace(shown, alerts=alerts[:1]), "disk-full")["blind_since"] is not None


def test_an_incident_closes_when_its_last_series_has_recovered() -> None:
    found = one(NIGHT, "disk-full")
    assert (found["closes_in"], found["closes_if"]) == (265.0, "it stays below 80 %")
    members = tuple((("mount", name),) for name in ("/a", "/b"))
    alerts = tuple(
        alert(DISK, Severity.P2, State.RECOVERING, {"mount": name}, clock=NOW - 5 - held)
        for name, held in (("/a", 300), ("/b", 90))
    )
    shown = replace(NIGHT, incidents=(replace(OPEN[2], members=members),), alerts=alerts)
    assert one(shown, "disk-full")["closes_in"] == 505.0
    firing = (alerts[0], replace(alerts[1], state=State.FIRING))
    assert one(replace(shown, alerts=firing), "disk-full")["closes_if"] == ""


def test_a_blind_recovery_has_no_countdown() -> None:
    alerts = tuple(replace(each, verdict=Verdict.UNKNOWN) for each in ALERTS)
    found = one(replace(NIGHT, alerts=alerts), "disk-full")
    assert (found["closes_in"], found["closes_if"]) == (None, "it stays below 80 %")


def test_pending_says_when_it_opens_and_if_what() -> None:
    raising, opening = picture(NIGHT)["pending"]
    assert (raising["severity"], raising["raises"], raising["opens_in"]) == ("P0", True, 265.0)
    assert (opening["raises"], opening["opens_in"], opening["opens_if"]) == (False, 205.0, "it stays above 90 %")
    assert opening["title"] == "Memory is 92.3 %"


def test_the_pending_alert_that_opens_next_comes_first_of_its_severity() -> None:
    alerts = tuple(
        alert(MEMORY, Severity.P2, State.PENDING, {"host": name}, clock=NOW - held, verdict=verdict)
        for name, held, verdict in (
            ("late", 35, Verdict.BREACH),
            ("blind", 95, Verdict.UNKNOWN),
            ("soon", 155, Verdict.BREACH),
        )
    )
    found = picture(replace(QUIET, alerts=alerts))["pending"]
    assert [each["series"] for each in found] == ["host=soon", "host=late", "host=blind"]
    assert found[2]["blind"]


def test_shadow_alerts_are_shown_apart_and_open_nothing() -> None:
    found = picture(NIGHT)
    assert [each["rule"] for each in found["shadow"]] == ["checkout-slow"]
    assert found["counts"]["rules_shadow"] == 1


def test_lists_are_cut_and_counts_are_not() -> None:
    found = picture(flood(1000))
    assert (len(found["incidents"]), found["counts"]["open"]) == (50, 1000)
    assert (len(found["pending"]), found["counts"]["pending"]) == (20, 1000)
    assert len(json.dumps(found)) < 100_000


def test_alerts_and_incidents_of_rules_that_are_gone_do_not_break_it() -> None:
    found = picture(replace(NIGHT, rules=()))
    assert found["counts"]["open"] == 4
    assert found["pending"] == []
    assert found["incidents"][3]["closes_if"] == ""


def test_an_incident_without_a_title_has_the_name_of_its_rule() -> None:
    shown = replace(QUIET, incidents=(incident(CPU, Severity.P1, 1, {}, title=""),))
    assert picture(shown)["incidents"][0]["title"] == "cpu-high"


def test_the_backlog_is_told() -> None:
    assert picture(replace(QUIET, backlog=Backlog(3, 0, NOW - 60)))["deliveries"] == {
        "pending": 3,
        "refused": 0,
        "oldest": "2026-10-20T02:14:00Z",
    }


async def test_the_api_answers_with_the_picture() -> None:
    assert await data("/api/v1/status") == json.loads(json.dumps(picture(NIGHT)))


def test_what_a_source_had_to_say_is_shown_once() -> None:
    said = ("monitor shop is paused", "Sentry drops errors")
    rules = tuple(replace(status, warnings=said) for status in QUIET.rules)
    found = picture(replace(QUIET, rules=rules, sources=SOURCES))
    assert {source["name"]: source["warnings"] for source in found["sources"]} == {
        name: list(said) if name in {status.rule.source for status in rules} else []
        for name in (source.name for source in SOURCES)
    }
    many = (replace(QUIET.rules[0], warnings=tuple(str(number) for number in range(50))),)
    assert [len(source["warnings"]) for source in picture(replace(QUIET, rules=many))["sources"]] == [0, 5]


def test_a_pending_alert_has_the_title_that_its_incident_will_have() -> None:
    told = replace(MEMORY, labels={"team": "db", "host": "any"}, summary="{team}: {host} since {since}")
    shown = replace(
        QUIET,
        rules=(RuleStatus(told),),
        alerts=(alert(told, Severity.P2, State.PENDING, {"host": "db-1"}, active_at=NOW - 60),),
    )
    (found,) = picture(shown)["pending"]
    assert found["title"] == "db: db-1 since 2026-10-20 02:14:00 UTC"
