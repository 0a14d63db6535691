"""The source `postgres`: one PostgreSQL server, through psycopg.

It knows how to ask all built-in measures in one statement on a connection that it holds, and own queries on a second
one. What the measures are, is in `postgres_measures`; own queries are in `postgres_own`. It never judges a value, and
never retries but on a connection that was cut while it was idle.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import psycopg
from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources import postgres_own
from evaluator.sources.checkup import Checkup
from evaluator.sources.pgwire import Connection, RefusedError, is_cut
from evaluator.sources.pgwire_faults import FULL, NOT_NOW, failure_of, is_full, words
from evaluator.sources.pgwire_held import Held
from evaluator.sources.postgres_examine import examine
from evaluator.sources.postgres_measures import Asked, Memory, answer
from evaluator.sources.postgres_query import PostgresQuery, PostgresSettings
from evaluator.sources.postgres_statement import FACTS, parts, statement, texts_of
from evaluator.sources.source import NoHistory
from evaluator.sources.weather import nobody_there, said, timed_out

_parsed = lru_cache(maxsize=4096)(PostgresQuery.model_validate_json)
_SHARE = 0.5
"""Of `timeout`: how long the one statement of all measures may run, so that time is left to ask whether the server
answers at all, where one of them is slow (a walk through the files of a large database, a lock on a catalogue)."""
_SLOW = frozenset({"sizes", "statements"})
"""Parts that read files: where the statement took too long, it was one of these, if any was in it."""
_LATE = "57014"
"""query_canceled: by `statement_timeout`."""

Queries = Mapping[str, PostgresQuery]
"""Different queries, by their canonical text."""


class PostgresSource(NoHistory):
    """One PostgreSQL server."""

    Settings: ClassVar[type[BaseModel]] = PostgresSettings
    Query: ClassVar[type[BaseModel]] = PostgresQuery

    def __init__(self, name: str, settings: PostgresSettings) -> None:  # noqa: ARG002 - as every source is made.
        """Take the settings; nothing is connected before the first poll."""
        self._settings = settings
        self._where = settings.where()
        self._secrets = settings.secrets()
        self._longest = settings.timeout * _SHARE
        # Nobody may put a function of the same name before the catalogue's.
        self._measures = Held(settings.session(self._longest, search_path="pg_catalog"))
        # Own queries may be slow, and must not keep the measures waiting.
        self._own = Held(settings.session(settings.timeout))
        self._memory = Memory()
        self._extension: tuple[str, str] | None = None
        self._first = ""
        self._heard = float("-inf")
        self._requests = 0

    async def open(self) -> None:
        """Allow to connect; polls do it when they ask."""
        self._measures.open()
        self._own.open()

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:  # noqa: ARG002 - as of now.
        """Ask all measures in one statement, beside it the own queries one after the other; answer each, in order."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        measures = {spec: query for spec, query in asked.items() if query.measure != "sql"}
        own = {spec: query for spec, query in asked.items() if query.measure == "sql"}
        found = await asyncio.gather(self._poll_measures(measures), self._poll_own(own))
        answers = {**found[0], **found[1]}
        return [answers[query.spec] for query in queries]

    async def close(self) -> None:
        """Close both connections."""
        await self._measures.close()
        await self._own.close()

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:  # noqa: ARG002 - as of now.
        """Try the connection, the role and its rights, the slots, the extension; plan each own query, and run none."""
        return await examine(self._settings, [_parsed(query.spec) for query in queries])

    def usage(self) -> Mapping[str, float]:
        """Return round trips with statements (`requests`), and connections made or tried (`connections`)."""
        return {"requests": float(self._requests), "connections": float(self._measures.made + self._own.made)}

    async def _poll_measures(self, asked: Queries) -> dict[str, PollResult]:
        """Answer the built-in measures."""
        if not asked:
            return {}
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            async with asyncio.timeout(self._settings.timeout):
                documents = await self._measures.use(lambda each: self._ask(each, asked))
        except TimeoutError:
            # Perhaps to the poll of another interval, whose slow statement has kept us waiting.
            heard = self._heard >= begin
            return {spec: self._unanswered(query, None, heard=heard) for spec, query in asked.items()}
        except (psycopg.Error, RefusedError, OSError) as error:
            return {spec: self._unanswered(query, error) for spec, query in asked.items()}
        at, texts = loop.time(), texts_of(asked.values())
        return {
            spec: self._here(answer(Asked(query, spec, documents, self._memory, at, texts)))
            for spec, query in asked.items()
        }

    async def _ask(self, connection: Connection, asked: Queries) -> dict[str, Any]:
        """Return the documents of all parts that the queries need: one round trip."""
        documents = await self._documents(connection, parts(asked.values(), self._extension))
        found = documents[FACTS]["statements"]
        extension = None if found is None else (str(found["schema"]), str(found["version"]))
        if extension != self._extension:
            # Made, moved or dropped since; at the first poll: not known before.
            self._extension = extension
            if extension is not None and (more := parts(asked.values(), extension)).get("statements"):
                documents |= await self._documents(connection, {"statements": more["statements"]}, alone=True)
        return documents

    async def _documents(
        self, connection: Connection, needed: dict[str, str], *, alone: bool = False
    ) -> dict[str, Any]:
        """Return a document for each part, or its failure where it is the only one that fails."""
        self._requests += 1
        try:
            cursor = await connection.execute(statement(needed).encode())
            row = await cursor.fetchone()
        except psycopg.Error as error:
            if is_cut(error) or connection.closed or set(needed) == {FACTS}:
                raise
            if alone:
                return dict.fromkeys(needed, self._too_slow(error) or failure_of(error, self._where, self._secrets))
            late = self._too_slow(error)
        else:
            self._heard = asyncio.get_running_loop().time()
            return dict(zip(needed, row or (), strict=True))
        return await self._one_by_one(connection, needed, late)

    async def _one_by_one(
        self, connection: Connection, needed: dict[str, str], late: PollFailed | None
    ) -> dict[str, Any]:
        """Return a document for each part, each asked by itself, but for those that take too long (`late`)."""
        slow = frozenset[str]() if late is None else _SLOW & needed.keys() or needed.keys() - {FACTS}
        documents: dict[str, Any] = dict.fromkeys(slow, late)
        for name, part in needed.items():
            if name not in documents:
                documents |= await self._documents(connection, {name: part}, alone=True)
        return documents

    def _too_slow(self, error: psycopg.Error) -> PollFailed | None:
        """Return the failure of a measure whose statement took too long; `None`: it failed otherwise."""
        if error.sqlstate != _LATE:
            return None
        text = f"what this measure reads took longer than {self._longest:g} s, half of `timeout`: {words(error)}"
        return PollFailed(FailureReason.TIMEOUT, f"{self._where}: {said(text, self._secrets)}")

    async def _poll_own(self, asked: Queries) -> dict[str, PollResult]:
        """Answer the own queries. None is kept waiting for ever by slow ones before it: the turn goes round."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.timeout
        order = list(asked)
        start = order.index(self._first) if self._first in asked else 0
        answers: dict[str, PollResult] = {}
        down: PollFailed | None = None
        for spec in (*order[start:], *order[:start]):
            left = end - loop.time()
            if down is None and left > 0:
                try:
                    answers[spec] = await self._own_answer(asked[spec], left)
                except (RefusedError, OSError) as error:
                    # The next one would fare no better.
                    down = failure_of(error, self._where, self._secrets)
                self._first = order[(order.index(spec) + 1) % len(order)]
            late = f"{self._where}: the own queries before this one took {self._settings.timeout:g} s together"
            answers.setdefault(spec, down or PollFailed(FailureReason.TIMEOUT, late))
        return answers

    async def _own_answer(self, query: PostgresQuery, left: float) -> PollResult:
        """Answer one own query within the time that is left; raise what keeps us from connecting."""
        longest = min(query.statement_timeout or self._settings.statement_timeout, left)
        self._requests += postgres_own.ROUND_TRIPS
        try:
            async with asyncio.timeout(left):
                result = await self._own.use(lambda each: postgres_own.run(each, query, longest))
        except TimeoutError:
            return timed_out(self._where, self._settings.timeout)
        except psycopg.errors.QueryCanceled as error:
            message = f"{self._where}: {words(error)}, which is {longest:g} s here"
            return PollFailed(FailureReason.TIMEOUT, said(message, self._secrets))
        except psycopg.Error as error:
            return failure_of(error, self._where, self._secrets)
        return self._here(result)

    def _here(self, result: PollResult) -> PollResult:
        """Return an answer whose message says which server it is."""
        if isinstance(result, PollFailed) and not result.message.startswith(self._where):
            return PollFailed(result.reason, f"{self._where}: {said(result.message, self._secrets)}")
        return result

    def _unanswered(self, query: PostgresQuery, error: Exception | None, *, heard: bool = False) -> PollResult:
        """Return the answer to a measure when nothing could be asked; no error: it did not answer in time.

        `heard`: it has answered something meanwhile, so that it is not down.
        """
        refusal = error.refusal if isinstance(error, RefusedError) else None
        if error is None:
            failed = timed_out(self._where, self._settings.timeout)
        else:
            failed = failure_of(error, self._where, self._secrets)
        nobody = refusal is not None and refusal.sqlstate == NOT_NOW
        if query.measure == "up":
            if heard:
                return Samples([{}], [1.0], warnings=(failed.message,))
            if nobody or nobody_there(failed):
                return Samples([{}], [0.0], warnings=(failed.message,))
            if refusal is not None and refusal.sqlstate == FULL:
                return Samples([{}], [1.0], warnings=(failed.message,))
        if query.measure == "connections_percent" and not query.split() and is_full(refusal):
            return Samples([{}], [100.0], warnings=(failed.message,))
        return failed
