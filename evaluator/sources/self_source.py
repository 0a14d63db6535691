"""The source `self`: the daemon's own health, as it reads it in the daemon's books.

It knows its measures, and which series have ended. It never asks anything outside of the process, and never knows where
the daemon has its numbers from: they come through a `Reader`. Without a daemon there are none to be had.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, Series, series_of
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.rates import Rates
from evaluator.sources.reader import Health, Reader, RuleHealth, SourceHealth
from evaluator.sources.self_query import SelfQuery, SelfSettings
from evaluator.sources.source import NoHistory

_parsed = lru_cache(maxsize=1024)(SelfQuery.model_validate_json)
_NO_DAEMON = PollFailed(
    FailureReason.UNAVAILABLE,
    "only a running daemon knows its own health: look at its page, at `evaluator status`, or at /metrics",
)

_PLAIN: Mapping[str, Callable[[Health], float | None]] = {
    "up": lambda _health: 1.0,
    "uptime": lambda health: health.uptime,
    "deliveries_pending": lambda health: health.deliveries_pending,
    "deliveries_refused": lambda health: health.deliveries_refused,
    "delivery_age": lambda health: health.delivery_age,
    "services_unpaged": lambda health: health.services_unpaged,
    "config_problems": lambda health: health.config_errors,
    "store_failing": lambda health: health.store_failing,
    "memory_used": lambda health: health.memory,
}
"""The measures that are one number."""
_OF_SOURCES: Mapping[str, Callable[[SourceHealth], float | None]] = {
    "source_silent": lambda source: source.silent,
    "cycle_lag": lambda source: source.lag,
}
"""The measures that are a number of each source."""


class SelfSource(NoHistory):
    """The daemon itself."""

    Settings: ClassVar[type[BaseModel]] = SelfSettings
    Query: ClassVar[type[BaseModel]] = SelfQuery

    def __init__(self, name: str, settings: SelfSettings) -> None:  # noqa: ARG002 - as every source is made.
        """Know nothing until a reader is attached."""
        self._reader: Reader | None = None
        self._rates = Rates()

    def attach(self, reader: Reader) -> None:
        """Take the daemon's reader."""
        self._reader = reader

    async def open(self) -> None:
        """Do nothing: there is nobody to connect to."""

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:
        """Answer each query from one look at the daemon."""
        if self._reader is None:
            return [_NO_DAEMON] * len(queries)
        health = self._reader.health()
        answers = {spec: self._answer(spec, health, now) for spec in dict.fromkeys(query.spec for query in queries)}
        return [answers[query.spec] for query in queries]

    async def close(self) -> None:
        """Do nothing: nothing is held."""

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:  # noqa: ARG002 - as it is.
        """Say where the values come from: there is nothing to connect to, and no credential."""
        if self._reader is None:
            found = "its values come from the running daemon, and only there: nothing to connect to, no credential"
        else:
            found = f"the daemon answers, and has been running for {self._reader.health().uptime:.0f} s"
        return [Checkup(Grade.FINE, "daemon", found)]

    def _answer(self, spec: str, health: Health, now: float) -> PollResult:
        """Return the samples of one query."""
        query = _parsed(spec)
        measure = query.measure
        if measure == "rule_blind":
            return _of_rules(query, health)
        if measure in _OF_SOURCES:
            return _of_sources(query, health, _OF_SOURCES[measure])
        if measure == "missed_slots":
            missed = {_key("source", name): source.missed for name, source in _wanted(query, health).items()}
            return self._grown(spec, missed, now, query.per or 1.0)
        if measure == "mistakes":
            return self._grown(spec, {(): health.mistakes}, now, query.per or 1.0)
        value = _PLAIN[measure](health)
        return Samples() if value is None else Samples([{}], [float(value)])

    def _grown(self, spec: str, counts: Mapping[Series, float], now: float, per: float) -> Samples:
        """Return the growth of each count in the time that the rule says."""
        grown = self._rates.grown(spec, counts, now, per)
        return Samples([dict(series) for series in grown], list(grown.values()))


def _of_sources(query: SelfQuery, health: Health, read: Callable[[SourceHealth], float | None]) -> Samples:
    """Return a row for each source that has a value, and which sources are no longer there."""
    wanted = _wanted(query, health)
    found = {name: (source, value) for name, source in wanted.items() if (value := read(source)) is not None}
    others = {*health.former_sources, *(health.sources.keys() - wanted.keys())}
    notes = {_key("source", name): source.error for name, (source, _) in found.items() if source.error}
    return _rows("source", {name: value for name, (_, value) in found.items()}, others, notes)


def _of_rules(query: SelfQuery, health: Health) -> Samples:
    """Return a row for each rule that was asked, and which rules are no longer there."""
    wanted: dict[str, RuleHealth] = {
        name: rule for name, rule in health.rules.items() if query.rule is None or name == query.rule
    }
    notes = {_key("rule", name): rule.error for name, rule in wanted.items() if rule.error}
    values = {name: rule.blind for name, rule in wanted.items() if rule.blind is not None}
    return _rows("rule", values, health.former_rules, notes)


def _rows(label: str, values: Mapping[str, float], former: Iterable[str], notes: Mapping[Series, str]) -> Samples:
    """Return an answer with a row for each name."""
    return Samples(
        [{label: name} for name in values],
        [float(value) for value in values.values()],
        gone=frozenset(_key(label, name) for name in former),
        notes=notes,
    )


def _wanted(query: SelfQuery, health: Health) -> dict[str, SourceHealth]:
    """Return the sources that a query is about."""
    return {
        name: source
        for name, source in health.sources.items()
        if (query.source is None or name == query.source) and not (query.unwatched and source.own_rule)
    }


def _key(label: str, name: str) -> Series:
    return series_of({label: name})
