"""What the daemon counts about itself, as Prometheus metrics: one attribute for each, named as it is exposed.

This module knows names, labels and buckets. It never knows when something happens: the stations that see it count it.
The exposed name of an attribute is `evaluator_` + the attribute, with `_total` behind a counter; `docs/metrics.md` has
them all in one table, and a test keeps that table true.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from evaluator.engine.alerts import State
from evaluator.engine.rules import Mode, Severity

PREFIX = "evaluator"

POLL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds; a poll ends within its source's timeout."""
DELIVERY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


class Metrics:
    """All metrics of one daemon, in a registry of their own, so that two daemons in one process do not mix."""

    def __init__(self, version: str = "") -> None:
        """Make every metric; those whose labels are known beforehand start at 0, so that an increase can be seen."""
        # The `_created` series would double the size of a scrape, and tell nothing that the start time does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # The library leaves this one function bare.
        self.registry = CollectorRegistry()
        self._polling()
        self._judging()
        self._incidents()
        self._deliveries()
        self._daemon()
        self._start_at_zero()
        self.build_info.labels(version=version, python=platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, text, labels, namespace=PREFIX, registry=self.registry, buckets=buckets)

    def _polling(self) -> None:
        self.poll_duration_seconds = self._histogram(
            "poll_duration_seconds", "Time that one poll of a source took.", POLL_BUCKETS, "source"
        )
        self.poll_failures = self._counter(
            "poll_failures", "Queries of a source that were not answered.", "source", "reason"
        )
        self.source_up = self._gauge("source_up", "1 if the source's last poll was answered, else 0.", "source")
        self.source_last_good_timestamp_seconds = self._gauge(
            "source_last_good_timestamp_seconds", "When the source's last answered poll was due.", "source"
        )
        self.missed_slots = self._counter(
            "missed_slots", "Evaluations of a source that were due and did not take place.", "source"
        )
        self.source_usage = self._counter(
            "source_usage", "What polls have cost: requests, and the source's own units.", "source", "unit"
        )
        self.history_requests = self._counter(
            "history_requests", "Questions to a source about the past.", "source", "outcome"
        )

    def _judging(self) -> None:
        self.rule_evaluations = self._counter("rule_evaluations", "Evaluations of a rule, failed ones too.", "rule")
        self.rule_evaluation_failures = self._counter(
            "rule_evaluation_failures", "Evaluations of a rule that had no answer to judge.", "rule", "reason"
        )
        self.alerts = self._gauge("alerts", "Alerts that are not quiet.", "state", "severity")
        self.rules = self._gauge("rules", "Rules that are in force.", "mode")
        self.kept_series = self._gauge("kept_series", "Series of which a rule keeps samples.", "rule")
        self.kept_chunks = self._gauge("kept_chunks", "Chunks of up to 256 samples that a rule keeps.", "rule")
        self.cycle_lag_seconds = self._histogram(
            "cycle_lag_seconds", "Time from the slot of an evaluation until its outcome was committed.", LAG_BUCKETS
        )
        self.last_cycle_timestamp_seconds = self._gauge(
            "last_cycle_timestamp_seconds", "When an evaluation was committed last."
        )

    def _incidents(self) -> None:
        self.open_incidents = self._gauge("open_incidents", "Incidents that are open.", "service", "severity")
        self.incidents_opened = self._counter(
            "incidents_opened", "Incidents that were opened, by their first severity.", "service", "severity"
        )
        self.incidents_closed = self._counter("incidents_closed", "Incidents that ended.", "service", "reason")

    def _deliveries(self) -> None:
        self.deliveries = self._counter(
            "deliveries", "Attempts to send a delivery, by what became of them.", "notifier", "action", "outcome"
        )
        self.delivery_duration_seconds = self._histogram(
            "delivery_duration_seconds", "Time that one attempt to send took.", DELIVERY_BUCKETS, "notifier"
        )
        self.deliveries_pending = self._gauge(
            "deliveries_pending", "Deliveries that are due and were not accepted yet."
        )
        self.deliveries_refused = self._gauge(
            "deliveries_refused", "Deliveries that the receiver refused and a person must mend."
        )
        self.oldest_pending_delivery_age_seconds = self._gauge(
            "oldest_pending_delivery_age_seconds", "Time since the oldest pending delivery became due; 0 without one."
        )

    def _daemon(self) -> None:
        self.store_commit_duration_seconds = self._histogram(
            "store_commit_duration_seconds", "Time that one transaction of the store took.", COMMIT_BUCKETS
        )
        self.store_commit_failures = self._counter(
            "store_commit_failures", "Transactions that the store did not take.", "reason"
        )
        self.lease_held = self._gauge("lease_held", "1 if this process is the one that judges and sends, else 0.")
        self.reloads = self._counter("reloads", "Reloads of settings and rules.", "outcome")
        self.last_reload_success_timestamp_seconds = self._gauge(
            "last_reload_success_timestamp_seconds", "When settings and rules were last loaded without an error."
        )
        self.config_problems = self._gauge(
            "config_problems", "Problems in settings and rule files as they are now.", "level"
        )
        self.heartbeats = self._counter("heartbeats", "Heartbeats to the dead man's switch elsewhere.", "outcome")
        self.clock_jumps = self._counter("clock_jumps", "Jumps of the wall clock.", "direction")
        self.errors = self._counter(
            "errors", "Mistakes of the daemon itself that it survived; the log has each traceback.", "where"
        )
        self.build_info = self._gauge("build_info", "1, with the versions as labels.", "version", "python")

    def _start_at_zero(self) -> None:
        for level in ("error", "warning"):
            self.config_problems.labels(level).set(0)
        for mode in Mode:
            self.rules.labels(mode.value).set(0)
        for counter, values in (
            (self.reloads, ("ok", "failed")),
            (self.heartbeats, ("sent", "failed", "withheld")),
            (self.clock_jumps, ("forward", "back")),
            (self.errors, ("commit", "cycle", "delivery", "judge", "open", "poll", "reload", "request")),
        ):
            for value in values:
                counter.labels(value)
        self.set_alerts({})

    def set_alerts(self, counts: Mapping[tuple[State, Severity], int]) -> None:
        """Show how many alerts are not quiet, by (state, severity); what is not named is 0."""
        for state in State:
            if state is not State.QUIET:
                for severity in Severity:
                    self.alerts.labels(state.value, severity.value).set(counts.get((state, severity), 0))

    def set_open_incidents(self, counts: Mapping[tuple[str, Severity], int], services: Iterable[str] = ()) -> None:
        """Show how many incidents are open, by (service, severity); the other severities, and these services, at 0.

        A service that is in neither is no longer shown.
        """
        self.open_incidents.clear()
        for service in sorted({service for service, _ in counts} | set(services)):
            for severity in Severity:
                self.open_incidents.labels(service, severity.value).set(counts.get((service, severity), 0))

    def set_kept(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Show how many series and chunks of samples each of these rules keeps; no other rule keeps any."""
        for metric in (self.kept_series, self.kept_chunks):
            metric.clear()
        for rule, (series, chunks) in counts.items():
            self.kept_series.labels(rule).set(series)
            self.kept_chunks.labels(rule).set(chunks)

    def forget_rule(self, rule: str) -> None:
        """Show nothing more of a rule that was removed."""
        for metric in (self.rule_evaluations, self.rule_evaluation_failures):
            metric.remove_by_labels({"rule": rule})

    def forget_source(self, source: str) -> None:
        """Show nothing more of a source that was removed."""
        for metric in (
            self.poll_duration_seconds,
            self.poll_failures,
            self.source_up,
            self.source_last_good_timestamp_seconds,
            self.missed_slots,
            self.source_usage,
            self.history_requests,
        ):
            metric.remove_by_labels({"source": source})

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics, and their content type, in the format that an `Accept` header asks for.

        OpenMetrics where it is accepted, else the plain text format of Prometheus.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
