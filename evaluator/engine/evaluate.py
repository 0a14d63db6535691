"""One evaluation: from a rule, an answer, the rule's alerts as they stood and the slot to its alerts as they stand now.

Everything is an argument. A failed poll, a missing series and NaN are `unknown`; what a missing series means beyond
that is the rule's `no_data`. Only what is not quiet has a row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from evaluator.engine.absence import NOBODY, SEEN, awaits_the_first, is_empty, is_mark, mark_of
from evaluator.engine.alerts import Alert, AlertKey, Finding, Looked, State, Verdict, advance, ended, quiet_alert
from evaluator.engine.gate import Gate
from evaluator.engine.kept import Kept
from evaluator.engine.missing import Missing, forgotten_after
from evaluator.engine.rows import Reading, is_newer, memory, readings_that_matter, recent
from evaluator.engine.rules import NoDataPolicy, Rule, Severity, Tier
from evaluator.engine.samples import PollFailed, PollResult, Samples, Series
from evaluator.engine.sight import Sight
from evaluator.engine.track import Answer, Track, looked
from evaluator.engine.trail import Chunk, Trails
from evaluator.engine.window import SPARE_STEPS, window_size

Book = Mapping[tuple[Severity, Series], Alert]
"""The alerts of one rule that have a row."""


class Cause(StrEnum):
    """What made an alert enter a state."""

    JUDGED = "judged"
    """The state table."""
    GONE = "gone"
    EDITED = "edited"
    FORGOTTEN = "forgotten"
    SEEN = "seen"
    """The rule had never had a series, and now it has one."""


SENTENCES: Mapping[Cause, str] = {
    Cause.GONE: "its source says that it has ended",
    Cause.EDITED: "the rule was edited, and the series is not in its first answer",
    Cause.FORGOTTEN: "its series has been missing for so long that it is forgotten",
    Cause.SEEN: SEEN,
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
    looked: list[Looked] = field(default_factory=list)
    """What was seen of each alert that was looked at; series that nothing was wrong with are not among them where a
    scan says so."""


NOTHING_ELSE = Standing()


def evaluate(
    rule: Rule,
    result: PollResult,
    book: Book,
    remembered: Mapping[Series, float],
    now: float,
    standing: Standing = NOTHING_ELSE,
) -> Evaluation:
    """Judge one answer.

    `book` are the rule's alerts, `remembered` the series of a `no_data = "breach"` rule with the seconds for which each
    has been missing, `now` is the slot. Nothing that is given is changed.
    """
    if isinstance(result, PollFailed):
        return _blind(rule, result, book, now)
    return _Sighted(rule, result, book, remembered, now, standing).evaluation()


def _blind(rule: Rule, failed: PollFailed, book: Book, now: float) -> Evaluation:
    """Judge an evaluation without an answer: unknown for each alert, and nothing for what is quiet."""
    evaluation = Evaluation(good=False)
    for (severity, _), alert in book.items():
        tier = rule.tier(severity)
        if tier is not None and alert.state is not State.QUIET:
            finding = Finding(Verdict.UNKNOWN, now, now, said=failed.message)
            after = advance(alert, tier, finding, rule.step)
            evaluation.alerts[alert.key] = after
            evaluation.looked.append(looked(after, finding, now))
    return evaluation


class _Sighted:
    """The work on one good answer."""

    def __init__(
        self,
        rule: Rule,
        samples: Samples,
        book: Book,
        remembered: Mapping[Series, float],
        now: float,
        standing: Standing,
    ) -> None:
        self.rule = rule
        self.samples = samples = recent(samples, now - memory(rule), now)
        self.book = book
        self.now = now
        self.since = standing.since
        self.kept = Kept(rule, standing.trails, now)
        self.missing = Missing(rule, samples, book, remembered)
        gate = None if rule.only_if is None else Gate(rule.only_if, standing.gate)
        self.answer = Answer(rule, samples, self.missing, gate, standing.hold, now)
        self.result = Evaluation(good=True, absent=self.missing.changed, chunks=self.kept.chunks)
        known = self._known()
        self.readings = readings_that_matter(rule, samples, known)
        self.series = sorted(known | set(self.readings))

    def evaluation(self) -> Evaluation:
        for series in self.series:
            self._judge(series)
        self._judge_absent()
        self._mark()
        return self.result

    def _known(self) -> set[Series]:
        """Return the series that are judged whatever their values are."""
        others = {tier.severity: tier for tier in self.rule.tiers if tier.absent or tier.missed is not None}
        known = {
            series
            for (severity, series), alert in self.book.items()
            if severity not in others or not (others[severity].absent or is_mark(others[severity], alert))
        }
        remembered = self.missing.remembered
        known |= {series for series, absent in remembered.items() if absent}
        if self.samples.at is not None:
            # What each series said last must be kept, or its old samples would be taken for new ones.
            known |= remembered.keys()
        if not self.book and not self.samples.labels and not self.samples.blind:
            known |= {NOBODY for tier in others.values() if tier.missed is not None}
        return known

    def _judge(self, series: Series) -> None:
        """Judge the alerts of one series: each new sample in turn, and for each sample the worst tier first."""
        readings = self.readings.get(series)
        if self.kept.keeps:
            for value, at in readings or ():
                self.kept.note(series, self.now if at is None else at, value)
        begun = [self._begun(tier, series, readings) for tier in self.rule.tiers if not tier.absent]
        for reading in readings or ():
            worse = False
            for track, _ in begun:
                if track.newer and reading in track.newer:
                    track.judge(reading, worse=worse)
                worse = worse or track.alert.active
        worse = False
        for track, cause in begun:
            if cause is Cause.JUDGED and not track.newer:
                # A series that says nothing new is missed in the end, also while its old samples are told again.
                track.judge_missing(worse=worse)
            worse = worse or track.alert.active
            self._note(track, cause)

    def _judge_absent(self) -> None:
        """Judge the tiers to which it is a breach that there is nothing."""
        worse = False
        for tier in self.rule.tiers:
            if tier.absent:
                track, cause = self._track(tier, NOBODY), Cause.JUDGED
                if track.alert.edited and is_empty(self.samples, track.alert):
                    cause = Cause.EDITED
                    # What was counted was about another question; this answer is the first without a sample.
                    track.alert = replace(ended(track.alert, self.now, SENTENCES[cause]), absent=self.rule.every)
                else:
                    track.alert = replace(track.alert, edited=False)
                    track.judge_absent(worse=worse)
                worse = worse or track.alert.active
                self._note(track, cause)

    def _mark(self) -> None:
        """Keep in mind that a rule has had a series, where it must know that."""
        for tier in self.rule.tiers:
            before = self.book.get((tier.severity, NOBODY))
            if tier.missed is None or NOBODY in self.series:
                continue
            if before is None and self.samples.labels:
                mark = mark_of(self.rule, tier, self.now)
                self.result.alerts[mark.key] = mark
            elif before is not None and before.edited:
                self.result.alerts[before.key] = replace(before, edited=False) if self.samples.labels else None

    def _track(self, tier: Tier, series: Series) -> Track:
        before = self.book.get((tier.severity, series))
        alert = before or quiet_alert(AlertKey(self.rule.name, tier.severity, series), self.now)
        sight = Sight(self.rule, tier, series, self.kept, self.since) if tier.looks_back else None
        return Track(self.answer, tier, before, alert, sight)

    def _begun(self, tier: Tier, series: Series, readings: list[Reading] | None) -> tuple[Track, Cause]:
        """Return an alert with what there is to be judged of it, and why it ends whatever that is, if it does."""
        track = self._track(tier, series)
        newer = [reading for reading in readings or () if is_newer(reading, track.alert)]
        cause = self._ending(track, present=readings is not None, said_something=bool(newer))
        if cause is Cause.JUDGED:
            track.begin(readings, newer)
        else:
            track.alert = ended(track.alert, self.now, SENTENCES[cause])
            if tier.missed is not None:
                # With its last success, it would be judged again.
                track.alert = replace(track.alert, value=None)
        return track, cause

    def _ending(self, track: Track, *, present: bool, said_something: bool) -> Cause:
        """Return why the alert ends whatever its verdict, or `JUDGED`: it does not."""
        alert, tier = track.alert, track.tier
        if alert.series in self.samples.gone:
            return Cause.GONE
        if not present and self.samples.labels and awaits_the_first(tier, alert):
            return Cause.SEEN
        if alert.edited and not present:
            return Cause.EDITED
        held_open = self.rule.no_data.policy is NoDataPolicy.HOLD and alert.active
        if not said_something and not held_open and tier.missed is None:
            # Under "hold" only its window is left of a quiet series, and that for as long as its samples count.
            quiet = self.rule.no_data.policy is NoDataPolicy.HOLD and alert.state is State.QUIET
            window = (window_size(tier) + SPARE_STEPS + 1) * self.rule.step if quiet else 0.0
            if self.missing.absent(alert) >= max(forgotten_after(self.rule), window):
                return Cause.FORGOTTEN
        return Cause.JUDGED

    def _note(self, track: Track, cause: Cause) -> None:
        """Write down what became of an alert."""
        before, alert = track.before, track.alert
        state = before.state if before else State.QUIET
        if alert.state is not state:
            self.result.transitions.append(Transition(state, alert, cause))
        self.result.looked.append(track.looked())
        if self._worth_keeping(track, cause):
            if alert != before:
                self.result.alerts[alert.key] = alert
        elif before is not None:
            self.result.alerts[alert.key] = None

    def _worth_keeping(self, track: Track, cause: Cause) -> bool:
        """Return whether a row must be kept: it is not quiet, or its past still matters to the next verdict."""
        alert, tier, before = track.alert, track.tier, track.before
        if alert.state is not State.QUIET or track.remembers() or (tier.absent and alert.absent > 0):
            return True
        if tier.missed is not None and (alert.value is not None or cause is Cause.SEEN):
            return True
        if alert.sample_at is None:
            return before is not None and is_mark(tier, before) and is_mark(tier, alert)
        # A source of dated samples answers with old ones again; without this mark an old breach would be a new one.
        return self.missing.waits_for(alert.series) or self.now - alert.sample_at <= memory(self.rule)
