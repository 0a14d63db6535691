"""Evaluate, then decide: the one call that the daemon, a backtest and rule tests share.

This module joins the two. It decides nothing by itself, and changes nothing that it is given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evaluator.engine.alerts import AlertKey
from evaluator.engine.evaluate import Evaluation, Standing, evaluate
from evaluator.engine.rules import Rule, RuleSet
from evaluator.engine.samples import PollFailed, PollResult, Samples
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes, ChunkKey, Judged, Remembered, SeriesKey
from evaluator.incidents.decide import decide
from evaluator.incidents.flapping import hold_of
from evaluator.incidents.muting import Mutes
from evaluator.incidents.occasion import NO_OTHERS, Occasion
from evaluator.incidents.routing import Routes
from evaluator.incidents.world import World

MARK_EVERY = 600.0
"""Seconds: how far a quiet rule has been judged is written no more often than this."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One evaluation, and what it changes."""

    evaluation: Evaluation
    changes: Changes
    held: Mapping[AlertKey, Mutes] = field(default_factory=dict)
    """The alerts that fire and would open, join or raise now, and what holds each of them back."""


def assess(
    world: World,
    rule: Rule,
    result: PollResult,
    now: float,
    *,
    routes: Routes,
    instance: str,
    ids: Callable[[], str],
    live: bool = True,
    rules: RuleSet = NO_OTHERS,
    gate: PollResult | None = None,
) -> Judgement:
    """Judge one answer to one rule's query as of the slot `now`.

    `world` is left as it is: the caller applies and commits. `live` is false for what is judged from a source's
    history: such an evaluation may close, but not open, join or raise. `rules` is the rule set in force, for what
    inhibits and mutes; `gate` the answer to the query of the rule's `only_if`.
    """
    before = world.book(rule.name)
    mark = world.judged.get(rule.name)
    standing = Standing(
        trails=world.trails.get(rule.name, {}),
        since=mark.since if mark is not None and mark.since else now,
        gate=gate,
        hold=hold_of(world, rule, now),
    )
    evaluation = evaluate(rule, result, before, world.remembered.get(rule.name, {}), now, standing)
    changes = Changes(alerts=dict(evaluation.alerts), transitions=list(evaluation.transitions))
    if live:
        changes.slots[rule.name] = now
    for series, absent in evaluation.absent.items():
        remembered = None if absent is None else Remembered(rule.name, series, absent)
        changes.series[SeriesKey(rule.name, series)] = remembered
    book = dict(before)
    for key, alert in evaluation.alerts.items():
        if alert is None:
            book.pop((key.severity, key.series), None)
        else:
            book[key.severity, key.series] = alert
    given = Circumstances(now, routes, instance, ids)
    failure = _failure(rule, result, gate)
    decision = decide(Occasion(world, rule, book, evaluation, live, given, rules, failure))
    changes.add(decision.changes)
    if evaluation.good:
        _mark(world, rule, changes, now)
    # After the mark: a quiet rule that keeps samples is marked no more often than any other.
    for (width, trail, number), chunk in evaluation.chunks.items():
        changes.chunks[ChunkKey(rule.name, width, trail, number)] = chunk
    return Judgement(evaluation, changes, decision.held)


def _failure(rule: Rule, result: PollResult, gate: PollResult | None) -> str:
    """Return why nothing can be known in this evaluation, for people; empty where that is not so."""
    if isinstance(result, PollFailed):
        return result.message
    if rule.only_if is not None and not isinstance(gate, Samples):
        return f"only_if cannot be judged: {gate.message if gate is not None else 'it was not asked'}"
    return ""


def _mark(world: World, rule: Rule, changes: Changes, now: float) -> None:
    """Write how far the rule has been judged: with each change of its alerts, and now and then while it is quiet."""
    mark = world.judged.get(rule.name)
    since = now if mark is None or not mark.since else mark.since
    if mark is None or not mark.since or changes or not 0 <= now - mark.at < MARK_EVERY:
        changes.judged[rule.name] = Judged(rule.name, now, rule.identity, rule.mode.value, since)
