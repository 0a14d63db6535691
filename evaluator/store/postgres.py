"""The store in a PostgreSQL database.

This module knows the connection, its limits, the lock of the only writer, and PostgreSQL's errors. It never knows a
table.

All writes go through one session, and that session holds an advisory lock. A daemon that was cut off loses both at
once, so that what it still wants to write can never land beside the writes of whoever took over.
"""

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import psycopg
from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from evaluator.store.backend import T, Work
from evaluator.store.deadline import Deadline, watch
from evaluator.store.errors import Reason, StoreUnavailable
from evaluator.store.postgres_errors import HeldElsewhereError, TooLateError, broke, explain
from evaluator.store.schema import escaped

CONNECT_SECONDS = 5
"""Until a connection is made, the server's greeting included."""
STATEMENT_SECONDS = 5
"""For one statement, and for what was sent and not acknowledged by the server's machine."""
LOCK_SECONDS = 4
"""For one lock; less than a statement's, so that it is this limit that a statement meets, and the reason is told."""
READERS = 5
"""Connections that are kept; as many again may be made for a moment."""

_HOLDER = """
    SELECT activity.application_name, activity.client_addr, activity.pid
    FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
    WHERE held.locktype = 'advisory' AND held.granted AND held.classid = :high AND held.objid = :low
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_CONNECT = {
    "connect_timeout": str(CONNECT_SECONDS),
    "tcp_user_timeout": str(STATEMENT_SECONDS * 1000),
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "application_name": "evaluator",
}


class PostgresBackend:
    """One PostgreSQL database; the tables are in the first schema of the role's `search_path`."""

    def __init__(self, url: URL, *, read_only: bool) -> None:
        """Make the engine; nothing is asked yet."""
        host = url.host or str(url.query.get("host", "")) or "local socket"
        if "@" in host:
            raise StoreUnavailable("the password in the store's URL has an @ in it: write it as %40")
        self.where = f"postgresql://{url.username or ''}@{host}:{url.port or 5432}/{url.database or ''}"
        self._secrets = [str(secret) for secret in (url.password, url.query.get("password")) if secret]
        self._read_only = read_only
        self._instance: str | None = None
        self._writer: Connection | None = None
        self._writing = threading.RLock()
        self._engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={name: value for name, value in _CONNECT.items() if name not in url.query},
            pool_size=READERS,
            max_overflow=READERS,
            pool_timeout=STATEMENT_SECONDS,
            hide_parameters=True,
        )
        # First of all listeners: SQLAlchemy's own asks the server several things, which must end too.
        event.listen(self._engine, "connect", _settle, insert=True)
        event.listen(self._engine, "checkout", _checked_out)

    def read(self, work: Work[T], seconds: float) -> T:
        """Do the work on one consistent picture."""

        def once() -> T:
            with self._engine.connect() as connection:
                reader = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with reader.begin():
                    reader.execute(text(f"SET LOCAL statement_timeout = '{seconds:g}s'"))
                    return work(reader)

        return self._in_time(once, seconds)

    def write(self, work: Work[T], seconds: float) -> T:
        """Do the work in one transaction of the session that holds the lock."""

        def once() -> T:
            try:
                writer = self._held()
                with writer.begin():
                    return work(writer)
            except SQLAlchemyError:
                # Whatever went wrong: the next one starts with a session that nothing is known against.
                self._drop_writer()
                raise

        with self._writing:
            return self._in_time(once, seconds)

    def migrate(self, work: Work[None], seconds: float) -> None:
        """Do the work alone among all that open this schema."""

        def alone(connection: Connection) -> None:
            key = _lock_key(connection, "migration")
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
            connection.execute(text(f"SET LOCAL statement_timeout = '{seconds:g}s'"))
            work(connection)

        self.write(alone, seconds)

    def hold(self, instance: str) -> None:
        """Take the lock of the only writer; waits a few seconds for a session that is just ending."""
        with self._writing:
            if self._instance is not None:
                return
            # A writer from before the hold has not taken the lock.
            self._drop_writer()
            self._instance = instance
            try:
                self.write(lambda _: None, 2.0 * STATEMENT_SECONDS)
            except HeldElsewhereError:
                self._instance = None
                raise StoreUnavailable(
                    f"the store {self.where} is already used by {self._in_time(self._holder, STATEMENT_SECONDS)}: "
                    "stop that one first, or give this one its own database or schema",
                    Reason.LOCKED,
                ) from None

    def explain(self, error: SQLAlchemyError) -> tuple[Reason, str]:
        """Return what PostgreSQL's SQLSTATE means, without the password, should the server repeat it."""
        reason, said = explain(error)
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return reason, said

    def close(self) -> None:
        """Close all sessions; the lock goes with the one that has it."""
        with self._writing:
            self._drop_writer()
        self._engine.dispose()

    def _in_time(self, once: Callable[[], T], seconds: float) -> T:
        """Call it, and once more where a connection from before a restart of the server was the only trouble.

        All that is written is idempotent, so that it does not matter whether a commit was lost or only its answer.
        """
        with Deadline(seconds) as deadline:
            try:
                return once()
            except SQLAlchemyError as error:
                if deadline.passed:
                    raise TooLateError(f"no answer within {seconds:g} s") from None
                if not broke(error):
                    raise
                self._engine.dispose()
            try:
                return once()
            except SQLAlchemyError:
                if deadline.passed:
                    raise TooLateError(f"no answer within {seconds:g} s") from None
                raise

    def _held(self) -> Connection:
        """Return the writer's session, new where the last one broke, with the lock where it was asked for."""
        if self._writer is None:
            self._writer = self._engine.connect().execution_options(postgresql_readonly=self._read_only)
            if self._instance is not None:
                self._take_lock(self._writer, self._instance)
        else:
            _watch(cast("psycopg.Connection[Any]", self._writer.connection.driver_connection))
        return self._writer

    def _take_lock(self, writer: Connection, instance: str) -> None:
        with writer.begin():
            writer.execute(
                text("SELECT set_config('application_name', :name, false)"),
                {"name": escaped(f"evaluator {instance}")},
            )
            try:
                writer.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(writer, "writer")})
            except DBAPIError as error:
                if explain(error)[0] is Reason.LOCKED:
                    raise HeldElsewhereError from None
                raise

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            # Closed, not returned: a session in the pool would keep the lock.
            with suppress(SQLAlchemyError):
                writer.invalidate()
            with suppress(SQLAlchemyError):
                writer.close()

    def _holder(self) -> str:
        """Return who has the lock, as far as the server tells."""
        with self._engine.connect() as connection:
            key = _lock_key(connection, "writer") % 2**64
            row = connection.execute(
                text(_HOLDER),
                {"high": key >> 32, "low": key & 0xFFFFFFFF},
            ).first()
        if row is None:
            return "another session"
        return f"{row.application_name or 'a session'} (from {row.client_addr or 'its own machine'}, backend {row.pid})"


def _lock_key(connection: Connection, purpose: str) -> int:
    """Return the number of an advisory lock: its own for each schema, since a schema is a store."""
    schema = connection.execute(text("SELECT current_schema()")).scalar_one()
    return int.from_bytes(hashlib.sha256(f"evaluator {purpose} {schema}".encode()).digest()[:8], signed=True)


def _watch(connection: psycopg.Connection[Any]) -> None:
    if not connection.closed:
        watch(connection.fileno())


def _settings() -> str:
    """Return the statements that set a new session's limits."""
    return "; ".join(
        [
            f"SET statement_timeout = '{STATEMENT_SECONDS}s'",
            f"SET lock_timeout = '{LOCK_SECONDS}s'",
            # A transaction of a daemon that was frozen must not hold rows for ever.
            "SET idle_in_transaction_session_timeout = '15s'",
            # A commit that was reported must outlive a crash of the server; stricter settings stay as they are.
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            # The server must notice within seconds that we are gone: until then the session of a machine that lost its
            # power still holds the lock, and the next daemon is refused.
            "SET tcp_keepalives_idle = 5",
            "SET tcp_keepalives_interval = 2",
            "SET tcp_keepalives_count = 3",
        ]
    )


def _settle(connection: psycopg.Connection[Any], _record: object) -> None:
    """Set a new session's limits. Not by the `options` of the start packet, which poolers refuse."""
    _watch(connection)
    connection.autocommit = True
    connection.execute(_settings())
    connection.autocommit = False


def _checked_out(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    _watch(connection)
