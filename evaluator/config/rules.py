"""From one rule file to rules and windows: its defaults, then each rule, then each window.

This module knows the tables of a rule file. It never reads files, and never knows other rule files.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evaluator.config.builtin import inherited
from evaluator.config.complaints import unknown_key, validate_partly
from evaluator.config.declared import Declared
from evaluator.config.document import Document, Table
from evaluator.config.keys import CONDITIONS, LIMITS, OWN, DefaultKeys, RuleKeys
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.rule import RuleReader
from evaluator.config.windows import WindowReader, window_keys
from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Rule
from evaluator.incidents.incident import STORM

_TOP = ("defaults", "rule", "window")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class RuleFile:
    """One rule file, judged."""

    document: Document
    rules: Mapping[str, Rule] = field(default_factory=dict)
    """The rules without a mistake."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    """The windows without a mistake."""
    names: tuple[tuple[str, str], ...] = ()
    """All that it defines, right or wrong: `("rule", "cpu-high")`, `("window", "deploy")`."""
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
    return RuleFile(document, reader.rules, reader.windows, tuple(reader.names), tuple(problems))


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
        self.windows: dict[str, Window] = {}
        self.names: list[tuple[str, str]] = []
        self.defaults = DefaultKeys()

    def read(self) -> None:
        """Read `[defaults]`, then each rule, then each window."""
        data = self.document.data
        for key, value in data.items():
            if key not in _TOP:
                self._not_top(key, value)
        defaults = data.get("defaults", {})
        if isinstance(defaults, dict):
            self._read_defaults(defaults)
        else:
            self.problems.append(self.document.at_key(("defaults",), "`defaults` is a table", "write [defaults]"))
        for name, table in self._named("rule", "cpu-high"):
            self._read_rule(name, table)
        for name, table in self._named("window", "db-upgrade"):
            self._read_window(name, table)

    def _named(self, kind: str, example: str) -> Iterator[tuple[str, Table]]:
        """Yield each `[kind.NAME]` that is a table with a name, and note all names."""
        tables = self.document.data.get(kind, {})
        nameless = not isinstance(tables, dict)
        if isinstance(tables, dict) and kind == "window":
            keys = {key for key in window_keys() & tables.keys() if not isinstance(tables[key], dict)}
            nameless, tables = bool(keys), {name: table for name, table in tables.items() if name not in keys}
        if nameless:
            hint = f"write [{kind}.{example}] with single brackets and a name"
            self.problems.append(self.document.at_key((kind,), f"a {kind} needs a name", hint))
        if not isinstance(tables, dict):
            return
        for name, table in tables.items():
            path: Path = (kind, name)
            self.names.append((kind, name))
            if not isinstance(table, dict):
                hint = f"write [{kind}.{name}] with single brackets, and its keys below"
                is_list = isinstance(table, list)
                message = f"a {kind} is not a list of tables" if is_list else f"a {kind} is a table"
                self.problems.append(self.document.at_key(path, message, hint))
                continue
            if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
                meant = "-".join(re.findall(r"[A-Za-z0-9_-]+", name))[:_LONGEST_NAME]
                message = f"a {kind}'s name has letters, digits, - and _, at most {_LONGEST_NAME}"
                hint = f"write [{kind}.{meant}]" if meant else ""
                self.problems.append(self.document.at_key(path, message, hint))
            yield name, table

    def _not_top(self, key: str, value: object) -> None:
        """Complain of a table or key that no rule file has."""
        if isinstance(value, dict) and {"source", "query", "severity", *LIMITS, *CONDITIONS} & set(value):
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
        for key in OWN:
            if key in table:
                message = f"`{key}` cannot be a default"
                self.problems.append(self.document.at_key(("defaults", key), message, "put it into each rule"))
        known = {key: value for key, value in table.items() if key not in OWN}
        defaults, problems = validate_partly(DefaultKeys, known, self.document, ("defaults",))
        self.problems += problems
        self.defaults = defaults or self.defaults
        if self.defaults.for_ is not None and self.defaults.datapoints is not None:
            path = ("defaults", "datapoints")
            self.problems.append(
                self.document.at_key(path, "`for` and `datapoints` cannot both be", "keep one of the two")
            )

    def _read_rule(self, name: str, table: Table) -> None:
        """Read one rule."""
        path: Path = ("rule", name)
        before = len(self.problems)
        if name == STORM:
            hint = "write another name: an incident that stands for many others has this one"
            self.problems.append(self.document.at_key(path, f'the name "{STORM}" is taken by evaluator itself', hint))
        table = inherited(name, table, self.declared, self.defaults)
        keys, problems = validate_partly(RuleKeys, table, self.document, path)
        self.problems += problems
        reader = RuleReader(self.document, self.declared, self.defaults, name, table, keys)
        rule = reader.read()
        self.problems += reader.problems
        if rule is not None and len(self.problems) == before:
            self.rules[name] = rule

    def _read_window(self, name: str, table: Table) -> None:
        """Read one window."""
        reader = WindowReader(self.document, self.declared.timezone, name, table)
        window = reader.read()
        self.problems += reader.problems
        if window is not None:
            self.windows[name] = window
