"""The rows that say how far each rule has been judged.

This module knows their columns. It never knows what a start or a reload makes of them.
"""

from collections.abc import Mapping

from sqlalchemy import Column, Connection, Table, select, text

from evaluator.incidents.changes import Judged
from evaluator.store import upsert
from evaluator.store.schema import METADATA, Number, Text, digest

JUDGED = Table(
    "judged",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("at", Number, nullable=False),
    Column("identity", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("since", Number, nullable=False, server_default=text("0")),
)
"""`key` is the digest of the rule's name. No other index: the only query reads all of it."""


def write(connection: Connection, changes: Mapping[str, Judged | None]) -> None:
    """Write how far rules have been judged; `None` deletes."""
    rows = [
        {
            "key": digest(rule),
            "rule": rule,
            "at": kept.at,
            "identity": kept.identity,
            "mode": kept.mode,
            "since": kept.since,
        }
        for rule, kept in changes.items()
        if kept is not None
    ]
    upsert.put(connection, JUDGED, rows)
    upsert.remove(connection, JUDGED, [digest(rule) for rule, kept in changes.items() if kept is None])


def load(connection: Connection) -> list[Judged]:
    """Return the rows of all rules, in the order of their names."""
    rows = connection.execute(select(JUDGED).order_by(JUDGED.c.rule))
    return [Judged(row.rule, row.at, row.identity, row.mode, row.since) for row in rows]
