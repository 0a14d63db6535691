"""The endpoints that change something: who may, and what a request must be. So far these are silences.

This module knows tokens, bodies and statuses. What a silence is made of is known in `silences`; the daemon begins it.

A browser must not be able to write for a page that it happens to show (CSRF): only the header `Authorization: Bearer`
counts, which no browser sends by itself, and only a body that says that it is JSON, which no form can send.
"""

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from evaluator.engine.units import parse_duration
from evaluator.incidents.silence import Silence
from evaluator.web.guard import bearer, failure
from evaluator.web.moments import moment_of
from evaluator.web.silences import BY_LENGTH, coverage_json, one_line, silence_json, silence_of
from evaluator.web.view import Snapshot, View
from evaluator.web.wording import shorten, zone

Json = dict[str, Any]

MOST_BYTES = 64 * 1024
"""Of a body."""
MOST_SILENCES = 1000
"""In force at once: each of them is asked about every alert."""
UNNAMED = "api"
"""Who asks, where the request does not say."""

KEYS = ("rules", "except", "series", "for", "until", "reason", "by", "ends_with_alert")
"""What a body may say of a silence."""


class _RefusedError(Exception):
    """A request that changes nothing: its status, the kind of the error, and one sentence."""

    def __init__(self, status: int, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.kind = kind


class Writes:
    """The endpoints of silences, reading included."""

    def __init__(self, view: View, token: SecretStr | None) -> None:
        """Write for whoever has the token; for nobody without one."""
        self._view = view
        self._token = token

    async def silences(self, request: Request) -> Response:
        """Answer `/api/v1/silences`."""
        if request.method != "POST":
            return await self._list(request)
        return await self._refusing(request, self._begin)

    async def silence(self, request: Request) -> Response:
        """Answer `/api/v1/silences/{id}`: it ends."""
        return await self._refusing(request, self._end)

    async def _list(self, request: Request) -> Response:
        asked = request.query_params.get("all", "false").lower()
        if asked not in {"true", "false", "1", "0"}:
            return failure(request.url.path, 400, "bad_data", f'all is "true" or "false", not "{shorten(asked, 40)}"')
        everything = asked in {"true", "1"}
        past = await self._view.silences(MOST_SILENCES) if everything else ()
        shown = self._view.snapshot()
        # What memory has is newer than what the store has.
        found = {silence.id: silence for silence in (*past, *shown.silences)}
        listed = [found[each] for each in sorted(found, reverse=True) if everything or not found[each].over(shown.now)]
        return await run_in_threadpool(lambda: _answer({"silences": [_shown(each, shown) for each in listed]}))

    async def _refusing(self, request: Request, work: Callable[[Request], Any]) -> Response:
        try:
            self._require_token(request)
            return await work(request)  # type: ignore[no-any-return]  # Both return a response.
        except _RefusedError as refused:
            answer = failure(request.url.path, refused.status, refused.kind, str(refused))
            if refused.status == 401:
                answer.headers["WWW-Authenticate"] = 'Bearer realm="evaluator"'
            return answer

    def _require_token(self, request: Request) -> None:
        if self._token is None:
            raise _RefusedError(403, "forbidden", "writing is off: set `token` in [web] of the settings, and restart")
        if not bearer(request.headers.get("authorization", ""), self._token):
            raise _RefusedError(
                401, "unauthorized", "writing needs the header `Authorization: Bearer` with the token of [web]"
            )

    async def _begin(self, request: Request) -> Response:
        shown = self._view.snapshot()
        body = await _json_of(request)
        if sum(silence.holds(shown.now) for silence in shown.silences) >= MOST_SILENCES:
            raise _RefusedError(400, "bad_data", f"{MOST_SILENCES} silences are in force: end some of them first")
        try:
            asked = wish_of(body, shown.now, shown.timezone)
        except ValueError as problem:
            raise _RefusedError(400, "bad_data", str(problem)) from None
        silence = await self._view.silence(asked)
        return _answer(_shown(silence, self._view.snapshot()), 201)

    async def _end(self, request: Request) -> Response:
        shown = self._view.snapshot()
        wanted = str(request.path_params["id"])
        found = next((silence for silence in shown.silences if silence.id == wanted.upper()), None)
        if found is None:
            raise _RefusedError(404, "not_found", "there is no silence of this id; GET /api/v1/silences lists them")
        if not found.over(shown.now):
            try:
                by = one_line("by", request.query_params.get("by") or UNNAMED, BY_LENGTH)
            except ValueError as problem:
                raise _RefusedError(400, "bad_data", str(problem)) from None
            found = await self._view.unsilence(found, by)
        return _answer(_shown(found, self._view.snapshot()))


def wish_of(body: Mapping[str, Any], now: float, timezone: str) -> Silence:
    """Return the silence that a body asks for, without an id; `ValueError` says what is wrong with it."""
    for key in body:
        if key not in KEYS:
            close = get_close_matches(key, KEYS, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else f"; there are {', '.join(KEYS)}"
            raise ValueError(f'"{shorten(key, 40)}" is not a key of a silence{hint}')
    if ("for" in body) is ("until" in body):
        raise ValueError('either "for" (a duration like "2h") or "until" (a time) must be there')
    series = body.get("series", {})
    if not isinstance(series, dict) or not all(isinstance(pattern, str) for pattern in series.values()):
        raise ValueError('"series" must be an object of label: pattern')
    ends_with_alert = body.get("ends_with_alert", False)
    if not isinstance(ends_with_alert, bool):
        raise ValueError('"ends_with_alert" must be true or false')  # noqa: TRY004  # As for every mistake in a body.
    return silence_of(
        "",
        rules=_texts(body, "rules"),
        exceptions=_texts(body, "except"),
        series=series,
        reason=_text(body, "reason"),
        by=_text(body, "by") or UNNAMED,
        now=now,
        ends_at=_end_of(body, now, timezone),
        ends_with_alert=ends_with_alert,
    )


def _end_of(body: Mapping[str, Any], now: float, timezone: str) -> float:
    if "until" in body:
        return moment_of(_text(body, "until"), now, zone(timezone), ahead=True)
    try:
        return now + parse_duration(_text(body, "for"))
    except ValueError as problem:
        raise ValueError(f'"for": {problem}') from None


def _text(body: Mapping[str, Any], key: str) -> str:
    found = body.get(key, "")
    if not isinstance(found, str):
        raise ValueError(f'"{key}" must be a text')  # noqa: TRY004  # As above.
    return found


def _texts(body: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = body.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError(f'"{key}" must be a list of texts')
    return tuple(found)


def _shown(silence: Silence, shown: Snapshot) -> Json:
    """Return a silence with what it holds back now."""
    rules = [status.rule.name for status in shown.rules]
    return {**silence_json(silence, shown.now), **coverage_json(silence, shown.alerts, rules)}


async def _json_of(request: Request) -> Json:
    """Return the JSON object of a body that is not too long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _RefusedError(415, "bad_data", "the body must be JSON, with the header `Content-Type: application/json`")
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise _RefusedError(413, "bad_data", f"the body is longer than {MOST_BYTES} bytes")
    except ClientDisconnect:
        raise _RefusedError(400, "bad_data", "the body has no end") from None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise _RefusedError(400, "bad_data", "the body is not JSON") from None
    if not isinstance(found, dict):
        raise _RefusedError(400, "bad_data", "the body must be a JSON object")
    return found


def _answer(data: Json, status: int = 200) -> Response:
    return JSONResponse({"status": "success", "data": data}, status)
