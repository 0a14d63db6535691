"""Tables, migrations and indexes agree with each other, and old messages can still be read."""

import json
import re
from dataclasses import fields
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Select, TypeDecorator, inspect, text
from sqlalchemy.types import TypeEngine

from evaluator.engine.alerts import Alert, State
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import MEMORY_ONLY, Changes, Judged, Remembered, RuleFile, Saved
from evaluator.incidents.deliveries import Action, Delivery, Message
from evaluator.incidents.incident import Event, Incident
from evaluator.store import deliveries, documents, incidents, migrate, silences, tables, transitions
from evaluator.store.store import Store, open_store
from evaluator.store.transitions import Past
from tests.store.rows import (
    DAY,
    NOW,
    SERIES,
    a_message,
    a_silence,
    an_alert,
    an_event,
    an_incident,
    changes,
    done,
    ended,
)


def differ(
    context: MigrationContext, _found: object, _meant: object, found: TypeEngine[Any], meant: TypeEngine[Any]
) -> bool:
    """Return whether a column's type, collation included, is not the one that the table declares."""
    # Our types are decorators: what they are on this database is what counts.
    own = meant.load_dialect_impl(context.dialect) if isinstance(meant, TypeDecorator) else meant
    names = [str(each.compile(context.dialect)) for each in (own, found)]
    # SQLAlchemy binds with names of its own for what is one and the same to PostgreSQL.
    same = {"VARCHAR": "TEXT", "FLOAT": "DOUBLE PRECISION"} if context.dialect.name == "postgresql" else {}
    meaning = [re.sub("^[A-Z]+", lambda name: same.get(name[0], name[0]), name, count=1) for name in names]
    return meaning[0] != meaning[1]


def test_tables_and_migrations_agree(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {"version_table": migrate.VERSION_TABLE, "compare_type": differ, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), tables.METADATA))

    assert store._backend.read(differences, 5) == []


def test_partial_indexes_have_the_conditions_of_their_queries(store: Store) -> None:
    def conditions(connection: Connection) -> dict[str, str]:
        found = {}
        for table in ("incidents", "deliveries"):
            for index in inspect(connection).get_indexes(table):
                options = index.get("dialect_options", {})
                where = options.get("sqlite_where", options.get("postgresql_where"))
                if where is not None:
                    found[str(index["name"])] = re.sub(r"::text|[()]|ARRAY\[|\]", "", str(where)).replace("<>", "!=")
        return found

    assert {name: where.split()[0] for name, where in store._backend.read(conditions, 5).items()} == {
        "ix_incidents_open": "state",
        "ix_deliveries_unfinished": "state",
    }


@pytest.mark.parametrize(
    ("table", "row", "renamed"),
    [
        ("alerts", Alert, set()),
        ("series", Remembered, set()),
        ("judged", Judged, set()),
        ("files", RuleFile, set()),
        ("incidents", Incident, set()),
        ("events", Event, {"seq"}),
        ("deliveries", Delivery, set()),
        ("transitions", Past, {"seq", "of"}),
    ],
)
def test_every_field_of_a_row_is_a_column(table: str, row: type, renamed: set[str]) -> None:
    columns = set(tables.METADATA.tables[table].columns.keys())
    assert columns - renamed - {"key"} == {field.name for field in fields(row)}


def test_every_kind_of_row_is_saved() -> None:
    kinds = {field.name for field in fields(Changes)} - MEMORY_ONLY
    assert (kinds - {"chunks"}) | {"observations"} == set(tables.METADATA.tables)
    # Lines are read with their incident, transitions when somebody asks; commands are looked for again and again.
    assert {field.name for field in fields(Saved)} == kinds - {"events", "transitions", "commands"}


def test_every_field_of_a_message_is_written() -> None:
    written = json.loads(documents.message_to_text(a_message()))
    assert set(written) == {field.name for field in fields(Message)} | {"v"}
    assert written["v"] == documents.MESSAGE_VERSION


def test_a_message_of_another_version_is_read() -> None:
    read = documents.message_from_text('{"v": 9, "title": "CPU is high", "opened_at": 5, "mood": "grim"}')
    assert read == Message("", "", "", Severity.P3, "CPU is high", "", "", 5.0, 5.0)


def test_opening_again_changes_nothing(url: str) -> None:
    open_store(url).close()
    with open_store(url) as store:
        store.commit(changes(incidents=(an_incident(),)))
    with open_store(url) as store:
        assert store.load(NOW).incidents == [an_incident()]


def test_another_programs_tables_are_left_alone(database: str) -> None:
    with open_store(database) as store:

        def others(connection: Connection) -> None:
            connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
            connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))

        store._backend.write(others, 5)
    open_store(database).close()


def with_history(store: Store) -> None:
    """Fill a store with what is over: 3,000 incidents, each with its timeline and two deliveries."""
    for start in range(0, 3000, 1000):
        ids = [f"01J{number:05d}" for number in range(start, start + 1000)]
        store.commit(
            changes(
                incidents=tuple(ended(name, NOW - 30 * DAY) for name in ids),
                events=tuple(an_event(name) for name in ids),
                deliveries=tuple(
                    done(f"{name}{action.value[0]}", name, action, seq=seq)
                    for name in ids
                    for seq, action in enumerate((Action.TRIGGER, Action.RESOLVE))
                ),
            )
        )
    store.commit(changes(incidents=(an_incident("01J99999"),)))
    store.commit(
        changes(
            silences=tuple(a_silence(f"01J{number:05d}", ends_at=NOW - 2 * DAY) for number in range(3000)),
            transitions=tuple(
                Transition(State.QUIET, an_alert(f"rule-{number % 100}", judged=NOW - number), Cause.JUDGED)
                for number in range(3000)
            ),
        )
    )


def test_no_query_of_a_start_or_a_page_reads_the_history(store: Store) -> None:
    with_history(store)
    plans: list[str] = []

    def explained(connection: Connection) -> None:
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:
            connection.execute(text("ANALYZE"))
        explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
        ask = connection.execute

        def ask_and_explain(query: Select[tuple[object]]) -> object:
            compiled = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
            rows = connection.exec_driver_sql(explain + compiled.replace("%", "%%" if not sqlite else "%"))
            plans.append("\n".join(str(row[-1]) for row in rows))
            return ask(query)

        connection.execute = ask_and_explain  # type: ignore[method-assign, assignment]
        incidents.load(connection, NOW)
        deliveries.load(connection)
        incidents.get(connection, "01J00001")
        incidents.timeline(connection, "01J00001")
        incidents.newest(connection, 10, "01J00500", open_only=False)
        incidents.newest(connection, 10, None, open_only=True)
        silences.load(connection, NOW)
        transitions.newest(connection, "cpu-high", SERIES, NOW, 10)
        transitions.newest(connection, "cpu-high", None, None, 10)

    store._backend.write(explained, 10)
    assert len(plans) == 9
    for plan in plans:
        # Walking an index backwards and stopping at a limit is a scan in SQLite's words; a partial index is small.
        whole = [line for line in plan.splitlines() if re.search(r"SCAN|Seq Scan", line) and "ix_" not in line]
        whole = [line for line in whole if not re.search(r"SCAN wanted|SCAN \(|sqlite_autoindex_incidents", line)]
        assert not whole, plan
