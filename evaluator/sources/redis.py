"""The source `redis`: one server, through redis-py.

It knows how to ask everything in one pipeline and what each way of not answering means. What the measures are, is in
`redis_measures`; the words of queries are in `redis_query`. It never judges a value, and never retries: the next poll
is the retry.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, series_of
from evaluator.sources.checkup import Checkup
from evaluator.sources.rates import Rates
from evaluator.sources.redis_measures import Command, Replies, Rows, UnansweredError, commands, more_commands, rows
from evaluator.sources.redis_query import RedisQuery, RedisSettings
from evaluator.sources.redis_report import GENERAL, more_of, report, unreachable
from evaluator.sources.resp_faults import resp_fault
from evaluator.sources.source import NoHistory
from evaluator.sources.weather import place, reason_of, said, timed_out, up_after

_parsed = lru_cache(maxsize=4096)(RedisQuery.model_validate_json)
_GOODBYE = 0.2
"""Seconds for closing a connection that did not work; TLS would wait for an answer from a peer that is silent."""


class RedisSource(NoHistory):
    """One Redis server (or one that speaks its protocol: Valkey, KeyDB, Dragonfly)."""

    Settings: ClassVar[type[BaseModel]] = RedisSettings
    Query: ClassVar[type[BaseModel]] = RedisQuery

    def __init__(self, name: str, settings: RedisSettings) -> None:  # noqa: ARG002 - as every source is made.
        """Take the settings; nothing is connected before the first poll."""
        url = settings.url.get_secret_value()
        parts = urlsplit(url)
        password = None if settings.password is None else settings.password.get_secret_value()
        self._settings = settings
        self._where = place(url)
        self._secrets = [each for each in (password, parts.password, unquote(parts.password or "")) if each]
        self._rates = Rates()
        self._client: Redis | None = None
        self._turn = asyncio.Lock()
        self._used = False
        self._usage = {"requests": 0.0, "commands": 0.0}

    async def open(self) -> None:
        """Make the client, which connects when it is asked."""
        settings = self._settings
        options: dict[str, Any] = {
            "username": settings.username,
            "password": None if settings.password is None else settings.password.get_secret_value(),
            "socket_timeout": settings.timeout,
            "socket_connect_timeout": settings.timeout,
            # redis-py retries ten times by itself: a server that is down would be known after 4 s to 26 s.
            "retry": Retry(NoBackoff(), 0),
            # What every server speaks, without a round trip to negotiate, and without a right to name ourselves.
            "protocol": 2,
            "driver_info": None,
        }
        if settings.url.get_secret_value().startswith("rediss://"):
            files = {"ssl_ca_certs": settings.ca, "ssl_certfile": settings.cert, "ssl_keyfile": settings.key}
            options |= {option: str(path) for option, path in files.items() if path is not None}
        self._client = Redis.from_url(settings.url.get_secret_value(), **options)

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:  # noqa: ARG002 - as of now.
        """Send all commands of all queries in one pipeline, and answer each query, in their order."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        replies = await self._ask(asked.values())
        if isinstance(replies, PollFailed):
            return [_down(asked[query.spec], replies) for query in queries]
        at = asyncio.get_running_loop().time()
        answers = {spec: self._answer(query, spec, replies, at) for spec, query in asked.items()}
        return [answers[query.spec] for query in queries]

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:  # noqa: ARG002 - as of now.
        """Try the connection, the user, and every command that the queries need, once each."""
        asked = list({query.spec: _parsed(query.spec) for query in queries}.values())
        begin = asyncio.get_running_loop().time()
        more = [*GENERAL, *(command for query in asked for command in more_of(query))]
        replies = await self._ask(asked, more)
        if isinstance(replies, PollFailed):
            return unreachable(replies)
        return report(asked, self._settings, replies, 1000 * (asyncio.get_running_loop().time() - begin))

    def usage(self) -> Mapping[str, float]:
        """Return the round trips (`requests`) and the commands that were sent."""
        return dict(self._usage)

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, queries: Collection[RedisQuery], more: Sequence[Command] = ()) -> Replies | PollFailed:
        """Return the replies to all commands of the queries, and to `more`, or why there are none."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._replies(queries, more)
        except TimeoutError:
            return timed_out(self._where, self._settings.timeout)
        except (exceptions.RedisError, OSError) as error:
            return self._failure(error)

    async def _replies(self, queries: Collection[RedisQuery], more: Sequence[Command]) -> Replies:
        """Return the replies to all commands, each sent once, in one round trip (two where a lag must be counted)."""
        wanted = [*(command for query in queries for command in commands(query, self._settings)), *more]
        replies = await self._round_trip(wanted)
        if counted := [command for query in queries for command in more_commands(query, replies)]:
            replies = {**replies, **await self._round_trip(counted)}
        return replies

    async def _round_trip(self, wanted: Sequence[Command]) -> dict[Command, Any]:
        """Send the commands in one pipeline that is no transaction, so that one bad key spoils only its own query."""
        if self._client is None:
            raise exceptions.ConnectionError("the source is closed")
        each = list(dict.fromkeys(wanted))
        # One connection: polls of different intervals wait for each other.
        async with self._turn:
            used, self._used = self._used, False
            try:
                replies = await self._execute(self._client, each)
            except (exceptions.AuthenticationError, exceptions.BusyLoadingError):
                raise
            except exceptions.ConnectionError:
                # A connection that was idle may have been cut long ago, which says nothing of the server now.
                if not used:
                    raise
                replies = await self._execute(self._client, each)
            self._used = True
        return dict(zip(each, replies, strict=True))

    async def _execute(self, client: Redis, each: Sequence[Command]) -> list[Any]:
        """Send the commands and read all replies; whatever goes wrong, the connection is not used again."""
        self._usage["requests"] += 1
        self._usage["commands"] += len(each)
        pipeline = client.pipeline(transaction=False)
        try:
            for command in each:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)
        except BaseException:
            # Replies that are still under way must never be taken for those of the next poll.
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await client.connection_pool.disconnect()
            raise

    def _answer(self, query: RedisQuery, spec: str, replies: Replies, at: float) -> PollResult:
        """Return the samples of one query."""
        try:
            found = rows(query, self._settings, replies)
        except UnansweredError as error:
            return PollFailed(error.failed.reason, f"{self._where}: {said(error.failed.message, self._secrets)}")
        if query.per is not None:
            found = self._grown(spec, found, at, query.per)
        return Samples(found.labels, found.values, warnings=tuple(found.warnings))

    def _grown(self, spec: str, found: Rows, at: float, per: float) -> Rows:
        """Return the growth of each count in the time that the rule says."""
        counts = dict(zip(map(series_of, found.labels), found.values, strict=True))
        grown = self._rates.grown(spec, counts, at, per)
        return Rows([dict(series) for series in grown], list(grown.values()), found.warnings)

    def _failure(self, error: Exception) -> PollFailed:
        """Return what an error that spoiled the whole pipeline means."""
        text = said(str(error), self._secrets)
        known = resp_fault(error, text, self._settings.timeout) or reason_of(error)
        reason, what = known or (FailureReason.RESET, "the connection broke off")
        return PollFailed(reason, f"{self._where}: {what}")


def _down(query: RedisQuery, failed: PollFailed) -> PollResult:
    """Return the answer to a query of a server that did not answer: for `up` that is 0, where it is down indeed."""
    return up_after(failed) if query.measure == "up" else failed
