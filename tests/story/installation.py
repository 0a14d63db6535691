"""One installation, driven by hand: the real engine and incidents, a store, and a receiver that behaves like PagerDuty.

It knows how the daemon strings them together, in which order things are committed and sent, and where it may be killed.
It judges nothing itself, and knows nothing of the model.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from evaluator.engine.rules import RuleSet, Severity
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, Series
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes
from evaluator.incidents.commands import Command
from evaluator.incidents.deliveries import Accepted, Delivery, Outcome, Refused, RetryLater
from evaluator.incidents.edits import reload
from evaluator.incidents.judge import assess
from evaluator.incidents.obey import obey
from evaluator.incidents.outbox import claim, lane_of, next_due, settled
from evaluator.incidents.routing import CONSOLE, Routes, Target
from evaluator.incidents.silencing import overdue
from evaluator.incidents.world import World
from tests.story.model import Answer
from tests.story.surroundings import PagerDuty, Rows, Store

INSTANCE = "story"
FAILED = PollFailed(FailureReason.TIMEOUT, "asked, no answer")


@dataclass
class Sent:
    """One request that left, whatever became of it."""

    at: float
    delivery: Delivery
    arrived: bool
    committed: bool
    """Whether the store knew by then that this may arrive."""


class Killed(Exception):  # noqa: N818 - an end, and no error.
    """The process ends here, between two instructions."""


class Installation:
    """The daemon's work without its waiting."""

    def __init__(self, rules: RuleSet, *, store: Store | None = None, now: float = 0.0) -> None:
        """Start with an empty store."""
        self.store: Store = Rows() if store is None else store
        self.pagerduty = PagerDuty()
        self.sent: list[Sent] = []
        self.committed: dict[str, Delivery] = {}
        """Each row of the outbox as it was written last."""
        self.weather: tuple[str, ...] = ("accepted",)
        self.rules = rules
        self.routing_key = "1"
        self.history: list[tuple[float, Changes]] = []
        self._requests = 0
        self._lost: Counter[str] = Counter()
        self._made = 0
        self._flying: list[tuple[float, str, Outcome]] = []
        self.start(now)

    # The life of the process.

    def start(self, now: float, rules: RuleSet | None = None) -> None:
        """Start the process on what the store has; nothing else survives."""
        self._flying = []
        self.world = World.load(self.store.load(now), now)
        self.reload(now, rules)

    def reload(self, now: float, rules: RuleSet | None = None) -> None:
        """Put a new rule set in place."""
        self.rules = self.rules if rules is None else rules
        self.commit(reload(self.world, self.rules, now, routes=self.routes, instance=INSTANCE, ids=self.new_id), now)

    def commit(self, changes: Changes, now: float) -> None:
        """Write first, then believe."""
        self.store.commit(changes)
        self.committed |= changes.deliveries
        self.world.apply(changes)
        self.history.append((now, changes))

    @property
    def living_keys(self) -> set[str]:
        """Return the routing keys that are configured now."""
        return {self.routing_key * 32, "p" * 32}

    @property
    def routes(self) -> Routes:
        """Return who hears of what."""
        return routes_by(self.routing_key)

    def new_id(self) -> str:
        """Return the next id; ids sort by age, as ULIDs do."""
        self._made += 1
        return f"{self._made:026d}"

    # What comes in.

    def judge(
        self, name: str, slot: float, answer: Answer | None, *, gate: Answer | None = None, live: bool = True
    ) -> None:
        """Judge one rule on one answer, and on one to the question of its `only_if`."""
        rule = self.rules.get(name)
        if rule is None or not rule.judged:
            return
        judgement = assess(
            self.world,
            rule,
            samples(answer),
            slot,
            routes=self.routes,
            instance=INSTANCE,
            ids=self.new_id,
            live=live,
            rules=self.rules,
            gate=None if rule.only_if is None else samples(gate),
        )
        self.commit(judgement.changes, slot)

    def obey(self, command: Command) -> None:
        """Carry out what somebody asks for."""
        self.commit(
            obey(self.world, command, Circumstances(command.at, self.routes, INSTANCE, self.new_id), self.rules),
            command.at,
        )

    def keep_house(self, now: float) -> None:
        """Do what is done now and then: end the silences whose time is over."""
        changes = overdue(self.world, now)
        if changes:
            self.commit(changes, now)

    # What goes out.

    def deliver(self, now: float) -> bool:
        """Send everything that is due, one for each lane at a time. Return whether the process was killed over it."""
        self.pagerduty.pass_time(now)
        for flight in [flight for flight in self._flying if flight[0] <= now]:
            self._flying.remove(flight)
            self.settle(flight[1], flight[2], now)
        for _ in range(50):
            due = next_due(self.world.deliveries.values(), now, self.busy())
            if not due:
                return False
            try:
                self.send(due[0], now)
            except Killed:
                self.start(now)
                return True
        raise AssertionError(f"deliveries are due for ever: {due}")

    def busy(self) -> set[tuple[str, str]]:
        """Return the lanes that have a request under way."""
        rows = [self.world.deliveries[name] for _, name, _ in self._flying if name in self.world.deliveries]
        return {lane_of(row) for row in rows}

    def send(self, delivery: Delivery, now: float) -> None:
        """Claim one delivery, commit the claim, make the request, and write down what became of it."""
        claimed = claim(delivery)
        claim_changes = Changes(deliveries={claimed.id: claimed})
        if delivery.told:
            self.world.apply(claim_changes)  # Told already: a crash can lose nothing.
        else:
            self.commit(claim_changes, now)
        written = self.committed.get(claimed.id)
        committed = written is not None and (written.claimed or written.told) and written.message == claimed.message
        if claimed.notifier != "pagerduty":
            self.sent.append(Sent(now, claimed, arrived=True, committed=committed))
            self.settle(claimed.id, Accepted(), now)
            return
        kind = self.weather[self._requests % len(self.weather)]
        self._requests += 1
        if kind == "old key refused":
            kind = "accepted" if claimed.routing_key in self.living_keys else "400"
        if kind == "lost":
            # A resolve is sent four times. Who loses all of them can only be told of by reading what is open there.
            self._lost[claimed.dedup_key] += 1
            kind = "lost" if self._lost[claimed.dedup_key] < 4 else "accepted"
        processed = kind in ("accepted", "slow", "timeout after", "killed after")
        self.sent.append(Sent(now, claimed, arrived=processed or kind in ("late", "lost"), committed=committed))
        if kind == "killed before":
            raise Killed
        if processed or kind == "late":
            self.pagerduty.take(claimed, now, late=200.0 if kind == "late" else 0.0)
        if kind == "killed after":
            raise Killed
        if kind == "slow":
            self._flying.append((now + 30.0, claimed.id, Accepted(queued=True)))
        else:
            self.settle(claimed.id, OUTCOMES.get(kind, Accepted(queued=True)), now)

    def settle(self, name: str, outcome: Outcome, now: float) -> None:
        """Write down what became of a request."""
        given = Circumstances(now, self.routes, INSTANCE, self.new_id)
        self.commit(settled(self.world, name, outcome, given, 0.5), now)

    def pass_quietly(self, start: float, end: float, weather: tuple[str, ...] = ("accepted",)) -> None:
        """Let the dispatcher work alone, in fair weather if not said otherwise, from one due delivery to the next."""
        self.weather = weather
        now = start
        while now <= end:
            self.deliver(now)
            waiting = [row.due_at for row in self.world.deliveries.values() if row.due_at > now] + [now + 600.0]
            now = max(min(waiting), now + 1.0)

    # What stands.

    def states(self) -> dict[tuple[str, Severity, Series], str]:
        """Return where every alert is that is not quiet."""
        return {
            (rule, severity, series): alert.state.value
            for rule, alerts in self.world.alerts.items()
            for (severity, series), alert in alerts.items()
            if alert.state.value != "quiet"
        }

    def open_incidents(self) -> dict[tuple[str, Series], Severity]:
        """Return the open incidents with their severities."""
        return {(it.rule, it.group): it.severity for it in self.world.incidents.values() if it.open}

    def storms(self) -> set[tuple[str, str, Series, Severity]]:
        """Return what open storms have caught: service, rule, group and severity."""
        return {
            (storm.service, it.rule, it.group, it.severity)
            for storm in self.world.incidents.values()
            if storm.open
            for it in storm.caught
        }

    def silences(self, now: float) -> set[str]:
        """Return the ids of the silences in force."""
        return {it.id for it in self.world.silences.values() if it.holds(now)}


@cache
def routes_by(routing_key: str) -> Routes:
    """Return who hears of what: PagerDuty of everything, the console of P0 as well."""
    keys = {"infrastructure": routing_key * 32, "payments": "p" * 32}
    targets = {
        (service, severity): (Target("pagerduty", key), *([CONSOLE] if severity is Severity.P0 else []))
        for service, key in keys.items()
        for severity in Severity
    }
    return Routes(MappingProxyType(targets), MappingProxyType(dict.fromkeys(keys, CONSOLE)))


OUTCOMES: dict[str, Outcome] = {
    "timeout before": RetryLater("timeout", "no answer in time"),
    "timeout after": RetryLater("timeout", "no answer in time"),
    "no connection": RetryLater("refused", "nobody listens there", arrived=False),
    "429": RetryLater("rate_limited", "come back later", after=20.0, arrived=False),
    "500": RetryLater("server_error", "cannot answer now"),
    "400": Refused("bad_request", "invalid event"),
}


def samples(answer: Answer | None) -> PollResult:
    """Return an answer as a source gives it."""
    if answer is None:
        return FAILED
    own_times = [row.at for row in answer.rows if row.at is not None]
    return Samples(
        labels=[dict(row.series) for row in answer.rows],
        values=[row.value for row in answer.rows],
        at=own_times or None,
        gone=frozenset(answer.gone),
    )
