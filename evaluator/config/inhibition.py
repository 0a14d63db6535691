"""Rules that hold back other rules, over all files: names that are no rule, itself, and cycles.

This module knows who names whom. It never knows which text of a file is in force, or what is done about a mistake.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from evaluator.config.document import Document
from evaluator.config.fields import did_you_mean
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.rules import RuleFile
from evaluator.engine.rules import Rule

_SHOWN = 6
"""Rules of a cycle that a sentence names."""


@dataclass(frozen=True, slots=True)
class Astray:
    """One mistake, and whose change may have brought it."""

    problem: Problem
    files: tuple[str, ...]
    """The names of the files that it lies in."""
    unknown: str = ""
    """The name that is no rule; empty for a cycle."""


def astray(files: Mapping[str, RuleFile], known: AbstractSet[str], *, complete: bool) -> Iterator[Astray]:
    """Yield what is wrong with `inhibited_by` in these files.

    `known` are the names of all rules, wherever they are defined; not `complete`: there may be others.
    """
    rules = {rule.name: (name, rule) for name, file in files.items() for rule in file.rules.values()}
    hints: dict[str, str] = {}
    for name, rule in rules.values() if complete else ():
        for other in rule.inhibited_by:
            if other not in known:
                hint = hints.setdefault(other, _hint(other, known))
                yield Astray(_unknown(files[name].document, rule, other, hint), (name,), other)
    for start in _into_circles({name: rule.inhibited_by for name, (_, rule) in rules.items()}):
        name, rule = rules[start]
        cycle = _cycle(start, rules)
        if cycle:
            involved = tuple(dict.fromkeys(rules[each][0] for each in cycle))
            yield Astray(_circular(files[name].document, rule, cycle), involved)


def place_of(document: Document, rule: Rule, other: str) -> Path:
    """Return where a rule names another one: in its own list, or in that of the defaults."""
    own: Path = ("rule", rule.name, "inhibited_by")
    place: Path = own if own in document.positions.keys else ("defaults", "inhibited_by")
    written: object = document.data
    for part in place:
        written = written.get(part) if isinstance(written, dict) and isinstance(part, str) else None
    return (*place, written.index(other)) if isinstance(written, list) and other in written else place


def _hint(name: str, known: AbstractSet[str]) -> str:
    """Return what may have been meant by a name that is no rule."""
    if "*" in name:
        return "it takes names of rules, not patterns"
    meant = did_you_mean(name, known)
    return f'did you mean "{meant}"?' if meant else "take it out, or write that rule"


def _unknown(document: Document, rule: Rule, name: str, hint: str) -> Problem:
    """Return the problem for a name that is no rule; what the defaults say is told once, not for each rule."""
    place = place_of(document, rule, name)
    who = f'rule "{rule.name}" is' if place[0] == "rule" else "the rules of this file are"
    return document.at_value(place, f'{who} inhibited by "{name[:100]}", and there is no such rule', hint)


def _circular(document: Document, rule: Rule, cycle: Sequence[str]) -> Problem:
    """Return the problem for a rule that is held back by itself, over others."""
    place = place_of(document, rule, cycle[1] if len(cycle) > 1 else rule.name)
    if len(cycle) == 1:
        return document.at_value(place, f'rule "{rule.name}" is inhibited by itself', "take its own name out")
    names = [*cycle[:_SHOWN], "..."] if len(cycle) > _SHOWN else list(cycle)
    way = " by ".join([*names, rule.name])
    message = f'rule "{rule.name}" is inhibited in a circle: {way}'
    hint = "take one of them out of the `inhibited_by` of another: a cause holds back its effects, never the reverse"
    return document.at_value(place, message, hint)


def _into_circles(named: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the rules from which a way leads into a circle: those that are left when all ends are taken off."""
    left = {name: set(others) & named.keys() for name, others in named.items()}
    holds_back: dict[str, list[str]] = {}
    for name, others in left.items():
        for other in others:
            holds_back.setdefault(other, []).append(name)
    ends = [name for name, others in left.items() if not others]
    while ends:
        end = ends.pop()
        del left[end]
        for name in holds_back.get(end, ()):
            left[name].discard(end)
            if not left[name]:
                ends.append(name)
    return list(left)


def _cycle(start: str, rules: Mapping[str, tuple[str, Rule]]) -> list[str]:
    """Return the shortest way from a rule over its inhibitors back to itself, without its end; empty: there is none."""
    came: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        at = waiting.popleft()
        for other in rules[at][1].inhibited_by:
            if other == start:
                way = [at]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if other in rules and other not in came:
                came[other] = at
                waiting.append(other)
    return []
