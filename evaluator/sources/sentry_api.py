"""Asking Sentry: its paths, parameters, pages and shapes (https://docs.sentry.io/api/).

It knows how numbers come out of the API. It never knows rules, and gives a table whole or not at all.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.api import AskError, Page, Params, Round

PAGE = 100
"""Rows of a page of the events table, at most."""
MOST_PAGES = 50
MOST_NAMED = 50
"""Projects that a request names; more make its address too long, so that all are asked for."""
COUNT, USERS, FAILURES, P95 = "count()", "count_unique(user)", "failure_rate()", "p95(span.duration)"
SESSIONS, CRASH_FREE = "sum(session)", "crash_free_rate(session)"
QUANTITY = "sum(quantity)"
READ_ORG, READ_PROJECT = "Organization: Read (org:read)", "Project: Read (project:read)"
READ_EVENT = "Issue & Event: Read (event:read) and Organization: Read (org:read)"

_NEXT = re.compile(r'rel="next";\s*results="true";\s*cursor="([^"]*)"')


class Project(msgspec.Struct):
    """A project in the list."""

    id: str
    slug: str


class _Table(msgspec.Struct):
    data: list[dict[str, Any]]
    meta: dict[str, Any] = {}


class _Group(msgspec.Struct):
    by: dict[str, str | int | None]
    totals: dict[str, float | None]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Bucket(msgspec.Struct):
    timestamp: float
    value: float | None = None
    incomplete: bool = False


class _Key(msgspec.Struct):
    key: str
    value: str | int | float | None = None


class Timeline(msgspec.Struct, rename="camel"):
    """One line of a chart."""

    values: list[_Bucket]
    group_by: list[_Key] | None = None


class _Timelines(msgspec.Struct, rename="camel"):
    time_series: list[Timeline]


@dataclass(frozen=True, slots=True)
class Span:
    """What a request is about, whatever it counts."""

    begin: float
    end: float
    projects: tuple[str, ...]
    """Their ids; none: all."""
    environments: tuple[str, ...] = ()
    search: str = ""

    def params(self) -> list[tuple[str, str]]:
        """Return the parameters that all endpoints share."""
        named = self.projects if 0 < len(self.projects) <= MOST_NAMED else ("-1",)
        params = [("start", _written(self.begin)), ("end", _written(self.end))]
        params += [("project", each) for each in named]
        params += [("environment", each) for each in self.environments]
        return [*params, ("query", self.search)] if self.search else params


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Organization:
    """The API of one organization, within one round."""

    def __init__(self, asked: Round, org: str) -> None:
        """Ask through this round."""
        self._asked = asked
        self._org = org

    async def projects(self) -> dict[str, str]:
        """Return the ids of all projects that the token can see, by slug."""
        found: dict[str, str] = {}
        cursor = ""
        for _ in range(MOST_PAGES):
            params = [("cursor", cursor)] if cursor else []
            try:
                page = await self._get("projects", params, list[Project], READ_PROJECT)
            except AskError as error:
                raise _no_organization(error, self._org) from None
            found |= {each.slug: each.id for each in page.document}
            cursor = next_cursor(page.headers)
            if not cursor:
                return found
        raise _too_big("projects")

    async def table(self, dataset: str, fields: Iterable[str], span: Span) -> tuple[list[dict[str, Any]], bool]:
        """Return a row for each project that has any events, and whether Sentry looked at all its data."""
        fixed = [("dataset", dataset), ("field", "project"), *(("field", each) for each in fields)]
        fixed += [("per_page", str(PAGE)), *span.params()]
        rows: list[dict[str, Any]] = []
        whole, cursor = True, ""
        for _ in range(MOST_PAGES):
            params = [*fixed, ("cursor", cursor)] if cursor else fixed
            page = await self._get("events", params, _Table, READ_EVENT)
            rows += page.document.data
            whole = whole and page.document.meta.get("dataScanned", "full") == "full"
            cursor = next_cursor(page.headers)
            if not cursor:
                return rows, whole
        raise _too_big("projects with events")

    async def sessions(self, span: Span) -> dict[str, tuple[float | None, float]]:
        """Return the ratio of sessions without a crash and the number of sessions, by the project's id."""
        fields = [("field", CRASH_FREE), ("field", SESSIONS), ("groupBy", "project"), ("interval", "1h")]
        page = await self._get("sessions", [*fields, *span.params()], _Groups, READ_ORG)
        rows = ((str(each.by.get("project")), each.totals) for each in page.document.groups)
        return {project: (totals.get(CRASH_FREE), totals.get(SESSIONS) or 0.0) for project, totals in rows}

    async def outcomes(self, span: Span) -> dict[tuple[str, str], float]:
        """Return how many error events had which outcome, by the project's id and the outcome."""
        fields = [("field", QUANTITY), ("groupBy", "outcome"), ("groupBy", "project"), ("category", "error")]
        page = await self._get("stats_v2", [*fields, ("interval", "1h"), *span.params()], _Groups, READ_ORG)
        return {
            (str(each.by.get("project")), str(each.by.get("outcome"))): each.totals.get(QUANTITY) or 0.0
            for each in page.document.groups
        }

    async def timelines(self, span: Span, interval: float) -> list[Timeline]:
        """Return the errors of at most ten projects in steps of `interval` seconds."""
        fixed = [("dataset", "errors"), ("yAxis", COUNT), ("interval", f"{interval:.0f}s"), ("topEvents", "10")]
        fixed += [("groupBy", "project"), ("sort", f"-{COUNT}")]
        page = await self._get("events-timeseries", [*fixed, *span.params()], _Timelines, READ_EVENT)
        lines: list[Timeline] = page.document.time_series
        return lines

    async def _get(self, endpoint: str, params: Params, into: Any, needs: str) -> Page[Any]:  # noqa: ANN401 - any shape.
        path = f"/api/0/organizations/{self._org}/{endpoint}/"
        return await self._asked.get(path, params, into, needs=needs, lane=endpoint)


def next_cursor(headers: Mapping[str, str]) -> str:
    """Return the cursor of the next page; empty where this was the last. Nothing else of the link is believed."""
    found = _NEXT.search(headers.get("link", ""))
    return "" if found is None else found[1]


def number(row: Mapping[str, Any], field: str) -> float | None:
    """Return a number of a row; `None` where it is none."""
    value = row.get(field)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def counts(line: Timeline) -> tuple[str, dict[float, float]]:
    """Return a line's project, and its buckets by their instants in seconds; those that may still grow are left out."""
    project = next((str(each.value) for each in line.group_by or () if each.key == "project"), "")
    return project, {each.timestamp / 1000: each.value or 0.0 for each in line.values if not each.incomplete}


def _no_organization(error: AskError, org: str) -> AskError:
    if error.failed.reason is FailureReason.BAD_QUERY:
        text = (
            f"Sentry: there is no organization {org} that our token can see; check `org`, and `url` (us., de.sentry.io)"
        )
        return AskError(PollFailed(FailureReason.AUTH, text))
    return error


def _too_big(what: str) -> AskError:
    return AskError(PollFailed(FailureReason.TOO_BIG, f"Sentry: more than {MOST_PAGES} pages of {what}"))


def ids(slugs: Sequence[str], known: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of those projects that there are."""
    return tuple(sorted(known[each] for each in slugs if each in known))
