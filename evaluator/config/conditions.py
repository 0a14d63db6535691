"""From the keys of a tier to its conditions that look at more than one value: trends, the unusual, missed runs.

This module knows what each of them needs: enough samples, enough history. It never knows limits or ways back.
"""

import math
from dataclasses import dataclass

from evaluator.config.keys import CONDITIONS, LimitKeys, MissedKeys, TrendKeys
from evaluator.config.positions import Path
from evaluator.config.quantities import QuantityReader, is_share
from evaluator.engine.shapes import WIDTH_OF_BASELINE, Comparison, Direction, Missed, Trend, Unusual, Way
from evaluator.engine.units import format_duration

LEAST_SAMPLES = 5
"""So many samples a line is fitted to at least, and a value is compared with."""
LONGEST_HISTORY = 366 * 86_400.0
"""Seconds that `unusual` looks back at most."""
_HISTORY = 28 * 86_400.0
_LEARN = 14 * 86_400.0
_HOUR = 3_600.0
_REPEATS = {Comparison.HOUR_OF_WEEK: 7 * 86_400.0, Comparison.HOUR_OF_DAY: 86_400.0}


@dataclass(frozen=True, slots=True)
class Keyed:
    """Keys with the place where they were written: a tier's own, or those of its rule."""

    keys: LimitKeys
    path: Path


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one tier, but for its limit."""

    trend: Trend | None = None
    unusual: Unusual | None = None
    missed: Missed | None = None
    absent: bool = False

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return self.absent or not (self.trend is None and self.unusual is None and self.missed is None)


def conditions_of(keys: LimitKeys) -> list[str]:
    """Return the names of the conditions that a table has."""
    return [name for name in CONDITIONS if bool(getattr(keys, name))]


@dataclass
class ConditionReader:
    """Reads the conditions of the tiers of one rule."""

    say: QuantityReader
    """Reads quantities, and takes the problems."""
    step: float
    """The rule's, in seconds."""
    timezone: str
    """The settings'."""

    def read(self, own: Keyed, rule: Keyed | None) -> Conditions | None:
        """Return the conditions of a tier, those that it does not name itself from its rule; `None`: one is wrong."""
        before = len(self.say.problems)
        trend = self._trend(_where(own, rule, "rising", "falling"))
        unusual = self._unusual(_where(own, rule, "unusual"))
        missed = self._missed(_where(own, rule, "missed"))
        absent = bool(_where(own, rule, "absent").keys.absent)
        return Conditions(trend, unusual, missed, absent) if len(self.say.problems) == before else None

    def _trend(self, keyed: Keyed) -> Trend | None:
        """Return `rising` or `falling`; one tier has only one of them."""
        if keyed.keys.rising is not None and keyed.keys.falling is not None:
            hint = "keep one of the two, or write two rules"
            self.say.at_key((*keyed.path, "falling"), "`rising` and `falling` cannot both be", hint)
            return None
        for way in Way:
            written: TrendKeys | None = getattr(keyed.keys, way.value)
            if written is not None:
                return self._one_trend(way, written, (*keyed.path, way.value))
        return None

    def _one_trend(self, way: Way, written: TrendKeys, path: Path) -> Trend | None:
        """Return one trend."""
        share = is_share(written.by)
        by = self.say.share(str(written.by), (*path, "by")) if share else self._by(written, (*path, "by"))
        if by is not None and by <= 0:
            hint = "write how far, without a sign: the key says which way"
            self.say.at_value((*path, "by"), "`by` must be more than 0", hint)
        least = LEAST_SAMPLES * self.step
        if written.over < least:
            said, step, enough = (format_duration(each) for each in (written.over, self.step, least))
            message = f"{said} has fewer than {LEAST_SAMPLES} samples, one every {step}: too few for a line"
            self.say.at_value((*path, "over"), message, f'write over = "{enough}" or more, or a shorter `every`')
        return None if by is None else Trend(way, by, share, written.over)

    def _by(self, written: TrendKeys, path: Path) -> float | None:
        """Return how far, in the rule's unit; as a difference of ratios a number above 1 is one as well."""
        if self.say.unit == "ratio" and isinstance(written.by, int | float) and abs(written.by) > 1:
            hint = f'write "{written.by:g}%" for a share of where the line begins, or {written.by / 100:g}'
            self.say.at_value(path, f"{written.by:g} is more than a ratio can change", hint)
            return None
        return self.say.quantity(written.by, path)

    def _unusual(self, keyed: Keyed) -> Unusual | None:
        """Return `unusual`."""
        written, path = keyed.keys.unusual, (*keyed.path, "unusual")
        if written is None:
            return None
        comparison, days = written.compared_to or (Comparison.HOUR_OF_WEEK, None)
        if days is not None and written.history not in (None, days):
            hint = "delete `history`: the days say how far back it is looked"
            self.say.at_key((*path, "history"), "`history` and the days of `compared_to` cannot both be", hint)
            return None
        history = days or (_HISTORY if written.history is None else written.history)
        place = (*path, "compared_to" if days is not None else "history")
        if not self._has_enough(comparison, history, place):
            return None
        learn = min(_LEARN, history / 2) if written.learn is None else written.learn
        if learn > history:
            message = f"it would learn for longer than the {format_duration(history)} that are kept"
            self.say.at_value((*path, "learn"), message, f'write learn = "{format_duration(history / 2)}"')
        direction = Direction(written.direction or Direction.BOTH)
        return Unusual(written.by, history, comparison, direction, learn, self.timezone)

    def _has_enough(self, comparison: Comparison, history: float, place: Path) -> bool:
        """Complain of a history in which there can never be samples enough to compare with."""
        if history > LONGEST_HISTORY:
            message = f"{format_duration(history)} are more than are kept"
            self.say.at_value(place, message, f"write at most {format_duration(LONGEST_HISTORY)}")
            return False
        width = max(self.step, WIDTH_OF_BASELINE)
        repeat = _REPEATS.get(comparison)
        each = 1 if repeat is None else max(1, int(_HOUR / width))
        there = int(history / width) if repeat is None else int(history / repeat) * each
        if there >= LEAST_SAMPLES:
            return True
        enough = format_duration(math.ceil(LEAST_SAMPLES / each) * (width if repeat is None else repeat))
        message = f"in {format_duration(history)} there are too few samples to compare with: at most {there}"
        hint = f"one is kept every {format_duration(width)}, and {LEAST_SAMPLES} are needed: "
        hint += f'write compared_to = "last {math.ceil(LEAST_SAMPLES * width / 86_400)} days"'
        if repeat is not None:
            hint = f'{LEAST_SAMPLES} are needed: write history = "{enough}" or more'
        self.say.at_value(place, message, hint)
        return False

    def _missed(self, keyed: Keyed) -> Missed | None:
        """Return `missed`."""
        written: MissedKeys | None = keyed.keys.missed
        if written is None:
            return None
        return Missed(written.cron, written.timezone or self.timezone, written.grace or 0.0)


def _where(own: Keyed, rule: Keyed | None, *names: str) -> Keyed:
    """Return the table that says one of these keys: the tier's own, else the rule's."""
    said = any(getattr(own.keys, name) is not None for name in names)
    return own if said or rule is None else rule
