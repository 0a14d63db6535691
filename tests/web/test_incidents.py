import math
from dataclasses import replace

import pytest

from evaluator.incidents.incident import Event, Incident
from evaluator.store.errors import StoreUnavailable
from tests.web.asking import ask, data
from tests.web.snapshots import NIGHT, OPEN, RESOLVED, FrozenView, flood


async def test_an_incident_in_a_list() -> None:
    found = (await data("/api/v1/incidents"))["incidents"]
    assert found[0] == {
        "id": "01K80000000000000000000004",
        "state": "open",
        "severity": "P0",
        "service": "payments",
        "rule": "celery-backlog",
        "rule_at": "rules/celery.toml:0",
        "group": {"queue": "payments.capture"},
        "title": "48,120 tasks wait in payments.capture",
        "why": "celery-backlog has been above 5000 for 2m: 48120",
        "value": 48120.0,
        "value_text": "48120",
        "limit": "above 5000",
        "unit": "count",
        "since": "2026-10-20T02:02:00Z",
        "opened_at": "2026-10-20T01:50:00Z",
        "updated_at": "2026-10-20T02:14:30Z",
        "known_at": "2026-10-20T02:14:55Z",
        "closed_at": None,
        "close_reason": None,
        "seconds": 780.0,
        "members": [{"queue": "payments.capture"}],
        "member_count": 1,
        "muted": "",
        "flapping": False,
        "caught": [],
        "caught_count": 0,
        "description": "",
        "runbook": "https://runbooks.example.com/celery",
        "dashboard": "https://grafana.example.com/d/celery",
        "url": "/incidents/01K80000000000000000000004",
    }


async def test_one_incident_has_its_timeline_oldest_first() -> None:
    found = await data(f"/api/v1/incidents/{OPEN[0].id}")
    assert [line["kind"] for line in found["timeline"]] == ["opened", "sent", "blind", "sighted"]
    assert found["timeline"][0] == {
        "at": "2026-10-20T02:04:00Z",
        "kind": "opened",
        "text": "above 5000 for 2m: 5312",
    }


@pytest.mark.parametrize(("state", "ids"), [("open", [4, 3, 2, 1]), ("resolved", [0]), ("all", [4, 3, 2, 1, 0])])
async def test_the_newest_come_first(state: str, ids: list[int]) -> None:
    answer = await data(f"/api/v1/incidents?state={state}")
    assert [int(found["id"][4:]) for found in answer["incidents"]] == ids
    assert answer["next"] is None


@pytest.mark.parametrize("state", ["open", "all"])
async def test_a_list_can_be_read_in_pages(state: str) -> None:
    seen: list[str] = []
    before = ""
    while True:
        answer = await data(f"/api/v1/incidents?state={state}&limit=2{before}")
        seen += [found["id"] for found in answer["incidents"]]
        if answer["next"] is None:
            break
        before = f"&before={answer['next']}"
    assert len(seen) == len(set(seen)) == (4 if state == "open" else 5)
    assert seen == sorted(seen, reverse=True)


async def test_resolved_ones_are_found_behind_any_number_of_open_ones() -> None:
    shown = flood(1200)
    older = replace(RESOLVED, id="01K70000000000000000000000")
    answer = await data("/api/v1/incidents?state=resolved&limit=1", replace(shown, incidents=(*shown.incidents, older)))
    assert [found["id"] for found in answer["incidents"]] == [older.id]


@pytest.mark.parametrize(
    "query", ["state=closed", "limit=0", "limit=1001", "limit=ten", "limit=-1", "before=../x", "before="]
)
async def test_a_parameter_that_cannot_be_meant_is_refused_with_what_can(query: str) -> None:
    response = await ask(f"/api/v1/incidents?{query}")
    assert response.status_code == 400
    assert response.json()["errorType"] == "bad_data"
    assert len(response.json()["error"]) < 200


@pytest.mark.parametrize("incident", ["01K99999999999999999999999", "x" * 500, "..%2F..%2Fetc"])
async def test_an_incident_that_is_not_there(incident: str) -> None:
    response = await ask(f"/api/v1/incidents/{incident}")
    assert response.status_code == 404
    assert response.json()["status"] == "error"


async def test_numbers_that_json_cannot_carry_stay_readable() -> None:
    shown = replace(NIGHT, incidents=(replace(OPEN[0], value=math.inf), replace(OPEN[1], value=None)))
    found = (await data("/api/v1/incidents", shown))["incidents"]
    assert [(each["value"], each["value_text"]) for each in found] == [(None, "+Inf"), (None, "no value")]


async def test_an_incident_of_very_many_series_stays_small() -> None:
    members = tuple((("host", f"h{number}"),) for number in range(50_000))
    response = await ask("/api/v1/incidents", replace(NIGHT, incidents=(replace(OPEN[0], members=members),)))
    (found,) = response.json()["data"]["incidents"]
    assert found["member_count"] == 50_000
    assert len(found["members"]) == 100


async def test_a_store_that_cannot_be_read_is_one_sentence() -> None:
    class Broken(FrozenView):
        async def incident(self, incident: str) -> tuple[Incident, tuple[Event, ...]] | None:
            raise StoreUnavailable("the store var/evaluator.db cannot be used: the disk fails")

    for path in (f"/api/v1/incidents/{OPEN[0].id}", f"/incidents/{OPEN[0].id}"):
        response = await ask(path, view=Broken(NIGHT))
        assert response.status_code == 503
        assert "cannot be used: the disk fails" in response.text
