"""The incidents of the model: what is open, what is held back and why, what joins a storm, what a human has ended.

It knows rules, alerts and times as they are told to it, and keeps plain lists. It never imports the real judging code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from evaluator.engine.maintenance import Selector, Window
from evaluator.engine.rules import Mode, Rule, Severity
from evaluator.engine.samples import Series
from tests.story.looking_back import in_force, is_active
from tests.story.verdicts import ModelAlert, group_of

Key = tuple[str, Severity, Series]
Group = tuple[str, Series]
"""What one incident is about: a rule's name, and the labels that its series share."""

STORM = "storm"
RESPITE = 1800.0
AFTERWARDS = 300.0
"""Seconds for which what has ended still inhibits."""
ACTIVE = ("firing", "recovering")


@dataclass
class Catch:
    """What a storm took in."""

    severity: Severity
    at: float
    known: dict[Series, float] = field(default_factory=dict)
    """What fires in it, or recovers, with when that was last known."""


@dataclass
class ModelIncident:
    """One incident of ours."""

    number: int
    rule: str
    group: Series
    severity: Severity
    opened_at: float
    service: str
    ended: str | None = None
    closed_at: float = 0.0
    members: set[Series] = field(default_factory=set)
    """What fires in it, or recovers; of one that ended, what was in it last."""
    known_at: float = 0.0
    """When anything of it was last known."""
    caught: dict[Group, Catch] = field(default_factory=dict)
    """Only of a storm."""


@dataclass
class ModelSilence:
    """One silence."""

    name: str
    selector: Selector
    start: float
    end: float
    with_alert: bool
    matched: bool = False
    over: bool = False

    def holds(self, now: float) -> bool:
        """Return whether it is in force."""
        return not self.over and self.start <= now < self.end


def selects(selector: Selector, rule: str, series: Series) -> bool:
    """Return whether a series of a rule is meant."""
    if not any(fnmatchcase(rule, each) for each in selector.rules):
        return False
    if any(fnmatchcase(rule, each) for each in selector.except_):
        return False
    labels = dict(series)
    return all(label in labels and fnmatchcase(labels[label], each) for label, each in selector.series.items())


def agree(one: Series, other: Series) -> bool:
    """Return whether all labels that both have are the same."""
    labels = dict(other)
    return all(labels.get(name, value) == value for name, value in one)


class Ledger:
    """Everything that people hear of, or are spared."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.incidents: list[ModelIncident] = []
        self.silences: list[ModelSilence] = []
        self.windows: list[Window] = []
        self.rules: dict[str, Rule] = {}
        self.slots: dict[str, float] = {}
        """When each rule was last looked at, since the start."""
        self.was_told: Callable[[ModelIncident], bool] = lambda _: True
        """Whether anybody may have heard of an incident that has ended: who knows the wire says so."""

    def still_open(self, rule: str | None = None) -> list[ModelIncident]:
        """Return the open incidents, of one rule or of all."""
        return [it for it in self.incidents if it.ended is None and rule in (None, it.rule)]

    # What an evaluation does.

    def keep(
        self,
        rule: Rule,
        slot: float,
        alerts: Mapping[Key, ModelAlert],
        breaching: set[tuple[Severity, Series]],
        reasons: Mapping[Series, str],
    ) -> None:
        """Open, raise and close what this evaluation opens, raises and closes."""
        active: dict[Series, set[Series]] = {}
        counting: dict[Series, list[tuple[Severity, Series]]] = {}
        known: dict[Series, dict[Series, float]] = {}
        for (name, severity, series), alert in alerts.items():
            if name != rule.name or alert.state not in ACTIVE:
                continue
            group = group_of(rule, series)
            active.setdefault(group, set()).add(series)
            known.setdefault(group, {})
            known[group][series] = max(alert.known, known[group].get(series, alert.known))
            if (
                alert.state == "firing"
                and (severity, series) in breaching
                and not self.mutes(rule, series, alert, slot)
            ):
                counting.setdefault(group, []).append((severity, series))
        self.close_quiet(rule, slot, active, reasons)
        for group, found in sorted(counting.items()):
            self.tell(rule, slot, group, min(found)[0])
        # After what joins, so that a storm does not end in the very moment in which it goes on.
        self.leave_storms(rule.name, slot, set(active), "|".join(sorted(set(reasons.values()))))
        for group, members in active.items():
            for incident in self.still_open(rule.name):
                if incident.group == group:
                    joining = {series for _, series in counting.get(group, [])}
                    incident.members = (incident.members | joining) & members
                    incident.known_at = max(incident.known_at, *known[group].values())
            for storm in self.still_open(STORM):
                if (rule.name, group) in storm.caught:
                    storm.caught[rule.name, group].known = known[group]

    def close_quiet(
        self, rule: Rule, slot: float, active: Mapping[Series, set[Series]], reasons: Mapping[Series, str]
    ) -> None:
        """Close the incidents in which nothing fires and nothing recovers any more."""
        for incident in self.still_open(rule.name):
            if incident.group not in active:
                whys = {reasons[series] for series in reasons if group_of(rule, series) == incident.group}
                close(incident, "|".join(sorted(whys)) or "recovered", slot)

    def leave_storms(self, name: str, slot: float, staying: set[Series], reason: str) -> None:
        """Let all other groups of a rule leave their storms; one that is empty ends."""
        for storm in self.still_open(STORM):
            left = [key for key in storm.caught if key[0] == name and key[1] not in staying]
            for key in left:
                del storm.caught[key]
            if left and not storm.caught:
                close(storm, f"recovered|{reason}", slot)

    def tell(self, rule: Rule, slot: float, group: Series, worst: Severity) -> None:
        """Open an incident, join a storm, or raise either."""
        for incident in self.still_open(rule.name):
            if incident.group == group:
                incident.severity = min(incident.severity, worst)
                return
        for storm in self.still_open(STORM):
            if (rule.name, group) in storm.caught:
                catch = storm.caught[rule.name, group]
                catch.severity = min(catch.severity, worst)
                storm.severity = min(storm.severity, worst)
                return
        if self.spared(rule.name, group, slot):
            return
        if not self.is_storm(rule, slot):
            self.open(rule.name, group, rule.service, worst, slot)
            return
        storms = [it for it in self.still_open(STORM) if it.service == rule.service]
        if not storms:
            storms = [self.open(STORM, (("service", rule.service),), rule.service, worst, slot)]
        storms[0].severity = min(storms[0].severity, worst)
        storms[0].caught[rule.name, group] = Catch(worst, slot)

    def open(self, rule: str, group: Series, service: str, severity: Severity, slot: float) -> ModelIncident:
        """Open one incident."""
        incident = ModelIncident(len(self.incidents), rule, group, severity, slot, service)
        self.incidents.append(incident)
        return incident

    def spared(self, rule: str, group: Series, slot: float) -> bool:
        """Return whether a human has resolved it, less than half an hour ago."""
        return any(
            it.ended == "resolved_by_human"
            and ((it.rule, it.group) == (rule, group) or (rule, group) in it.caught)
            and 0 <= slot - it.closed_at < RESPITE
            for it in self.incidents
        )

    def is_storm(self, rule: Rule, slot: float) -> bool:
        """Return whether so much of this service opened lately that the rest joins one incident."""
        if rule.storm is None:
            return False
        times = [it.opened_at for it in self.incidents if it.service == rule.service and it.rule != STORM]
        for storm in self.still_open(STORM):
            if storm.service == rule.service:
                times += [catch.at for catch in storm.caught.values()]
        return len([at for at in times if slot - rule.storm.within < at <= slot]) >= rule.storm.opens

    def hold(self, rule: Rule, series: Series, slot: float) -> float:
        """Return for how long clear must last at least, since the group opened so often."""
        flapping, group = rule.flapping, group_of(rule, series)
        if flapping is None:
            return 0.0
        mine = [it.opened_at for it in self.incidents if (it.rule, it.group) == (rule.name, group)]
        often = len([at for at in mine if slot - flapping.within < at <= slot]) >= flapping.opens
        return flapping.hold if often else 0.0

    # What holds it back.

    def mutes(self, rule: Rule, series: Series, alert: ModelAlert, slot: float) -> list[str]:
        """Return everything that keeps an alert from opening, joining and raising."""
        found = [it.name for it in self.silences if it.holds(slot) and selects(it.selector, rule.name, series)]
        found += [it.name for it in self.windows if in_force(it, slot) and selects(it.selector, rule.name, series)]
        if rule.active and not any(is_active(hours, slot) for hours in rule.active):
            found.append("not active")
        for parent in rule.inhibited_by:
            found += ["inhibited"] * self.inhibits(parent, series, slot)
            found += ["waiting"] * self.must_wait(parent, alert, slot)
        return found

    def inhibits(self, parent: str, series: Series, slot: float) -> bool:
        """Return whether an incident of a parent is reason enough to be still, or its part of a storm."""
        rule = self.rules.get(parent)
        oldest = slot - (3 * rule.step + rule.lag if rule is not None else 0.0)
        for incident in self.incidents:
            parts = [(group, catch) for (name, group), catch in incident.caught.items() if name == parent]
            if incident.ended is not None:
                members = incident.members if incident.rule == parent else {group for group, _ in parts}
                fresh = 0 <= slot - incident.closed_at < AFTERWARDS and self.was_told(incident)
            elif incident.rule == parent:
                members, fresh = incident.members, incident.known_at >= oldest
            else:
                members, fresh = {it for _, part in parts for it, known in part.known.items() if known >= oldest}, True
            if fresh and any(agree(member, series) for member in members):
                return True
        return False

    def must_wait(self, parent: str, alert: ModelAlert, slot: float) -> bool:
        """Return whether the parent has not been looked at since the breach began: at most one of its steps."""
        rule = self.rules.get(parent)
        if rule is None or rule.mode is not Mode.PAGE:
            return False
        looked = self.slots.get(parent)
        if looked is not None and looked > alert.began:
            return False
        return 0 <= slot - alert.began < rule.step

    # What people do.

    def silence(self, silence: ModelSilence, alerts: Mapping[Key, ModelAlert]) -> None:
        """Begin a silence."""
        silence.matched = self.is_on(silence, alerts)
        self.silences.append(silence)

    def unsilence(self, name: str) -> None:
        """End a silence early."""
        for silence in self.silences:
            silence.over = silence.over or silence.name == name

    def pass_time(self, now: float, alerts: Mapping[Key, ModelAlert]) -> None:
        """End what the time ends, for good, and the silences whose alert is no more."""
        for silence in self.silences:
            gone = silence.with_alert and silence.matched and not self.is_on(silence, alerts)
            silence.over = silence.over or now >= silence.end or gone

    def end_silences(self, slot: float, alerts: Mapping[Key, ModelAlert]) -> None:
        """After an evaluation: end the silences whose alert is over."""
        for silence in self.silences:
            if not silence.with_alert or not silence.holds(slot):
                continue
            if self.is_on(silence, alerts):
                silence.matched = True
            elif silence.matched:
                silence.over = True

    def is_on(self, silence: ModelSilence, alerts: Mapping[Key, ModelAlert]) -> bool:
        """Return whether anything that it selects is firing or recovering."""
        return any(
            alert.state in ACTIVE and selects(silence.selector, rule, series)
            for (rule, _, series), alert in alerts.items()
        )

    # What an edit does.

    def end_rule(self, name: str, reason: str, now: float) -> None:
        """End whatever a rule has open."""
        for incident in self.still_open(name):
            close(incident, reason, now)
        self.leave_storms(name, now, set(), reason)

    def move(
        self, old: Rule, new: Rule, becomes: Mapping[Severity, Severity], alerts: Mapping[Key, ModelAlert], now: float
    ) -> None:
        """Let each open incident follow its worst alert; where two meet, the worse (then the older) stays."""
        taken: set[Series] = set()
        for incident in sorted(self.still_open(new.name), key=lambda it: (it.severity, it.number)):
            groups = self.new_groups(old, new, incident.group, alerts, taken)
            if not groups:
                close(incident, "edited", now)
                continue
            incident.group = groups[0]
            taken.add(groups[0])
            # An edit may lower it at once; a raise waits for the next breach.
            incident.severity = max(incident.severity, becomes.get(incident.severity, incident.severity))
        for storm in self.still_open(STORM):
            self.move_caught(storm, old, new, becomes, alerts)
            if not storm.caught:
                close(storm, "recovered|edited", now)

    def move_caught(
        self,
        storm: ModelIncident,
        old: Rule,
        new: Rule,
        becomes: Mapping[Severity, Severity],
        alerts: Mapping[Key, ModelAlert],
    ) -> None:
        """Let what a storm has caught follow all of its alerts, but for those in an incident of their own."""
        taken = {it.group for it in self.still_open(new.name)}
        mine = [key for key in storm.caught if key[0] == new.name]
        for catch, (_, group) in [(storm.caught.pop(key), key) for key in mine]:
            catch.severity = max(catch.severity, becomes.get(catch.severity, catch.severity))
            for each in self.new_groups(old, new, group, alerts, taken):
                before = storm.caught.get((new.name, each), catch)
                worst = min(catch.severity, before.severity)
                storm.caught[new.name, each] = Catch(worst, catch.at, {**before.known, **catch.known})

    def new_groups(
        self, old: Rule, new: Rule, group: Series, alerts: Mapping[Key, ModelAlert], taken: set[Series]
    ) -> list[Series]:
        """Return the groups in which the alerts of an old group are now, the worst alert's first."""
        members = sorted(
            (severity, series)
            for (name, severity, series), alert in alerts.items()
            if name == new.name and alert.state in ACTIVE and group_of(old, series) == group
        )
        return [group_of(new, series) for _, series in members if group_of(new, series) not in taken]


def close(incident: ModelIncident, reason: str, now: float) -> None:
    """End an incident."""
    incident.ended, incident.closed_at = reason, now
