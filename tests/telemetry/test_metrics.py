import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from evaluator.engine.alerts import State
from evaluator.engine.rules import Severity
from evaluator.telemetry.metrics import Metrics

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


def text(metrics: Metrics) -> str:
    return metrics.render()[0].decode()


def declared(metrics: Metrics) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every attribute that is a metric, by its exposed name, with its kind and labels."""
    found = {}
    for attribute, metric in vars(metrics).items():
        if isinstance(metric, (Counter, Gauge, Histogram)):
            suffix = "_total" if isinstance(metric, Counter) else ""
            found[f"evaluator_{attribute}{suffix}"] = (KINDS[type(metric)], tuple(metric._labelnames))
    return found


def test_the_docs_have_every_metric_with_its_kind_and_labels_and_no_other(metrics: Metrics) -> None:
    documented = {}
    for line in DOCS.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 4 and cells[1].startswith("`evaluator_"):
            labels = tuple(re.findall(r"`([a-z_]+)`", cells[3].partition("(")[0]))
            documented[cells[1].strip("`")] = (cells[2], labels)
    assert documented == declared(metrics)


def test_every_metric_is_exposed_under_the_name_of_its_attribute(metrics: Metrics) -> None:
    families = {family.name for family in metrics.registry.collect()}
    assert {name.removesuffix("_total") for name in declared(metrics)} <= families


def test_the_page_of_prometheus_is_plain_text_unless_openmetrics_is_accepted(metrics: Metrics) -> None:
    assert metrics.render()[1].startswith("text/plain; version=0.0.4")
    assert metrics.render("*/*")[1].startswith("text/plain; version=0.0.4")
    body, content_type = metrics.render(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]  # The library's.
    assert len(list(families)) > 30


def test_what_can_increase_is_there_before_it_first_does(metrics: Metrics) -> None:
    page = text(metrics)
    for line in (
        'evaluator_reloads_total{outcome="failed"} 0.0',
        'evaluator_errors_total{where="delivery"} 0.0',
        'evaluator_clock_jumps_total{direction="back"} 0.0',
        'evaluator_config_problems{level="error"} 0.0',
        'evaluator_alerts{severity="P0",state="firing"} 0.0',
    ):
        assert line in page


def test_a_removed_rule_and_a_removed_source_leave_nothing_behind(metrics: Metrics) -> None:
    for rule in ("gone", "stays"):
        metrics.rule_evaluations.labels(rule).inc()
        metrics.rule_evaluation_failures.labels(rule, "timeout").inc()
    for source in ("gone", "stays"):
        metrics.poll_duration_seconds.labels(source).observe(0.1)
        metrics.poll_failures.labels(source, "timeout").inc()
        metrics.source_up.labels(source).set(0)
        metrics.source_last_good_timestamp_seconds.labels(source).set(1)
        metrics.missed_slots.labels(source).inc()
    metrics.forget_rule("gone")
    metrics.forget_source("gone")
    metrics.forget_source("never there")
    page = text(metrics)
    assert "gone" not in page
    assert 'evaluator_rule_evaluation_failures_total{reason="timeout",rule="stays"} 1.0' in page
    assert 'evaluator_source_up{source="stays"} 0.0' in page


def test_alerts_that_ended_are_shown_as_none(metrics: Metrics) -> None:
    metrics.set_alerts({(State.FIRING, Severity.P1): 3})
    assert 'evaluator_alerts{severity="P1",state="firing"} 3.0' in text(metrics)
    metrics.set_alerts({})
    assert 'evaluator_alerts{severity="P1",state="firing"} 0.0' in text(metrics)
    assert 'state="quiet"' not in text(metrics)


def test_a_service_that_is_no_more_is_no_longer_shown(metrics: Metrics) -> None:
    metrics.set_open_incidents({("old", Severity.P1): 1}, ["web"])
    assert 'evaluator_open_incidents{service="web",severity="P0"} 0.0' in text(metrics)
    metrics.set_open_incidents({("web", Severity.P0): 2}, ["web"])
    page = text(metrics)
    assert 'service="old"' not in page
    assert 'evaluator_open_incidents{service="web",severity="P0"} 2.0' in page


def test_two_daemons_in_one_process_do_not_mix(metrics: Metrics) -> None:
    metrics.missed_slots.labels("redis").inc()
    assert 'source="redis"' not in text(Metrics())


def test_the_process_and_its_version_are_told(metrics: Metrics) -> None:
    page = text(metrics)
    assert 'version="1.2.3"' in page
    assert "process_resident_memory_bytes" in page
    assert "_created" not in page
