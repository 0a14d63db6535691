"""The source `sentry`: errors, failures, latency and crashes of one organization's projects.

It knows how a poll, the past and a check-up are asked. Requests are in `sentry_api`, how queries share them is in
`sentry_batch`. It never judges a value, and never retries: the next poll is the retry.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import floor
from typing import ClassVar

from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources import sentry_api as api
from evaluator.sources.api import AskError, Round
from evaluator.sources.api_checkups import Trial, clock_checkup, limits_checkup, tried
from evaluator.sources.api_refusals import did_you_mean
from evaluator.sources.api_settings import Terms
from evaluator.sources.api_source import ApiSource
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.sentry_batch import answers, key_of
from evaluator.sources.sentry_query import SentryQuery, SentrySettings
from evaluator.sources.weather import up_after

_parsed = lru_cache(maxsize=4096)(SentryQuery.model_validate_json)
_MEND = (
    "in Sentry under Settings > Developer Settings make an internal integration with the permissions Organization: "
    "Read, Project: Read and Issue & Event: Read, and set its token as `token`"
)
_LOOK_AGAIN = 60.0
"""Seconds after which the list of projects is read anew for a project that is not in it."""
_COUNTS = frozenset({"errors", "users"})
_LOSSES = SentryQuery(measure="dropped")
_LOOK_FOR_LOSSES = 600.0
"""Seconds between two looks at what was dropped."""
_DROPPED = "errors were dropped in this hour or the last (quota or rate limit): the count is too small"
_MOST_POINTS = 10_000
"""Points of a chart (https://docs.sentry.io/api/)."""
_MOST_LINES = 10
_INTERVALS = (60.0, 300.0, 900.0, 3600.0)


class SentrySource(ApiSource):
    """One organization of Sentry."""

    Settings: ClassVar[type[BaseModel]] = SentrySettings
    Query: ClassVar[type[BaseModel]] = SentryQuery

    def __init__(self, name: str, settings: SentrySettings) -> None:  # noqa: ARG002 - as every source is made.
        """Take the settings; nothing is connected before the first poll."""
        token = settings.token.get_secret_value()
        self._settings = settings
        terms = Terms(
            name="Sentry",
            base=settings.url,
            headers={"Authorization": f"Bearer {token}"},
            secrets=[token],
            most=20,
            seconds=1.0,
            remaining="x-sentry-rate-limit-remaining",
            resets=("x-sentry-rate-limit-reset",),
        )
        super().__init__(terms, settings)
        self._projects: dict[str, str] | None = None
        self._read = 0.0
        self._lost: Mapping[str, float] = {}
        self._looked: float | None = None

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:
        """Ask one request for all queries that differ only in project and measure, and answer each."""
        if not queries:
            return []
        asked = {query.spec: _parsed(query.spec) for query in queries}
        round_ = Round(self._client, now)
        wanted = {spec: query for spec, query in asked.items() if query.measure != "up"}
        organization = api.Organization(round_, self._settings.org)
        try:
            names = {each for query in wanted.values() for each in query.projects}
            # `up` alone asks for the list too: it is the smallest thing that needs the token.
            known = await self._known(round_, organization, names, fresh=not wanted)
        except AskError as error:
            failed = error.failed
            return [up_after(failed) if asked[query.spec].measure == "up" else failed for query in queries]
        end = floor(round_.theirs() - self._settings.delay)
        results = dict(zip(wanted, await answers(list(wanted.values()), organization, known, end), strict=True))
        if (jumped := round_.jumped()) is not None:
            results = dict.fromkeys(wanted, jumped)
        if any(query.measure in _COUNTS for query in wanted.values()):
            await self._look_for_losses(organization, known, end)
        up = await self._up(round_, organization) if len(wanted) < len(asked) else round_.up()
        warned = {spec: self._warned(result, wanted[spec]) for spec, result in results.items()}
        return [warned.get(query.spec, up) for query in queries]

    async def _up(self, round_: Round, organization: api.Organization) -> PollResult:
        """Return whether Sentry answers; where nothing was asked in this poll, ask."""
        if not round_.answered and round_.failed is None:
            try:
                await organization.projects()
            except AskError as error:
                return up_after(error.failed)
        return round_.up()

    def _warned(self, result: PollResult, query: SentryQuery) -> PollResult:
        """Add what there is to say of our clock, and of events that were not counted."""
        if isinstance(result, PollFailed):
            return result
        more = list(self._client.clock_warning())
        if query.measure in _COUNTS:
            shown = (each["project"] for each in result.labels if each["project"] in self._lost)
            more += [f"{each}: {self._lost[each]:.0f} {_DROPPED}" for each in shown]
        return Samples(result.labels, result.values, warnings=(*result.warnings, *more)) if more else result

    async def _look_for_losses(self, organization: api.Organization, known: Mapping[str, str], end: float) -> None:
        """Learn now and then of which projects Sentry drops errors: then a count is too small, and says nothing good.

        Where that cannot be asked there is nothing to say: the counts themselves were answered.
        """
        at = asyncio.get_running_loop().time()
        if self._looked is not None and at - self._looked < _LOOK_FOR_LOSSES:
            return
        self._looked = at
        (result,) = await answers([_LOSSES], organization, known, end)
        if isinstance(result, Samples):
            found = zip(result.labels, result.values, strict=True)
            self._lost = {labels["project"]: lost for labels, lost in found if lost > 0}

    async def _known(
        self, round_: Round, organization: api.Organization, names: set[str], *, fresh: bool
    ) -> dict[str, str]:
        """Return the projects' ids by slug, read now or some minutes ago."""
        async with round_.holding(self._turn):
            at = asyncio.get_running_loop().time()
            age = at - self._read
            known = self._projects
            stale = known is None or age > self._settings.refresh
            if known is None or stale or fresh or (age > _LOOK_AGAIN and not names <= set(known)):
                self._projects = known = await organization.projects()
                self._read = at
            return known

    async def history(
        self, query: rules.Query, start: float, end: float, step: float
    ) -> list[tuple[float, PollResult]] | None:
        """Return what errors of up to ten projects were; `None` for all else, and where a chart has too few points."""
        asked = _parsed(query.spec)
        interval = _interval(asked, end - start)
        if asked.measure != "errors" or interval is None:
            return None
        round_ = Round(self._client, end, live=False)
        organization = api.Organization(round_, self._settings.org)
        slots = [start + step * number for number in range(int((end - start) / step + 1e-9) + 1)]
        try:
            known = await self._known(round_, organization, set(asked.projects), fresh=False)
            chosen = [each for each in (asked.projects or sorted(known)) if each in known]
            if not chosen or len(chosen) > _MOST_LINES:
                return None
            begin = self._edge(start, interval) - asked.seconds
            ids = api.ids(chosen, known)
            span = api.Span(begin, self._edge(end, interval), ids, asked.environments, asked.search)
            lines = dict(api.counts(each) for each in await organization.timelines(span, interval))
        except AskError as error:
            return [(slot, error.failed) for slot in slots]
        return [(slot, self._then(asked, lines, chosen, slot, interval)) for slot in slots]

    def _edge(self, at: float, interval: float) -> float:
        """Return the end of the last bucket that was complete at an instant."""
        return floor((at - self._settings.delay) / interval) * interval

    def _then(
        self,
        asked: SentryQuery,
        lines: Mapping[str, Mapping[float, float]],
        chosen: Sequence[str],
        at: float,
        step: float,
    ) -> PollResult:
        """Return what a poll would have answered at an instant."""
        edge = self._edge(at, step)
        buckets = [edge - step * number for number in range(1, round(asked.seconds / step) + 1)]
        # A project without any event has no line; one with a line has all its buckets, or some were not complete.
        if any(bucket not in line for line in lines.values() for bucket in buckets):
            return PollFailed(FailureReason.UNAVAILABLE, "Sentry: not all of that time is counted yet")
        values = [sum(lines.get(each, {}).get(bucket, 0.0) for bucket in buckets) for each in chosen]
        return Samples([{"project": each} for each in chosen], [float(each) for each in values])

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:
        """Try the token, each kind of data that the rules need, and look for each project that they name."""
        round_ = Round(self._client, now)
        organization = api.Organization(round_, self._settings.org)
        asked = [each for each in (_parsed(query.spec) for query in queries) if each.measure != "up"]
        known: dict[str, str] = {}

        async def projects() -> str:
            known.update(await organization.projects())
            return f"sees {len(known)} projects of {self._settings.org}"

        one_of_each = list({(key_of(each).dataset, each.search): each for each in asked}.values())
        trials = [Trial("token and projects", projects, _MEND)]
        trials += [self._trial(round_, organization, each, known) for each in one_of_each]
        checkups = await tried(self._client, trials)
        if checkups[0].grade is Grade.FINE:
            checkups += [_named(each, known) for each in sorted({name for query in asked for name in query.projects})]
        return [*checkups, *clock_checkup(self._client), *limits_checkup(self._client)]

    def _trial(
        self, round_: Round, organization: api.Organization, query: SentryQuery, known: Mapping[str, str]
    ) -> Trial:
        """Try one query on all projects."""
        everywhere = query.model_copy(update={"project": None})

        async def ask() -> str:
            end = floor(self._client.theirs(round_.time) - self._settings.delay)
            (result,) = await answers([everywhere], organization, known, end)
            if isinstance(result, PollFailed):
                raise AskError(result)
            return f"{query.measure}: {len(result)} series"

        subject = f"data of {key_of(query).dataset}{f' ({query.search})' if query.search else ''}"
        return Trial(subject, ask, _MEND)


def _interval(query: SentryQuery, length: float) -> float | None:
    """Return the shortest step of a chart that fits the window and is not too many points; `None`: there is none."""
    fitting = (each for each in _INTERVALS if query.seconds % each == 0)
    return next((each for each in fitting if (length + query.seconds) / each <= _MOST_POINTS), None)


def _named(name: str, known: Mapping[str, str]) -> Checkup:
    """Return whether there is a project that a rule names."""
    if name in known:
        return Checkup(Grade.FINE, f"project {name}", f"has the id {known[name]}")
    found = f"the token sees none of this name{did_you_mean(name, sorted(known))}"
    mend = "correct `project` in the rule (its slug, not its title), or give the integration access to it"
    return Checkup(Grade.WRONG, f"project {name}", found, mend)
