"""Writing and deleting many rows at once, alike on SQLite and PostgreSQL.

This module knows the two dialects' INSERT ... ON CONFLICT. It never knows what a row means.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite

Row = dict[str, Any]
"""A row to write: column names to values."""


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows, each in the place of the one with the same primary key."""
    if not rows:
        return
    statement = _insert(connection, table)
    key = list(table.primary_key.columns)
    new = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=new), rows)


def put_new(connection: Connection, table: Table, rows: Sequence[Row], unique: Column[Any]) -> None:
    """Insert those of the rows whose unique column is not there yet."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(index_elements=[unique]), rows)


def remove(connection: Connection, table: Table, keys: Sequence[str]) -> None:
    """Delete the rows of these primary keys, where they are."""
    if keys:
        (key,) = table.primary_key.columns
        connection.execute(delete(table).where(key == bindparam("gone")), [{"gone": value} for value in keys])
