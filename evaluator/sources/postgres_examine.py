"""What `evaluator doctor` says of a PostgreSQL server: the connection, the role, its rights, the slots, each own query.

It knows what polls need, and the statement that grants it. It changes nothing: own queries are planned, never run.
"""

import asyncio
from collections.abc import Collection, Iterator
from typing import Any

import psycopg

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources import postgres_own
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.pgwire import Connection, RefusedError, connect
from evaluator.sources.pgwire_faults import failure_of, is_full
from evaluator.sources.postgres_measures import NO_STATEMENTS, grant, usable
from evaluator.sources.postgres_query import HIDDEN, PostgresQuery, PostgresSettings
from evaluator.sources.postgres_statement import FACTS, parts, statement
from evaluator.sources.weather import said, timed_out

_MENDS = {
    FailureReason.REFUSED: "start the server, or mend `url` of this source",
    FailureReason.TIMEOUT: "look whether the server hangs and whether a firewall is between, or raise `timeout`",
    FailureReason.RESET: "look into the server's log, and whether a proxy is between",
    FailureReason.TLS: "mend `sslmode`, `ca`, `cert` and `key` of this source, or the server's certificate",
    FailureReason.AUTH: "mend `user` and `password` of this source, or pg_hba.conf of the server",
    FailureReason.BAD_ANSWER: "mend `url` of this source: something else listens there",
    FailureReason.UNAVAILABLE: "look into the server's log; where this machine gets no answer or not out, at its "
    "resolver (/etc/resolv.conf) and its routes",
}
_NEEDED = 2
"""Connections that polls hold: one for the measures, one for own queries. A third is for `doctor`."""


async def examine(settings: PostgresSettings, queries: Collection[PostgresQuery]) -> list[Checkup]:
    """Return what was tried, on a connection of its own."""
    where, secrets, found = settings.where(), settings.secrets(), list[Checkup]()
    try:
        async with asyncio.timeout(settings.timeout):
            await _look(settings, queries, found)
    except TimeoutError:
        found.append(_failed(timed_out(where, settings.timeout)))
    except RefusedError as error:
        failed = failure_of(error, where, secrets)
        if is_full(error.refusal):
            mend = (
                "end idle sessions, raise max_connections or use a pooler; from PostgreSQL 16 on `GRANT "
                f"pg_use_reserved_connections TO {_quoted(settings.place()['user'])}` keeps a slot for this role"
            )
            found.append(Checkup(Grade.WRONG, "connection", failed.message, mend))
        else:
            found.append(_failed(failed))
    except (psycopg.Error, OSError) as error:
        found.append(_failed(failure_of(error, where, secrets)))
    return found


async def _look(settings: PostgresSettings, queries: Collection[PostgresQuery], found: list[Checkup]) -> None:
    """Connect, and add what is seen."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    connection = await connect(settings.session(settings.timeout))
    try:
        cursor = await connection.execute(statement(parts([], None)).encode())
        ((facts,),) = await cursor.fetchall()
        took = 1000 * (loop.time() - begin)
        version = connection.info.parameter_status("server_version") or "of an unknown version"
        kind = "standby" if facts["standby"] else "primary"
        # PostgreSQL's own text holds the distribution's in brackets.
        text = f"answers in {took:.0f} ms: PostgreSQL {version.split(' ')[0]}, a {kind}"
        found.append(Checkup(Grade.FINE, "connection", text))
        found.extend(_rights(facts, queries))
        found.append(_slots(facts))
        if any(query.measure == "query_time" for query in queries):
            found.append(await _statements(connection, facts, settings, queries))
        own = [query for query in queries if query.measure == "sql"]
        found.extend([await _own(connection, query, settings) for query in own])
    finally:
        connection.pgconn.finish()


def _rights(facts: Any, queries: Collection[PostgresQuery]) -> Iterator[Checkup]:  # noqa: ANN401 - JSON.
    """Yield what the role is and what it may see."""
    role = str(facts["role"])
    if facts["superuser"]:
        text = f"{role} is a superuser: whoever has this password may do everything"
        yield Checkup(Grade.WARNING, "role", text, f"CREATE ROLE evaluator LOGIN PASSWORD '…'; {_monitor('evaluator')}")
    elif 0 <= facts["limit"] <= _NEEDED:
        text = f"{role} may have {facts['limit']} connections; polls hold {_NEEDED}, and doctor needs another"
        yield Checkup(Grade.WARNING, "role", text, f"ALTER ROLE {_quoted(role)} CONNECTION LIMIT {_NEEDED + 1}")
    else:
        yield Checkup(Grade.FINE, "role", f"{role} is no superuser")
    if facts["monitor"]:
        yield Checkup(Grade.FINE, "permission pg_monitor", f"{role} sees what all roles do")
        return
    blind = sorted({query.measure for query in queries if query.measure in HIDDEN or "state" in query.split()})
    text = f"what other roles do is hidden from {role}" + (f", and rules need it: {', '.join(blind)}" if blind else "")
    yield Checkup(Grade.WRONG if blind else Grade.WARNING, "permission pg_monitor", text, grant(facts))


def _slots(facts: Any) -> Checkup:  # noqa: ANN401 - JSON.
    """Return how many connections there are, and whether one is left for us when all are in use."""
    whole = usable(facts)
    text = f"{whole} of max_connections = {facts['max']} are for ordinary roles"
    if facts["may_use_reserved"] or facts["superuser"]:
        return Checkup(Grade.FINE, "slots", f"{text}; reserved ones are left for {facts['role']}")
    if facts["version"] >= 160000:
        mend = f"GRANT pg_use_reserved_connections TO {_quoted(facts['role'])}"
        if not facts["reserved"]:
            mend += "; and set reserved_connections = 3 in postgresql.conf, and restart the server"
        return Checkup(
            Grade.WARNING,
            "slots",
            f"{text}; none is kept for {facts['role']}, which cannot connect when all are in use",
            mend,
        )
    return Checkup(Grade.FINE, "slots", f"{text}; the connection is held, so that it still answers when all are in use")


async def _statements(
    connection: Connection,
    facts: Any,  # noqa: ANN401 - JSON.
    settings: PostgresSettings,
    queries: Collection[PostgresQuery],
) -> Checkup:
    """Return whether pg_stat_statements can be read."""
    subject, extension = "extension pg_stat_statements", facts["statements"]
    mend = "shared_preload_libraries = 'pg_stat_statements', restart, CREATE EXTENSION pg_stat_statements"
    if extension is None:
        return Checkup(Grade.WRONG, subject, NO_STATEMENTS, mend)
    needed = parts(queries, (extension["schema"], extension["version"]))
    try:
        await connection.execute(statement({FACTS: needed[FACTS], "statements": needed["statements"]}).encode())
    except psycopg.Error as error:
        return Checkup(Grade.WRONG, subject, failure_of(error, settings.where(), settings.secrets()).message, mend)
    return Checkup(Grade.FINE, subject, f"version {extension['version']} in schema {extension['schema']}")


async def _own(connection: Connection, query: PostgresQuery, settings: PostgresSettings) -> Checkup:
    """Return whether an own query can be planned, and has the right columns."""
    subject = said(f"query {query.sql}", settings.secrets())
    try:
        result = await postgres_own.describe(connection, query, settings.statement_timeout)
    except psycopg.Error as error:
        if connection.closed:
            raise
        result = failure_of(error, settings.where(), settings.secrets())
    if isinstance(result, PollFailed):
        may = result.reason is FailureReason.AUTH
        mend = (
            f"GRANT SELECT on what it reads TO {_quoted(settings.place()['user'])}" if may else "mend `sql` of the rule"
        )
        return Checkup(Grade.WRONG, subject, result.message, mend)
    return Checkup(Grade.FINE, subject, "can be planned, and gives a value")


def _failed(failed: PollFailed) -> Checkup:
    """Return the checkup of a server that could not be asked."""
    return Checkup(Grade.WRONG, "connection", failed.message, _MENDS.get(failed.reason, "look into the server's log"))


def _monitor(role: str) -> str:
    """Return the statement that lets a role see everything."""
    return grant({"role": role})


def _quoted(role: str) -> str:
    """Return a role as it is written in a statement."""
    return grant({"role": role}).removeprefix("GRANT pg_monitor TO ")
