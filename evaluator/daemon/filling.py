"""Fills the samples that rules keep from the history of sources that have one.

At a start, for a rule that is new or was edited, and after a gap, a source is asked for the buckets in which a rule has
nothing: a day at a time, the newest first. What a source keeps no history of grows from polls alone. This module knows
which buckets are lacking and when to ask again; which samples are worth their place is known in `engine.kept`.
"""

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.history import Historian, Outcome, Past
from evaluator.daemon.ledger import Ledger
from evaluator.engine.alerts import BLIND_STEPS
from evaluator.engine.kept import Kept
from evaluator.engine.rules import Query, Rule, RuleSet
from evaluator.engine.samples import Samples, series_of
from evaluator.engine.shapes import Keep
from evaluator.engine.trail import CHUNK
from evaluator.incidents.changes import Changes, ChunkKey

log = structlog.get_logger(__name__)

AT_ONCE = 2
"""Questions to sources at a time, and answers that are being kept."""

DAY = 86_400.0
"""Seconds that one question is about at most, unless one bucket is longer."""

LOOK_EVERY = 600.0
"""Seconds between looks for gaps of a rule that has been filled."""

WAITS = (60.0, 300.0, 1800.0, 7200.0, 21_600.0)
"""Seconds until a source that failed is asked again: after the first time, the second, ...; then always the last."""

TICK = 5.0
"""Seconds between looks at what is due."""

TOGETHER = 500
"""Samples that are kept before anybody else gets a turn."""

Key = tuple[Query, float]
"""What is asked for once, for whichever rules: a query and the width of a bucket in seconds."""

_Sample = tuple[Mapping[str, str], float, float]
"""Labels, value and time."""


@dataclass(slots=True)
class _Work:
    """How far one query was filled in one width."""

    due: float
    """When to look again, on the monotonic clock."""
    source: object = None
    """The adapter that was asked: another one, after an edit of its settings, may know what this one did not."""
    looked: bool = False
    """Whether it was filled once since the start: what is only late is not lacking then."""
    failures: int = 0
    asked: dict[tuple[str, int], int] = field(default_factory=dict)
    """By rule and piece: the last bucket up to which it was asked for. What lacks before it, the source lacks too."""
    task: "asyncio.Task[None] | None" = None


class Filling:
    """Fills the trails of the rules in force."""

    def __init__(self, equipment: Equipment, ledger: Ledger, historian: Historian, clock: Clock) -> None:
        """Work with what is in force at each moment."""
        self._equipment = equipment
        self._ledger = ledger
        self._historian = historian
        self._clock = clock
        self._work: dict[Key, _Work] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._indexed = RuleSet()
        self._index: dict[Key, list[tuple[Rule, Keep]]] = {}

    def start(self, rules: Iterable[Rule]) -> None:
        """Fill what these rules lack, now: they are new, were edited, or the daemon has started."""
        fresh = {rule.name: rule for rule in rules if rule.judged}
        for work in self._work.values():
            work.asked = {mark: bucket for mark, bucket in work.asked.items() if mark[0] not in fresh}
        for key in dict.fromkeys((rule.query, keep.width) for rule in fresh.values() for keep in rule.keeps):
            work = self._work.setdefault(key, _Work(0.0))
            work.failures = 0
            self._begin(key, work)

    async def filled(self, rule: Rule) -> None:
        """Wait until the trails of a rule are filled, or cannot be now."""
        work = [self._work.get((rule.query, keep.width)) for keep in rule.keeps]
        tasks = [each.task for each in work if each is not None and each.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def run(self) -> None:
        """Look for gaps, and ask again what failed; for ever."""
        while True:
            await asyncio.sleep(TICK)
            for key, work in list(self._work.items()):
                if not self._rules(key):
                    _leave(self._work.pop(key))
                elif work.task is None and self._is_due(key, work):
                    self._begin(key, work)

    async def stop(self) -> None:
        """Leave off."""
        tasks = [work.task for work in self._work.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_due(self, key: Key, work: _Work) -> bool:
        source = self._equipment.sources.get(key[0].source)
        if source is not None and source is not work.source:
            work.failures, work.asked = 0, {}
            return True
        return self._clock.monotonic() >= work.due

    def _begin(self, key: Key, work: _Work) -> None:
        _leave(work)
        query, width = key
        work.source = self._equipment.sources.get(query.source)
        work.task = asyncio.create_task(
            self._fill(key, work), name=f"filling {query.source}: {query.spec}, {width:g} s"
        )
        work.task.add_done_callback(partial(_done, work))

    async def _fill(self, key: Key, work: _Work) -> None:
        """Ask for what is lacking, piece by piece, and say when to look again."""
        try:
            wait = await self._filled(key, work)
        except Exception:  # Our mistake with one query must not keep the others from being filled.
            log.exception("filling broke", source=key[0].source)
            wait = self._patience(work)
        work.due = self._clock.monotonic() + wait

    async def _filled(self, key: Key, work: _Work) -> float:
        """Return how many seconds there are until the next look."""
        for first, last in self._lacking(key, work):
            async with self._turns:
                outcome = await self._asked(key, work, first, last)
            if not self._rules(key):
                break
            if outcome is Outcome.NONE:
                return math.inf
            if outcome is Outcome.FAILED:
                return self._patience(work)
        work.looked, work.failures = True, 0
        return LOOK_EVERY

    async def _asked(self, key: Key, work: _Work, first: int, last: int) -> Outcome:
        """Ask for these buckets, and keep what is answered."""
        query, width = key
        # From the middle of a bucket, and in whole milliseconds, which is all that some sources can keep.
        start, step = round((first + 0.5) * width, 3), max(math.floor(width * 1000) / 1000, 0.001)
        told = await self._historian.ask(query, start, start + (last - first) * width, step)
        rules = self._rules(key)
        if told.outcome is Outcome.FAILED:
            names = [rule.name for rule, _ in rules]
            log.warning("history is not to be had", rules=names, source=query.source, error=told.error)
        elif told.outcome is Outcome.ANSWERED:
            await self._keep(rules, told.past)
            for rule, _ in rules:
                work.asked[rule.name, _piece(first, width)] = last
            await self._ledger.flush()
        return told.outcome

    def _patience(self, work: _Work) -> float:
        wait = WAITS[min(work.failures, len(WAITS) - 1)]
        work.failures += 1
        return wait

    def _rules(self, key: Key) -> list[tuple[Rule, Keep]]:
        """Return the rules in force that ask this and keep it in buckets of this width."""
        if self._indexed is not self._equipment.rules:
            self._indexed, self._index = self._equipment.rules, {}
            for rule in self._indexed:
                for keep in rule.keeps if rule.judged else ():
                    self._index.setdefault((rule.query, keep.width), []).append((rule, keep))
        return self._index.get(key, [])

    def _lacking(self, key: Key, work: _Work) -> Iterator[tuple[int, int]]:
        """Yield the first and last bucket of each question, the newest first."""
        width, now = key[1], self._clock.now()
        rules = self._rules(key)
        if not rules:
            return
        late = max(rule.lag + BLIND_STEPS * rule.step for rule, _ in rules) if work.looked else 0.0
        newest = int((now - late) // width) - 1
        oldest = min(int((now - keep.span) // width) + 1 for _, keep in rules)
        work.asked = {mark: bucket for mark, bucket in work.asked.items() if mark[1] >= _piece(oldest, width)}
        for piece in range(_piece(newest, width), _piece(oldest, width) - 1, -1):
            size = _size(width)
            buckets = range(max(piece * size, oldest), min((piece + 1) * size, newest + 1))
            found = sorted({bucket for each in rules for bucket in self._without(*each, buckets, now, work)})
            if found:
                yield found[0], found[-1]

    def _without(self, rule: Rule, keep: Keep, buckets: range, now: float, work: _Work) -> set[int]:
        """Return the buckets of a piece in which the rule has no sample of any series, and which were not asked for."""
        if not buckets:
            return set()
        oldest = (now - keep.span) / keep.width
        after = work.asked.get((rule.name, _piece(buckets[0], keep.width)), -1)
        lacking = {bucket for bucket in buckets if bucket > after and bucket >= oldest}
        for (width, _), trail in self._ledger.world.trails.get(rule.name, {}).items():
            if not lacking:
                break
            if width == keep.width:
                lacking -= {bucket for bucket in lacking if _has(trail.get(bucket // CHUNK), bucket % CHUNK)}
        return lacking

    async def _keep(self, rules: Sequence[tuple[Rule, Keep]], past: Past) -> None:
        """Let each rule keep what was answered, some samples at a time."""
        for rule, _ in rules:
            samples = _samples(past)
            # To begin with a batch costs as much as there are series.
            together = TOGETHER + len(self._ledger.world.trails.get(rule.name, {})) // 4
            while batch := list(islice(samples, together)):
                self._note(rule, batch)
                await asyncio.sleep(0)

    def _note(self, rule: Rule, batch: Sequence[_Sample]) -> None:
        current = self._equipment.rules.get(rule.name)
        if current is None or current.query != rule.query:
            return
        kept = Kept(current, self._ledger.world.trails.get(rule.name, {}), self._clock.now())
        for labels, value, at in batch:
            kept.note(series_of(labels), at, value)
        chunks = {ChunkKey(rule.name, *which): chunk for which, chunk in kept.chunks.items()}
        self._ledger.take(Changes(chunks=chunks))


def _leave(work: _Work) -> None:
    if work.task is not None:
        work.task.cancel()
        work.task = None


def _done(work: _Work, task: "asyncio.Task[None]") -> None:
    if work.task is task:
        work.task = None


def _samples(past: Past) -> Iterator[_Sample]:
    for slot, result in past:
        if isinstance(result, Samples):
            times = [slot] * len(result) if result.at is None else result.at
            yield from zip(result.labels, result.values, times, strict=True)


def _has(chunk: Sequence[float] | None, place: int) -> bool:
    return chunk is not None and chunk[place] == chunk[place]


def _size(width: float) -> int:
    """Return the number of buckets of one question."""
    return max(1, int(DAY // width))


def _piece(bucket: int, width: float) -> int:
    return bucket // _size(width)
