"""One evaluation: from a rule, an answer, the rule's alerts as they stood and the slot to its alerts as they stand now.

Everything is an argument. A failed poll, a missing series and NaN are `unknown`; what a missing series means beyond
that is the rule's `no_data`. Only what is not quiet has a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from evaluator.engine.alerts import Alert, AlertKey, Finding, State, Verdict, advance, ended, quiet_alert
from evaluator.engine.missing import FORGET_AFTER, is_missing, missing_verdict
from evaluator.engine.reasons import reason_of
from evaluator.engine.rows import Reading, all_series, readings_that_matter
from evaluator.engine.rules import NoDataPolicy, Rule, Severity, Tier
from evaluator.engine.samples import PollFailed, PollResult, Samples, Series
from evaluator.engine.window import beyond, push, window_size, windowed_verdict

Book = Mapping[tuple[Severity, Series], Alert]
"""The alerts of one rule that have a row."""


class Cause(StrEnum):
    """What made an alert enter a state."""

    JUDGED = "judged"
    """The state table."""
    GONE = "gone"
    EDITED = "edited"
    FORGOTTEN = "forgotten"


SENTENCES: Mapping[Cause, str] = {
    Cause.GONE: "its source says that it has ended",
    Cause.EDITED: "the rule was edited, and the series is not in its first answer",
    Cause.FORGOTTEN: "its series has been missing for so long that it is forgotten",
}
"""The reasons of alerts that end whatever their verdict."""


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert that entered another state in this evaluation."""

    before: State
    alert: Alert
    """The alert as it is now; its `reason` says why."""
    cause: Cause


@dataclass(slots=True)
class Evaluation:
    """What one evaluation changed."""

    good: bool
    """Whether there was an answer."""
    alerts: dict[AlertKey, Alert | None] = field(default_factory=dict)
    """The rows that changed; `None`: quiet, with nothing to remember."""
    absent: dict[Series, float | None] = field(default_factory=dict)
    """For rules with `no_data = "breach"`: series whose count of missing seconds changed; `None`: forgotten."""
    transitions: list[Transition] = field(default_factory=list)


def evaluate(rule: Rule, result: PollResult, book: Book, remembered: Mapping[Series, float], now: float) -> Evaluation:
    """Judge one answer.

    `book` are the rule's alerts, `remembered` the series of a `no_data = "breach"` rule with the seconds for which each
    has been missing, `now` is the slot. Nothing that is given is changed.
    """
    if isinstance(result, PollFailed):
        return _blind(rule, book, now)
    return _Sighted(rule, result, book, remembered, now).evaluation()


def _blind(rule: Rule, book: Book, now: float) -> Evaluation:
    """Judge an evaluation without an answer: unknown for each alert, and nothing for what is quiet."""
    evaluation = Evaluation(good=False)
    for (severity, _), alert in book.items():
        tier = rule.tier(severity)
        if tier is not None and alert.state is not State.QUIET:
            after = advance(alert, tier, Finding(Verdict.UNKNOWN, now, now), rule.step)
            evaluation.alerts[alert.key] = after
    return evaluation


class _Sighted:
    """The work on one good answer."""

    def __init__(
        self, rule: Rule, samples: Samples, book: Book, remembered: Mapping[Series, float], now: float
    ) -> None:
        self.rule = rule
        self.samples = samples
        self.book = book
        self.now = now
        self.result = Evaluation(good=True)
        self.remembered = self._remember(remembered)
        known = {series for _, series in book} | {series for series, absent in self.remembered.items() if absent}
        self.readings = readings_that_matter(rule, samples, known)
        self.series = sorted(known | set(self.readings))

    def evaluation(self) -> Evaluation:
        for series in self.series:
            worse = False
            for tier in self.rule.tiers:
                worse = self._judge(tier, series, worse=worse) or worse
        return self.result

    def _remember(self, remembered: Mapping[Series, float]) -> dict[Series, float]:
        """Count how long each remembered series has been missing, for rules that must miss one."""
        if self.rule.no_data.policy is not NoDataPolicy.BREACH:
            return {}
        present = all_series(self.samples)
        counted = {
            series: 0.0 if series in present else absent + self.rule.every for series, absent in remembered.items()
        }
        counted.update(dict.fromkeys(present, 0.0))
        for series, absent in counted.items():
            if absent >= FORGET_AFTER or series in self.samples.gone:
                self.result.absent[series] = None
            elif remembered.get(series) != absent:
                self.result.absent[series] = absent
        return counted

    def _judge(self, tier: Tier, series: Series, *, worse: bool) -> bool:
        """Judge one alert and return whether it is now firing or recovering."""
        before = self.book.get((tier.severity, series))
        key = AlertKey(self.rule.name, tier.severity, series)
        alert = before or quiet_alert(key, self.now)
        readings = self.readings.get(series)
        cause = self._ending(alert, present=readings is not None)
        if cause is not Cause.JUDGED:
            alert = ended(alert, self.now, SENTENCES[cause])
        elif readings is not None:
            alert = self._judge_readings(alert, tier, readings, worse=worse)
        else:
            alert = self._judge_missing(alert, tier, worse=worse)
        self._note(tier, before, alert, cause)
        return alert.active

    def _ending(self, alert: Alert, *, present: bool) -> Cause:
        """Return why the alert ends whatever its verdict, or `JUDGED`: it does not."""
        if alert.series in self.samples.gone:
            return Cause.GONE
        if alert.edited and not present:
            return Cause.EDITED
        held_open = self.rule.no_data.policy is NoDataPolicy.HOLD and alert.active
        if not present and not held_open:
            forget_after = max(FORGET_AFTER, self.rule.no_data.resolve_after)
            if self._absent(alert) >= forget_after:
                return Cause.FORGOTTEN
        return Cause.JUDGED

    def _absent(self, alert: Alert) -> float:
        """Return for how many seconds of good answers the series has been missing, this one included."""
        return self.remembered.get(alert.series, alert.absent + self.rule.every)

    def _judge_readings(self, alert: Alert, tier: Tier, readings: list[Reading], *, worse: bool) -> Alert:
        mark = alert.sample_at
        newer = [reading for reading in readings if mark is None or reading[1] is None or reading[1] > mark]
        if not newer:
            # The series is there, but says nothing new: late samples are waited for, and missed in the end.
            alert = replace(alert, edited=False)
            return self._judge_missing(alert, tier, worse=worse)
        alert = replace(alert, absent=0.0, edited=False)
        for value, timestamp in newer:
            at = self.now if timestamp is None else timestamp
            alert = replace(
                alert,
                window=push(alert.window, tier, value, at, self.rule.step) if window_size(tier) else (),
                sample_at=timestamp,
            )
            verdict = windowed_verdict(tier, alert.window, value, at, self.rule.step)
            finding = Finding(verdict, at, self.now, None if value != value else value, worse)  # noqa: PLR0124 - NaN.
            alert = self._advance(alert, tier, finding)
        return alert

    def _judge_missing(self, alert: Alert, tier: Tier, *, worse: bool) -> Alert:
        """Judge a series that is not in a good answer, or brings nothing newer."""
        absent = self._absent(alert)
        alert = replace(alert, absent=absent)
        if alert.sample_at is not None and not is_missing(self.rule, absent):
            return alert  # An evaluation that brings no newer sample changes nothing.
        verdict = missing_verdict(self.rule, absent)
        return self._advance(alert, tier, Finding(verdict, self.now, self.now, None, worse))

    def _advance(self, alert: Alert, tier: Tier, finding: Finding) -> Alert:
        after = advance(alert, tier, finding, self.rule.step)
        if after.state is alert.state:
            return after
        reason = reason_of(self.rule, tier, alert.state, after, finding)
        note = self.samples.notes.get(alert.series)
        return replace(after, reason=f"{reason}: {note}" if note else reason)

    def _note(self, tier: Tier, before: Alert | None, alert: Alert, cause: Cause) -> None:
        state = before.state if before else State.QUIET
        if alert.state is not state:
            self.result.transitions.append(Transition(state, alert, cause))
        if _worth_keeping(self.rule, tier, alert, self.now):
            self.result.alerts[alert.key] = alert
        elif before is not None:
            self.result.alerts[alert.key] = None


def _worth_keeping(rule: Rule, tier: Tier, alert: Alert, now: float) -> bool:
    """Return whether a row must be kept: it is not quiet, or its past still matters to the next verdict."""
    if alert.state is not State.QUIET:
        return True
    if beyond(tier, alert.window):
        return True
    # A source of dated samples answers with old ones again; without this mark an old breach would be a new one.
    return alert.sample_at is not None and now - alert.sample_at <= max(3600.0, 10 * rule.step) + rule.lag
