"""The past of one query: range queries that answer what instant queries would have answered.

This module knows how to cut a range so that a server answers it and memory holds it. It has one thread of its own, so
that reading the past never delays a poll.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evaluator.engine.samples import FailureReason, PollFailed, PollResult
from evaluator.sources.prometheus_answer import WEATHER, history_of
from evaluator.sources.prometheus_http import Call, Connection
from evaluator.sources.prometheus_query import PrometheusSettings
from evaluator.sources.threads import Threads

if TYPE_CHECKING:
    from concurrent.futures import Future

MOST_POINTS = 11_000
"""Prometheus refuses ranges with more points than this for each series
(https://github.com/prometheus/prometheus/blob/main/web/api/v1/api.go)."""
MOST_BYTES = 16_000_000
"""A range decodes into several times its size, so it is cut sooner than an instant answer."""
LONGEST = 60.0
"""Seconds that reading the past of one query may take in all; what is not read by then stays unknown."""

Failure = Callable[[Call, Exception], PollFailed]


class History:
    """Reads the past of queries, one request at a time."""

    def __init__(self, connection: Connection, settings: PrometheusSettings, failure: Failure) -> None:
        """Start nothing yet; `failure` says what an exception of a request means."""
        self._connection = connection
        self._timeout = settings.timeout
        self._most = min(settings.max_size, MOST_BYTES)
        self._failure = failure
        self._threads = Threads("evaluator-history", 1)

    def close(self) -> None:
        """Let the thread end."""
        self._threads.close()

    async def read(self, promql: str, start: float, end: float, step: float) -> list[tuple[float, PollResult]]:
        """Return the answer at `start`, `start + step`, ... up to `end`."""
        count = int((end - start) / step + 1e-9) + 1 if end >= start else 0
        instants = [start + index * step for index in range(count)]
        until = asyncio.get_running_loop().time() + LONGEST
        # Pieces still to be read, the next one last.
        pieces = [instants[index : index + MOST_POINTS] for index in range(0, count, MOST_POINTS)][::-1]
        answers: list[PollResult] = []
        while pieces:
            piece = pieces.pop()
            results = await self._piece(promql, piece, step, until)
            failed = results[0]
            if isinstance(failed, PollFailed):
                if _too_much(failed) and len(piece) > 1:
                    half = len(piece) // 2
                    pieces += [piece[half:], piece[:half]]
                    continue
                if not _too_much(failed):
                    # The weather, or the query, is the same for the rest.
                    results = [failed] * (count - len(answers))
                    pieces = []
            answers += results
        return list(zip(instants, answers, strict=True))

    async def _piece(self, promql: str, instants: Sequence[float], step: float, until: float) -> list[PollResult]:
        """Return the answers of one request."""
        now = asyncio.get_running_loop().time()
        call = Call(min(now + self._timeout, until), self._most)

        def ask() -> list[PollResult]:
            try:
                document = self._connection.range(call, promql, instants[0], instants[-1], step)
                return history_of(document, instants, step)
            except WEATHER as error:
                return [self._failure(call, error)] * len(instants)

        future: Future[list[PollResult]] = self._threads.submit(ask)
        waiting = asyncio.wrap_future(future)
        try:
            # The thread has the same deadline; a little later it is sure not to keep it.
            return await asyncio.wait_for(asyncio.shield(waiting), max(0.0, call.deadline - now) + 0.1)
        except TimeoutError as error:
            return [self._failure(call, error)] * len(instants)
        finally:
            if not future.done():
                waiting.cancel()
                call.break_off()


def _too_much(failed: PollFailed) -> bool:
    """Return whether a shorter range may be answered where this one was not."""
    return failed.reason is FailureReason.TOO_BIG or "too many samples" in failed.message
