"""The rules that every installation has: a source that does not answer, and a query that is not answered.

This module knows their text, and what a rule of the same name inherits from them. It never knows what they measure.
"""

from collections.abc import Collection, Mapping
from functools import cache

from evaluator.config.complaints import validate_partly
from evaluator.config.declared import Declared
from evaluator.config.document import Document, Table, read_document
from evaluator.config.keys import LIMITS, TIERS, DefaultKeys, RuleKeys
from evaluator.config.rule import RuleReader
from evaluator.engine.rules import BUILT_IN, Rule
from evaluator.sources.reader import SELF

SERVICE = "evaluator"
"""The service that hears of them, where it is declared; else the first one of the settings."""

NAMES = ("source-down", "rule-blind")

TEXT = """\
[rule.source-down]   # one incident for a source, instead of silence of all its rules
severity    = "P2"
source      = "self"
query       = { measure = "source_silent", unwatched = true }   # not where a rule that pages asks for its `up`
unit        = "seconds"
every       = "30s"
at_least    = "5m"
for         = "0s"
recover     = { at_most = 0 }   # it answers; after a restart of evaluator it must do so first
group_by    = ["source"]
no_data     = "hold"
lag         = "0s"
summary     = "Source {source} has not answered for {value}"
description = "None of its rules can open or close anything meanwhile. The page and `evaluator doctor` say why."

[rule.rule-blind]    # the source answers, but not to this rule
severity    = "P3"
source      = "self"
query       = { measure = "rule_blind" }
unit        = "seconds"
every       = "30s"
at_least    = "10m"
for         = "0s"
recover     = { at_most = 0 }
group_by    = ["rule"]
no_data     = "hold"
lag         = "0s"
summary     = "Rule {rule} has had no answer for {value}, and its source has answered others"
description = "The rule can neither open nor close anything meanwhile. `evaluator eval {rule}` says what is wrong."
"""

_UPWARDS = frozenset({"above", "at_least"})


@cache
def _document() -> Document:
    return read_document(BUILT_IN, TEXT.encode())


def built_in_rules(declared: Declared, taken: Collection[str]) -> list[Rule]:
    """Return those that no rule file changes: `taken` are the names of the rules in files."""
    rules = []
    for name in NAMES:
        if name in taken or SELF not in declared.sources:
            continue
        table = inherited(name, {}, declared, DefaultKeys())
        keys, _ = validate_partly(RuleKeys, table, _document(), ("rule", name))
        rule = RuleReader(_document(), declared, DefaultKeys(), name, table, keys).read()
        if rule is not None:
            rules.append(rule)
    return rules


def inherited(name: str, table: Table, declared: Declared, defaults: DefaultKeys) -> Table:
    """Return the table of a rule with what it inherits, where it has the name of a built-in one.

    A rule that says what it asks (`source` or `query`) is a rule of its own, and inherits nothing.
    """
    base = _tables().get(name)
    if base is None or SELF not in declared.sources or not table.keys().isdisjoint({"source", "query"}):
        return table
    kept = {key: value for key, value in base.items() if key not in _replaced(table)}
    if defaults.service is None and declared.services:
        kept["service"] = SERVICE if SERVICE in declared.services else declared.services[0]
    return {**kept, **table}


def _tables() -> Mapping[str, Table]:
    rules = _document().data["rule"]
    if not isinstance(rules, dict):
        raise TypeError("the built-in rules are no table")
    return rules


def _replaced(table: Table) -> set[str]:
    """Return the keys of a built-in rule that a table makes void: one limit takes the place of the other."""
    replaced: set[str] = set()
    tiers = [table[tier] for tier in TIERS if tier in table]
    own = [limit for limit in LIMITS if limit in table]
    if tiers:
        replaced.add("severity")
    if own or (tiers and all(isinstance(tier, dict) and not tier.keys().isdisjoint(LIMITS) for tier in tiers)):
        replaced.update(LIMITS)
    if not _UPWARDS.issuperset(own):
        replaced.add("recover")
    if "datapoints" in table:
        replaced.add("for")
    return replaced
