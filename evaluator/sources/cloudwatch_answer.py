"""Reading GetMetricData: pages that belong together, points that are complete, and results that are none.

This module knows requests and answers as values, and one call of the client. It never knows deadlines or rules.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, Series
from evaluator.sources.cloudwatch_errors import DistrustedError
from evaluator.sources.cloudwatch_plan import MOST_POINTS, Batch, Item
from evaluator.sources.weather import said

_MOST_PAGES = 200

Points = tuple[tuple[float, float], ...]
"""(end of the period, value), oldest first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came for one item: by AWS' label where it has many results, else under an empty one."""

    points: Mapping[str, Points] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    failed: PollFailed | None = None


@dataclass(slots=True)
class _Result:
    """The parts of one result, from all pages."""

    points: dict[float, float] = field(default_factory=dict)
    status: str = "Complete"
    messages: dict[str, None] = field(default_factory=dict)


def ask(client: Any, batch: Batch, start: float, end: float) -> dict[Item, Answer]:  # noqa: ANN401  # A client of boto3.
    """Return what one request brings, all its pages: the points whose period lies within `start` and `end`."""
    request = {
        "MetricDataQueries": batch.queries,
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
        "MaxDatapoints": MOST_POINTS,
    }
    results: dict[tuple[str, str], _Result] = {}
    general: dict[str, None] = {}
    token = None
    for _ in range(_MOST_PAGES):
        page = client.get_metric_data(**request, **({} if token is None else {"NextToken": token}))
        _read(page, batch, results, general)
        token = page.get("NextToken")
        if not token:
            return {item: _answer(item, name, results, tuple(general), start, end) for name, item in batch.ids.items()}
    raise DistrustedError(f"its answer has more than {_MOST_PAGES} pages")


def listed(
    client: Any,  # noqa: ANN401  # As above.
    request: Mapping[str, Any],
    matches: Callable[[Mapping[str, str]], bool],
    most: int,
    most_read: int,
) -> list[dict[str, str]] | None:
    """Return the dimensions of all metrics that ListMetrics finds and that match.

    `None`, as soon as it is known: more than `most` of them match, or there are more than `most_read` to be read.
    """
    found: list[dict[str, str]] = []
    read = 0
    token = None
    while len(found) <= most and read <= most_read:
        page = client.list_metrics(**request, **({} if token is None else {"NextToken": token}))
        if not isinstance(page.get("Metrics"), list):
            raise DistrustedError("its answer has no list of metrics")
        rows = [{each["Name"]: each["Value"] for each in metric.get("Dimensions", ())} for metric in page["Metrics"]]
        read += len(rows)
        found += [row for row in rows if matches(row)]
        token = page.get("NextToken")
        if not token and len(found) <= most:
            return found
    return None


def _read(
    page: Mapping[str, Any], batch: Batch, results: dict[tuple[str, str], _Result], general: dict[str, None]
) -> None:
    """Add a page to what came before."""
    rows = page.get("MetricDataResults")
    if not isinstance(rows, list):
        raise DistrustedError("its answer has no results")
    general.update(dict.fromkeys(_messages(page)))
    for row in rows:
        item = batch.ids.get(row.get("Id"))
        if item is None:
            continue
        result = results.setdefault((row["Id"], str(row.get("Label", "")) if item.many else ""), _Result())
        times, values = row.get("Timestamps", ()), row.get("Values", ())
        if len(times) != len(values):
            raise DistrustedError("a result has not as many values as timestamps")
        result.points.update(zip(map(_seconds, times), values, strict=True))
        # What is partial on one page is complete on the last; an error stays one.
        if result.status in ("Complete", "PartialData"):
            result.status = row.get("StatusCode", "Complete")
        result.messages.update(dict.fromkeys(_messages(row)))


def _seconds(at: float | datetime) -> float:
    return at.timestamp() if isinstance(at, datetime) else at


def _messages(said_of: Mapping[str, Any]) -> list[str]:
    """Return AWS' messages as sentences."""
    return [said(f"{each.get('Code', '')}: {each.get('Value', '')}") for each in said_of.get("Messages", ())]


def _answer(
    item: Item,
    name: str,
    results: Mapping[tuple[str, str], _Result],
    general: tuple[str, ...],
    start: float,
    end: float,
) -> Answer:
    """Return what came for one item."""
    mine = {label: result for (one, label), result in results.items() if one == name}
    warnings = tuple(dict.fromkeys([*general, *(text for result in mine.values() for text in result.messages)]))
    for result in mine.values():
        if result.status not in ("Complete", "PartialData"):
            why = "; ".join(result.messages) or "it says no more"
            reason = FailureReason.AUTH if result.status == "Forbidden" else FailureReason.UNAVAILABLE
            return Answer({}, warnings, PollFailed(reason, f"AWS answers {result.status} for {described(item)}: {why}"))
        if result.status == "PartialData":
            why = f"AWS has only a part of the data of {described(item)} (PartialData)"
            return Answer({}, warnings, PollFailed(FailureReason.UNAVAILABLE, why))
    if not mine and item.expression is None:
        why = f"AWS does not answer for {described(item)}"
        return Answer({}, warnings, PollFailed(FailureReason.BAD_ANSWER, why))
    period = item.period
    return Answer(
        {
            label: tuple(
                (at + period, float(value))
                for at, value in sorted(result.points.items())
                if start <= at and at + period <= end and math.isfinite(value)
            )
            for label, result in mine.items()
        },
        warnings,
    )


def samples_of(
    answers: Iterable[tuple[Item, Answer]], warnings: tuple[str, ...], gone: frozenset[Series] = frozenset()
) -> PollResult:
    """Return the answers to the items of one query as one: if one of them failed, nobody knows the whole."""
    labels: list[Mapping[str, str]] = []
    values: list[float] = []
    at: list[float] = []
    ended: set[Series] = set()
    said = dict.fromkeys(warnings)
    for item, answer in answers:
        if answer.failed is not None:
            return answer.failed
        said.update(dict.fromkeys(answer.warnings))
        if item.labels in gone:
            ended.add(item.labels)
            continue
        for label, points in answer.points.items():
            row = dict(item.labels) | ({"label": label} if item.many else {})
            labels += [row] * len(points)
            at += [end for end, _ in points]
            values += [value for _, value in points]
    return Samples(labels, values, at, frozenset(ended), tuple(said))


def described(item: Item) -> str:
    """Return an item for a person."""
    if item.expression is not None:
        return said(item.expression)
    ((_, metric),) = item.metrics
    labels = ", ".join(f"{label}={value}" for label, value in metric.dimensions)
    return said(f"{metric.namespace} {metric.name}" + (f" ({labels})" if labels else ""))
