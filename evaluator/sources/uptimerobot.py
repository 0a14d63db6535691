"""The source `uptimerobot`: the monitors of one account, as UptimeRobot sees them.

It knows how one list serves all rules, and how few requests a plan allows. Shapes are in `uptimerobot_list`, what has
ended in `uptimerobot_seen`. It never judges a value, and never retries: the next poll is the retry.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import ClassVar

from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources import uptimerobot_list as listed
from evaluator.sources.api import AskError, Round
from evaluator.sources.api_checkups import Trial, clock_checkup, limits_checkup, tried
from evaluator.sources.api_refusals import did_you_mean
from evaluator.sources.api_settings import Terms
from evaluator.sources.api_source import ApiSource
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.names import several
from evaluator.sources.source import NoHistory
from evaluator.sources.uptimerobot_index import Index, wanted
from evaluator.sources.uptimerobot_list import Monitor
from evaluator.sources.uptimerobot_query import UptimeRobotQuery, UptimeRobotSettings
from evaluator.sources.uptimerobot_seen import Seen, labels_of
from evaluator.sources.weather import said, up_after

_parsed = lru_cache(maxsize=4096)(UptimeRobotQuery.model_validate_json)
_MEND = (
    "make a key under Integrations & API > API in UptimeRobot (a read-only one of the whole account is enough), and "
    "set `token`"
)
_UPTIME_KEPT, _RESPONSE_KEPT = 900.0, 300.0
"""Seconds that a monitor's statistics are used again: each costs a request of its own in v3."""


class UptimeRobotSource(ApiSource, NoHistory):
    """One account of UptimeRobot."""

    Settings: ClassVar[type[BaseModel]] = UptimeRobotSettings
    Query: ClassVar[type[BaseModel]] = UptimeRobotQuery

    def __init__(self, name: str, settings: UptimeRobotSettings) -> None:  # noqa: ARG002 - as every source is made.
        """Take the settings; nothing is connected before the first poll."""
        token = settings.token.get_secret_value()
        self._settings = settings
        self._token = token
        headers = {"Authorization": f"Bearer {token}"} if settings.version == 3 else {}
        terms = Terms(
            name="UptimeRobot",
            base=settings.url,
            headers=headers,
            secrets=[token],
            most=settings.requests_per_minute,
            seconds=60.0,
            concurrency=2,
            remaining="x-ratelimit-remaining",
            resets=("x-ratelimit-reset",),
        )
        super().__init__(terms, settings)
        self._seen = Seen()
        self._list: list[Monitor] | None = None
        self._read = 0.0
        self._responses = self._had_responses = False
        self._kept: dict[tuple[int, str], tuple[float, float]] = {}

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:
        """Answer all queries from one list of the monitors."""
        if not queries:
            return []
        asked = {query.spec: _parsed(query.spec) for query in queries}
        self._responses |= any(each.measure == "response_time" for each in asked.values())
        round_ = Round(self._client, now)
        try:
            monitors = await self._monitors(round_)
        except AskError as error:
            failed = error.failed
            return [up_after(failed) if asked[query.spec].measure == "up" else failed for query in queries]
        index = Index(monitors)
        answers = {spec: await self._answer(query, index, round_) for spec, query in asked.items()}
        return [answers[query.spec] for query in queries]

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:
        """Try the key, and look for each monitor that a rule names."""
        round_ = Round(self._client, now)
        found: list[Monitor] = []

        async def look() -> str:
            found.extend(await self._monitors(round_))
            return f"lists {len(found)} monitors through v{self._settings.version}"

        checkups = await tried(self._client, [Trial("key", look, _MEND)])
        if checkups[0].grade is Grade.WRONG:
            return checkups
        names = {name for query in queries for name in several(_parsed(query.spec).monitor)}
        checkups += [_named(name, found) for name in sorted(names)]
        return [*checkups, *clock_checkup(self._client), *self._plan(), *limits_checkup(self._client)]

    def _plan(self) -> list[Checkup]:
        """Say where we may send more than the plan allows."""
        allowed, ours = self._client.limits.get("x-ratelimit-limit", ""), self._settings.requests_per_minute
        if not allowed.isdecimal() or int(allowed) >= ours:
            return []
        mend = f"set requests_per_minute = {allowed}, or less where others use the same account"
        return [Checkup(Grade.WARNING, "plan", f"allows {allowed} requests a minute, and we may send {ours}", mend)]

    async def _monitors(self, round_: Round) -> list[Monitor]:
        """Return the list, read now or a moment ago."""
        async with round_.holding(self._turn):
            at = asyncio.get_running_loop().time()
            # A tenth of tolerance: polls of the same interval never come at exactly the same distance.
            poor = self._responses and not self._had_responses and self._settings.version == 2
            if self._list is None or poor or at - self._read > self._settings.refresh * 0.9:
                had = self._responses
                self._list = await self._fetch(round_)
                self._read, self._had_responses = at, had
                self._seen.look(self._list, round_.time)
            return self._list

    async def _fetch(self, round_: Round) -> list[Monitor]:
        """Read the whole list."""
        if self._settings.version == 3:
            return await listed.third(round_)
        return await listed.second(round_, self._token, responses=self._responses)

    async def _answer(self, query: UptimeRobotQuery, index: Index, round_: Round) -> PollResult:
        """Return the samples of one query."""
        if query.measure == "up":
            return Samples([{}], [1.0])
        chosen, missing = index.chosen(query), index.missing(query)
        gone = frozenset(series for series, name, number in self._seen.ended() if wanted(query, name, number))
        if missing and not chosen and not gone and not any(self._seen.awaited(name) for name in several(query.monitor)):
            return PollFailed(FailureReason.BAD_QUERY, f"UptimeRobot: {missing[0]}")
        paused = [said(f"{each.name} is paused: no data") for each in chosen if each.status == "PAUSED"][:10]
        shown = [each for each in chosen if each.status != "PAUSED"]
        try:
            values = [await self._value(query, each, round_) for each in shown]
        except AskError as error:
            return error.failed
        labels = [labels_of(each.name, each.id) for each in shown]
        warnings = (*missing, *paused, *self._client.clock_warning())
        return Samples(labels, values, gone=gone, warnings=warnings)

    async def _value(self, query: UptimeRobotQuery, monitor: Monitor, round_: Round) -> float:
        """Return what is measured of one monitor; in v3 some of it costs a request of its own."""
        number = monitor.id
        match query.measure:
            case "uptime_percent":
                if query.window in monitor.ratios:
                    return monitor.ratios[query.window]
                ask = partial(listed.uptime, round_, number, int(query.window[:-1]))
                kept = _UPTIME_KEPT
            case "response_time":
                if monitor.response is not None:
                    return monitor.response
                ask, kept = partial(listed.response_time, round_, number), _RESPONSE_KEPT
            case _:
                return monitor.up
        if self._settings.version == 2:
            return float("nan")
        return await self._statistic((number, f"{query.measure} {query.window}"), ask, kept)

    async def _statistic(self, key: tuple[int, str], ask: Callable[[], Awaitable[float]], kept: float) -> float:
        """Return a statistic that was read a while ago, or read it where the plan leaves room beside the list."""
        at = asyncio.get_running_loop().time()
        if key in self._kept and at - self._kept[key][0] < kept:
            return self._kept[key][1]
        pages = 1 + len(self._list or ()) // 200
        if self._client.spare() <= pages:
            most = self._settings.requests_per_minute
            text = f"UptimeRobot: {most} requests a minute do not suffice for the statistics of so many monitors now"
            raise AskError(PollFailed(FailureReason.RATE_LIMITED, text))
        value = await ask()
        self._kept = {each: one for each, one in self._kept.items() if at - one[0] < _UPTIME_KEPT}
        self._kept[key] = (at, value)
        return value


def _named(name: str, monitors: Sequence[Monitor]) -> Checkup:
    """Return whether there is a monitor that a rule names, and whether it runs."""
    found = [each for each in monitors if each.name == name or fnmatchcase(each.name, name)]
    subject = f"monitor {name}"
    if not found:
        hint = did_you_mean(name, [each.name for each in monitors])
        return Checkup(
            Grade.WRONG, subject, f"there is none{hint}", "correct `monitor` in the rule, or make the monitor"
        )
    paused = [each.name for each in found if each.status == "PAUSED"]
    if paused:
        mend = "start it in UptimeRobot, or remove the rule: a paused monitor has no data"
        return Checkup(Grade.WARNING, subject, f"{len(paused)} of {len(found)} are paused", mend)
    return Checkup(Grade.FINE, subject, f"{len(found)} found, {', '.join(sorted({each.status for each in found}))}")
