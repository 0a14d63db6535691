"""The settings that ship: everything is declared, and a machine without anything is watched without a complaint."""

import re
import shutil
import tomllib
from pathlib import Path

from evaluator.config.load import load
from tests.house.repository import ROOT, entry_points

SHIPPED = ROOT / "evaluator.toml"
KEYS = {
    "api-platform": "PAGERDUTY_API_PLATFORM_KEY",
    "database": "PAGERDUTY_DATABASE_KEY",
    "payments": "PAGERDUTY_PAYMENTS_KEY",
    "background-jobs": "PAGERDUTY_CELERY_KEY",
    "authentication": "PAGERDUTY_AUTH_KEY",
    "infrastructure": "PAGERDUTY_INFRA_KEY",
}
POLICIES = {"critical-infrastructure", "high-priority", "medium-priority"}


def test_each_source_is_declared_and_all_but_the_host_are_off() -> None:
    sources = tomllib.loads(SHIPPED.read_text())["sources"]
    # `self` is there without being declared.
    assert {keys["type"] for keys in sources.values()} == set(entry_points("evaluator.sources")) - {"self"}
    assert [name for name, keys in sources.items() if keys.get("enabled", True)] == ["host"]
    assert {"sessions", "redis"} <= set(sources)


def test_each_service_has_its_key_its_title_and_a_policy() -> None:
    services = tomllib.loads(SHIPPED.read_text())["services"]
    assert {name: keys["routing_key"]["env"] for name, keys in services.items()} == KEYS
    assert all(keys["title"] and keys["policy"] in POLICIES for keys in services.values())


def test_a_bare_machine_has_no_mistake_and_no_other_warning_than_that_nobody_is_paged() -> None:
    loaded = load(SHIPPED, {})
    assert not loaded.fatal
    assert [problem.headline for problem in loaded.problems if problem.error] == []
    assert {problem.id for problem in loaded.problems} == {"service-cannot-page"}
    keys = dict.fromkeys(KEYS.values(), "0123456789abcdef0123456789abcdef")
    assert [problem.headline for problem in load(SHIPPED, keys).problems] == []


def test_every_source_can_be_switched_on_once_its_secrets_are_there(tmp_path: Path) -> None:
    text = SHIPPED.read_text()
    names = re.findall(r'\{ env = "(\w+)" \}', text)
    address = {"EVALUATOR_POSTGRES_URL": "postgresql://e:p@h/d", "EVALUATOR_PGBOUNCER_URL": "postgresql://e:p@h/d"}
    address |= {"CELERY_BROKER_URL": "redis://h", "STRIPE_MONITORING_KEY": "rk_live_" + 24 * "0"}
    switched = tmp_path / "evaluator.toml"
    switched.write_text(text.replace("enabled = false", "enabled = true"))
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    loaded = load(switched, {name: address.get(name, "0123456789abcdef0123456789abcdef") for name in names})
    assert [problem.headline for problem in loaded.problems if problem.error] == []
    assert loaded.settings is not None
    assert all(entry.enabled for entry in loaded.settings.sources.values())
    assert [rule.name for rule in loaded.rules if not rule.judged] == []
