"""The rows of alerts that are not quiet.

This module knows an alert's columns. It never knows when an alert is written or deleted.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Row, Table, select

from evaluator.engine.alerts import Alert, AlertKey, State, Verdict
from evaluator.engine.rules import Severity
from evaluator.store import documents, upsert
from evaluator.store.schema import METADATA, Number, Text, digest

ALERTS = Table(
    "alerts",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("since", Number, nullable=False),
    Column("active_at", Number, nullable=False),
    Column("clock", Number, nullable=False),
    Column("seen", Number, nullable=False),
    Column("judged", Number, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("known", Number, nullable=False),
    Column("value", Number),
    Column("sample_at", Number),
    Column("absent", Number, nullable=False),
    Column("window", Text, nullable=False),
    Column("unmet_since", Number),
    Column("unmet_seen", Number),
    Column("edited", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
)
"""`key` is the digest of (rule, severity, series). No other index: the only query reads all of it."""


def _key(key: AlertKey) -> str:
    return digest(key.rule, key.severity.value, sorted(key.series))


def _to_row(alert: Alert) -> upsert.Row:
    return {
        "key": _key(alert.key),
        "rule": alert.rule,
        "severity": alert.severity.value,
        "series": documents.series_to_text(alert.series),
        "state": alert.state.value,
        "since": alert.since,
        "active_at": alert.active_at,
        "clock": alert.clock,
        "seen": alert.seen,
        "judged": alert.judged,
        "verdict": alert.verdict.value,
        "known": alert.known,
        "value": alert.value,
        "sample_at": alert.sample_at,
        "absent": alert.absent,
        "window": documents.window_to_text(alert.window),
        "unmet_since": alert.unmet_since,
        "unmet_seen": alert.unmet_seen,
        "edited": alert.edited,
        "reason": alert.reason,
    }


def _from_row(row: Row[Any]) -> Alert:
    return Alert(
        rule=row.rule,
        severity=Severity(row.severity),
        series=documents.series_from_text(row.series),
        state=State(row.state),
        since=row.since,
        active_at=row.active_at,
        clock=row.clock,
        seen=row.seen,
        judged=row.judged,
        verdict=Verdict(row.verdict),
        known=row.known,
        value=row.value,
        sample_at=row.sample_at,
        absent=row.absent,
        window=documents.window_from_text(row.window),
        unmet_since=row.unmet_since,
        unmet_seen=row.unmet_seen,
        edited=row.edited,
        reason=row.reason,
    )


def write(connection: Connection, changes: Mapping[AlertKey, Alert | None]) -> None:
    """Write the alerts; `None` deletes."""
    upsert.put(connection, ALERTS, [_to_row(alert) for alert in changes.values() if alert is not None])
    upsert.remove(connection, ALERTS, [_key(key) for key, alert in changes.items() if alert is None])


def load(connection: Connection) -> list[Alert]:
    """Return all alerts, in the order of rule, severity and series."""
    rows = connection.execute(select(ALERTS).order_by(ALERTS.c.rule, ALERTS.c.severity, ALERTS.c.series))
    return [_from_row(row) for row in rows]
