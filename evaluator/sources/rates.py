"""Growing counts into rates: the memory of the last reading of each series.

This module knows counts, instants and series. It never knows what is counted, and reads no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from evaluator.engine.samples import Series

SHORTEST = 0.5
"""Seconds between two readings below which a rate would be noise: the previous rate is answered again."""
FORGET_AFTER = 86400.0
"""Seconds after which a query that nobody asks any more (an edited rule) is forgotten."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A growing count at an instant. Instants are seconds on any clock that only goes forward."""

    count: float
    at: float


@dataclass(slots=True)
class _Memory:
    """The last readings of one query, by series, with the rate that was worked out at each."""

    asked: float
    readings: dict[Series, tuple[Reading, float | None]]


class Rates:
    """What the counts of each query were when it was asked last."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._queries: dict[str, _Memory] = {}

    def advance(self, query: str, readings: Mapping[Series, Reading], at: float) -> dict[Series, float]:
        """Return the growth in a second of each series since `query` was asked last, and remember these readings.

        A series that is new has no rate yet. A count that is smaller than before began anew at zero. An instant before
        the last one (another clock) begins anew. `at` is when the query is asked, on the adapter's clock.
        """
        memory = self._queries.get(query)
        if memory is None:
            self._forget(at)
            memory = _Memory(at, {})
        kept: dict[Series, tuple[Reading, float | None]] = {}
        rates: dict[Series, float] = {}
        for series, reading in readings.items():
            kept[series] = _step(memory.readings.get(series), reading)
            rate = kept[series][1]
            if rate is not None:
                rates[series] = rate
        self._queries[query] = _Memory(at, kept)
        return rates

    def grown(self, query: str, counts: Mapping[Series, float], at: float, per: float) -> dict[Series, float]:
        """Return the growth of each count in `per` seconds, all counts being of the instant `at`; see `advance`."""
        rates = self.advance(query, {series: Reading(count, at) for series, count in counts.items()}, at)
        return {series: rate * per for series, rate in rates.items()}

    def _forget(self, at: float) -> None:
        """Drop the queries that have not been asked for long."""
        old = [query for query, memory in self._queries.items() if at - memory.asked > FORGET_AFTER]
        for query in old:
            del self._queries[query]


def _step(before: tuple[Reading, float | None] | None, now: Reading) -> tuple[Reading, float | None]:
    """Return the reading to remember, and the rate as of now."""
    if before is None or now.at < before[0].at:
        return now, None
    last = before[0]
    elapsed = now.at - last.at
    if elapsed < SHORTEST:
        return before
    growth = now.count - last.count if now.count >= last.count else now.count
    return now, growth / elapsed
