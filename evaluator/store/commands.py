"""The rows of commands: what people ask of incidents, until the daemon has carried it out.

This module knows their columns. It never knows what a command does.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, select

from evaluator.incidents.commands import Command, CommandKind
from evaluator.store import documents, upsert
from evaluator.store.schema import METADATA, Number, Text

COMMANDS = Table(
    "commands",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("incident", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Number, nullable=False),
    Column("note", Text, nullable=False),
    Column("silence", Text),
)
"""No index: the only query reads all of it, and it is nearly always empty."""


def write(connection: Connection, changes: Mapping[str, Command | None]) -> None:
    """Write the commands; `None` deletes one that is done."""
    rows = [
        {
            "id": command.id,
            "kind": command.kind.value,
            "incident": command.incident,
            "by": command.by,
            "at": command.at,
            "note": command.note,
            "silence": None if command.silence is None else documents.silence_to_text(command.silence),
        }
        for command in changes.values()
        if command is not None
    ]
    upsert.put(connection, COMMANDS, rows)
    upsert.remove(connection, COMMANDS, [key for key, command in changes.items() if command is None])


def load(connection: Connection) -> list[Command]:
    """Return all commands that are not carried out, the oldest first; those that only a newer version knows wait."""
    known = select(COMMANDS).where(COMMANDS.c.kind.in_([kind.value for kind in CommandKind]))
    rows = connection.execute(known.order_by(COMMANDS.c.id))
    return [_from_row(row) for row in rows]


def _from_row(row: Row[Any]) -> Command:
    silence = None if row.silence is None else documents.silence_from_text(row.silence)
    return Command(row.id, CommandKind(row.kind), row.incident, row.by, row.at, row.note, silence)
