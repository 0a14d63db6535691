"""Edits while running, and restarts after them: what is broken keeps its last good text, all the rest goes on."""

import shutil
import signal

from evaluator.testing.pagerduty import PagerDuty
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, Running, rule, settings, until


def errors(daemon: Running) -> float:
    """Return how many errors are in settings and rule files."""
    return daemon.metric("config_problems", level="error")


def ends(daemon: Running) -> list[str]:
    """Return what was said of each end of an incident."""
    return [line["text"] for line in daemon.said("incident", what="resolved")]


def test_a_broken_file_keeps_its_last_good_text_while_others_reload(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    house.rule(rule("errors"))
    house.rule(rule("others", above="100"), "others.toml")
    daemon = house.run()
    assert errors(daemon) == 0
    house.rule(rule("errors", above="5%"))
    until(lambda: errors(daemon) >= 1)
    house.rule(rule("others", above="15"), "others.toml")
    metrics["errors"] = metrics["others"] = 20.0
    until(lambda: len(pagerduty.open_incidents()) == 2)
    until(lambda: daemon.status()["problems"])
    assert daemon.status()["problems"][0]["where"].startswith("rules/shop.toml:6")
    assert "rules/shop.toml:6" in daemon.get("/")[1]
    assert daemon.said("config problem", level="error")
    assert daemon.metric("reloads_total", outcome="failed") >= 1
    house.rule(rule("errors", above="30"))
    until(lambda: errors(daemon) == 0)
    until(lambda: [found.open for found in pagerduty.incidents()].count(False) == 1)
    (left,) = pagerduty.open_incidents()
    assert left.payload["payload"]["class"] == "others"


def test_a_vanished_file_counts_as_removed_at_sighup_and_not_before(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    path = house.rule(rule("errors"))
    house.rule(rule("others"), "others.toml")
    metrics["errors"] = 20.0
    daemon = house.run()
    (found,) = until(pagerduty.open_incidents)
    path.unlink()
    until(lambda: daemon.metric("config_problems", level="warning") == 1)
    assert any("is gone" in problem["message"] for problem in daemon.status()["problems"])
    before = daemon.metric("rule_evaluations_total", rule="errors")
    until(lambda: daemon.metric("rule_evaluations_total", rule="errors") > before)
    assert found.open
    daemon.signal(signal.SIGHUP)
    until(lambda: not found.open)
    assert "its rule was removed" in ends(daemon)[0]
    until(lambda: daemon.metric("config_problems", level="warning") == 0)
    assert [each["rule"] for each in daemon.status()["resolved"]] == ["errors"]


def test_an_emptied_or_unreadable_folder_never_counts_as_removed(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    path = house.rule(rule("errors"))
    metrics["errors"] = 20.0
    daemon = house.run()
    (found,) = until(pagerduty.open_incidents)
    path.unlink()
    daemon.signal(signal.SIGHUP)
    until(lambda: errors(daemon) == 1)
    shutil.rmtree(house.rules)
    daemon.signal(signal.SIGHUP)
    until(lambda: any("cannot be read" in problem["message"] for problem in daemon.status()["problems"]))
    before = daemon.metric("rule_evaluations_total", rule="errors")
    until(lambda: daemon.metric("rule_evaluations_total", rule="errors") > before)
    assert found.open
    daemon.stop()
    again = house.run()
    until(lambda: errors(again) == 1)
    until(lambda: again.metric("rule_evaluations_total", rule="errors") >= 1)
    assert found.open
    house.rules.mkdir()
    house.rule(rule("errors", above="30"))
    until(lambda: not found.open)


def test_an_edited_limit_keeps_the_incident_and_pages_nobody_again(
    house: House, pagerduty: PagerDuty, metrics: Metrics
) -> None:
    house.rule(rule("errors"))
    metrics["errors"] = 20.0
    daemon = house.run()
    (found,) = until(pagerduty.open_incidents)
    house.rule(rule("errors", above="15", for_='"1s"', summary='"{value} errors, {limit}"'))
    until(lambda: [each["title"] for each in daemon.status()["incidents"]] == ["20 errors, above 15"])
    house.rule(rule("errors", above="30"))
    until(lambda: not found.open)
    assert pagerduty.account.pages == 1
    assert len(daemon.said("incident", what="opened")) == 1


def test_an_edited_query_ends_what_is_not_there_any_more(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    metrics["errors"] = 20.0
    daemon = house.run()
    (found,) = until(pagerduty.open_incidents)
    metrics["other"] = {"web-2": 20.0}
    house.rule(rule("errors", promql="other"))
    until(lambda: not found.open)
    assert "its rule was edited" in ends(daemon)[0]
    (left,) = until(pagerduty.open_incidents)
    assert left.payload["payload"]["source"] == "host=web-2"


def test_switching_a_rule_off_closes_what_it_has_open(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors") + rule("others"))
    metrics["errors"] = metrics["others"] = 20.0
    daemon = house.run()
    until(lambda: len(pagerduty.open_incidents()) == 2)
    house.rule(rule("errors", mode='"off"') + rule("others", mode='"shadow"'))
    until(lambda: not pagerduty.open_incidents())
    said = " ".join(sorted(ends(daemon)))
    assert "switched off" in said
    assert "shadow" in said


def test_broken_settings_leave_everything_as_it_is(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    daemon = house.run()
    house.settle(settings(pagerduty.url, metrics.url, top='instance = "test"\nevery = "soon"'))
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.metric("reloads_total", outcome="failed") == 1)
    assert daemon.said("reload refused: everything stays as it was")
    until(lambda: errors(daemon) == 1)
    metrics["errors"] = 20.0
    until(pagerduty.open_incidents)
    house.settle(settings(pagerduty.url, metrics.url))
    until(lambda: errors(daemon) == 0)


def test_a_restart_with_a_broken_file_equals_a_reload(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    metrics["errors"] = 20.0
    first = house.run()
    (found,) = until(pagerduty.open_incidents)
    first.stop()
    house.rule("[rule.errors\n")
    second = house.run()
    until(lambda: errors(second) >= 1)
    until(lambda: second.metric("rule_evaluations_total", rule="errors") >= 1)
    assert found.open
    metrics["errors"] = 0.0
    until(lambda: not found.open)
    assert pagerduty.account.pages == 1


def test_a_file_that_is_gone_at_a_start_is_removed(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    path = house.rule(rule("errors"))
    house.rule(rule("others"), "others.toml")
    metrics["errors"] = 20.0
    first = house.run()
    (found,) = until(pagerduty.open_incidents)
    first.stop()
    path.unlink()
    second = house.run()
    until(lambda: not found.open)
    assert "its rule was removed" in ends(second)[0]


def test_a_source_that_moves_is_asked_where_it_is_now(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.settle(settings(pagerduty.url, "http://127.0.0.1:1"))
    house.rule(rule("errors"))
    metrics["errors"] = 20.0
    daemon = house.run()
    until(lambda: daemon.metric("poll_failures_total", reason="refused") >= 1)
    house.settle(settings(pagerduty.url, metrics.url))
    daemon.signal(signal.SIGHUP)
    until(pagerduty.open_incidents)


def test_what_only_a_restart_changes_stays_and_is_said(house: House, pagerduty: PagerDuty, metrics: Metrics) -> None:
    house.rule(rule("errors"))
    daemon = house.run()
    house.settle(settings(pagerduty.url, metrics.url, top='instance = "moved"\nevery = "1s"'))
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.said("setting stays as it was until the next start", setting="instance"))
    metrics["errors"] = 20.0
    (found,) = until(pagerduty.open_incidents)
    assert found.dedup_key.startswith("evaluator/test/")
