"""A look-alike of Sentry's API as far as it is read: projects, events, charts, sessions, outcomes, in memory.

This module knows https://docs.sentry.io/api/, and nothing of evaluator's sources. It enforces scopes, parameters, pages
by the header `Link`, and the limit of each endpoint with Sentry's headers. Instants are its clock's.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from statistics import quantiles

from evaluator.testing.vendor import Json, Question, Vendor, said
from evaluator.testing.wire import Reply

KEY = "sntryi_0123456789abcdef"
"""The token that is accepted, unless another is given."""
SCOPES = frozenset({"org:read", "project:read", "event:read"})
LARGEST_PAGE, MOST_FIELDS = 100, 20

_SPANS = {"start", "end", "statsPeriod", "project", "environment", "query", "cursor", "per_page"}
_TABLE = _SPANS | {"dataset", "field", "sort"}
_KNOWN = {
    "projects": {"cursor"},
    "events": _TABLE,
    "events-timeseries": _SPANS | {"dataset", "yAxis", "interval", "topEvents", "groupBy", "sort"},
    "sessions": _SPANS | {"field", "groupBy", "interval", "orderBy"},
    "stats_v2": _SPANS | {"field", "groupBy", "interval", "category", "outcome", "reason"},
}
_NEEDED = {"projects": "org:read", "events": "org:read", "events-timeseries": "org:read"}
_FIELDS = {"errors": {"project", "count()", "count_unique(user)"}}
_FIELDS["spans"] = {"project", "count()", "failure_rate()", "p95(span.duration)"}


@dataclass
class Happening:
    """An error, or a transaction."""

    project: str
    at: float
    environment: str
    tags: dict[str, str] = field(default_factory=dict)
    user: str = ""
    seconds: float = 0.0
    failed: bool = False


class Sentry(Vendor):
    """The organization: `with Sentry() as sentry: sentry.add("api"); sentry.errors("api", 5); ...`."""

    def __init__(
        self,
        token: str = KEY,
        *,
        org: str = "acme",
        clock: Callable[[], float] = time.time,
        may: Collection[str] = SCOPES,
        most: int = 40,
        page: int = LARGEST_PAGE,
    ) -> None:
        """Allow `most` requests a second, and the scopes in `may`; the list of projects has `page` on each page."""
        super().__init__(clock=clock, most=most, seconds=1.0)
        self.token, self.org, self.may, self.page = token, org, set(may), page
        self.projects: dict[str, str] = {}
        self.happened: dict[str, list[Happening]] = {"errors": [], "spans": []}
        self.healthy: dict[str, tuple[float, float]] = {}
        """The ratio of sessions without a crash and their number, by project."""
        self.outcomes: dict[tuple[str, str], float] = {}
        """The number of error events, by project and outcome."""
        self.scanned = "full"

    def add(self, *slugs: str) -> None:
        """Make projects."""
        for slug in slugs:
            self.projects[slug] = str(4_500_000_000 + len(self.projects))

    def errors(
        self, project: str, count: int = 1, *, age: float = 60.0, environment: str = "production", **tags: str
    ) -> None:
        """Let errors happen `age` seconds ago, each to another user."""
        for number in range(count):
            happening = Happening(project, self.clock() - age, environment, tags, tags.get("user", f"user {number}"))
            self.happened["errors"].append(happening)

    def transactions(
        self, project: str, count: int, *, age: float = 60.0, seconds: float = 0.1, failed: bool = False
    ) -> None:
        """Let requests be served."""
        for _ in range(count):
            tags = {"is_transaction": "true"}
            one = Happening(project, self.clock() - age, "production", tags, seconds=seconds, failed=failed)
            self.happened["spans"].append(one)

    def refuse(self, wait: float) -> Reply:
        """Answer 429 with Sentry's headers: it has no `Retry-After`."""
        text = f"You are attempting to use this endpoint too frequently. Limit is {self.most} requests in 1 seconds"
        return said(429, {"detail": text}, self._limits(wait))

    def _limits(self, wait: float = 1.0) -> dict[str, str]:
        return {
            "X-Sentry-Rate-Limit-Limit": str(self.most),
            "X-Sentry-Rate-Limit-Remaining": str(self.left),
            "X-Sentry-Rate-Limit-Reset": str(ceil(self.clock() + wait)),
            "X-Sentry-Rate-Limit-ConcurrentLimit": "25",
            "X-Sentry-Rate-Limit-ConcurrentRemaining": "24",
        }

    def answer(self, question: Question) -> Reply:
        """Answer the endpoints of an organization."""
        if question.headers.get("authorization") != f"Bearer {self.token}":
            return said(401, {"detail": "Invalid token"})
        match = re.fullmatch(r"/api/0/organizations/([^/]+)/([\w-]+)/", question.path)
        if match is None or match[1] != self.org or match[2] not in _KNOWN or question.method != "GET":
            return said(404, {"detail": "The requested resource does not exist"})
        if _NEEDED.get(match[2], "org:read") not in self.may:
            return said(403, {"detail": "You do not have permission to perform this action."})
        if problem := self._problem(match[2], question):
            return said(400, {"detail": problem}, self._limits())
        answers = {
            "projects": self._list,
            "events": self._events,
            "events-timeseries": self._chart,
            "sessions": self._sessions,
            "stats_v2": self._outcomes,
        }
        reply = answers[match[2]](question)
        return Reply(reply.status, reply.body, {**self._limits(), **reply.headers})

    def _problem(self, endpoint: str, question: Question) -> str:
        """Return what is wrong with the parameters."""
        unknown = {name for name, _ in question.params} - _KNOWN[endpoint]
        if unknown:
            return f"the look-alike does not know {sorted(unknown)}"
        strangers = set(question.all("project")) - {*self.projects.values(), "-1"}
        if strangers:
            return f"Invalid project parameter. Values must be numbers: {strangers}"
        if endpoint in {"events", "events-timeseries"}:
            dataset = question.one("dataset")
            if dataset not in _FIELDS:
                return f"dataset must be one of: {', '.join(_FIELDS)}"
            wrong = set(question.all("field")) - _FIELDS[dataset]
            if wrong:
                return f"{sorted(wrong)} is not a valid field"
            if len(question.all("field")) > MOST_FIELDS or (question.number("per_page", 50) or 0) > LARGEST_PAGE:
                return "Invalid per_page value. Must be between 1 and 100."
            if any(term.count(":") != 1 for term in question.one("query").split()):
                return f"Parse error at '{question.one('query')}' (column 1)."
        if endpoint != "projects" and None in {_instant(question.one("start")), _instant(question.one("end"))}:
            return "start and end are both required"
        if endpoint in {"sessions", "stats_v2"} and not re.fullmatch(r"\d+[hd]", question.one("interval", "1h")):
            return "The interval must be at least one hour"
        return ""

    def _list(self, question: Question) -> Reply:
        rows = [{"id": number, "slug": slug, "name": slug.title()} for slug, number in self.projects.items()]
        return self._paged(question, rows, rows, self.page)

    def _paged(self, question: Question, rows: list[Json], shown: Iterable[Json], size: int, key: str = "") -> Reply:
        """A page with the header `Link`, whose cursor is `0:OFFSET:0`."""
        offset = int(question.one("cursor", "0:0:0").split(":")[1])
        page = list(shown)[offset : offset + size]
        more = "true" if len(rows) > offset + size else "false"
        url = f"{self.url}{question.path}?cursor="
        before, after = f"0:{max(offset - size, 0)}:1", f"0:{offset + size}:0"
        link = (
            f'<{url}{before}>; rel="previous"; results="{"true" if offset else "false"}"; cursor="{before}", '
            f'<{url}{after}>; rel="next"; results="{more}"; cursor="{after}"'
        )
        return said(200, {key: page, "meta": {"dataScanned": self.scanned}} if key else page, {"Link": link})

    def _found(self, question: Question) -> dict[str, list[Happening]]:
        """What a question is about, by project."""
        begin, end = _instant(question.one("start")) or 0.0, _instant(question.one("end")) or 0.0
        wanted, environments = question.all("project"), question.all("environment")
        terms = [term.split(":") for term in question.one("query").split()]
        found: dict[str, list[Happening]] = {}
        for each in self.happened[question.one("dataset")]:
            here = begin <= each.at < end and (not environments or each.environment in environments)
            here = here and ("-1" in wanted or self.projects[each.project] in wanted)
            if here and all(each.tags.get(name) == value for name, value in terms):
                found.setdefault(each.project, []).append(each)
        return found

    def _events(self, question: Question) -> Reply:
        fields = question.all("field")
        rows = [
            {name: _field(name, project, happened) for name in fields}
            for project, happened in sorted(self._found(question).items())
        ]
        return self._paged(question, rows, rows, question.number("per_page", 50) or 50, "data")

    def _chart(self, question: Question) -> Reply:
        step = int(question.one("interval").removesuffix("s"))
        begin, end = int(_instant(question.one("start")) or 0), int(_instant(question.one("end")) or 0)
        lines: list[Json] = []
        for project, happened in sorted(self._found(question).items(), key=lambda each: -len(each[1]))[:10]:
            values = [
                {
                    "timestamp": at * 1000,
                    "value": sum(at <= each.at < at + step for each in happened),
                    "incomplete": at + step > self.clock() - 30,
                }
                for at in range(begin - begin % step, end, step)
            ]
            lines.append({"yAxis": "count()", "groupBy": [{"key": "project", "value": project}], "values": values})
        return said(200, {"timeSeries": lines, "meta": {"dataset": "errors"}})

    def _sessions(self, question: Question) -> Reply:
        wanted = question.all("project")
        groups = [
            {
                "by": {"project": int(self.projects[project])},
                "totals": {"crash_free_rate(session)": rate if count else None, "sum(session)": count},
                "series": {},
            }
            for project, (rate, count) in self.healthy.items()
            if "-1" in wanted or self.projects[project] in wanted
        ]
        return said(200, {"groups": groups, "intervals": []})

    def _outcomes(self, question: Question) -> Reply:
        wanted = question.all("project")
        groups = [
            {"by": {"project": int(self.projects[project]), "outcome": outcome}, "totals": {"sum(quantity)": count}}
            for (project, outcome), count in self.outcomes.items()
            if "-1" in wanted or self.projects[project] in wanted
        ]
        return said(200, {"groups": groups, "intervals": []})


def _field(name: str, project: str, happened: list[Happening]) -> str | float:
    """Return a column of the table."""
    match name:
        case "project":
            return project
        case "count()":
            return len(happened)
        case "count_unique(user)":
            return len({each.user for each in happened})
        case "failure_rate()":
            return sum(each.failed for each in happened) / len(happened)
        case _:
            times = [each.seconds * 1000 for each in happened]
            return quantiles(times, n=20, method="inclusive")[18] if len(times) > 1 else times[0]


def _instant(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
