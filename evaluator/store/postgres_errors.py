"""What PostgreSQL's errors mean.

This module knows SQLSTATEs and what psycopg says where there is none. It never knows a connection or a table.
"""

import re

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from evaluator.store.errors import Reason

_STATES = {
    "57014": Reason.TIMEOUT,
    "55P03": Reason.LOCKED,
    "25006": Reason.READONLY,
    "42501": Reason.READONLY,
    "53100": Reason.DISK_FULL,
}
_CLASSES = {
    "08": Reason.UNREACHABLE,
    "28": Reason.UNREACHABLE,
    "3D": Reason.UNREACHABLE,
    "40": Reason.LOCKED,
    "53": Reason.UNREACHABLE,
    "57": Reason.UNREACHABLE,
    "XX": Reason.CORRUPT,
}
"""SQLSTATEs, and their first two characters, https://www.postgresql.org/docs/15/errcodes-appendix.html."""


class HeldElsewhereError(SQLAlchemyError):
    """Another session has the lock of the only writer."""


class TooLateError(SQLAlchemyError):
    """The deadline ended the work."""


def explain(error: SQLAlchemyError) -> tuple[Reason, str]:
    """Return what PostgreSQL's SQLSTATE means. Only its primary message is quoted: the detail may hold a row."""
    if isinstance(error, TooLateError):
        return Reason.TIMEOUT, str(error)
    if isinstance(error, HeldElsewhereError):
        return Reason.LOCKED, "another session took over as its only writer while this one was cut off"
    if isinstance(error, PoolTimeout):
        return Reason.TIMEOUT, "all connections are in use"
    original = error.orig if isinstance(error, DBAPIError) else None
    if not isinstance(original, psycopg.Error):
        return Reason.OTHER, type(error).__name__
    state = original.sqlstate
    said = original.diag.message_primary or str(original)
    if state is not None:
        reason = _STATES.get(state) or _CLASSES.get(state[:2], Reason.OTHER)
    elif isinstance(original, psycopg.errors.ConnectionTimeout):
        reason = Reason.TIMEOUT
    else:
        reason = Reason.UNREACHABLE if isinstance(original, psycopg.OperationalError) else Reason.OTHER
    return reason, re.sub(r"\s+", " ", said).strip()


def broke(error: SQLAlchemyError) -> bool:
    """Return whether a session that was there has ended: the server was restarted, or an administrator ended it."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state.startswith("57P")
