"""A look-alike of Stripe's API as far as it is read: lists, pages, filters, permissions, limits and errors, in memory.

This module knows https://docs.stripe.com/api, and nothing of evaluator's sources. What it does not know of a request it
refuses, as Stripe does. Instants are its clock's, in seconds since the epoch.
"""

import re
import time
from collections.abc import Callable, Collection

from evaluator.testing.vendor import Json, Question, Vendor, said
from evaluator.testing.wire import Reply

KEY = "rk_live_0123456789abcdefghij"
"""The key that is accepted, unless another is given."""
LARGEST_PAGE = 100
MOST_TYPES = 20

_PERMISSIONS = {
    "events": "rak_event_read",
    "charges": "rak_charge_read",
    "refunds": "rak_charge_read",
    "disputes": "rak_dispute_read",
    "webhook_endpoints": "rak_webhook_read",
}
PERMISSIONS = frozenset(_PERMISSIONS.values())
_LISTED = {"limit", "starting_after", "ending_before"}
_FILTERS = {
    "events": {"created", "type", "types[]", "delivery_success"},
    "charges": {"created", "customer", "payment_intent"},
    "refunds": {"created", "charge", "payment_intent"},
    "disputes": {"created", "charge", "payment_intent"},
    "webhook_endpoints": set[str](),
}
_BOUND = re.compile(r"created\[(gte|gt|lte|lt)\]")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "gte": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "lte": lambda a, b: a <= b,
    "lt": lambda a, b: a < b,
}


class Stripe(Vendor):
    """The account: `with Stripe() as stripe: stripe.event(age=600, delivered=False); ...`."""

    def __init__(
        self,
        key: str = KEY,
        *,
        clock: Callable[[], float] = time.time,
        may: Collection[str] = PERMISSIONS,
        most: int = 25,
    ) -> None:
        """Allow `most` requests a second, and what the permissions in `may` (`rak_…`) allow."""
        super().__init__(clock=clock, most=most, seconds=1.0)
        self.key = key
        self.may = set(may)
        self.rows: dict[str, list[Json]] = {kind: [] for kind in _PERMISSIONS}
        self._made = 0

    def event(self, kind: str = "payment_intent.succeeded", *, age: float = 0.0, delivered: bool = True) -> Json:
        """Let an event happen `age` seconds ago."""
        fields: Json = {"type": kind, "pending_webhooks": 0 if delivered else 1, "api_version": "2026-10-28.endive"}
        return self._add("events", "evt", "event", age, fields)

    def deliver(self) -> None:
        """Deliver all events."""
        for row in self.rows["events"]:
            row["pending_webhooks"] = 0

    def charge(
        self,
        status: str = "succeeded",
        *,
        age: float = 0.0,
        outcome: str = "authorized",
        intent: str | None = None,
        amount: int = 1000,
        currency: str = "usd",
    ) -> Json:
        """Make a charge."""
        fields: Json = {"status": status, "amount": amount, "currency": currency, "outcome": {"type": outcome}}
        row = self._add("charges", "ch", "charge", age, fields)
        row["payment_intent"] = intent or f"pi_{row['id']}"
        return row

    def refund(self, status: str = "succeeded", *, age: float = 0.0, amount: int = 1000, currency: str = "usd") -> Json:
        """Refund something."""
        fields = {"status": status, "amount": amount, "currency": currency, "charge": None}
        return self._add("refunds", "re", "refund", age, fields)

    def dispute(self, *, age: float = 0.0) -> Json:
        """Let a customer's bank dispute a charge."""
        return self._add("disputes", "dp", "dispute", age, {"status": "needs_response", "amount": 1000})

    def endpoint(self, url: str, status: str = "enabled") -> Json:
        """Register a webhook endpoint."""
        return self._add("webhook_endpoints", "we", "webhook_endpoint", 0.0, {"url": url, "status": status})

    def _add(self, kind: str, prefix: str, name: str, age: float, fields: Json) -> Json:
        self._made += 1
        base = {"id": f"{prefix}_{self._made:08d}", "object": name, "created": int(self.clock() - age)}
        row: Json = {**base, "livemode": "live" in self.key, "metadata": {}, **fields}
        self.rows[kind].append(row)
        return row

    def refuse(self, wait: float) -> Reply:
        """Answer 429 as Stripe does: without a time to come back."""
        del wait
        text = "Request rate limit exceeded. You can learn more here https://stripe.com/docs/rate-limits"
        return _error(429, text, code="rate_limit")

    def answer(self, question: Question) -> Reply:
        """Answer lists and single objects."""
        given = question.headers.get("authorization", "")
        if given != f"Bearer {self.key}":
            hidden = f"{given[7:14]}{'*' * 10}{given[-4:]}"
            return _error(401, f"Invalid API Key provided: {hidden}")
        if "stripe-version" not in question.headers:
            return _error(400, "the look-alike wants a pinned Stripe-Version")
        match = re.fullmatch(r"/v1/(\w+)(?:/(\w+))?", question.path)
        if match is None or match[1] not in _PERMISSIONS or question.method != "GET":
            return _error(404, f"Unrecognized request URL ({question.method}: {question.path}).")
        kind, one = match[1], match[2]
        if _PERMISSIONS[kind] not in self.may:
            return _error(
                403,
                f"The provided key 'rk_live_**{self.key[-4:]}' does not have the required permissions for this "
                f"endpoint. Having the '{_PERMISSIONS[kind]}' permission would allow this request to continue.",
            )
        if one is None:
            return self._list(kind, question)
        found = next((row for row in self.rows[kind] if row["id"] == one), None)
        return _error(404, f"No such object: '{one}'", code="resource_missing") if found is None else said(200, found)

    def _list(self, kind: str, question: Question) -> Reply:
        """A page, newest first."""
        if problem := _problem(kind, question):
            return problem
        rows = sorted(self.rows[kind], key=lambda row: (row["created"], row["id"]), reverse=True)
        rows = [row for row in rows if _fits(row, question)]
        if cursor := question.one("starting_after"):
            place = next((number for number, row in enumerate(rows) if row["id"] == cursor), None)
            if place is None:
                return _error(400, f"No such object: '{cursor}'", code="resource_missing")
            rows = rows[place + 1 :]
        limit = question.number("limit", 10) or 10
        page = {"object": "list", "url": question.path, "has_more": len(rows) > limit, "data": rows[:limit]}
        return said(200, page)


def _problem(kind: str, question: Question) -> Reply | None:
    """Return what is wrong with the parameters of a list."""
    known = _LISTED | _FILTERS[kind]
    for name, _ in question.params:
        if name not in known and not ("created" in known and _BOUND.fullmatch(name)):
            return _error(400, f"Received unknown parameter: {name}", code="parameter_unknown")
        if _BOUND.fullmatch(name) and question.number(name, 0) is None:
            return _error(400, f"Invalid integer: {question.one(name)}", code="parameter_invalid_integer")
    limit = question.number("limit", 10)
    if limit is None or not 1 <= limit <= LARGEST_PAGE:
        return _error(400, "This value must be less than or equal to 100 (it currently is set to 'limit').")
    if len(question.all("types[]")) > MOST_TYPES:
        return _error(400, "You may pass at most 20 types.")
    if question.all("types[]") and question.one("type"):
        return _error(400, "You may not pass both types and type.")
    if question.one("delivery_success") not in {"", "true", "false"}:
        return _error(400, "Invalid boolean: delivery_success")
    return None


def _fits(row: Json, question: Question) -> bool:
    """Return whether a row is among those that were asked for."""
    for name, value in question.params:
        bound = _BOUND.fullmatch(name)
        if bound and not _COMPARE[bound[1]](row["created"], int(value)):
            return False
    types = question.all("types[]")
    if types and row["type"] not in types:
        return False
    wanted = question.one("delivery_success")
    return not wanted or (row["pending_webhooks"] == 0) == (wanted == "true")


def _error(status: int, message: str, *, code: str | None = None) -> Reply:
    error: Json = {"type": "invalid_request_error", "message": message}
    return said(status, {"error": {**error, "code": code} if code else error})
