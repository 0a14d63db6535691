"""What all conditions of a tier say of one sample, together.

This module asks each condition and joins what they say. It never knows in which state an alert is.
"""

from collections.abc import Iterable, Iterator

from evaluator.engine import baseline, schedule, trend
from evaluator.engine.kept import Kept
from evaluator.engine.look import Look
from evaluator.engine.rules import Limit, Rule, Tier
from evaluator.engine.samples import Series
from evaluator.engine.shapes import Trend, Unusual, kept_for_trend, kept_for_unusual
from evaluator.engine.wording import limit_text, trend_text, unusual_text, value_text


class Sight:
    """One series under one tier that looks back. What a sample says is found out once."""

    def __init__(self, rule: Rule, tier: Tier, series: Series, kept: Kept, since: float) -> None:
        """Look with the samples that are kept; `since` is when the rule was first seen."""
        self._rule = rule
        self._tier = tier
        self._series = series
        self._kept = kept
        self._since = since
        self._looks: dict[tuple[float, float | None], Look] = {}

    def holds(self, at: float, value: float) -> bool | None:
        """Return whether all conditions hold for a sample; `None`: it is not known."""
        return self.look(at, value).holds

    def look(self, at: float, value: float | None) -> Look:
        """Return what the conditions say together; a value of `None`: there has never been one."""
        if value is not None and value != value:  # noqa: PLR0124 - NaN.
            return Look(None, "there is no value")
        key = at, value
        if key not in self._looks:
            self._looks[key] = _joined(self._each(at, value))
        return self._looks[key]

    def _each(self, at: float, value: float | None) -> Iterator[Look]:
        """Yield what each condition says, the cheapest first."""
        tier = self._tier
        if tier.missed is not None:
            yield schedule.look(tier.missed, value, at, self._since)
        if value is None:
            return
        if tier.limit is not None:
            yield limit_look(tier.limit, value, self._rule.unit)
        if tier.trend is not None:
            yield self._trend(tier.trend, at, value)
        if tier.unusual is not None:
            yield self._unusual(tier.unusual, at, value)

    def _trend(self, shape: Trend, at: float, value: float) -> Look:
        if not self._kept.has_place_for(self._series):
            return self._no_place()
        width, unit = kept_for_trend(shape, self._rule.step).width, self._rule.unit
        found = trend.look(shape, self._kept.trail(width, self._series), width, at, value, unit)
        return _asked(found, trend_text(shape, unit))

    def _unusual(self, shape: Unusual, at: float, value: float) -> Look:
        if not self._kept.has_place_for(self._series):
            return self._no_place()
        width = kept_for_unusual(shape, self._rule.step).width
        trail = self._kept.trail(width, self._series)
        return _asked(baseline.look(shape, trail, width, at, value, self._rule.unit), unusual_text(shape))

    def _no_place(self) -> Look:
        return Look(None, f"the rule keeps samples of {self._kept.most} series, and this one is beyond them")


def limit_look(limit: Limit, value: float, unit: str | None) -> Look:
    """Return what a plain limit says of a value."""
    holds = limit.holds(value)
    return Look(holds, f"{value_text(value, unit)} is {'' if holds else 'not '}{limit_text(limit, unit)}")


def _joined(looks: Iterable[Look]) -> Look:
    """Return what conditions say that must all hold: one that is known not to hold is enough."""
    seen = []
    for look in looks:
        if look.holds is False:
            return look
        seen.append(look)
    unknown = [look for look in seen if look.holds is None]
    said = " and ".join(look.said for look in unknown or seen)
    return Look(None if unknown else True, said)


def _asked(look: Look, text: str) -> Look:
    """Return the look with what was asked for, where that is not so."""
    return Look(look.holds, f"{look.said}: not {text}") if look.holds is False else look
