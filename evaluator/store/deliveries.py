"""The rows of the outbox.

This module knows a delivery's columns, which rows a start needs, and which ones may be forgotten. It never sends, and
never decides what is sent. The column `routing_key` is a secret: it is never part of an error or a log.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    Row,
    Table,
    delete,
    exists,
    literal_column,
    or_,
    select,
    union,
)

from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Action, Delivery, DeliveryState
from evaluator.store import documents, upsert
from evaluator.store.incidents import INCIDENTS, ended_before, is_open
from evaluator.store.schema import METADATA, Number, Text

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("incident", Text, ForeignKey("incidents.id")),
    Column("notifier", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("dedup_key", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("due_at", Number, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("accepted_at", Number),
    Column("told", Boolean, nullable=False),
    Column("claimed", Boolean, nullable=False),
    Column("error", Text, nullable=False),
)
"""`incident` is NULL for what belongs to no incident. The foreign key makes it impossible to delete an incident that
still has a delivery."""


def _unfinished(table: FromClause) -> ColumnElement[bool]:
    """Return the condition that a delivery is not over, in the words of the index that serves it."""
    return table.c.state.in_([literal_column("'pending'"), literal_column("'refused'")])


Index("ix_deliveries_incident_notifier", DELIVERIES.c.incident, DELIVERIES.c.notifier)
# Serves `load` (the rows of open incidents, and those beside an unfinished one) and pruning.
Index(
    "ix_deliveries_unfinished",
    DELIVERIES.c.incident,
    DELIVERIES.c.notifier,
    sqlite_where=_unfinished(DELIVERIES),
    postgresql_where=_unfinished(DELIVERIES),
)
# Serves `load` and pruning: what is not over, however long the history is.


def _to_row(delivery: Delivery) -> upsert.Row:
    return {
        "id": delivery.id,
        "seq": delivery.seq,
        "incident": delivery.incident or None,
        "notifier": delivery.notifier,
        "service": delivery.service,
        "severity": delivery.severity.value,
        "action": delivery.action.value,
        "dedup_key": delivery.dedup_key,
        "message": documents.message_to_text(delivery.message),
        "created_at": delivery.created_at,
        "due_at": delivery.due_at,
        "routing_key": delivery.routing_key,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "accepted": delivery.accepted,
        "accepted_at": delivery.accepted_at,
        "told": delivery.told,
        "claimed": delivery.claimed,
        "error": delivery.error,
    }


def _from_row(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        seq=row.seq,
        incident=row.incident or "",
        notifier=row.notifier,
        service=row.service,
        severity=Severity(row.severity),
        action=Action(row.action),
        dedup_key=row.dedup_key,
        message=documents.message_from_text(row.message),
        created_at=row.created_at,
        due_at=row.due_at,
        routing_key=row.routing_key,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        accepted=row.accepted,
        accepted_at=row.accepted_at,
        told=row.told,
        claimed=row.claimed,
        error=row.error,
    )


def write(connection: Connection, deliveries: Iterable[Delivery]) -> None:
    """Write the deliveries as they stand; their incidents must be there."""
    upsert.put(connection, DELIVERIES, [_to_row(delivery) for delivery in deliveries])


def load(connection: Connection) -> list[Delivery]:
    """Return every row of open incidents, every unfinished one, and those of the same (incident, notifier) beside it.

    They come in the order of incident, notifier and `seq`.
    """
    row, left = DELIVERIES, DELIVERIES.alias("unfinished")
    # As a list, not as a join: SQLite, which knows no sizes, would walk all deliveries to find the open incidents.
    of_open = select(row.c.id).where(row.c.incident.in_(select(INCIDENTS.c.id).where(is_open())))
    beside = select(row.c.id).join(
        left, (row.c.incident == left.c.incident) & (row.c.notifier == left.c.notifier) & _unfinished(left)
    )
    # NULL equals nothing, so what belongs to no incident has a query of its own.
    receivers = select(left.c.notifier).where(left.c.incident.is_(None), _unfinished(left))
    of_none = select(row.c.id).where(row.c.incident.is_(None), row.c.notifier.in_(receivers))
    wanted = union(of_open, beside, of_none).subquery("wanted")
    rows = connection.execute(select(row).join(wanted, row.c.id == wanted.c.id))
    return sorted((_from_row(found) for found in rows), key=lambda it: (it.incident, it.notifier, it.seq, it.id))


def _needed(row: FromClause) -> ColumnElement[bool]:
    """Return the condition that a row may not be forgotten: unfinished, or its key may still be open."""
    end = DELIVERIES.alias("ending")
    ended = exists().where(
        end.c.incident == row.c.incident,
        end.c.notifier == row.c.notifier,
        end.c.dedup_key == row.c.dedup_key,
        end.c.routing_key == row.c.routing_key,
        end.c.action == Action.RESOLVE.value,
        end.c.accepted > 0,
    )
    # A request that was under way when we were killed may have arrived.
    told = row.c.told | row.c.claimed | (row.c.accepted > 0)
    return or_(_unfinished(row), (row.c.action == Action.TRIGGER.value) & told & ~ended)


def prune(connection: Connection, before: float, limit: int) -> list[str]:
    """Delete finished deliveries of long ago; return the incidents, at most `limit`, that have none any more.

    An incident is taken whole or not at all: with one row that is unfinished, or one key that was told and not
    resolved, it stays as it is. Of what belongs to no incident only triggers could leave a key open; they all stay.
    """
    row = DELIVERIES.alias("kept")
    needed = exists().where(row.c.incident == INCIDENTS.c.id, _needed(row))
    ended = select(INCIDENTS.c.id).where(ended_before(before), ~needed)
    ids = list(connection.execute(ended.order_by(INCIDENTS.c.closed_at).limit(limit)).scalars())
    connection.execute(delete(DELIVERIES).where(DELIVERIES.c.incident.in_(ids)))
    connection.execute(
        delete(DELIVERIES).where(
            DELIVERIES.c.incident.is_(None),
            DELIVERIES.c.created_at < before,
            ~_unfinished(DELIVERIES),
            DELIVERIES.c.action != Action.TRIGGER.value,
        )
    )
    return ids
