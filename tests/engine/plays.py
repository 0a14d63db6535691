"""One rule, judged again and again by the engine alone: what it writes is what it is given the next time.

This module keeps the rows of one rule as a store would. It never knows incidents.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from evaluator.engine.alerts import Alert, Looked, State
from evaluator.engine.evaluate import Evaluation, Standing, Transition, evaluate
from evaluator.engine.reasons import sentence
from evaluator.engine.rules import Limit, Op, Rule, Severity, Tier
from evaluator.engine.samples import PollResult, Samples, Series
from evaluator.engine.trail import Chunk
from tests.stories import WEB


@dataclass
class Play:
    """The rows of one rule, and what became of them."""

    rule: Rule
    since: float = 0.0
    book: dict[tuple[Severity, Series], Alert] = field(default_factory=dict)
    remembered: dict[Series, float] = field(default_factory=dict)
    trails: dict[tuple[float, Series], dict[int, Chunk]] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)

    def look(
        self,
        now: float,
        result: PollResult,
        gate: PollResult | None = None,
        hold: Callable[[Series], float] | None = None,
    ) -> Evaluation:
        """Judge an answer, and write what changed."""
        standing = Standing(self.trails, self.since, gate)
        if hold is not None:
            standing = Standing(self.trails, self.since, gate, hold)
        evaluation = evaluate(self.rule, result, self.book, self.remembered, now, standing)
        for key, alert in evaluation.alerts.items():
            put(self.book, (key.severity, key.series), alert)
        for series, absent in evaluation.absent.items():
            put(self.remembered, series, absent)
        for (width, series, number), chunk in evaluation.chunks.items():
            trail = self.trails.setdefault((width, series), {})
            put(trail, number, chunk)
            if not trail:
                del self.trails[width, series]
        self.transitions += evaluation.transitions
        return evaluation

    def state(self, series: Series = WEB, severity: Severity = Severity.P1) -> State:
        """Return where an alert stands."""
        alert = self.book.get((severity, series))
        return State.QUIET if alert is None else alert.state

    def alert(self, series: Series = WEB, severity: Severity = Severity.P1) -> Alert:
        """Return the row of an alert, which must be there."""
        return self.book[severity, series]

    def said(self, evaluation: Evaluation) -> list[str]:
        """Return the sentences of an evaluation."""
        return [sentence(self.rule, tier_of(self.rule, looked), looked) for looked in evaluation.looked]


def tier_of(rule: Rule, looked: Looked) -> Tier:
    """Return the tier that was looked at."""
    tier = rule.tier(looked.severity)
    assert tier is not None
    return tier


def put(rows: dict[Any, Any], key: object, row: object | None) -> None:
    """Write a row, or delete it."""
    if row is None:
        rows.pop(key, None)
    else:
        rows[key] = row


def rows(*values: float, at: list[float] | None = None, **labels: str) -> Samples:
    """Return rows of one series, `host=web-1` unless labels are given."""
    return Samples([labels or {"host": "web-1"}] * len(values), list(values), at)


def above(value: float) -> Limit:
    """Return a limit."""
    return Limit(Op.ABOVE, value)
