"""The rows of kept samples: one for each chunk of a series.

This module knows their columns. It never knows which samples are kept, or for how long: see `evaluator.engine.trail`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, delete, select

from evaluator.engine.trail import Chunk
from evaluator.incidents.changes import ChunkKey
from evaluator.store import documents, upsert
from evaluator.store.schema import METADATA, Number, Text, digest

OBSERVATIONS = Table(
    "observations",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("width", Number, nullable=False),
    Column("series", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("values", LargeBinary, nullable=False),
)
"""`key` is the digest of (rule, width, series, number). No other index: `load` reads all of it, and rules are
seldom removed."""


def _key(key: ChunkKey) -> str:
    return digest(key.rule, float(key.width), sorted(key.series), key.number)


def write(connection: Connection, changes: Mapping[ChunkKey, Chunk | None]) -> None:
    """Write the chunks; `None` deletes."""
    rows = [
        {
            "key": _key(key),
            "rule": key.rule,
            "width": key.width,
            "series": documents.series_to_text(key.series),
            "number": key.number,
            "values": documents.chunk_to_bytes(chunk),
        }
        for key, chunk in changes.items()
        if chunk is not None
    ]
    upsert.put(connection, OBSERVATIONS, rows)
    upsert.remove(connection, OBSERVATIONS, [_key(key) for key, chunk in changes.items() if chunk is None])


def forget(connection: Connection, rules: Sequence[str]) -> None:
    """Delete everything that these rules kept."""
    if rules:
        connection.execute(delete(OBSERVATIONS).where(OBSERVATIONS.c.rule.in_(rules)))


def load(connection: Connection) -> dict[ChunkKey, Chunk]:
    """Return all kept samples."""
    # A series has many chunks: its text is read once.
    series_of = lru_cache(maxsize=None)(documents.series_from_text)
    kept = OBSERVATIONS.c
    rows = connection.execute(select(kept.rule, kept.width, kept.series, kept.number, kept["values"]))
    return {
        ChunkKey(rule, width, series_of(series), number): documents.chunk_from_bytes(packed)
        for rule, width, series, number, packed in rows
    }
