"""What was seen in recent evaluations, for people who ask why: kept in memory, bounded, and lost at a restart.

This module keeps what judging found out anyway; words are made only when somebody asks. It never judges. Transitions,
which outlive a restart, are in the store.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from heapq import nsmallest
from sys import intern
from types import MappingProxyType

from evaluator.daemon.nearest import nearest_rows
from evaluator.engine.alerts import AlertKey, Looked, State, Verdict
from evaluator.engine.calendar import time_text
from evaluator.engine.reasons import sentence
from evaluator.engine.rules import Rule
from evaluator.engine.samples import PollFailed, PollResult, Samples, Series, series_of
from evaluator.engine.wording import tier_text, value_text
from evaluator.incidents.grouping import group_of
from evaluator.incidents.incident import Incident
from evaluator.incidents.judge import Judgement
from evaluator.incidents.muting import Mutes, texts_of
from evaluator.incidents.world import World
from evaluator.web.why import Line

MOST = 200_000
"""Records, one for each alert of an evaluation, over all rules."""
MOST_AT_ONCE = 20_000
"""Records of one evaluation: an answer of which everything is wrong must not take the whole room."""
ROOM = 0.95
"""What is left of `MOST` after records were dropped, so that this is not done for each new one."""
FEW = 3
"""Quiet series of an evaluation that are kept: those nearest to the limit."""
MANY = 50
"""Where so many are not quiet, nobody asks for quiet ones."""
_NOTHING: Mapping[AlertKey, Mutes] = MappingProxyType({})
_UNTOLD: Mapping[Series, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """One evaluation of one rule."""

    at: float
    rule: Rule
    """As it was then."""
    failed: str
    """Why there was no answer; empty: there was one."""
    blind_since: float | None
    """The first of the evaluations without an answer, of which this is the last."""
    looked: tuple[Looked, ...]
    quiet: tuple[tuple[Series, float], ...]
    """Quiet series that nobody had to look at, and their values."""
    held: Mapping[AlertKey, Mutes]
    told: Mapping[Series, str]
    """By group: what has become of it."""
    empty: bool = False
    """A good answer had no series at all."""

    @property
    def size(self) -> int:
        """How many records it counts for."""
        return max(len(self.looked) + len(self.quiet), 1)

    def lines(self) -> Iterable[Line]:
        """Yield what is to be said of it, the worst last."""
        if self.failed and not self.looked:
            yield Line(self.at, f"unknown since {time_text(self.blind_since or self.at)}: {self.failed}")
        if self.empty and not self.looked:
            yield Line(self.at, "nothing to judge: the answer has no series")
        tier = self.rule.tiers[-1]
        for series, value in reversed(self.quiet):
            text = f"{value_text(value, self.rule.unit)} is not {tier_text(tier, self.rule.unit)}"
            yield Line(self.at, text, tier.severity, series, State.QUIET, value)
        for looked in reversed(self.looked):
            yield self._line(looked)

    def _line(self, looked: Looked) -> Line:
        tier = self.rule.tier(looked.severity)
        text = looked.said if tier is None else sentence(self.rule, tier, looked)
        told = self.told.get(group_of(self.rule, looked.series), "") if looked.state is not State.QUIET else ""
        held = texts_of(self.held.get(AlertKey(self.rule.name, looked.severity, looked.series), ()))
        whole = f"{text}; {told}" if told else text
        return Line(self.at, whole, looked.severity, looked.series, looked.state, looked.value, held)


@dataclass(slots=True)
class Whys:
    """The recent evaluations of all rules."""

    most: int = MOST
    _kept: dict[str, deque[_Evaluation]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _size: int = 0

    def judged(self, rule: Rule, result: PollResult, slot: float, judgement: Judgement, world: World) -> None:
        """Keep an evaluation; `world` is as it is after it."""
        kept = self._kept.setdefault(rule.name, deque())
        failed, blind_since = "", None
        if isinstance(result, PollFailed):
            failed = result.message
            blind_since = kept[-1].blind_since if kept and kept[-1].failed else slot
        looked = judgement.evaluation.looked
        loud = [each for each in looked if each.state is not State.QUIET]
        evaluation = _Evaluation(
            slot,
            rule,
            failed,
            blind_since,
            (*nsmallest(MOST_AT_ONCE, loud, key=_badness), *_quiet_of(looked)),
            _unlooked(rule, result, looked) if len(loud) < MANY else (),
            judgement.held or _NOTHING,
            _told(rule, world) if loud else _UNTOLD,
            isinstance(result, Samples) and not len(result),
        )
        kept.append(evaluation)
        self._count(rule.name, evaluation.size)
        if self._size > self.most:
            self._make_room()

    def lines(self, rule: str) -> list[Line]:
        """Return what is kept of a rule, the oldest evaluation first."""
        return [line for evaluation in tuple(self._kept.get(rule, ())) for line in evaluation.lines()]

    def kept_since(self, rule: str) -> float | None:
        """Return the slot of the first evaluation of a rule that is kept."""
        kept = self._kept.get(rule)
        return kept[0].at if kept else None

    def learned(self, rule: str) -> str:
        """Return how far a rule is with what it learns, told of one of its series; empty: it does not learn now."""
        kept = self._kept.get(rule)
        looked = kept[-1].looked if kept else ()
        said = (each.said for each in looked if each.verdict is Verdict.UNKNOWN)
        return next((text for text in said if text.startswith("learning")), "")

    def keep_only(self, rules: Collection[str]) -> None:
        """Forget rules that are no longer there."""
        for name in self._kept.keys() - set(rules):
            self._count(name, -self._sizes[name])
            del self._kept[name], self._sizes[name]

    @property
    def size(self) -> int:
        """How many records are kept."""
        return self._size

    def _count(self, rule: str, records: int) -> None:
        self._sizes[rule] = self._sizes.get(rule, 0) + records
        self._size += records

    def _make_room(self) -> None:
        """Drop the oldest evaluations of the rules that have the most: a noisy one takes no other's memory."""
        while self._size > self.most * ROOM:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            kept = self._kept[largest]
            for _ in range(max(1, len(kept) // 10)):
                self._count(largest, -kept.popleft().size)
            if not kept:
                del self._kept[largest], self._sizes[largest]


def _badness(looked: Looked) -> str:
    return looked.severity.value


def _quiet_of(looked: Iterable[Looked]) -> list[Looked]:
    """Return a few quiet series that were looked at: those that are still unknown, then the highest."""
    quiet = [each for each in looked if each.state is State.QUIET]
    few = nsmallest(FEW, quiet, key=lambda each: (each.verdict is not Verdict.UNKNOWN, -(each.value or 0.0)))
    return [replace(each, series=_shared(each.series)) for each in few]


def _unlooked(rule: Rule, result: PollResult, looked: Collection[Looked]) -> tuple[tuple[Series, float], ...]:
    """Return a few series of an answer that were so clearly quiet that nobody looked at them."""
    if not isinstance(result, Samples) or rule.tiers[-1].looks_back:
        return ()
    known = {each.series for each in looked}
    if len(known) >= len(result):
        return ()
    rows = nearest_rows(rule.tiers[-1].limit, result.values, FEW + len(known))
    found = ((series_of(result.labels[row]), result.values[row]) for row in rows)
    return tuple((_shared(series), value) for series, value in found if series not in known)[:FEW]


@lru_cache(maxsize=8192)
def _shared(series: Series) -> Series:
    """Return the one object that stands for a series: each answer brings its labels anew, which take the most room."""
    return series


def _told(rule: Rule, world: World) -> dict[Series, str]:
    """Return what has become of the groups of a rule: their incidents."""
    # Thousands of evaluations say the same of an incident: one text serves them all.
    told = {incident.group: intern(_incident_text(incident)) for incident in world.open_incidents(rule.name)}
    for group, storm in world.index.caught(rule.name).items():
        told[group] = intern(f"part of the storm of {storm.service}, incident {storm.storm}")
    return told


def _incident_text(incident: Incident) -> str:
    flapping = ", and is held open for longer since it opens again and again" if incident.flapping else ""
    return f"incident {incident.id} is {incident.state.value}{flapping}"
