"""Maintenance windows of the rule files, and the selectors that they share with silences.

This module knows which alerts are selected, and when. It never knows what comes of it: that is `incidents.muting`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType

from evaluator.engine.calendar import last_due
from evaluator.engine.samples import Series


@dataclass(frozen=True, slots=True)
class Selector:
    """Which alerts: by rule and by series. Patterns are those of a shell: `*`, `?`, `[abc]`; case counts."""

    rules: tuple[str, ...] = ("*",)
    """Patterns of rule names, one of which must match."""
    except_: tuple[str, ...] = ()
    """Patterns of rule names, none of which may match; `except` in TOML."""
    series: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Patterns by label; all must match, and a series without the label does not match."""

    def names(self, rule: str) -> bool:
        """Return whether it selects any series of a rule."""
        return any(fnmatchcase(rule, each) for each in self.rules) and not any(
            fnmatchcase(rule, each) for each in self.except_
        )

    def selects(self, rule: str, series: Series) -> bool:
        """Return whether it selects a series of a rule."""
        return self.names(rule) and self.picks(dict(series))

    def picks(self, labels: Mapping[str, str]) -> bool:
        """Return whether it selects a series with these labels, of a rule that it names: for many series of one."""
        return all(name in labels and fnmatchcase(labels[name], each) for name, each in self.series.items())


@dataclass(frozen=True, slots=True)
class Recurring:
    """`when` of a window: it begins at each time of a cron line, and lasts `for_` seconds."""

    cron: str
    timezone: str
    """IANA name."""
    for_: float


@dataclass(frozen=True, slots=True)
class Window:
    """`[window.NAME]`: planned work, during which what it selects opens and raises nothing."""

    name: str
    selector: Selector = Selector()
    start: float = 0.0
    """`from`, seconds since the epoch; not used with `when`."""
    end: float = 0.0
    """`until`, seconds since the epoch, not part of it; not used with `when`."""
    when: Recurring | None = None
    reason: str = ""
    file: str = ""
    line: int = 0


_MOST_JOINED = 500
"""How many recurrences are joined at most."""


def holds_until(window: Window, now: float) -> float | None:
    """Return until when a window is in force without a break; `None`: it is not in force.

    A window whose recurrences follow each other without a break for very long is in force for longer than that.
    """
    if window.when is None:
        return window.end if window.start <= now < window.end else None
    when = window.when
    due = last_due(when.cron, when.timezone, now)
    if due is None or now >= due + when.for_:
        return None
    return _joined(when, due)


@lru_cache(maxsize=256)
def _joined(when: Recurring, due: float) -> float:
    """Return when the last one ends of the recurrences that overlap or touch, from the one that began at `due`."""
    for _ in range(_MOST_JOINED):
        later = last_due(when.cron, when.timezone, due + when.for_) or due
        if later == due:
            break
        due = later
    return due + when.for_
