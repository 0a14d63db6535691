"""The past of one query: what polls would have answered, as long as CloudWatch keeps points of that period.

It knows ranges and retention. It never knows the present.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from evaluator.engine.samples import FailureReason, PollFailed, PollResult
from evaluator.sources.cloudwatch_answer import Answer, Points, samples_of
from evaluator.sources.cloudwatch_plan import Item, edge_of, lookback
from evaluator.sources.cloudwatch_query import CloudWatchQuery, CloudWatchSettings
from evaluator.sources.cloudwatch_reader import Plan, Reader, Talk

LONGEST = 60.0
"""Seconds that reading the past of one query may take in all; what is not read by then stays unknown."""
_MOST_PERIODS = 1440
"""Periods of a request: with these 70 metrics have their past read at once."""
_DAY = 86_400.0
_KEPT = ((3600.0, 455 * _DAY), (300.0, 63 * _DAY), (60.0, 15 * _DAY), (0.0, 3 * 3600.0))
"""For periods of at least so many seconds: how long their points are kept
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html)."""

Slots = tuple[float, float, float]
"""Start, end and step."""


def kept_for(period: float) -> float:
    """Return how many seconds CloudWatch keeps points of this period."""
    return next(kept for least, kept in _KEPT if period >= least)


async def past(
    reader: Reader, settings: CloudWatchSettings, spec: str, query: CloudWatchQuery, slots: Slots, latest: float
) -> list[tuple[float, PollResult]]:
    """Return what polls would have answered at each slot; `latest` is the newest instant that we know of."""
    start, end, step = slots
    count = int((end - start) / step + 1e-9) + 1 if end >= start else 0
    instants = [start + index * step for index in range(count)]
    if not instants:
        return []
    until = asyncio.get_running_loop().time() + LONGEST
    talk = Talk()
    plan = await reader.plan({spec: query}, talk, min(until, asyncio.get_running_loop().time() + settings.timeout))
    if spec in plan.failed:
        return [(at, plan.failed[spec]) for at in instants]
    period = query.period or 60.0
    edges = [edge_of(period, at, settings.delay) for at in instants]
    answers = await _pieces(reader, settings, plan, (edges[0] - lookback(period), edges[-1], period), until)
    oldest = latest - kept_for(period)
    lost = PollFailed(FailureReason.UNAVAILABLE, f"CloudWatch in {settings.region} keeps no points that old")
    return [
        (at, lost if edge - lookback(period) < oldest else _as_of(answers, edge, plan.warnings[spec]))
        for at, edge in zip(instants, edges, strict=True)
    ]


async def _pieces(
    reader: Reader, settings: CloudWatchSettings, plan: Plan, reach: Slots, until: float
) -> dict[Item, list[tuple[float, Answer]]]:
    """Return the answers of each item, with the end of the range of each, one range after the other."""
    first, last, period = reach
    cuts = [first]
    while cuts[-1] < last:
        cuts.append(min(cuts[-1] + _MOST_PERIODS * period, last))
    items = [item for some in plan.items.values() for item in some]
    answers: dict[Item, list[tuple[float, Answer]]] = {item: [] for item in items}
    for begin, finish in pairwise(cuts):
        deadline = min(until, asyncio.get_running_loop().time() + settings.timeout)
        some = await reader.read(items, {period: (begin, finish)}, Talk(), deadline)
        for item in items:
            answers[item].append((finish, some[item]))
    return answers


def _as_of(answers: dict[Item, list[tuple[float, Answer]]], edge: float, warnings: tuple[str, ...]) -> PollResult:
    """Return what a poll would have answered whose newest complete period ends at `edge`."""
    return samples_of([(item, _slice(item, pieces, edge)) for item, pieces in answers.items()], warnings)


def _slice(item: Item, pieces: Sequence[tuple[float, Answer]], edge: float) -> Answer:
    """Return the points of the periods that such a poll reads."""
    start = edge - lookback(item.period)
    points: dict[str, Points] = {}
    begin = float("-inf")
    for finish, answer in pieces:
        if finish > start and begin < edge:
            if answer.failed is not None:
                return answer
            for label, row in answer.points.items():
                low, high = (bisect_right(row, (bound, float("inf"))) for bound in (start, edge))
                if high > low:
                    points[label] = points.get(label, ()) + row[low:high]
        begin = finish
    return Answer(points)
