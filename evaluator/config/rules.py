"""From one rule file to rules: its defaults, each rule's keys, and what they refer to.

This module knows how the keys of a rule act together. It never reads files, and never knows other rule files.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from evaluator.config.complaints import unknown_key, validate, validate_partly
from evaluator.config.declared import Declared, DeclaredSource, undeclared
from evaluator.config.document import Document, Table
from evaluator.config.keys import LIMITS, TIERS, DefaultKeys, RuleKeys
from evaluator.config.limits import Keyed, LimitReader, has_limit
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.engine.rules import Mode, NoData, Query, Rule, Severity, Tier

_TOP = ("defaults", "rule")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class RuleFile:
    """One rule file, judged."""

    document: Document
    rules: Mapping[str, Rule] = field(default_factory=dict)
    """The rules without a mistake."""
    names: tuple[str, ...] = ()
    """All rules that it defines, right or wrong."""
    problems: tuple[Problem, ...] = ()
    """Mistakes only; lint comes later."""

    @property
    def broken(self) -> bool:
        """Whether it has any mistake, so that it is not taken."""
        return any(problem.error for problem in self.problems)


def read_rules(document: Document, declared: Declared) -> RuleFile:
    """Return the rules of a file and every mistake in it."""
    reader = _FileReader(document, declared)
    reader.read()
    problems = [*document.problems, *(problem for problem in reader.problems if _trusted(problem, document))]
    return RuleFile(document, reader.rules, tuple(reader.names), tuple(problems))


def _trusted(problem: Problem, document: Document) -> bool:
    """Return whether a problem is not a mere echo of a slip on its line."""
    slips = [slip.column for slip in document.problems if slip.line == problem.line]
    if slips:
        return problem.column < min(slips)
    return problem.line not in document.slipped


class _FileReader:
    """Reads one file."""

    def __init__(self, document: Document, declared: Declared) -> None:
        self.document = document
        self.declared = declared
        self.problems: list[Problem] = []
        self.rules: dict[str, Rule] = {}
        self.names: list[str] = []
        self.defaults = DefaultKeys()

    def read(self) -> None:
        """Read `[defaults]`, then each rule."""
        data = self.document.data
        for key, value in data.items():
            if key not in _TOP:
                self._not_top(key, value)
        defaults = data.get("defaults", {})
        if isinstance(defaults, dict):
            self._read_defaults(defaults)
        else:
            self.problems.append(self.document.at_key(("defaults",), "`defaults` is a table", "write [defaults]"))
        rules = data.get("rule", {})
        if not isinstance(rules, dict):
            hint = "write [rule.cpu-high] with single brackets and a name"
            self.problems.append(self.document.at_key(("rule",), "a rule needs a name", hint))
            return
        for name, table in rules.items():
            self._read_rule(name, table)

    def _not_top(self, key: str, value: object) -> None:
        """Complain of a table or key that no rule file has."""
        if isinstance(value, dict) and {"source", "query", "severity", *LIMITS} & set(value):
            message, hint = f"[{key}] is not a rule", f"write [rule.{key}]"
            self.problems.append(self.document.at_key((key,), message, hint))
        elif key in RuleKeys.model_fields or key == "for":
            hint = "put it below [defaults] or below a [rule.NAME]"
            self.problems.append(self.document.at_key((key,), f"`{key}` stands outside of a rule", hint))
        elif key in {"sources", "services", "notifiers", "store", "web", "heartbeat"}:
            hint = "move it to evaluator.toml"
            self.problems.append(self.document.at_key((key,), f"[{key}] belongs into the settings", hint))
        else:
            self.problems.append(unknown_key(self.document, (key,), set(_TOP)))

    def _read_defaults(self, table: Table) -> None:
        """Read what rules inherit."""
        for key in (*LIMITS, *TIERS, "query"):
            if key in table:
                message = f"`{key}` cannot be a default"
                self.problems.append(self.document.at_key(("defaults", key), message, "put it into each rule"))
        known = {key: value for key, value in table.items() if key not in (*LIMITS, *TIERS, "query")}
        defaults, problems = validate_partly(DefaultKeys, known, self.document, ("defaults",))
        self.problems += problems
        self.defaults = defaults or self.defaults
        if self.defaults.for_ is not None and self.defaults.datapoints is not None:
            path = ("defaults", "datapoints")
            self.problems.append(
                self.document.at_key(path, "`for` and `datapoints` cannot both be", "keep one of the two")
            )

    def _read_rule(self, name: str, table: object) -> None:
        """Read one rule."""
        path: Path = ("rule", name)
        self.names.append(name)
        if not isinstance(table, dict):
            hint = f"write [rule.{name}] with single brackets, and its keys below"
            message = "a rule is a table" if not isinstance(table, list) else "a rule is not a list of tables"
            self.problems.append(self.document.at_key(path, message, hint))
            return
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            meant = "-".join(re.findall(r"[A-Za-z0-9_-]+", name))[:_LONGEST_NAME]
            message = f"a rule's name has letters, digits, - and _, at most {_LONGEST_NAME}"
            self.problems.append(self.document.at_key(path, message, f"write [rule.{meant}]" if meant else ""))
        before = len(self.problems)
        keys, problems = validate_partly(RuleKeys, table, self.document, path)
        self.problems += problems
        reader = _RuleReader(self.document, self.declared, self.defaults, name, table, keys)
        rule = reader.read()
        self.problems += reader.problems
        if rule is not None and len(self.problems) == before:
            self.rules[name] = rule


@dataclass
class _RuleReader:
    """Reads one rule; where some of its keys are wrong, the others are still checked."""

    document: Document
    declared: Declared
    defaults: DefaultKeys
    name: str
    table: Table
    keys: RuleKeys | None
    problems: list[Problem] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """Where the rule stands."""
        return ("rule", self.name)

    def read(self) -> Rule | None:
        """Return the rule, or `None` where it cannot be."""
        self._check_missing()
        source = self._source()
        service = self._service()
        query = self._query(source) if source is not None else None
        tiers = self._tiers()
        if self.keys is None or source is None or service is None or query is None or not tiers:
            return None
        every = max(self._say_or_default("every") or self.declared.every, query.step)
        mode, because = Mode(self._say_or_default("mode") or "page"), ""
        if mode is not Mode.OFF and not source.enabled:
            mode, because = Mode.OFF, f'source "{source.name}" is disabled'
        group_by = self._say_or_default("group_by")
        return Rule(
            name=self.name,
            query=query,
            tiers=tiers,
            every=every,
            service=service,
            unit=self._say_or_default("unit"),
            lag=self._say_or_default("lag") or 0.0,
            no_data=self._say_or_default("no_data") or NoData(),
            group_by=None if group_by is None else tuple(dict.fromkeys(group_by)),
            mode=mode,
            off_because=because,
            labels=MappingProxyType({**(self.defaults.labels or {}), **(self.keys.labels or {})}),
            summary=self._say_or_default("summary") or "",
            description=self._say_or_default("description") or "",
            runbook=self._say_or_default("runbook") or "",
            dashboard=self._say_or_default("dashboard") or "",
            file=self.document.file,
            line=self.document.positions.key(self.path).line,
        )

    def _say_or_default(self, key: str) -> Any:  # noqa: ANN401 - the type is the key's own.
        """Return what the rule says, else what the file's defaults say."""
        own = getattr(self.keys, key) if self.keys is not None else None
        return getattr(self.defaults, key) if own is None else own

    def _raw(self, key: str) -> object:
        """Return a text of the rule as written, or of the defaults, whatever else is wrong with the rule."""
        return self.table.get(key, getattr(self.defaults, key, None))

    def _place(self, key: str) -> Path:
        """Return where a key is written: in the rule, or in the defaults."""
        return (*self.path, key) if key in self.table else ("defaults", key)

    def _check_missing(self) -> None:
        """Complain of what every rule needs."""
        if self.document.incomplete(self.path) or self.document.incomplete(("defaults",)):
            return
        if self._raw("source") is None:
            hint = "write source = ... with the name of a [sources.NAME] in evaluator.toml"
            self._say("`source` is missing", hint)
        if "query" not in self.table:
            self._say("`query` is missing", "write query = ...: what to ask the source")
        has_tiers = any(tier in self.table for tier in TIERS)
        if not has_tiers and not any(limit in self.table for limit in LIMITS):
            wrong = next((key for key in self.table if key not in RuleKeys.model_fields and key != "for"), None)
            if wrong is None:
                self._say("a limit is missing", "write above = 90, below = 10, or one of the other limits")
        if not has_tiers and self._raw("severity") is None:
            self._say(
                "`severity` is missing", 'write severity = "P0" (the worst) to "P3", or limits as P0 = { above = 5 }'
            )

    def _say(self, message: str, hint: str) -> None:
        """Note a problem at the rule's header."""
        self.problems.append(self.document.at_key(self.path, f'{message} in rule "{self.name}"', hint))

    def _source(self) -> DeclaredSource | None:
        """Return the source that the rule asks."""
        name = self._raw("source")
        if not isinstance(name, str):
            return None
        found = self.declared.sources.get(name)
        if found is None and self.declared.complete:
            message, hint = undeclared("source", name, self.declared.sources)
            self.problems.append(self.document.at_value(self._place("source"), message, hint))
        return found

    def _service(self) -> str | None:
        """Return the service that is told."""
        name = self._raw("service")
        if name is None:
            if not self.declared.services:
                return "default"
            if self.declared.complete and not self.document.incomplete(self.path):
                known = ", ".join(sorted(self.declared.services))
                self._say("`service` is missing", f"write service = ... here or in [defaults]; declared are {known}")
            return None
        if not isinstance(name, str):
            return None
        if name not in self.declared.services and self.declared.complete:
            message, hint = undeclared("service", name, self.declared.services)
            self.problems.append(self.document.at_value(self._place("service"), message, hint))
            return None
        return name

    def _query(self, source: DeclaredSource) -> Query | None:
        """Return the query, checked by the source's own model, as canonical JSON."""
        written = self.table.get("query")
        if source.type is None or not isinstance(written, str | dict):
            return None
        model: type[BaseModel] = source.type.Query
        path: Path = (*self.path, "query")
        if isinstance(written, str):
            shorthand = getattr(model, "shorthand", None)
            if shorthand is None:
                hint = f"write query = {{ ... }}; its keys are {', '.join(model.model_fields)}"
                self.problems.append(self.document.at_value(path, "this source's query is a table", hint))
                return None
            written = {shorthand: written}
        checked, problems = validate(model, written, self.document, path)
        self.problems += problems
        return None if checked is None else self._canonical(source.name, checked)

    def _canonical(self, source: str, query: BaseModel) -> Query:
        """Return a checked query as the engine carries it."""
        fields = query.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
        spec = json.dumps(fields, sort_keys=True, ensure_ascii=False)
        period = getattr(query, "period", None)
        return Query(source, spec, float(period) if isinstance(period, int | float) else 0.0)

    def _tiers(self) -> tuple[Tier, ...]:
        """Return the limits, the worst first."""
        if self.keys is None or ("unit" in self.table and self.keys.unit is None):
            return ()
        named = [tier for tier in TIERS if getattr(self.keys, tier) is not None]
        reader = LimitReader(self.document, self._say_or_default("unit"))
        rule = Keyed(self._with_defaults(self.keys), self.path)
        if named and self.keys.severity is not None:
            hint = f"delete one of the two: `severity` is for one limit, {', '.join(named)} for several"
            path = (*self.path, "severity")
            self.problems.append(self.document.at_key(path, f"`severity` and `{named[0]}` cannot both be", hint))
        if named:
            found = [self._tier(reader, name, rule) for name in named]
        else:
            severity = self._say_or_default("severity")
            found = [reader.tier(Severity(severity or "P3"), rule, None)]
        self.problems += dict.fromkeys(reader.problems)
        return tuple(tier for tier in found if tier is not None)

    def _tier(self, reader: LimitReader, name: str, rule: Keyed) -> Tier | None:
        """Return one of several tiers."""
        keys = getattr(self.keys, name)
        if not has_limit(keys) and not has_limit(rule.keys):
            if not any(limit in self.table for limit in LIMITS) and not self.document.incomplete((*self.path, name)):
                path = (*self.path, name)
                self.problems.append(
                    self.document.at_key(path, f"`{name}` has no limit", f"write {name} = {{ above = 90 }}")
                )
            return None
        return reader.tier(Severity(name), Keyed(keys, (*self.path, name)), rule)

    def _with_defaults(self, keys: RuleKeys) -> RuleKeys:
        """Return the rule's keys with the file's timing and recovery, where it has none of its own."""
        update: dict[str, object] = {}
        if keys.for_ is None and keys.datapoints is None:
            update |= {"for_": self.defaults.for_, "datapoints": self.defaults.datapoints}
        if keys.recover is None:
            update["recover"] = self.defaults.recover
        return keys.model_copy(update=update)
