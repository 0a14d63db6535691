"""The rows of rule files: each one's last good text.

This module knows their columns. It never reads a folder, and never knows TOML.
"""

from collections.abc import Mapping

from sqlalchemy import Column, Connection, Table, select

from evaluator.incidents.changes import RuleFile
from evaluator.store import upsert
from evaluator.store.schema import METADATA, Number, Text, digest

FILES = Table(
    "files",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("loaded_at", Number, nullable=False),
)
"""`key` is the digest of the path. No other index: the only query reads all of it."""


def write(connection: Connection, changes: Mapping[str, RuleFile | None]) -> None:
    """Write the files; `None` deletes."""
    rows = [
        {"key": digest(path), "path": path, "text": file.text, "loaded_at": file.loaded_at}
        for path, file in changes.items()
        if file is not None
    ]
    upsert.put(connection, FILES, rows)
    upsert.remove(connection, FILES, [digest(path) for path, file in changes.items() if file is None])


def load(connection: Connection) -> list[RuleFile]:
    """Return all files, in the order of their paths."""
    rows = connection.execute(select(FILES).order_by(FILES.c.path))
    return [RuleFile(row.path, row.text, row.loaded_at) for row in rows]
