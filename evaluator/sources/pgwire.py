"""One connection to a server that speaks PostgreSQL's protocol, through libpq and psycopg.

It knows how to connect without blocking the loop, how to be cancelled at any moment, and how to learn why a server
refuses a connection. It never knows what is asked, nor which server it is: PostgreSQL and PgBouncer share it.
"""

import asyncio
import errno
import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, OperationalError, pq, waiting
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

_SERVER_TEXTS = (
    (re.compile("sorry, too many clients already"), "53300", "InitProcess"),
    (re.compile("remaining connection slots are reserved"), "53300", "InitPostgres"),
    (re.compile("too many connections for role"), "53300", "InitializeSessionUserId"),
    (re.compile("too many connections for database"), "53300", "CheckMyDatabase"),
    (re.compile("the database system is "), "57P03", ""),
    (re.compile("password authentication failed|authentication failed for user"), "28P01", ""),
    (re.compile("no pg_hba.conf entry|pg_hba.conf rejects|role .* does not exist"), "28000", ""),
    (re.compile("database .* does not exist|no such database"), "3D000", ""),
    (re.compile(r"no more connections allowed"), "53300", ""),
    (re.compile("no such user|not allowed|SASL authentication failed"), "28000", ""),
)
"""How PostgreSQL and PgBouncer say in English why they refuse a connection, with the SQLSTATE (PgBouncer's own says
less) and the routine that says it."""
_TRACED = re.compile(r'^B\t\d+\tErrorResponse\t.* C "(\w{5})"(?:.* R "(\w+)")?', re.MULTILINE)
_LARGEST_TRACE = 65536

_CLIENT_TEXTS = re.compile(
    "server closed the connection|could not (?:connect|send|receive)|SSL|certificate|timeout expired|"
    "invalid response|expected authentication|authentication method|no password supplied|received |"
    "invalid .*(?:value|option|port)|could not translate|lost synchronization|out of memory|SCRAM|channel binding"
)
"""What libpq itself says when no server refuses anything: there is no SQLSTATE to learn."""

SYSTEM_TEXTS = {
    os.strerror(number): number
    for number in (
        *(errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENOENT),
        *(errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE, errno.EACCES),
    )
}
"""What the operating system says, in whatever language: libpq repeats its words, and not its number."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a server refused a connection."""

    sqlstate: str
    """Of the server's error, as https://www.postgresql.org/docs/current/errcodes-appendix.html lists them."""
    routine: str
    """The routine of the server that refused, where it is known: it tells whose limit was reached. Never translated."""


class RefusedError(Exception):
    """The connection was not made."""

    def __init__(self, text: str, refusal: Refusal | None) -> None:
        """Keep what was said, and what it means; `None`: no server spoke, or not this protocol."""
        super().__init__(text)
        self.refusal = refusal


class Connection(AsyncConnection[Any]):
    """A connection that is closed at once when whoever waits for it gives up.

    psycopg's own asks the server to cancel, and waits up to ten seconds for that: a server that hangs would hold the
    poll. Nothing of a statement that was given up may be taken for an answer to the next one, either.
    """

    async def wait(self, gen: PQGen[Any], interval: float = 0.1, *more: Any, **options: Any) -> Any:  # noqa: ANN401 - as in the base class, whose later versions take more.
        """Run psycopg's exchange of messages."""
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval, *more, **options)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise


async def connect(parameters: Mapping[str, str]) -> Connection:
    """Return a connection in autocommit mode; `RefusedError` or `OSError` (of name resolution) says why there is none.

    psycopg says no SQLSTATE for a connection that the server refused, and its text may be in the server's language
    (`lc_messages`). English is understood as it is; anything else is tried once more with libpq's trace of the
    protocol, in which the SQLSTATE and the routine stand untranslated.
    """
    target = {**parameters, **await _addresses(parameters["host"])}
    try:
        return await _attempt(target, trace=False)
    except RefusedError as error:
        if error.refusal is not None or not _may_be_translated(str(error)):
            raise
    # Not at the first attempt: libpq never frees the stream of a trace, some kilobytes each.
    return await _attempt(target, trace=True)


async def _addresses(host: str) -> dict[str, str]:
    """Return the addresses of a host as libpq takes them: it would block the loop while it asks for them itself."""
    if host.startswith("/"):
        return {}
    each = await _look_up(host)
    return {"host": ",".join([host] * len(each)), "hostaddr": ",".join(each)}


async def addresses_of(host: str) -> tuple[str, ...]:
    """Return where a name points now; nothing for the folder of a socket, and where the resolver has no answer."""
    try:
        return () if host.startswith("/") else await _look_up(host)
    except OSError:
        return ()


async def _look_up(host: str) -> tuple[str, ...]:
    """Return the addresses of a host; raise `socket.gaierror` where it has none."""
    with suppress(ValueError):
        return (str(ipaddress.ip_address(host)),)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        # A label that is longer than 63 letters, or empty.
        raise socket.gaierror(socket.EAI_NONAME, "no name") from None
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


async def _attempt(parameters: Mapping[str, str], *, trace: bool) -> Connection:
    """Connect once."""
    wire = pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
    tracing = os.memfd_create("trace") if trace and hasattr(os, "memfd_create") else None
    try:
        if tracing is not None and wire.status != pq.ConnStatus.BAD:
            wire.trace(tracing)
            wire.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        await _connected(wire)
        _raise_if_refused(wire, tracing)
        if tracing is not None:
            wire.untrace()
    except BaseException:
        wire.finish()
        raise
    finally:
        if tracing is not None:
            os.close(tracing)
    wire.nonblocking = 1
    connection = Connection(wire)
    await connection.set_autocommit(True)
    # A prepared statement survives neither PgBouncer's console nor its transaction pooling.
    connection.prepare_threshold = None
    return connection


async def _connected(wire: PGconn) -> None:
    """Wait until libpq has connected or failed."""
    if wire.status == pq.ConnStatus.BAD:
        return
    state = pq.PollingStatus.WRITING
    while state in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        # The socket is another one where libpq tries the next address, or again without TLS.
        await _ready(wire.socket, writing=state == pq.PollingStatus.WRITING)
        state = pq.PollingStatus(wire.connect_poll())


async def _ready(descriptor: int, *, writing: bool) -> None:
    """Wait until a socket can be read or written."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    add(descriptor, wake)
    try:
        await ready
    finally:
        remove(descriptor)


def _raise_if_refused(wire: PGconn, tracing: int | None) -> None:
    """Raise `RefusedError` with the reason, unless libpq has connected."""
    if wire.status == pq.ConnStatus.OK:
        return
    text = last_attempt(wire.get_error_message())
    if tracing is not None:
        # Also writes out what is still in the stream.
        wire.untrace()
        found = _TRACED.findall(os.pread(tracing, _LARGEST_TRACE, 0).decode("utf-8", "replace"))
        if found:
            raise RefusedError(text, Refusal(*found[-1]))
    for pattern, sqlstate, routine in _SERVER_TEXTS:
        if pattern.search(text):
            raise RefusedError(text, Refusal(sqlstate, routine))
    raise RefusedError(text, None)


def _may_be_translated(text: str) -> bool:
    """Return whether a server may have said this, and neither libpq nor the operating system."""
    return not _CLIENT_TEXTS.search(text) and not any(word in text for word in SYSTEM_TEXTS)


def last_attempt(text: str) -> str:
    """Return what libpq says of the last address that it tried, of all that a name has."""
    _, start, rest = text.rpartition("connection to server ")
    return start + rest


def is_cut(error: BaseException) -> bool:
    """Return whether a connection that worked before was found to be cut, and not a statement to be wrong."""
    return isinstance(error, OperationalError) and (error.sqlstate is None or error.sqlstate.startswith(("57P", "08")))
