"""The rows of incidents and of the lines of their timelines.

This module knows their columns and the queries that pages and a start ask. It never knows why an incident opens or
ends.
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
    Index,
    Integer,
    Row,
    Table,
    delete,
    false,
    literal_column,
    select,
    text,
    union_all,
)

from evaluator.engine.rules import Severity
from evaluator.incidents.incident import CloseReason, Event, EventKind, Incident, IncidentState
from evaluator.store import documents, upsert
from evaluator.store.schema import METADATA, Number, Text, digest

DAY = 86_400.0
"""Seconds after its end that an incident still comes back at a start."""

INCIDENTS = Table(
    "incidents",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("group", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at", Number, nullable=False),
    Column("active_at", Number, nullable=False),
    Column("updated_at", Number, nullable=False),
    Column("title", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("value", Number),
    Column("limit", Text, nullable=False),
    Column("unit", Text),
    Column("members", Text, nullable=False),
    Column("known_at", Number, nullable=False),
    Column("blind_told", Boolean, nullable=False),
    Column("closed_at", Number),
    Column("close_reason", Text),
    Column("runbook", Text, nullable=False),
    Column("dashboard", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("rule_at", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("closed_by", Text, nullable=False, server_default=text("''")),
    Column("told", Boolean, nullable=False, server_default=false()),
    Column("flapping", Boolean, nullable=False, server_default=false()),
    Column("muted", Text, nullable=False, server_default=text("''")),
    Column("unknown_told", Boolean, nullable=False, server_default=false()),
    Column("caught", Text, nullable=False, server_default=text("'[]'")),
)
"""ULIDs sort by time, so the primary key also serves `newest`."""

EVENTS = Table(
    "events",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("incident", Text, ForeignKey("incidents.id"), nullable=False),
    Column("at", Number, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
)
"""`seq` keeps the order of writing. `key` is the digest of the whole line: committing it again changes nothing."""


def is_open() -> ColumnElement[bool]:
    """Return the condition that an incident has not ended, in the words of the index that serves it."""
    return INCIDENTS.c.state != literal_column("'resolved'")


Index("ix_incidents_open", INCIDENTS.c.id, sqlite_where=is_open(), postgresql_where=is_open())
# Serves `load` and `newest(open_only=True)`: what is open, however long the history is.
Index("ix_incidents_closed_at", INCIDENTS.c.closed_at)
# Serves `load` (what ended in the last day) and pruning (what ended long ago).
Index("ix_events_incident", EVENTS.c.incident)
# Serves `timeline`, and the deletion of an incident's lines.


def _to_row(incident: Incident) -> upsert.Row:
    return {
        "id": incident.id,
        "rule": incident.rule,
        "group": documents.series_to_text(incident.group),
        "service": incident.service,
        "severity": incident.severity.value,
        "state": incident.state.value,
        "opened_at": incident.opened_at,
        "active_at": incident.active_at,
        "updated_at": incident.updated_at,
        "title": incident.title,
        "why": incident.why,
        "value": incident.value,
        "limit": incident.limit,
        "unit": incident.unit,
        "members": documents.members_to_text(incident.members),
        "known_at": incident.known_at,
        "blind_told": incident.blind_told,
        "closed_at": incident.closed_at,
        "close_reason": None if incident.close_reason is None else incident.close_reason.value,
        "runbook": incident.runbook,
        "dashboard": incident.dashboard,
        "description": incident.description,
        "rule_at": incident.rule_at,
        "labels": documents.series_to_text(incident.labels),
        "closed_by": incident.closed_by,
        "told": incident.told,
        "flapping": incident.flapping,
        "muted": incident.muted,
        "unknown_told": incident.unknown_told,
        "caught": documents.caught_to_text(incident.caught),
    }


def _from_row(row: Row[Any]) -> Incident:
    return Incident(
        id=row.id,
        rule=row.rule,
        group=documents.series_from_text(row.group),
        service=row.service,
        severity=Severity(row.severity),
        state=IncidentState(row.state),
        opened_at=row.opened_at,
        active_at=row.active_at,
        updated_at=row.updated_at,
        title=row.title,
        why=row.why,
        value=row.value,
        limit=row.limit,
        unit=row.unit,
        members=documents.members_from_text(row.members),
        known_at=row.known_at,
        blind_told=row.blind_told,
        closed_at=row.closed_at,
        close_reason=None if row.close_reason is None else CloseReason(row.close_reason),
        runbook=row.runbook,
        dashboard=row.dashboard,
        description=row.description,
        rule_at=row.rule_at,
        labels=documents.series_from_text(row.labels),
        closed_by=row.closed_by,
        told=row.told,
        flapping=row.flapping,
        muted=row.muted,
        unknown_told=row.unknown_told,
        caught=documents.caught_from_text(row.caught),
    )


def write(connection: Connection, incidents: Iterable[Incident]) -> None:
    """Write the incidents as they stand."""
    upsert.put(connection, INCIDENTS, [_to_row(incident) for incident in incidents])


def write_events(connection: Connection, events: Iterable[Event]) -> None:
    """Append lines to timelines; a line that is there already, word for word, is not repeated."""
    rows = [
        {
            "key": digest(event.incident, float(event.at), event.kind.value, event.text),
            "incident": event.incident,
            "at": event.at,
            "kind": event.kind.value,
            "text": event.text,
        }
        for event in events
    ]
    upsert.put_new(connection, EVENTS, rows, EVENTS.c.key)


def load(connection: Connection, now: float) -> list[Incident]:
    """Return the open incidents, and those that ended less than a day before `now`, oldest first."""
    open_ones = select(INCIDENTS).where(is_open())
    ended = select(INCIDENTS).where(~is_open(), INCIDENTS.c.closed_at > now - DAY)
    rows = connection.execute(union_all(open_ones, ended))
    return sorted((_from_row(row) for row in rows), key=lambda incident: incident.id)


def get(connection: Connection, incident: str) -> Incident | None:
    """Return the incident of this id, or `None`."""
    row = connection.execute(select(INCIDENTS).where(INCIDENTS.c.id == incident)).one_or_none()
    return None if row is None else _from_row(row)


def timeline(connection: Connection, incident: str) -> tuple[Event, ...]:
    """Return the lines of an incident in the order in which they were written."""
    rows = connection.execute(select(EVENTS).where(EVENTS.c.incident == incident).order_by(EVENTS.c.seq))
    return tuple(Event(row.incident, row.at, EventKind(row.kind), row.text) for row in rows)


def newest(connection: Connection, limit: int, before: str | None, *, open_only: bool) -> tuple[Incident, ...]:
    """Return at most `limit` incidents, newest first, older than the id `before` where one is given."""
    query = select(INCIDENTS).order_by(INCIDENTS.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(INCIDENTS.c.id < before)
    if open_only:
        query = query.where(is_open())
    return tuple(_from_row(row) for row in connection.execute(query))


def ended_before(before: float) -> ColumnElement[bool]:
    """Return the condition that an incident ended before this time."""
    return (INCIDENTS.c.closed_at < before) & ~is_open()


def delete_all(connection: Connection, ids: list[str]) -> None:
    """Delete these incidents and their timelines; the database refuses while one of them has a delivery."""
    connection.execute(delete(EVENTS).where(EVENTS.c.incident.in_(ids)))
    connection.execute(delete(INCIDENTS).where(INCIDENTS.c.id.in_(ids)))
