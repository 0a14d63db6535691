"""Reading monitors from UptimeRobot, in the shapes of its API v3 and v2.

It knows paths, pages and statuses. It never knows rules' filters, and gives a list whole or not at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import fsum, nan

import msgspec

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.api import AskError, Round
from evaluator.sources.weather import said

MOST_PAGES = 100
"""Pages of one list: 20,000 monitors in v3, 5,000 in v2."""
HOUR = 3600.0
NEEDS = "a key of the whole account"

_STATUSES = {"UP": 1.0, "DOWN": 0.0}
_NUMBERS = {0: "PAUSED", 1: "STARTED", 2: "UP", 8: "LOOKS_DOWN", 9: "DOWN"}
"""What v2 says, in the words of v3 (https://uptimerobot.com/api/, "status")."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor, as it was when the list was read."""

    id: int
    name: str
    status: str
    """`UP`, `DOWN`, `LOOKS_DOWN` (not sure yet), `STARTED` (not checked yet), `PAUSED`, or a word of the future."""
    ratios: dict[str, float] = field(default_factory=dict)
    """Percent, by window."""
    response: float | None = None
    """Seconds, the mean of the last hour; `None`: the list does not say."""

    @property
    def up(self) -> float:
        """1, 0, or NaN while UptimeRobot itself does not know."""
        return _STATUSES.get(self.status, nan)


class _Hour(msgspec.Struct):
    uptime: float | None = None


class _Day(msgspec.Struct):
    histogram: list[_Hour] = []


class _Third(msgspec.Struct, rename="camel"):
    id: int
    status: str | None = None
    friendly_name: str | None = None
    last_day_uptimes: _Day | None = None


class _Thirds(msgspec.Struct, rename="camel"):
    data: list[_Third]
    next_link: str | None = None


class _Uptime(msgspec.Struct):
    uptime: float | None = None


class _Mean(msgspec.Struct):
    avg: float | None = None


class _Response(msgspec.Struct):
    summary: _Mean | None = None


class _Moment(msgspec.Struct):
    datetime: float
    value: float


class _Second(msgspec.Struct):
    id: int
    status: int
    friendly_name: str | None = None
    custom_uptime_ratio: str = ""
    response_times: list[_Moment] = []


class _Pages(msgspec.Struct):
    total: int = 0


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""
    parameter_name: str = ""


class _Seconds(msgspec.Struct):
    stat: str
    pagination: _Pages | None = None
    monitors: list[_Second] = []
    error: _Error | None = None


async def third(asked: Round) -> list[Monitor]:
    """Return all monitors through v3; `AskError` where any page is missing."""
    found: dict[int, Monitor] = {}
    cursor = ""
    for _ in range(MOST_PAGES):
        params = [("limit", "200"), *([("cursor", cursor)] if cursor else [])]
        page = (await asked.get("/v3/monitors", params, _Thirds, needs=NEEDS)).document
        found |= {each.id: _from_third(each) for each in page.data}
        if not page.next_link:
            return list(found.values())
        before, cursor = cursor, _cursor(page.next_link)
        if not cursor or cursor == before:
            raise _bad("the link to its next page has no new cursor")
    raise _endless(len(found))


def _cursor(link: str) -> str:
    """Return the cursor in the link to the next page. Nothing else of it is believed: the token goes with us."""
    _, _, rest = link.partition("cursor=")
    cursor = rest.partition("&")[0]
    return cursor if cursor.replace("-", "").replace("_", "").isalnum() else ""


def _from_third(row: _Third) -> Monitor:
    ratios = {}
    if row.last_day_uptimes is not None:
        hours = [each.uptime for each in row.last_day_uptimes.histogram if each.uptime is not None]
        if hours:
            ratios["1d"] = fsum(hours) / len(hours)
    return Monitor(row.id, row.friendly_name or str(row.id), row.status or "UNKNOWN", ratios)


async def second(asked: Round, token: str, *, responses: bool) -> list[Monitor]:
    """Return all monitors through v2, whose errors come with status 200; `AskError` where any page is missing."""
    found: dict[int, Monitor] = {}
    form = [("api_key", token), ("format", "json"), ("limit", "50"), ("custom_uptime_ratios", "1-7-30")]
    form += [("response_times", "1")] if responses else []
    offset = 0
    for _ in range(MOST_PAGES):
        page = (await asked.post("/v2/getMonitors", [*form, ("offset", str(offset))], _Seconds)).document
        if page.stat != "ok":
            raise _failed(page.error or _Error(), token)
        found |= {each.id: _from_second(each, asked.time) for each in page.monitors}
        offset += len(page.monitors)
        total = 0 if page.pagination is None else page.pagination.total
        if offset >= total:
            return list(found.values())
        if not page.monitors:
            raise _bad(f"it says that there are {total} monitors, and shows {offset}")
    raise _endless(len(found))


def _from_second(row: _Second, now: float) -> Monitor:
    windows = zip(("1d", "7d", "30d"), _percents(row.custom_uptime_ratio), strict=False)
    recent = [each.value for each in row.response_times if each.datetime > now - HOUR]
    response = fsum(recent) / len(recent) / 1000 if recent else None
    status = _NUMBERS.get(row.status, str(row.status))
    return Monitor(row.id, row.friendly_name or str(row.id), status, dict(windows), response)


def _percents(text: str) -> Iterator[float]:
    """Yield the numbers of `99.9-100.0-98.5`."""
    for each in text.split("-"):
        try:
            yield float(each)
        except ValueError:
            return


async def uptime(asked: Round, number: int, days: int) -> float:
    """Return the percent that a monitor was up, through v3; NaN where it does not say."""
    params = _span(asked.time, days * 86400)
    page = await asked.get(f"/v3/monitors/{number}/stats/uptime", params, _Uptime, needs=NEEDS)
    return nan if page.document.uptime is None else page.document.uptime


async def response_time(asked: Round, number: int) -> float:
    """Return the mean response time of the last hour in seconds, through v3; NaN where it does not say."""
    params = _span(asked.time, HOUR)
    page = await asked.get(f"/v3/monitors/{number}/stats/response-time", params, _Response, needs=NEEDS)
    summary = page.document.summary
    return nan if summary is None or summary.avg is None else summary.avg / 1000


def _span(now: float, seconds: float) -> list[tuple[str, str]]:
    end = datetime.fromtimestamp(now, UTC).replace(microsecond=0)
    begin = end - timedelta(seconds=seconds)
    return [(name, at.isoformat().replace("+00:00", "Z")) for name, at in (("from", begin), ("to", end))]


def _failed(error: _Error, token: str) -> AskError:
    """Return what an error of v2 means."""
    words = said(f"{error.message or error.type}", [token])
    if error.parameter_name == "api_key" or "api_key" in error.message or error.type == "not_authorized":
        return AskError(PollFailed(FailureReason.AUTH, f"UptimeRobot: it does not accept our key: {words}"))
    if "limit" in error.message and "rate" in error.message:
        return AskError(PollFailed(FailureReason.RATE_LIMITED, f"UptimeRobot: {words}"))
    return AskError(PollFailed(FailureReason.BAD_ANSWER, f"UptimeRobot: it cannot answer this: {words}"))


def _bad(what: str) -> AskError:
    return AskError(PollFailed(FailureReason.BAD_ANSWER, f"UptimeRobot: {what}"))


def _endless(count: int) -> AskError:
    text = f"UptimeRobot: the list has more than {MOST_PAGES} pages ({count} monitors were read)"
    return AskError(PollFailed(FailureReason.TOO_BIG, text))
