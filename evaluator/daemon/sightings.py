"""How sources and rules did last time: what pages, readiness and metrics tell of them.

This module remembers. It never judges; all of it is lost at a restart, and nobody misses it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from evaluator.daemon.answers import Answer, says_down
from evaluator.daemon.silences import Silences
from evaluator.daemon.whys import Whys
from evaluator.engine.rules import Rule
from evaluator.engine.samples import PollFailed, PollResult, Samples
from evaluator.web.view import RuleStatus, SourceStatus


@dataclass(slots=True)
class Sightings:
    """The last of everything."""

    sources: dict[str, SourceStatus] = field(default_factory=dict)
    rules: dict[str, RuleStatus] = field(default_factory=dict)
    silences: Silences = field(default_factory=Silences)
    lags: dict[str, float] = field(default_factory=dict)
    """By source: seconds from its last slot until the outcome was written."""
    whys: Whys = field(default_factory=Whys)
    """What was seen in recent evaluations."""

    def polled(
        self, source: str, type_: str, answers: Collection[Answer], now: float, every: float, duration: float
    ) -> bool:
        """Note a poll of a source and return whether it is up: it answered anything, or failed in no query.

        An `up` that answers 0 is the source's own word that it is down.
        """
        self.silences.polled(source, answers, now, every)
        failures = [result for _, result in answers if isinstance(result, PollFailed)]
        said_down = any(says_down(query, result) for query, result in answers)
        good = any(isinstance(result, Samples) and not says_down(query, result) for query, result in answers)
        up = good or not (failures or said_down)
        error = failures[0].message if failures else f"{source} does not answer"
        before = self.sources.get(source, SourceStatus(source, type_))
        self.sources[source] = replace(
            before,
            type=type_,
            up=up,
            last_good=now if up else before.last_good,
            last_poll=now,
            error="" if up else error,
            duration=duration,
        )
        return up

    def error(self, source: str) -> str:
        """Return why a source is down; empty while it is not."""
        return self.sources[source].error

    def judged(self, rule: Rule, result: PollResult, gate: PollResult | None, slot: float, duration: float) -> None:
        """Note an evaluation of a rule; `gate` is the answer to the query of its `only_if`, where it has one."""
        source = rule.source
        if rule.only_if is not None and isinstance(gate, PollFailed) and not isinstance(result, PollFailed):
            # Without the one answer the other says nothing: the rule is blind.
            source, result = rule.only_if.query.source, PollFailed(gate.reason, f"only_if: {gate.message}")
        self.silences.judged(rule, result, source, slot)
        before = self.rules.get(rule.name, RuleStatus(rule))
        if isinstance(result, PollFailed):
            self.rules[rule.name] = replace(
                before, rule=rule, last_evaluation=slot, duration=duration, error=result.message, warnings=()
            )
            return
        self.rules[rule.name] = RuleStatus(
            rule=rule,
            last_evaluation=slot,
            last_good=slot,
            duration=duration,
            series=len(result),
            warnings=result.warnings,
        )

    def keep_only(self, rules: Mapping[str, Rule], sources: Iterable[str]) -> tuple[set[str], set[str]]:
        """Forget rules and sources that are no longer there; return which were forgotten."""
        self.silences.keep_only(rules.values())
        self.whys.keep_only(rules)
        gone_rules = set(self.rules) - set(rules)
        gone_sources = set(self.sources) - set(sources)
        for name in gone_rules:
            del self.rules[name]
        for name in gone_sources:
            del self.sources[name]
            self.lags.pop(name, None)
        return gone_rules, gone_sources
