"""The docs name every key, every unit and every lint id; the schema is that of the models."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from evaluator.config.keys import (
    DefaultKeys,
    FlappingKeys,
    MissedKeys,
    OnlyIfKeys,
    RecoverKeys,
    RuleKeys,
    StormKeys,
    TierKeys,
    TrendKeys,
    UnusualKeys,
    WhenKeys,
    WindowKeys,
)
from evaluator.config.lint import IDS
from evaluator.config.plugins import installed
from evaluator.config.schema import rules_schema, settings_schema
from evaluator.config.settings import HeartbeatKeys, LintKeys, ServiceKeys, Settings, SeverityKeys, StoreKeys, WebKeys
from evaluator.engine.units import UNITS

ROOT = Path(__file__).parents[2]
RULES = (
    *(RuleKeys, DefaultKeys, TierKeys, RecoverKeys, TrendKeys, UnusualKeys, MissedKeys, OnlyIfKeys),
    *(FlappingKeys, StormKeys, WindowKeys, WhenKeys),
)
SETTINGS = (Settings, HeartbeatKeys, StoreKeys, WebKeys, ServiceKeys, SeverityKeys, LintKeys)


def keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("model", RULES)
def test_every_rule_key_is_in_the_docs_and_in_the_example(model: type[BaseModel]) -> None:
    docs, example = (ROOT / "docs/rules.md").read_text(), (ROOT / "rules.example.toml").read_text()
    for key in keys(model):
        assert f"`{key}`" in docs
        assert key in example


@pytest.mark.parametrize("model", SETTINGS)
def test_every_setting_is_in_the_docs(model: type[BaseModel]) -> None:
    docs = (ROOT / "docs/settings.md").read_text()
    for key in keys(model):
        assert f"`{key}`" in docs or f"[{key}" in docs


def test_every_key_has_a_description() -> None:
    for model in (*RULES, *SETTINGS):
        assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_every_unit_is_in_the_docs() -> None:
    docs = (ROOT / "docs/rules.md").read_text()
    assert [unit for unit in UNITS if f"`{unit}`" not in docs] == []


def test_every_lint_id_has_a_page_and_every_page_an_id() -> None:
    pages = {path.stem: path.read_text() for path in (ROOT / "docs/lint").glob("*.md")}
    assert set(pages) == IDS
    assert all(text.startswith(f"# {name}\n") for name, text in pages.items())


def test_the_schemas_take_what_is_shipped_and_refuse_what_is_not() -> None:
    plugins = installed()
    rules, settings = rules_schema(plugins), settings_schema(plugins)
    for schema in (rules, settings):
        jsonschema.Draft202012Validator.check_schema(schema)
    for path in (*(ROOT / "rules").rglob("*.toml"), ROOT / "rules.example.toml"):
        jsonschema.validate(tomllib.loads(path.read_text()), rules)
    shipped = tomllib.loads((ROOT / "evaluator.toml").read_text())
    jsonschema.validate(shipped, settings)
    wrong = [
        ({"rule": {"a": {"query": "cpu", "abvoe": 1}}}, rules),
        ({"rule": {"a": {"query": {"mesure": "cpu"}}}}, rules),
        ({"rule": {"a": {"above": 1}}}, rules),
        ({"rule": {"source-down": {"abvoe": 1}}}, rules),
        ({**shipped, "evry": "30s"}, settings),
        ({"sources": {"x": {"type": "hots"}}}, settings),
    ]
    for instance, schema in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(instance, schema)


@pytest.mark.parametrize("what", ["rules", "settings"])
def test_the_command_prints_the_schema(what: str) -> None:
    import typer

    from evaluator.cli.schema import register

    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, [what])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_schema_for_editors_is_current() -> None:
    """To write it anew: `evaluator schema rules > rules.schema.json`."""
    assert json.loads((ROOT / "rules.schema.json").read_text()) == rules_schema(installed())
