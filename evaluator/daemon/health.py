"""The daemon's own health, for the source `self`: the `Reader` that the daemon hands it.

This module gathers what the other rooms hold. It changes nothing, and judges nothing.
"""

from collections.abc import Callable

import psutil
from prometheus_client import Counter

from evaluator.daemon.answers import asks_whether_up, sources_of
from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.sightings import Sightings
from evaluator.engine.rules import Mode, Rule
from evaluator.sources.reader import Health, RuleHealth, SourceHealth
from evaluator.telemetry.metrics import Metrics
from evaluator.web.view import Backlog


class HealthBook:
    """The `Reader` of a running daemon."""

    def __init__(
        self,
        equipment: Equipment,
        ledger: Ledger,
        sightings: Sightings,
        backlog: Callable[[], Backlog],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """Look at these."""
        self._equipment = equipment
        self._ledger = ledger
        self._sightings = sightings
        self._backlog = backlog
        self._metrics = metrics
        self._clock = clock
        self._process = psutil.Process()
        self._started = clock.monotonic()

    def health(self) -> Health:
        """Return how the daemon is now."""
        now = self._clock.now()
        rules = [rule for rule in self._equipment.rules if rule.judged and not self._equipment.is_self(rule.source)]
        sources = self._sources(rules)
        blind = {rule.name: self._rule(rule) for rule in rules}
        backlog = self._backlog()
        failing = self._ledger.failing_since
        return Health(
            uptime=self._clock.monotonic() - self._started,
            sources=sources,
            former_sources=frozenset(self._known("source") - sources.keys()),
            rules=blind,
            former_rules=frozenset(self._known("rule") - blind.keys()),
            deliveries_pending=backlog.pending,
            deliveries_refused=backlog.refused,
            delivery_age=0.0 if backlog.oldest is None else max(0.0, now - backlog.oldest),
            services_unpaged=len(self._equipment.unpaged()),
            config_errors=sum(problem.error for problem in self._equipment.loaded.problems),
            store_failing=0.0 if failing is None else max(0.0, now - failing),
            mistakes=sum(_counts(self._metrics.errors, "where").values()),
            memory=self._memory(),
        )

    def _sources(self, rules: list[Rule]) -> dict[str, SourceHealth]:
        """Return the sources that rules ask, those of their `only_if` too."""
        silences = self._sightings.silences.sources
        missed = _counts(self._metrics.missed_slots, "source")
        own = {rule.source for rule in rules if self._speaks(rule)}
        found = {}
        asked = dict.fromkeys(source for rule in rules for source in sources_of(rule))
        for name in [name for name in asked if self._may_be_asked(name)]:
            streak = silences.get(name)
            found[name] = SourceHealth(
                silent=streak.seconds if streak else 0.0 if name in silences else None,
                error=streak.error if streak else "",
                own_rule=name in own,
                lag=self._sightings.lags.get(name),
                missed=missed.get(name, 0.0),
            )
        return found

    def _may_be_asked(self, source: str) -> bool:
        """Return whether it is one that can be silent: not the daemon itself, nor one that is switched off."""
        declared = self._equipment.settings.sources.get(source)
        return not self._equipment.is_self(source) and (declared is None or declared.enabled)

    def _speaks(self, rule: Rule) -> bool:
        """Return whether a rule says by itself that its source is down: not while it is blind, or was not asked yet.

        A password that was changed, say, fails `up` too: then that rule tells nobody.
        """
        if rule.mode is not Mode.PAGE or not asks_whether_up(rule.query):
            return False
        seen = self._sightings.rules.get(rule.name)
        return seen is not None and not seen.error

    def _rule(self, rule: Rule) -> RuleHealth:
        blind = self._sightings.silences.rules
        streak = blind.get(rule.name)
        seconds = streak.seconds if streak else 0.0 if rule.name in blind else None
        return RuleHealth(rule.source, seconds, streak.error if streak else "")

    def _known(self, label: str) -> set[str]:
        """Return the values of a label in the alerts of rules on `self`: what they were about."""
        mine = [rule.name for rule in self._equipment.rules if self._equipment.is_self(rule.source)]
        alerts = [alert for name in mine for alert in self._ledger.world.alerts.get(name, {}).values()]
        return {value for alert in alerts for name, value in alert.series if name == label}

    def _memory(self) -> float | None:
        try:
            return float(self._process.memory_info().rss)
        except psutil.Error:
            return None


def _counts(counter: Counter, label: str) -> dict[str, float]:
    """Return what a counter has counted, by the value of a label."""
    samples = [sample for metric in counter.collect() for sample in metric.samples]
    return {sample.labels[label]: sample.value for sample in samples if sample.name.endswith("_total")}
