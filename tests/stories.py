"""Small worlds for tests: one rule, one look at a time, told as `(time, value)`.

This module drives the pure rooms as the daemon does: judge, apply. It never waits.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from evaluator.engine.alerts import Alert, AlertKey, State
from evaluator.engine.maintenance import Selector, Window
from evaluator.engine.rules import (
    Datapoints,
    Limit,
    NoData,
    NoDataPolicy,
    Op,
    Query,
    Recover,
    Rule,
    RuleSet,
    Severity,
    Tier,
)
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, Series, series_of
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes, Saved
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.deliveries import Accepted, Delivery, Outcome
from evaluator.incidents.edits import reload
from evaluator.incidents.incident import Event, Incident
from evaluator.incidents.judge import assess
from evaluator.incidents.muting import Mute
from evaluator.incidents.obey import obey
from evaluator.incidents.outbox import claim, next_due, settled
from evaluator.incidents.routing import Routes, Target
from evaluator.incidents.silence import Silence
from evaluator.incidents.world import World

KEY = "k" * 32
HI, MID, LO = 95.0, 85.0, 10.0
NAN = math.nan
ALL = Selector()
FAILED = PollFailed(FailureReason.TIMEOUT, "no answer in time")
WEB: Series = (("host", "web-1"),)
PAGERDUTY = Routes(
    targets=MappingProxyType({("web", severity): (Target("pagerduty", KEY),) for severity in Severity}),
)


def tier(
    severity: Severity = Severity.P1,
    above: float = 90.0,
    for_: float = 0.0,
    recover: Recover | None = None,
    datapoints: str = "",
) -> Tier:
    """Return a tier with an `above` limit."""
    return Tier(severity, Limit(Op.ABOVE, above), for_, m_of_n(datapoints), recover or Recover())


def m_of_n(text: str) -> Datapoints | None:
    """Return `3 of 5` as a value."""
    return Datapoints(*(int(word) for word in text.split(" of "))) if text else None


def rule(*tiers: Tier, name: str = "cpu", no_data: NoDataPolicy = NoDataPolicy.HOLD, **fields: object) -> Rule:
    """Return a rule on `prometheus` that is asked every minute."""
    resolve_after = fields.pop("resolve_after", 0.0)
    assert isinstance(resolve_after, float)
    made = Rule(
        name=name,
        query=Query("prometheus", '{"promql":"cpu"}'),
        tiers=tiers or (tier(),),
        every=60.0,
        service="web",
        unit="percent",
        no_data=NoData(no_data, resolve_after),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def answer(value: float | None = None, *, at: float | None = None, **by_host: float) -> Samples:
    """Return an answer: a value of host web-1, or one value for each named host; none for `None`."""
    hosts = {"web-1": value} if value is not None else {host.replace("_", "-"): v for host, v in by_host.items()}
    labels = [{"host": host} for host in hosts]
    return Samples(labels, list(hosts.values()), None if at is None else [at] * len(hosts))


@dataclass
class Story:
    """A world with one rule set, and what happened in it."""

    rules: dict[str, Rule]
    routes: Routes = PAGERDUTY
    windows: dict[str, Window] = field(default_factory=dict)
    held: dict[AlertKey, tuple[Mute, ...]] = field(default_factory=dict)
    """What the last look held back."""
    world: World = field(default_factory=World)
    events: list[Event] = field(default_factory=list)
    ids: Callable[[], str] = field(default_factory=lambda: map("{:026d}".format, itertools.count(1)).__next__)

    @classmethod
    def of(cls, *rules: Rule, routes: Routes = PAGERDUTY, windows: Sequence[Window] = ()) -> "Story":
        """Return a story of these rules, loaded at time 0."""
        story = cls({}, routes, {window.name: window for window in windows})
        story.edit(0.0, *rules)
        return story

    def edit(self, now: float, *rules: Rule) -> Changes:
        """Reload with these rules and no others."""
        self.rules = {rule.name: rule for rule in rules}
        given = {"routes": self.routes, "instance": "test", "ids": self.ids}
        return self.take(reload(self.world, self.in_force, now, **given))  # type: ignore[arg-type]

    @property
    def in_force(self) -> RuleSet:
        """The rule set in force."""
        return RuleSet(self.rules, self.windows)

    def look(
        self,
        now: float,
        what: PollResult | float | None = None,
        *,
        rule: str = "cpu",
        live: bool = True,
        gate: PollResult | None = None,
        **hosts: float,
    ) -> Changes:
        """Judge an answer: a value, a result, or `None` for a failed poll unless hosts are given."""
        result = what if isinstance(what, Samples | PollFailed) else answer(what, **hosts)
        if what is None and not hosts:
            result = FAILED
        judgement = assess(
            self.world,
            self.rules[rule],
            result,
            now,
            routes=self.routes,
            instance="test",
            ids=self.ids,
            live=live,
            rules=self.in_force,
            gate=gate,
        )
        self.held = dict(judgement.held)
        return self.take(judgement.changes)

    def tell(self, story: Sequence[tuple[float, PollResult | float | None]]) -> "Story":
        """Look several times."""
        for now, what in story:
            self.look(now, what)
        return self

    def take(self, changes: Changes) -> Changes:
        """Make changes true."""
        self.world.apply(changes)
        self.events.extend(changes.events)
        return changes

    def mutes(self) -> list[str]:
        """Return what held anything back in the last look, in words."""
        return sorted({mute.text for mutes in self.held.values() for mute in mutes})

    def lines(self, *kinds: str) -> list[str]:
        """Return the texts of what happened, of these kinds only."""
        return [event.text for event in self.events if event.kind.value in kinds]

    def obey(self, now: float, kind: CommandKind, of: str = "", silence: Silence | None = None) -> Changes:
        """Let ann ask for something."""
        command = Command("c", kind, of, "ann", now, "on it", silence)
        return self.take(obey(self.world, command, Circumstances(now, self.routes, "test", self.ids), self.in_force))

    def silence(self, now: float, until: float, selector: Selector = ALL, *, with_alert: bool = False) -> Silence:
        """Let ann begin a silence."""
        silence = Silence(f"s{now:g}", selector, "ann", "disk swap", now, until, with_alert)
        self.obey(now, CommandKind.SILENCE, silence=silence)
        return self.world.silences[silence.id]

    def row(self, severity: Severity = Severity.P1, series: Series = WEB, rule: str = "cpu") -> Alert | None:
        """Return an alert's row, or `None`."""
        return self.world.book(rule).get((severity, series))

    def alert(self, severity: Severity = Severity.P1, series: Series = WEB, rule: str = "cpu") -> Alert:
        """Return an alert's row, which must be there."""
        alert = self.row(severity, series, rule)
        assert alert is not None
        return alert

    def state(self, severity: Severity = Severity.P1, series: Series = WEB, rule: str = "cpu") -> State:
        """Return an alert's state."""
        alert = self.row(severity, series, rule)
        return alert.state if alert else State.QUIET

    @property
    def open(self) -> list[Incident]:
        """The open incidents."""
        return self.world.open_incidents()

    @property
    def kinds(self) -> list[str]:
        """What happened to incidents, in order."""
        return [event.kind.value for event in self.events]

    def deliver(self, now: float, outcome: Outcome | None = None) -> list[Delivery]:
        """Send everything that is due now, one after the other, with one outcome; the console accepts."""
        sent = []
        given = Circumstances(now, self.routes, "test", self.ids)
        while due := next_due(self.world.deliveries.values(), now):
            row = claim(due[0])
            self.take(Changes(deliveries={row.id: row}))
            sent.append(row)
            answer = Accepted() if row.notifier == "console" else outcome or Accepted(queued=True)
            self.take(settled(self.world, row.id, answer, given, 0.5))
        return sent

    def restart(self, now: float, *rules: Rule) -> "Story":
        """Return the story as it goes on after a kill: from what is written."""
        saved = Saved(
            alerts=[alert for book in self.world.alerts.values() for alert in book.values()],
            judged=list(self.world.judged.values()),
            incidents=list(self.world.incidents.values()),
            deliveries=list(self.world.deliveries.values()),
            silences=list(self.world.silences.values()),
        )
        again = Story(
            self.rules,
            self.routes,
            self.windows,
            world=World.load(saved, now),
            events=list(self.events),
            ids=self.ids,
        )
        again.edit(now, *(rules or self.rules.values()))
        return again


def labels(**given: str) -> Series:
    """Return the series with these labels."""
    return series_of(given)


Hosts = Mapping[str, float]
