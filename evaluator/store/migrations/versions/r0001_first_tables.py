"""The first tables: alerts, series, judged, incidents, events, deliveries, files, commands.

A migration spells its columns out. It never imports the tables of today, which will change.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and their indexes."""
    _alerts_and_rules()
    _incidents()
    _deliveries()


def _text() -> sa.TEXT:
    return sa.TEXT(collation="C") if op.get_bind().dialect.name == "postgresql" else sa.TEXT()


def _need(name: str, type_: sa.types.TypeEngine[Any] | None = None) -> sa.Column[Any]:
    return sa.Column(name, _text() if type_ is None else type_, nullable=False)


def _key(table: str, name: str = "key") -> tuple[sa.Column[Any], sa.PrimaryKeyConstraint]:
    return _need(name), sa.PrimaryKeyConstraint(name, name=f"pk_{table}")


def _alerts_and_rules() -> None:
    op.create_table(
        "alerts",
        *_key("alerts"),
        *(_need(name) for name in ("rule", "severity", "series", "state")),
        *(_need(name, sa.Double()) for name in ("since", "active_at", "clock", "seen", "judged")),
        _need("verdict"),
        _need("known", sa.Double()),
        sa.Column("value", sa.Double()),
        sa.Column("sample_at", sa.Double()),
        _need("absent", sa.Double()),
        _need("window"),
        _need("edited", sa.Boolean()),
        _need("reason"),
    )
    op.create_table("series", *_key("series"), _need("rule"), _need("series"), _need("absent", sa.Double()))
    op.create_table(
        "judged", *_key("judged"), _need("rule"), _need("at", sa.Double()), _need("identity"), _need("mode")
    )
    op.create_table("files", *_key("files"), _need("path"), _need("text"), _need("loaded_at", sa.Double()))
    op.create_table(
        "commands",
        *_key("commands", "id"),
        *(_need(name) for name in ("kind", "incident", "by")),
        _need("at", sa.Double()),
        _need("note"),
    )


def _incidents() -> None:
    op.create_table(
        "incidents",
        *_key("incidents", "id"),
        *(_need(name) for name in ("rule", "group", "service", "severity", "state")),
        *(_need(name, sa.Double()) for name in ("opened_at", "active_at", "updated_at")),
        _need("title"),
        _need("why"),
        sa.Column("value", sa.Double()),
        _need("limit"),
        sa.Column("unit", _text()),
        _need("members"),
        _need("known_at", sa.Double()),
        _need("blind_told", sa.Boolean()),
        sa.Column("closed_at", sa.Double()),
        sa.Column("close_reason", _text()),
        *(_need(name) for name in ("runbook", "dashboard", "description", "rule_at", "labels")),
    )
    unresolved = sa.text("state != 'resolved'")
    op.create_index("ix_incidents_open", "incidents", ["id"], sqlite_where=unresolved, postgresql_where=unresolved)
    op.create_index("ix_incidents_closed_at", "incidents", ["closed_at"])
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        *(_need(name) for name in ("key", "incident")),
        _need("at", sa.Double()),
        *(_need(name) for name in ("kind", "text")),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
        sa.UniqueConstraint("key", name="uq_events_key"),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name="fk_events_incident"),
    )
    op.create_index("ix_events_incident", "events", ["incident"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        *_key("deliveries", "id"),
        _need("seq", sa.BigInteger()),
        sa.Column("incident", _text()),
        *(_need(name) for name in ("notifier", "service", "severity", "action", "dedup_key", "message")),
        _need("created_at", sa.Double()),
        _need("due_at", sa.Double()),
        *(_need(name) for name in ("routing_key", "state")),
        *(_need(name, sa.Integer()) for name in ("attempts", "accepted")),
        sa.Column("accepted_at", sa.Double()),
        *(_need(name, sa.Boolean()) for name in ("told", "claimed")),
        _need("error"),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name="fk_deliveries_incident"),
    )
    op.create_index("ix_deliveries_incident_notifier", "deliveries", ["incident", "notifier"])
    unfinished = sa.text("state IN ('pending', 'refused')")
    op.create_index(
        "ix_deliveries_unfinished",
        "deliveries",
        ["incident", "notifier"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
