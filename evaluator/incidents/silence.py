"""A silence: somebody's wish that nothing be opened or raised for a while.

This module knows the row. What a silence holds back is decided in `muting`.
"""

from dataclasses import dataclass

from evaluator.engine.maintenance import Selector
from evaluator.engine.samples import Series


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence. All times are seconds since the epoch (UTC)."""

    id: str
    """A ULID."""
    selector: Selector
    by: str
    """Who asked for it: a user's name."""
    reason: str
    """Why, in their words."""
    starts_at: float
    ends_at: float
    """When it ends at the latest; not part of it."""
    ends_with_alert: bool = False
    """It also ends as soon as nothing that it selects is firing or recovering any more, once anything was."""
    matched: bool = False
    """Something that it selects has been firing or recovering since it began."""
    ended_at: float | None = None
    """When it was over, if that was before `ends_at`."""
    ended_because: str = ""
    """Why: who ended it, or that its alert is over."""

    def holds(self, now: float) -> bool:
        """Return whether it is in force."""
        return self.ended_at is None and self.starts_at <= now < self.ends_at

    def over(self, now: float) -> bool:
        """Return whether it will never be in force again."""
        return self.ended_at is not None or now >= self.ends_at

    def selects(self, rule: str, series: Series) -> bool:
        """Return whether it is about this series of this rule."""
        return self.selector.selects(rule, series)
