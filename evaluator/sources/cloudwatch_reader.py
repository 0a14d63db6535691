"""Reading what queries need: finding their metrics, and asking for the data of all of them at once.

It knows how requests that fail are told apart, so that one bad query spoils no other. It never knows `up`, slots or
what a sample means.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.cloudwatch_answer import Answer, ask, described
from evaluator.sources.cloudwatch_client import Aws
from evaluator.sources.cloudwatch_discovery import Discovery
from evaluator.sources.cloudwatch_errors import failure_of
from evaluator.sources.cloudwatch_plan import Batch, Item, Rows, Wanted, batches_of, items_of, wanted_of
from evaluator.sources.cloudwatch_query import CloudWatchQuery, CloudWatchSettings

_SUSPECTS = 1000
_REMEMBERED = 10_000
Range = tuple[float, float]
"""From the start of the first period to the end of the last."""


@dataclass(slots=True)
class Talk:
    """How talking to AWS went in one poll."""

    answered: int = 0
    """How many calls brought an answer."""
    errors: list[Exception] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """The items of each query, by its spec."""

    items: dict[str, Sequence[Item]] = field(default_factory=dict)
    failed: dict[str, PollFailed] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Reader:
    """Asks CloudWatch for one source."""

    def __init__(self, aws: Aws, settings: CloudWatchSettings, where: str) -> None:
        """Know nothing yet."""
        self._aws = aws
        self._settings = settings
        self._where = where
        self._discovery = Discovery(aws, settings, where)
        self._suspects: dict[Item, None] = {}
        self._known_wanted: dict[str, Sequence[Wanted]] = {}
        self._known_items: dict[str, tuple[Sequence[Rows], Sequence[Item]]] = {}
        self.metrics = 0
        """How many metrics were requested: what AWS bills."""

    async def plan(self, queries: Mapping[str, CloudWatchQuery], talk: Talk, until: float) -> Plan:
        """Return what each query needs; its patterns are found together."""
        wanted = {spec: self._wanted(spec, query) for spec, query in queries.items()}
        found = await self._discovery.find({each: None for some in wanted.values() for each in some}, until)
        talk.answered += found.asked
        talk.errors += found.errors
        plan = Plan()
        for spec, query in queries.items():
            failed = next((found.failed[each] for each in wanted[spec] if each in found.failed), None)
            items = [] if failed is not None else self._items(spec, query, [found.rows[each] for each in wanted[spec]])
            if len(items) > self._settings.max_metrics:
                failed = PollFailed(FailureReason.TOO_BIG, f"{self._where}: it would be {len(items)} series")
            if failed is not None:
                plan.failed[spec] = failed
                continue
            plan.items[spec] = items
            plan.warnings[spec] = tuple(found.warnings[each] for each in wanted[spec] if each in found.warnings)
        return plan

    def _wanted(self, spec: str, query: CloudWatchQuery) -> Sequence[Wanted]:
        """Return what must be found for a query, worked out once."""
        known = self._known_wanted.get(spec)
        if known is None:
            if len(self._known_wanted) > _REMEMBERED:
                self._known_wanted.clear()
            self._known_wanted[spec] = known = tuple(wanted_of(query).values())
        return known

    def _items(self, spec: str, query: CloudWatchQuery, rows: Sequence[Rows]) -> Sequence[Item]:
        """Return the items of a query, worked out anew only when other metrics were found."""
        known = self._known_items.get(spec)
        if known is None or len(known[0]) != len(rows) or any(a is not b for a, b in zip(known[0], rows, strict=True)):
            if len(self._known_items) > _REMEMBERED:
                self._known_items.clear()
            found = dict(zip(wanted_of(query).values(), rows, strict=True))
            self._known_items[spec] = known = (rows, items_of(query, found))
        return known[1]

    async def read(
        self, items: Collection[Item], ranges: Mapping[float, Range], talk: Talk, until: float
    ) -> dict[Item, Answer]:
        """Return the answer to each item. `ranges` has the range of each period. It never raises for the weather."""
        seconds = {period: end - start for period, (start, end) in ranges.items()}
        batches = batches_of(items, seconds, self._suspects)
        answers: dict[Item, Answer] = {}
        for some in await asyncio.gather(*(self._ask(batch, ranges, talk, until) for batch in batches)):
            answers.update(some)
        return answers

    async def _ask(self, batch: Batch, ranges: Mapping[float, Range], talk: Talk, until: float) -> dict[Item, Answer]:
        """Return what one request brings; one that AWS calls wrong is divided until the wrong query stands alone."""
        start, end = ranges[batch.period]
        items = list(batch.ids.values())
        try:
            answers = await self._aws.do("cloudwatch", partial(ask, batch=batch, start=start, end=end), until)
        except Exception as error:  # noqa: BLE001 - every error of boto3 is a reason here.
            failed = failure_of(error, self._where, self._settings.timeout)
            talk.errors.append(error)
            if failed.reason is not FailureReason.BAD_QUERY:
                return dict.fromkeys(items, Answer(failed=failed))
            if len(items) > 1:
                return await self._divided(items, ranges, talk, until)
            self._suspect(items)
            failed = PollFailed(failed.reason, f"{failed.message} (asked for {described(items[0])})")
            return {items[0]: Answer(failed=failed)}
        talk.answered += 1
        self.metrics += batch.metrics + sum(len(answers[item].points) for item in items if item.many)
        for item in items:
            self._suspects.pop(item, None)
        return {item: self._placed(answer) for item, answer in answers.items()}

    async def _divided(
        self, items: Sequence[Item], ranges: Mapping[float, Range], talk: Talk, until: float
    ) -> dict[Item, Answer]:
        """Ask for the two halves."""
        seconds = {period: end - start for period, (start, end) in ranges.items()}
        half = len(items) // 2
        batches = [*batches_of(items[:half], seconds), *batches_of(items[half:], seconds)]
        answers: dict[Item, Answer] = {}
        for some in await asyncio.gather(*(self._ask(batch, ranges, talk, until) for batch in batches)):
            answers.update(some)
        return answers

    def _suspect(self, items: Iterable[Item]) -> None:
        """Remember what was wrong: the next poll asks for it apart, and spoils no other request."""
        if len(self._suspects) > _SUSPECTS:
            self._suspects.clear()
        self._suspects.update(dict.fromkeys(items))

    def _placed(self, answer: Answer) -> Answer:
        """Return an answer whose failure says where it was asked."""
        if answer.failed is None:
            return answer
        return Answer({}, answer.warnings, PollFailed(answer.failed.reason, f"{self._where}: {answer.failed.message}"))
