"""For how long sources have not answered, and queries of sources that do: measured in polls, not on a clock.

This module remembers slots and judges nothing. What was not asked (the daemon was stopped, the machine slept, the clock
jumped) counts for nothing, as blind time does everywhere; all of it is lost at a restart, and begins anew.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from evaluator.daemon.answers import Answer, says_something, sources_of
from evaluator.engine.alerts import BLIND_STEPS
from evaluator.engine.rules import Rule
from evaluator.engine.samples import PollFailed, PollResult

SHORTEST = 1.0
"""Seconds that the first failure counts for, so that 0 always means an answer."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures in a row, as slots."""

    first: float
    last: float
    every: float
    """The shortest interval of their polls."""
    error: str = ""
    """What went wrong last."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return max(SHORTEST, self.last - self.first)

    def then(self, slot: float, every: float, error: str) -> "Streak":
        """Return it with one more failure; after a gap in which nobody asked it begins anew."""
        every = min(every, self.every)
        first = self.first if slot - self.last <= BLIND_STEPS * every else slot
        return Streak(first, max(slot, self.last), every, error)


@dataclass(slots=True)
class Silences:
    """The failures in a row of each source and each rule."""

    sources: dict[str, Streak | None] = field(default_factory=dict)
    """By name; `None`: it answered. A source that was not asked yet is not there."""
    rules: dict[str, Streak | None] = field(default_factory=dict)
    """By name; `None`: it was answered. A rule is not there that was not asked yet, or whose source does not answer."""
    _answers: dict[str, float] = field(default_factory=dict)
    """By source: the last slot at which anything was answered."""

    def polled(self, source: str, answers: Collection[Answer], slot: float, every: float) -> None:
        """Note one poll of a source."""
        if says_something(answers):
            self.sources[source] = None
            self._answers[source] = slot
            return
        failed = next((result.message for _, result in answers if isinstance(result, PollFailed)), "")
        before = self.sources.get(source)
        self.sources[source] = (
            before.then(slot, every, failed) if before is not None else Streak(slot, slot, every, failed)
        )

    def judged(self, rule: Rule, result: PollResult, source: str, slot: float) -> None:
        """Note what one rule was answered, after the poll of the source that the answer is from."""
        if not isinstance(result, PollFailed):
            self.rules[rule.name] = None
        elif source in self.sources and self._answers.get(source, float("-inf")) <= slot - rule.every:
            # Not this query fails, but its source. One that is switched off was never asked, and speaks for no rule.
            self.rules.pop(rule.name, None)
        else:
            before = self.rules.get(rule.name)
            error = result.message
            self.rules[rule.name] = (
                before.then(slot, rule.every, error) if before is not None else Streak(slot, slot, rule.every, error)
            )

    def keep_only(self, rules: Iterable[Rule]) -> None:
        """Forget what no rule asks any more: when it is asked again, it begins anew."""
        judged = [rule for rule in rules if rule.judged]
        names, sources = {rule.name for rule in judged}, {source for rule in judged for source in sources_of(rule)}
        self.rules = {name: streak for name, streak in self.rules.items() if name in names}
        self.sources = {name: streak for name, streak in self.sources.items() if name in sources}
        self._answers = {name: slot for name, slot in self._answers.items() if name in sources}
