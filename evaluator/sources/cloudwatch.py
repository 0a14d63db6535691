"""The source `cloudwatch`: the metrics of one AWS account and region, through boto3.

It knows slots, periods and what is worth asking again: everything that is due goes into as few requests as AWS allows,
and a period that was read is not paid for twice. It never judges a value; the next poll is the retry.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import PollFailed, PollResult, Samples, Series
from evaluator.sources.checkup import Checkup
from evaluator.sources.cloudwatch_answer import Answer, samples_of
from evaluator.sources.cloudwatch_client import Aws
from evaluator.sources.cloudwatch_errors import DistrustedError, answered, failure_of
from evaluator.sources.cloudwatch_examine import Examination
from evaluator.sources.cloudwatch_history import past
from evaluator.sources.cloudwatch_instances import NAMESPACES, Instances, instance_of
from evaluator.sources.cloudwatch_plan import Item, edge_of, lookback
from evaluator.sources.cloudwatch_query import CloudWatchQuery, CloudWatchSettings
from evaluator.sources.cloudwatch_reader import Plan, Reader, Talk
from evaluator.sources.weather import nobody_there, up_after

_parsed = lru_cache(maxsize=4096)(CloudWatchQuery.model_validate_json)
_BY_AWS = "AWS/EC2"
_QUIET_PERIODS = 2
"""An instance without points for this many periods may have ended."""
_MISSING_PERIODS = 3
"""After so many it is more than late, and a person is told what EC2 says."""


class CloudWatchSource:
    """The metrics of one AWS account and region."""

    Settings: ClassVar[type[BaseModel]] = CloudWatchSettings
    Query: ClassVar[type[BaseModel]] = CloudWatchQuery

    def __init__(self, name: str, settings: CloudWatchSettings) -> None:
        """Take the settings; nothing is asked before the first poll."""
        self._settings = settings
        self._where = f"CloudWatch in {settings.region}"
        self._aws = Aws(name, settings)
        self._reader = Reader(self._aws, settings, self._where)
        self._instances = Instances(self._aws)
        self._read: dict[Item, tuple[float, Answer]] = {}
        self._latest = 0.0

    async def open(self) -> None:
        """Load boto3, which takes long; clients are made when they are needed, since credentials may be asked for."""
        await self._aws.load()

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:
        """Ask for what may have changed since, and answer each query with the samples of its last periods."""
        self._latest = max(self._latest, now)
        until = asyncio.get_running_loop().time() + self._settings.timeout
        asked = {query.spec: _parsed(query.spec) for query in queries}
        metrics = {spec: query for spec, query in asked.items() if query.measure is None}
        talk, throttled = Talk(), self._aws.throttled
        plan = await self._reader.plan(metrics, talk, until)
        answers = await self._current(plan, now, talk, until)
        silent = _silent(answers)
        ended = await self._instances.ended(set(silent.values()), until) if silent else set()
        gone = frozenset(item.labels for item, instance in silent.items() if instance in ended)
        notes = {
            item: note
            for item, instance in silent.items()
            if _silent_for(item, *answers[item]) >= _MISSING_PERIODS and (note := self._instances.note(instance))
        }
        blind = frozenset(item for item, instance in silent.items() if self._late(item, instance))
        results: dict[str, PollResult] = {spec: _result(spec, plan, answers, (gone, blind), notes) for spec in metrics}
        if len(metrics) < len(asked):
            up = await self._up(talk, until)
            results |= {spec: up for spec in asked if spec not in metrics}
        if times := self._aws.throttled - throttled:
            text = f"{self._where}: AWS throttled {times} requests, which were sent again more slowly"
            results = {spec: _warned(result, text) for spec, result in results.items()}
        return [results[query.spec] for query in queries]

    async def history(
        self, query: rules.Query, start: float, end: float, step: float
    ) -> list[tuple[float, PollResult]] | None:
        """Return what `poll` would have answered; `None` for `up`, which only the present knows."""
        parsed = _parsed(query.spec)
        if parsed.measure is not None:
            return None
        slots, latest = (start, end, step), max(end, self._latest)
        return await past(self._reader, self._settings, query.spec, parsed, slots, latest)

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:
        """Try the credentials, each permission and each query, and say what a month costs."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        return await Examination(self._aws, self._reader, self._settings, self._where).examine(asked, now)

    def usage(self) -> Mapping[str, float]:
        """Return the requests sent, the metrics requested (what AWS bills), and the requests that it throttled."""
        aws = self._aws
        return {"requests": aws.requests, "metrics": self._reader.metrics, "throttled": aws.throttled}

    async def close(self) -> None:
        """Let the threads end and the connections go."""
        self._aws.close()

    async def _current(self, plan: Plan, now: float, talk: Talk, until: float) -> dict[Item, tuple[float, Answer]]:
        """Return the newest answer to every item, with the edge of its periods; only what may be new is asked for."""
        items = {item: None for some in plan.items.values() for item in some}
        edges = {period: edge_of(period, now, self._settings.delay) for period in {item.period for item in items}}
        known = {item: (edge, answer) for item, (edge, answer) in self._read.items() if edges.get(item.period) == edge}
        due = [item for item in items if item not in known]
        ranges = {period: (edge - lookback(period), edge) for period, edge in edges.items()}
        fresh = {
            item: (edges[item.period], answer)
            for item, answer in (await self._reader.read(due, ranges, talk, until)).items()
        }
        # Other rules of the same period may have their turn a moment later, so theirs are kept.
        kept = {
            item: (edge, answer)
            for item, (edge, answer) in self._read.items()
            if edge == edge_of(item.period, now, self._settings.delay)
        }
        good = {item: each for item, each in fresh.items() if each[1].failed is None}
        self._read = kept | good
        return {item: fresh.get(item) or known[item] for item in items}

    def _late(self, item: Item, instance: str) -> bool:
        """Return whether a silent instance runs, so that AWS must be late with what AWS itself measures of it."""
        # An agent (`CWAgent`) may be dead in a machine that runs: that is no lateness.
        measured_by_aws = all(metric.namespace == _BY_AWS for _, metric in item.metrics)
        return measured_by_aws and self._instances.goes_on(instance)

    async def _up(self, talk: Talk, until: float) -> PollResult:
        """Return whether the API answers, as this poll has seen it, else by a call that costs nothing."""
        if not talk.answered and not talk.errors:
            try:
                await self._aws.do("cloudwatch", _knock, until)
                talk.answered = 1
            except Exception as error:  # noqa: BLE001 - every error of boto3 is a reason here.
                talk.errors.append(error)
        if talk.answered:
            return Samples([{}], [1.0])
        failures = [failure_of(error, self._where, self._settings.timeout) for error in talk.errors]
        for failed, cause in zip(failures, talk.errors, strict=True):
            if answered(failed, cause):
                return Samples([{}], [1.0], warnings=(failed.message,))
        return up_after(next((failed for failed in failures if not nobody_there(failed)), failures[0]))


def _knock(client: Any) -> None:  # noqa: ANN401  # A client of boto3.
    """Ask for metrics that nobody has."""
    page = client.list_metrics(Namespace="evaluator", MetricName="up")
    if not isinstance(page.get("Metrics"), list):
        raise DistrustedError("its answer has no list of metrics")


def _silent(answers: Mapping[Item, tuple[float, Answer]]) -> dict[Item, str]:
    """Return the items of EC2 instances that may have ended, with their instances: their points have stopped."""
    silent: dict[Item, str] = {}
    for item, (edge, answer) in answers.items():
        instance = _instance(item)
        if instance is not None and answer.failed is None and _silent_for(item, edge, answer) >= _QUIET_PERIODS:
            silent[item] = instance
    return silent


def _silent_for(item: Item, edge: float, answer: Answer) -> float:
    """Return for how many periods before `edge` there are no points."""
    newest = max((row[-1][0] for row in answer.points.values() if row), default=0.0)
    return (edge - newest) / item.period


def _instance(item: Item) -> str | None:
    """Return the instance that an item is of: without it there would be no such series."""
    if item.account is not None or not item.metrics:
        return None
    ours = all(metric.namespace in NAMESPACES for _, metric in item.metrics)
    return instance_of(item.labels) if ours else None


def _result(
    spec: str,
    plan: Plan,
    answers: Mapping[Item, tuple[float, Answer]],
    fates: tuple[frozenset[Series], frozenset[Item]],
    notes: Mapping[Item, str],
) -> PollResult:
    """Return the answer to one query; `fates`: the series that have ended, and the items whose points are late."""
    if spec in plan.failed:
        return plan.failed[spec]
    mine = [(item, answers[item][1]) for item in plan.items[spec]]
    gone, blind = fates
    result = samples_of(mine, plan.warnings[spec], gone)
    if isinstance(result, PollFailed):
        return result
    noted = {item.labels: notes[item] for item, _ in mine if item in notes}
    return replace(result, blind=frozenset(item.labels for item, _ in mine if item in blind), notes=noted)


def _warned(result: PollResult, text: str) -> PollResult:
    """Return an answer with one more warning."""
    if isinstance(result, PollFailed):
        return result
    return replace(result, warnings=(*result.warnings, text))
