"""Finding the metrics that a `"*"` stands for, through ListMetrics, and remembering them for a while.

This module knows what was found and when. It never asks for a metric's data.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.cloudwatch_answer import listed
from evaluator.sources.cloudwatch_client import Aws
from evaluator.sources.cloudwatch_errors import failure_of
from evaluator.sources.cloudwatch_plan import Rows, Wanted
from evaluator.sources.cloudwatch_query import CloudWatchSettings, is_pattern

_STALE = 6 * 3600.0
"""Seconds for which an old list is used where a new one cannot be had."""

_READ = 20
"""How many times `max_metrics` are read at most: among them are those that do not match."""
_SHARE = 0.75
"""The part of a poll's time that lists may take: a long one must not keep the data of others from being read."""


@dataclass(slots=True)
class Found:
    """What is known about the patterns of a poll."""

    rows: dict[Wanted, Rows] = field(default_factory=dict)
    failed: dict[Wanted, PollFailed] = field(default_factory=dict)
    warnings: dict[Wanted, str] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    asked: int = 0
    """How many lists AWS gave."""


class Discovery:
    """What ListMetrics said last of each pattern."""

    def __init__(self, aws: Aws, settings: CloudWatchSettings, where: str) -> None:
        """Know nothing yet."""
        self._aws = aws
        self._settings = settings
        self._where = where
        self._known: dict[Wanted, tuple[float, Rows | None]] = {}
        """When it was asked, on the loop's clock; `None`: there are too many."""

    async def find(self, wanted: Collection[Wanted], until: float) -> Found:
        """Return the dimensions of all metrics that are wanted; `until` is on the loop's clock. It never raises."""
        now = asyncio.get_running_loop().time()
        until = now + _SHARE * (until - now)
        self._known = {each: known for each, known in self._known.items() if now - known[0] < _STALE}
        found = Found()
        due = [each for each in wanted if not self._is_fresh(each, now)]
        given = await asyncio.gather(*(self._ask(each, until) for each in due), return_exceptions=True)
        for each, rows in zip(due, given, strict=True):
            if isinstance(rows, Exception):
                found.errors.append(rows)
                self._failed(each, rows, found)
            elif isinstance(rows, BaseException):
                raise rows
            else:
                self._known[each] = (now, rows)
                found.asked += 1
        for each in wanted:
            if each in self._known and each not in found.failed:
                rows = self._known[each][1]
                if rows is None:
                    found.failed[each] = self._too_many(each)
                else:
                    found.rows[each] = rows
        return found

    def _is_fresh(self, wanted: Wanted, now: float) -> bool:
        known = self._known.get(wanted)
        return known is not None and now - known[0] < self._settings.refresh

    def _failed(self, wanted: Wanted, error: Exception, found: Found) -> None:
        """Take the old list, if there is one: new metrics are then found later."""
        failed = failure_of(error, self._where, _SHARE * self._settings.timeout)
        if wanted in self._known and failed.reason is not FailureReason.AUTH:
            found.warnings[wanted] = f"the list of metrics is an old one: {failed.message}"
        else:
            found.failed[wanted] = failed

    def _too_many(self, wanted: Wanted) -> PollFailed:
        most = self._settings.max_metrics
        return PollFailed(
            FailureReason.TOO_BIG,
            f"{self._where}: {wanted.namespace} {wanted.name} has more than {most} such metrics (or {_READ} times "
            "as many to look through), each of which costs money; name more of its dimensions, or raise `max_metrics`",
        )

    async def _ask(self, wanted: Wanted, until: float) -> Rows | None:
        """Return what AWS has now; `None`: too many."""
        most = self._settings.max_metrics
        names = {name for name, _ in wanted.dimensions}

        def matches(row: Mapping[str, str]) -> bool:
            # ListMetrics also finds metrics with more dimensions than these, which are other metrics.
            return row.keys() == names and _matches(wanted, row)

        work = partial(listed, request=_request(wanted), matches=matches, most=most, most_read=_READ * most)
        rows = await self._aws.do("cloudwatch", work, until)
        if rows is None:
            return None
        unique = {tuple(sorted(row.items())): row for row in rows}
        return [unique[key] for key in sorted(unique)]


def _request(wanted: Wanted) -> dict[str, Any]:
    """Return the arguments of ListMetrics."""
    request: dict[str, Any] = {
        "Namespace": wanted.namespace,
        "MetricName": wanted.name,
        "Dimensions": [
            {"Name": name} if is_pattern(value) else {"Name": name, "Value": value}
            for name, value in wanted.dimensions[:10]
        ],
    }
    if wanted.recent:
        request["RecentlyActive"] = "PT3H"
    if wanted.account is not None:
        request |= {"IncludeLinkedAccounts": True, "OwningAccount": wanted.account}
    return request


def _matches(wanted: Wanted, row: Mapping[str, str]) -> bool:
    """Return whether the dimensions of a metric are those that are wanted. Only `*` and `?` mean more than they are."""
    return all(fnmatchcase(row[name], value.replace("[", "[[]")) for name, value in wanted.dimensions)
