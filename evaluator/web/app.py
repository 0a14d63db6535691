"""The endpoints that read, and the list of all.

This module knows paths, parameters and content types. What is shown is worked out in `picture`, `prometheus`,
`incidents` and `why`; who may ask is decided in `guard`; what changes something is in `writes`. What takes long is
worked out in a thread, from a frozen snapshot.
"""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from evaluator.incidents.incident import Incident
from evaluator.store.errors import StoreUnavailable
from evaluator.telemetry.metrics import Metrics
from evaluator.web import pages
from evaluator.web.guard import Guard, failure
from evaluator.web.incidents import incident_json, timeline_json
from evaluator.web.picture import picture
from evaluator.web.prometheus import Filter, alerts_json, rules_json
from evaluator.web.view import View
from evaluator.web.why import question, why_json
from evaluator.web.writes import Writes

LIMIT = 100
"""Incidents in one answer, where `limit` does not say otherwise."""
MOST = 1000
_PAGE_READ = 500
"""Incidents that the store is asked for at once where open ones are to be left out."""
_ID = re.compile(r"[0-9A-Za-z]{1,40}")


class _BadParameterError(ValueError):
    """A parameter that cannot be meant; the message says what can."""


class Endpoints:
    """The endpoints of one daemon."""

    def __init__(self, view: View, metrics: Metrics, token: SecretStr | None) -> None:
        self._view = view
        self._metrics = metrics
        self._writes = Writes(view, token)

    def routes(self) -> list[Route]:
        """Return all routes; HEAD comes with GET."""
        return [
            Route("/", self.first_page),
            Route("/incidents/{id}", self.incident_page),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/api/v1/status", self.status),
            Route("/api/v1/rules", self.rules),
            Route("/api/v1/alerts", self.alerts),
            Route("/api/v1/incidents", self.incidents),
            Route("/api/v1/incidents/{id}", self.incident),
            Route("/api/v1/silences", self._writes.silences, methods=["GET", "POST"]),
            Route("/api/v1/silences/{id}", self._writes.silence, methods=["DELETE"]),
            Route("/api/v1/why", self.why),
        ]

    async def first_page(self, _request: Request) -> Response:
        """Answer `/`."""
        return _page(await run_in_threadpool(pages.first_page, self._view.snapshot()))

    async def incident_page(self, request: Request) -> Response:
        """Answer `/incidents/{id}`."""
        found = await self._view.incident(_id(request))
        if found is None:
            raise HTTPException(404, "There is no incident of this id")
        return _page(await run_in_threadpool(pages.incident_page, self._view.snapshot(), *found))

    async def healthz(self, _request: Request) -> Response:
        """Answer `/healthz`: the loop runs, or nobody would answer."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """Answer `/readyz`: what is missing, one reason a line."""
        missing = self._view.snapshot().ready
        if missing:
            return PlainTextResponse("".join(f"{reason}\n" for reason in ("not ready", *missing)), 503)
        return PlainTextResponse("ready\n")

    async def metrics(self, request: Request) -> Response:
        """Answer `/metrics`."""
        body, content_type = self._metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def status(self, _request: Request) -> Response:
        """Answer `/api/v1/status`: what `/` shows."""
        return await _data(picture, self._view.snapshot())

    async def rules(self, request: Request) -> Response:
        """Answer `/api/v1/rules`."""
        query = request.query_params
        kind = query.get("type", "")
        if kind not in {"", "alert", "record"}:
            raise _BadParameterError(f'type is "alert" or "record", not "{kind[:40]}"')
        exclude = query.get("exclude_alerts", "false").lower()
        if exclude not in {"true", "false", "1", "0", "t", "f"}:
            raise _BadParameterError(f'exclude_alerts is "true" or "false", not "{exclude[:40]}"')
        wanted = Filter(
            names=frozenset(query.getlist("rule_name[]")),
            groups=frozenset(query.getlist("rule_group[]")),
            files=frozenset(query.getlist("file[]")),
            recording=kind == "record",
            alerts=exclude not in {"true", "1", "t"},
        )
        return await _data(rules_json, self._view.snapshot(), wanted)

    async def alerts(self, _request: Request) -> Response:
        """Answer `/api/v1/alerts`."""
        return await _data(alerts_json, self._view.snapshot())

    async def incidents(self, request: Request) -> Response:
        """Answer `/api/v1/incidents`: the newest first."""
        state, limit, before = _paging(request)
        snapshot = self._view.snapshot()
        if state == "open":
            newest = sorted((item for item in snapshot.incidents if item.open), key=lambda item: item.id, reverse=True)
            found = [item for item in newest if before is None or item.id < before][: limit + 1]
        else:
            found = await self._history(limit + 1, before, resolved=state == "resolved")
        shown = found[:limit]
        following = shown[-1].id if len(found) > limit else None

        def body() -> dict[str, Any]:
            return {"incidents": [incident_json(incident, snapshot.now) for incident in shown], "next": following}

        return await _data(body)

    async def incident(self, request: Request) -> Response:
        """Answer `/api/v1/incidents/{id}`: with its timeline."""
        found = await self._view.incident(_id(request))
        if found is None:
            raise HTTPException(404, "there is no incident of this id")
        incident, events = found
        now = self._view.snapshot().now
        return await _data(lambda: {**incident_json(incident, now), "timeline": timeline_json(events)})

    async def why(self, request: Request) -> Response:
        """Answer `/api/v1/why`: what became of a rule in each of its evaluations."""
        query, shown = request.query_params, self._view.snapshot()
        try:
            asked = question(
                query.get("rule", ""),
                query.get("series", ""),
                query.get("at"),
                query.get("limit"),
                shown.now,
                shown.timezone,
            )
        except ValueError as problem:
            raise _BadParameterError(str(problem)) from None
        looks = await self._view.looks(asked)
        rules = {status.rule.name: status.rule for status in shown.rules}
        try:
            return await _data(why_json, asked, looks, rules, shown.timezone)
        except LookupError as problem:
            raise HTTPException(404, str(problem.args[0])) from None

    async def _history(self, limit: int, before: str | None, *, resolved: bool) -> list[Incident]:
        """Return this many incidents of the store, or all that there are."""
        if not resolved:
            return list(await self._view.history(limit, before))
        found: list[Incident] = []
        while len(found) < limit:
            page = await self._view.history(_PAGE_READ, before)
            found += [incident for incident in page if not incident.open]
            if len(page) < _PAGE_READ:
                break
            before = page[-1].id
        return found[:limit]


def make_app(view: View, metrics: Metrics, *, token: SecretStr | None) -> Starlette:
    """Return the web application."""

    async def not_found(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) else ""
        path = request.url.path
        if path.startswith("/incidents/") and status == 404:
            return _page(pages.error_page(view.snapshot(), detail), 404)
        answer = failure(path, status, _kind(status), detail or HTTPStatus(status).phrase)
        answer.headers.update(getattr(error, "headers", None) or {})
        return answer

    async def bad_parameter(request: Request, error: Exception) -> Response:
        return failure(request.url.path, 400, "bad_data", str(error))

    async def store_unavailable(request: Request, error: Exception) -> Response:
        return failure(request.url.path, 503, "unavailable", str(error))

    app = Starlette(
        routes=Endpoints(view, metrics, token).routes(),
        middleware=[
            Middleware(Guard, metrics=metrics, token=token),
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=4),
        ],
        exception_handlers={
            HTTPException: not_found,
            _BadParameterError: bad_parameter,
            StoreUnavailable: store_unavailable,
        },
    )
    # A redirect would be built from whatever Host header the caller sent.
    app.router.redirect_slashes = False
    return app


def _paging(request: Request) -> tuple[str, int, str | None]:
    query = request.query_params
    state, limit, before = query.get("state", "open"), query.get("limit", str(LIMIT)), query.get("before")
    if state not in {"open", "resolved", "all"}:
        raise _BadParameterError(f'state is "open", "resolved" or "all", not "{state[:40]}"')
    if not re.fullmatch(r"[0-9]{1,6}", limit) or not 1 <= int(limit) <= MOST:
        raise _BadParameterError(f"limit is a number from 1 to {MOST}")
    if before is not None and not _ID.fullmatch(before):
        raise _BadParameterError("before is the id of an incident")
    return state, int(limit), before


def _id(request: Request) -> str:
    found = str(request.path_params["id"])
    if not _ID.fullmatch(found):
        raise HTTPException(404, "There is no incident of this id")
    return found


def _kind(status: int) -> str:
    return {404: "not_found", 405: "not_allowed"}.get(status, "bad_data")


def _page(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status, headers={"Content-Security-Policy": pages.POLICY})


async def _data(make: Callable[..., Any], *arguments: Any) -> Response:  # noqa: ANN401  # Passed on as they are.
    """Return JSON in Prometheus' envelope, made and written in a thread: it may be a hundred thousand alerts."""

    def write() -> bytes:
        answer = {"status": "success", "data": make(*arguments)}
        return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    return Response(await run_in_threadpool(write), media_type="application/json")
