"""One evaluation: from a rule, an answer, the rule's alerts as they stood and the slot to its alerts as they stand now.

Everything is an argument. A failed poll, a missing series and NaN are `unknown`; what a missing series means beyond
that is the rule's `no_data`. Only what is not quiet has a row.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from evaluator.engine.alerts import Alert, AlertKey, Finding, State, Verdict, advance, ended, quiet_alert
from evaluator.engine.missing import forgotten_after, is_missing, missing_after, missing_verdict
from evaluator.engine.reasons import reason_of
from evaluator.engine.rows import Reading, newest_of, readings_that_matter, recent
from evaluator.engine.rules import NoDataPolicy, Rule, Severity, Tier
from evaluator.engine.samples import PollFailed, PollResult, Samples, Series
from evaluator.engine.trail import Chunk, Trails
from evaluator.engine.window import SPARE_STEPS, amended, beyond, push, window_size, windowed_verdict

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


def _never(_: Series) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known besides a rule's alerts when it is judged."""

    trails: Trails = field(default_factory=dict)
    """The samples that it keeps."""
    since: float = 0.0
    """When the rule was first seen."""
    gate: PollResult | None = None
    """The answer to the query of its `only_if`; `None` counts as a failed poll."""
    hold: Callable[[Series], float] = _never
    """By series: seconds that clear must last at least, since its incident is flapping."""


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
    chunks: dict[tuple[float, Series, int], Chunk | None] = field(default_factory=dict)
    """What changed of the samples that the rule keeps: (width, series, number of the chunk)."""


NOTHING_ELSE = Standing()


def evaluate(
    rule: Rule,
    result: PollResult,
    book: Book,
    remembered: Mapping[Series, float],
    now: float,
    standing: Standing = NOTHING_ELSE,  # noqa: ARG001
) -> Evaluation:
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


@dataclass(slots=True)
class _Track:
    """One alert while its series is judged."""

    tier: Tier
    alert: Alert
    newer: list[Reading]
    """Its samples that have not been judged yet, oldest first."""
    cause: Cause


class _Sighted:
    """The work on one good answer."""

    def __init__(
        self, rule: Rule, samples: Samples, book: Book, remembered: Mapping[Series, float], now: float
    ) -> None:
        self.rule = rule
        self.samples = samples = recent(samples, now - _memory(rule))
        self.book = book
        self.now = now
        self.result = Evaluation(good=True)
        self.remembered = self._remember(remembered)
        known = {series for _, series in book} | {series for series, absent in self.remembered.items() if absent}
        if samples.at is not None:
            # What each series said last must be kept, or its old samples would be taken for new ones.
            known |= self.remembered.keys()
        self.readings = readings_that_matter(rule, samples, known)
        self.series = sorted(known | set(self.readings))

    def evaluation(self) -> Evaluation:
        for series in self.series:
            self._judge(series)
        return self.result

    def _remember(self, remembered: Mapping[Series, float]) -> dict[Series, float]:
        """Count how long each remembered series has been missing, for rules that must miss one."""
        if self.rule.no_data.policy is not NoDataPolicy.BREACH:
            return {}
        newest, marks = newest_of(self.samples), self._marks()
        fresh = {series for series, at in newest.items() if at is None or at > marks.get(series, -math.inf)}
        # The memory of an edited rule begins anew, with whatever is in its first good answer.
        edited = {series: alert.absent for (_, series), alert in self.book.items() if alert.edited and series in newest}
        counted = {series: absent + self._longer(series) for series, absent in {**edited, **remembered}.items()}
        counted.update(dict.fromkeys(fresh, 0.0))
        forget_after = forgotten_after(self.rule)
        for series, absent in counted.items():
            if absent >= forget_after or series in self.samples.gone:
                self.result.absent[series] = None
            elif remembered.get(series) != absent:
                self.result.absent[series] = absent
        return counted

    def _marks(self) -> dict[Series, float]:
        """Return the timestamp of the newest sample of each series that was judged, where samples carry one."""
        marks: dict[Series, float] = {}
        for (_, series), alert in self.book.items():
            if alert.sample_at is not None:
                marks[series] = max(alert.sample_at, marks.get(series, -math.inf))
        return marks

    def _judge(self, series: Series) -> None:
        """Judge the alerts of one series: each new sample in turn, and for each sample the worst tier first."""
        readings = self.readings.get(series)
        befores = [self.book.get((tier.severity, series)) for tier in self.rule.tiers]
        tracks = [
            self._begun(
                tier, before or quiet_alert(AlertKey(self.rule.name, tier.severity, series), self.now), readings
            )
            for tier, before in zip(self.rule.tiers, befores, strict=True)
        ]
        for reading in readings or ():
            worse = False
            for track in tracks:
                if reading in track.newer:
                    track.alert = self._judge_reading(track.alert, track.tier, reading, worse=worse)
                worse = worse or track.alert.active
        worse = False
        for track, before in zip(tracks, befores, strict=True):
            if track.cause is Cause.JUDGED and not track.newer:
                # A series that says nothing new is missed in the end, also while its old samples are told again.
                track.alert = self._judge_missing(track.alert, track.tier, worse=worse)
            worse = worse or track.alert.active
            self._note(track.tier, before, track.alert, track.cause)

    def _begun(self, tier: Tier, alert: Alert, readings: list[Reading] | None) -> "_Track":
        """Return what there is to be judged of one alert."""
        newer = [reading for reading in readings or () if _is_newer(reading, alert)]
        cause = self._ending(alert, tier, present=readings is not None, said_something=bool(newer))
        if cause is not Cause.JUDGED:
            return _Track(tier, ended(alert, self.now, SENTENCES[cause]), [], cause)
        if readings is not None:
            alert = self._with_late_samples(replace(alert, edited=False), tier, readings)
        return _Track(tier, replace(alert, absent=0.0) if newer else alert, newer, cause)

    def _with_late_samples(self, alert: Alert, tier: Tier, readings: list[Reading]) -> Alert:
        """Return the alert with its window as it is known now: samples may come late, and change."""
        mark = alert.sample_at
        late = [(at, value) for value, at in readings if mark is not None and at is not None and at <= mark]
        return replace(alert, window=amended(alert.window, tier, late, self.rule.step)) if late else alert

    def _ending(self, alert: Alert, tier: Tier, *, present: bool, said_something: bool) -> Cause:
        """Return why the alert ends whatever its verdict, or `JUDGED`: it does not."""
        if alert.series in self.samples.gone:
            return Cause.GONE
        if alert.edited and not present:
            return Cause.EDITED
        held_open = self.rule.no_data.policy is NoDataPolicy.HOLD and alert.active
        if not said_something and not held_open:
            # Under "hold" only its window is left of a quiet series, and that for as long as its samples count.
            quiet = self.rule.no_data.policy is NoDataPolicy.HOLD and alert.state is State.QUIET
            window = (window_size(tier) + SPARE_STEPS + 1) * self.rule.step if quiet else 0.0
            if self._absent(alert) >= max(forgotten_after(self.rule), window):
                return Cause.FORGOTTEN
        return Cause.JUDGED

    def _absent(self, alert: Alert) -> float:
        """Return for how many seconds of good answers the series has been missing, this one included."""
        return self.remembered.get(alert.series, alert.absent + self._longer(alert.series))

    def _longer(self, series: Series) -> float:
        """Return by how many seconds this answer makes a series missing that is not in it."""
        # To the source it is there, unseen: for this series it is no good answer.
        return 0.0 if series in self.samples.blind else self.rule.every

    def _judge_reading(self, alert: Alert, tier: Tier, reading: Reading, *, worse: bool) -> Alert:
        """Judge a new sample."""
        value, timestamp = reading
        at = self.now if timestamp is None else timestamp
        alert = replace(
            alert,
            window=push(alert.window, tier, value, at, self.rule.step) if window_size(tier) else (),
            sample_at=timestamp,
        )
        verdict = windowed_verdict(tier, alert.window, value, at, self.rule.step)
        finding = Finding(verdict, at, self.now, None if value != value else value, worse)  # noqa: PLR0124 - NaN.
        return self._advance(alert, tier, finding)

    def _judge_missing(self, alert: Alert, tier: Tier, *, worse: bool) -> Alert:
        """Judge a series that is not in a good answer, or brings nothing newer."""
        absent = self._absent(alert)
        if alert.series in self.samples.blind:
            # As for every dated series, a sample that is merely not there yet changes nothing.
            if alert.sample_at is not None and self.now - alert.sample_at < missing_after(self.rule):
                return alert
            return self._advance(alert, tier, Finding(Verdict.UNKNOWN, self.now, self.now, None, worse))
        if alert.sample_at is not None and not is_missing(self.rule, absent):
            # It changes nothing; and where the series is remembered, its count is kept there.
            return alert if alert.series in self.remembered else replace(alert, absent=absent)
        alert = replace(alert, absent=absent)
        if self._is_forgotten(alert):
            return alert
        verdict = missing_verdict(self.rule, absent)
        return self._advance(alert, tier, Finding(verdict, self.now, self.now, None, worse))

    def _is_forgotten(self, alert: Alert) -> bool:
        """Return whether nobody waits for this series any more: it has ended, and only its mark is left."""
        must_be_missed = self.rule.no_data.policy is NoDataPolicy.BREACH
        return must_be_missed and alert.state is State.QUIET and alert.series not in self.remembered

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
        dated = alert.sample_at is not None and alert.series in self.remembered
        waited_for = dated and self.result.absent.get(alert.series, 0.0) is not None
        if waited_for or _worth_keeping(self.rule, tier, alert, self.now):
            if alert != before:
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
    return alert.sample_at is not None and now - alert.sample_at <= _memory(rule)


def _memory(rule: Rule) -> float:
    """Return for how many seconds it is known which dated samples were judged; older ones are judged no more."""
    return max(3600.0, 10 * rule.step) + rule.lag


def _is_newer(reading: Reading, alert: Alert) -> bool:
    """Return whether a sample has not been judged yet."""
    return alert.sample_at is None or reading[1] is None or reading[1] > alert.sample_at
