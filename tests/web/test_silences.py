"""Silences over HTTP: who may begin and end one, what a request must be, and what is answered."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from evaluator.engine.alerts import State
from evaluator.engine.maintenance import Selector
from evaluator.engine.rules import Severity
from evaluator.incidents.silence import Silence
from evaluator.web.silences import silence_of
from evaluator.web.writes import MOST_BYTES, MOST_SILENCES
from tests.web.asking import ask, data
from tests.web.snapshots import (
    CPU,
    HUSHED,
    NASTY,
    NIGHT,
    NOW,
    OTHER_SILENCE,
    OVER,
    QUIET,
    SILENCE,
    SILENCES,
    FrozenView,
    alert,
)

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ASKED = {"rules": ["cpu-*"], "for": "2h", "reason": "new kernel", "by": "ann"}
ABROAD = "http://192.0.2.7:9464"


async def post(
    body: object, view: FrozenView | None = None, *, token: str | None = TOKEN, **headers: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **BEARER, **{name.replace("_", "-"): headers[name] for name in headers}}
    return await ask(
        "/api/v1/silences", view=view or FrozenView(NIGHT), method="POST", token=token, headers=sent, content=content
    )


def error(response: httpx.Response) -> str:
    body: dict[str, Any] = response.json()
    assert set(body) == {"status", "errorType", "error"}
    assert body["status"] == "error"
    assert len(body["error"]) < 300
    assert TOKEN not in response.text
    return str(body["error"])


async def test_a_silence_begins_and_is_answered_with_what_it_holds_back() -> None:
    view = FrozenView(NIGHT)
    response = await post({**ASKED, "except": ["cpu-steal"], "series": {"instance": "web-*"}}, view)
    assert response.status_code == 201, response.text
    (kept,) = view.shown.silences
    assert (kept.selector, kept.by, kept.reason) == (
        Selector(("cpu-*",), ("cpu-steal",), {"instance": "web-*"}),
        "ann",
        "new kernel",
    )
    assert (kept.starts_at, kept.ends_at, kept.ends_with_alert) == (NOW, NOW + 7200, False)
    assert response.json() == {
        "status": "success",
        "data": {
            "id": kept.id,
            "rules": ["cpu-*"],
            "except": ["cpu-steal"],
            "series": {"instance": "web-*"},
            "selects": "cpu-* except cpu-steal where instance=web-*",
            "by": "ann",
            "reason": "new kernel",
            "starts_at": "2026-10-20T02:15:00Z",
            "ends_at": "2026-10-20T04:15:00Z",
            "ends_with_alert": False,
            "state": "active",
            "ended_at": None,
            "ended_because": "",
            "rule_count": 1,
            "firing_count": 2,
            "firing": ["P1 cpu-high (instance=web-1)", "P1 cpu-high (instance=web-3)"],
            "warnings": [],
        },
    }


@pytest.mark.parametrize(
    ("until", "ends_at"), [("2026-10-20T03:00:00Z", NOW + 2700), ("23:00", NOW + 2700), ("tomorrow 22:15", NOW + 86400)]
)
async def test_it_may_end_at_a_time_of_the_settings_timezone(until: str, ends_at: float) -> None:
    view = FrozenView(NIGHT)
    asked = {**ASKED, "until": until, "ends_with_alert": True}
    del asked["for"]
    assert (await post(asked, view)).status_code == 201
    assert (view.shown.silences[0].ends_at, view.shown.silences[0].ends_with_alert) == (ends_at, True)


async def test_whoever_does_not_say_who_asks_is_the_api() -> None:
    view = FrozenView(NIGHT)
    assert (await post({"rules": ["*"], "for": "1m", "reason": "x\n y"}, view)).status_code == 201
    assert (view.shown.silences[0].by, view.shown.silences[0].reason) == ("api", "x y")


async def test_a_rule_that_nobody_has_is_a_warning_with_what_was_meant() -> None:
    answer = (await post({**ASKED, "rules": ["cpu-hihg", "disk-full"]})).json()["data"]
    assert answer["warnings"] == ['no rule is called "cpu-hihg"; did you mean cpu-high?']
    nothing = (await post({**ASKED, "rules": ["cpu-high"], "except": ["*"]})).json()["data"]
    assert nothing["warnings"] == ["no rule is left of those that it names: all of them are excepted"]


async def test_without_a_token_in_the_settings_writing_is_off() -> None:
    for method, path in (("POST", "/api/v1/silences"), ("DELETE", f"/api/v1/silences/{SILENCE.id}")):
        view = FrozenView(HUSHED)
        response = await ask(path, view=view, method=method, headers=BEARER, content=b"{}")
        assert (response.status_code, response.json()["errorType"]) == (403, "forbidden")
        assert "set `token` in [web]" in error(response)
        assert view.shown is HUSHED


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xff",
     "Basic YW55OmEtdG9rZW4tb2Ytc29tZS1sZW5ndGg="],
)  # fmt: skip
@pytest.mark.parametrize("at", ["http://127.0.0.1:9464", ABROAD])
async def test_writing_needs_the_token_as_a_bearer_on_loopback_too(given: str | None, at: str) -> None:
    """A browser remembers a password (Basic), and would send it for any page that asks."""
    headers: dict[str, Any] = {"Content-Type": "application/json"}
    if given is not None:
        headers["Authorization"] = given.encode("latin-1")
    for method, path in (("POST", "/api/v1/silences"), ("DELETE", f"/api/v1/silences/{SILENCE.id}")):
        view = FrozenView(HUSHED)
        response = await ask(
            path, view=view, at=at, method=method, token=TOKEN, headers=headers, content=json.dumps(ASKED).encode()
        )
        assert response.status_code == 401
        assert "WWW-Authenticate" in response.headers
        error(response)
        assert view.shown is HUSHED


async def test_from_another_machine_the_same_token_reads_and_writes() -> None:
    response = await ask(
        "/api/v1/silences", at=ABROAD, method="POST", token=TOKEN,
        headers={**BEARER, "Content-Type": "application/json; charset=utf-8"}, content=json.dumps(ASKED).encode(),
    )  # fmt: skip
    assert response.status_code == 201


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"]
)
async def test_what_a_form_of_another_page_can_send_is_no_wish(kind: str) -> None:
    view = FrozenView(NIGHT)
    response = await post(ASKED, view, Content_Type=kind)
    assert response.status_code == 415
    assert "Content-Type: application/json" in error(response)
    assert view.shown is NIGHT


async def test_a_page_of_another_name_cannot_write_through_a_browser_here() -> None:
    assert (await post(ASKED, Host="evil.example")).status_code == 421


@pytest.mark.parametrize("size", [MOST_BYTES + 1, 50_000_000])
async def test_a_body_that_is_too_long_is_not_read_to_its_end(size: int) -> None:
    response = await post(b'{"reason":"' + b"x" * size)
    assert response.status_code == 413
    error(response)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 60_000, "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        ({}, 'either "for"'),
        ({**ASKED, "until": "03:00"}, 'either "for"'),
        ({**ASKED, "reson": "x"}, '"reson" is not a key of a silence; did you mean "reason"?'),
        ({**ASKED, "x" * 5000: 1}, "is not a key of a silence; there are rules,"),
        ({**ASKED, "for": "soon"}, '"for": "soon" is not a duration'),
        ({**ASKED, "for": "-1h"}, "is negative"),
        ({**ASKED, "for": "0s"}, "must be in the future"),
        ({**ASKED, "for": 7200}, '"for" must be a text'),
        ({**ASKED, "for": "366d"}, "365 days at most"),
        ({**ASKED, "for": "9" * 4000 + "w"}, "longer than ten years"),
        ({**ASKED, "rules": []}, "name the rules"),
        ({**ASKED, "rules": "cpu-high"}, '"rules" must be a list of texts'),
        ({**ASKED, "rules": [1]}, '"rules" must be a list of texts'),
        ({**ASKED, "rules": [""]}, "rules has a pattern that is empty"),
        ({**ASKED, "rules": ["x" * 501]}, "rules has a pattern"),
        ({**ASKED, "rules": ["a\x00b"]}, "rules has a pattern"),
        ({**ASKED, "rules": ["*"] * 101}, "rules has 101 patterns"),
        ({**ASKED, "except": [None]}, '"except" must be a list of texts'),
        ({**ASKED, "series": ["host"]}, '"series" must be an object'),
        ({**ASKED, "series": {"host": 1}}, '"series" must be an object'),
        ({**ASKED, "series": {"host": "\ud800"}}, "series has a pattern"),
        ({**ASKED, "reason": ""}, "reason is missing"),
        ({**ASKED, "reason": " \n\t "}, "reason is missing"),
        ({**ASKED, "reason": "x" * 1001}, "reason is longer than 1000 characters"),
        ({**ASKED, "reason": "bell \x07"}, "reason has control characters"),
        ({**ASKED, "reason": "\ud800"}, "reason has control characters"),
        ({**ASKED, "reason": None}, '"reason" must be a text'),
        ({**ASKED, "by": "x" * 101}, "by is longer than 100 characters"),
        ({**ASKED, "by": ["ann"]}, '"by" must be a text'),
        ({**ASKED, "ends_with_alert": "yes"}, '"ends_with_alert" must be true or false'),
    ],
)  # fmt: skip
async def test_what_cannot_be_meant_changes_nothing_and_says_what_can(body: object, says: str) -> None:
    view = FrozenView(NIGHT)
    response = await post(body, view)
    assert response.status_code == 400
    assert says in error(response)
    assert view.shown is NIGHT


@pytest.mark.parametrize(
    "body",
    [
        b'{"\\ud800": 1}',
        b'{"rules": ["*"], "until": "\\ud800", "reason": "x"}',
        b'{"rules": ["*"], "for": "\\ud800", "reason": "x"}',
        b'{"rules": ["\\ud800"], "for": "2h", "reason": "x"}',
        b'{"rules": ["*"], "for": "2h", "reason": "\\udfff"}',
        b'{"rules": ["*"], "for": "2h", "reason": "x", "by": "\\udfff"}',
        b'{"rules": ["*"], "series": {"\\ud800": "x"}, "for": "2h", "reason": "x"}',
        b'{"rules": ["*"], "for": ' + b"9" * 5000 + b', "reason": "x"}',
        b"\xff\xfe{",
    ],
)
async def test_what_no_text_can_have_is_a_mistake_of_the_body_and_not_of_ours(body: bytes) -> None:
    view = FrozenView(NIGHT)
    response = await post(body, view)
    assert response.status_code == 400, response.text
    assert error(response)
    assert view.snapshot().silences == NIGHT.silences


async def test_who_ends_a_silence_is_a_plain_name() -> None:
    response = await ask(
        f"/api/v1/silences/{SILENCE.id}?by=ann%1b%5b2J",
        view=FrozenView(HUSHED), method="DELETE", token=TOKEN, headers=BEARER,
    )  # fmt: skip
    assert (response.status_code, error(response)) == (400, "by has control characters")


@pytest.mark.parametrize("until", ["2026-10-20T02:15:00Z", "2026-10-19T00:00:00Z", "later", "2028-01-01T00:00:00Z"])
async def test_an_end_that_is_past_far_or_no_time_is_refused(until: str) -> None:
    response = await post({"rules": ["*"], "reason": "x", "until": until})
    assert response.status_code == 400
    error(response)


async def test_there_are_only_so_many_silences() -> None:
    many = tuple(replace(SILENCE, id=f"01K8S{number:021d}") for number in range(MOST_SILENCES))
    response = await post(ASKED, FrozenView(replace(NIGHT, silences=many)))
    assert (response.status_code, "end some of them" in error(response)) == (400, True)


async def test_what_cannot_be_written_is_said() -> None:
    response = await post(ASKED, FrozenView(NIGHT, broken="nothing was changed: the disk is full"))
    assert response.status_code == 503
    assert error(response) == "nothing was changed: the disk is full"


async def test_a_silence_ends_and_ending_it_again_changes_nothing() -> None:
    view = FrozenView(HUSHED)
    path = f"/api/v1/silences/{SILENCE.id.lower()}?by=ben"
    for _ in range(2):
        response = await ask(path, view=view, method="DELETE", token=TOKEN, headers=BEARER)
        assert response.status_code == 200
        found = response.json()["data"]
        assert (found["id"], found["state"], found["ended_because"]) == (SILENCE.id, "ended", "ended by ben")
        assert found["ended_at"] == "2026-10-20T02:15:00Z"


@pytest.mark.parametrize("id_", ["01K8S999999999999999999999", "x" * 3000, "%00", "..%2F..%2Fetc"])
async def test_a_silence_that_is_not_there_cannot_end(id_: str) -> None:
    response = await ask(f"/api/v1/silences/{id_}", HUSHED, method="DELETE", token=TOKEN, headers=BEARER)
    assert response.status_code == 404
    error(response)


@pytest.mark.parametrize("path", ["/api/v1/silences", f"/api/v1/silences/{SILENCE.id}"])
async def test_other_methods_are_not_allowed(path: str) -> None:
    for method in ("PUT", "PATCH", "POST" if path.endswith("1") else "DELETE"):
        response = await ask(path, HUSHED, method=method, token=TOKEN, headers=BEARER)
        assert (response.status_code, response.json()["errorType"]) == (405, "not_allowed")


async def test_those_in_force_are_listed_and_all_of_them_where_asked() -> None:
    found = (await data("/api/v1/silences", HUSHED))["silences"]
    assert [each["id"] for each in found] == [OTHER_SILENCE.id, SILENCE.id]
    assert found[0]["firing"] == ["P2 memory-high (host=db-1)"]
    every = (await data("/api/v1/silences?all=true", HUSHED))["silences"]
    assert [each["id"] for each in every] == [OTHER_SILENCE.id, SILENCE.id, OVER.id]
    assert (every[2]["state"], every[2]["ended_because"]) == ("ended", "ended by ann")
    assert (await ask("/api/v1/silences?all=perhaps", HUSHED)).status_code == 400


async def test_memory_is_newer_than_the_store() -> None:
    class Behind(FrozenView):
        async def silences(self, limit: int) -> tuple[Silence, ...]:
            return tuple(replace(each, ended_at=None, ends_at=NOW + 9) for each in SILENCES)[:limit]

    every = (await data("/api/v1/silences?all=true", view=Behind(HUSHED)))["silences"]
    assert [each["state"] for each in every] == ["active", "active", "ended"]


async def test_a_silence_whose_time_was_over_says_so() -> None:
    past = replace(SILENCE, ends_at=NOW)
    (found,) = (await data("/api/v1/silences?all=1", replace(QUIET, silences=(past,))))["silences"]
    assert (found["state"], found["ended_at"], found["ended_because"]) == (
        "ended",
        "2026-10-20T02:15:00Z",
        "its time was over",
    )


async def test_a_flood_is_counted_and_cut() -> None:
    firing = [alert(CPU, Severity.P1, State.FIRING, {"instance": f"web-{number}"}) for number in range(5000)]
    found = (await post({**ASKED, "rules": ["*"]}, FrozenView(replace(NIGHT, alerts=tuple(firing))))).json()["data"]
    assert (found["firing_count"], len(found["firing"]), found["selects"]) == (5000, 20, "all rules")


async def test_attacks_are_only_words() -> None:
    view = FrozenView(NIGHT)
    response = await post({**ASKED, "reason": NASTY, "by": NASTY[:90], "rules": [NASTY]}, view)
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    page = await ask("/", view=view)
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


def test_patterns_that_are_slow_to_match_are_matched_fast() -> None:
    evil = silence_of(
        "x", rules=["*a" * 200 + "b"], exceptions=[], series={}, reason="x", by="x", now=NOW, ends_at=NOW + 1,
        ends_with_alert=False,
    )  # fmt: skip
    assert not evil.selects("a" * 5000, ())
