"""The store in one SQLite file.

This module knows the file, its mode and lock, SQLite's settings and its errors. It never knows a table.

The journal is a WAL, so that pages and the command line read while the daemon writes. `synchronous` is FULL: with the
default of WAL a power cut may take back the last commits (https://www.sqlite.org/pragma.html#pragma_synchronous), and
with them an incident that PagerDuty was already told of, which nobody would then close.
"""

import errno
import fcntl
import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from evaluator.store.backend import T, Work
from evaluator.store.errors import Reason, StoreUnavailable

BUSY_SECONDS = 5.0
"""How long a statement waits for another process's lock."""
READERS = 5
"""Connections that are kept; as many again may be made for a moment."""

_REASONS = {
    sqlite3.SQLITE_FULL: (Reason.DISK_FULL, "there is no space left on its disk"),
    sqlite3.SQLITE_READONLY: (Reason.READONLY, "it may only be read"),
    sqlite3.SQLITE_PERM: (Reason.READONLY, "it may only be read"),
    sqlite3.SQLITE_BUSY: (Reason.LOCKED, f"another process has had it locked for {BUSY_SECONDS:g} s"),
    sqlite3.SQLITE_LOCKED: (Reason.LOCKED, f"another process has had it locked for {BUSY_SECONDS:g} s"),
    sqlite3.SQLITE_CORRUPT: (Reason.CORRUPT, "its content is damaged: restore a backup (docs/store.md)"),
    sqlite3.SQLITE_NOTADB: (Reason.CORRUPT, "it is not an SQLite database"),
    sqlite3.SQLITE_CANTOPEN: (Reason.UNREACHABLE, "the file, or its -wal beside it, cannot be opened"),
    sqlite3.SQLITE_IOERR: (Reason.UNREACHABLE, "its disk answers with an I/O error"),
}
_ERRNO = {
    errno.ENOSPC: Reason.DISK_FULL,
    errno.EDQUOT: Reason.DISK_FULL,
    errno.EACCES: Reason.READONLY,
    errno.EPERM: Reason.READONLY,
    errno.EROFS: Reason.READONLY,
}


class _FileReplacedError(SQLAlchemyError):
    """The path no longer leads to the file that was opened."""


class SQLiteBackend:
    """One SQLite file, made with mode 0600 where it is not there yet."""

    def __init__(self, url: URL, *, read_only: bool) -> None:
        """Prepare the file and the engine; raises `StoreUnavailable` where the file system refuses."""
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise StoreUnavailable("the store's URL names no file: write sqlite:///folder/evaluator.db")
        # A symbolic link and its target are one store, so they must have one lock.
        self._path = Path(os.path.realpath(url.database))
        self.where = str(self._path)
        self._lock: int | None = None
        if read_only:
            self._require_file()
        else:
            _make_private(self._path)
        self._identity = self._file_identity()
        self._engine = self._make_engine(read_only=read_only)

    def _require_file(self) -> None:
        try:
            self._path.stat()
        except FileNotFoundError:
            raise StoreUnavailable(
                f"the store {self.where} does not exist: start `evaluator run` once, it makes it", Reason.UNREACHABLE
            ) from None
        except OSError as error:
            raise _refused(self._path, error) from None

    def _make_engine(self, *, read_only: bool) -> Engine:
        # Never `rwc`: a file that vanishes must be an error, not a new and empty store.
        uri = f"file:{quote(str(self._path))}?mode={'ro' if read_only else 'rw'}"

        def connect() -> sqlite3.Connection:
            # The driver would begin transactions by itself, late and not for every statement; `begin` below does it.
            return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

        engine = create_engine(
            "sqlite+pysqlite://",
            creator=connect,
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=READERS,
            pool_timeout=BUSY_SECONDS,
            hide_parameters=True,
        )

        @event.listens_for(engine, "connect")
        def settle(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            # After one large transaction the WAL would otherwise keep its size for ever.
            connection.execute("PRAGMA journal_size_limit = 16777216")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            statement = connection.get_execution_options().get("begin", "BEGIN")
            if statement is not None:
                connection.exec_driver_sql(statement)

        return engine

    def read(self, work: Work[T], seconds: float) -> T:
        """Do the work on one consistent picture. A local file answers or fails by itself, whatever `seconds` says."""
        del seconds
        self._require_same_file()
        with self._engine.connect() as connection, connection.begin():
            return work(connection)

    def write(self, work: Work[T], seconds: float) -> T:
        """Do the work in one transaction that has the file's only write lock from its first statement."""
        del seconds
        self._require_same_file()
        with self._engine.connect() as connection:
            # A writer asks for the lock first: a read that turns into a write cannot wait for it, and fails at once.
            writer = connection.execution_options(begin="BEGIN IMMEDIATE")
            with writer.begin():
                return work(writer)

    def migrate(self, work: Work[None], seconds: float) -> None:
        """Switch the file to WAL, then do the work; raises `StoreUnavailable` where the file system has no WAL."""
        with self._engine.connect() as connection:
            # The mode cannot be changed within a transaction.
            outside = connection.execution_options(begin=None)
            mode = outside.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one()
        if mode != "wal":
            raise StoreUnavailable(
                f"the store {self.where} is on a file system without shared memory (a network share?): "
                "put it on a local disk"
            )
        # A crash of an older version may have left companions with another mode.
        _narrow(self._path)
        self.write(work, seconds)

    def hold(self, instance: str) -> None:
        """Take the lock beside the file; the kernel gives it back when this process ends, however it ends."""
        if self._lock is not None:
            return
        path = Path(f"{self._path}.lock")
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _refused(path, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 200).decode(errors="replace").strip() or "another process"
            os.close(lock)
            raise StoreUnavailable(
                f"the store {self.where} is already used by {holder}: "
                "stop that one first, or give this one its own file",
                Reason.LOCKED,
            ) from None
        self._lock = lock
        # Only for the sentence above; on a full disk the lock itself is what counts.
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"evaluator {instance} (process {os.getpid()})\n".encode(errors="replace"), 0)

    def explain(self, error: SQLAlchemyError) -> tuple[Reason, str]:
        """Return what SQLite's result code means."""
        if isinstance(error, _FileReplacedError):
            return Reason.UNREACHABLE, (
                "the file was removed or replaced while it was in use: put it back, since a start without it forgets "
                "what is open, and then restart evaluator"
            )
        if not isinstance(error, DBAPIError):
            return Reason.OTHER, type(error).__name__
        original = error.orig
        code = getattr(original, "sqlite_errorcode", None)
        if code is None:
            return Reason.OTHER, f"{type(original).__name__}: {original}"
        primary = code & 0xFF
        if primary == sqlite3.SQLITE_IOERR and self._no_space():
            primary = sqlite3.SQLITE_FULL
        if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            folder = self._path.parent
            if folder.is_dir() and not os.access(folder, os.W_OK):
                return Reason.READONLY, f"its folder {folder} may only be read, and SQLite keeps its -wal file there"
        return _REASONS.get(primary, (Reason.OTHER, f"SQLite says: {original}"))

    def close(self) -> None:
        """Close the file, then give the lock back."""
        self._engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _require_same_file(self) -> None:
        # SQLite goes on writing into a file that was deleted, and every commit would be lost at the next start.
        if self._file_identity() != self._identity:
            raise _FileReplacedError

    def _no_space(self) -> bool:
        # The WAL's shared memory answers with an I/O error, not with FULL, when it cannot grow.
        try:
            return os.statvfs(self._path.parent).f_bavail == 0
        except OSError:
            return False


def _make_private(path: Path) -> None:
    """Make the file and its folder where they are not there; the file can then only be read by its owner."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _refused(path, error) from None
    _narrow(path)


def _narrow(path: Path) -> None:
    """Take away what group and others may do with the file and its companions; SQLite gives those the file's mode."""
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        # Whoever may write a file need not own it, and then cannot change its mode; that is its owner's choice.
        with suppress(OSError):
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                file.chmod(mode & 0o700)


def _refused(path: Path, error: OSError) -> StoreUnavailable:
    """Return what the file system said, as one sentence."""
    said = os.strerror(error.errno) if error.errno else str(error)
    at = f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""
    return StoreUnavailable(
        f"the store {path} cannot be opened: {said}{at}", _ERRNO.get(error.errno or 0, Reason.UNREACHABLE)
    )
