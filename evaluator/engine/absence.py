"""Alerts of what is not there: `absent`, and `missed` before there has ever been a series. Their series is `()`.

This module knows whether an answer has any sample, and whether a rule has ever had one. It never looks at a value.
"""

from dataclasses import replace

from evaluator.engine.alerts import Alert, AlertKey, Finding, State, Verdict, quiet_alert
from evaluator.engine.missing import is_missing, missing_after
from evaluator.engine.rules import Rule, Tier
from evaluator.engine.samples import Samples, Series
from evaluator.engine.wording import held_text

NOBODY: Series = ()
"""The series of what is not there: it has no labels."""

SEEN = "its series was seen for the first time"
"""Why an alert of a series that had never been there ends, and what its mark says."""


def is_empty(samples: Samples, alert: Alert) -> bool:
    """Return whether an answer has no sample that is new to this alert. NaN is a sample."""
    if not len(samples):
        return True
    return samples.at is not None and alert.sample_at is not None and max(samples.at) <= alert.sample_at


def absent_finding(rule: Rule, alert: Alert, samples: Samples, now: float) -> tuple[Alert, Finding]:
    """Return what a good answer says to an alert of `absent`, and the alert with what there is to count."""
    if not is_empty(samples, alert):
        alert = replace(alert, absent=0.0, sample_at=None if samples.at is None else max(samples.at))
        said = "there is a sample" if len(samples) == 1 else f"there are {len(samples)} samples"
        return alert, Finding(Verdict.CLEAR, now, now, said=said)
    alert = replace(alert, absent=alert.absent + rule.every)
    said = f"no sample at all for {held_text(alert.absent)}"
    if is_missing(rule, alert.absent):
        return alert, Finding(Verdict.BREACH, now, now, said=said)
    return alert, Finding(Verdict.UNKNOWN, now, now, said=f"{said}, of {held_text(missing_after(rule))}")


def is_mark(tier: Tier, alert: Alert) -> bool:
    """Return whether a row only says that this tier of `missed` has had a series.

    Without it, a rule whose last series its source has given up would look like one that has never had any.
    """
    return tier.missed is not None and alert.series == NOBODY and alert.value is None and alert.state is State.QUIET


def mark_of(rule: Rule, tier: Tier, now: float) -> Alert:
    """Return the row that says that a rule has had a series."""
    return replace(quiet_alert(AlertKey(rule.name, tier.severity, NOBODY), now), reason=SEEN)


def awaits_the_first(tier: Tier, alert: Alert) -> bool:
    """Return whether an alert is one of a rule that has missed the first success of all."""
    never = tier.missed is not None and alert.series == NOBODY and alert.value is None
    return never and alert.state is not State.QUIET
