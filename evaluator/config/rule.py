"""From the keys of one `[rule.NAME]` to a rule: what it inherits, refers to, asks and judges.

This module knows how the keys of a rule act together. It never knows other rules, and never reads files.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from evaluator.config.asking import Asker
from evaluator.config.conditions import ConditionReader, Keyed, conditions_of
from evaluator.config.damping import Damped
from evaluator.config.declared import Declared, DeclaredSource, undeclared
from evaluator.config.document import Document, Table
from evaluator.config.gate import read_gate
from evaluator.config.keys import CONDITIONS, LIMITS, TIERS, DefaultKeys, LimitKeys, RecoverKeys, RuleKeys
from evaluator.config.limits import TierReader
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.quantities import QuantityReader, limits_of
from evaluator.engine.rules import Mode, NoData, Rule, Severity, Tier
from evaluator.engine.units import TIME


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
        asker = Asker(self.document, self.declared, self.problems)
        source = asker.source(self._raw("source"), self._place("source"))
        service = self._service()
        query = asker.query(source, self.table.get("query"), (*self.path, "query")) if source is not None else None
        every = max(self._say_or_default("every") or self.declared.every, 0.0 if query is None else query.step)
        tiers = self._tiers(every)
        gate, gated_by = read_gate(self.keys, source, asker, self.path)
        if self.keys is None or source is None or service is None or query is None or not tiers:
            return None
        damped = Damped(self.name, self.keys, self.defaults, self.declared.timezone)
        mode, because = self._mode(source, gated_by)
        group_by = self._say_or_default("group_by")
        return Rule(
            name=self.name,
            query=query,
            tiers=tiers,
            every=every,
            service=service,
            unit=self._unit(),
            lag=self._lag(source),
            no_data=self._no_data(),
            group_by=None if group_by is None else tuple(dict.fromkeys(group_by)),
            only_if=gate,
            active=damped.active(),
            inhibited_by=damped.inhibited_by(),
            flapping=damped.flapping(),
            storm=damped.storm(),
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

    def _mode(self, source: DeclaredSource, gated_by: DeclaredSource | None) -> tuple[Mode, str]:
        """Return what comes of its verdicts, and why it is off where the rule does not say so."""
        mode = Mode(self._say_or_default("mode") or "page")
        if mode is not Mode.OFF and not source.enabled:
            return Mode.OFF, f'source "{source.name}" is disabled'
        if mode is not Mode.OFF and gated_by is not None and not gated_by.enabled:
            return Mode.OFF, f'source "{gated_by.name}" of its only_if is disabled'
        return mode, ""

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
        if not has_tiers and not self._has_condition():
            wrong = next((key for key in self.table if key not in RuleKeys.model_fields and key != "for"), None)
            if wrong is None:
                self._say("a limit is missing", "write above = 90, below = 10, or another condition")
        if not has_tiers and self._raw("severity") is None:
            self._say(
                "`severity` is missing", 'write severity = "P0" (the worst) to "P3", or limits as P0 = { above = 5 }'
            )

    def _has_condition(self) -> bool:
        """Return whether the rule itself says what is wrong, rightly or not."""
        return any(self.table.get(key, False) is not False for key in (*LIMITS, *CONDITIONS))

    def _say(self, message: str, hint: str) -> None:
        """Note a problem at the rule's header."""
        self.problems.append(self.document.at_key(self.path, f'{message} in rule "{self.name}"', hint))

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

    def _says(self, *names: str) -> bool:
        """Return whether the rule or one of its tiers says one of these."""
        tables = [self.keys, *(getattr(self.keys, tier, None) for tier in TIERS)]
        return any(bool(getattr(table, name, None)) for table in tables for name in names)

    def _unit(self) -> str | None:
        """Return what the value is; that of `missed` is a time, whatever the defaults say."""
        unit: str | None = self._say_or_default("unit")
        return TIME if self._says("missed") else unit

    def _no_data(self) -> NoData:
        """Return what a missing series means, where it is not the very thing that is judged."""
        found: NoData | None = self._say_or_default("no_data")
        return NoData() if found is None or self._says("missed", "absent") else found

    def _tiers(self, every: float) -> tuple[Tier, ...]:
        """Return the tiers, the worst first."""
        if self.keys is None or ("unit" in self.table and self.keys.unit is None):
            return ()
        named = [tier for tier in TIERS if getattr(self.keys, tier) is not None]
        say = QuantityReader(self.document, self._unit())
        reader = TierReader(say, ConditionReader(say, every, self.declared.timezone))
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
        tiers = tuple(tier for tier in found if tier is not None)
        self._check_kinds(tiers)
        self.problems += dict.fromkeys(say.problems)
        return tiers

    def _tier(self, reader: TierReader, name: str, rule: Keyed) -> Tier | None:
        """Return one of several tiers."""
        keys: LimitKeys = getattr(self.keys, name)
        path = (*self.path, name)
        if not any((limits_of(each), conditions_of(each)) != ([], []) for each in (keys, rule.keys)):
            if not self._has_condition() and not self.document.incomplete(path):
                message = f"`{name}` has no limit"
                self.problems.append(self.document.at_key(path, message, f"write {name} = {{ above = 90 }}"))
            return None
        return reader.tier(Severity(name), Keyed(keys, path), rule)

    def _check_kinds(self, tiers: tuple[Tier, ...]) -> None:
        """Complain of tiers that judge different things, and of keys that mean nothing to `missed` and `absent`."""
        for name in ("missed", "absent"):
            having = [tier.severity.value for tier in tiers if getattr(tier, name)]
            if not having:
                continue
            if len(having) < len(tiers):
                other = next(tier.severity.value for tier in tiers if not getattr(tier, name))
                path = (*self.path, having[0])
                message = f"`{name}` is in {having[0]} and not in {other}: the two judge different things"
                self.problems.append(self.document.at_key(path, message, "write two rules"))
            for key in ("no_data", "unit") if name == "missed" else ("no_data",):
                if key in self.table:
                    message = f"`{key}` has no meaning beside `{name}`"
                    self.problems.append(self.document.at_key((*self.path, key), message, "delete it"))

    def _with_defaults(self, keys: RuleKeys) -> RuleKeys:
        """Return the rule's keys with the file's timing and recovery, where it has none of its own."""
        update: dict[str, object] = {}
        alone, recover = self._says("missed", "absent"), self.defaults.recover
        if keys.for_ is None and keys.datapoints is None:
            update |= {"for_": self.defaults.for_, "datapoints": None if alone else self.defaults.datapoints}
        if keys.recover is None:
            update["recover"] = RecoverKeys.model_construct(for_=recover.for_) if alone and recover else recover
        return keys.model_copy(update=update)
