"""The source `prometheus`: any server that answers PromQL over Prometheus' HTTP API.

It knows how to ask everything that is due at once, in a few threads, within one timeout. How a request is made, is in
`prometheus_http`; what an answer means, in `prometheus_answer`. It never judges a value, and never retries: the next
poll is the retry.
"""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources import prometheus_report
from evaluator.sources.checkup import Checkup
from evaluator.sources.prometheus_answer import WEATHER, failure_of, samples_of
from evaluator.sources.prometheus_history import History
from evaluator.sources.prometheus_http import Call, Connection
from evaluator.sources.prometheus_query import PrometheusQuery, PrometheusSettings
from evaluator.sources.threads import Threads
from evaluator.sources.weather import place, timed_out, up_after

if TYPE_CHECKING:
    from concurrent.futures import Future

_parsed = lru_cache(maxsize=4096)(PrometheusQuery.model_validate_json)
_REMEMBERED = 10_000
"""Expressions whose last turn is known: rules come and go."""
_BUILD_SIZE = 1 << 16
"""Bytes of what a server says of itself."""
_UP = "vector(1)"
"""What every PromQL server can answer without any data."""


class PrometheusSource:
    """One Prometheus-compatible server (Prometheus, Thanos, Mimir, Cortex, VictoriaMetrics, Grafana Cloud)."""

    Settings: ClassVar[type[BaseModel]] = PrometheusSettings
    Query: ClassVar[type[BaseModel]] = PrometheusQuery

    def __init__(self, name: str, settings: PrometheusSettings) -> None:
        """Take the settings; nothing is connected before the first poll."""
        self._settings = settings
        self._where = place(settings.url)
        self._secrets = _secrets(settings)
        self._threads = Threads(f"evaluator-{name}", settings.max_concurrency)
        self._connection: Connection | None = None
        self._past: History | None = None
        self._turn = 0
        self._turns: dict[str, int] = {}

    async def open(self) -> None:
        """Make the session, which connects when it is asked."""
        self._connection = Connection(self._settings)
        self._past = History(self._connection, self._settings, self._failure)

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:
        """Ask each different query once, all at once, as of the slot, and answer them in their order."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        answers = await self._ask_all(self._in_turn({query.promql or _UP: None for query in asked.values()}), now)
        return [_answer(asked[query.spec], answers) for query in queries]

    async def history(
        self, query: rules.Query, start: float, end: float, step: float
    ) -> list[tuple[float, PollResult]] | None:
        """Return what `poll` would have answered, by range queries; `None` for `up`, which only the present knows."""
        promql = _parsed(query.spec).promql
        if promql is None or self._past is None:
            return None
        return await self._past.read(promql, start, end, step)

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:
        """Try the connection and the credentials, and ask each query once: whether it answers, how much, how fast."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.timeout
        expressions = {_parsed(query.spec).promql or _UP: None for query in queries}
        call = Call(deadline, _BUILD_SIZE)
        building = asyncio.wrap_future(self._threads.submit(self._building(call)))
        took: dict[str, float] = {}
        try:
            answers = await self._ask_all(self._in_turn({_UP: None, **expressions}), now, took)
            build = await asyncio.wait_for(building, max(0.0, deadline - loop.time()))
        except TimeoutError:
            build = timed_out(self._where, self._settings.timeout)
        finally:
            if not building.done() or building.cancelled():
                building.cancel()
                call.break_off()
        lines = [prometheus_report.connection(answers[_UP], build, took.get(_UP, 0.0))]
        if isinstance(answers[_UP], PollFailed):
            return lines
        for each in expressions:
            if each != _UP:
                lines += prometheus_report.expression(each, answers[each], took.get(each, 0.0), self._settings)
        return lines

    def usage(self) -> Mapping[str, float]:
        """Return the requests that were sent, and the bytes that were answered."""
        return {"requests": 0.0, "bytes": 0.0} if self._connection is None else dict(self._connection.usage)

    async def close(self) -> None:
        """Close the connections and let the threads end."""
        self._threads.close()
        if self._past is not None:
            self._past.close()
        if self._connection is not None:
            self._connection.close()

    def _in_turn(self, expressions: Iterable[str]) -> list[str]:
        """Return the expressions with those first that have waited longest for their turn.

        Where the timeout is too short for all, it is thus not always the same ones that are not asked.
        """
        # Whether it is up must not wait behind slow queries.
        return sorted(expressions, key=lambda each: (each != _UP, self._turns.get(each, 0)))

    def _had_turn(self, results: dict[str, PollResult]) -> None:
        """Remember which expressions were answered, or were asked at once and thus had all the time there was."""
        self._turn += 1
        if len(self._turns) > _REMEMBERED:
            self._turns.clear()
        for position, (each, result) in enumerate(results.items()):
            late = isinstance(result, PollFailed) and result.reason is FailureReason.TIMEOUT
            if not late or position < self._settings.max_concurrency:
                self._turns[each] = self._turn

    async def _ask_all(
        self, expressions: Sequence[str], now: float, took: dict[str, float] | None = None
    ) -> dict[str, PollResult]:
        """Return the answer to each expression, within the timeout; `took` is filled with the seconds of each."""
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        calls = {each: Call(deadline, self._settings.max_size) for each in expressions}
        futures = {each: self._threads.submit(self._asking(calls[each], each, now, took)) for each in expressions}
        waiting = {each: asyncio.wrap_future(future) for each, future in futures.items()}
        try:
            if waiting:
                await asyncio.wait(waiting.values(), timeout=self._settings.timeout)
            results = {each: self._result(futures[each]) for each in expressions}
            self._had_turn(results)
            return results
        finally:
            for each, future in waiting.items():
                if not future.done():
                    future.cancel()
                    calls[each].break_off()

    def _building(self, call: Call) -> Callable[[], Mapping[str, str] | PollFailed]:
        """Return the work of a thread that asks the server who it is."""

        def ask() -> Mapping[str, str] | PollFailed:
            if self._connection is None:
                return self._not_asked()
            try:
                return self._connection.build(call)
            except WEATHER as error:
                return self._failure(call, error)

        return ask

    def _asking(self, call: Call, promql: str, now: float, took: dict[str, float] | None) -> Callable[[], PollResult]:
        """Return the work of a thread for one expression."""

        def ask() -> PollResult:
            if self._connection is None:
                return PollFailed(FailureReason.REFUSED, f"{self._where}: the source is closed")
            if call.late:
                return self._not_asked()
            begin = monotonic()
            try:
                result = samples_of(self._connection.instant(call, promql, now))
            except WEATHER as error:
                return self._failure(call, error)
            finally:
                if took is not None:
                    took[promql] = monotonic() - begin
            if isinstance(result, PollFailed):
                return PollFailed(result.reason, f"{self._where}: {result.message}")
            return result

        return ask

    def _result(self, future: "Future[PollResult]") -> PollResult:
        """Return what came of a request, or that nothing did."""
        if future.done() and not future.cancelled():
            return future.result()
        seconds = self._settings.timeout
        if future.running():
            return PollFailed(FailureReason.TIMEOUT, f"{self._where}: no answer within {seconds:g} s")
        return self._not_asked()

    def _not_asked(self) -> PollFailed:
        """Return the failure of a query that never had its turn."""
        seconds = self._settings.timeout
        return PollFailed(
            FailureReason.TIMEOUT,
            f"{self._where}: not asked within {seconds:g} s, since the queries before it took too long",
        )

    def _failure(self, call: Call, error: Exception) -> PollFailed:
        """Return why a request brought no answer."""
        return failure_of(call, error, self._where, self._settings.timeout, self._secrets)


def _answer(query: PrometheusQuery, answers: dict[str, PollResult]) -> PollResult:
    """Return the answer to a query, `up` included: 1 for an answer, 0 where the server is down indeed."""
    result = answers[query.promql or _UP]
    if query.measure is None:
        return result
    if isinstance(result, Samples):
        return Samples([{}], [1.0], warnings=result.warnings)
    return up_after(result)


def _secrets(settings: PrometheusSettings) -> list[str]:
    """Return the texts that no message may repeat."""
    given = [settings.token, settings.password, settings.proxy, *settings.headers.values()]
    secrets = [each.get_secret_value() for each in given if each is not None]
    if settings.username is not None and settings.password is not None:
        pair = f"{settings.username}:{settings.password.get_secret_value()}"
        secrets.append(base64.b64encode(pair.encode()).decode())
    return secrets
