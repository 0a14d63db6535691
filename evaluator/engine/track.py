"""One alert while one good answer is judged: from its samples, or from there being none, to what it is afterwards.

This module puts the stations together for one alert. It never knows other alerts, nor which of them have a row.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from evaluator.engine.absence import NOBODY, absent_finding
from evaluator.engine.alerts import Alert, Finding, Looked, State, Verdict, advance
from evaluator.engine.conditions import verdict_from
from evaluator.engine.gate import Gate, gated, noted
from evaluator.engine.look import Look
from evaluator.engine.missing import Missing, is_missing, missing_after, missing_verdict
from evaluator.engine.reasons import missed_text, reason_of, seen_text
from evaluator.engine.rows import Reading
from evaluator.engine.rules import NoDataPolicy, Rule, Tier
from evaluator.engine.samples import Samples, Series
from evaluator.engine.sight import Sight
from evaluator.engine.window import Window, amended, count_of, push, remembers, window_size, windowed_verdict


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer, and what counts for all alerts that are judged by it."""

    rule: Rule
    samples: Samples
    missing: Missing
    gate: Gate | None
    hold: Callable[[Series], float]
    """By series: seconds that clear must last at least."""
    now: float
    """The slot."""


@dataclass(slots=True)
class Track:
    """One alert on its way through an answer."""

    answer: Answer
    tier: Tier
    before: Alert | None
    """Its row."""
    alert: Alert
    sight: Sight | None = None
    """Where the value alone does not say what is wrong."""
    newer: list[Reading] | None = None
    """Its samples that have not been judged yet, oldest first; `None`: it ended before any was."""
    gate: Look | None = None
    """Whether `only_if` holds, where there is one."""
    finding: Finding | None = None
    """The last thing that was found out."""

    def begin(self, readings: list[Reading] | None, newer: list[Reading]) -> None:
        """Take in what the answer has of the series: all of its samples, `None` without any, and the newer ones."""
        self.newer = newer
        if readings is not None:
            self.alert = self._with_late_samples(readings)
            # Copies are what judging costs where thousands fire.
            if self.alert.edited or (newer and self.alert.absent):
                self.alert = replace(self.alert, edited=False, absent=0.0 if newer else self.alert.absent)
        self._ask_gate()

    def judge(self, reading: Reading, *, worse: bool) -> None:
        """Judge a new sample. `worse`: a worse tier of the same series is firing or recovering."""
        (value, timestamp), step = reading, self.answer.rule.step
        at = self.answer.now if timestamp is None else timestamp
        window = self._window(value, at)
        if window != self.alert.window or timestamp != self.alert.sample_at:
            self.alert = replace(self.alert, window=window, sample_at=timestamp)
        holds = None if self.sight is None else self.sight.holds
        verdict = windowed_verdict(self.tier, window, value, at, step, holds)
        said = "" if self.sight is None else self.sight.look(at, value).said
        known = None if value != value else value  # noqa: PLR0124 - NaN.
        finding = Finding(verdict, at, self.answer.now, known, worse, said)
        if said or window:
            count = count_of(self.tier, window, at, step, holds)
            finding = replace(finding, said=seen_text(self.answer.rule, self.tier, finding, count))
        self._advance(finding)

    def judge_missing(self, *, worse: bool) -> None:
        """Judge a series that is not in a good answer, or brings nothing newer."""
        rule, now, series = self.answer.rule, self.answer.now, self.alert.series
        absent = self.answer.missing.absent(self.alert)
        dated = self.alert.sample_at is not None
        if series in self.answer.samples.blind:
            # As for every dated series, a sample that is merely not there yet changes nothing.
            if self.alert.sample_at is None or now - self.alert.sample_at >= missing_after(rule):
                said = "its source cannot see its value now"
                self._advance(Finding(Verdict.UNKNOWN, now, now, None, worse, said))
            return
        if dated and not is_missing(rule, absent):
            # It changes nothing; and where the series is remembered, its count is kept there.
            if series not in self.answer.missing.remembered:
                self.alert = replace(self.alert, absent=absent)
            return
        self.alert = replace(self.alert, absent=absent)
        if self.tier.missed is not None:
            self._judge_last_success(worse=worse)
        elif not self._is_forgotten():
            verdict = missing_verdict(rule, absent)
            self._advance(Finding(verdict, now, now, None, worse, missed_text(rule, verdict, absent)))

    def judge_absent(self, *, worse: bool) -> None:
        """Judge a tier to which it is a breach that there is nothing."""
        self.alert, finding = absent_finding(self.answer.rule, self.alert, self.answer.samples, self.answer.now)
        self._ask_gate()
        self._advance(replace(finding, worse=worse))

    def remembers(self) -> bool:
        """Return whether the window has samples that still matter to the next verdict."""
        return remembers(self.tier, self.alert.window, None if self.sight is None else self.sight.holds)

    def looked(self) -> Looked:
        """Return what was seen of the alert."""
        return looked(self.alert, self.finding, self.answer.now)

    def _window(self, value: float, at: float) -> Window:
        """Return the window with a new sample. One that is not to be judged is never among the last ones."""
        if not window_size(self.tier):
            return ()
        if self.gate is not None and not self.gate.holds:
            return self.alert.window
        return push(self.alert.window, self.tier, value, at, self.answer.rule.step)

    def _with_late_samples(self, readings: list[Reading]) -> Alert:
        """Return the alert with its window as it is known now: samples may come late, and change."""
        mark = self.alert.sample_at
        late = [(at, value) for value, at in readings if mark is not None and at is not None and at <= mark]
        if self.answer.gate is not None:
            # Whether it held at the time of a sample that was passed over is not known.
            judged = {at for at, _ in self.alert.window}
            late = [(at, value) for at, value in late if at in judged]
        if not late:
            return self.alert
        return replace(self.alert, window=amended(self.alert.window, self.tier, late, self.answer.rule.step))

    def _judge_last_success(self, *, worse: bool) -> None:
        """Judge a job by the last success that it told of: it has told of none since."""
        value, now = self.alert.value, self.answer.now
        nobody = self.alert.series == NOBODY and not self.answer.samples.labels
        first = nobody and (self.before is None or self.before.state is not State.QUIET)
        if self.sight is None or (value is None and not first):
            return
        look = self.sight.look(now, value)
        verdict = verdict_from(self.tier, value, look.holds)
        self._advance(Finding(verdict, now, now, value, worse, look.said))

    def _is_forgotten(self) -> bool:
        """Return whether nobody waits for this series any more: it has ended, and only its mark is left."""
        must_be_missed = self.answer.rule.no_data.policy is NoDataPolicy.BREACH
        quiet = self.alert.state is State.QUIET
        return must_be_missed and quiet and self.alert.series not in self.answer.missing.remembered

    def _ask_gate(self) -> None:
        if self.answer.gate is not None:
            self.gate = self.answer.gate.look(self.alert.series)
            self.alert = noted(self.alert, self.gate, self.answer.rule.step, self.answer.now)

    def _advance(self, finding: Finding) -> None:
        before, rule = self.alert, self.answer.rule
        if self.gate is not None:
            finding = gated(before, self.gate, finding)
        if finding.verdict is Verdict.CLEAR and before.active:
            finding = replace(finding, hold=self.answer.hold(before.series))
        self.finding = finding
        self.alert = after = advance(before, self.tier, finding, rule.step)
        if after.state is not before.state:
            reason = reason_of(rule, self.tier, before.state, after, finding)
            note = self.answer.samples.notes.get(after.series)
            self.alert = replace(after, reason=f"{reason}: {note}" if note else reason)


def looked(alert: Alert, finding: Finding | None, now: float) -> Looked:
    """Return what was seen of an alert; a finding of `None`: nothing that had not been judged before."""
    said, hold = ("", 0.0) if finding is None else (finding.said, finding.hold)
    return Looked(
        alert.series,
        alert.severity,
        alert.verdict,
        alert.state,
        alert.value,
        said,
        finding is not None,
        now,
        alert.active_at,
        alert.clock,
        alert.known,
        alert.absent,
        hold,
    )
