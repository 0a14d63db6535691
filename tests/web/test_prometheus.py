import math
from dataclasses import replace

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.rules import Mode, Severity
from evaluator.web.prometheus import go_number
from evaluator.web.view import RuleStatus
from tests.web.asking import ask, data
from tests.web.snapshots import ALERTS, CPU, HUSHED, NIGHT, NOW, QUEUE, QUIET, alert

FIRING = {
    "labels": {"queue": "payments.capture", "service": "payments", "severity": "P0", "alertname": "celery-backlog"},
    "annotations": {
        "summary": "48120 tasks wait in payments.capture",
        "runbook_url": "https://runbooks.example.com/celery",
        "dashboard_url": "https://grafana.example.com/d/celery",
    },
    "state": "firing",
    "activeAt": "2026-10-20T02:11:40Z",
    "value": "4.812e+04",
}


async def test_rules_have_the_shape_of_prometheus() -> None:
    groups = (await data("/api/v1/rules"))["groups"]
    assert [group["file"] for group in groups] == ["rules/host.toml", "rules/celery.toml", "rules/web.toml"]
    assert groups[1] == {
        "name": "rules/celery.toml",
        "file": "rules/celery.toml",
        "interval": 30.0,
        "limit": 0,
        "evaluationTime": 0.0004,
        "lastEvaluation": "2026-10-20T02:14:55Z",
        "rules": [
            {
                "type": "alerting",
                "name": "celery-backlog",
                "query": "up",
                "duration": 120.0,
                "keepFiringFor": 0.0,
                "labels": {"service": "payments", "severity": "P0"},
                "annotations": {
                    "summary": "{value} tasks wait in {queue}",
                    "runbook_url": "https://runbooks.example.com/celery",
                    "dashboard_url": "https://grafana.example.com/d/celery",
                },
                "alerts": [FIRING],
                "health": "ok",
                "lastError": "",
                "evaluationTime": 0.0004,
                "lastEvaluation": "2026-10-20T02:14:55Z",
                "state": "firing",
                "mode": "page",
                "limit": "above 5000",
            }
        ],
    }


async def test_each_tier_is_a_rule_with_its_severity_and_only_its_own_alerts() -> None:
    (group,) = (await data("/api/v1/rules?rule_name[]=cpu-high"))["groups"]
    assert [(rule["labels"]["severity"], rule["state"], rule["duration"]) for rule in group["rules"]] == [
        ("P0", "pending", 300.0),
        ("P1", "firing", 600.0),
    ]
    assert [found["labels"]["instance"] for found in group["rules"][1]["alerts"]] == ["web-3", "web-1"]
    assert group["rules"][1]["keepFiringFor"] == 300.0


async def test_alerts_have_the_shape_of_prometheus() -> None:
    alerts = (await data("/api/v1/alerts"))["alerts"]
    assert alerts[0] == FIRING
    assert [found["state"] for found in alerts] == [
        "firing",
        "firing",
        "firing",
        "firing",
        "pending",
        "pending",
        "firing",
    ]


async def test_a_recovering_alert_is_firing_there_and_says_since_when_it_is_kept() -> None:
    alerts = (await data("/api/v1/alerts"))["alerts"]
    (recovering,) = [found for found in alerts if found["labels"]["alertname"] == "disk-full"]
    assert recovering["state"] == "firing"
    assert recovering["keepFiringSince"] == "2026-10-20T02:09:25Z"


async def test_the_reason_of_an_alert_is_an_annotation_and_the_name_of_a_metric_is_no_label() -> None:
    labels = {"__name__": "up", "severity": "mine", "host": "a"}
    shown = replace(NIGHT, alerts=(alert(CPU, Severity.P1, State.FIRING, labels, reason="above 90 % for 10m"),))
    (found,) = (await data("/api/v1/alerts", shown))["alerts"]
    assert found["annotations"]["why"] == "above 90 % for 10m"
    assert found["labels"] == {"host": "a", "service": "infrastructure", "severity": "P1", "alertname": "cpu-high"}


async def test_quiet_alerts_and_those_of_removed_rules_are_not_alerts() -> None:
    shown = replace(
        NIGHT,
        alerts=(replace(ALERTS[0], rule="removed"), alert(CPU, Severity.P1, State.QUIET, {})),
    )
    assert (await data("/api/v1/alerts", shown))["alerts"] == []
    states = {rule["state"] for group in (await data("/api/v1/rules", shown))["groups"] for rule in group["rules"]}
    assert states == {"inactive"}


async def test_health_tells_an_error_from_what_was_not_asked_yet() -> None:
    statuses = (
        RuleStatus(CPU, NOW, error="timeout: no answer within 5s"),
        RuleStatus(QUEUE),
        RuleStatus(replace(QUEUE, name="off", mode=Mode.OFF, off_because='source "redis" is disabled'), NOW),
    )
    groups = (await data("/api/v1/rules", replace(QUIET, rules=statuses)))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert [(rule["name"], rule["health"], rule["lastError"]) for rule in rules] == [
        ("cpu-high", "err", "timeout: no answer within 5s"),
        ("cpu-high", "err", "timeout: no answer within 5s"),
        ("celery-backlog", "unknown", ""),
        ("off", "unknown", 'source "redis" is disabled'),
    ]
    assert rules[2]["lastEvaluation"] == "0001-01-01T00:00:00Z"


async def test_the_filters_of_prometheus() -> None:
    async def names(query: str) -> list[str]:
        groups = (await data(f"/api/v1/rules?{query}"))["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]

    assert await names("rule_name[]=disk-full&rule_name[]=celery-backlog") == ["celery-backlog", "disk-full"]
    assert await names("file[]=rules/celery.toml") == ["celery-backlog"]
    assert await names("rule_group[]=rules/web.toml&type=alert") == ["checkout-slow"]
    assert await names("type=record") == []
    assert await names("rule_name[]=none") == []


async def test_alerts_can_be_left_out_without_losing_the_state() -> None:
    (group,) = (await data("/api/v1/rules?file[]=rules/celery.toml&exclude_alerts=true"))["groups"]
    assert "alerts" not in group["rules"][0]
    assert group["rules"][0]["state"] == "firing"


@pytest.mark.parametrize("query", ["type=alerts", "exclude_alerts=maybe"])
async def test_a_filter_that_cannot_be_meant_is_refused_as_prometheus_does(query: str) -> None:
    response = await ask(f"/api/v1/rules?{query}")
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert response.json()["errorType"] == "bad_data"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NaN"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (0.0, "0e+00"),
        (1.0, "1e+00"),
        (-0.5, "-5e-01"),
        (12345678.0, "1.2345678e+07"),
        (1e300, "1e+300"),
        (0.1 + 0.2, "3.0000000000000004e-01"),
    ],
)
def test_values_are_written_as_go_writes_them(value: float | None, text: str) -> None:
    assert go_number(value) == text


async def test_an_alert_says_what_mutes_it() -> None:
    alerts = (await data("/api/v1/alerts", HUSHED))["alerts"]
    (muted,) = [each for each in alerts if "muted" in each["annotations"]]
    assert muted["labels"]["alertname"] == "memory-high"
    assert muted["annotations"]["muted"].startswith("silenced by ben until its alert is over")
    (group,) = (await data("/api/v1/rules?rule_name[]=memory-high", HUSHED))["groups"]
    assert {alert["annotations"].get("muted") for alert in group["rules"][0]["alerts"]} == {
        None,
        muted["annotations"]["muted"],
    }
