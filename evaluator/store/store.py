"""The store: opened once, one commit at a time, read at any time.

This module knows what a transaction consists of and turns the database's errors into ours. It never knows which
database it is, and never decides what is written. Everything here waits; the daemon calls it in a thread.
"""

import threading
from types import TracebackType
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from evaluator.engine.alerts import Alert
from evaluator.engine.samples import Series
from evaluator.incidents.changes import Changes, Saved
from evaluator.incidents.commands import Command
from evaluator.incidents.incident import Event, Incident
from evaluator.incidents.silence import Silence
from evaluator.store import (
    alerts,
    commands,
    deliveries,
    files,
    incidents,
    judged,
    migrate,
    observations,
    permissions,
    series,
    silences,
    transitions,
)
from evaluator.store.backend import Backend, T, Work
from evaluator.store.errors import CommitFailed, Reason, StoreUnavailable
from evaluator.store.postgres import PostgresBackend
from evaluator.store.sqlite import SQLiteBackend
from evaluator.store.transitions import Past

COMMIT_SECONDS = 10.0
"""The most that a commit takes, whatever the server does."""
READ_SECONDS = 5.0
"""The most that a page's question takes."""
LOAD_SECONDS = 60.0
"""The most that a start's load or a migration takes."""
PRUNE_LIMIT = 1000
"""How many incidents, silences or transitions are deleted at once at most, so that no commit waits long for it."""


class Store:
    """What survives a crash. Made by `open_store`."""

    def __init__(self, backend: Backend) -> None:
        """Stand on a database that is ready."""
        self._backend = backend
        self._one_writer = threading.Lock()

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def where(self) -> str:
        """The file, or the server's address without any secret."""
        return self._backend.where

    def commit(self, changes: Changes) -> None:
        """Write all of the changes in one transaction.

        Raises `CommitFailed`. Nothing is written then, unless a server did commit and only its answer was lost; the
        same changes (and newer ones on top) may be committed again in any case, and have an effect once.
        """
        if changes:
            self._write(lambda connection: _write(connection, changes))

    def load(self, now: float) -> Saved:
        """Return everything that is not over, as of `now`; raises `StoreUnavailable`."""
        return self._read(lambda connection: _load(connection, now), LOAD_SECONDS)

    def alerts(self) -> list[Alert]:
        """Return the alerts that have a row, without all that `load` reads besides; raises `StoreUnavailable`."""
        return self._read(alerts.load, READ_SECONDS)

    def incident(self, incident: str) -> tuple[Incident, tuple[Event, ...]] | None:
        """Return an incident of any age with its timeline; `None`: there is none. Raises `StoreUnavailable`."""

        def work(connection: Connection) -> tuple[Incident, tuple[Event, ...]] | None:
            found = incidents.get(connection, incident)
            return None if found is None else (found, incidents.timeline(connection, incident))

        return self._read(work, READ_SECONDS)

    def incidents(self, limit: int, before: str | None = None, *, open_only: bool = False) -> tuple[Incident, ...]:
        """Return incidents of any age, newest first, older than the id `before`; raises `StoreUnavailable`."""
        return self._read(
            lambda connection: incidents.newest(connection, limit, before, open_only=open_only), READ_SECONDS
        )

    def commands(self) -> list[Command]:
        """Return what people ask for and is not carried out yet, the oldest first; raises `StoreUnavailable`."""
        return self._read(commands.load, READ_SECONDS)

    def silences(
        self, limit: int, before: str | None = None, *, not_over_at: float | None = None
    ) -> tuple[Silence, ...]:
        """Return silences of any age, newest first, older than the id `before`; raises `StoreUnavailable`.

        With `not_over_at` only those that were not over at this time: in force, or to come.
        """
        return self._read(lambda connection: silences.newest(connection, limit, before, not_over_at), READ_SECONDS)

    def transitions(
        self, rule: str, series: Series | None = None, before: float | None = None, limit: int = 100
    ) -> tuple[Past, ...]:
        """Return what the alerts of a rule did, newest first, in slots before `before`; raises `StoreUnavailable`.

        `series` narrows it to one series; `()` is the series without labels.
        """
        return self._read(lambda connection: transitions.newest(connection, rule, series, before, limit), READ_SECONDS)

    def prune(self, before: float) -> int:
        """Forget incidents that ended before this time, with their timelines and deliveries; return how many.

        It never takes one with a delivery that is pending or refused, nor one whose trigger was told and whose key is
        not resolved yet. At most `PRUNE_LIMIT` go at once: as many as that means that there may be more. Raises
        `CommitFailed`.
        """

        def work(connection: Connection) -> int:
            ids = deliveries.prune(connection, before, PRUNE_LIMIT)
            incidents.delete_all(connection, ids)
            return len(ids)

        return self._write(work)

    def prune_silences(self, before: float) -> int:
        """Forget silences that were over before this time; return how many, `PRUNE_LIMIT` at most at once.

        Raises `CommitFailed`.
        """
        return self._write(lambda connection: silences.prune(connection, before, PRUNE_LIMIT))

    def prune_transitions(self, before: float) -> int:
        """Forget what alerts did before this time; return how many, `PRUNE_LIMIT` at most at once.

        Raises `CommitFailed`.
        """
        return self._write(lambda connection: transitions.prune(connection, before, PRUNE_LIMIT))

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the store answers and its schema is ours."""
        self._read(lambda connection: migrate.require_current(connection, self.where), READ_SECONDS)

    def unwritable(self) -> str:
        """Return why nothing could be written, told by reading; empty: nothing speaks against it.

        Raises `StoreUnavailable` where it cannot even be read.
        """
        return self._read(permissions.unwritable, READ_SECONDS)

    def hold(self, instance: str) -> None:
        """Be the only writer from now on; raises `StoreUnavailable` where another process is.

        The hold ends with `close` or with the process, however that ends.
        """
        try:
            self._backend.hold(instance)
        except SQLAlchemyError as error:
            failure = self._unavailable(error)
        else:
            return
        raise failure

    def close(self) -> None:
        """Give everything back."""
        self._backend.close()

    # Errors are raised outside of `except`: the database's own may quote a row, and must not hang on ours as context.

    def _read(self, work: Work[T], seconds: float) -> T:
        try:
            return self._backend.read(work, seconds)
        except SQLAlchemyError as error:
            failure = self._unavailable(error)
        except (ValueError, KeyError, TypeError) as error:
            failure = StoreUnavailable(
                f"the store {self.where} has a row that this version cannot read ({type(error).__name__})",
                Reason.CORRUPT,
            )
        raise failure

    def _write(self, work: Work[T]) -> T:
        try:
            with self._one_writer:
                return self._backend.write(work, COMMIT_SECONDS)
        except SQLAlchemyError as error:
            reason, said = self._backend.explain(error)
            failure = CommitFailed(reason, f"the store {self.where} cannot be written: {said}")
        raise failure

    def _unavailable(self, error: SQLAlchemyError) -> StoreUnavailable:
        reason, said = self._backend.explain(error)
        return StoreUnavailable(f"the store {self.where} cannot be used: {said}", reason)


def _write(connection: Connection, changes: Changes) -> None:
    # Incidents first: lines and deliveries refer to them.
    incidents.write(connection, changes.incidents.values())
    incidents.write_events(connection, changes.events)
    deliveries.write(connection, changes.deliveries.values())
    alerts.write(connection, changes.alerts)
    series.write(connection, changes.series)
    judged.write(connection, changes.judged)
    files.write(connection, changes.files)
    commands.write(connection, changes.commands)
    silences.write(connection, changes.silences)
    # What a rule kept goes with it, so that another one of the same name never looks back on it.
    observations.forget(connection, [rule for rule, kept in changes.judged.items() if kept is None])
    observations.write(connection, changes.chunks)
    transitions.write(connection, changes.transitions)


def _load(connection: Connection, now: float) -> Saved:
    return Saved(
        alerts=alerts.load(connection),
        series=series.load(connection),
        judged=judged.load(connection),
        incidents=incidents.load(connection, now),
        deliveries=deliveries.load(connection),
        files=files.load(connection),
        silences=silences.load(connection, now),
        chunks=observations.load(connection),
    )


def open_store(url: str, *, read_only: bool = False, instance: str | None = None) -> Store:
    """Open the store of this URL: `sqlite:///folder/evaluator.db` or `postgresql+psycopg://user:password@host/database`.

    The tables are made or brought to this version. With `read_only` nothing is changed, and a schema of another version
    is refused. With `instance` the store is held (see `Store.hold`) before anything is changed, so that a second daemon
    cannot migrate it under the first. Raises `StoreUnavailable`.
    """
    backend = _backend(url, read_only=read_only)
    store = Store(backend)
    try:
        _prepare(store, backend, read_only=read_only, instance=instance)
    except StoreUnavailable:
        store.close()
        raise
    except SQLAlchemyError as error:
        reason, said = backend.explain(error)
        failure = StoreUnavailable(f"the store {backend.where} cannot be opened: {said}", reason)
        store.close()
    else:
        return store
    raise failure


def _backend(url: str, *, read_only: bool) -> Backend:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # What the parser says may quote a part of the password.
        parsed = None
    if parsed is None:
        raise StoreUnavailable(
            "the store's URL cannot be read: write sqlite:///folder/evaluator.db or "
            "postgresql+psycopg://user:password@host:5432/database, with %xx for special characters in the password"
        )
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            return SQLiteBackend(parsed, read_only=read_only)
        case "postgresql" | "postgresql+psycopg":
            return PostgresBackend(parsed, read_only=read_only)
        case other:
            raise StoreUnavailable(
                f"the store's URL begins with {other}: it can be sqlite:///… or postgresql+psycopg://… only"
            )


def _prepare(store: Store, backend: Backend, *, read_only: bool, instance: str | None) -> None:
    """Hold it, then make or check the tables."""
    if read_only:
        store.check()
        return
    if instance is not None:
        store.hold(instance)
    backend.migrate(lambda connection: migrate.upgrade(connection, store.where), LOAD_SECONDS)
