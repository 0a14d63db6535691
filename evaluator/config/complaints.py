"""What pydantic found wrong, in an ops person's words and at its place.

This module knows pydantic's error types. It never knows single keys, and never repeats a value of the settings that may
be secret.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from evaluator.config.document import Document
from evaluator.config.fields import did_you_mean
from evaluator.config.keys import LATER
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.secrecy import without_keys

Model = TypeVar("Model", bound=BaseModel)

_WRONG_TYPE: Mapping[str, tuple[str, str]] = {
    "string_type": ("must be a text", 'write it between quotes: "..."'),
    "bool_type": ("must be true or false", "write true or false, without quotes"),
    "bool_parsing": ("must be true or false", "write true or false, without quotes"),
    "int_type": ("must be a whole number", "write a number without quotes"),
    "int_parsing": ("must be a whole number", "write a number without quotes"),
    "int_from_float": ("must be a whole number", ""),
    "float_type": ("must be a number", "write a number without quotes"),
    "float_parsing": ("must be a number", "write a number without quotes"),
    "list_type": ("must be a list", "write it in brackets: [ ... ]"),
    "tuple_type": ("must be a list", "write it in brackets: [ ... ]"),
    "dict_type": ("must be a table", "write it in braces: { key = value }"),
    "model_type": ("must be a table", "write it in braces: { key = value }"),
    "model_attributes_type": ("must be a table", "write it in braces: { key = value }"),
}
_TABLES: Mapping[str, str] = {
    "rising": '{ by = "50%", over = "15m" }',
    "falling": '{ by = "50%", over = "15m" }',
    "unusual": '{ by = "4 mad" }',
    "missed": '{ cron = "0 2 * * *", grace = "20m" }',
    "only_if": "{ query = ..., above = 50 }",
    "recover": '{ below = 80, for = "5m" }',
    "when": '{ cron = "55 2 * * *", for = "15m" }',
}
"""A table of each key for which nobody can guess what is in it."""
_REFERENCE = 'write it between quotes, or { env = "NAME" } or { file = "path" }'

_PREDICATES = frozenset({"must", "is", "has", "cannot", "needs"})
_MEANT: Mapping[str, str] = {
    **dict.fromkeys(("threshold", "limit", "max", "maximum", "greater_than", "gt", "over", "higher_than"), "above"),
    **dict.fromkeys(("min", "minimum", "less_than", "lt", "under", "lower_than"), "below"),
    **dict.fromkeys(("gte", "ge"), "at_least"),
    **dict.fromkeys(("lte", "le"), "at_most"),
    **dict.fromkeys(("duration", "for_duration", "pending", "wait"), "for"),
    **dict.fromkeys(("interval", "evaluation_interval", "frequency", "schedule", "poll"), "every"),
    **dict.fromkeys(("expr", "expression", "metric", "promql", "sql"), "query"),
    **dict.fromkeys(("priority", "level", "urgency"), "severity"),
    **dict.fromkeys(("datasource", "data_source", "from"), "source"),
    **dict.fromkeys(("team", "notify", "contact", "channel"), "service"),
    **dict.fromkeys(("title", "message", "subject"), "summary"),
    **dict.fromkeys(("annotations", "tags"), "labels"),
    **dict.fromkeys(("runbook_url", "playbook", "docs"), "runbook"),
    **dict.fromkeys(("dashboard_url", "link"), "dashboard"),
    **dict.fromkeys(("disabled", "enabled"), "mode"),
    **dict.fromkeys(("resolve", "recovery", "hysteresis"), "recover"),
    **dict.fromkeys(("nodata", "missing_data"), "no_data"),
    **dict.fromkeys(("hold", "tolerance"), "margin"),
    **dict.fromkeys(("start", "starts", "starts_at", "begin", "begins"), "from"),
    **dict.fromkeys(("end", "ends", "ends_at", "to"), "until"),
    **dict.fromkeys(("comment", "why"), "reason"),
    **dict.fromkeys(("depends_on", "suppressed_by", "parents"), "inhibited_by"),
    **dict.fromkeys(("active_hours", "business_hours", "hours"), "active"),
    **dict.fromkeys(("anomaly", "outlier"), "unusual"),
    **dict.fromkeys(("increase", "increasing", "trend"), "rising"),
    **dict.fromkeys(("decrease", "decreasing"), "falling"),
    **dict.fromkeys(("integration_key", "service_key"), "routing_key"),
    **dict.fromkeys(("bind", "address", "port"), "listen"),
}
"""What other systems call our keys."""
_MOST_KEYS = 12
_OF_RULE_FILES = frozenset({"rule", "window", "defaults"})


def validate(
    model: type[Model], table: Mapping[str, object], document: Document, path: Path
) -> tuple[Model | None, list[Problem]]:
    """Return the table at `path` as an instance of `model`, or every mistake in it."""
    try:
        return model.model_validate(dict(table)), []
    except ValidationError as error:
        return None, _problems(model, error, document, path)


def validate_partly(
    model: type[Model], table: Mapping[str, object], document: Document, path: Path
) -> tuple[Model | None, list[Problem]]:
    """Return what is right of the table as an instance of `model`, and every mistake in it."""
    try:
        return model.model_validate(dict(table)), []
    except ValidationError as error:
        right = copy.deepcopy(dict(table))
        for details in error.errors(include_url=False):
            _prune(right, details["loc"])
        found, _ = validate(model, right, document, path)
        if found is None:
            wrong = {details["loc"][0] for details in error.errors(include_url=False) if details["loc"]}
            right = {key: value for key, value in table.items() if key not in wrong}
            found, _ = validate(model, right, document, path)
        return found, _problems(model, error, document, path)


def _prune(table: dict[str, object], loc: tuple[int | str, ...]) -> None:
    """Take out of a table what an error points at; inside a list, the whole list."""
    inner = table
    for part in loc:
        below = inner.get(str(part))
        if not isinstance(below, dict) or part == loc[-1]:
            inner.pop(str(part), None)
            return
        inner = below


def _problems(model: type[BaseModel], error: ValidationError, document: Document, path: Path) -> list[Problem]:
    """Return the mistakes of a table; where a value fits none of several kinds, only the first complaint."""
    problems: dict[tuple[int, int, str], Problem] = {}
    for details in error.errors(include_url=False):
        for problem in _translate(model, details, document, path):
            unique = problem.message if details["type"] in {"extra_forbidden", "missing"} else ""
            problems.setdefault((problem.line, problem.column, unique), problem)
    return list(problems.values())


def _translate(model: type[BaseModel], details: ErrorDetails, document: Document, base: Path) -> Iterator[Problem]:
    """Yield one pydantic error as a problem, unless it only follows from a line that could not be read."""
    loc = _written(details["loc"], document, base)
    path, kind = (*base, *loc), details["type"]
    name = _name(loc)
    if kind == "extra_forbidden":
        yield unknown_key(document, path, known_keys(model, details["loc"]))
    elif kind == "missing":
        if not document.incomplete(path[:-1]):
            key = str(path[-2]) if len(path) > 1 else ""
            hint = f"write {key} = {_TABLES[key]}" if key in _TABLES else ""
            yield document.at_key(path[:-1], f"`{loc[-1]}` is missing" if loc else "something is missing", hint)
    elif kind == "string_type" and document.source.settings:
        yield document.at_value(path, f"{name} must be a text", _REFERENCE)
    elif kind in _WRONG_TYPE:
        message, hint = _WRONG_TYPE[kind]
        if message == "must be a table" and path[-1] in _TABLES:
            hint = f"write {path[-1]} = {_TABLES[str(path[-1])]}"
        yield document.at_value(path, f"{name} {message}", hint)
    elif kind in {"literal_error", "enum"}:
        yield _choice(details, document, path, name)
    else:
        message, hint = sentence(details)
        colon = "" if message.split(" ", 1)[0] in _PREDICATES else ":"
        yield document.at_value(path, f"{name}{colon} {message}" if name else message, hint)


def _written(loc: tuple[int | str, ...], document: Document, base: Path) -> tuple[int | str, ...]:
    """Return a location without the names that pydantic adds for the members of unions."""
    result: tuple[int | str, ...] = ()
    for index, part in enumerate(loc):
        if index and part != loc[-1] and (*base, *result, part) not in document.positions.keys:
            continue
        if isinstance(part, str) and re.search(r"[\[\](),]|^(str|int|float|bool|constrained-\w+)$", part):
            continue
        result = (*result, part)
    return result


def _name(loc: tuple[int | str, ...]) -> str:
    """Return the key that a sentence begins with."""
    words = [str(part) for part in loc if isinstance(part, str)]
    return f"`{words[-1]}`" if words else ""


def _choice(details: ErrorDetails, document: Document, path: Path, name: str) -> Problem:
    """Return the problem for a word that is none of a few."""
    expected = re.findall(r"'([^']*)'", str(details.get("ctx", {}).get("expected", "")))
    given = details["input"]
    meant = did_you_mean(given, expected) if isinstance(given, str) else ""
    choice = ", ".join(f'"{word}"' for word in expected[:-1]) + (" or " if expected[:-1] else "") + f'"{expected[-1]}"'
    hint = f'did you mean "{meant}"?' if meant else ""
    return document.at_value(path, f"{name} must be {choice}", hint)


def sentence(details: ErrorDetails) -> tuple[str, str]:
    """Return message and hint of an error; a validator's own text is split at its first semicolon."""
    reason = details.get("ctx", {}).get("error")
    text = str(reason) if reason is not None else details["msg"].replace("Input should be", "must be")
    text = text[:1].lower() + text[1:] if reason is None else text
    message, _, hint = text.partition("; ")
    return message, hint


def unknown_key(document: Document, path: Path, known: set[str]) -> Problem:
    """Return the problem for a key that nobody knows, or that only a later version knows."""
    key = without_keys(str(path[-1])) if document.source.settings else str(path[-1])
    if key in LATER:
        hint = "remove it until a version that does"
        return document.at_key(path, f"`{key}` is not understood by this version of evaluator yet", hint)
    if document.source.settings and key in _OF_RULE_FILES and len(path) == 1:
        return document.at_key(path, f"[{key}] belongs into a rule file", "move it to a file in the folder of rules")
    meant = did_you_mean(key, known) or _MEANT.get(did_you_mean(key, _MEANT), "")
    if meant in known:
        hint = f"did you mean `{meant}`?"
    elif len(known) > _MOST_KEYS:
        hint = "the keys are in docs/rules.md"
    else:
        hint = f"the keys here are {', '.join(sorted(known))}" if known else "this table has no keys of its own"
    return document.at_key(path, f"`{key}` is not a key that evaluator knows here", hint)


def known_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> set[str]:
    """Return the keys of the table in which an error was found."""
    current: type[BaseModel] | None = model
    for part in loc[:-1]:
        if current is None or not isinstance(part, str):
            continue
        field = next((field for name, field in current.model_fields.items() if part in (name, field.alias)), None)
        if field is not None:
            current = _model_in(field.annotation) or current
    return {field.alias or name for name, field in current.model_fields.items()} if current else set()


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - annotations have no type of their own.
    """Return the first model inside an annotation like `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
