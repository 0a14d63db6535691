"""Evaluate, then decide: the one call that the daemon, a backtest and rule tests share.

This module joins the two. It decides nothing by itself, and changes nothing that it is given.
"""

from collections.abc import Callable
from dataclasses import dataclass

from evaluator.engine.evaluate import Evaluation, Standing, evaluate
from evaluator.engine.rules import Rule, RuleSet
from evaluator.engine.samples import PollResult
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes, ChunkKey, Judged, Remembered, SeriesKey
from evaluator.incidents.decide import NO_OTHERS, Occasion, decide
from evaluator.incidents.routing import Routes
from evaluator.incidents.world import World

MARK_EVERY = 600.0
"""Seconds: how far a quiet rule has been judged is written no more often than this."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One evaluation, and what it changes."""

    evaluation: Evaluation
    changes: Changes


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

    `live` is false for what is judged from a source's history: such an evaluation may close, but not open, join or
    raise. `rules` is the rule set in force, for what inhibits and mutes; `gate` the answer to the query of the rule's
    `only_if`.
    """
    before = world.book(rule.name)
    mark = world.judged.get(rule.name)
    standing = Standing(
        trails=world.trails.get(rule.name, {}), since=mark.since if mark is not None and mark.since else now, gate=gate
    )
    evaluation = evaluate(rule, result, before, world.remembered.get(rule.name, {}), now, standing)
    changes = Changes(alerts=dict(evaluation.alerts), transitions=list(evaluation.transitions))
    for (width, trail, number), chunk in evaluation.chunks.items():
        changes.chunks[ChunkKey(rule.name, width, trail, number)] = chunk
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
    changes.add(decide(Occasion(world, rule, book, evaluation, live, given, rules)))
    if evaluation.good:
        _mark(world, rule, changes, now)
    return Judgement(evaluation, changes)


def judge(
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
) -> Changes:
    """Return what `assess` finds out as changes only. `world` is left as it is: the caller applies and commits."""
    judgement = assess(
        world, rule, result, now, routes=routes, instance=instance, ids=ids, live=live, rules=rules, gate=gate
    )
    return judgement.changes


def _mark(world: World, rule: Rule, changes: Changes, now: float) -> None:
    """Write how far the rule has been judged: with each change of its alerts, and now and then while it is quiet."""
    mark = world.judged.get(rule.name)
    since = now if mark is None or not mark.since else mark.since
    if mark is None or not mark.since or changes or not 0 <= now - mark.at < MARK_EVERY:
        changes.judged[rule.name] = Judged(rule.name, now, rule.identity, rule.mode.value, since)
