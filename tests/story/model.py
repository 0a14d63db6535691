"""The rules of judgement a second time: slow, obvious, and written from the design page alone.

It knows rules, answers and times, and says which alerts are where and which incidents are open. It never imports the
real judging code (only the values that both speak in), so that the two can disagree.

Everything is a plain dict or list. An alert keeps every verdict of its present state; what has been held is counted
by walking back over them.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evaluator.engine.rules import Mode, NoDataPolicy, Rule, Severity
from evaluator.engine.samples import Series
from tests.story.verdicts import COMPARE, ModelAlert, group_of, longest, question, step_alert, verdict

DAY = 24 * 3600.0


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
class ModelIncident:
    """One incident of ours."""

    number: int
    rule: str
    group: Series
    severity: Severity
    opened_at: float
    ended: str | None = None
    worst: Severity = Severity.P3
    """The worst severity that it ever had."""


@dataclass
class Memory:
    """What is remembered of one series of one rule."""

    missed: float = 0.0
    """Seconds of good answers without it since it was last in one."""
    windows: dict[Severity, list[tuple[float, float]]] = field(default_factory=dict)
    """The last known samples of it, as (time, value), for each tier that looks at more than one."""


class Model:
    """The whole of part 4 for one installation."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self.rules: dict[str, Rule] = {}
        self.alerts: dict[tuple[str, Severity, Series], ModelAlert] = {}
        self.memory: dict[tuple[str, Series], Memory] = {}
        self.incidents: list[ModelIncident] = []
        self.newest: dict[tuple[str, Series], float] = {}
        """The timestamp of the newest sample of each series that was judged."""
        self.edited: set[str] = set()
        """Rules whose first good answer after an edit is still to come."""

    # What it is asked.

    def states(self) -> dict[tuple[str, Severity, Series], str]:
        """Return where every alert is that is not quiet."""
        return {key: alert.state for key, alert in self.alerts.items() if alert.state != "quiet"}

    def open(self) -> dict[tuple[str, Series], Severity]:
        """Return the open incidents with their severities."""
        return {(it.rule, it.group): it.severity for it in self.incidents if it.ended is None}

    def ended(self) -> list[tuple[str, Series, str]]:
        """Return every incident that ended, in the order in which they were opened."""
        return [(it.rule, it.group, it.ended) for it in self.incidents if it.ended is not None]

    # What happens to it.

    def reload(self, rules: Iterable[Rule]) -> None:
        """Take a new rule set, at a start or at a reload."""
        before, self.rules = self.rules, {rule.name: rule for rule in rules}
        for name, old in before.items():
            new = self.rules.get(name)
            if new is None or new.mode is Mode.OFF:
                self.drop_rule(name, "removed" if new is None else "off")
                continue
            if new.mode is Mode.SHADOW:
                self.end_incidents(name, "shadow")
            if old.mode is not Mode.OFF and question(old) != question(new):
                self.move(old, new)

    def move(self, old: Rule, new: Rule) -> None:
        """Give alerts and incidents the severities and groups of an edited rule.

        As many severities as went away may have come: then each took the place of one, in order. What has no severity
        any more ends.
        """
        was, now = [tier.severity for tier in old.tiers], [tier.severity for tier in new.tiers]
        went = [severity for severity in was if severity not in now]
        came = [severity for severity in now if severity not in was]
        becomes = {severity: severity for severity in now}
        if len(went) == len(came):
            becomes |= dict(zip(went, came, strict=True))
        before = {key: alert for key, alert in self.alerts.items() if key[0] == new.name}
        for key in before:
            del self.alerts[key]
        for (name, severity, series), alert in before.items():
            if severity in becomes:
                self.alerts[name, becomes[severity], series] = alert
        asks_anew = (old.query.source, old.query.spec) != (new.query.source, new.query.spec)
        if asks_anew or old.group_by != new.group_by or len(went) != len(came):
            # A severity that only has another name moves with all that it has; else the first good answer decides.
            self.edited.add(new.name)
        for memory in [memory for (name, _), memory in self.memory.items() if name == new.name]:
            kept = {becomes[severity]: window for severity, window in memory.windows.items() if severity in becomes}
            memory.windows = {} if asks_anew else kept
        if asks_anew:
            self.newest = {key: at for key, at in self.newest.items() if key[0] != new.name}
        self.move_incidents(old, new, becomes)

    def move_incidents(self, old: Rule, new: Rule, becomes: Mapping[Severity, Severity]) -> None:
        """Let each open incident follow its worst alert; where two meet, the worse (then the older) stays."""
        taken: set[Series] = set()
        mine = [it for it in self.incidents if it.rule == new.name and it.ended is None]
        for incident in sorted(mine, key=lambda it: (it.severity, it.number)):
            members = sorted(
                (severity, series)
                for (name, severity, series), alert in self.alerts.items()
                if name == new.name
                and alert.state in ("firing", "recovering")
                and group_of(old, series) == incident.group
            )
            groups = [group_of(new, series) for _, series in members if group_of(new, series) not in taken]
            if not groups:
                incident.ended = "edited"
                continue
            incident.group = groups[0]
            taken.add(groups[0])
            # An edit may lower it at once; a raise waits for the next breach.
            incident.severity = max(incident.severity, becomes.get(incident.severity, incident.severity))

    def drop_rule(self, name: str, reason: str) -> None:
        """Forget everything about a rule that is no longer judged."""
        self.alerts = {key: alert for key, alert in self.alerts.items() if key[0] != name}
        self.memory = {key: kept for key, kept in self.memory.items() if key[0] != name}
        self.newest = {key: at for key, at in self.newest.items() if key[0] != name}
        self.edited.discard(name)
        self.end_incidents(name, reason)

    def end_incidents(self, name: str, reason: str) -> None:
        """End whatever this rule has open."""
        for incident in self.incidents:
            if incident.rule == name and incident.ended is None:
                incident.ended = reason

    def judge(self, name: str, slot: float, answer: Answer | None, *, live: bool = True) -> None:
        """Judge one rule on one answer; `None` is a poll that failed."""
        rule = self.rules[name]
        if rule.mode is Mode.OFF or answer is None:
            return
        present = {row.series for row in answer.rows}
        # Samples with timestamps of their own are told again and again: only a newer one is an answer.
        newest = {row.series: self.newest.get((name, row.series), -math.inf) for row in answer.rows}
        fresh = {row.series for row in answer.rows if row.at is None or row.at > newest[row.series]}
        reasons: dict[Series, str] = {}
        were = {key[2] for key, it in self.alerts.items() if key[0] == name and it.state in ("firing", "recovering")}
        if name in self.edited:
            self.edited.discard(name)
            self.end_edited(rule, present, set(answer.gone), reasons)
        breaching: set[tuple[Severity, Series]] = set()
        for series in answer.gone:
            self.silence(rule, series, "gone", reasons)
            self.memory.pop((name, series), None)
        for series in sorted(fresh):
            self.judge_present(rule, slot, series, answer, breaching)
        for series in self.known(name) - fresh - set(answer.gone):
            missed = rule.no_data.policy is NoDataPolicy.BREACH
            if series in present and self.is_quiet(name, series) and not missed:
                self.memory[name, series].missed = 0.0
                continue
            self.judge_absent(rule, slot, series, breaching, reasons)
        # What was active and ended of nothing else has recovered; where others ended otherwise, both may be said.
        reasons |= dict.fromkeys(were - reasons.keys(), "recovered")
        if rule.mode is Mode.PAGE:
            self.keep_incidents(rule, slot, breaching if live else set(), reasons)

    # One rule.

    def known(self, name: str) -> set[Series]:
        """Return every series that this rule has seen and not forgotten."""
        return {series for rule, series in self.memory if rule == name}

    def is_quiet(self, name: str, series: Series) -> bool:
        """Return whether nothing is wrong with a series."""
        return not any(key[0] == name and key[2] == series for key in self.states())

    def judge_present(
        self, rule: Rule, slot: float, series: Series, answer: Answer, breaching: set[tuple[Severity, Series]]
    ) -> None:
        """Judge a series that is in the answer, each new sample of it in turn."""
        memory = self.memory.setdefault((rule.name, series), Memory())
        memory.missed = 0.0
        rows = [row for row in answer.rows if row.series == series]
        known = [row.value for row in rows if not math.isnan(row.value)]
        beyond = any(COMPARE[tier.limit.op](value, tier.limit) for value in known for tier in rule.tiers)
        missed = rule.no_data.policy is NoDataPolicy.BREACH
        if rows[0].at is not None and (rule.name, series) not in self.newest and not beyond and not missed:
            return  # What was never beyond a limit is not remembered: its late samples are as new as any.
        self.take_late(rule, rows, memory, self.newest.get((rule.name, series), -math.inf))
        for row in sorted(rows, key=lambda row: slot if row.at is None else row.at):
            time = slot if row.at is None else row.at
            if row.at is not None:
                if row.at <= self.newest.get((rule.name, series), -math.inf):
                    continue
                self.newest[rule.name, series] = row.at
            if math.isnan(row.value):
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
                    verdicts[tier.severity] = verdict(rule, tier, window, time)
            self.step_series(rule, series, verdicts, time)
            self.forget_quiet_windows(rule, series, memory, dated=row.at is not None)
            breaching -= {(tier.severity, series) for tier in rule.tiers}
            breaching |= {(severity, series) for severity, said in verdicts.items() if said == "breach"}

    def take_late(self, rule: Rule, rows: list[Row], memory: Memory, mark: float) -> None:
        """Let samples that were passed over, and come now, be among the last ones."""
        for row in rows:
            for tier in rule.tiers:
                window = memory.windows.get(tier.severity, [])
                if window and row.at is not None and row.at <= mark and not math.isnan(row.value):
                    window[:] = sorted({**dict(window), row.at: row.value}.items())
                    del window[: -longest(tier)]

    def forget_quiet_windows(self, rule: Rule, series: Series, memory: Memory, *, dated: bool) -> None:
        """Keep no samples of what is quiet and has none beyond its limit: a window begins with a sample that has.

        Where one may still come late, they are kept.
        """
        for tier in rule.tiers:
            window = memory.windows.get(tier.severity, [])
            if longest(tier) == 1:
                window.clear()
            quiet = self.alerts[rule.name, tier.severity, series].state == "quiet"
            if quiet and not dated and not any(COMPARE[tier.limit.op](value, tier.limit) for _, value in window):
                window.clear()

    def judge_absent(
        self,
        rule: Rule,
        slot: float,
        series: Series,
        breaching: set[tuple[Severity, Series]],
        reasons: dict[Series, str],
    ) -> None:
        """Judge a series that was seen before and is not in this good answer."""
        memory = self.memory[rule.name, series]
        memory.missed += rule.every
        if memory.missed < 3 * rule.step + rule.lag:
            return
        policy = rule.no_data.policy
        day = max(DAY, 2 * (3 * rule.step + rule.lag))
        if policy is not NoDataPolicy.HOLD and memory.missed >= max(day, rule.no_data.resolve_after):
            self.silence(rule, series, "forgotten", reasons)
            del self.memory[rule.name, series]
            return
        if policy is NoDataPolicy.HOLD and memory.missed >= day:
            self.forget_pending(rule, series)
        said = "unknown"
        if policy is NoDataPolicy.BREACH:
            said = "breach"
        if policy is NoDataPolicy.RESOLVE and memory.missed >= rule.no_data.resolve_after:
            said = "clear"
        self.step_series(rule, series, {tier.severity: said for tier in rule.tiers}, slot)
        if said == "breach":
            breaching |= {(tier.severity, series) for tier in rule.tiers}

    def forget_pending(self, rule: Rule, series: Series) -> None:
        """Let go of what waits for a series that has been away for a day: its wait would begin anew anyway."""
        for tier in rule.tiers:
            key = (rule.name, tier.severity, series)
            if key in self.alerts and self.alerts[key].state == "pending":
                del self.alerts[key]

    def silence(self, rule: Rule, series: Series, reason: str, reasons: dict[Series, str]) -> None:
        """Make every alert of a series quiet, whatever `recover` says."""
        for key in [key for key in self.alerts if key[0] == rule.name and key[2] == series]:
            # What was quiet or pending kept nothing open, so no incident ends because of it.
            if self.alerts.pop(key).state in ("firing", "recovering"):
                reasons[series] = reason

    def end_edited(self, rule: Rule, present: set[Series], gone: set[Series], reasons: dict[Series, str]) -> None:
        """After an edit, let only those alerts go on that the first good answer still knows.

        What that very answer says to have ended may be said to have ended of either.
        """
        severities = {tier.severity for tier in rule.tiers}
        for key in [key for key in self.alerts if key[0] == rule.name]:
            ends = key[1] not in severities or key[2] not in present
            if ends and self.alerts.pop(key).state in ("firing", "recovering"):
                reasons[key[2]] = "edited|gone" if key[2] in gone else "edited"
        for series in self.known(rule.name) - present:
            del self.memory[rule.name, series]

    def step_series(self, rule: Rule, series: Series, verdicts: Mapping[Severity, str], time: float) -> None:
        """Move the alerts of one series, the worst tier first."""
        worse_active = False
        for tier in sorted(rule.tiers, key=lambda tier: tier.severity):
            alert = self.alerts.setdefault((rule.name, tier.severity, series), ModelAlert())
            step_alert(rule, tier, alert, verdicts[tier.severity], time, at_once=worse_active)
            worse_active = worse_active or alert.state in ("firing", "recovering")

    # Incidents.

    def keep_incidents(
        self, rule: Rule, slot: float, breaching: set[tuple[Severity, Series]], reasons: dict[Series, str]
    ) -> None:
        """Open, raise and close what this evaluation opens, raises and closes."""
        active: dict[Series, list[Severity]] = {}
        counting: dict[Series, list[Severity]] = {}
        for (name, severity, series), alert in self.alerts.items():
            if name == rule.name and alert.state in ("firing", "recovering"):
                active.setdefault(group_of(rule, series), []).append(severity)
                if alert.state == "firing" and (severity, series) in breaching:
                    counting.setdefault(group_of(rule, series), []).append(severity)
        for incident in self.incidents:
            if incident.rule == rule.name and incident.ended is None and incident.group not in active:
                whys = {reasons[series] for series in reasons if group_of(rule, series) == incident.group}
                incident.ended = "|".join(sorted(whys)) or "recovered"
        for group, severities in sorted(counting.items()):
            worst = min(severities)
            mine = [it for it in self.incidents if (it.rule, it.group) == (rule.name, group) and it.ended is None]
            if not mine:
                number = len(self.incidents)
                self.incidents.append(ModelIncident(number, rule.name, group, worst, slot, worst=worst))
            elif worst < mine[0].severity:
                mine[0].severity = worst
                mine[0].worst = min(mine[0].worst, worst)
