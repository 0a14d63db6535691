"""What is decided about: one rule, its alerts after one evaluation, and the evaluation itself.

This module holds what is given. It decides nothing.
"""

from dataclasses import dataclass

from evaluator.engine.alerts import Alert, State, Verdict
from evaluator.engine.evaluate import Evaluation
from evaluator.engine.rules import Rule, RuleSet
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.world import Book, World

NO_OTHERS = RuleSet()
"""A rule set in which nothing mutes or inhibits."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """One evaluation, to be decided about."""

    world: World
    """As it was before the evaluation."""
    rule: Rule
    book: Book
    """The rule's alerts after it."""
    evaluation: Evaluation
    live: bool
    """Whether the evaluation is of now; what is judged from history may close, but not open, join or raise."""
    given: Circumstances
    rules: RuleSet = NO_OTHERS
    """The rule set in force."""
    failure: str = ""
    """Why there was no answer, for people; empty where there was one."""

    def breaches(self, alert: Alert) -> bool:
        """Return whether an alert may open, join or raise: it fires, and this evaluation saw the breach."""
        return (
            self.live
            and alert.state is State.FIRING
            and alert.verdict is Verdict.BREACH
            and alert.judged == self.given.now
        )
