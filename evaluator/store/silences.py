"""The rows of silences.

This module knows their columns, and which ones a start and a person ask for. It never knows what a silence holds back.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Connection, Index, Row, Table, delete, func, select

from evaluator.engine.maintenance import Selector
from evaluator.incidents.silence import Silence
from evaluator.store import documents, upsert
from evaluator.store.schema import METADATA, Number, Text

DAY = 86_400.0
"""Seconds after its end that a silence still comes back at a start."""

SILENCES = Table(
    "silences",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("rules", Text, nullable=False),
    Column("except", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("starts_at", Number, nullable=False),
    Column("ends_at", Number, nullable=False),
    Column("ends_with_alert", Boolean, nullable=False),
    Column("matched", Boolean, nullable=False),
    Column("ended_at", Number),
    Column("ended_because", Text, nullable=False),
)
"""ULIDs sort by time, so the primary key also serves `newest`."""


Index("ix_silences_ends_at", SILENCES.c.ends_at)
# Serves `load`: none was over later than this.


def _end() -> ColumnElement[float]:
    """Return when a silence was over or will be."""
    return func.coalesce(SILENCES.c.ended_at, SILENCES.c.ends_at)


def _to_row(silence: Silence) -> upsert.Row:
    return {
        "id": silence.id,
        "rules": documents.patterns_to_text(silence.selector.rules),
        "except": documents.patterns_to_text(silence.selector.except_),
        "series": documents.labels_to_text(silence.selector.series),
        "by": silence.by,
        "reason": silence.reason,
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "ends_with_alert": silence.ends_with_alert,
        "matched": silence.matched,
        "ended_at": silence.ended_at,
        "ended_because": silence.ended_because,
    }


def _from_row(row: Row[Any]) -> Silence:
    columns = row._mapping  # noqa: SLF001 - the public way to a column whose name is a keyword of Python.
    return Silence(
        id=row.id,
        selector=Selector(
            documents.patterns_from_text(row.rules),
            documents.patterns_from_text(columns["except"]),
            documents.labels_from_text(row.series),
        ),
        by=row.by,
        reason=row.reason,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        ends_with_alert=row.ends_with_alert,
        matched=row.matched,
        ended_at=row.ended_at,
        ended_because=row.ended_because,
    )


def write(connection: Connection, changes: Mapping[str, Silence | None]) -> None:
    """Write the silences as they stand; `None` deletes."""
    upsert.put(connection, SILENCES, [_to_row(silence) for silence in changes.values() if silence is not None])
    upsert.remove(connection, SILENCES, [key for key, silence in changes.items() if silence is None])


def load(connection: Connection, now: float) -> list[Silence]:
    """Return those that are not over at `now`, and those that ended less than a day before, oldest first."""
    recent = select(SILENCES).where(SILENCES.c.ends_at > now - DAY, _end() > now - DAY)
    return sorted((_from_row(row) for row in connection.execute(recent)), key=lambda silence: silence.id)


def newest(connection: Connection, limit: int, before: str | None, not_over_at: float | None) -> tuple[Silence, ...]:
    """Return at most `limit` silences, newest first, older than the id `before` where one is given.

    With `not_over_at` only those that were not over at this time.
    """
    query = select(SILENCES).order_by(SILENCES.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(SILENCES.c.id < before)
    if not_over_at is not None:
        query = query.where(SILENCES.c.ended_at.is_(None), SILENCES.c.ends_at > not_over_at)
    return tuple(_from_row(row) for row in connection.execute(query))


def prune(connection: Connection, before: float, limit: int) -> int:
    """Delete at most `limit` silences that were over before this time; return how many."""
    over = select(SILENCES.c.id).where(_end() < before).order_by(_end()).limit(limit)
    return connection.execute(delete(SILENCES).where(SILENCES.c.id.in_(over))).rowcount
