"""Two growing counts into the mean between two polls: seconds and calls, hits and reads.

This module knows counts, instants and series. It never knows what is counted, and reads no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from evaluator.engine.samples import Series
from evaluator.sources.rates import FORGET_AFTER, SHORTEST


@dataclass(frozen=True, slots=True)
class Pair:
    """A growing sum, and the growing count that it is divided by."""

    total: float
    count: float
    reset: float | None = None
    """When both began at zero, in whatever unit; another value than before is another beginning."""


class Means:
    """What both counts of each query were when it was asked last."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._asked: dict[str, float] = {}
        self._memory: dict[str, dict[Series, tuple[Pair, float, float | None]]] = {}

    def advance(self, query: str, pairs: Mapping[Series, Pair], at: float) -> dict[Series, float]:
        """Return the mean of each series since `query` was asked last, and remember these counts.

        There is none for a series that is new, whose counts began anew, or where nothing was counted: a mean of nothing
        is no zero. `at` is when the query is asked, on a clock that only goes forward.
        """
        if query not in self._memory:
            for old in [each for each, asked in self._asked.items() if at - asked > FORGET_AFTER]:
                del self._asked[old], self._memory[old]
        before = self._memory.get(query, {})
        kept = {series: _step(before.get(series), pair, at) for series, pair in pairs.items()}
        self._asked[query], self._memory[query] = at, kept
        return {series: mean for series, (_, _, mean) in kept.items() if mean is not None}


def _step(before: tuple[Pair, float, float | None] | None, now: Pair, at: float) -> tuple[Pair, float, float | None]:
    """Return the counts to remember, when they were read, and the mean as of now."""
    if before is None:
        return now, at, None
    last, since, _ = before
    if 0 <= at - since < SHORTEST:
        return before
    if at < since or now.reset != last.reset or now.count < last.count or now.total < last.total:
        return now, at, None
    calls = now.count - last.count
    return now, at, (now.total - last.total) / calls if calls else None
