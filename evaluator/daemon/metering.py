"""What asking the sources has cost: their own growing counts, as one metric.

This module knows numbers that grow. It never asks a source anything.
"""

from weakref import WeakKeyDictionary

from evaluator.sources.source import Metered, Source
from evaluator.telemetry.metrics import Metrics


class Meter:
    """Remembers what each adapter had used when it was looked at last."""

    def __init__(self, metrics: Metrics) -> None:
        """Begin with nothing seen."""
        self._metrics = metrics
        self._seen: WeakKeyDictionary[Source, dict[str, float]] = WeakKeyDictionary()

    def read(self, name: str, source: Source | None) -> None:
        """Count what a source has used since; an adapter that was made anew counts from nothing."""
        if not isinstance(source, Metered):
            return
        before = self._seen.setdefault(source, {})
        for unit, used in source.usage().items():
            self._metrics.source_usage.labels(name, unit).inc(max(0.0, used - before.get(unit, 0.0)))
            before[unit] = used
