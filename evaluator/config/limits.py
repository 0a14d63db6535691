"""From the keys of a tier to its limit, its other conditions, its duration and its way back, in the rule's unit.

This module knows how `above`, `for`, `datapoints`, `recover` and the conditions act together. It never knows other keys
of a rule, nor files: it gets keys and places, and hands back values and problems.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from evaluator.config.conditions import ConditionReader, Conditions, Keyed, conditions_of
from evaluator.config.fields import Quantity
from evaluator.config.keys import LIMITS, LimitKeys, RecoverKeys
from evaluator.config.positions import Path
from evaluator.config.quantities import QuantityReader, is_share, limits_of
from evaluator.engine.rules import Datapoints, Limit, Op, Recover, Severity, Tier
from evaluator.engine.units import format_value

_BACK = {Op.ABOVE: (Op.AT_MOST, -1), Op.BELOW: (Op.AT_LEAST, 1), Op.AT_LEAST: (Op.BELOW, -1), Op.AT_MOST: (Op.ABOVE, 1)}
"""For a margin: the recovery's own limit, and towards which side it lies."""
_WAYS = (*LIMITS, "margin", "datapoints")
_ALONE = {
    "absent": ("`absent` stands alone", ("rising", "falling", "unusual", "missed", *LIMITS, "datapoints")),
    "missed": ("the value of `missed` is a time", ("rising", "falling", "unusual", "datapoints")),
}
"""By condition: why, and which keys cannot be beside it."""


@dataclass
class TierReader:
    """Reads the tiers of one rule."""

    say: QuantityReader
    conditions: ConditionReader

    def tier(self, severity: Severity, own: Keyed, rule: Keyed | None) -> Tier | None:
        """Return the tier; what `own` does not say comes from `rule`. `None` where a condition is wrong or missing."""
        # What is wrong with the rule's own limit is said once, there.
        limited = own if limits_of(own.keys) or rule is None else rule
        limit = self.say.one_limit(limited.keys, limited.path)
        conditions = self.conditions.read(own, rule)
        timing = own if own.keys.for_ is not None or own.keys.datapoints is not None or rule is None else rule
        if own.keys.for_ is not None and own.keys.datapoints is not None:
            path = (*own.path, "datapoints")
            self.say.at_key(path, "`for` and `datapoints` cannot both be", "keep one of the two")
        if conditions is None or (limit is None and (limits_of(limited.keys) or not conditions.any)):
            return None
        back = own if own.keys.recover is not None or rule is None else rule
        said = {name: each for each in (rule, own) if each for name in _said(each.keys)}
        alone = self._check_alone(conditions, said, back)
        recover = Recover(for_=_for(back)) if alone else self._recover(back, limit)
        return Tier(
            severity,
            limit,
            timing.keys.for_ or 0.0,
            timing.keys.datapoints,
            recover,
            conditions.trend,
            conditions.unusual,
            conditions.missed,
            conditions.absent,
        )

    def _check_alone(self, found: Conditions, said: dict[str, Keyed], back: Keyed) -> bool:
        """Complain of what cannot stand beside `absent` or `missed`; return whether it is one of them."""
        name = "absent" if found.absent else "missed" if found.missed else ""
        if not name:
            return False
        why, others = _ALONE[name]
        for other in others:
            if other in said:
                hint = "delete one of the two" if other == "datapoints" else "write two rules"
                path = (*said[other].path, other)
                self.say.at_key(path, f"{why}: `{other}` cannot be beside it", hint)
        for way in _WAYS:
            if getattr(back.keys.recover, way, None) is not None:
                hint = 'write recover = { for = "5m" }, or nothing'
                self.say.at_key((*self._place(back), way), f"{why}: its `recover` has only `for`", hint)
                break
        return True

    def _place(self, keyed: Keyed) -> Path:
        """Return where `recover` is written: there, or in the defaults."""
        place: Path = (*keyed.path, "recover")
        return place if place in self.say.document.positions.keys else ("defaults", "recover")

    def _recover(self, keyed: Keyed, limit: Limit | None) -> Recover:
        """Return the way back from a limit."""
        written = keyed.keys.recover
        if written is None:
            return Recover()
        place = self._place(keyed)
        ways = [name for name in _WAYS if getattr(written, name, None) is not None]
        if len(ways) > 1:
            self.say.at_value(
                (*place, ways[1]), f"`{ways[0]}` and `{ways[1]}` cannot both be in `recover`", "keep one of the two"
            )
            return Recover(for_=written.for_ or 0.0)
        if written.datapoints is not None:
            return self._recover_by_points(written, written.datapoints, place)
        back = self._back(written, ways[0], limit, place) if ways else None
        return Recover(back, written.for_ or 0.0)

    def _recover_by_points(self, written: RecoverKeys, points: Datapoints, place: Path) -> Recover:
        """Return a recovery that counts samples."""
        path = (*place, "datapoints")
        if written.for_ is not None:
            self.say.at_value(path, "`for` and `datapoints` cannot both be", "keep one of the two")
        if points.m == points.n:
            hint = f'write "0 of {points.n}": over when none of the last {points.n} samples is beyond the limit'
            self.say.at_value(path, f'"{points}" is always so', hint)
        return Recover(datapoints=points)

    def _back(self, written: RecoverKeys, way: str, limit: Limit | None, place: Path) -> Limit | None:
        """Return the limit at which it is over."""
        path = (*place, way)
        if way == "margin":
            return self._margin(written.margin, limit, path)
        value = self.say.quantity(getattr(written, way), path)
        if value is None:
            return None
        back = Limit(Op(way), value)
        if limit is None:
            return back
        both = next((point for point in _points(limit, back) if limit.holds(point) and back.holds(point)), None)
        if both is None:
            return back
        shown = format_value(both, self.say.unit)
        message = f"this is on the wrong side of the limit: {shown} would be wrong and over at the same time"
        hint = f"the limit is {limit.op.value} {format_value(limit.value, self.say.unit)}; recover on its healthy side"
        self.say.at_value(path, message, hint)
        return None

    def _margin(self, margin: Quantity | None, limit: Limit | None, path: Path) -> Limit | None:
        """Return the limit that lies a margin away from another, towards healthy."""
        if limit is None or limit.op not in _BACK or margin is None:
            hint = "it is for above, below, at_least and at_most; write a limit, or only for = ..."
            beside = "without a limit" if limit is None else f"for `{limit.op.value}`"
            self.say.at_value(path, f"`margin` has no meaning {beside}", hint)
            return None
        share = is_share(margin)
        size = self.say.share(str(margin), path) if share else self.say.quantity(margin, path)
        if size is None:
            return None
        distance = abs(limit.value) * size if share else size
        if distance <= 0:
            zero = share and size > 0
            message = "a share of 0 is 0" if zero else "`margin` must be larger than 0"
            self.say.at_value(path, message, "write the margin as a number" if zero else 'write margin = "20%"')
            return None
        op, side = _BACK[limit.op]
        return Limit(op, limit.value + side * distance)


def _for(keyed: Keyed) -> float:
    """Return how long clear must last."""
    return (keyed.keys.recover.for_ if keyed.keys.recover is not None else None) or 0.0


def _said(keys: LimitKeys) -> list[str]:
    """Return the names of the limits and conditions that a table has, and `datapoints`."""
    points = ["datapoints"] if keys.datapoints is not None else []
    return [*limits_of(keys), *conditions_of(keys), *points]


def _points(*limits: Limit) -> Iterator[float]:
    """Yield values of which at least one lies in every region that the limits cut the line into."""
    ends = sorted({end for limit in limits for end in (limit.value, limit.high) if end is not None})
    yield from ends
    yield from ((low + high) / 2 for low, high in pairwise(ends))
    step = max(1.0, abs(ends[0]), abs(ends[-1]))
    yield from (ends[0] - step, ends[-1] + step)
