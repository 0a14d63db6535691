"""From what is written to a number in a rule's unit, and to a limit; what does not fit is a problem at its place.

This module knows one value or one limit at a time. It never knows durations, ways back, or what a limit is for.
"""

from dataclasses import dataclass, field

from evaluator.config.document import Document
from evaluator.config.fields import Quantity
from evaluator.config.keys import LIMITS, ComparedKeys
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.engine.rules import Limit, Op
from evaluator.engine.units import parse_quantity


@dataclass
class QuantityReader:
    """Reads quantities and limits in one unit, and collects what is wrong with them."""

    document: Document
    unit: str | None
    problems: list[Problem] = field(default_factory=list)

    def one_limit(self, keys: ComparedKeys, path: Path) -> Limit | None:
        """Return the one limit of the table at `path`; two in one table are a mistake."""
        named = limits_of(keys)
        if len(named) > 1:
            both = {"above", "below"} == set(named)
            hint = "write outside = [low, high]" if both else "keep one, or write two rules"
            self.at_key((*path, named[1]), f"`{named[0]}` and `{named[1]}` are two limits", hint)
            return None
        return self._limit(keys, named[0], path) if named else None

    def _limit(self, keys: ComparedKeys, name: str, path: Path) -> Limit | None:
        """Return one limit in the unit."""
        written = getattr(keys, name)
        if name != "outside":
            value = self.quantity(written, (*path, name))
            return None if value is None else Limit(Op(name), value)
        low = self.quantity(written[0], (*path, name, 0))
        high = self.quantity(written[1], (*path, name, 1))
        if low is None or high is None:
            return None
        if low > high:
            hint = f"write outside = [{high:g}, {low:g}]"
            self.at_key((*path, name), "the first value must be the smaller one", hint)
            return None
        return Limit(Op.OUTSIDE, low, high)

    def quantity(self, written: Quantity, path: Path) -> float | None:
        """Return a written quantity in the unit."""
        try:
            return parse_quantity(written, self.unit)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            message, hint = (message, hint) if hint else _split_at_colon(message)
            name = next(part for part in reversed(path) if isinstance(part, str))
            self.at_value(path, f"`{name}`: {message}", hint)
            return None

    def share(self, written: str, path: Path) -> float | None:
        """Return `"20%"` as 0.2."""
        try:
            return parse_quantity(written, "ratio")
        except ValueError:
            self.at_value(path, f'`{path[-1]}`: "{written[:40]}" is not a share', f'write {path[-1]} = "20%"')
            return None

    def at_key(self, path: Path, message: str, hint: str) -> None:
        """Note a problem at a key."""
        self.problems.append(self.document.at_key(path, message, hint))

    def at_value(self, path: Path, message: str, hint: str) -> None:
        """Note a problem at a value."""
        self.problems.append(self.document.at_value(path, message, hint))


def limits_of(keys: ComparedKeys) -> list[str]:
    """Return the names of the limits that a table has."""
    return [name for name in LIMITS if getattr(keys, name) is not None]


def is_share(written: Quantity) -> bool:
    """Return whether a quantity is written with `%`, where that always is a share of something."""
    return isinstance(written, str) and written.strip().endswith("%")


def _split_at_colon(message: str) -> tuple[str, str]:
    """Return message and hint of a sentence like `... needs a unit: add unit = "bytes"`."""
    said, _, hint = message.partition(": ")
    return said, hint
