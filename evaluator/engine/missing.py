"""What it means that a series which was seen before is not in a good answer.

This module knows one number: for how many seconds of *good* answers the series has been missing. Failed polls never
count, so a source that is down makes nothing missing.
"""

import math
from collections.abc import Mapping
from typing import assert_never

from evaluator.engine.alerts import Alert, Verdict
from evaluator.engine.rows import newest_of
from evaluator.engine.rules import NoDataPolicy, Rule, Severity
from evaluator.engine.samples import Samples, Series

MISSING_STEPS = 3
"""A series is missing after this many steps (plus the rule's `lag`) of good answers without it."""

FORGET_AFTER = 86_400.0
"""Seconds of good answers without a series after which it is forgotten; see `forgotten_after`."""


def missing_after(rule: Rule) -> float:
    """Return after how many seconds of good answers without it a series counts as missing."""
    return MISSING_STEPS * rule.step + rule.lag


def is_missing(rule: Rule, absent: float) -> bool:
    """Return whether a series counts as missing after so many seconds of good answers without it."""
    return absent >= missing_after(rule)


def forgotten_after(rule: Rule) -> float:
    """Return after how many seconds of good answers without it a series is forgotten.

    Never before `resolve_after`; and what comes once a day must have been missing for a while before it is forgotten.
    """
    return max(FORGET_AFTER, rule.no_data.resolve_after, 2 * missing_after(rule))


def missing_verdict(rule: Rule, absent: float) -> Verdict:
    """Return what the rule's `no_data` makes of a series that has been missing for so many seconds of good answers."""
    if not is_missing(rule, absent):
        return Verdict.UNKNOWN
    match rule.no_data.policy:
        case NoDataPolicy.HOLD:
            return Verdict.UNKNOWN
        case NoDataPolicy.BREACH:
            return Verdict.BREACH
        case NoDataPolicy.RESOLVE:
            return Verdict.CLEAR if absent >= rule.no_data.resolve_after else Verdict.UNKNOWN
        case _:
            assert_never(rule.no_data.policy)


class Missing:
    """For how long each series has been missing, with one more good answer."""

    def __init__(
        self,
        rule: Rule,
        samples: Samples,
        book: Mapping[tuple[Severity, Series], Alert],
        remembered: Mapping[Series, float],
    ) -> None:
        """Count. `remembered` are the series of a rule that must miss them, as they were before this answer."""
        self._rule = rule
        self._samples = samples
        self.changed: dict[Series, float | None] = {}
        """The remembered series whose count changed; `None`: forgotten."""
        self.remembered = self._counted(book, remembered) if rule.no_data.policy is NoDataPolicy.BREACH else {}
        """The series that the rule must miss, each with the seconds for which it has been missing."""

    def absent(self, alert: Alert) -> float:
        """Return for how many seconds of good answers the series has been missing, this one included."""
        return self.remembered.get(alert.series, alert.absent + self._longer(alert.series))

    def waits_for(self, series: Series) -> bool:
        """Return whether the series is remembered, and not forgotten just now."""
        return series in self.remembered and self.changed.get(series, 0.0) is not None

    def _longer(self, series: Series) -> float:
        """Return by how many seconds this answer makes a series missing that is not in it."""
        # To the source it is there, unseen: for this series it is no good answer.
        return 0.0 if series in self._samples.blind else self._rule.every

    def _counted(
        self, book: Mapping[tuple[Severity, Series], Alert], remembered: Mapping[Series, float]
    ) -> dict[Series, float]:
        newest, marks = newest_of(self._samples), _marks(book)
        fresh = {series for series, at in newest.items() if at is None or at > marks.get(series, -math.inf)}
        # The memory of an edited rule begins anew, with whatever is in its first good answer.
        edited = {series: alert.absent for (_, series), alert in book.items() if alert.edited and series in newest}
        counted = {series: absent + self._longer(series) for series, absent in {**edited, **remembered}.items()}
        counted.update(dict.fromkeys(fresh, 0.0))
        forget_after = forgotten_after(self._rule)
        for series, absent in counted.items():
            if absent >= forget_after or series in self._samples.gone:
                self.changed[series] = None
            elif remembered.get(series) != absent:
                self.changed[series] = absent
        return counted


def _marks(book: Mapping[tuple[Severity, Series], Alert]) -> dict[Series, float]:
    """Return the timestamp of the newest sample of each series that was judged, where samples carry one."""
    marks: dict[Series, float] = {}
    for (_, series), alert in book.items():
        if alert.sample_at is not None:
            marks[series] = max(alert.sample_at, marks.get(series, -math.inf))
    return marks
