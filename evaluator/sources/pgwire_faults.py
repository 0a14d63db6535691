"""What goes wrong with a server that speaks PostgreSQL's protocol, as a reason and a sentence.

This module knows SQLSTATEs and libpq's words. It never connects, and never knows what was asked.
"""

import errno
import re
from collections.abc import Iterable

import psycopg

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.pgwire import SYSTEM_TEXTS, Refusal, RefusedError
from evaluator.sources.weather import OURS, reason_of, said

FULL = "53300"
"""too_many_connections: of the server, or of a role or a database."""
NOT_NOW = "57P03"
"""cannot_connect_now: it is starting, stopping or recovering, and lets nobody in."""

_REFUSED = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENOENT})
_OWN_LIMITS = {"InitializeSessionUserId": "our role", "CheckMyDatabase": "our database"}
_TEXTS = (
    (re.compile("certificate"), FailureReason.TLS),
    (re.compile("invalid response to SSL|invalid response to GSS"), FailureReason.BAD_ANSWER),
    (re.compile("server closed the connection|SSL connection has been closed|EOF detected"), FailureReason.RESET),
    (re.compile("SSL|TLS"), FailureReason.TLS),
    (re.compile("password|authentication method|SCRAM|require_auth"), FailureReason.AUTH),
    (re.compile("timeout|timed out"), FailureReason.TIMEOUT),
    (re.compile("expected authentication|invalid|unexpected|lost synch|received"), FailureReason.BAD_ANSWER),
)
"""What libpq says, which is never translated here; the first that fits."""
_PREFIX = re.compile(r"^(?:connection to server (?:at|on) .*? failed: |connection failed: )?(?:[A-Z]{4,}: +)?")


def is_full(refusal: Refusal | None) -> bool:
    """Return whether all connections that an ordinary role may have are in use, and not only those of our own role."""
    return refusal is not None and refusal.sqlstate == FULL and refusal.routine not in _OWN_LIMITS


def failure_of(error: BaseException, where: str, secrets: Iterable[str] = ()) -> PollFailed:
    """Return what an error of a connection or of a statement means."""
    if isinstance(error, RefusedError):
        reason, what = _of_connecting(error)
    elif isinstance(error, psycopg.Error) and error.sqlstate is not None:
        reason, what = reason_of_state(error.sqlstate), words(error)
    elif isinstance(error, psycopg.Error):
        reason, what = _of_libpq(str(error))
    else:
        reason, what = reason_of(error) or (FailureReason.RESET, "the connection broke off")
    return PollFailed(reason, f"{where}: {said(what, secrets)}")


def words(error: psycopg.Error) -> str:
    """Return what the server said of a statement: its message, hint and SQLSTATE, without the statement itself."""
    message, hint = error.diag.message_primary or str(error), error.diag.message_hint
    return f"{message}{f' ({hint})' if hint else ''} [{error.sqlstate}]"


def reason_of_state(sqlstate: str) -> FailureReason:
    """Return what kind of failure a SQLSTATE is."""
    if sqlstate == "57014":
        return FailureReason.TIMEOUT
    if sqlstate == "42501" or sqlstate.startswith("28"):
        return FailureReason.AUTH
    if sqlstate.startswith(("57P01", "57P02", "08")):
        return FailureReason.RESET
    # Data exceptions, what a read-only transaction forbids, syntax and names, what is not supported, limits of a
    # statement: another statement mends them.
    if sqlstate[:2] in ("0A", "21", "22", "25", "42", "54", "P0"):
        return FailureReason.BAD_QUERY
    return FailureReason.UNAVAILABLE


def _of_connecting(error: RefusedError) -> tuple[FailureReason, str]:
    """Return what it means that no connection was made."""
    refusal = error.refusal
    if refusal is None:
        return _of_libpq(str(error))
    text = _PREFIX.sub("", said(str(error)))
    if refusal.sqlstate == FULL:
        limit = _OWN_LIMITS.get(refusal.routine)
        if limit is not None:
            return FailureReason.UNAVAILABLE, f"{limit} may have no more connections (its CONNECTION LIMIT): {text}"
        return FailureReason.UNAVAILABLE, f"all connections are in use, and none is left for us: {text}"
    if refusal.sqlstate.startswith("28"):
        return FailureReason.AUTH, f"it does not accept our user and password: {text}"
    if "unsupported startup parameter" in text:
        return FailureReason.BAD_ANSWER, "this is a PgBouncer; mend `url`: the server's own address is needed"
    if refusal.sqlstate == "3D000":
        return FailureReason.UNAVAILABLE, f"{text}; mend `database` of this source"
    return FailureReason.UNAVAILABLE, f"it lets nobody in now: {text}" if refusal.sqlstate == NOT_NOW else text


def _of_libpq(text: str) -> tuple[FailureReason, str]:
    """Return what libpq means, where no server gave a SQLSTATE."""
    line = _PREFIX.sub("", said(text))
    for system, number in SYSTEM_TEXTS.items():
        if system in text:
            if number in _REFUSED:
                refused = "nobody listens there" if number in (errno.ECONNREFUSED, errno.ENOENT) else system.lower()
                return FailureReason.REFUSED, refused
            if number in OURS:
                return FailureReason.UNAVAILABLE, f"this machine does not get out: {system.lower()}"
            if number == errno.ETIMEDOUT:
                return FailureReason.TIMEOUT, "no answer in time"
            return FailureReason.RESET, "the connection broke off"
    for pattern, reason in _TEXTS:
        if pattern.search(text):
            match reason:
                case FailureReason.RESET:
                    return reason, "the connection broke off"
                case FailureReason.BAD_ANSWER:
                    return reason, "it does not speak the protocol of PostgreSQL"
                case FailureReason.TLS:
                    return reason, f"no TLS connection can be made: {line}"
                case FailureReason.AUTH:
                    return reason, f"it does not accept our user and password: {line}"
                case _:
                    return reason, line
    return FailureReason.RESET, line or "the connection broke off"
