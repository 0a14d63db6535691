"""docs/http.md says what there is, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from evaluator.telemetry.metrics import Metrics
from evaluator.web.app import make_app
from evaluator.web.why import Line
from evaluator.web.writes import KEYS
from tests.web.asking import data
from tests.web.snapshots import HUSHED, NIGHT, OPEN, FrozenView

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def section(name: str) -> str:
    return TEXT.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def tabled(text: str) -> set[str]:
    """Every name in the first column of the tables of a text."""
    rows = (line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_path_is_documented_and_no_other() -> None:
    app = make_app(FrozenView(NIGHT), Metrics(), token=None)
    paths = {route.path for route in app.routes if isinstance(route, Route)}
    assert tabled(TEXT.partition("\n## ")[0]) == paths


async def test_the_fields_of_rules_and_alerts() -> None:
    (group,) = (await data("/api/v1/rules?file[]=rules/celery.toml"))["groups"]
    assert tabled(section("`/api/v1/rules`")) == {*group, *group["rules"][0]}
    alerts = (await data("/api/v1/alerts"))["alerts"]
    assert tabled(section("`/api/v1/alerts`")) == {name for alert in alerts for name in alert}


async def test_the_fields_and_parameters_of_incidents() -> None:
    (parameters, _, fields) = section("`/api/v1/incidents`").partition("`data.incidents[]`")
    assert tabled(parameters) == {"state", "limit", "before"}
    one = await data(f"/api/v1/incidents/{OPEN[0].id}")
    assert tabled(fields) == set(one) - {"timeline"}
    assert "`timeline[]`" in fields
    assert set((await data("/api/v1/incidents"))["incidents"][0]) == tabled(fields)


async def test_the_keys_and_fields_of_silences() -> None:
    (keys, _, fields) = section("`/api/v1/silences`").partition("| field of a silence")
    assert tabled(keys) == set(KEYS)
    (one, *_) = (await data("/api/v1/silences", HUSHED))["silences"]
    assert tabled(fields) == set(one)


async def test_the_parameters_and_fields_of_why() -> None:
    (parameters, _, fields) = section("`/api/v1/why`").partition("| field |")
    assert tabled(parameters) == {"rule", "series", "at", "limit"}
    answer = await data("/api/v1/why?rule=cpu-high", view=FrozenView(NIGHT, seen=[Line(NIGHT.now, "quiet")]))
    assert tabled(fields) == set(answer)
    for name in answer["lines"][0]:
        assert f"`{name}`" in fields


async def test_the_fields_of_the_status() -> None:
    status = await data("/api/v1/status", HUSHED)
    text = section("`/api/v1/status`")
    assert tabled(text) == set(status)
    for nested in ("counts", "sources", "pending", "muted", "windows", "learning", "problems", "deliveries"):
        fields: Any = status[nested]
        for name in fields if isinstance(fields, dict) else fields[0]:
            assert f"`{name}`" in text, f"{nested}.{name}"
    extra = set(status["incidents"][0]) - tabled(section("`/api/v1/incidents`"))
    for name in extra:
        assert f"`{name}`" in text
    extra = set(status["silences"][0]) - tabled(section("`/api/v1/silences`"))
    assert extra == {"seconds_left"}
    assert "`seconds_left`" in text


@pytest.mark.parametrize(
    "kind", ["bad_data", "unauthorized", "forbidden", "not_found", "not_allowed", "bad_host", "internal", "unavailable"]
)
def test_the_kinds_of_errors(kind: str) -> None:
    assert kind in tabled(section("Envelope and errors"))
