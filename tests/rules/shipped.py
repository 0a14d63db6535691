"""A shipped rule, the real adapter of its source, and a world in which its answers are judged slot by slot.

The rule comes out of the shipped files through the loader; of the settings only the addresses of its source are the
test's. Every look is a real poll. Slots are arguments, so `for = "10m"` passes as fast as the source answers.
"""

import asyncio
import itertools
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluator.config.load import Loaded, load
from evaluator.config.plugins import installed
from evaluator.engine.rules import Limit, Rule, Severity
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.engine.trail import points
from evaluator.incidents.incident import CloseReason, Event, Incident
from evaluator.incidents.judge import assess
from evaluator.incidents.world import World
from evaluator.sources.source import Source
from evaluator.testing.servers import folder

ROOT = Path(__file__).parents[2]
KEYS = {
    f"PAGERDUTY_{name}_KEY": f"{name.replace('_', ''):0<32}"
    for name in ("API_PLATFORM", "DATABASE", "PAYMENTS", "CELERY", "AUTH", "INFRA")
}
"""A routing key for each of the six services."""
START = 1_700_000_100.0
"""The slot at which stories begin."""
BLIND = PollFailed(FailureReason.RESET, "the connection broke")


def shipped(**sources: Mapping[str, Any]) -> Loaded:
    """Return the shipped rules with these sources enabled, each with other settings where any are given."""
    document = tomllib.loads((ROOT / "evaluator.toml").read_text())
    document["rules"] = str(ROOT / "rules")
    for name, entry in document["sources"].items():
        if name in sources:
            entry.update({"enabled": True, **sources[name]})
            for key in [key for key, value in entry.items() if value is None]:
                del entry[key]
        elif name != "host":
            entry["enabled"] = False
    with folder() as place:
        path = place / "evaluator.toml"
        path.write_text("".join(_written(document)))
        loaded = load(path, KEYS)
    assert not [problem for problem in loaded.problems if problem.error], loaded.problems
    return loaded


def _written(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a table as TOML: JSON's texts, numbers and lists are TOML's too."""
    if path:
        yield f"[{'.'.join(path)}]\n"
    for key, value in table.items():
        if not isinstance(value, dict):
            yield f"{key} = {json.dumps(value)}\n"
        elif set(value) <= {"env", "file"}:
            yield f"{key} = {{ {', '.join(f'{name} = {json.dumps(text)}' for name, text in value.items())} }}\n"
    for key, value in table.items():
        if isinstance(value, dict) and not set(value) <= {"env", "file"}:
            yield from _written(value, (*path, key))


class Watch:
    """One rule being watched: look at each slot, and tell what came of it."""

    def __init__(self, loaded: Loaded, rule: Rule, source: Source, runner: asyncio.Runner, start: float) -> None:
        self.rule = rule
        self.now = start
        """The next slot."""
        self.answer: PollResult = BLIND
        """The last one."""
        self.events: list[Event] = []
        self.meanwhile: Callable[[], object] = lambda: None
        """What goes on in the world between two slots."""
        self._loaded = loaded
        self._source = source
        self._runner = runner
        self._world = World()
        self._ids = map("{:026d}".format, itertools.count(1)).__next__

    @property
    def incidents(self) -> list[Incident]:
        """All incidents, oldest first."""
        return sorted(self._world.incidents.values(), key=lambda each: each.id)

    @property
    def open(self) -> list[Incident]:
        """The open incidents."""
        return self._world.open_incidents()

    @property
    def values(self) -> list[float]:
        """The values of the last answer."""
        assert isinstance(self.answer, Samples), self.answer
        return list(self.answer.values)

    def kept(self) -> float:
        """Return over how many seconds the samples reach that the rule keeps of its one series."""
        (trails,) = self._world.trails.values() if self._world.trails else ({},)
        times = [at for (width, _), trail in trails.items() for at, _ in points(trail, width, 0.0, self.now)]
        return max(times) - min(times) if times else 0.0

    def poll(self, at: float) -> PollResult:
        """Ask the source as of a slot, and judge nothing."""
        (answer,) = self._runner.run(self._source.poll([self.rule.query], at))
        return answer

    def gate(self, at: float) -> PollResult | None:
        """Ask what `only_if` asks, as of a slot, which for the shipped rules is the same source; `None`: nothing."""
        if self.rule.only_if is None:
            return None
        assert self.rule.only_if.query.source == self.rule.source
        (answer,) = self._runner.run(self._source.poll([self.rule.only_if.query], at))
        return answer

    def look(self, answer: PollResult | None = None) -> "Watch":
        """Ask the source, unless an answer is given, judge it at the next slot, and go on to the one after."""
        self.meanwhile()
        self.answer = self.poll(self.now) if answer is None else answer
        settings = self._loaded.settings
        assert settings is not None
        given = {"routes": self._loaded.routes, "instance": settings.instance, "ids": self._ids}
        gate = self.gate(self.now)
        changes = assess(self._world, self.rule, self.answer, self.now, **given, gate=gate).changes  # type: ignore[arg-type]
        self._world.apply(changes)
        self.events += changes.events
        self.now += self.rule.every
        return self

    def look_for(self, seconds: float, *, repeat: bool = False) -> "Watch":
        """Look at every slot of the next seconds; with `repeat` the last answer is taken as that of each slot."""
        end = self.now + seconds
        while self.now < end:
            self.look(self.answer if repeat else None)
        return self

    def look_until(self, limit: Limit | None, *, within: float) -> "Watch":
        """Look until the next answer will be beyond this limit: that answer is the next one to be judged."""
        assert limit is not None
        end = self.now + within
        while True:
            answer = self.poll(self.now)
            if isinstance(answer, Samples) and any(limit.holds(value) for value in answer.values):
                return self
            assert self.now < end, f"no value is {limit.op} {limit.value}: {answer}"
            self.look(answer)

    def is_quiet(self, slots: int = 3) -> "Watch":
        """All is well: the source answers, and nothing is or becomes of it."""
        for _ in range(slots):
            self.look()
            assert isinstance(self.answer, Samples), self.answer
            assert not self.open, self.open[0].why
        return self

    def opens(self, severity: str, *, repeat: bool = False, slack: float = 0.0) -> Incident:
        """The breach is there: nothing opens a slot before its `for` has passed, and then one incident does.

        With `repeat` the source is asked once. `slack` are seconds that the source's own window takes to fill.
        """
        tier = self.rule.tier(Severity(severity))
        assert tier is not None
        before = {each.id for each in self.open}
        self.look()
        end = self.now - self.rule.every + tier.for_
        while self.now < end:
            assert {each.id for each in self.open} == before, self.open[0].why
            self.look(self.answer if repeat else None)
        assert {each.id for each in self.open} == before or not tier.for_, "it opened before its time"
        while tier.for_ and {each.id for each in self.open} == before:
            assert self.now <= end + slack, f"nothing opened: {self.answer}"
            self.look(self.answer if repeat else None)
        (incident,) = [each for each in self.open if each.id not in before]
        self.says(incident, severity)
        return incident

    def says(self, incident: Incident, severity: str) -> None:
        """The incident has the severity, reaches the service's own key, and its texts are whole."""
        assert (incident.severity, incident.service) == (severity, self.rule.service)
        targets = self._loaded.routes.targets[incident.service, incident.severity]
        assert [each.notifier for each in targets] == ["pagerduty"]
        assert incident.runbook.endswith(f"/{self.rule.name}")
        for text in (incident.title, incident.description, incident.why):
            assert text
            assert "{" not in text.replace("{job=", ""), text

    def stays_open_while_blind(self, slots: int = 4) -> "Watch":
        """Polls that fail close nothing."""
        before = self.open
        assert before
        for _ in range(slots):
            self.look(BLIND)
        assert [each.id for each in self.open] == [each.id for each in before]
        return self

    def closes(self, *, repeat: bool = False, reason: CloseReason = CloseReason.RECOVERED) -> None:
        """It is over: the incidents close not before `recover.for` of the worst has passed, and then all of them do."""
        opened = {each.id for each in self.open}
        assert opened, "nothing is open"
        waits = min(tier.recover.for_ for tier in self.rule.tiers)
        self.look()
        end = self.now - self.rule.every + waits
        while self.now < end:
            assert self.open, "it closed before its time"
            self.look(self.answer if repeat else None)
        assert self.open or not waits, "it closed before its time"
        while self.open:
            assert self.now <= end, f"it stays open: {self.open[0].why}"
            self.look(self.answer if repeat else None)
        closed = [each for each in self.incidents if each.id in opened]
        assert {each.close_reason for each in closed} == {reason}


@contextmanager
def watch(name: str, *, start: float = START, **settings: Any) -> Iterator[Watch]:  # noqa: ANN401 - settings of any source.
    """Watch a shipped rule, its source having these settings; a setting that is None is left out."""
    source = shipped().rules.rules[name].source
    loaded = shipped(**{source: settings})
    rule = loaded.rules.rules[name]
    assert rule.judged, rule.off_because
    assert loaded.settings is not None
    entry = loaded.settings.sources[source]
    kind = installed().sources[entry.type]
    assert entry.settings is not None
    adapter = kind(source, entry.settings)
    with asyncio.Runner() as runner:
        runner.run(adapter.open())
        try:
            yield Watch(loaded, rule, adapter, runner, start)
        finally:
            runner.run(adapter.close())
