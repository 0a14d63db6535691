"""What the objects of a window come to: counts and ratios.

This module knows arithmetic over Stripe's objects. It never talks to a server.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.api_refusals import did_you_mean
from evaluator.sources.stripe_ledger import Undelivered
from evaluator.sources.stripe_objects import Charge, Dispute, Endpoint, Event, Refund
from evaluator.sources.stripe_query import StripeQuery

_DECLINES = frozenset({"issuer_declined", "blocked"})
"""Outcomes that are the bank's or Radar's decision; others are ours or Stripe's
(https://docs.stripe.com/api/charges/object#charge_object-outcome-type)."""
_NO_REFUND = frozenset({"failed", "canceled"})


@dataclass(frozen=True, slots=True)
class Payments:
    """What became of the payments of a window."""

    decided: int
    failed: int
    declined: int


@dataclass(frozen=True, slots=True)
class Books:
    """What was read, as of an instant of Stripe's clock."""

    at: float
    undelivered: Undelivered | None = None
    events: Sequence[Event] = ()
    charges: Sequence[Charge] = ()
    refunds: Sequence[Refund] = ()
    disputes: Sequence[Dispute] = ()
    endpoints: Sequence[Endpoint] = ()
    warnings: tuple[str, ...] = ()
    payments: dict[float, Payments] = field(default_factory=dict)
    """By window, worked out when the first query asks: many rules share a window."""


def measured(query: StripeQuery, books: Books) -> PollResult:
    """Return the samples of one query."""
    since = books.at - query.window
    match query.measure:
        case "webhook_failures":
            return _failures(query, books)
        case "webhook_failure_ratio":
            return _failure_ratio(query, books)
        case "endpoints_disabled":
            return _disabled(query, books)
        case "charge_failure_ratio":
            return _charge_failures(query, books)
        case "refund_ratio":
            return _refund_ratio(query, books, since)
        case "refunds":
            return _one(float(len(_refunds(books, since))), books)
        case "disputes":
            return _one(float(sum(each.created >= since for each in books.disputes)), books)
        case "up":
            return _one(1.0, books)


def _one(value: float, books: Books, *warnings: str) -> Samples:
    return Samples([{}], [value], warnings=(*warnings, *books.warnings))


def _too_few(count: int, query: StripeQuery, what: str, books: Books) -> Samples:
    """Return an answer without a series: a ratio of a few says nothing."""
    return Samples(
        warnings=(f"{count} {what} in the window, fewer than min_count = {query.min_count}", *books.warnings)
    )


def _matches(patterns: Iterable[str], kind: str) -> bool:
    wanted = tuple(patterns)
    return not wanted or any(fnmatchcase(kind, each) for each in wanted)


def _failures(query: StripeQuery, books: Books) -> PollResult:
    """Return how many events are undelivered; where not all could be read, at least so many, or no answer."""
    found = books.undelivered
    if found is None:
        return PollFailed(FailureReason.INTERNAL, "Stripe: events were not read")
    end = books.at - query.grace
    begin = end - query.window
    times = [at for at, kind in found.events if begin <= at <= end and _matches(query.patterns, kind)]
    oldest = min((at for at, _ in found.events), default=found.end)
    if found.whole or oldest < begin:
        return _one(float(len(times)), books)
    if set(query.patterns) != set(found.types) or end < found.end:
        text = (
            f"more than {len(found.events)} events are undelivered, too many to look for some of them; raise max_pages"
        )
        return PollFailed(FailureReason.TOO_BIG, f"Stripe: {text}")
    return _one(float(len(times)), books, f"more than {len(times)} events are undelivered; this many were read")


def _failure_ratio(query: StripeQuery, books: Books) -> PollResult:
    failed = _failures(query, books)
    if isinstance(failed, PollFailed):
        return failed
    if books.undelivered is not None and failed.warnings[: len(failed.warnings) - len(books.warnings)]:
        return PollFailed(FailureReason.TOO_BIG, f"Stripe: {failed.warnings[0]}; raise max_pages")
    end = books.at - query.grace
    begin = end - query.window
    count = sum(begin <= each.created <= end and _matches(query.patterns, each.type) for each in books.events)
    if count < query.min_count:
        return _too_few(count, query, "events", books)
    return _one(min(failed.values[0] / count, 1.0), books)


def _disabled(query: StripeQuery, books: Books) -> PollResult:
    urls = [each.url for each in books.endpoints]
    absent = [each for each in query.endpoints if not any(url == each or fnmatchcase(url, each) for url in urls)]
    chosen = [
        each
        for each in books.endpoints
        if not query.endpoints or any(each.url == one or fnmatchcase(each.url, one) for one in query.endpoints)
    ]
    if absent and not chosen:
        message = f"Stripe: there is no webhook endpoint {absent[0]}{did_you_mean(absent[0], urls)}"
        return PollFailed(FailureReason.BAD_QUERY, message)
    off = [each.url for each in chosen if each.status != "enabled"]
    missing = [f"there is no webhook endpoint {each}" for each in absent]
    return _one(float(len(off)), books, *(f"{url} is disabled" for url in off[:10]), *missing)


def _charge_failures(query: StripeQuery, books: Books) -> PollResult:
    """Return the ratio of payments that failed."""
    kept = books.payments.get(query.window)
    if kept is None:
        since = books.at - query.window
        kept = books.payments[query.window] = _payments(each for each in books.charges if each.created >= since)
    if kept.decided < query.min_count:
        return _too_few(kept.decided, query, "payments", books)
    failed = {"declines": kept.declined, "own": kept.failed - kept.declined}.get(query.faults, kept.failed)
    return _one(failed / kept.decided, books)


def _payments(charges: Iterable[Charge]) -> Payments:
    """Return what became of payments: several tries of one count once, and as failed only where none succeeded."""
    payments: dict[str, list[Charge]] = {}
    for charge in charges:
        payments.setdefault(charge.payment_intent or charge.id, []).append(charge)
    decided = failed = declined = 0
    for tries in payments.values():
        if any(each.status == "succeeded" for each in tries):
            decided += 1
        elif all(each.status == "failed" for each in tries):
            decided += 1
            last = max(tries, key=lambda each: each.created)
            failed += 1
            declined += last.outcome is not None and last.outcome.type in _DECLINES
    return Payments(decided, failed, declined)


def _refunds(books: Books, since: float) -> list[Refund]:
    return [each for each in books.refunds if each.created >= since and each.status not in _NO_REFUND]


def _refund_ratio(query: StripeQuery, books: Books, since: float) -> PollResult:
    """Return what was refunded in the window by what was charged in the window, be it for the same charges or not."""
    charges = [each for each in books.charges if each.created >= since and each.status == "succeeded"]
    refunds = _refunds(books, since)
    if not query.by_amount:
        if len(charges) < query.min_count:
            return _too_few(len(charges), query, "charges", books)
        return _one(len(refunds) / len(charges), books)
    counts = Counter(each.currency for each in charges)
    shown = sorted(currency for currency, count in counts.items() if count >= query.min_count)
    charged, refunded = _amounts(charges), _amounts(refunds)
    shown = [currency for currency in shown if charged[currency] > 0]
    if not shown:
        return _too_few(len(charges), query, "charges", books)
    labels = [{"currency": currency} for currency in shown]
    values = [refunded.get(currency, 0.0) / charged[currency] for currency in shown]
    return Samples(labels, values, warnings=books.warnings)


def _amounts(objects: Iterable[Charge | Refund]) -> Mapping[str, float]:
    total: dict[str, float] = {}
    for each in objects:
        total[each.currency] = total.get(each.currency, 0.0) + each.amount
    return total
