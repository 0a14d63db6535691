"""The source `pgbouncer`: the console of one PgBouncer, through psycopg.

It knows the console's quirks: only the simple protocol, one command at a time, no transactions, no settings. What the
measures are, is in `pgbouncer_measures`. It never judges a value, and never retries but on a connection that was cut
while it was idle.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

import psycopg
from psycopg.rows import dict_row
from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.means import Means
from evaluator.sources.pgbouncer_measures import Answers, answer, commands, most_clients
from evaluator.sources.pgbouncer_query import PgBouncerQuery, PgBouncerSettings
from evaluator.sources.pgwire import Connection, RefusedError
from evaluator.sources.pgwire_faults import FULL, NOT_NOW, failure_of
from evaluator.sources.pgwire_held import Held
from evaluator.sources.source import NoHistory
from evaluator.sources.weather import nobody_there, said, timed_out

_parsed = lru_cache(maxsize=4096)(PgBouncerQuery.model_validate_json)
_ALL = ("SHOW VERSION", "SHOW POOLS", "SHOW DATABASES", "SHOW LISTS", "SHOW STATS", "SHOW CONFIG")
_MENDS = {
    FailureReason.REFUSED: "start PgBouncer, or mend `url` of this source",
    FailureReason.TIMEOUT: "look whether PgBouncer hangs and whether a firewall is between, or raise `timeout`",
    FailureReason.AUTH: "mend `user` and `password`; pgbouncer.ini: stats_users = evaluator, and its line in auth_file",
    FailureReason.TLS: "mend `sslmode`, `ca`, `cert` and `key` of this source, or client_tls_* in pgbouncer.ini",
    FailureReason.BAD_ANSWER: "mend `url`: it must be PgBouncer's own port, and its database pgbouncer",
    FailureReason.UNAVAILABLE: "raise max_client_conn in pgbouncer.ini and reload, or end idle clients; where this "
    "machine gets no answer or not out, look at its resolver (/etc/resolv.conf) and its routes",
}


class PgBouncerSource(NoHistory):
    """One PgBouncer."""

    Settings: ClassVar[type[BaseModel]] = PgBouncerSettings
    Query: ClassVar[type[BaseModel]] = PgBouncerQuery

    def __init__(self, name: str, settings: PgBouncerSettings) -> None:  # noqa: ARG002 - as every source is made.
        """Take the settings; nothing is connected before the first poll."""
        self._settings = settings
        self._where = settings.where()
        self._secrets = settings.secrets()
        self._console = Held(settings.parameters())
        self._means = Means()
        self._requests = 0

    async def open(self) -> None:
        """Allow to connect; polls do it when they ask."""
        self._console.open()

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:  # noqa: ARG002 - as of now.
        """Ask each SHOW command that the queries need once, and answer each query, in their order."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        if not asked:
            return []
        wanted = dict.fromkeys(command for query in asked.values() for command in commands(query))
        try:
            async with asyncio.timeout(self._settings.timeout):
                shown = await self._console.use(lambda each: self._show(each, wanted))
        except TimeoutError:
            found = {spec: self._unanswered(query, None) for spec, query in asked.items()}
        except (psycopg.Error, RefusedError, OSError) as error:
            found = {spec: self._unanswered(query, error) for spec, query in asked.items()}
        else:
            at = asyncio.get_running_loop().time()
            found = {spec: self._here(answer(query, spec, shown, self._means, at)) for spec, query in asked.items()}
        return [found[query.spec] for query in queries]

    async def close(self) -> None:
        """Close the connection."""
        await self._console.close()

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:  # noqa: ARG002 - as of now.
        """Try the connection to the console, and every command that measures need."""
        probe = Held(self._settings.parameters())
        probe.open()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            async with asyncio.timeout(self._settings.timeout):
                shown = await probe.use(lambda each: self._show(each, _ALL))
        except TimeoutError:
            failed = timed_out(self._where, self._settings.timeout)
        except (psycopg.Error, RefusedError, OSError) as error:
            failed = self._failure(error)
        else:
            took = 1000 * (loop.time() - begin)
            version = said(str(next(iter(shown["SHOW VERSION"][0].values()), "")), self._secrets)
            return [
                Checkup(Grade.FINE, "connection", f"the console answers in {took:.0f} ms: {version}"),
                Checkup(Grade.FINE, "clients", f"max_client_conn is {most_clients(shown['SHOW CONFIG']):g}"),
            ]
        finally:
            await probe.close()
        return [Checkup(Grade.WRONG, "connection", failed.message, _MENDS.get(failed.reason, "look into its log"))]

    def usage(self) -> Mapping[str, float]:
        """Return commands sent (`requests`), and connections made or tried (`connections`)."""
        return {"requests": float(self._requests), "connections": float(self._console.made)}

    async def _show(self, connection: Connection, wanted: Collection[str]) -> Answers:
        """Return the rows of each command: the console takes one at a time."""
        shown = {}
        for command in wanted:
            self._requests += 1
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(command.encode())
                shown[command] = await cursor.fetchall()
        return shown

    def _failure(self, error: Exception) -> PollFailed:
        """Return what an error means."""
        if isinstance(error, psycopg.Error) and error.sqlstate == "42704":
            message = f"{self._where}: this is PostgreSQL itself, and not the console of a PgBouncer"
            return PollFailed(FailureReason.BAD_ANSWER, message)
        return failure_of(error, self._where, self._secrets)

    def _here(self, result: PollResult) -> PollResult:
        """Return an answer whose message says which server it is."""
        if isinstance(result, PollFailed):
            return PollFailed(result.reason, f"{self._where}: {said(result.message, self._secrets)}")
        return result

    def _unanswered(self, query: PgBouncerQuery, error: Exception | None) -> PollResult:
        """Return the answer to a query when nothing could be asked; no error: it did not answer in time."""
        failed = timed_out(self._where, self._settings.timeout) if error is None else self._failure(error)
        refusal = error.refusal if isinstance(error, RefusedError) else None
        sqlstate = None if refusal is None else refusal.sqlstate
        if query.measure == "up":
            if sqlstate == NOT_NOW or nobody_there(failed):
                return Samples([{}], [0.0], warnings=(failed.message,))
            if sqlstate == FULL:
                return Samples([{}], [1.0], warnings=(failed.message,))
        if query.measure == "clients_percent" and sqlstate == FULL:
            return Samples([{}], [100.0], warnings=(failed.message,))
        return failed
