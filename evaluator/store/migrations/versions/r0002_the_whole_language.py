"""What the whole rule language needs: silences, kept samples, transitions, and more of alerts and incidents.

A migration spells its columns out. It never imports the tables of today, which will change.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, which rows that are there fill with what an older version meant, and make the new tables."""
    _columns()
    _silences()
    _observations()
    _transitions()


def _text() -> sa.TEXT:
    return sa.TEXT(collation="C") if op.get_bind().dialect.name == "postgresql" else sa.TEXT()


def _need(name: str, type_: sa.types.TypeEngine[Any] | None = None) -> sa.Column[Any]:
    return sa.Column(name, _text() if type_ is None else type_, nullable=False)


def _columns() -> None:
    op.add_column("alerts", sa.Column("unmet_since", sa.Double()))
    op.add_column("alerts", sa.Column("unmet_seen", sa.Double()))
    op.add_column("judged", sa.Column("since", sa.Double(), nullable=False, server_default=sa.text("0")))
    op.add_column("commands", sa.Column("silence", _text()))
    for name in ("told", "flapping", "unknown_told"):
        op.add_column("incidents", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    for name, default in (("closed_by", "''"), ("muted", "''"), ("caught", "'[]'")):
        op.add_column("incidents", sa.Column(name, _text(), nullable=False, server_default=sa.text(default)))


def _silences() -> None:
    op.create_table(
        "silences",
        *(_need(name) for name in ("id", "rules", "except", "series", "by", "reason")),
        *(_need(name, sa.Double()) for name in ("starts_at", "ends_at")),
        *(_need(name, sa.Boolean()) for name in ("ends_with_alert", "matched")),
        sa.Column("ended_at", sa.Double()),
        _need("ended_because"),
        sa.PrimaryKeyConstraint("id", name="pk_silences"),
    )
    op.create_index("ix_silences_ends_at", "silences", ["ends_at"])


def _observations() -> None:
    op.create_table(
        "observations",
        *(_need(name) for name in ("key", "rule")),
        _need("width", sa.Double()),
        _need("series"),
        _need("number", sa.BigInteger()),
        _need("values", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("key", name="pk_observations"),
    )


def _transitions() -> None:
    op.create_table(
        "transitions",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        *(_need(name) for name in ("key", "of", "rule", "severity", "series")),
        _need("at", sa.Double()),
        *(_need(name) for name in ("before", "after", "verdict")),
        sa.Column("value", sa.Double()),
        *(_need(name) for name in ("cause", "reason")),
        sa.PrimaryKeyConstraint("seq", name="pk_transitions"),
        sa.UniqueConstraint("key", name="uq_transitions_key"),
    )
    op.create_index("ix_transitions_of_at", "transitions", ["of", "at", "seq"])
    op.create_index("ix_transitions_at", "transitions", ["at"])
