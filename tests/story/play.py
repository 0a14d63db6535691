"""The real thing and the model on one stage: the same history happens to both, and they must say the same.

It knows the real thing through `Installation` alone, and the model through its answers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from evaluator.engine.rules import Rule, RuleSet
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.deliveries import Action
from evaluator.incidents.silence import Silence
from tests.story.installation import Installation
from tests.story.ledger import ModelIncident, ModelSilence
from tests.story.model import Answer, Model, Row
from tests.story.surroundings import Store
from tests.story.worlds import (
    GRID,
    START,
    Down,
    Happening,
    History,
    Hush,
    Leap,
    Reload,
    Resolve,
    Run,
    Said,
    Skip,
    Unhush,
    Weather,
)

NAMES = ("r1", "r2")
DELIVERIES = "deliveries"


@dataclass
class Play:
    """The real thing and the model on one stage, fed with the same history."""

    real: Installation
    model: Model
    now: float
    grid: float = GRID
    start: float = START
    late: frozenset[str] = frozenset()
    answers: dict[str, Answer | None] = field(default_factory=dict)
    """What each source answered last."""
    gate: Answer | None = None
    truth: dict[str, dict[float, Answer | None]] = field(default_factory=dict)
    """What was true at each tick, for sources that tell it later."""
    judged: dict[str, float] = field(default_factory=dict)
    latest: float = 0.0
    """The latest time that there ever was: deliveries may be due so much later than now."""
    asked: int = 0
    """How many silences were ever asked for."""
    relabel: Callable[[Answer], Answer] = lambda answer: answer
    """How the real thing is given what the model was given."""

    @classmethod
    def of(cls, history: History, *, store: Store | None = None) -> "Play":
        """Raise the curtain."""
        start, model = history.start, Model()
        model.reload(history.rules, history.rules.windows.values(), start)
        real = Installation(history.rules, store=store, now=start)
        play = cls(real, model, start, GRID * history.slow, start, history.late, latest=start)
        model.ledger.was_told = play.was_told
        return play

    def was_told(self, incident: ModelIncident) -> bool:
        """Return whether a request left that told of an incident: which they are is no judgement."""
        about = (incident.rule, incident.group, incident.opened_at)
        ids = {it.id for it in self.real.world.incidents.values() if (it.rule, it.group, it.opened_at) == about}
        return any(it.delivery.incident in ids and it.delivery.action is Action.TRIGGER for it in self.real.sent)

    def steps(self, happenings: tuple[Happening, ...]) -> Iterator[str]:
        """Play it, and stop after everything that anything can be seen after."""
        for happening in happenings:
            match happening:
                case Run():
                    yield from self.run(happening)
                case Skip():
                    for _ in range(happening.ticks):
                        self.now += self.grid
                        self.deliver()
                        yield "a slot was missed"
                case Leap():
                    self.now += happening.ticks * self.grid
                    self.deliver()
                    yield "the clock jumped"
                case Weather():
                    self.real.weather = happening.kinds
                case Hush() | Unhush() | Resolve():
                    self.ask(happening)
                    yield "a command"
                    self.deliver()
                    yield "a command, then deliveries"
                case Reload():
                    self.edit(happening.rules, happening.routing_key)
                    self.real.reload(self.now)
                    yield "reload"
                    self.deliver()
                    yield "reload, then deliveries"
                case Down():
                    yield from self.down(happening)

    def down(self, down: Down) -> Iterator[str]:
        """Kill the process, and start it again."""
        self.now += down.ticks * self.grid
        self.edit(down.rules, down.routing_key)
        self.model.restart()
        self.real.start(self.now)
        yield "restart"
        if down.backfill:
            self.backfill(down.ticks)
            yield "backfill"
        self.deliver()
        yield "restart, then deliveries"

    def edit(self, rules: RuleSet | None, routing_key: str | None) -> None:
        """Take an edit of the rules or of the settings."""
        self.real.routing_key = routing_key or self.real.routing_key
        if rules is not None:
            self.real.rules = rules
            self.model.reload(rules, rules.windows.values(), self.now)

    def deliver(self) -> None:
        """Let the dispatcher work; where it is killed, the model starts anew too."""
        self.latest = max(self.latest, self.now)
        self.real.keep_house(self.now)
        self.model.pass_time(self.now)
        if self.real.deliver(self.now):
            self.model.restart()

    def ask(self, wish: Hush | Unhush | Resolve) -> None:
        """Let somebody ask for something."""
        match wish:
            case Hush():
                name = f"silence-{self.asked}"
                self.asked += 1
                end = self.now + wish.ticks * self.grid
                silence = Silence(name, wish.selector, "ann", "because", self.now, end, wish.with_alert)
                self.real.obey(self.command(CommandKind.SILENCE, name, silence))
                self.model.silence(ModelSilence(name, wish.selector, self.now, end, wish.with_alert))
            case Unhush() if self.asked:
                name = f"silence-{wish.which % self.asked}"
                self.real.obey(self.command(CommandKind.UNSILENCE, name))
                self.model.unsilence(name)
            case Resolve() if self.model.open():
                mine = sorted(self.model.open())
                rule, group = mine[wish.which % len(mine)]
                (incident,) = (it.id for it in self.real.world.open_incidents(rule) if it.group == group)
                self.real.obey(self.command(CommandKind.RESOLVE, incident))
                self.model.resolve(rule, group, self.now)
            case _:
                pass

    def command(self, kind: CommandKind, about: str, silence: Silence | None = None) -> Command:
        """Return what somebody asks for, as a row."""
        return Command(self.real.new_id(), kind, about, "ann", self.now, "because", silence)

    def run(self, run: Run) -> Iterator[str]:
        """Let the same answers come in for some ticks."""
        first = self.now
        for tick in range(run.ticks):
            self.now += self.grid
            self.gate = as_answer(run.gate)
            for name, said in zip(NAMES, run.answers, strict=False):
                rule = self.real.rules.get(name)
                if rule is not None and rule.tiers[0].missed is not None:
                    self.answers[name] = as_answer(said, lambda value: first - 10 * value)
                else:
                    self.answers[name] = as_answer(said, lambda value, by=tick * run.slope: value + by)  # type: ignore[misc]
            for name in self.late:
                self.truth.setdefault(name, {})[self.now] = self.answers.get(name)
            for rule in list(self.real.rules):
                if self.now % rule.every == 0:
                    self.judge(rule, self.now)
                    yield f"{rule.name} was judged"
            self.deliver()
            yield DELIVERIES

    def judge(self, rule: Rule, slot: float, *, live: bool = True) -> None:
        """Judge one rule, here and there."""
        answer = self.answers.get(rule.name)
        if answer is not None and rule.name in self.late:
            answer = self.told_late(rule, slot)
        self.judged[rule.name] = slot
        self.model.judge(rule.name, slot, answer, gate=self.gate, live=live)
        self.real.judge(rule.name, slot, None if answer is None else self.relabel(answer), gate=self.gate, live=live)

    def told_late(self, rule: Rule, slot: float) -> Answer:
        """Return the last periods that are complete, with their own timestamps."""
        newest = (slot - rule.lag) // rule.step * rule.step
        now = self.answers[rule.name]
        said = Answer(gone=[] if now is None else now.gone)
        for period in (newest - rule.step * back for back in range(5)):
            if period // rule.step % 3 == 1 and newest - period < 2 * rule.step:
                continue  # One of three comes two periods later than the others.
            then = self.truth.get(rule.name, {}).get(period)
            rows = then.rows if then is not None else []
            said.rows += [replace(row, at=period) for row in rows if row.series not in said.gone]
        return said

    def backfill(self, ticks: int) -> None:
        """Judge the gap from the source's history: it would have answered what it answered last."""
        first = self.now - min(ticks, 60) * self.grid
        for tick in range(min(ticks, 60)):
            slot = first + (tick + 1) * self.grid
            for rule in self.real.rules:
                if slot % rule.every == 0 and slot > self.judged.get(rule.name, self.start):
                    self.judge(rule, slot, live=False)

    def agree(self, after: str) -> None:
        """Check that both say the same."""
        where = f"at {self.now - self.start:g}, after: {after}"
        assert self.real.states() == self.model.states(), where
        assert self.real.open_incidents() == self.model.open(), where
        assert self.real.storms() == self.model.storms(), where
        assert self.real.silences(self.now) == self.model.silences(self.now), where


def as_answer(said: Said, value_of: Callable[[float], float] = float) -> Answer | None:
    """Return an answer in the model's words; a poll that failed stays `None`."""
    if said is None:
        return None
    rows = [Row(series, value_of(value)) for series, value in said.items() if not isinstance(value, str)]
    return Answer(rows, [series for series, value in said.items() if value == "gone"])
