"""What an edit of the rules would do, before it does it: what it opens, raises and closes, by name.

This module tries the edit on a copy of the world, with the code that a reload and the next evaluation run. It changes
nothing, and never knows who wants to know.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from evaluator.engine.alerts import State
from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Rule, RuleSet, Severity
from evaluator.engine.samples import PollFailed, PollResult, Series, series_text
from evaluator.incidents.changes import Changes
from evaluator.incidents.edits import reload
from evaluator.incidents.incident import Incident
from evaluator.incidents.judge import assess
from evaluator.incidents.messages import CLOSE_SENTENCES
from evaluator.incidents.routing import Routes
from evaluator.incidents.world import World

_Placed = TypeVar("_Placed", Rule, Window)

NAMED = 10
"""A sentence names at most this many of each kind."""

LOOKS_BACK = "it looks back on samples that are not there yet"
PERHAPS_AT_ONCE = "or at once, where the source's history shows that it has lasted"


@dataclass(frozen=True, slots=True)
class Touched:
    """One incident, or what would become one, that an edit touches."""

    rule: str
    group: Series
    severity: Severity
    why: str

    @property
    def name(self) -> str:
        """What people know it by: `cpu-high (host=web-1)`."""
        group = series_text(self.group)
        return f"{self.rule} ({group})" if group else self.rule


@dataclass(frozen=True, slots=True)
class Answers:
    """What the sources of the changed rules answer now."""

    results: Mapping[str, PollResult] = field(default_factory=dict)
    """By rule."""
    gates: Mapping[str, PollResult] = field(default_factory=dict)
    """By rule: the answer to the query of its `only_if`."""


@dataclass(slots=True)
class Effect:
    """What an edit does."""

    changed: tuple[str, ...] = ()
    """The rules that are new, edited, or (windows) muted at other times."""
    removed: tuple[str, ...] = ()
    opens: list[Touched] = field(default_factory=list)
    """At the first evaluation."""
    raises: list[Touched] = field(default_factory=list)
    closes: list[Touched] = field(default_factory=list)
    """At once, or at the first evaluation."""
    pends: list[Touched] = field(default_factory=list)
    """What opens later, if the breach lasts; of a new rule perhaps at once, since its past is judged from history."""
    unknown: dict[str, str] = field(default_factory=dict)
    """By rule: why nobody can tell."""

    def __bool__(self) -> bool:
        """Return whether the edit touches any rule or incident."""
        return bool(self.changed or self.removed or self.opens or self.raises or self.closes)

    def sentence(self) -> str:
        """Return it in one line: `opens 2: ...; closes 1: ...`."""
        kinds = {"opens": self.opens, "raises": self.raises, "closes": self.closes}
        parts = [f"{word} {len(found)}: {_named(found)}" for word, found in kinds.items() if found]
        if self.pends:
            perhaps = f", {PERHAPS_AT_ONCE}" if any(each.why.endswith(PERHAPS_AT_ONCE) for each in self.pends) else ""
            parts.append(f"opens {len(self.pends)} later, if that lasts{perhaps}: {_named(self.pends)}")
        if self.unknown:
            parts.append(f"cannot tell for {', '.join(sorted(self.unknown)[:NAMED])}")
        return "; ".join(parts) or "opens 0, closes 0"


def changed_rules(before: RuleSet, after: RuleSet) -> tuple[str, ...]:
    """Return the names of the rules that an edit makes, edits, or mutes at other times, in their order."""
    windows = [
        window
        for name in before.windows.keys() | after.windows.keys()
        for window in (before.windows.get(name), after.windows.get(name))
        if window is not None and _placeless(before.windows.get(name)) != _placeless(after.windows.get(name))
    ]
    return tuple(
        rule.name
        for rule in after
        if _placeless(rule) != _placeless(before.get(rule.name))
        or any(window.selector.names(rule.name) for window in windows)
    )


def effect_of(
    world: World,
    before: RuleSet,
    after: RuleSet,
    answers: Answers,
    now: float,
    *,
    routes: Routes,
    instance: str,
) -> Effect:
    """Return what putting `after` in force in place of `before` does. `world` is left as it is."""
    new = frozenset(rule.name for rule in after if rule.name not in world.judged)
    trial = _Trial(world.copied(), Effect(changed_rules(before, after)), new)
    trial.effect.removed = tuple(rule.name for rule in before if after.get(rule.name) is None)
    ids = (f"preview-{number}" for number in count())
    trial.take(reload(trial.world, after, now, routes=routes, instance=instance, ids=ids.__next__))
    for name in trial.effect.changed:
        rule, result = after.rules[name], answers.results.get(name)
        if not rule.judged:
            continue
        if result is None or isinstance(result, PollFailed):
            trial.effect.unknown[name] = "it was not asked" if result is None else result.message
            continue
        if _lacks_samples(trial.world, rule):
            trial.effect.unknown[name] = LOOKS_BACK
        judgement = assess(
            trial.world,
            rule,
            result,
            now,
            routes=routes,
            instance=instance,
            ids=ids.__next__,
            rules=after,
            gate=answers.gates.get(name),
        )
        trial.take(judgement.changes)
    return trial.effect


def _lacks_samples(world: World, rule: Rule) -> bool:
    """Return whether a rule looks back on samples of which none is kept: they may come from history, at any moment."""
    widths = {width for width, _ in world.trails.get(rule.name, {})}
    return any(keep.width not in widths for keep in rule.keeps)


@dataclass(slots=True)
class _Trial:
    """The edit on a copy of the world."""

    world: World
    effect: Effect
    new: frozenset[str]
    """Rules that were never judged."""

    def take(self, changes: Changes) -> None:
        """Note what changes do to incidents and alerts, and make them true in the copy."""
        for incident in changes.incidents.values():
            before = self.world.incidents.get(incident.id)
            kind = _kind(before, incident)
            if kind:
                getattr(self.effect, kind).append(_touched(incident))
        self.effect.pends.extend(self._pending(changes))
        self.world.apply(changes)

    def _pending(self, changes: Changes) -> Iterator[Touched]:
        for key, alert in changes.alerts.items():
            before = self.world.book(key.rule).get((key.severity, key.series))
            fresh = before is None or before.state is State.QUIET
            if alert is not None and alert.state is State.PENDING and fresh:
                why = f"{alert.reason}, {PERHAPS_AT_ONCE}" if key.rule in self.new else alert.reason
                yield Touched(key.rule, key.series, key.severity, why)


def _kind(before: Incident | None, incident: Incident) -> str:
    if not incident.open:
        return "closes" if before is not None and before.open else ""
    if before is None:
        return "opens"
    return "raises" if incident.severity.worse_than(before.severity) else ""


def _touched(incident: Incident) -> Touched:
    # The name says which series it is already.
    why = incident.why.removeprefix(f"{series_text(incident.group)}: ")
    if incident.close_reason is not None:
        why = CLOSE_SENTENCES[incident.close_reason]
    return Touched(incident.rule, incident.group, incident.severity, why)


def _placeless(placed: _Placed | None) -> _Placed | None:
    """Return a rule or a window without its place: an edit above it moves it, and changes nothing."""
    return None if placed is None else replace(placed, file="", line=0)


def _named(found: list[Touched]) -> str:
    names = [each.name for each in found[:NAMED]]
    if len(found) > NAMED:
        names.append(f"and {len(found) - NAMED} more")
    return ", ".join(names)
