"""From one `[window.NAME]` to a maintenance window.

This module knows the keys of a window, and which times nobody can mean. It never knows rules or other windows.
"""

from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from evaluator.config.complaints import validate_partly
from evaluator.config.document import Document, Table
from evaluator.config.keys import WhenKeys, WindowKeys
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.times import longest_gap
from evaluator.engine.calendar import zone
from evaluator.engine.maintenance import Recurring, Selector, Window
from evaluator.engine.units import format_duration

_EVERY = ("*",)


def window_keys() -> set[str]:
    """Return the keys of a window, as they are written."""
    return {item.alias or name for name, item in WindowKeys.model_fields.items()}


@dataclass
class WindowReader:
    """Reads one window; where some of its keys are wrong, the others are still checked."""

    document: Document
    timezone: str
    """The settings'."""
    name: str
    table: Table
    problems: list[Problem] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """Where it stands."""
        return ("window", self.name)

    def read(self) -> Window | None:
        """Return the window, or `None` where it cannot be."""
        keys, self.problems = validate_partly(WindowKeys, self.table, self.document, self.path)
        if keys is None:
            return None
        self._check_lists(keys)
        start, end, when = self._times(keys)
        if self.problems:
            return None
        return Window(
            self.name,
            Selector(
                tuple(keys.rules or _EVERY),
                tuple(keys.except_ or ()),
                MappingProxyType(dict(keys.series or {})),
            ),
            start,
            end,
            when,
            keys.reason or "",
            self.document.file,
            self.document.positions.key(self.path).line,
        )

    def _check_lists(self, keys: WindowKeys) -> None:
        """Complain of a list of rules that has none: left out, it means all of them."""
        if keys.rules == []:
            hint = 'name rules, or write rules = ["*"]'
            self._say("rules", "a window for no rule does nothing", hint)

    def _times(self, keys: WindowKeys) -> tuple[float, float, Recurring | None]:
        """Return when it begins and ends, or when it comes again and again."""
        if keys.when is not None:
            for name in ("from", "until"):
                if name in self.table:
                    self._say(name, f"`{name}` and `when` cannot both be", "keep `when`, or both `from` and `until`")
            return 0.0, 0.0, self._recurring(keys.when)
        misspelt = bool(self.table.keys() - window_keys())
        broken = any(name in self.table for name in ("when", "from", "until")) and bool(self.problems)
        if not misspelt and not broken and not self.document.incomplete(self.path):
            self._check_ends(keys)
        if keys.from_ is None or keys.until is None:
            return 0.0, 0.0, None
        start, end = self._instant(keys.from_), self._instant(keys.until)
        if end <= start:
            said = "ends when it begins" if end == start else "ends before it begins"
            self._say("until", f'window "{self.name}" {said}', "`until` must be later than `from`")
        return start, end, None

    def _check_ends(self, keys: WindowKeys) -> None:
        """Complain of a window without a beginning or an end."""
        if keys.from_ is None and keys.until is None:
            message = f'window "{self.name}" says no time'
            hint = "write from = ... and until = ..., or when = { cron = ..., for = ... }"
            self.problems.append(self.document.at_key(self.path, message, hint))
        elif keys.until is None:
            hint = 'write until = "2026-12-01 04:00"; to stop a rule for good, write mode = "off" there'
            self._say("from", f'window "{self.name}" never ends', hint)
        elif keys.from_ is None:
            self._say("until", f'window "{self.name}" has no beginning', 'write from = "2026-12-01 02:00"')

    def _instant(self, moment: datetime) -> float:
        """Return a time as seconds since the epoch; without an offset it is in the settings' time zone."""
        local = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone(self.timezone))
        return local.timestamp()

    def _recurring(self, when: WhenKeys) -> Recurring:
        """Return when it comes again and again."""
        found = Recurring(when.cron, when.timezone or self.timezone, when.for_)
        gap = longest_gap(found.cron, found.for_)
        if gap is not None:
            said, every = format_duration(found.for_), format_duration(gap)
            message = f'window "{self.name}" never ends: it lasts {said}, and begins again within {every}'
            path = (*self.path, "when", "for")
            hint = f'write a shorter `for` than "{every}", or a `cron` that is due less often'
            self.problems.append(self.document.at_value(path, message, hint))
        return found

    def _say(self, key: str, message: str, hint: str) -> None:
        """Note a problem at a key."""
        self.problems.append(self.document.at_key((*self.path, key), message, hint))
