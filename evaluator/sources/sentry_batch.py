"""Many queries as few requests: those that differ only in project or measure share one.

It knows which requests a set of queries needs, and how the answer to each query is taken out of them. It never judges.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources import sentry_api as api
from evaluator.sources.api import AskError
from evaluator.sources.api_refusals import did_you_mean
from evaluator.sources.sentry_query import HOUR, SPANS, TABLES, SentryQuery

_FIELDS = {
    "errors": (api.COUNT,),
    "users": (api.USERS,),
    "failure_ratio": (api.COUNT, api.FAILURES),
    "p95": (api.COUNT, api.P95),
}
_MILLISECONDS = 1000.0
_PARTIAL = "Sentry looked at a part of its data only, and estimated the rest"


@dataclass(frozen=True, slots=True)
class Key:
    """What queries must have in common to share a request."""

    dataset: str
    """`errors`, `spans`, `sessions` or `outcomes`."""
    seconds: float
    environments: tuple[str, ...]
    search: str


def key_of(query: SentryQuery) -> Key:
    """Return what a query shares with others."""
    if query.measure == "dropped":
        return Key("outcomes", query.seconds, (), "")
    dataset = "spans" if query.measure in SPANS else "errors" if query.measure in TABLES else "sessions"
    return Key(dataset, query.seconds, query.environments, query.search)


async def answers(
    queries: Sequence[SentryQuery], organization: api.Organization, known: Mapping[str, str], end: float
) -> list[PollResult]:
    """Answer the queries, with one request for each key (more where it has many pages); a request fails by itself."""
    groups: dict[Key, list[SentryQuery]] = {}
    results: dict[int, PollResult] = {}
    for query in queries:
        if not query.projects or api.ids(query.projects, known):
            groups.setdefault(key_of(query), []).append(query)
    fetched = dict(
        zip(
            groups,
            await asyncio.gather(*(_fetch(key, groups[key], organization, known, end) for key in groups)),
            strict=True,
        )
    )
    for position, query in enumerate(queries):
        results[position] = _answer(query, fetched.get(key_of(query)), known)
    return [results[position] for position in range(len(queries))]


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What a request brought, by project."""

    rows: Mapping[str, Mapping[str, float | None]]
    warnings: tuple[str, ...] = ()


async def _fetch(
    key: Key, takers: Sequence[SentryQuery], organization: api.Organization, known: Mapping[str, str], end: float
) -> _Fetched | PollFailed:
    """Return what a request brings for all its takers."""
    named = {each for query in takers for each in query.projects}
    everything = any(not query.projects for query in takers)
    projects = () if everything else api.ids(sorted(named), known)
    begin, edge = end - key.seconds, end
    if key.dataset in {"sessions", "outcomes"}:
        # What has steps of an hour: whole hours, and the one that is under way.
        begin, edge = floor(end / HOUR) * HOUR - key.seconds, ceil(end / HOUR) * HOUR
    span = api.Span(begin, edge, projects, key.environments, key.search)
    slugs = {number: slug for slug, number in known.items()}
    try:
        if key.dataset == "sessions":
            sessions = await organization.sessions(span)
            return _Fetched(
                {
                    slugs[project]: {api.CRASH_FREE: rate, api.SESSIONS: count}
                    for project, (rate, count) in sessions.items()
                    if project in slugs
                }
            )
        if key.dataset == "outcomes":
            rows: dict[str, dict[str, float | None]] = {}
            for (project, outcome), count in (await organization.outcomes(span)).items():
                rows.setdefault(slugs.get(project, project), {})[outcome] = count
            return _Fetched(rows)
        fields = dict.fromkeys(field for query in takers for field in _FIELDS[query.measure])
        table, whole = await organization.table(key.dataset, fields, span)
        return _Fetched(_by_project(table, list(fields)), () if whole else (_PARTIAL,))
    except AskError as error:
        return error.failed


def _by_project(table: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> dict[str, dict[str, float | None]]:
    return {str(row.get("project")): {field: api.number(row, field) for field in fields} for row in table}


def _answer(query: SentryQuery, fetched: _Fetched | PollFailed | None, known: Mapping[str, str]) -> PollResult:
    """Return the samples of one query."""
    names = sorted(known)
    absent = [each for each in query.projects if each not in known]
    missing = tuple(f"there is no project {each} that our token can see{did_you_mean(each, names)}" for each in absent)
    if fetched is None or (absent and len(absent) == len(query.projects)):
        return PollFailed(FailureReason.BAD_QUERY, f"Sentry: {missing[0]}")
    if isinstance(fetched, PollFailed):
        return fetched
    labels: list[dict[str, str]] = []
    values: list[float] = []
    for project in [each for each in (query.projects or names) if each in known]:
        for more, value in _values(query, fetched.rows.get(project, {})):
            labels.append({"project": project, **more})
            values.append(value)
    return Samples(labels, values, warnings=(*missing, *fetched.warnings))


def _values(query: SentryQuery, row: Mapping[str, float | None]) -> list[tuple[dict[str, str], float]]:
    """Return the values of one project. A count of nothing is 0; a ratio of too little is no series."""
    if query.measure == "dropped":
        return [({"outcome": each}, row.get(each) or 0.0) for each in query.outcomes]
    if query.measure in {"errors", "users"}:
        return [({}, row.get(_FIELDS[query.measure][0]) or 0.0)]
    size = api.SESSIONS if query.measure == "crash_free_ratio" else api.COUNT
    field = {"crash_free_ratio": api.CRASH_FREE, "p95": api.P95}.get(query.measure, api.FAILURES)
    value = row.get(field)
    if value is None or (row.get(size) or 0.0) < query.min_count:
        return []
    return [({}, value / _MILLISECONDS if query.measure == "p95" else value)]
