"""JSON Schema (draft 2020-12) of rule files and of `evaluator.toml`, from the very models that check them.

This module knows models and installed types. It never reads a file. Editors complete and explain keys with it.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from evaluator.config.builtin import NAMES
from evaluator.config.keys import DefaultKeys, RuleKeys, WindowKeys
from evaluator.config.plugins import Plugins
from evaluator.config.settings import Settings

Schema = dict[str, Any]
"""A JSON Schema."""

DIALECT = GenerateJsonSchema.schema_dialect
_REFERENCES: tuple[Schema, ...] = tuple(
    {
        "type": "object",
        "description": words,
        "properties": {key: {"type": "string"}},
        "required": [key],
        "additionalProperties": False,
    }
    for key, words in (("env", "an environment variable"), ("file", "a file, such as a systemd credential"))
)


def rules_schema(plugins: Plugins) -> Schema:
    """Return the schema of a rule file; `query` is whatever an installed source understands."""
    definitions: Schema = {}
    rule = _model(RuleKeys, definitions)
    defaults = _model(DefaultKeys, definitions)
    window = _model(WindowKeys, definitions)
    names: Schema = {"pattern": "^[A-Za-z0-9_-]+$", "maxLength": 100}
    queries = [
        {**_model(kind.Query, definitions, f"{name}."), "title": f"query of {name}"}
        for name, kind in sorted(plugins.sources.items())
    ]
    text = {"type": "string", "description": "the short form of a source's query"}
    description = rule["properties"]["query"].get("description", "")
    rule["properties"]["query"] = {"anyOf": [text, *queries], "description": description}
    definitions["Rule"] = rule
    inherits = {"$ref": "#/$defs/Rule", "description": "a built-in rule: what is not said here stays as it is"}
    return {
        "$schema": DIALECT,
        "title": "evaluator: rules",
        "type": "object",
        "properties": {
            "defaults": {**defaults, "description": "what the rules of this file do not say themselves"},
            "rule": {
                "type": "object",
                "description": "one table for each rule: [rule.NAME]",
                "propertyNames": names,
                "properties": dict.fromkeys(NAMES, inherits),
                "additionalProperties": {"$ref": "#/$defs/Rule", "required": ["query"]},
            },
            "window": {
                "type": "object",
                "description": "planned work: one table for each window, [window.NAME]",
                "propertyNames": names,
                "additionalProperties": window,
            },
        },
        "additionalProperties": False,
        "$defs": definitions,
    }


def settings_schema(plugins: Plugins) -> Schema:
    """Return the schema of `evaluator.toml`, with the keys of every installed type."""
    definitions: Schema = {}
    schema = _model(Settings, definitions)
    sections = {
        "sources": {name: kind.Settings for name, kind in plugins.sources.items()},
        "notifiers": {name: kind.Settings for name, kind in plugins.notifiers.items()},
    }
    for section, models in sections.items():
        kinds = [_entry(name, model, definitions) for name, model in sorted(models.items())]
        description = schema["properties"][section].get("description", "")
        schema["properties"][section] = {
            "type": "object",
            "description": description,
            "additionalProperties": {"oneOf": kinds},
        }
    for placeholder in ("SourceEntry", "NotifierEntry", "BaseModel"):
        definitions.pop(placeholder, None)
    whole = {"$schema": DIALECT, **schema, "title": "evaluator: settings", "$defs": definitions}
    return {key: _with_references(value) for key, value in whole.items()}


def _entry(name: str, model: type[BaseModel], definitions: Schema) -> Schema:
    """Return the schema of one entry of a type: its own keys, `type` and `enabled`."""
    schema = _model(model, definitions, f"{name}.")
    common = {
        "type": {"const": name, "description": "which system this is"},
        "enabled": {"type": "boolean", "default": True, "description": "false: declared and off"},
    }
    return {
        **schema,
        "title": name,
        "properties": {**common, **schema.get("properties", {})},
        "required": ["type", *schema.get("required", [])],
    }


def _model(model: type[BaseModel], definitions: Schema, prefix: str = "") -> Schema:
    """Return a model's schema, its definitions moved into `definitions` under a name of their own."""
    schema = model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{prefix}{{model}}")
    definitions.update({f"{prefix}{name}": _plain(inner) for name, inner in schema.pop("$defs", {}).items()})
    plain: Schema = _plain(schema)
    return plain


def _plain(schema: Schema) -> Schema:
    """Return an object's schema without what TOML cannot say: null, and titles that only repeat a key."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    return {**schema, "properties": {name: _property(item) for name, item in properties.items()}}


def _property(schema: Schema) -> Schema:
    """Return the schema of one key."""
    schema = {
        key: value for key, value in schema.items() if key != "title" and not (key == "default" and value is None)
    }
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema.pop("anyOf")
        return {**kinds[0], **schema}
    return {**schema, "anyOf": kinds} if kinds else schema


def _with_references(schema: Any) -> Any:  # noqa: ANN401 - any piece of JSON.
    """Return a schema in which every text may also be `{ env = ... }` or `{ file = ... }`."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _with_references(value) for key, value in schema.items()}
    if schema.get("type") == "string" and "const" not in schema:
        described = {key: result.pop(key) for key in ("description", "default") if key in result}
        return {**described, "anyOf": [result, *_REFERENCES]}
    return result
