"""From the keys of a tier to its limit, its duration and its way back, in the rule's unit.

This module knows how `above`, `for`, `datapoints` and `recover` act together. It never knows other keys of a rule, nor
files: it gets keys and places, and hands back values and problems.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from evaluator.config.document import Document
from evaluator.config.fields import Quantity
from evaluator.config.keys import LIMITS, LimitKeys, RecoverKeys
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.engine.rules import Datapoints, Limit, Op, Recover, Severity, Tier
from evaluator.engine.units import format_value, parse_quantity

_BACK = {Op.ABOVE: (Op.AT_MOST, -1), Op.BELOW: (Op.AT_LEAST, 1), Op.AT_LEAST: (Op.BELOW, -1), Op.AT_MOST: (Op.ABOVE, 1)}
"""For a margin: the recovery's own limit, and towards which side it lies."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Keys with the place where they were written: a rule's own, or those of `[defaults]`."""

    keys: LimitKeys
    path: Path


@dataclass
class LimitReader:
    """Reads the tiers of one rule, and collects what is wrong with them."""

    document: Document
    unit: str | None
    problems: list[Problem] = field(default_factory=list)

    def tier(self, severity: Severity, own: Keyed, rule: Keyed | None) -> Tier | None:
        """Return the tier; what `own` does not say comes from `rule`. `None` where its limit is wrong or missing."""
        limit = self._one_limit(own)
        if limit is None and not _named(own) and rule is not None:
            # What is wrong with the rule's own limit is said once, there.
            limit = self._one_limit(rule)
        timing = own if own.keys.for_ is not None or own.keys.datapoints is not None or rule is None else rule
        if own.keys.for_ is not None and own.keys.datapoints is not None:
            self._say(own, "datapoints", "`for` and `datapoints` cannot both be", "keep one of the two")
        if limit is None:
            return None
        source = own if own.keys.recover is not None or rule is None else rule
        recover = self._recover(source, limit) if source.keys.recover is not None else Recover()
        return Tier(severity, limit, timing.keys.for_ or 0.0, timing.keys.datapoints, recover)

    def _one_limit(self, keyed: Keyed) -> Limit | None:
        """Return the one limit of a table; two in one table are a mistake."""
        named = _named(keyed)
        if len(named) > 1:
            both = {"above", "below"} == set(named)
            hint = "write outside = [low, high]" if both else "keep one, or write two rules"
            self._say(keyed, named[1], f"`{named[0]}` and `{named[1]}` are two limits", hint)
            return None
        return self._limit(keyed, named[0]) if named else None

    def _limit(self, keyed: Keyed, name: str) -> Limit | None:
        """Return one limit in the rule's unit."""
        written = getattr(keyed.keys, name)
        if name != "outside":
            value = self._quantity(written, (*keyed.path, name))
            return None if value is None else Limit(Op(name), value)
        low = self._quantity(written[0], (*keyed.path, name, 0))
        high = self._quantity(written[1], (*keyed.path, name, 1))
        if low is None or high is None:
            return None
        if low > high:
            self._say(keyed, name, "the first value must be the smaller one", f"write outside = [{high:g}, {low:g}]")
            return None
        return Limit(Op.OUTSIDE, low, high)

    def _quantity(self, written: Quantity, path: Path) -> float | None:
        """Return a written quantity in the rule's unit."""
        try:
            return parse_quantity(written, self.unit)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            message, hint = (message, hint) if hint else _split_at_colon(message)
            name = next(part for part in reversed(path) if isinstance(part, str))
            self.problems.append(self.document.at_value(path, f"`{name}`: {message}", hint))
            return None

    def _recover(self, keyed: Keyed, limit: Limit) -> Recover:
        """Return the way back from a limit."""
        written = keyed.keys.recover
        if written is None:
            return Recover()
        place: Path = (*keyed.path, "recover")
        if place not in self.document.positions.keys:
            place = ("defaults", "recover")
        ways = [name for name in (*LIMITS, "margin", "datapoints") if getattr(written, name, None) is not None]
        if len(ways) > 1:
            self._problem(
                (*place, ways[1]), f"`{ways[0]}` and `{ways[1]}` cannot both be in `recover`", "keep one of the two"
            )
            return Recover(for_=written.for_ or 0.0)
        if written.datapoints is not None:
            return self._recover_by_points(written, written.datapoints, place)
        back = self._back(written, ways[0], limit, place) if ways else None
        return Recover(back, written.for_ or 0.0)

    def _recover_by_points(self, written: RecoverKeys, points: Datapoints, place: Path) -> Recover:
        """Return a recovery that counts samples."""
        if written.for_ is not None:
            self._problem((*place, "datapoints"), "`for` and `datapoints` cannot both be", "keep one of the two")
        if points.m == points.n:
            hint = f'write "0 of {points.n}": over when none of the last {points.n} samples is beyond the limit'
            self._problem((*place, "datapoints"), f'"{points}" is always so', hint)
        return Recover(datapoints=points)

    def _back(self, written: RecoverKeys, way: str, limit: Limit, place: Path) -> Limit | None:
        """Return the limit at which it is over."""
        path = (*place, way)
        if way == "margin":
            return self._margin(written.margin, limit, path)
        value = self._quantity(getattr(written, way), path)
        if value is None:
            return None
        back = Limit(Op(way), value)
        both = next((point for point in _points(limit, back) if limit.holds(point) and back.holds(point)), None)
        if both is None:
            return back
        shown = format_value(both, self.unit)
        message = f"this is on the wrong side of the limit: {shown} would be wrong and over at the same time"
        hint = f"the limit is {limit.op.value} {format_value(limit.value, self.unit)}; recover on its healthy side"
        self._problem(path, message, hint)
        return None

    def _margin(self, margin: Quantity | None, limit: Limit, path: Path) -> Limit | None:
        """Return the limit that lies a margin away from another, towards healthy."""
        if limit.op not in _BACK or margin is None:
            hint = "it is for above, below, at_least and at_most; write a limit, or only for = ..."
            self._problem(path, f"`margin` has no meaning for `{limit.op.value}`", hint)
            return None
        share = isinstance(margin, str) and margin.strip().endswith("%")
        size = self._share(str(margin), path) if share else self._quantity(margin, path)
        if size is None:
            return None
        distance = abs(limit.value) * size if share else size
        if distance <= 0:
            zero = share and size > 0
            message = "a share of 0 is 0" if zero else "`margin` must be larger than 0"
            self._problem(path, message, "write the margin as a number" if zero else 'write margin = "20%"')
            return None
        op, side = _BACK[limit.op]
        return Limit(op, limit.value + side * distance)

    def _share(self, margin: str, path: Path) -> float | None:
        """Return `"20%"` as 0.2."""
        try:
            return parse_quantity(margin, "ratio")
        except ValueError:
            self._problem(path, f'`margin`: "{margin[:40]}" is not a share', 'write margin = "20%"')
            return None

    def _say(self, keyed: Keyed, key: str, message: str, hint: str) -> None:
        """Note a problem at a key."""
        self.problems.append(self.document.at_key((*keyed.path, key), message, hint))

    def _problem(self, path: Path, message: str, hint: str) -> None:
        """Note a problem at a value."""
        self.problems.append(self.document.at_value(path, message, hint))


def _named(keyed: Keyed) -> list[str]:
    """Return the limits that a table has."""
    return [name for name in LIMITS if getattr(keyed.keys, name) is not None]


def has_limit(keys: LimitKeys) -> bool:
    """Return whether a table has any limit."""
    return any(getattr(keys, name) is not None for name in LIMITS)


def _split_at_colon(message: str) -> tuple[str, str]:
    """Return message and hint of a sentence like `... needs a unit: add unit = "bytes"`."""
    said, _, hint = message.partition(": ")
    return said, hint


def _points(*limits: Limit) -> Iterator[float]:
    """Yield values of which at least one lies in every region that the limits cut the line into."""
    ends = sorted({end for limit in limits for end in (limit.value, limit.high) if end is not None})
    yield from ends
    yield from ((low + high) / 2 for low, high in pairwise(ends))
    step = max(1.0, abs(ends[0]), abs(ends[-1]))
    yield from (ends[0] - step, ends[-1] + step)
