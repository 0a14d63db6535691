"""The rows of series that are remembered, so that they can be missed.

This module knows their columns. It never knows which rules remember.
"""

from collections.abc import Mapping

from sqlalchemy import Column, Connection, Table, select

from evaluator.incidents.changes import Remembered, SeriesKey
from evaluator.store import documents, upsert
from evaluator.store.schema import METADATA, Number, Text, digest

SERIES = Table(
    "series",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("absent", Number, nullable=False),
)
"""`key` is the digest of (rule, series). No other index: the only query reads all of it."""


def _key(of: SeriesKey | Remembered) -> str:
    return digest(of.rule, sorted(of.series))


def write(connection: Connection, changes: Mapping[SeriesKey, Remembered | None]) -> None:
    """Write the series; `None` deletes."""
    rows = [
        {
            "key": _key(kept),
            "rule": kept.rule,
            "series": documents.series_to_text(kept.series),
            "absent": kept.absent,
        }
        for kept in changes.values()
        if kept is not None
    ]
    upsert.put(connection, SERIES, rows)
    upsert.remove(connection, SERIES, [_key(key) for key, kept in changes.items() if kept is None])


def load(connection: Connection) -> list[Remembered]:
    """Return all remembered series, in the order of rule and series."""
    rows = connection.execute(select(SERIES).order_by(SERIES.c.rule, SERIES.c.series))
    return [Remembered(row.rule, documents.series_from_text(row.series), row.absent) for row in rows]
