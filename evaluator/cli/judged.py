"""What one answer says of a rule by itself: the verdict on each value, and what `only_if` makes of its series.

This module judges with the engine's own parts, and with nothing that is kept: what needs earlier samples it leaves
unknown. It never asks a source, and never prints.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from evaluator.engine.alerts import Verdict
from evaluator.engine.conditions import verdict_from, verdict_of
from evaluator.engine.gate import Gate
from evaluator.engine.kept import Kept
from evaluator.engine.look import Look
from evaluator.engine.missing import missing_after
from evaluator.engine.rules import Op, Rule, Tier
from evaluator.engine.samples import PollResult, Samples, Series, series_of, series_text
from evaluator.engine.sight import Sight
from evaluator.engine.units import format_duration

EARLIER = "needs earlier samples"
"""What is said of a value whose verdict takes more than it."""
_RANK = {Verdict.BREACH: 0, Verdict.BETWEEN: 1, Verdict.UNKNOWN: 2, Verdict.CLEAR: 3}


@dataclass(frozen=True, slots=True)
class Judged:
    """One series, as its value stands to the rule's limits."""

    labels: dict[str, str]
    value: float
    verdicts: tuple[Verdict, ...]
    """One for each tier, the worst tier first."""
    said: tuple[str, ...]
    """For each tier: what there is to say besides the verdict; empty: nothing."""
    gate: Look | None
    """What `only_if` says of it; `None`: the rule has none."""


def judge(rule: Rule, samples: Samples, gate: PollResult | None, now: float) -> list[Judged]:
    """Return the rows of an answer with their verdicts, worst first; of a series' several samples the newest.

    `gate` is the answer to the query of `only_if`. Success that is `missed` is looked for as if the rule had always
    been there.
    """
    only_if = None if rule.only_if is None else Gate(rule.only_if, gate)
    newest: dict[Series, int] = {}
    for row, labels in enumerate(samples.labels):
        series = series_of(labels)
        before = newest.get(series)
        if before is None or samples.at is None or samples.at[row] >= samples.at[before]:
            newest[series] = row
    judged = []
    for series, row in newest.items():
        value, at = samples.values[row], now if samples.at is None else samples.at[row]
        seen = [_seen(rule, tier, series, value, at, now) for tier in rule.tiers]
        verdicts, said = tuple(verdict for verdict, _ in seen), tuple(text for _, text in seen)
        look = None if only_if is None else only_if.look(series)
        judged.append(Judged(dict(samples.labels[row]), value, verdicts, said, look))
    return sorted(judged, key=lambda each: _order(rule, each))


def nothing_there(rule: Rule, now: float) -> Iterator[str]:
    """Yield what it means to the rule that an answer has no series, a sentence each."""
    for tier in rule.tiers:
        if tier.absent:
            yield f"{tier.severity}: a breach once that has been so for {format_duration(missing_after(rule))}"
        elif tier.missed is not None:
            look = Sight(rule, tier, (), Kept(rule, {}, now), 0.0).look(now, None)
            verdict = verdict_from(tier, None, look.holds)
            yield f"{tier.severity}: {verdict}, if the rule never had any: {look.said}"


def _seen(rule: Rule, tier: Tier, series: Series, value: float, at: float, now: float) -> tuple[Verdict, str]:
    if tier.missed is None:
        verdict = verdict_of(tier, value)
        known = not tier.looks_back or verdict is not Verdict.UNKNOWN or math.isnan(value)
        return verdict, "" if known else EARLIER
    look = Sight(rule, tier, series, Kept(rule, {}, now), 0.0).look(at, value)
    return verdict_from(tier, value, look.holds), look.said


def _order(rule: Rule, row: Judged) -> tuple[object, ...]:
    """Return what worse rows are smaller in: the verdicts tier by tier, then the value, then the name."""
    tier = rule.tiers[0]
    low_is_bad = tier.missed is not None or (tier.limit is not None and tier.limit.op in (Op.BELOW, Op.AT_MOST))
    value = math.inf if math.isnan(row.value) else row.value if low_is_bad else -row.value
    return tuple(_RANK[verdict] for verdict in row.verdicts), value, series_text(series_of(row.labels))
