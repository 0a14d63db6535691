"""The rules of judgement a second time: slow, obvious, and written from the design page alone.

It knows rules, answers and times, and says which alerts are where and which incidents are open. It never imports the
real judging code (only the values that both speak in), so that the two can disagree.

Everything is a plain dict or list. An alert keeps every verdict of its present state; what has been held is counted
by walking back over them.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evaluator.engine.maintenance import Window
from evaluator.engine.rules import Mode, NoDataPolicy, Rule, Severity
from evaluator.engine.samples import Series
from tests.story.ledger import ACTIVE, STORM, Ledger, ModelSilence, agree, close
from tests.story.looking_back import widths
from tests.story.verdicts import (
    COMPARE,
    ModelAlert,
    Past,
    group_of,
    kind_of,
    longest,
    question,
    step_alert,
    verdict,
    without_only_if,
)

DAY = 24 * 3600.0
NOBODY: Series = ()
"""The series of what is not there."""


@dataclass
class Row:
    """One sample of an answer."""

    series: Series
    value: float
    at: float | None = None


@dataclass
class Answer:
    """A good answer; a failed poll is `None` in its place."""

    rows: list[Row] = field(default_factory=list)
    gone: list[Series] = field(default_factory=list)


@dataclass
class Memory:
    """What is remembered of one series of one rule."""

    missed: float = 0.0
    """Seconds of good answers without it since it was last in one."""
    windows: dict[Severity, list[tuple[float, float]]] = field(default_factory=dict)
    """The last known samples of it, as (time, value), for each tier that looks at more than one."""
    told: bool = True
    """Whether it was in the last good answer, where that is the question ..."""
    success: float | None = None
    """... and what it was last told to have succeeded at."""


@dataclass
class Look:
    """One evaluation under way."""

    rule: Rule
    slot: float
    answer: Answer
    gate: Answer | None
    breaching: set[tuple[Severity, Series]] = field(default_factory=set)
    reasons: dict[Series, str] = field(default_factory=dict)
    """Why what was active has ended, where it did not simply recover."""

    def only_if(self, series: Series) -> str:
        """Return whether `only_if` holds for a series: `holds`, `does not`, or its own poll `failed`."""
        if self.rule.only_if is None:
            return "holds"
        if self.gate is None:
            return "failed"
        limit = self.rule.only_if.limit
        rows = [row.value for row in self.gate.rows if agree(row.series, series) and not math.isnan(row.value)]
        return "holds" if any(COMPARE[limit.op](value, limit) for value in rows) else "does not"


class Model:
    """The whole of part 4 for one installation."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self.rules: dict[str, Rule] = {}
        self.alerts: dict[tuple[str, Severity, Series], ModelAlert] = {}
        self.memory: dict[tuple[str, Series], Memory] = {}
        self.ledger = Ledger()
        self.newest: dict[tuple[str, Series], float] = {}
        """The timestamp of the newest sample of each series that was judged."""
        self.kept: dict[tuple[str, float, Series], dict[float, float]] = {}
        """By rule, width and series: the first sample of each bucket."""
        self.since: dict[str, float] = {}
        """When each rule was first seen, or asked something else."""
        self.seen: set[str] = set()
        """Rules that have had a series since then."""
        self.edited: set[str] = set()
        """Rules whose first good answer after an edit is still to come."""

    # What it is asked.

    def states(self) -> dict[tuple[str, Severity, Series], str]:
        """Return where every alert is that is not quiet."""
        return {key: alert.state for key, alert in self.alerts.items() if alert.state != "quiet"}

    def open(self) -> dict[tuple[str, Series], Severity]:
        """Return the open incidents with their severities."""
        return {(it.rule, it.group): it.severity for it in self.ledger.still_open()}

    def storms(self) -> set[tuple[str, str, Series, Severity]]:
        """Return what open storms have caught: service, rule, group and severity."""
        return {
            (storm.service, rule, group, catch.severity)
            for storm in self.ledger.still_open(STORM)
            for (rule, group), catch in storm.caught.items()
        }

    def silences(self, now: float) -> set[str]:
        """Return the names of the silences in force."""
        return {it.name for it in self.ledger.silences if it.holds(now)}

    def ended(self) -> list[tuple[str, Series, str]]:
        """Return every incident that ended, in the order in which they were opened."""
        return [(it.rule, it.group, it.ended) for it in self.ledger.incidents if it.ended is not None]

    # What happens to it.

    def restart(self) -> None:
        """Forget what only the process knew: when each rule was looked at last."""
        self.ledger.slots = {}

    def reload(self, rules: Iterable[Rule], windows: Iterable[Window] = (), now: float = 0.0) -> None:
        """Take a new rule set, at a start or at a reload."""
        before, self.rules = self.rules, {rule.name: rule for rule in rules}
        self.ledger.rules, self.ledger.windows = self.rules, list(windows)
        for name in self.rules.keys() - before.keys():
            self.since[name] = now
        for name, old in before.items():
            new = self.rules.get(name)
            if new is None or new.mode is Mode.OFF:
                self.drop_rule(name, "removed" if new is None else "off", now)
            if new is None:
                continue
            self.drop_trails(old, new)
            if question(old) != question(new):
                self.since[name] = now
            if new.mode is Mode.SHADOW:
                self.ledger.end_rule(name, "shadow", now)
            if Mode.OFF not in (old.mode, new.mode) and question(old) != question(new):
                self.move(old, new, now)

    def drop_trails(self, old: Rule, new: Rule) -> None:
        """Forget samples of another question, and those kept in other widths than the rule's of now."""
        asks_anew = (old.query.source, old.query.spec) != (new.query.source, new.query.spec)
        wanted = set() if asks_anew else widths(new)
        for key in [key for key in self.kept if key[0] == new.name and key[1] not in wanted]:
            del self.kept[key]

    def move(self, old: Rule, new: Rule, now: float) -> None:
        """Give alerts and incidents the severities and groups of an edited rule.

        As many severities as went away may have come: then each took the place of one, in order. What has no severity
        any more ends.
        """
        was, is_now = [tier.severity for tier in old.tiers], [tier.severity for tier in new.tiers]
        went = [severity for severity in was if severity not in is_now]
        came = [severity for severity in is_now if severity not in was]
        becomes = {severity: severity for severity in is_now}
        if len(went) == len(came):
            becomes |= dict(zip(went, came, strict=True))
        other_kind = kind_of(old) != kind_of(new)
        if other_kind:
            # What was judged by its values cannot go on as what is missed, nor the other way round.
            becomes = {}
            self.memory = {key: kept for key, kept in self.memory.items() if key[0] != new.name}
            self.newest = {key: at for key, at in self.newest.items() if key[0] != new.name}
            self.seen.discard(new.name)
        before = {key: alert for key, alert in self.alerts.items() if key[0] == new.name}
        for key in before:
            del self.alerts[key]
        for (name, severity, series), alert in before.items():
            if severity in becomes:
                self.alerts[name, becomes[severity], series] = alert
        asks_anew = (old.query.source, old.query.spec) != (new.query.source, new.query.spec)
        if asks_anew or old.group_by != new.group_by or len(went) != len(came) or other_kind:
            # A severity that only has another name moves with all that it has; else the first good answer decides.
            self.edited.add(new.name)
        for memory in [memory for (name, _), memory in self.memory.items() if name == new.name]:
            kept = {becomes[severity]: window for severity, window in memory.windows.items() if severity in becomes}
            memory.windows = {} if asks_anew else kept
        if asks_anew:
            self.newest = {key: at for key, at in self.newest.items() if key[0] != new.name}
            self.seen.discard(new.name)
        self.ledger.move(old, new, becomes, self.alerts, now)

    def drop_rule(self, name: str, reason: str, now: float) -> None:
        """Forget everything about a rule that is no longer judged."""
        self.alerts = {key: alert for key, alert in self.alerts.items() if key[0] != name}
        self.memory = {key: kept for key, kept in self.memory.items() if key[0] != name}
        self.newest = {key: at for key, at in self.newest.items() if key[0] != name}
        self.edited.discard(name)
        self.seen.discard(name)
        self.ledger.slots.pop(name, None)
        if reason == "removed":
            self.kept = {key: trail for key, trail in self.kept.items() if key[0] != name}
            self.since.pop(name, None)
        self.ledger.end_rule(name, reason, now)

    def resolve(self, rule: str, group: Series, now: float) -> None:
        """Let a human end what is open; what nobody can see any more is forgotten."""
        for incident in self.ledger.still_open(rule):
            if incident.group == group:
                close(incident, "resolved_by_human", now)
                for name, part in incident.caught or [(rule, group)]:
                    self.forget_unseen(name, part)

    def silence(self, silence: ModelSilence) -> None:
        """Begin a silence."""
        self.ledger.silence(silence, self.alerts)

    def unsilence(self, name: str) -> None:
        """End a silence early."""
        self.ledger.unsilence(name)

    def pass_time(self, now: float) -> None:
        """End what the time ends."""
        self.ledger.pass_time(now, self.alerts)

    def judge(
        self, name: str, slot: float, answer: Answer | None, *, gate: Answer | None = None, live: bool = True
    ) -> None:
        """Judge one rule on one answer; `None` is a poll that failed. `gate` is the answer to its `only_if`."""
        rule = self.rules[name]
        if rule.mode is Mode.OFF:
            return
        if live:
            self.ledger.slots[name] = slot
        if answer is None:
            for key in [key for key in self.alerts if key[0] == name]:
                self.alerts[key].said = "unknown"
        else:
            self.judge_good(Look(rule, slot, answer, gate), live=live)
        self.ledger.end_silences(slot, self.alerts)

    def judge_good(self, look: Look, *, live: bool) -> None:
        """Judge one rule on a good answer."""
        rule, name, slot = look.rule, look.rule.name, look.slot
        were = {key[2] for key, it in self.alerts.items() if key[0] == name and it.state in ACTIVE}
        if name in self.edited:
            self.edited.discard(name)
            self.end_edited(look)
        for row in look.answer.rows:
            self.keep(rule, row.series, slot if row.at is None else row.at, row.value)
        if rule.tiers[0].absent:
            self.judge_nothing(look)
        elif rule.tiers[0].missed is not None:
            self.judge_successes(look)
        else:
            self.judge_series(look)
        # What was active and ended of nothing else has recovered; where others ended otherwise, both may be said.
        look.reasons |= dict.fromkeys(were - look.reasons.keys(), "recovered")
        if rule.mode is Mode.PAGE:
            self.ledger.keep(rule, slot, self.alerts, look.breaching if live else set(), look.reasons)

    def keep(self, rule: Rule, series: Series, at: float, value: float) -> None:
        """Keep a sample, if it is the first number of its bucket."""
        if not math.isnan(value):
            for width in widths(rule):
                self.kept.setdefault((rule.name, width, series), {}).setdefault(at // width * width, value)

    # The three kinds of rules.

    def judge_series(self, look: Look) -> None:
        """Judge every series that is there, and then those that should be."""
        name, answer = look.rule.name, look.answer
        present = {row.series for row in answer.rows}
        # Samples with timestamps of their own are told again and again: only a newer one is an answer.
        newest = {row.series: self.newest.get((name, row.series), -math.inf) for row in answer.rows}
        fresh = {row.series for row in answer.rows if row.at is None or row.at > newest[row.series]}
        for series in answer.gone:
            self.end_gone(look, series)
        for series in sorted(fresh):
            self.judge_present(look, series)
        for series in self.known(name) - fresh - set(answer.gone):
            self.take_late(look, series)
            missed = look.rule.no_data.policy is NoDataPolicy.BREACH
            if series in present and self.is_quiet(name, series) and not missed:
                self.memory[name, series].missed = 0.0
                continue
            self.judge_missing(look, series)

    def judge_nothing(self, look: Look) -> None:
        """Judge whether there is anything at all."""
        rule = look.rule
        memory = self.memory.setdefault((rule.name, NOBODY), Memory())
        mark = self.newest.get((rule.name, NOBODY), -math.inf)
        if any(row.at is None or row.at > mark for row in look.answer.rows):
            self.newest[rule.name, NOBODY] = max([mark, *(row.at for row in look.answer.rows if row.at is not None)])
            memory.missed = 0.0
            said = "clear"
        else:
            memory.missed += rule.every
            said = "breach" if memory.missed >= 3 * rule.step + rule.lag else "unknown"
        self.step_series(look, NOBODY, {tier.severity: said for tier in rule.tiers}, look.slot)

    def judge_successes(self, look: Look) -> None:
        """Judge whether everything succeeded when it was due: what is not told of succeeded when it last did."""
        rule, answer = look.rule, look.answer
        values = {row.series: row.value for row in answer.rows}
        for series in answer.gone:
            self.end_gone(look, series)
        if values:
            self.seen.add(rule.name)
            if NOBODY in self.known(rule.name):
                self.end_gone(look, NOBODY, "seen")
        for series, value in values.items():
            if not math.isnan(value):
                self.memory.setdefault((rule.name, series), Memory()).success = value
        if not values and rule.name not in self.seen:
            self.memory.setdefault((rule.name, NOBODY), Memory())
        for series in self.known(rule.name):
            self.memory[rule.name, series].told = series in values
        for series in sorted({*self.known(rule.name), *values}):
            past = Past(rule, series, self.kept, self.since[rule.name])
            if math.isnan(values.get(series, 0.0)):
                verdicts = {tier.severity: "unknown" for tier in rule.tiers}
            else:
                success = self.memory[rule.name, series].success
                holds = {tier.severity: past.holds(tier, success, look.slot) for tier in rule.tiers}
                verdicts = {severity: "breach" if it else "clear" for severity, it in holds.items()}
            self.step_series(look, series, verdicts, look.slot)

    # One series.

    def known(self, name: str) -> set[Series]:
        """Return every series that this rule has seen and not forgotten."""
        return {series for rule, series in self.memory if rule == name}

    def is_quiet(self, name: str, series: Series) -> bool:
        """Return whether nothing is wrong with a series."""
        return not any(key[0] == name and key[2] == series for key in self.states())

    def judge_present(self, look: Look, series: Series) -> None:
        """Judge a series that is in the answer, each new sample of it in turn."""
        rule, slot = look.rule, look.slot
        memory = self.memory.setdefault((rule.name, series), Memory())
        memory.missed = 0.0
        rows = [row for row in look.answer.rows if row.series == series]
        past = Past(rule, series, self.kept, self.since[rule.name])
        missed = rule.no_data.policy is NoDataPolicy.BREACH
        unknown = (rule.name, series) not in self.newest and self.is_quiet(rule.name, series)
        looks_back = any(tier.trend is not None or tier.unusual is not None for tier in rule.tiers)
        if rows[0].at is not None and unknown and not missed and not looks_back:
            known = [(row.value, row.at) for row in rows if row.at is not None and not math.isnan(row.value)]
            if not any(past.holds(tier, value, at) for value, at in known for tier in rule.tiers):
                return  # What was never beyond a limit is not remembered: its late samples are as new as any.
        self.take_late(look, series)
        for row in sorted(rows, key=lambda row: slot if row.at is None else row.at):
            time = slot if row.at is None else row.at
            if row.at is not None:
                if row.at <= self.newest.get((rule.name, series), -math.inf):
                    continue
                self.newest[rule.name, series] = row.at
            if math.isnan(row.value) or look.only_if(series) != "holds":
                verdicts = {tier.severity: "unknown" for tier in rule.tiers}
            else:
                verdicts = {}
                for tier in rule.tiers:
                    window = memory.windows.setdefault(tier.severity, [])
                    # After the clock was set back, what was seen "later" is not among the last samples; and what was
                    # too old once does not become young again.
                    oldest = time - (longest(tier) + 3) * rule.step
                    window[:] = [it for it in window if oldest <= it[0] < time]
                    window.append((time, row.value))
                    del window[: -longest(tier)]
                    verdicts[tier.severity] = verdict(tier, window, time, past)
            self.step_series(look, series, verdicts, time)
            self.forget_quiet_windows(past, memory, dated=row.at is not None)

    def take_late(self, look: Look, series: Series) -> None:
        """Let samples that were passed over, and come now, be among the last ones."""
        memory, mark = self.memory[look.rule.name, series], self.newest.get((look.rule.name, series), -math.inf)
        for row in look.answer.rows:
            for tier in look.rule.tiers if row.series == series else ():
                window = memory.windows.get(tier.severity, [])
                if window and row.at is not None and row.at <= mark and not math.isnan(row.value):
                    window[:] = sorted({**dict(window), row.at: row.value}.items())
                    del window[: -longest(tier)]

    def forget_quiet_windows(self, past: Past, memory: Memory, *, dated: bool) -> None:
        """Keep no samples of what is quiet and has none beyond its limit: a window begins with a sample that has.

        Where one may still come late, they are kept.
        """
        for tier in past.rule.tiers:
            window = memory.windows.get(tier.severity, [])
            if longest(tier) == 1:
                window.clear()
            quiet = self.alerts[past.rule.name, tier.severity, past.series].state == "quiet"
            if quiet and not dated and not any(past.holds(tier, value, at) for at, value in window):
                window.clear()

    def judge_missing(self, look: Look, series: Series) -> None:
        """Judge a series that was seen before and is not in this good answer."""
        rule = look.rule
        memory = self.memory[rule.name, series]
        memory.missed += rule.every
        policy = rule.no_data.policy
        day = max(DAY, 2 * (3 * rule.step + rule.lag))
        said = "unknown"
        if memory.missed >= 3 * rule.step + rule.lag:
            if policy is not NoDataPolicy.HOLD and memory.missed >= max(day, rule.no_data.resolve_after):
                self.quiet(look, series, "forgotten")
                del self.memory[rule.name, series]
                return
            if policy is NoDataPolicy.HOLD and memory.missed >= day:
                self.forget_pending(rule, series)
            if policy is NoDataPolicy.BREACH:
                said = "breach"
            if policy is NoDataPolicy.RESOLVE and memory.missed >= rule.no_data.resolve_after:
                said = "clear"
        elif look.only_if(series) != "does not":
            for alert in [it for key, it in self.alerts.items() if key[::2] == (rule.name, series)]:
                # What is told with its time says nothing new until it is missing; what else is not told of is unknown.
                alert.said = alert.said if (rule.name, series) in self.newest else "unknown"
                alert.unmet = [] if look.only_if(series) == "holds" else alert.unmet
            return
        self.step_series(look, series, {tier.severity: said for tier in rule.tiers}, look.slot)

    def forget_pending(self, rule: Rule, series: Series) -> None:
        """Let go of what waits for a series that has been away for a day: its wait would begin anew anyway."""
        for tier in rule.tiers:
            key = (rule.name, tier.severity, series)
            if key in self.alerts and self.alerts[key].state == "pending":
                del self.alerts[key]

    def forget_unseen(self, name: str, group: Series) -> None:
        """Forget the alerts of a group of which nothing is known now, with their samples."""
        rule = self.rules[name]
        for key in [key for key in self.alerts if key[0] == name and group_of(rule, key[2]) == group]:
            _, severity, series = key
            memory = self.memory.get((name, series), Memory())
            if self.alerts[key].said != "unknown" and memory.told:
                continue
            del self.alerts[key]
            memory.windows.pop(severity, None)
            if not any(it[0] == name and it[2] == series for it in self.alerts):
                self.newest.pop((name, series), None)
                if rule.no_data.policy is NoDataPolicy.HOLD:
                    self.memory.pop((name, series), None)

    def end_gone(self, look: Look, series: Series, reason: str = "gone") -> None:
        """Make a series quiet and forget it: it has ended."""
        self.quiet(look, series, reason)
        self.memory.pop((look.rule.name, series), None)

    def quiet(self, look: Look, series: Series, reason: str) -> None:
        """Make every alert of a series quiet, whatever `recover` says."""
        for key in [key for key in self.alerts if key[0] == look.rule.name and key[2] == series]:
            # What was quiet or pending kept nothing open, so no incident ends because of it.
            if self.alerts.pop(key).state in ACTIVE:
                look.reasons[series] = reason

    def end_edited(self, look: Look) -> None:
        """After an edit, let only those alerts go on that the first good answer still knows.

        What that very answer says to have ended may be said to have ended of either.
        """
        name = look.rule.name
        present, gone = {row.series for row in look.answer.rows}, set(look.answer.gone)
        if present and look.rule.tiers[0].absent:
            present.add(NOBODY)
        severities = {tier.severity for tier in look.rule.tiers}
        for key in [key for key in self.alerts if key[0] == name]:
            ends = key[1] not in severities or key[2] not in present
            if ends and self.alerts.pop(key).state in ACTIVE:
                look.reasons[key[2]] = "edited|gone" if key[2] in gone else "edited"
        for series in self.known(name) - present:
            del self.memory[name, series]
        if look.rule.no_data.policy is not NoDataPolicy.HOLD:
            for series in self.known(name):
                self.memory[name, series].missed = 0.0  # What must be missed is what this answer has.

    def step_series(self, look: Look, series: Series, verdicts: Mapping[Severity, str], time: float) -> None:
        """Move the alerts of one series, the worst tier first."""
        rule, gate = look.rule, look.only_if(series)
        hold = self.ledger.hold(rule, series, look.slot)
        worse_active = False
        for tier in sorted(rule.tiers, key=lambda tier: tier.severity):
            alert = self.alerts.setdefault((rule.name, tier.severity, series), ModelAlert())
            said = verdicts[tier.severity]
            if gate == "holds":
                alert.unmet = []
            elif gate == "failed":
                said = "unknown"
            else:
                said = without_only_if(rule, alert, look.slot)
            step_alert(rule, tier, alert, said, time, at_once=worse_active, hold=hold)
            worse_active = worse_active or alert.state in ACTIVE
            look.breaching.discard((tier.severity, series))
            if said == "breach":
                look.breaching.add((tier.severity, series))
