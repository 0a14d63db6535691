"""`only_if`: whether a rule is to be judged at all, for each of its series.

This module joins the answer of a second question with series, and knows what becomes of verdicts where it does not
hold. It never knows why the second question was asked.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from evaluator.engine.alerts import BLIND_STEPS, Alert, Finding, Verdict
from evaluator.engine.conditions import nearest_row
from evaluator.engine.look import Look
from evaluator.engine.rules import OnlyIf
from evaluator.engine.samples import METRIC_NAME, PollFailed, PollResult, Samples, Series
from evaluator.engine.sight import limit_look
from evaluator.engine.units import format_duration

PATIENCE = 3_600.0
"""Seconds for which `only_if` must not have held before what fires is taken for clear."""

ENDS = f"which ends it once it has lasted {format_duration(PATIENCE)}"
"""What a sentence ends with where `only_if` does not hold for what fires."""


class Gate:
    """The answer to the query of an `only_if`."""

    def __init__(self, only_if: OnlyIf, answer: PollResult | None) -> None:
        """Take the answer in; `None`: there was none."""
        self._only_if = only_if
        self._problem = ""
        self._rows: defaultdict[tuple[str, ...], list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        self._joined: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[tuple[str, ...], float]] = {}
        if not isinstance(answer, Samples):
            because = answer.message if isinstance(answer, PollFailed) else "its query was not asked"
            self._problem = f"it is not known whether only_if holds: {because}"
            return
        for labels, value in _newest(answer):
            names = tuple(sorted(name for name in labels if name != METRIC_NAME))
            self._rows[names].append((labels, value))

    def look(self, series: Series) -> Look:
        """Return whether `only_if` holds for a series: any row that agrees in all common labels is beyond the limit."""
        if self._problem:
            return Look(None, self._problem)
        labels, limit = dict(series), self._only_if.limit
        matching = [value for names in self._rows if (value := self._matching(names, labels)) is not None]
        nearest = nearest_row(limit, matching)
        if nearest is None:
            return Look(holds=False, said="only_if does not hold: no value for this series")
        found = limit_look(limit, matching[nearest], self._only_if.unit)
        return Look(found.holds, f"only_if {'holds' if found.holds else 'does not hold'}: {found.said}")

    def _matching(self, names: tuple[str, ...], labels: Mapping[str, str]) -> float | None:
        """Return what is furthest beyond the limit of the rows with these label names that match a series."""
        common = tuple(name for name in names if name in labels)
        if (names, common) not in self._joined:
            self._joined[names, common] = self._by_labels(names, common)
        return self._joined[names, common].get(tuple(labels[name] for name in common))

    def _by_labels(self, names: tuple[str, ...], common: tuple[str, ...]) -> dict[tuple[str, ...], float]:
        """Return the value furthest beyond the limit, by what the rows have for these labels: made once for many."""
        found: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for labels, value in self._rows[names]:
            found[tuple(labels[name] for name in common)].append(value)
        nearest = {key: nearest_row(self._only_if.limit, values) for key, values in found.items()}
        return {key: found[key][row] for key, row in nearest.items() if row is not None}


def noted(alert: Alert, look: Look, step: float, now: float) -> Alert:
    """Return the alert with since when `only_if` has not held. What is not known changes nothing."""
    if look.holds is None or not (alert.active or look.holds):
        return alert
    if look.holds:
        return replace(alert, unmet_since=None, unmet_seen=None)
    unbroken = alert.unmet_seen is not None and 0 <= now - alert.unmet_seen <= BLIND_STEPS * step
    return replace(alert, unmet_since=alert.unmet_since if unbroken else now, unmet_seen=now)


def gated(alert: Alert, look: Look, finding: Finding) -> Finding:
    """Return what the alert sees of a finding."""
    if look.holds:
        return finding
    if look.holds is None:
        return replace(finding, verdict=Verdict.UNKNOWN, said=look.said)
    if not alert.active:
        return replace(finding, verdict=Verdict.CLEAR, said=look.said)
    unmet = finding.slot - (finding.slot if alert.unmet_since is None else alert.unmet_since)
    if unmet < PATIENCE:
        return replace(finding, verdict=Verdict.UNKNOWN, said=f"{look.said}, {ENDS}")
    return replace(finding, verdict=Verdict.CLEAR, said=f"{look.said}, and has not for {format_duration(PATIENCE)}")


def _newest(answer: Samples) -> list[tuple[Mapping[str, str], float]]:
    """Return the rows of an answer; of those with timestamps the newest one of each series."""
    rows = list(zip(answer.labels, answer.values, strict=True))
    if answer.at is None:
        return rows
    order = sorted(range(len(rows)), key=answer.at.__getitem__)
    return list({frozenset(rows[row][0].items()): rows[row] for row in order}.values())
