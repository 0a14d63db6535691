"""A store of the first release is brought to ours, with everything that was in it."""

import pytest
from alembic import command
from sqlalchemy import Connection

from evaluator.engine.alerts import Alert, State, Verdict
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes, ChunkKey, Judged
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.incident import Event, EventKind, Incident, IncidentState
from evaluator.store import migrate
from evaluator.store.errors import StoreUnavailable
from evaluator.store.schema import digest
from evaluator.store.store import _backend, open_store
from tests.store.rows import NOW, SERIES, a_chunk, a_silence, an_event

ID = "01J00000000000000000000001"
FIRST = f"""
INSERT INTO alerts VALUES ('{digest("cpu-high", "P1", sorted(SERIES))}', 'cpu-high', 'P1',
  '[["device","sda"],["host","web-1"]]', 'firing', 1, 2, 3, 4, 5, 'breach', 6, 93.5, NULL, 0, '[[1.0,2.0]]', TRUE,
  'it is high');
INSERT INTO judged VALUES ('{digest("cpu-high")}', 'cpu-high', 7, '{{}}', 'page');
INSERT INTO commands VALUES ('c1', 'resolve', '{ID}', 'ann', 8, 'done');
INSERT INTO incidents VALUES ('{ID}', 'cpu-high', '[["device","sda"],["host","web-1"]]', 'web', 'P1', 'open', 1, 2, 3,
  'CPU is high', 'why', 93.5, 'above 90', NULL, '[[["device","sda"],["host","web-1"]]]', 4, FALSE, NULL, NULL,
  '', '', '', 'a.toml:1', '[]');
INSERT INTO events (key, incident, at, kind, text) VALUES ('k', '{ID}', {NOW}, 'opened', 'opened');
"""
"""What the first release wrote: rows of its tables, which had these columns in this order."""


def first_release(url: str) -> None:
    """Make a store as the first release left it."""

    def work(connection: Connection) -> None:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in FIRST.strip().rstrip(";").split(";\n"):
            connection.exec_driver_sql(statement)

    backend = _backend(url, read_only=False)
    try:
        backend.migrate(work, 30)
    finally:
        backend.close()


def test_everything_of_the_first_release_is_there_after_the_upgrade(url: str) -> None:
    first_release(url)
    with open_store(url) as store:
        saved = store.load(NOW)
        assert saved.alerts == [
            Alert(
                "cpu-high", Severity.P1, SERIES, State.FIRING, 1.0, 2.0, 3.0, 4.0, 5.0, Verdict.BREACH, 6.0, 93.5,
                window=((1.0, 2.0),), edited=True, reason="it is high",
            )
        ]  # fmt: skip
        assert saved.judged == [Judged("cpu-high", 7.0, "{}", "page", 0.0)]
        incident = Incident(
            ID, "cpu-high", SERIES, "web", Severity.P1, IncidentState.OPEN, 1.0, 2.0, 3.0, "CPU is high", "why", 93.5,
            "above 90", members=(SERIES,), known_at=4.0, rule_at="a.toml:1",
        )  # fmt: skip
        assert saved.incidents == [incident]
        assert (saved.silences, saved.chunks) == ([], {})
        assert store.incident(ID) == (incident, (Event(ID, NOW, EventKind.OPENED, "opened"),))
        assert store.commands() == [Command("c1", CommandKind.RESOLVE, ID, "ann", 8.0, "done")]


def test_an_upgraded_store_takes_what_is_new(url: str) -> None:
    first_release(url)
    key = ChunkKey("cpu-high", 60.0, SERIES, 1)
    with open_store(url) as store:
        store.commit(Changes(silences={"s": a_silence("s")}, chunks={key: a_chunk(1.0)}, events=[an_event(ID, "more")]))
        saved = store.load(NOW)
        assert (saved.silences, list(saved.chunks)) == ([a_silence("s")], [key])
        found = store.incident(ID)
        assert found is not None
        assert [event.text for event in found[1]] == ["opened", "more"]


def test_a_store_of_the_first_release_is_not_changed_by_who_only_reads(url: str) -> None:
    first_release(url)
    with pytest.raises(StoreUnavailable, match="was written by an older evaluator"):
        open_store(url, read_only=True)
