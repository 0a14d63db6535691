"""The rows of transitions: what alerts did, for people who ask why.

This module knows their columns and the one question that is asked of them. Nothing is ever judged from them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, Row, Table, delete, select

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series
from evaluator.store import documents, upsert
from evaluator.store.schema import METADATA, Number, Text, digest

TRANSITIONS = Table(
    "transitions",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("of", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("at", Number, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("value", Number),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""`seq` keeps the order of writing, `key` is the digest of the whole row: committing it again changes nothing. `of` is
the digest of the rule's name, which has no limit, while the entry of an index has one."""

Index("ix_transitions_of_at", TRANSITIONS.c.of, TRANSITIONS.c.at, TRANSITIONS.c.seq)
# Serves `newest`.
Index("ix_transitions_at", TRANSITIONS.c.at)
# Serves pruning.


@dataclass(frozen=True, slots=True)
class Past:
    """An alert that entered another state once."""

    rule: str
    severity: Severity
    series: Series
    at: float
    """The slot of the evaluation, in seconds since the epoch."""
    before: State
    after: State
    verdict: Verdict
    value: float | None
    """The last value that was known then."""
    cause: Cause
    reason: str
    """One sentence with the numbers in it."""


def write(connection: Connection, transitions: Iterable[Transition]) -> None:
    """Append transitions; one that is there already is not repeated."""
    upsert.put_new(connection, TRANSITIONS, [_to_row(each) for each in transitions], TRANSITIONS.c.key)


def _to_row(transition: Transition) -> upsert.Row:
    alert = transition.alert
    identity = (alert.rule, alert.severity.value, sorted(alert.series), float(alert.judged))
    value = None if alert.value is None else float(alert.value)
    what = (
        transition.before.value,
        alert.state.value,
        alert.verdict.value,
        value,
        transition.cause.value,
        alert.reason,
    )
    return {
        "key": digest(*identity, *what),
        "of": digest(alert.rule),
        "rule": alert.rule,
        "severity": alert.severity.value,
        "series": documents.series_to_text(alert.series),
        "at": alert.judged,
        "before": transition.before.value,
        "after": alert.state.value,
        "verdict": alert.verdict.value,
        "value": alert.value,
        "cause": transition.cause.value,
        "reason": alert.reason,
    }


def _from_row(row: Row[Any]) -> Past:
    return Past(
        rule=row.rule,
        severity=Severity(row.severity),
        series=documents.series_from_text(row.series),
        at=row.at,
        before=State(row.before),
        after=State(row.after),
        verdict=Verdict(row.verdict),
        value=row.value,
        cause=Cause(row.cause),
        reason=row.reason,
    )


def newest(
    connection: Connection, rule: str, series: Series | None, before: float | None, limit: int
) -> tuple[Past, ...]:
    """Return at most `limit` transitions of a rule, the newest first; of one series where it is given.

    With `before` only those of slots before this time.
    """
    row = TRANSITIONS.c
    query = select(TRANSITIONS).where(row.of == digest(rule)).order_by(row.at.desc(), row.seq.desc()).limit(limit)
    if series is not None:
        query = query.where(row.series == documents.series_to_text(series))
    if before is not None:
        query = query.where(row.at < before)
    return tuple(_from_row(found) for found in connection.execute(query))


def prune(connection: Connection, before: float, limit: int) -> int:
    """Delete at most `limit` transitions of slots before this time, the oldest first; return how many."""
    row = TRANSITIONS.c
    old = select(row.seq).where(row.at < before).order_by(row.at).limit(limit)
    return connection.execute(delete(TRANSITIONS).where(row.seq.in_(old))).rowcount
