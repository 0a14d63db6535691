"""A look-alike of UptimeRobot's API, v3 and v2, in memory: its documented shapes, pages, statuses, limits and errors.

This module knows https://uptimerobot.com/api/v3/ and https://uptimerobot.com/api/ (v2), and nothing of evaluator's
sources. The free plan's limit, 10 requests a minute, is the default.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from evaluator.testing.vendor import Json, Question, Vendor, said
from evaluator.testing.wire import Reply

KEY = "ur-0123456789abcdef"
"""The key that is accepted, unless another is given."""
LARGEST_PAGE = {3: 200, 2: 50}
_NUMBERS = {"PAUSED": 0, "STARTED": 1, "UP": 2, "LOOKS_DOWN": 8, "DOWN": 9}
_STATS = re.compile(r"/v3/monitors/(\d+)/stats/(uptime|response-time)")


@dataclass
class RobotMonitor:
    """A monitor of the account."""

    id: int
    name: str
    status: str = "UP"
    """`UP`, `DOWN`, `LOOKS_DOWN`, `STARTED`, `PAUSED`."""
    uptime: dict[int, float] = field(default_factory=lambda: {1: 100.0, 7: 100.0, 30: 100.0})
    """Percent, by days."""
    milliseconds: float | None = 120.0
    """Its response time; `None`: none is known."""
    interval: int = 300


class UptimeRobot(Vendor):
    """The account: `with UptimeRobot() as robot: robot.add("api"); ...`."""

    def __init__(
        self, token: str = KEY, *, clock: Callable[[], float] = time.time, most: int = 10, page: int = 50
    ) -> None:
        """Allow `most` requests a minute; a v3 page without `limit` has `page` monitors."""
        super().__init__(clock=clock, most=most, seconds=60.0)
        self.token = token
        self.page = page
        self.monitors: list[RobotMonitor] = []
        self.retry_after = True
        """Whether 429 says `Retry-After`."""
        self._last = 800_000_000

    def add(self, name: str, status: str = "UP") -> RobotMonitor:
        """Make a monitor."""
        self._last += 1
        monitor = RobotMonitor(self._last, name, status)
        self.monitors.append(monitor)
        return monitor

    def refuse(self, wait: float) -> Reply:
        """Answer 429 as v3 does."""
        headers = {"Retry-After": str(ceil(wait))} if self.retry_after else {}
        return said(429, {"message": "Too many requests", "statusCode": 429}, {**self._limits(wait), **headers})

    def answer(self, question: Question) -> Reply:
        """Answer v3 and v2."""
        if question.path.startswith("/v2/"):
            return self._second(question)
        if question.headers.get("authorization") != f"Bearer {self.token}":
            return said(401, {"message": "Unauthorized", "statusCode": 401}, self._limits())
        if question.method != "GET":
            return said(405, {"message": "Method Not Allowed", "statusCode": 405})
        if question.path == "/v3/monitors":
            return self._list(question)
        if question.path == "/v3/user/me":
            plan = {"plan": "FREE", "monitorLimit": 50}
            user = {"email": "ops@example.com", "monitorsCount": len(self.monitors), "monitorLimit": 50}
            return said(200, {**user, "activeSubscription": plan}, self._limits())
        if match := _STATS.fullmatch(question.path):
            return self._stats(question, int(match[1]), match[2])
        return said(404, {"message": f"Cannot GET {question.path}", "statusCode": 404})

    def _limits(self, wait: float = 60.0) -> dict[str, str]:
        reset = str(ceil(self.clock() + wait))
        return {
            "X-RateLimit-Limit": str(self.most),
            "X-RateLimit-Remaining": str(self.left),
            "X-RateLimit-Reset": reset,
        }

    def _list(self, question: Question) -> Reply:
        """A page of v3: monitors by id, and the link to the next page."""
        limit, cursor = question.number("limit", self.page), question.number("cursor", 0)
        unknown = {name for name, _ in question.params} - {
            "limit",
            "cursor",
            "status",
            "name",
            "url",
            "tags",
            "groupId",
        }
        if limit is None or not 1 <= limit <= LARGEST_PAGE[3] or cursor is None or unknown:
            message = ["limit must not be greater than 200", *(f"property {name} should not exist" for name in unknown)]
            return said(400, {"message": message, "error": "Bad Request", "statusCode": 400})
        rest = sorted((each for each in self.monitors if each.id > cursor), key=lambda each: each.id)
        shown = rest[:limit]
        more = f"{self.url}/v3/monitors?limit={limit}&cursor={shown[-1].id}" if len(rest) > limit else None
        return said(200, {"nextLink": more, "data": [self._third(each) for each in shown]}, self._limits())

    def _third(self, monitor: RobotMonitor) -> Json:
        hours = [{"timestamp": int(self.clock()) - 3600 * hour, "uptime": monitor.uptime[1]} for hour in range(24)]
        return {
            "id": monitor.id,
            "friendlyName": monitor.name,
            "url": "https://example.com",
            "type": "HTTP",
            "interval": monitor.interval,
            "status": monitor.status,
            "currentStateDuration": 60,
            "lastIncidentId": None,
            "lastIncident": None,
            "lastDayUptimes": None if monitor.status == "STARTED" else {"bucketSize": 3600, "histogram": hours},
            "tags": [],
        }

    def _stats(self, question: Question, number: int, what: str) -> Reply:
        monitor = next((each for each in self.monitors if each.id == number), None)
        if monitor is None:
            return said(404, {"message": "Monitor not found", "statusCode": 404})
        found = [
            re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", question.one(name)) for name in ("from", "to")
        ]
        if not all(found):
            return said(400, {"message": ["from must be a valid ISO 8601 date string"], "statusCode": 400})
        if what == "response-time":
            value = monitor.milliseconds
            return said(200, {"summary": {"avg": value, "min": value, "max": value}, "time_series": []}, self._limits())
        begin, end = (time.mktime(time.strptime(each[1], "%Y-%m-%dT%H:%M:%S")) for each in found if each)
        days = round((end - begin) / 86400)
        return said(200, {"uptime": monitor.uptime.get(days, 100.0), "incidents": 0}, self._limits())

    def _second(self, question: Question) -> Reply:
        """V2: a form in, and status 200 for every error that is not a limit."""
        if question.method != "POST" or question.path != "/v2/getMonitors":
            return _fail("invalid_parameter", f"method {question.path} is not known")
        if question.one("api_key") != self.token:
            return _fail("invalid_parameter", "api_key is invalid.", "api_key", question.one("api_key"))
        limit, offset = question.number("limit", 50), question.number("offset", 0)
        if limit is None or offset is None or offset < 0 or limit < 1:
            return _fail("invalid_parameter", "limit is invalid.", "limit")
        limit = min(limit, LARGEST_PAGE[2])
        shown = self.monitors[offset : offset + limit]
        pages = {"offset": offset, "limit": limit, "total": len(self.monitors)}
        rows = [self._old(each, question) for each in shown]
        return said(200, {"stat": "ok", "pagination": pages, "monitors": rows}, self._limits())

    def _old(self, monitor: RobotMonitor, question: Question) -> Json:
        row: Json = {
            "id": monitor.id,
            "friendly_name": monitor.name,
            "url": "https://example.com",
            "type": 1,
            "interval": monitor.interval,
            "status": _NUMBERS.get(monitor.status, 7),
        }
        if ratios := question.one("custom_uptime_ratios"):
            row["custom_uptime_ratio"] = "-".join(f"{monitor.uptime[int(days)]:.3f}" for days in ratios.split("-"))
        if question.one("response_times") == "1":
            value = monitor.milliseconds
            row["response_times"] = [] if value is None else [{"datetime": int(self.clock()) - 60, "value": int(value)}]
            row["average_response_time"] = "" if value is None else f"{value:.3f}"
        return row


def _fail(kind: str, message: str, name: str = "", passed: str = "") -> Reply:
    error = {"type": kind, "parameter_name": name, "passed_value": passed, "message": message}
    return said(200, {"stat": "fail", "error": error})
