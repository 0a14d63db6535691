"""The source `stripe`: webhooks that fail, refunds, failed payments, disputes, through read-only requests.

It knows which lists a set of queries needs, and reads each once a poll. What they come to is in `stripe_measures`, how
a window is kept is in `stripe_ledger`. It never judges a value, and never retries: the next poll is the retry.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult
from evaluator.sources import stripe_objects as objects
from evaluator.sources.api import AskError, Round
from evaluator.sources.api_checkups import Trial, clock_checkup, limits_checkup, tried
from evaluator.sources.api_settings import Terms
from evaluator.sources.api_source import ApiSource
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.source import NoHistory
from evaluator.sources.stripe_ledger import Ledger, Undelivered
from evaluator.sources.stripe_measures import Books, measured
from evaluator.sources.stripe_query import API_VERSION, WEBHOOKS, StripeQuery, StripeSettings
from evaluator.sources.weather import up_after

_parsed = lru_cache(maxsize=4096)(StripeQuery.model_validate_json)
_MOST_TYPES = 20
"""Types that a request may name (https://docs.stripe.com/api/events/list)."""
_DASHBOARD = "in https://dashboard.stripe.com/apikeys edit the restricted key and set"
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "webhook_failures": ("undelivered",),
    "webhook_failure_ratio": ("undelivered", "events"),
    "endpoints_disabled": ("endpoints",),
    "charge_failure_ratio": ("charges",),
    "refund_ratio": ("charges", "refunds"),
    "refunds": ("refunds",),
    "disputes": ("disputes",),
    "up": (),
}
_KINDS: Mapping[str, objects.Kind[Any]] = {
    "undelivered": objects.EVENTS,
    "events": objects.EVENTS,
    "charges": objects.CHARGES,
    "refunds": objects.REFUNDS,
    "disputes": objects.DISPUTES,
    "endpoints": objects.ENDPOINTS,
}


class StripeSource(ApiSource, NoHistory):
    """One account of Stripe, in live or in test mode."""

    Settings: ClassVar[type[BaseModel]] = StripeSettings
    Query: ClassVar[type[BaseModel]] = StripeQuery

    def __init__(self, name: str, settings: StripeSettings) -> None:  # noqa: ARG002 - as every source is made.
        """Take the settings; nothing is connected before the first poll."""
        key = settings.token.get_secret_value()
        self._settings = settings
        self._kind = key[:8]
        terms = Terms(
            name="Stripe",
            base=settings.url,
            headers={"Authorization": f"Bearer {key}", "Stripe-Version": API_VERSION},
            secrets=[key],
            most=settings.requests_per_second,
            seconds=1.0,
        )
        super().__init__(terms, settings)
        self._ledgers: dict[str, tuple[tuple[str, ...], float, Ledger[Any]]] = {}

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:
        """Read each list that is needed once, as far as it is new, and answer each query."""
        if not queries:
            return []
        asked = {query.spec: _parsed(query.spec) for query in queries}
        round_ = Round(self._client, now)
        if all(query.measure == "up" for query in asked.values()):
            # It needs no list, so it waits for no other poll that reads one.
            return [await self._up(round_)] * len(queries)
        try:
            async with round_.holding(self._turn):
                answers = await self._answers(asked, round_)
        except AskError as error:
            answers = _unanswered(asked, error.failed)
        return [answers[query.spec] for query in queries]

    async def _answers(self, asked: Mapping[str, StripeQuery], round_: Round) -> dict[str, PollResult]:
        """Return the answer to each query; one list that fails spoils only the queries that need it."""
        if (failed := await self._clock(round_)) is not None:
            return _unanswered(asked, failed)
        books, spoiled = await self._books(list(asked.values()), round_)
        answers: dict[str, PollResult] = {}
        for spec, query in asked.items():
            bad = next((spoiled[need] for need in _NEEDS[query.measure] if need in spoiled), None)
            answers[spec] = bad if bad is not None else measured(query, books)
        for spec, query in asked.items():
            if query.measure == "up":
                answers[spec] = await self._up(round_)
        return answers

    async def _clock(self, round_: Round) -> PollFailed | None:
        """Learn Stripe's clock before anything is asked by time; return why nothing can be asked at all."""
        if self._client.skew is not None:
            return None
        try:
            await self._ping(round_)
        except AskError as error:
            # A key that may not read events may still read what the rules need.
            allowed = error.failed.reason is FailureReason.AUTH and "(403)" in error.failed.message
            return None if allowed else error.failed
        return None

    async def _ping(self, round_: Round) -> objects.List[objects.Event]:
        """Ask for the newest event."""
        kind = objects.EVENTS
        page = await round_.get(kind.path, [("limit", "1")], kind.page, needs=kind.permission, lane=kind.path)
        found: objects.List[objects.Event] = page.document
        return found

    async def _up(self, round_: Round) -> PollResult:
        """Return whether Stripe answers; where nothing was asked in this poll, ask."""
        if not round_.answered and round_.failed is None:
            try:
                await self._ping(round_)
            except AskError as error:
                return up_after(error.failed)
        return round_.up()

    async def _books(self, asked: Sequence[StripeQuery], round_: Round) -> tuple[Books, dict[str, PollFailed]]:
        """Read what the queries need; return it, and what could not be read."""
        at = round_.theirs()
        found: dict[str, Any] = {}
        spoiled: dict[str, PollFailed] = {}
        for need in dict.fromkeys(need for query in asked for need in _NEEDS[query.measure]):
            takers = [query for query in asked if need in _NEEDS[query.measure]]
            try:
                if need == "undelivered":
                    found[need] = await self._undelivered(takers, round_, at)
                elif need == "endpoints":
                    found[need] = await self._endpoints(round_)
                else:
                    found[need] = await self._ledger(need, takers, round_, at)
            except AskError as error:
                spoiled[need] = error.failed
        if (failed := round_.jumped()) is not None:
            spoiled = dict.fromkeys(_KINDS, failed) | spoiled
        return Books(at, warnings=self._client.clock_warning(), **found), spoiled

    async def _ledger(self, need: str, takers: Sequence[StripeQuery], round_: Round, at: float) -> list[Any]:
        """Return the objects of the longest window that was ever asked for."""
        reach = max(query.window + (query.grace if query.measure in WEBHOOKS else 0.0) for query in takers)
        types = _types(takers) if need == "events" else ()
        known, before, ledger = self._ledgers.get(need, (types, 0.0, None))
        if ledger is None or known != types:
            ledger, before = Ledger(_KINDS[need], [("types[]", each) for each in types]), 0.0
        self._ledgers[need] = (types, max(reach, before), ledger)
        await ledger.read(round_, at - max(reach, before), at, self._settings.max_pages)
        return list(ledger.rows.values())

    async def _undelivered(self, takers: Sequence[StripeQuery], round_: Round, at: float) -> Undelivered:
        """Read the events that are undelivered now, anew each time: what was delivered meanwhile is not among them."""
        end = at - min(query.grace for query in takers)
        begin = at - max(query.grace + query.window for query in takers)
        types = _types(takers)
        fixed = [("limit", "100"), ("delivery_success", "false"), *(("types[]", each) for each in types)]
        fixed += [("created[gte]", f"{begin:.0f}"), ("created[lte]", f"{end:.0f}")]
        events: dict[str, objects.Event] = {}
        cursor: list[tuple[str, str]] = []
        whole = False
        for _ in range(self._settings.max_pages):
            kind = objects.EVENTS
            page = await round_.get(kind.path, [*fixed, *cursor], kind.page, needs=kind.permission, lane=kind.path)
            events |= {each.id: each for each in page.document.data}
            cursor = _next(kind, page.document)
            if whole := not cursor:
                break
        return Undelivered([(each.created, each.type) for each in events.values()], begin, end, types, whole)

    async def _endpoints(self, round_: Round) -> list[objects.Endpoint]:
        """Read all webhook endpoints; an account has few."""
        kind = objects.ENDPOINTS
        found: list[objects.Endpoint] = []
        cursor: list[tuple[str, str]] = []
        for _ in range(self._settings.max_pages):
            params = [("limit", "100"), *cursor]
            page = await round_.get(kind.path, params, kind.page, needs=kind.permission, lane=kind.path)
            found += page.document.data
            cursor = _next(kind, page.document)
            if not cursor:
                return found
        raise AskError(PollFailed(FailureReason.TOO_BIG, "Stripe: more webhook endpoints than max_pages allow"))

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:
        """Try the key, and each permission that the rules need; where there are none, all that any rule could need."""
        round_ = Round(self._client, now)
        measures = {str(_parsed(query.spec).measure) for query in queries} - {"up"} or set(_NEEDS)
        # Charges and refunds share a permission.
        needs = {_KINDS[need].permission: _KINDS[need] for measure in sorted(measures) for need in _NEEDS[measure]}
        kinds = {objects.EVENTS.permission: objects.EVENTS, **needs}
        trials = [self._trial(round_, kind) for kind in kinds.values()]
        checkups = await tried(self._client, trials)
        return [self._key(), *checkups, *clock_checkup(self._client), *limits_checkup(self._client)]

    def _trial(self, round_: Round, kind: objects.Kind[Any]) -> Trial:
        async def ask() -> str:
            page = await round_.get(kind.path, [("limit", "1")], kind.page, needs=kind.permission, lane=kind.path)
            return f"may read {kind.path}" if page.document.data else f"may read {kind.path}, where nothing is yet"

        return Trial(f"permission {kind.permission}", ask, f"{_DASHBOARD} {kind.permission}")

    def _key(self) -> Checkup:
        """Say what kind of key it is, which its first letters tell."""
        mode = "live mode: real payments" if "live" in self._kind else "test mode: no real payment is seen"
        if self._kind.startswith("sk_"):
            mend = "make a restricted key (rk_…) with read permissions only in https://dashboard.stripe.com/apikeys"
            return Checkup(Grade.WARNING, "key", f"a secret key, which may do everything; {mode}", mend)
        if "test" in self._kind:
            return Checkup(Grade.WARNING, "key", f"a restricted key; {mode}", "in production set a rk_live_ key")
        return Checkup(Grade.FINE, "key", f"a restricted key; {mode}")


def _unanswered(asked: Mapping[str, StripeQuery], failed: PollFailed) -> dict[str, PollResult]:
    """Return the answers where nothing could be asked."""
    return {spec: up_after(failed) if query.measure == "up" else failed for spec, query in asked.items()}


def _next(kind: objects.Kind[Any], page: objects.List[Any]) -> list[tuple[str, str]]:
    """Return the parameter that asks for the next page; none where this was the last."""
    if page.has_more and not page.data:
        raise AskError(PollFailed(FailureReason.BAD_ANSWER, f"Stripe: an empty page of {kind.path} has more"))
    return [("starting_after", page.data[-1].id)] if page.has_more else []


def _types(takers: Sequence[StripeQuery]) -> tuple[str, ...]:
    """Return the types of events that are wanted, where all queries name some, and not too many; else none."""
    wanted = sorted({each for query in takers for each in query.patterns})
    named = all(query.patterns for query in takers) and not any("*" in each or "?" in each for each in wanted)
    return tuple(wanted) if named and len(wanted) <= _MOST_TYPES else ()
