"""Why, over HTTP: what may be asked, which lines answer, and what is said where there are none."""

import json
from dataclasses import replace

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.evaluate import Cause
from evaluator.engine.rules import Mode, Severity
from evaluator.engine.samples import Series, series_of
from evaluator.store.transitions import Past
from evaluator.web.view import RuleStatus
from evaluator.web.why import Line, Question, chosen
from tests.web.asking import ask, data
from tests.web.snapshots import CPU, NASTY, NIGHT, NOW, FrozenView

WEB_1, WEB_2 = series_of({"instance": "web-1", "zone": "a"}), series_of({"instance": "web-2", "zone": "a"})


def seen(at: float, series: Series = WEB_1, held: str = "", state: State = State.FIRING) -> Line:
    return Line(at, "96.2 % is above 90 %", Severity.P1, series, state, 96.2, held)


def past(at: float, series: Series = WEB_1) -> Past:
    return Past(
        "cpu-high", Severity.P1, series, at, State.PENDING, State.FIRING, Verdict.BREACH, 96.2, Cause.JUDGED,
        "96.2 % is above 90 %, and has been for 10m",
    )  # fmt: skip


LINES = tuple(seen(NOW - 300 + number * 30, (WEB_1, WEB_2)[number % 2]) for number in range(10))
PASTS = (past(NOW - 200), past(NOW - 3600), past(NOW - 7200, WEB_2), past(NOW - 90_000))
"""Newest first, as the store tells them."""


def view() -> FrozenView:
    found = FrozenView(NIGHT, seen=LINES)
    found.pasts = PASTS
    return found


@pytest.mark.parametrize("limit", ["0000000019999999", "0", "-1", "1001", "%C2%B2", "1" * 5000, "1e2", ""])
async def test_a_limit_is_a_number_of_lines_that_can_be_shown(limit: str) -> None:
    response = await ask(f"/api/v1/why?rule=cpu-high&limit={limit}", view=view())
    assert (response.status_code, response.json()["error"]) == (400, "limit is a number from 1 to 1000")


async def test_a_pending_alert_says_what_would_be_and_not_what_is() -> None:
    lines = [seen(NOW, held="window swap until 2026-10-20 03:00 UTC: disks", state=State.PENDING)]
    (line,) = (await data("/api/v1/why?rule=cpu-high", view=FrozenView(NIGHT, seen=lines)))["lines"]
    assert line["text"] == "96.2 % is above 90 %; nothing would be sent: window swap until 2026-10-20 03:00 UTC: disks"


async def test_an_answer_has_the_rule_and_a_sentence_for_each_evaluation_newest_last() -> None:
    held = "silenced by ann until 2026-10-20 03:00 UTC: new disk"
    answer = await data(
        "/api/v1/why?rule=cpu-high", view=FrozenView(NIGHT, seen=[seen(NOW - 30), seen(NOW, held=held)])
    )
    assert answer == {
        "rule": "cpu-high",
        "rule_at": "rules/host.toml:12",
        "mode": "page",
        "off_because": "",
        "source": "prometheus",
        "every": 30.0,
        "limits": [
            {"severity": "P0", "limit": "above 98 %", "for": "5m"},
            {"severity": "P1", "limit": "above 90 %", "for": "10m"},
        ],
        "timezone": "America/New_York",
        "at": None,
        "kept_since": "2026-10-20T02:14:30Z",
        "lines": [
            {
                "at": "2026-10-20T02:14:30Z",
                "severity": "P1",
                "series": {"instance": "web-1", "zone": "a"},
                "series_text": "instance=web-1, zone=a",
                "state": "firing",
                "value": 96.2,
                "value_text": "96.2 %",
                "text": "96.2 % is above 90 %",
                "held": "",
                "written": False,
            },
            {
                "at": "2026-10-20T02:15:00Z",
                "severity": "P1",
                "series": {"instance": "web-1", "zone": "a"},
                "series_text": "instance=web-1, zone=a",
                "state": "firing",
                "value": 96.2,
                "value_text": "96.2 %",
                "text": f"96.2 % is above 90 %; nothing is sent: {held}",
                "held": held,
                "written": False,
            },
        ],
        "more": False,
        "note": "",
    }


def test_transitions_come_before_what_is_remembered_and_are_not_told_twice() -> None:
    looks = chosen(Question("cpu-high"), LINES, PASTS, LINES[0].at)
    assert [(line.at, line.written) for line in looks.lines[:4]] == [
        (NOW - 90_000, True),
        (NOW - 7200, True),
        (NOW - 3600, True),
        (NOW - 300, False),
    ]
    assert looks.lines[0].text == "pending became firing: 96.2 % is above 90 %, and has been for 10m"
    assert (len(looks.lines), looks.kept_since, looks.more) == (13, NOW - 300, False)


@pytest.mark.parametrize(
    ("asked", "ages"),
    [
        (Question("cpu-high", limit=2), [60, 30]),
        (Question("cpu-high", at=NOW - 240), [90_000, 7200, 3600, 300, 270, 240]),
        (Question("cpu-high", at=NOW - 3600), [90_000, 7200, 3600]),
        (Question("cpu-high", at=NOW - 100_000), []),
        (Question("cpu-high", "instance=web-2", limit=3), [150, 90, 30]),
        (Question("cpu-high", "zone=a, instance=web-2", limit=1), [30]),
        (Question("cpu-high", "instance=web-1, zone=a", limit=1), [60]),
        (Question("cpu-high", "instance=web-1, zone=b"), []),
        (Question("cpu-high", "instance=web-3"), []),
    ],
)
def test_lines_of_a_series_and_of_a_time(asked: Question, ages: list[float]) -> None:
    looks = chosen(asked, LINES, PASTS, LINES[0].at)
    assert [NOW - line.at for line in looks.lines] == ages


def test_what_is_said_of_the_whole_rule_is_part_of_every_answer() -> None:
    blind = Line(NOW, "unknown: prometheus does not answer")
    assert chosen(Question("cpu-high", "instance=web-9"), [*LINES, blind], (), NOW).lines == (blind,)


def test_a_value_with_commas_is_found_by_what_the_page_shows() -> None:
    odd = series_of({"query": "a=1, b=2", "host": "x"})
    assert Question("r", "host=x, query=a=1, b=2").about(odd)
    assert not Question("r", "host=x, query=a=1, b=3").about(odd)


async def test_a_rule_that_nobody_has_is_not_found_and_the_nearest_is_named() -> None:
    response = await ask("/api/v1/why?rule=cpu-hihg")
    assert response.status_code == 404
    assert response.json()["error"] == 'there is no rule "cpu-hihg"; did you mean cpu-high?'
    assert (await ask("/api/v1/why?rule=" + "z" * 5000)).status_code == 404


async def test_a_rule_that_was_removed_still_has_its_past() -> None:
    gone = FrozenView(NIGHT)
    gone.pasts = (replace(past(NOW - 60), rule="removed-rule"),)
    answer = await data("/api/v1/why?rule=removed-rule", view=gone)
    assert (answer["mode"], answer["limits"], len(answer["lines"])) == ("removed", [], 1)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "rule is missing"),
        ("rule=", "rule is missing"),
        ("rule=cpu-high&series=web-1", "series is some labels"),
        ("rule=cpu-high&series=" + "a=" * 5001, "series is longer"),
        ("rule=cpu-high&at=soon", '"soon" is not a time'),
        ("rule=cpu-high&limit=0", "limit is a number from 1 to 1000"),
        ("rule=cpu-high&limit=1001", "limit is a number from 1 to 1000"),
        ("rule=cpu-high&limit=" + "9" * 5000, "limit is a number from 1 to 1000"),
        ("rule=cpu-high&limit=%D9%A3", "limit is a number from 1 to 1000"),
    ],
)
async def test_a_question_that_cannot_be_meant_is_answered_with_what_can(query: str, says: str) -> None:
    response = await ask(f"/api/v1/why?{query}")
    assert response.status_code == 400
    assert says in response.json()["error"]
    assert len(response.json()["error"]) < 200


async def test_a_time_is_one_of_the_settings_timezone() -> None:
    assert (await data("/api/v1/why?rule=cpu-high&at=22:00"))["at"] == "2026-10-20T02:00:00Z"
    assert (await data("/api/v1/why?rule=cpu-high&at=yesterday+03:00"))["at"] == "2026-10-18T07:00:00Z"


@pytest.mark.parametrize(
    ("path", "note"),
    [
        ("rule=cpu-high", "it has not been evaluated yet"),
        (
            "rule=cpu-high&series=a=b",
            "it has not been evaluated yet",
        ),
        (
            "rule=cpu-high&at=yesterday+03:00",
            "no alert of it is known to have changed before then: it was quiet, or not watched yet",
        ),
    ],
)
async def test_where_there_is_nothing_to_tell_that_is_told(path: str, note: str) -> None:
    assert (await data(f"/api/v1/why?{path}"))["note"] == note


async def test_a_quiet_series_of_many_is_not_kept_and_that_is_said() -> None:
    answer = await data("/api/v1/why?rule=cpu-high&series=instance=web-9", view=view())
    assert answer["note"].startswith("nothing is kept of a series with instance=web-9: quiet series are kept only")


async def test_a_rule_that_is_off_says_why() -> None:
    off = replace(CPU, mode=Mode.OFF, off_because='source "prometheus" is disabled')
    answer = await data("/api/v1/why?rule=cpu-high", replace(NIGHT, rules=(RuleStatus(off),)))
    assert answer["note"] == 'it is off: source "prometheus" is disabled'


async def test_odd_texts_are_cut_and_stay_json() -> None:
    lines = [Line(NOW, "x" * 100_000, Severity.P1, ((NASTY, NASTY * 1000),), State.FIRING, float("inf"), NASTY * 1000)]
    response = await ask("/api/v1/why?rule=cpu-high", view=FrozenView(NIGHT, seen=lines))
    assert len(response.content) < 200_000
    (line,) = json.loads(response.content)["data"]["lines"]
    assert (line["value"], line["value_text"]) == (None, "+Inf")
