"""From the keys of one `[rule.NAME]` to a rule: what it inherits, refers to, asks and judges.

This module knows how the keys of a rule act together. It never knows other rules, and never reads files.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from evaluator.config.complaints import validate
from evaluator.config.declared import Declared, DeclaredSource, undeclared
from evaluator.config.document import Document, Table
from evaluator.config.keys import LIMITS, TIERS, DefaultKeys, RuleKeys
from evaluator.config.limits import Keyed, LimitReader, has_limit
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.engine.rules import Mode, NoData, Query, Rule, Severity, Tier
from evaluator.sources.source import Refusing


@dataclass
class RuleReader:
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
            lag=self._lag(source),
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

    def _lag(self, source: DeclaredSource) -> float:
        """Return how late samples may come: as the rule says, else as is usual for its source."""
        own: float | None = self._say_or_default("lag")
        return getattr(source.type.Query, "lag", 0.0) if own is None and source.type is not None else own or 0.0

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
            known = {each.name: each for each in self.declared.sources.values() if not each.implicit}
            message, hint = undeclared("source", name, known)
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
        if checked is None or self._is_refused(source, checked, path):
            return None
        return self._canonical(source.name, checked)

    def _is_refused(self, source: DeclaredSource, query: BaseModel, path: Path) -> bool:
        """Complain of a query to which the source's settings have no answer."""
        if not isinstance(source.settings, Refusing):
            return False
        try:
            source.settings.refuse(query)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            at: Path = (*path, *getattr(error, "at", ()))
            place = next((at[:size] for size in range(len(at), len(path), -1) if at[:size] in self._written), path)
            self.problems.append(self.document.at_value(place, f'{message} in source "{source.name}"', hint))
            return True
        return False

    @property
    def _written(self) -> Collection[Path]:
        """Where values are written."""
        return self.document.positions.values.keys()

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
