"""What must be requested so that queries are answered: items, and how they are packed into requests.

An *item* is one series to be: a metric, or an expression over metrics. This module knows metrics, ids and limits as
values. It never talks to AWS.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluator.engine.samples import Series, series_of
from evaluator.sources.cloudwatch_query import CloudWatchMetric, CloudWatchQuery, is_pattern, searches, selects

MOST_QUERIES = 500
"""MetricDataQueries of a request, and `MOST_POINTS` datapoints of an answer
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html)."""
MOST_POINTS = 100_800
_PERIODS_AGAIN = 5
_SECONDS_AGAIN = 300.0
"""How many periods, and how many seconds, each poll reads at least: what came late is then seen."""
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|[A-Za-z_][A-Za-z0-9_]*")

Rows = Sequence[Mapping[str, str]]
"""The dimensions of each metric that was found."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with its statistic."""

    namespace: str
    name: str
    dimensions: Series
    stat: str


@dataclass(frozen=True, slots=True)
class Item:
    """What becomes one series, or for a SEARCH or SELECT one for each result."""

    labels: Series
    metrics: tuple[tuple[str, Metric], ...]
    """By the name that the expression calls it; a metric by itself has no name."""
    expression: str | None
    period: float
    account: str | None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Reckon the hash once: a poll of a thousand items looks each of them up many times."""
        whole = (self.labels, self.metrics, self.expression, self.period, self.account)
        object.__setattr__(self, "_hash", hash(whole))

    def __hash__(self) -> int:
        """Return the hash that was reckoned."""
        return self._hash

    @property
    def many(self) -> bool:
        """Whether its results are told apart by AWS' label."""
        return self.expression is not None and searches(self.expression)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Metrics to be found: a namespace, a name, and dimensions of which some have patterns."""

    namespace: str
    name: str
    dimensions: Series
    account: str | None
    recent: bool
    """Only those with data of the last three hours, which is quicker, and forgets what has ended."""


@dataclass(slots=True)
class Batch:
    """One request of GetMetricData."""

    period: float
    queries: list[dict[str, Any]] = field(default_factory=list)
    ids: dict[str, Item] = field(default_factory=dict)
    """The item of each id whose data come back."""
    metrics: int = 0
    """How many metrics it asks for: what AWS bills."""
    _metrics: dict[tuple[Metric, str | None], dict[str, Any]] = field(default_factory=dict)

    def size_with(self, item: Item) -> int:
        """Return how many queries it would have with this item."""
        more = sum((metric, item.account) not in self._metrics for _, metric in item.metrics)
        return len(self.queries) + more + (item.expression is not None)

    def add(self, item: Item) -> None:
        """Ask for this item too."""
        ids = {name: self._metric(metric, item) for name, metric in item.metrics}
        if item.expression is None:
            (query,) = (self._metrics[metric, item.account] for _, metric in item.metrics)
            query["ReturnData"] = True
            self.ids[query["Id"]] = item
            return
        query = {"Id": f"e{len(self.queries)}", "Expression": _renamed(item.expression, ids), "ReturnData": True}
        query["Period"] = int(item.period)
        self.queries.append(query)
        self.ids[query["Id"]] = item

    def _metric(self, metric: Metric, item: Item) -> str:
        """Return the id of a metric, which is asked once."""
        query = self._metrics.get((metric, item.account))
        if query is None:
            dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
            what = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
            stat = {"Metric": what, "Period": int(item.period), "Stat": metric.stat}
            query = {"Id": f"m{len(self.queries)}", "MetricStat": stat, "ReturnData": False}
            if item.account is not None:
                query["AccountId"] = item.account
            self._metrics[metric, item.account] = query
            self.queries.append(query)
            self.metrics += 1
        return str(query["Id"])


def edge_of(period: float, now: float, delay: float) -> float:
    """Return the end of the newest period that is complete at `now`."""
    return math.floor((now - delay) / period) * period


def lookback(period: float) -> float:
    """Return how many seconds before the edge are read again, in whole periods."""
    return max(_PERIODS_AGAIN, math.ceil(_SECONDS_AGAIN / period)) * period


def wanted_of(query: CloudWatchQuery) -> dict[str, Wanted]:
    """Return what must be found to know the metrics of a query, by name; what has no pattern is known."""
    recent = (query.period or 60.0) <= 3600
    return {
        name: Wanted(each.namespace, each.metric, series_of(each.dimensions), query.account, recent)
        for name, each in _metrics_of(query).items()
        if any(is_pattern(value) for value in each.dimensions.values())
    }


def items_of(query: CloudWatchQuery, found: Mapping[Wanted, Rows]) -> list[Item]:
    """Return the items of a query. `found` has the dimensions of all that its patterns stand for."""
    named = _metrics_of(query)
    wanted = wanted_of(query)
    patterns = {
        name: tuple(sorted(label for label, value in named[name].dimensions.items() if is_pattern(value)))
        for name in wanted
    }
    # A metric that is only there in bad times (errors) is asked for wherever its partner is found.
    values: dict[tuple[str, ...], dict[Series, None]] = {}
    for name, labels in patterns.items():
        rows = values.setdefault(labels, {})
        rows.update({tuple((label, row[label]) for label in labels): None for row in found[wanted[name]]})
    return [_item(query, named, dict(choice)) for choice in _joined(list(values.values()))]


def _metrics_of(query: CloudWatchQuery) -> Mapping[str, CloudWatchMetric]:
    """Return the metrics of a query by name; the only one of a query without an expression has none."""
    if query.metric is None or query.namespace is None:
        return query.metrics
    one = CloudWatchMetric(namespace=query.namespace, metric=query.metric, dimensions=query.dimensions, stat=query.stat)
    return {"": one}


def _item(query: CloudWatchQuery, named: Mapping[str, CloudWatchMetric], choice: Mapping[str, str]) -> Item:
    """Return the item of one choice of values for the patterns."""
    metrics: dict[str, Metric] = {}
    labels: dict[str, str] = {}
    unlike: set[str] = set()
    for name, each in named.items():
        own = {label: choice[label] if is_pattern(value) else value for label, value in each.dimensions.items()}
        metrics[name] = Metric(each.namespace, each.metric, series_of(own), each.stat)
        unlike |= {label for label, value in own.items() if labels.get(label, value) != value}
        labels |= own
    kept = {label: value for label, value in labels.items() if label not in unlike}
    return Item(series_of(kept), tuple(sorted(metrics.items())), query.expression, query.period or 60.0, query.account)


def _joined(tables: Sequence[Iterable[Series]]) -> list[Series]:
    """Return the natural join of tables of labels."""
    rows: list[Series] = [()]
    for table in tables:
        shared = {label for row in rows[:1] for label, _ in row} & {label for row in [*table][:1] for label, _ in row}
        index: dict[Series, list[Series]] = {}
        for row in table:
            index.setdefault(tuple(pair for pair in row if pair[0] in shared), []).append(row)
        rows = [
            series_of(dict(row) | dict(other))
            for row in rows
            for other in index.get(tuple(pair for pair in row if pair[0] in shared), ())
        ]
    return rows


def batches_of(items: Iterable[Item], seconds: Mapping[float, float], alone: Iterable[Item] = ()) -> list[Batch]:
    """Pack items into requests: as few as possible, each within AWS' limits.

    `seconds` is how long a range is read for each period; `alone` are items that share a request with no other.
    """
    solitary = set(alone)
    batches: list[Batch] = []
    current: dict[float, Batch] = {}
    for item in _partners_together(items):
        most = min(MOST_QUERIES, max(1, int(MOST_POINTS // max(1.0, seconds[item.period] / item.period))))
        single = item in solitary or (item.expression is not None and selects(item.expression))
        batch = current.get(item.period)
        if batch is None or single or batch.size_with(item) > most:
            batch = Batch(item.period)
            batches.append(batch)
            if not single:
                current[item.period] = batch
        batch.add(item)
    return batches


def _partners_together(items: Iterable[Item]) -> list[Item]:
    """Return each item once, in such an order that a metric shares a request with the expressions that it is in."""
    each = dict.fromkeys(items)
    partners = {(metric, item.account) for item in each if item.expression for _, metric in item.metrics}

    def place(item: Item) -> int:
        if item.expression is not None:
            return 0
        return 1 if (item.metrics[0][1], item.account) in partners else 2

    return sorted(each, key=place)


def _renamed(expression: str, ids: Mapping[str, str]) -> str:
    """Return the expression with the ids of this request in the place of the rule's names."""
    return _TOKEN.sub(lambda found: ids.get(found[0], found[0]), expression)
