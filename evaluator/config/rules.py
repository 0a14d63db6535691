"""From one rule file to rules: its defaults, then each rule.

This module knows the tables of a rule file. It never reads files, and never knows other rule files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from evaluator.config.builtin import inherited
from evaluator.config.complaints import unknown_key, validate_partly
from evaluator.config.declared import Declared
from evaluator.config.document import Document, Table
from evaluator.config.keys import LIMITS, TIERS, DefaultKeys, RuleKeys
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.rule import RuleReader
from evaluator.engine.rules import Rule

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
    """Return whether a problem is not a mere echo of a slip on its line.

    A value that only lacks its quotes can be judged all the same; what stands behind a slip may have moved.
    """
    slips = [slip for slip in document.problems if slip.line == problem.line]
    if slips:
        first = min(slips, key=lambda slip: slip.column)
        return problem.column < first.column + first.message.endswith("needs quotes")
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
        table = inherited(name, table, self.declared, self.defaults)
        keys, problems = validate_partly(RuleKeys, table, self.document, path)
        self.problems += problems
        reader = RuleReader(self.document, self.declared, self.defaults, name, table, keys)
        rule = reader.read()
        self.problems += reader.problems
        if rule is not None and len(self.problems) == before:
            self.rules[name] = rule
